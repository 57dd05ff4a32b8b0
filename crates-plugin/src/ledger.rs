//! Verdicts and what archives say of themselves, by content, kept for ever.
//!
//! A verdict is valid for one archive under one policy and one trusted root, so a change of either asks again and nothing
//! has to be forgotten. An attacker who can write here can let an archive through; it lies beside the gate's configuration.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use package::Description;
use rusqlite::{Connection, OptionalExtension as _, params};
use verify::{Sha256Digest, UnixTime};

pub mod outbox;

/// The verdicts of one gate.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
}

/// What a verdict is valid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// SHA-256 of the archive.
    pub archive: Sha256Digest,
    /// SHA-256 of the policy file.
    pub policy: Sha256Digest,
    /// SHA-256 of the trust file.
    pub trust: Sha256Digest,
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database failed.
    #[error("verdicts cannot be kept")]
    Database(#[from] rusqlite::Error),
    /// A stored description cannot be read back.
    #[error("a stored description is damaged")]
    Damaged,
}

impl Ledger {
    /// Opens or makes the ledger in a folder that exists.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let connection = Connection::open(folder.join("verdicts.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(outbox::SCHEMA)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Keeps an admission, and which name and version the archive is served under. Durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn admit(&self, key: &Key, description: &Description, ground: &str, at: UnixTime) -> Result<(), LedgerError> {
        let text = serde_json::to_string(description).map_err(|_| LedgerError::Damaged)?;
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let archive = key.archive.0.as_slice();
        transaction.execute(
            "INSERT INTO archive (sha256, name, version, description) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![archive, description.name, description.version, text],
        )?;
        transaction.execute(
            "INSERT INTO admission (sha256, policy, trust, ground, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            params![archive, key.policy.0.as_slice(), key.trust.0.as_slice(), ground, at.as_secs()],
        )?;
        Ok(transaction.commit()?)
    }

    /// Keeps what an archive says of itself, whatever became of it: index lines are held against it.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn describe(&self, archive: &Sha256Digest, description: &Description) -> Result<(), LedgerError> {
        let text = serde_json::to_string(description).map_err(|_| LedgerError::Damaged)?;
        self.lock().execute(
            "INSERT INTO archive (sha256, name, version, description) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![archive.0.as_slice(), description.name, description.version, text],
        )?;
        Ok(())
    }

    /// On what ground the archive was admitted under this policy and trusted root; none when it was not.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn ground(&self, key: &Key) -> Result<Option<String>, LedgerError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT ground FROM admission WHERE sha256 = ?1 AND policy = ?2 AND trust = ?3")?;
        let values = params![
            key.archive.0.as_slice(),
            key.policy.0.as_slice(),
            key.trust.0.as_slice()
        ];
        Ok(statement.query_row(values, |row| row.get(0)).optional()?)
    }

    /// What an archive says of itself, once it was seen.
    ///
    /// # Errors
    /// [`LedgerError::Database`], [`LedgerError::Damaged`].
    pub fn description(&self, archive: &Sha256Digest) -> Result<Option<Description>, LedgerError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT description FROM archive WHERE sha256 = ?1")?;
        let text: Option<String> = statement
            .query_row([archive.0.as_slice()], |row| row.get(0))
            .optional()?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| LedgerError::Damaged))
            .transpose()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        // A panic between two statements leaves a transaction that SQLite rolls back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS archive (
  sha256 BLOB PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, description TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS admission (
  sha256 BLOB NOT NULL, policy BLOB NOT NULL, trust BLOB NOT NULL, ground TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (sha256, policy, trust)
) WITHOUT ROWID;
";

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        let manifest = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n[dependencies]\nb = \"1\"\n";
        package::Manifest::from_toml(manifest, &package::Registries::crates_io())
            .unwrap()
            .description
    }

    #[test]
    fn an_admission_holds_for_its_archive_policy_and_trust_only_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let of = |text: &str| Sha256Digest::of(text.as_bytes());
        let key = Key {
            archive: of("a"),
            policy: of("p"),
            trust: of("t"),
        };
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.ground(&key).unwrap(), None);
        ledger
            .admit(&key, &description(), "attested", UnixTime::from_secs(1))
            .unwrap();
        ledger
            .admit(&key, &description(), "attested", UnixTime::from_secs(2))
            .unwrap();
        drop(ledger);
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.ground(&key).unwrap().as_deref(), Some("attested"));
        for other in [
            Key {
                archive: of("x"),
                ..key
            },
            Key { policy: of("x"), ..key },
            Key { trust: of("x"), ..key },
        ] {
            assert_eq!(ledger.ground(&other).unwrap(), None);
        }
        assert_eq!(ledger.description(&key.archive).unwrap(), Some(description()));
        assert_eq!(ledger.description(&of("x")).unwrap(), None);
    }
}
