//! The DER of a timestamp response, read into ranges [RFC 3161 §2.4.2, RFC 5652 §5].

use std::ops::Range;

use der::{
    Decode, Reader, SliceReader, Tag, TagNumber,
    asn1::{AnyRef, ObjectIdentifier},
};
use spki::AlgorithmIdentifierRef;

use super::{CertificateHash, SignerId, SignerInfo, Timestamp};
use crate::{
    Digest, Error, HashAlgorithm, UnixTime,
    certificate::{contents, offset, scheme_of, whole},
    key::SignatureScheme,
};

/// `TimeStampResp`.
pub(super) fn read_response(der: &[u8]) -> Result<Timestamp, Error> {
    let token = read_status(der)?.ok_or(rule("the authority refused"))?;
    let signed = read_token(der, &token).map_err(|_| rule("not a token of RFC 3161"))?;
    if signed.econtent_type != TST_INFO {
        return Err(rule("the token holds a TSTInfo"));
    }
    let info = read_info(der, &signed.content).map_err(|_| rule("not a TSTInfo"))?;
    let attributes = read_attributes(der, &signed.attributes).map_err(|_| rule("not signed attributes"))?;
    Ok(Timestamp {
        der: der.to_vec(),
        content: signed.content,
        imprint: info.imprint?,
        at: info.at,
        nonce: info.nonce,
        certificates: signed.certificates,
        signer: SignerInfo {
            id: signed.id,
            digest: signed.digest.ok_or(rule("the token's digest is SHA-2"))?,
            attributes: signed.attributes,
            message_digest: attributes
                .message_digest
                .ok_or(rule("the token has a message digest"))?,
            certificate_hash: attributes
                .certificate_hash
                .ok_or(rule("the token names its signing certificate"))?,
            scheme: signed.scheme,
            signature: signed.signature,
        },
    })
}

/// The token's range when the status grants one.
fn read_status(der: &[u8]) -> Result<Option<Range<usize>>, Error> {
    let read = || -> der::Result<(u8, Option<Range<usize>>)> {
        let mut reader = SliceReader::new(der)?;
        let result = reader.sequence(|response| {
            let status = response.sequence(|info| {
                let status = u8::decode(info)?;
                // Free text and failure bits say nothing to a verifier.
                while !info.is_finished() {
                    AnyRef::decode(info)?;
                }
                Ok::<_, der::Error>(status)
            })?;
            if response.is_finished() {
                return Ok((status, None));
            }
            Ok::<_, der::Error>((status, Some(whole(response, Tag::Sequence)?)))
        })?;
        reader.finish()?;
        Ok(result)
    };
    let (status, token) = read().map_err(|_| rule("not a response of RFC 3161"))?;
    Ok(token.filter(|_| status <= GRANTED_WITH_MODIFICATIONS))
}

struct SignedData {
    econtent_type: ObjectIdentifier,
    content: Range<usize>,
    certificates: Vec<Range<usize>>,
    id: SignerId,
    digest: Option<HashAlgorithm>,
    attributes: Range<usize>,
    scheme: Option<SignatureScheme>,
    signature: Range<usize>,
}

/// A reader over the whole answer that stands at `range`, so that positions are offsets of the answer.
fn reader_at<'a>(der: &'a [u8], range: &Range<usize>) -> der::Result<SliceReader<'a>> {
    let mut reader = SliceReader::new(der.get(..range.end).unwrap_or_default())?;
    reader.read_slice(der::Length::try_from(range.start)?)?;
    Ok(reader)
}

/// `ContentInfo` with `SignedData`, exactly one signer.
fn read_token(der: &[u8], token: &Range<usize>) -> der::Result<SignedData> {
    let mut reader = reader_at(der, token)?;
    let signed = reader.sequence(|info| {
        expect_oid(info, &SIGNED_DATA)?;
        explicit(info, 0, |explicit| explicit.sequence(read_signed_data))
    })?;
    reader.finish()?;
    Ok(signed)
}

fn read_signed_data(data: &mut SliceReader<'_>) -> der::Result<SignedData> {
    // [RFC 5652 §5.1] version 3, because the content is not id-data.
    if u8::decode(data)? != 3 {
        return Err(der::ErrorKind::Failed.into());
    }
    whole(data, Tag::Set)?;
    let (econtent_type, content) = data.sequence(|encapsulated| {
        let oid = ObjectIdentifier::decode(encapsulated)?;
        let content = explicit(encapsulated, 0, |inner| contents(inner, Tag::OctetString))?;
        Ok::<_, der::Error>((oid, content))
    })?;
    let mut certificates = Vec::new();
    if Tag::peek(data)? == context(0) {
        explicit(data, 0, |set| {
            while !set.is_finished() {
                let start = offset(set)?;
                AnyRef::decode(set)?;
                certificates.push(start..offset(set)?);
            }
            Ok(())
        })?;
    }
    if Tag::peek(data)? == context(1) {
        AnyRef::decode(data)?;
    }
    let header = der::Header::decode(data)?;
    header.tag().assert_eq(Tag::Set)?;
    let signer = data.read_nested(header.length(), |set| set.sequence(read_signer_info))?;
    Ok(SignedData {
        econtent_type,
        content,
        certificates,
        ..signer
    })
}

fn read_signer_info(info: &mut SliceReader<'_>) -> der::Result<SignedData> {
    let version = u8::decode(info)?;
    let id = if version == 1 {
        info.sequence(|id| {
            Ok::<_, der::Error>(SignerId::IssuerAndSerial {
                issuer: whole(id, Tag::Sequence)?,
                serial: contents(id, Tag::Integer)?,
            })
        })?
    } else if version == 3 {
        SignerId::KeyId(contents(
            info,
            Tag::ContextSpecific {
                constructed: false,
                number: TagNumber(0),
            },
        )?)
    } else {
        return Err(der::ErrorKind::Failed.into());
    };
    let digest = hash_of(&AlgorithmIdentifierRef::decode(info)?);
    let attributes = whole(info, context(0))?;
    let algorithm = AlgorithmIdentifierRef::decode(info)?;
    let scheme = match digest {
        // [RFC 3370 §3.2] the key's own identifier stands for PKCS #1 v1.5 with the stated digest.
        Some(digest) if algorithm.oid == RSA_ENCRYPTION => Some(SignatureScheme::RsaPkcs1v15(digest)),
        _ => scheme_of(&algorithm),
    };
    let signature = contents(info, Tag::OctetString)?;
    if !info.is_finished() {
        whole(info, context(1))?;
    }
    Ok(SignedData {
        econtent_type: TST_INFO,
        content: 0..0,
        certificates: Vec::new(),
        id,
        digest,
        attributes,
        scheme,
        signature,
    })
}

struct Info {
    imprint: Result<Digest, Error>,
    at: UnixTime,
    nonce: Option<Vec<u8>>,
}

/// `TSTInfo`, version 1, without critical extensions.
fn read_info(der: &[u8], content: &Range<usize>) -> der::Result<Info> {
    let mut reader = reader_at(der, content)?;
    let info = reader.sequence(|info| {
        if u8::decode(info)? != 1 {
            return Err(der::ErrorKind::Failed.into());
        }
        whole(info, Tag::ObjectIdentifier)?;
        let (algorithm, hash) = info.sequence(|imprint| {
            let algorithm = AlgorithmIdentifierRef::decode(imprint)?;
            Ok::<_, der::Error>((hash_of(&algorithm), contents(imprint, Tag::OctetString)?))
        })?;
        let imprint = algorithm
            .ok_or(rule("the imprint's digest is SHA-2"))
            .and_then(|algorithm| Digest::from_bytes(algorithm, der.get(hash).unwrap_or_default()));
        whole(info, Tag::Integer)?;
        let time = contents(info, Tag::GeneralizedTime)?;
        let at = parse_time(der.get(time).unwrap_or_default()).ok_or(der::ErrorKind::DateTime)?;
        let nonce = read_optional(info, der)?;
        Ok::<_, der::Error>(Info { imprint, at, nonce })
    })?;
    reader.finish()?;
    Ok(info)
}

/// Accuracy, ordering, nonce, name and extensions, in this order; gives the nonce.
fn read_optional(info: &mut SliceReader<'_>, der: &[u8]) -> der::Result<Option<Vec<u8>>> {
    let mut nonce = None;
    let order = [Tag::Sequence, Tag::Boolean, Tag::Integer, context(0), context(1)];
    let mut allowed = order.as_slice();
    while !info.is_finished() {
        let tag = Tag::peek(info)?;
        let position = allowed
            .iter()
            .position(|candidate| *candidate == tag)
            .ok_or(der::ErrorKind::Failed)?;
        allowed = allowed.get(position.saturating_add(1)..).unwrap_or_default();
        if tag == Tag::Integer {
            nonce = Some(der.get(contents(info, tag)?).unwrap_or_default().to_vec());
        } else if tag == context(1) {
            explicit(info, 1, refuse_critical)?;
        } else {
            AnyRef::decode(info)?;
        }
    }
    Ok(nonce)
}

/// `Extensions` inside their implicit tag: none is understood, so none may be critical.
fn refuse_critical(extensions: &mut SliceReader<'_>) -> der::Result<()> {
    while !extensions.is_finished() {
        extensions.sequence(|extension| {
            whole(extension, Tag::ObjectIdentifier)?;
            if Option::<bool>::decode(extension)?.is_some() {
                return Err(der::ErrorKind::Failed.into());
            }
            whole(extension, Tag::OctetString)?;
            Ok::<_, der::Error>(())
        })?;
    }
    Ok(())
}

#[derive(Default)]
struct Attributes {
    message_digest: Option<Range<usize>>,
    certificate_hash: Option<CertificateHash>,
    has_content_type: bool,
}

/// Signed attributes: content type, message digest and signing certificate, each at most once [RFC 5652 §11].
fn read_attributes(der: &[u8], range: &Range<usize>) -> der::Result<Attributes> {
    let mut reader = reader_at(der, range)?;
    let mut found = Attributes::default();
    explicit(&mut reader, 0, |set| {
        while !set.is_finished() {
            set.sequence(|attribute| read_attribute(attribute, &mut found))?;
        }
        Ok(())
    })?;
    reader.finish()?;
    if !found.has_content_type {
        return Err(der::ErrorKind::Failed.into());
    }
    Ok(found)
}

fn read_attribute(attribute: &mut SliceReader<'_>, found: &mut Attributes) -> der::Result<()> {
    let oid = ObjectIdentifier::decode(attribute)?;
    let header = der::Header::decode(attribute)?;
    header.tag().assert_eq(Tag::Set)?;
    attribute.read_nested(header.length(), |values| {
        let repeated = if oid == CONTENT_TYPE {
            expect_oid(values, &TST_INFO)?;
            std::mem::replace(&mut found.has_content_type, true)
        } else if oid == MESSAGE_DIGEST {
            let digest = contents(values, Tag::OctetString)?;
            found.message_digest.replace(digest).is_some()
        } else if oid == SIGNING_CERTIFICATE_V2 {
            // A V1 attribute beside a V2 attribute says less than it does.
            let hash = first_certificate(values, read_ess_cert_id_v2)?;
            matches!(found.certificate_hash.replace(hash), Some(CertificateHash::V2(..)))
        } else if oid == SIGNING_CERTIFICATE {
            let hash = first_certificate(values, |id| Ok(CertificateHash::V1(contents(id, Tag::OctetString)?)))?;
            let repeated = matches!(found.certificate_hash, Some(CertificateHash::V1(_)));
            found.certificate_hash.get_or_insert(hash);
            repeated
        } else {
            while !values.is_finished() {
                AnyRef::decode(values)?;
            }
            false
        };
        if repeated {
            return Err(der::ErrorKind::Failed.into());
        }
        Ok::<_, der::Error>(())
    })
}

/// `SigningCertificate(V2)`: the first certificate is the signer's [RFC 5035 §3]; the rest is not used.
fn first_certificate(
    values: &mut SliceReader<'_>,
    read_id: impl FnOnce(&mut SliceReader<'_>) -> der::Result<CertificateHash>,
) -> der::Result<CertificateHash> {
    values.sequence(|signing_certificate| {
        let hash = signing_certificate.sequence(|list| {
            let hash = list.sequence(|id| {
                let hash = read_id(id)?;
                skip(id)?;
                Ok::<_, der::Error>(hash)
            })?;
            skip(list)?;
            Ok::<_, der::Error>(hash)
        })?;
        skip(signing_certificate)?;
        Ok(hash)
    })
}

/// `ESSCertIDv2`: the algorithm defaults to SHA-256.
fn read_ess_cert_id_v2(id: &mut SliceReader<'_>) -> der::Result<CertificateHash> {
    let algorithm = if Tag::peek(id)? == Tag::Sequence {
        hash_of(&AlgorithmIdentifierRef::decode(id)?).ok_or(der::ErrorKind::Failed)?
    } else {
        HashAlgorithm::Sha256
    };
    Ok(CertificateHash::V2(algorithm, contents(id, Tag::OctetString)?))
}

fn skip(reader: &mut SliceReader<'_>) -> der::Result<()> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}

/// `YYYYMMDDhhmmss[.f…]Z`; a fraction does not end in zero [RFC 3161 §2.4.2].
fn parse_time(text: &[u8]) -> Option<UnixTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (seconds, fraction) = text
        .split_once('.')
        .map_or((text, "1"), |(seconds, fraction)| (seconds, fraction));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.len() != 14 || !digits(seconds) || !digits(fraction) || fraction.ends_with('0') {
        return None;
    }
    let part = |range: Range<usize>| seconds.get(range);
    UnixTime::from_rfc3339(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        part(12..14)?
    ))
    .ok()
}

/// SHA-2, parameters absent or NULL [RFC 5754 §2].
fn hash_of(algorithm: &AlgorithmIdentifierRef<'_>) -> Option<HashAlgorithm> {
    if algorithm.parameters.is_some_and(|parameters| !parameters.is_null()) {
        return None;
    }
    let known = [
        (SHA_256, HashAlgorithm::Sha256),
        (SHA_384, HashAlgorithm::Sha384),
        (SHA_512, HashAlgorithm::Sha512),
    ];
    let (_, hash) = known.into_iter().find(|(oid, _)| *oid == algorithm.oid)?;
    Some(hash)
}

fn expect_oid(reader: &mut SliceReader<'_>, expected: &ObjectIdentifier) -> der::Result<()> {
    if ObjectIdentifier::decode(reader)? == *expected {
        Ok(())
    } else {
        Err(der::ErrorKind::Failed.into())
    }
}

/// Reads inside a constructed context-specific tag.
fn explicit<'a, T>(
    reader: &mut SliceReader<'a>,
    number: u32,
    read: impl FnOnce(&mut SliceReader<'a>) -> der::Result<T>,
) -> der::Result<T> {
    let header = der::Header::decode(reader)?;
    header.tag().assert_eq(context(number))?;
    reader.read_nested(header.length(), read)
}

const fn context(number: u32) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(number),
    }
}

const fn rule(rule: &'static str) -> Error {
    Error::Timestamp { rule }
}

/// [RFC 3161 §2.4.2] above: rejection, waiting, revocation.
const GRANTED_WITH_MODIFICATIONS: u8 = 1;
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_form() {
        let seconds = UnixTime::from_rfc3339("2026-01-02T03:04:05Z").ok();
        for text in ["20260102030405Z", "20260102030405.5Z", "20260102030405.05Z"] {
            assert_eq!(parse_time(text.as_bytes()), seconds, "{text}");
        }
        for text in [
            "20260102030405",
            "20260102030405z",
            "2026010203040Z",
            "2026010203040506Z",
            "202601020304.5Z",
            "20260102030405.Z",
            "20260102030405.50Z",
            "20260102030405.0Z",
            "20260102030405.5xZ",
            "20260102030405,5Z",
            "20260102+30405Z",
            "20261302030405Z",
            "Z",
        ] {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_time(b"2026010203040\xffZ"), None);
    }
}
