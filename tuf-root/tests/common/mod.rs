//! A reader over a folder, made of the Sigstore project's own TUF client, and repositories to read.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod reader;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sigstore_tuf::{Repository, Updater, transport::FetchFuture};
use tuf_root::{
    Error,
    key::{Algorithm, SigningKey},
    repository::{self, CreateOptions, Heads, Lifetimes},
};
use verify::UnixTime;

/// 2026-11-20.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_795_132_800);
pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Three root keys of which two must sign, two targets keys of which one, and an online key.
pub(crate) struct Keys {
    pub(crate) root: Vec<SigningKey>,
    pub(crate) targets: Vec<SigningKey>,
    pub(crate) online: SigningKey,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let key = |algorithm| SigningKey::generate(algorithm).unwrap();
        Self {
            root: vec![key(Algorithm::Ed25519), key(Algorithm::P256), key(Algorithm::Ed25519)],
            targets: vec![key(Algorithm::P256), key(Algorithm::Ed25519)],
            online: key(Algorithm::P256),
        }
    }

    pub(crate) fn create(&self, dir: &Path) -> Result<Heads, Error> {
        self.create_at(dir, NOW)
    }

    pub(crate) fn create_at(&self, dir: &Path, now: UnixTime) -> Result<Heads, Error> {
        let options = CreateOptions {
            root_keys: &self.root,
            root_threshold: 2,
            targets_keys: &self.targets,
            targets_threshold: 1,
            online_key: &self.online,
            targets: &targets("first"),
            lifetimes: Lifetimes::default(),
        };
        repository::create(dir, &options, now)
    }
}

pub(crate) fn targets(content: &str) -> BTreeMap<String, Vec<u8>> {
    [("trusted_root.json", content), ("signing_config.v0.2.json", "{}")]
        .map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()))
        .into()
}

pub(crate) struct Folder(pub(crate) PathBuf);

impl Repository for Folder {
    fn fetch_metadata<'a>(&'a self, name: &'a str, _max_length: u64) -> FetchFuture<'a> {
        let found = std::fs::read(self.0.join(name)).ok();
        Box::pin(async move { Ok(found) })
    }
    fn fetch_target<'a>(&'a self, path: &'a str, _max_length: u64) -> FetchFuture<'a> {
        let found = std::fs::read(self.0.join("targets").join(path)).ok();
        Box::pin(async move { Ok(found) })
    }
}

/// What a reader that trusts `root` gets as `trusted_root.json`.
pub(crate) fn read_with(dir: &Path, root: &[u8], now: UnixTime) -> Result<String, sigstore_tuf::Error> {
    let now = jiff::Timestamp::from_second(now.as_secs()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut updater = Updater::new(Folder(dir.to_owned()), root)?;
        updater.refresh(now).await?;
        let bytes = updater.get_target("trusted_root.json", now).await?;
        Ok(String::from_utf8(bytes).unwrap())
    })
}

/// [`read_with`] the first root.
pub(crate) fn read(dir: &Path, now: UnixTime) -> Result<String, sigstore_tuf::Error> {
    read_with(dir, &std::fs::read(dir.join("1.root.json")).unwrap(), now)
}

/// [`read`] by this machine's clock.
pub(crate) fn read_now(dir: &Path) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    read(dir, UnixTime::from_secs(i64::try_from(now.as_secs()).unwrap())).unwrap()
}
