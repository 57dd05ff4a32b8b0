//! Making and keeping a repository [TUF 1.0 §6], in a folder that any web server can serve as it is:
//!
//! ```text
//! 1.root.json 2.root.json …      every root there ever was
//! N.targets.json N.snapshot.json consistent snapshots: old ones stay for readers that are half way
//! timestamp.json                 the only file that is ever replaced
//! targets/<sha256>.NAME          the files themselves
//! ```
//!
//! A reader never sees a broken repository, whenever the writer dies: files are written whole and durably, and in the order
//! target files, targets, snapshot, timestamp. All functions are synchronous and block on the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use tough::schema::{Role as SchemaRole, Signed};
use verify::UnixTime;

pub use crate::audit::{Report, verify};
use crate::{
    Error, Role,
    draft::{Draft, First, Rotation},
    files,
    key::{PublicKey, SigningKey},
    plan::Plan,
    roles::{keys_of, lifetime},
    state::State,
};

/// How long metadata is good for, in seconds. Written into the root, where [`refresh`] and everybody else finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of the root; a year unless said otherwise.
    pub root_seconds: u64,
    /// Of the targets; a year.
    pub targets_seconds: u64,
    /// Of the snapshot, renewed online after half of it; a week.
    pub snapshot_seconds: u64,
    /// Of the timestamp: the longest that an attacker can hide a change from readers; a day.
    pub timestamp_seconds: u64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            root_seconds: 365 * DAY,
            targets_seconds: 365 * DAY,
            snapshot_seconds: 7 * DAY,
            timestamp_seconds: DAY,
        }
    }
}

/// A repository to be made by somebody who has all the keys at hand. For keys on different machines see [`Draft::first`].
#[derive(Clone, Copy, Debug)]
pub struct CreateOptions<'a> {
    /// Keys of the root role.
    pub root_keys: &'a [SigningKey],
    /// How many of them must sign a root.
    pub root_threshold: u64,
    /// Keys of the targets role; they may be those of the root.
    pub targets_keys: &'a [SigningKey],
    /// How many of them must sign targets.
    pub targets_threshold: u64,
    /// The key of timestamp and snapshot, which stays with the server.
    pub online_key: &'a SigningKey,
    /// Contents by target name: `trusted_root.json`, `signing_config.v0.2.json`.
    pub targets: &'a BTreeMap<String, Vec<u8>>,
    /// How long metadata is good for.
    pub lifetimes: Lifetimes,
}

/// Version and expiry of the newest metadata of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Version, from 1.
    pub version: u64,
    /// From this instant on it is refused.
    pub expires: UnixTime,
}

/// The newest metadata of each role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// The root.
    pub root: Head,
    /// The targets.
    pub targets: Head,
    /// The snapshot.
    pub snapshot: Head,
    /// The timestamp.
    pub timestamp: Head,
}

/// Makes a repository in a folder that does not exist or is empty. The folder appears complete or not at all.
///
/// # Errors
/// [`Error::Exists`], [`Error::ThresholdRange`], [`Error::Lifetime`], [`Error::TargetName`], [`Error::Io`].
pub fn create(dir: &Path, options: &CreateOptions<'_>, now: UnixTime) -> Result<Heads, Error> {
    let public = |keys: &[SigningKey]| keys.iter().map(|key| key.public().clone()).collect();
    let mut draft = Draft::first(
        &First {
            root_keys: public(options.root_keys),
            root_threshold: options.root_threshold,
            targets_keys: public(options.targets_keys),
            targets_threshold: options.targets_threshold,
            online_keys: vec![options.online_key.public().clone()],
            targets: options.targets.clone(),
            lifetimes: options.lifetimes,
        },
        now,
    )?;
    for key in options.root_keys.iter().chain(options.targets_keys) {
        draft.sign(key)?;
    }
    create_from_draft(dir, &draft, &[options.online_key], now)
}

/// Makes timestamp (and snapshot, when half of its life is over) anew. Needs the online key only, takes milliseconds, and may
/// be called as often as one likes: a third of the timestamp's lifetime is a good interval.
///
/// # Errors
/// [`Error::Expired`] when root or targets ran out, [`Error::Unauthorized`] for another key, [`Error::Io`] (nothing is half
/// written), and whatever makes the repository unreadable.
pub fn refresh(dir: &Path, online_key: &SigningKey, now: UnixTime) -> Result<Heads, Error> {
    change(dir, &Draft::default(), &[online_key], now)
}

/// Publishes another set of targets: `set` adds or replaces, `remove` drops. With fewer `targets_keys` than the threshold
/// use [`Draft::publication`] instead.
///
/// # Errors
/// [`Error::Threshold`], [`Error::Unauthorized`], [`Error::NoTarget`] for one to be removed that is not there,
/// and as [`refresh`].
pub fn publish(
    dir: &Path,
    set: &BTreeMap<String, Vec<u8>>,
    remove: &BTreeSet<String>,
    targets_keys: &[&SigningKey],
    online_key: &SigningKey,
    now: UnixTime,
) -> Result<Heads, Error> {
    let mut draft = Draft::publication(dir, set, remove, now)?;
    for key in targets_keys {
        draft.sign(key)?;
    }
    change(dir, &draft, &[online_key], now)
}

/// Publishes the next root, signed by the thresholds of the old and the new one. `signing_keys` are as many root (and, when
/// these change, targets) keys as needed, `online_keys` the old and the new one when it changes; with the old one missing
/// there is a moment between two files in which no reader succeeds. With keys elsewhere use [`Draft::rotation`].
///
/// # Errors
/// [`Error::Threshold`], [`Error::ThresholdRange`], [`Error::Unauthorized`] and as [`refresh`].
pub fn rotate(
    dir: &Path,
    rotation: &Rotation,
    signing_keys: &[&SigningKey],
    online_keys: &[&SigningKey],
    now: UnixTime,
) -> Result<Heads, Error> {
    let mut draft = Draft::rotation(dir, rotation, now)?;
    for key in signing_keys {
        draft.sign(key)?;
    }
    change(dir, &draft, online_keys, now)
}

/// Publishes what people signed: the first draft makes the repository, later ones change it.
///
/// # Errors
/// As [`create`], [`publish`] and [`rotate`]; [`Error::StaleDraft`] when something else was published since it was made.
pub fn publish_draft(dir: &Path, draft: &Draft, online_keys: &[&SigningKey], now: UnixTime) -> Result<Heads, Error> {
    if draft.is_empty() {
        return Err(Error::EmptyDraft);
    }
    if draft.is_first() {
        create_from_draft(dir, draft, online_keys, now)
    } else {
        change(dir, draft, online_keys, now)
    }
}

/// Versions and expiries as published, every signature checked.
///
/// # Errors
/// Whatever makes the repository unreadable.
pub fn heads(dir: &Path) -> Result<Heads, Error> {
    let state = State::read(dir)?;
    Ok(Heads {
        root: head(state.root()?),
        targets: head(&state.targets),
        snapshot: head(&state.snapshot),
        timestamp: head(&state.timestamp),
    })
}

/// The keys of a role, as the newest root names them.
///
/// # Errors
/// Whatever makes the repository unreadable.
pub fn keys(dir: &Path, role: Role) -> Result<Vec<PublicKey>, Error> {
    keys_of(&State::read(dir)?.root()?.signed, role)
}

/// How long metadata is good for, as the newest root says.
///
/// # Errors
/// Whatever makes the repository unreadable.
pub fn lifetimes(dir: &Path) -> Result<Lifetimes, Error> {
    let state = State::read(dir)?;
    let root = &state.root()?.signed;
    Ok(Lifetimes {
        root_seconds: lifetime(root, Role::Root),
        targets_seconds: lifetime(root, Role::Targets),
        snapshot_seconds: lifetime(root, Role::Snapshot),
        timestamp_seconds: lifetime(root, Role::Timestamp),
    })
}

pub(crate) fn head<T: SchemaRole>(signed: &Signed<T>) -> Head {
    Head {
        version: signed.signed.version().get(),
        expires: UnixTime::from_secs(signed.signed.expires().as_second()),
    }
}

fn create_from_draft(dir: &Path, draft: &Draft, online: &[&SigningKey], now: UnixTime) -> Result<Heads, Error> {
    let occupied = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(Error::Exists { path: dir.to_owned() });
    }
    let plan = Plan::new(None, draft, online, now)?;
    let parent = dir
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    files::make_folder(parent)?;
    let staging = files::temporary_folder(parent)?;
    plan.write(staging.path())?;
    files::rename_folder(staging, dir)?;
    Ok(plan.heads())
}

fn change(dir: &Path, draft: &Draft, online: &[&SigningKey], now: UnixTime) -> Result<Heads, Error> {
    let _lock = files::lock(dir)?;
    let state = State::read(dir)?;
    let plan = Plan::new(Some(&state), draft, online, now)?;
    plan.verify_targets_present(dir)?;
    plan.write(dir)?;
    Ok(plan.heads())
}
