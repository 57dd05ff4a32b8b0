//! The DER of a certificate, read into ranges [RFC 5280 §4.1].

use std::ops::Range;

use der::{
    Decode, Header, Reader, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier},
};
use x509_cert::{
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage},
    time::Time,
};

use super::{BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, Extension, KEY_USAGE, Usage, malformed, slice};
use crate::{Error, HashAlgorithm, UnixTime, key::SignatureScheme, time::ValidityWindow};

/// Where the fields of a certificate stand, and those that are read at once.
pub(super) struct Fields {
    pub(super) tbs: Range<usize>,
    pub(super) before_extensions: Range<usize>,
    pub(super) serial: Range<usize>,
    pub(super) issuer: Range<usize>,
    pub(super) subject: Range<usize>,
    pub(super) validity: ValidityWindow,
    pub(super) key: Range<usize>,
    pub(super) extensions: Vec<Extension>,
    pub(super) scheme: Option<SignatureScheme>,
    pub(super) signature: Range<usize>,
}

/// `Certificate` [RFC 5280 §4.1].
pub(super) fn read_certificate(der: &[u8]) -> der::Result<Fields> {
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
        if extensions
            .iter()
            .take(position)
            .any(|earlier| earlier.oid == extension.oid)
        {
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

pub(super) fn read_usage(der: &[u8], extensions: &[Extension]) -> Result<Usage, Error> {
    let mut usage = Usage::default();
    for extension in extensions {
        let value = slice(der, &extension.value);
        if extension.oid == BASIC_CONSTRAINTS {
            let constraints = BasicConstraints::from_der(value).map_err(|_| malformed(&extension.oid))?;
            usage.is_ca = constraints.ca;
            usage.path_length = constraints.path_len_constraint;
        } else if extension.oid == KEY_USAGE {
            let bits = KeyUsage::from_der(value).map_err(|_| malformed(&extension.oid))?;
            usage.bits = Some(bits);
        } else if extension.oid == EXTENDED_KEY_USAGE {
            let list = ExtendedKeyUsage::from_der(value).map_err(|_| malformed(&extension.oid))?;
            usage.purposes = Some(list.0);
        }
    }
    Ok(usage)
}

/// Reads one element of this tag and gives the range of its contents.
pub(crate) fn contents(reader: &mut SliceReader<'_>, tag: Tag) -> der::Result<Range<usize>> {
    let header = Header::peek(reader)?;
    let length = usize::try_from(header.length())?;
    let range = whole(reader, tag)?;
    Ok(range.end.saturating_sub(length)..range.end)
}

/// Reads one element of this tag and gives the range it takes, header included.
pub(crate) fn whole(reader: &mut SliceReader<'_>, tag: Tag) -> der::Result<Range<usize>> {
    let start = offset(reader)?;
    AnyRef::decode(reader)?.tag().assert_eq(tag)?;
    Ok(start..offset(reader)?)
}

pub(crate) fn offset(reader: &SliceReader<'_>) -> der::Result<usize> {
    usize::try_from(reader.position())
}

fn unix_time(time: &Time) -> der::Result<UnixTime> {
    let seconds = time.to_unix_duration().as_secs();
    Ok(UnixTime::from_secs(
        i64::try_from(seconds).map_err(|_| der::ErrorKind::DateTime)?,
    ))
}

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

/// v3(2) [RFC 5280 §4.1.2.1].
const VERSION_3: u8 = 2;
/// A Fulcio certificate for a CI job has 28.
const TYPICAL_EXTENSIONS: usize = 32;

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
