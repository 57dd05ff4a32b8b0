//! `POST` and `DELETE /api/v1/trusted_publishing/tokens`, as crates.io has them, and what becomes of the tokens at other calls.

use std::{path::Path, sync::Arc};

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::json;
use verify::{
    Sha256Digest,
    token::{JwsAlgorithm, UnverifiedToken},
};
use zeroize::Zeroizing;

use super::{Service, StartError, deferred, fault, now, publish::refuse, read};
use crate::{
    Config, RegistryPolicy,
    crash::CrashPoint,
    decision::{Finding, NameState},
    trusted_publishing::{
        Claims, LEEWAY_SECS, Provider, RegistryToken, Scope, TrustedPublishing, as_upload_token, covers,
        is_well_formed, keys::IssuerKeys, refused_token, upload_token,
    },
};

/// The exchange of a gate that has one.
#[derive(Debug)]
pub(super) struct Exchange {
    section: TrustedPublishing,
    audiences: Vec<String>,
    keys: IssuerKeys,
    registry_token: RegistryToken,
}

impl Exchange {
    pub(super) fn open(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(section) = config.trusted_publishing.clone() else {
            return Ok(None);
        };
        let token = registry_token(
            section.registry_token_file.as_deref(),
            section.registry_token_variable.as_deref(),
        )?;
        Ok(Some(Self {
            audiences: section.audiences(&config.public_url),
            keys: IssuerKeys::new()?,
            registry_token: token,
            section,
        }))
    }
}

impl Exchange {
    pub(super) const fn registry_token(&self) -> &RegistryToken {
        &self.registry_token
    }
}

/// The registry's own token, out of a file or a variable.
pub(super) fn registry_token(file: Option<&Path>, variable: Option<&str>) -> Result<RegistryToken, StartError> {
    let text = match (file, variable) {
        (Some(path), _) => Zeroizing::new(String::from_utf8_lossy(&Zeroizing::new(read(path)?)).into_owned()),
        (None, variable) => Zeroizing::new(std::env::var(variable.unwrap_or_default()).unwrap_or_default()),
    };
    if text.trim().is_empty() || HeaderValue::from_str(text.trim()).is_err() {
        return Err(StartError::RegistryToken);
    }
    Ok(RegistryToken::new(&text))
}

/// Body of the exchange.
#[derive(Deserialize)]
struct Wanted {
    jwt: String,
}

/// An identity token for an upload token.
pub(super) async fn exchange(State(service): State<Arc<Service>>, body: Body) -> Response {
    let outcome = match (&service.exchange, to_bytes(body, BODY_BYTES).await) {
        (None, _) => Err(Refusal::Found(absent())),
        (Some(_), Err(_)) => Err(Refusal::Found(refused_token("the request is too large".to_owned()))),
        (Some(exchange), Ok(body)) => match serde_json::from_slice::<Wanted>(&body) {
            Ok(wanted) => service.exchanged(exchange, &Zeroizing::new(wanted.jwt)).await,
            Err(_) => Err(Refusal::Found(refused_token(
                "the request is no `{\"jwt\": …}`".to_owned(),
            ))),
        },
    };
    let name = match &outcome {
        Ok(_) => "given",
        Err(Refusal::Found(_)) => "refused",
        Err(Refusal::Later(_) | Refusal::Fault(_)) => "deferred",
    };
    metrics::counter!("gate_exchanges_total", "outcome" => name).increment(1);
    match outcome {
        Ok(token) => Json(json!({ "token": token.as_str() })).into_response(),
        Err(Refusal::Found(finding)) => {
            tracing::warn!(code = finding.code, cause = finding.cause, "token exchange refused");
            refuse(StatusCode::BAD_REQUEST, &[finding])
        }
        Err(Refusal::Later(why)) => deferred(why),
        Err(Refusal::Fault(error)) => fault(&*error),
    }
}

/// Takes an upload token back; one that is unknown is as good as taken back.
pub(super) async fn revoke(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let Some(token) = presented(&headers) else {
        return refuse(StatusCode::UNAUTHORIZED, &[bad_token()]);
    };
    let digest = Sha256Digest::of(token.as_bytes());
    let revoked = tokio::task::spawn_blocking(move || service.records.revoke_token(&digest)).await;
    match revoked {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => fault(&error),
        Err(error) => fault(&error),
    }
}

/// Why no token is given.
enum Refusal {
    Found(Finding),
    Later(&'static str),
    Fault(Box<dyn std::error::Error + Send + Sync>),
}

impl Service {
    async fn exchanged(self: &Arc<Self>, exchange: &Exchange, text: &str) -> Result<Zeroizing<String>, Refusal> {
        let found = |finding| Refusal::Found(finding);
        let token = UnverifiedToken::parse(text, &self.budget)
            .map_err(|_| found(refused_token("the token is no compact JWT".to_owned())))?;
        let stated = token.issuer().unwrap_or_default();
        let provider = exchange
            .section
            .provider
            .iter()
            .find(|provider| provider.issuer == stated);
        let provider = provider.ok_or_else(|| found(unknown_issuer()))?;
        let key_id = token.key_id().filter(|id| !id.is_empty());
        let key_id = key_id.ok_or_else(|| found(refused_token("the token names no key (`kid`)".to_owned())))?;
        let keys = exchange.keys.of(&provider.issuer, key_id).await;
        let keys = keys.map_err(|_| Refusal::Later("the keys of the token's issuer cannot be fetched"))?;
        let verified = token.verify(&keys, &[JwsAlgorithm::Rs256]).map_err(|error| {
            found(refused_token(format!(
                "the token is not signed by its issuer with RS256: {error}"
            )))
        })?;
        let claims = Claims::read(verified.claims(), provider, &exchange.audiences, now()).map_err(found)?;
        let scopes = claims.scopes(&self.policy(), provider).map_err(found)?;
        let (service, provider) = (Arc::clone(self), provider.clone());
        let minutes = i64::from(exchange.section.lifetime_minutes);
        let given = tokio::task::spawn_blocking(move || service.give(&claims, &scopes, &provider, minutes)).await;
        given.map_err(|error| Refusal::Fault(Box::new(error)))?
    }

    /// Uses the identity token up, durably, and only then makes the upload token, of which the hash alone is kept.
    fn give(
        &self,
        claims: &Claims,
        scopes: &[Scope],
        provider: &Provider,
        minutes: i64,
    ) -> Result<Zeroizing<String>, Refusal> {
        let database = |error: rusqlite::Error| Refusal::Fault(Box::new(error));
        let until = claims.expires.plus_secs(LEEWAY_SECS);
        let records = &self.records;
        if !records
            .use_once(&provider.issuer, &claims.token_id, until, now())
            .map_err(database)?
        {
            return Err(Refusal::Found(Finding {
                code: "gate-exchange-replayed",
                cause: "the identity token was used before".to_owned(),
                hint: "ask the CI for a fresh token for each exchange, retries too",
            }));
        }
        CrashPoint::IdentityUsed.reach();
        let token = upload_token();
        let digest = Sha256Digest::of(token.as_bytes());
        let scope = serde_json::to_string(scopes).map_err(|error| Refusal::Fault(Box::new(error)))?;
        let expires = now().plus_secs(minutes.saturating_mul(60));
        records.give_token(&digest, &scope, expires).map_err(database)?;
        CrashPoint::TokenKept.reach();
        tracing::info!(
            issuer = provider.issuer,
            run = claims.run_id,
            scope,
            "upload token given"
        );
        Ok(token)
    }

    /// The headers to forward a publish of `name` with: an upload token of ours is checked and replaced by the registry's own.
    pub(super) fn authorized(
        &self,
        policy: &RegistryPolicy,
        name: &str,
        headers: &HeaderMap,
    ) -> Result<HeaderMap, Box<Response>> {
        match presented(headers) {
            Some(token) => {
                let scopes = self.scopes_of(token)?;
                if !covers(&scopes, policy, name) {
                    return Err(forbidden(other_crate(name)));
                }
                self.with_registry_token(headers)
            }
            None if policy.rule_for(name).is_some_and(|rule| rule.trusted_publishing_only) => {
                Err(forbidden(exchanged_only(name)))
            }
            None => Ok(headers.clone()),
        }
    }

    /// Whether an exchanged token may upload this crate: a new one only where the rule has its very name, since a pattern would let a
    /// workflow take names that nobody thought of.
    pub(super) async fn may_upload_new(
        &self,
        policy: &RegistryPolicy,
        name: &str,
        headers: &HeaderMap,
    ) -> Result<(), Box<Response>> {
        if policy.rule_for(name).is_some_and(|rule| rule.lists(name)) {
            return Ok(());
        }
        match self.state_in_index(name, headers).await {
            NameState::Taken => Ok(()),
            NameState::New => Err(forbidden(new_crate(name))),
            NameState::Unknown => Err(Box::new(deferred("the index cannot be asked whether the crate is new"))),
        }
    }

    fn scopes_of(&self, token: &str) -> Result<Vec<Scope>, Box<Response>> {
        let known = |text: Option<String>| {
            let scopes = text.and_then(|text| serde_json::from_str(&text).ok());
            scopes.ok_or_else(|| forbidden(bad_token()))
        };
        if !is_well_formed(token) {
            return known(None);
        }
        let digest = Sha256Digest::of(token.as_bytes());
        known(
            self.records
                .token_scope(&digest, now())
                .map_err(|error| Box::new(fault(&error)))?,
        )
    }

    fn with_registry_token(&self, headers: &HeaderMap) -> Result<HeaderMap, Box<Response>> {
        let exchange = self.exchange.as_ref().ok_or_else(|| forbidden(bad_token()))?;
        let mut headers = headers.clone();
        headers.extend(exchange.registry_token.header());
        Ok(headers)
    }
}

/// Upload tokens are good for the upload, and for the index and archives that cargo reads before it; nothing else sees them,
/// the registry least of all.
pub(super) async fn confine(State(service): State<Arc<Service>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let own = path == PUBLISH || path == TOKENS;
    let Some(token) = presented(request.headers()).filter(|_| !own) else {
        return next.run(request).await;
    };
    // What cargo reads before it uploads, also of the crate's dependencies.
    let reads = service.part_of_index(path).is_some() || path.starts_with("/dl/");
    let replaced = service.scopes_of(token).and_then(|_| {
        if reads && super::is_read(request.method()) {
            service.with_registry_token(request.headers())
        } else {
            Err(forbidden(upload_only()))
        }
    });
    match replaced {
        Ok(headers) => *request.headers_mut() = headers,
        Err(answer) => return *answer,
    }
    next.run(request).await
}

/// 403 with cargo's error JSON.
#[allow(clippy::unnecessary_box_returns, reason = "it is the error of results, which box it")]
fn forbidden(finding: Finding) -> Box<Response> {
    Box::new(refuse(StatusCode::FORBIDDEN, &[finding]))
}

/// Whether a request shows an exchanged token.
pub(super) fn is_exchanged(headers: &HeaderMap) -> bool {
    presented(headers).is_some()
}

/// The upload token of a request, if its `Authorization` is one.
fn presented(headers: &HeaderMap) -> Option<&str> {
    as_upload_token(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

fn absent() -> Finding {
    Finding {
        code: "gate-exchange-absent",
        cause: "this gate exchanges no tokens".to_owned(),
        hint: "publish with a token of the registry, or ask the operator for a [trusted-publishing] section",
    }
}

fn unknown_issuer() -> Finding {
    Finding {
        code: "gate-exchange-issuer",
        cause: "the token's issuer is not one whose tokens are exchanged here".to_owned(),
        hint: "the operator lists issuers under [[trusted-publishing.provider]]",
    }
}

fn bad_token() -> Finding {
    Finding {
        code: "gate-upload-token",
        cause: "the upload token is unknown, has ended or was taken back".to_owned(),
        hint: "exchange a fresh identity token right before the upload",
    }
}

fn other_crate(name: &str) -> Finding {
    Finding {
        code: "gate-upload-crate",
        cause: format!("the upload token was not given for `{name}`"),
        hint: "the rule that names this crate must be the one that the workflow satisfied at the exchange",
    }
}

fn new_crate(name: &str) -> Finding {
    Finding {
        code: "gate-upload-new",
        cause: format!("`{name}` is not in the registry, and an exchanged token uploads new versions of what is"),
        hint: "publish the first version with a token of the registry, or have the operator name the crate itself in the rule's `crates`",
    }
}

fn upload_only() -> Finding {
    Finding {
        code: "gate-upload-only",
        cause: "an exchanged token uploads crates and does nothing else".to_owned(),
        hint: "yank, owners and the like need a token of the registry",
    }
}

fn exchanged_only(name: &str) -> Finding {
    Finding {
        code: "gate-exchanged-only",
        cause: format!("`{name}` is published by trusted publishing only; other tokens do not upload it"),
        hint: "publish from the workflow that the rule names, with `cargo sigstore publish` or rust-lang/crates-io-auth-action",
    }
}

/// Identity tokens are under 16 KiB.
const BODY_BYTES: usize = 64 << 10;
const PUBLISH: &str = "/api/v1/crates/new";
pub(super) const TOKENS: &str = "/api/v1/trusted_publishing/tokens";
