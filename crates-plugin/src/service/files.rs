//! Index files in memory: a fresh one costs a map look-up, an old one a conditional request, and only new bytes are looked through.
//!
//! A file is kept for the credentials that it was fetched with, so that a stranger gets the registry's own refusal.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use verify::Sha256Digest;

/// Files by path and credentials.
#[derive(Debug, Default)]
pub(super) struct Files {
    kept: RwLock<Kept>,
    /// Counts what was learned of archives: a file looked through before knows less.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<FileKey, Arc<IndexFile>>,
    bytes: usize,
}

/// Which file, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    path: String,
    /// SHA-256 of the `Authorization` header; none without one.
    credentials: Option<Sha256Digest>,
}

/// A file as it is answered.
#[derive(Clone, Debug)]
pub(super) struct IndexFile {
    headers: HeaderMap,
    body: Bytes,
    /// The registry's own tag, also when lines are left out.
    pub(super) upstream_tag: Option<HeaderValue>,
    generation: u64,
    at: Instant,
}

impl Files {
    pub(super) fn find(&self, key: &FileKey) -> Option<Arc<IndexFile>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.files.get(key).cloned()
    }

    /// Keeps a file, unless more was learned while it was looked through.
    pub(super) fn keep(&self, key: FileKey, file: IndexFile) -> Arc<IndexFile> {
        let file = Arc::new(file);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if file.generation == self.generation() {
            kept.insert(key, Arc::clone(&file));
        }
        file
    }

    /// How much is known of archives.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Something was learned of a crate, or its file has changed.
    pub(super) fn forget_crate(&self, name: &str) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel);
        let name = name.to_lowercase();
        kept.remove(|key| key.name().eq_ignore_ascii_case(&name));
    }

    /// Any file may have changed.
    pub(super) fn forget(&self) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel);
        *kept = Kept::default();
    }
}

impl Kept {
    fn insert(&mut self, key: FileKey, file: Arc<IndexFile>) {
        if self.bytes.saturating_add(file.weight()) > MOST_BYTES {
            *self = Self::default();
        }
        let weight = file.weight();
        let before = self.files.insert(key, file).map_or(0, |before| before.weight());
        self.bytes = self.bytes.saturating_add(weight).saturating_sub(before);
    }

    fn remove(&mut self, is_it: impl Fn(&FileKey) -> bool) {
        let mut freed: usize = 0;
        self.files.retain(|key, file| {
            let keep = !is_it(key);
            if !keep {
                freed = freed.saturating_add(file.weight());
            }
            keep
        });
        self.bytes = self.bytes.saturating_sub(freed);
    }
}

impl FileKey {
    pub(super) fn new(path: String, headers: &HeaderMap) -> Self {
        let shown = headers.get(header::AUTHORIZATION);
        Self {
            path,
            credentials: shown.map(|value| Sha256Digest::of(value.as_bytes())),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The crate's name in lower case, as the path has it.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl IndexFile {
    pub(super) fn new(headers: HeaderMap, body: Bytes, upstream_tag: Option<HeaderValue>, generation: u64) -> Self {
        Self {
            headers,
            body,
            upstream_tag,
            generation,
            at: Instant::now(),
        }
    }

    /// Whether it is so new that the registry need not be asked.
    pub(super) fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH
    }

    /// The same, seen to be unchanged now.
    pub(super) fn renewed(&self) -> Self {
        Self {
            at: Instant::now(),
            ..self.clone()
        }
    }

    /// 200 with the file, or 304 to who has it already [RFC 9110 §13.1.2].
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let tag = self.headers.get(header::ETAG);
        let known = asked
            .get(header::IF_NONE_MATCH)
            .is_some_and(|wanted| Some(wanted) == tag);
        // Without tags the date decides; a file with lines left out has none.
        let dated = tag.is_none() && asked.get(header::IF_MODIFIED_SINCE) == self.headers.get(header::LAST_MODIFIED);
        let unchanged = known || (dated && asked.contains_key(header::IF_MODIFIED_SINCE));
        let (status, body) = if unchanged {
            (StatusCode::NOT_MODIFIED, Body::empty())
        } else {
            (StatusCode::OK, Body::from(self.body.clone()))
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = self.headers.clone();
        response
    }

    fn weight(&self) -> usize {
        self.body.len().saturating_add(ENTRY_BYTES)
    }
}

/// Cargo asks for each file once a run; a second hides a burst of them and no news that anybody waits for.
const FRESH: Duration = Duration::from_secs(1);
/// The files of a workspace with a thousand dependencies take about 20 MB.
const MOST_BYTES: usize = 24 << 20;
/// Key, headers and map entry.
const ENTRY_BYTES: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str, token: Option<&str>) -> FileKey {
        let named = token.map(|token| (header::AUTHORIZATION, HeaderValue::from_str(token).unwrap()));
        FileKey::new(path.to_owned(), &named.into_iter().collect())
    }

    fn file(body: &str, generation: u64) -> IndexFile {
        let headers = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static("\"1\""))]);
        IndexFile::new(headers, Bytes::copy_from_slice(body.as_bytes()), None, generation)
    }

    #[test]
    fn a_file_is_for_the_credentials_it_was_fetched_with() {
        let files = Files::default();
        files.keep(key("se/rd/serde", Some("token")), file("x", 0));
        assert!(files.find(&key("se/rd/serde", Some("token"))).is_some());
        assert!(files.find(&key("se/rd/serde", Some("other"))).is_none());
        assert!(files.find(&key("se/rd/serde", None)).is_none());
    }

    #[test]
    fn what_is_learned_while_a_file_is_looked_through_makes_it_stale() {
        let files = Files::default();
        let before = files.generation();
        files.forget_crate("Serde");
        files.keep(key("se/rd/serde", None), file("x", before));
        assert!(files.find(&key("se/rd/serde", None)).is_none());
        files.keep(key("se/rd/serde", None), file("x", files.generation()));
        files.keep(key("to/ki/tokio", None), file("x", files.generation()));
        files.forget_crate("Serde");
        assert!(files.find(&key("se/rd/serde", None)).is_none());
        assert!(files.find(&key("to/ki/tokio", None)).is_some());
        files.forget();
        assert!(files.find(&key("to/ki/tokio", None)).is_none());
        assert_eq!(files.kept.read().unwrap().bytes, 0);
    }

    #[test]
    fn memory_is_bounded() {
        let files = Files::default();
        let large = "x".repeat(1 << 20);
        for number in 0..40 {
            files.keep(key(&format!("cr/at/crate{number}"), None), file(&large, 0));
        }
        let kept = files.kept.read().unwrap();
        assert!(kept.bytes <= MOST_BYTES);
        assert!(!kept.files.is_empty());
    }

    #[test]
    fn who_has_the_file_gets_304() {
        let file = file("x", 0);
        let asked = |tag: &'static str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(tag))]);
            file.answer(&headers).status()
        };
        assert_eq!(asked("\"1\""), StatusCode::NOT_MODIFIED);
        assert_eq!(asked("\"2\""), StatusCode::OK);
        assert_eq!(file.answer(&HeaderMap::new()).status(), StatusCode::OK);
    }
}
