//! Requests for timestamps, in DER [RFC 3161 §2.4.1] and in the JSON form that sigstore-js sends.

use base64::{Engine as _, engine::general_purpose};
use der::{
    Any, Decode as _,
    asn1::{Int, ObjectIdentifier, OctetString},
};
use serde::Deserialize;
use spki::AlgorithmIdentifierOwned;
use verify::{
    HashAlgorithm, json,
    timestamp::{MessageImprint, TimeStampReq},
};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    /// Not a `TimeStampReq` of version 1.
    #[error("not a DER TimeStampReq of version 1")]
    Der,
    /// Not the JSON form.
    #[error("not a JSON timestamp request: {0}")]
    Json(verify::Error),
    /// A member of the JSON form is not base64 or out of range.
    #[error("member `{0}` is malformed")]
    Member(&'static str),
    /// Neither `application/timestamp-query` nor `application/json`.
    #[error("content type is neither application/timestamp-query nor application/json")]
    ContentType,
    /// SHA-1 or MD5.
    #[error("hash algorithm is weak")]
    WeakHash,
    /// A hash that nobody here knows.
    #[error("hash algorithm is not SHA-256, SHA-384 or SHA-512")]
    UnknownHash,
    /// The digest has another length than its algorithm.
    #[error("digest has {found} bytes instead of {expected}")]
    DigestLength {
        /// Length of the algorithm.
        expected: usize,
        /// Length found.
        found: usize,
    },
    /// Another policy than ours.
    #[error("policy is not {POLICY}")]
    Policy,
    /// Extensions, of which none is known.
    #[error("request has extensions")]
    Extensions,
    /// A nonce of more bytes than any client sends.
    #[error("nonce is longer than {MAX_NONCE_BYTES} bytes")]
    Nonce,
}

impl RequestError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Der => "tsa-request-der",
            Self::Json(_) => "tsa-request-json",
            Self::Member(_) => "tsa-request-member",
            Self::ContentType => "tsa-content-type",
            Self::WeakHash => "tsa-weak-hash",
            Self::UnknownHash => "tsa-unknown-hash",
            Self::DigestLength { .. } => "tsa-digest-length",
            Self::Policy => "tsa-policy",
            Self::Extensions => "tsa-extensions",
            Self::Nonce => "tsa-nonce",
        }
    }

    /// The public implementation's message.
    #[must_use]
    pub(crate) const fn message(&self) -> &'static str {
        match self {
            Self::Der | Self::Json(_) | Self::Member(_) | Self::Nonce => "Error parsing timestamp request",
            Self::ContentType => "unsupported content type",
            Self::WeakHash => "Weak hash algorithm in timestamp request",
            Self::UnknownHash => "Unsupported hash algorithm in timestamp request",
            Self::DigestLength { .. } => "Message digest has incorrect length for specified algorithm",
            Self::Policy => "Requested policy is not supported",
            Self::Extensions => "Requested extension is not supported",
        }
    }
}

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StampRequest {
    /// What to stamp; the algorithm with NULL parameters.
    pub(crate) imprint: MessageImprint,
    /// To be echoed.
    pub(crate) nonce: Option<Int>,
    /// Whether the signer's certificate is wanted.
    pub(crate) certificate_wanted: bool,
}

impl StampRequest {
    /// Reads a DER request.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(crate) fn from_der(bytes: &[u8]) -> Result<Self, RequestError> {
        let request = TimeStampReq::from_der(bytes).map_err(|_| RequestError::Der)?;
        if request.version != 1 {
            return Err(RequestError::Der);
        }
        if request.req_policy.is_some_and(|policy| policy != POLICY) {
            return Err(RequestError::Policy);
        }
        if request.extensions.is_some_and(|extensions| !extensions.is_empty()) {
            return Err(RequestError::Extensions);
        }
        if request
            .nonce
            .as_ref()
            .is_some_and(|nonce| nonce.as_bytes().len() > MAX_NONCE_BYTES)
        {
            return Err(RequestError::Nonce);
        }
        let algorithm = &request.message_imprint.hash_algorithm;
        let plain = algorithm.parameters.as_ref().is_none_or(Any::is_null);
        if !plain {
            return Err(RequestError::UnknownHash);
        }
        let hash = hash_of(algorithm.oid)?;
        Ok(Self {
            imprint: imprint(hash, request.message_imprint.hashed_message.as_bytes())?,
            nonce: request.nonce,
            certificate_wanted: request.cert_req,
        })
    }

    /// Reads a JSON request, at most 1 KiB.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, RequestError> {
        let wire: Wire = json::parse_as(bytes, "timestamp request", MAX_JSON_BYTES, 4).map_err(RequestError::Json)?;
        let hash = match wire.hash_algorithm.to_ascii_lowercase().as_str() {
            "sha256" => HashAlgorithm::Sha256,
            "sha384" => HashAlgorithm::Sha384,
            "sha512" => HashAlgorithm::Sha512,
            "sha1" | "md5" => return Err(RequestError::WeakHash),
            _ => return Err(RequestError::UnknownHash),
        };
        let policy = wire.tsa_policy_oid.filter(|policy| !policy.is_empty());
        if policy.is_some_and(|policy| policy != POLICY.to_string()) {
            return Err(RequestError::Policy);
        }
        let digest = general_purpose::STANDARD
            .decode(&wire.artifact_hash)
            .map_err(|_| RequestError::Member("artifactHash"))?;
        let nonce = wire.nonce.filter(|nonce| *nonce != 0).map(nonce).transpose()?;
        Ok(Self {
            imprint: imprint(hash, &digest)?,
            nonce,
            certificate_wanted: wire.certificates.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    artifact_hash: String,
    hash_algorithm: String,
    certificates: Option<bool>,
    nonce: Option<i64>,
    #[serde(rename = "tsaPolicyOID")]
    tsa_policy_oid: Option<String>,
}

/// A minimal big-endian two's complement INTEGER.
fn nonce(value: i64) -> Result<Int, RequestError> {
    let bytes = value.to_be_bytes();
    let redundant =
        |pair: &[u8]| matches!(pair, [0, next] if *next < 0x80) || matches!(pair, [0xff, next] if *next >= 0x80);
    let skip = bytes.windows(2).take_while(|pair| redundant(pair)).count();
    Int::new(bytes.get(skip..).unwrap_or(&bytes)).map_err(|_| RequestError::Member("nonce"))
}

fn imprint(hash: HashAlgorithm, digest: &[u8]) -> Result<MessageImprint, RequestError> {
    let (expected, found) = (hash.len(), digest.len());
    if expected != found {
        return Err(RequestError::DigestLength { expected, found });
    }
    Ok(MessageImprint {
        hash_algorithm: AlgorithmIdentifierOwned {
            oid: oid_of(hash),
            parameters: Some(Any::null()),
        },
        hashed_message: OctetString::new(digest).map_err(|_| RequestError::Der)?,
    })
}

fn hash_of(oid: ObjectIdentifier) -> Result<HashAlgorithm, RequestError> {
    let known = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
    if [SHA1, MD5].contains(&oid) {
        return Err(RequestError::WeakHash);
    }
    let found = known.into_iter().find(|hash| oid_of(*hash) == oid);
    found.ok_or(RequestError::UnknownHash)
}

const fn oid_of(hash: HashAlgorithm) -> ObjectIdentifier {
    match hash {
        HashAlgorithm::Sha256 => SHA256,
        HashAlgorithm::Sha384 => SHA384,
        HashAlgorithm::Sha512 => SHA512,
    }
}

/// The one policy of Sigstore's timestamp authorities.
pub(crate) const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2");
/// `id-sha256` [RFC 5754 §2.2].
pub(crate) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const MD5: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.5");
/// The public implementation's bound.
const MAX_JSON_BYTES: usize = 1024;
/// Clients send 8 to 20.
const MAX_NONCE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use der::Encode as _;
    use x509_cert::ext::Extension;

    use super::*;

    fn request() -> TimeStampReq {
        TimeStampReq {
            version: 1,
            message_imprint: imprint(HashAlgorithm::Sha256, &[7; 32]).unwrap(),
            req_policy: None,
            nonce: Some(nonce(300).unwrap()),
            cert_req: true,
            extensions: None,
        }
    }

    fn refusal(edit: impl FnOnce(&mut TimeStampReq)) -> RequestError {
        let mut edited = request();
        StampRequest::from_der(&edited.to_der().unwrap()).unwrap();
        edit(&mut edited);
        StampRequest::from_der(&edited.to_der().unwrap()).unwrap_err()
    }

    #[test]
    fn a_missing_null_parameter_is_the_same_request() {
        let with = StampRequest::from_der(&request().to_der().unwrap()).unwrap();
        let mut without = request();
        without.message_imprint.hash_algorithm.parameters = None;
        assert_eq!(StampRequest::from_der(&without.to_der().unwrap()).unwrap(), with);
        assert!(with.certificate_wanted);
    }

    #[test]
    fn each_fault_is_told_apart() {
        assert_eq!(refusal(|r| r.version = 2), RequestError::Der);
        assert_eq!(refusal(|r| r.req_policy = Some(SHA1)), RequestError::Policy);
        assert_eq!(
            refusal(|r| r.message_imprint.hash_algorithm.oid = SHA1),
            RequestError::WeakHash
        );
        assert_eq!(
            refusal(|r| r.message_imprint.hash_algorithm.oid = POLICY),
            RequestError::UnknownHash
        );
        let short = RequestError::DigestLength {
            expected: 32,
            found: 20,
        };
        assert_eq!(
            refusal(|r| r.message_imprint.hashed_message = OctetString::new([1; 20]).unwrap()),
            short
        );
        assert_eq!(
            refusal(|r| r.nonce = Some(Int::new(&[1; 65]).unwrap())),
            RequestError::Nonce
        );
        let extension = Extension {
            extn_id: POLICY,
            critical: false,
            extn_value: OctetString::new([0]).unwrap(),
        };
        assert_eq!(
            refusal(|r| r.extensions = Some(vec![extension])),
            RequestError::Extensions
        );
        let mut trailing = request().to_der().unwrap();
        trailing.push(0);
        assert_eq!(StampRequest::from_der(&trailing).unwrap_err(), RequestError::Der);
    }

    #[test]
    fn the_json_form_of_sigstore_js_is_read() {
        let text = r#"{"artifactHash":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=","hashAlgorithm":"sha256"}"#;
        let read = StampRequest::from_json(text.as_bytes()).unwrap();
        assert_eq!(read.imprint, request().message_imprint);
        assert!(!read.certificate_wanted);
        let refusal = |from: &str, to: &str| StampRequest::from_json(text.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(refusal("sha256", "sha1"), RequestError::WeakHash);
        assert_eq!(refusal("sha256", "sha3"), RequestError::UnknownHash);
        assert_eq!(refusal("BwcH", "*"), RequestError::Member("artifactHash"));
        assert_eq!(
            refusal("BwcH", ""),
            RequestError::DigestLength { expected: 32, found: 2 }
        );
        let policy = r#""sha256","tsaPolicyOID":"1.2.3""#;
        assert_eq!(refusal(r#""sha256""#, policy), RequestError::Policy);
        assert!(matches!(refusal("}", ",\"nonce\":1e30}"), RequestError::Json(_)));
    }

    #[test]
    fn nonces_are_minimal_integers() {
        for (value, bytes) in [
            (1, vec![1]),
            (128, vec![0, 128]),
            (-1, vec![0xff]),
            (-129, vec![0xff, 0x7f]),
        ] {
            assert_eq!(nonce(value).unwrap(), Int::new(&bytes).unwrap());
        }
    }
}
