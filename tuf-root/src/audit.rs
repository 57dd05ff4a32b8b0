//! A look at every byte of a repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tough::schema::{Role as SchemaRole, Root, Signed, Snapshot, Targets};
use verify::UnixTime;

use crate::{
    Error, files, metadata,
    repository::{Heads, head},
    state::{METADATA_BYTES, State, read_role, same_version},
    target,
};

/// What was found in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Versions and expiries.
    pub heads: Heads,
    /// Names of the current targets, in order.
    pub targets: Vec<String>,
    /// How many files were checked, old ones included.
    pub files: u64,
    /// Files that are no part of a repository; readers never ask for them.
    pub strangers: Vec<PathBuf>,
}

/// Checks everything a reader would, under the newest root, and what no reader notices: each signature (not just enough of
/// them), files of earlier versions, gaps in the root chain, and every byte, down to white space.
///
/// # Errors
/// The first thing wrong: [`Error::Missing`], [`Error::Altered`], [`Error::Malformed`], [`Error::Integrity`],
/// [`Error::Version`], [`Error::Threshold`], [`Error::Signature`], [`Error::Expired`]; [`Error::Io`] when it cannot be read.
pub fn verify(dir: &Path, now: UnixTime) -> Result<Report, Error> {
    let state = State::read(dir)?;
    let root = &state.root()?.signed;
    metadata::verify_threshold(root, &state.timestamp)?;
    metadata::verify_threshold(root, &state.snapshot)?;
    metadata::verify_threshold(root, &state.targets)?;
    metadata::verify_fresh(state.root()?, now)?;
    metadata::verify_fresh(&state.timestamp, now)?;
    metadata::verify_fresh(&state.snapshot, now)?;
    metadata::verify_fresh(&state.targets, now)?;
    let mut report = Report {
        heads: Heads {
            root: head(state.root()?),
            targets: head(&state.targets),
            snapshot: head(&state.snapshot),
            timestamp: head(&state.timestamp),
        },
        targets: verify_targets(dir, &state.targets)?,
        files: 0,
        strangers: Vec::new(),
    };
    verify_metadata_files(dir, &state, &mut report)?;
    verify_target_files(dir, &mut report)?;
    Ok(report)
}

/// The current targets are all there, with the right contents.
fn verify_targets(dir: &Path, targets: &Signed<Targets>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for (name, target) in &targets.signed.targets {
        let file = target::file(name.raw(), &target.hashes);
        let bytes = files::read_existing(&dir.join(&file), target::TARGET_BYTES)?;
        metadata::verify_bytes(Some(target.length), Some(&target.hashes), &bytes, &file)?;
        names.push(name.raw().to_owned());
    }
    names.sort();
    Ok(names)
}

/// Every other metadata file was signed under some root of the chain, and holds the version in its name.
fn verify_metadata_files(dir: &Path, state: &State, report: &mut Report) -> Result<(), Error> {
    for (path, name) in entries(dir)? {
        match numbered(&name) {
            _ if path.is_dir() && name == "targets" => continue,
            _ if name == files::LOCK => continue,
            _ if name == "timestamp.json" => verify_signatures(&state.timestamp, &name, state)?,
            Some((version, "root.json")) => verify_no_gap(version, state)?,
            Some((version, "snapshot.json")) => verify_old::<Snapshot>(dir, &name, version, state)?,
            Some((version, "targets.json")) => verify_old::<Targets>(dir, &name, version, state)?,
            _ => {
                report.strangers.push(path);
                continue;
            }
        }
        report.files = report.files.saturating_add(1);
    }
    Ok(())
}

/// No signature is damaged or foreign, also beyond the threshold.
fn verify_signatures<T: SchemaRole + Clone>(signed: &Signed<T>, file: &str, state: &State) -> Result<(), Error> {
    let roots: Vec<&Root> = state.roots().iter().map(|root| &root.signed).collect();
    metadata::verify_each(&roots, signed, file)
}

/// `7.root.json` is `(7, "root.json")`; a number written in any other way is none.
fn numbered(name: &str) -> Option<(u64, &str)> {
    let (number, rest) = name.split_once('.')?;
    let version: u64 = number.parse().ok()?;
    (version.to_string() == number).then_some((version, rest))
}

/// The chain was followed from 1 to the first missing version; a root beyond is one that readers never reach.
fn verify_no_gap(version: u64, state: &State) -> Result<(), Error> {
    let newest = u64::try_from(state.roots().len()).unwrap_or(u64::MAX);
    if version <= newest {
        return Ok(());
    }
    Err(Error::Missing {
        file: format!("{}.root.json", newest.saturating_add(1)),
    })
}

fn verify_old<T>(dir: &Path, name: &str, version: u64, state: &State) -> Result<(), Error>
where
    T: SchemaRole + DeserializeOwned + Clone,
{
    let signed: Signed<T> = read_role(dir, name, state.roots())?;
    verify_signatures(&signed, name, state)?;
    let expected = version
        .try_into()
        .map_err(|_| Error::Missing { file: name.to_owned() })?;
    same_version(signed.signed.version(), expected, name)
}

/// Every file among the targets, also of earlier versions, has the digest in its name.
fn verify_target_files(dir: &Path, report: &mut Report) -> Result<(), Error> {
    for (path, name) in entries(&dir.join("targets"))? {
        let digest = name
            .split_once('.')
            .map(|(digest, _)| digest)
            .filter(|digest| digest.len() == 64);
        let Some(digest) = digest else {
            report.strangers.push(path);
            continue;
        };
        let bytes = files::read_existing(&path, target::TARGET_BYTES.max(METADATA_BYTES))?;
        if hex::encode(Sha256::digest(&bytes)) != digest {
            return Err(Error::Integrity {
                file: format!("targets/{name}"),
            });
        }
        report.files = report.files.saturating_add(1);
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        found.push((entry.path(), entry.file_name().to_string_lossy().into_owned()));
    }
    found.sort();
    Ok(found)
}
