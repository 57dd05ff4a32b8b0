//! The signing keys of CI issuers: discovered, cached, and not refreshed at an attacker's wish [OpenID Connect Discovery 1.0 §4].

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;
use verify::{Budget, json, token::JsonWebKeySet};

/// Why an issuer's keys are not at hand.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum KeysError {
    /// Connection, TLS, time limit, status, size.
    #[error("{0} cannot be fetched")]
    Fetch(&'static str),
    /// Not a document of its kind.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// The discovery document is another issuer's, or its keys are elsewhere than on https.
    #[error("the discovery document names another issuer or no https key set")]
    Issuer,
    /// It failed a moment ago and is left in peace.
    #[error("the issuer failed a moment ago")]
    Recent,
}

/// Key sets by issuer. The callers ask for configured issuers only, so it stays small.
#[derive(Debug)]
pub(crate) struct IssuerKeys {
    http: reqwest::Client,
    kept: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    keys: Option<(JsonWebKeySet, Instant)>,
    /// When it was last asked, whatever came of it.
    asked: Option<Instant>,
    failed: Option<Instant>,
}

impl IssuerKeys {
    /// An empty cache.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("crates-plugin/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(LIMIT)
            .build()?;
        Ok(Self {
            http,
            kept: Mutex::default(),
        })
    }

    /// The keys of an issuer, refreshed for a `kid` it did not have, at most once a minute.
    pub(crate) async fn of(&self, issuer: &str, key_id: &str) -> Result<JsonWebKeySet, KeysError> {
        let now = Instant::now();
        // Held over the fetch: a crowd of tokens causes one.
        let mut kept = self.kept.lock().await;
        let kept = kept.entry(issuer.to_owned()).or_default();
        if let Some(keys) = kept.fit(key_id, now) {
            return Ok(keys);
        }
        if within(kept.failed, FAILURE_PAUSE, now) {
            return Err(KeysError::Recent);
        }
        kept.asked = Some(now);
        match self.fetch(issuer).await {
            Ok(keys) => {
                kept.failed = None;
                kept.keys = Some((keys.clone(), now));
                Ok(keys)
            }
            Err(error) => {
                tracing::warn!(issuer, %error, "cannot fetch an issuer's keys");
                kept.failed = Some(now);
                Err(error)
            }
        }
    }

    async fn fetch(&self, issuer: &str) -> Result<JsonWebKeySet, KeysError> {
        let budget = Budget::default();
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let bytes = self.bytes(&url, DISCOVERY).await?;
        let found: Discovery = json::parse_as(&bytes, DISCOVERY, DOCUMENT_BYTES, budget.json_depth)
            .map_err(|_| KeysError::Malformed(DISCOVERY))?;
        let keys = Url::parse(&found.jwks_uri).map_err(|_| KeysError::Issuer)?;
        // An issuer on loopback is one of a sandbox; its keys are there too.
        let loopback = issuer.starts_with("http://127.0.0.1") && keys.host_str() == Some("127.0.0.1");
        if found.issuer != issuer || !(keys.scheme() == "https" || loopback) {
            return Err(KeysError::Issuer);
        }
        let bytes = self.bytes(keys.as_str(), KEY_SET).await?;
        JsonWebKeySet::from_json(&bytes, &budget).map_err(|_| KeysError::Malformed(KEY_SET))
    }

    async fn bytes(&self, url: &str, what: &'static str) -> Result<Vec<u8>, KeysError> {
        let failed = |_| KeysError::Fetch(what);
        let mut answer = self.http.get(url).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(KeysError::Fetch(what));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len().saturating_add(chunk.len()) > DOCUMENT_BYTES {
                return Err(KeysError::Malformed(what));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

impl Kept {
    /// Cached keys that may be used: with the wanted one, or when it was asked for less than a minute ago.
    fn fit(&self, key_id: &str, now: Instant) -> Option<JsonWebKeySet> {
        let (keys, at) = self.keys.as_ref()?;
        let fresh = within(Some(*at), MAX_AGE, now);
        let fits = fresh && (keys.contains(key_id) || within(self.asked, UNKNOWN_KEY_PAUSE, now));
        fits.then(|| keys.clone())
    }
}

fn within(since: Option<Instant>, limit: Duration, now: Instant) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) < limit)
}

/// The members that are used.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

const DISCOVERY: &str = "discovery document";
const KEY_SET: &str = "key set";
/// As crates.io's verifier.
const LIMIT: Duration = Duration::from_secs(5);
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_mins(1);
/// Withdrawn keys are believed no longer.
const MAX_AGE: Duration = Duration::from_hours(1);
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Large providers have about 20 KiB.
const DOCUMENT_BYTES: usize = 256 << 10;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may be blunt")]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_asks_once_a_minute_and_old_keys_end() {
        let start = Instant::now();
        let set = JsonWebKeySet::from_json(br#"{"keys":[]}"#, &Budget::default()).unwrap();
        let kept = Kept {
            keys: Some((set, start)),
            asked: Some(start),
            failed: None,
        };
        assert!(kept.fit("x", start + Duration::from_secs(59)).is_some());
        assert!(kept.fit("x", start + UNKNOWN_KEY_PAUSE).is_none());
        let old = Kept {
            asked: Some(start + MAX_AGE),
            ..kept
        };
        assert!(old.fit("x", start + MAX_AGE).is_none());
    }
}
