//! An instance in this process, and a proxy before it that lies as told.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
    },
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{Class, Error, Http, HttpOptions, Signed, Signer, SigningSession, oidc::IdentityToken};
use serde_json::Value;
use tempfile::TempDir;
use tests::{Issuer, issuer::Profile, service::Service};
use tokio::runtime::Runtime;
use verify::{
    Budget, Sha256Digest,
    signing_config::{ClientTrustConfig, SigningConfig},
};

pub(crate) const CERTIFY: &str = "/api/v2/signingCert";
pub(crate) const LOG: &str = "/api/v2/log/entries";
pub(crate) const STAMP: &str = "/api/v1/timestamp";

/// An instance in this process.
pub(crate) struct Instance {
    _folder: TempDir,
    _running: server::Running,
    pub(crate) url: String,
    pub(crate) trust: ClientTrustConfig,
}

impl Instance {
    pub(crate) async fn start(issuer: &Issuer) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("server");
        let specifications = issuer.specifications();
        let issuers = specifications
            .iter()
            .map(|text| text.parse().expect("an issuer"))
            .collect();
        server::init(&server::InitOptions {
            issuers,
            ..server::InitOptions::new(&dir)
        })
        .expect("an instance");
        let running = server::start(&dir, Some(SocketAddr::from(([127, 0, 0, 1], 0))))
            .await
            .expect("a server");
        let bytes = std::fs::read(dir.join("trust/trust_config.json")).expect("a trust configuration");
        let url = running.url().to_owned();
        let trust = ClientTrustConfig::from_json(&bytes, &Budget::default()).expect("a trust configuration");
        Self {
            _folder: folder,
            _running: running,
            url,
            trust,
        }
    }
}

/// What the proxy does with requests to one path.
#[derive(Clone)]
pub(crate) enum Lie {
    /// Changes the answer's body.
    Change(Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>),
    /// Changes the request's body.
    Ask(Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>),
    /// Gives the first answer again and again.
    Replay,
    /// Passes the request to another instance.
    Elsewhere(String),
    /// Never answers.
    Hang,
    /// Passes the request on, and answers 409 with the place of the entry that came of it [Rekor v1].
    Conflict,
    /// Answers with this status the first time, then well.
    Stumble(StatusCode),
}

/// Stands before an instance and lies as told, path by path.
#[derive(Clone)]
pub(crate) struct Proxy {
    target: String,
    pub(crate) lies: Arc<Mutex<HashMap<&'static str, Lie>>>,
    pub(crate) first_answers: Arc<Mutex<HashMap<String, Answer>>>,
    http: reqwest::Client,
}

pub(crate) type Answer = (StatusCode, String, Vec<u8>);

impl Proxy {
    pub(crate) fn start(target: &str) -> (Self, Service) {
        let proxy = Self {
            target: target.to_owned(),
            lies: Arc::default(),
            first_answers: Arc::default(),
            http: reqwest::Client::new(),
        };
        let state = proxy.clone();
        let service = Service::start(|_| Router::new().fallback(forward).with_state(state)).expect("a proxy");
        (proxy, service)
    }

    pub(crate) fn lie(&self, path: &'static str, lie: Lie) {
        self.lies.lock().unwrap().insert(path, lie);
    }

    pub(crate) fn change(&self, path: &'static str, change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
        self.lie(path, Lie::Change(Arc::new(change)));
    }

    pub(crate) fn change_json(&self, path: &'static str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.change(path, move |body| {
            let mut value: Value = serde_json::from_slice(&body).expect("JSON");
            change(&mut value);
            value.to_string().into_bytes()
        });
    }

    pub(crate) fn honest(&self) {
        self.lies.lock().unwrap().clear();
    }
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 8 << 20).await.expect("a body").to_vec();
    let path = parts.uri.path().to_owned();
    let lie = proxy.lies.lock().unwrap().get(path.as_str()).cloned();
    let (target, body) = match &lie {
        Some(Lie::Hang) => std::future::pending().await,
        Some(Lie::Stumble(status)) => {
            proxy.lies.lock().unwrap().remove(path.as_str());
            return status.into_response();
        }
        Some(Lie::Elsewhere(other)) => (other.as_str(), body),
        Some(Lie::Ask(change)) => (proxy.target.as_str(), change(body)),
        Some(Lie::Change(_) | Lie::Replay | Lie::Conflict) | None => (proxy.target.as_str(), body),
    };
    let url = format!("{target}{}", parts.uri.path_and_query().expect("a path"));
    let (status, kind, body) = proxy.pass(parts.method, &url, &parts.headers, body).await;
    if matches!(lie, Some(Lie::Conflict)) {
        let entries: Value = serde_json::from_slice(&body).expect("JSON");
        let id = entries.as_object().and_then(|map| map.keys().next()).expect("an entry");
        return (StatusCode::CONFLICT, [(LOCATION, format!("{path}/{id}"))], "{}").into_response();
    }
    let (status, kind, body) = match lie {
        Some(Lie::Change(change)) if status.is_success() => (status, kind, change(body)),
        Some(Lie::Replay) => {
            let mut first = proxy.first_answers.lock().unwrap();
            first.entry(path).or_insert((status, kind, body)).clone()
        }
        _ => (status, kind, body),
    };
    (status, [(CONTENT_TYPE, kind)], Bytes::from(body)).into_response()
}

impl Proxy {
    pub(crate) async fn pass(&self, method: reqwest::Method, url: &str, headers: &HeaderMap, body: Vec<u8>) -> Answer {
        let mut request = self.http.request(method, url).body(body);
        if let Some(kind) = headers.get(CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, kind);
        }
        let answer = request.send().await.expect("the instance answers");
        let kind = answer
            .headers()
            .get(CONTENT_TYPE)
            .map(|kind| kind.to_str().expect("text").to_owned());
        (
            answer.status(),
            kind.unwrap_or_default(),
            answer.bytes().await.expect("a body").to_vec(),
        )
    }
}

/// Everything a lie needs. The runtime outlives the servers in it.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) issuer: Issuer,
    pub(crate) instance: Instance,
    pub(crate) proxy: Proxy,
    pub(crate) service: Service,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let issuer = Issuer::start().expect("an issuer");
        let instance = runtime.block_on(Instance::start(&issuer));
        let (proxy, service) = Proxy::start(&instance.url);
        Self {
            runtime,
            issuer,
            instance,
            proxy,
            service,
        }
    }

    pub(crate) fn other_instance(&self) -> Instance {
        self.runtime.block_on(Instance::start(&self.issuer))
    }

    /// The instance's trust configuration with the proxy in the place of every service.
    pub(crate) fn trust(&self) -> ClientTrustConfig {
        let mut trust = self.instance.trust.clone();
        let SigningConfig {
            certificate_authorities,
            oidc_providers: _,
            logs,
            timestamp_authorities,
        } = &mut trust.signing_config;
        for service in certificate_authorities.iter_mut().chain(logs) {
            service.url = self.service.url();
        }
        for service in timestamp_authorities {
            service.url = format!("{}{STAMP}", self.service.url());
        }
        trust
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer::new(http(), self.trust()).expect("a signer")
    }

    pub(crate) fn token(&self, profile: Profile) -> IdentityToken {
        IdentityToken::new(self.issuer.token(profile).expect("a token")).expect("a token")
    }

    pub(crate) fn certify_as(&self, token: &IdentityToken) -> Result<SigningSession, Error> {
        self.runtime.block_on(self.signer().certify(token))
    }

    pub(crate) fn certify(&self) -> Result<SigningSession, Error> {
        self.certify_as(&self.token(Profile::GitHub))
    }

    pub(crate) fn sign(&self) -> Result<Signed, Error> {
        self.sign_with(http())
    }

    pub(crate) fn sign_with(&self, http: Http) -> Result<Signed, Error> {
        let signer = Signer::new(http, self.trust()).expect("a signer");
        let session = self.runtime.block_on(signer.certify(&self.token(Profile::GitHub)))?;
        self.runtime.block_on(session.sign_artifact(ARTIFACT))
    }

    /// The code of the lie, after the same proxy was believed without it.
    pub(crate) fn code_of(&self, step: impl Fn(&Self) -> Result<(), Error>, lie: impl FnOnce(&Proxy)) -> &'static str {
        self.proxy.honest();
        step(self).expect("the honest proxy is believed");
        lie(&self.proxy);
        let error = step(self).expect_err("a lie was believed");
        assert_eq!(error.class(), Class::Refused, "{error}");
        assert!(!error.is_unavailable() && !error.hint().is_empty());
        error.code()
    }

    pub(crate) fn certifying(&self, lie: impl FnOnce(&Proxy)) -> &'static str {
        self.code_of(|bench| bench.certify().map(drop), lie)
    }

    pub(crate) fn signing(&self, lie: impl FnOnce(&Proxy)) -> &'static str {
        self.code_of(|bench| bench.sign().map(drop), lie)
    }
}

pub(crate) const ARTIFACT: Sha256Digest = Sha256Digest([7; 32]);

pub(crate) fn http() -> Http {
    patient_for(Duration::from_secs(30))
}

/// A client for services that hang.
pub(crate) fn hasty() -> Http {
    patient_for(Duration::from_secs(2))
}

fn patient_for(total_timeout: Duration) -> Http {
    let options = HttpOptions {
        total_timeout,
        first_delay: Duration::from_millis(5),
        tries: 2,
        ..HttpOptions::default()
    };
    Http::new(options).expect("a client")
}

pub(crate) fn flip(text: &mut Value) {
    let mut bytes = STANDARD.decode(text.as_str().expect("base64")).expect("base64");
    bytes[5] ^= 1;
    *text = STANDARD.encode(bytes).into();
}
