//! What a CI says of a run in its identity token, and whether a rule of the policy is satisfied by it.

use serde_json::{Map, Value};
use verify::UnixTime;

use super::{Provider, Scope, Shape};
use crate::{
    decision::Finding,
    policy::{RegistryPolicy, Rule, is_reference},
};

/// What of an identity token is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    repository: String,
    repository_id: String,
    owner_id: String,
    /// Repository, path and ref of what the CI was told to run, without the server.
    configuration: String,
    /// The same of what the job runs: another, where that is reusable.
    builder: String,
    /// Full ref.
    reference: String,
    environment: String,
    event: String,
    runner: String,
    /// Run that asked, for the log.
    pub(crate) run_id: String,
    /// Single use.
    pub(crate) token_id: String,
    /// When the token ends.
    pub(crate) expires: UnixTime,
}

impl Claims {
    /// Reads verified claims and checks audience and times, with a leeway of a minute as crates.io's.
    pub(crate) fn read(
        claims: &Map<String, Value>,
        provider: &Provider,
        audiences: &[String],
        now: UnixTime,
    ) -> Result<Self, Finding> {
        let expires = check_for(claims, audiences, now)?;
        let names = provider.shape.names();
        // An empty claim meets no demand: see `mismatch`.
        let optional = |name: &str| text(claims, name).unwrap_or_default().to_owned();
        let required = |name: &str| {
            let found = text(claims, name).map(str::to_owned);
            found.ok_or_else(|| refused_token(format!("the token has no `{name}`")))
        };
        let (configuration, reference) = match provider.shape {
            Shape::GithubWorkflow => (required(names.configuration)?, required("ref")?),
            Shape::GitlabPipeline => gitlab_places(provider, &required)?,
        };
        Ok(Self {
            repository: required(names.repository)?,
            repository_id: optional(names.repository_id),
            owner_id: required(names.owner_id)?,
            configuration,
            builder: optional(names.builder),
            reference,
            event: required(names.event)?,
            token_id: required("jti")?,
            environment: optional("environment"),
            runner: optional("runner_environment"),
            run_id: optional(names.run),
            expires,
        })
    }

    /// The scopes of every rule that the claims satisfy.
    ///
    /// # Errors
    /// None does; the finding tells how far the nearest got.
    pub(crate) fn scopes(&self, policy: &RegistryPolicy, provider: &Provider) -> Result<Vec<Scope>, Finding> {
        let names = provider.shape.names();
        if !provider.shape.may_publish_on(&self.event) {
            return Err(refused_event(&self.event));
        }
        let mut scopes = Vec::new();
        let mut furthest = (0, NO_RULE);
        for rule in policy.rules().iter().filter(|rule| rule.issuer == provider.issuer) {
            match self.mismatch(rule, provider) {
                None if rule.deny_events.contains(&self.event) => furthest = (usize::MAX, names.event),
                None => scopes.push(Scope::of(rule)),
                Some(found) if found.0 >= furthest.0 => furthest = found,
                Some(_) => {}
            }
        }
        match (scopes.is_empty(), furthest.1) {
            (false, _) => Ok(scopes),
            (true, claim) if claim == names.event => Err(refused_event(&self.event)),
            (true, claim) => Err(Finding {
                code: "gate-exchange-claims",
                cause: format!("no rule of the policy fits this run; the nearest differs in `{claim}`"),
                hint: "compare the token's claims with the rule: repository, ids, workflow or ci-config, ref, environment, runner",
            }),
        }
    }

    /// The first claim in which they differ, and how many held before.
    fn mismatch(&self, rule: &Rule, provider: &Provider) -> Option<(usize, &'static str)> {
        let server = provider.server.trim_end_matches('/');
        let names = provider.shape.names();
        // A claim that the token does not have is empty, and meets no demand, not even an empty one.
        let same = |wanted: &Option<String>, found: &str| {
            let holds = |wanted: &String| !found.is_empty() && wanted.eq_ignore_ascii_case(found);
            wanted.as_ref().is_none_or(holds)
        };
        let checks = [
            (
                rule.repository
                    .eq_ignore_ascii_case(&format!("{server}/{}", self.repository)),
                names.repository,
            ),
            (same(&rule.repository_id, &self.repository_id), names.repository_id),
            // A rule without an owner id gives no tokens: the name may belong to somebody else by now.
            (rule.owner_id.as_deref() == Some(self.owner_id.as_str()), names.owner_id),
            (
                rule.configuration().is_none_or(|path| self.runs(&path)),
                names.configuration,
            ),
            (rule.is_builder(&format!("{server}/{}", self.builder)), names.builder),
            (rule.allows_ref(&self.reference), "ref"),
            (same(&rule.environment, &self.environment), "environment"),
            (same(&rule.runner, &self.runner), "runner_environment"),
        ];
        let mut numbered = (1..).zip(checks);
        numbered
            .find(|(_, (holds, _))| !holds)
            .map(|(number, (_, claim))| (number, claim))
    }

    /// Whether this file of the repository ran, at a ref or commit. Both parts before `@` are known, so a further `@` in path
    /// or ref cannot shift the border.
    fn runs(&self, path: &str) -> bool {
        let Some((owner_and_name, rest)) = self.configuration.split_at_checked(self.repository.len()) else {
            return false;
        };
        let at = rest
            .strip_prefix('/')
            .and_then(|rest| rest.strip_prefix(path)?.strip_prefix('@'));
        owner_and_name.eq_ignore_ascii_case(&self.repository) && at.is_some_and(is_reference)
    }
}

/// The names of the claims that have other names elsewhere.
struct Names {
    repository: &'static str,
    repository_id: &'static str,
    owner_id: &'static str,
    configuration: &'static str,
    builder: &'static str,
    event: &'static str,
    run: &'static str,
}

impl Shape {
    const fn names(self) -> &'static Names {
        match self {
            Self::GithubWorkflow => &GITHUB,
            Self::GitlabPipeline => &GITLAB,
        }
    }

    /// Whether a run that this event started may have a token at all.
    fn may_publish_on(self, event: &str) -> bool {
        match self {
            Self::GithubWorkflow => !GITHUB_NEVER.contains(&event),
            Self::GitlabPipeline => GITLAB_SOURCES.contains(&event),
        }
    }
}

/// Configuration without its server, and the full ref. Both must name the same ref, as they do but for merge requests.
fn gitlab_places(
    provider: &Provider,
    required: &impl Fn(&str) -> Result<String, Finding>,
) -> Result<(String, String), Finding> {
    let kind = match required("ref_type")?.as_str() {
        "branch" => "heads",
        "tag" => "tags",
        other => return Err(refused_token(format!("`{other}` is no `ref_type` that publishes"))),
    };
    let reference = format!("refs/{kind}/{}", required("ref")?);
    let uri = required(GITLAB.configuration)?;
    let host = provider.server.split_once("://").map_or("", |(_, host)| host);
    let below = uri.strip_prefix(host.trim_end_matches('/'));
    let below = below.and_then(|rest| rest.strip_prefix('/'));
    let below = below.filter(|rest| rest.ends_with(&format!("@{reference}")));
    match below {
        Some(below) => Ok((below.to_owned(), reference)),
        None => Err(refused_token(format!(
            "`{}` is of another server or ref than the run",
            GITLAB.configuration
        ))),
    }
}

/// When the token ends, if its audience is one of these and it is valid now.
fn check_for(claims: &Map<String, Value>, audiences: &[String], now: UnixTime) -> Result<UnixTime, Finding> {
    if !text(claims, "aud").is_some_and(|audience| audiences.iter().any(|wanted| wanted == audience)) {
        return Err(refused_token(format!(
            "the token is for another audience than `{}`",
            audiences.last().map_or("", String::as_str)
        )));
    }
    let expires = time(claims, "exp")?.ok_or_else(|| refused_token("the token has no `exp`".to_owned()))?;
    let issued = time(claims, "iat")?.ok_or_else(|| refused_token("the token has no `iat`".to_owned()))?;
    if expires.plus_secs(LEEWAY_SECS) <= now {
        return Err(refused_token("the token has expired".to_owned()));
    }
    let soon = now.plus_secs(LEEWAY_SECS);
    if issued > soon || time(claims, "nbf")?.is_some_and(|from| from > soon) {
        return Err(refused_token("the token is from the future".to_owned()));
    }
    if expires > now.plus_secs(LONGEST_LIFE_SECS) {
        return Err(refused_token("the token lives longer than a day".to_owned()));
    }
    Ok(expires)
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = claims.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// `NumericDate` in whole seconds [RFC 7519 §2].
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, Finding> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(seconds) => Ok(Some(UnixTime::from_secs(seconds))),
            None => Err(refused_token(format!("`{name}` is no time"))),
        },
    }
}

pub(crate) fn refused_token(cause: String) -> Finding {
    Finding {
        code: "gate-exchange-token",
        cause,
        hint: "ask the CI for a fresh token with the registry's host as audience, right before the exchange",
    }
}

fn refused_event(event: &str) -> Finding {
    Finding {
        code: "gate-exchange-event",
        cause: format!("a run that `{event}` started gets no upload token"),
        hint: "start the release by a push of its tag, by a release, or by hand",
    }
}

/// They run foreign code with the repository's rights; crates.io refuses them too.
const GITHUB_NEVER: [&str; 2] = ["pull_request_target", "workflow_run"];
/// Sources of pipelines that run the project's own code; those of merge requests run the code of a fork with the project's
/// name [docs.gitlab.com, `CI_PIPELINE_SOURCE`].
const GITLAB_SOURCES: [&str; 3] = ["push", "schedule", "web"];
/// [docs.github.com, OpenID Connect reference].
const GITHUB: Names = Names {
    repository: "repository",
    repository_id: "repository_id",
    owner_id: "repository_owner_id",
    configuration: "workflow_ref",
    builder: "job_workflow_ref",
    event: "event_name",
    run: "run_id",
};
/// [docs.gitlab.com, ID token payload].
const GITLAB: Names = Names {
    repository: "project_path",
    repository_id: "project_id",
    owner_id: "namespace_id",
    configuration: "ci_config_ref_uri",
    // A configuration of another project has no identity: there is no builder but the project's own.
    builder: "ci_config_ref_uri",
    event: "pipeline_source",
    run: "job_id",
};
const NO_RULE: &str = "iss";
/// As crates.io.
pub(crate) const LEEWAY_SECS: i64 = 60;
/// GitHub's live minutes, some hours; the longest bounds how long a `jti` is remembered.
const LONGEST_LIFE_SECS: i64 = 86_400;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trusted_publishing::covers;

    const POLICY: &str = r#"
[[rule]]
crates = ["acme-*"]
issuer = "https://i.example"
repository = "https://github.com/acme/acme"
repository-id = "70"
workflow = ".github/workflows/release.yml"
ref = "refs/tags/*"
owner-id = "7"
environment = "release"
deny-events = ["schedule"]
"#;

    const GITLAB_POLICY: &str = r#"
[[rule]]
crates = ["acme"]
issuer = "https://git.example.com"
repository = "https://git.example.com/group/sub/project"
repository-id = "20"
owner-id = "72"
ci-config = ".gitlab-ci.yml"
ref = "refs/heads/main"
environment = "production"
runner = "gitlab-hosted"
deny-events = ["schedule"]
"#;

    fn gitlab_provider() -> Provider {
        Provider {
            shape: Shape::GitlabPipeline,
            issuer: "https://git.example.com".to_owned(),
            server: "https://git.example.com/".to_owned(),
        }
    }

    fn gitlab() -> Map<String, Value> {
        let claims = json!({
            "iss": "https://git.example.com", "aud": "crates.example", "exp": 1300, "iat": 1000, "nbf": 995, "jti": "1",
            "sub": "project_path:group/sub/project:ref_type:branch:ref:main",
            "namespace_id": "72", "namespace_path": "group/sub", "project_id": "20", "project_path": "group/sub/project",
            "project_visibility": "private", "user_id": "1", "user_login": "user", "pipeline_id": "574",
            "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch",
            "ref_path": "refs/heads/main", "ref_protected": "true", "runner_id": 1,
            "runner_environment": "gitlab-hosted", "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
            "environment": "production", "environment_protected": "true",
            "ci_config_ref_uri": "git.example.com/group/sub/project//.gitlab-ci.yml@refs/heads/main",
            "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        });
        claims.as_object().unwrap().clone()
    }

    fn gitlab_exchange(claims: &Map<String, Value>, policy: &str) -> Result<Vec<Scope>, Finding> {
        let policy = RegistryPolicy::from_toml(policy).unwrap();
        let audiences = ["crates.example".to_owned()];
        let claims = Claims::read(claims, &gitlab_provider(), &audiences, UnixTime::from_secs(1000))?;
        claims.scopes(&policy, &gitlab_provider())
    }

    #[test]
    fn every_claim_of_a_gitlab_job_counts() {
        let scopes = gitlab_exchange(&gitlab(), GITLAB_POLICY).unwrap();
        assert!(covers(
            &scopes,
            &RegistryPolicy::from_toml(GITLAB_POLICY).unwrap(),
            "acme"
        ));
        let other = "git.example.com/group/sub/project//other.yml@refs/heads/main";
        for (claim, value, code) in [
            ("project_path", json!("group/project"), "gate-exchange-claims"),
            ("project_id", json!("21"), "gate-exchange-claims"),
            ("project_id", json!(null), "gate-exchange-claims"),
            ("namespace_id", json!("73"), "gate-exchange-claims"),
            ("ci_config_ref_uri", json!(other), "gate-exchange-claims"),
            ("environment", json!("staging"), "gate-exchange-claims"),
            ("runner_environment", json!("self-hosted"), "gate-exchange-claims"),
            ("ref", json!("feature"), "gate-exchange-token"),
            ("ref_type", json!("tag"), "gate-exchange-token"),
            ("ref_type", json!("merge_request"), "gate-exchange-token"),
            ("ci_config_ref_uri", json!(null), "gate-exchange-token"),
            (
                "ci_config_ref_uri",
                json!("gitlab.com/group/sub/project//.gitlab-ci.yml@refs/heads/main"),
                "gate-exchange-token",
            ),
            (
                "ci_config_ref_uri",
                json!("git.example.com.evil/group/sub/project//.gitlab-ci.yml@refs/heads/main"),
                "gate-exchange-token",
            ),
            ("pipeline_source", json!("merge_request_event"), "gate-exchange-event"),
            (
                "pipeline_source",
                json!("external_pull_request_event"),
                "gate-exchange-event",
            ),
            ("pipeline_source", json!("schedule"), "gate-exchange-event"),
            ("jti", json!(null), "gate-exchange-token"),
        ] {
            let mut claims = gitlab();
            claims.insert(claim.to_owned(), value.clone());
            let refused = gitlab_exchange(&claims, GITLAB_POLICY).unwrap_err();
            assert_eq!(refused.code, code, "{claim} {value}");
        }
        let tag = GITLAB_POLICY.replace("refs/heads/main", "refs/tags/v*");
        assert_eq!(
            gitlab_exchange(&gitlab(), &tag).unwrap_err().code,
            "gate-exchange-claims"
        );
        let mut tagged = gitlab();
        for (claim, value) in [
            ("ref", "v1.0.0"),
            ("ref_type", "tag"),
            ("pipeline_source", "web"),
            (
                "ci_config_ref_uri",
                "git.example.com/group/sub/project//.gitlab-ci.yml@refs/tags/v1.0.0",
            ),
        ] {
            tagged.insert(claim.to_owned(), value.into());
        }
        assert_eq!(gitlab_exchange(&tagged, &tag).unwrap().len(), 1);
    }

    #[test]
    fn a_rule_with_a_builder_gives_tokens_to_the_builders_jobs_only() {
        let builder = "builder = \"https://github.com/acme/shared/.github/workflows/publish.yml@refs/tags/v1*\"\n";
        let policy = format!("{POLICY}{builder}");
        let mut claims = honest();
        let workflow = "acme/shared/.github/workflows/publish.yml@refs/tags/v1.2.0";
        claims.insert("job_workflow_ref".to_owned(), workflow.into());
        let scopes = exchange_under(&policy, &claims, 1000).unwrap();
        for (claim, value) in [
            ("job_workflow_ref", json!(workflow.replace("v1.2.0", "v2.0.0"))),
            ("job_workflow_ref", json!(workflow.replace("shared", "other"))),
            ("job_workflow_ref", json!(null)),
            (
                "workflow_ref",
                json!("acme/acme/.github/workflows/evil.yml@refs/tags/v1"),
            ),
        ] {
            let mut changed = claims.clone();
            changed.insert(claim.to_owned(), value.clone());
            let refused = exchange_under(&policy, &changed, 1000).unwrap_err();
            assert!(
                refused.cause.contains(&format!("`{claim}`")),
                "{claim} {value}: {}",
                refused.cause
            );
        }
        let moved = RegistryPolicy::from_toml(&policy.replace("acme/acme", "acme/other")).unwrap();
        assert!(
            !covers(&scopes, &moved, "acme-core"),
            "who calls is part of what a token is for"
        );
    }

    #[test]
    fn a_github_rule_is_not_satisfied_by_a_gitlab_job() {
        let github = GITLAB_POLICY.replace("ci-config", "workflow");
        assert_eq!(
            gitlab_exchange(&gitlab(), &github).unwrap_err().code,
            "gate-exchange-claims"
        );
    }

    fn provider() -> Provider {
        Provider {
            shape: Shape::GithubWorkflow,
            issuer: "https://i.example".to_owned(),
            server: "https://github.com".to_owned(),
        }
    }

    fn honest() -> Map<String, Value> {
        let claims = json!({
            "aud": "crates.example", "exp": 1300, "iat": 1000, "nbf": 1000, "jti": "1", "repository": "Acme/Acme",
            "repository_id": "70", "repository_owner_id": "7", "ref": "refs/tags/v1", "event_name": "push", "environment": "Release",
            "workflow_ref": "Acme/Acme/.github/workflows/release.yml@refs/tags/v1", "run_id": "9",
        });
        claims.as_object().unwrap().clone()
    }

    fn exchange(claims: &Map<String, Value>, now: i64) -> Result<Vec<Scope>, Finding> {
        exchange_under(POLICY, claims, now)
    }

    fn exchange_under(policy: &str, claims: &Map<String, Value>, now: i64) -> Result<Vec<Scope>, Finding> {
        let policy = RegistryPolicy::from_toml(policy).unwrap();
        let audiences = ["crates.example".to_owned()];
        let claims = Claims::read(claims, &provider(), &audiences, UnixTime::from_secs(now))?;
        claims.scopes(&policy, &provider())
    }

    #[test]
    fn every_claim_counts() {
        let scopes = exchange(&honest(), 1000).unwrap();
        let policy = RegistryPolicy::from_toml(POLICY).unwrap();
        assert!(covers(&scopes, &policy, "acme-core") && !covers(&scopes, &policy, "other"));
        let other = RegistryPolicy::from_toml(&POLICY.replace("release.yml", "other.yml")).unwrap();
        assert!(
            !covers(&scopes, &other, "acme-core"),
            "a changed rule takes the tokens back"
        );
        for (claim, value, code) in [
            ("aud", json!("crates.io"), "gate-exchange-token"),
            ("aud", json!(["crates.example"]), "gate-exchange-token"),
            ("exp", json!(null), "gate-exchange-token"),
            ("exp", json!(1_000_000), "gate-exchange-token"),
            ("iat", json!(1061), "gate-exchange-token"),
            ("nbf", json!(1061), "gate-exchange-token"),
            ("iat", json!("soon"), "gate-exchange-token"),
            ("jti", json!(""), "gate-exchange-token"),
            ("repository", json!("acme/other"), "gate-exchange-claims"),
            ("repository_id", json!("71"), "gate-exchange-claims"),
            ("repository_owner_id", json!("8"), "gate-exchange-claims"),
            ("ref", json!("refs/heads/main"), "gate-exchange-claims"),
            ("environment", json!("test"), "gate-exchange-claims"),
            (
                "workflow_ref",
                json!("acme/acme/.github/workflows/evil.yml@refs/tags/v1"),
                "gate-exchange-claims",
            ),
            (
                "workflow_ref",
                json!("acme/acme/.github/workflows/release.yml@evil"),
                "gate-exchange-claims",
            ),
            (
                "workflow_ref",
                json!("acme/acme/.github/workflows/release.yml"),
                "gate-exchange-claims",
            ),
            ("event_name", json!("pull_request_target"), "gate-exchange-event"),
            ("event_name", json!("workflow_run"), "gate-exchange-event"),
            ("event_name", json!("schedule"), "gate-exchange-event"),
        ] {
            let mut claims = honest();
            claims.insert(claim.to_owned(), value.clone());
            assert_eq!(exchange(&claims, 1000).unwrap_err().code, code, "{claim} {value}");
        }
        assert!(
            exchange(&honest(), 1359).is_ok() && exchange(&honest(), 1360).is_err(),
            "a minute of leeway"
        );
    }

    #[test]
    fn an_absent_claim_meets_no_demand() {
        for (claim, demand) in [
            ("environment", "environment = \"release\""),
            ("repository_id", "repository-id = \"70\""),
        ] {
            let (name, _) = demand.split_once(' ').unwrap();
            let empty = POLICY.replace(demand, &format!("{name} = \"\""));
            let without = POLICY.replace(demand, "");
            let mut silent = honest();
            silent.remove(claim);
            assert!(exchange_under(&without, &silent, 1000).is_ok(), "{claim}");
            assert_eq!(
                exchange_under(&empty, &silent, 1000).unwrap_err().code,
                "gate-exchange-claims",
                "{claim}"
            );
        }
    }

    #[test]
    fn a_rule_without_owner_id_gives_no_token() {
        let policy = RegistryPolicy::from_toml(&POLICY.replace("owner-id = \"7\"", "")).unwrap();
        let audiences = ["crates.example".to_owned()];
        let claims = Claims::read(&honest(), &provider(), &audiences, UnixTime::from_secs(1000)).unwrap();
        assert_eq!(
            claims.scopes(&policy, &provider()).unwrap_err().code,
            "gate-exchange-claims"
        );
    }
}
