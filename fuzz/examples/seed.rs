//! `seed VECTORS CORPUS`: cuts the public vectors into seeds, one folder of the corpus for each target.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use verify::{Budget, certificate::Certificate, checkpoint::SignedCheckpoint, identity::Claim, tile};

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(vectors), Some(corpus)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: seed VECTORS CORPUS");
        std::process::exit(2);
    };
    let mut seeds = Seeds { corpus, count: 0 };
    for folder in files(&vectors.join("bundles")) {
        if let Ok(text) = fs::read(folder.join("bundle.sigstore.json")) {
            seeds.bundle(&text);
        }
        for root in [folder.join("trusted_root.json")] {
            if let Ok(text) = fs::read(root) {
                seeds.trusted_root(&text);
            }
        }
    }
    for file in files(&vectors.join("trust")) {
        seeds.trusted_root(&fs::read(file).expect("a vector"));
    }
    for file in files(&vectors.join("wycheproof")) {
        seeds.wycheproof(&json(&fs::read(file).expect("a vector")));
    }
    for index in [0, 7, 255, 256, 999, 1_234_067, u64::MAX] {
        for width in [1, 255, 256] {
            let path = tile::bundle_path("entries", index, width);
            seeds.put("tile", path.trim_start_matches("tile/entries/").as_bytes());
        }
    }
    println!("{} seeds", seeds.count);
}

struct Seeds {
    corpus: PathBuf,
    count: usize,
}

impl Seeds {
    fn put(&mut self, target: &str, bytes: &[u8]) {
        let folder = self.corpus.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        let name = verify::Sha256Digest::of(bytes).to_string();
        fs::write(folder.join(name), bytes).expect("a seed");
        self.count += 1;
    }

    fn bundle(&mut self, text: &[u8]) {
        self.put("bundle", text);
        let bundle = json(text);
        let material = &bundle["verificationMaterial"];
        for pointer in ["/certificate", "/x509CertificateChain/certificates/0"] {
            if let Some(der) = material.pointer(pointer).and_then(|found| bytes(&found["rawBytes"])) {
                self.certificate(&der);
            }
        }
        for entry in list(&material["tlogEntries"]) {
            if let Some(body) = bytes(&entry["canonicalizedBody"]) {
                self.put("entry", &body);
                self.put("tile", &tile::encode_entry_bundle(&[&body, &body]).unwrap_or_default());
            }
            if let Some(envelope) = entry["inclusionProof"]["checkpoint"]["envelope"].as_str() {
                self.put("note", envelope.as_bytes());
                self.put("checkpoint", envelope.as_bytes());
                if let Ok(signed) = SignedCheckpoint::parse(envelope.as_bytes(), &Budget::default()) {
                    self.put("note", signed.note.to_string().as_bytes());
                }
            }
        }
        for timestamp in list(&material["timestampVerificationData"]["rfc3161Timestamps"]) {
            if let Some(der) = bytes(&timestamp["signedTimestamp"]) {
                self.put("timestamp", &der);
            }
        }
        if let Some(payload) = bytes(&bundle["dsseEnvelope"]["payload"]) {
            self.put("statement", &payload);
        }
    }

    fn certificate(&mut self, der: &[u8]) {
        self.put("certificate", der);
        let Ok(certificate) = Certificate::from_der(der, &Budget::default()) else {
            return;
        };
        self.put("key", certificate.public_key().spki_der());
        let scts = certificate.scts(&Budget::default()).unwrap_or_default();
        self.put("sct", &verify::sct::encode_list(&scts));
        for sct in scts {
            self.put("sct", &sct.to_bytes());
        }
        if let Ok(identity) = certificate.identity() {
            for (claim, value) in identity.claims {
                self.claim(claim, &value);
            }
        }
    }

    fn claim(&mut self, claim: Claim, value: &str) {
        self.put(
            "identity",
            &[&[claim.number()], claim.encode(value).as_slice()].concat(),
        );
    }

    fn trusted_root(&mut self, text: &[u8]) {
        self.put("trusted_root", text);
        self.put("json", text);
        let root = json(text);
        for name in ["tlogs", "ctlogs"] {
            for log in list(&root[name]) {
                if let Some(der) = bytes(&log["publicKey"]["rawBytes"]) {
                    self.put("key", &der);
                }
            }
        }
        for name in ["certificateAuthorities", "timestampAuthorities"] {
            for authority in list(&root[name]) {
                for certificate in list(&authority["certChain"]["certificates"]) {
                    if let Some(der) = bytes(&certificate["rawBytes"]) {
                        self.certificate(&der);
                    }
                }
            }
        }
    }

    fn wycheproof(&mut self, vectors: &Value) {
        for group in list(&vectors["testGroups"]) {
            if let Some(key) = group.get("public") {
                self.put("token", serde_json::json!({ "keys": [key] }).to_string().as_bytes());
            }
            if let Some(pem) = group["publicKeyPem"].as_str() {
                self.put("key", pem.as_bytes());
            }
            for case in list(&group["tests"]) {
                if let Some(token) = case["jws"].as_str() {
                    self.put("token", token.as_bytes());
                }
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("a folder entry").path()).collect()
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}
