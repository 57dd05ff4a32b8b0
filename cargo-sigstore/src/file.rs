//! Files named by the user, read with a limit.

use std::{
    fs::{File, Permissions},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use verify::{
    Digest, HashAlgorithm, Sha256Digest,
    artifact::{ArtifactDigests, ArtifactHasher},
};

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

/// Digests of a file of any size, in constant memory.
///
/// # Errors
/// Code `file-read`.
pub(crate) fn digests(path: &Path, algorithms: &[HashAlgorithm]) -> Result<ArtifactDigests, Failure> {
    let mut file = File::open(path).map_err(|source| unreadable(path, source))?;
    let mut hasher = ArtifactHasher::new(algorithms);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(|source| unreadable(path, source))?;
        match buffer.get(..count) {
            Some(chunk) if count > 0 => hasher.update(chunk),
            _ => return Ok(hasher.finish()),
        }
    }
}

/// The SHA-256 among digests.
pub(crate) fn sha256_of(digests: &ArtifactDigests) -> Sha256Digest {
    let digest = digests.digest(HashAlgorithm::Sha256).map(Digest::as_bytes);
    Sha256Digest(digest.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default())
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
    // What is written is public; the user's umask still applies.
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
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
        let (exit, code, hint) = match &error {
            Error::Read { .. } => (Exit::Usage, "file-read", "check the path and its permissions"),
            Error::Size { .. } => (Exit::Usage, "file-size", "check that it is the right file"),
            Error::Write { .. } => (
                Exit::Unavailable,
                "file-write",
                "check the folder's permissions and free space",
            ),
        };
        Self::new(exit, code, &error).hint(hint)
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
    fn a_file_is_hashed_piece_by_piece() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let content = vec![7; BUFFER_BYTES * 2 + 1];
        write(&path, &content).unwrap();
        let digests = digests(&path, &[HashAlgorithm::Sha256]).unwrap();
        assert_eq!(sha256_of(&digests), Sha256Digest::of(&content));
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        let failure = digests(Path::new("no/such/file"), &[HashAlgorithm::Sha256]).unwrap_err();
        assert_eq!((failure.code(), failure.exit()), ("file-read", Exit::Usage));
    }
}
