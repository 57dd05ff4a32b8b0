//! `Cargo.lock`: every entry of a registry already holds the SHA-256 that attestations name.

use std::collections::BTreeMap;

use serde::Deserialize;
use verify::Sha256Digest;

use crate::failure::{Exit, Failure};

/// A lock file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lockfile {
    /// Every package in it, in its order.
    pub(crate) packages: Vec<LockedPackage>,
    /// Where each package begins, by name and version; lines from 1.
    lines: BTreeMap<(String, String), usize>,
}

/// A package in a lock file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct LockedPackage {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Where it is from: `registry+URL`, `sparse+URL`, `git+URL#COMMIT`; none for a path.
    pub(crate) source: Option<String>,
    /// 64 hexadecimal digits; none for paths and git.
    pub(crate) checksum: Option<String>,
}

impl Lockfile {
    /// Reads a lock file.
    ///
    /// # Errors
    /// [`Error::Toml`], [`Error::Checksum`].
    pub(crate) fn from_toml(text: &str) -> Result<Self, Error> {
        let wire: Wire = toml::from_str(text).map_err(|source| Error::Toml {
            source: Box::new(source),
        })?;
        for package in &wire.package {
            package.digest()?;
        }
        Ok(Self {
            packages: wire.package,
            lines: lines(text),
        })
    }

    /// Packages from registries, with their digests.
    pub(crate) fn registry_crates(&self) -> impl Iterator<Item = (&LockedPackage, Sha256Digest)> {
        self.packages
            .iter()
            .filter(|package| package.is_from_registry())
            .filter_map(|package| Some((package, package.digest().ok().flatten()?)))
    }

    /// The line where a package begins.
    pub(crate) fn line(&self, name: &str, version: &str) -> Option<usize> {
        self.lines.get(&(name.to_owned(), version.to_owned())).copied()
    }

    /// The checksum of a package by name, version and source.
    pub(crate) fn checksum(&self, name: &str, version: &str) -> Option<Sha256Digest> {
        self.registry_crates()
            .find(|(package, _)| package.name == name && package.version == version)
            .map(|(_, digest)| digest)
    }
}

impl LockedPackage {
    /// Whether a registry serves it.
    pub(crate) fn is_from_registry(&self) -> bool {
        let source = self.source.as_deref().unwrap_or_default();
        source.starts_with("registry+") || source.starts_with("sparse+")
    }

    fn digest(&self) -> Result<Option<Sha256Digest>, Error> {
        let parse = |text: &String| {
            text.parse().map_err(|source| Error::Checksum {
                name: self.name.clone(),
                source,
            })
        };
        self.checksum.as_ref().map(parse).transpose()
    }
}

/// Where packages begin in a lock file as cargo writes it: a key a line.
fn lines(text: &str) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    let (mut begin, mut name) = (None, None);
    for (number, line) in (1_usize..).zip(text.lines()) {
        let value = |key: &str| {
            let quoted = line.strip_prefix(key)?.strip_prefix(" = \"")?;
            Some(quoted.strip_suffix('"')?.to_owned())
        };
        if line.starts_with("[[package]]") {
            (begin, name) = (Some(number), None);
        } else if let Some(text) = value("name") {
            name = Some(text);
        } else if let (Some(version), Some(begin), Some(name)) = (value("version"), begin, name.take()) {
            found.entry((name, version)).or_insert(begin);
        }
    }
    found
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    package: Vec<LockedPackage>,
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Not a lock file.
    #[error("the lock file is malformed")]
    Toml {
        /// What the TOML reader says.
        source: Box<toml::de::Error>,
    },
    /// A checksum that is none.
    #[error("the lock file's checksum of `{name}` is malformed")]
    Checksum {
        /// Of which package.
        name: String,
        /// What is wrong.
        source: verify::Error,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Usage, "lockfile", &error).hint("`cargo generate-lockfile` writes a new one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4
[[package]]
name = "mine"
version = "0.1.0"
dependencies = ["a", "b"]
[[package]]
name = "a"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0000000000000000000000000000000000000000000000000000000000000001"
[[package]]
name = "b"
version = "2.0.0"
source = "sparse+https://r.example/"
checksum = "0000000000000000000000000000000000000000000000000000000000000002"
[[package]]
name = "c"
version = "3.0.0"
source = "git+https://example.com/c#0123"
"#;

    #[test]
    fn crates_of_registries_are_found() {
        let lock = Lockfile::from_toml(LOCK).unwrap();
        let crates: Vec<_> = lock.registry_crates().collect();
        assert_eq!(
            crates
                .iter()
                .map(|(package, _)| package.name.as_str())
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(lock.checksum("b", "2.0.0").unwrap().0[31], 2);
        assert_eq!(lock.checksum("b", "2.0.1"), None);
        assert_eq!((lock.line("a", "1.0.0"), lock.line("b", "2.0.0")), (Some(7), Some(12)));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        assert!(matches!(Lockfile::from_toml("package = 1"), Err(Error::Toml { .. })));
        let bad = LOCK.replace("0000000000000000000000000000000000000000000000000000000000000002", "02");
        assert!(matches!(Lockfile::from_toml(&bad), Err(Error::Checksum { name, .. }) if name == "b"));
    }
}
