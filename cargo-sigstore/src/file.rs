//! Files named by the user, read with a limit.

use std::{
    fs::File,
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

use sha2::Digest;
use verify::Sha256Digest;

use crate::failure::{Exit, Failure};

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// Codes `file-read` and `file-size`; exit code 2, since the user named the file.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|source| unreadable(path, source))?;
    if bytes.len() > limit {
        return Err(Error::Size {
            path: path.to_owned(),
            limit,
        }
        .into());
    }
    Ok(bytes)
}

/// The SHA-256 of a file of any size, in constant memory.
///
/// # Errors
/// Code `file-read`.
pub(crate) fn sha256(path: &Path) -> Result<Sha256Digest, Failure> {
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = reader.read(&mut buffer).map_err(|source| unreadable(path, source))?;
        match buffer.get(..count) {
            Some(chunk) if count > 0 => hasher.update(chunk),
            _ => return Ok(Sha256Digest(hasher.finalize().into())),
        }
    }
}

/// Writes a file whole or not at all: beside it first, then renamed over it. Makes the folder.
///
/// # Errors
/// Code `file-write`.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes).map_err(|source| {
        Error::Write {
            path: path.to_owned(),
            source,
        }
        .into()
    })
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn unreadable(path: &Path, source: std::io::Error) -> Failure {
    Error::Read {
        path: path.to_owned(),
        source,
    }
    .into()
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is larger than {limit} bytes", path.display())]
    Size { path: PathBuf, limit: usize },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, code) = match &error {
            Error::Read { .. } => (Exit::Usage, "file-read"),
            Error::Size { .. } => (Exit::Usage, "file-size"),
            Error::Write { .. } => (Exit::Unavailable, "file-write"),
        };
        Self::new(exit, code, &error)
    }
}

/// Large enough that the read calls cost nothing beside the hash.
const BUFFER_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_at_the_limit_is_read_and_one_above_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file");
        write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().code(), "file-size");
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        let failure = sha256(Path::new("no/such/file")).unwrap_err();
        assert_eq!((failure.code(), failure.exit()), ("file-read", Exit::Usage));
    }
}
