//! The DER of a certificate, read into ranges [RFC 5280 §4.1].

use std::ops::Range;

use der::{
    Decode, Header, Reader, SliceReader, Tag, TagNumber,
    asn1::{BitStringRef, ObjectIdentifier},
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
        let (mut fields, inner_algorithm) = read_tbs(outer, der)?;
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
fn read_tbs<'a>(outer: &mut SliceReader<'a>, der: &[u8]) -> der::Result<(Fields, spki::AlgorithmIdentifierRef<'a>)> {
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
            read_extensions(reader, der)?
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
fn read_extensions(reader: &mut SliceReader<'_>, der: &[u8]) -> der::Result<Vec<Extension>> {
    let header = Header::decode(reader)?;
    let explicit = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(3),
    };
    header.tag().assert_eq(explicit)?;
    let list = reader.read_nested(header.length(), |explicit| contents(explicit, Tag::Sequence))?;
    let mut cursor = Cursor { der, rest: list };
    let mut extensions: Vec<Extension> = Vec::with_capacity(TYPICAL_EXTENSIONS);
    while !cursor.rest.is_empty() {
        let extension = read_extension(&mut cursor).ok_or(der::ErrorKind::Failed)?;
        if extensions.iter().any(|earlier| earlier.oid == extension.oid) {
            return Err(der::ErrorKind::Failed.into());
        }
        extensions.push(extension);
    }
    Ok(extensions)
}

fn read_extension(list: &mut Cursor<'_>) -> Option<Extension> {
    let start = list.rest.start;
    let mut fields = Cursor {
        der: list.der,
        rest: list.element(SEQUENCE)?,
    };
    let oid = ObjectIdentifier::from_bytes(slice(list.der, &fields.element(OBJECT_IDENTIFIER)?)).ok()?;
    let critical = match fields.element(BOOLEAN) {
        None => false,
        // [X.690 §11.1, §11.5] true has one form, and a default is not written.
        Some(value) if slice(list.der, &value) == [0xff] => true,
        Some(_) => return None,
    };
    let value = fields.element(OCTET_STRING)?;
    fields.rest.is_empty().then_some(Extension {
        oid,
        critical,
        value,
        whole: start..list.rest.start,
    })
}

/// Walks elements with lengths of up to two octets: a certificate has a few dozen extensions, and a general reader costs
/// more for them than hashing the certificate does.
struct Cursor<'a> {
    der: &'a [u8],
    rest: Range<usize>,
}

impl Cursor<'_> {
    /// The contents of the next element if it has this tag; otherwise nothing is read.
    fn element(&mut self, tag: u8) -> Option<Range<usize>> {
        let rest = slice(self.der, &self.rest);
        let (header, length) = match *rest {
            [found, length @ 0..=0x7f, ..] if found == tag => (2, usize::from(length)),
            // [X.690 §10.1] the shortest form only.
            [found, 0x81, length @ 0x80..=0xff, ..] if found == tag => (3, usize::from(length)),
            [found, 0x82, high @ 1..=0xff, low, ..] if found == tag => {
                (4, usize::from(u16::from_be_bytes([high, low])))
            }
            _ => return None,
        };
        let start = self.rest.start.checked_add(header)?;
        let end = start.checked_add(length).filter(|end| *end <= self.rest.end)?;
        self.rest.start = end;
        Some(start..end)
    }
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
    let header = Header::decode(reader)?;
    header.tag().assert_eq(tag)?;
    let start = offset(reader)?;
    reader.read_slice(header.length())?;
    Ok(start..offset(reader)?)
}

/// Reads one element of this tag and gives the range it takes, header included.
pub(crate) fn whole(reader: &mut SliceReader<'_>, tag: Tag) -> der::Result<Range<usize>> {
    let start = offset(reader)?;
    Ok(start..contents(reader, tag)?.end)
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

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
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
