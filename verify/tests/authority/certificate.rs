//! Certificates of signers and authorities [RFC 5280], and the SCTs in them [RFC 6962 §3.2].

use verify::{
    Budget, PublicKey, UnixTime,
    certificate::Certificate,
    key::KeyKind,
    sct::{self, LoggedCertificate, SignedCertificateTimestamp},
};

use super::{
    IDENTITY, ISSUER, Key, SIGNED_AT, World,
    der::{bits, element, explicit, integer, name, octets, oid, sequence, utc_time, utf8},
    flip_last,
};

/// What a CA certificate says.
#[derive(Clone)]
pub struct CaRecipe {
    pub subject: String,
    pub issuer: String,
    pub validity: (UnixTime, UnixTime),
    pub ca: bool,
    pub path_length: Option<u8>,
    /// Named bits of `KeyUsage`, first octet; none for no extension.
    pub key_usage: Option<u8>,
    pub purposes: Option<Vec<&'static str>>,
    pub further: Vec<Vec<u8>>,
}

impl CaRecipe {
    pub fn root(subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            issuer: subject.to_owned(),
            validity: (SIGNED_AT.plus_secs(-1_000_000), SIGNED_AT.plus_secs(1_000_000)),
            ca: true,
            path_length: Some(1),
            key_usage: Some(0x06),
            purposes: None,
            further: Vec::new(),
        }
    }
    pub fn intermediate() -> Self {
        Self {
            subject: "intermediate".to_owned(),
            path_length: Some(0),
            purposes: Some(vec![CODE_SIGNING]),
            ..Self::root("root")
        }
    }
    pub fn certificate(&self, subject_key: &PublicKey, issuer_key: &Key) -> Certificate {
        let mut extensions = vec![];
        if let Some(bits) = self.key_usage {
            extensions.push(key_usage(bits));
        }
        let mut constraints = vec![];
        if self.ca {
            constraints.push(element(0x01, &[0xff]));
        }
        constraints.extend(self.path_length.map(|limit| integer(&[limit])));
        extensions.push(extension("2.5.29.19", true, &sequence(&constraints)));
        extensions.extend(self.purposes.as_ref().map(|list| purposes(list, false)));
        extensions.extend(self.further.clone());
        let tbs = tbs(
            &[7],
            &issuer_key.algorithm(),
            &name(&self.issuer),
            self.validity,
            &name(&self.subject),
            subject_key,
            &extensions,
        );
        Certificate::from_der(&sign_certificate(&tbs, issuer_key), &Budget::default()).unwrap()
    }
}

/// What the leaf certificate says.
#[derive(Clone)]
pub struct LeafRecipe {
    pub validity: (UnixTime, UnixTime),
    pub issuer: String,
    pub key_usage: Option<u8>,
    pub purposes: Option<Vec<&'static str>>,
    pub ca: bool,
    /// `GeneralName`s.
    pub names: Vec<Vec<u8>>,
    /// Number and value of claims; 1 to 6 are raw.
    pub claims: Vec<(u8, String)>,
    pub further: Vec<Vec<u8>>,
    pub scts: Vec<SctRecipe>,
    /// Signs with this key instead of the intermediate's.
    pub signed_by_root: bool,
}

impl Default for LeafRecipe {
    fn default() -> Self {
        Self {
            validity: (SIGNED_AT.plus_secs(-60), SIGNED_AT.plus_secs(540)),
            issuer: "intermediate".to_owned(),
            key_usage: Some(0x80),
            purposes: Some(vec![CODE_SIGNING]),
            ca: false,
            names: vec![element(0x86, IDENTITY.as_bytes())],
            claims: vec![
                (1, ISSUER.to_owned()),
                (2, "push".to_owned()),
                (3, "ab".repeat(20)),
                (5, "acme/widget".to_owned()),
                (6, "refs/tags/v1.0.0".to_owned()),
                (8, ISSUER.to_owned()),
                (12, "https://ci.example/acme/widget".to_owned()),
                (13, "ab".repeat(20)),
                (14, "refs/tags/v1.0.0".to_owned()),
                (20, "push".to_owned()),
            ],
            further: Vec::new(),
            scts: vec![SctRecipe::default()],
            signed_by_root: false,
        }
    }
}

#[derive(Clone)]
pub struct SctRecipe {
    pub at: UnixTime,
    pub extensions: Vec<u8>,
    pub flip_signature: bool,
    /// Covers another issuer's key hash.
    pub foreign_issuer: bool,
    pub unknown_log: bool,
}

impl Default for SctRecipe {
    fn default() -> Self {
        Self {
            at: SIGNED_AT.plus_secs(-59),
            extensions: sct::leaf_index_extension(5).to_vec(),
            flip_signature: false,
            foreign_issuer: false,
            unknown_log: false,
        }
    }
}

impl World {
    pub fn leaf(&self, recipe: &LeafRecipe, key: &PublicKey) -> Vec<u8> {
        let mut extensions = vec![];
        extensions.extend(recipe.key_usage.map(key_usage));
        extensions.extend(recipe.purposes.as_ref().map(|list| purposes(list, false)));
        if recipe.ca {
            extensions.push(extension("2.5.29.19", true, &sequence(&[element(0x01, &[0xff])])));
        }
        if !recipe.names.is_empty() {
            extensions.push(extension("2.5.29.17", true, &sequence(&recipe.names)));
        }
        for (number, value) in &recipe.claims {
            let value = if *number < 7 {
                value.clone().into_bytes()
            } else {
                utf8(value)
            };
            extensions.push(extension(&format!("1.3.6.1.4.1.57264.1.{number}"), false, &value));
        }
        extensions.extend(recipe.further.clone());
        let key_pair = if recipe.signed_by_root {
            &self.root
        } else {
            &self.intermediate
        };
        let make = |extensions: &[Vec<u8>]| {
            tbs(
                &[0x11, 0x22],
                &key_pair.algorithm(),
                &name(&recipe.issuer),
                recipe.validity,
                &sequence(&[]),
                key,
                extensions,
            )
        };
        let precertificate = make(&extensions);
        let scts: Vec<_> = recipe.scts.iter().map(|sct| self.sct(sct, &precertificate)).collect();
        if !scts.is_empty() {
            let list = octets(&sct::encode_list(&scts));
            extensions.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &list));
        }
        sign_certificate(&make(&extensions), key_pair)
    }

    fn sct(&self, recipe: &SctRecipe, tbs: &[u8]) -> SignedCertificateTimestamp {
        let issuer = if recipe.foreign_issuer {
            &self.root
        } else {
            &self.intermediate
        };
        let logged = LoggedCertificate::Precertificate {
            issuer_key_hash: issuer.public().id().0,
            tbs: tbs.to_vec(),
        };
        let timestamp_ms = u64::try_from(recipe.at.as_secs()).unwrap() * 1000 + 999;
        let mut signature = self
            .ct
            .sign(&sct::signed_data(timestamp_ms, &logged, &recipe.extensions));
        flip_last(&mut signature, recipe.flip_signature);
        // TLS numbers of hash and signature algorithm.
        let algorithm = match self.ct.public().kind() {
            KeyKind::Rsa { .. } => [4, 1],
            KeyKind::P384 => [5, 3],
            _ => [4, 3],
        };
        SignedCertificateTimestamp {
            log_id: if recipe.unknown_log {
                self.root.public().id()
            } else {
                self.ct.public().id()
            },
            timestamp_ms,
            extensions: recipe.extensions.clone(),
            algorithm,
            signature,
        }
    }
}

pub fn tsa_leaf(tsa: &Key, tsa_root: &Key, purposes_list: &[&'static str], usage: u8) -> Vec<u8> {
    let extensions = [
        key_usage(usage),
        purposes(purposes_list, true),
        extension("2.5.29.14", false, &octets(TSA_KEY_ID)),
    ];
    let validity = (SIGNED_AT.plus_secs(-900_000), SIGNED_AT.plus_secs(900_000));
    let tbs = tbs(
        &[9],
        &tsa_root.algorithm(),
        &name("tsa root"),
        validity,
        &name("tsa"),
        tsa.public(),
        &extensions,
    );
    sign_certificate(&tbs, tsa_root)
}

fn tbs(
    serial: &[u8],
    algorithm: &[u8],
    issuer: &[u8],
    validity: (UnixTime, UnixTime),
    subject: &[u8],
    key: &PublicKey,
    extensions: &[Vec<u8>],
) -> Vec<u8> {
    sequence(&[
        explicit(0, &integer(&[2])),
        integer(serial),
        algorithm.to_vec(),
        issuer.to_vec(),
        sequence(&[utc_time(validity.0), utc_time(validity.1)]),
        subject.to_vec(),
        key.spki_der().to_vec(),
        explicit(3, &sequence(extensions)),
    ])
}

pub fn sign_certificate(tbs: &[u8], key: &Key) -> Vec<u8> {
    sequence(&[tbs.to_vec(), key.algorithm(), bits(&key.sign(tbs))])
}

pub fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut items = vec![oid(kind)];
    if critical {
        items.push(element(0x01, &[0xff]));
    }
    items.push(octets(value));
    sequence(&items)
}

pub fn key_usage(bits: u8) -> Vec<u8> {
    let unused = bits.trailing_zeros() as u8;
    extension("2.5.29.15", true, &element(0x03, &[unused, bits]))
}

pub fn purposes(list: &[&str], critical: bool) -> Vec<u8> {
    let list: Vec<_> = list.iter().map(|purpose| oid(purpose)).collect();
    extension("2.5.29.37", critical, &sequence(&list))
}

pub const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
/// The subject key identifier of the timestamp authority's certificate.
pub const TSA_KEY_ID: &[u8] = b"tsa key";
pub const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
