//! Answers that are not what was asked for: the registry's own, passed on, and the gate's, in cargo's JSON or in words.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// What the registry answers instead of what was asked for, as it is; but no redirect, which a client would follow past the gate.
pub(super) fn instead(answer: reqwest::Response) -> Response {
    if answer.status().is_redirection() {
        tracing::error!(
            status = answer.status().as_u16(),
            "the registry leads elsewhere and does not say where"
        );
        let text = "the registry behind the gate leads elsewhere\nhint: its operator looks at upstream.index\n";
        return (StatusCode::BAD_GATEWAY, text).into_response();
    }
    relay(answer)
}

/// The upstream's answer as it is, streamed.
pub(super) fn relay(answer: reqwest::Response) -> Response {
    let (status, headers) = (answer.status(), end_to_end(answer.headers()));
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Headers that are not of one hop [RFC 9110 §7.6.1]; the body is framed anew.
pub(super) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// 503 with Retry-After: we could not look.
pub(super) fn unavailable(error: &dyn std::error::Error) -> Response {
    tracing::warn!(%error, "upstream cannot be asked");
    deferred("the registry behind the gate cannot be asked")
}

/// 503 with Retry-After and cargo's error JSON.
pub(super) fn deferred(why: &str) -> Response {
    let detail = format!("deferred: {why}\nhint: nothing was decided; try again");
    let mut answer = errors(StatusCode::SERVICE_UNAVAILABLE, &detail);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

/// What went wrong in words, for callers who read no JSON.
#[derive(Clone)]
pub(super) struct Detail(String);

/// Cargo's error JSON, which keeps its words for [`in_words`].
pub(super) fn errors(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "detail": detail }] });
    let mut answer = (status, axum::Json(body)).into_response();
    answer.extensions_mut().insert(Detail(detail.to_owned()));
    answer
}

/// The answer as text: cargo prints the body of a failed download as it is.
pub(super) fn in_words(mut answer: Response) -> Response {
    let Some(Detail(detail)) = answer.extensions_mut().remove() else {
        return answer;
    };
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    *answer.body_mut() = Body::from(format!("{detail}\n"));
    answer
}

/// 500 for a fault of ours; the cause goes to the log only.
pub(super) fn fault(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "gate failed");
    deferred("the gate could not keep its verdict")
}

/// Why an answer could not be read whole.
pub(super) enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// It broke off.
    Broken(reqwest::Error),
}

impl From<Unread> for Response {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => (StatusCode::BAD_GATEWAY, "answer of the registry is too large\n").into_response(),
            Unread::Broken(error) => unavailable(&error),
        }
    }
}

/// Reads an answer of the upstream whole, up to a limit.
pub(super) async fn read_bounded(mut answer: reqwest::Response, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) <= limit => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(Unread::TooLarge),
            Ok(None) => return Ok(body),
            Err(error) => return Err(Unread::Broken(error)),
        }
    }
}

const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::HOST,
    header::CONTENT_LENGTH,
];
