//! The issuer's answers, right and wrong.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, Query, State as Shared},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, Fault, Profile, State};

/// Query of GitHub's token request.
#[derive(Debug, Deserialize)]
pub(super) struct TokenQuery {
    audience: Option<String>,
}

/// Body of Buildkite's token request.
#[derive(Debug, Deserialize)]
pub(super) struct BuildkiteRequest {
    audience: Option<String>,
}

pub(super) async fn discovery(
    Shared(state): Shared<Arc<State>>,
    method: Method,
    uri: Uri,
    Path(profile): Path<String>,
) -> Response {
    state.note(&method, &uri);
    let Some(profile) = Profile::from_name(&profile) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let issuer = state.url(profile);
    let document = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks"),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "subject_types_supported": ["public", "pairwise"],
        "response_types_supported": ["id_token"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "scopes_supported": ["openid"],
        "claims_supported": profile.claims(&state.base).keys().collect::<Vec<_>>(),
    });
    state.send(Endpoint::Discovery, document).await
}

pub(super) async fn keys(
    Shared(state): Shared<Arc<State>>,
    method: Method,
    uri: Uri,
    Path(profile): Path<String>,
) -> Response {
    state.note(&method, &uri);
    if Profile::from_name(&profile).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let document = json!({"keys": state.lock().keys.public()});
    state.send(Endpoint::Keys, document).await
}

/// `GET …/idtoken/RUN?api-version=2.0&audience=A` with `Authorization: bearer REQUEST_TOKEN`.
pub(super) async fn github_token(
    Shared(state): Shared<Arc<State>>,
    method: Method,
    uri: Uri,
    Path((profile, _run)): Path<(String, String)>,
    Query(query): Query<TokenQuery>,
    headers: HeaderMap,
) -> Response {
    state.note(&method, &uri);
    // GitHub's own default audience is the owner's URL.
    let audience = query.audience.unwrap_or_else(|| "https://github.com/ferris".to_owned());
    match state.mint(&profile, &headers, &audience) {
        Ok(token) => {
            state
                .send(Endpoint::Token, json!({"count": token.len(), "value": token}))
                .await
        }
        Err(refusal) => *refusal,
    }
}

/// `POST …/jobs/JOB/oidc/tokens` with `Authorization: Token AGENT_TOKEN`.
pub(super) async fn buildkite_token(
    Shared(state): Shared<Arc<State>>,
    method: Method,
    uri: Uri,
    Path((profile, _job)): Path<(String, String)>,
    headers: HeaderMap,
    Json(request): Json<BuildkiteRequest>,
) -> Response {
    state.note(&method, &uri);
    let audience = request
        .audience
        .unwrap_or_else(|| "https://buildkite.com/ferris".to_owned());
    match state.mint(&profile, &headers, &audience) {
        Ok(token) => state.send(Endpoint::Token, json!({"token": token})).await,
        Err(refusal) => *refusal,
    }
}

impl State {
    fn note(&self, method: &Method, uri: &Uri) {
        self.lock().requests.push(format!("{method} {uri}"));
    }

    /// A token for the job that the `Authorization` header names, spoiled by the current fault.
    fn mint(&self, profile: &str, headers: &HeaderMap, audience: &str) -> Result<String, Box<Response>> {
        let refusal =
            |status: StatusCode, text: &str| Box::new((status, Json(json!({"message": text}))).into_response());
        let shown = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token"));
        let Some((_, request_token)) = shown else {
            return Err(refusal(StatusCode::UNAUTHORIZED, "no request token"));
        };
        let mut inner = self.lock();
        let Some((job_profile, job_claims)) = inner.jobs.get(request_token).cloned() else {
            return Err(refusal(StatusCode::UNAUTHORIZED, "unknown request token"));
        };
        if job_profile.name() != profile {
            return Err(refusal(StatusCode::FORBIDDEN, "a token of another provider"));
        }
        let fault = inner.faults.get(&Endpoint::Token).cloned();
        let skew = match &fault {
            Some(Fault::ClockSkew { seconds }) => *seconds,
            _ => 0,
        };
        let audience = match &fault {
            Some(Fault::WrongAudience) => "nobody",
            _ => audience,
        };
        let mut claims = self.dated(&mut inner, job_profile, audience, skew);
        claims.extend(job_claims);
        let token = inner
            .keys
            .sign(inner.algorithm, &Value::Object(claims))
            .map_err(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
        Ok(spoil(token, fault.as_ref()))
    }

    /// Answers with `document`, or as the fault of this endpoint has it.
    async fn send(&self, endpoint: Endpoint, document: Value) -> Response {
        let fault = self.next_fault(endpoint);
        match fault {
            Some(Fault::Unavailable { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily out of service").into_response()
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Garbage) => (StatusCode::OK, "<html>not what you wanted</html>").into_response(),
            Some(Fault::SlowBody { pause }) => trickle(document.to_string().into_bytes(), pause),
            _ => Json(document).into_response(),
        }
    }

    /// The fault that strikes now; one that has struck often enough is gone.
    fn next_fault(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut inner = self.lock();
        if let Some(Fault::Unavailable { times }) = inner.faults.get_mut(&endpoint) {
            if *times == 0 {
                inner.faults.remove(&endpoint);
                return None;
            }
            *times -= 1;
        }
        inner.faults.get(&endpoint).cloned()
    }
}

fn spoil(token: String, fault: Option<&Fault>) -> String {
    match fault {
        Some(Fault::ExtraDots) => format!("{token}{}", ".".repeat(1000)),
        Some(Fault::Huge) => format!("{token}{}", "A".repeat(10_000_000)),
        Some(Fault::BadSignature) => flip_signature(&token),
        _ => token,
    }
}

/// The token with another first character of its signature.
fn flip_signature(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{message}.{first}{}", signature.get(1..).unwrap_or_default())
}

fn trickle(body: Vec<u8>, pause: Duration) -> Response {
    let bytes = stream::iter(body).then(move |byte| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(Bytes::from(vec![byte]))
    });
    ([("content-type", "application/json")], Body::from_stream(bytes)).into_response()
}
