//! Token checks [OpenID Connect Core 1.0 §3.1.3.7, OpenID Connect Discovery 1.0 §4].
//!
//! The issuer is chosen by the unverified `iss`, but only among those configured; signature, issuer, audience and times are checked
//! before a claim is believed. Nothing here prints a token or a claim's value.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use verify::{
    Budget, UnixTime,
    token::{UnverifiedToken, VerifiedToken},
};

use crate::{
    identity::{
        IdentityConfig,
        issuer::Issuer,
        principal::{Principal, PrincipalError},
    },
    provider::{KeySource, ProviderError},
};

/// Why a token buys no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Neither in the body nor in the `Authorization` header.
    #[error("no identity token in the body or the Authorization header")]
    Missing,
    /// Not a compact JWT within the limits.
    #[error("the identity token is malformed: {0}")]
    Malformed(verify::Error),
    /// Nobody configured this issuer.
    #[error("the token's issuer is not accepted here")]
    IssuerUnknown,
    /// The issuer cannot be asked for its keys right now.
    #[error("the issuer's keys cannot be fetched: {0}")]
    IssuerUnavailable(ProviderError),
    /// Wrong key, wrong algorithm, wrong signature.
    #[error("the token is not signed by its issuer: {0}")]
    Signature(verify::Error),
    /// `aud` does not name us.
    #[error("the token is meant for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `exp` or another mandatory claim is absent, or a claim cannot be certified.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    /// The same `jti` again, where the issuer's tokens are single-use.
    #[error("the token was used before")]
    Replayed,
    /// Too many single-use tokens are alive to remember one more.
    #[error("too many single-use tokens are alive")]
    ReplayCacheFull,
    /// The issuer's certificates of this minute are used up.
    #[error("the issuer's certificates of this minute are used up")]
    Rate,
}

impl TokenError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "identity-token-missing",
            Self::Malformed(_) => "identity-token-malformed",
            Self::IssuerUnknown => "identity-issuer-unknown",
            Self::IssuerUnavailable(_) => "identity-issuer-unavailable",
            Self::Signature(_) => "identity-token-signature",
            Self::Audience => "identity-token-audience",
            Self::Expired => "identity-token-expired",
            Self::NotYetValid => "identity-token-not-yet-valid",
            Self::Principal(PrincipalError::ClaimMissing { .. }) => "identity-claim-missing",
            Self::Principal(PrincipalError::ClaimMalformed { .. }) => "identity-claim-malformed",
            Self::Principal(PrincipalError::EmailNotVerified) => "identity-email-not-verified",
            Self::Principal(PrincipalError::SubjectAlternativeName) => "identity-subject-alternative-name",
            Self::Principal(PrincipalError::SubjectDomain) => "identity-subject-domain",
            Self::Replayed => "identity-token-replayed",
            Self::ReplayCacheFull => "identity-replay-cache-full",
            Self::Rate => "identity-issuer-rate",
        }
    }

    /// The reason class that clients act on: `issuer-unknown`, `audience`, `expired`, `claim-missing:NAME`, `signature`, ….
    #[must_use]
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Principal(PrincipalError::ClaimMissing { name }) => format!("claim-missing:{name}"),
            Self::Principal(PrincipalError::ClaimMalformed { name }) => format!("claim-malformed:{name}"),
            Self::Principal(PrincipalError::EmailNotVerified) => "email-not-verified".to_owned(),
            Self::Principal(PrincipalError::SubjectAlternativeName) => "subject-alternative-name".to_owned(),
            Self::Principal(PrincipalError::SubjectDomain) => "subject-domain".to_owned(),
            Self::Missing => "missing".to_owned(),
            Self::Malformed(_) => "malformed".to_owned(),
            Self::IssuerUnknown => "issuer-unknown".to_owned(),
            Self::IssuerUnavailable(_) => "issuer-unavailable".to_owned(),
            Self::Signature(_) => "signature".to_owned(),
            Self::Audience => "audience".to_owned(),
            Self::Expired => "expired".to_owned(),
            Self::NotYetValid => "not-yet-valid".to_owned(),
            Self::Replayed => "replayed".to_owned(),
            Self::ReplayCacheFull => "replay-cache-full".to_owned(),
            Self::Rate => "rate".to_owned(),
        }
    }

    /// What to try.
    #[must_use]
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Missing => "send credentials.oidcIdentityToken or Authorization: Bearer",
            Self::Malformed(_) => "send the compact form: three base64url parts and two dots",
            Self::IssuerUnknown => "GET /api/v2/configuration lists the accepted issuers",
            Self::IssuerUnavailable(_) | Self::ReplayCacheFull | Self::Rate => "try again shortly",
            Self::Signature(_) => "ask the issuer for a fresh token; its keys may have been rotated",
            Self::Audience => "ask the issuer for a token with the audience that /api/v2/configuration states",
            Self::Expired => "ask for the token right before signing",
            Self::NotYetValid => "compare the clocks of issuer and server",
            Self::Principal(PrincipalError::ClaimMissing { .. }) => {
                "the workflow must run where the issuer states this claim; GitLab child pipelines do not have all"
            }
            Self::Principal(_) => "see the documentation of this code",
            Self::Replayed => "ask for a fresh token for each certificate",
        }
    }
}

/// Checks tokens against the configured issuers.
#[derive(Debug)]
pub(crate) struct Authenticator {
    config: IdentityConfig,
    keys: KeySource,
    budget: Budget,
    used: Mutex<HashMap<(String, String), UnixTime>>,
    /// By configured issuer: a minute, and the certificates asked for in it.
    rates: Mutex<HashMap<String, (i64, u32)>>,
}

impl Authenticator {
    /// An authenticator for these issuers.
    ///
    /// # Errors
    /// [`ProviderError`] when no HTTP client can be made.
    pub(crate) fn new(config: IdentityConfig) -> Result<Self, ProviderError> {
        Ok(Self {
            config,
            keys: KeySource::new()?,
            budget: Budget::default(),
            used: Mutex::default(),
            rates: Mutex::default(),
        })
    }

    /// The configuration.
    pub(crate) const fn config(&self) -> &IdentityConfig {
        &self.config
    }

    /// Checks a compact token and returns who holds it.
    ///
    /// # Errors
    /// [`TokenError`], the first check that fails: form, issuer, signature, audience, times, claims, reuse.
    pub(crate) async fn authenticate(&self, text: &str, now: UnixTime) -> Result<Principal, TokenError> {
        let token = UnverifiedToken::parse(text, &self.budget).map_err(TokenError::Malformed)?;
        let stated = token.issuer().unwrap_or_default();
        let issuer = self.config.find(stated).ok_or(TokenError::IssuerUnknown)?;
        let verified = self.verify_signature(&token, stated, issuer).await?;
        check_audience(&verified, &issuer.audience)?;
        let expiry = check_times(&verified, now)?;
        let principal = Principal::from_claims(issuer, verified.claims())?;
        if let Some(limit) = issuer.certificates_per_minute {
            self.count(&issuer.url, limit, now)?;
        }
        if issuer.single_use_tokens {
            self.use_once(&verified, expiry, now)?;
        }
        Ok(principal)
    }

    async fn verify_signature(
        &self,
        token: &UnverifiedToken,
        stated: &str,
        issuer: &Arc<Issuer>,
    ) -> Result<VerifiedToken, TokenError> {
        let keys = self.keys.for_token(stated, issuer, token.key_id()).await;
        let keys = keys.map_err(TokenError::IssuerUnavailable)?;
        token.verify(&keys.set, &keys.algorithms).map_err(TokenError::Signature)
    }

    /// Counts a certificate against its issuer's limit. Only genuine tokens get here, so strangers cannot use it up.
    fn count(&self, issuer: &str, limit: u32, now: UnixTime) -> Result<(), TokenError> {
        let minute = now.as_secs().div_euclid(60);
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = rates.entry(issuer.to_owned()).or_insert((minute, 0));
        if entry.0 != minute {
            *entry = (minute, 0);
        }
        if entry.1 >= limit {
            return Err(TokenError::Rate);
        }
        entry.1 = entry.1.saturating_add(1);
        Ok(())
    }

    /// Remembers a `jti` until its token has expired.
    fn use_once(&self, token: &VerifiedToken, expiry: UnixTime, now: UnixTime) -> Result<(), TokenError> {
        let text = |name: &str| token.claims().get(name).and_then(serde_json::Value::as_str);
        let (Some(issuer), Some(id)) = (text("iss"), text("jti")) else {
            return Err(PrincipalError::ClaimMissing { name: "jti".to_owned() }.into());
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (issuer.to_owned(), id.to_owned());
        if used.contains_key(&key) {
            return Err(TokenError::Replayed);
        }
        if used.len() >= MAX_REMEMBERED_TOKENS {
            used.retain(|_, expiry| now <= *expiry);
        }
        if used.len() >= MAX_REMEMBERED_TOKENS {
            return Err(TokenError::ReplayCacheFull);
        }
        used.insert(key, expiry.plus_secs(LEEWAY_SECS));
        Ok(())
    }
}

/// `aud` is our audience or a list with it [RFC 7519 §4.1.3].
fn check_audience(token: &VerifiedToken, wanted: &str) -> Result<(), TokenError> {
    let named = match token.claims().get("aud") {
        Some(serde_json::Value::String(audience)) => audience == wanted,
        Some(serde_json::Value::Array(list)) => list.iter().any(|audience| audience.as_str() == Some(wanted)),
        _ => false,
    };
    if named { Ok(()) } else { Err(TokenError::Audience) }
}

/// `exp` is mandatory; `nbf` and `iat` must not lie ahead of our clock by more than the leeway [RFC 7519 §4.1.4 to §4.1.6].
fn check_times(token: &VerifiedToken, now: UnixTime) -> Result<UnixTime, TokenError> {
    let expiry = numeric_date(token, "exp")?;
    let expiry = expiry.ok_or_else(|| PrincipalError::ClaimMissing { name: "exp".to_owned() })?;
    if expiry <= now {
        return Err(TokenError::Expired);
    }
    for name in ["nbf", "iat"] {
        if numeric_date(token, name)?.is_some_and(|from| now.plus_secs(LEEWAY_SECS) < from) {
            return Err(TokenError::NotYetValid);
        }
    }
    Ok(expiry)
}

/// `NumericDate`: seconds, perhaps with a fraction that is cut off [RFC 7519 §2].
fn numeric_date(token: &VerifiedToken, name: &str) -> Result<Option<UnixTime>, TokenError> {
    let malformed = || PrincipalError::ClaimMalformed { name: name.to_owned() };
    match token.claims().get(name) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::Number(number)) => {
            let whole = number.to_string();
            let whole = whole.split('.').next().unwrap_or_default();
            let seconds = whole.parse().map_err(|_| malformed())?;
            Ok(Some(UnixTime::from_secs(seconds)))
        }
        Some(_) => Err(malformed().into()),
    }
}

/// For clocks that disagree; an expired token gets none, it can be asked for again.
const LEEWAY_SECS: i64 = 30;
/// About 30 MiB of identifiers at worst.
const MAX_REMEMBERED_TOKENS: usize = 100_000;
