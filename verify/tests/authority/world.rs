//! The instance: its keys, what the trusted root says of them, and the bundles that it has a share in.

use verify::{
    Artifact, Budget, Bundle, Error, Sha256Digest, TrustedRoot, Verified, Verifier,
    bundle::{BundleVersion, Content, SignerMaterial},
    certificate::Certificate,
    dsse::{Envelope, EnvelopeSignature},
    note,
    time::ValidityWindow,
    trusted_root::{CertificateAuthority, TransparencyLog},
};

use super::{ARTIFACT, CaRecipe, Key, NOW, Recipe, SIGNED_AT, TIME_STAMPING, policy, tsa_leaf};

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
