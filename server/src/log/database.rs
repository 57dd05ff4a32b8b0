//! The one SQLite file: heads, right edges, newest entries, who was logged where. Everything mutable is here.
//!
//! Trust: whoever can write this file can at most stop the logs or make them fork; a fork is signed by our key, so it is evidence
//! against us. [`super::fsck`] finds each change that is not a whole consistent fork.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use verify::merkle::NodeHash;

use super::{LogError, LogKind, tree};

/// A row of `head`: the log as of its newest checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) origin: String,
    /// DER `SubjectPublicKeyInfo`.
    pub(super) key: Vec<u8>,
    pub(super) size: u64,
    pub(super) root: NodeHash,
    pub(super) checkpoint: String,
    /// Entries, from the first, that are in bundle files and no longer in `entry`. A multiple of 256.
    pub(super) archived: u64,
}

/// A row of `leaf`: where and when something was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeafRow {
    pub(super) identity: [u8; 32],
    pub(super) index: u64,
    pub(super) time_ms: u64,
    /// What vouches for what the Merkle tree does not cover: in the v1 log the signed entry timestamp, in the CT log SHA-256 of
    /// the whole entry (its precertificate is no part of the leaf); empty in the v2 log, whose tree covers all.
    pub(super) seal: Vec<u8>,
}

/// Opens the database for writing, creates its tables, and insists on what durability needs.
pub(super) fn open(path: &Path, most_pages: Option<u32>) -> Result<Connection, LogError> {
    let connection = Connection::open(path).map_err(LogError::database("open the database"))?;
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(LogError::database("set the busy time limit"))?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(LogError::database("switch to write-ahead logging"))?;
    if mode != "wal" {
        return Err(LogError::Setting {
            setting: "journal_mode = WAL",
        });
    }
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(LogError::database("set synchronous = FULL"))?;
    let level: i64 = connection
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .map_err(LogError::database("read the synchronous setting"))?;
    if level != SYNCHRONOUS_FULL {
        return Err(LogError::Setting {
            setting: "synchronous = FULL",
        });
    }
    if let Some(pages) = most_pages {
        let bounded = connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()));
        bounded.map_err(LogError::database("bound the database"))?;
    }
    create(&connection)?;
    Ok(connection)
}

/// Opens the database for reading only.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(LogError::database("open the database"))?;
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(LogError::database("set the busy time limit"))?;
    check_version(&connection)?;
    Ok(connection)
}

fn create(connection: &Connection) -> Result<(), LogError> {
    let version = user_version(connection)?;
    if version == 0 {
        let script = format!("BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;");
        connection
            .execute_batch(&script)
            .map_err(LogError::database("create the tables"))?;
    }
    check_version(connection)
}

fn check_version(connection: &Connection) -> Result<(), LogError> {
    let found = user_version(connection)?;
    if found == SCHEMA_VERSION {
        Ok(())
    } else {
        Err(LogError::Schema {
            found,
            expected: SCHEMA_VERSION,
        })
    }
}

fn user_version(connection: &Connection) -> Result<i64, LogError> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(LogError::database("read the schema version"))
}

pub(super) fn head(connection: &Connection, log: LogKind) -> Result<Option<Head>, LogError> {
    connection
        .prepare_cached("SELECT origin, key, size, root, checkpoint, archived FROM head WHERE log = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([log.number()], |row| {
                    Ok(Head {
                        origin: row.get(0)?,
                        key: row.get(1)?,
                        size: unsigned(row, 2)?,
                        root: row.get(3)?,
                        checkpoint: row.get(4)?,
                        archived: unsigned(row, 5)?,
                    })
                })
                .optional()
        })
        .map_err(LogError::database("read the head"))
}

pub(super) fn insert_head(connection: &Connection, log: LogKind, head: &Head) -> Result<(), LogError> {
    connection
        .execute(
            "INSERT INTO head (log, origin, key, size, root, checkpoint, archived) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                log.number(),
                head.origin,
                head.key,
                signed(head.size),
                head.root,
                head.checkpoint,
                signed(head.archived)
            ],
        )
        .map(drop)
        .map_err(LogError::database("create the head"))
}

/// Moves the head, if it still stands at `old_size`. Another writer makes this fail, never fork.
pub(super) fn update_head(connection: &Connection, log: LogKind, old_size: u64, head: &Head) -> Result<(), LogError> {
    let changed = connection
        .prepare_cached("UPDATE head SET size = ?1, root = ?2, checkpoint = ?3 WHERE log = ?4 AND size = ?5")
        .and_then(|mut statement| {
            statement.execute(params![
                signed(head.size),
                head.root,
                head.checkpoint,
                log.number(),
                signed(old_size)
            ])
        })
        .map_err(LogError::database("move the head"))?;
    if changed == 1 {
        Ok(())
    } else {
        Err(LogError::Damaged {
            log,
            what: "the head moved inside our transaction",
        })
    }
}

pub(super) fn insert_entry(
    connection: &Connection,
    log: LogKind,
    index: u64,
    hash: &NodeHash,
    body: &[u8],
) -> Result<(), LogError> {
    connection
        .prepare_cached("INSERT INTO entry (log, idx, leaf_hash, body) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut statement| statement.execute(params![log.number(), signed(index), hash, body]))
        .map(drop)
        .map_err(LogError::database("insert an entry"))
}

/// Hands out each stored entry of a log in order: index, leaf hash, bytes.
pub(super) fn each_entry(
    connection: &Connection,
    log: LogKind,
    mut each: impl FnMut(u64, NodeHash, Vec<u8>) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let failed = || LogError::database("read the newest entries");
    let mut statement = connection
        .prepare("SELECT idx, leaf_hash, body FROM entry WHERE log = ?1 ORDER BY idx")
        .map_err(failed())?;
    let mut rows = statement.query([log.number()]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        each(
            unsigned(row, 0).map_err(failed())?,
            row.get(1).map_err(failed())?,
            row.get(2).map_err(failed())?,
        )?;
    }
    Ok(())
}

pub(super) fn insert_leaf(connection: &Connection, log: LogKind, leaf: &LeafRow) -> Result<(), LogError> {
    connection
        .prepare_cached("INSERT INTO leaf (log, identity, idx, time_ms, seal) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut statement| {
            statement.execute(params![
                log.number(),
                leaf.identity,
                signed(leaf.index),
                signed(leaf.time_ms),
                leaf.seal
            ])
        })
        .map(drop)
        .map_err(LogError::database("remember an entry"))
}

pub(super) fn leaf_by_identity(
    connection: &Connection,
    log: LogKind,
    identity: &[u8; 32],
) -> Result<Option<LeafRow>, LogError> {
    connection
        .prepare_cached("SELECT identity, idx, time_ms, seal FROM leaf WHERE log = ?1 AND identity = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![log.number(), identity], leaf_row)
                .optional()
        })
        .map_err(LogError::database("look an entry up"))
}

pub(super) fn leaf_by_index(connection: &Connection, log: LogKind, index: u64) -> Result<Option<LeafRow>, LogError> {
    connection
        .prepare_cached("SELECT identity, idx, time_ms, seal FROM leaf WHERE log = ?1 AND idx = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![log.number(), signed(index)], leaf_row)
                .optional()
        })
        .map_err(LogError::database("look an entry up"))
}

pub(super) fn count_leaves(connection: &Connection, log: LogKind) -> Result<u64, LogError> {
    connection
        .query_row("SELECT count(*) FROM leaf WHERE log = ?1", [log.number()], |row| {
            unsigned(row, 0)
        })
        .map_err(LogError::database("count the entries"))
}

/// Stored hashes of the unfinished tiles above the leaves, lowest level (1) first, with no gap.
pub(super) fn upper_edge(connection: &Connection, log: LogKind) -> Result<Vec<Vec<NodeHash>>, LogError> {
    let failed = || LogError::database("read the right edge");
    let mut statement = connection
        .prepare("SELECT level, hashes FROM edge WHERE log = ?1 ORDER BY level")
        .map_err(failed())?;
    let mut rows = statement.query([log.number()]).map_err(failed())?;
    let mut levels = Vec::new();
    while let Some(row) = rows.next().map_err(failed())? {
        let level: i64 = row.get(0).map_err(failed())?;
        let bytes: Vec<u8> = row.get(1).map_err(failed())?;
        let expected = i64::try_from(levels.len()).unwrap_or(i64::MAX).saturating_add(1);
        let hashes = tree::hashes(&bytes).filter(|_| level == expected);
        levels.push(hashes.ok_or(LogError::Damaged {
            log,
            what: "the right edge has a gap or a broken hash",
        })?);
    }
    Ok(levels)
}

pub(super) fn put_edge(connection: &Connection, log: LogKind, level: usize, hashes: &[u8]) -> Result<(), LogError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO edge (log, level, hashes) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| {
            statement.execute(params![log.number(), i64::try_from(level).unwrap_or(i64::MAX), hashes])
        })
        .map(drop)
        .map_err(LogError::database("store the right edge"))
}

pub(super) fn insert_tile(connection: &Connection, log: LogKind, tile: &tree::FullTile) -> Result<(), LogError> {
    connection
        .prepare_cached("INSERT INTO tile (log, level, idx, hashes) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut statement| statement.execute(params![log.number(), tile.level, signed(tile.index), tile.hashes]))
        .map(drop)
        .map_err(LogError::database("store a full tile"))
}

/// The full tiles that are not yet known to be files, in order of level and index.
pub(super) fn tiles(connection: &Connection, log: LogKind) -> Result<Vec<tree::FullTile>, LogError> {
    connection
        .prepare("SELECT level, idx, hashes FROM tile WHERE log = ?1 ORDER BY level, idx")
        .and_then(|mut statement| {
            statement
                .query_map([log.number()], |row| {
                    Ok(tree::FullTile {
                        level: row.get(0)?,
                        index: unsigned(row, 1)?,
                        hashes: row.get(2)?,
                    })
                })?
                .collect()
        })
        .map_err(LogError::database("read the full tiles"))
}

/// Drops what the files now hold: entries below `archived` and the tiles over them.
pub(super) fn prune(connection: &Connection, log: LogKind, archived: u64) -> Result<(), LogError> {
    let prune = || -> rusqlite::Result<()> {
        connection.execute(
            "DELETE FROM entry WHERE log = ?1 AND idx < ?2",
            params![log.number(), signed(archived)],
        )?;
        for level in 0..=MAX_LEVEL {
            let tiles = signed(tree::full_tiles(archived, level));
            let parameters = params![log.number(), level, tiles];
            connection.execute(
                "DELETE FROM tile WHERE log = ?1 AND level = ?2 AND idx < ?3",
                parameters,
            )?;
        }
        let parameters = params![signed(archived), log.number()];
        connection.execute(
            "UPDATE head SET archived = ?1 WHERE log = ?2 AND archived <= ?1",
            parameters,
        )?;
        Ok(())
    };
    prune().map_err(LogError::database("drop archived entries"))
}

pub(super) fn put_issuer(connection: &Connection, fingerprint: &[u8; 32], der: &[u8]) -> Result<(), LogError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO issuer (fingerprint, certificate) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute(params![fingerprint, der]))
        .map(drop)
        .map_err(LogError::database("store an issuer"))
}

pub(super) fn issuer(connection: &Connection, fingerprint: &[u8; 32]) -> Result<Option<Vec<u8>>, LogError> {
    connection
        .prepare_cached("SELECT certificate FROM issuer WHERE fingerprint = ?1")
        .and_then(|mut statement| statement.query_row([fingerprint], |row| row.get(0)).optional())
        .map_err(LogError::database("read an issuer"))
}

/// Hands out each issuer: fingerprint and certificate.
pub(super) fn each_issuer(connection: &Connection, mut each: impl FnMut([u8; 32], Vec<u8>)) -> Result<(), LogError> {
    let failed = || LogError::database("read the issuers");
    let query = "SELECT fingerprint, certificate FROM issuer ORDER BY fingerprint";
    let mut statement = connection.prepare(query).map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        each(row.get(0).map_err(failed())?, row.get(1).map_err(failed())?);
    }
    Ok(())
}

/// SQLite integers are signed; no tree of ours reaches 2^63.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn leaf_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<LeafRow> {
    Ok(LeafRow {
        identity: row.get(0)?,
        index: unsigned(row, 1)?,
        time_ms: unsigned(row, 2)?,
        seal: row.get(3)?,
    })
}

/// Incremented with each change of [`SCHEMA`].
pub(super) const SCHEMA_VERSION: i64 = 1;

/// Level 0 of the edge is not stored: it is the leaf hashes of the entries after the last full tile.
pub(super) const SCHEMA: &str = "
CREATE TABLE head (
  log INTEGER PRIMARY KEY, origin TEXT NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
  checkpoint TEXT NOT NULL, archived INTEGER NOT NULL) STRICT;
CREATE TABLE edge (
  log INTEGER NOT NULL, level INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (log, level)) STRICT, WITHOUT ROWID;
CREATE TABLE tile (
  log INTEGER NOT NULL, level INTEGER NOT NULL, idx INTEGER NOT NULL, hashes BLOB NOT NULL,
  PRIMARY KEY (log, level, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE entry (
  log INTEGER NOT NULL, idx INTEGER NOT NULL, leaf_hash BLOB NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (log, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE leaf (
  log INTEGER NOT NULL, identity BLOB NOT NULL, idx INTEGER NOT NULL, time_ms INTEGER NOT NULL, seal BLOB NOT NULL,
  PRIMARY KEY (log, identity)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX leaf_by_index ON leaf (log, idx);
CREATE TABLE issuer (fingerprint BLOB PRIMARY KEY, certificate BLOB NOT NULL) STRICT, WITHOUT ROWID;
";

/// `PRAGMA synchronous` answers a number: 2 is FULL.
const SYNCHRONOUS_FULL: i64 = 2;

/// The highest level that a tree below 2^63 leaves can fill: 256^7 leaves and more.
const MAX_LEVEL: u8 = 6;

/// How long to wait for another process, `fsck` or a backup, before giving up.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
