//! The ProtoJSON shapes of a bundle, between bytes and the types above.

use std::fmt;

use base64::Engine as _;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::{BundleVersion, Content, InclusionProof, SignerMaterial, TransparencyLogEntry};
use crate::{
    Budget, Digest, Error, HashAlgorithm, UnixTime,
    base64_text::STANDARD,
    dsse::{Envelope, EnvelopeSignature},
    merkle::NodeHash,
};

pub(super) const WHAT: &str = "bundle";
pub(super) const ENTRY: &str = "log entry";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Bundle {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    verification_material: Option<VerificationMaterial>,
    #[serde(default)]
    message_signature: Option<MessageSignature>,
    #[serde(default)]
    dsse_envelope: Option<DsseEnvelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerificationMaterial {
    #[serde(default)]
    certificate: Option<RawBytes>,
    #[serde(default)]
    x509_certificate_chain: Option<CertificateChain>,
    #[serde(default)]
    public_key: Option<PublicKeyIdentifier>,
    #[serde(default)]
    tlog_entries: Option<Vec<LogEntry>>,
    #[serde(default)]
    timestamp_verification_data: Option<TimestampVerificationData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawBytes {
    raw_bytes: Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateChain {
    certificates: Vec<RawBytes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicKeyIdentifier {
    #[serde(default)]
    hint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimestampVerificationData {
    #[serde(default, rename = "rfc3161Timestamps")]
    rfc3161_timestamps: Option<Vec<SignedTimestamp>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignedTimestamp {
    signed_timestamp: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageSignature {
    #[serde(default)]
    message_digest: Option<HashOutput>,
    signature: Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HashOutput {
    algorithm: String,
    digest: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DsseEnvelope {
    payload: Base64,
    payload_type: String,
    signatures: Vec<DsseSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DsseSignature {
    sig: Base64,
    #[serde(default)]
    keyid: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LogEntry {
    #[serde(default)]
    log_index: Int64,
    log_id: LogId,
    kind_version: KindVersion,
    #[serde(default)]
    integrated_time: Int64,
    #[serde(default)]
    inclusion_promise: Option<InclusionPromise>,
    #[serde(default)]
    inclusion_proof: Option<Proof>,
    canonicalized_body: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogId {
    key_id: Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindVersion {
    kind: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InclusionPromise {
    signed_entry_timestamp: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Proof {
    #[serde(default)]
    log_index: Int64,
    root_hash: Base64,
    #[serde(default)]
    tree_size: Int64,
    #[serde(default)]
    hashes: Option<Vec<Base64>>,
    #[serde(default)]
    checkpoint: Option<Checkpoint>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Checkpoint {
    #[serde(default)]
    envelope: String,
}

impl Bundle {
    pub(super) fn into_bundle(self, budget: &Budget) -> Result<super::Bundle, Error> {
        let media_type = self.media_type.unwrap_or_default();
        let version = BundleVersion::from_media_type(&media_type).ok_or_else(|| Error::MediaType {
            what: WHAT,
            found: media_type.chars().take(100).collect(),
        })?;
        let material = self.verification_material.ok_or(field("verificationMaterial"))?;
        let timestamps = material
            .timestamp_verification_data
            .and_then(|data| data.rfc3161_timestamps)
            .unwrap_or_default();
        check_count(timestamps.len(), budget.timestamps, "timestamps")?;
        let timestamps: Vec<_> = timestamps.into_iter().map(|item| item.signed_timestamp.0).collect();
        if timestamps.iter().any(|item| item.len() > budget.timestamp_bytes) {
            return Err(Error::TooLarge {
                what: "timestamp",
                limit: budget.timestamp_bytes,
            });
        }
        let entries = material.tlog_entries.unwrap_or_default();
        check_count(entries.len(), budget.log_entries, "log entries")?;
        Ok(super::Bundle {
            version,
            signer: signer(
                material.certificate,
                material.x509_certificate_chain,
                material.public_key,
                budget,
            )?,
            log_entries: entries
                .into_iter()
                .map(|entry| entry.into_entry(budget))
                .collect::<Result<_, _>>()?,
            timestamps,
            content: content(self.message_signature, self.dsse_envelope, budget)?,
        })
    }
}

impl LogEntry {
    pub(super) fn into_entry(self, budget: &Budget) -> Result<TransparencyLogEntry, Error> {
        let body = self.canonicalized_body.0;
        if body.len() > budget.entry_bytes {
            return Err(Error::TooLarge {
                what: ENTRY,
                limit: budget.entry_bytes,
            });
        }
        if self.log_id.key_id.0.len() > 32 {
            return Err(field("tlogEntries.logId.keyId"));
        }
        Ok(TransparencyLogEntry {
            log_index: self.log_index.unsigned("tlogEntries.logIndex")?,
            log_id: self.log_id.key_id.0,
            kind: self.kind_version.kind,
            kind_version: self.kind_version.version,
            integrated_time: (self.integrated_time.0 != 0).then_some(UnixTime::from_secs(self.integrated_time.0)),
            inclusion_promise: self.inclusion_promise.map(|promise| promise.signed_entry_timestamp.0),
            inclusion_proof: self.inclusion_proof.map(|proof| proof.into_proof(budget)).transpose()?,
            canonicalized_body: body,
        })
    }
}

impl Proof {
    fn into_proof(self, budget: &Budget) -> Result<InclusionProof, Error> {
        let hashes = self.hashes.unwrap_or_default();
        check_count(hashes.len(), budget.proof_hashes, "proof hashes")?;
        Ok(InclusionProof {
            log_index: self.log_index.unsigned("inclusionProof.logIndex")?,
            root_hash: node(self.root_hash, "inclusionProof.rootHash")?,
            tree_size: self.tree_size.unsigned("inclusionProof.treeSize")?,
            hashes: hashes
                .into_iter()
                .map(|hash| node(hash, "inclusionProof.hashes"))
                .collect::<Result<_, _>>()?,
            checkpoint: self.checkpoint.unwrap_or_default().envelope,
        })
    }
}

fn signer(
    certificate: Option<RawBytes>,
    chain: Option<CertificateChain>,
    key: Option<PublicKeyIdentifier>,
    budget: &Budget,
) -> Result<SignerMaterial, Error> {
    match (certificate, chain, key) {
        (Some(certificate), None, None) => Ok(SignerMaterial::Certificate(certificate.raw_bytes.0)),
        (None, Some(chain), None) => {
            check_count(chain.certificates.len(), budget.chain_certificates, "certificates")?;
            if chain.certificates.is_empty() {
                return Err(field("verificationMaterial.x509CertificateChain"));
            }
            let certificates = chain.certificates.into_iter().map(|item| item.raw_bytes.0);
            Ok(SignerMaterial::CertificateChain(certificates.collect()))
        }
        (None, None, Some(key)) => Ok(SignerMaterial::PublicKeyHint(key.hint)),
        _ => Err(Error::OneOf {
            what: "verification material",
        }),
    }
}

fn content(
    message: Option<MessageSignature>,
    envelope: Option<DsseEnvelope>,
    budget: &Budget,
) -> Result<Content, Error> {
    match (message, envelope) {
        (Some(message), None) => {
            if message.signature.0.is_empty() {
                return Err(field("messageSignature.signature"));
            }
            Ok(Content::Message {
                digest: message.message_digest.map(HashOutput::into_digest).transpose()?,
                signature: message.signature.0,
            })
        }
        (None, Some(envelope)) => envelope.into_envelope(budget).map(Content::Dsse),
        _ => Err(Error::OneOf { what: "signed content" }),
    }
}

impl HashOutput {
    fn into_digest(self) -> Result<Digest, Error> {
        let algorithm = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.protobuf_name() == self.algorithm)
            .ok_or(field("messageSignature.messageDigest.algorithm"))?;
        Digest::from_bytes(algorithm, &self.digest.0)
    }
}

impl DsseEnvelope {
    fn into_envelope(self, budget: &Budget) -> Result<Envelope, Error> {
        check_count(self.signatures.len(), budget.envelope_signatures, "envelope signatures")?;
        if self.payload.0.len() > budget.payload_bytes {
            return Err(Error::TooLarge {
                what: "payload",
                limit: budget.payload_bytes,
            });
        }
        if self.signatures.is_empty() || self.signatures.iter().any(|item| item.sig.0.is_empty()) {
            return Err(field("dsseEnvelope.signatures"));
        }
        Ok(Envelope {
            payload_type: self.payload_type,
            payload: self.payload.0,
            signatures: self
                .signatures
                .into_iter()
                .map(|item| EnvelopeSignature {
                    signature: item.sig.0,
                    key_id: item.keyid.unwrap_or_default(),
                })
                .collect(),
        })
    }
}

pub(super) fn bundle_to_value(bundle: &super::Bundle) -> Value {
    let mut material = serde_json::Map::new();
    match &bundle.signer {
        SignerMaterial::Certificate(der) => {
            material.insert("certificate".to_owned(), json!({ "rawBytes": STANDARD.encode(der) }));
        }
        SignerMaterial::CertificateChain(chain) => {
            let certificates: Vec<_> = chain
                .iter()
                .map(|der| json!({ "rawBytes": STANDARD.encode(der) }))
                .collect();
            material.insert(
                "x509CertificateChain".to_owned(),
                json!({ "certificates": certificates }),
            );
        }
        SignerMaterial::PublicKeyHint(hint) => {
            material.insert("publicKey".to_owned(), json!({ "hint": hint }));
        }
    }
    let entries: Vec<_> = bundle.log_entries.iter().map(entry_to_bundle_value).collect();
    material.insert("tlogEntries".to_owned(), entries.into());
    if !bundle.timestamps.is_empty() {
        let timestamps: Vec<_> = bundle
            .timestamps
            .iter()
            .map(|der| json!({ "signedTimestamp": STANDARD.encode(der) }))
            .collect();
        material.insert(
            "timestampVerificationData".to_owned(),
            json!({ "rfc3161Timestamps": timestamps }),
        );
    }
    let (name, content) = match &bundle.content {
        Content::Message { digest, signature } => ("messageSignature", message_to_value(digest.as_ref(), signature)),
        Content::Dsse(envelope) => ("dsseEnvelope", envelope_to_value(envelope)),
    };
    json!({
        "mediaType": bundle.version.media_type(),
        "verificationMaterial": material,
        name: content,
    })
}

fn message_to_value(digest: Option<&Digest>, signature: &[u8]) -> Value {
    let mut message = serde_json::Map::new();
    if let Some(digest) = digest {
        message.insert(
            "messageDigest".to_owned(),
            json!({ "algorithm": digest.algorithm().protobuf_name(), "digest": STANDARD.encode(digest.as_bytes()) }),
        );
    }
    message.insert("signature".to_owned(), STANDARD.encode(signature).into());
    message.into()
}

fn envelope_to_value(envelope: &Envelope) -> Value {
    let signatures: Vec<_> = envelope
        .signatures
        .iter()
        .map(|item| {
            let mut signature = serde_json::Map::new();
            signature.insert("sig".to_owned(), STANDARD.encode(&item.signature).into());
            if !item.key_id.is_empty() {
                signature.insert("keyid".to_owned(), item.key_id.clone().into());
            }
            Value::from(signature)
        })
        .collect();
    json!({
        "payload": STANDARD.encode(&envelope.payload),
        "payloadType": envelope.payload_type,
        "signatures": signatures,
    })
}

/// Every field present, as grpc-gateway writes with `EmitUnpopulated`: sigstore-python refuses a missing one.
pub(super) fn entry_to_value(entry: &TransparencyLogEntry) -> Value {
    json!({
        "logIndex": entry.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(&entry.log_id) },
        "kindVersion": { "kind": entry.kind, "version": entry.kind_version },
        "integratedTime": entry.integrated_time.map_or(0, UnixTime::as_secs).to_string(),
        "inclusionPromise": entry
            .inclusion_promise
            .as_ref()
            .map(|promise| json!({ "signedEntryTimestamp": STANDARD.encode(promise) })),
        "inclusionProof": entry.inclusion_proof.as_ref().map(proof_to_value),
        "canonicalizedBody": STANDARD.encode(&entry.canonicalized_body),
    })
}

/// In a bundle an absent message is left out instead of `null`: older readers know no `null`.
fn entry_to_bundle_value(entry: &TransparencyLogEntry) -> Value {
    let mut value = entry_to_value(entry);
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}

fn proof_to_value(proof: &InclusionProof) -> Value {
    let hashes: Vec<_> = proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    json!({
        "logIndex": proof.log_index.to_string(),
        "rootHash": STANDARD.encode(proof.root_hash),
        "treeSize": proof.tree_size.to_string(),
        "hashes": hashes,
        "checkpoint": { "envelope": proof.checkpoint },
    })
}

/// Bytes in canonical standard base64; the URL-safe alphabet, which ProtoJSON readers also take, is not seen in bundles.
struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Visitor)
    }
}

struct Base64Visitor;

impl de::Visitor<'_> for Base64Visitor {
    type Value = Base64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Base64, E> {
        STANDARD.decode(text).map(Base64).map_err(|_| E::custom("base64"))
    }
}

/// An int64: ProtoJSON writes a decimal string, readers take a number too. Zero when absent or null.
#[derive(Clone, Copy, Default)]
struct Int64(i64);

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Some(Self(0)),
            Value::Number(number) => number.as_i64().map(Self),
            Value::String(text) if is_plain_decimal(&text) => text.parse().ok().map(Self),
            Value::String(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
        .ok_or_else(|| de::Error::custom("int64"))
    }
}

/// No plus sign and no leading zero, so that one number has one spelling.
fn is_plain_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits == "0" || !digits.starts_with(['0', '+'])
}

impl Int64 {
    fn unsigned(self, name: &'static str) -> Result<u64, Error> {
        u64::try_from(self.0).map_err(|_| field(name))
    }
}

fn node(bytes: Base64, name: &'static str) -> Result<NodeHash, Error> {
    bytes.0.try_into().map_err(|_| field(name))
}

fn check_count(count: usize, limit: usize, what: &'static str) -> Result<(), Error> {
    if count > limit {
        return Err(Error::TooMany { what, limit });
    }
    Ok(())
}

const fn field(name: &'static str) -> Error {
    Error::Field {
        what: WHAT,
        field: name,
    }
}
