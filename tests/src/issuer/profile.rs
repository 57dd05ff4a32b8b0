//! The providers whose tokens the issuer imitates: their claims and how a CA is told to read them.

use serde_json::{Map, Value, json};

/// A kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// GitHub Actions.
    GitHub,
    /// GitLab CI.
    GitLab,
    /// Forgejo Actions, as on Codeberg.
    Forgejo,
    /// Buildkite.
    Buildkite,
    /// A person with a verified e-mail address.
    Email,
    /// A robot named by a URI.
    Uri,
}

/// A commit that stands for "some commit"; jobs about a real repository carry the real one.
pub const COMMIT: &str = "6ae2c0dd1c2f4f2c8a8e0b2f9a6f6ad7a9b5d3c1";

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 6] = [
        Self::GitHub,
        Self::GitLab,
        Self::Forgejo,
        Self::Buildkite,
        Self::Email,
        Self::Uri,
    ];

    /// The last part of the issuer's URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Forgejo => "forgejo",
            Self::Buildkite => "buildkite",
            Self::Email => "email",
            Self::Uri => "uri",
        }
    }

    /// The profile of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Every claim of a usual token except `iss`, `aud`, `iat`, `nbf`, `exp` and `jti`, which the issuer adds.
    /// `base` is the issuer's service URL.
    #[must_use]
    pub fn claims(self, base: &str) -> Map<String, Value> {
        let claims = match self {
            Self::GitHub => github(),
            Self::GitLab => gitlab(),
            Self::Forgejo => forgejo(),
            Self::Buildkite => buildkite(),
            Self::Email => json!({"sub": "CgkxMjM0NTY3", "email": "ferris@example.org", "email_verified": true}),
            Self::Uri => json!({"sub": format!("{base}/robots/release")}),
        };
        match claims {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// The subject alternative name that a CA gives this profile's usual token.
    #[must_use]
    pub fn subject(self, base: &str) -> String {
        let text = |name: &str| {
            let claims = self.claims(base);
            claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        match self {
            Self::GitHub => format!("https://github.com/{}", text("job_workflow_ref")),
            Self::GitLab => format!("https://{}", text("ci_config_ref_uri")),
            Self::Forgejo => format!("https://codeberg.org/{}", text("workflow_ref")),
            Self::Buildkite => format!(
                "https://buildkite.com/{}/{}",
                text("organization_slug"),
                text("pipeline_slug")
            ),
            Self::Email => text("email"),
            Self::Uri => text("sub"),
        }
    }

    /// The issuer as `sigstore-server init --issuer` takes it.
    #[must_use]
    pub fn specification(self, base: &str) -> String {
        let options = match self {
            Self::GitHub => "type=github-workflow,url=https://github.com".to_owned(),
            Self::GitLab => "type=gitlab-pipeline,url=https://gitlab.com".to_owned(),
            Self::Forgejo => "type=forgejo-actions,url=https://codeberg.org".to_owned(),
            Self::Buildkite => "type=buildkite-job,url=https://buildkite.com".to_owned(),
            Self::Email => "type=email".to_owned(),
            Self::Uri => format!("type=uri,subject-domain={base}"),
        };
        format!("{base}/{},{options}", self.name())
    }
}

fn github() -> Value {
    json!({
        "sub": "repo:ferris/crockford:ref:refs/tags/v0.3.1",
        "repository": "ferris/crockford",
        "repository_id": "701234567",
        "repository_owner": "ferris",
        "repository_owner_id": "9919001",
        "repository_visibility": "public",
        "ref": "refs/tags/v0.3.1",
        "ref_type": "tag",
        "ref_protected": "false",
        "sha": COMMIT,
        "workflow": "Release",
        "workflow_ref": "ferris/crockford/.github/workflows/release.yml@refs/tags/v0.3.1",
        "workflow_sha": COMMIT,
        "job_workflow_ref": "ferris/crockford/.github/workflows/release.yml@refs/tags/v0.3.1",
        "job_workflow_sha": COMMIT,
        "event_name": "push",
        "actor": "ferris",
        "actor_id": "9919001",
        "head_ref": "",
        "base_ref": "",
        "run_id": "15012345678",
        "run_number": "42",
        "run_attempt": "1",
        "runner_environment": "github-hosted",
    })
}

fn gitlab() -> Value {
    json!({
        "sub": "project_path:ferris/crockford:ref_type:tag:ref:v0.3.1",
        "namespace_id": "72",
        "namespace_path": "ferris",
        "project_id": "20",
        "project_path": "ferris/crockford",
        "project_visibility": "public",
        "user_id": "1",
        "user_login": "ferris",
        "user_email": "ferris@example.org",
        "user_access_level": "developer",
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "v0.3.1",
        "ref_type": "tag",
        "ref_path": "refs/tags/v0.3.1",
        "ref_protected": "true",
        "runner_id": 1,
        "runner_environment": "gitlab-hosted",
        "sha": COMMIT,
        "ci_config_ref_uri": "gitlab.com/ferris/crockford//.gitlab-ci.yml@refs/tags/v0.3.1",
        "ci_config_sha": COMMIT,
    })
}

fn forgejo() -> Value {
    json!({
        "sub": "repo:ferris/crockford:ref:refs/tags/v0.3.1",
        "actor": "ferris",
        "actor_id": "1001",
        "base_ref": "",
        "event_name": "push",
        "head_ref": "",
        "ref": "refs/tags/v0.3.1",
        "ref_protected": "false",
        "ref_type": "tag",
        "repository": "ferris/crockford",
        "repository_id": "2002",
        "repository_owner": "ferris",
        "repository_owner_id": "1001",
        "run_attempt": "1",
        "run_id": "303",
        "run_number": "7",
        "sha": COMMIT,
        "workflow": "release.yml",
        "workflow_ref": "ferris/crockford/.forgejo/workflows/release.yml@refs/tags/v0.3.1",
    })
}

fn buildkite() -> Value {
    json!({
        "sub": "organization:ferris:pipeline:crockford:ref:refs/tags/v0.3.1:commit:6ae2c0d:step:publish",
        "organization_slug": "ferris",
        "organization_id": "0184990a-477b-4fa8-9968-496074483c01",
        "pipeline_slug": "crockford",
        "pipeline_id": "0184990a-4782-42b5-afc1-16715b10b1ff",
        "build_number": 11,
        "build_branch": "main",
        "build_tag": "v0.3.1",
        "build_commit": COMMIT,
        "build_source": "api",
        "step_key": "publish",
        "job_id": "0184990a-4782-42b5-afc1-16715b10b8aa",
        "agent_id": "0184990a-4782-42b5-afc1-16715b10b100",
        "runner_environment": "buildkite-hosted",
    })
}
