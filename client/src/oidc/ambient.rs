//! Tokens that the environment of a CI offers.

use std::time::Duration;

use serde_json::Value;
use verify::Budget;
use zeroize::Zeroizing;

use super::{Environment, IdentityToken, OidcError, TokenOptions, TokenSource, command};
use crate::{
    Error, Http, Service,
    http::{Endpoint, Request, StatusCode},
};

/// `SIGSTORE_ID_TOKEN`: the user's own choice, so never disabled; passed over when it is for another audience than a
/// wanted one that is not `sigstore`.
pub(super) fn from_variable(env: &Environment<'_>, audience: &str) -> Result<Option<IdentityToken>, OidcError> {
    let Some(text) = env.text("SIGSTORE_ID_TOKEN") else {
        return Ok(None);
    };
    let token = IdentityToken::from_source(text, TokenSource::Variable)?;
    let fits = audience == "sigstore" || token.audiences().contains(&audience);
    Ok(fits.then_some(token))
}

/// The first CI that is there.
pub(super) async fn detect(
    http: &Http,
    options: &TokenOptions,
    env: &Environment<'_>,
) -> Result<Option<IdentityToken>, OidcError> {
    let audience = options.audience.as_str();
    let asked = env.text(REQUEST_URL).is_some() && env.text(REQUEST_TOKEN).is_some();
    if is_github(env) || asked {
        return github(http, options, env).await.map(Some);
    }
    if env.says_yes("GITLAB_CI") {
        return gitlab(env, audience).map(Some);
    }
    if env.says_yes("BUILDKITE") {
        return buildkite(http, options, env).await.map(Some);
    }
    if env.says_yes("CIRCLECI") {
        return circle_ci(audience).await.map(Some);
    }
    codefresh(env, audience)
}

/// Whether [`detect`] would find a token of GitHub, Forgejo or GitLab.
pub(super) fn is_offered(audience: &str, env: &Environment<'_>) -> bool {
    let may_ask = env.text(REQUEST_URL).is_some() && env.text(REQUEST_TOKEN).is_some();
    may_ask || (env.says_yes("GITLAB_CI") && env.text(&gitlab_variable(audience)).is_some())
}

/// Why a job of GitHub or Forgejo will get no token: it may not ask for one.
pub(super) fn withheld(env: &Environment<'_>) -> Option<OidcError> {
    let may_ask = env.text(REQUEST_URL).is_some() && env.text(REQUEST_TOKEN).is_some();
    (is_github(env) && !may_ask).then(|| no_permission(env))
}

fn is_github(env: &Environment<'_>) -> bool {
    env.says_yes("GITHUB_ACTIONS") || is_forgejo(env)
}

fn no_permission(env: &Environment<'_>) -> OidcError {
    if is_forgejo(env) {
        OidcError::Forgejo
    } else if is_fork(env) {
        OidcError::Fork
    } else {
        OidcError::NoPermission
    }
}

/// GitHub and Forgejo share variables and protocol; only the remedy for missing permission differs.
async fn github(http: &Http, options: &TokenOptions, env: &Environment<'_>) -> Result<IdentityToken, OidcError> {
    let source = if is_forgejo(env) {
        TokenSource::Forgejo
    } else {
        TokenSource::GitHub
    };
    let (Some(url), Some(secret)) = (env.text(REQUEST_URL), env.text(REQUEST_TOKEN).map(Zeroizing::new)) else {
        return Err(no_permission(env));
    };
    let failed = |cause| OidcError::Http {
        origin: source,
        cause: Box::new(cause),
    };
    let endpoint = Endpoint::parse(Service::CiTokenService, &url).map_err(failed)?;
    let authorization = Zeroizing::new(format!("bearer {}", secret.as_str()));
    let request = Request::get(endpoint.with_query("audience", &options.audience), ANSWER_BYTES)
        .authorization(&authorization)
        .header("accept", "application/json")
        .timeout(LIMIT);
    ask(http, request, "value", source, options).await
}

/// Forgejo's runner calls itself so; its URL is below the instance's `/api/actions`.
fn is_forgejo(env: &Environment<'_>) -> bool {
    env.says_yes("FORGEJO_ACTIONS") || env.says_yes("GITEA_ACTIONS")
}

/// Whether the event is a pull request from a fork, by the event file [GitHub webhook `pull_request`].
fn is_fork(env: &Environment<'_>) -> bool {
    let Some(path) = env.text("GITHUB_EVENT_PATH") else {
        return false;
    };
    let small = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= EVENT_BYTES);
    if !small {
        return false;
    }
    let bytes = std::fs::read(&path).unwrap_or_default();
    let limit = usize::try_from(EVENT_BYTES).unwrap_or(usize::MAX);
    let event = verify::json::parse(&bytes, "event file", limit, Budget::default().json_depth);
    event.is_ok_and(|event| event.pointer("/pull_request/head/repo/fork").and_then(Value::as_bool) == Some(true))
}

/// GitLab hands tokens over in variables that the job names; ours is named after the audience.
fn gitlab(env: &Environment<'_>, audience: &str) -> Result<IdentityToken, OidcError> {
    let variable = gitlab_variable(audience);
    match env.text(&variable) {
        Some(text) => IdentityToken::from_source(text, TokenSource::GitLab),
        None => Err(OidcError::GitLab {
            variable,
            audience: audience.to_owned(),
        }),
    }
}

/// The variable that hands a GitLab job its token for `audience`, `<AUDIENCE>_ID_TOKEN`: upper case, everything but letters
/// and digits a `_`, a leading digit too.
#[must_use]
pub fn gitlab_variable(audience: &str) -> String {
    let upper = audience
        .chars()
        .enumerate()
        .map(|(position, c)| match c.to_ascii_uppercase() {
            digit @ '0'..='9' if position > 0 => digit,
            letter @ 'A'..='Z' => letter,
            _ => '_',
        });
    format!("{}_ID_TOKEN", upper.collect::<String>())
}

/// Buildkite: the agent's API when the job may use it, else the agent itself.
async fn buildkite(http: &Http, options: &TokenOptions, env: &Environment<'_>) -> Result<IdentityToken, OidcError> {
    let source = TokenSource::Buildkite;
    let access = env.text("BUILDKITE_AGENT_ACCESS_TOKEN").map(Zeroizing::new);
    let (Some(access), Some(job)) = (access, env.text("BUILDKITE_JOB_ID")) else {
        let arguments = ["oidc", "request-token", "--audience", options.audience.as_str()];
        return IdentityToken::from_source(command::run("buildkite-agent", &arguments).await?, source);
    };
    let failed = |cause| OidcError::Http {
        origin: source,
        cause: Box::new(cause),
    };
    let base = env
        .text("BUILDKITE_AGENT_ENDPOINT")
        .unwrap_or_else(|| BUILDKITE_ENDPOINT.to_owned());
    if !job.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(OidcError::Missing {
            origin: source,
            missing: "BUILDKITE_JOB_ID",
        });
    }
    let endpoint = Endpoint::parse(Service::CiTokenService, &base).map_err(failed)?;
    let body = serde_json::json!({ "audience": options.audience });
    let authorization = Zeroizing::new(format!("Token {}", access.as_str()));
    let request = Request::post_json(endpoint.below(&format!("jobs/{job}/oidc/tokens")), &body, ANSWER_BYTES)
        .authorization(&authorization)
        .timeout(LIMIT);
    ask(http, request, "token", source, options).await
}

/// CircleCI's ready-made variables have a fixed audience, so its program is asked.
async fn circle_ci(audience: &str) -> Result<IdentityToken, OidcError> {
    let claims = serde_json::json!({ "aud": audience }).to_string();
    let arguments = ["run", "oidc", "get", "--root-issuer", "--claims", claims.as_str()];
    IdentityToken::from_source(command::run("circleci", &arguments).await?, TokenSource::CircleCi)
}

/// Codefresh's step sets `ID_TOKEN`; it counts only when it is for us, for nothing else marks a Codefresh build.
fn codefresh(env: &Environment<'_>, audience: &str) -> Result<Option<IdentityToken>, OidcError> {
    let Some(text) = env.text("ID_TOKEN") else {
        return Ok(None);
    };
    let token = IdentityToken::from_source(text, TokenSource::Codefresh)?;
    Ok(token.audiences().contains(&audience).then_some(token))
}

/// Asks a token service that answers `{FIELD: token}` with 200; a token is masked before anything else sees it.
async fn ask(
    http: &Http,
    request: Request,
    field: &'static str,
    source: TokenSource,
    options: &TokenOptions,
) -> Result<IdentityToken, OidcError> {
    let failed = |cause| OidcError::Http {
        origin: source,
        cause: Box::new(cause),
    };
    let answer = http
        .send(request)
        .await
        .and_then(|answer| answer.expect(&[StatusCode::OK]));
    let answer = answer.map_err(|error| failed(without_token(error)))?;
    let body = Zeroizing::new(answer.into_body());
    let depth = Budget::default().json_depth;
    let malformed = |source| {
        failed(Error::Answer {
            service: Service::CiTokenService,
            source,
        })
    };
    let value = verify::json::parse(&body, "token answer", ANSWER_BYTES, depth).map_err(malformed)?;
    let text = value
        .get(field)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| {
            malformed(verify::Error::Field {
                what: "token answer",
                field,
            })
        })?;
    options.mask(text.trim());
    IdentityToken::from_source(text, source)
}

/// A service might put a token into an error body: anything that looks like one is left out.
fn without_token(error: Error) -> Error {
    let clean = |message: &str| {
        let words: Vec<&str> = message
            .split_whitespace()
            .filter(|word| !word.contains("eyJ"))
            .collect();
        words.join(" ")
    };
    let mut error = error;
    if let Error::Status { message, reasons, .. } = &mut error {
        *message = clean(message);
        reasons.clear();
    } else if let Error::Busy { message, .. } = &mut error {
        *message = clean(message);
    }
    error
}

/// Set by the runner when the job may ask for tokens.
const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// The agent's API for jobs [Buildkite agent, `oidc request-token`].
const BUILDKITE_ENDPOINT: &str = "https://agent.buildkite.com/v3";

/// Time limit of one try.
const LIMIT: Duration = Duration::from_secs(20);

/// The token limit of the budget.
const ANSWER_BYTES: usize = 64 << 10;

/// GitHub caps webhook payloads at 25 MB; a fork is told in far less, but the file is read whole.
const EVENT_BYTES: u64 = 25 << 20;
