//! RFC 3161 timestamps: the ASN.1 of requests and responses, and their verification.

use der::{
    Sequence,
    asn1::{BitString, GeneralizedTime, Int, ObjectIdentifier, OctetString},
};
use x509_cert::{
    ext::{Extensions, pkix::name::GeneralName},
    spki::AlgorithmIdentifierOwned,
};

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
