//! An OpenID Connect issuer on loopback with the tokens of every CI, and with every fault of theirs that hurt somebody.
//!
//! One service holds one issuer per [`Profile`], at `http://127.0.0.1:PORT/NAME` [OpenID Connect Discovery 1.0 §4].

mod answer;
mod fault;
pub mod keys;
mod profile;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    routing::{get, post},
};
use serde_json::{Map, Value, json};

pub use fault::{Endpoint, Fault};
pub use keys::Algorithm;
use keys::Keys;
pub use profile::{COMMIT, Profile};

use crate::{Error, service::Service};

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    service: Service,
    state: Arc<State>,
}

/// What the issuer's answers depend on.
#[derive(Debug)]
struct State {
    base: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    keys: Keys,
    algorithm: Algorithm,
    faults: BTreeMap<Endpoint, Fault>,
    /// Claims of the job behind each request token.
    jobs: BTreeMap<String, (Profile, Map<String, Value>)>,
    requests: Vec<String>,
    minted: u64,
}

/// Where a running job gets its tokens, and the secret it shows there.
#[derive(Clone, Debug)]
pub struct Job {
    /// GitHub's `ACTIONS_ID_TOKEN_REQUEST_URL`, with a query already.
    pub request_url: String,
    /// GitHub's `ACTIONS_ID_TOKEN_REQUEST_TOKEN`; Buildkite's agent token.
    pub request_token: String,
    /// The claims of every token of this job, without those that change per token.
    pub claims: Map<String, Value>,
}

/// GitHub's tokens live five minutes.
const LIFETIME: i64 = 300;

impl Issuer {
    /// Starts with one key of each kind and no faults.
    ///
    /// # Errors
    /// No port, or no keys.
    pub fn start() -> Result<Self, Error> {
        let inner = Inner {
            keys: Keys::generate(1)?,
            algorithm: Algorithm::Rs256,
            faults: BTreeMap::new(),
            jobs: BTreeMap::new(),
            requests: Vec::new(),
            minted: 0,
        };
        let mut shared = None;
        let service = Service::start(|base| {
            let state = Arc::new(State {
                base: base.to_owned(),
                inner: Mutex::new(inner),
            });
            shared = Some(Arc::clone(&state));
            router(state)
        })?;
        let state = shared.ok_or_else(|| Error::new("start the issuer", "it was given no router"))?;
        Ok(Self { service, state })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base(&self) -> String {
        self.service.url()
    }

    /// The issuer URL of a profile: what stands in `iss`.
    #[must_use]
    pub fn url(&self, profile: Profile) -> String {
        self.state.url(profile)
    }

    /// The subject alternative name of a certificate for this profile's usual token.
    #[must_use]
    pub fn subject(&self, profile: Profile) -> String {
        profile.subject(&self.base())
    }

    /// Every profile as `sigstore-server init --issuer` takes it.
    #[must_use]
    pub fn specifications(&self) -> Vec<String> {
        let base = self.base();
        Profile::ALL.map(|profile| profile.specification(&base)).to_vec()
    }

    /// A usual token of this profile for audience `sigstore`.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn token(&self, profile: Profile) -> Result<String, Error> {
        self.token_with(profile, &Map::new())
    }

    /// The same with other claims added or, where the value is `null`, taken away.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn token_with(&self, profile: Profile, changes: &Map<String, Value>) -> Result<String, Error> {
        let mut inner = self.state.lock();
        let mut claims = self.state.dated(&mut inner, profile, "sigstore", 0);
        claims.extend(profile.claims(&self.base()));
        for (name, value) in changes {
            if value.is_null() {
                claims.remove(name);
            } else {
                claims.insert(name.clone(), value.clone());
            }
        }
        inner.keys.sign(inner.algorithm, &Value::Object(claims))
    }

    /// Registers a job whose tokens carry the profile's usual claims with `changes`.
    #[must_use]
    pub fn job(&self, profile: Profile, changes: &Map<String, Value>) -> Job {
        let mut claims = profile.claims(&self.base());
        claims.extend(changes.clone());
        let mut inner = self.state.lock();
        let request_token = format!("request-token-{:032x}", rand::random::<u128>());
        inner.jobs.insert(request_token.clone(), (profile, claims.clone()));
        Job {
            request_url: format!("{}/idtoken/7c1f?api-version=2.0", self.url(profile)),
            request_token,
            claims,
        }
    }

    /// From now on `endpoint` does this wrong.
    pub fn inject(&self, endpoint: Endpoint, fault: Fault) {
        self.state.lock().faults.insert(endpoint, fault);
    }

    /// From now on everything is well again.
    pub fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// Replaces both keys; the old ones leave the key set at once.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn rotate_keys(&self) -> Result<(), Error> {
        let generation = self.state.lock().keys.generation() + 1;
        let keys = Keys::generate(generation)?;
        self.state.lock().keys = keys;
        Ok(())
    }

    /// Signs with this algorithm from now on.
    pub fn sign_with(&self, algorithm: Algorithm) {
        self.state.lock().algorithm = algorithm;
    }

    /// Every request so far, `METHOD PATH`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().requests.clone()
    }
}

impl State {
    fn url(&self, profile: Profile) -> String {
        format!("{}/{}", self.base, profile.name())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The claims that differ from token to token.
    fn dated(&self, inner: &mut Inner, profile: Profile, audience: &str, skew: i64) -> Map<String, Value> {
        inner.minted += 1;
        let now = now() + skew;
        let claims = json!({
            "iss": self.url(profile),
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "jti": format!("{:08x}-{:024x}", inner.minted, rand::random::<u64>()),
        });
        match claims {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/{profile}/.well-known/openid-configuration", get(answer::discovery))
        .route("/{profile}/.well-known/jwks", get(answer::keys))
        .route("/{profile}/idtoken/{run}", get(answer::github_token))
        .route("/{profile}/v3/jobs/{job}/oidc/tokens", post(answer::buildkite_token))
        .with_state(state)
}

/// Seconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
