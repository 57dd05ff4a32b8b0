//! The keys of OIDC providers: discovery, key sets, and a cache that an attacker cannot make us refresh [OpenID Connect Discovery 1.0 §4].

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;
use verify::{
    Budget, json,
    token::{JsonWebKeySet, JwsAlgorithm},
};

use crate::identity::issuer::{Issuer, is_loopback};

/// Why an issuer's keys are not at hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// No HTTP client could be made: no certificates, or a `ca-cert` that is none.
    #[error("no HTTP client for the issuer")]
    Client,
    /// The issuer's URL gives no discovery URL.
    #[error("no discovery URL")]
    Url,
    /// Connection, TLS, time limit.
    #[error("{document} cannot be fetched")]
    Fetch {
        /// What document.
        document: &'static str,
    },
    /// Another status than 200, redirects to another host included.
    #[error("{document} was answered with status {status}")]
    Status {
        /// What document.
        document: &'static str,
        /// The status.
        status: u16,
    },
    /// Larger than any honest document, or not of its shape.
    #[error("{document} is malformed: {source}")]
    Document {
        /// What document.
        document: &'static str,
        /// What is wrong.
        source: verify::Error,
    },
    /// The discovery document names another issuer.
    #[error("the discovery document names another issuer")]
    IssuerMismatch,
    /// `jwks_uri` is not https.
    #[error("the discovery document's `jwks_uri` is not an https URL")]
    KeySetUrl,
    /// None of the issuer's algorithms is one of ours.
    #[error("the issuer signs with no supported algorithm")]
    Algorithms,
    /// A failure is remembered and the issuer left in peace.
    #[error("the issuer failed a moment ago")]
    RecentFailure,
    /// Too many different issuers behind patterns.
    #[error("too many issuers at once")]
    TooManyIssuers,
}

/// An issuer's keys and the algorithms that it may use.
#[derive(Clone, Debug)]
pub(crate) struct IssuerKeys {
    /// Its key set.
    pub(crate) set: JsonWebKeySet,
    /// RS256, ES256, `EdDSA`, as far as discovery lists them.
    pub(crate) algorithms: Vec<JwsAlgorithm>,
}

/// Fetches and caches key sets. One fetch at a time for each issuer.
#[derive(Debug)]
pub(crate) struct KeySource {
    http: reqwest::Client,
    issuers: Mutex<HashMap<String, Arc<Mutex<Cached>>>>,
    budget: Budget,
}

impl KeySource {
    /// An empty cache.
    ///
    /// # Errors
    /// [`ProviderError::Client`].
    pub(crate) fn new() -> Result<Self, ProviderError> {
        Ok(Self {
            http: http_client(None)?,
            issuers: Mutex::default(),
            budget: Budget::default(),
        })
    }

    /// The keys of the issuer that a token states; `key_id` is the token's `kid`.
    ///
    /// A cached set is good for an hour. A `kid` that is not in it causes a refresh, at most once a minute.
    ///
    /// # Errors
    /// [`ProviderError`] when there is no set at all.
    pub(crate) async fn for_token(
        &self,
        stated: &str,
        issuer: &Issuer,
        key_id: Option<&str>,
    ) -> Result<Arc<IssuerKeys>, ProviderError> {
        let slot = self.slot(stated).await?;
        let mut cached = slot.lock().await;
        let now = Instant::now();
        match cached.decide(key_id, now) {
            Decision::Use(keys) => Ok(keys),
            Decision::Fail(error) => Err(error),
            Decision::Fetch => {
                let fetched = self.fetch(stated, issuer).await;
                cached.store(fetched.map(Arc::new), now)
            }
        }
    }

    async fn slot(&self, stated: &str) -> Result<Arc<Mutex<Cached>>, ProviderError> {
        let mut issuers = self.issuers.lock().await;
        if let Some(slot) = issuers.get(stated) {
            return Ok(Arc::clone(slot));
        }
        if issuers.len() >= MAX_ISSUERS {
            let now = Instant::now();
            issuers.retain(|_, slot| slot.try_lock().map_or(true, |cached| cached.is_fresh(now)));
        }
        if issuers.len() >= MAX_ISSUERS {
            return Err(ProviderError::TooManyIssuers);
        }
        Ok(Arc::clone(issuers.entry(stated.to_owned()).or_default()))
    }

    async fn fetch(&self, stated: &str, issuer: &Issuer) -> Result<IssuerKeys, ProviderError> {
        let own_client = issuer
            .ca_cert
            .as_deref()
            .map(|pem| http_client(Some(pem)))
            .transpose()?;
        let http = own_client.as_ref().unwrap_or(&self.http);
        let discovery = format!("{}/.well-known/openid-configuration", stated.trim_end_matches('/'));
        let discovery = Url::parse(&discovery).map_err(|_| ProviderError::Url)?;
        let bytes = fetch_bytes(http, discovery, DISCOVERY).await?;
        let document: Discovery = json::parse_as(&bytes, DISCOVERY, MAX_DOCUMENT_BYTES, self.budget.json_depth)
            .map_err(|source| ProviderError::Document {
                document: DISCOVERY,
                source,
            })?;
        if document.issuer != stated {
            return Err(ProviderError::IssuerMismatch);
        }
        let algorithms = document.algorithms()?;
        let url = key_set_url(&document.jwks_uri, issuer.allow_loopback_http)?;
        let bytes = fetch_bytes(http, url, KEY_SET).await?;
        let set = JsonWebKeySet::from_json(&bytes, &self.budget).map_err(|source| ProviderError::Document {
            document: KEY_SET,
            source,
        })?;
        tracing::info!(issuer = stated, "fetched the issuer's keys");
        Ok(IssuerKeys { set, algorithms })
    }
}

/// What is known of one issuer.
#[derive(Debug, Default)]
struct Cached {
    keys: Option<(Arc<IssuerKeys>, Instant)>,
    failure: Option<(ProviderError, Instant)>,
    refreshed_for_unknown_key: Option<Instant>,
}

enum Decision {
    Use(Arc<IssuerKeys>),
    Fail(ProviderError),
    Fetch,
}

impl Cached {
    fn decide(&mut self, key_id: Option<&str>, now: Instant) -> Decision {
        let failed_recently = within(self.failure.as_ref().map(|(_, at)| *at), FAILURE_PAUSE, now);
        let Some((keys, fetched)) = &self.keys else {
            return match (&self.failure, failed_recently) {
                (Some(_), true) => Decision::Fail(ProviderError::RecentFailure),
                _ => Decision::Fetch,
            };
        };
        let known = key_id.is_none_or(|id| keys.set.contains(id));
        if known && within(Some(*fetched), MAX_AGE, now) {
            return Decision::Use(Arc::clone(keys));
        }
        if failed_recently || (!known && within(self.refreshed_for_unknown_key, UNKNOWN_KEY_PAUSE, now)) {
            return if within(Some(*fetched), MAX_STALE, now) {
                Decision::Use(Arc::clone(keys))
            } else {
                Decision::Fail(ProviderError::RecentFailure)
            };
        }
        if !known {
            self.refreshed_for_unknown_key = Some(now);
        }
        Decision::Fetch
    }

    fn store(
        &mut self,
        fetched: Result<Arc<IssuerKeys>, ProviderError>,
        now: Instant,
    ) -> Result<Arc<IssuerKeys>, ProviderError> {
        match fetched {
            Ok(keys) => {
                self.failure = None;
                self.keys = Some((Arc::clone(&keys), now));
                Ok(keys)
            }
            Err(error) => {
                tracing::warn!(error = error.to_string(), "cannot fetch an issuer's keys");
                self.failure = Some((error.clone(), now));
                match &self.keys {
                    Some((keys, fetched)) if within(Some(*fetched), MAX_STALE, now) => Ok(Arc::clone(keys)),
                    _ => Err(error),
                }
            }
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        let fetched = self.keys.as_ref().map(|(_, at)| *at);
        let failed = self.failure.as_ref().map(|(_, at)| *at);
        within(fetched, MAX_AGE, now) || within(failed, FAILURE_PAUSE, now)
    }
}

fn within(since: Option<Instant>, limit: Duration, now: Instant) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) < limit)
}

/// The members of a discovery document that we use.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    #[serde(default)]
    id_token_signing_alg_values_supported: Option<Vec<String>>,
}

impl Discovery {
    /// Ours among the issuer's; all of ours when it lists none.
    fn algorithms(&self) -> Result<Vec<JwsAlgorithm>, ProviderError> {
        let ours = [
            ("RS256", JwsAlgorithm::Rs256),
            ("ES256", JwsAlgorithm::Es256),
            ("EdDSA", JwsAlgorithm::EdDsa),
        ];
        let listed = |name: &str| match &self.id_token_signing_alg_values_supported {
            Some(list) => list.iter().any(|listed| listed == name),
            None => true,
        };
        let both: Vec<JwsAlgorithm> = ours
            .into_iter()
            .filter(|(name, _)| listed(name))
            .map(|(_, algorithm)| algorithm)
            .collect();
        if both.is_empty() {
            Err(ProviderError::Algorithms)
        } else {
            Ok(both)
        }
    }
}

fn key_set_url(text: &str, allow_loopback_http: bool) -> Result<Url, ProviderError> {
    let url = Url::parse(text).map_err(|_| ProviderError::KeySetUrl)?;
    let allowed = url.scheme() == "https" || (allow_loopback_http && url.scheme() == "http" && is_loopback(&url));
    if allowed {
        Ok(url)
    } else {
        Err(ProviderError::KeySetUrl)
    }
}

/// Time limits, no proxy surprises, and redirects only within the host (a cross-host redirect would choose our issuer for us).
fn http_client(ca_cert: Option<&str>) -> Result<reqwest::Client, ProviderError> {
    let redirects = reqwest::redirect::Policy::custom(|attempt| {
        let same_host = attempt
            .previous()
            .first()
            .is_some_and(|first| first.host() == attempt.url().host() && first.scheme() == attempt.url().scheme());
        if same_host && attempt.previous().len() <= MAX_REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    let builder = reqwest::Client::builder()
        .user_agent(concat!("sigstore-server/", env!("CARGO_PKG_VERSION")))
        .timeout(TIME_LIMIT)
        .connect_timeout(CONNECT_LIMIT)
        .redirect(redirects);
    let builder = match ca_cert {
        Some(pem) => {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
            builder.tls_certs_only(certificates.map_err(|_| ProviderError::Client)?)
        }
        None => builder,
    };
    builder.build().map_err(|_| ProviderError::Client)
}

async fn fetch_bytes(http: &reqwest::Client, url: Url, document: &'static str) -> Result<Vec<u8>, ProviderError> {
    let fetch = |_| ProviderError::Fetch { document };
    let mut response = http.get(url).send().await.map_err(fetch)?;
    if response.status() != reqwest::StatusCode::OK {
        let status = response.status().as_u16();
        return Err(ProviderError::Status { document, status });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fetch)? {
        if bytes.len().saturating_add(chunk.len()) > MAX_DOCUMENT_BYTES {
            let source = verify::Error::TooLarge {
                what: document,
                limit: MAX_DOCUMENT_BYTES,
            };
            return Err(ProviderError::Document { document, source });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

const DISCOVERY: &str = "discovery document";
const KEY_SET: &str = "key set";
/// Fulcio's limit for discovery.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const MAX_REDIRECTS: usize = 3;
/// Large providers have about 20 KiB.
const MAX_DOCUMENT_BYTES: usize = 256 << 10;
/// Keys withdrawn by the issuer are believed no longer than this.
const MAX_AGE: Duration = Duration::from_hours(1);
/// While the issuer cannot be reached, its last keys serve this long.
const MAX_STALE: Duration = Duration::from_hours(6);
/// As crates.io's verifier: one refresh a minute for a `kid` we do not know.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_mins(1);
/// A failing issuer is asked again after this.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Exact issuers are few; patterns could name any number. Fulcio keeps 100.
const MAX_ISSUERS: usize = 1000;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may be blunt")]
mod tests {
    use super::*;

    fn keys() -> Arc<IssuerKeys> {
        let set = JsonWebKeySet::from_json(br#"{"keys":[]}"#, &Budget::default()).unwrap();
        Arc::new(IssuerKeys {
            set,
            algorithms: vec![JwsAlgorithm::Es256],
        })
    }

    #[test]
    fn an_unknown_key_refreshes_once_a_minute() {
        let start = Instant::now();
        let mut cached = Cached::default();
        assert!(matches!(cached.decide(Some("a"), start), Decision::Fetch));
        cached.store(Ok(keys()), start).unwrap();
        assert!(matches!(cached.decide(Some("a"), start), Decision::Fetch));
        cached.store(Ok(keys()), start).unwrap();
        for seconds in [0, 1, 59] {
            let at = start + Duration::from_secs(seconds);
            assert!(matches!(cached.decide(Some("b"), at), Decision::Use(_)));
        }
        let later = start + UNKNOWN_KEY_PAUSE;
        assert!(matches!(cached.decide(Some("b"), later), Decision::Fetch));
    }

    #[test]
    fn a_failure_is_remembered_and_old_keys_serve_meanwhile() {
        let start = Instant::now();
        let mut cached = Cached::default();
        cached.store(Err(ProviderError::Url), start).unwrap_err();
        assert!(matches!(
            cached.decide(None, start),
            Decision::Fail(ProviderError::RecentFailure)
        ));
        let later = start + FAILURE_PAUSE;
        assert!(matches!(cached.decide(None, later), Decision::Fetch));
        cached.store(Ok(keys()), later).unwrap();
        let old = later + MAX_AGE;
        assert!(matches!(cached.decide(None, old), Decision::Fetch));
        assert!(cached.store(Err(ProviderError::Url), old).is_ok());
        assert!(matches!(cached.decide(None, old), Decision::Use(_)));
        let too_old = later + MAX_STALE;
        assert!(matches!(cached.decide(None, too_old), Decision::Fetch));
        assert!(cached.store(Err(ProviderError::Url), too_old).is_err());
    }

    #[test]
    fn an_issuer_without_a_common_algorithm_is_refused() {
        let with = |list: Option<Vec<&str>>| Discovery {
            issuer: String::new(),
            jwks_uri: String::new(),
            id_token_signing_alg_values_supported: list.map(|l| l.into_iter().map(str::to_owned).collect()),
        };
        assert_eq!(with(None).algorithms().unwrap().len(), 3);
        assert_eq!(
            with(Some(vec!["ES256", "none"])).algorithms().unwrap(),
            [JwsAlgorithm::Es256]
        );
        assert_eq!(with(Some(vec!["HS256"])).algorithms(), Err(ProviderError::Algorithms));
    }

    #[test]
    fn key_sets_travel_over_https_only() {
        assert!(key_set_url("https://h/keys", false).is_ok());
        assert!(key_set_url("http://127.0.0.1:1/keys", true).is_ok());
        assert_eq!(
            key_set_url("http://127.0.0.1:1/keys", false),
            Err(ProviderError::KeySetUrl)
        );
        assert_eq!(
            key_set_url("http://example.com/keys", true),
            Err(ProviderError::KeySetUrl)
        );
    }
}
