//! `Cargo.lock`: every entry of a registry already holds the SHA-256 that attestations name, and whom it uses.

use std::{collections::BTreeMap, path::Path};

use semver::Version;
use serde::Deserialize;
use verify::Sha256Digest;

use crate::{
    failure::{Exit, Failure},
    file,
    printer::visible,
};

/// A lock file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lockfile {
    /// Every package in it, in its order.
    pub(crate) packages: Vec<LockedPackage>,
    /// Places in `packages`, by name.
    named: BTreeMap<String, Vec<usize>>,
    /// Where each package begins, by name and version; lines from 1.
    lines: BTreeMap<(String, String), usize>,
}

/// A package in a lock file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct LockedPackage {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: Version,
    /// Where it is from: `registry+URL`, `sparse+URL`, `git+URL#COMMIT`; none for a path.
    pub(crate) source: Option<String>,
    /// 64 hexadecimal digits; none for paths and git.
    checksum: Option<String>,
    /// Whom it uses: `NAME`, `NAME VERSION` or `NAME VERSION (SOURCE)`, as much as tells one from the others.
    #[serde(default)]
    dependencies: Vec<String>,
    /// What `[replace]` puts in its place; then its own archive is not used.
    replace: Option<String>,
}

impl Lockfile {
    /// Reads the lock file at this path.
    ///
    /// # Errors
    /// Codes `file-read`, `file-size`, `lockfile`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = file::read(path, FILE_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        Self::from_toml(&text).map_err(|error| Failure::from(error).fact("file", path.display()))
    }

    /// Reads a lock file of any version.
    ///
    /// # Errors
    /// [`Error::Toml`], [`Error::Checksum`], [`Error::NoChecksum`].
    pub(crate) fn from_toml(text: &str) -> Result<Self, Error> {
        let wire: Wire = toml::from_str(text).map_err(|source| Error::Toml {
            source: Box::new(source),
        })?;
        let mut packages = wire.package;
        packages.extend(wire.root);
        for package in &mut packages {
            if package.checksum.is_none() {
                package.checksum = checksum_apart(&wire.metadata, package);
            }
            let checked = package.digest()?.is_some() || package.replace.is_some();
            if package.is_from_registry() && !checked {
                return Err(Error::NoChecksum {
                    name: package.name.clone(),
                });
            }
        }
        let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, package) in packages.iter().enumerate() {
            named.entry(package.name.clone()).or_default().push(place);
        }
        Ok(Self {
            packages,
            named,
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

    /// The packages that one uses. What names none of the lock file's packages cargo ignores, and so does this.
    pub(crate) fn used_by(&self, package: &LockedPackage) -> impl Iterator<Item = &LockedPackage> {
        package.dependencies.iter().filter_map(|text| self.resolve(text))
    }

    /// The package that `NAME`, `NAME VERSION` or `NAME VERSION (SOURCE)` means.
    fn resolve(&self, text: &str) -> Option<&LockedPackage> {
        let mut words = text.splitn(3, ' ');
        let (name, version, source) = (words.next()?, words.next(), words.next());
        let version: Option<Version> = version.map(str::parse).transpose().ok()?;
        let source = source.map(|text| text.trim_matches(['(', ')']));
        let places = self.named.get(name)?.iter();
        let packages = places.filter_map(|place| self.packages.get(*place));
        let candidates: Vec<&LockedPackage> = packages
            .filter(|package| version.as_ref().is_none_or(|version| package.version == *version))
            .collect();
        match candidates.as_slice() {
            [only] => Some(only),
            [first, others @ ..] if others.iter().all(|other| other.version == first.version) => {
                // One of a path has no source to name.
                candidates
                    .into_iter()
                    .find(|package| package.source.as_deref() == source)
            }
            _ => None,
        }
    }

    /// The line where a package begins.
    pub(crate) fn line(&self, package: &LockedPackage) -> Option<usize> {
        let key = (package.name.clone(), package.version.to_string());
        self.lines.get(&key).copied()
    }

    /// The checksum of a package by name, version and source.
    pub(crate) fn checksum(&self, name: &str, version: &str) -> Option<Sha256Digest> {
        self.registry_crates()
            .find(|(package, _)| package.name == name && package.version.to_string() == version)
            .map(|(_, digest)| digest)
    }
}

impl LockedPackage {
    /// Whether a registry serves it.
    pub(crate) fn is_from_registry(&self) -> bool {
        self.index().is_some()
    }

    /// The index of the registry that serves it, with `registry+` or `sparse+`.
    pub(crate) fn index(&self) -> Option<&str> {
        let source = self.source.as_deref()?;
        let registry = source.starts_with("registry+") || source.starts_with("sparse+");
        registry.then_some(source)
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

impl std::fmt::Display for LockedPackage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", visible(&self.name), self.version)
    }
}

/// The checksum of a package as lock files of version 1 hold it: in a table of its own.
fn checksum_apart(metadata: &BTreeMap<String, toml::Value>, package: &LockedPackage) -> Option<String> {
    let source = package.source.as_deref()?;
    let key = format!("checksum {} {} ({source})", package.name, package.version);
    let text = metadata.get(&key)?.as_str()?;
    (text != "<none>").then(|| text.to_owned())
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
    /// The package at the root, in lock files of before 2017.
    root: Option<LockedPackage>,
    #[serde(default)]
    metadata: BTreeMap<String, toml::Value>,
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
    /// A package of a registry without a checksum: nothing could be said of it.
    #[error("the lock file has no checksum of `{name}`")]
    NoChecksum {
        /// Of which package.
        name: String,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Usage, "lockfile", &error).hint("`cargo generate-lockfile` writes a new one")
    }
}

/// Ten thousand packages make about 3 MiB.
const FILE_BYTES: usize = 32 << 20;

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
        let lines: Vec<_> = lock.packages.iter().map(|package| lock.line(package)).collect();
        assert_eq!(lines[1..3], [Some(7), Some(12)]);
    }

    fn used(lock: &Lockfile, place: usize) -> Vec<String> {
        let used = lock.used_by(&lock.packages[place]);
        used.map(|package| format!("{package} {}", package.source.as_deref().unwrap_or("path")))
            .collect()
    }

    #[test]
    fn edges_are_resolved_as_cargo_does() {
        let lock = Lockfile::from_toml(LOCK).unwrap();
        assert_eq!(used(&lock, 0).len(), 2);
        let several = LOCK.to_owned()
            + r#"
[[package]]
name = "a"
version = "2.0.0"
[[package]]
name = "a"
version = "2.0.0"
source = "git+https://example.com/a#01"
"#;
        for (text, expected) in [
            (
                "a 1.0.0",
                "a 1.0.0 registry+https://github.com/rust-lang/crates.io-index",
            ),
            (
                "a 2.0.0 (git+https://example.com/a#01)",
                "a 2.0.0 git+https://example.com/a#01",
            ),
            ("a 2.0.0", "a 2.0.0 path"),
        ] {
            let lock = Lockfile::from_toml(&several.replace("\"a\", \"b\"", &format!("\"{text}\""))).unwrap();
            assert_eq!(used(&lock, 0), [expected], "{text}");
        }
        for text in ["a", "a 3.0.0", "a 2.0.0 (git+https://example.com/a#02)", "z", "a x"] {
            let lock = Lockfile::from_toml(&several.replace("\"a\", \"b\"", &format!("\"{text}\""))).unwrap();
            assert_eq!(used(&lock, 0), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_lock_file_of_the_first_version_is_read() {
        let lock = Lockfile::from_toml(
            r#"
[root]
name = "mine"
version = "0.1.0"
dependencies = ["a 1.0.0 (registry+https://github.com/rust-lang/crates.io-index)"]
[[package]]
name = "a"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
[metadata]
"checksum a 1.0.0 (registry+https://github.com/rust-lang/crates.io-index)" = "0000000000000000000000000000000000000000000000000000000000000001"
"#,
        )
        .unwrap();
        assert_eq!(lock.checksum("a", "1.0.0").unwrap().0[31], 1);
        assert_eq!(
            used(&lock, 1),
            ["a 1.0.0 registry+https://github.com/rust-lang/crates.io-index"]
        );
    }

    #[test]
    fn a_registry_crate_without_a_checksum_is_refused() {
        let line = "checksum = \"0000000000000000000000000000000000000000000000000000000000000001\"\n";
        assert!(LOCK.contains(line) && Lockfile::from_toml(LOCK).is_ok());
        let bare = LOCK.replace(line, "");
        assert!(matches!(Lockfile::from_toml(&bare), Err(Error::NoChecksum { name }) if name == "a"));
        let replaced = LOCK.replace(line, "replace = \"a 1.0.0\"\n");
        assert!(Lockfile::from_toml(&replaced).is_ok());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        assert!(matches!(Lockfile::from_toml("package = 1"), Err(Error::Toml { .. })));
        let bad = LOCK.replace("0000000000000000000000000000000000000000000000000000000000000002", "02");
        assert!(matches!(Lockfile::from_toml(&bad), Err(Error::Checksum { name, .. }) if name == "b"));
    }
}
