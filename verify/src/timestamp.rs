//! RFC 3161 timestamps: the ASN.1 of requests and responses, and their verification.
//!
//! The structures are what an authority builds its answers of. A verifier reads an answer with [`Timestamp::from_der`],
//! which keeps ranges of the original bytes: what was signed is never re-encoded.

use std::ops::Range;

use der::{
    Sequence,
    asn1::{BitString, GeneralizedTime, Int, ObjectIdentifier, OctetString},
};
use x509_cert::{
    ext::{Extensions, pkix::name::GeneralName},
    spki::AlgorithmIdentifierOwned,
};

use crate::{Budget, Digest, Error, HashAlgorithm, UnixTime, certificate::Certificate, key::SignatureScheme};

mod reading;

/// `MessageImprint` [RFC 3161 §2.4.1].
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct MessageImprint {
    /// Hash algorithm; parameters absent or NULL.
    pub hash_algorithm: AlgorithmIdentifierOwned,
    /// The digest.
    pub hashed_message: OctetString,
}

/// `TimeStampReq` [RFC 3161 §2.4.1].
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct TimeStampReq {
    /// 1.
    pub version: u8,
    /// What to stamp.
    pub message_imprint: MessageImprint,
    /// Wanted policy.
    #[asn1(optional = "true")]
    pub req_policy: Option<ObjectIdentifier>,
    /// Echoed in the answer.
    #[asn1(optional = "true")]
    pub nonce: Option<Int>,
    /// Whether the signer's certificate is wanted in the answer.
    #[asn1(default = "Default::default")]
    pub cert_req: bool,
    /// Extensions.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub extensions: Option<Extensions>,
}

/// `Accuracy` [RFC 3161 §2.4.2].
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct Accuracy {
    /// Seconds.
    #[asn1(optional = "true")]
    pub seconds: Option<Int>,
    /// Milliseconds, 1 to 999.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub millis: Option<Int>,
    /// Microseconds, 1 to 999.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub micros: Option<Int>,
}

/// `TSTInfo` [RFC 3161 §2.4.2].
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct TstInfo {
    /// 1.
    pub version: u8,
    /// Policy of the authority.
    pub policy: ObjectIdentifier,
    /// What was stamped.
    pub message_imprint: MessageImprint,
    /// Serial number of the token.
    pub serial_number: Int,
    /// When, whole seconds.
    pub gen_time: GeneralizedTime,
    /// How exact.
    #[asn1(optional = "true")]
    pub accuracy: Option<Accuracy>,
    /// Whether tokens of this authority can be ordered by time alone.
    #[asn1(default = "Default::default")]
    pub ordering: bool,
    /// The request's.
    #[asn1(optional = "true")]
    pub nonce: Option<Int>,
    /// Name of the authority.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub tsa: Option<GeneralName>,
    /// Extensions.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub extensions: Option<Extensions>,
}

/// `PKIStatusInfo` [RFC 3161 §2.4.2].
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct PkiStatusInfo {
    /// 0 granted, 1 granted with modifications, above: refused.
    pub status: u8,
    /// Free text.
    #[asn1(optional = "true")]
    pub status_string: Option<Vec<String>>,
    /// Failure bits.
    #[asn1(optional = "true")]
    pub fail_info: Option<BitString>,
}

/// A `TimeStampResp` that grants a token, read and bounded; its signature is not checked yet.
#[derive(Clone, Debug)]
pub struct Timestamp {
    der: Vec<u8>,
    /// Contents of the encapsulated octet string: `TSTInfo`.
    content: Range<usize>,
    imprint: Digest,
    at: UnixTime,
    nonce: Option<Vec<u8>>,
    /// DER certificates that came along.
    certificates: Vec<Range<usize>>,
    signer: SignerInfo,
}

/// The one `SignerInfo` [RFC 5652 §5.3].
#[derive(Clone, Debug)]
struct SignerInfo {
    id: SignerId,
    digest: HashAlgorithm,
    /// The signed attributes with their own tag, `[0]`.
    attributes: Range<usize>,
    message_digest: Range<usize>,
    certificate_hash: CertificateHash,
    scheme: Option<SignatureScheme>,
    signature: Range<usize>,
}

/// How the token names its signer's certificate.
#[derive(Clone, Debug)]
enum SignerId {
    /// Issuer name (DER) and serial number (content octets).
    IssuerAndSerial { issuer: Range<usize>, serial: Range<usize> },
    /// Subject key identifier.
    KeyId(Range<usize>),
}

/// The signing certificate attribute: which certificate signed [RFC 5035 §3, RFC 2634 §5.4].
#[derive(Clone, Debug)]
enum CertificateHash {
    /// `ESSCertIDv2`.
    V2(HashAlgorithm, Range<usize>),
    /// `ESSCertID`: SHA-1.
    V1(Range<usize>),
}

impl Timestamp {
    /// Reads a DER `TimeStampResp` that grants a token.
    ///
    /// # Errors
    /// [`Error::Timestamp`] when malformed, refused by the authority, or not a token with exactly one signer and the
    /// attributes of [RFC 3161 §2.4.2]; [`Error::TooLarge`] beyond the budget.
    pub fn from_der(der: &[u8], budget: &Budget) -> Result<Self, Error> {
        if der.len() > budget.timestamp_bytes {
            return Err(Error::TooLarge {
                what: "timestamp",
                limit: budget.timestamp_bytes,
            });
        }
        reading::read_response(der)
    }

    /// When the authority says it saw the message; whole seconds, a fraction is cut off.
    #[must_use]
    pub fn at(&self) -> UnixTime {
        self.at
    }

    /// Digest of the stamped message.
    #[must_use]
    pub fn imprint(&self) -> &Digest {
        &self.imprint
    }

    /// The request's nonce, big-endian content octets; none when the request had none.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// Checks that this token stamps `message`.
    ///
    /// # Errors
    /// [`Error::TimestampImprint`] when it stamps something else.
    pub fn check_imprint(&self, message: &[u8]) -> Result<(), Error> {
        if self.imprint.algorithm().digest(message) == self.imprint {
            Ok(())
        } else {
            Err(Error::TimestampImprint)
        }
    }

    /// Whether the token names this certificate as its signer's.
    pub(crate) fn names(&self, certificate: &Certificate) -> bool {
        match &self.signer.id {
            SignerId::IssuerAndSerial { issuer, serial } => {
                self.slice(issuer) == certificate.issuer_and_subject().0 && self.slice(serial) == certificate.serial()
            }
            SignerId::KeyId(id) => certificate.subject_key_id() == Some(self.slice(id)),
        }
    }

    /// The certificates that came along, DER.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(|range| self.slice(range))
    }

    /// Checks the token's signature by this certificate, which the signing certificate attribute must name.
    ///
    /// # Errors
    /// [`Error::TimestampSignature`].
    pub(crate) fn verify_signature(&self, certificate: &Certificate) -> Result<(), Error> {
        let signer = &self.signer;
        let named = match &signer.certificate_hash {
            CertificateHash::V2(algorithm, hash) => certificate.digest(*algorithm).as_bytes() == self.slice(hash),
            CertificateHash::V1(hash) => sha1(certificate.der()).as_ref() == self.slice(hash),
        };
        let content = signer.digest.digest(self.slice(&self.content));
        if !named || content.as_bytes() != self.slice(&signer.message_digest) {
            return Err(Error::TimestampSignature);
        }
        let scheme = signer.scheme.ok_or(Error::TimestampSignature)?;
        // [RFC 5652 §5.4] the signature covers the attributes as a SET OF, not with their implicit tag.
        let mut message = self.slice(&signer.attributes).to_vec();
        if let Some(tag) = message.first_mut() {
            *tag = SET_TAG;
        }
        certificate
            .public_key()
            .verify(scheme, &message, self.slice(&signer.signature))
            .map_err(|_| Error::TimestampSignature)
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

/// Only to compare with what older authorities sign: the hash names a certificate whose key is checked anyway.
fn sha1(message: &[u8]) -> impl AsRef<[u8]> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, message)
}

/// SET OF, constructed.
const SET_TAG: u8 = 0x31;
