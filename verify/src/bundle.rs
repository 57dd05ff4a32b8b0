//! Sigstore bundles [sigstore protobuf-specs, bundle v0.1 to v0.3], as ProtoJSON.

use crate::{Budget, Digest, Error, UnixTime, dsse::Envelope, merkle::NodeHash};

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

impl Bundle {
    /// Reads a bundle; unknown members, both content kinds, a wrong count for the version are refused.
    ///
    /// # Errors
    /// [`Error::MediaType`], [`Error::Json`], [`Error::TooLarge`], [`Error::TooMany`] and the member's own.
    pub fn from_json(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Writes the bundle as ProtoJSON on one line, every integer a string, with all fields of a log entry present.
    #[must_use]
    pub fn to_json(&self) -> String {
        todo!()
    }
    /// The raw signature bytes: what a timestamp covers. The first signature of an envelope.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        todo!()
    }
}

impl TransparencyLogEntry {
    /// The ProtoJSON object with every field present: what a Rekor v2 write answers.
    #[must_use]
    pub fn to_json_value(&self) -> serde_json::Value {
        todo!()
    }
    /// Reads one from ProtoJSON (a Rekor v2 write answer).
    ///
    /// # Errors
    /// [`Error::Json`] and the member's own.
    pub fn from_json(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
}
