//! Files that are wholly there or not at all, also after a power cut.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
    time::Duration,
};

use crate::{Error, crash};

/// Reads a file of at most `limit` bytes; `None` when there is none.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(Error::TooLarge {
            file: display(path),
            limit,
        });
    }
    Ok(Some(bytes))
}

/// [`read`], where a missing file is an error.
pub(crate) fn read_existing(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    read(path, limit)?.ok_or_else(|| Error::Missing { file: display(path) })
}

/// Writes a file so that a reader sees the old bytes or the new, never a part: temporary file, fsync, rename, fsync of the folder.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().ok_or(Error::Internal {
        what: "a file without a folder",
    })?;
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)
        .map_err(Error::io("create a file in", folder))?;
    let written = file
        .write_all(bytes)
        .and_then(|()| readable(file.as_file()))
        .and_then(|()| file.as_file().sync_all());
    written.map_err(Error::io("write", path))?;
    crash::step();
    file.persist(path)
        .map_err(|error| Error::io("rename to", path)(error.error))?;
    sync_folder(folder)
}

/// Writes a private key: readable by its owner only, never over something else.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists { path: path.to_owned() });
        }
        opened => opened.map_err(Error::io("create", path))?,
    };
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(Error::io("write", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes a folder and its parents, durably.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("create", path)(error)),
        _ => {}
    }
    path.parent().map_or(Ok(()), sync_folder)
}

/// A folder beside its final place, gone again unless it is renamed.
pub(crate) fn temporary_folder(parent: &Path) -> Result<tempfile::TempDir, Error> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o755));
    }
    builder
        .tempdir_in(parent)
        .map_err(Error::io("create a folder in", parent))
}

/// Gives a folder its final name, which must not exist or be an empty folder.
pub(crate) fn rename_folder(from: tempfile::TempDir, to: &Path) -> Result<(), Error> {
    if cfg!(windows) && to.is_dir() {
        fs::remove_dir(to).map_err(Error::io("replace", to))?; // rename does not replace there
    }
    crash::step();
    fs::rename(from.path(), to).map_err(Error::io("rename to", to))?;
    let _gone = from.keep();
    to.parent().map_or(Ok(()), sync_folder)
}

/// Removes a folder, which need not exist, with what is in it. Until it is gone some of it may be.
pub(crate) fn remove_folder(path: &Path) -> Result<(), Error> {
    crash::step();
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", path)(error)),
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
    }
}

/// Keeps other writers out while the answer lives; waits for them.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let file = lock_file(dir)?;
    file.lock().map_err(Error::io("lock", dir.join(LOCK)))?;
    Ok(file)
}

/// [`lock`] without holding up the thread; none when others keep it for longer than `patience`.
pub(crate) async fn lock_within(dir: &Path, patience: Duration) -> Result<Option<File>, Error> {
    let file = lock_file(dir)?;
    let given_up = tokio::time::Instant::now().checked_add(patience);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(fs::TryLockError::Error(error)) => return Err(Error::io("lock", dir.join(LOCK))(error)),
            Err(fs::TryLockError::WouldBlock) => {}
        }
        if given_up.is_none_or(|end| tokio::time::Instant::now() >= end) {
            return Ok(None);
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

fn lock_file(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options.open(&path).map_err(Error::io("open", &path))
}

/// Waits until the names in a folder are on the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Error> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    if cfg!(windows) {
        return Ok(()); // folders cannot be opened there; NTFS journals names by itself
    }
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("sync", path))
}

/// What [`write`] calls its files before they get their name.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// The file whose lock keeps two writers apart; always empty.
pub(crate) const LOCK: &str = ".lock";

/// How often a lock is tried: nobody notices the delay beside a network round trip.
const LOCK_POLL: Duration = Duration::from_millis(10);

/// Public metadata may be served by another user than the one who writes it.
#[cfg(unix)]
fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_file: &File) -> io::Result<()> {
    Ok(())
}

fn display(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
