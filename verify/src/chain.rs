//! Certificate paths at a given time [RFC 5280 §6].
//!
//! What an authority's own certificates say of themselves and of each other (uses, lengths, dates, names) is checked once,
//! when a trusted root is loaded. The signatures between them are checked once as well, when the authority is first
//! needed: a trusted root lists many, and one bundle needs one. What is left for each leaf is one name, one signature
//! and one interval.

use std::sync::OnceLock;

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
    /// Whether each certificate is signed by the next; found out when first asked.
    signed: OnceLock<Result<(), Error>>,
}

impl Authority {
    /// Checks the path of `issuers` (issuer of leaves first, root last) for certificates of this `purpose`, but for its
    /// signatures: see [`Self::check_signatures`].
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
            if let Some(parent) = issuers.get(below.saturating_add(1)) {
                check_issued_by(issuer, parent)?;
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
            signed: OnceLock::new(),
        })
    }

    /// The authorities of a chain: each certificate in it may issue leaves, along the path from itself to the anchor. GitHub
    /// signs its release attestations with the one above the issuer of all others.
    ///
    /// # Errors
    /// As [`Self::new`], for the whole chain.
    pub(crate) fn each(
        chain: &[Certificate],
        valid_for: ValidityWindow,
        purpose: &ObjectIdentifier,
    ) -> Result<Vec<Self>, Error> {
        let whole = Self::new(chain, valid_for, purpose)?;
        let above = (1..chain.len()).filter_map(|first| chain.get(first..));
        let above = above.map(|path| Self::new(path, valid_for, purpose));
        std::iter::once(Ok(whole)).chain(above).collect()
    }

    /// Checks that each certificate of the path is signed by the next. The last is the trust anchor, a name and a key that
    /// are believed because the trusted root has them: what it says of itself by a signature of its own adds nothing
    /// [RFC 5280 §6.1].
    ///
    /// # Errors
    /// [`Error::CertificateChain`].
    pub(crate) fn check_signatures(&self) -> Result<(), Error> {
        let check = || {
            let mut pairs = self.issuers.iter().zip(self.issuers.iter().skip(1));
            pairs.try_for_each(|(certificate, issuer)| check_signed_by(certificate, issuer))
        };
        self.signed.get_or_init(check).clone()
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

    /// Checks that this authority issued the leaf, and that its own path is signed.
    ///
    /// # Errors
    /// [`Error::CertificateChain`].
    pub(crate) fn verify(&self, leaf: &Certificate) -> Result<(), Error> {
        let issuer = self.issuers.first().ok_or(Error::UnknownAuthority)?;
        check_issued_by(leaf, issuer)?;
        self.check_signatures()?;
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
    /// Whether the authority signed `leaf`; found out when first asked.
    signed: OnceLock<Result<(), Error>>,
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
            signed: OnceLock::new(),
        };
        if let Some(leaf) = &leaf {
            this.check_leaf_profile(leaf)?;
        }
        this.leaf = leaf;
        Ok(this)
    }

    /// Checks that the authority signed the certificate that the trusted root has.
    ///
    /// # Errors
    /// [`Error::CertificateChain`].
    pub(crate) fn check_own_leaf(&self, leaf: &Certificate) -> Result<(), Error> {
        self.signed.get_or_init(|| self.authority.verify(leaf)).clone()
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
        self.check_leaf_profile(leaf)?;
        self.authority.verify(leaf)
    }

    fn check_leaf_profile(&self, leaf: &Certificate) -> Result<(), Error> {
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
        let issuer = self.authority.issuers.first().ok_or(Error::UnknownAuthority)?;
        check_issued_by(leaf, issuer)
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

fn check_issued_by(certificate: &Certificate, issuer: &Certificate) -> Result<(), Error> {
    if certificate.issuer_and_subject().0 == issuer.issuer_and_subject().1 {
        Ok(())
    } else {
        Err(rule("every certificate names its issuer"))
    }
}

fn check_signed_by(certificate: &Certificate, issuer: &Certificate) -> Result<(), Error> {
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
