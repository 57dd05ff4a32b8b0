//! `seeds CORPUS [VECTORS]`: seeds for the fuzz targets, one folder of the corpus for each target.
//!
//! Some are always made here, from bundles of an instance in memory and from the trust documents of this repository;
//! more are cut from the public vectors where there are any.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    clippy::arithmetic_side_effects,
    reason = "a tool of the tests"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use verify::{
    Budget,
    bundle::BundleVersion,
    certificate::Certificate,
    checkpoint::SignedCheckpoint,
    identity::Claim,
    sct::{LoggedCertificate, TileLeaf},
    tile,
};

#[path = "../tests/authority/mod.rs"]
mod authority;

use authority::{EntryKind, Key, Recipe, World};

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(corpus) = arguments.next() else {
        eprintln!("usage: seeds CORPUS [VECTORS]");
        std::process::exit(2);
    };
    let mut seeds = Seeds { corpus, count: 0 };
    seeds.own();
    println!("{} seeds made here", seeds.count);
    let Some(vectors) = arguments.next() else { return };
    seeds.count = 0;
    seeds.public(&vectors);
    println!("{} seeds cut from {}", seeds.count, vectors.display());
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

    /// What needs nothing but this repository.
    fn own(&mut self) {
        let world = World::new();
        let kinds = [
            EntryKind::HashedRekordV002,
            EntryKind::DsseV002,
            EntryKind::HashedRekordV001,
            EntryKind::DsseV001,
            EntryKind::IntotoV002,
        ];
        for kind in kinds {
            let mut recipe = Recipe {
                token: Some(authority::TokenRecipe::default()),
                ..Recipe::v1(kind)
            };
            recipe.checkpoint.witnesses = vec![("witness.example".to_owned(), Key::ed25519())];
            for version in [BundleVersion::V0_1, BundleVersion::V0_3] {
                recipe.version = version;
                self.bundle(world.bundle(&recipe).to_json().as_bytes());
            }
        }
        self.trusted_root(world.trusted_root.to_json().as_bytes());
        for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/trust")) {
            self.trusted_root(&fs::read(file).expect("a trust document"));
        }
        self.token();
        self.tiles();
    }

    fn public(&mut self, vectors: &Path) {
        for folder in files(&vectors.join("bundles")) {
            if let Ok(text) = fs::read(folder.join("bundle.sigstore.json")) {
                self.bundle(&text);
            }
            if let Ok(text) = fs::read(folder.join("trusted_root.json")) {
                self.trusted_root(&text);
            }
        }
        for file in files(&vectors.join("trust")) {
            self.trusted_root(&fs::read(file).expect("a vector"));
        }
        for file in files(&vectors.join("wycheproof")) {
            self.wycheproof(&parsed(&fs::read(file).expect("a vector")));
        }
    }

    fn token(&mut self) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
        let parts = [
            json!({"alg": "EdDSA", "kid": "one", "typ": "JWT"}),
            json!({"iss": "https://ci.example", "sub": "me", "aud": "sigstore", "exp": 1_767_269_000}),
        ];
        let signed = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        self.put("token", format!("{signed}.{signature}").as_bytes());
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let set = json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "one", "use": "sig", "alg": "EdDSA"},
            {"kty": "RSA", "kid": "two", "n": URL_SAFE_NO_PAD.encode([0xc1; 256]), "e": "AQAB"},
        ]});
        self.put("token", set.to_string().as_bytes());
    }

    fn tiles(&mut self) {
        for index in [0, 7, 255, 256, 999, 1_234_067, u64::MAX] {
            for width in [1, 255, 256] {
                let path = tile::bundle_path("entries", index, width);
                self.put("tile", path.trim_start_matches("tile/entries/").as_bytes());
            }
        }
    }

    fn bundle(&mut self, text: &[u8]) {
        self.put("bundle", text);
        let bundle = parsed(text);
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
        self.tile_leaf(&certificate);
        if let Ok(identity) = certificate.identity() {
            for (claim, value) in identity.claims {
                self.claim(claim, &value);
            }
        }
    }

    /// A leaf of a CT tile, as our own log writes one.
    fn tile_leaf(&mut self, certificate: &Certificate) {
        let leaf = TileLeaf {
            timestamp_ms: 1_767_268_800_000,
            logged: LoggedCertificate::Certificate(certificate.der().to_vec()),
            extensions: verify::sct::leaf_index_extension(5).to_vec(),
            precertificate: Vec::new(),
            chain_fingerprints: vec![certificate.public_key().id().0],
        };
        self.put("sct", &leaf.to_bytes());
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
        let root = parsed(text);
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
                self.put("token", json!({ "keys": [key] }).to_string().as_bytes());
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

fn parsed(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}
