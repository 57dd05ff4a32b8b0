//! Proposed entries of the v1 API: `hashedrekord` and `dsse` 0.0.1, `intoto` 0.0.2, with PEM verifiers re-encoded (LF, 64 columns).
//!
//! Some clients send PEM with CRLF; stored as it came it cannot be compared by the others.

use serde_json::Value;
use verify::{
    Budget, Digest, HashAlgorithm, PublicKey,
    certificate::Certificate,
    dsse,
    entry::{DsseV001, Entry, HashedRekordV001, IntotoSignature, IntotoV002},
    key::{KeyKind, SignatureScheme},
};

use super::{
    fields::{self, Fields},
    request::{BODY_LIMIT_BYTES, RequestError, check_counts, decode_text, has_duplicate},
};

/// A checked proposed entry, as the entry to record.
///
/// # Errors
/// Every variant of [`RequestError`] but the ones that only the transport or the v2 API knows.
pub(super) fn parse_v1(body: &[u8]) -> Result<Entry, RequestError> {
    let limits = Budget::default();
    let value = verify::json::parse(body, "proposed entry", BODY_LIMIT_BYTES, limits.json_depth);
    parse_proposed(value.map_err(RequestError::Json)?, &limits)
}

/// [`parse_v1`] of JSON that is parsed already.
pub(super) fn parse_proposed(value: Value, limits: &Budget) -> Result<Entry, RequestError> {
    let mut proposed = Fields::new(value, "proposed entry")?;
    let version = proposed.string("apiVersion")?.unwrap_or_default();
    let kind = proposed.string("kind")?.unwrap_or_default();
    let spec = proposed.object("spec")?;
    proposed.finish()?;
    let spec = spec.ok_or(RequestError::Missing { field: "spec" })?;
    match (kind.as_str(), version.as_str()) {
        ("hashedrekord", "0.0.1") => hashedrekord(spec, limits),
        ("dsse", "0.0.1") => dsse(spec, limits),
        ("intoto", "0.0.2") => intoto(spec, limits),
        _ => Err(RequestError::Kind),
    }
}

/// A PEM key or certificate: its key, and its text re-encoded.
struct PemVerifier {
    key: PublicKey,
    pem: String,
}

impl PemVerifier {
    fn parse(bytes: &[u8], limits: &Budget) -> Result<Self, RequestError> {
        let text = str::from_utf8(bytes).map_err(|_| RequestError::Verifier)?.trim_ascii();
        if let Ok(key) = PublicKey::from_pem(text) {
            return Ok(Self { pem: key.to_pem(), key });
        }
        let certificate = Certificate::from_pem(text, limits).map_err(|_| RequestError::Verifier)?;
        Ok(Self {
            key: certificate.public_key().clone(),
            pem: certificate.to_pem(),
        })
    }

    /// The scheme of this key over a digest by `algorithm`: v1 clients choose the hash freely. None for Ed25519.
    fn digest_scheme(&self, algorithm: HashAlgorithm) -> Option<SignatureScheme> {
        match self.key.kind() {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => Some(SignatureScheme::Ecdsa(algorithm)),
            KeyKind::Rsa { .. } => Some(SignatureScheme::RsaPkcs1v15(algorithm)),
            KeyKind::Ed25519 | _ => None,
        }
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(self.key.default_scheme(), message, signature).is_ok()
    }
}

fn hashedrekord(mut spec: Fields, limits: &Budget) -> Result<Entry, RequestError> {
    let missing = |field| RequestError::Missing { field };
    let signature_fields = spec.object("signature")?;
    let data = spec.object("data")?;
    spec.finish()?;
    let mut signature_fields = signature_fields.ok_or_else(|| missing("signature"))?;
    let signature = signature_fields.bytes("content")?;
    let key = signature_fields.object("publicKey")?;
    signature_fields.finish()?;
    let mut data = data.ok_or_else(|| missing("data"))?;
    let hash = data.object("hash")?;
    data.finish()?;
    let mut key = key.ok_or_else(|| missing("publicKey"))?;
    let pem = key.bytes("content")?;
    key.finish()?;
    if signature.is_empty() {
        return Err(missing("signature content"));
    }
    let digest = read_hash(hash)?.ok_or_else(|| missing("hash"))?;
    let verifier = PemVerifier::parse(&pem, limits)?;
    let scheme = verifier
        .digest_scheme(digest.algorithm())
        .ok_or(RequestError::Algorithm)?;
    verifier
        .key
        .verify_digest(scheme, &digest, &signature)
        .map_err(|_| RequestError::Signature)?;
    Ok(Entry::HashedRekordV001(HashedRekordV001 {
        digest,
        signature,
        verifier_pem: verifier.pem,
    }))
}

fn dsse(mut spec: Fields, limits: &Budget) -> Result<Entry, RequestError> {
    let proposed = spec.object("proposedContent")?;
    for absent in ["signatures", "envelopeHash", "payloadHash"] {
        if spec.take(absent)?.is_some() {
            return Err(RequestError::Malformed { field: absent });
        }
    }
    spec.finish()?;
    let mut proposed = proposed.ok_or(RequestError::Missing {
        field: "proposedContent",
    })?;
    let text = proposed
        .string("envelope")?
        .ok_or(RequestError::Missing { field: "envelope" })?;
    let verifiers = proposed.array("verifiers")?;
    proposed.finish()?;
    let envelope = Envelope::parse(&text, limits)?;
    check_counts(envelope.signatures.len(), verifiers.len(), limits)?;
    let verifiers = verifiers
        .into_iter()
        .map(|value| PemVerifier::parse(&text_bytes(value, "verifiers")?, limits))
        .collect::<Result<Vec<_>, _>>()?;
    if has_duplicate(&verifiers.iter().map(|verifier| &verifier.pem).collect::<Vec<_>>()) {
        return Err(RequestError::DuplicateVerifier);
    }
    let message = dsse::pae(&envelope.payload_type, &envelope.payload);
    let mut signatures = Vec::new();
    for signature in &envelope.signatures {
        let signer = verifiers.iter().find(|verifier| verifier.signed(&message, signature));
        let signer = signer.ok_or(RequestError::Signature)?;
        signatures.push((fields::encode(signature), signer.pem.clone()));
    }
    signatures.sort();
    Ok(Entry::DsseV001(DsseV001 {
        envelope_hash: HashAlgorithm::Sha256.digest(text.as_bytes()),
        payload_hash: HashAlgorithm::Sha256.digest(&envelope.payload),
        signatures,
    }))
}

fn intoto(mut spec: Fields, limits: &Budget) -> Result<Entry, RequestError> {
    let missing = |field| RequestError::Missing { field };
    let mut content = spec.object("content")?.ok_or_else(|| missing("content"))?;
    spec.finish()?;
    let envelope = content.object("envelope")?;
    let stated_hash = read_hash(content.object("hash")?)?;
    let stated_payload_hash = read_hash(content.object("payloadHash")?)?;
    content.finish()?;
    let mut envelope = envelope.ok_or_else(|| missing("envelope"))?;
    let payload_type = envelope.string("payloadType")?.ok_or_else(|| missing("payloadType"))?;
    let payload = decode_text(&envelope.bytes("payload")?, "payload")?;
    let signatures = envelope.array("signatures")?;
    envelope.finish()?;
    check_counts(signatures.len(), signatures.len(), limits)?;
    let signatures = signatures
        .into_iter()
        .map(|value| intoto_signature(value, limits))
        .collect::<Result<Vec<_>, _>>()?;
    let message = dsse::pae(&payload_type, &payload);
    if !signatures
        .iter()
        .all(|(signature, verifier, _)| verifier.signed(&message, &signature.signature))
    {
        return Err(RequestError::Signature);
    }
    let payload_hash = HashAlgorithm::Sha256.digest(&payload);
    if stated_payload_hash.is_some_and(|stated| stated != payload_hash) {
        return Err(RequestError::PayloadHash);
    }
    // Rekor records the envelope hash that the client states, and no verifier reads it; without one, the hash of the
    // canonical envelope, as clients compute it.
    let envelope_hash = match stated_hash {
        Some(stated) if stated.algorithm() == HashAlgorithm::Sha256 => stated,
        Some(_) => return Err(RequestError::Malformed { field: "hash" }),
        None => envelope_hash(&payload_type, &payload, &signatures)?,
    };
    let signatures = signatures.into_iter().map(|(signature, _, _)| signature).collect();
    Ok(Entry::IntotoV002(IntotoV002 {
        payload_type,
        envelope_hash,
        payload_hash,
        signatures,
    }))
}

/// A signature of `intoto` 0.0.2, its verifier, and the verifier's text as it was sent.
fn intoto_signature(value: Value, limits: &Budget) -> Result<(IntotoSignature, PemVerifier, String), RequestError> {
    let mut fields = Fields::new(value, "signatures")?;
    let signature = decode_text(&fields.bytes("sig")?, "sig")?;
    let pem = fields.bytes("publicKey")?;
    let key_id = fields.string("keyid")?.unwrap_or_default();
    fields.finish()?;
    if signature.is_empty() {
        return Err(RequestError::Missing { field: "sig" });
    }
    let verifier = PemVerifier::parse(&pem, limits)?;
    let sent = String::from_utf8(pem).map_err(|_| RequestError::Verifier)?;
    Ok((
        IntotoSignature {
            signature,
            verifier_pem: verifier.pem.clone(),
            key_id,
        },
        verifier,
        sent,
    ))
}

/// SHA-256 of the canonical JSON of the envelope with its keys, as sigstore-js computes it.
fn envelope_hash(
    payload_type: &str,
    payload: &[u8],
    signatures: &[(IntotoSignature, PemVerifier, String)],
) -> Result<Digest, RequestError> {
    let signatures: Vec<Value> = signatures
        .iter()
        .map(|(signature, _, sent)| {
            let mut value = serde_json::json!({"sig": fields::encode(&signature.signature), "publicKey": sent});
            if let Some(members) = value.as_object_mut().filter(|_| !signature.key_id.is_empty()) {
                members.insert("keyid".to_owned(), signature.key_id.clone().into());
            }
            value
        })
        .collect();
    let envelope = serde_json::json!({
        "payloadType": payload_type,
        "payload": fields::encode(payload),
        "signatures": signatures,
    });
    let bytes = verify::json::canonicalize(&envelope).map_err(RequestError::Json)?;
    Ok(HashAlgorithm::Sha256.digest(&bytes))
}

/// An envelope as text inside a request.
struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

impl Envelope {
    fn parse(text: &str, limits: &Budget) -> Result<Self, RequestError> {
        let value = verify::json::parse(text.as_bytes(), "envelope", BODY_LIMIT_BYTES, limits.json_depth);
        let mut fields = Fields::new(value.map_err(RequestError::Json)?, "envelope")?;
        let payload = fields.bytes("payload")?;
        let payload_type = fields
            .string("payloadType")?
            .ok_or(RequestError::Missing { field: "payloadType" })?;
        let signatures = fields.array("signatures")?;
        if signatures.len() > limits.envelope_signatures {
            return Err(RequestError::TooMany {
                what: "signatures",
                limit: limits.envelope_signatures,
            });
        }
        let signatures = signatures
            .into_iter()
            .map(|value| {
                let signature = Fields::new(value, "signatures")?.bytes("sig")?;
                if signature.is_empty() {
                    Err(RequestError::Missing { field: "sig" })
                } else {
                    Ok(signature)
                }
            })
            .collect::<Result<_, RequestError>>()?;
        Ok(Self {
            payload_type,
            payload,
            signatures,
        })
    }
}

fn read_hash(fields: Option<Fields>) -> Result<Option<Digest>, RequestError> {
    let Some(mut fields) = fields else { return Ok(None) };
    let algorithm = fields.string("algorithm")?.unwrap_or_default();
    let value = fields
        .string("value")?
        .ok_or(RequestError::Missing { field: "hash value" })?;
    fields.finish()?;
    let known = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
    let algorithm = known.into_iter().find(|known| known.lowercase_name() == algorithm);
    let algorithm = algorithm.ok_or(RequestError::Malformed {
        field: "hash algorithm",
    })?;
    let bytes = hex::decode(value).map_err(|_| RequestError::Malformed { field: "hash value" })?;
    let wrong = RequestError::DigestLength {
        expected: algorithm.len(),
        found: bytes.len(),
    };
    Digest::from_bytes(algorithm, &bytes).map(Some).map_err(|_| wrong)
}

fn text_bytes(value: Value, field: &'static str) -> Result<Vec<u8>, RequestError> {
    match value {
        Value::String(text) => fields::decode(&text).ok_or(RequestError::Malformed { field }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(RequestError::Malformed { field })
        }
    }
}
