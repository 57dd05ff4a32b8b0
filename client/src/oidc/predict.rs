//! Which identity a certificate authority with Fulcio's configuration will certify for a token [Fulcio, config.yaml].

use std::collections::BTreeMap;

use serde_json::Value;
use verify::identity::{Claim, SubjectAlternativeName, WorkloadIdentity};

use super::{IdentityToken, OidcError};

/// Whose claims a token has; each shape has its own templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// GitHub Actions, also on an enterprise server.
    GitHub,
    /// A GitLab pipeline.
    GitLab,
    /// Forgejo Actions.
    Forgejo,
    /// A Buildkite job.
    Buildkite,
    /// A person's email address.
    Email,
}

impl Shape {
    /// The shape of a token's claims; none when it is unlike all that are known.
    #[must_use]
    pub fn of(token: &IdentityToken) -> Option<Self> {
        let has = |name: &str| token.claims().contains_key(name);
        if has("job_workflow_ref") && has("repository") {
            Some(Self::GitHub)
        } else if has("workflow_ref") && has("repository") {
            Some(Self::Forgejo)
        } else if has("project_path") && has("namespace_path") {
            Some(Self::GitLab)
        } else if has("organization_slug") && has("pipeline_slug") {
            Some(Self::Buildkite)
        } else if has("email") {
            Some(Self::Email)
        } else {
            None
        }
    }
}

/// The identity that the public instance, or one configured like it, will certify; none for issuers whose configuration
/// nobody can know from outside.
///
/// # Errors
/// [`OidcError::Claim`] when a claim is missing without which the authority will issue nothing.
pub fn predict(token: &IdentityToken) -> Result<Option<WorkloadIdentity>, OidcError> {
    let Some(shape) = Shape::of(token) else {
        return Ok(None);
    };
    match known_base(shape, token.issuer()) {
        Some(base) => render(token, shape, &base).map(Some),
        None => Ok(None),
    }
}

/// As [`predict`]; for a private instance, whose base URL nobody can know from outside, the certificate may choose the
/// base and nothing else.
///
/// # Errors
/// As [`predict`].
pub fn predict_at(token: &IdentityToken, found: &WorkloadIdentity) -> Result<Option<WorkloadIdentity>, OidcError> {
    let Some(shape) = Shape::of(token) else {
        return Ok(None);
    };
    let base = known_base(shape, token.issuer()).or_else(|| base_in(shape, token, found));
    match base {
        Some(base) => render(token, shape, &base).map(Some),
        None => Ok(None),
    }
}

/// Claims that no template changes: the commit and the immutable numbers of repository and owner, and the subject. A
/// certificate of any instance that has them must have them so.
pub(crate) fn plain_claims(token: &IdentityToken) -> Vec<(Claim, String)> {
    let (commit, repository, owner) = match Shape::of(token) {
        Some(Shape::GitHub | Shape::Forgejo) => ("sha", "repository_id", "repository_owner_id"),
        Some(Shape::GitLab) => ("sha", "project_id", "namespace_id"),
        Some(Shape::Buildkite) => ("build_commit", "", ""),
        Some(Shape::Email) | None => ("", "", ""),
    };
    let named = [
        (Claim::SourceRepositoryDigest, commit),
        (Claim::SourceRepositoryIdentifier, repository),
        (Claim::SourceRepositoryOwnerIdentifier, owner),
        (Claim::TokenSubject, "sub"),
    ];
    named
        .into_iter()
        .filter_map(|(claim, name)| Some((claim, token.claim(name)?)))
        .collect()
}

/// Where the issuer's own pages are; for email nothing but whether the issuer is one of people's.
fn known_base(shape: Shape, issuer: &str) -> Option<String> {
    let below =
        |prefix: &str| issuer == prefix || issuer.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    match shape {
        Shape::GitHub if below("https://token.actions.githubusercontent.com") => Some("https://github.com".to_owned()),
        Shape::GitHub => enterprise_base(issuer),
        // The public configuration has one base for all of GitLab's issuers.
        Shape::GitLab if GITLAB.contains(&issuer) => Some("https://gitlab.com".to_owned()),
        Shape::Forgejo => issuer.strip_suffix("/api/actions").map(str::to_owned),
        Shape::Buildkite if issuer == "https://agent.buildkite.com" => Some("https://buildkite.com".to_owned()),
        Shape::Email if PEOPLE.contains(&issuer) => Some(String::new()),
        Shape::GitLab | Shape::Buildkite | Shape::Email => None,
    }
}

/// `https://HOST/_services/token` and `https://token.actions.TENANT.ghe.com`.
fn enterprise_base(issuer: &str) -> Option<String> {
    if let Some(server) = issuer.strip_suffix("/_services/token") {
        return Some(server.to_owned());
    }
    let tenant = issuer.strip_prefix("https://token.actions.")?;
    tenant.ends_with(".ghe.com").then(|| format!("https://{tenant}"))
}

/// The base that a certificate must have used, if it used the token's claims below it.
fn base_in(shape: Shape, token: &IdentityToken, found: &WorkloadIdentity) -> Option<String> {
    let below = |url: &str, path: String| Some(url.strip_suffix(&path)?.to_owned());
    match shape {
        Shape::GitHub => below(found.san.as_str(), format!("/{}", token.claim("job_workflow_ref")?)),
        Shape::Forgejo => below(found.san.as_str(), format!("/{}", token.claim("workflow_ref")?)),
        Shape::GitLab => below(
            found.claim(Claim::SourceRepositoryUri)?,
            format!("/{}", token.claim("project_path")?),
        ),
        Shape::Buildkite => {
            let path = format!(
                "/{}/{}",
                token.claim("organization_slug")?,
                token.claim("pipeline_slug")?
            );
            below(found.san.as_str(), path)
        }
        Shape::Email => matches!(found.san, SubjectAlternativeName::Email(_)).then(String::new),
    }
}

fn render(token: &IdentityToken, shape: Shape, base: &str) -> Result<WorkloadIdentity, OidcError> {
    let template = Template { token, base };
    let (san, mut claims) = match shape {
        Shape::GitHub => template.github()?,
        Shape::GitLab => template.gitlab()?,
        Shape::Forgejo => template.forgejo()?,
        Shape::Buildkite => template.buildkite()?,
        Shape::Email => template.email()?,
    };
    let issuer = template.certified_issuer(shape);
    claims.extend([
        (Claim::DeprecatedIssuer, issuer.clone()),
        (Claim::Issuer, issuer),
        (Claim::TokenSubject, token.claim("sub").unwrap_or_default()),
    ]);
    let claims: BTreeMap<Claim, String> = claims.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    Ok(WorkloadIdentity { san, claims })
}

/// A token and the base URL its claims stand below.
struct Template<'a> {
    token: &'a IdentityToken,
    base: &'a str,
}

/// Subject alternative name and the claims of a shape.
type Rendered = (SubjectAlternativeName, Vec<(Claim, String)>);

impl Template<'_> {
    fn github(&self) -> Result<Rendered, OidcError> {
        let signer = format!("{}/{}", self.base, self.need("job_workflow_ref")?);
        let repository = format!("{}/{}", self.base, self.need("repository")?);
        let run = format!(
            "{repository}/actions/runs/{}/attempts/{}",
            self.need("run_id")?,
            self.need("run_attempt")?
        );
        let claims = vec![
            (Claim::GithubWorkflowTrigger, self.need("event_name")?),
            (Claim::GithubWorkflowSha, self.need("sha")?),
            (Claim::GithubWorkflowName, self.need("workflow")?),
            (Claim::GithubWorkflowRepository, self.need("repository")?),
            (Claim::GithubWorkflowRef, self.need("ref")?),
            (Claim::BuildSignerUri, signer.clone()),
            (Claim::BuildSignerDigest, self.need("job_workflow_sha")?),
            (Claim::RunnerEnvironment, self.need("runner_environment")?),
            (Claim::SourceRepositoryUri, repository),
            (Claim::SourceRepositoryDigest, self.need("sha")?),
            (Claim::SourceRepositoryRef, self.need("ref")?),
            (Claim::SourceRepositoryIdentifier, self.need("repository_id")?),
            (
                Claim::SourceRepositoryOwnerUri,
                format!("{}/{}", self.base, self.need("repository_owner")?),
            ),
            (
                Claim::SourceRepositoryOwnerIdentifier,
                self.need("repository_owner_id")?,
            ),
            (
                Claim::BuildConfigUri,
                format!("{}/{}", self.base, self.need("workflow_ref")?),
            ),
            (Claim::BuildConfigDigest, self.need("workflow_sha")?),
            (Claim::BuildTrigger, self.need("event_name")?),
            (Claim::RunInvocationUri, run),
            (Claim::SourceRepositoryVisibility, self.need("repository_visibility")?),
            (Claim::DeploymentEnvironment, self.optional("environment")),
        ];
        Ok((SubjectAlternativeName::Uri(signer), claims))
    }

    fn gitlab(&self) -> Result<Rendered, OidcError> {
        let signer = format!("https://{}", self.need("ci_config_ref_uri")?);
        let project = format!("{}/{}", self.base, self.need("project_path")?);
        let kind = if self.need("ref_type")? == "branch" {
            "heads"
        } else {
            "tags"
        };
        let claims = vec![
            (Claim::BuildSignerUri, signer.clone()),
            (Claim::BuildSignerDigest, self.need("ci_config_sha")?),
            (Claim::RunnerEnvironment, self.need("runner_environment")?),
            (
                Claim::RunInvocationUri,
                format!("{project}/-/jobs/{}", self.need("job_id")?),
            ),
            (Claim::SourceRepositoryUri, project),
            (Claim::SourceRepositoryDigest, self.need("sha")?),
            (Claim::SourceRepositoryRef, format!("refs/{kind}/{}", self.need("ref")?)),
            (Claim::SourceRepositoryIdentifier, self.need("project_id")?),
            (
                Claim::SourceRepositoryOwnerUri,
                format!("{}/{}", self.base, self.need("namespace_path")?),
            ),
            (Claim::SourceRepositoryOwnerIdentifier, self.need("namespace_id")?),
            (Claim::BuildConfigUri, signer.clone()),
            (Claim::BuildConfigDigest, self.need("ci_config_sha")?),
            (Claim::BuildTrigger, self.need("pipeline_source")?),
            (Claim::SourceRepositoryVisibility, self.need("project_visibility")?),
            (Claim::DeploymentEnvironment, self.optional("environment")),
        ];
        Ok((SubjectAlternativeName::Uri(signer), claims))
    }

    fn forgejo(&self) -> Result<Rendered, OidcError> {
        let workflow = format!("{}/{}", self.base, self.need("workflow_ref")?);
        let repository = format!("{}/{}", self.base, self.need("repository")?);
        let claims = vec![
            (Claim::BuildSignerUri, workflow.clone()),
            (
                Claim::RunInvocationUri,
                format!("{repository}/actions/runs/{}", self.need("run_id")?),
            ),
            (Claim::SourceRepositoryUri, repository),
            (Claim::SourceRepositoryDigest, self.need("sha")?),
            (Claim::SourceRepositoryRef, self.need("ref")?),
            (Claim::SourceRepositoryIdentifier, self.need("repository_id")?),
            (
                Claim::SourceRepositoryOwnerUri,
                format!("{}/{}", self.base, self.need("repository_owner")?),
            ),
            (
                Claim::SourceRepositoryOwnerIdentifier,
                self.need("repository_owner_id")?,
            ),
            (Claim::BuildConfigUri, workflow.clone()),
            (Claim::BuildTrigger, self.need("event_name")?),
        ];
        Ok((SubjectAlternativeName::Uri(workflow), claims))
    }

    fn buildkite(&self) -> Result<Rendered, OidcError> {
        let pipeline = format!(
            "{}/{}/{}",
            self.base,
            self.need("organization_slug")?,
            self.need("pipeline_slug")?
        );
        let run = format!(
            "{pipeline}/builds/{}#{}",
            self.need("build_number")?,
            self.need("job_id")?
        );
        let claims = vec![
            (Claim::RunnerEnvironment, self.need("runner_environment")?),
            (Claim::SourceRepositoryDigest, self.need("build_commit")?),
            (Claim::BuildTrigger, self.need("build_source")?),
            (Claim::RunInvocationUri, run),
        ];
        Ok((SubjectAlternativeName::Uri(pipeline), claims))
    }

    fn email(&self) -> Result<Rendered, OidcError> {
        Ok((SubjectAlternativeName::Email(self.need("email")?), Vec::new()))
    }

    /// `iss`; for sign-in through Dex the provider behind it.
    fn certified_issuer(&self, shape: Shape) -> String {
        let issuer = self.token.issuer();
        let connector = self
            .token
            .claims()
            .get("federated_claims")
            .and_then(|claims| claims.get("connector_id"));
        match connector.and_then(Value::as_str) {
            Some(connector) if shape == Shape::Email && DEX.contains(&issuer) => connector.to_owned(),
            _ => issuer.to_owned(),
        }
    }

    /// A claim that must be there; it may be empty.
    fn need(&self, name: &str) -> Result<String, OidcError> {
        match self.token.claims().get(name) {
            None | Some(Value::Null) => Err(OidcError::Claim { name: name.to_owned() }),
            Some(_) => Ok(self.optional(name)),
        }
    }

    fn optional(&self, name: &str) -> String {
        self.token.claim(name).unwrap_or_default()
    }
}

/// Issuers of the public instance that GitLab runs.
const GITLAB: [&str; 4] = [
    "https://gitlab.com",
    "https://dev.gitlab.org",
    "https://ops.gitlab.net",
    "https://gitlab.archlinux.org",
];

/// Dex of the public and the staging instance.
const DEX: [&str; 2] = ["https://oauth2.sigstore.dev/auth", "https://oauth2.sigstage.dev/auth"];

/// Issuers of type `email` in the public instance.
const PEOPLE: [&str; 5] = [
    "https://oauth2.sigstore.dev/auth",
    "https://oauth2.sigstage.dev/auth",
    "https://accounts.google.com",
    "https://issuer.hello.coop",
    "https://sigstore.verify.ibm.com/oauth2",
];
