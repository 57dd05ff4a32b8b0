//! What keeps the server from starting, and how each is told to the operator.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use crate::{
    attestations::StoreError,
    identity::IdentityError,
    keys::KeyError,
    log::{HammerError, LogError},
    provider::ProviderError,
    x509::X509Error,
};

/// Why `init`, `serve` or `fsck` did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `init` into a folder that has something in it.
    #[error("`{}` exists already and is not empty", path.display())]
    DirectoryExists {
        /// The folder.
        path: PathBuf,
    },
    /// `serve` or `fsck` of a folder that is none of ours.
    #[error("`{}` is not a folder made by `sigstore-server init`", path.display())]
    DirectoryMissing {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was made by a newer version of this program.
    #[error("folder layout {found} is newer than {known}, the newest this program knows")]
    LayoutTooNew {
        /// Layout found.
        found: u32,
        /// Newest layout known.
        known: u32,
    },
    /// A folder or file that must be written is read-only.
    #[error("`{}` is not writable", path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
    },
    /// No room left on the device.
    #[error("no space left on the device of `{}`", path.display())]
    DiskFull {
        /// The file or folder.
        path: PathBuf,
    },
    /// Another file error.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: Arc<io::Error>,
    },
    /// `server.toml` cannot be read.
    #[error("`{}` is malformed: {detail}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        detail: String,
    },
    /// An origin that clients cannot use.
    #[error("origin `{found}` is not an http or https URL with a host and without a path")]
    Origin {
        /// The text, cut at 200 characters.
        found: String,
    },
    /// The identity configuration is refused.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A key file cannot be used.
    #[error("`{}`: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// A certificate chain cannot be used.
    #[error("`{}` does not hold the chain of its key: {reason}", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The trusted root does not hold together.
    #[error("`{}` is malformed: {source}", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: verify::Error,
    },
    /// Making keys or certificates failed.
    #[error("cannot make keys and certificates: {0}")]
    Ceremony(#[from] X509Error),
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A load test could not go on.
    #[error(transparent)]
    Hammer(#[from] HammerError),
    /// The attestation store failed.
    #[error(transparent)]
    Attestations(#[from] StoreError),
    /// The TUF repository failed.
    #[error("TUF repository: {0}")]
    Tuf(Arc<tuf_root::Error>),
    /// No HTTP client for the issuers.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The address is taken.
    #[error("address {address} is already in use")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: Arc<io::Error>,
    },
    /// Certificate or key for TLS cannot be used.
    #[error("TLS certificate `{}` and key cannot be used", certificate.display())]
    Tls {
        /// The certificate file.
        certificate: PathBuf,
    },
    /// The asynchronous runtime could not be started.
    #[error("cannot start the asynchronous runtime")]
    Runtime,
}

impl Error {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DirectoryExists { .. } => "directory-exists",
            Self::DirectoryMissing { .. } => "directory-missing",
            Self::LayoutTooNew { .. } => "layout-too-new",
            Self::ReadOnly { .. } => "read-only",
            Self::DiskFull { .. } => "disk-full",
            Self::File { .. } => "file",
            Self::Configuration { .. } => "configuration",
            Self::Origin { .. } => "origin",
            Self::Identity(error) => error.code(),
            Self::KeyFile { source, .. } => source.code(),
            Self::Chain { .. } => "chain",
            Self::Trust { .. } => "trust",
            Self::Ceremony(_) => "ceremony",
            Self::Log(error) => error.code(),
            Self::Hammer(error) => error.code(),
            Self::Attestations(error) => error.code(),
            Self::Tuf(error) => error.code(),
            Self::Provider(_) => "http-client",
            Self::AddressInUse { .. } => "address-in-use",
            Self::Listen { .. } => "listen",
            Self::Tls { .. } => "tls",
            Self::Runtime => "runtime",
        }
    }

    /// What to try.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::DirectoryExists { .. } => "choose another folder; nothing was changed",
            Self::DirectoryMissing { .. } => "run `sigstore-server init DIR` first",
            Self::LayoutTooNew { .. } => "use the newer sigstore-server that made the folder",
            Self::ReadOnly { .. } => "give the server's user write permission",
            Self::DiskFull { .. } => "make room; nothing acknowledged is lost",
            Self::File { .. } => "check that the file exists and its permissions",
            Self::Configuration { .. } => "compare with a server.toml made by `sigstore-server init`",
            Self::Origin { .. } => "give the URL that clients use, such as https://sigstore.example.com",
            Self::Identity(error) => error.hint(),
            Self::KeyFile { source, .. } => source.hint(),
            Self::Chain { .. } => "restore certificates and keys from the same backup",
            Self::Trust { .. } => "restore the trust folder from a backup",
            Self::Ceremony(_) | Self::Provider(_) | Self::Runtime => {
                "look at the system's limits and random source, then try again"
            }
            Self::Log(error) => error.hint(),
            Self::Hammer(error) => error.hint(),
            Self::Attestations(error) => error.hint(),
            Self::Tuf(error) => error.hint(),
            Self::AddressInUse { .. } => "stop the other server or pass another --listen",
            Self::Listen { .. } => "pass an address of this machine with --listen",
            Self::Tls { .. } => "give PEM files: the certificate chain, leaf first, and its PKCS #8 key",
        }
    }

    /// Exit code of the process: 1 looked and refused, 2 usage or configuration, 3 could not look, 70 our bug.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ReadOnly { .. }
            | Self::DiskFull { .. }
            | Self::File { .. }
            | Self::Hammer(_)
            | Self::Provider(_)
            | Self::AddressInUse { .. }
            | Self::Listen { .. }
            | Self::Runtime => 3,
            Self::Log(error) => log_exit_code(error),
            Self::Attestations(error) => {
                if matches!(error, StoreError::Schema { .. }) {
                    2
                } else {
                    3
                }
            }
            Self::Tuf(error) => error.exit_code(),
            Self::Ceremony(_) => 70,
            Self::DirectoryExists { .. }
            | Self::DirectoryMissing { .. }
            | Self::LayoutTooNew { .. }
            | Self::Configuration { .. }
            | Self::Origin { .. }
            | Self::Identity(_)
            | Self::KeyFile { .. }
            | Self::Chain { .. }
            | Self::Trust { .. }
            | Self::Tls { .. } => 2,
        }
    }

    /// The error for a failed file operation, told apart by what the operator can do about it.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            use io::ErrorKind;
            let kind = source.kind();
            if matches!(kind, ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) {
                Self::ReadOnly { path }
            } else if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
                Self::DiskFull { path }
            } else {
                let source = Arc::new(source);
                Self::File { action, path, source }
            }
        }
    }
}

/// A log that contradicts itself was looked at and refused; another's folder or key is a matter of configuration.
fn log_exit_code(error: &LogError) -> u8 {
    use LogError::{Damaged, Fork, Name, Schema, TileConflict, WrongKey, WrongOrigin};
    if matches!(error, Fork { .. } | Damaged { .. } | TileConflict { .. }) {
        1
    } else if matches!(
        error,
        WrongKey { .. } | WrongOrigin { .. } | Schema { .. } | Name { .. }
    ) {
        2
    } else {
        3
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::Ceremony(error.into())
    }
}

impl From<tuf_root::Error> for Error {
    fn from(error: tuf_root::Error) -> Self {
        Self::Tuf(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    /// Codes in `fn code` of every enum, and those given to `Refusal`s, as the sources spell them.
    fn codes(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                codes(&path, found);
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap();
            for (start, end) in [
                ("fn code(", "\n    }\n"),
                ("Refusal::bad_request(", ";"),
                ("Refusal::unavailable(", ";"),
            ] {
                for block in source.split(start).skip(1) {
                    let block = block.split(end).next().unwrap();
                    let literals = block.split('"').skip(1).step_by(2);
                    found.extend(literals.filter(|text| is_code(text)).map(str::to_owned));
                }
            }
        }
    }

    fn is_code(text: &str) -> bool {
        text.len() > 2
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }

    #[test]
    fn every_code_has_its_section() {
        let mut found = BTreeSet::new();
        codes(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut found);
        assert!(found.len() > 80, "only {} codes found", found.len());
        assert!(found.contains("ca-ct-log") && found.contains("log-fork") && found.contains("directory-exists"));
        let documented = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/codes/server.md")).unwrap();
        let headings: BTreeSet<&str> = documented.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let missing: Vec<&String> = found.iter().filter(|code| !headings.contains(code.as_str())).collect();
        assert!(missing.is_empty(), "no section in docs/codes/server.md: {missing:?}");
    }
}
