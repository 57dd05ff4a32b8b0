//! A rule of the policy: who may publish the crates that it names.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use verify::{identity::Claim, provenance::PREDICATE_TYPE};

use super::matches;

/// Who may publish the crates that a rule names.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Crate names, or prefixes ending in `*`.
    pub crates: Vec<String>,
    /// OIDC issuer.
    pub issuer: String,
    /// URL of the source repository; of the project on GitLab, with all its groups.
    pub repository: String,
    /// Immutable id of repository or project.
    #[serde(default)]
    pub repository_id: Option<String>,
    /// Immutable id of the owner; of the namespace on GitLab.
    #[serde(default)]
    pub owner_id: Option<String>,
    /// Path of the workflow in the repository, on GitHub and what is shaped like it. Without it and `ci-config` any workflow of
    /// the repository may call the builder.
    #[serde(default)]
    pub workflow: Option<String>,
    /// Path of the pipeline's configuration in a GitLab project, instead: `.gitlab-ci.yml`.
    #[serde(default)]
    pub ci_config: Option<String>,
    /// The reusable workflow that builds and signs, where that is not the workflow itself, as certificates name it, with its
    /// ref: a prefix when it ends in `*`.
    #[serde(default)]
    pub builder: Option<String>,
    /// Whether any reusable workflow that `workflow` calls may sign: of an identity that is known by what it published, not written in a
    /// policy.
    #[serde(skip)]
    pub any_builder: bool,
    /// Ref of the run, or a prefix ending in `*`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Deployment environment.
    #[serde(default)]
    pub environment: Option<String>,
    /// Predicate types that must be there; provenance always must.
    #[serde(default)]
    pub statements: BTreeSet<String>,
    /// Lowest SLSA build level, 1 to 3.
    #[serde(default = "two")]
    pub minimum_level: u8,
    /// Whether the ref must be the tag of the version.
    #[serde(default)]
    pub tag_required: bool,
    /// Runner environment, `github-hosted`, `gitlab-hosted` or `self-hosted`.
    #[serde(default)]
    pub runner: Option<String>,
    /// Events that may not publish, besides those that never may.
    #[serde(default)]
    pub deny_events: BTreeSet<String>,
    /// Whether only a token of the gate's own, exchanged for this rule's identity, may upload these crates.
    #[serde(default)]
    pub trusted_publishing_only: bool,
}

impl Rule {
    /// The subject alternative name a certificate must have: a prefix when it ends in `*`.
    #[must_use]
    pub fn identity_pattern(&self) -> String {
        let own = || {
            let configuration = self.configuration().unwrap_or_default();
            format!("{}/{configuration}@{}", self.repository, self.reference)
        };
        self.builder.clone().unwrap_or_else(own)
    }

    /// The same for [`verify::Policy::identity_pattern`], whose single `*` ends at a slash. Tags and branches have slashes.
    pub(crate) fn certificate_pattern(&self) -> String {
        let pattern = self.identity_pattern();
        match pattern.strip_suffix('*') {
            Some(prefix) => format!("{prefix}**"),
            None => pattern,
        }
    }

    /// What stands between repository and ref in the name of what was run: GitLab puts a slash before the path, which no group
    /// or project can be named after. None when a builder may be called by any workflow.
    #[must_use]
    pub fn configuration(&self) -> Option<String> {
        let gitlab = self.ci_config.as_ref().map(|path| format!("/{path}"));
        gitlab.or_else(|| self.workflow.clone())
    }

    /// Whether who signs may be another than who was started, so that the latter is to be looked at.
    #[must_use]
    pub const fn is_called(&self) -> bool {
        self.builder.is_some() || self.any_builder
    }

    /// Who may call the builder, in words.
    #[must_use]
    pub fn caller(&self) -> String {
        let configuration = self.configuration().map(|path| format!("/{path}"));
        format!(
            "{}{}@{}",
            self.repository,
            configuration.unwrap_or_default(),
            self.reference
        )
    }

    /// Whether a build configuration (claim 18, with its ref) is one that may call the builder.
    #[must_use]
    pub fn is_caller(&self, found: &str) -> bool {
        self.configuration().is_none_or(|configuration| {
            let rest = found.strip_prefix(&format!("{}/{configuration}@", self.repository));
            rest.is_some_and(is_reference)
        })
    }

    /// Whether a job's own workflow, with its ref, is the builder, where the rule names one.
    #[must_use]
    pub fn is_builder(&self, found: &str) -> bool {
        self.builder.as_ref().is_none_or(|builder| matches(builder, found))
    }

    /// Claims a certificate must have besides its name and issuer.
    #[must_use]
    pub fn claims(&self) -> Vec<(Claim, &str)> {
        let optional = [
            (Claim::SourceRepositoryIdentifier, &self.repository_id),
            (Claim::SourceRepositoryOwnerIdentifier, &self.owner_id),
            (Claim::DeploymentEnvironment, &self.environment),
            (Claim::RunnerEnvironment, &self.runner),
        ];
        let stated = optional
            .into_iter()
            .filter_map(|(claim, value)| Some((claim, value.as_deref()?)));
        let named = !(self.ci_config.is_some() && MISNAMED.contains(&self.issuer.as_str()));
        let repository = named.then_some((Claim::SourceRepositoryUri, self.repository.as_str()));
        repository.into_iter().chain(stated).collect()
    }

    /// Whether the rule lists this very name, not by a pattern.
    #[must_use]
    pub fn lists(&self, name: &str) -> bool {
        self.crates.iter().any(|pattern| pattern == name)
    }

    /// Whether a ref is one that may publish.
    #[must_use]
    pub fn allows_ref(&self, reference: &str) -> bool {
        matches(&self.reference, reference)
    }

    /// Predicate types that must be there, provenance first.
    pub fn required_statements(&self) -> impl Iterator<Item = &str> {
        let others = self
            .statements
            .iter()
            .map(String::as_str)
            .filter(|uri| *uri != PREDICATE_TYPE);
        std::iter::once(PREDICATE_TYPE).chain(others)
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        let path = self.workflow.as_deref().or(self.ci_config.as_deref());
        let is_path = |holds: fn(&str) -> bool| path.is_none_or(holds);
        let rules = [
            (
                !self.crates.is_empty() && !self.crates.iter().any(String::is_empty),
                "names no crate",
            ),
            (
                self.crates.iter().all(|pattern| is_anchored(pattern)),
                "`*` may stand only at the end of a crate pattern",
            ),
            (
                self.issuer.starts_with("https://") || self.issuer.starts_with("http://127.0.0.1"),
                "issuer is no https URL",
            ),
            (
                self.repository.contains("://") && !self.repository.ends_with('/'),
                "repository is no URL, or ends in `/`",
            ),
            (
                self.workflow.is_none() || self.ci_config.is_none(),
                "workflow and, for GitLab, ci-config exclude each other",
            ),
            (
                path.is_some() || self.builder.is_some(),
                "one of workflow, ci-config and builder is needed",
            ),
            (
                self.builder.as_deref().is_none_or(is_workflow),
                "builder is the https URL of a workflow with `@` and its ref; `*` may stand only at its end",
            ),
            (
                !self.repository.contains('*') && is_path(|path| !path.contains('*')),
                "repository, workflow and ci-config take no pattern",
            ),
            (
                is_path(|path| !path.is_empty() && !path.starts_with('/')),
                "workflow or ci-config is no path in the repository",
            ),
            // GitLab states no configuration that lies in another project, `PATH@PROJECT`.
            (
                self.ci_config.is_none() || is_path(|path| !path.contains('@')),
                "ci-config is no path in the project itself",
            ),
            (
                !self.reference.is_empty() && is_anchored(&self.reference),
                "`*` may stand only at the end of a ref",
            ),
            ((1..=3).contains(&self.minimum_level), "minimum-level is 1, 2 or 3"),
            (
                !self.trusted_publishing_only || self.owner_id.is_some(),
                "trusted-publishing-only needs owner-id: a repository's name can be registered again by somebody else",
            ),
            (
                !self.deny_events.iter().any(String::is_empty),
                "deny-events names an empty event",
            ),
        ];
        rules
            .into_iter()
            .find(|(holds, _)| !holds)
            .map_or(Ok(()), |(_, reason)| Err(reason))
    }
}

/// Whether `*` stands at the end or nowhere.
fn is_anchored(pattern: &str) -> bool {
    !pattern.strip_suffix('*').unwrap_or(pattern).contains('*')
}

fn is_workflow(pattern: &str) -> bool {
    let located = pattern.starts_with("https://") || pattern.starts_with("http://127.0.0.1");
    let parts = pattern.split_once('@').filter(|_| located);
    parts.is_some_and(|(place, reference)| !place.contains('*') && !reference.is_empty() && is_anchored(reference))
}

/// Whether what follows an `@` is a full ref or a commit, and not the rest of a file's name.
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with("refs/") || (text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

const fn two() -> u8 {
    2
}

/// The public instance names these issuers' projects under `https://gitlab.com` in every claim but the certificate's name,
/// which is the one that counts [fulcio, config/identity/config.yaml].
const MISNAMED: [&str; 3] = [
    "https://dev.gitlab.org",
    "https://ops.gitlab.net",
    "https://gitlab.archlinux.org",
];

#[cfg(test)]
mod tests {
    use crate::RegistryPolicy;

    use super::*;

    const BUILDER: &str = "https://github.com/acme/builders/.github/workflows/publish.yml@refs/tags/v1";
    const WORKFLOW: &str = "workflow = \".github/workflows/release.yml\"";

    /// The rule with these keys besides the usual ones.
    fn rule(keys: &str) -> Result<Rule, &'static str> {
        let text = format!(
            "crates = [\"acme\"]\nissuer = \"https://i.example\"\nrepository = \"https://github.com/acme/acme\"\n\
             ref = \"refs/tags/*\"\n{keys}\n"
        );
        let rule: Rule = toml::from_str(&text).expect("a rule");
        rule.check().map(|()| rule)
    }

    #[test]
    fn a_builder_is_who_signs_and_the_workflow_is_who_calls_it() {
        let own = "https://github.com/acme/acme/.github/workflows/release.yml";
        assert_eq!(rule(WORKFLOW).unwrap().identity_pattern(), format!("{own}@refs/tags/*"));
        let built = rule(&format!("{WORKFLOW}\nbuilder = \"{BUILDER}*\"")).unwrap();
        assert_eq!(built.identity_pattern(), format!("{BUILDER}*"));
        assert!(built.is_builder(&format!("{BUILDER}.2.0")) && !built.is_builder(&format!("{own}@refs/tags/v1")));
        for caller in [
            "@refs/tags/v9",
            "@refs/heads/main",
            "@0123456789012345678901234567890123456789",
        ] {
            assert!(built.is_caller(&format!("{own}{caller}")), "{caller}");
        }
        for stranger in ["", "@main", "@x.yml@refs/tags/v9", ".yml@refs/tags/v9"] {
            assert!(!built.is_caller(&format!("{own}{stranger}")), "{stranger}");
        }
        let anybody = rule(&format!("builder = \"{BUILDER}\"")).unwrap();
        assert!(anybody.is_caller("https://github.com/acme/acme/.github/workflows/any.yml@refs/tags/v9"));
        assert!(!anybody.is_builder(&format!("{BUILDER}.2.0")), "exact without `*`");
    }

    #[test]
    fn a_wrong_builder_is_refused() {
        assert!(rule(&format!("builder = \"{BUILDER}\"")).is_ok());
        assert!(rule("").is_err(), "nobody is named");
        for wrong in [
            "https://github.com/acme/builders/.github/workflows/publish.yml",
            "https://github.com/acme/builders/.github/workflows/publish.yml@",
            "https://github.com/*/builders/.github/workflows/publish.yml@refs/tags/v1",
            "https://github.com/acme/builders/.github/workflows/publish.yml@refs/*/v1",
            "http://github.com/acme/builders/.github/workflows/publish.yml@refs/tags/v1",
            "",
        ] {
            assert!(rule(&format!("{WORKFLOW}\nbuilder = \"{wrong}\"")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_reaches_over_slashes_as_a_prefix_does() {
        let rule = rule(WORKFLOW).unwrap();
        assert!(rule.allows_ref("refs/tags/acme/v1.0.0"));
        assert!(rule.certificate_pattern().ends_with("release.yml@refs/tags/**"));
        let policy = verify::Policy::identity_pattern(&rule.certificate_pattern(), "https://i.example");
        assert!(policy.is_ok());
    }

    #[test]
    fn a_policy_file_may_name_a_builder() {
        let text = format!(
            "[[rule]]\ncrates = [\"acme\"]\nissuer = \"https://i.example\"\nrepository = \"https://github.com/acme/acme\"\n\
             ref = \"refs/tags/*\"\nbuilder = \"{BUILDER}\"\n"
        );
        let said = RegistryPolicy::from_toml(&text).unwrap().to_string();
        assert!(
            said.contains(&format!(
                "acme <- {BUILDER} by https://i.example, called from https://github.com/acme/acme@refs/tags/*"
            )),
            "{said}"
        );
    }
}
