//! Upload tokens that are out, by their hash, and identity tokens that were used.

use rusqlite::{OptionalExtension as _, params};
use verify::{Sha256Digest, UnixTime};

use super::Records;

impl Records {
    /// Uses an identity token, once: false when it was used before. Durable when it returns, so that no crash gives a second try.
    ///
    /// # Errors
    /// The database failed.
    pub fn use_once(
        &self,
        issuer: &str,
        token_id: &str,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<bool, rusqlite::Error> {
        let connection = self.lock();
        connection.execute("DELETE FROM used WHERE until < ?1", [now.as_secs()])?;
        connection.execute("DELETE FROM upload_token WHERE expires < ?1", [now.as_secs()])?;
        let taken = connection.execute(
            "INSERT INTO used VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![issuer, token_id, until.as_secs()],
        )?;
        Ok(taken == 1)
    }

    /// Keeps the hash of a token that is about to be given out, and its scope.
    ///
    /// # Errors
    /// The database failed.
    pub fn give_token(&self, token: &Sha256Digest, scope: &str, expires: UnixTime) -> Result<(), rusqlite::Error> {
        self.lock().execute(
            "INSERT INTO upload_token VALUES (?1, ?2, ?3)",
            params![token.0.as_slice(), scope, expires.as_secs()],
        )?;
        Ok(())
    }

    /// The scope of a token that was given, has not ended and was not taken back.
    ///
    /// # Errors
    /// The database failed.
    pub fn token_scope(&self, token: &Sha256Digest, now: UnixTime) -> Result<Option<String>, rusqlite::Error> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT scope FROM upload_token WHERE sha256 = ?1 AND expires > ?2")?;
        statement
            .query_row(params![token.0.as_slice(), now.as_secs()], |row| row.get(0))
            .optional()
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// The database failed.
    pub fn revoke_token(&self, token: &Sha256Digest) -> Result<(), rusqlite::Error> {
        self.lock()
            .execute("DELETE FROM upload_token WHERE sha256 = ?1", [token.0.as_slice()])?;
        Ok(())
    }
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS used (
  issuer TEXT NOT NULL, token_id TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (issuer, token_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_token (
  sha256 BLOB PRIMARY KEY, scope TEXT NOT NULL, expires INTEGER NOT NULL
) WITHOUT ROWID;
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_identity_token_stays_used_over_a_restart_and_tokens_end() {
        let folder = tempfile::tempdir().unwrap();
        let at = UnixTime::from_secs;
        let records = Records::open(folder.path()).unwrap();
        let token = Sha256Digest::of(b"token");
        assert!(records.use_once("i", "1", at(100), at(10)).unwrap());
        records.give_token(&token, "[]", at(100)).unwrap();
        drop(records);
        let records = Records::open(folder.path()).unwrap();
        assert!(!records.use_once("i", "1", at(100), at(100)).unwrap());
        assert!(records.use_once("other", "1", at(100), at(10)).unwrap());
        assert_eq!(records.token_scope(&token, at(99)).unwrap().as_deref(), Some("[]"));
        assert_eq!(records.token_scope(&token, at(100)).unwrap(), None);
        records.revoke_token(&token).unwrap();
        assert_eq!(records.token_scope(&token, at(10)).unwrap(), None);
    }
}
