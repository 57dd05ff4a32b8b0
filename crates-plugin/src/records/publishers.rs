//! Who published each admitted version, as its certificate said.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, Row, params};
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

/// A version that was admitted on an attestation, and who published it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// The version.
    pub version: String,
    /// Its publisher.
    pub known: Known,
}

impl Known {
    /// The rule that this identity satisfies, for any crate and any branch or tag; none when it names no repository and workflow. It is
    /// the same project whether its workflow signs by itself or calls one that does, and never another that calls the same.
    #[must_use]
    pub fn to_rule(&self) -> Option<Rule> {
        let repository = self.publisher.repository.clone()?;
        let path = self.publisher.workflow.as_deref()?.strip_prefix(&repository)?;
        let path = path.strip_prefix('/')?;
        // A further slash is GitLab's.
        let ci_config = path.strip_prefix('/').map(str::to_owned);
        let workflow = ci_config.is_none().then(|| path.to_owned());
        Some(Rule {
            crates: vec!["*".to_owned()],
            issuer: self.issuer.clone(),
            any_builder: workflow.is_some(),
            workflow,
            ci_config,
            builder: None,
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
        Ok(self.previous(name, version)?.map(|earlier| earlier.known.publisher))
    }

    /// Who published this version, where it was admitted before, under another policy; else the version before it.
    ///
    /// # Errors
    /// The database failed.
    pub fn earlier(&self, name: &str, version: &str) -> Result<Option<Earlier>, rusqlite::Error> {
        let itself = {
            let connection = self.lock();
            let mut statement = connection.prepare_cached(
                "SELECT issuer, repository, repository_id, owner_id, workflow FROM publisher
                 WHERE name = ?1 AND version = ?2",
            )?;
            statement.query_row(params![name, version], known).optional()?
        };
        match itself {
            Some(known) => Ok(Some(Earlier {
                version: version.to_owned(),
                known,
            })),
            None => self.previous(name, version),
        }
    }

    fn previous(&self, name: &str, version: &str) -> Result<Option<Earlier>, rusqlite::Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT issuer, repository, repository_id, owner_id, workflow, version FROM publisher
             WHERE name = ?1 AND version <> ?2 ORDER BY at DESC, version DESC LIMIT 10000",
        )?;
        let rows = statement.query_map(params![name, version], |row| {
            Ok(Earlier {
                version: row.get(5)?,
                known: known(row)?,
            })
        })?;
        let all: Vec<Earlier> = rows.collect::<Result<_, _>>()?;
        let wanted = Version::parse(version).ok();
        let parsed = all
            .iter()
            .filter_map(|earlier| Some((Version::parse(&earlier.version).ok()?, earlier)));
        let lower = parsed.filter(|(version, _)| wanted.as_ref().is_some_and(|wanted| version < wanted));
        let nearest = lower
            .max_by(|(one, _), (other, _)| one.cmp(other))
            .map(|(_, earlier)| earlier);
        Ok(nearest.or(all.first()).cloned())
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
    use verify::identity::Claim;

    use super::*;

    fn write(records: &Records, version: &str, repository: &str, at: i64) {
        write_of(records, version, repository, ".github/workflows/r.yml", at);
    }

    fn write_of(records: &Records, version: &str, repository: &str, path: &str, at: i64) {
        let connection = records.lock();
        let values = params!["a", version, repository, format!("{repository}/{path}"), at];
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
        let told = |version: &str| {
            let earlier = records.earlier("a", version).unwrap();
            earlier.map(|earlier| (earlier.version, earlier.known.publisher.repository.unwrap()))
        };
        let of = |version: &str, repository: &str| Some((version.to_owned(), format!("https://h/{repository}")));
        assert_eq!(told("1.10.0"), of("1.10.0", "two"), "the version itself is told of");
        assert_eq!(told("1.9.5"), of("1.9.0", "one"));
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
        assert!(rule.is_called() && rule.is_caller("https://h/o/one/.github/workflows/r.yml@refs/heads/main"));
        for stranger in [
            "https://h/o/two/.github/workflows/r.yml@refs/heads/main",
            "https://h/o/one/.github/workflows/other.yml@refs/heads/main",
        ] {
            assert!(!rule.is_caller(stranger), "{stranger}");
        }
        assert!(rule.claims().contains(&(Claim::SourceRepositoryUri, "https://h/o/one")));
        write_of(&records, "1.0.2", "https://h/o/two", "/.gitlab-ci.yml", 3);
        let rule = records.publishers().unwrap()[0].to_rule().unwrap();
        assert_eq!(rule.ci_config.as_deref(), Some(".gitlab-ci.yml"));
        assert_eq!(rule.identity_pattern(), "https://h/o/two//.gitlab-ci.yml@refs/*");
        assert!(!rule.is_called(), "GitLab's pipelines sign by themselves");
    }
}
