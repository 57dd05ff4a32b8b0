//! Hinted versions that are still to be looked at.

use rusqlite::params;
use verify::UnixTime;

use super::Records;
use crate::webhook::Hint;

/// A hinted version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The delivery's id.
    pub id: String,
    /// Name as hinted.
    pub name: String,
    /// Version as hinted.
    pub version: String,
    /// Whether the registry says that it is the first of its name.
    pub new: bool,
    /// How often it was tried.
    pub tries: u32,
}

impl Records {
    /// Queues a hint; durable when it returns. False when the delivery was seen before.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn queue_hint(&self, id: &str, hint: &Hint, now: UnixTime) -> Result<bool, rusqlite::Error> {
        let connection = self.lock();
        // Ids are remembered for much longer than a delivery is believed.
        let old = now.plus_secs(-REMEMBERED_SECS).as_secs();
        connection.execute("DELETE FROM hint WHERE done = 1 AND came < ?1", [old])?;
        let taken = connection.execute(
            "INSERT INTO hint VALUES (?1, ?2, ?3, ?4, ?4, 0, 0, ?5) ON CONFLICT DO NOTHING",
            params![id, hint.name, hint.version, now.as_secs(), hint.new],
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
            "SELECT id, name, version, tries, new FROM hint WHERE done = 0 AND due <= ?1 ORDER BY due, id LIMIT 16",
        )?;
        let rows = statement.query_map([now.as_secs()], |row| {
            Ok(Waiting {
                id: row.get(0)?,
                name: row.get(1)?,
                version: row.get(2)?,
                tries: row.get(3)?,
                new: row.get(4)?,
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

    /// A hint whose version was refused: it needs no more looks, and that it was is kept for ever.
    ///
    /// # Errors
    /// The database failed.
    pub fn refuse_hint(&self, waiting: &Waiting) -> Result<(), rusqlite::Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let (name, version) = (folded(&waiting.name), &waiting.version);
        transaction.execute(
            "INSERT INTO refused VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![name, version],
        )?;
        transaction.execute("UPDATE hint SET done = 1 WHERE id = ?1", [&waiting.id])?;
        transaction.commit()
    }

    /// Whether a version waits to be looked at or was refused: that it is in the index gives its name to nobody.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_doubtful(&self, name: &str, version: &str) -> Result<bool, rusqlite::Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM refused WHERE name = ?1 AND version = ?2)
             OR EXISTS (SELECT 1 FROM hint WHERE done = 0 AND version = ?2 AND replace(lower(name), '_', '-') = ?1)",
        )?;
        statement.query_row(params![folded(name), version], |row| row.get(0))
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

/// One spelling of a name: registries may normalise what they hint.
fn folded(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS hint (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, came INTEGER NOT NULL, due INTEGER NOT NULL,
  tries INTEGER NOT NULL, done INTEGER NOT NULL, new INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
  name TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (name, version)
) WITHOUT ROWID;
";
const REMEMBERED_SECS: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(version: &str) -> Hint {
        Hint {
            name: "A_b".to_owned(),
            version: version.to_owned(),
            new: true,
        }
    }

    #[test]
    fn a_hint_waits_over_a_restart_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let at = UnixTime::from_secs;
        let records = Records::open(folder.path()).unwrap();
        assert!(records.queue_hint("1", &hint("1.0.0"), at(10)).unwrap());
        assert!(
            !records.queue_hint("1", &hint("1.0.0"), at(10)).unwrap(),
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
        assert!(!records.queue_hint("1", &hint("1.0.0"), at(99)).unwrap());
    }

    #[test]
    fn what_waits_or_was_refused_is_doubtful() {
        let folder = tempfile::tempdir().unwrap();
        let at = UnixTime::from_secs;
        let records = Records::open(folder.path()).unwrap();
        let doubtful = |version: &str| records.is_doubtful("a-B", version).unwrap();
        assert!(!doubtful("1.0.0"));
        for (id, version) in [("1", "1.0.0"), ("2", "2.0.0")] {
            records.queue_hint(id, &hint(version), at(10)).unwrap();
            assert!(doubtful(version));
        }
        for waiting in records.due_hints(at(10)).unwrap() {
            if waiting.id == "1" {
                records.refuse_hint(&waiting).unwrap();
            } else {
                records.finish_hint(&waiting.id).unwrap();
            }
        }
        assert!(records.due_hints(at(99)).unwrap().is_empty());
        assert!(doubtful("1.0.0") && !doubtful("2.0.0"));
    }
}
