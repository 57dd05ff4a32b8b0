//! The signature log: Rekor v2's API on tiles. Ed25519 (or P-256), origin = bare host name.

use axum::{
    Router,
    extract::{Request, State},
    http::header::HeaderName,
    response::Response,
    routing::post,
};
use verify::{
    PublicKey,
    bundle::{InclusionProof, TransparencyLogEntry},
    entry::Entry,
};

use super::{
    LogError, Storage,
    http::{self, Failure},
    leaf::BodyLeaf,
    queue::Sequenced,
    request::{self, BODY_LIMIT_BYTES},
    spec::LogSpec,
    storage::Log,
};
use crate::keys::SigningKey;

/// The log of signatures, spoken to as Rekor v2. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SignatureLog {
    log: Log,
}

impl SignatureLog {
    /// Opens the log, or creates it with its genesis entry. `host` is the bare host name of the server's URL; it is the origin.
    ///
    /// # Errors
    /// [`LogError::WrongKey`] and [`LogError::WrongOrigin`] when it was created with another; [`LogError::Fork`] when files show
    /// more than the database; [`LogError::Damaged`]; [`LogError::Name`]; and what the storage fails with.
    pub fn open(storage: &Storage, host: &str, key: SigningKey) -> Result<Self, LogError> {
        Ok(Self {
            log: storage.log(LogSpec::signature(host, key)?)?,
        })
    }

    /// First line of the checkpoints.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.log.reader.origin
    }

    /// The log's key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.log.reader.key
    }

    /// The log's id: key id of its checkpoints, `[u8; 32]`.
    #[must_use]
    pub fn log_id(&self) -> [u8; 32] {
        self.log.reader.key_id()
    }

    /// The newest signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.log.published().checkpoint.to_string()
    }

    /// Logs an entry whose signature was checked, and waits until it is durable. An equal entry gets its old place and a fresh proof.
    ///
    /// # Errors
    /// [`LogError::EntryTooLarge`], [`LogError::Overloaded`], [`LogError::ArchiveBehind`], [`LogError::Closed`], and what the
    /// storage fails with.
    pub async fn append(&self, entry: Entry) -> Result<TransparencyLogEntry, LogError> {
        let body = request::body_of(&entry).map_err(|_| LogError::EntryTooLarge {
            bytes: entry.to_body().len(),
            limit: usize::from(u16::MAX),
        })?;
        self.append_body(entry, body).await
    }

    /// `POST /api/v2/log/entries`; `checkpoint` and `tile/…` under `/` and `/api/v2/`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/v2/log/entries", post(create))
            .with_state(self.clone())
            .merge(http::read_router(self.log.clone(), ""))
            .merge(http::read_router(self.log.clone(), "/api/v2"))
    }

    async fn append_body(&self, entry: Entry, body: Vec<u8>) -> Result<TransparencyLogEntry, LogError> {
        let sequenced = self.log.append(BodyLeaf { body: body.clone() }).await?;
        let log = self.clone();
        self.log.compute(move || log.answer(&entry, body, &sequenced)).await?
    }

    fn answer(&self, entry: &Entry, body: Vec<u8>, sequenced: &Sequenced) -> Result<TransparencyLogEntry, LogError> {
        let published = &sequenced.published;
        Ok(TransparencyLogEntry {
            log_index: sequenced.index,
            log_id: self.log_id().to_vec(),
            kind: entry.kind().to_owned(),
            kind_version: entry.kind_version().to_owned(),
            integrated_time: None,
            inclusion_promise: None,
            inclusion_proof: Some(InclusionProof {
                log_index: sequenced.index,
                root_hash: published.root,
                tree_size: published.tree.size(),
                hashes: self.log.state.inclusion_proof(published, sequenced.index)?,
                checkpoint: published.checkpoint.to_string(),
            }),
            canonicalized_body: body,
        })
    }
}

async fn create(State(log): State<SignatureLog>, request: Request) -> Response {
    let started = std::time::Instant::now();
    let outcome = write(&log, request).await;
    metrics::histogram!("log_write_seconds", "api" => "v2").record(started.elapsed());
    match outcome {
        Ok(entry) => {
            let index = (HeaderName::from_static("x-log-index"), entry.log_index.to_string());
            http::created(entry.to_json_value(), &[index])
        }
        Err(failure) => failure.into_v2(),
    }
}

async fn write(log: &SignatureLog, request: Request) -> Result<TransparencyLogEntry, Failure> {
    let request = http::read_body(&log.log, request, BODY_LIMIT_BYTES).await?;
    let checked = log.log.compute(move || {
        let entry = request::parse_v2(&request.bytes)?;
        let body = request::body_of(&entry)?;
        Ok::<_, Failure>((entry, body))
    });
    let (entry, body) = checked.await??;
    Ok(log.append_body(entry, body).await?)
}
