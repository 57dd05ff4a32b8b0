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
    /// Options that the user gave, to be repeated in a command that we propose.
    pub(crate) options: Vec<String>,
}

impl Subject {
    /// A version of a crate.
    pub(crate) fn package(name: &str, version: &str, digest: Sha256Digest) -> Self {
        Self {
            label: format!("{name} {version}"),
            package: Some((name.to_owned(), version.to_owned())),
            digest,
            options: Vec::new(),
        }
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
    fn a_file_that_exists_is_a_file() {
        assert_eq!(Target::parse("Cargo.toml"), Target::File(PathBuf::from("Cargo.toml")));
    }
}
