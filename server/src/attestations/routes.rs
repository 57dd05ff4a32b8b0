//! `/api/v1/attestations`: put one bundle, find those of one digest, find those of many.

use std::fmt::Write as _;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use verify::{Budget, Sha256Digest, json};

use super::{AttestationStore, PutError, StoreError};
use crate::{
    clock,
    reply::{Refusal, RequestBody},
};

/// The routes of the attestation store.
pub(crate) fn router(store: AttestationStore) -> Router {
    let put = Router::new()
        .route("/api/v1/attestations", post(put_bundle))
        .layer(DefaultBodyLimit::max(Budget::default().bundle_bytes));
    Router::new()
        .route("/api/v1/attestations/{digest}", get(bundles_of_digest))
        .route("/api/v1/attestations/query", post(query))
        .merge(put)
        .with_state(store)
}

async fn put_bundle(
    State(store): State<AttestationStore>,
    RequestBody(body): RequestBody,
) -> Result<Response, Refusal> {
    let kept = store
        .put(body.to_vec(), clock::now())
        .await
        .map_err(|error| refuse_put(&error))?;
    metrics::counter!("sigstore_attestations_total").increment(1);
    let digests: Vec<String> = kept.digests.iter().map(prefixed).collect();
    let reply = json!({ "digests": digests, "id": hex::encode(kept.id) });
    Ok((StatusCode::CREATED, Json(reply)).into_response())
}

async fn bundles_of_digest(
    State(store): State<AttestationStore>,
    Path(digest): Path<String>,
) -> Result<Response, Refusal> {
    let digest = parse_digest(&digest)?;
    let found = store
        .find(vec![digest], MAX_BUNDLES_OF_DIGEST)
        .await
        .map_err(|error| refuse_store(&error))?;
    match found.first() {
        Some((_, bundles)) => Ok(json_reply(format!("{{\"attestations\":{}}}", bundle_list(bundles)))),
        None => Err(Refusal::bad_request(
            "No attestation is known for this digest",
            "attestations-none",
            "no bundle of this digest is kept here".to_owned(),
        )
        .status(StatusCode::NOT_FOUND)),
    }
}

async fn query(State(store): State<AttestationStore>, RequestBody(body): RequestBody) -> Result<Response, Refusal> {
    let query: Query = json::parse_as(&body, "attestation query", MAX_QUERY_BYTES, 4).map_err(|error| {
        let code = "attestations-query";
        Refusal::bad_request("The request could not be parsed", code, error.to_string())
    })?;
    if query.digests.len() > MAX_DIGESTS {
        return Err(Refusal::bad_request(
            "The request asks for too many digests",
            "attestations-too-many",
            format!("more than {MAX_DIGESTS} digests in one query"),
        ));
    }
    let mut digests = query
        .digests
        .iter()
        .map(|text| parse_digest(text))
        .collect::<Result<Vec<_>, _>>()?;
    digests.sort_unstable();
    digests.dedup();
    let found = store
        .find(digests, MAX_BUNDLES_IN_QUERY)
        .await
        .map_err(|error| refuse_store(&error))?;
    let mut reply = String::from("{\"attestations\":{");
    for (number, (digest, bundles)) in found.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(reply, "{comma}\"{}\":{}", prefixed(digest), bundle_list(bundles));
        if reply.len() > MAX_REPLY_BYTES {
            return Err(Refusal::bad_request(
                "The answer is too large",
                "attestations-reply-too-large",
                format!("the answer is larger than {MAX_REPLY_BYTES} bytes; ask for fewer digests at once"),
            ));
        }
    }
    reply.push_str("}}");
    Ok(json_reply(reply))
}

#[derive(Deserialize)]
struct Query {
    digests: Vec<String>,
}

/// Stored bundles are JSON texts of our own making and go out as they are.
fn bundle_list(bundles: &[String]) -> String {
    let objects: Vec<String> = bundles.iter().map(|text| format!("{{\"bundle\":{text}}}")).collect();
    format!("[{}]", objects.join(","))
}

fn json_reply(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn prefixed(digest: &Sha256Digest) -> String {
    format!("sha256:{digest}")
}

fn parse_digest(text: &str) -> Result<Sha256Digest, Refusal> {
    text.parse().map_err(|error: verify::Error| {
        Refusal::bad_request("The digest could not be parsed", error.code(), error.to_string())
    })
}

fn refuse_put(error: &PutError) -> Refusal {
    match error {
        PutError::Refused(cause) => {
            Refusal::bad_request("The bundle could not be verified", cause.code(), error.to_string())
        }
        PutError::NoDigest => Refusal::bad_request(
            "The bundle names no digest",
            "attestations-no-digest",
            error.to_string(),
        ),
        PutError::Store(error) => refuse_store(error),
    }
}

fn refuse_store(error: &StoreError) -> Refusal {
    Refusal::unavailable("The attestation store is unavailable", error.code(), error.to_string()).hint(error.hint())
}

/// One lock file in one request [brief of the wire format].
const MAX_DIGESTS: usize = 1000;
/// 1000 prefixed digests and their commas take 75 KB.
const MAX_QUERY_BYTES: usize = 256 << 10;
/// A crate has a handful; the oldest are the publisher's, who knew the digest first.
const MAX_BUNDLES_OF_DIGEST: usize = 256;
const MAX_BUNDLES_IN_QUERY: usize = 16;
const MAX_REPLY_BYTES: usize = 64 << 20;
