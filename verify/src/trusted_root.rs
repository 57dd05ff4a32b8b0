//! Trusted roots [protobuf-specs trustroot v1], v0.1 and v0.2.

use crate::{Budget, Error, PublicKey, certificate::Certificate, key::KeyDetails, time::ValidityWindow};

/// The authorities and logs a verifier believes.
#[derive(Clone, Debug, Default)]
pub struct TrustedRoot {
    /// Signature logs.
    pub logs: Vec<TransparencyLog>,
    /// Issuers of signing certificates.
    pub certificate_authorities: Vec<CertificateAuthority>,
    /// CT logs.
    pub ct_logs: Vec<TransparencyLog>,
    /// Timestamp authorities; `chain[0]` is the leaf.
    pub timestamp_authorities: Vec<CertificateAuthority>,
    /// Entries left out because their key type is unknown to this version: what each is, for reports.
    pub skipped: Vec<String>,
}

/// A log's key and validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransparencyLog {
    /// URL of the log; its host name is the origin of a v2 log.
    pub base_url: String,
    /// The log key.
    pub key: PublicKey,
    /// What `keyDetails` says.
    pub key_details: KeyDetails,
    /// When entries of this log are believed.
    pub valid_for: ValidityWindow,
    /// Id that entries carry: 32 bytes.
    pub log_id: [u8; 32],
    /// Id of the checkpoint key, where it is stated.
    pub checkpoint_key_id: Option<[u8; 32]>,
    /// Who runs it; empty when not stated.
    pub operator: String,
}

/// A certificate or timestamp authority.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    /// Subject organization.
    pub organization: String,
    /// Subject common name.
    pub common_name: String,
    /// URI of the authority.
    pub uri: String,
    /// Certificates, leaf-most first, root last.
    pub chain: Vec<Certificate>,
    /// When its statements are believed.
    pub valid_for: ValidityWindow,
    /// Who runs it; empty when not stated.
    pub operator: String,
}

impl TrustedRoot {
    /// Reads a trusted root.
    ///
    /// # Errors
    /// [`Error::MediaType`], [`Error::TrustedRoot`], [`Error::Json`] and the member's own.
    pub fn from_json(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Writes media type v0.1, in the form every known client reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        todo!()
    }
}
