//! What a request has to say after it was answered: read and thrown away, within bounds.
//!
//! A server that answers and closes while a client still sends resets the connection, and many a client then sees no answer at all:
//! whoever uploads too much, or to a busy gate, would not be told so [RFC 9112 §9.6].

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;

/// Answers, after what is left of the request's body was read; says that the connection is closed where that is too much.
pub(super) async fn read_rest(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Who waits to be told to go on has not sent anything, and need not.
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(Some(body))));
    let mut response = next.run(Request::from_parts(parts, Body::new(lent.clone()))).await;
    if !lent.finish(waits).await {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that is taken back when nobody reads it any more.
#[derive(Clone)]
struct Lent(Arc<Mutex<Option<Body>>>);

impl Lent {
    /// Whether the body ends here, or is still being read by somebody else.
    async fn finish(self, waits: bool) -> bool {
        if Arc::strong_count(&self.0) > 1 {
            return true;
        }
        let Some(mut body) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return true;
        };
        if body.is_end_stream() || waits {
            return body.is_end_stream();
        }
        let rest = async {
            let mut left = MOST_BYTES;
            while let Some(frame) = body.frame().await {
                let length = frame.ok()?.data_ref().map_or(0, Bytes::len);
                left = left.checked_sub(length)?;
            }
            Some(())
        };
        tokio::time::timeout(LONGEST, rest)
            .await
            .is_ok_and(|read| read.is_some())
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.as_mut()
            .map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

/// Three times the largest crate of crates.io.
const MOST_BYTES: usize = 32 << 20;
/// 3 MiB a second.
const LONGEST: Duration = Duration::from_secs(10);
