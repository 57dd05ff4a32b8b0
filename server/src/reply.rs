//! Refusals in the shape that every Sigstore client reads: `{"code", "message", "details"}` [grpc-gateway, google.rpc.Status].
//!
//! `message` is the public implementation's, byte for byte; our own code and reason stand in `details`.

use std::borrow::Cow;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// A refusal on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// The public implementation's words.
    pub(crate) message: Cow<'static, str>,
    /// Our stable code.
    pub(crate) code: &'static str,
    /// Machine-readable reason class; empty when the code says all.
    pub(crate) reason: String,
    /// What happened, for people; never a claim's value.
    pub(crate) cause: String,
    /// What to try.
    pub(crate) hint: &'static str,
}

impl Refusal {
    /// A fault of the client.
    pub(crate) fn bad_request(message: &'static str, code: &'static str, cause: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            code,
            reason: String::new(),
            cause,
            hint: "",
        }
    }

    /// A fault of ours that may pass: 503 and `Retry-After`, which every client retries.
    pub(crate) fn unavailable(message: &'static str, code: &'static str, cause: String) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            ..Self::bad_request(message, code, cause)
        }
    }

    /// The same with a machine-readable reason.
    pub(crate) fn reason(self, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            ..self
        }
    }

    /// The same with another status.
    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with a hint.
    pub(crate) fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        tracing::info!(
            code = self.code,
            reason = self.reason,
            status = self.status.as_u16(),
            cause = self.cause,
            "refused"
        );
        metrics::counter!("sigstore_refusals_total", "code" => self.code).increment(1);
        let mut detail = serde_json::json!({ "code": self.code, "cause": self.cause });
        if let Some(object) = detail.as_object_mut() {
            for (name, text) in [("reason", self.reason.as_str()), ("hint", self.hint)] {
                if !text.is_empty() {
                    object.insert(name.to_owned(), text.into());
                }
            }
        }
        let body = serde_json::json!({
            "code": grpc_code(self.status),
            "message": self.message,
            "details": [detail],
        });
        let mut response = (self.status, Json(body)).into_response();
        if matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            let header = HeaderValue::from_static(RETRY_AFTER_SECS);
            response.headers_mut().insert(header::RETRY_AFTER, header);
        }
        response
    }
}

/// The bytes of a request, bounded by the router's limit; refused in our own shape when there are more.
pub(crate) struct RequestBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RequestBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::bad_request(
                "The request is too large",
                "request-too-large",
                "the request body is larger than this endpoint takes".to_owned(),
            )
            .status(StatusCode::PAYLOAD_TOO_LARGE),
            _ => Refusal::bad_request(
                "The request could not be read",
                "request-body",
                "the request body ended early".to_owned(),
            ),
        })
    }
}

/// The gRPC code that grpc-gateway maps to this status [google/rpc/code.proto].
fn grpc_code(status: StatusCode) -> u8 {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE => 3,
        StatusCode::NOT_FOUND => 5,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 13,
    }
}

/// Soon: what makes us unavailable is a commit, a fetch or a full disk.
const RETRY_AFTER_SECS: &str = "1";
