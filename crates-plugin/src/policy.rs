//! The registry's policy: which identity may publish which crate, in one TOML file reviewed like code.
//!
//! ```toml
//! trusted-builders = ["https://github.com/acme/builders/.github/workflows/publish.yml"]
//! unlisted = "refuse"            # or "admit": crates that no rule names need no attestation
//! first-publish = "reserved"     # or "open", "existing-identity": who may take a new name
//! publisher-change = "warn"      # or "refuse", "ignore": another repository or workflow than the version before
//!
//! [[rule]]
//! crates = ["acme", "acme-*"]
//! issuer = "https://token.actions.githubusercontent.com"
//! repository = "https://github.com/acme/acme"
//! workflow = ".github/workflows/release.yml"
//! ref = "refs/tags/*"           # a GitLab project has `ci-config = ".gitlab-ci.yml"` instead of a workflow
//! runner = "github-hosted"
//! deny-events = ["workflow_dispatch"]
//! owner-id = "9919001"           # with it, the workflow may exchange its identity for an upload token
//! trusted-publishing-only = true # and no other token uploads these crates
//!
//! [[exception]]
//! crate = "acme-old"
//! version = "0.3.0"
//! reason = "published before the gate"
//! expires = 2027-06-30
//! ```

mod rule;
mod summary;

use semver::Version;
use serde::Deserialize;
use verify::{Sha256Digest, UnixTime};

pub use rule::Rule;
pub(crate) use rule::is_reference;

/// A policy, read whole or refused whole.
#[derive(Clone, Debug)]
pub struct RegistryPolicy {
    digest: Sha256Digest,
    document: Document,
}

/// Why a policy file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not TOML of this shape; the text names line and field.
    #[error("policy: {0}")]
    Shape(String),
    /// A rule that names nobody, or a pattern with `*` elsewhere than at its end.
    #[error("policy rule {number}: {reason}")]
    Rule {
        /// Position, from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// An exception without a reason, a version or an end.
    #[error("policy exception {number}: {reason}")]
    Exception {
        /// Position, from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

impl PolicyError {
    /// The stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Shape(_) => "policy-shape",
            Self::Rule { .. } => "policy-rule",
            Self::Exception { .. } => "policy-exception",
        }
    }
}

/// A version let through without evidence.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Crate name.
    #[serde(rename = "crate")]
    pub name: String,
    /// Exact version.
    pub version: Version,
    /// Why; shown in every report.
    pub reason: String,
    /// Last day.
    pub expires: toml::value::Datetime,
}

/// What becomes of crates that no rule names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unlisted {
    /// They are refused.
    #[default]
    Refuse,
    /// They need no attestation; the archive rules and the comparison with the manifest still hold.
    Admit,
}

/// Who may publish the first version of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstPublish {
    /// Anybody whom the rest of the policy admits.
    #[default]
    Open,
    /// Only names that a rule lists without `*`, or that have an exception.
    Reserved,
    /// Only an identity that a rule or an admitted crate of this registry names; nobody without attestation.
    ExistingIdentity,
}

/// What becomes of a version whose publisher is another than that of the version before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublisherChange {
    /// Nothing.
    Ignore,
    /// It is let through, and both publisher and operator are told.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    unlisted: Unlisted,
    #[serde(default)]
    first_publish: FirstPublish,
    #[serde(default)]
    publisher_change: PublisherChange,
    #[serde(default)]
    trusted_builders: Vec<String>,
    #[serde(default)]
    rule: Vec<Rule>,
    #[serde(default)]
    exception: Vec<Exception>,
}

impl RegistryPolicy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`] for the first thing wrong; nothing of a wrong file is used.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let document: Document = toml::from_str(text).map_err(|error| PolicyError::Shape(error.to_string()))?;
        for (number, rule) in (1_usize..).zip(&document.rule) {
            rule.check().map_err(|reason| PolicyError::Rule { number, reason })?;
        }
        for (number, exception) in (1_usize..).zip(&document.exception) {
            exception
                .check()
                .map_err(|reason| PolicyError::Exception { number, reason })?;
        }
        Ok(Self {
            digest: Sha256Digest::of(text.as_bytes()),
            document,
        })
    }

    /// SHA-256 of the file: part of every verdict's key and of the summary that the registry signs.
    #[must_use]
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The first rule that names this crate.
    #[must_use]
    pub fn rule_for(&self, name: &str) -> Option<&Rule> {
        self.document
            .rule
            .iter()
            .find(|rule| rule.crates.iter().any(|pattern| names(pattern, name)))
    }

    /// The exception for this version that has not expired.
    #[must_use]
    pub fn exception_for(&self, name: &str, version: &str, now: UnixTime) -> Option<&Exception> {
        self.document.exception.iter().find(|exception| {
            exception.name == name
                && exception.version.to_string() == version
                && exception.last_second().is_some_and(|end| now <= end)
        })
    }

    /// What becomes of crates that no rule names.
    #[must_use]
    pub const fn unlisted(&self) -> Unlisted {
        self.document.unlisted
    }

    /// Who may publish the first version of a name.
    #[must_use]
    pub const fn first_publish(&self) -> FirstPublish {
        self.document.first_publish
    }

    /// What becomes of a version with another publisher than the version before.
    #[must_use]
    pub const fn publisher_change(&self) -> PublisherChange {
        self.document.publisher_change
    }

    /// Every rule, in order; the first that names a crate holds for it.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.document.rule
    }

    /// Every exception, in order.
    #[must_use]
    pub fn exceptions(&self) -> &[Exception] {
        &self.document.exception
    }

    /// Builders known to isolate signing from the build, without `@ref`.
    #[must_use]
    pub fn trusted_builders(&self) -> &[String] {
        &self.document.trusted_builders
    }
}

impl Exception {
    fn check(&self) -> Result<(), &'static str> {
        if self.name.is_empty() || self.reason.trim().is_empty() {
            return Err("a crate and a reason are needed");
        }
        self.last_second()
            .map(|_| ())
            .ok_or("expires is no date, as in 2027-06-30")
    }

    /// The last second of the day it expires, in UTC.
    pub(crate) fn last_second(&self) -> Option<UnixTime> {
        let date = self.expires.date.filter(|_| self.expires.time.is_none())?;
        UnixTime::from_rfc3339(&format!("{date}T23:59:59Z")).ok()
    }
}

/// Exact, or a prefix when the pattern ends in `*`.
fn matches(pattern: &str, text: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == text, |prefix| text.starts_with(prefix))
}

/// The same for names of crates. Registries hold names that differ in case, `-` and `_` for one: no rule may be escaped by
/// another spelling.
fn names(pattern: &str, name: &str) -> bool {
    let folded = |text: &str| text.to_lowercase().replace('_', "-");
    matches(&folded(pattern), &folded(name))
}

#[cfg(test)]
mod tests {
    use verify::identity::Claim;

    use super::*;

    const HONEST: &str = r#"
trusted-builders = ["https://github.com/acme/builders/.github/workflows/publish.yml"]

[[rule]]
crates = ["acme", "acme-*"]
issuer = "https://token.actions.githubusercontent.com"
repository = "https://github.com/acme/acme"
repository-id = "7"
workflow = ".github/workflows/release.yml"
ref = "refs/tags/*"
statements = ["https://cyclonedx.org/bom"]

[[exception]]
crate = "acme-old"
version = "0.3.0"
reason = "published before the gate"
expires = 2027-06-30
"#;

    fn read(text: &str) -> Result<RegistryPolicy, PolicyError> {
        RegistryPolicy::from_toml(text)
    }

    #[test]
    fn a_rule_says_who_may_publish() {
        let policy = read(HONEST).unwrap();
        let rule = policy.rule_for("acme-core").unwrap();
        assert_eq!(
            rule.identity_pattern(),
            "https://github.com/acme/acme/.github/workflows/release.yml@refs/tags/*"
        );
        let statements: Vec<_> = rule.required_statements().collect();
        assert_eq!(
            statements,
            ["https://slsa.dev/provenance/v1", "https://cyclonedx.org/bom"]
        );
        assert_eq!(rule.claims().len(), 2);
        assert!(policy.rule_for("acmecore").is_none() && policy.rule_for("acme").is_some());
        for spelling in ["ACME", "Acme-Core", "acme_core", "aCME_\u{212a}it"] {
            assert!(policy.rule_for(spelling).is_some(), "{spelling}");
        }
        assert_eq!((policy.unlisted(), rule.minimum_level), (Unlisted::Refuse, 2));
    }

    #[test]
    fn a_gitlab_project_is_named_by_its_configuration_and_server() {
        let rule = |issuer: &str, repository: &str| {
            let text = format!(
                "[[rule]]\ncrates = [\"acme\"]\nissuer = \"{issuer}\"\nrepository = \"{repository}\"\n\
                 repository-id = \"20\"\nowner-id = \"72\"\nci-config = \".gitlab-ci.yml\"\n\
                 ref = \"refs/heads/main\"\nenvironment = \"production\"\nrunner = \"gitlab-hosted\"\n"
            );
            read(&text).unwrap().rule_for("acme").unwrap().clone()
        };
        let public = rule("https://gitlab.com", "https://gitlab.com/group/sub/project");
        assert_eq!(
            public.identity_pattern(),
            "https://gitlab.com/group/sub/project//.gitlab-ci.yml@refs/heads/main"
        );
        assert_eq!(
            public.claims(),
            [
                (Claim::SourceRepositoryUri, "https://gitlab.com/group/sub/project"),
                (Claim::SourceRepositoryIdentifier, "20"),
                (Claim::SourceRepositoryOwnerIdentifier, "72"),
                (Claim::DeploymentEnvironment, "production"),
                (Claim::RunnerEnvironment, "gitlab-hosted"),
            ]
        );
        let own = rule("https://git.example.com", "https://git.example.com/g/p");
        assert_eq!(
            own.claims()[0],
            (Claim::SourceRepositoryUri, "https://git.example.com/g/p")
        );
        let misnamed = rule("https://gitlab.archlinux.org", "https://gitlab.archlinux.org/g/p");
        assert_eq!(
            misnamed.identity_pattern(),
            "https://gitlab.archlinux.org/g/p//.gitlab-ci.yml@refs/heads/main"
        );
        assert_eq!(misnamed.claims().len(), 4, "not by the claim that names another server");
    }

    #[test]
    fn an_exception_ends_with_its_last_day() {
        let policy = read(HONEST).unwrap();
        let last = UnixTime::from_rfc3339("2027-06-30T23:59:59Z").unwrap();
        assert!(policy.exception_for("acme-old", "0.3.0", last).is_some());
        assert!(policy.exception_for("acme-old", "0.3.0", last.plus_secs(1)).is_none());
        assert!(policy.exception_for("acme-old", "0.3.1", last).is_none());
    }

    #[test]
    fn a_wrong_file_is_refused_whole() {
        for (from, to, code) in [
            ("ref = \"refs/tags/*\"", "", "policy-shape"),
            ("ref = \"refs/tags/*\"", "ref = \"refs/*/x\"", "policy-rule"),
            ("ref = \"refs/tags/*\"", "ref = \"\"", "policy-rule"),
            ("repository-id", "repositry-id", "policy-shape"),
            ("[\"acme\", \"acme-*\"]", "[]", "policy-rule"),
            ("[\"acme\", \"acme-*\"]", "[\"*acme\"]", "policy-rule"),
            ("https://token", "http://token", "policy-rule"),
            (
                "repository = \"https://github.com/acme/acme\"",
                "repository = \"https://github.com/acme/*\"",
                "policy-rule",
            ),
            ("workflow = \".github", "workflow = \"/.github", "policy-rule"),
            ("workflow = \".github/workflows/release.yml\"", "", "policy-rule"),
            (
                "workflow = ",
                "ci-config = \".gitlab-ci.yml\"\nworkflow = ",
                "policy-rule",
            ),
            (
                "workflow = \".github/workflows/release.yml\"",
                "ci-config = \"ci.yml@acme/other\"",
                "policy-rule",
            ),
            (
                "workflow = \".github/workflows/release.yml\"",
                "ci-config = \"/.gitlab-ci.yml\"",
                "policy-rule",
            ),
            ("expires = 2027-06-30", "", "policy-shape"),
            ("expires = 2027-06-30", "expires = 07:00:00", "policy-exception"),
            (
                "reason = \"published before the gate\"",
                "reason = \" \"",
                "policy-exception",
            ),
            ("version = \"0.3.0\"", "version = \"0.3\"", "policy-shape"),
            ("repository-id = \"7\"", "trusted-publishing-only = true", "policy-rule"),
            ("repository-id = \"7\"", "deny-events = [\"\"]", "policy-rule"),
            (
                "trusted-builders",
                "first-publish = \"closed\"\ntrusted-builders",
                "policy-shape",
            ),
        ] {
            assert!(HONEST.contains(from), "{from}");
            assert_eq!(read(&HONEST.replacen(from, to, 1)).unwrap_err().code(), code, "{to}");
        }
    }

    #[test]
    fn the_rules_of_the_guide_are_rules() {
        let guide = include_str!("../../docs/guides/gate.md");
        let blocks = guide
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next());
        let rules: Vec<_> = blocks.filter(|block| block.contains("[[rule]]")).map(read).collect();
        assert!(rules.len() == 3 && rules.iter().all(Result::is_ok), "{rules:?}");
    }

    #[test]
    fn another_file_is_another_digest() {
        let policy = read(HONEST).unwrap();
        assert_ne!(policy.digest(), read(&format!("{HONEST}\n")).unwrap().digest());
    }
}
