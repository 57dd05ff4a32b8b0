//! Certificates [RFC 5280] and the Fulcio leaf profile.

use crate::{Budget, Error, PublicKey, WorkloadIdentity, sct::SignedCertificateTimestamp, time::ValidityWindow};

/// A certificate, parsed once. Signature, dates and profile are checked by their users.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
}

impl Certificate {
    /// Parses one DER certificate.
    ///
    /// # Errors
    /// [`Error::Certificate`] when malformed or bytes trail, [`Error::TooLarge`] beyond the budget.
    pub fn from_der(_der: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Parses one PEM block labelled `CERTIFICATE` (LF or CRLF).
    ///
    /// # Errors
    /// As [`Self::from_der`].
    pub fn from_pem(_pem: &str, _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// The DER bytes as read.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// PEM: LF, 64 columns.
    #[must_use]
    pub fn to_pem(&self) -> String {
        todo!()
    }
    /// The subject's key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        todo!()
    }
    /// `notBefore` and `notAfter`, closed.
    #[must_use]
    pub fn validity(&self) -> ValidityWindow {
        todo!()
    }
    /// Whether `BasicConstraints` says CA.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        todo!()
    }
    /// Issuer and subject names, DER.
    #[must_use]
    pub fn issuer_and_subject(&self) -> (&[u8], &[u8]) {
        todo!()
    }
    /// Serial number, big-endian content octets.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        todo!()
    }
    /// Checks the leaf profile (key usage, extended key usage, exactly one SAN, no CA, deprecated claims equal to their successors) and reads the identity.
    ///
    /// # Errors
    /// [`Error::CertificateProfile`] or [`Error::CertificateExtension`] naming what differs.
    pub fn identity(&self) -> Result<WorkloadIdentity, Error> {
        todo!()
    }
    /// The embedded SCTs; empty when there is no SCT list.
    ///
    /// # Errors
    /// [`Error::Sct`] when the list is malformed.
    pub fn scts(&self, _budget: &Budget) -> Result<Vec<SignedCertificateTimestamp>, Error> {
        todo!()
    }
    /// The `TBSCertificate` without SCT list and poison, all other bytes unchanged: what an SCT covers [RFC 6962 §3.2].
    ///
    /// # Errors
    /// [`Error::Certificate`] when it cannot be re-encoded.
    pub fn precertificate_tbs(&self) -> Result<Vec<u8>, Error> {
        todo!()
    }
}
