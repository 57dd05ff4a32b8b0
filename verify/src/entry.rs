//! Canonical bodies of log entries: Rekor v2 `hashedrekord` and `dsse` 0.0.2; Rekor v1 `hashedrekord` and `dsse` 0.0.1, `intoto` 0.0.2.
//!
//! A v2 log canonicalizes what it stores [RFC 8785], so a v2 body must be its own canonical form. A v1 body is read for
//! what it says: members unknown to this reader are left alone, since years of honest entries carry them.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::json;

use crate::{Budget, Digest, Error, HashAlgorithm, base64_text::STANDARD, json, key::KeyDetails};

/// A log entry's body, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// Rekor v2, the current kind.
    HashedRekordV002(HashedRekordV002),
    /// Rekor v1.
    HashedRekordV001(HashedRekordV001),
    /// Rekor v1 DSSE.
    DsseV001(DsseV001),
    /// Rekor v1 in-toto.
    IntotoV002(IntotoV002),
    /// Rekor v2 DSSE, retired; read only.
    DsseV002(DsseV002),
}

/// The key or certificate an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryVerifier {
    /// DER `SubjectPublicKeyInfo`.
    PublicKey(Vec<u8>),
    /// DER certificate.
    Certificate(Vec<u8>),
}

/// `hashedrekord` 0.0.2: a digest (of an artifact, or of a DSSE PAE) and a signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRekordV002 {
    /// The signed digest.
    pub digest: Digest,
    /// The signature bytes.
    pub signature: Vec<u8>,
    /// As the client stated.
    pub key_details: KeyDetails,
    /// Who signed.
    pub verifier: EntryVerifier,
}

/// `hashedrekord` 0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRekordV001 {
    /// The signed digest.
    pub digest: Digest,
    /// The signature bytes.
    pub signature: Vec<u8>,
    /// PEM key or certificate, re-encoded: LF, 64 columns.
    pub verifier_pem: String,
}

/// `dsse` 0.0.1: digests of an envelope and its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsseV001 {
    /// SHA-256 of the envelope JSON as it was received.
    pub envelope_hash: Digest,
    /// SHA-256 of the payload.
    pub payload_hash: Digest,
    /// Base64 signature and PEM verifier, in ascending order of the base64 text.
    pub signatures: Vec<(String, String)>,
}

/// `intoto` 0.0.2: an envelope without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntotoV002 {
    /// Payload type of the envelope.
    pub payload_type: String,
    /// SHA-256 of the envelope as Rekor v1 canonicalizes it.
    pub envelope_hash: Digest,
    /// SHA-256 of the payload.
    pub payload_hash: Digest,
    /// Doubly base64-encoded signature, base64 PEM verifier, key id.
    pub signatures: Vec<IntotoSignature>,
}

/// A signature inside `intoto` 0.0.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntotoSignature {
    /// The signature bytes, after both base64 layers.
    pub signature: Vec<u8>,
    /// PEM key or certificate.
    pub verifier_pem: String,
    /// Key id, empty when absent.
    pub key_id: String,
}

/// `dsse` 0.0.2: payload digest and signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsseV002 {
    /// SHA-256 of the payload.
    pub payload_hash: Digest,
    /// Signature, stated key details, verifier.
    pub signatures: Vec<(Vec<u8>, KeyDetails, EntryVerifier)>,
}

impl Entry {
    /// Reads a canonicalized body.
    ///
    /// # Errors
    /// [`Error::Entry`] when kind, version or shape is unknown, or a v2 body is not its own canonical form;
    /// [`Error::TooMany`] signatures; [`Error::TooLarge`], [`Error::TooDeep`] and [`Error::Json`] of the JSON.
    pub fn parse(body: &[u8], budget: &Budget) -> Result<Self, Error> {
        let value = json::parse(body, WHAT, budget.entry_bytes, budget.json_depth)?;
        let wire: wire::Entry = serde_json::from_value(value).map_err(|_| Error::Entry)?;
        let entry = match (wire.kind.as_str(), wire.api_version.as_str()) {
            ("hashedrekord", "0.0.2") => hashed_rekord_v002(wire.spec),
            ("hashedrekord", "0.0.1") => hashed_rekord_v001(wire.spec),
            ("dsse", "0.0.1") => dsse_v001(wire.spec, budget.envelope_signatures),
            ("intoto", "0.0.2") => intoto_v002(wire.spec, budget.envelope_signatures),
            ("dsse", "0.0.2") => dsse_v002(wire.spec, budget.envelope_signatures),
            _ => Err(Error::Entry),
        }?;
        let canonicalized = matches!(entry, Self::HashedRekordV002(_) | Self::DsseV002(_));
        if canonicalized && entry.to_body() != body {
            return Err(Error::Entry);
        }
        Ok(entry)
    }

    /// The canonical body [RFC 8785]: the bytes of the leaf.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        let spec = match self {
            Self::HashedRekordV002(entry) => entry.to_spec(),
            Self::HashedRekordV001(entry) => entry.to_spec(),
            Self::DsseV001(entry) => entry.to_spec(),
            Self::IntotoV002(entry) => entry.to_spec(),
            Self::DsseV002(entry) => entry.to_spec(),
        };
        let (kind, version) = (self.kind(), self.kind_version());
        format!(r#"{{"apiVersion":"{version}","kind":"{kind}","spec":{spec}}}"#).into_bytes()
    }

    /// `hashedrekord`, `dsse` or `intoto`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::HashedRekordV002(_) | Self::HashedRekordV001(_) => "hashedrekord",
            Self::DsseV001(_) | Self::DsseV002(_) => "dsse",
            Self::IntotoV002(_) => "intoto",
        }
    }

    /// `0.0.1` or `0.0.2`.
    #[must_use]
    pub const fn kind_version(&self) -> &'static str {
        match self {
            Self::HashedRekordV002(_) | Self::IntotoV002(_) | Self::DsseV002(_) => "0.0.2",
            Self::HashedRekordV001(_) | Self::DsseV001(_) => "0.0.1",
        }
    }
}

impl HashedRekordV002 {
    /// The JSON of `POST /api/v2/log/entries`: `{"hashedRekordRequestV002": …}`.
    #[must_use]
    pub fn to_request(&self) -> serde_json::Value {
        let (member, der) = self.verifier.member();
        json!({"hashedRekordRequestV002": {
            "digest": STANDARD.encode(self.digest.as_bytes()),
            "signature": {
                "content": STANDARD.encode(&self.signature),
                "verifier": {member: {"rawBytes": STANDARD.encode(der)}, "keyDetails": self.key_details.as_str()},
            },
        }})
    }

    fn to_spec(&self) -> String {
        format!(
            r#"{{"hashedRekordV002":{{"data":{{"algorithm":"{}","digest":"{}"}},"signature":{}}}}}"#,
            self.digest.algorithm().protobuf_name(),
            STANDARD.encode(self.digest.as_bytes()),
            signature_v002(&self.signature, self.key_details, &self.verifier),
        )
    }
}

impl HashedRekordV001 {
    fn to_spec(&self) -> String {
        format!(
            r#"{{"data":{{"hash":{}}},"signature":{{"content":"{}","publicKey":{{"content":"{}"}}}}}}"#,
            hash_v001(&self.digest),
            STANDARD.encode(&self.signature),
            STANDARD.encode(&self.verifier_pem),
        )
    }
}

impl DsseV001 {
    fn to_spec(&self) -> String {
        let signatures = self.signatures.iter().map(|(signature, verifier_pem)| {
            let verifier = STANDARD.encode(verifier_pem);
            format!(r#"{{"signature":{},"verifier":"{verifier}"}}"#, json::quote(signature))
        });
        format!(
            r#"{{"envelopeHash":{},"payloadHash":{},"signatures":[{}]}}"#,
            hash_v001(&self.envelope_hash),
            hash_v001(&self.payload_hash),
            signatures.collect::<Vec<_>>().join(","),
        )
    }
}

impl IntotoV002 {
    fn to_spec(&self) -> String {
        let signatures = self.signatures.iter().map(|signature| {
            let key_id = if signature.key_id.is_empty() {
                String::new()
            } else {
                format!(r#""keyid":{},"#, json::quote(&signature.key_id))
            };
            let verifier = STANDARD.encode(&signature.verifier_pem);
            let doubly = STANDARD.encode(STANDARD.encode(&signature.signature));
            format!(r#"{{{key_id}"publicKey":"{verifier}","sig":"{doubly}"}}"#)
        });
        format!(
            r#"{{"content":{{"envelope":{{"payloadType":{},"signatures":[{}]}},"hash":{},"payloadHash":{}}}}}"#,
            json::quote(&self.payload_type),
            signatures.collect::<Vec<_>>().join(","),
            hash_v001(&self.envelope_hash),
            hash_v001(&self.payload_hash),
        )
    }
}

impl DsseV002 {
    fn to_spec(&self) -> String {
        let signatures = self
            .signatures
            .iter()
            .map(|(signature, details, verifier)| signature_v002(signature, *details, verifier));
        format!(
            r#"{{"dsseV002":{{"payloadHash":{{"algorithm":"{}","digest":"{}"}},"signatures":[{}]}}}}"#,
            self.payload_hash.algorithm().protobuf_name(),
            STANDARD.encode(self.payload_hash.as_bytes()),
            signatures.collect::<Vec<_>>().join(","),
        )
    }
}

impl EntryVerifier {
    /// The member's name in JSON, and the DER.
    fn member(&self) -> (&'static str, &[u8]) {
        match self {
            Self::PublicKey(der) => ("publicKey", der),
            Self::Certificate(der) => ("x509Certificate", der),
        }
    }
}

/// What a v1 log signs as its promise: canonical JSON of body, integratedTime, logID (hex) and logIndex. `body` is raw, not base64.
#[must_use]
pub fn signed_entry_timestamp_payload(body: &[u8], integrated_time: i64, log_id: &[u8; 32], log_index: u64) -> Vec<u8> {
    let mut payload = String::with_capacity(body.len().saturating_mul(4).div_ceil(3).saturating_add(200));
    payload.push_str(r#"{"body":""#);
    STANDARD.encode_string(body, &mut payload);
    let log_id = hex::encode(log_id);
    let rest = format!(r#"","integratedTime":{integrated_time},"logID":"{log_id}","logIndex":{log_index}}}"#);
    payload.push_str(&rest);
    payload.into_bytes()
}

fn signature_v002(signature: &[u8], details: KeyDetails, verifier: &EntryVerifier) -> String {
    let (member, der) = verifier.member();
    format!(
        r#"{{"content":"{}","verifier":{{"keyDetails":"{}","{member}":{{"rawBytes":"{}"}}}}}}"#,
        STANDARD.encode(signature),
        details.as_str(),
        STANDARD.encode(der),
    )
}

fn hash_v001(digest: &Digest) -> String {
    let (algorithm, value) = (digest.algorithm().lowercase_name(), hex::encode(digest.as_bytes()));
    format!(r#"{{"algorithm":"{algorithm}","value":"{value}"}}"#)
}

fn hashed_rekord_v002(spec: serde_json::Value) -> Result<Entry, Error> {
    let spec: wire::HashedRekordV002 = shape(spec)?;
    let body = spec.hashed_rekord_v002;
    let (signature, key_details, verifier) = body.signature.read()?;
    Ok(Entry::HashedRekordV002(HashedRekordV002 {
        digest: body.data.read()?,
        signature,
        key_details,
        verifier,
    }))
}

fn dsse_v002(spec: serde_json::Value, limit: usize) -> Result<Entry, Error> {
    let body = shape::<wire::DsseV002>(spec)?.dsse_v002;
    let signatures = bounded(body.signatures, limit)?;
    Ok(Entry::DsseV002(DsseV002 {
        payload_hash: body.payload_hash.read()?,
        signatures: signatures
            .into_iter()
            .map(wire::SignatureV002::read)
            .collect::<Result<_, _>>()?,
    }))
}

fn hashed_rekord_v001(spec: serde_json::Value) -> Result<Entry, Error> {
    let spec: wire::HashedRekordV001 = shape(spec)?;
    Ok(Entry::HashedRekordV001(HashedRekordV001 {
        digest: spec.data.hash.read()?,
        signature: decode(&spec.signature.content)?,
        verifier_pem: decode_text(&spec.signature.public_key.content)?,
    }))
}

fn dsse_v001(spec: serde_json::Value, limit: usize) -> Result<Entry, Error> {
    let spec: wire::DsseV001 = shape(spec)?;
    let signatures = bounded(spec.signatures, limit)?;
    Ok(Entry::DsseV001(DsseV001 {
        envelope_hash: spec.envelope_hash.read()?,
        payload_hash: spec.payload_hash.read()?,
        signatures: signatures
            .into_iter()
            .map(|signature| Ok((signature.signature, decode_text(&signature.verifier)?)))
            .collect::<Result<_, Error>>()?,
    }))
}

fn intoto_v002(spec: serde_json::Value, limit: usize) -> Result<Entry, Error> {
    let content = shape::<wire::IntotoV002>(spec)?.content;
    let signatures = bounded(content.envelope.signatures, limit)?;
    let read = |signature: wire::IntotoSignature| {
        Ok(IntotoSignature {
            signature: decode(&decode_text(&signature.sig)?)?,
            verifier_pem: decode_text(&signature.public_key)?,
            key_id: signature.keyid,
        })
    };
    Ok(Entry::IntotoV002(IntotoV002 {
        payload_type: content.envelope.payload_type,
        envelope_hash: content.hash.read()?,
        payload_hash: content.payload_hash.read()?,
        signatures: signatures.into_iter().map(read).collect::<Result<_, Error>>()?,
    }))
}

fn shape<T: serde::de::DeserializeOwned>(spec: serde_json::Value) -> Result<T, Error> {
    serde_json::from_value(spec).map_err(|_| Error::Entry)
}

/// At least one item, at most `limit`.
fn bounded<T>(items: Vec<T>, limit: usize) -> Result<Vec<T>, Error> {
    if items.is_empty() {
        return Err(Error::Entry);
    }
    if items.len() > limit {
        return Err(Error::TooMany {
            what: "signatures in a log entry",
            limit,
        });
    }
    Ok(items)
}

/// Canonical base64 of at least one byte.
fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let bytes = STANDARD.decode(text).map_err(|_| Error::Entry)?;
    if bytes.is_empty() { Err(Error::Entry) } else { Ok(bytes) }
}

fn decode_text(text: &str) -> Result<String, Error> {
    String::from_utf8(decode(text)?).map_err(|_| Error::Entry)
}

const WHAT: &str = "log entry";

/// The shapes on the wire.
mod wire {
    use super::{Deserialize, Digest, EntryVerifier, Error, HashAlgorithm, KeyDetails, decode};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub(super) struct Entry {
        pub api_version: String,
        pub kind: String,
        pub spec: serde_json::Value,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct HashedRekordV002 {
        #[serde(rename = "hashedRekordV002")]
        pub hashed_rekord_v002: HashedRekordV002Body,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct HashedRekordV002Body {
        pub data: HashV002,
        pub signature: SignatureV002,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct DsseV002 {
        #[serde(rename = "dsseV002")]
        pub dsse_v002: DsseV002Body,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub(super) struct DsseV002Body {
        pub payload_hash: HashV002,
        pub signatures: Vec<SignatureV002>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct HashV002 {
        algorithm: String,
        digest: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct SignatureV002 {
        content: String,
        verifier: VerifierV002,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct VerifierV002 {
        key_details: String,
        public_key: Option<RawBytes>,
        x509_certificate: Option<RawBytes>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct RawBytes {
        raw_bytes: String,
    }

    #[derive(Deserialize)]
    pub(super) struct HashedRekordV001 {
        pub data: DataV001,
        pub signature: SignatureV001,
    }

    #[derive(Deserialize)]
    pub(super) struct DataV001 {
        pub hash: HashV001,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct SignatureV001 {
        pub content: String,
        pub public_key: ContentV001,
    }

    #[derive(Deserialize)]
    pub(super) struct ContentV001 {
        pub content: String,
    }

    #[derive(Deserialize)]
    pub(super) struct HashV001 {
        algorithm: String,
        value: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct DsseV001 {
        pub envelope_hash: HashV001,
        pub payload_hash: HashV001,
        pub signatures: Vec<DsseSignatureV001>,
    }

    #[derive(Deserialize)]
    pub(super) struct DsseSignatureV001 {
        pub signature: String,
        pub verifier: String,
    }

    #[derive(Deserialize)]
    pub(super) struct IntotoV002 {
        pub content: IntotoContent,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct IntotoContent {
        pub envelope: IntotoEnvelope,
        pub hash: HashV001,
        pub payload_hash: HashV001,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct IntotoEnvelope {
        pub payload_type: String,
        pub signatures: Vec<IntotoSignature>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct IntotoSignature {
        pub sig: String,
        pub public_key: String,
        #[serde(default)]
        pub keyid: String,
    }

    impl HashV002 {
        pub(super) fn read(self) -> Result<Digest, Error> {
            let algorithm = HashAlgorithm::from_protobuf_name(&self.algorithm).ok_or(Error::Entry)?;
            Digest::from_bytes(algorithm, &decode(&self.digest)?)
        }
    }

    impl HashV001 {
        pub(super) fn read(self) -> Result<Digest, Error> {
            let algorithm = HashAlgorithm::from_lowercase_name(&self.algorithm).ok_or(Error::Entry)?;
            Digest::from_bytes(algorithm, &hex::decode(&self.value).map_err(|_| Error::Entry)?)
        }
    }

    impl SignatureV002 {
        pub(super) fn read(self) -> Result<(Vec<u8>, KeyDetails, EntryVerifier), Error> {
            let verifier = match (self.verifier.public_key, self.verifier.x509_certificate) {
                (Some(key), None) => EntryVerifier::PublicKey(decode(&key.raw_bytes)?),
                (None, Some(certificate)) => EntryVerifier::Certificate(decode(&certificate.raw_bytes)?),
                (None, None) | (Some(_), Some(_)) => return Err(Error::Entry),
            };
            let details = KeyDetails::from_name(&self.verifier.key_details).ok_or(Error::Entry)?;
            Ok((decode(&self.content)?, details, verifier))
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may be blunt")]
mod tests;
