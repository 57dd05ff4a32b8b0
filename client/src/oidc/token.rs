//! A token, kept secret, and its claims, unverified.

use serde_json::{Map, Value};
use verify::{Budget, UnixTime, token::UnverifiedToken};
use zeroize::Zeroizing;

use super::OidcError;

/// A compact JSON Web Token whose signature we cannot check. The text is wiped from memory and never printed.
#[derive(Clone)]
pub struct IdentityToken {
    text: Zeroizing<String>,
    claims: Map<String, Value>,
    source: TokenSource,
}

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenSource {
    /// Given by the user.
    Explicit,
    /// Environment variable `SIGSTORE_ID_TOKEN`.
    Variable,
    /// GitHub Actions.
    GitHub,
    /// Forgejo Actions.
    Forgejo,
    /// A GitLab pipeline.
    GitLab,
    /// A Buildkite job.
    Buildkite,
    /// A CircleCI job.
    CircleCi,
    /// A Codefresh build.
    Codefresh,
    /// A person in a browser.
    Interactive,
}

impl std::fmt::Display for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Explicit => "given token",
            Self::Variable => "SIGSTORE_ID_TOKEN",
            Self::GitHub => "GitHub Actions",
            Self::Forgejo => "Forgejo Actions",
            Self::GitLab => "GitLab",
            Self::Buildkite => "Buildkite",
            Self::CircleCi => "CircleCI",
            Self::Codefresh => "Codefresh",
            Self::Interactive => "browser sign-in",
        })
    }
}

impl IdentityToken {
    /// A token the user gave; white space around it is dropped.
    ///
    /// # Errors
    /// [`OidcError::Malformed`] when it is not three parts of base64url, the second a JSON object, or is too large.
    pub fn new(text: String) -> Result<Self, OidcError> {
        Self::from_source(text, TokenSource::Explicit)
    }

    pub(super) fn from_source(text: String, source: TokenSource) -> Result<Self, OidcError> {
        let given = Zeroizing::new(text);
        let text = Zeroizing::new(given.trim().to_owned());
        let parsed = UnverifiedToken::parse(&text, &Budget::default());
        let parsed = parsed.map_err(|cause| OidcError::Malformed { origin: source, cause })?;
        let claims = parsed.claims().clone();
        Ok(Self { text, claims, source })
    }

    /// The token itself.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// What it claims, unverified.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Where it came from.
    #[must_use]
    pub const fn source(&self) -> TokenSource {
        self.source
    }

    /// A claim that is a non-empty string; numbers and booleans as Fulcio writes them.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<String> {
        let text = match self.claims.get(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// The `iss` claim, or nothing.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims.get("iss").and_then(Value::as_str).unwrap_or_default()
    }

    /// The `aud` claim: one string or several.
    #[must_use]
    pub fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The `exp` claim.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.claims.get("exp")?.as_i64().map(UnixTime::from_secs)
    }

    /// What the proof of possession signs: the email address of a person, else the subject [Fulcio, challenge claim].
    /// An address that the provider says is unverified is none.
    #[must_use]
    pub fn principal(&self) -> String {
        let unverified = matches!(self.claim("email_verified").as_deref(), Some("false" | "False"));
        let email = self.claim("email").filter(|_| !unverified);
        email.or_else(|| self.claim("sub")).unwrap_or_default()
    }

    /// Refuses a token the authority would refuse for certain, with the reason it would not give.
    ///
    /// # Errors
    /// [`OidcError::Audience`], [`OidcError::Expired`].
    pub fn check(&self, audience: &str, now: UnixTime) -> Result<(), OidcError> {
        if !self.audiences().contains(&audience) {
            return Err(OidcError::Audience {
                origin: self.source,
                expected: audience.to_owned(),
                claims: self.shown_claims(),
            });
        }
        match self.expires_at() {
            Some(end) if end > now => Ok(()),
            end => Err(OidcError::Expired {
                origin: self.source,
                at: end,
                claims: self.shown_claims(),
            }),
        }
    }

    /// Refuses a token of an event in which a stranger's pull request decides what runs: publishing from one would sign in
    /// the project's name what the stranger wrote.
    ///
    /// # Errors
    /// [`OidcError::Event`].
    pub fn check_event(&self) -> Result<(), OidcError> {
        let stated = self.claim("event_name").or_else(|| self.claim("pipeline_source"));
        match stated {
            Some(event) if STRANGERS_EVENTS.contains(&event.as_str()) => Err(OidcError::Event { event }),
            _ => Ok(()),
        }
    }

    /// Refuses a token that says its repository is not public.
    ///
    /// # Errors
    /// [`OidcError::Private`].
    pub fn check_public(&self) -> Result<(), OidcError> {
        match self.visibility() {
            Some(visibility) if visibility != "public" => Err(OidcError::Private { visibility }),
            _ => Ok(()),
        }
    }

    /// Refuses a token that does not say that its repository is public.
    ///
    /// # Errors
    /// [`OidcError::Private`], [`OidcError::Unstated`].
    pub fn check_stated_public(&self) -> Result<(), OidcError> {
        self.visibility().ok_or(OidcError::Unstated)?;
        self.check_public()
    }

    fn visibility(&self) -> Option<String> {
        self.claim("repository_visibility")
            .or_else(|| self.claim("project_visibility"))
    }

    /// The claims a refusal may show: who, for whom, from where; cut and on one line each.
    #[must_use]
    pub fn shown_claims(&self) -> Vec<(&'static str, String)> {
        let mut shown = Vec::new();
        for name in SHOWN {
            let value = if name == "aud" {
                Some(self.audiences().join(", "))
            } else {
                self.claim(name)
            };
            if let Some(value) = value {
                shown.push((name, crate::http::printable(&value)));
            }
        }
        shown
    }
}

/// Source and issuer; never the token.
impl std::fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityToken")
            .field("source", &self.source)
            .field("issuer", &self.issuer())
            .finish_non_exhaustive()
    }
}

/// GitHub's events that crates.io refuses too; the sources of GitLab's pipelines of merge requests and of GitHub's pull
/// requests, which run a fork's code under the project's name.
const STRANGERS_EVENTS: [&str; 4] = [
    "pull_request_target",
    "workflow_run",
    "merge_request_event",
    "external_pull_request_event",
];

/// Claims that say who and where, and nothing secret.
const SHOWN: [&str; 16] = [
    "iss",
    "aud",
    "sub",
    "email",
    "exp",
    "repository",
    "repository_owner",
    "job_workflow_ref",
    "workflow_ref",
    "ref",
    "event_name",
    "environment",
    "project_path",
    "ci_config_ref_uri",
    "pipeline_source",
    "pipeline_slug",
];
