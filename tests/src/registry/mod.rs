//! A cargo registry on loopback: sparse index, publish, download, yank, owners, search
//! [the cargo book, "Registry Index" and "Registry Web API"]. It keeps exactly the bytes it is sent and every request it saw.

mod api;
mod index;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, put},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{Error, service::Service};

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    service: Service,
    state: Arc<State>,
}

/// How a registry behaves.
#[derive(Clone, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a way to behave, and any may be combined"
)]
pub struct Options {
    /// Whether index and downloads need the token too.
    pub auth_required: bool,
    /// Whether they need a user name and a password instead, those of [`LOGIN`].
    pub login_required: bool,
    /// Where else downloads are, as the URL of another registry.
    pub archives_at: Option<String>,
    /// The attestation store that `config.json` names.
    pub attestations: Option<String>,
    /// Whether it has no `config.json`.
    pub without_config: bool,
    /// Whether index and downloads are laid out as kellnr's, below the web API.
    pub like_kellnr: bool,
    /// The origin that `config.json` names, where it is not its own: a registry that is reached through something else.
    pub origin: Option<String>,
    /// Where requests for the index are sent instead, by a redirect: this, and the path below the index. Nowhere when empty.
    pub index_leads_to: Option<String>,
    /// Where uploads are sent instead, by a redirect.
    pub uploads_lead_to: Option<String>,
    /// Whether downloads wait until this is false again.
    pub holds_downloads: bool,
    /// Index files as they are answered, by the crate's name, whatever was published.
    pub index_files: BTreeMap<String, String>,
}

/// User name and password of a registry that needs them, as a URL has them.
pub const LOGIN: &str = "gate:s3cret%3A";

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// Status of the answer.
    pub status: u16,
}

/// A published version.
#[derive(Clone, Debug)]
pub struct Version {
    /// The index line.
    pub line: Value,
    /// The bytes of the `.crate` that downloads answer.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct State {
    base: String,
    token: String,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    options: Options,
    crates: BTreeMap<String, Vec<Version>>,
    owners: BTreeMap<String, Vec<String>>,
    requests: Vec<Request>,
    /// How many downloads were asked for.
    downloads: usize,
}

/// Where kellnr keeps its index.
const KELLNR: &str = "/api/v1/crates/";

/// A crate's upload limit: crates.io has 10 MiB.
const UPLOAD_LIMIT: usize = 10 * 1024 * 1024;

impl Registry {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// No port could be had.
    pub fn start(options: Options) -> Result<Self, Error> {
        let mut shared = None;
        let service = Service::start(|base| {
            let state = Arc::new(State {
                base: base.to_owned(),
                token: format!("registry-token-{:032x}", rand::random::<u128>()),
                inner: Mutex::new(Inner {
                    options,
                    ..Inner::default()
                }),
            });
            shared = Some(Arc::clone(&state));
            router(&state)
        })?;
        let state = shared.ok_or_else(|| Error::new("start the registry", "it was given no router"))?;
        Ok(Self { service, state })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.service.url()
    }

    /// Where a gate finds the index, with user name and password where it needs them.
    #[must_use]
    pub fn upstream_index(&self) -> String {
        let inner = self.state.lock();
        let folder = if inner.options.like_kellnr { KELLNR } else { "/index/" };
        let url = format!("{}{folder}", self.url());
        if inner.options.login_required {
            url.replacen("://", &format!("://{LOGIN}@"), 1)
        } else {
            url
        }
    }

    /// What cargo's configuration calls the index: `sparse+http://127.0.0.1:PORT/index/`.
    #[must_use]
    pub fn index_url(&self) -> String {
        format!("sparse+{}/index/", self.url())
    }

    /// The token that uploads need.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.state.token
    }

    /// How many downloads were asked for so far, those that still wait among them.
    #[must_use]
    pub fn downloads(&self) -> usize {
        self.state.lock().downloads
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().requests.clone()
    }

    /// Requests that tried to upload a crate.
    #[must_use]
    pub fn uploads(&self) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.path == "/api/v1/crates/new");
        requests
    }

    /// A published version.
    #[must_use]
    pub fn version(&self, name: &str, version: &str) -> Option<Version> {
        let inner = self.state.lock();
        let versions = inner.crates.get(name)?;
        versions
            .iter()
            .find(|published| published.line.get("vers").and_then(Value::as_str) == Some(version))
            .cloned()
    }

    /// Answers downloads of this version with other bytes; `reindex` makes the index agree with them, as a thief of the registry would.
    pub fn replace(&self, name: &str, version: &str, bytes: &[u8], reindex: bool) {
        let mut inner = self.state.lock();
        for published in inner.crates.get_mut(name).into_iter().flatten() {
            if published.line.get("vers").and_then(Value::as_str) == Some(version) {
                if reindex && let Some(line) = published.line.as_object_mut() {
                    line.insert("cksum".into(), hex::encode(Sha256::digest(bytes)).into());
                }
                bytes.clone_into(&mut published.bytes);
            }
        }
    }
}

impl Registry {
    /// Makes it behave otherwise from now on.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state.lock().options);
    }

    /// Adds a line for a version that is there already, as a dishonest registry or mirror would.
    pub fn add_line(&self, name: &str, version: &str, edit: impl FnOnce(&mut Value)) {
        let mut inner = self.state.lock();
        let versions = inner.crates.entry(name.to_owned()).or_default();
        let is_it = |published: &&Version| published.line.get("vers").and_then(Value::as_str) == Some(version);
        if let Some(mut second) = versions.iter().find(is_it).cloned() {
            edit(&mut second.line);
            versions.push(second);
        }
    }

    /// Changes the index line of a version, as a dishonest registry or mirror would.
    pub fn edit_line(&self, name: &str, version: &str, edit: impl Fn(&mut Value)) {
        let mut inner = self.state.lock();
        for published in inner.crates.get_mut(name).into_iter().flatten() {
            if published.line.get("vers").and_then(Value::as_str) == Some(version) {
                edit(&mut published.line);
            }
        }
    }
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router(state: &Arc<State>) -> Router {
    Router::new()
        .route("/index/config.json", get(index::config))
        .route("/index/{*path}", get(index::file))
        .route("/dl/{name}/{version}/download", get(index::download))
        .route("/api/v1/crates/dl/{name}/{version}/download", get(index::download))
        .route("/elsewhere/config.json", get(index::config_here))
        .route("/elsewhere/{*path}", get(index::file_here))
        .fallback(index::kellnr)
        .route("/api/v1/crates/new", put(api::publish))
        .route("/api/v1/crates", get(api::search))
        .route("/api/v1/crates/{name}/{version}/yank", delete(api::yank))
        .route("/api/v1/crates/{name}/{version}/unyank", put(api::unyank))
        .route(
            "/api/v1/crates/{name}/owners",
            get(api::owners).put(api::add_owners).delete(api::remove_owners),
        )
        .layer(DefaultBodyLimit::max(UPLOAD_LIMIT))
        .layer(middleware::from_fn_with_state(Arc::clone(state), api::record))
        .with_state(Arc::clone(state))
}
