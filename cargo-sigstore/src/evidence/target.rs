//! What a user asks about: a file, a version of a crate, a digest.

use std::path::{Path, PathBuf};

use semver::Version;
use verify::Sha256Digest;

/// An argument of `verify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file.
    File(PathBuf),
    /// `NAME@VERSION`.
    Crate {
        /// Package name.
        name: String,
        /// Version.
        version: String,
    },
    /// `sha256:HEX`, or the digits alone.
    Digest(Sha256Digest),
}

impl Target {
    /// What an argument means. A file that exists is a file, whatever its name.
    pub(crate) fn parse(text: &str) -> Self {
        if Path::new(text).exists() {
            return Self::File(PathBuf::from(text));
        }
        if let Ok(digest) = text.parse() {
            return Self::Digest(digest);
        }
        match text.rsplit_once('@') {
            Some((name, version)) if is_name(name) && Version::parse(version).is_ok() => Self::Crate {
                name: name.to_owned(),
                version: version.to_owned(),
            },
            _ => Self::File(PathBuf::from(text)),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
}

/// What was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// How it is called on the screen: a file's path, `NAME VERSION`, or `sha256:…`.
    pub(crate) label: String,
    /// Package name and version, where they are known.
    pub(crate) package: Option<(String, String)>,
    /// Its SHA-256.
    pub(crate) digest: Sha256Digest,
    /// Where it is named: its line of the lock file, or the file itself.
    pub(crate) place: Option<Place>,
    /// Options that the user gave, to be repeated in a command that we propose.
    pub(crate) options: Vec<String>,
}

/// A place in a file, as SARIF names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file: a relative path where it is below the current folder, else a `file:` URL.
    pub(crate) uri: String,
    /// Line, from 1.
    pub(crate) line: Option<usize>,
}

impl Place {
    /// A line of a file.
    pub(crate) fn new(path: &Path, line: Option<usize>) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let below = path.strip_prefix(&here).unwrap_or(path);
        let uri = if below.is_relative() {
            // A path is a relative reference once everything but letters, digits and a few marks is escaped.
            let text = below.to_string_lossy();
            let text = text.strip_prefix("./").unwrap_or(&text);
            text.split('/').map(escaped).collect::<Vec<_>>().join("/")
        } else {
            url::Url::from_file_path(below).map_or_else(|()| below.display().to_string(), String::from)
        };
        Self { uri, line }
    }
}

/// Percent-encoded but for RFC 3986's unreserved characters.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

impl Subject {
    /// A version of a crate.
    pub(crate) fn package(name: &str, version: &str, digest: Sha256Digest) -> Self {
        Self {
            label: format!("{name} {version}"),
            package: Some((name.to_owned(), version.to_owned())),
            digest,
            place: None,
            options: Vec::new(),
        }
    }

    /// What `{name}` and `{version}` stand for in a signer. What is no package has neither: they stand for nothing then.
    pub(crate) fn name_and_version(&self) -> (&str, &str) {
        let package = self.package.as_ref();
        package.map_or(("", ""), |(name, version)| (name, version))
    }

    /// How the user would ask about it again.
    pub(crate) fn argument(&self) -> String {
        match &self.package {
            Some((name, version)) if self.label == format!("{name} {version}") => format!("{name}@{version}"),
            _ => self.label.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        let digest = "ab".repeat(32);
        for text in [digest.clone(), format!("sha256:{digest}")] {
            assert_eq!(Target::parse(&text), Target::Digest(Sha256Digest([0xab; 32])));
        }
        let serde = Target::Crate {
            name: "serde".to_owned(),
            version: "1.0.0-rc.1".to_owned(),
        };
        assert_eq!(Target::parse("serde@1.0.0-rc.1"), serde);
        for text in ["a/b@1.0.0", "serde@1", "serde", "serde@latest", "./x.crate"] {
            assert_eq!(Target::parse(text), Target::File(PathBuf::from(text)), "{text}");
        }
    }

    #[test]
    fn a_place_is_a_relative_reference_below_here() {
        let uri = |path: &str| Place::new(Path::new(path), None).uri;
        assert_eq!(uri("./a b/Cargo.lock"), "a%20b/Cargo.lock");
        assert_eq!(uri("/x/Cargo.lock"), "file:///x/Cargo.lock");
        let here = std::env::current_dir().unwrap().join("Cargo.lock");
        assert_eq!(uri(here.to_str().unwrap()), "Cargo.lock");
    }

    #[test]
    fn a_file_that_exists_is_a_file() {
        assert_eq!(Target::parse("Cargo.toml"), Target::File(PathBuf::from("Cargo.toml")));
    }
}
