//! An archive on its way to a client: hashed whole, in constant memory, its end held back until the digest is the admitted one.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use verify::Sha256Digest;

use super::{
    end_to_end,
    range::{Wanted, Window},
};

/// Streams an answer, or the part of it that is asked for, hashing all of it; the last bytes follow only when the digest is the
/// admitted one, else the connection breaks, and `doubt` has the next download looked at anew: that one is told why.
pub(super) fn checked(
    answer: reqwest::Response,
    digest: Sha256Digest,
    asked: &HeaderMap,
    doubt: impl FnOnce() + Send + Sync + 'static,
) -> Response {
    let mut headers = end_to_end(answer.headers());
    let total = answer.content_length();
    let (status, window) = match total.map(|total| (total, Wanted::of(asked, total))) {
        Some((total, Wanted::Part(window))) => {
            let range = format!("bytes {}-{}/{total}", window.start, window.end.saturating_sub(1));
            headers.extend(HeaderValue::from_str(&range).map(|range| (header::CONTENT_RANGE, range)));
            headers.insert(header::CONTENT_LENGTH, window.length().into());
            (StatusCode::PARTIAL_CONTENT, window)
        }
        Some((total, Wanted::Unsatisfiable)) => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{total}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response();
        }
        Some((total, Wanted::Whole)) => {
            headers.insert(header::CONTENT_LENGTH, total.into());
            (StatusCode::OK, EVERYTHING)
        }
        None => (StatusCode::OK, EVERYTHING),
    };
    let mut response = Response::new(Body::from_stream(hashed(answer, digest, window, doubt)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// State of a stream that is hashed on its way.
struct Hashing<F> {
    /// What to do when the digest is another.
    doubt: Option<F>,
    answer: reqwest::Response,
    hash: Sha256,
    offset: u64,
    tail: Tail,
    /// What may follow what was just given out.
    next: Bytes,
    ended: bool,
    /// How many pieces may wait for a slow client.
    waiting: Arc<Semaphore>,
}

/// A piece on its way to a client; the next is read when few are left.
struct Lent {
    piece: Bytes,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl<F> Hashing<F> {
    async fn lend(&self, piece: Bytes) -> std::io::Result<Bytes> {
        let place = Arc::clone(&self.waiting).acquire_owned().await;
        Ok(Bytes::from_owner(Lent {
            piece,
            _place: place.map_err(std::io::Error::other)?,
        }))
    }
}

/// The last bytes of what is inside the window so far. A copy, so that it does not keep the
/// chunk it came in.
#[derive(Default)]
struct Tail(Bytes);

impl Tail {
    /// Takes the next piece and gives out, in two parts, what is no longer the tail.
    fn push(&mut self, piece: &Bytes) -> (Bytes, Bytes) {
        if let Some(cut) = piece.len().checked_sub(TAIL_BYTES) {
            let tail = Bytes::copy_from_slice(&piece.slice(cut..));
            return (std::mem::replace(&mut self.0, tail), piece.slice(..cut));
        }
        let joined = Bytes::from([&*self.0, piece].concat());
        let cut = joined.len().saturating_sub(TAIL_BYTES);
        self.0 = joined.slice(cut..);
        (joined.slice(..cut), Bytes::new())
    }
}

fn hashed(
    answer: reqwest::Response,
    digest: Sha256Digest,
    window: Window,
    doubt: impl FnOnce() + Send + Sync + 'static,
) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
    let state = Hashing {
        doubt: Some(doubt),
        answer,
        hash: Sha256::new(),
        offset: 0,
        tail: Tail::default(),
        next: Bytes::new(),
        ended: false,
        waiting: Arc::new(Semaphore::new(WAITING_PIECES)),
    };
    stream::try_unfold(state, move |mut state| async move {
        loop {
            let next = std::mem::take(&mut state.next);
            if !next.is_empty() {
                return Ok(Some((state.lend(next).await?, state)));
            }
            if state.ended {
                return Ok(None);
            }
            let Some(chunk) = state.answer.chunk().await.map_err(std::io::Error::other)? else {
                if <[u8; 32]>::from(state.hash.clone().finalize()) != digest.0 {
                    tracing::error!(%digest, "the registry serves other bytes than were admitted");
                    if let Some(doubt) = state.doubt.take() {
                        doubt();
                    }
                    return Err(std::io::Error::other("other bytes than were admitted"));
                }
                state.ended = true;
                state.next = std::mem::take(&mut state.tail.0);
                continue;
            };
            state.hash.update(&chunk);
            let piece = window.cut(state.offset, &chunk);
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            state.offset = state.offset.saturating_add(length);
            let (first, next) = state.tail.push(&piece);
            state.next = next;
            if !first.is_empty() {
                return Ok(Some((state.lend(first).await?, state)));
            }
        }
    })
}

/// With pieces of at most 64 KB, 128 KB for a client that reads slowly.
const WAITING_PIECES: usize = 2;

/// Enough that nobody takes what came for the whole; an archive ends in 8 bytes of checksum and length [RFC 1952 §2.3.1].
const TAIL_BYTES: usize = 4 << 10;

const EVERYTHING: Window = Window {
    start: 0,
    end: u64::MAX,
};
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_held_back_and_nothing_is_lost() {
        let bytes: Vec<u8> = (0..50_000_usize).map(|place| place.to_le_bytes()[0]).collect();
        for size in [1, 100, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1, 20_000, 50_000] {
            let (mut tail, mut given) = (Tail::default(), Vec::new());
            for piece in bytes.chunks(size) {
                let (first, next) = tail.push(&Bytes::copy_from_slice(piece));
                given.extend([first, next].concat());
                assert!(tail.0.len() <= TAIL_BYTES);
            }
            assert_eq!(given.len(), bytes.len() - TAIL_BYTES, "{size}");
            given.extend(&tail.0);
            assert!(given == bytes, "{size}");
        }
    }
}
