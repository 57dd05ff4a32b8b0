//! What was whole before an update, kept beside it until the update is: a copy that only a reader without a repository uses.
//!
//! Trust: whoever can change it can at most make this user, offline, believe what was signed under a root in it; the same as with the
//! newest set. An update never begins with it, so nothing that was accepted since goes back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{METADATA, REFRESHED, TARGETS};
use crate::{Error, files};

/// Where it is.
pub(super) fn folder(place: &Path) -> PathBuf {
    place.join(FORMER)
}

/// Keeps what is there now, which is whole, instead of what was kept before.
pub(super) fn keep(place: &Path) -> Result<(), Error> {
    let staging = files::temporary_folder(place)?;
    for name in [METADATA, TARGETS] {
        copy(&place.join(name), &staging.path().join(name))?;
    }
    let refreshed = files::read_existing(&place.join(REFRESHED), FILE_BYTES)?;
    files::write(&staging.path().join(REFRESHED), &refreshed)?;
    forget(place)?;
    files::rename_folder(staging, &folder(place))
}

/// Removes it, while something newer is whole.
pub(super) fn forget(place: &Path) -> Result<(), Error> {
    files::remove_folder(&folder(place))
}

/// Copies the files of a folder, which has no folders in it.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    files::make_folder(to)?;
    for entry in fs::read_dir(from).map_err(Error::io("list", from))? {
        let entry = entry.map_err(Error::io("list", from))?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(files::TEMPORARY) {
            continue;
        }
        if let Some(bytes) = files::read(&entry.path(), FILE_BYTES)? {
            files::write(&to.join(name), &bytes)?;
        }
    }
    Ok(())
}

const FORMER: &str = "former";

/// No file of a cache is larger: that of the largest target.
const FILE_BYTES: u64 = 16 << 20;
