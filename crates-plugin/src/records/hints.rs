//! Hinted versions that are still to be looked at.

use rusqlite::params;
use verify::UnixTime;

use super::Records;

/// A hinted version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The delivery's id.
    pub id: String,
    /// Name as hinted.
    pub name: String,
    /// Version as hinted.
    pub version: String,
    /// How often it was tried.
    pub tries: u32,
}

impl Records {
    /// Queues a hint; durable when it returns. False when the delivery was seen before.
    ///
    /// # Errors
    /// The database failed.
    pub fn queue_hint(&self, id: &str, name: &str, version: &str, now: UnixTime) -> Result<bool, rusqlite::Error> {
        let connection = self.lock();
        // Ids are remembered for much longer than a delivery is believed.
        let old = now.plus_secs(-REMEMBERED_SECS).as_secs();
        connection.execute("DELETE FROM hint WHERE done = 1 AND came < ?1", [old])?;
        let taken = connection.execute(
            "INSERT INTO hint VALUES (?1, ?2, ?3, ?4, ?4, 0, 0) ON CONFLICT DO NOTHING",
            params![id, name, version, now.as_secs()],
        )?;
        Ok(taken == 1)
    }

    /// Up to sixteen hints whose time has come, the longest waiting first.
    ///
    /// # Errors
    /// The database failed.
    pub fn due_hints(&self, now: UnixTime) -> Result<Vec<Waiting>, rusqlite::Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT id, name, version, tries FROM hint WHERE done = 0 AND due <= ?1 ORDER BY due, id LIMIT 16",
        )?;
        let rows = statement.query_map([now.as_secs()], |row| {
            Ok(Waiting {
                id: row.get(0)?,
                name: row.get(1)?,
                version: row.get(2)?,
                tries: row.get(3)?,
            })
        })?;
        rows.collect()
    }

    /// Puts a hint off.
    ///
    /// # Errors
    /// The database failed.
    pub fn postpone_hint(&self, id: &str, due: UnixTime) -> Result<(), rusqlite::Error> {
        let statement = "UPDATE hint SET tries = tries + 1, due = ?2 WHERE id = ?1";
        self.lock().execute(statement, params![id, due.as_secs()])?;
        Ok(())
    }

    /// A hint that needs no more looks.
    ///
    /// # Errors
    /// The database failed.
    pub fn finish_hint(&self, id: &str) -> Result<(), rusqlite::Error> {
        self.lock().execute("UPDATE hint SET done = 1 WHERE id = ?1", [id])?;
        Ok(())
    }
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS hint (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, came INTEGER NOT NULL, due INTEGER NOT NULL,
  tries INTEGER NOT NULL, done INTEGER NOT NULL
) WITHOUT ROWID;
";
const REMEMBERED_SECS: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_waits_over_a_restart_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let at = UnixTime::from_secs;
        let records = Records::open(folder.path()).unwrap();
        assert!(records.queue_hint("1", "a", "1.0.0", at(10)).unwrap());
        assert!(
            !records.queue_hint("1", "a", "1.0.0", at(10)).unwrap(),
            "a delivery counts once"
        );
        drop(records);
        let records = Records::open(folder.path()).unwrap();
        let due = records.due_hints(at(10)).unwrap();
        assert_eq!((due.len(), due[0].tries), (1, 0));
        records.postpone_hint("1", at(20)).unwrap();
        assert!(records.due_hints(at(19)).unwrap().is_empty());
        assert_eq!(records.due_hints(at(20)).unwrap()[0].tries, 1);
        records.finish_hint("1").unwrap();
        assert!(records.due_hints(at(99)).unwrap().is_empty());
        assert!(!records.queue_hint("1", "a", "1.0.0", at(99)).unwrap());
    }
}
