//! From the claims of a checked token to what its certificate will say [contracts of Fulcio's `pkg/identity`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;
use verify::{
    WorkloadIdentity,
    identity::{Claim, SubjectAlternativeName},
};

use super::{
    issuer::{Issuer, IssuerKind, Provider, is_loopback},
    template::{MissingClaim, Values},
};

/// The holder of a checked token.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// What proof of possession signs.
    pub(crate) challenge: String,
    /// What the certificate will say.
    pub(crate) identity: WorkloadIdentity,
}

/// Why a genuine token gives no identity. Names claims, never their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PrincipalError {
    /// A claim that the issuer's profile needs.
    #[error("the token has no claim `{name}`")]
    ClaimMissing {
        /// The claim.
        name: String,
    },
    /// `email_verified` is not true.
    #[error("the token's email address is not verified")]
    EmailNotVerified,
    /// A claim whose value cannot stand in a certificate.
    #[error("the token's claim `{name}` has a value that cannot be certified")]
    ClaimMalformed {
        /// The claim.
        name: String,
    },
    /// The rendered subject alternative name is no absolute https URI or no email address.
    #[error("the token gives no valid subject alternative name")]
    SubjectAlternativeName,
    /// `sub` lies outside `subject-domain`.
    #[error("the token's subject lies outside the issuer's subject domain")]
    SubjectDomain,
}

impl Principal {
    /// What a token with these claims, from this issuer, may call itself.
    ///
    /// # Errors
    /// [`PrincipalError`].
    pub(crate) fn from_claims(issuer: &Issuer, claims: &Map<String, Value>) -> Result<Self, PrincipalError> {
        let subject = required_text(claims, "sub")?;
        let token_issuer = required_text(claims, "iss")?;
        let (san, stated_issuer, mut extensions, challenge) = match &issuer.kind {
            IssuerKind::Ci(provider) => {
                let (san, extensions) = ci(provider, claims, issuer.allow_loopback_http)?;
                (san, token_issuer, extensions, subject.clone())
            }
            IssuerKind::Email { issuer_claim } => {
                let email = email(claims, issuer.skip_email_verification)?;
                let stated = match issuer_claim {
                    Some(path) => nested_text(claims, path)?,
                    None => token_issuer,
                };
                (
                    SubjectAlternativeName::Email(email.clone()),
                    stated,
                    BTreeMap::new(),
                    email,
                )
            }
            IssuerKind::Uri { subject_domain } => {
                let san = uri(&subject, subject_domain)?;
                (san, token_issuer, BTreeMap::new(), subject.clone())
            }
        };
        extensions.insert(Claim::DeprecatedIssuer, stated_issuer.clone());
        extensions.insert(Claim::Issuer, stated_issuer);
        extensions.insert(Claim::TokenSubject, subject);
        Ok(Self {
            challenge,
            identity: WorkloadIdentity {
                san,
                claims: extensions,
            },
        })
    }
}

type Extensions = BTreeMap<Claim, String>;

fn ci(
    provider: &Provider,
    claims: &Map<String, Value>,
    allow_loopback_http: bool,
) -> Result<(SubjectAlternativeName, Extensions), PrincipalError> {
    let values = template_values(provider, claims)?;
    let mentions_ref_type = provider
        .extensions
        .iter()
        .any(|(_, template)| template.mentions(REF_TYPE));
    if mentions_ref_type
        && values
            .get(REF_TYPE)
            .is_some_and(|kind| !KNOWN_REF_TYPES.contains(&kind.as_str()))
    {
        return Err(malformed(REF_TYPE));
    }
    let missing = |MissingClaim(name)| PrincipalError::ClaimMissing { name };
    let san = provider.subject_alternative_name.render(&values).map_err(missing)?;
    if !is_certifiable_uri(&san, allow_loopback_http) {
        return Err(PrincipalError::SubjectAlternativeName);
    }
    let mut extensions = Extensions::new();
    for (claim, template) in &provider.extensions {
        let value = template.render(&values).map_err(missing)?;
        if !value.is_empty() {
            extensions.insert(*claim, value);
        }
    }
    Ok((SubjectAlternativeName::Uri(san), extensions))
}

/// Claims over defaults, but a default that is a URL stands: a token must not choose the host that its certificate names.
fn template_values(provider: &Provider, claims: &Map<String, Value>) -> Result<Values, PrincipalError> {
    let mut values = provider.defaults.clone();
    for (name, value) in claims {
        let fixed = provider
            .defaults
            .get(name)
            .is_some_and(|default| default.contains("://"));
        if fixed && !is_overridable(&provider.name, name) {
            continue;
        }
        if let Some(text) = scalar_text(value) {
            if text.len() > MAX_CLAIM_BYTES || text.chars().any(char::is_control) {
                return Err(malformed(name));
            }
            values.insert(name.clone(), text);
        }
    }
    Ok(values)
}

/// Codefresh and Buddy state in the token which of their platforms ran the job.
fn is_overridable(provider: &str, name: &str) -> bool {
    (provider.starts_with("codefresh-workflow") && name == "platform_url")
        || (provider.starts_with("buddy-pipeline") && name == "base_url")
}

/// Text of a scalar claim. Integers keep their digits; null and compound values are absent.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
            _ => number.to_string(),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn email(claims: &Map<String, Value>, skip_verification: bool) -> Result<String, PrincipalError> {
    let email = required_text(claims, "email")?;
    let verified = match claims.get("email_verified") {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => matches!(text.as_str(), "true" | "True"),
        _ => false,
    };
    if !verified && !skip_verification {
        return Err(PrincipalError::EmailNotVerified);
    }
    if !is_email(&email) {
        return Err(PrincipalError::SubjectAlternativeName);
    }
    Ok(email)
}

/// `local@domain` in printable ASCII, as an IA5 `rfc822Name` can hold [RFC 5280 §4.2.1.6].
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    !local.is_empty()
        && !local.contains('@')
        && !domain.is_empty()
        && text.len() <= MAX_EMAIL_BYTES
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b','))
}

fn uri(subject: &str, domain: &Url) -> Result<SubjectAlternativeName, PrincipalError> {
    let url = Url::parse(subject).map_err(|_| PrincipalError::SubjectAlternativeName)?;
    if !is_plain_ascii(subject) || url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(PrincipalError::SubjectAlternativeName);
    }
    let inside = url.scheme() == domain.scheme() && url.host() == domain.host() && url.port() == domain.port();
    if !inside {
        return Err(PrincipalError::SubjectDomain);
    }
    Ok(SubjectAlternativeName::Uri(subject.to_owned()))
}

/// An absolute https URI with a host, without credentials (`http` on loopback in test mode).
fn is_certifiable_uri(text: &str, allow_loopback_http: bool) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let transport = url.scheme() == "https" || (allow_loopback_http && url.scheme() == "http" && is_loopback(&url));
    transport && url.host().is_some() && url.username().is_empty() && url.password().is_none() && is_plain_ascii(text)
}

fn is_plain_ascii(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_CLAIM_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn required_text(claims: &Map<String, Value>, name: &str) -> Result<String, PrincipalError> {
    let text = claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| PrincipalError::ClaimMissing { name: name.to_owned() })?;
    if text.len() > MAX_CLAIM_BYTES || text.chars().any(char::is_control) {
        return Err(malformed(name));
    }
    Ok(text.to_owned())
}

fn nested_text(claims: &Map<String, Value>, path: &[String]) -> Result<String, PrincipalError> {
    let missing = || PrincipalError::ClaimMissing { name: path.join(".") };
    let (last, parents) = path.split_last().ok_or_else(missing)?;
    let mut object = claims;
    for parent in parents {
        object = object.get(parent).and_then(Value::as_object).ok_or_else(missing)?;
    }
    required_text(object, last).map_err(|_| missing())
}

fn malformed(name: &str) -> PrincipalError {
    PrincipalError::ClaimMalformed { name: name.to_owned() }
}

/// GitLab's claim; Fulcio turns every value but `branch` into a tag, we accept the two that exist.
const REF_TYPE: &str = "ref_type";
const KNOWN_REF_TYPES: [&str; 2] = ["branch", "tag"];
/// No claim of the supported providers comes near; bounds the certificate.
const MAX_CLAIM_BYTES: usize = 2048;
/// [RFC 5321 §4.5.3.1.3], less the angle brackets.
const MAX_EMAIL_BYTES: usize = 254;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::{IdentityConfig, defaults};

    fn config() -> IdentityConfig {
        let named = [
            "https://mail.example.com,type=email",
            "https://id.example.com,type=uri,subject-domain=https://svc.example.com",
            "https://forge.example.com/api/actions",
        ];
        let named: Vec<_> = named.iter().map(|text| text.parse().unwrap()).collect();
        IdentityConfig::from_yaml(&defaults::identity_yaml(&named)).unwrap()
    }

    fn principal(claims: &Value) -> Result<Principal, PrincipalError> {
        let claims = claims.as_object().unwrap();
        let config = config();
        let issuer = config.find(claims["iss"].as_str().unwrap()).unwrap();
        Principal::from_claims(issuer, claims)
    }

    fn github() -> Value {
        json!({
            "iss": "https://token.actions.githubusercontent.com", "sub": "repo:o/r:ref:refs/heads/main", "aud": "sigstore",
            "event_name": "push", "sha": "a".repeat(40), "workflow": "release", "repository": "o/r", "ref": "refs/heads/main",
            "job_workflow_ref": "o/w/.github/workflows/r.yml@refs/tags/v1", "job_workflow_sha": "b".repeat(40),
            "runner_environment": "github-hosted", "repository_id": "1", "repository_owner": "o", "repository_owner_id": 2,
            "workflow_ref": "o/r/.github/workflows/release.yml@refs/heads/main", "workflow_sha": "a".repeat(40),
            "run_id": "7", "run_attempt": "1", "repository_visibility": "public", "url": "https://evil.example",
        })
    }

    #[test]
    fn github_gives_every_extension() {
        let principal = principal(&github()).unwrap();
        let identity = &principal.identity;
        assert_eq!(
            identity.san.as_str(),
            "https://github.com/o/w/.github/workflows/r.yml@refs/tags/v1"
        );
        assert_eq!(identity.issuer(), "https://token.actions.githubusercontent.com");
        assert_eq!(identity.claim(Claim::GithubWorkflowName), Some("release"));
        assert_eq!(identity.claim(Claim::SourceRepositoryOwnerIdentifier), Some("2"));
        assert_eq!(
            identity.claim(Claim::RunInvocationUri),
            Some("https://github.com/o/r/actions/runs/7/attempts/1")
        );
        assert_eq!(identity.claim(Claim::DeploymentEnvironment), None);
        assert_eq!(
            identity.claim(Claim::TokenSubject),
            Some("repo:o/r:ref:refs/heads/main")
        );
        assert_eq!(identity.claims.len(), Claim::ALL.len() - 1);
        assert_eq!(principal.challenge, "repo:o/r:ref:refs/heads/main");
    }

    #[test]
    fn a_token_cannot_choose_the_host_of_its_certificate() {
        let mut claims = github();
        claims["url"] = "https://evil.example".into();
        let identity = principal(&claims).unwrap().identity;
        assert!(identity.claims.values().all(|value| !value.contains("evil")));
    }

    #[test]
    fn a_missing_or_null_claim_is_named() {
        for value in [Value::Null, json!(["x"])] {
            let mut claims = github();
            claims["workflow_sha"] = value;
            let refused = principal(&claims).unwrap_err();
            assert_eq!(
                refused,
                PrincipalError::ClaimMissing {
                    name: "workflow_sha".into()
                }
            );
        }
    }

    #[test]
    fn a_claim_with_control_characters_is_refused() {
        let mut claims = github();
        claims["workflow"] = "a\u{0}b".into();
        assert_eq!(principal(&claims).unwrap_err(), malformed("workflow"));
    }

    #[test]
    fn gitlab_refs_are_branches_or_tags() {
        let claims = |ref_type: &str| {
            json!({
                "iss": "https://gitlab.com", "sub": "project_path:g/p:ref_type:branch:ref:main", "ref_type": ref_type, "ref": "main",
                "ci_config_ref_uri": "gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": "c", "sha": "c",
                "runner_environment": "gitlab-hosted", "project_path": "g/p", "project_id": "1", "namespace_path": "g",
                "namespace_id": "2", "pipeline_source": "push", "job_id": "3", "project_visibility": "public",
            })
        };
        let identity = principal(&claims("branch")).unwrap().identity;
        assert_eq!(identity.claim(Claim::SourceRepositoryRef), Some("refs/heads/main"));
        let identity = principal(&claims("tag")).unwrap().identity;
        assert_eq!(identity.claim(Claim::SourceRepositoryRef), Some("refs/tags/main"));
        assert_eq!(principal(&claims("merge_request")).unwrap_err(), malformed("ref_type"));
    }

    #[test]
    fn forgejo_names_its_own_instance() {
        let claims = json!({
            "iss": "https://forge.example.com/api/actions", "sub": "repo:o/r", "workflow_ref": "o/r/.forgejo/workflows/r.yml@refs/heads/main",
            "repository": "o/r", "sha": "d", "ref": "refs/heads/main", "repository_id": 5, "repository_owner": "o",
            "repository_owner_id": 6, "event_name": "push", "run_id": 8,
        });
        let identity = principal(&claims).unwrap().identity;
        assert_eq!(
            identity.claim(Claim::RunInvocationUri),
            Some("https://forge.example.com/o/r/actions/runs/8")
        );
        assert_eq!(identity.claim(Claim::BuildSignerUri), Some(identity.san.as_str()));
        assert_eq!(identity.claim(Claim::RunnerEnvironment), None);
    }

    #[test]
    fn an_email_must_be_verified_and_plain() {
        let claims = |email: &str, verified: Value| json!({"iss": "https://mail.example.com", "sub": "1", "email": email, "email_verified": verified});
        for verified in [json!(true), json!("true"), json!("True")] {
            let principal = principal(&claims("a@example.com", verified)).unwrap();
            assert_eq!(principal.challenge, "a@example.com");
            assert_eq!(
                principal.identity.san,
                SubjectAlternativeName::Email("a@example.com".into())
            );
        }
        for verified in [json!(false), json!("TRUE"), Value::Null, json!(1)] {
            let refused = principal(&claims("a@example.com", verified)).unwrap_err();
            assert_eq!(refused, PrincipalError::EmailNotVerified);
        }
        for email in ["a", "@example.com", "a@", "a b@example.com", "ä@example.com", "a@b@c"] {
            let refused = principal(&claims(email, json!(true))).unwrap_err();
            assert_eq!(refused, PrincipalError::SubjectAlternativeName, "{email}");
        }
    }

    #[test]
    fn a_uri_subject_stays_in_its_domain() {
        let claims = |sub: &str| json!({"iss": "https://id.example.com", "sub": sub});
        let honest = principal(&claims("https://svc.example.com/builder")).unwrap();
        assert_eq!(honest.identity.san.as_str(), "https://svc.example.com/builder");
        for sub in [
            "https://svc.example.com.evil.example/x",
            "http://svc.example.com/x",
            "https://svc.example.com:8443/x",
        ] {
            assert_eq!(
                principal(&claims(sub)).unwrap_err(),
                PrincipalError::SubjectDomain,
                "{sub}"
            );
        }
        assert_eq!(
            principal(&claims("a@svc.example.com")).unwrap_err(),
            PrincipalError::SubjectAlternativeName
        );
    }
}
