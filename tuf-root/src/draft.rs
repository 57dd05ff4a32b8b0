//! A change that people have yet to sign: a folder that travels between the machines of the key holders.
//!
//! ```text
//! previous-root.json   the root it continues; absent in the first draft
//! root.json            the next root, where it changes
//! targets.json         the next targets, where they change
//! targets/NAME         new contents
//! ```
//! Every holder signs a copy of the folder, or hands back only a [`Detached`] signature. The coordinator publishes with
//! [`crate::repository::publish_draft`]; nothing in a draft is believed for lack of a signature.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU64,
    path::Path,
};

use serde::{Deserialize, Serialize};
use tough::schema::{Role as SchemaRole, RoleType, Root, Signature, Signed, Targets};
use verify::UnixTime;

use crate::{
    Error, Role, files,
    key::{PublicKey, SigningKey},
    metadata,
    repository::Lifetimes,
    roles::{SPECIFICATION, keys_of, lifetime, set_role, threshold_of},
    state::{METADATA_BYTES, State},
    target::{self, TARGET_BYTES},
};

/// The next root, the next targets, or both, with the signatures collected so far.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    previous: Option<Signed<Root>>,
    root: Option<Signed<Root>>,
    targets: Option<Signed<Targets>>,
    files: BTreeMap<String, Vec<u8>>,
}

/// A repository to be made from public keys.
#[derive(Clone, Debug)]
pub struct First {
    /// Keys of the root role.
    pub root_keys: Vec<PublicKey>,
    /// How many of them must sign a root.
    pub root_threshold: u64,
    /// Keys of the targets role; they may be those of the root.
    pub targets_keys: Vec<PublicKey>,
    /// How many of them must sign targets.
    pub targets_threshold: u64,
    /// Keys of timestamp and snapshot, each of which is enough.
    pub online_keys: Vec<PublicKey>,
    /// Contents by target name.
    pub targets: BTreeMap<String, Vec<u8>>,
    /// How long metadata is good for.
    pub lifetimes: Lifetimes,
}

/// What the next root changes; what is `None` stays. The default only renews the expiry.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// Keys of the root role.
    pub root_keys: Option<Vec<PublicKey>>,
    /// How many of them must sign a root.
    pub root_threshold: Option<u64>,
    /// Keys of the targets role.
    pub targets_keys: Option<Vec<PublicKey>>,
    /// How many of them must sign targets.
    pub targets_threshold: Option<u64>,
    /// Keys of timestamp and snapshot.
    pub online_keys: Option<Vec<PublicKey>>,
    /// How long metadata is good for.
    pub lifetimes: Option<Lifetimes>,
}

/// The signatures that one key gives to a draft: small enough for a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detached {
    /// On the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Signature>,
    /// On the targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Signature>,
}

/// How far a draft is from its signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The metadata to be signed.
    pub role: Role,
    /// Whether the keys counted are those of the root before this change.
    pub by_previous_keys: bool,
    /// Valid signatures of distinct keys.
    pub found: u64,
    /// The threshold.
    pub needed: u64,
}

impl Draft {
    /// The draft of a new repository.
    ///
    /// # Errors
    /// [`Error::ThresholdRange`], [`Error::Lifetime`], [`Error::TargetName`].
    pub fn first(first: &First, now: UnixTime) -> Result<Self, Error> {
        let mut root = Root {
            spec_version: SPECIFICATION.to_owned(),
            consistent_snapshot: true,
            version: NonZeroU64::MIN,
            expires: metadata::expiry(Role::Root, now, first.lifetimes.root_seconds)?,
            keys: HashMap::new(),
            roles: HashMap::new(),
            _extra: HashMap::new(),
        };
        let lives = first.lifetimes;
        set_role(
            &mut root,
            Role::Root,
            &first.root_keys,
            first.root_threshold,
            lives.root_seconds,
        )?;
        set_role(
            &mut root,
            Role::Targets,
            &first.targets_keys,
            first.targets_threshold,
            lives.targets_seconds,
        )?;
        set_role(&mut root, Role::Snapshot, &first.online_keys, 1, lives.snapshot_seconds)?;
        set_role(
            &mut root,
            Role::Timestamp,
            &first.online_keys,
            1,
            lives.timestamp_seconds,
        )?;

        let expires = metadata::expiry(Role::Targets, now, lives.targets_seconds)?;
        let mut targets = Targets::new(SPECIFICATION.to_owned(), NonZeroU64::MIN, expires);
        targets.delegations = None;
        for (name, bytes) in &first.targets {
            targets.targets.insert(target::name(name)?, target::describe(bytes));
        }
        Ok(Self {
            previous: None,
            root: Some(unsigned(root)),
            targets: Some(unsigned(targets)),
            files: first.targets.clone(),
        })
    }

    /// The draft of other targets for the repository in `dir`: `set` adds or replaces, `remove` drops. With neither it only
    /// renews the expiry.
    ///
    /// # Errors
    /// [`Error::NoTarget`], [`Error::TargetName`], and whatever makes the repository unreadable.
    pub fn publication(
        dir: &Path,
        set: &BTreeMap<String, Vec<u8>>,
        remove: &BTreeSet<String>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let state = State::read(dir)?;
        let root = state.root()?;
        let mut targets = next_targets(&state, &root.signed, now)?;
        for name in remove {
            let name = target::name(name)?;
            let dropped = targets.targets.remove(&name);
            dropped.ok_or_else(|| Error::NoTarget {
                name: name.raw().to_owned(),
            })?;
        }
        for (name, bytes) in set {
            targets.targets.insert(target::name(name)?, target::describe(bytes));
        }
        Ok(Self {
            previous: Some(root.clone()),
            root: None,
            targets: Some(unsigned(targets)),
            files: set.clone(),
        })
    }

    /// The draft of the next root of the repository in `dir`, and of targets for it when their keys change.
    ///
    /// # Errors
    /// [`Error::ThresholdRange`], [`Error::Lifetime`], and whatever makes the repository unreadable.
    pub fn rotation(dir: &Path, rotation: &Rotation, now: UnixTime) -> Result<Self, Error> {
        let state = State::read(dir)?;
        let previous = state.root()?;
        let mut root = previous.signed.clone();
        root.version = metadata::next(root.version)?;
        for (role, keys, threshold) in [
            (Role::Root, &rotation.root_keys, rotation.root_threshold),
            (Role::Targets, &rotation.targets_keys, rotation.targets_threshold),
            (Role::Snapshot, &rotation.online_keys, None),
            (Role::Timestamp, &rotation.online_keys, None),
        ] {
            let keys = keys.clone().map_or_else(|| keys_of(&previous.signed, role), Ok)?;
            let threshold = threshold.map_or_else(|| threshold_of(&previous.signed, role), Ok)?;
            let seconds = rotation
                .lifetimes
                .map_or_else(|| lifetime(&previous.signed, role), |new| new.of(role));
            set_role(&mut root, role, &keys, threshold, seconds)?;
        }
        root.expires = metadata::expiry(Role::Root, now, lifetime(&root, Role::Root))?;
        let same_targets_keys = root.roles.get(&RoleType::Targets) == previous.signed.roles.get(&RoleType::Targets);
        let targets = if same_targets_keys {
            None
        } else {
            Some(unsigned(next_targets(&state, &root, now)?))
        };
        Ok(Self {
            previous: Some(previous.clone()),
            root: Some(unsigned(root)),
            targets,
            files: BTreeMap::new(),
        })
    }

    /// Signs whatever the key has a say in, and tells what that was.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it has none.
    pub fn sign(&mut self, key: &SigningKey) -> Result<Vec<Role>, Error> {
        let signatures = self.sign_detached(key)?;
        self.attach(&signatures)
    }

    /// The signatures of a key, to be taken elsewhere.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when the key has no say in any part of the draft.
    pub fn sign_detached(&self, key: &SigningKey) -> Result<Detached, Error> {
        let signatures = Detached {
            root: signature_of(self.root.as_ref(), &self.authorities(), key)?,
            targets: signature_of(self.targets.as_ref(), &self.authorities(), key)?,
        };
        if signatures.root.is_none() && signatures.targets.is_none() {
            let role = if self.root.is_some() { Role::Root } else { Role::Targets };
            return Err(Error::Unauthorized {
                role,
                key_id: key.public().id(),
            });
        }
        Ok(signatures)
    }

    /// Adds signatures that were made elsewhere, after checking them, and tells on what.
    ///
    /// # Errors
    /// [`Error::Signature`] when one does not fit this draft: it was made for another, or by a stranger.
    pub fn attach(&mut self, signatures: &Detached) -> Result<Vec<Role>, Error> {
        let authorities: Vec<Root> = self.authorities().into_iter().cloned().collect();
        let mut signed = Vec::new();
        if let Some(signature) = &signatures.root {
            attach_checked(self.root.as_mut(), &authorities, signature, ROOT_FILE)?;
            signed.push(Role::Root);
        }
        if let Some(signature) = &signatures.targets {
            attach_checked(self.targets.as_mut(), &authorities, signature, TARGETS_FILE)?;
            signed.push(Role::Targets);
        }
        Ok(signed)
    }

    /// Every threshold that must be reached before the draft can be published.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the root lacks a role.
    pub fn progress(&self) -> Result<Vec<Progress>, Error> {
        let mut all = Vec::new();
        if let (Some(root), Some(previous)) = (&self.root, &self.previous) {
            all.push(progress(&previous.signed, root, true)?);
        }
        if let Some(root) = &self.root {
            all.push(progress(&root.signed, root, false)?);
        }
        if let (Some(targets), Some(root)) = (&self.targets, self.root.as_ref().or(self.previous.as_ref())) {
            all.push(progress(&root.signed, targets, false)?);
        }
        Ok(all)
    }

    /// Reads a draft from its folder.
    ///
    /// # Errors
    /// [`Error::Altered`] or [`Error::Malformed`] when a file is not one that [`Self::write`] wrote, [`Error::Io`].
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let targets: Option<Signed<Targets>> = read_part(folder, TARGETS_FILE)?;
        let mut contents = BTreeMap::new();
        for name in targets.iter().flat_map(|targets| targets.signed.targets.keys()) {
            target::name(name.raw())?;
            if let Some(bytes) = files::read(&folder.join("targets").join(name.raw()), TARGET_BYTES)? {
                contents.insert(name.raw().to_owned(), bytes);
            }
        }
        let draft = Self {
            previous: read_part(folder, PREVIOUS_FILE)?,
            root: read_part(folder, ROOT_FILE)?,
            targets,
            files: contents,
        };
        if draft.is_empty() {
            Err(Error::EmptyDraft)
        } else {
            Ok(draft)
        }
    }

    /// Writes the draft to its folder, over an earlier state of the same draft.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        files::make_folder(&folder.join("targets"))?;
        for (name, bytes) in &self.files {
            files::write(&folder.join("targets").join(name), bytes)?;
        }
        write_part(folder, PREVIOUS_FILE, self.previous.as_ref())?;
        write_part(folder, ROOT_FILE, self.root.as_ref())?;
        write_part(folder, TARGETS_FILE, self.targets.as_ref())
    }

    /// Whether it makes a repository rather than change one.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.previous.is_none() && self.root.is_some()
    }

    /// Whether it holds neither root nor targets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root.is_none() && self.targets.is_none()
    }

    /// Root version, expiry, keys and thresholds, and the targets with their digests: what a holder reads before signing.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(root) = &self.root {
            lines.push(format!(
                "root version {}, expires {}",
                root.signed.version, root.signed.expires
            ));
            for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
                lines.extend(self.role_summary(&root.signed, role));
            }
        }
        if let Some(targets) = &self.targets {
            lines.push(format!(
                "targets version {}, expires {}",
                targets.signed.version, targets.signed.expires
            ));
            let sorted: BTreeMap<_, _> = targets.signed.targets.iter().collect();
            for (name, target) in sorted {
                lines.push(format!(
                    "  {} sha256:{}",
                    name.raw(),
                    hex::encode(&target.hashes.sha256)
                ));
            }
        }
        lines
    }

    fn role_summary(&self, root: &Root, role: Role) -> Vec<String> {
        let (Ok(keys), Ok(threshold)) = (keys_of(root, role), threshold_of(root, role)) else {
            return Vec::new();
        };
        let before: Vec<String> = self
            .previous
            .iter()
            .flat_map(|previous| keys_of(&previous.signed, role).unwrap_or_default())
            .map(|key| key.id())
            .collect();
        let mut lines = vec![format!("  {role}: {threshold} of {}", keys.len())];
        let now: Vec<String> = keys.iter().map(PublicKey::id).collect();
        for id in &now {
            let mark = if self.previous.is_none() || before.contains(id) {
                ' '
            } else {
                '+'
            };
            lines.push(format!("  {mark} {id}"));
        }
        lines.extend(
            before
                .iter()
                .filter(|id| !now.contains(id))
                .map(|id| format!("  - {id}")),
        );
        lines
    }

    pub(crate) const fn root(&self) -> Option<&Signed<Root>> {
        self.root.as_ref()
    }

    pub(crate) const fn targets(&self) -> Option<&Signed<Targets>> {
        self.targets.as_ref()
    }

    pub(crate) const fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The roots whose keys may sign.
    fn authorities(&self) -> Vec<&Root> {
        self.previous
            .iter()
            .chain(&self.root)
            .map(|root| &root.signed)
            .collect()
    }
}

impl Detached {
    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|_| Error::Malformed {
            file: file.to_owned(),
            role: Role::Root,
        })
    }

    /// The signatures as JSON.
    ///
    /// # Errors
    /// [`Error::Internal`] when they cannot be written.
    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self).map_err(|_| Error::Internal {
            what: "signatures cannot be written",
        })
    }
}

fn next_targets(state: &State, root: &Root, now: UnixTime) -> Result<Targets, Error> {
    let mut targets = state.targets.signed.clone();
    targets.version = metadata::next(targets.version)?;
    targets.expires = metadata::expiry(Role::Targets, now, lifetime(root, Role::Targets))?;
    Ok(targets)
}

const fn unsigned<T>(role: T) -> Signed<T> {
    Signed {
        signed: role,
        signatures: Vec::new(),
    }
}

fn signature_of<T: SchemaRole>(
    signed: Option<&Signed<T>>,
    authorities: &[&Root],
    key: &SigningKey,
) -> Result<Option<Signature>, Error> {
    let Some(signed) = signed else { return Ok(None) };
    let id = key.public().key_id();
    let named = |root: &&Root| root.roles.get(&T::TYPE).is_some_and(|keys| keys.keyids.contains(id));
    if !authorities.iter().any(named) {
        return Ok(None);
    }
    let sig = key.sign(&metadata::canonical(&signed.signed)?)?.into();
    Ok(Some(Signature { keyid: id.clone(), sig }))
}

fn attach_checked<T: SchemaRole + Clone>(
    signed: Option<&mut Signed<T>>,
    authorities: &[Root],
    signature: &Signature,
    file: &str,
) -> Result<(), Error> {
    let refused = || Error::Signature {
        file: file.to_owned(),
        key_id: hex::encode(&signature.keyid),
    };
    let signed = signed.ok_or_else(refused)?;
    if !authorities
        .iter()
        .any(|root| metadata::verify_one(root, signed, signature))
    {
        return Err(refused());
    }
    metadata::attach(signed, signature.clone());
    Ok(())
}

fn progress<T: SchemaRole + Clone>(
    authority: &Root,
    signed: &Signed<T>,
    by_previous_keys: bool,
) -> Result<Progress, Error> {
    let role = metadata::role_of::<T>();
    let found = signed
        .signatures
        .iter()
        .filter(|one| metadata::verify_one(authority, signed, one))
        .count();
    let found = u64::try_from(found).unwrap_or(u64::MAX);
    Ok(Progress {
        role,
        by_previous_keys,
        found,
        needed: threshold_of(authority, role)?,
    })
}

fn read_part<T>(folder: &Path, file: &str) -> Result<Option<Signed<T>>, Error>
where
    T: SchemaRole + serde::de::DeserializeOwned + Clone,
{
    files::read(&folder.join(file), METADATA_BYTES)?
        .map(|bytes| metadata::parse(&bytes, file))
        .transpose()
}

fn write_part<T: Serialize>(folder: &Path, file: &str, part: Option<&Signed<T>>) -> Result<(), Error> {
    part.map_or(Ok(()), |part| {
        files::write(&folder.join(file), &metadata::render(part)?)
    })
}

const PREVIOUS_FILE: &str = "previous-root.json";
const ROOT_FILE: &str = "root.json";
const TARGETS_FILE: &str = "targets.json";
