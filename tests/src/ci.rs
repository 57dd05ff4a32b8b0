//! The environment in which each CI runs a job, with the issuer's values in it.

use serde_json::{Map, Value, json};

use crate::{
    Error, Issuer,
    issuer::{Job, Profile},
};

/// A job: which provider, which repository, commit and ref.
#[derive(Clone, Debug)]
pub struct Release {
    /// `owner/name`.
    pub repository: String,
    /// 40 hexadecimal digits.
    pub commit: String,
    /// Full ref, `refs/tags/v1.2.3`.
    pub git_ref: String,
    /// Workflow file, `release.yml`.
    pub workflow: String,
    /// Event that started it.
    pub event: String,
}

impl Release {
    /// A release of `repository` by the push of tag `v{version}` at `commit`.
    #[must_use]
    pub fn of_tag(repository: &str, version: &str, commit: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            commit: commit.to_owned(),
            git_ref: format!("refs/tags/v{version}"),
            workflow: "release.yml".to_owned(),
            event: "push".to_owned(),
        }
    }

    /// `https://github.com/OWNER/NAME/.github/workflows/FILE@REF`: the subject alternative name of its certificate.
    #[must_use]
    pub fn github_subject(&self) -> String {
        format!("https://github.com/{}", self.workflow_ref())
    }

    fn workflow_ref(&self) -> String {
        format!(
            "{}/.github/workflows/{}@{}",
            self.repository, self.workflow, self.git_ref
        )
    }

    fn owner(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }

    fn github_claims(&self) -> Map<String, Value> {
        let claims = json!({
            "sub": format!("repo:{}:ref:{}", self.repository, self.git_ref),
            "repository": self.repository,
            "repository_owner": self.owner(),
            "ref": self.git_ref,
            "sha": self.commit,
            "workflow_ref": self.workflow_ref(),
            "workflow_sha": self.commit,
            "job_workflow_ref": self.workflow_ref(),
            "job_workflow_sha": self.commit,
            "event_name": self.event,
        });
        match claims {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// The variables of a GitHub Actions job with `id-token: write`.
    #[must_use]
    pub fn github_environment(&self, issuer: &Issuer) -> Vec<(String, String)> {
        self.github_environment_with(issuer, &Value::Null)
    }

    /// The same where the token says otherwise, member by member.
    #[must_use]
    pub fn github_environment_with(&self, issuer: &Issuer, changes: &Value) -> Vec<(String, String)> {
        let mut claims = self.github_claims();
        claims.extend(changes.as_object().cloned().unwrap_or_default());
        let job = issuer.job(Profile::GitHub, &claims);
        let mut variables = self.github_variables(&job);
        variables.push(("ACTIONS_ID_TOKEN_REQUEST_URL".into(), job.request_url));
        variables.push(("ACTIONS_ID_TOKEN_REQUEST_TOKEN".into(), job.request_token));
        variables
    }

    /// The same without `id-token: write`.
    #[must_use]
    pub fn github_environment_without_permission(&self, issuer: &Issuer) -> Vec<(String, String)> {
        self.github_variables(&issuer.job(Profile::GitHub, &self.github_claims()))
    }

    fn github_variables(&self, job: &Job) -> Vec<(String, String)> {
        let claim = |name: &str| {
            job.claims
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (ref_type, ref_name) = match self.git_ref.strip_prefix("refs/tags/") {
            Some(tag) => ("tag", tag),
            None => ("branch", self.git_ref.trim_start_matches("refs/heads/")),
        };
        let variables = [
            ("CI", "true".to_owned()),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
            ("GITHUB_REPOSITORY", self.repository.clone()),
            ("GITHUB_REPOSITORY_ID", claim("repository_id")),
            ("GITHUB_REPOSITORY_OWNER", self.owner().to_owned()),
            ("GITHUB_REPOSITORY_OWNER_ID", claim("repository_owner_id")),
            ("GITHUB_REF", self.git_ref.clone()),
            ("GITHUB_REF_NAME", ref_name.to_owned()),
            ("GITHUB_REF_TYPE", ref_type.to_owned()),
            ("GITHUB_SHA", self.commit.clone()),
            ("GITHUB_WORKFLOW", claim("workflow")),
            ("GITHUB_WORKFLOW_REF", self.workflow_ref()),
            ("GITHUB_WORKFLOW_SHA", self.commit.clone()),
            ("GITHUB_EVENT_NAME", self.event.clone()),
            ("GITHUB_RUN_ID", claim("run_id")),
            ("GITHUB_RUN_NUMBER", claim("run_number")),
            ("GITHUB_RUN_ATTEMPT", claim("run_attempt")),
            ("GITHUB_ACTOR", claim("actor")),
            ("RUNNER_ENVIRONMENT", "github-hosted".to_owned()),
            ("RUNNER_OS", "Linux".to_owned()),
        ];
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

impl Release {
    /// The variables of a GitLab job of project `repository`, with an `id_tokens` entry for audience `sigstore` and one, of the
    /// customary name, for `audience`.
    ///
    /// # Errors
    /// The issuer cannot sign.
    pub fn gitlab_environment(&self, issuer: &Issuer, audience: &str) -> Result<Vec<(String, String)>, Error> {
        let named = audience.char_indices().map(|(position, c)| match c {
            '0'..='9' if position > 0 => c,
            'a'..='z' | 'A'..='Z' => c.to_ascii_uppercase(),
            _ => '_',
        });
        let variable = format!("{}_ID_TOKEN", named.collect::<String>());
        let token = |audience: &str| issuer.token_with(Profile::GitLab, &self.gitlab_claims(audience));
        Ok(vec![
            ("CI".into(), "true".into()),
            ("GITLAB_CI".into(), "true".into()),
            ("CI_PROJECT_PATH".into(), self.repository.clone()),
            ("CI_SERVER_URL".into(), "https://gitlab.com".into()),
            ("SIGSTORE_ID_TOKEN".into(), token("sigstore")?),
            (variable, token(audience)?),
        ])
    }

    /// What is this job's own in a GitLab token for `audience`.
    #[must_use]
    pub fn gitlab_claims(&self, audience: &str) -> Map<String, Value> {
        let tag = self.git_ref.trim_start_matches("refs/tags/");
        let claims = json!({
            "aud": audience,
            "sub": format!("project_path:{}:ref_type:tag:ref:{tag}", self.repository),
            "project_path": self.repository,
            "namespace_path": self.owner(),
            "pipeline_source": self.event,
            "ref": tag,
            "ref_path": self.git_ref,
            "sha": self.commit,
            "ci_config_ref_uri": format!("gitlab.com/{}//.gitlab-ci.yml@{}", self.repository, self.git_ref),
            "ci_config_sha": self.commit,
        });
        match claims {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

/// The variables of a GitLab job with an `id_tokens` entry for audience `sigstore`.
///
/// # Errors
/// The issuer cannot sign.
pub fn gitlab_environment(issuer: &Issuer) -> Result<Vec<(String, String)>, Error> {
    let token = issuer.token(Profile::GitLab)?;
    Ok(vec![
        ("CI".into(), "true".into()),
        ("GITLAB_CI".into(), "true".into()),
        ("CI_PROJECT_PATH".into(), "ferris/crockford".into()),
        ("CI_SERVER_URL".into(), "https://gitlab.com".into()),
        ("SIGSTORE_ID_TOKEN".into(), token),
    ])
}

/// Every variable of the surrounding environment that would make a child believe it runs in a CI job, or that holds a token.
pub const AMBIENT: [&str; 21] = [
    "CI",
    "GITHUB_ACTIONS",
    "GITHUB_SERVER_URL",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GITLAB_CI",
    "BUILDKITE",
    "BUILDKITE_AGENT_ACCESS_TOKEN",
    "CIRCLECI",
    "CF_BUILD_ID",
    "GOOGLE_SERVICE_ACCOUNT_NAME",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "SIGSTORE_ID_TOKEN",
    "ID_TOKEN",
    "CARGO_REGISTRY_TOKEN",
    "CARGO_SIGSTORE_REGISTRY_TOKEN",
    "SIGSTORE_TRUST_CONFIG",
    "SIGSTORE_OIDC_DISABLE_AMBIENT_PROVIDERS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
];
