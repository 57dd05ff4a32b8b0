//! The small log for older verifiers: Rekor v1's write and read API. P-256, origin `host - <tree id>`, promises and times.

use axum::{
    Json, Router,
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use verify::{Budget, PublicKey, entry::Entry};

use super::{
    LogError, LogKind, Storage,
    database::{self, LeafRow},
    fields::Fields,
    http::{self, Failure},
    leaf::PromisedLeaf,
    queue::Sequenced,
    request::{self, BODY_LIMIT_BYTES, RequestError},
    request_v1,
    spec::{self, LogSpec},
    state::Published,
    storage::Log,
};
use crate::keys::SigningKey;

/// The log of signatures, spoken to as Rekor v1. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LegacyLog {
    log: Log,
    key: SigningKey,
}

/// An entry of the log with its place, seal and proof: what the API answers.
struct Answer {
    id: String,
    value: Value,
}

impl LegacyLog {
    /// Opens the log, or creates it with its genesis entry. Its origin is `host - <tree id>`; the key must be P-256.
    ///
    /// # Errors
    /// As [`super::SignatureLog::open`].
    pub fn open(storage: &Storage, host: &str, key: SigningKey) -> Result<Self, LogError> {
        Ok(Self {
            log: storage.log(LogSpec::legacy(host, key.clone())?)?,
            key,
        })
    }

    /// First line of the checkpoints: `host - <tree id>`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.log.reader.origin
    }

    /// The tree id.
    #[must_use]
    pub fn tree_id(&self) -> u64 {
        spec::tree_id(self.public_key())
    }

    /// The log's key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.log.reader.key
    }

    /// The log's id: SHA-256 of its key.
    #[must_use]
    pub fn log_id(&self) -> [u8; 32] {
        self.log.reader.key.id().0
    }

    /// The newest signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.log.published().checkpoint.to_string()
    }

    /// The v1 API below `/api/v1/log`, and `/ping`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/v1/log", get(tree))
            .route("/api/v1/log/publicKey", get(public_key))
            .route("/api/v1/log/proof", get(proof))
            .route("/api/v1/log/entries", post(create).get(entry_by_index))
            .route("/api/v1/log/entries/retrieve", post(retrieve))
            .route("/api/v1/log/entries/{id}", get(entry_by_id))
            .route("/ping", get(async || "."))
            .with_state(self.clone())
    }

    async fn append(&self, body: Vec<u8>) -> Result<Answer, LogError> {
        let leaf = PromisedLeaf {
            body: body.clone(),
            key: self.key.clone(),
        };
        let Sequenced {
            index,
            time_ms,
            seal,
            published,
            ..
        } = self.log.append(leaf).await?;
        let log = self.clone();
        let row = LeafRow {
            identity: verify::merkle::leaf_hash(&body),
            index,
            time_ms,
            seal,
        };
        self.log.compute(move || log.answer(&published, &body, &row)).await?
    }

    fn answer(&self, published: &Published, body: &[u8], row: &LeafRow) -> Result<Answer, LogError> {
        let hashes = self.log.state.inclusion_proof(published, row.index)?;
        let value = json!({
            "body": http::base64(body),
            "integratedTime": row.time_ms / 1000,
            "logID": hex::encode(self.log_id()),
            "logIndex": row.index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": &*published.checkpoint,
                    "hashes": hashes.iter().map(hex::encode).collect::<Vec<_>>(),
                    "logIndex": row.index,
                    "rootHash": hex::encode(published.root),
                    "treeSize": published.tree.size(),
                },
                "signedEntryTimestamp": http::base64(&row.seal),
            },
        });
        Ok(Answer {
            id: self.entry_id(&row.identity),
            value,
        })
    }

    /// 16 digits of the tree id and 64 of the leaf hash.
    fn entry_id(&self, leaf_hash: &[u8; 32]) -> String {
        format!("{:016x}{}", self.tree_id(), hex::encode(leaf_hash))
    }

    /// The leaf hash in an entry id of this tree (80 digits), or in a bare UUID (64 digits).
    fn leaf_hash_of(&self, id: &str) -> Option<[u8; 32]> {
        let tree = format!("{:016x}", self.tree_id());
        let uuid = if id.len() == 80 { id.strip_prefix(&tree)? } else { id };
        hex::decode(uuid).ok()?.try_into().ok()
    }

    /// Blocks.
    fn by_identity(&self, identity: &[u8; 32]) -> Result<Option<Answer>, LogError> {
        let row = self
            .log
            .read(|connection| database::leaf_by_identity(connection, LogKind::Legacy, identity))?;
        row.map(|row| self.stored(&row)).transpose()
    }

    /// Blocks.
    fn by_index(&self, index: u64) -> Result<Option<Answer>, LogError> {
        let row = self
            .log
            .read(|connection| database::leaf_by_index(connection, LogKind::Legacy, index))?;
        row.map(|row| self.stored(&row)).transpose()
    }

    /// A row may be committed and its tree not yet published, for an instant: then there is no such entry yet.
    fn stored(&self, row: &LeafRow) -> Result<Answer, LogError> {
        let published = self.log.published();
        let body = self.log.state.entry(&published, row.index)?;
        self.answer(&published, &body, row)
    }
}

async fn create(State(log): State<LegacyLog>, request: Request) -> Response {
    let started = std::time::Instant::now();
    let outcome = write(&log, request).await;
    metrics::histogram!("log_write_seconds", "api" => "v1").record(started.elapsed());
    match outcome {
        Ok(Answer { id, value }) => {
            let headers = [
                (header::LOCATION, format!("/api/v1/log/entries/{id}")),
                (header::ETAG, id.clone()),
            ];
            http::created(json!({id: value}), &headers)
        }
        Err(failure) => failure.into_v1(),
    }
}

async fn write(log: &LegacyLog, request: Request) -> Result<Answer, Failure> {
    let request = http::read_body(&log.log, request, BODY_LIMIT_BYTES).await?;
    let checked = log
        .log
        .compute(move || request::body_of(&request_v1::parse_v1(&request.bytes)?));
    let body = checked.await??;
    Ok(log.append(body).await?)
}

async fn tree(State(log): State<LegacyLog>) -> Response {
    let published = log.log.published();
    Json(json!({
        "inactiveShards": [],
        "rootHash": hex::encode(published.root),
        "signedTreeHead": &*published.checkpoint,
        "treeID": log.tree_id().to_string(),
        "treeSize": published.tree.size(),
    }))
    .into_response()
}

async fn public_key(State(log): State<LegacyLog>, query: TreeQuery) -> Response {
    if let Err(error) = query.check(&log) {
        return Failure::from(error).into_v1();
    }
    (
        [(header::CONTENT_TYPE, "application/x-pem-file")],
        log.public_key().to_pem(),
    )
        .into_response()
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct TreeQuery {
    #[serde(rename = "treeID")]
    tree_id: Option<String>,
    first_size: Option<u64>,
    last_size: Option<u64>,
    log_index: Option<u64>,
}

/// A query that cannot be read is refused in this API's shape.
impl<S: Send + Sync> FromRequestParts<S> for TreeQuery {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = Query::from_request_parts(parts, state).await;
        let malformed = Failure::from(RequestError::Malformed { field: "query" });
        query.map(|Query(query)| query).map_err(|_| malformed.into_v1())
    }
}

impl TreeQuery {
    fn check(&self, log: &LegacyLog) -> Result<(), RequestError> {
        let other = self.tree_id.as_ref().is_some_and(|id| *id != log.tree_id().to_string());
        if other {
            Err(RequestError::NotFound { what: "tree" })
        } else {
            Ok(())
        }
    }
}

async fn proof(State(log): State<LegacyLog>, query: TreeQuery) -> Response {
    match consistency(&log, &query).await {
        Ok(value) => Json(value).into_response(),
        Err(failure) => failure.into_v1(),
    }
}

async fn consistency(log: &LegacyLog, query: &TreeQuery) -> Result<Value, Failure> {
    query.check(log)?;
    let first = query.first_size.unwrap_or(1);
    let last = query.last_size.ok_or(RequestError::Missing { field: "lastSize" })?;
    let published = log.log.published();
    if first == 0 || first > last || last > published.tree.size() {
        return Err(RequestError::Malformed { field: "lastSize" }.into());
    }
    let state = std::sync::Arc::clone(&log.log.state);
    let work = log.log.compute(move || {
        let hashes = state.consistency_proof(&published, first, last)?;
        Ok::<_, LogError>((hashes, state.root_at(&published, last)?))
    });
    let (hashes, root) = work.await??;
    let hashes: Vec<String> = hashes.iter().map(hex::encode).collect();
    Ok(json!({"hashes": hashes, "rootHash": hex::encode(root)}))
}

async fn entry_by_index(State(log): State<LegacyLog>, query: TreeQuery) -> Response {
    let Some(index) = query.log_index else {
        return Failure::from(RequestError::Missing { field: "logIndex" }).into_v1();
    };
    let reader = log.clone();
    one(log.log.compute(move || reader.by_index(index)).await.flatten())
}

async fn entry_by_id(State(log): State<LegacyLog>, Path(id): Path<String>) -> Response {
    let reader = log.clone();
    let work = log.log.compute(move || match reader.leaf_hash_of(&id) {
        Some(hash) => reader.by_identity(&hash),
        None => Ok(None),
    });
    one(work.await.flatten())
}

fn one(found: Result<Option<Answer>, LogError>) -> Response {
    match found {
        Ok(Some(Answer { id, value })) => Json(json!({id: value})).into_response(),
        Ok(None) => Failure::from(RequestError::NotFound { what: "entry" }).into_v1(),
        Err(error) => Failure::from(error).into_v1(),
    }
}

async fn retrieve(State(log): State<LegacyLog>, request: Request) -> Response {
    let request = match http::read_body(&log.log, request, BODY_LIMIT_BYTES).await {
        Ok(request) => request,
        Err(failure) => return failure.into_v1(),
    };
    let reader = log.clone();
    match log.log.compute(move || find_all(&reader, &request.bytes)).await {
        Ok(Ok(found)) => Json(found).into_response(),
        Ok(Err(Failure::Request(error @ RequestError::TooMany { .. }))) => {
            let mut response = Failure::from(error).into_v1();
            *response.status_mut() = axum::http::StatusCode::UNPROCESSABLE_ENTITY;
            response
        }
        Ok(Err(failure)) => failure.into_v1(),
        Err(error) => Failure::from(error).into_v1(),
    }
}

/// Blocks. What is not in the log is left out.
fn find_all(log: &LegacyLog, bytes: &[u8]) -> Result<Vec<Value>, Failure> {
    let limits = Budget::default();
    let value =
        verify::json::parse(bytes, "search", BODY_LIMIT_BYTES, limits.json_depth).map_err(RequestError::Json)?;
    let mut search = Fields::new(value, "search")?;
    let (ids, indexes) = (search.array("entryUUIDs")?, search.array("logIndexes")?);
    let entries = search.array("entries")?;
    search.finish()?;
    let asked = ids.len().saturating_add(indexes.len()).saturating_add(entries.len());
    if asked > RETRIEVE_LIMIT {
        return Err(RequestError::TooMany {
            what: "entries",
            limit: RETRIEVE_LIMIT,
        }
        .into());
    }
    let mut found = Vec::new();
    for id in ids {
        let id = id.as_str().and_then(|id| log.leaf_hash_of(id));
        found.extend(log.by_identity(&id.ok_or(RequestError::Malformed { field: "entryUUIDs" })?)?);
    }
    for index in indexes {
        let index = index.as_u64().ok_or(RequestError::Malformed { field: "logIndexes" })?;
        found.extend(log.by_index(index)?);
    }
    for proposed in entries {
        let entry: Entry = request_v1::parse_proposed(proposed, &limits)?;
        found.extend(log.by_identity(&verify::merkle::leaf_hash(&request::body_of(&entry)?))?);
    }
    Ok(found
        .into_iter()
        .map(|Answer { id, value }| json!({id: value}))
        .collect())
}

/// As Rekor v1.
const RETRIEVE_LIMIT: usize = 10;
