//! The gate as a reverse proxy that speaks cargo's registry protocol on both sides.
//!
//! `GET /index/…` passes index files, `GET /dl/NAME/VERSION/download` archives, `PUT /api/v1/crates/new` publishes; every
//! other call of the web API passes as it is. When evidence cannot be had the gate defers (503), never opens and never says "refused".

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, post, put},
};
use client::{attestations::AttestationStore, http::Endpoint};
use metrics_exporter_prometheus::PrometheusHandle;
use package::{Description, Limits, Registries};
use verify::{Budget, Sha256Digest, UnixTime, Verifier};

use crate::{
    Config, RegistryPolicy,
    attest::{AttestError, Attestor},
    crash::CrashPoint,
    decision::{Candidate, Evidence, Gate, History, NameState, Verdict},
    ledger::{Key, Ledger, LedgerError},
    policy::FirstPublish,
    records::{self, Records},
};

mod admitted;
mod answer;
mod archives;
mod attestations;
mod checked;
mod download;
mod exchange;
mod files;
mod hook;
mod index;
mod names;
mod observe;
mod outbox;
mod publish;
mod range;
mod rest;
mod served;

use answer::{Unread, deferred, end_to_end, errors, fault, in_words, instead, read_bounded, relay, unavailable};

/// Why the gate cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The policy is wrong.
    #[error(transparent)]
    Policy(#[from] crate::policy::PolicyError),
    /// The trust file is wrong.
    #[error("trust file: {0}")]
    Trust(#[from] verify::Error),
    /// Verdicts cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The registry's own token cannot be had.
    #[error("the registry's own token is empty or no token")]
    RegistryToken,
    /// The webhook's secret cannot be had.
    #[error("the webhook's secret is no `whsec_` and base64 of at least 16 bytes")]
    WebhookSecret,
    /// The clients cannot be made.
    #[error("HTTP client: {0}")]
    Client(#[from] client::Error),
    /// The registry cannot sign.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// The upstream client cannot be made.
    #[error("HTTP client")]
    Http(#[from] reqwest::Error),
    /// TLS has nothing to trust.
    #[error("certificates of this machine")]
    Certificates(#[source] std::io::Error),
}

/// Everything a request needs.
#[derive(Debug)]
pub struct Service {
    config: Config,
    http: reqwest::Client,
    archives: archives::Archives,
    /// Archives being read whole and decided on, each of them up to its limit in memory.
    deciding: tokio::sync::Semaphore,
    store: AttestationStore,
    attestor: Option<Attestor>,
    /// Wakes the worker that finishes uploads.
    accepted: tokio::sync::Notify,
    ledger: Ledger,
    records: Records,
    exchange: Option<exchange::Exchange>,
    receiver: Option<hook::Receiver>,
    places: observe::Places,
    registries: Registries,
    /// By which provenance may name the registry; none for crates.io.
    index_urls: Vec<String>,
    limits: Limits,
    budget: Budget,
    verifier: Verifier,
    trust_digest: Sha256Digest,
    policy: RwLock<Arc<RegistryPolicy>>,
    /// Archives admitted under the present policy and trust.
    admitted: admitted::Admitted,
    /// The registry's `config.json` and when it was fetched.
    upstream: RwLock<Option<(Instant, Arc<index::UpstreamConfig>)>>,
    /// Index files as they were answered last.
    files: files::Files,
    /// What those said of archives that were not seen.
    served: served::Served,
}

impl Service {
    /// Reads policy and trust and opens the ledger. No request is made.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn open(config: Config) -> Result<Arc<Self>, StartError> {
        let budget = Budget::default();
        let policy = RegistryPolicy::from_toml(&String::from_utf8_lossy(&read(&config.policy)?))?;
        let trust = read(&config.trust)?;
        let services = verify::signing_config::ClientTrustConfig::from_json(&trust, &budget).ok();
        let root = match &services {
            Some(services) => services.trusted_root.clone(),
            None => verify::TrustedRoot::from_json(&trust, &budget)?,
        };
        std::fs::create_dir_all(&config.data).map_err(|source| StartError::File {
            path: config.data.display().to_string(),
            source,
        })?;
        let http = client::Http::new(client::HttpOptions::default())?;
        let endpoint = Endpoint::parse(client::Service::AttestationStore, config.evidence.attestations.as_str())?;
        let own = config.index_urls();
        let crates_io = [
            "https://github.com/rust-lang/crates.io-index",
            "sparse+https://index.crates.io/",
        ];
        let mirrored = crates_io.into_iter().filter(|_| config.mirrors_crates_io());
        Ok(Arc::new(Self {
            ledger: Ledger::open(&config.data)?,
            records: Records::open(&config.data).map_err(LedgerError::from)?,
            exchange: exchange::Exchange::open(&config)?,
            receiver: hook::Receiver::open(&config)?,
            places: observe::Places::new(&config),
            store: AttestationStore::new(http.clone(), endpoint),
            attestor: outbox::attestor(&config, http, services)?,
            accepted: tokio::sync::Notify::new(),
            http: upstream_client()?,
            archives: archives::Archives::new()?,
            deciding: tokio::sync::Semaphore::new(DECIDING),
            registries: Registries::new(own.iter().map(String::as_str).chain(mirrored)),
            index_urls: if config.mirrors_crates_io() { Vec::new() } else { own },
            limits: Limits {
                compressed_bytes: config.archive_bytes,
                ..Limits::default()
            },
            verifier: Verifier::new(root)?,
            trust_digest: Sha256Digest::of(&trust),
            admitted: admitted::Admitted::under(policy.digest()),
            policy: RwLock::new(Arc::new(policy)),
            upstream: RwLock::default(),
            files: files::Files::default(),
            served: served::Served::default(),
            budget,
            config,
        }))
    }

    /// Reads the policy file again; a wrong file changes nothing.
    ///
    /// # Errors
    /// [`StartError::File`], [`StartError::Policy`].
    pub fn reload_policy(&self) -> Result<Sha256Digest, StartError> {
        let read = read(&self.config.policy)
            .and_then(|bytes| Ok(RegistryPolicy::from_toml(&String::from_utf8_lossy(&bytes))?));
        let policy = match read {
            Ok(policy) => policy,
            Err(error) => {
                metrics::counter!("gate_policy_reload_failures_total").increment(1);
                return Err(error);
            }
        };
        let digest = policy.digest();
        // First, so that nothing that the old policy admits meanwhile is kept.
        self.admitted.begin(digest);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        Ok(digest)
    }

    /// The routes of the gate.
    pub fn router(self: Arc<Self>, metrics: PrometheusHandle) -> Router {
        Router::new()
            .route("/index/config.json", get(index::config))
            .route("/index/{*path}", get(index::file))
            .route(DOWNLOAD, get(download::archive))
            .route("/api/v1/crates/new", put(publish::publish))
            .route(
                exchange::TOKENS,
                axum::routing::post(exchange::exchange).delete(exchange::revoke),
            )
            .route("/webhooks/standard", axum::routing::post(hook::receive))
            .route("/api/v1/attestations", post(attestations::put))
            .route("/api/v1/attestations/query", post(attestations::query))
            .route("/api/v1/attestations/{digest}", get(attestations::of_digest))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(observe::ready))
            .route("/metrics", get(move || std::future::ready(metrics.render())))
            .fallback(pass)
            .layer(middleware::from_fn_with_state(Arc::clone(&self), exchange::confine))
            .layer(middleware::from_fn_with_state(Arc::clone(&self), observe::observe))
            .layer(middleware::from_fn(rest::read_rest))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self)
    }

    fn policy(&self) -> Arc<RegistryPolicy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn key(&self, archive: Sha256Digest, policy: &RegistryPolicy) -> Key {
        Key {
            archive,
            policy: policy.digest(),
            trust: self.trust_digest,
        }
    }

    /// Every bundle the store has for a digest. A store that answers something else, an error page or a redirect, has not
    /// said that it has none.
    async fn evidence(&self, digest: &Sha256Digest) -> Evidence {
        match self.store.by_digest(digest).await {
            Ok(found) => Evidence::Bundles(found.bundles),
            Err(error) => {
                tracing::warn!(code = error.code(), %digest, "attestation store cannot be asked");
                Evidence::Unavailable
            }
        }
    }

    /// Whether the verdict on this version depends on evidence: an exception or no rule at all does not ask for any.
    fn needs_evidence(policy: &RegistryPolicy, name: &str, version: &str) -> bool {
        policy.rule_for(name).is_some() && policy.exception_for(name, version, now()).is_none()
    }

    /// Decides, and keeps an admission before anybody acts on it.
    fn decide(
        &self,
        policy: &RegistryPolicy,
        candidate: &Candidate<'_>,
        evidence: &Evidence,
        name: NameState,
    ) -> Result<Verdict, LedgerError> {
        let history = self.history(policy, candidate, name)?;
        let gate = Gate {
            policy,
            verifier: &self.verifier,
            registries: &self.registries,
            index_urls: &self.index_urls,
            limits: &self.limits,
            budget: &self.budget,
            history: &history,
        };
        let verdict = gate.decide(candidate, evidence, now());
        if let Verdict::Admit(admission) = &verdict {
            CrashPoint::VerdictLost.reach();
            for warning in &admission.warnings {
                tracing::warn!(
                    krate = candidate.name,
                    version = candidate.version,
                    code = warning.code,
                    cause = warning.cause,
                    "admitted with a warning"
                );
            }
            if let Some(identity) = admission.ground.identity() {
                self.records
                    .published(candidate.name, candidate.version, identity, now())?;
            }
            let key = self.key(admission.digest, policy);
            self.ledger
                .admit(&key, &admission.description, admission.ground.name(), now())?;
            self.files.forget_crate(candidate.name);
            CrashPoint::VerdictKept.reach();
        }
        metrics::counter!("gate_verdicts_total", "verdict" => verdict.name()).increment(1);
        Ok(verdict)
    }
}

impl Service {
    /// What an archive says of itself, once it was seen.
    fn inside(&self, digest: &Sha256Digest) -> Result<Option<Description>, LedgerError> {
        let inside = self.ledger.description(digest)?;
        Ok(inside.map(|inside| self.registries.known_now(inside)))
    }

    /// Asks the registry for something to read, wherever it moved it to.
    async fn ask(&self, url: &str, headers: HeaderMap) -> Result<reqwest::Response, Response> {
        let headers = self.reading(url, headers);
        let answer = self.archives.ask(&Method::GET, url, &headers).await;
        answer.map_err(|error| unavailable(&error))
    }

    /// The headers of a request that reads at this URL, with the gate's own user name and password where the caller shows nothing.
    fn reading(&self, url: &str, mut headers: HeaderMap) -> HeaderMap {
        if let (Some(login), Ok(url)) = (&self.config.upstream.login, url.parse()) {
            login.add_to(&mut headers, &url);
        }
        headers
    }

    /// What the registry had before a candidate, as far as the policy asks.
    fn history(
        &self,
        policy: &RegistryPolicy,
        candidate: &Candidate<'_>,
        name: NameState,
    ) -> Result<History, LedgerError> {
        let wants_known = name == NameState::New && policy.first_publish() == FirstPublish::ExistingIdentity;
        let known = if wants_known {
            self.records
                .publishers()?
                .iter()
                .filter_map(records::Known::to_rule)
                .collect()
        } else {
            Vec::new()
        };
        Ok(History {
            name,
            previous: self.records.previous_publisher(candidate.name, candidate.version)?,
            known,
        })
    }

    /// The policy in words, and what of it deserves a look.
    #[must_use]
    pub fn policy_report(&self) -> (String, Vec<String>) {
        let policy = self.policy();
        let attested = |name: &str, version: &semver::Version| {
            let asked = self.records.is_attested(name, &version.to_string());
            asked.unwrap_or_default()
        };
        (policy.to_string(), policy.warnings(now(), attested))
    }

    /// Reads the policy again when its file has changed since `seen`, the digest of the content looked at last.
    /// None when there is nothing new.
    pub fn poll_policy(&self, seen: &mut Sha256Digest) -> Option<Result<Sha256Digest, StartError>> {
        // A file that cannot be read is told once too: its digest is that of nothing.
        let digest = read(&self.config.policy).map_or_else(|_| Sha256Digest::of(b""), |bytes| Sha256Digest::of(&bytes));
        if digest == *seen {
            return None;
        }
        *seen = digest;
        (digest != self.policy_digest()).then(|| self.reload_policy())
    }

    /// SHA-256 of the policy in force.
    #[must_use]
    pub fn policy_digest(&self) -> Sha256Digest {
        self.policy().digest()
    }
}

/// Passes any other call of the web API to the registry, body and answer streamed.
async fn pass(State(service): State<Arc<Service>>, request: Request) -> Response {
    let part = service.part_of_index(request.uri().path()).map(str::to_owned);
    if let Some(part) = part.filter(|_| is_read(request.method())) {
        let headers = request.headers().clone();
        if part == index::CONFIG {
            return index::config(State(service), headers).await;
        }
        return service.index_file(part, headers).await;
    }
    let api = match index::upstream_config(&service, request.headers()).await {
        Ok(config) => config.api.clone(),
        Err(answer) => return answer,
    };
    let is_api = request.uri().path().starts_with("/api/") && service.config.mirror.is_none();
    let Some(api) = api.filter(|_| is_api) else {
        return (StatusCode::NOT_FOUND, "no such page\n").into_response();
    };
    if let Err(why) = check_passable(request.uri().path()) {
        return (StatusCode::NOT_FOUND, why).into_response();
    }
    let (parts, body) = request.into_parts();
    let writes = !is_read(&parts.method);
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", axum::http::uri::PathAndQuery::as_str);
    let url = format!("{}{path}", api.trim_end_matches('/'));
    let mut headers = end_to_end(&parts.headers);
    if !writes {
        headers = service.reading(&url, headers);
    }
    let forwarded = service
        .http
        .request(parts.method, url)
        .headers(headers)
        .body(reqwest::Body::wrap_stream(body.into_data_stream()));
    match forwarded.send().await {
        Ok(answer) => {
            if writes {
                // A yank changes an index line, and the path need not say of which crate.
                service.files.forget();
            }
            relay(answer)
        }
        Err(error) => unavailable(&error),
    }
}

/// What passes must not be a gated call in other clothes: another spelling of the publish path, which the registry might
/// decode to it, or a download or index under the registry's own path.
fn check_passable(path: &str) -> Result<(), &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'+' | b'~');
    let lower = path.to_ascii_lowercase();
    let parts: Vec<&str> = lower.trim_matches('/').split('/').collect();
    if !path.bytes().all(plain) || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Err("the gate passes plain paths only\n");
    }
    if parts.contains(&"trusted_publishing") {
        return Err("exchange tokens at /api/v1/trusted_publishing/tokens\n");
    }
    if parts.ends_with(&["crates", "new"]) {
        return Err("publish with PUT /api/v1/crates/new\n");
    }
    if matches!(parts.last(), Some(&("download" | "config.json"))) || lower.contains("/dl/") {
        return Err("index and downloads are under /index/ and /dl/ of the gate\n");
    }
    Ok(())
}

/// A client of the registry. Connections are kept; redirects are answers like others.
fn upstream_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .user_agent(AGENT)
        .build()
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|source| StartError::File {
        path: path.display().to_string(),
        source,
    })
}

fn now() -> UnixTime {
    client::clock::now()
}

/// Whether a request may be repeated without harm.
const fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Where archives are.
const DOWNLOAD: &str = "/dl/{name}/{version}/download";
/// How long a registry may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_mins(1);
/// Four archives of 10 MiB and what is inside them.
const DECIDING: usize = 4;
const CONNECT: Duration = Duration::from_secs(5);
const AGENT: &str = concat!("crates-plugin/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gated_calls_do_not_pass_in_other_clothes() {
        for path in [
            "/api/v1/crates",
            "/api/v1/crates/a/1.0.0+b/yank",
            "/api/v1/crates/a/owners",
            "/api/v1/me",
        ] {
            assert_eq!(check_passable(path), Ok(()), "{path}");
        }
        for path in [
            "/api/v1/crates/new",
            "/api/v1/crates/new/",
            "/api/v1/crates/New",
            "/api/v1/crates/%6eew",
            "/api/v1//crates/new",
            "/api/v1/x/../crates/new",
            "/api/v1/./crates/new",
            "/api/v1/crates/a/1.0.0/download",
            "/api/v1/crates/dl/a/1.0.0/download",
            "/api/v1/crates/dl/a/1.0.0",
            "/api/v1/crates/config.json",
        ] {
            assert!(check_passable(path).is_err(), "{path}");
        }
    }
}
