//! Signed certificate timestamps and CT leaves [RFC 6962 §3, C2SP static-ct-api].

use crate::{Error, key::KeyId};

/// What a CT log logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedCertificate {
    /// A final certificate, DER.
    Certificate(Vec<u8>),
    /// A precertificate.
    Precertificate {
        /// SHA-256 of the issuer's DER `SubjectPublicKeyInfo`.
        issuer_key_hash: [u8; 32],
        /// DER `TBSCertificate` without poison and SCT list.
        tbs: Vec<u8>,
    },
}

/// A signed certificate timestamp, v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCertificateTimestamp {
    /// SHA-256 of the log key.
    pub log_id: KeyId,
    /// Milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// `CtExtensions`, at most 65 535 bytes.
    pub extensions: Vec<u8>,
    /// TLS hash and signature algorithm, `04 03` for ECDSA with SHA-256.
    pub algorithm: [u8; 2],
    /// The signature; DER for ECDSA.
    pub signature: Vec<u8>,
}

impl SignedCertificateTimestamp {
    /// Parses a TLS-encoded SCT.
    ///
    /// # Errors
    /// [`Error::Sct`] on another version, a short field or trailing bytes.
    pub fn from_bytes(_bytes: &[u8]) -> Result<Self, Error> {
        todo!()
    }
    /// TLS encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
}

/// Parses a TLS `SignedCertificateTimestampList` (inside both OCTET STRINGs).
///
/// # Errors
/// [`Error::Sct`] when malformed, [`Error::TooMany`] beyond `limit`.
pub fn parse_list(_bytes: &[u8], _limit: usize) -> Result<Vec<SignedCertificateTimestamp>, Error> {
    todo!()
}
/// TLS `SignedCertificateTimestampList`.
#[must_use]
pub fn encode_list(_scts: &[SignedCertificateTimestamp]) -> Vec<u8> {
    todo!()
}
/// `TimestampedEntry`: what SCT signature and Merkle leaf share [RFC 6962 §3.4].
#[must_use]
pub fn timestamped_entry(_timestamp_ms: u64, _logged: &LoggedCertificate, _extensions: &[u8]) -> Vec<u8> {
    todo!()
}
/// What the SCT signature covers [RFC 6962 §3.2].
#[must_use]
pub fn signed_data(_timestamp_ms: u64, _logged: &LoggedCertificate, _extensions: &[u8]) -> Vec<u8> {
    todo!()
}
/// `MerkleTreeLeaf`: `00 00` ‖ [`timestamped_entry`] [RFC 6962 §3.4].
#[must_use]
pub fn merkle_tree_leaf(_timestamp_ms: u64, _logged: &LoggedCertificate, _extensions: &[u8]) -> Vec<u8> {
    todo!()
}
/// The `leaf_index` extension of static CT: `00 0005` and 40 bits [static-ct-api §SCT Extension].
#[must_use]
pub fn leaf_index_extension(_index: u64) -> [u8; 8] {
    todo!()
}
/// A leaf of a static CT data tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileLeaf {
    /// Milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// What was logged.
    pub logged: LoggedCertificate,
    /// `CtExtensions`.
    pub extensions: Vec<u8>,
    /// The precertificate as submitted, DER; empty for a final certificate.
    pub precertificate: Vec<u8>,
    /// SHA-256 fingerprints of the issuing chain.
    pub chain_fingerprints: Vec<[u8; 32]>,
}
impl TileLeaf {
    /// Encoding in a data tile.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
    /// Reads one leaf and how many bytes it took.
    ///
    /// # Errors
    /// [`Error::Sct`] when malformed.
    pub fn from_bytes(_bytes: &[u8]) -> Result<(Self, usize), Error> {
        todo!()
    }
}
/// The RFC 6962 `TreeHeadSignature` input: version 0, type 1, time, size, root [RFC 6962 §3.5].
#[must_use]
pub fn tree_head_signed_data(_timestamp_ms: u64, _size: u64, _root: &[u8; 32]) -> Vec<u8> {
    todo!()
}
