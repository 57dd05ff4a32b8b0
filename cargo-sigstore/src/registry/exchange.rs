//! Trusted publishing from the client's side: an identity token for a short-lived upload token, which is given back after
//! the upload, whatever became of it, and when the process is told to stop.

use client::{
    Http, Service,
    http::{Endpoint, Method, Request, StatusCode},
    oidc::{IdentityToken, TokenOptions, is_offered, obtain},
};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    context::Context,
    failure::{Exit, Failure},
    registry::token::RegistryToken,
};

/// When an identity token is exchanged for the upload token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TrustedPublishing {
    /// When there is no token of the registry, and a CI offers an identity
    #[default]
    Auto,
    /// Always
    Always,
    /// Never: a token of the registry is needed
    Never,
}

/// An upload token. Dropping it gives it back.
pub(crate) struct Exchanged {
    token: RegistryToken,
    /// Tells the thread that watches for signals to give the token back and end.
    done: Option<tokio::sync::oneshot::Sender<()>>,
    watcher: Option<std::thread::JoinHandle<()>>,
}

impl Exchanged {
    /// The token, for the upload.
    pub(crate) const fn token(&self) -> &RegistryToken {
        &self.token
    }
}

impl Drop for Exchanged {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(watcher) = self.watcher.take() {
            drop(watcher.join());
        }
    }
}

/// Whether the CI offers this job an identity that the registry could exchange.
pub(crate) fn can_exchange(context: &Context, api: Option<&str>, options: &TokenOptions) -> bool {
    api.is_some_and(|api| is_offered(&for_registry(options.clone(), api), &|name| context.variable(name)))
}

/// What the CI is asked for: a token for the registry. One that was given is for signing.
fn for_registry(options: TokenOptions, api: &str) -> TokenOptions {
    TokenOptions {
        explicit: None,
        interactive: None,
        audience: audience(api),
        ..options
    }
}

/// As rust-lang/crates-io-auth-action: the URL without its scheme, `crates.io`.
pub(crate) fn audience(api: &str) -> String {
    let host = api.split_once("://").map_or(api, |(_, rest)| rest);
    host.trim_end_matches('/').to_owned()
}

/// Exchanges a fresh identity token, right before the upload.
///
/// # Errors
/// Those of the identity token; code `trusted-publishing` when the registry refuses, with its own words and the claims.
pub(crate) fn exchange(
    context: &Context,
    http: &Http,
    api: Option<&str>,
    options: TokenOptions,
) -> Result<Exchanged, Failure> {
    let api = api.ok_or_else(|| Failure::from(Error::NoApi))?;
    let endpoint = Endpoint::parse(Service::Registry, api)?.below(PATH);
    let options = for_registry(options, api);
    let token = context.block_on(async {
        let identity = obtain(http, &options, &|name| context.variable(name)).await?;
        identity.check_event()?;
        ask(http, endpoint.clone(), &identity).await
    })?;
    context
        .printer
        .status("Exchanged", "the identity for an upload token of this run");
    let (done, ended) = tokio::sync::oneshot::channel();
    let (given, http) = (token.clone(), http.clone());
    let watcher = std::thread::Builder::new()
        .name("upload-token".to_owned())
        .spawn(move || watch(&http, endpoint, &given, ended))
        .map_err(|source| Failure::from(Error::Watch { source }))?;
    Ok(Exchanged {
        token,
        done: Some(done),
        watcher: Some(watcher),
    })
}

/// Sent once: the identity token is used up by the first try.
async fn ask(http: &Http, endpoint: Endpoint, identity: &IdentityToken) -> Result<RegistryToken, Failure> {
    let body = serde_json::json!({ "jwt": identity.secret() });
    let answer = http
        .send(Request::post_json(endpoint, &body, ANSWER_BYTES).once())
        .await?;
    if answer.status() != StatusCode::OK {
        let said: Refusal = serde_json::from_slice(answer.body()).unwrap_or_default();
        let details: Vec<String> = said
            .errors
            .into_iter()
            .map(|error| crate::printer::visible(&error.detail))
            .collect();
        let status = answer.status().as_u16();
        let details = details.join("\n");
        let failure = Failure::from(Error::Refused { status, details });
        let claims = CLAIMS
            .into_iter()
            .filter_map(|name| Some((name, identity.claim(name)?)));
        return Err(claims.fold(failure, |failure, (name, value)| {
            failure.fact(name, crate::printer::visible(&value))
        }));
    }
    let body = Zeroizing::new(answer.into_body());
    let mut given: Given = serde_json::from_slice(&body).map_err(|_| Failure::from(Error::Malformed))?;
    let token = RegistryToken::exchanged(&given.token);
    given.token.zeroize();
    token.ok_or_else(|| Error::Malformed.into())
}

/// Waits for the end of the upload or for a signal, and gives the token back. After a signal the process ends.
fn watch(http: &Http, endpoint: Endpoint, token: &RegistryToken, ended: tokio::sync::oneshot::Receiver<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    runtime.block_on(async {
        let signal = tokio::select! {
            _ = ended => None,
            signal = stopped() => Some(signal),
        };
        let bearer = Zeroizing::new(format!("Bearer {}", token.secret()));
        let request = Request::new(Method::DELETE, endpoint, ANSWER_BYTES).authorization(&bearer);
        if http.send(request).await.is_err() {
            tracing::warn!("the upload token could not be given back; it ends by itself");
        }
        if let Some(signal) = signal {
            end(signal);
        }
    });
}

/// The number of the first signal that asks the process to stop.
#[cfg(unix)]
async fn stopped() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
    }
}

#[cfg(not(unix))]
async fn stopped() -> i32 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => 2,
        Err(_) => std::future::pending().await,
    }
}

#[allow(
    clippy::exit,
    reason = "a signal asked for it, and its default action was taken from it for the token's sake"
)]
fn end(signal: i32) {
    std::process::exit(128_i32.saturating_add(signal));
}

#[derive(Deserialize)]
struct Given {
    token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    detail: String,
}

/// Why there is no upload token.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("E-TP-CONFIG: the registry gives no upload token for this identity (status {status}): {details}")]
    Refused { status: u16, details: String },
    #[error("the registry's answer to the exchange holds no token")]
    Malformed,
    #[error("the registry has no web API to exchange an identity at")]
    NoApi,
    #[error("cannot watch over the upload token")]
    Watch { source: std::io::Error },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = if matches!(error, Error::Refused { .. }) {
            Self::new(Exit::Refused, "trusted-publishing", &error)
        } else {
            Self::new(Exit::Unavailable, "trusted-publishing", &error)
        };
        failure.hint(
            "compare these claims with the crate's trusted publisher at the registry; a crate that is not there yet \
             (E-TP-NEW) is published once with a token of the registry, `--trusted-publishing never`",
        )
    }
}

const PATH: &str = "api/v1/trusted_publishing/tokens";
/// A token, or some sentences.
const ANSWER_BYTES: usize = 64 << 10;
/// What trusted publishing looks at.
const CLAIMS: [&str; 10] = [
    "repository",
    "repository_owner_id",
    "workflow_ref",
    "project_path",
    "namespace_id",
    "ci_config_ref_uri",
    "ref",
    "environment",
    "event_name",
    "pipeline_source",
];
