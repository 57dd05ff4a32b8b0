//! Certificates [RFC 5280] and the Fulcio leaf profile.
//!
//! Parsing borrows nothing and rewrites nothing: the DER bytes are kept as read and every field is a range of them,
//! so that what was signed, what an SCT covers and what names compare with are the original octets.

use std::{collections::BTreeMap, ops::Range, sync::OnceLock};

use base64::Engine as _;
use der::{
    Decode, Encode, Length,
    asn1::{ObjectIdentifier, OctetStringRef},
};
use x509_cert::ext::pkix::{KeyUsage, SubjectAltName, name::GeneralName};

use crate::{
    Budget, Digest, Error, HashAlgorithm, PublicKey, WorkloadIdentity,
    base64_text::STANDARD,
    identity::{Claim, SubjectAlternativeName},
    key::SignatureScheme,
    sct::{self, SignedCertificateTimestamp},
    time::ValidityWindow,
};

mod reading;

pub(crate) use reading::{contents, offset, scheme_of, whole};
use reading::{read_certificate, read_usage};

/// A certificate, parsed once. Signature, dates and profile are checked by their users.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Range<usize>,
    /// What stands in the TBS before its extensions.
    before_extensions: Range<usize>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    validity: ValidityWindow,
    key: PublicKey,
    extensions: Vec<Extension>,
    usage: Usage,
    scheme: Option<SignatureScheme>,
    signature: Range<usize>,
    sha256: OnceLock<Digest>,
}

/// What a certificate's key may be used for, as its extensions say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// `BasicConstraints.cA`.
    pub(crate) is_ca: bool,
    /// `BasicConstraints.pathLenConstraint`.
    pub(crate) path_length: Option<u8>,
    /// `KeyUsage`; none when absent.
    pub(crate) bits: Option<KeyUsage>,
    /// `ExtendedKeyUsage`; none when absent.
    pub(crate) purposes: Option<Vec<ObjectIdentifier>>,
}

impl Usage {
    /// Whether `ExtendedKeyUsage` names this purpose.
    pub(crate) fn has_purpose(&self, purpose: &ObjectIdentifier) -> bool {
        self.purposes.as_deref().is_some_and(|list| list.contains(purpose))
    }
}

#[derive(Clone, Debug)]
struct Extension {
    oid: ObjectIdentifier,
    critical: bool,
    /// Contents of `extnValue`.
    value: Range<usize>,
    /// The whole `Extension`.
    whole: Range<usize>,
}

impl Certificate {
    /// Parses one DER certificate.
    ///
    /// # Errors
    /// [`Error::Certificate`] when malformed or bytes trail, [`Error::Key`] when its key is not supported,
    /// [`Error::TooLarge`] beyond the budget.
    pub fn from_der(der: &[u8], budget: &Budget) -> Result<Self, Error> {
        if der.len() > budget.certificate_bytes {
            return Err(Error::TooLarge {
                what: "certificate",
                limit: budget.certificate_bytes,
            });
        }
        let fields = read_certificate(der).map_err(|_| Error::Certificate)?;
        let key = PublicKey::from_spki_der(slice(der, &fields.key))?;
        let usage = read_usage(der, &fields.extensions)?;
        Ok(Self {
            der: der.to_vec(),
            tbs: fields.tbs,
            before_extensions: fields.before_extensions,
            serial: fields.serial,
            issuer: fields.issuer,
            subject: fields.subject,
            validity: fields.validity,
            key,
            extensions: fields.extensions,
            usage,
            scheme: fields.scheme,
            signature: fields.signature,
            sha256: OnceLock::new(),
        })
    }

    /// Parses one PEM block labelled `CERTIFICATE` (LF or CRLF).
    ///
    /// # Errors
    /// As [`Self::from_der`].
    pub fn from_pem(pem: &str, budget: &Budget) -> Result<Self, Error> {
        let limit = budget.certificate_bytes.saturating_mul(2);
        if pem.len() > limit {
            return Err(Error::TooLarge {
                what: "certificate",
                limit,
            });
        }
        let (label, der) = der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_| Error::Certificate)?;
        if label != PEM_LABEL {
            return Err(Error::Certificate);
        }
        Self::from_der(&der, budget)
    }

    /// The DER bytes as read.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// PEM: LF, 64 columns.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let mut pem = String::with_capacity(text.len().saturating_add(text.len() / 64).saturating_add(64));
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while let Some((line, more)) = rest.split_at_checked(64) {
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        if !rest.is_empty() {
            pem.push_str(rest);
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// The subject's key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// `notBefore` and `notAfter`, closed.
    #[must_use]
    pub fn validity(&self) -> ValidityWindow {
        self.validity
    }

    /// Whether `BasicConstraints` says CA.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.usage.is_ca
    }

    /// Issuer and subject names, DER.
    #[must_use]
    pub fn issuer_and_subject(&self) -> (&[u8], &[u8]) {
        (slice(&self.der, &self.issuer), slice(&self.der, &self.subject))
    }

    /// Serial number, big-endian content octets.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        slice(&self.der, &self.serial)
    }

    /// The DER `TBSCertificate`: what the issuer signed.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        slice(&self.der, &self.tbs)
    }

    /// Whether issuer and subject are the same name and the certificate verifies with its own key.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.verify_signature(&self.key).is_ok()
    }

    /// Whether issuer and subject are the same name [RFC 5280 §6.1].
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        let (issuer, subject) = self.issuer_and_subject();
        issuer == subject
    }

    /// Checks the signature with the issuer's key.
    ///
    /// # Errors
    /// [`Error::Signature`] when it does not verify or its algorithm is not supported.
    pub fn verify_signature(&self, issuer_key: &PublicKey) -> Result<(), Error> {
        let scheme = self.scheme.ok_or(Error::Signature)?;
        issuer_key.verify(scheme, self.tbs(), slice(&self.der, &self.signature))
    }

    /// Checks the leaf profile (key usage, extended key usage, exactly one SAN, no CA, no unknown critical extension,
    /// deprecated claims equal to their successors) and reads the identity.
    ///
    /// # Errors
    /// [`Error::CertificateProfile`] or [`Error::CertificateExtension`] naming what differs.
    pub fn identity(&self) -> Result<WorkloadIdentity, Error> {
        self.check_leaf_usage()?;
        let identity = WorkloadIdentity {
            san: self.subject_alternative_name()?,
            claims: self.claims()?,
        };
        check_deprecated_claims(&identity)?;
        Ok(identity)
    }

    /// The embedded SCTs; empty when there is no SCT list.
    ///
    /// # Errors
    /// [`Error::Sct`] when the list is malformed.
    pub fn scts(&self, budget: &Budget) -> Result<Vec<SignedCertificateTimestamp>, Error> {
        let Some(value) = self.extension(&SCT_LIST) else {
            return Ok(Vec::new());
        };
        let inner = <&OctetStringRef>::from_der(value).map_err(|_| Error::Sct)?;
        sct::parse_list(inner.as_bytes(), budget.scts)
    }

    /// The `TBSCertificate` without SCT list and poison, all other bytes unchanged: what an SCT covers [RFC 6962 §3.2].
    ///
    /// # Errors
    /// [`Error::Certificate`] when it cannot be re-encoded.
    pub fn precertificate_tbs(&self) -> Result<Vec<u8>, Error> {
        let is_kept = |extension: &&Extension| extension.oid != SCT_LIST && extension.oid != POISON;
        let kept = || self.extensions.iter().filter(is_kept).map(|extension| &extension.whole);
        let list = kept().map(ExactSizeIterator::len).sum();
        let before = slice(&self.der, &self.before_extensions);
        let mut tail = Vec::with_capacity(16);
        if list > 0 {
            let mut inner = Vec::with_capacity(8);
            push_header(&mut inner, SEQUENCE_TAG, list)?;
            push_header(&mut tail, EXTENSIONS_TAG, list.saturating_add(inner.len()))?;
            tail.extend_from_slice(&inner);
        }
        let length = before.len().saturating_add(tail.len()).saturating_add(list);
        let mut tbs = Vec::with_capacity(length.saturating_add(8));
        push_header(&mut tbs, SEQUENCE_TAG, length)?;
        tbs.extend_from_slice(before);
        tbs.extend_from_slice(&tail);
        for range in kept() {
            tbs.extend_from_slice(slice(&self.der, range));
        }
        Ok(tbs)
    }

    /// Digest of the DER bytes; a SHA-256 is computed once, as every token of a timestamp authority asks for it.
    pub(crate) fn digest(&self, algorithm: HashAlgorithm) -> Digest {
        match algorithm {
            HashAlgorithm::Sha256 => self.sha256.get_or_init(|| algorithm.digest(&self.der)).clone(),
            HashAlgorithm::Sha384 | HashAlgorithm::Sha512 => algorithm.digest(&self.der),
        }
    }

    /// Value of the `SubjectKeyIdentifier` extension.
    pub(crate) fn subject_key_id(&self) -> Option<&[u8]> {
        let id = <&OctetStringRef>::from_der(self.extension(&SUBJECT_KEY_ID)?).ok()?;
        Some(id.as_bytes())
    }

    pub(crate) const fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Refuses a critical extension that nobody here understands [RFC 5280 §4.2].
    pub(crate) fn check_critical_extensions(&self) -> Result<(), Error> {
        let unknown = self
            .extensions
            .iter()
            .find(|extension| extension.critical && !UNDERSTOOD.contains(&extension.oid));
        unknown.map_or(Ok(()), |extension| {
            Err(Error::CertificateExtension {
                oid: extension.oid.to_string(),
            })
        })
    }

    fn extension(&self, oid: &ObjectIdentifier) -> Option<&[u8]> {
        let found = self.extensions.iter().find(|extension| extension.oid == *oid)?;
        Some(slice(&self.der, &found.value))
    }

    fn check_leaf_usage(&self) -> Result<(), Error> {
        let usage = &self.usage;
        let rules = [
            (!usage.is_ca, "a signing certificate is no CA"),
            (
                usage.bits.as_ref().is_some_and(KeyUsage::digital_signature),
                "KeyUsage has digitalSignature",
            ),
            (
                !usage.bits.as_ref().is_some_and(KeyUsage::key_cert_sign),
                "KeyUsage lacks keyCertSign",
            ),
            (usage.has_purpose(&CODE_SIGNING), "ExtendedKeyUsage has codeSigning"),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(Error::CertificateProfile { rule });
        }
        self.check_critical_extensions()
    }

    fn subject_alternative_name(&self) -> Result<SubjectAlternativeName, Error> {
        let value = self.extension(&SUBJECT_ALTERNATIVE_NAME).ok_or(ONE_NAME)?;
        let names = SubjectAltName::from_der(value).map_err(|_| malformed(&SUBJECT_ALTERNATIVE_NAME))?;
        let [name] = names.0.as_slice() else {
            return Err(ONE_NAME);
        };
        let name = match name {
            GeneralName::UniformResourceIdentifier(uri) => SubjectAlternativeName::Uri(uri.as_str().to_owned()),
            GeneralName::Rfc822Name(email) => SubjectAlternativeName::Email(email.as_str().to_owned()),
            GeneralName::OtherName(other) if other.type_id == USERNAME => SubjectAlternativeName::Username(
                other
                    .value
                    .decode_as::<String>()
                    .map_err(|_| malformed(&SUBJECT_ALTERNATIVE_NAME))?,
            ),
            GeneralName::OtherName(_)
            | GeneralName::DnsName(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::IpAddress(_)
            | GeneralName::RegisteredId(_) => {
                return Err(Error::CertificateProfile {
                    rule: "the subject alternative name is a URI, an e-mail address or a Fulcio user name",
                });
            }
        };
        if name.as_str().is_empty() {
            return Err(ONE_NAME);
        }
        Ok(name)
    }

    fn claims(&self) -> Result<BTreeMap<Claim, String>, Error> {
        let mut claims = BTreeMap::new();
        for extension in &self.extensions {
            let Some(claim) = claim_of(&extension.oid) else {
                continue;
            };
            let value = claim.decode(slice(&self.der, &extension.value))?;
            if !value.is_empty() {
                claims.insert(claim, value);
            }
        }
        Ok(claims)
    }
}

/// Two certificates are the same when their bytes are.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}
impl Eq for Certificate {}

/// Successors of Fulcio's deprecated extensions say the same [fulcio oid-info, 1.3.6.1.4.1.57264.1.1 to .6].
fn check_deprecated_claims(identity: &WorkloadIdentity) -> Result<(), Error> {
    for (deprecated, successor) in SUCCESSORS {
        if let (Some(old), Some(new)) = (identity.claim(deprecated), identity.claim(successor))
            && old != new
        {
            return Err(Error::CertificateProfile {
                rule: "deprecated claims equal their successors",
            });
        }
    }
    // The repository is `owner/name` in the deprecated claim and a URL in its successor.
    if let (Some(old), Some(new)) = (
        identity.claim(Claim::GithubWorkflowRepository),
        identity.claim(Claim::SourceRepositoryUri),
    ) && !new.strip_suffix(old).is_some_and(|host| host.ends_with('/'))
    {
        return Err(Error::CertificateProfile {
            rule: "deprecated claims equal their successors",
        });
    }
    Ok(())
}

fn claim_of(oid: &ObjectIdentifier) -> Option<Claim> {
    let [number] = oid.as_bytes().strip_prefix(FULCIO_ARC)? else {
        return None;
    };
    Claim::ALL.into_iter().find(|claim| claim.number() == *number)
}

/// Tag octet and length of an element with this many content octets.
fn push_header(out: &mut Vec<u8>, tag: u8, length: usize) -> Result<(), Error> {
    let mut octets = [0; 8];
    let length = Length::try_from(length).map_err(|_| Error::Certificate)?;
    let length = length.encode_to_slice(&mut octets).map_err(|_| Error::Certificate)?;
    out.push(tag);
    out.extend_from_slice(length);
    Ok(())
}

fn slice<'a>(der: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    der.get(range.clone()).unwrap_or_default()
}

fn malformed(oid: &ObjectIdentifier) -> Error {
    Error::CertificateExtension { oid: oid.to_string() }
}

const ONE_NAME: Error = Error::CertificateProfile {
    rule: "there is exactly one subject alternative name",
};
const PEM_LABEL: &str = "CERTIFICATE";
const SEQUENCE_TAG: u8 = 0x30;
/// `[3]`, constructed.
const EXTENSIONS_TAG: u8 = 0xa3;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// `id-kp-codeSigning` [RFC 5280 §4.2.1.12].
pub(crate) const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// [RFC 6962 §3.3]
const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
/// [RFC 6962 §3.1]
const POISON: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.3");
/// Fulcio's `otherName` type.
const USERNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");
/// Content octets of 1.3.6.1.4.1.57264.1.
const FULCIO_ARC: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01];
/// Extensions whose meaning is applied, so that they may be critical.
const UNDERSTOOD: [ObjectIdentifier; 4] = [
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    EXTENDED_KEY_USAGE,
    SUBJECT_ALTERNATIVE_NAME,
];

const SUCCESSORS: [(Claim, Claim); 4] = [
    (Claim::DeprecatedIssuer, Claim::Issuer),
    (Claim::GithubWorkflowTrigger, Claim::BuildTrigger),
    (Claim::GithubWorkflowSha, Claim::SourceRepositoryDigest),
    (Claim::GithubWorkflowRef, Claim::SourceRepositoryRef),
];

#[cfg(test)]
mod tests;
