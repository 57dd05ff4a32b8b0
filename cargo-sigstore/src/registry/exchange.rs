//! Trusted publishing from the client's side: an identity token for a short-lived upload token, which is given back after
//! the upload, whatever became of it, and when the process is told to stop.
//!
//! One thread watches over all of it, and over signals, from before the first token is asked for until the process ends:
//! whoever takes a signal from its default action must act on it for ever.

use std::sync::{Mutex, PoisonError, mpsc};

use client::{
    Http, Service,
    http::{Endpoint, Method, Request, StatusCode},
    oidc::{IdentityToken, Mask, TokenOptions, is_offered, obtain},
};
use serde::Deserialize;
use tokio::sync::{mpsc as tasks, oneshot};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    context::Context,
    failure::{Exit, Failure},
    printer::{Printer, lines},
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
    /// Tells the watch to give the token back.
    done: Option<oneshot::Sender<()>>,
    /// Hears when that has been tried.
    gone: mpsc::Receiver<()>,
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
        // The watch says nothing: it hangs up.
        while self.gone.recv().is_ok() {}
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

/// Exchanges a fresh identity token, right before the upload; `is_new` says that the registry has no such crate yet.
///
/// # Errors
/// Those of the identity token; codes `E-TP-CONFIG` and `E-TP-NEW` when the registry refuses, with its own words and the
/// claims; `trusted-publishing` when there is no answer to the exchange.
pub(crate) fn exchange(
    context: &Context,
    http: &Http,
    api: Option<&str>,
    options: TokenOptions,
    is_new: bool,
) -> Result<Exchanged, Failure> {
    let api = api.ok_or_else(|| Failure::from(Error::NoApi))?;
    let endpoint = Endpoint::parse(Service::Registry, api)?.below(PATH);
    let options = for_registry(options, api);
    let watch = watch()?;
    let identity = context.block_on(async {
        let identity = obtain(http, &options, &|name| context.variable(name)).await?;
        identity.check_event()?;
        Ok(identity)
    })?;
    let (answer, answered) = mpsc::channel();
    let (done, ended) = oneshot::channel();
    let (hang_up, gone) = mpsc::channel();
    let task = Task {
        http: http.clone(),
        endpoint,
        identity,
        mask: options.mask,
        printer: context.printer.clone(),
        is_new,
        answer,
        ended,
        _hang_up: hang_up,
    };
    let stopped = |_| Failure::from(Error::Stopped);
    watch.blocking_send(task).map_err(|_| Failure::from(Error::Stopped))?;
    let token = answered.recv().map_err(stopped)??;
    context
        .printer
        .status("Exchanged", "the identity for an upload token of this run");
    Ok(Exchanged {
        token,
        done: Some(done),
        gone,
    })
}

/// An exchange, with everything that giving the token back will need.
struct Task {
    http: Http,
    endpoint: Endpoint,
    identity: IdentityToken,
    mask: Option<Mask>,
    printer: Printer,
    is_new: bool,
    answer: mpsc::Sender<Result<RegistryToken, Failure>>,
    ended: oneshot::Receiver<()>,
    /// Dropped at the end.
    _hang_up: mpsc::Sender<()>,
}

/// The process's watch, begun when it is first needed; there cannot be two, for the first to end would end the process.
static WATCH: Mutex<Option<tasks::Sender<Task>>> = Mutex::new(None);

/// Begins the watch unless it is there. No token is out yet, so that a watch that cannot begin loses none.
fn watch() -> Result<tasks::Sender<Task>, Failure> {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(watch) = &*watch {
        return Ok(watch.clone());
    }
    let unwatched = |source| Failure::from(Error::Watch { source });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(unwatched)?;
    let signals = {
        let _inside = runtime.enter();
        Signals::take().map_err(unwatched)?
    };
    let (sender, receiver) = tasks::channel(1);
    std::thread::Builder::new()
        .name("upload-token".to_owned())
        .spawn(move || runtime.block_on(keep_watch(signals, receiver)))
        .map_err(unwatched)?;
    *watch = Some(sender.clone());
    Ok(sender)
}

/// One exchange after the other; between them and after the last a signal ends the process, as it would by default.
async fn keep_watch(mut signals: Signals, mut tasks: tasks::Receiver<Task>) {
    loop {
        tokio::select! {
            signal = signals.next() => end(signal),
            task = tasks.recv() => match task {
                Some(task) => task.perform(&mut signals).await,
                None => end(signals.next().await),
            },
        }
    }
}

impl Task {
    /// Asks for a token, waits for the end of the upload or for a signal, and gives the token back. After a signal the process
    /// ends: while the token is being asked for, only once it is known whether there is one.
    async fn perform(self, signals: &mut Signals) {
        let asking = ask(&self.http, self.endpoint.clone(), &self.identity, self.is_new);
        tokio::pin!(asking);
        let mut signal = None;
        let answer = tokio::select! {
            answer = &mut asking => answer,
            first = signals.next() => {
                signal = Some(first);
                asking.await
            }
        };
        let token = answer.as_ref().ok().cloned();
        if let (Some(token), Some(mask)) = (&token, &self.mask) {
            mask.hide(token.secret());
        }
        if signal.is_none() {
            // Who asked waits for this.
            drop(self.answer.send(answer));
            if token.is_some() {
                tokio::select! {
                    _ = self.ended => {}
                    late = signals.next() => signal = Some(late),
                }
            }
        }
        if let Some(token) = token {
            give_back(&self.http, self.endpoint, &token, &self.printer).await;
        }
        if let Some(signal) = signal {
            end(signal);
        }
    }
}

/// Sent once: the identity token is used up by the first try.
async fn ask(
    http: &Http,
    endpoint: Endpoint,
    identity: &IdentityToken,
    is_new: bool,
) -> Result<RegistryToken, Failure> {
    let body = serde_json::json!({ "jwt": identity.secret() });
    let answer = http
        .send(Request::post_json(endpoint, &body, ANSWER_BYTES).once())
        .await?;
    if answer.status() != StatusCode::OK {
        let said: Refusal = serde_json::from_slice(answer.body()).unwrap_or_default();
        let details: Vec<String> = said.errors.iter().map(|error| lines(&error.detail)).collect();
        let refused = Refused {
            status: answer.status().as_u16(),
            details: details.join("\n"),
        };
        let claims = CLAIMS
            .into_iter()
            .filter_map(|name| Some((name, identity.claim(name)?)));
        return Err(claims.fold(refused.into_failure(is_new), |failure, (name, value)| {
            failure.fact(name, crate::printer::visible(&value))
        }));
    }
    let body = Zeroizing::new(answer.into_body());
    let mut given: Given = serde_json::from_slice(&body).map_err(|_| Failure::from(Error::Malformed))?;
    let token = RegistryToken::exchanged(&given.token);
    given.token.zeroize();
    token.ok_or_else(|| Error::Malformed.into())
}

/// Gives a token back, or says that it is still good.
async fn give_back(http: &Http, endpoint: Endpoint, token: &RegistryToken, printer: &Printer) {
    let bearer = Zeroizing::new(format!("Bearer {}", token.secret()));
    let request = Request::new(Method::DELETE, endpoint, ANSWER_BYTES).authorization(&bearer);
    let why = match http.send(request).await {
        Ok(answer) if answer.status().is_success() => return,
        Ok(answer) => format!("the registry answers with status {}", answer.status().as_u16()),
        Err(error) => error.to_string(),
    };
    printer.warn(format_args!(
        "the upload token could not be given back ({why}); it is good until it runs out, within the half hour"
    ));
}

/// The signals that ask the process to stop, taken from their default action.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn take() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The number of the next one.
    async fn next(&mut self) -> i32 {
        use tokio::signal::unix::SignalKind;
        tokio::select! {
            Some(()) = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            Some(()) = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            else => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn take() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }
}

#[allow(
    clippy::exit,
    reason = "a signal asked for it, and its default action was taken from it for the token's sake"
)]
fn end(signal: i32) -> ! {
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

/// The registry exchanges nothing for this identity.
#[derive(Debug, thiserror::Error)]
#[error("the registry gives no upload token for this identity (status {status})")]
struct Refused {
    status: u16,
    /// Its own words.
    details: String,
}

impl Refused {
    /// Of a crate that the index does not have it is clear why.
    fn into_failure(self, is_new: bool) -> Failure {
        let failure = if is_new {
            Failure::new(Exit::Refused, "E-TP-NEW", &self).hint(
                "the registry has no crate of this name yet, and crates.io exchanges nothing for those: publish it once with a \
                 token of the registry, `--trusted-publishing never`; elsewhere compare these claims with its configuration",
            )
        } else {
            Failure::new(Exit::Refused, "E-TP-CONFIG", &self)
                .hint("compare these claims with the crate's trusted publisher at the registry")
        };
        failure.fact("the registry says", self.details)
    }
}

/// Why there is no upload token.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the registry's answer to the exchange holds no token")]
    Malformed,
    #[error("the registry has no web API to exchange an identity at")]
    NoApi,
    #[error("cannot watch over an upload token, so none was asked for")]
    Watch { source: std::io::Error },
    #[error("the watch over the upload token has ended")]
    Stopped,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Unavailable, "trusted-publishing", &error)
            .hint("use a token of the registry, `--trusted-publishing never`, or tell the registry's operator")
    }
}

const PATH: &str = "api/v1/trusted_publishing/tokens";
/// A token, or some sentences.
const ANSWER_BYTES: usize = 64 << 10;
/// What trusted publishing looks at, and what tells this run from others.
const CLAIMS: [&str; 12] = [
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
    "run_id",
    "sha",
];
