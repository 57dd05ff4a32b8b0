//! `/api/v1/timestamp`, `/api/v1/timestamp/certchain` [sigstore/timestamp-authority openapi.yaml]; `/ping` is the v1 log's too.

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{
    request::{RequestError, StampRequest},
    token::TimestampAuthority,
};
use crate::{
    clock,
    reply::{Refusal, RequestBody},
};

/// The routes of the timestamp authority.
pub(crate) fn router(authority: TimestampAuthority) -> Router {
    Router::new()
        .route("/api/v1/timestamp", post(timestamp))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .route("/api/v1/timestamp/certchain", get(certificate_chain))
        .with_state(authority)
}

async fn timestamp(
    State(authority): State<TimestampAuthority>,
    headers: HeaderMap,
    RequestBody(body): RequestBody,
) -> Result<Response, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    let request = match content_type {
        Some("application/timestamp-query") => StampRequest::from_der(&body),
        Some("application/json") => StampRequest::from_json(&body),
        _ => Err(RequestError::ContentType),
    };
    let request = request.map_err(|error| refuse(&error))?;
    let response = authority.respond(request, clock::now()).map_err(|error| {
        Refusal::bad_request("Error generating timestamp response", "tsa-internal", error.to_string())
            .status(StatusCode::INTERNAL_SERVER_ERROR)
    })?;
    metrics::counter!("sigstore_timestamps_total").increment(1);
    let headers = [
        (header::CONTENT_TYPE, "application/timestamp-reply"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, response).into_response())
}

async fn certificate_chain(State(authority): State<TimestampAuthority>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/pem-certificate-chain"),
        (header::CACHE_CONTROL, "max-age=86400, immutable"),
    ];
    (headers, authority.chain_pem().to_owned())
}

fn refuse(error: &RequestError) -> Refusal {
    let refusal = Refusal::bad_request(error.message(), error.code(), error.to_string());
    if *error == RequestError::ContentType {
        refusal.status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    } else {
        refusal
    }
}

/// The public implementation's limit.
const MAX_BODY_BYTES: usize = 1 << 20;
