//! What is published: the root chain and the newest of each role, checked as they are read.
//!
//! Trust: whoever can write the repository folder can replace all of it, and clients then refuse it for want of signatures.
//! What is checked here keeps the online key from signing over a damaged or foreign part.

use std::{num::NonZeroU64, path::Path};

use serde::de::DeserializeOwned;
use tough::schema::{Metafile, Role as SchemaRole, RoleType, Root, Signed, Snapshot, Targets, Timestamp};

use crate::{Error, Role, files, metadata};

/// A repository as it was read.
pub(crate) struct State {
    /// Versions 1 to the newest, without gap; never empty.
    roots: Vec<Signed<Root>>,
    /// The newest targets.
    pub(crate) targets: Signed<Targets>,
    /// The newest snapshot.
    pub(crate) snapshot: Signed<Snapshot>,
    /// The newest timestamp.
    pub(crate) timestamp: Signed<Timestamp>,
}

impl State {
    /// Reads and checks a repository. Every role must be signed by keys of *some* root of the chain, so that a rotation
    /// that was cut short can still be finished; [`crate::repository::verify`] asks for the newest.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let roots = read_roots(dir)?;
        let timestamp: Signed<Timestamp> = read_role(dir, "timestamp.json", &roots)?;
        let snapshot_file = pinned(
            &timestamp.signed.meta,
            "snapshot.json",
            "timestamp.json",
            Role::Timestamp,
        )?;
        let snapshot: Signed<Snapshot> = read_pinned(dir, "snapshot", snapshot_file, &roots)?;
        let targets_file = pinned(&snapshot.signed.meta, "targets.json", "snapshot.json", Role::Snapshot)?;
        let targets = read_pinned(dir, "targets", targets_file, &roots)?;
        Ok(Self {
            roots,
            targets,
            snapshot,
            timestamp,
        })
    }

    /// All root versions, oldest first.
    pub(crate) fn roots(&self) -> &[Signed<Root>] {
        &self.roots
    }

    /// The newest root.
    pub(crate) fn root(&self) -> Result<&Signed<Root>, Error> {
        self.roots.last().ok_or(Error::Internal {
            what: "a repository without a root",
        })
    }
}

/// Reads `1.root.json` and all that follow it, each signed by the thresholds of its predecessor and of itself [TUF 1.0 §5.3].
fn read_roots(dir: &Path) -> Result<Vec<Signed<Root>>, Error> {
    let mut roots: Vec<Signed<Root>> = Vec::new();
    for version in 1..=ROOTS {
        let file = format!("{version}.root.json");
        let Some(bytes) = files::read(&dir.join(&file), METADATA_BYTES)? else {
            break;
        };
        let root: Signed<Root> = metadata::parse(&bytes, &file)?;
        verify_root(roots.last(), &root, version, &file)?;
        roots.push(root);
    }
    if roots.is_empty() {
        Err(Error::Missing {
            file: "1.root.json".to_owned(),
        })
    } else {
        Ok(roots)
    }
}

/// Checks a root against its predecessor and itself.
pub(crate) fn verify_root(
    previous: Option<&Signed<Root>>,
    root: &Signed<Root>,
    version: u64,
    file: &str,
) -> Result<(), Error> {
    if root.signed.version.get() != version {
        return Err(Error::Version {
            file: file.to_owned(),
            expected: version,
            found: root.signed.version.get(),
        });
    }
    let complete = [
        RoleType::Root,
        RoleType::Targets,
        RoleType::Snapshot,
        RoleType::Timestamp,
    ]
    .iter()
    .all(|role| root.signed.roles.contains_key(role));
    if !complete || !root.signed.consistent_snapshot {
        return Err(Error::Malformed {
            file: file.to_owned(),
            role: Role::Root,
        });
    }
    if let Some(previous) = previous {
        metadata::verify_threshold(&previous.signed, root)?;
    }
    metadata::verify_threshold(&root.signed, root)?;
    let both: Vec<&Root> = previous.iter().map(|root| &root.signed).chain([&root.signed]).collect();
    metadata::verify_each(&both, root, file)
}

/// Reads a role and checks that some root of the chain vouches for it.
pub(crate) fn read_role<T>(dir: &Path, file: &str, roots: &[Signed<Root>]) -> Result<Signed<T>, Error>
where
    T: SchemaRole + DeserializeOwned + Clone,
{
    let bytes = files::read_existing(&dir.join(file), METADATA_BYTES)?;
    check_role(&bytes, file, roots)
}

fn check_role<T>(bytes: &[u8], file: &str, roots: &[Signed<Root>]) -> Result<Signed<T>, Error>
where
    T: SchemaRole + DeserializeOwned + Clone,
{
    let signed: Signed<T> = metadata::parse(bytes, file)?;
    let mut refused = Err(Error::Internal {
        what: "a repository without a root",
    });
    for root in roots.iter().rev() {
        match metadata::verify_threshold(&root.signed, &signed) {
            Ok(()) => return Ok(signed),
            Err(error) if matches!(refused, Err(Error::Internal { .. })) => refused = Err(error),
            Err(_) => {}
        }
    }
    refused
}

fn read_pinned<T>(dir: &Path, role: &str, pin: &Metafile, roots: &[Signed<Root>]) -> Result<Signed<T>, Error>
where
    T: SchemaRole + DeserializeOwned + Clone,
{
    let file = format!("{}.{role}.json", pin.version);
    let bytes = files::read_existing(&dir.join(&file), METADATA_BYTES)?;
    let signed: Signed<T> = check_role(&bytes, &file, roots)?;
    metadata::verify_bytes(pin.length, pin.hashes.as_ref(), &bytes, &file)?;
    same_version(signed.signed.version(), pin.version, &file)?;
    Ok(signed)
}

/// Checks that the version inside is the one that belongs there.
pub(crate) fn same_version(found: NonZeroU64, expected: NonZeroU64, file: &str) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Version {
        file: file.to_owned(),
        expected: expected.get(),
        found: found.get(),
    })
}

fn pinned<'a>(
    meta: &'a std::collections::HashMap<String, Metafile>,
    name: &str,
    file: &str,
    role: Role,
) -> Result<&'a Metafile, Error> {
    meta.get(name).ok_or_else(|| Error::Malformed {
        file: file.to_owned(),
        role,
    })
}

/// Largest metadata file: far above what a root with hundreds of keys needs.
pub(crate) const METADATA_BYTES: u64 = 4 << 20;

/// Most root versions read: a rotation every day for a quarter of a century.
const ROOTS: u64 = 10_000;
