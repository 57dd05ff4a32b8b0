//! Writing to a signature log by Rekor's v1 API, which the public instance offers and older verifiers know best.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use verify::{
    Budget, Error as Refusal, HashAlgorithm, TrustedRoot, UnixTime,
    bundle::{InclusionProof, TransparencyLogEntry},
    dsse::Envelope,
    entry::{DsseV001, Entry, HashedRekordV001},
    json,
};

use crate::{
    Error, Http, Service,
    http::{Endpoint, Method, Request, Response, StatusCode},
};

/// A client of one log. It checks that the answer is about what was sent, by a log of the trusted root; promise, proof and
/// checkpoint are the verifier's to check, which sees every bundle before anybody else.
#[derive(Clone, Debug)]
pub(crate) struct LegacyLog {
    http: Http,
    endpoint: Endpoint,
    log_ids: Vec<[u8; 32]>,
}

/// What is to be logged: the request, and the entry that the log makes of it.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// JSON.
    request: Vec<u8>,
    entry: Entry,
}

impl Proposal {
    /// `hashedrekord` 0.0.1: a signature over an artifact's digest. The request looks as the entry does.
    pub(crate) fn message(entry: HashedRekordV001) -> Self {
        let entry = Entry::HashedRekordV001(entry);
        Self {
            request: entry.to_body(),
            entry,
        }
    }

    /// `dsse` 0.0.1: an envelope that one key signed. The log keeps digests of it, not its payload.
    pub(crate) fn envelope(envelope: &Envelope, verifier_pem: &str) -> Self {
        let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let signatures: Vec<String> = envelope.signatures.iter().map(|item| encode(&item.signature)).collect();
        let text = json!({
            "payload": encode(&envelope.payload),
            "payloadType": envelope.payload_type,
            "signatures": signatures.iter().map(|sig| json!({"sig": sig})).collect::<Value>(),
        })
        .to_string();
        let request = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {"proposedContent": {"envelope": text, "verifiers": [encode(verifier_pem.as_bytes())]}},
        })
        .to_string()
        .into_bytes();
        let mut signatures: Vec<_> = signatures
            .into_iter()
            .map(|signature| (signature, verifier_pem.to_owned()))
            .collect();
        signatures.sort();
        let entry = Entry::DsseV001(DsseV001 {
            envelope_hash: HashAlgorithm::Sha256.digest(text.as_bytes()),
            payload_hash: HashAlgorithm::Sha256.digest(&envelope.payload),
            signatures,
        });
        Self { request, entry }
    }
}

impl LegacyLog {
    /// A client of the log at this base URL, which must be one of the trusted root's.
    pub(crate) fn new(http: Http, endpoint: Endpoint, trusted_root: &TrustedRoot) -> Self {
        Self {
            http,
            endpoint,
            log_ids: trusted_root.logs.iter().map(|log| log.log_id).collect(),
        }
    }

    /// Logs an entry. A log that already has it answers 409 and where it is; then it is read from there.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`]; [`Error::LogWrongEntry`], [`Error::LogUnknown`] for
    /// an answer about something else, or by somebody else.
    pub(crate) async fn create(&self, proposal: &Proposal) -> Result<TransparencyLogEntry, Error> {
        let endpoint = self.endpoint.below(ENTRIES);
        let request =
            Request::new(Method::POST, endpoint, ANSWER_BYTES).body("application/json", proposal.request.clone());
        let mut answer = self.http.send(request).await?;
        if let Some(id) = existing_id(&answer) {
            let endpoint = self.endpoint.below(&format!("{ENTRIES}/{id}"));
            answer = self.http.send(Request::get(endpoint, ANSWER_BYTES)).await?;
        }
        let answer = answer.expect(&[StatusCode::CREATED, StatusCode::OK])?;
        let logged = read(answer.body(), &proposal.entry)?;
        if !self.log_ids.iter().any(|id| id.as_slice() == logged.log_id) {
            return Err(Error::LogUnknown {
                log_id: hex::encode(&logged.log_id),
            });
        }
        Ok(logged)
    }
}

/// The id in a 409's `Location`: 64 hexadecimal digits, or 80 where the tree's id stands before them.
fn existing_id(answer: &Response) -> Option<String> {
    if answer.status() != StatusCode::CONFLICT {
        return None;
    }
    let (_, id) = answer.header("location")?.rsplit_once('/')?;
    let is_id = matches!(id.len(), 64 | 80) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

/// The one entry of an answer, when it is the expected one.
fn read(body: &[u8], expected: &Entry) -> Result<TransparencyLogEntry, Error> {
    let budget = Budget::default();
    let malformed = |source| Error::Answer {
        service: Service::SignatureLog,
        source,
    };
    let answer: BTreeMap<String, wire::LogEntry> =
        json::parse_as(body, WHAT, ANSWER_BYTES, budget.json_depth).map_err(malformed)?;
    let mut entries = answer.into_values();
    let (Some(entry), None) = (entries.next(), entries.next()) else {
        return Err(malformed(Refusal::OneOf { what: WHAT }));
    };
    let logged = entry.read(expected, &budget).map_err(malformed)?;
    // Newer logs may say more of an entry; what it says of this one is compared.
    let said = Entry::parse(&logged.canonicalized_body, &budget).map_err(|_| Error::LogWrongEntry)?;
    if said == *expected {
        Ok(logged)
    } else {
        Err(Error::LogWrongEntry)
    }
}

/// The answer of `POST /api/v1/log/entries`, a map from the entry's id.
mod wire {
    use base64::Engine as _;

    use super::{
        BASE64_STANDARD, Budget, Deserialize, Entry, InclusionProof, Refusal, TransparencyLogEntry, UnixTime, WHAT,
    };

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct LogEntry {
        body: String,
        integrated_time: i64,
        #[serde(rename = "logID")]
        log_id: String,
        log_index: u64,
        verification: Verification,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Verification {
        signed_entry_timestamp: String,
        inclusion_proof: Proof,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Proof {
        log_index: u64,
        root_hash: String,
        tree_size: u64,
        hashes: Vec<String>,
        checkpoint: String,
    }

    impl LogEntry {
        pub(super) fn read(self, expected: &Entry, budget: &Budget) -> Result<TransparencyLogEntry, Refusal> {
            let proof = self.verification.inclusion_proof;
            if proof.hashes.len() > budget.proof_hashes {
                return Err(Refusal::TooMany {
                    what: "proof hashes",
                    limit: budget.proof_hashes,
                });
            }
            let hashes = proof.hashes.iter().map(|hash| hash_of(hash, "inclusionProof.hashes"));
            Ok(TransparencyLogEntry {
                log_index: self.log_index,
                log_id: hash_of(&self.log_id, "logID")?.to_vec(),
                kind: expected.kind().to_owned(),
                kind_version: expected.kind_version().to_owned(),
                integrated_time: Some(UnixTime::from_secs(self.integrated_time)),
                inclusion_promise: Some(decode(
                    &self.verification.signed_entry_timestamp,
                    "signedEntryTimestamp",
                )?),
                inclusion_proof: Some(InclusionProof {
                    log_index: proof.log_index,
                    root_hash: hash_of(&proof.root_hash, "inclusionProof.rootHash")?,
                    tree_size: proof.tree_size,
                    hashes: hashes.collect::<Result<_, _>>()?,
                    checkpoint: proof.checkpoint,
                }),
                canonicalized_body: decode(&self.body, "body")?,
            })
        }
    }

    fn hash_of(text: &str, field: &'static str) -> Result<[u8; 32], Refusal> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| Refusal::Field { what: WHAT, field })?;
        Ok(hash)
    }

    fn decode(text: &str, field: &'static str) -> Result<Vec<u8>, Refusal> {
        BASE64_STANDARD
            .decode(text)
            .map_err(|_| Refusal::Field { what: WHAT, field })
    }
}

const ENTRIES: &str = "api/v1/log/entries";
const WHAT: &str = "log entry";
/// A body of 65 535 bytes in base64, 64 hashes and a checkpoint; some logs add the attestation, at most 100 KB.
const ANSWER_BYTES: usize = 512 << 10;
