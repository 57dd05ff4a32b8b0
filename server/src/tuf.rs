//! The TUF repository: served as the files it consists of, timestamp and snapshot re-signed before they expire [TUF 1.0 §5, §6].

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::watch;
use tuf_root::{key::SigningKey, repository};

use crate::{clock, reply::Refusal};

/// Whether the repository's metadata is good for longer than the pause until the next try.
#[derive(Clone, Debug, Default)]
pub(crate) struct Freshness(Arc<AtomicBool>);

impl Freshness {
    /// The last known state.
    pub(crate) fn is_fresh(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The routes of the repository in `folder`.
pub(crate) fn router(folder: PathBuf) -> Router {
    Router::new()
        .route("/tuf/{*path}", get(file))
        .with_state(Arc::new(folder))
}

async fn file(State(folder): State<Arc<PathBuf>>, Path(path): Path<String>) -> Result<Response, Refusal> {
    let not_found = || {
        Refusal::bad_request("Not found", "not-found", "the repository has no such file".to_owned())
            .status(StatusCode::NOT_FOUND)
    };
    if !is_plain(&path) {
        return Err(not_found());
    }
    let bytes = tokio::fs::read(folder.join(&path)).await.map_err(|_| not_found())?;
    let (kind, cache) = if path == "timestamp.json" {
        ("application/json", "no-cache")
    } else if path.starts_with("targets/") {
        ("application/octet-stream", "public, max-age=31536000, immutable")
    } else {
        ("application/json", "public, max-age=31536000, immutable")
    };
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], bytes).into_response())
}

/// `NAME` or `targets/NAME` of letters, digits, `-`, `_` and inner dots: nothing that leaves the folder or finds a temporary file.
fn is_plain(path: &str) -> bool {
    let name = path.strip_prefix("targets/").unwrap_or(path);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// Re-signs until `stop` changes: at once, then every six hours, after a failure every minute.
pub(crate) async fn keep_fresh(
    folder: PathBuf,
    online_key: Arc<SigningKey>,
    freshness: Freshness,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let pause = refresh(&folder, &online_key, &freshness).await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
    }
}

async fn refresh(folder: &std::path::Path, online_key: &Arc<SigningKey>, freshness: &Freshness) -> Duration {
    let (path, key) = (folder.to_owned(), Arc::clone(online_key));
    let done = tokio::task::spawn_blocking(move || repository::refresh(&path, &key, clock::now())).await;
    let pause = match done {
        Ok(Ok(heads)) => {
            freshness.0.store(true, Ordering::Release);
            tracing::info!(
                timestamp = heads.timestamp.version,
                expires = heads.timestamp.expires.to_string(),
                root_expires = heads.root.expires.to_string(),
                "re-signed the TUF timestamp"
            );
            REFRESH_EVERY
        }
        Ok(Err(error)) => {
            freshness.0.store(false, Ordering::Release);
            tracing::error!(
                code = error.code(),
                error = error.to_string(),
                "cannot re-sign the TUF timestamp"
            );
            RETRY_AFTER
        }
        Err(_) => RETRY_AFTER,
    };
    metrics::gauge!("sigstore_tuf_fresh").set(if freshness.is_fresh() { 1.0 } else { 0.0 });
    pause
}

/// A quarter of the timestamp's day: three failures in a row go unnoticed by clients.
const REFRESH_EVERY: Duration = Duration::from_hours(6);
const RETRY_AFTER: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_served() {
        for path in ["timestamp.json", "2.root.json", "targets/abc.trusted_root.json"] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "",
            ".lock",
            "../keys/ca.pem",
            "targets/../x",
            "a/b",
            "targets/.x",
            "/etc/passwd",
            "a%2fb",
            "targets//x",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
