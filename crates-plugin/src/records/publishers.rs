//! Who published each admitted version, as its certificate said.

use std::collections::BTreeSet;

use rusqlite::{Row, params};
use semver::Version;
use verify::{UnixTime, WorkloadIdentity, agreement::Publisher};

use super::Records;
use crate::policy::Rule;

/// A publisher of this registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// OIDC issuer of the certificate.
    pub issuer: String,
    /// Repository, ids and workflow.
    pub publisher: Publisher,
}

impl Known {
    /// The rule that this identity satisfies, for any crate and any branch or tag; none when it names no repository and workflow.
    #[must_use]
    pub fn to_rule(&self) -> Option<Rule> {
        let repository = self.publisher.repository.clone()?;
        let workflow = self.publisher.workflow.as_deref()?.strip_prefix(&repository)?;
        Some(Rule {
            crates: vec!["*".to_owned()],
            issuer: self.issuer.clone(),
            workflow: workflow.strip_prefix('/')?.to_owned(),
            repository,
            repository_id: self.publisher.repository_id.clone(),
            owner_id: self.publisher.owner_id.clone(),
            reference: "refs/*".to_owned(),
            environment: None,
            statements: BTreeSet::new(),
            minimum_level: 2,
            tag_required: false,
            runner: None,
            deny_events: BTreeSet::new(),
            trusted_publishing_only: false,
        })
    }
}

impl Records {
    /// Keeps who published a version; the first record of a version stays.
    ///
    /// # Errors
    /// The database failed.
    pub fn published(
        &self,
        name: &str,
        version: &str,
        identity: &WorkloadIdentity,
        at: UnixTime,
    ) -> Result<(), rusqlite::Error> {
        let publisher = Publisher::of(identity);
        self.lock().execute(
            "INSERT INTO publisher VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            params![
                name,
                version,
                identity.issuer(),
                publisher.repository,
                publisher.repository_id,
                publisher.owner_id,
                publisher.workflow,
                at.as_secs()
            ],
        )?;
        Ok(())
    }

    /// The publisher of the nearest lower version; without one, of the version admitted last. Never of the version itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn previous_publisher(&self, name: &str, version: &str) -> Result<Option<Publisher>, rusqlite::Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT issuer, repository, repository_id, owner_id, workflow, version FROM publisher
             WHERE name = ?1 AND version <> ?2 ORDER BY at DESC, version DESC LIMIT 10000",
        )?;
        let rows = statement.query_map(params![name, version], |row| {
            Ok((row.get::<_, String>(5)?, known(row)?))
        })?;
        let all: Vec<(String, Known)> = rows.collect::<Result<_, _>>()?;
        let wanted = Version::parse(version).ok();
        let parsed = all
            .iter()
            .filter_map(|(text, known)| Some((Version::parse(text).ok()?, known)));
        let lower = parsed.filter(|(version, _)| wanted.as_ref().is_some_and(|wanted| version < wanted));
        let nearest = lower
            .max_by(|(one, _), (other, _)| one.cmp(other))
            .map(|(_, known)| known);
        Ok(nearest
            .or(all.first().map(|(_, known)| known))
            .map(|known| known.publisher.clone()))
    }

    /// Whether the version was admitted on an attestation.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_attested(&self, name: &str, version: &str) -> Result<bool, rusqlite::Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT 1 FROM publisher WHERE name = ?1 AND version = ?2")?;
        statement.exists(params![name, version])
    }

    /// Every publisher that has a version here, at most a thousand, the latest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn publishers(&self) -> Result<Vec<Known>, rusqlite::Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT issuer, repository, repository_id, owner_id, workflow FROM publisher
             GROUP BY 1, 2, 3, 4, 5 ORDER BY max(at) DESC LIMIT 1000",
        )?;
        let rows = statement.query_map([], known)?;
        rows.collect()
    }
}

fn known(row: &Row<'_>) -> Result<Known, rusqlite::Error> {
    Ok(Known {
        issuer: row.get(0)?,
        publisher: Publisher {
            repository: row.get(1)?,
            repository_id: row.get(2)?,
            owner_id: row.get(3)?,
            workflow: row.get(4)?,
        },
    })
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS publisher (
  name TEXT NOT NULL, version TEXT NOT NULL, issuer TEXT NOT NULL, repository TEXT, repository_id TEXT, owner_id TEXT,
  workflow TEXT, at INTEGER NOT NULL, PRIMARY KEY (name, version)
) WITHOUT ROWID;
";

#[cfg(test)]
mod tests {
    use super::*;

    fn write(records: &Records, version: &str, repository: &str, at: i64) {
        let connection = records.lock();
        let values = params![
            "a",
            version,
            repository,
            format!("{repository}/.github/workflows/r.yml"),
            at
        ];
        connection
            .execute(
                "INSERT INTO publisher VALUES (?1, ?2, 'https://i', ?3, NULL, NULL, ?4, ?5)",
                values,
            )
            .unwrap();
    }

    #[test]
    fn the_version_before_is_the_nearest_lower_one() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path()).unwrap();
        let before = |version: &str| {
            let found = records.previous_publisher("a", version).unwrap();
            found.and_then(|publisher| publisher.repository)
        };
        assert_eq!(before("1.0.0"), None);
        write(&records, "1.9.0", "https://h/one", 1);
        write(&records, "1.10.0", "https://h/two", 2);
        assert_eq!(before("1.9.5").as_deref(), Some("https://h/one"));
        assert_eq!(before("1.11.0").as_deref(), Some("https://h/two"));
        assert_eq!(
            before("0.1.0").as_deref(),
            Some("https://h/two"),
            "without a lower one, the latest"
        );
        assert_eq!(
            before("1.10.0").as_deref(),
            Some("https://h/one"),
            "never of the version itself"
        );
        assert!(records.is_attested("a", "1.9.0").unwrap() && !records.is_attested("a", "1.9.1").unwrap());
    }

    #[test]
    fn a_known_publisher_is_a_rule_for_any_crate() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path()).unwrap();
        write(&records, "1.0.0", "https://h/o/one", 1);
        write(&records, "1.0.1", "https://h/o/one", 2);
        let known = records.publishers().unwrap();
        assert_eq!(known.len(), 1);
        let rule = known[0].to_rule().unwrap();
        assert_eq!(
            rule.identity_pattern(),
            "https://h/o/one/.github/workflows/r.yml@refs/*"
        );
    }
}
