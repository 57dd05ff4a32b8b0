//! Canonical bodies of log entries: Rekor v2 `hashedrekord` and `dsse` 0.0.2; Rekor v1 `hashedrekord` and `dsse` 0.0.1, `intoto` 0.0.2.

use crate::{Budget, Digest, Error, key::KeyDetails};

/// A log entry's body, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// Rekor v2, the current kind.
    HashedRekordV002(HashedRekordV002),
    /// Rekor v1.
    HashedRekordV001(HashedRekordV001),
    /// Rekor v1 DSSE.
    DsseV001(DsseV001),
    /// Rekor v1 in-toto.
    IntotoV002(IntotoV002),
    /// Rekor v2 DSSE, retired; read only.
    DsseV002(DsseV002),
}

/// The key or certificate an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryVerifier {
    /// DER `SubjectPublicKeyInfo`.
    PublicKey(Vec<u8>),
    /// DER certificate.
    Certificate(Vec<u8>),
}

/// `hashedrekord` 0.0.2: a digest (of an artifact, or of a DSSE PAE) and a signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRekordV002 {
    /// The signed digest.
    pub digest: Digest,
    /// The signature bytes.
    pub signature: Vec<u8>,
    /// As the client stated.
    pub key_details: KeyDetails,
    /// Who signed.
    pub verifier: EntryVerifier,
}

/// `hashedrekord` 0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRekordV001 {
    /// The signed digest.
    pub digest: Digest,
    /// The signature bytes.
    pub signature: Vec<u8>,
    /// PEM key or certificate, re-encoded: LF, 64 columns.
    pub verifier_pem: String,
}

/// `dsse` 0.0.1: digests of an envelope and its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsseV001 {
    /// SHA-256 of the envelope JSON as it was received.
    pub envelope_hash: Digest,
    /// SHA-256 of the payload.
    pub payload_hash: Digest,
    /// Base64 signature and PEM verifier, in ascending order of the base64 text.
    pub signatures: Vec<(String, String)>,
}

/// `intoto` 0.0.2: an envelope without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntotoV002 {
    /// Payload type of the envelope.
    pub payload_type: String,
    /// SHA-256 of the envelope as Rekor v1 canonicalizes it.
    pub envelope_hash: Digest,
    /// SHA-256 of the payload.
    pub payload_hash: Digest,
    /// Doubly base64-encoded signature, base64 PEM verifier, key id.
    pub signatures: Vec<IntotoSignature>,
}

/// A signature inside `intoto` 0.0.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntotoSignature {
    /// The signature bytes, after both base64 layers.
    pub signature: Vec<u8>,
    /// PEM key or certificate.
    pub verifier_pem: String,
    /// Key id, empty when absent.
    pub key_id: String,
}

/// `dsse` 0.0.2: payload digest and signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsseV002 {
    /// SHA-256 of the payload.
    pub payload_hash: Digest,
    /// Signature, stated key details, verifier.
    pub signatures: Vec<(Vec<u8>, KeyDetails, EntryVerifier)>,
}

impl Entry {
    /// Reads a canonicalized body, strictly.
    ///
    /// # Errors
    /// [`Error::Entry`] when kind, version or shape is unknown or the bytes are not their own canonical form.
    pub fn parse(_body: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// The canonical body [RFC 8785]: the bytes of the leaf.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        todo!()
    }
    /// `hashedrekord`, `dsse` or `intoto`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        todo!()
    }
    /// `0.0.1` or `0.0.2`.
    #[must_use]
    pub const fn kind_version(&self) -> &'static str {
        todo!()
    }
}

impl HashedRekordV002 {
    /// The JSON of `POST /api/v2/log/entries`: `{"hashedRekordRequestV002": …}`.
    #[must_use]
    pub fn to_request(&self) -> serde_json::Value {
        todo!()
    }
}

/// What a v1 log signs as its promise: canonical JSON of body, integratedTime, logID (hex) and logIndex. `body` is raw, not base64.
#[must_use]
pub fn signed_entry_timestamp_payload(
    _body: &[u8],
    _integrated_time: i64,
    _log_id: &[u8; 32],
    _log_index: u64,
) -> Vec<u8> {
    todo!()
}
