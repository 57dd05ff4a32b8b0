//! Files named by the user, read with a limit.

use std::{
    fs::{File, Permissions},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::mpsc,
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

/// Reads a file of at most `limit` bytes; of a larger one nothing.
///
/// # Errors
/// Code `file-read`.
pub(crate) fn read_if_small(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
    match read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(failure) if failure.code() == "file-size" => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Digests of a file of any size, in constant memory.
///
/// A second thread reads ahead, so that reading costs no time beside the hash.
///
/// # Errors
/// Code `file-read`.
pub(crate) fn digests(path: &Path, algorithms: &[HashAlgorithm]) -> Result<ArtifactDigests, Failure> {
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    hashed(file, algorithms).map_err(|source| unreadable(path, source))
}

/// Two buffers go round: one is filled while the other is hashed.
fn hashed(mut file: impl Read + Send, algorithms: &[HashAlgorithm]) -> std::io::Result<ArtifactDigests> {
    let mut hasher = ArtifactHasher::new(algorithms);
    let mut first = vec![0; BUFFER_BYTES];
    let count = fill(&mut file, &mut first)?;
    hasher.update(first.get(..count).unwrap_or_default());
    if count < first.len() {
        return Ok(hasher.finish());
    }
    let (to_hasher, filled) = mpsc::sync_channel::<std::io::Result<(Vec<u8>, usize)>>(1);
    let (to_reader, empty) = mpsc::sync_channel::<Vec<u8>>(2);
    let nobody_there = to_reader
        .send(first)
        .and_then(|()| to_reader.send(vec![0; BUFFER_BYTES]));
    drop(nobody_there);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for mut buffer in empty {
                let outcome = fill(&mut file, &mut buffer).map(|count| (buffer, count));
                let last = !matches!(outcome, Ok((_, BUFFER_BYTES)));
                if to_hasher.send(outcome).is_err() || last {
                    return;
                }
            }
        });
        for outcome in filled {
            let (buffer, count) = outcome?;
            hasher.update(buffer.get(..count).unwrap_or_default());
            // A reader that has come to the end takes no more.
            drop(to_reader.send(buffer));
        }
        Ok(hasher.finish())
    })
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut full = 0_usize;
    while let Some(rest) = buffer.get_mut(full..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => full = full.saturating_add(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(full)
}

/// The last part of a path.
pub(crate) fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
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

/// Large enough that the read calls cost nothing beside the hash, small enough for the processor's cache.
const BUFFER_BYTES: usize = 256 << 10;

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
        for length in [
            0,
            1,
            BUFFER_BYTES - 1,
            BUFFER_BYTES,
            BUFFER_BYTES + 1,
            BUFFER_BYTES * 2,
            BUFFER_BYTES * 9 + 1,
        ] {
            let content: Vec<u8> = (0..=250).cycle().take(length).collect();
            write(&path, &content).unwrap();
            let digests = digests(&path, &[HashAlgorithm::Sha256]).unwrap();
            assert_eq!(sha256_of(&digests), Sha256Digest::of(&content), "{length}");
        }
    }

    /// Gives some bytes, then fails.
    struct Broken(usize);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = buffer.len().min(self.0);
            self.0 = self.0.saturating_sub(count);
            if count == 0 {
                Err(std::io::Error::other("bad sector"))
            } else {
                Ok(count)
            }
        }
    }

    #[test]
    fn a_file_that_breaks_off_has_no_digest() {
        for good in [0, 1, BUFFER_BYTES, BUFFER_BYTES * 3, BUFFER_BYTES * 3 + 1] {
            assert!(hashed(Broken(good), &[HashAlgorithm::Sha256]).is_err(), "{good}");
        }
    }

    #[test]
    fn a_small_file_is_read_and_a_large_one_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"12345").unwrap();
        assert_eq!(read_if_small(&path, 5).unwrap().as_deref(), Some(b"12345".as_slice()));
        assert_eq!(read_if_small(&path, 4).unwrap(), None);
        assert_eq!(
            read_if_small(&folder.path().join("none"), 4).unwrap_err().code(),
            "file-read"
        );
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        let failure = digests(Path::new("no/such/file"), &[HashAlgorithm::Sha256]).unwrap_err();
        assert_eq!((failure.code(), failure.exit()), ("file-read", Exit::Usage));
    }
}
