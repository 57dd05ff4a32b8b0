//! What the logs refuse, and what can fail beneath them.

use std::{io, path::PathBuf, sync::Arc};

use super::spec::LogKind;
use crate::keys::KeyError;

/// Why a log could not do what it was asked. Clone, because everybody waiting for one commit learns of its failure.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The queue of entries waiting for a commit is full.
    #[error("too many entries are waiting to be sequenced")]
    Overloaded,
    /// Too many full tiles wait to be written as files.
    #[error("too many full tiles are waiting to be written")]
    ArchiveBehind,
    /// The log is shutting down or its writer has stopped.
    #[error("the log is not accepting entries")]
    Closed,
    /// No room left on the device.
    #[error("no space left while trying to {operation}")]
    DiskFull {
        /// What was being done.
        operation: &'static str,
    },
    /// The database file or the folder cannot be written.
    #[error("not writable while trying to {operation}")]
    ReadOnly {
        /// What was being done.
        operation: &'static str,
    },
    /// The database failed.
    #[error("the database failed to {operation}")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// The database's own words.
        source: Arc<rusqlite::Error>,
    },
    /// A file could not be read or written.
    #[error("failed to {operation} `{}`", path.display())]
    File {
        /// What was being done.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's own words.
        source: Arc<io::Error>,
    },
    /// The database does not keep a setting that durability needs.
    #[error("the database did not accept `{setting}`")]
    Setting {
        /// The setting.
        setting: &'static str,
    },
    /// The database was written by another version of this program.
    #[error("the database has schema version {found} instead of {expected}")]
    Schema {
        /// Version found.
        found: i64,
        /// Version of this program.
        expected: i64,
    },
    /// A tile on disk differs from the tile that the database gives.
    #[error("`{}` exists with other contents", path.display())]
    TileConflict {
        /// Which file.
        path: PathBuf,
    },
    /// Files or the last checkpoint show a tree that the database does not hold: a restored backup, or another log's folder.
    #[error("the {log} log has {database} entries in the database but evidence of {found}")]
    Fork {
        /// Which log.
        log: LogKind,
        /// Tree size in the database.
        database: u64,
        /// Tree size that files or the last checkpoint prove.
        found: u64,
    },
    /// The log was created with another key.
    #[error("the {log} log was created with another key")]
    WrongKey {
        /// Which log.
        log: LogKind,
    },
    /// The log was created with another origin.
    #[error("the {log} log was created with the origin `{recorded}`, not `{given}`")]
    WrongOrigin {
        /// Which log.
        log: LogKind,
        /// Origin in the database.
        recorded: String,
        /// Origin asked for.
        given: String,
    },
    /// Stored bytes contradict each other.
    #[error("the {log} log is damaged: {what}")]
    Damaged {
        /// Which log.
        log: LogKind,
        /// What contradicts what.
        what: &'static str,
    },
    /// A body too large for an entry bundle, whose length prefix has 16 bits.
    #[error("the entry has {bytes} bytes, more than {limit}")]
    EntryTooLarge {
        /// Size of the canonical body.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The log's key could not sign.
    #[error("the log key failed to sign")]
    Signing(#[from] KeyError),
    /// Another process has the data folder open.
    #[error("another process is using `{}`", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// There is no such tile, entry or tree.
    #[error("not found in the log")]
    NotFound,
    /// An origin or host name that a checkpoint cannot carry.
    #[error("`{host}` cannot be the name of a log")]
    Name {
        /// What was given.
        host: String,
    },
}

impl LogError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Overloaded => "log-overloaded",
            Self::ArchiveBehind => "log-archive-behind",
            Self::Closed => "log-closed",
            Self::DiskFull { .. } => "log-disk-full",
            Self::ReadOnly { .. } => "log-read-only",
            Self::Database { .. } => "log-database",
            Self::File { .. } => "log-file",
            Self::Setting { .. } => "log-setting",
            Self::Schema { .. } => "log-schema",
            Self::TileConflict { .. } => "log-tile-conflict",
            Self::Fork { .. } => "log-fork",
            Self::WrongKey { .. } => "log-wrong-key",
            Self::WrongOrigin { .. } => "log-wrong-origin",
            Self::Damaged { .. } => "log-damaged",
            Self::EntryTooLarge { .. } => "log-entry-too-large",
            Self::Signing(_) => "log-signing",
            Self::InUse { .. } => "log-in-use",
            Self::NotFound => "log-not-found",
            Self::Name { .. } => "log-name",
        }
    }

    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Overloaded | Self::ArchiveBehind => "send it again after the time in `Retry-After`",
            Self::Closed => "send it again in a moment",
            Self::DiskFull { .. } => "free space on the server's data volume; nothing acknowledged was lost",
            Self::ReadOnly { .. } => "make the data folder writable for the server's user",
            Self::Database { .. } | Self::File { .. } => "see the server's log, then run `sigstore-server fsck`",
            Self::Setting { .. } => {
                "put the data folder on a local file system: write-ahead logging needs shared memory"
            }
            Self::Schema { .. } => "start the version of the server that wrote this folder",
            Self::TileConflict { .. } | Self::Damaged { .. } => {
                "run `sigstore-server fsck`, then restore the whole data folder, never the database alone"
            }
            Self::Fork { .. } => "an old backup would fork the log: restore the newest database, or start a new log",
            Self::WrongKey { .. } => "use the log's own key, or a new data folder for a new log",
            Self::WrongOrigin { .. } => "use the log's own URL, or a new data folder for a new log",
            Self::EntryTooLarge { .. } => "send a certificate or key of ordinary size",
            Self::Signing(_) => "check the key file",
            Self::InUse { .. } => "stop the other server first: one data folder, one process",
            Self::NotFound => "read the checkpoint first: the tree may be smaller",
            Self::Name { .. } => "use a host name without space, `+` or path",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::ArchiveBehind | Self::Closed | Self::DiskFull { .. } | Self::ReadOnly { .. }
        )
    }

    pub(super) fn database(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull { operation },
            Some(
                rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::PermissionDenied,
            ) => Self::ReadOnly { operation },
            _ => Self::Database {
                operation,
                source: Arc::new(source),
            },
        }
    }

    pub(super) fn file(operation: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let kind = source.kind();
            if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                Self::DiskFull { operation }
            } else if matches!(
                kind,
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
            ) {
                Self::ReadOnly { operation }
            } else {
                Self::File {
                    operation,
                    path: path.to_owned(),
                    source: Arc::new(source),
                }
            }
        }
    }
}
