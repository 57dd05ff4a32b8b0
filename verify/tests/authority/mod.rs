//! A whole Sigstore instance in memory, whose every statement can be made wrong one field at a time and signed again.
//!
//! [`World`] holds the keys and what the trusted root says; [`Recipe`] what a signer and the services do. The defaults
//! are honest: `World::new().bundle(&Recipe::default())` verifies.

#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::missing_panics_doc,
    clippy::format_push_string,
    clippy::must_use_candidate,
    clippy::struct_excessive_bools,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    reason = "test support, shared by several test binaries that each use a part"
)]

pub mod der;

use std::sync::Arc;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use verify::{
    Artifact, Budget, Bundle, Digest, Error, HashAlgorithm, Policy, PublicKey, Sha256Digest, TrustedRoot, UnixTime,
    Verified, Verifier,
    bundle::{BundleVersion, Content, InclusionProof, SignerMaterial, TransparencyLogEntry},
    certificate::Certificate,
    dsse::{Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE},
    entry::{
        DsseV001, DsseV002, Entry, EntryVerifier, HashedRekordV001, HashedRekordV002, IntotoSignature, IntotoV002,
        signed_entry_timestamp_payload,
    },
    key::{KeyDetails, KeyKind},
    merkle, note,
    sct::{self, LoggedCertificate, SignedCertificateTimestamp},
    time::ValidityWindow,
    trusted_root::{CertificateAuthority, TransparencyLog},
};

use self::der::{
    algorithm, bits, element, explicit, generalized_time, integer, name, octets, oid, sequence, set, utc_time, utf8,
};

pub const IDENTITY: &str = "https://ci.example/acme/widget/.ci/publish.yml@refs/tags/v1.0.0";
pub const ISSUER: &str = "https://ci.example";
pub const ARTIFACT: &[u8] = b"the bytes of a crate";
/// The second of signing.
pub const SIGNED_AT: UnixTime = UnixTime::from_secs(1_767_268_800);
pub const NOW: UnixTime = UnixTime::from_secs(1_767_272_400);

/// A key pair of any kind that signs with its usual scheme.
pub struct Key {
    pair: Arc<Pair>,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    pub fn p256() -> Self {
        Self::ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)
    }
    pub fn p384() -> Self {
        Self::ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING)
    }
    pub fn p521() -> Self {
        Self::ecdsa(&signature::ECDSA_P521_SHA512_ASN1_SIGNING)
    }
    fn ecdsa(scheme: &'static signature::EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(scheme).unwrap();
        let der = pair.public_key().as_der().unwrap();
        let public = PublicKey::from_spki_der(der.as_ref()).unwrap();
        Self::new(Pair::Ecdsa(pair), public)
    }
    pub fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public = PublicKey::from_ed25519_bytes(pair.public_key().as_ref().try_into().unwrap()).unwrap();
        Self::new(Pair::Ed25519(pair), public)
    }
    pub fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        let public = PublicKey::from_spki_der(der.as_ref()).unwrap();
        Self::new(Pair::Rsa(pair), public)
    }
    fn new(pair: Pair, public: PublicKey) -> Self {
        Self {
            pair: Arc::new(pair),
            public,
        }
    }
    /// Signing takes no state, so that a shared pair does as well as a copy.
    pub fn copy(&self) -> Self {
        Self {
            pair: Arc::clone(&self.pair),
            public: self.public.clone(),
        }
    }
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &*self.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
        }
    }
    /// The X.509 algorithm of [`Self::sign`].
    pub fn algorithm(&self) -> Vec<u8> {
        match self.public.kind() {
            KeyKind::P384 => algorithm("1.2.840.10045.4.3.3"),
            KeyKind::P521 => algorithm("1.2.840.10045.4.3.4"),
            KeyKind::Ed25519 => algorithm("1.3.101.112"),
            KeyKind::Rsa { .. } => sequence(&[oid("1.2.840.113549.1.1.11"), element(0x05, &[])]),
            _ => algorithm("1.2.840.10045.4.3.2"),
        }
    }
}

/// Keys and authorities, and what the trusted root says of them.
pub struct World {
    pub root: Key,
    pub intermediate: Key,
    pub ct: Key,
    pub log: Key,
    pub log_v1: Key,
    pub tsa_root: Key,
    pub tsa: Key,
    pub tsa_leaf: Vec<u8>,
    pub trusted_root: TrustedRoot,
}

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

pub const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
/// The subject key identifier of the timestamp authority's certificate.
pub const TSA_KEY_ID: &[u8] = b"tsa key";
pub const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

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

impl World {
    pub fn new() -> Self {
        Self::with_keys(Key::p256(), Key::p256(), Key::ed25519(), Key::p256(), Key::p384())
    }

    pub fn with_keys(intermediate: Key, ct: Key, log: Key, log_v1: Key, tsa: Key) -> Self {
        let (root, tsa_root) = (Key::p384(), Key::p384());
        let tsa_leaf = tsa_leaf(&tsa, &tsa_root, &[TIME_STAMPING], 0x80);
        let mut world = Self {
            root,
            intermediate,
            ct,
            log,
            log_v1,
            tsa_root,
            tsa,
            tsa_leaf,
            trusted_root: TrustedRoot::default(),
        };
        world.trusted_root = world.honest_root();
        world
    }

    fn honest_root(&self) -> TrustedRoot {
        let host = "log.example";
        TrustedRoot {
            logs: vec![
                log(
                    "https://log.example/",
                    &self.log,
                    note::log_key_id(host, self.log.public()),
                ),
                log("https://v1.example", &self.log_v1, self.log_v1.public().id().0),
            ],
            certificate_authorities: vec![self.signing_authority(&CaRecipe::intermediate())],
            ct_logs: vec![log("https://ct.example", &self.ct, self.ct.public().id().0)],
            timestamp_authorities: vec![CertificateAuthority {
                organization: "example".to_owned(),
                common_name: "tsa".to_owned(),
                uri: "https://tsa.example/api/v1/timestamp".to_owned(),
                chain: vec![
                    Certificate::from_der(&self.tsa_leaf, &Budget::default()).unwrap(),
                    CaRecipe::root("tsa root").certificate(self.tsa_root.public(), &self.tsa_root),
                ],
                valid_for: long(),
                operator: String::new(),
            }],
            skipped: Vec::new(),
        }
    }

    pub fn signing_authority(&self, intermediate: &CaRecipe) -> CertificateAuthority {
        CertificateAuthority {
            organization: "example".to_owned(),
            common_name: "ca".to_owned(),
            uri: "https://ca.example".to_owned(),
            chain: vec![
                intermediate.certificate(self.intermediate.public(), &self.root),
                CaRecipe::root("root").certificate(self.root.public(), &self.root),
            ],
            valid_for: long(),
            operator: String::new(),
        }
    }

    pub fn verifier(&self) -> Result<Verifier, Error> {
        Verifier::new(self.trusted_root.clone())
    }

    /// Verifies what the recipe makes, as its usual consumer would.
    pub fn verify(&self, recipe: &Recipe) -> Result<Verified, Error> {
        self.verify_bundle(&self.bundle(recipe))
    }

    pub fn verify_bundle(&self, bundle: &Bundle) -> Result<Verified, Error> {
        self.verifier()?
            .verify(bundle, &Artifact::Bytes(ARTIFACT), &policy(), NOW)
    }
}

pub fn policy() -> Policy {
    Policy::identity(IDENTITY, ISSUER).unwrap()
}

fn log(url: &str, key: &Key, log_id: [u8; 32]) -> TransparencyLog {
    TransparencyLog {
        base_url: url.to_owned(),
        key: key.public().clone(),
        key_details: key.public().default_details().unwrap(),
        valid_for: long(),
        log_id,
        checkpoint_key_id: None,
        operator: String::new(),
    }
}

pub fn long() -> ValidityWindow {
    ValidityWindow {
        start: SIGNED_AT.plus_secs(-500_000),
        end: None,
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

/// Which log writes which kind of entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    HashedRekordV002,
    DsseV002,
    HashedRekordV001,
    DsseV001,
    IntotoV002,
}

/// What a signer and the services do. A hook that is `None` does the honest thing.
pub struct Recipe {
    pub signer: Key,
    pub leaf: LeafRecipe,
    /// The in-toto statement; none for a signature over the artifact.
    pub statement: Option<String>,
    pub payload_type: String,
    pub version: BundleVersion,
    pub entry: Option<EntryKind>,
    pub edit_body: fn(Entry) -> Entry,
    pub checkpoint: CheckpointRecipe,
    pub promise_at: UnixTime,
    pub token: Option<TokenRecipe>,
    /// A managed key instead of a certificate: its hint.
    pub key_hint: Option<String>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            signer: Key::p256(),
            leaf: LeafRecipe::default(),
            statement: None,
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            version: BundleVersion::V0_3,
            entry: Some(EntryKind::HashedRekordV002),
            edit_body: |entry| entry,
            checkpoint: CheckpointRecipe::default(),
            promise_at: SIGNED_AT,
            token: Some(TokenRecipe::default()),
            key_hint: None,
        }
    }
}

impl Recipe {
    /// A bundle of a v1 log: no timestamp, the log's promise tells the time.
    pub fn v1(kind: EntryKind) -> Self {
        let recipe = Self {
            entry: Some(kind),
            token: None,
            ..Self::default()
        };
        if kind == EntryKind::HashedRekordV001 {
            recipe
        } else {
            recipe.with_statement()
        }
    }
    pub fn with_statement(mut self) -> Self {
        self.statement = Some(statement(&[(
            "widget-1.0.0.crate",
            "sha256",
            &Sha256Digest::of(ARTIFACT).to_string(),
        )]));
        self
    }
}

pub fn statement(subjects: &[(&str, &str, &str)]) -> String {
    let subjects: Vec<_> = subjects
        .iter()
        .map(|(name, algorithm, digest)| serde_json::json!({"name": name, "digest": {*algorithm: digest}}))
        .collect();
    serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"runDetails": {"builder": {"id": "https://ci.example/builder"}}},
    })
    .to_string()
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

#[derive(Default)]
pub struct CheckpointRecipe {
    pub origin: Option<String>,
    pub name: Option<String>,
    pub size: Option<u64>,
    pub flip_root: bool,
    pub flip_signature: bool,
    pub hint: Option<[u8; 4]>,
    /// Name and Ed25519 key of each witness that cosigns.
    pub witnesses: Vec<(String, Key)>,
}

/// What the timestamp authority answers.
#[derive(Clone)]
pub struct TokenRecipe {
    pub status: u8,
    pub at: UnixTime,
    pub imprint_of: Option<Vec<u8>>,
    pub content_type: &'static str,
    pub attribute_content_type: &'static str,
    pub version: u8,
    pub flip_message_digest: bool,
    pub certificate_hash: CertificateHashRecipe,
    pub flip_signature: bool,
    pub serial: Vec<u8>,
    /// Names the signer by this key identifier instead of issuer and serial.
    pub key_id: Option<&'static [u8]>,
    /// An RSA authority names its key's algorithm only, as older ones do.
    pub rsa_encryption: bool,
    pub with_certificate: bool,
    /// Appended to the signed attributes.
    pub further_attributes: Vec<Vec<u8>>,
    /// Writes the NULL parameters of SHA-256, which others leave out.
    pub null_parameters: bool,
    /// A certificate that comes along before the signer's.
    pub brings_first: Vec<u8>,
    /// The certificate that comes along differs in its last bit.
    pub brings_another: bool,
    pub signers: usize,
    /// Appended to `TSTInfo`.
    pub further: Vec<Vec<u8>>,
    pub omit_message_digest: bool,
    /// Appended after the response.
    pub trailing: Vec<u8>,
    pub imprint_algorithm: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CertificateHashRecipe {
    V2,
    V2Sha512,
    /// With issuer and serial number of the certificate.
    V2WithIssuer,
    V1,
    WrongV2,
    WrongV1,
    Absent,
}

impl Default for TokenRecipe {
    fn default() -> Self {
        Self {
            status: 0,
            at: SIGNED_AT,
            imprint_of: None,
            content_type: "1.2.840.113549.1.9.16.1.4",
            attribute_content_type: "1.2.840.113549.1.9.16.1.4",
            version: 1,
            flip_message_digest: false,
            certificate_hash: CertificateHashRecipe::V2,
            flip_signature: false,
            serial: vec![9],
            key_id: None,
            rsa_encryption: false,
            with_certificate: false,
            further_attributes: Vec::new(),
            null_parameters: false,
            brings_first: Vec::new(),
            brings_another: false,
            signers: 1,
            further: Vec::new(),
            omit_message_digest: false,
            trailing: Vec::new(),
            imprint_algorithm: "2.16.840.1.101.3.4.2.1",
        }
    }
}

impl World {
    pub fn bundle(&self, recipe: &Recipe) -> Bundle {
        let certificate = self.leaf(&recipe.leaf, recipe.signer.public());
        let content = match &recipe.statement {
            None => Content::Message {
                digest: Some(Sha256Digest::of(ARTIFACT).into()),
                signature: recipe.signer.sign(ARTIFACT),
            },
            Some(statement) => {
                let mut envelope = Envelope {
                    payload_type: recipe.payload_type.clone(),
                    payload: statement.clone().into_bytes(),
                    signatures: vec![],
                };
                envelope.signatures.push(EnvelopeSignature {
                    signature: recipe.signer.sign(&envelope.pae()),
                    key_id: String::new(),
                });
                Content::Dsse(envelope)
            }
        };
        let mut bundle = Bundle {
            version: recipe.version,
            signer: match (&recipe.key_hint, recipe.version) {
                (Some(hint), _) => SignerMaterial::PublicKeyHint(hint.clone()),
                (None, BundleVersion::V0_3) => SignerMaterial::Certificate(certificate),
                (None, _) => SignerMaterial::CertificateChain(vec![certificate]),
            },
            log_entries: vec![],
            timestamps: vec![],
            content,
        };
        bundle
            .log_entries
            .extend(recipe.entry.map(|kind| self.entry(recipe, kind, &bundle)));
        bundle
            .timestamps
            .extend(recipe.token.as_ref().map(|token| self.token(token, bundle.signature())));
        bundle
    }

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

    fn entry(&self, recipe: &Recipe, kind: EntryKind, bundle: &Bundle) -> TransparencyLogEntry {
        let body = (recipe.edit_body)(honest_entry(recipe, kind, bundle));
        let is_v2 = matches!(kind, EntryKind::HashedRekordV002 | EntryKind::DsseV002);
        let canonicalized_body = body.to_body();
        // Three leaves; ours is the second.
        let leaf = merkle::leaf_hash(&canonicalized_body);
        let (before, after) = (merkle::leaf_hash(b"before"), merkle::leaf_hash(b"after"));
        let root = merkle::node_hash(&merkle::node_hash(&before, &leaf), &after);
        let log_index = if is_v2 { 1 } else { 4001 };
        let (key, log_id, host) = if is_v2 {
            (
                &self.log,
                note::log_key_id("log.example", self.log.public()),
                "log.example",
            )
        } else {
            (&self.log_v1, self.log_v1.public().id().0, "v1.example")
        };
        let promise = (!is_v2).then(|| {
            let at = recipe.promise_at.as_secs();
            key.sign(&signed_entry_timestamp_payload(
                &canonicalized_body,
                at,
                &log_id,
                log_index,
            ))
        });
        TransparencyLogEntry {
            log_index,
            log_id: log_id.to_vec(),
            kind: body.kind().to_owned(),
            kind_version: body.kind_version().to_owned(),
            integrated_time: (!is_v2).then_some(recipe.promise_at),
            inclusion_promise: promise,
            inclusion_proof: Some(InclusionProof {
                log_index: 1,
                root_hash: root,
                tree_size: 3,
                hashes: vec![before, after],
                checkpoint: checkpoint(&recipe.checkpoint, key, &log_id, host, is_v2, &root),
            }),
            canonicalized_body,
        }
    }

    pub fn token(&self, recipe: &TokenRecipe, message: &[u8]) -> Vec<u8> {
        token(recipe, message, &self.tsa, &self.tsa_leaf, "tsa root")
    }
}

fn checkpoint(
    recipe: &CheckpointRecipe,
    key: &Key,
    log_id: &[u8; 32],
    host: &str,
    is_v2: bool,
    root: &[u8; 32],
) -> String {
    let mut root = *root;
    if recipe.flip_root {
        root[0] ^= 1;
    }
    let usual = if is_v2 {
        host.to_owned()
    } else {
        format!("{host} - 1193050959916656506")
    };
    let origin = recipe.origin.clone().unwrap_or(usual);
    let text = format!("{origin}\n{}\n{}\n", recipe.size.unwrap_or(3), STANDARD.encode(root));
    let mut signature = key.sign(text.as_bytes());
    flip_last(&mut signature, recipe.flip_signature);
    let hint = recipe.hint.unwrap_or([log_id[0], log_id[1], log_id[2], log_id[3]]);
    let name = recipe.name.clone().unwrap_or(host.to_owned());
    let line = STANDARD.encode([hint.as_slice(), &signature].concat());
    let mut note = format!("{text}\n\u{2014} {name} {line}\n");
    for (witness, key) in &recipe.witnesses {
        let id = note::cosignature_key_id(witness, key.public().ed25519_bytes().unwrap());
        let time = u64::try_from(SIGNED_AT.as_secs()).unwrap();
        let signature = key.sign(verify::checkpoint::cosigned_message(time, &text).as_bytes());
        let blob = [&id[..4], &time.to_be_bytes(), &signature].concat();
        note += &format!("\u{2014} {witness} {}\n", STANDARD.encode(blob));
    }
    note
}

fn honest_entry(recipe: &Recipe, kind: EntryKind, bundle: &Bundle) -> Entry {
    let signature = bundle.signature().to_vec();
    let details = recipe
        .signer
        .public()
        .default_details()
        .unwrap_or(KeyDetails::EcdsaP256Sha256);
    let hash = details.hash();
    let (digest, payload) = match &bundle.content {
        Content::Message { .. } => (hash.digest(ARTIFACT), Vec::new()),
        Content::Dsse(envelope) => (hash.digest(&envelope.pae()), envelope.payload.clone()),
    };
    let verifier = match bundle.certificate() {
        Some(der) => EntryVerifier::Certificate(der.to_vec()),
        None => EntryVerifier::PublicKey(recipe.signer.public().spki_der().to_vec()),
    };
    let verifier_pem = match bundle.certificate() {
        Some(der) => ::der::pem::encode_string("CERTIFICATE", ::der::pem::LineEnding::LF, der).unwrap(),
        None => recipe.signer.public().to_pem(),
    };
    let sha256 = |bytes: &[u8]| -> Digest { HashAlgorithm::Sha256.digest(bytes) };
    match kind {
        EntryKind::HashedRekordV002 => Entry::HashedRekordV002(HashedRekordV002 {
            digest,
            signature,
            key_details: details,
            verifier,
        }),
        EntryKind::DsseV002 => Entry::DsseV002(DsseV002 {
            payload_hash: sha256(&payload),
            signatures: vec![(signature, details, verifier)],
        }),
        EntryKind::HashedRekordV001 => Entry::HashedRekordV001(HashedRekordV001 {
            digest,
            signature,
            verifier_pem,
        }),
        EntryKind::DsseV001 => Entry::DsseV001(DsseV001 {
            envelope_hash: sha256(b"envelope"),
            payload_hash: sha256(&payload),
            signatures: vec![(STANDARD.encode(signature), verifier_pem)],
        }),
        EntryKind::IntotoV002 => Entry::IntotoV002(IntotoV002 {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            envelope_hash: sha256(b"envelope"),
            payload_hash: sha256(&payload),
            signatures: vec![IntotoSignature {
                signature,
                verifier_pem,
                key_id: String::new(),
            }],
        }),
    }
}

/// A `TimeStampResp` [RFC 3161 §2.4.2].
pub fn token(recipe: &TokenRecipe, message: &[u8], tsa: &Key, leaf: &[u8], issuer: &str) -> Vec<u8> {
    let message = recipe.imprint_of.as_deref().unwrap_or(message);
    let sha256 = if recipe.null_parameters {
        sequence(&[oid("2.16.840.1.101.3.4.2.1"), element(0x05, &[])])
    } else {
        algorithm("2.16.840.1.101.3.4.2.1")
    };
    let mut info = vec![
        integer(&[recipe.version]),
        oid("1.3.6.1.4.1.57264.2"),
        sequence(&[
            algorithm(recipe.imprint_algorithm),
            octets(&Sha256Digest::of(message).0),
        ]),
        integer(&[42]),
        generalized_time(recipe.at),
    ];
    info.extend(recipe.further.clone());
    let info = sequence(&info);
    let mut digest = Sha256Digest::of(&info).0.to_vec();
    flip_last(&mut digest, recipe.flip_message_digest);
    let mut attributes = vec![attribute("1.2.840.113549.1.9.3", &oid(recipe.attribute_content_type))];
    if !recipe.omit_message_digest {
        attributes.push(attribute("1.2.840.113549.1.9.4", &octets(&digest)));
    }
    attributes.extend(signing_certificate(recipe.certificate_hash, leaf));
    attributes.extend(recipe.further_attributes.clone());
    let attributes = attributes.concat();
    let mut signature = tsa.sign(&element(0x31, &attributes));
    flip_last(&mut signature, recipe.flip_signature);
    let (version, id) = match recipe.key_id {
        None => (1, sequence(&[name(issuer), integer(&recipe.serial)])),
        Some(id) => (3, element(0x80, id)),
    };
    let signer = sequence(&[
        integer(&[version]),
        id,
        sha256.clone(),
        element(0xa0, &attributes),
        if recipe.rsa_encryption {
            sequence(&[oid("1.2.840.113549.1.1.1"), element(0x05, &[])])
        } else {
            tsa.algorithm()
        },
        octets(&signature),
    ]);
    let mut data = vec![
        integer(&[3]),
        set(&[sha256]),
        sequence(&[oid(recipe.content_type), explicit(0, &octets(&info))]),
    ];
    if recipe.with_certificate {
        let mut brought = leaf.to_vec();
        flip_last(&mut brought, recipe.brings_another);
        data.push(explicit(0, &[recipe.brings_first.clone(), brought].concat()));
    }
    data.push(set(&vec![signer; recipe.signers]));
    let token = sequence(&[oid("1.2.840.113549.1.7.2"), explicit(0, &sequence(&data))]);
    let mut response = sequence(&[sequence(&[integer(&[recipe.status])]), token]);
    response.extend(&recipe.trailing);
    response
}

fn signing_certificate(recipe: CertificateHashRecipe, leaf: &[u8]) -> Option<Vec<u8>> {
    let sha1 = |bytes: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let (kind, id) = match recipe {
        CertificateHashRecipe::Absent => return None,
        CertificateHashRecipe::V2 => ("47", vec![octets(&Sha256Digest::of(leaf).0)]),
        CertificateHashRecipe::WrongV2 => ("47", vec![octets(&Sha256Digest::of(b"another").0)]),
        CertificateHashRecipe::V2WithIssuer => {
            let general_names = sequence(&[element(0xa4, &name("tsa root"))]);
            let issuer_serial = sequence(&[general_names, integer(&[9])]);
            ("47", vec![octets(&Sha256Digest::of(leaf).0), issuer_serial])
        }
        CertificateHashRecipe::V2Sha512 => (
            "47",
            vec![
                algorithm("2.16.840.1.101.3.4.2.3"),
                octets(HashAlgorithm::Sha512.digest(leaf).as_bytes()),
            ],
        ),
        CertificateHashRecipe::V1 => ("12", vec![octets(sha1(leaf).as_ref())]),
        CertificateHashRecipe::WrongV1 => ("12", vec![octets(sha1(b"another").as_ref())]),
    };
    let value = sequence(&[sequence(&[sequence(&id)])]);
    Some(attribute(&format!("1.2.840.113549.1.9.16.2.{kind}"), &value))
}

pub fn attribute(kind: &str, value: &[u8]) -> Vec<u8> {
    sequence(&[oid(kind), set(&[value.to_vec()])])
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

fn flip_last(bytes: &mut [u8], flip: bool) {
    if let Some(last) = bytes.last_mut().filter(|_| flip) {
        *last ^= 1;
    }
}
