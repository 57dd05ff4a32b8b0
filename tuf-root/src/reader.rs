//! The client workflow [TUF 1.0 §5] on the Sigstore project's own client, over a cache on disk.
//!
//! The cache holds the newest metadata of each role under its plain name, byte for byte as it was received. Trust: whoever can
//! change the cache can at most make this reader start over from the root in it; that root is where trust begins, so the cache
//! belongs to the user alone. Everything else in it is checked again whenever it is read.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sigstore_tuf::{
    MetadataStore, Repository, TargetFile, TrustedMetadataSet, Updater, UpdaterConfig, transport::FetchFuture,
};
use verify::UnixTime;

use crate::{
    Error, Role,
    error::instant,
    fetch::{HttpOptions, Web},
    files,
    repository::{Head, Heads},
};

/// Where a reader gets what its cache lacks.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// From a web server.
    Web {
        /// Where the metadata is, `https` or loopback `http`.
        metadata_url: &'a str,
        /// Where the targets are.
        targets_url: &'a str,
        /// How to talk to it.
        options: &'a HttpOptions,
    },
    /// Nowhere: only the cache is used, and expiry is not judged.
    Cache,
}

/// One run of the client workflow.
#[derive(Debug)]
pub struct Reader {
    updater: Updater,
    cache: Cache,
    offline: bool,
}

impl Reader {
    /// Sets up trust in a root: checks it and writes it as `metadata/root.json`.
    ///
    /// # Errors
    /// [`Error::Metadata`] or [`Error::Threshold`] when it is no root or does not sign itself, [`Error::Io`].
    pub fn trust(metadata: &Path, root: &[u8]) -> Result<(), Error> {
        TrustedMetadataSet::from_root(root).map_err(refusal)?;
        files::make_folder(metadata)?;
        files::write(&metadata.join("root.json"), root)
    }

    /// A reader that trusts `metadata/root.json`, keeps metadata there and targets in the folder `targets`.
    ///
    /// # Errors
    /// [`Error::Missing`] without a root, [`Error::Url`], [`Error::TlsRoots`], and as [`Self::trust`].
    pub fn open(metadata: &Path, targets: &Path, source: Source<'_>) -> Result<Self, Error> {
        let cache = Cache {
            metadata: metadata.to_owned(),
            targets: targets.to_owned(),
            failure: Arc::default(),
        };
        let root = files::read_existing(&metadata.join("root.json"), METADATA_BYTES)?;
        let (updater, offline) = match source {
            Source::Web {
                metadata_url,
                targets_url,
                options,
            } => (
                Updater::new(Web::new(metadata_url, targets_url, options)?, &root).map_err(refusal)?,
                false,
            ),
            Source::Cache => (Updater::new(cache.clone(), &root).map_err(refusal)?, true),
        };
        let mut limits = UpdaterConfig::default();
        limits.target_max_length = TARGET_BYTES;
        let updater = updater.with_config(limits).with_store(cache.clone());
        Ok(Self {
            updater,
            cache,
            offline,
        })
    }

    /// Brings the four top-level roles up to date, or, offline, reads them from the cache. What was accepted before a
    /// failure stays accepted, so nothing ever goes back.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the repository does not answer; [`Error::Expired`], [`Error::Rollback`],
    /// [`Error::Threshold`], [`Error::Inconsistent`], [`Error::Metadata`], [`Error::TooLarge`] when it lies.
    pub async fn refresh(&mut self, now: UnixTime) -> Result<(), Error> {
        let now = self.judging(now);
        let refreshed = self.updater.refresh(now).await.map_err(refusal);
        self.cache.stored()?;
        refreshed
    }

    /// A target, from the cache when it is there and right. Needs a [`Self::refresh`] before.
    ///
    /// # Errors
    /// [`Error::NoTarget`] when no role lists it, [`Error::Inconsistent`] when the bytes are not those listed, and as
    /// [`Self::refresh`].
    pub async fn target(&mut self, name: &str, now: UnixTime) -> Result<Vec<u8>, Error> {
        let now = self.judging(now);
        let listed = self.updater.get_target_info(name, now).await.map_err(refusal)?;
        let listed: TargetFile = listed.ok_or_else(|| Error::NoTarget { name: name.to_owned() })?;
        if let Some(bytes) = self.updater.find_cached_target(&listed, name) {
            return Ok(bytes);
        }
        let bytes = self.updater.download_target(&listed, name).await.map_err(refusal)?;
        self.cache.stored()?;
        Ok(bytes)
    }

    /// Versions and expiries of what is trusted now; none before a [`Self::refresh`].
    #[must_use]
    pub fn heads(&self) -> Option<Heads> {
        let head = |version, expires: jiff::Timestamp| Head {
            version,
            expires: UnixTime::from_secs(expires.as_second()),
        };
        let trusted = self.updater.trusted();
        let (timestamp, snapshot) = (trusted.timestamp()?, trusted.snapshot()?);
        let targets = trusted.targets_role("targets")?;
        Some(Heads {
            root: head(trusted.root().version, trusted.root().expires),
            targets: head(targets.version, targets.expires),
            snapshot: head(snapshot.version, snapshot.expires),
            timestamp: head(timestamp.version, timestamp.expires),
        })
    }

    /// The instant by which expiry is judged: offline it is not, the caller is told instead.
    fn judging(&self, now: UnixTime) -> jiff::Timestamp {
        if self.offline {
            jiff::Timestamp::MIN
        } else {
            instant(now).unwrap_or(jiff::Timestamp::MAX)
        }
    }
}

/// Newest metadata by plain name, targets by name. Root history and old versions are not kept: the newest root is the anchor.
#[derive(Clone, Debug)]
struct Cache {
    metadata: PathBuf,
    targets: PathBuf,
    /// The first write that failed: the client only logs it, we report it.
    failure: Arc<Mutex<Option<Error>>>,
}

impl Cache {
    /// The file for a name of the client's, if this cache keeps it.
    fn file(&self, name: &str) -> Option<PathBuf> {
        if let Some(target) = name.strip_prefix("targets/") {
            return Some(self.targets.join(encoded(target)));
        }
        let numbered = name.split_once('.').is_some_and(|(number, rest)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && rest.contains('.')
        });
        (!numbered && !name.contains(['/', '\\'])).then(|| self.metadata.join(name))
    }

    /// The first write that failed, if any.
    fn stored(&self) -> Result<(), Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .map_or(Ok(()), Err)
    }
}

impl MetadataStore for Cache {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, sigstore_tuf::Error> {
        let Some(path) = self.file(name) else { return Ok(None) };
        files::read(&path, TARGET_BYTES).map_err(|error| sigstore_tuf::Error::transport_with_source("cache", error))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), sigstore_tuf::Error> {
        let Some(path) = self.file(name) else { return Ok(()) };
        if let Err(error) = keep(&path, bytes) {
            self.failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
        Ok(())
    }
}

/// Writes a file of the cache, unless it is there already.
fn keep(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if files::read(path, TARGET_BYTES)?.is_some_and(|present| present == bytes) {
        return Ok(());
    }
    path.parent().map_or(Ok(()), files::make_folder)?;
    files::write(path, bytes)
}

/// The cache as the only source: versioned names are those of the newest files, and no root follows the newest.
impl Repository for Cache {
    fn fetch_metadata<'a>(&'a self, name: &'a str, _max_length: u64) -> FetchFuture<'a> {
        let plain = match name.split_once('.') {
            Some((number, rest)) if number.parse::<u64>().is_ok() => rest,
            _ => name,
        };
        let found = if plain == "root.json" {
            Ok(None)
        } else {
            self.load(plain)
        };
        Box::pin(async move { found })
    }

    fn fetch_target<'a>(&'a self, _path: &'a str, _max_length: u64) -> FetchFuture<'a> {
        Box::pin(async { Ok(None) })
    }
}

/// A target name as one file name that no other target has: all but letters, digits, `.`, `_` and `-` escaped, and a leading dot.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for (position, byte) in name.bytes().enumerate() {
        match char::from(byte) {
            '.' if position == 0 => text.push_str("%2E"),
            plain @ ('a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-') => text.push(plain),
            _ => text.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    text
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

/// Our words for what the client says.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the client's enum is open; its other words are passed on"
)]
pub(crate) fn refusal(error: sigstore_tuf::Error) -> Error {
    use sigstore_tuf::Error as Client;
    match error {
        Client::ThresholdNotMet { role, found, threshold } => Error::Threshold {
            role: role_named(&role),
            found: u64::try_from(found).unwrap_or(u64::MAX),
            needed: u64::try_from(threshold).unwrap_or(u64::MAX),
        },
        Client::Rollback { role, trusted, new } => Error::Rollback {
            role,
            trusted,
            offered: new,
        },
        Client::BadRootVersion { trusted, new } => {
            let expected = trusted.saturating_add(1);
            Error::Version {
                file: format!("{expected}.root.json"),
                expected,
                found: new,
            }
        }
        Client::Expired { role, expires } => Error::Expired {
            role: role_named(&role),
            at: expires.to_string(),
        },
        Client::IntegrityMismatch(what) => Error::Inconsistent { what },
        Client::TargetNotFound(name) => Error::NoTarget { name },
        Client::Transport { message, source } => {
            let ours = source
                .as_ref()
                .and_then(|source| source.downcast_ref::<Error>())
                .cloned();
            ours.unwrap_or(Error::Unavailable {
                url: "the repository".to_owned(),
                reason: message,
            })
        }
        other => Error::Metadata {
            reason: other.to_string(),
        },
    }
}

fn role_named(name: &str) -> Role {
    match name {
        "root" => Role::Root,
        "timestamp" => Role::Timestamp,
        "snapshot" => Role::Snapshot,
        _ => Role::Targets,
    }
}

/// Largest metadata file read from the cache; the client bounds each role by itself.
const METADATA_BYTES: u64 = 5 << 20;

/// Largest target: trusted roots are a few kilobytes.
const TARGET_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_file_of_its_own_inside_the_folder() {
        let names = [
            "a",
            ".a",
            "%2Ea",
            "../a",
            "a/b",
            "a%2Fb",
            "a\\b",
            "ä",
            "..",
            "targets/a",
            "con:1",
        ];
        let files: std::collections::BTreeSet<String> = names.iter().map(|name| encoded(name)).collect();
        assert_eq!(files.len(), names.len());
        assert!(
            files
                .iter()
                .all(|file| !file.contains(['/', '\\', ':']) && !file.starts_with('.')),
            "{files:?}"
        );
        assert_eq!(encoded("trusted_root.json"), "trusted_root.json");
    }

    #[test]
    fn only_the_newest_metadata_is_kept_by_plain_name() {
        let cache = Cache {
            metadata: "m".into(),
            targets: "t".into(),
            failure: Arc::default(),
        };
        assert_eq!(cache.file("root.json"), Some("m/root.json".into()));
        assert_eq!(
            cache.file("targets/trusted_root.json"),
            Some("t/trusted_root.json".into())
        );
        assert_eq!(cache.file("role%2F1.json"), Some("m/role%2F1.json".into()));
        assert_eq!(
            cache.file("1.json"),
            Some("m/1.json".into()),
            "a delegated role may be called 1"
        );
        for dropped in ["root_history/2.root.json", "7.snapshot.json", "a/b.json", "..\\x.json"] {
            assert_eq!(cache.file(dropped), None, "{dropped}");
        }
    }
}
