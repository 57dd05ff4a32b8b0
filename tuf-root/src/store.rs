//! The trust roots of a user, by name: where each is, the root it began with, and a cache of what it said last.
//!
//! ```text
//! NAME/instance.json   address of the repository, digest of the root that was pinned
//! NAME/metadata/       newest metadata of each role; root.json is the newest root and never goes back
//! NAME/targets/        trusted_root.json, signing_config.v0.2.json
//! NAME/refreshed       when the repository was last asked
//! NAME/former/         while an update is under way or after one that was cut short: the last three, as they were before
//! ```
//! The public instances ([`PUBLIC_INSTANCES`]) need not be added. Nothing is trusted on first use: a root comes from a file, or
//! is downloaded and compared with a digest that the user got elsewhere.

mod former;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use verify::{
    Budget, TrustedRoot, UnixTime,
    signing_config::{ClientTrustConfig, SigningConfig},
};

use crate::{
    Error, Role,
    fetch::{self, Web},
    files,
    reader::{Reader, Source},
    repository::Heads,
};
pub use crate::{
    fetch::HttpOptions,
    instances::{PUBLIC_INSTANCES, PublicInstance, public_instance},
};

/// The trust roots kept in a folder.
#[derive(Clone, Debug)]
pub struct TrustStore {
    dir: PathBuf,
    options: HttpOptions,
    fresh_seconds: i64,
}

/// A trust root as it was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// What it is called here.
    pub name: String,
    /// Where its TUF repository is; ends with a slash.
    pub url: String,
    /// SHA-256 of the root metadata that trust began with, 64 hexadecimal digits.
    pub root_sha256: String,
}

/// One of [`TrustStore::list`].
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it is called here.
    pub name: String,
    /// What was added, or [`Error::Damaged`].
    pub instance: Result<Instance, Error>,
}

/// What a trust root says, checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Trusted root and signing configuration; the latter is empty where the repository offers none.
    pub config: ClientTrustConfig,
    /// Whether the repository offers a signing configuration: without one it is for verification only.
    pub can_sign: bool,
    /// Versions and expiries of the metadata it comes from.
    pub heads: Heads,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// How fresh loaded trust is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The repository was asked just now.
    Refreshed,
    /// From the cache; the repository was asked at this instant, and nothing has expired since.
    Cached {
        /// When it was asked.
        refreshed: UnixTime,
    },
    /// From the cache, offline, and past its expiry: a rotation or revocation since then is not known here.
    Expired {
        /// The role that expired first.
        role: Role,
        /// When.
        at: UnixTime,
    },
}

impl Loaded {
    /// What a user should be told, if anything: that expired trust was used.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self.freshness {
            Freshness::Refreshed | Freshness::Cached { .. } => None,
            Freshness::Expired { role, at } => Some(format!(
                "working offline with trust metadata that expired ({role}, {at}): later changes are not known here"
            )),
        }
    }
}

impl TrustStore {
    /// The store in this folder, which need not exist yet.
    #[must_use]
    pub fn open(dir: PathBuf) -> Self {
        Self {
            dir,
            options: HttpOptions::default(),
            fresh_seconds: FRESH_SECONDS,
        }
    }

    /// The same store, talking HTTP in this way.
    #[must_use]
    pub fn with_http(mut self, options: HttpOptions) -> Self {
        self.options = options;
        self
    }

    /// The same store, asking a repository at every load when `seconds` is 0, else when the last answer is older. An hour
    /// unless said otherwise; the clients of other languages ask every time.
    #[must_use]
    pub fn with_freshness(mut self, seconds: i64) -> Self {
        self.fresh_seconds = seconds;
        self
    }

    /// Adds a trust root, beginning with this root metadata.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Url`], [`Error::Known`], [`Error::Metadata`] or [`Error::Threshold`] for bytes that are no
    /// root, [`Error::Io`].
    pub fn add(&self, name: &str, repository_url: &str, root_json: &[u8]) -> Result<Instance, Error> {
        check_name(name)?;
        let instance = Instance {
            name: name.to_owned(),
            url: fetch::base(repository_url)?.to_string(),
            root_sha256: hex::encode(Sha256::digest(root_json)),
        };
        let place = self.dir.join(name);
        if place.exists() || public_instance(name).is_some_and(|public| public.root != root_json) {
            return Err(Error::Known { name: name.to_owned() });
        }
        files::make_folder(&self.dir)?;
        let staging = files::temporary_folder(&self.dir)?;
        Reader::trust(&staging.path().join(METADATA), root_json)?;
        let json = serde_json::to_vec_pretty(&instance).map_err(|_| Error::Internal {
            what: "instance is not JSON",
        })?;
        files::write(&staging.path().join(INSTANCE), &json)?;
        files::rename_folder(staging, &place)?;
        Ok(instance)
    }

    /// Downloads root metadata that must have this SHA-256: the first root, or the one that is called `root.json`.
    ///
    /// # Errors
    /// [`Error::Pin`] when none has, [`Error::Url`], [`Error::Unavailable`].
    pub async fn fetch_root(&self, repository_url: &str, sha256: &str) -> Result<Vec<u8>, Error> {
        let web = Web::new(repository_url, repository_url, &self.options)?;
        let mut found = None;
        for name in ["1.root.json", "root.json"] {
            let Some(bytes) = web.metadata(name, METADATA_BYTES).await? else {
                continue;
            };
            let digest = hex::encode(Sha256::digest(&bytes));
            if digest.eq_ignore_ascii_case(sha256) {
                return Ok(bytes);
            }
            found.get_or_insert(digest);
        }
        let unavailable = || Error::Unavailable {
            url: repository_url.to_owned(),
            reason: "it has no root".to_owned(),
        };
        Err(Error::Pin {
            expected: sha256.to_owned(),
            found: found.ok_or_else(unavailable)?,
        })
    }

    /// Asks the repository for what is new. What was accepted before a failure stays accepted, and nothing older is taken from a
    /// repository; the set that was whole before stays beside it, for [`Self::load`] offline.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Damaged`], [`Error::Unavailable`], and the refusals of [`Reader::refresh`].
    pub async fn update(&self, name: &str, now: UnixTime) -> Result<Loaded, Error> {
        let instance = self.ensure(name)?;
        let place = self.dir.join(name);
        let _lock = files::lock_within(&place, UPDATE_PATIENCE)
            .await?
            .ok_or_else(|| Error::Unavailable {
                url: instance.url.clone(),
                reason: "another process has been updating it for minutes".to_owned(),
            })?;
        let targets_url = format!("{}targets/", instance.url);
        let source = Source::Web {
            metadata_url: &instance.url,
            targets_url: &targets_url,
            options: &self.options,
        };
        let mut reader = reader(name, &place, source)?;
        if read_kept(name, &place, now).await.is_ok() {
            former::keep(&place)?;
        }
        reader.refresh(now).await?;
        let loaded = read_documents(&mut reader, now, Freshness::Refreshed).await?;
        files::write(&place.join(REFRESHED), now.to_string().as_bytes())?;
        former::forget(&place)?;
        Ok(loaded)
    }

    /// What a trust root says. Offline from the cache alone, and even when it has expired ([`Loaded::warning`] says so), or, after an
    /// update that was cut short, what it said before; otherwise fresh, and refused when it has expired.
    ///
    /// # Errors
    /// [`Error::NoCache`] offline when it was never updated, [`Error::Damaged`], [`Error::Document`] for a trusted root that cannot be read,
    /// and as [`Self::update`].
    pub async fn load(&self, name: &str, offline: bool, now: UnixTime) -> Result<Loaded, Error> {
        if offline {
            return self.load_offline(name, now).await;
        }
        match self.load_cached(name, now).await {
            Ok(loaded) if self.is_fresh(&loaded, now) => Ok(loaded),
            _ => self.update(name, now).await,
        }
    }

    /// What was added, and the public instances, in order of their names. One that is damaged hides no other.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut names: BTreeSet<String> = PUBLIC_INSTANCES.iter().map(|public| public.name.to_owned()).collect();
        match fs::read_dir(&self.dir) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(Error::io("list", &self.dir))?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if check_name(&name).is_ok() && entry.path().is_dir() {
                        names.insert(name);
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("list", &self.dir)(error)),
        }
        let listed = |name: String| Listed {
            instance: self.instance(&name),
            name,
        };
        Ok(names.into_iter().map(listed).collect())
    }

    /// One of [`Self::list`].
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Name`], [`Error::Damaged`], [`Error::Io`].
    pub fn instance(&self, name: &str) -> Result<Instance, Error> {
        check_name(name)?;
        if let Some(instance) = public_instance(name) {
            return Ok(public(instance));
        }
        let place = self.dir.join(name);
        let bytes = match files::read(&place.join(INSTANCE), INSTANCE_BYTES) {
            Ok(None) if !place.is_dir() => return Err(Error::Unknown { name: name.to_owned() }),
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(Error::TooLarge { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&bytes).map_err(|_| damaged(name, INSTANCE))
    }

    /// When the repository was last asked, if ever.
    #[must_use]
    pub fn refreshed(&self, name: &str) -> Option<UnixTime> {
        check_name(name).ok()?;
        asked(name, &self.dir.join(name)).ok()?
    }

    /// Forgets a trust root: the pinned root, and with it the protection against going back. Of a public instance only the
    /// cache goes.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is nothing to remove, [`Error::Io`].
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        let place = self.dir.join(name);
        if !place.is_dir() {
            return Err(Error::Unknown { name: name.to_owned() });
        }
        fs::remove_dir_all(&place).map_err(Error::io("remove", &place))?;
        files::sync_folder(&self.dir)
    }

    /// The instance, added now if it is a public one.
    fn ensure(&self, name: &str) -> Result<Instance, Error> {
        let instance = self.instance(name)?;
        if let Some(public) = public_instance(name).filter(|_| !self.dir.join(name).is_dir()) {
            match self.add(name, public.url, public.root) {
                Ok(_) | Err(Error::Known { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(instance)
    }

    async fn load_cached(&self, name: &str, now: UnixTime) -> Result<Loaded, Error> {
        self.instance(name)?;
        let place = self.dir.join(name);
        if asked(name, &place)?.is_none() {
            return Err(Error::NoCache { name: name.to_owned() });
        }
        // a reader of a cache that cannot be written goes without: each file is whole, and all are checked together
        let _lock = files::lock_within(&place, READ_PATIENCE).await.ok().flatten();
        read_kept(name, &place, now).await
    }

    /// [`Self::load_cached`], or what was kept before an update that was cut short, or is under way for long.
    async fn load_offline(&self, name: &str, now: UnixTime) -> Result<Loaded, Error> {
        let newest = self.load_cached(name, now).await;
        if !matches!(newest, Err(Error::NoCache { .. })) {
            return newest;
        }
        let place = self.dir.join(name);
        if let Ok(former) = read_kept(name, &former::folder(&place), now).await {
            return Ok(former);
        }
        // An update that was under way may have ended between the two.
        read_kept(name, &place, now).await.or(newest)
    }

    /// Whether cached trust may be used without asking. A clock that was set back is no reason to.
    fn is_fresh(&self, loaded: &Loaded, now: UnixTime) -> bool {
        match loaded.freshness {
            Freshness::Cached { refreshed } => refreshed <= now && now < refreshed.plus_secs(self.fresh_seconds),
            Freshness::Refreshed | Freshness::Expired { .. } => false,
        }
    }
}

impl Error {
    /// What is no use in the cache, for instance after an update that was cut short, is as good as not cached.
    fn or_no_cache(self, name: &str) -> Self {
        let kept = matches!(self, Self::Io { .. } | Self::Document { .. } | Self::Internal { .. });
        if kept {
            self
        } else {
            Self::NoCache { name: name.to_owned() }
        }
    }
}

/// What a folder keeps of a trust root: the newest set, or the former.
async fn read_kept(name: &str, folder: &Path, now: UnixTime) -> Result<Loaded, Error> {
    let no_cache = || Error::NoCache { name: name.to_owned() };
    let refreshed = asked(name, folder)?.ok_or_else(no_cache)?;
    let mut reader = reader(name, folder, Source::Cache)?;
    let read = reader.refresh(now).await;
    read.map_err(|error| error.or_no_cache(name))?;
    let heads = reader.heads().ok_or_else(no_cache)?;
    let freshness = first_expired(&heads, now).unwrap_or(Freshness::Cached { refreshed });
    let documents = read_documents(&mut reader, now, freshness).await;
    documents.map_err(|error| error.or_no_cache(name))
}

/// A reader of what is kept of a trust root, beginning with the newest root that was accepted.
fn reader(name: &str, folder: &Path, source: Source<'_>) -> Result<Reader, Error> {
    Reader::open(&folder.join(METADATA), &folder.join(TARGETS), source).map_err(|error| {
        let unusable = matches!(
            error,
            Error::Missing { .. } | Error::TooLarge { .. } | Error::Metadata { .. } | Error::Threshold { .. }
        );
        if unusable { damaged(name, NEWEST_ROOT) } else { error }
    })
}

/// As [`TrustStore::refreshed`], telling *never* from *cannot be read*.
fn asked(name: &str, folder: &Path) -> Result<Option<UnixTime>, Error> {
    let Some(bytes) = files::read(&folder.join(REFRESHED), INSTANCE_BYTES)? else {
        return Ok(None);
    };
    let at = UnixTime::from_rfc3339(&String::from_utf8_lossy(&bytes));
    at.map(Some).map_err(|_| damaged(name, REFRESHED))
}

async fn read_documents(reader: &mut Reader, now: UnixTime, freshness: Freshness) -> Result<Loaded, Error> {
    let budget = Budget::default();
    let trusted_root = reader.target(TRUSTED_ROOT, now).await?;
    let trusted_root = TrustedRoot::from_json(&trusted_root, &budget).map_err(|source| Error::Document {
        name: TRUSTED_ROOT,
        source,
    })?;
    let signing_config = match reader.target(SIGNING_CONFIG, now).await {
        Ok(bytes) => Some(
            SigningConfig::from_json(&bytes, &budget).map_err(|source| Error::Document {
                name: SIGNING_CONFIG,
                source,
            })?,
        ),
        Err(Error::NoTarget { .. }) => None,
        Err(error) => return Err(error),
    };
    let heads = reader.heads().ok_or(Error::Internal {
        what: "trust without metadata",
    })?;
    let can_sign = signing_config.is_some();
    let config = ClientTrustConfig {
        trusted_root,
        signing_config: signing_config.unwrap_or_default(),
    };
    Ok(Loaded {
        config,
        can_sign,
        heads,
        freshness,
    })
}

fn first_expired(heads: &Heads, now: UnixTime) -> Option<Freshness> {
    [
        (Role::Root, heads.root),
        (Role::Timestamp, heads.timestamp),
        (Role::Snapshot, heads.snapshot),
        (Role::Targets, heads.targets),
    ]
    .into_iter()
    .filter(|(_, head)| head.expires <= now)
    .min_by_key(|(_, head)| head.expires)
    .map(|(role, head)| Freshness::Expired { role, at: head.expires })
}

fn damaged(name: &str, file: &'static str) -> Error {
    Error::Damaged {
        name: name.to_owned(),
        file,
    }
}

fn public(instance: &PublicInstance) -> Instance {
    Instance {
        name: instance.name.to_owned(),
        url: instance.url.to_owned(),
        root_sha256: instance.root_sha256.to_owned(),
    }
}

/// A name that is a folder on every system and cannot be taken for a path or an option.
fn check_name(name: &str) -> Result<(), Error> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let first = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if first && name.len() <= 64 && name.chars().all(inner) {
        Ok(())
    } else {
        Err(Error::Name {
            name: name.chars().take(100).collect(),
        })
    }
}

/// The target that says whom to believe.
pub const TRUSTED_ROOT: &str = "trusted_root.json";

/// The target that says whom to ask.
pub const SIGNING_CONFIG: &str = "signing_config.v0.2.json";

/// How long an answer is used without asking again: an hour, far below the day that a timestamp usually lives.
const FRESH_SECONDS: i64 = 3600;

/// How long an update waits for another of the same trust root: two that reach their time limits.
const UPDATE_PATIENCE: Duration = Duration::from_mins(2);

/// How long a reader of the cache waits for an update.
const READ_PATIENCE: Duration = Duration::from_secs(2);

const METADATA: &str = "metadata";
const TARGETS: &str = "targets";
const INSTANCE: &str = "instance.json";
const REFRESHED: &str = "refreshed";
const NEWEST_ROOT: &str = "metadata/root.json";

/// Largest root that is downloaded to be compared with a pin; the TUF client's own bound.
const METADATA_BYTES: u64 = 512_000;

/// Largest file of our own making.
const INSTANCE_BYTES: u64 = 64 << 10;
