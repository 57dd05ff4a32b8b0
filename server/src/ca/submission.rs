//! The request of `POST /api/v2/signingCert`, as every known client writes it [fulcio.proto, protojson].
//!
//! camelCase and `snake_case` names, nulls and unknown members are tolerated, the `algorithm` of a key is ignored, PEM may have CRLF.

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose};
use der::{
    Any, Decode as _, Encode as _, Sequence,
    asn1::{BitString, ObjectIdentifier},
};
use serde_json::{Map, Value};
use spki::AlgorithmIdentifierOwned;
use verify::{HashAlgorithm, PublicKey, json, key::SignatureScheme};
use zeroize::Zeroizing;

use super::strength::{KeyRefusal, certifiable_key};

/// Why a request cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubmissionError {
    /// The body is not the JSON we expect.
    #[error("malformed request body: {0}")]
    Json(verify::Error),
    /// A member has the wrong type or is not base64.
    #[error("member `{0}` is malformed")]
    Member(&'static str),
    /// Neither a key nor a signing request.
    #[error("the request has neither publicKeyRequest nor certificateSigningRequest")]
    NoKey,
    /// The PKCS #10 request cannot be read.
    #[error("not a PEM PKCS #10 certificate request")]
    SigningRequest,
    /// The key cannot be read or is not certified.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// The key of the signing request cannot be read or is not certified.
    #[error("the certificate request's key: {0}")]
    SigningRequestKey(KeyRefusal),
    /// The proof of possession does not verify.
    #[error("the proof of possession does not verify under the request's key")]
    ProofOfPossession,
}

impl SubmissionError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "ca-request-json",
            Self::Member(_) => "ca-request-member",
            Self::NoKey => "ca-request-no-key",
            Self::SigningRequest => "ca-signing-request",
            Self::Key(refusal) | Self::SigningRequestKey(refusal) => refusal.code(),
            Self::ProofOfPossession => "ca-proof-of-possession",
        }
    }

    /// Fulcio's message for the same refusal.
    #[must_use]
    pub(crate) const fn message(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Member(_) => "The request could not be parsed",
            Self::SigningRequest | Self::SigningRequestKey(KeyRefusal::Unparsable) => {
                "The certificate signing request could not be parsed"
            }
            Self::NoKey | Self::Key(KeyRefusal::Unparsable) => {
                "The public key supplied in the request could not be parsed"
            }
            Self::Key(_) | Self::SigningRequestKey(_) => "The public key supplied in the request is insecure",
            Self::ProofOfPossession => "The signature supplied in the request could not be verified",
        }
    }
}

/// A request, taken apart; key and proof are not looked at yet, so that the token's errors come first.
pub(crate) struct Submission {
    /// The compact token; absent when neither body nor header has one.
    pub(crate) token: Option<Zeroizing<String>>,
    material: Material,
}

enum Material {
    /// PEM text of a PKCS #10 request.
    SigningRequest(Vec<u8>),
    /// PEM text of a key, and the signature over the challenge.
    Key {
        pem: String,
        proof: Vec<u8>,
    },
    None,
}

impl Submission {
    /// Takes a request apart.
    ///
    /// # Errors
    /// [`SubmissionError::Json`], [`SubmissionError::Member`].
    pub(crate) fn from_parts(headers: &HeaderMap, body: &[u8]) -> Result<Self, SubmissionError> {
        let value = json::parse(body, "request body", MAX_BODY_BYTES, MAX_DEPTH).map_err(SubmissionError::Json)?;
        let Value::Object(mut body) = value else {
            return Err(SubmissionError::Member("body"));
        };
        let credentials = object(&mut body, "credentials", "credentials")?;
        let token = match credentials {
            Some(mut credentials) => text(&mut credentials, "oidcIdentityToken", "oidc_identity_token")?,
            None => None,
        };
        let token = token.map(Zeroizing::new).or_else(|| bearer(headers));
        let signing_request = text(&mut body, "certificateSigningRequest", "certificate_signing_request")?;
        let material = match signing_request {
            Some(request) => Material::SigningRequest(base64_text(&request, "certificateSigningRequest")?),
            None => match object(&mut body, "publicKeyRequest", "public_key_request")? {
                Some(request) => key_material(request)?,
                None => Material::None,
            },
        };
        Ok(Self { token, material })
    }

    /// The key to certify, once its holder has shown to have the private half.
    ///
    /// # Errors
    /// [`SubmissionError`], in Fulcio's order: readable, strong, proven.
    pub(crate) fn proven_key(&self, challenge: &str) -> Result<PublicKey, SubmissionError> {
        match &self.material {
            Material::SigningRequest(pem) => proven_by_signing_request(pem),
            Material::Key { pem, proof } => {
                let spki = pem_block(pem.as_bytes(), &["PUBLIC KEY"]).ok_or(KeyRefusal::Unparsable)?;
                let key = certifiable_key(&spki)?;
                key.verify(key.default_scheme(), challenge.as_bytes(), proof)
                    .map_err(|_| SubmissionError::ProofOfPossession)?;
                Ok(key)
            }
            Material::None => Err(SubmissionError::NoKey),
        }
    }
}

fn key_material(mut request: Map<String, Value>) -> Result<Material, SubmissionError> {
    let proof = text(&mut request, "proofOfPossession", "proof_of_possession")?.unwrap_or_default();
    let proof = base64_text(&proof, "proofOfPossession")?;
    let key = object(&mut request, "publicKey", "public_key")?;
    let pem = match key {
        Some(mut key) => text(&mut key, "content", "content")?.unwrap_or_default(),
        None => String::new(),
    };
    Ok(Material::Key { pem, proof })
}

/// Checks the self-signature of a PKCS #10 request; subject and attributes are ignored [RFC 2986 §4.2].
fn proven_by_signing_request(pem: &[u8]) -> Result<PublicKey, SubmissionError> {
    let labels = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
    let der = pem_block(pem, &labels).ok_or(SubmissionError::SigningRequest)?;
    let malformed = |_| SubmissionError::SigningRequest;
    let request = CertificationRequest::from_der(&der).map_err(malformed)?;
    let signed = request.info.to_der().map_err(malformed)?;
    let info = CertificationRequestInfo::from_der(&signed).map_err(malformed)?;
    let spki = info.subject_public_key_info.to_der().map_err(malformed)?;
    let key = certifiable_key(&spki).map_err(SubmissionError::SigningRequestKey)?;
    let scheme = signature_scheme(request.signature_algorithm.oid).ok_or(SubmissionError::ProofOfPossession)?;
    let signature = request.signature.as_bytes().ok_or(SubmissionError::SigningRequest)?;
    key.verify(scheme, &signed, signature)
        .map_err(|_| SubmissionError::ProofOfPossession)?;
    Ok(key)
}

/// ECDSA and RSA PKCS #1 v1.5 with SHA-2, Ed25519 [RFC 5758 §3.2, RFC 4055 §5, RFC 8410 §3].
fn signature_scheme(oid: ObjectIdentifier) -> Option<SignatureScheme> {
    let schemes = [
        ("1.2.840.10045.4.3.2", SignatureScheme::Ecdsa(HashAlgorithm::Sha256)),
        ("1.2.840.10045.4.3.3", SignatureScheme::Ecdsa(HashAlgorithm::Sha384)),
        ("1.2.840.10045.4.3.4", SignatureScheme::Ecdsa(HashAlgorithm::Sha512)),
        (
            "1.2.840.113549.1.1.11",
            SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha256),
        ),
        (
            "1.2.840.113549.1.1.12",
            SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha384),
        ),
        (
            "1.2.840.113549.1.1.13",
            SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha512),
        ),
        ("1.3.101.112", SignatureScheme::Ed25519),
    ];
    let text = oid.to_string();
    schemes
        .into_iter()
        .find(|(known, _)| *known == text)
        .map(|(_, scheme)| scheme)
}

/// The bytes of one PEM block with one of these labels; LF or CRLF, white space around it.
fn pem_block(pem: &[u8], labels: &[&str]) -> Option<Vec<u8>> {
    let (label, der) = der::pem::decode_vec(pem.trim_ascii()).ok()?;
    labels.contains(&label).then_some(der)
}

fn bearer(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Zeroizing::new(token.trim().to_owned()))
}

/// A member under either of its names; null is absent.
fn member(object: &mut Map<String, Value>, camel: &str, snake: &str) -> Option<Value> {
    let value = object.remove(camel).or_else(|| object.remove(snake));
    value.filter(|value| !value.is_null())
}

fn object(
    parent: &mut Map<String, Value>,
    camel: &'static str,
    snake: &str,
) -> Result<Option<Map<String, Value>>, SubmissionError> {
    match member(parent, camel, snake) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(SubmissionError::Member(camel)),
    }
}

/// A non-empty string member.
fn text(parent: &mut Map<String, Value>, camel: &'static str, snake: &str) -> Result<Option<String>, SubmissionError> {
    match member(parent, camel, snake) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(SubmissionError::Member(camel)),
    }
}

/// Standard or URL-safe base64, padded or not, as protojson takes it.
fn base64_text(text: &str, name: &'static str) -> Result<Vec<u8>, SubmissionError> {
    let plain: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    general_purpose::STANDARD_NO_PAD
        .decode(plain)
        .map_err(|_| SubmissionError::Member(name))
}

/// `CertificationRequest` [RFC 2986 §4.2].
#[derive(Sequence)]
struct CertificationRequest {
    info: Any,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// `CertificationRequestInfo` [RFC 2986 §4.1]; attributes are not read.
#[derive(Sequence)]
struct CertificationRequestInfo {
    version: u8,
    subject: Any,
    subject_public_key_info: Any,
    #[asn1(
        context_specific = "0",
        tag_mode = "IMPLICIT",
        constructed = "true",
        optional = "true"
    )]
    attributes: Option<der::asn1::SetOfVec<Any>>,
}

/// Fulcio's limit; the router enforces the same.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;
/// The request has three levels.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::SigningKey;

    const CHALLENGE: &str = "repo:o/r";

    fn request(key: &SigningKey) -> Value {
        json!({
            "credentials": {"oidcIdentityToken": "a.b.c"},
            "publicKeyRequest": {
                "publicKey": {"algorithm": "ECDSA", "content": key.public_key().to_pem()},
                "proofOfPossession": general_purpose::STANDARD.encode(key.sign(CHALLENGE.as_bytes()).unwrap()),
            },
        })
    }

    fn parse(body: &Value) -> Result<Submission, SubmissionError> {
        Submission::from_parts(&HeaderMap::new(), body.to_string().as_bytes())
    }

    fn proven(body: &Value) -> Result<PublicKey, SubmissionError> {
        parse(body)?.proven_key(CHALLENGE)
    }

    #[test]
    fn every_clients_spelling_is_read() {
        let key = SigningKey::generate_p256().unwrap();
        let mut body = request(&key);
        assert_eq!(&proven(&body).unwrap(), key.public_key());
        body["publicKeyRequest"]["publicKey"]["algorithm"] = "".into();
        body["publicKeyRequest"]["publicKey"]["content"] = key.public_key().to_pem().replace('\n', "\r\n").into();
        body["certificateSigningRequest"] = Value::Null;
        body["unknown"] = json!([1]);
        assert_eq!(&proven(&body).unwrap(), key.public_key());
        let inner = &body["publicKeyRequest"];
        let snake = json!({
            "credentials": {"oidc_identity_token": "a.b.c"},
            "public_key_request": {"public_key": inner["publicKey"], "proof_of_possession": inner["proofOfPossession"]},
        });
        assert_eq!(parse(&snake).unwrap().token.unwrap().as_str(), "a.b.c");
        assert_eq!(&proven(&snake).unwrap(), key.public_key());
    }

    #[test]
    fn the_header_serves_when_the_body_has_no_token() {
        let key = SigningKey::generate_ed25519().unwrap();
        let mut body = request(&key);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer d.e.f".parse().unwrap());
        let with = |body: &Value| {
            Submission::from_parts(&headers, body.to_string().as_bytes())
                .unwrap()
                .token
        };
        assert_eq!(with(&body).unwrap().as_str(), "a.b.c");
        body["credentials"] = Value::Null;
        assert_eq!(with(&body).unwrap().as_str(), "d.e.f");
        assert!(parse(&body).unwrap().token.is_none());
    }

    #[test]
    fn a_proof_over_another_challenge_is_refused() {
        for key in [
            SigningKey::generate_p256().unwrap(),
            SigningKey::generate_ed25519().unwrap(),
        ] {
            let submission = parse(&request(&key)).unwrap();
            assert!(submission.proven_key(CHALLENGE).is_ok());
            let refused = submission.proven_key("repo:o/other").unwrap_err();
            assert_eq!(refused, SubmissionError::ProofOfPossession);
        }
    }

    #[test]
    fn a_foreign_key_is_refused() {
        let mut body = request(&SigningKey::generate_p256().unwrap());
        let foreign = SigningKey::generate_p256().unwrap();
        body["publicKeyRequest"]["publicKey"]["content"] = foreign.public_key().to_pem().into();
        assert_eq!(proven(&body).unwrap_err(), SubmissionError::ProofOfPossession);
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let parse_bytes = |bytes: &[u8]| {
            Submission::from_parts(&HeaderMap::new(), bytes)
                .map(|_| ())
                .unwrap_err()
        };
        assert_eq!(parse_bytes(deep.as_bytes()).code(), "ca-request-json");
        assert_eq!(parse_bytes(b"").code(), "ca-request-json");
        assert_eq!(parse_bytes(b"[]").code(), "ca-request-member");
        assert_eq!(parse_bytes(br#"{"credentials":1}"#).code(), "ca-request-member");
        assert_eq!(
            parse_bytes(br#"{"certificateSigningRequest":"*"}"#).code(),
            "ca-request-member"
        );
        assert_eq!(proven(&json!({})).unwrap_err(), SubmissionError::NoKey);
        let empty = json!({"publicKeyRequest": {"publicKey": {}}});
        assert_eq!(
            proven(&empty).unwrap_err(),
            SubmissionError::Key(KeyRefusal::Unparsable)
        );
        let request = json!({"certificateSigningRequest": general_purpose::STANDARD.encode("no PEM")});
        assert_eq!(proven(&request).unwrap_err(), SubmissionError::SigningRequest);
    }
}
