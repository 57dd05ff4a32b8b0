//! The one body that an entry of a usual kind can have: where the log holds just these bytes, there is nothing to read.
//!
//! The bytes are compared as they stand, piece by piece. What differs is not refused here: it is read, to say what differs.

use base64::Engine as _;

use super::{Generation, Signed, SigningSubject};
use crate::{Digest, HashAlgorithm, base64_text::STANDARD, bundle::TransparencyLogEntry, key::KeyDetails};

/// The API that made the entry, when its body is the expected one.
pub(super) fn generation(
    stated: &TransparencyLogEntry,
    signed: &Signed<'_>,
    subject: &SigningSubject<'_>,
) -> Option<Generation> {
    let details = subject.key().default_details()?;
    let hash = signed.covered_hash()?;
    if signed.scheme != Some(details.scheme()) {
        return None;
    }
    let body = Remaining(&stated.canonicalized_body);
    match (stated.kind.as_str(), stated.kind_version.as_str()) {
        ("hashedrekord", "0.0.2") => {
            let rest = hashed_rekord_v002(body, signed.digest(hash).ok()?, details, signed, subject)?;
            rest.end(Generation::V2)
        }
        ("hashedrekord", "0.0.1") => {
            let rest = hashed_rekord_v001(body, signed.digest(hash).ok()?, signed, subject)?;
            rest.end(Generation::V1)
        }
        ("dsse", "0.0.1") => dsse_v001(body, signed, subject)?.end(Generation::V1),
        _ => None,
    }
}

fn hashed_rekord_v002<'b>(
    body: Remaining<'b>,
    digest: &Digest,
    details: KeyDetails,
    signed: &Signed<'_>,
    subject: &SigningSubject<'_>,
) -> Option<Remaining<'b>> {
    let (member, der) = match subject {
        SigningSubject::Leaf(leaf) => ("x509Certificate", leaf.certificate.der()),
        SigningSubject::Key(key) => ("publicKey", key.spki_der()),
    };
    body.text(r#"{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":""#)?
        .text(digest.algorithm().protobuf_name())?
        .text(r#"","digest":""#)?
        .base64(digest.as_bytes())?
        .text(r#""},"signature":{"content":""#)?
        .base64(signed.signature)?
        .text(r#"","verifier":{"keyDetails":""#)?
        .text(details.as_str())?
        .text(r#"",""#)?
        .text(member)?
        .text(r#"":{"rawBytes":""#)?
        .base64(der)?
        .text(r#""}}}}}}"#)
}

fn hashed_rekord_v001<'b>(
    body: Remaining<'b>,
    digest: &Digest,
    signed: &Signed<'_>,
    subject: &SigningSubject<'_>,
) -> Option<Remaining<'b>> {
    body.text(r#"{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":""#)?
        .text(digest.algorithm().lowercase_name())?
        .text(r#"","value":""#)?
        .hexadecimal(digest.as_bytes())?
        .text(r#""}},"signature":{"content":""#)?
        .base64(signed.signature)?
        .text(r#"","publicKey":{"content":""#)?
        .base64(pem(subject).as_bytes())?
        .text(r#""}}}}"#)
}

/// The digest of the envelope's JSON as the log received it is the log's word: nobody else knows those bytes.
fn dsse_v001<'b>(body: Remaining<'b>, signed: &Signed<'_>, subject: &SigningSubject<'_>) -> Option<Remaining<'b>> {
    let payload = HashAlgorithm::Sha256.digest(&signed.envelope()?.payload);
    body.text(r#"{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":""#)?
        .sha256()?
        .text(r#""},"payloadHash":{"algorithm":"sha256","value":""#)?
        .hexadecimal(payload.as_bytes())?
        .text(r#""},"signatures":[{"signature":""#)?
        .base64(signed.signature)?
        .text(r#"","verifier":""#)?
        .base64(pem(subject).as_bytes())?
        .text(r#""}]}}"#)
}

fn pem(subject: &SigningSubject<'_>) -> String {
    match subject {
        SigningSubject::Leaf(leaf) => leaf.certificate.to_pem(),
        SigningSubject::Key(key) => key.to_pem(),
    }
}

/// What of the body was not compared yet. Every step consumes what it expects, or there is nothing.
#[derive(Clone, Copy)]
struct Remaining<'b>(&'b [u8]);

impl Remaining<'_> {
    fn text(self, expected: &str) -> Option<Self> {
        self.0.strip_prefix(expected.as_bytes()).map(Self)
    }

    /// Canonical base64 of `bytes`, encoded a piece at a time: only the last piece can end in padding.
    fn base64(self, bytes: &[u8]) -> Option<Self> {
        let mut rest = self;
        let mut encoded = [0; ENCODED_PIECE];
        for piece in bytes.chunks(PIECE) {
            let length = STANDARD.encode_slice(piece, &mut encoded).ok()?;
            rest = Self(rest.0.strip_prefix(encoded.get(..length)?)?);
        }
        Some(rest)
    }

    fn hexadecimal(self, bytes: &[u8]) -> Option<Self> {
        let mut rest = self;
        for byte in bytes {
            let mut digits = [0; 2];
            hex::encode_to_slice([*byte], &mut digits).ok()?;
            rest = Self(rest.0.strip_prefix(&digits)?);
        }
        Some(rest)
    }

    /// Any SHA-256, lowercase.
    fn sha256(self) -> Option<Self> {
        let (digits, rest) = self.0.split_at_checked(64)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        digits.iter().all(is_digit).then_some(Self(rest))
    }

    fn end(self, generation: Generation) -> Option<Generation> {
        self.0.is_empty().then_some(generation)
    }
}

/// Bytes that are encoded at once: a multiple of three, so that no piece but the last is padded.
const PIECE: usize = 768;
/// The same in base64.
const ENCODED_PIECE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_taken_only_where_it_stands() {
        let encoded = STANDARD.encode([7; 2000]);
        let body = format!("a{encoded}0aff");
        let rest = Remaining(body.as_bytes())
            .text("a")
            .and_then(|rest| rest.base64(&[7; 2000]));
        assert_eq!(rest.map(|rest| rest.0), Some(&b"0aff"[..]));
        let hexadecimal = |bytes: &[u8]| rest.and_then(|rest| rest.hexadecimal(bytes)).map(|rest| rest.0.len());
        assert_eq!(hexadecimal(&[0x0a, 0xff]), Some(0));
        assert_eq!(hexadecimal(&[0x0a, 0xfe]), None);
        let other = Remaining(body.as_bytes())
            .text("a")
            .and_then(|rest| rest.base64(&[8; 2000]));
        assert!(other.is_none() && Remaining(body.as_bytes()).text("b").is_none());
    }

    #[test]
    fn a_digest_has_64_lowercase_digits_and_an_end_is_the_end() {
        let digits = "0f".repeat(32);
        let read = |text: &str| Remaining(text.as_bytes()).sha256()?.end(Generation::V1).map(drop);
        assert_eq!(read(&digits), Some(()));
        for wrong in ["0F".repeat(32), "0g".repeat(32), "0f".repeat(31), format!("{digits}0")] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }
}
