//! The store's SQLite file: write-ahead log, `synchronous=FULL`, one writer, one reader.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use verify::Sha256Digest;

/// Why the store could not read or write.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file or its folder is read-only.
    #[error("the attestation store is not writable")]
    ReadOnly,
    /// No room left on the device.
    #[error("no space left for the attestation store")]
    DiskFull,
    /// A newer program made the file.
    #[error("the attestation store has schema {found}, this program knows {SCHEMA}")]
    Schema {
        /// Schema found.
        found: i64,
    },
    /// SQLite did not take a setting that durability rests on.
    #[error("SQLite did not accept `{setting}`")]
    Setting {
        /// The setting.
        setting: &'static str,
    },
    /// SQLite failed.
    #[error("the attestation store failed")]
    Database(#[source] Arc<rusqlite::Error>),
    /// The runtime is shutting down.
    #[error("the attestation store was interrupted")]
    Interrupted,
}

impl StoreError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ReadOnly => "attestations-read-only",
            Self::DiskFull => "attestations-disk-full",
            Self::Schema { .. } => "attestations-schema",
            Self::Setting { .. } => "attestations-setting",
            Self::Database(_) => "attestations-database",
            Self::Interrupted => "attestations-interrupted",
        }
    }

    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::ReadOnly => "give the server's user write permission on data/",
            Self::DiskFull => "make room; nothing acknowledged is lost",
            Self::Schema { .. } => "use the newer sigstore-server that made the file",
            Self::Setting { .. } => "put data/ on a local file system",
            Self::Database(_) => "run `sigstore-server fsck`, restore data/ from a backup if it fails",
            Self::Interrupted => "try again",
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Database(Arc::new(error)),
        }
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct Database {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Database {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = Connection::open(path)?;
        prepare(&writer)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(path, flags)?;
        reader.busy_timeout(BUSY)?;
        Ok(Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
        })
    }

    /// Keeps a bundle under its digests; returns when it is durable. A bundle that is there already is left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn insert(&self, id: &[u8; 32], text: &str, digests: &[Sha256Digest]) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction()?;
        let new = transaction
            .prepare_cached("INSERT INTO bundle (id, text) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING")?
            .execute(params![id.as_slice(), text])?;
        if new == 1 {
            let number = transaction.last_insert_rowid();
            let mut insert = transaction.prepare_cached("INSERT INTO subject (digest, bundle) VALUES (?1, ?2)")?;
            for digest in digests {
                insert.execute(params![digest.0.as_slice(), number])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The bundles of each digest that has any, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn find(
        &self,
        digests: &[Sha256Digest],
        limit_each: usize,
    ) -> Result<Vec<(Sha256Digest, Vec<String>)>, StoreError> {
        let reader = lock(&self.reader);
        let mut query = reader.prepare_cached(
            "SELECT text FROM subject JOIN bundle ON bundle.number = subject.bundle
             WHERE subject.digest = ?1 ORDER BY subject.bundle LIMIT ?2",
        )?;
        let limit = i64::try_from(limit_each).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for digest in digests {
            let rows = query.query_map(params![digest.0.as_slice(), limit], |row| row.get(0))?;
            let texts: Vec<String> = rows.collect::<Result<_, _>>()?;
            if !texts.is_empty() {
                found.push((*digest, texts));
            }
        }
        Ok(found)
    }
}

fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Setting {
            setting: "journal_mode = WAL",
        });
    }
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")?;
    let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    if synchronous != SYNCHRONOUS_FULL {
        return Err(StoreError::Setting {
            setting: "synchronous = FULL",
        });
    }
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        0 => Ok(connection.execute_batch(TABLES)?),
        SCHEMA => Ok(()),
        _ => Err(StoreError::Schema { found }),
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bundles in order of arrival, and the digests under which they are found.
const TABLES: &str = "
    BEGIN;
    CREATE TABLE bundle (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, text TEXT NOT NULL) STRICT;
    CREATE TABLE subject (
        digest BLOB NOT NULL,
        bundle INTEGER NOT NULL REFERENCES bundle (number),
        PRIMARY KEY (digest, bundle)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
    COMMIT;";
/// `user_version` of the file.
const SCHEMA: i64 = 1;
/// What `PRAGMA synchronous` answers for FULL.
const SYNCHRONOUS_FULL: i64 = 2;
/// Nobody else should hold the file; a backup may, briefly.
const BUSY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Sha256Digest {
        Sha256Digest([byte; 32])
    }

    #[test]
    fn what_was_kept_is_found_oldest_first_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        let database = Database::open(&path).unwrap();
        database.insert(&[9; 32], "first", &[digest(1), digest(2)]).unwrap();
        database.insert(&[1; 32], "second", &[digest(1)]).unwrap();
        database.insert(&[9; 32], "first", &[digest(1), digest(2)]).unwrap();
        drop(database);
        let database = Database::open(&path).unwrap();
        let found = database.find(&[digest(1), digest(3), digest(2)], 10).unwrap();
        let expected = [
            (digest(1), vec!["first".into(), "second".into()]),
            (digest(2), vec!["first".to_owned()]),
        ];
        assert_eq!(found, expected);
        assert_eq!(database.find(&[digest(1)], 1).unwrap()[0].1, ["first"]);
    }

    #[test]
    fn a_newer_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        drop(Database::open(&path).unwrap());
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA user_version = 2")
            .unwrap();
        assert_eq!(Database::open(&path).unwrap_err().code(), "attestations-schema");
    }

    #[test]
    fn a_missing_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Database::open(&folder.path().join("a.sqlite")).is_ok());
        let refused = Database::open(&folder.path().join("none/a.sqlite")).unwrap_err();
        assert_eq!(refused.code(), "attestations-read-only");
    }
}
