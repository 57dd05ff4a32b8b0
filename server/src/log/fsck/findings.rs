//! What a check of the data folder can find.

use verify::merkle::NodeHash;

use crate::log::LogKind;

/// What was looked at and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// The logs that were rebuilt to the end.
    pub logs: Vec<LogSummary>,
    /// Contradictions; empty when all is well.
    pub findings: Vec<Finding>,
}

/// A log as its entries give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSummary {
    /// Which log.
    pub log: LogKind,
    /// First line of its checkpoints.
    pub origin: String,
    /// Key id of its checkpoints.
    pub key_id: [u8; 32],
    /// Number of entries.
    pub size: u64,
    /// Root of the tree rebuilt from them.
    pub root: NodeHash,
}

/// One contradiction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which log; none when it concerns the whole database.
    pub log: Option<LogKind>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a data folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// SQLite finds its own file damaged.
    #[error("the database file is damaged: `PRAGMA integrity_check` does not answer ok")]
    Integrity,
    /// The tables are not those of this program.
    #[error("the tables differ from those of this program")]
    Tables,
    /// Rows of a log that does not exist.
    #[error("table `{table}` has rows of no known log")]
    StrayRows {
        /// Which table.
        table: &'static str,
    },
    /// Rows that cannot be read at all.
    #[error("part of the database cannot be read: {code}")]
    Unreadable {
        /// Code of the error.
        code: &'static str,
    },
    /// The head is missing, or says more is archived than can be.
    #[error("the head is missing or contradicts itself")]
    Head,
    /// The recorded key is no key, or not the log's.
    #[error("the recorded key is malformed or not the log's")]
    Key,
    /// The checkpoint is not the log's signature over the tree that its entries give.
    #[error("the checkpoint does not fit the tree, its key or its origin")]
    Checkpoint,
    /// The copy of the checkpoint is not one this log made on the way to its tree.
    #[error("the copy of the checkpoint does not belong to this tree")]
    Mark,
    /// The number of entries differs from the head's.
    #[error("the head says {head} entries, there are {entries}")]
    Size {
        /// By the head.
        head: u64,
        /// Found.
        entries: u64,
    },
    /// The root differs from the head's.
    #[error("the head's root is not that of the entries")]
    Root,
    /// The stored right edge differs.
    #[error("the stored right edge is not that of the entries")]
    Edge,
    /// An entry that is not in its canonical form.
    #[error("entry {index} is not in its canonical form")]
    Entry {
        /// Its index.
        index: u64,
    },
    /// An entry row that should not be there, or after a gap.
    #[error("entry row {index} is out of place")]
    EntryPlace {
        /// Its index.
        index: u64,
    },
    /// The stored leaf hash differs.
    #[error("the stored leaf hash of entry {index} is wrong")]
    LeafHash {
        /// Its index.
        index: u64,
    },
    /// Identity, time or seal of an entry is missing or wrong.
    #[error("the identity, time or seal of entry {index} is missing or wrong")]
    LeafRow {
        /// Its index.
        index: u64,
    },
    /// More or fewer identities than entries.
    #[error("there are not as many identities as entries")]
    LeafCount,
    /// A bundle file is missing.
    #[error("entry bundle {index} is missing")]
    BundleMissing {
        /// Its index.
        index: u64,
    },
    /// A bundle file is malformed or differs from the database.
    #[error("entry bundle {index} is malformed or differs from the database")]
    Bundle {
        /// Its index.
        index: u64,
    },
    /// A tile file is missing or differs.
    #[error("tile {index} of level {level} is missing or wrong")]
    Tile {
        /// Level, 0 at the leaves.
        level: u8,
        /// Index in its level.
        index: u64,
    },
    /// A tile row is missing, wrong or left over.
    #[error("the row of tile {index} of level {level} is missing, wrong or left over")]
    TileRow {
        /// Level, 0 at the leaves.
        level: u8,
        /// Index in its level.
        index: u64,
    },
    /// An issuer's certificate does not have its fingerprint.
    #[error("issuer {fingerprint} has another certificate")]
    Issuer {
        /// SHA-256, hexadecimal.
        fingerprint: String,
    },
    /// An issuer that no entry names.
    #[error("issuer {fingerprint} is named by no entry")]
    IssuerUnused {
        /// SHA-256, hexadecimal.
        fingerprint: String,
    },
    /// A file that is no part of the tree.
    #[error("`{path}` is no part of the tree")]
    StrayFile {
        /// Below the log's folder.
        path: String,
    },
}

impl FsckReport {
    /// Whether nothing was found.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, log: impl Into<Option<LogKind>>, problem: Problem) {
        self.findings.push(Finding {
            log: log.into(),
            problem,
        });
    }
}

impl Problem {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Integrity => "fsck-integrity",
            Self::Tables => "fsck-tables",
            Self::StrayRows { .. } => "fsck-stray-rows",
            Self::Unreadable { .. } => "fsck-unreadable",
            Self::Head => "fsck-head",
            Self::Key => "fsck-key",
            Self::Checkpoint => "fsck-checkpoint",
            Self::Mark => "fsck-mark",
            Self::Size { .. } => "fsck-size",
            Self::Root => "fsck-root",
            Self::Edge => "fsck-edge",
            Self::Entry { .. } => "fsck-entry",
            Self::EntryPlace { .. } => "fsck-entry-place",
            Self::LeafHash { .. } => "fsck-leaf-hash",
            Self::LeafRow { .. } => "fsck-leaf-row",
            Self::LeafCount => "fsck-leaf-count",
            Self::BundleMissing { .. } => "fsck-bundle-missing",
            Self::Bundle { .. } => "fsck-bundle",
            Self::Tile { .. } => "fsck-tile",
            Self::TileRow { .. } => "fsck-tile-row",
            Self::Issuer { .. } => "fsck-issuer",
            Self::IssuerUnused { .. } => "fsck-issuer-unused",
            Self::StrayFile { .. } => "fsck-stray-file",
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.log {
            Some(log) => write!(f, "{}: {log} log: {}", self.problem.code(), self.problem),
            None => write!(f, "{}: {}", self.problem.code(), self.problem),
        }
    }
}
