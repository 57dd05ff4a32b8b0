//! Sigstore bundles [sigstore protobuf-specs, bundle v0.1 to v0.3], as ProtoJSON.
//!
//! Reading refuses every contradiction that can be seen without trust: unknown or repeated members, both kinds of content
//! or of verification material, a doubled certificate, log entry or timestamp, material that the version does not have.

use crate::{
    Budget, Digest, Error, HashAlgorithm, UnixTime, certificate::Certificate, dsse::Envelope, json, key::KeyKind,
    merkle::NodeHash, statement::Statement,
};

mod wire;

/// The media type's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleVersion {
    /// `application/vnd.dev.sigstore.bundle+json;version=0.1`
    V0_1,
    /// `application/vnd.dev.sigstore.bundle+json;version=0.2`
    V0_2,
    /// `application/vnd.dev.sigstore.bundle.v0.3+json`
    V0_3,
}

/// A bundle, parsed and bounded; nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Version of the media type.
    pub version: BundleVersion,
    /// Who signed: certificate or key hint.
    pub signer: SignerMaterial,
    /// Log entries.
    pub log_entries: Vec<TransparencyLogEntry>,
    /// RFC 3161 responses, DER.
    pub timestamps: Vec<Vec<u8>>,
    /// What was signed.
    pub content: Content,
}

/// The signer's verification material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerMaterial {
    /// One DER certificate (v0.3).
    Certificate(Vec<u8>),
    /// DER certificates, leaf first (v0.1, v0.2).
    CertificateChain(Vec<Vec<u8>>),
    /// A hint at a key known to the verifier.
    PublicKeyHint(String),
}

/// The signed content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A signature over an artifact.
    Message {
        /// Digest of the artifact as the bundle states it; none when absent.
        digest: Option<Digest>,
        /// The signature bytes.
        signature: Vec<u8>,
    },
    /// A signed envelope.
    Dsse(Envelope),
}

/// A log entry with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransparencyLogEntry {
    /// Index in the log (v1: over all shards).
    pub log_index: u64,
    /// Id of the log key, up to 32 bytes as sent.
    pub log_id: Vec<u8>,
    /// Entry kind, `hashedrekord`.
    pub kind: String,
    /// Entry version, `0.0.2`.
    pub kind_version: String,
    /// Time of integration the log states (v1 only).
    pub integrated_time: Option<UnixTime>,
    /// Signed entry timestamp (v1 only).
    pub inclusion_promise: Option<Vec<u8>>,
    /// Merkle proof against a checkpoint.
    pub inclusion_proof: Option<InclusionProof>,
    /// The logged bytes.
    pub canonicalized_body: Vec<u8>,
}

/// A Merkle inclusion proof and the checkpoint it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Index of the leaf in the tree.
    pub log_index: u64,
    /// Root of the tree.
    pub root_hash: NodeHash,
    /// Leaves in the tree.
    pub tree_size: u64,
    /// Audit path, leaf to root.
    pub hashes: Vec<NodeHash>,
    /// The signed checkpoint, a note; empty when absent.
    pub checkpoint: String,
}

impl BundleVersion {
    /// The media type written for this version.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::V0_1 => "application/vnd.dev.sigstore.bundle+json;version=0.1",
            Self::V0_2 => "application/vnd.dev.sigstore.bundle+json;version=0.2",
            Self::V0_3 => "application/vnd.dev.sigstore.bundle.v0.3+json",
        }
    }

    /// The version of a media type; v0.3 has two spellings.
    #[must_use]
    pub fn from_media_type(text: &str) -> Option<Self> {
        match text {
            "application/vnd.dev.sigstore.bundle+json;version=0.3" => Some(Self::V0_3),
            _ => [Self::V0_1, Self::V0_2, Self::V0_3]
                .into_iter()
                .find(|version| version.media_type() == text),
        }
    }
}

impl Bundle {
    /// Reads a bundle; unknown members, both content kinds, a wrong count for the version are refused.
    ///
    /// # Errors
    /// [`Error::MediaType`], [`Error::Json`], [`Error::Field`], [`Error::TooLarge`], [`Error::TooMany`],
    /// [`Error::Repeated`] and [`Error::BundleVersion`].
    pub fn from_json(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        let wire: wire::Bundle = json::parse_as(bytes, wire::WHAT, budget.bundle_bytes, budget.json_depth)?;
        let bundle = wire.into_bundle(budget)?;
        bundle.check(budget)?;
        Ok(bundle)
    }

    /// Writes the bundle as ProtoJSON on one line, every integer a string, with all fields of a log entry present.
    #[must_use]
    pub fn to_json(&self) -> String {
        wire::bundle_to_value(self).to_string()
    }

    /// The raw signature bytes: what a timestamp covers. The first signature of an envelope.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        match &self.content {
            Content::Message { signature, .. } => signature,
            Content::Dsse(envelope) => envelope
                .signatures
                .first()
                .map(|first| first.signature.as_slice())
                .unwrap_or_default(),
        }
    }

    /// Digests of the artifact that a verifier will ask for, SHA-256 first: what to give an [`crate::artifact::ArtifactHasher`].
    ///
    /// A bundle signed with pure Ed25519 needs the bytes themselves.
    #[must_use]
    pub fn artifact_algorithms(&self, budget: &Budget) -> Vec<HashAlgorithm> {
        let mut algorithms = vec![HashAlgorithm::Sha256];
        let key = self
            .certificate()
            .and_then(|der| Certificate::from_der(der, budget).ok());
        let further = [HashAlgorithm::Sha384, HashAlgorithm::Sha512];
        match &self.content {
            Content::Message { digest, .. } => {
                let stated = digest.as_ref().map(Digest::algorithm);
                let usual = key.and_then(|certificate| match certificate.public_key().kind() {
                    KeyKind::P384 => Some(HashAlgorithm::Sha384),
                    KeyKind::P521 | KeyKind::Ed25519 => Some(HashAlgorithm::Sha512),
                    KeyKind::P256 | KeyKind::Rsa { .. } => None,
                });
                let wanted = |algorithm: &HashAlgorithm| Some(*algorithm) == stated || Some(*algorithm) == usual;
                algorithms.extend(further.into_iter().filter(wanted));
            }
            Content::Dsse(envelope) => {
                let subjects = Statement::from_json(&envelope.payload, budget).map(|statement| statement.subjects);
                let named = |algorithm: &HashAlgorithm| {
                    subjects
                        .iter()
                        .flatten()
                        .any(|subject| subject.digest.contains_key(algorithm.lowercase_name()))
                };
                algorithms.extend(further.into_iter().filter(named));
            }
        }
        algorithms
    }

    /// Every certificate, leaf first; empty when a key hint stands in their place.
    fn certificates(&self) -> &[Vec<u8>] {
        match &self.signer {
            SignerMaterial::Certificate(der) => std::slice::from_ref(der),
            SignerMaterial::CertificateChain(chain) => chain,
            SignerMaterial::PublicKeyHint(_) => &[],
        }
    }

    /// The leaf certificate, DER; none when a key hint stands in its place.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificates().first().map(Vec::as_slice)
    }

    /// What [`Self::from_json`] checks beyond its fields' shapes: a verifier repeats it, as the fields are public.
    pub(crate) fn check(&self, budget: &Budget) -> Result<(), Error> {
        for (count, limit, what) in [
            (self.log_entries.len(), budget.log_entries, "log entries"),
            (self.timestamps.len(), budget.timestamps, "timestamps"),
            (self.certificates().len(), budget.chain_certificates, "certificates"),
        ] {
            if count > limit {
                return Err(Error::TooMany { what, limit });
            }
        }
        for entry in &self.log_entries {
            if entry.canonicalized_body.len() > budget.entry_bytes {
                return Err(Error::TooLarge {
                    what: "log entry",
                    limit: budget.entry_bytes,
                });
            }
        }
        self.check_repetition()?;
        self.check_version()?;
        self.check_envelope()
    }

    /// One envelope could hold signatures of several people, of which only the first is stamped and logged
    /// [protobuf-specs, `Bundle.dsse_envelope`].
    fn check_envelope(&self) -> Result<(), Error> {
        match &self.content {
            Content::Dsse(envelope) if envelope.signatures.len() != 1 => Err(Error::OneOf {
                what: "envelope signature",
            }),
            Content::Dsse(_) | Content::Message { .. } => Ok(()),
        }
    }

    fn check_repetition(&self) -> Result<(), Error> {
        if let SignerMaterial::CertificateChain(chain) = &self.signer {
            check_distinct(chain, "certificate")?;
        }
        check_distinct(&self.timestamps, "timestamp")?;
        // Two entries that name the same leaf of the same log are one entry said twice.
        let leaves: Vec<_> = self
            .log_entries
            .iter()
            .map(|entry| (&entry.log_id, entry.log_index))
            .collect();
        check_distinct(&leaves, "log entry")?;
        let bodies: Vec<_> = self
            .log_entries
            .iter()
            .map(|entry| (&entry.log_id, &entry.canonicalized_body))
            .collect();
        check_distinct(&bodies, "log entry")
    }

    /// What each version promises of its material [protobuf-specs, `sigstore_bundle.proto`].
    fn check_version(&self) -> Result<(), Error> {
        if self.version == BundleVersion::V0_3 && matches!(self.signer, SignerMaterial::CertificateChain(_)) {
            return Err(Error::BundleVersion {
                rule: "a v0.3 bundle has a single certificate, not a chain",
            });
        }
        if self.version < BundleVersion::V0_3 && matches!(self.signer, SignerMaterial::Certificate(_)) {
            return Err(Error::BundleVersion {
                rule: "a bundle before v0.3 has a chain, if only of one certificate",
            });
        }
        for entry in &self.log_entries {
            if self.version == BundleVersion::V0_1 && entry.inclusion_promise.is_none() {
                return Err(Error::BundleVersion {
                    rule: "an entry of a v0.1 bundle has an inclusion promise",
                });
            }
            if self.version > BundleVersion::V0_1 && entry.inclusion_proof.is_none() {
                return Err(Error::BundleVersion {
                    rule: "an entry since v0.2 has an inclusion proof",
                });
            }
        }
        Ok(())
    }
}

impl TransparencyLogEntry {
    /// The ProtoJSON object with every field present: what a Rekor v2 write answers.
    #[must_use]
    pub fn to_json_value(&self) -> serde_json::Value {
        wire::entry_to_value(self)
    }

    /// Reads one from ProtoJSON (a Rekor v2 write answer).
    ///
    /// # Errors
    /// [`Error::Json`] and the member's own.
    pub fn from_json(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        let wire: wire::LogEntry = json::parse_as(bytes, wire::ENTRY, budget.bundle_bytes, budget.json_depth)?;
        wire.into_entry(budget)
    }
}

/// Counts are capped at 32, so comparing each with each costs nothing.
fn check_distinct<T: PartialEq>(items: &[T], what: &'static str) -> Result<(), Error> {
    for (position, item) in items.iter().enumerate() {
        if items.iter().take(position).any(|earlier| earlier == item) {
            return Err(Error::Repeated { what });
        }
    }
    Ok(())
}
