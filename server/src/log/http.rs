//! What the logs' HTTP handlers share: bounded bodies, errors in the public APIs' shapes, the tile read side [C2SP tlog-tiles].

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use verify::tile::{self, TileId};

use super::{LogError, fields, request::RequestError, storage::Log};

/// Everything a handler can fail with.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Failure {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Request(RequestError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Request(RequestError::NotFound { .. }) | Self::Log(LogError::NotFound) => StatusCode::NOT_FOUND,
            Self::Request(_) | Self::Log(LogError::EntryTooLarge { .. }) => StatusCode::BAD_REQUEST,
            Self::Log(error) if error.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::Request(error) => error.code(),
            Self::Log(error) => error.code(),
        }
    }

    const fn hint(&self) -> &'static str {
        match self {
            Self::Request(error) => error.hint(),
            Self::Log(error) => error.hint(),
        }
    }

    /// The number of a gRPC status, as Rekor v2 answers it.
    fn grpc_code(&self) -> u8 {
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::NOT_FOUND => 5,
            StatusCode::INTERNAL_SERVER_ERROR => 2,
            _ => 3,
        }
    }

    /// What a stranger may read: of our own faults, only that they happened.
    fn public_message(&self) -> String {
        match self {
            Self::Request(error @ (RequestError::Kind | RequestError::NotFound { .. })) => error.to_string(),
            Self::Request(error @ RequestError::TooLarge { .. }) => format!("{error}; {}", self.hint()),
            Self::Request(error) => format!("invalid hashedrekord request: {error}"),
            Self::Log(error) if error.is_temporary() => format!("{error}; retry"),
            Self::Log(LogError::NotFound) => "not found".to_owned(),
            Self::Log(_) => "failed to integrate entry".to_owned(),
        }
    }

    /// As Rekor v2 answers: a `google.rpc.Status`, our code and hint in its details.
    pub(super) fn into_v2(self) -> Response {
        self.note();
        let details = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": self.code(),
            "domain": "log",
            "metadata": {"hint": self.hint()},
        }]);
        let body = json!({"code": self.grpc_code(), "message": self.public_message(), "details": details});
        self.respond(body)
    }

    /// As Rekor v1 answers: `code` is the HTTP status.
    pub(super) fn into_v1(self) -> Response {
        self.note();
        let message = match &self {
            Self::Request(error) => error.to_string(),
            Self::Log(_) => self.public_message(),
        };
        let details = json!([{"reason": self.code(), "hint": self.hint()}]);
        let body = json!({"code": self.status().as_u16(), "message": message, "details": details});
        self.respond(body)
    }

    /// As a tile server answers: a line of text.
    pub(super) fn into_text(self) -> Response {
        self.note();
        let text = format!("{}: {}\n", self.code(), self.public_message());
        (self.status(), [(header::CACHE_CONTROL, NO_STORE)], text).into_response()
    }

    fn respond(&self, body: serde_json::Value) -> Response {
        let mut response = (self.status(), [(header::CACHE_CONTROL, NO_STORE)], Json(body)).into_response();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(
                header::RETRY_AFTER,
                HeaderValue::from(rand::random_range(RETRY_AFTER_SECONDS)),
            );
        }
        response
    }

    fn note(&self) {
        if self.status() == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(
                code = self.code(),
                error = %self,
                "request failed"
            );
        } else {
            tracing::debug!(code = self.code(), error = %self, "request refused");
        }
    }
}

/// A request body and the memory reserved for it.
pub(super) struct RequestBody {
    pub(super) bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

/// Reads a request's body, never more than `limit` bytes of it, when there is memory for it.
pub(super) async fn read_body(log: &Log, request: Request, limit: usize) -> Result<RequestBody, Failure> {
    let too_large = RequestError::TooLarge { limit };
    let length = content_length(request.headers()).unwrap_or(limit);
    if length > limit {
        return Err(too_large.into());
    }
    let permit = log.admit(length)?;
    let body: Body = request.into_body();
    match axum::body::to_bytes(body, limit).await {
        Ok(bytes) => Ok(RequestBody {
            bytes: bytes.into(),
            _permit: permit,
        }),
        Err(error) => Err(if is_length_limit(&error) {
            too_large
        } else {
            RequestError::Body
        }
        .into()),
    }
}

/// The read side of a log under a prefix: `checkpoint`, `tile/<L>/<N>[.p/<W>]`, and its entry bundles.
pub(super) fn read_router(log: Log, prefix: &str) -> Router {
    Router::new()
        .route(&format!("{prefix}/checkpoint"), get(checkpoint))
        .route(&format!("{prefix}/tile/{{*path}}"), get(tile_or_bundle))
        .with_state(log)
}

async fn checkpoint(State(log): State<Log>) -> Response {
    let text = log.published().checkpoint.to_string();
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

async fn tile_or_bundle(State(log): State<Log>, Path(path): Path<String>) -> Response {
    let (state, published) = (std::sync::Arc::clone(&log.state), log.published());
    let read = log.compute(move || {
        let (directory, name) = path.split_once('/').ok_or(LogError::NotFound)?;
        let (index, width) = tile::parse_index_path(name).map_err(|_| LogError::NotFound)?;
        if directory == state.kind.bundle_directory() {
            return state.bundle(&published, index, width);
        }
        let level = parse_level(directory).ok_or(LogError::NotFound)?;
        state.tile(&published, TileId { level, index, width })
    });
    match read.await.flatten() {
        Ok(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CACHE_CONTROL, IMMUTABLE),
            ];
            (headers, bytes).into_response()
        }
        Err(error) => Failure::from(error).into_text(),
    }
}

/// 0 to 63 without a leading zero [C2SP tlog-tiles].
fn parse_level(text: &str) -> Option<u8> {
    let level: u8 = text.parse().ok()?;
    (level < 64 && level.to_string() == text).then_some(level)
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// axum tells a body over the limit from a broken one only in its error's source.
fn is_length_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.to_string().contains("length limit exceeded") {
            return true;
        }
        source = inner.source();
    }
    false
}

/// JSON with its own status and headers.
pub(super) fn created(body: serde_json::Value, headers: &[(header::HeaderName, String)]) -> Response {
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name.clone(), value);
        }
    }
    response
}

/// Base64 for JSON answers.
pub(super) fn base64(bytes: &[u8]) -> String {
    fields::encode(bytes)
}

/// A tile's name fixes its contents, partial ones included [C2SP tlog-tiles].
pub(super) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

const NO_STORE: &str = "no-store";

/// An overloaded log has room again after a few commits; spread, so that not everybody comes back at once.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u16> = 1..=3;
