//! Certificates [RFC 5280] and the Fulcio leaf profile.
//!
//! Parsing borrows nothing and rewrites nothing: the DER bytes are kept as read and every field is a range of them,
//! so that what was signed, what an SCT covers and what names compare with are the original octets.

use std::{collections::BTreeMap, ops::Range};

use der::{
    Decode, Encode, Header, Length, Reader, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef},
};
use x509_cert::{
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName},
    time::Time,
};

use crate::{
    Budget, Error, HashAlgorithm, PublicKey, UnixTime, WorkloadIdentity,
    identity::{Claim, SubjectAlternativeName},
    key::SignatureScheme,
    sct::{self, SignedCertificateTimestamp},
    time::ValidityWindow,
};

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
}

/// What a certificate's key may be used for, as its extensions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// `BasicConstraints.cA`.
    pub(crate) is_ca: bool,
    /// `BasicConstraints.pathLenConstraint`.
    pub(crate) path_length: Option<u8>,
    /// `KeyUsage` present.
    pub(crate) has_key_usage: bool,
    /// `KeyUsage` digitalSignature.
    pub(crate) digital_signature: bool,
    /// `KeyUsage` keyCertSign.
    pub(crate) certificate_signing: bool,
    /// `ExtendedKeyUsage`; none when absent.
    pub(crate) extended: Option<Vec<ObjectIdentifier>>,
    /// `ExtendedKeyUsage` marked critical.
    pub(crate) extended_is_critical: bool,
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
        // Encoding to memory fails only for lengths beyond der's 256 MiB, which no certificate reaches.
        der::pem::encode_string(PEM_LABEL, der::pem::LineEnding::LF, &self.der).unwrap_or_default()
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
        let mut kept = Vec::with_capacity(self.der.len());
        for extension in &self.extensions {
            if extension.oid != SCT_LIST && extension.oid != POISON {
                kept.extend_from_slice(slice(&self.der, &extension.whole));
            }
        }
        let mut fields = slice(&self.der, &self.before_extensions).to_vec();
        if !kept.is_empty() {
            fields.extend_from_slice(&encode(EXTENSIONS_TAG, &encode(SEQUENCE_TAG, &kept)?)?);
        }
        encode(SEQUENCE_TAG, &fields)
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
            (usage.has_key_usage, "KeyUsage is present"),
            (usage.digital_signature, "KeyUsage has digitalSignature"),
            (!usage.certificate_signing, "KeyUsage lacks keyCertSign"),
            (
                usage.extended.as_deref().is_some_and(|list| list.contains(&CODE_SIGNING)),
                "ExtendedKeyUsage has codeSigning",
            ),
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
            let Some(claim) = claim_of(&extension.oid) else { continue };
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

/// A signature scheme from an X.509 `AlgorithmIdentifier`: ECDSA [RFC 5758 §3.2], RSA [RFC 4055 §5], Ed25519 [RFC 8410 §3].
///
/// Parameters are absent for ECDSA and Ed25519 and NULL (or absent) for RSA.
pub(crate) fn scheme_of(algorithm: &spki::AlgorithmIdentifierRef<'_>) -> Option<SignatureScheme> {
    let (_, scheme, may_be_null) = SCHEMES.into_iter().find(|(oid, ..)| *oid == algorithm.oid)?;
    let parameters_fit = match algorithm.parameters {
        None => true,
        Some(parameters) => may_be_null && parameters.is_null(),
    };
    parameters_fit.then_some(scheme)
}

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

struct Fields {
    tbs: Range<usize>,
    before_extensions: Range<usize>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    validity: ValidityWindow,
    key: Range<usize>,
    extensions: Vec<Extension>,
    scheme: Option<SignatureScheme>,
    signature: Range<usize>,
}

/// `Certificate` [RFC 5280 §4.1].
fn read_certificate(der: &[u8]) -> der::Result<Fields> {
    let mut reader = SliceReader::new(der)?;
    let fields = reader.sequence(|outer| {
        let start = offset(outer)?;
        let (mut fields, inner_algorithm) = read_tbs(outer)?;
        fields.tbs = start..offset(outer)?;
        let algorithm = spki::AlgorithmIdentifierRef::decode(outer)?;
        // [RFC 5280 §4.1.1.2] both statements of the algorithm are the same.
        if algorithm != inner_algorithm {
            return Err(der::ErrorKind::Failed.into());
        }
        fields.scheme = scheme_of(&algorithm);
        let signature = BitStringRef::decode(outer)?;
        let bytes = signature.as_bytes().ok_or(der::ErrorKind::Failed)?;
        let end = offset(outer)?;
        fields.signature = end.saturating_sub(bytes.len())..end;
        Ok::<_, der::Error>(fields)
    })?;
    reader.finish()?;
    Ok(fields)
}

/// `TBSCertificate` [RFC 5280 §4.1]; version 3 only.
fn read_tbs<'a>(outer: &mut SliceReader<'a>) -> der::Result<(Fields, spki::AlgorithmIdentifierRef<'a>)> {
    outer.sequence(|reader| {
        let start = offset(reader)?;
        let version: Option<u8> = reader.context_specific(TagNumber(0), der::TagMode::Explicit)?;
        if version != Some(VERSION_3) {
            return Err(der::ErrorKind::Failed.into());
        }
        let serial = contents(reader, Tag::Integer)?;
        let algorithm = spki::AlgorithmIdentifierRef::decode(reader)?;
        let issuer = whole(reader, Tag::Sequence)?;
        let validity = read_validity(reader)?;
        let subject = whole(reader, Tag::Sequence)?;
        let key = whole(reader, Tag::Sequence)?;
        for number in [1, 2] {
            let _unique_id: Option<BitStringRef<'_>> =
                reader.context_specific(TagNumber(number), der::TagMode::Implicit)?;
        }
        let before_extensions = start..offset(reader)?;
        let extensions = if reader.is_finished() {
            Vec::new()
        } else {
            read_extensions(reader)?
        };
        let fields = Fields {
            tbs: 0..0,
            before_extensions,
            serial,
            issuer,
            subject,
            validity,
            key,
            extensions,
            scheme: None,
            signature: 0..0,
        };
        Ok::<_, der::Error>((fields, algorithm))
    })
}

fn read_validity(reader: &mut SliceReader<'_>) -> der::Result<ValidityWindow> {
    reader.sequence(|inner| {
        let start = unix_time(&Time::decode(inner)?)?;
        let end = unix_time(&Time::decode(inner)?)?;
        Ok(ValidityWindow { start, end: Some(end) })
    })
}

/// `[3] EXPLICIT Extensions`, without repetition [RFC 5280 §4.2].
fn read_extensions(reader: &mut SliceReader<'_>) -> der::Result<Vec<Extension>> {
    let header = Header::decode(reader)?;
    if header.tag()
        != (Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(3),
        })
    {
        return Err(der::ErrorKind::Failed.into());
    }
    let extensions: Vec<Extension> = reader.read_nested(header.length(), |explicit| {
        explicit.sequence(|list| {
            let mut extensions = Vec::with_capacity(TYPICAL_EXTENSIONS);
            while !list.is_finished() {
                extensions.push(read_extension(list)?);
            }
            Ok::<_, der::Error>(extensions)
        })
    })?;
    for (position, extension) in extensions.iter().enumerate() {
        if extensions.iter().take(position).any(|earlier| earlier.oid == extension.oid) {
            return Err(der::ErrorKind::Failed.into());
        }
    }
    Ok(extensions)
}

fn read_extension(list: &mut SliceReader<'_>) -> der::Result<Extension> {
    let start = offset(list)?;
    let (oid, critical, value) = list.sequence(|reader| {
        let oid = ObjectIdentifier::decode(reader)?;
        let critical = Option::<bool>::decode(reader)?;
        // [X.690 §11.5] a default value is not encoded.
        if critical == Some(false) {
            return Err(der::ErrorKind::Failed.into());
        }
        Ok::<_, der::Error>((oid, critical.is_some(), contents(reader, Tag::OctetString)?))
    })?;
    Ok(Extension {
        oid,
        critical,
        value,
        whole: start..offset(list)?,
    })
}

fn read_usage(der: &[u8], extensions: &[Extension]) -> Result<Usage, Error> {
    let mut usage = Usage::default();
    for extension in extensions {
        let value = slice(der, &extension.value);
        if extension.oid == BASIC_CONSTRAINTS {
            let constraints = BasicConstraints::from_der(value).map_err(|_| malformed(&extension.oid))?;
            usage.is_ca = constraints.ca;
            usage.path_length = constraints.path_len_constraint;
        } else if extension.oid == KEY_USAGE {
            let bits = KeyUsage::from_der(value).map_err(|_| malformed(&extension.oid))?;
            usage.has_key_usage = true;
            usage.digital_signature = bits.digital_signature();
            usage.certificate_signing = bits.key_cert_sign();
        } else if extension.oid == EXTENDED_KEY_USAGE {
            let list = ExtendedKeyUsage::from_der(value).map_err(|_| malformed(&extension.oid))?;
            usage.extended = Some(list.0);
            usage.extended_is_critical = extension.critical;
        }
    }
    Ok(usage)
}

/// Reads one element of this tag and gives the range of its contents.
fn contents(reader: &mut SliceReader<'_>, tag: Tag) -> der::Result<Range<usize>> {
    let header = Header::peek(reader)?;
    let length = usize::try_from(header.length())?;
    let range = whole(reader, tag)?;
    Ok(range.end.saturating_sub(length)..range.end)
}

/// Reads one element of this tag and gives the range it takes, header included.
fn whole(reader: &mut SliceReader<'_>, tag: Tag) -> der::Result<Range<usize>> {
    let start = offset(reader)?;
    AnyRef::decode(reader)?.tag().assert_eq(tag)?;
    Ok(start..offset(reader)?)
}

fn offset(reader: &SliceReader<'_>) -> der::Result<usize> {
    usize::try_from(reader.position())
}

fn unix_time(time: &Time) -> der::Result<UnixTime> {
    let seconds = time.to_unix_duration().as_secs();
    Ok(UnixTime::from_secs(
        i64::try_from(seconds).map_err(|_| der::ErrorKind::DateTime)?,
    ))
}

/// One element with this tag octet.
fn encode(tag: u8, contents: &[u8]) -> Result<Vec<u8>, Error> {
    let length = Length::try_from(contents.len())
        .and_then(|length| length.to_der())
        .map_err(|_| Error::Certificate)?;
    let mut element = Vec::with_capacity(contents.len().saturating_add(8));
    element.push(tag);
    element.extend_from_slice(&length);
    element.extend_from_slice(contents);
    Ok(element)
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
/// v3(2) [RFC 5280 §4.1.2.1].
const VERSION_3: u8 = 2;
/// A Fulcio certificate for a CI job has 28.
const TYPICAL_EXTENSIONS: usize = 32;
const SEQUENCE_TAG: u8 = 0x30;
/// `[3]`, constructed.
const EXTENSIONS_TAG: u8 = 0xa3;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// `id-kp-codeSigning` [RFC 5280 §4.2.1.12].
pub(crate) const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// `id-kp-timeStamping` [RFC 5280 §4.2.1.12].
pub(crate) const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
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

/// Object identifier, scheme, and whether parameters may be NULL.
const SCHEMES: [(ObjectIdentifier, SignatureScheme, bool); 7] = [
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
        SignatureScheme::Ecdsa(HashAlgorithm::Sha256),
        false,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
        SignatureScheme::Ecdsa(HashAlgorithm::Sha384),
        false,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
        SignatureScheme::Ecdsa(HashAlgorithm::Sha512),
        false,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
        SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha256),
        true,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
        SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha384),
        true,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
        SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha512),
        true,
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.101.112"),
        SignatureScheme::Ed25519,
        false,
    ),
];
