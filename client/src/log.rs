//! Writing to a signature log [Rekor API v2], believing nothing of the answer.

use verify::{
    Budget, Error as Refusal, TrustedRoot,
    bundle::{InclusionProof, TransparencyLogEntry},
    checkpoint::SignedCheckpoint,
    entry::{Entry, HashedRekordV002},
    merkle,
    trusted_root::TransparencyLog,
};

use crate::{
    Error, Http, Service,
    http::{Endpoint, Request, Response, StatusCode},
    tiles::LogReader,
};

/// A client of one signature log.
#[derive(Clone, Debug)]
pub struct SignatureLog {
    http: Http,
    endpoint: Endpoint,
    trusted: Vec<TransparencyLog>,
}

impl SignatureLog {
    /// A client of the log at this base URL, which must be one of the trusted root's.
    #[must_use]
    pub fn new(http: Http, endpoint: Endpoint, trusted_root: &TrustedRoot) -> Self {
        Self {
            http,
            endpoint,
            trusted: trusted_root.logs.clone(),
        }
    }

    /// Logs an entry. The answer is checked: same body, a proof that holds, a checkpoint signed by a log of the trusted
    /// root.
    ///
    /// A log that already has the entry may answer 409 with its index only; then the entry is read back and its proof
    /// computed from the log's tiles.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`]; [`Error::LogWrongEntry`], [`Error::LogUnknown`],
    /// [`Error::LogProof`], [`Error::LogCheckpoint`] for an answer that is not to be believed.
    pub async fn create(&self, entry: &HashedRekordV002) -> Result<TransparencyLogEntry, Error> {
        let endpoint = self.endpoint.below("api/v2/log/entries");
        let request = Request::post_json(endpoint, &entry.to_request(), ANSWER_BYTES);
        let answer = self.http.send(request).await?;
        let body = Entry::HashedRekordV002(entry.clone()).to_body();
        let logged = if let Some(index) = existing_index(&answer) {
            self.read_back(index, body.clone()).await?
        } else {
            let answer = answer.expect(&[StatusCode::CREATED, StatusCode::OK])?;
            read(answer.body())?
        };
        self.check(&logged, &body)?;
        Ok(logged)
    }

    /// Checks an answer of the log against the body that was sent.
    fn check(&self, logged: &TransparencyLogEntry, body: &[u8]) -> Result<(), Error> {
        let kind = (logged.kind.as_str(), logged.kind_version.as_str());
        if kind != ("hashedrekord", "0.0.2") || logged.canonicalized_body != body {
            return Err(Error::LogWrongEntry);
        }
        let known = self.trusted.iter().find(|log| log.log_id.as_slice() == logged.log_id);
        let log = known.ok_or_else(|| Error::LogUnknown {
            log_id: hex::encode(&logged.log_id),
        })?;
        let proof = logged
            .inclusion_proof
            .as_ref()
            .ok_or(Error::LogProof(Refusal::InclusionProof))?;
        if proof.log_index != logged.log_index {
            return Err(Error::LogProof(Refusal::InclusionProof));
        }
        check_checkpoint(proof, log).map_err(Error::LogCheckpoint)?;
        let leaf = merkle::leaf_hash(body);
        merkle::verify_inclusion(&leaf, proof.log_index, proof.tree_size, &proof.hashes, &proof.root_hash)
            .map_err(Error::LogProof)
    }

    /// The entry at `index` with a proof from tiles, for [`Self::check`] to judge.
    async fn read_back(&self, index: u64, body: Vec<u8>) -> Result<TransparencyLogEntry, Error> {
        let reader = LogReader::new(self.http.clone(), self.endpoint.clone());
        let signed = reader.checkpoint().await?;
        let (size, origin) = (signed.checkpoint.size, signed.checkpoint.origin.as_str());
        let log = self.trusted.iter().find(|log| {
            let key_id = log.checkpoint_key_id.as_ref().unwrap_or(&log.log_id);
            log.host() == origin && signed.verify(origin, key_id, &log.key).is_ok()
        });
        let log = log.ok_or_else(|| Error::LogUnknown {
            log_id: origin.to_owned(),
        })?;
        let hashes = reader.inclusion_proof(index, size).await?;
        let proof = InclusionProof {
            log_index: index,
            root_hash: signed.checkpoint.root,
            tree_size: size,
            hashes,
            checkpoint: signed.note.to_string(),
        };
        Ok(TransparencyLogEntry {
            log_index: index,
            log_id: log.log_id.to_vec(),
            kind: "hashedrekord".to_owned(),
            kind_version: "0.0.2".to_owned(),
            integrated_time: None,
            inclusion_promise: None,
            inclusion_proof: Some(proof),
            canonicalized_body: body,
        })
    }
}

/// The checkpoint is of the proof's tree, and signed by this log under the log's own name.
fn check_checkpoint(proof: &InclusionProof, log: &TransparencyLog) -> Result<(), Refusal> {
    let signed = SignedCheckpoint::parse(proof.checkpoint.as_bytes(), &Budget::default())?;
    let checkpoint = &signed.checkpoint;
    // The origin of a v2 log is the host name of its URL: no scheme, no port, no path.
    let origin = log.host();
    if checkpoint.size != proof.tree_size || checkpoint.root != proof.root_hash || checkpoint.origin != origin {
        return Err(Refusal::Checkpoint);
    }
    signed.verify(origin, log.checkpoint_key_id.as_ref().unwrap_or(&log.log_id), &log.key)
}

/// The index in a 409 of rekor-tiles, header `x-log-index`.
fn existing_index(answer: &Response) -> Option<u64> {
    if answer.status() != StatusCode::CONFLICT {
        return None;
    }
    answer.header("x-log-index")?.parse().ok()
}

fn read(body: &[u8]) -> Result<TransparencyLogEntry, Error> {
    let budget = Budget::default();
    let answer = |source| Error::Answer {
        service: Service::SignatureLog,
        source,
    };
    TransparencyLogEntry::from_json(body, &budget).map_err(answer)
}

/// An entry of 65 535 bytes in base64, 64 hashes and a checkpoint of 64 KiB.
const ANSWER_BYTES: usize = 256 << 10;
