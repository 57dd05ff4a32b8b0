//! Uploads on their way: recorded before they are forwarded, done when the registry's statements about them are stored.
//!
//! `forwarding` → `accepted` → `attested`. Whatever is not `attested` is taken up again after a restart. An attacker who can
//! write here can have the registry sign that it published what it did not; it lies beside the gate's signing key.

use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use verify::{Sha256Digest, UnixTime};

use super::{Ledger, LedgerError};

/// An upload that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// SHA-256 of the archive.
    pub archive: Sha256Digest,
    /// Crate name.
    pub name: String,
    /// Version.
    pub version: String,
    /// What is to be said of it.
    pub facts: Facts,
    /// Whether the registry is known to have accepted it.
    pub accepted: bool,
    /// How often it was tried in vain.
    pub tries: u32,
}

/// What the verdict was made of: all that a verification summary says besides names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Seconds since the epoch of the verdict.
    pub at: i64,
    /// SHA-256 of the policy file, hexadecimal.
    pub policy: String,
    /// SLSA build level; none when the build was not looked at.
    pub level: Option<u8>,
    /// SHA-256 of each bundle that was verified, hexadecimal.
    pub inputs: Vec<String>,
}

/// Which statement of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// The registry published it.
    Release,
    /// The registry verified it.
    Summary,
}

impl StatementKind {
    /// Both, in the order in which they are signed.
    pub const ALL: [Self; 2] = [Self::Release, Self::Summary];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Summary => "summary",
        }
    }
}

impl Ledger {
    /// Records an upload before it is forwarded. Durable when it returns; one that is further already stays as it is.
    /// Whether it was not known before: what becomes of one that was, a refusal now does not say.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn begin_upload(&self, upload: &Upload, due: UnixTime) -> Result<bool, LedgerError> {
        let facts = serde_json::to_string(&upload.facts).map_err(|_| LedgerError::Damaged)?;
        let archive = upload.archive.0.as_slice();
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let inserted = transaction.execute(
            "INSERT INTO upload (sha256, name, version, facts, state, due, tries) VALUES (?1, ?2, ?3, ?4, 'forwarding', ?5, 0)
             ON CONFLICT DO NOTHING",
            params![archive, upload.name, upload.version, facts, due.as_secs()],
        )?;
        transaction.execute(
            "UPDATE upload SET facts = ?2, due = ?3 WHERE sha256 = ?1 AND state = 'forwarding'",
            params![archive, facts, due.as_secs()],
        )?;
        transaction.commit()?;
        Ok(inserted == 1)
    }

    /// The registry has it. Whether that was not known; an upload that was forgotten meanwhile is recorded anew.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn accept_upload(&self, upload: &Upload, now: UnixTime) -> Result<bool, LedgerError> {
        let facts = serde_json::to_string(&upload.facts).map_err(|_| LedgerError::Damaged)?;
        let changed = self.lock().execute(
            "INSERT INTO upload (sha256, name, version, facts, state, due, tries) VALUES (?1, ?2, ?3, ?4, 'accepted', ?5, 0)
             ON CONFLICT (sha256) DO UPDATE SET state = 'accepted', due = excluded.due, tries = 0 WHERE state = 'forwarding'",
            params![
                upload.archive.0.as_slice(),
                upload.name,
                upload.version,
                facts,
                now.as_secs()
            ],
        )?;
        Ok(changed == 1)
    }

    /// The registry refused it; an upload that it accepted once stays.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn forget_upload(&self, archive: &Sha256Digest) -> Result<(), LedgerError> {
        self.lock().execute(
            "DELETE FROM upload WHERE sha256 = ?1 AND state = 'forwarding'",
            [archive.0.as_slice()],
        )?;
        Ok(())
    }

    /// Uploads that are to be taken up now, the longest waiting first.
    ///
    /// # Errors
    /// [`LedgerError::Database`], [`LedgerError::Damaged`].
    pub fn due_uploads(&self, now: UnixTime) -> Result<Vec<Upload>, LedgerError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT sha256, name, version, facts, state, tries FROM upload WHERE state <> 'attested' AND due <= ?1
             ORDER BY due LIMIT 64",
        )?;
        let rows = statement.query_map([now.as_secs()], |row| Ok(read_upload(row)))?;
        rows.map(|row| row?).collect()
    }

    /// When the next upload is due; none when all are done.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn next_due(&self) -> Result<Option<UnixTime>, LedgerError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT MIN(due) FROM upload WHERE state <> 'attested'")?;
        let due: Option<i64> = statement.query_row([], |row| row.get(0))?;
        Ok(due.map(UnixTime::from_secs))
    }

    /// How many uploads are not done.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn open_uploads(&self) -> Result<u64, LedgerError> {
        let connection = self.lock();
        let count: i64 = connection.query_row("SELECT COUNT(*) FROM upload WHERE state <> 'attested'", [], |row| {
            row.get(0)
        })?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// After a restart nothing waits: what was under way is looked at at once.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn hasten_uploads(&self, now: UnixTime) -> Result<(), LedgerError> {
        self.lock()
            .execute("UPDATE upload SET due = ?1 WHERE state <> 'attested'", [now.as_secs()])?;
        Ok(())
    }

    /// It did not work; to be tried again.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn postpone_upload(&self, archive: &Sha256Digest, due: UnixTime) -> Result<(), LedgerError> {
        self.lock().execute(
            "UPDATE upload SET due = ?2, tries = tries + 1 WHERE sha256 = ?1",
            params![archive.0.as_slice(), due.as_secs()],
        )?;
        Ok(())
    }

    /// Everything about the upload is stored.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn finish_upload(&self, archive: &Sha256Digest) -> Result<(), LedgerError> {
        self.lock().execute(
            "UPDATE upload SET state = 'attested' WHERE sha256 = ?1",
            [archive.0.as_slice()],
        )?;
        Ok(())
    }

    /// Keeps a signed bundle, so that it is not signed twice. Durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn keep_bundle(&self, archive: &Sha256Digest, kind: StatementKind, bundle: &str) -> Result<(), LedgerError> {
        self.lock().execute(
            "INSERT INTO bundle (sha256, kind, bundle) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![archive.0.as_slice(), kind.as_str(), bundle],
        )?;
        Ok(())
    }

    /// The bundle of this kind, once it was signed.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn kept_bundle(&self, archive: &Sha256Digest, kind: StatementKind) -> Result<Option<String>, LedgerError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT bundle FROM bundle WHERE sha256 = ?1 AND kind = ?2")?;
        let found = statement.query_row(params![archive.0.as_slice(), kind.as_str()], |row| row.get(0));
        Ok(found.optional()?)
    }
}

fn read_upload(row: &Row<'_>) -> Result<Upload, LedgerError> {
    let digest: Vec<u8> = row.get(0)?;
    let facts: String = row.get(3)?;
    let state: String = row.get(4)?;
    Ok(Upload {
        archive: Sha256Digest(digest.try_into().map_err(|_| LedgerError::Damaged)?),
        name: row.get(1)?,
        version: row.get(2)?,
        facts: serde_json::from_str(&facts).map_err(|_| LedgerError::Damaged)?,
        accepted: state == "accepted",
        tries: row.get(5)?,
    })
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS upload (
  sha256 BLOB PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, facts TEXT NOT NULL,
  state TEXT NOT NULL, due INTEGER NOT NULL, tries INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS upload_open ON upload (due) WHERE state <> 'attested';
CREATE TABLE IF NOT EXISTS bundle (
  sha256 BLOB NOT NULL, kind TEXT NOT NULL, bundle TEXT NOT NULL, PRIMARY KEY (sha256, kind)
) WITHOUT ROWID;
";

#[cfg(test)]
mod tests {
    use super::*;

    fn upload() -> Upload {
        Upload {
            archive: Sha256Digest([1; 32]),
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            facts: Facts {
                at: 5,
                policy: "00".repeat(32),
                level: Some(2),
                inputs: vec!["11".repeat(32)],
            },
            accepted: false,
            tries: 0,
        }
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn an_upload_is_taken_up_until_it_is_attested_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.next_due().unwrap(), None);
        ledger.begin_upload(&upload(), at(60)).unwrap();
        assert_eq!(ledger.due_uploads(at(59)).unwrap(), []);
        drop(ledger);
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.hasten_uploads(at(10)).unwrap();
        assert_eq!(ledger.due_uploads(at(10)).unwrap(), [upload()]);
        let digest = upload().archive;
        assert!(ledger.accept_upload(&upload(), at(11)).unwrap());
        assert!(!ledger.accept_upload(&upload(), at(11)).unwrap(), "only once");
        ledger.postpone_upload(&digest, at(20)).unwrap();
        assert_eq!(ledger.next_due().unwrap(), Some(at(20)));
        let due = ledger.due_uploads(at(20)).unwrap();
        assert_eq!((due[0].accepted, due[0].tries), (true, 1));
        ledger.finish_upload(&digest).unwrap();
        assert_eq!((ledger.next_due().unwrap(), ledger.open_uploads().unwrap()), (None, 0));
    }

    #[test]
    fn a_refused_upload_is_forgotten_and_an_accepted_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let digest = upload().archive;
        assert!(ledger.begin_upload(&upload(), at(1)).unwrap());
        ledger.forget_upload(&digest).unwrap();
        assert_eq!(ledger.open_uploads().unwrap(), 0);
        assert!(ledger.begin_upload(&upload(), at(1)).unwrap());
        assert!(!ledger.begin_upload(&upload(), at(1)).unwrap(), "known");
        // Somebody else was refused meanwhile.
        ledger.forget_upload(&digest).unwrap();
        assert!(ledger.accept_upload(&upload(), at(1)).unwrap());
        ledger.forget_upload(&digest).unwrap();
        ledger.begin_upload(&upload(), at(9)).unwrap();
        let due = ledger.due_uploads(at(1)).unwrap();
        assert!(due[0].accepted, "a repeat takes nothing back");
    }

    #[test]
    fn a_bundle_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let digest = upload().archive;
        for kind in StatementKind::ALL {
            assert_eq!(ledger.kept_bundle(&digest, kind).unwrap(), None);
            ledger.keep_bundle(&digest, kind, kind.as_str()).unwrap();
            ledger.keep_bundle(&digest, kind, "another").unwrap();
            assert_eq!(
                ledger.kept_bundle(&digest, kind).unwrap().as_deref(),
                Some(kind.as_str())
            );
        }
    }
}
