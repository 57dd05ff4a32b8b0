//! What files must hash to, as another job handed it over: for every read of a file, not only the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use verify::{HashAlgorithm, Sha256Digest};

use crate::{
    failure::{Exit, Failure},
    file,
};

/// Digests by file name. The default expects nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExpectedDigests(Option<BTreeMap<String, Sha256Digest>>);

impl ExpectedDigests {
    /// These, and no other file.
    pub(crate) const fn new(digests: BTreeMap<String, Sha256Digest>) -> Self {
        Self(Some(digests))
    }

    /// Whether anything is expected at all.
    pub(crate) const fn is_stated(&self) -> bool {
        self.0.is_some()
    }

    /// Refuses bytes that hash to something else than the file of this name must. Whoever uses bytes calls it with the digest
    /// of those very bytes: the file may have changed since it was last looked at.
    ///
    /// # Errors
    /// Code `ci-digest`.
    pub(crate) fn hold(&self, path: &Path, found: Sha256Digest) -> Result<(), Failure> {
        let Some(expected) = &self.0 else {
            return Ok(());
        };
        let name = file::name(path);
        let failure = |error: &Error| {
            Failure::new(Exit::Refused, "ci-digest", error)
                .fact("found", found)
                .hint("the file is not the one that the earlier job made: find out who changed it before trying again")
        };
        match expected.get(&name) {
            None => Err(failure(&Error::Unexpected(name))),
            Some(digest) if *digest != found => Err(failure(&Error::Differs(name)).fact("expected", digest)),
            Some(_) => Ok(()),
        }
    }

    /// Holds files to what is expected: none differs, none is missing, none is added.
    ///
    /// # Errors
    /// Code `ci-digest`; those of the files.
    pub(crate) fn hold_all(&self, files: &[PathBuf]) -> Result<(), Failure> {
        let Some(expected) = &self.0 else {
            return Ok(());
        };
        let mut missing: BTreeSet<&String> = expected.keys().collect();
        for path in files {
            self.hold(path, sha256(path)?)?;
            missing.remove(&file::name(path));
        }
        match missing.first() {
            None => Ok(()),
            Some(name) => Err(
                Failure::new(Exit::Refused, "ci-digest", &Error::Missing((*name).clone()))
                    .hint("`crate-files` must match every file in `digests`"),
            ),
        }
    }
}

/// The SHA-256 of a file.
///
/// # Errors
/// Code `file-read`.
pub(crate) fn sha256(path: &Path) -> Result<Sha256Digest, Failure> {
    Ok(file::sha256_of(&file::digests(path, &[HashAlgorithm::Sha256])?))
}

/// Why files are refused.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{0}` has another digest than the one handed over")]
    Differs(String),
    #[error("`{0}` is not among the files whose digests were handed over")]
    Unexpected(String),
    #[error("`{0}`, whose digest was handed over, is not there")]
    Missing(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_held_to_their_digests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.crate");
        file::write(&path, b"x").unwrap();
        let files = [path.clone()];
        let right: BTreeMap<_, _> = [("a.crate".to_owned(), Sha256Digest::of(b"x"))].into();
        let expected = ExpectedDigests::new(right.clone());
        expected.hold_all(&files).unwrap();
        expected.hold(&path, Sha256Digest::of(b"x")).unwrap();
        // Other bytes under the same name, whatever an earlier look saw.
        let changed = expected.hold(&path, Sha256Digest::of(b"y")).unwrap_err();
        assert_eq!((changed.code(), changed.exit()), ("ci-digest", Exit::Refused));
        let other: BTreeMap<_, _> = [("a.crate".to_owned(), Sha256Digest::of(b"y"))].into();
        let mut more = right;
        more.insert("b.crate".to_owned(), Sha256Digest::of(b"z"));
        for wrong in [other, more, BTreeMap::new()] {
            let refused = ExpectedDigests::new(wrong.clone()).hold_all(&files).unwrap_err();
            assert_eq!(refused.code(), "ci-digest", "{wrong:?}");
        }
    }

    #[test]
    fn where_nothing_is_expected_everything_holds() {
        let nothing = ExpectedDigests::default();
        assert!(!nothing.is_stated());
        nothing.hold(Path::new("a"), Sha256Digest::of(b"x")).unwrap();
        nothing.hold_all(&[PathBuf::from("no/such/file")]).unwrap();
    }
}
