//! Trusted publishing on crates.io's own two calls: a workflow's identity token buys a short-lived upload token, so that
//! registries without it get it and no long-lived token lies in a CI.
//!
//! Who may exchange is said by the policy's rules that carry an `owner-id`. This module decides, without input and
//! output, whether verified claims satisfy a rule, and what an upload token looks like.

mod claims;
pub(crate) mod keys;

use std::path::PathBuf;

use axum::http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use url::Url;
use verify::Sha256Digest;
use zeroize::Zeroizing;

pub(crate) use claims::{Claims, LEEWAY_SECS, refused_token};

use crate::policy::{RegistryPolicy, Rule};

/// Section `[trusted-publishing]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrustedPublishing {
    /// File with the registry's own token, which replaces an exchanged one when the gate forwards.
    #[serde(default)]
    pub registry_token_file: Option<PathBuf>,
    /// Environment variable with it, instead.
    #[serde(default)]
    pub registry_token_variable: Option<String>,
    /// Audience that identity tokens must name; without it the host of `public-url`, with or without its port.
    #[serde(default)]
    pub audience: Option<String>,
    /// How long an upload token lives, 15 to 30 minutes.
    #[serde(default = "half_an_hour")]
    pub lifetime_minutes: u8,
    /// Issuers, how their tokens look, and the server their repositories are on.
    #[serde(default = "github")]
    pub provider: Vec<Provider>,
}

/// An issuer whose tokens are exchanged.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Provider {
    /// How its tokens look.
    #[serde(default, rename = "type")]
    pub shape: Shape,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// URL below which its repositories are.
    pub server: String,
}

/// How a token says what ran; the names are those of `sigstore-server init --issuer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// As GitHub Actions.
    #[default]
    GithubWorkflow,
    /// As GitLab CI.
    GitlabPipeline,
}

impl TrustedPublishing {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.registry_token_file.is_some() == self.registry_token_variable.is_some() {
            return Err("trusted-publishing needs one of registry-token-file and registry-token-variable");
        }
        if !(15..=30).contains(&self.lifetime_minutes) {
            return Err("trusted-publishing.lifetime-minutes is 15 to 30");
        }
        let fit = |url: &str| url.starts_with("https://") || url.starts_with("http://127.0.0.1");
        if !self
            .provider
            .iter()
            .all(|provider| fit(&provider.issuer) && fit(&provider.server))
        {
            return Err("trusted-publishing.provider has https URLs");
        }
        Ok(())
    }

    /// The audiences that tokens may name: the configured one, else the host as `rust-lang/crates-io-auth-action` writes it.
    #[must_use]
    pub fn audiences(&self, public_url: &Url) -> Vec<String> {
        if let Some(audience) = &self.audience {
            return vec![audience.clone()];
        }
        let whole = public_url.as_str().split_once("://").map_or("", |(_, rest)| rest);
        let host = public_url.host_str().unwrap_or_default();
        vec![host.to_owned(), whole.trim_end_matches('/').to_owned()]
    }
}

/// The registry's own token. Never shown; wiped when dropped.
pub(crate) struct RegistryToken(Zeroizing<String>);

impl RegistryToken {
    pub(crate) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    /// The token, for the header that carries it.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl RegistryToken {
    /// `Authorization`, as cargo sends it; empty for what cannot be a header, which is refused at the start.
    pub(crate) fn header(&self) -> HeaderMap {
        let value = HeaderValue::from_str(self.secret()).map(|mut value| {
            value.set_sensitive(true);
            (header::AUTHORIZATION, value)
        });
        value.into_iter().collect()
    }
}

impl std::fmt::Debug for RegistryToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RegistryToken(…)")
    }
}

/// What an upload token is good for: the rule it was exchanged under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    issuer: String,
    identity: String,
    crates: Vec<String>,
    /// SHA-256 of the whole rule: whoever changes it takes its tokens back.
    rule: String,
}

impl Scope {
    fn of(rule: &Rule) -> Self {
        Self {
            issuer: rule.issuer.clone(),
            identity: match &rule.builder {
                Some(builder) => format!("{builder} called from {}", rule.caller()),
                None => rule.identity_pattern(),
            },
            crates: rule.crates.clone(),
            rule: Sha256Digest::of(serde_json::to_string(rule).unwrap_or_default().as_bytes()).to_string(),
        }
    }
}

/// Whether a crate is among a token's, under the policy in force: its first rule must be one the token was given for.
pub(crate) fn covers(scopes: &[Scope], policy: &RegistryPolicy, name: &str) -> bool {
    policy
        .rule_for(name)
        .is_some_and(|rule| scopes.contains(&Scope::of(rule)))
}

/// A new upload token: `cio_tp_`, 31 letters and digits, and one that checks them, as crates.io's.
pub(crate) fn upload_token() -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len().saturating_add(32)));
    text.push_str(PREFIX);
    for _ in 0..RANDOM {
        let position = rand::random_range(0..ALPHABET.len());
        text.push(ALPHABET.get(position).copied().map_or('0', char::from));
    }
    let check = check_character(&text);
    text.push(check);
    text
}

/// Whether an `Authorization` value is meant as an upload token.
pub(crate) fn as_upload_token(authorization: &str) -> Option<&str> {
    let bare = authorization.trim();
    let scheme = bare.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    let bare = scheme.and_then(|_| bare.get(7..)).unwrap_or(bare).trim();
    bare.starts_with(PREFIX).then_some(bare)
}

/// Whether its form and check character are right: a mistyped token needs no look into the database.
pub(crate) fn is_well_formed(token: &str) -> bool {
    let body = token.strip_prefix(PREFIX).unwrap_or_default();
    let all = body.len() == RANDOM.saturating_add(1) && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
    all && token
        .get(..token.len().saturating_sub(1))
        .is_some_and(|front| token.ends_with(check_character(front)))
}

/// Weighted sum over the alphabet, so that neighbours changing places shows.
fn check_character(text: &str) -> char {
    let sum = (1_u32..).zip(text.bytes()).fold(0_u32, |sum, (weight, byte)| {
        sum.wrapping_add(weight.wrapping_mul(u32::from(byte)))
    });
    let position = usize::try_from(sum)
        .unwrap_or(0)
        .checked_rem(ALPHABET.len())
        .unwrap_or(0);
    ALPHABET.get(position).copied().map_or('0', char::from)
}

const fn half_an_hour() -> u8 {
    30
}

fn github() -> Vec<Provider> {
    vec![Provider {
        shape: Shape::GithubWorkflow,
        issuer: "https://token.actions.githubusercontent.com".to_owned(),
        server: "https://github.com".to_owned(),
    }]
}

const PREFIX: &str = "cio_tp_";
const RANDOM: usize = 31;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_crates_ios_form_and_a_changed_character_shows() {
        let token = upload_token();
        assert_eq!(token.len(), 7 + 32);
        assert!(is_well_formed(&token));
        let mut swapped: Vec<char> = token.chars().collect();
        swapped[10] = if swapped[10] == 'A' { 'B' } else { 'A' };
        assert!(!is_well_formed(&swapped.iter().collect::<String>()));
        assert_eq!(as_upload_token(&format!("Bearer {}", *token)), Some(token.as_str()));
        assert_eq!(as_upload_token(&token), Some(token.as_str()));
        assert_eq!(as_upload_token("another"), None);
    }

    #[test]
    fn the_configuration_is_checked_and_the_registry_token_does_not_show() {
        let read = |text: &str| toml::from_str::<TrustedPublishing>(text).unwrap();
        let honest = read("registry-token-file = \"t\"");
        assert_eq!(honest.check(), Ok(()));
        assert_eq!(honest.provider[0].shape, Shape::GithubWorkflow);
        let gitlab = "[[provider]]\ntype = \"gitlab-pipeline\"\nissuer = \"https://g\"\nserver = \"https://g\"";
        let gitlab = read(&format!("registry-token-file = \"t\"\n{gitlab}"));
        assert_eq!(
            (gitlab.check(), gitlab.provider[0].shape),
            (Ok(()), Shape::GitlabPipeline)
        );
        let url = Url::parse("http://127.0.0.1:8090/").unwrap();
        assert_eq!(honest.audiences(&url), ["127.0.0.1", "127.0.0.1:8090"]);
        for wrong in ["", "registry-token-file = \"t\"\nlifetime-minutes = 60"] {
            assert!(read(wrong).check().is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", RegistryToken::new("secret")), "RegistryToken(…)");
    }
}
