//! Certificate paths at a given time [RFC 5280 §6].
//!
//! Everything about an authority's own certificates that does not depend on the time of a signature is checked once,
//! when a trusted root is loaded; what is left for each leaf is one name, one signature and one interval.

use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::KeyUsage;

use crate::{
    Error, PublicKey, UnixTime, certificate::Certificate, time::ValidityWindow, trusted_root::CertificateAuthority,
};

/// An authority whose certificates hold together.
#[derive(Debug)]
pub(crate) struct Authority {
    /// Issuer of leaves first, root last.
    issuers: Vec<Certificate>,
    /// When every certificate of the path is valid and the trusted root believes the authority.
    window: ValidityWindow,
}

impl Authority {
    /// Checks the path of `issuers` (issuer of leaves first, root last) for certificates of this `purpose`.
    ///
    /// # Errors
    /// [`Error::CertificateChain`] naming the rule broken.
    pub(crate) fn new(
        issuers: &[Certificate],
        valid_for: ValidityWindow,
        purpose: &ObjectIdentifier,
    ) -> Result<Self, Error> {
        let mut window = valid_for;
        for (below, issuer) in issuers.iter().enumerate() {
            check_issuer(issuer, below, purpose)?;
            window = intersection(window, issuer.validity());
            match issuers.get(below.saturating_add(1)) {
                Some(parent) => check_signed_by(issuer, parent)?,
                None if issuer.is_self_issued() => check_signed_by(issuer, issuer)?,
                // A trust anchor need not be self-signed.
                None => {}
            }
        }
        if issuers.is_empty() {
            return Err(rule("there is at least one certificate"));
        }
        if window.end.is_some_and(|end| end < window.start) {
            return Err(rule("there is a time at which every certificate is valid"));
        }
        Ok(Self {
            issuers: issuers.to_vec(),
            window,
        })
    }

    /// Whether the leaf names this authority as its issuer.
    pub(crate) fn names(&self, leaf: &Certificate) -> bool {
        let issuer = leaf.issuer_and_subject().0;
        self.issuers
            .first()
            .is_some_and(|first| first.issuer_and_subject().1 == issuer)
    }

    /// The key that signs leaves.
    pub(crate) fn key(&self) -> Option<&PublicKey> {
        self.issuers.first().map(Certificate::public_key)
    }

    /// Checks the leaf's signature.
    ///
    /// # Errors
    /// [`Error::CertificateChain`].
    pub(crate) fn verify(&self, leaf: &Certificate) -> Result<(), Error> {
        let issuer = self.issuers.first().ok_or(Error::UnknownAuthority)?;
        check_signed_by(leaf, issuer)
    }

    /// Checks that the whole path is valid and believed at this time.
    ///
    /// # Errors
    /// [`Error::AuthorityTime`].
    pub(crate) fn check_time(&self, at: UnixTime) -> Result<(), Error> {
        if self.window.contains(at) {
            Ok(())
        } else {
            Err(Error::AuthorityTime { at })
        }
    }
}

/// A timestamp authority: its own certificate, when the trusted root has it, and its issuers.
#[derive(Debug)]
pub(crate) struct TimestampAuthority {
    /// URI, for reports.
    pub(crate) uri: String,
    /// The certificate that signs tokens; without it, a token must bring its own.
    pub(crate) leaf: Option<Certificate>,
    authority: Authority,
}

impl TimestampAuthority {
    /// Checks the chain of a trusted root: the leaf is the first certificate that is no CA.
    ///
    /// # Errors
    /// [`Error::CertificateChain`] naming the rule broken.
    pub(crate) fn new(stated: &CertificateAuthority) -> Result<Self, Error> {
        let (leaf, issuers) = match stated.chain.split_first() {
            Some((first, rest)) if !first.is_ca() => (Some(first.clone()), rest),
            _ => (None, stated.chain.as_slice()),
        };
        let mut this = Self {
            uri: stated.uri.clone(),
            leaf: None,
            authority: Authority::new(issuers, stated.valid_for, &TIME_STAMPING)?,
        };
        if let Some(leaf) = &leaf {
            this.check_leaf(leaf)?;
        }
        this.leaf = leaf;
        Ok(this)
    }

    /// Whether the certificate names this authority as its issuer.
    pub(crate) fn names(&self, leaf: &Certificate) -> bool {
        self.authority.names(leaf)
    }

    /// Checks a certificate that signs tokens: issued here, for timestamps and nothing else [RFC 3161 §2.3].
    ///
    /// # Errors
    /// [`Error::CertificateChain`] naming the rule broken.
    pub(crate) fn check_leaf(&self, leaf: &Certificate) -> Result<(), Error> {
        let usage = leaf.usage();
        if usage.is_ca {
            return Err(rule("a timestamp authority's certificate is no CA"));
        }
        // [RFC 3161 §2.3] wants the extension critical too; GitHub's authority does not mark it so.
        if usage.purposes.as_deref() != Some(&[TIME_STAMPING]) {
            return Err(rule("a timestamp authority's certificate is for timestamps only"));
        }
        // [RFC 5280 §4.2.1.3] without the extension a key may be used for everything; with it, for this.
        if usage.bits.as_ref().is_some_and(|bits| !bits.digital_signature()) {
            return Err(rule("a timestamp authority's key is for signatures"));
        }
        leaf.check_critical_extensions()?;
        self.authority.verify(leaf)
    }

    /// Checks that leaf and path are valid and the authority is believed at this time.
    ///
    /// # Errors
    /// [`Error::TimestampTime`].
    pub(crate) fn check_time(&self, leaf: &Certificate, at: UnixTime) -> Result<(), Error> {
        if leaf.validity().contains(at) && self.authority.window.contains(at) {
            Ok(())
        } else {
            Err(Error::TimestampTime { at })
        }
    }
}

/// Rules for a certificate that issues others, with `below` CA certificates between it and the leaf [RFC 5280 §6.1.4].
fn check_issuer(issuer: &Certificate, below: usize, purpose: &ObjectIdentifier) -> Result<(), Error> {
    let usage = issuer.usage();
    if !usage.is_ca {
        return Err(rule("every issuer is a CA"));
    }
    if !usage.bits.as_ref().is_some_and(KeyUsage::key_cert_sign) {
        return Err(rule("every issuer may sign certificates"));
    }
    if usage.path_length.is_some_and(|limit| usize::from(limit) < below) {
        return Err(rule("the path is not longer than its issuers allow"));
    }
    // Issuers without the extension are not restricted; those with it must allow what they issue.
    if usage.purposes.is_some() && !usage.has_purpose(purpose) && !usage.has_purpose(&ANY_PURPOSE) {
        return Err(rule("every issuer may issue for this purpose"));
    }
    issuer.check_critical_extensions()
}

fn check_signed_by(certificate: &Certificate, issuer: &Certificate) -> Result<(), Error> {
    if certificate.issuer_and_subject().0 != issuer.issuer_and_subject().1 {
        return Err(rule("every certificate names its issuer"));
    }
    certificate
        .verify_signature(issuer.public_key())
        .map_err(|_| rule("every certificate is signed by its issuer"))
}

fn intersection(one: ValidityWindow, other: ValidityWindow) -> ValidityWindow {
    let end = match (one.end, other.end) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (end, None) | (None, end) => end,
    };
    ValidityWindow {
        start: one.start.max(other.start),
        end,
    }
}

const fn rule(rule: &'static str) -> Error {
    Error::CertificateChain { rule }
}

/// `id-kp-timeStamping` [RFC 5280 §4.2.1.12].
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
/// `anyExtendedKeyUsage` [RFC 5280 §4.2.1.12].
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
