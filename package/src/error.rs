//! Why a package was refused, each with a stable code.

/// A refusal. Foreign text in it is cut at 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Larger than the limit, before or after decompression.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What is.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// More files than the limit.
    #[error("archive holds more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// Not a gzip file, or damaged.
    #[error("archive is not gzip, or damaged")]
    Gzip,
    /// Bytes after the gzip member or after the end of the tar archive.
    #[error("archive has bytes after its end")]
    TrailingBytes,
    /// Not a tar archive, or damaged.
    #[error("archive is not tar, or damaged")]
    Tar,
    /// A member that is neither a file nor a folder.
    #[error("archive member `{path}` is a {kind}; only files are allowed")]
    MemberType {
        /// Its path.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A path that could leave the folder of the package, or that some systems cannot hold.
    #[error("archive member has a forbidden path: `{path}`")]
    MemberPath {
        /// The path.
        path: String,
    },
    /// Two members at one path, or one where another needs a folder.
    #[error("archive holds `{path}` twice, as file and folder, or under names that differ only in case")]
    DuplicateMember {
        /// The path.
        path: String,
    },
    /// A member outside the one top folder.
    #[error("archive member `{path}` is outside of `{folder}/`")]
    TopFolder {
        /// The path.
        path: String,
        /// `name-version`.
        folder: String,
    },
    /// No `Cargo.toml`.
    #[error("archive holds no Cargo.toml")]
    NoManifest,
    /// A manifest that cannot be read.
    #[error("Cargo.toml in the archive is malformed: {field}")]
    Manifest {
        /// What is wrong.
        field: &'static str,
    },
    /// A manifest of another package than the archive's name says.
    #[error("Cargo.toml names `{found}`, not `{expected}`")]
    ManifestName {
        /// `name version` of the request.
        expected: String,
        /// `name version` of the manifest.
        found: String,
    },
    /// `Cargo.toml.orig` that is not TOML.
    #[error("Cargo.toml.orig in the archive is not TOML")]
    OriginalManifest,
    /// `.cargo_vcs_info.json` that cannot be read.
    #[error(".cargo_vcs_info.json in the archive is malformed")]
    VcsInfo,
    /// A publish request that cannot be split.
    #[error("publish request is malformed: {part}")]
    PublishRequest {
        /// Which part.
        part: &'static str,
    },
    /// An index line that cannot be read.
    #[error("index line is malformed")]
    IndexLine,
}

impl Error {
    /// The stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "package-too-large",
            Self::TooManyFiles { .. } => "package-too-many-files",
            Self::Gzip => "package-gzip",
            Self::TrailingBytes => "package-trailing-bytes",
            Self::Tar => "package-tar",
            Self::MemberType { .. } => "package-member-type",
            Self::MemberPath { .. } => "package-member-path",
            Self::DuplicateMember { .. } => "package-duplicate-member",
            Self::TopFolder { .. } => "package-top-folder",
            Self::NoManifest => "package-no-manifest",
            Self::Manifest { .. } => "package-manifest",
            Self::ManifestName { .. } => "package-manifest-name",
            Self::OriginalManifest => "package-original-manifest",
            Self::VcsInfo => "package-vcs-info",
            Self::PublishRequest { .. } => "publish-request",
            Self::IndexLine => "index-line",
        }
    }
}

/// At most 200 characters of foreign text, control characters replaced.
pub(crate) fn shorten(text: &str) -> String {
    text.chars()
        .take(200)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_paragraph() {
        let paragraphs = include_str!("../../docs/codes/package.md");
        let all = [
            Error::TooLarge { what: "", limit: 0 },
            Error::TooManyFiles { limit: 0 },
            Error::Gzip,
            Error::TrailingBytes,
            Error::Tar,
            Error::MemberType {
                path: String::new(),
                kind: "",
            },
            Error::MemberPath { path: String::new() },
            Error::DuplicateMember { path: String::new() },
            Error::TopFolder {
                path: String::new(),
                folder: String::new(),
            },
            Error::NoManifest,
            Error::Manifest { field: "" },
            Error::ManifestName {
                expected: String::new(),
                found: String::new(),
            },
            Error::OriginalManifest,
            Error::VcsInfo,
            Error::PublishRequest { part: "" },
            Error::IndexLine,
        ];
        for error in all {
            assert!(
                paragraphs.contains(&format!("\n## {}\n", error.code())),
                "{}",
                error.code()
            );
        }
    }
}
