//! Trusted publishing on crates.io's own two calls: a workflow's identity token buys a short-lived upload token, so that
//! registries without it get it and no long-lived token lies in a CI.
//!
//! Who may exchange is said by the policy's rules that carry an `owner-id`. This module decides, without input and
//! output, whether verified claims satisfy a rule, and what an upload token looks like.

pub(crate) mod keys;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;
use verify::UnixTime;
use zeroize::Zeroizing;

use crate::{decision::Finding, policy::RegistryPolicy, policy::Rule};

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
    /// Issuers whose tokens look like GitHub's, and the server their repositories are on.
    #[serde(default = "github")]
    pub provider: Vec<Provider>,
}

/// An issuer whose tokens look like those of GitHub Actions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Provider {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// URL below which its repositories are.
    pub server: String,
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
}

impl Scope {
    fn of(rule: &Rule) -> Self {
        Self {
            issuer: rule.issuer.clone(),
            identity: rule.identity_pattern(),
            crates: rule.crates.clone(),
        }
    }
}

/// Whether a crate is among a token's, under the policy in force: its first rule must be one the token was given for.
pub(crate) fn covers(scopes: &[Scope], policy: &RegistryPolicy, name: &str) -> bool {
    policy
        .rule_for(name)
        .is_some_and(|rule| scopes.contains(&Scope::of(rule)))
}

/// What of an identity token is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    repository: String,
    owner_id: String,
    workflow_ref: String,
    reference: String,
    environment: String,
    event: String,
    runner: String,
    /// Run that asked, for the log.
    pub(crate) run_id: String,
    /// Single use.
    pub(crate) token_id: String,
    /// When the token ends.
    pub(crate) expires: UnixTime,
}

impl Claims {
    /// Reads verified claims and checks audience and times, with a leeway of a minute as crates.io's.
    pub(crate) fn read(claims: &Map<String, Value>, audiences: &[String], now: UnixTime) -> Result<Self, Finding> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let required =
            |name: &'static str| text(name).ok_or_else(|| refused_token(format!("the token has no `{name}`")));
        if !text("aud").is_some_and(|audience| audiences.iter().any(|wanted| wanted == audience)) {
            return Err(refused_token(format!(
                "the token is for another audience than `{}`",
                audiences.last().map_or("", String::as_str)
            )));
        }
        let expires = time(claims, "exp")?.ok_or_else(|| refused_token("the token has no `exp`".to_owned()))?;
        let issued = time(claims, "iat")?.ok_or_else(|| refused_token("the token has no `iat`".to_owned()))?;
        if expires.plus_secs(LEEWAY_SECS) <= now {
            return Err(refused_token("the token has expired".to_owned()));
        }
        let soon = now.plus_secs(LEEWAY_SECS);
        if issued > soon || time(claims, "nbf")?.is_some_and(|from| from > soon) {
            return Err(refused_token("the token is from the future".to_owned()));
        }
        if expires > now.plus_secs(LONGEST_LIFE_SECS) {
            return Err(refused_token("the token lives longer than a day".to_owned()));
        }
        let optional = |name: &str| text(name).unwrap_or_default().to_owned();
        Ok(Self {
            repository: required("repository")?.to_owned(),
            owner_id: required("repository_owner_id")?.to_owned(),
            workflow_ref: required("workflow_ref")?.to_owned(),
            reference: required("ref")?.to_owned(),
            event: required("event_name")?.to_owned(),
            token_id: required("jti")?.to_owned(),
            environment: optional("environment"),
            runner: optional("runner_environment"),
            run_id: optional("run_id"),
            expires,
        })
    }

    /// The scopes of every rule that the claims satisfy.
    ///
    /// # Errors
    /// None does; the finding tells how far the nearest got.
    pub(crate) fn scopes(&self, policy: &RegistryPolicy, provider: &Provider) -> Result<Vec<Scope>, Finding> {
        if NEVER.contains(&self.event.as_str()) {
            return Err(refused_event(&self.event));
        }
        let mut scopes = Vec::new();
        let mut furthest = (0, NO_RULE);
        for rule in policy.rules().iter().filter(|rule| rule.issuer == provider.issuer) {
            match self.mismatch(rule, provider) {
                None if rule.deny_events.contains(&self.event) => furthest = (usize::MAX, "event_name"),
                None => scopes.push(Scope::of(rule)),
                Some(found) if found.0 >= furthest.0 => furthest = found,
                Some(_) => {}
            }
        }
        match (scopes.is_empty(), furthest.1) {
            (false, _) => Ok(scopes),
            (true, "event_name") => Err(refused_event(&self.event)),
            (true, claim) => Err(Finding {
                code: "gate-exchange-claims",
                cause: format!("no rule of the policy fits this workflow; the nearest differs in `{claim}`"),
                hint: "compare the token's claims with the rule: repository, owner-id, workflow, ref, environment, runner",
            }),
        }
    }

    /// The first claim in which they differ, and how many held before.
    fn mismatch(&self, rule: &Rule, provider: &Provider) -> Option<(usize, &'static str)> {
        let server = provider.server.trim_end_matches('/');
        let same = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
        };
        let checks = [
            (
                rule.repository
                    .eq_ignore_ascii_case(&format!("{server}/{}", self.repository)),
                "repository",
            ),
            // A rule without an owner id gives no tokens: the name may belong to somebody else by now.
            (
                rule.owner_id.as_deref() == Some(self.owner_id.as_str()),
                "repository_owner_id",
            ),
            (self.runs(&rule.workflow), "workflow_ref"),
            (rule.allows_ref(&self.reference), "ref"),
            (same(&rule.environment, &self.environment), "environment"),
            (same(&rule.runner, &self.runner), "runner_environment"),
        ];
        let mut numbered = (1..).zip(checks);
        numbered
            .find(|(_, (holds, _))| !holds)
            .map(|(number, (_, claim))| (number, claim))
    }

    /// Whether `workflow_ref` is this file of the repository, at a ref or commit. Both parts before `@` are known, so a
    /// further `@` in path or ref cannot shift the border.
    fn runs(&self, workflow: &str) -> bool {
        let Some((owner_and_name, rest)) = self.workflow_ref.split_at_checked(self.repository.len()) else {
            return false;
        };
        let at = rest
            .strip_prefix('/')
            .and_then(|rest| rest.strip_prefix(workflow)?.strip_prefix('@'));
        let commit = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        owner_and_name.eq_ignore_ascii_case(&self.repository)
            && at.is_some_and(|reference| reference.starts_with("refs/") || commit(reference))
    }
}

/// `NumericDate` in whole seconds [RFC 7519 §2].
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, Finding> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(seconds) => Ok(Some(UnixTime::from_secs(seconds))),
            None => Err(refused_token(format!("`{name}` is no time"))),
        },
    }
}

pub(crate) fn refused_token(cause: String) -> Finding {
    Finding {
        code: "gate-exchange-token",
        cause,
        hint: "ask the CI for a fresh token with the registry's host as audience, right before the exchange",
    }
}

fn refused_event(event: &str) -> Finding {
    Finding {
        code: "gate-exchange-event",
        cause: format!("a run that `{event}` started gets no upload token"),
        hint: "start the release by a push of its tag, by a release, or by hand",
    }
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
        issuer: "https://token.actions.githubusercontent.com".to_owned(),
        server: "https://github.com".to_owned(),
    }]
}

/// They run foreign code with the repository's rights; crates.io refuses them too.
const NEVER: [&str; 2] = ["pull_request_target", "workflow_run"];
const NO_RULE: &str = "iss";
/// As crates.io.
pub(crate) const LEEWAY_SECS: i64 = 60;
/// GitHub's live minutes, some hours; the longest bounds how long a `jti` is remembered.
const LONGEST_LIFE_SECS: i64 = 86_400;
const PREFIX: &str = "cio_tp_";
const RANDOM: usize = 31;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POLICY: &str = r#"
[[rule]]
crates = ["acme-*"]
issuer = "https://i.example"
repository = "https://github.com/acme/acme"
workflow = ".github/workflows/release.yml"
ref = "refs/tags/*"
owner-id = "7"
environment = "release"
deny-events = ["schedule"]
"#;

    fn provider() -> Provider {
        Provider {
            issuer: "https://i.example".to_owned(),
            server: "https://github.com".to_owned(),
        }
    }

    fn honest() -> Map<String, Value> {
        let claims = json!({
            "aud": "crates.example", "exp": 1300, "iat": 1000, "nbf": 1000, "jti": "1", "repository": "Acme/Acme",
            "repository_owner_id": "7", "ref": "refs/tags/v1", "event_name": "push", "environment": "Release",
            "workflow_ref": "Acme/Acme/.github/workflows/release.yml@refs/tags/v1", "run_id": "9",
        });
        claims.as_object().unwrap().clone()
    }

    fn exchange(claims: &Map<String, Value>, now: i64) -> Result<Vec<Scope>, Finding> {
        let policy = RegistryPolicy::from_toml(POLICY).unwrap();
        let claims = Claims::read(claims, &["crates.example".to_owned()], UnixTime::from_secs(now))?;
        claims.scopes(&policy, &provider())
    }

    #[test]
    fn every_claim_counts() {
        let scopes = exchange(&honest(), 1000).unwrap();
        let policy = RegistryPolicy::from_toml(POLICY).unwrap();
        assert!(covers(&scopes, &policy, "acme-core") && !covers(&scopes, &policy, "other"));
        let other = RegistryPolicy::from_toml(&POLICY.replace("release.yml", "other.yml")).unwrap();
        assert!(
            !covers(&scopes, &other, "acme-core"),
            "a changed rule takes the tokens back"
        );
        for (claim, value, code) in [
            ("aud", json!("crates.io"), "gate-exchange-token"),
            ("aud", json!(["crates.example"]), "gate-exchange-token"),
            ("exp", json!(null), "gate-exchange-token"),
            ("exp", json!(1_000_000), "gate-exchange-token"),
            ("iat", json!(1061), "gate-exchange-token"),
            ("nbf", json!(1061), "gate-exchange-token"),
            ("iat", json!("soon"), "gate-exchange-token"),
            ("jti", json!(""), "gate-exchange-token"),
            ("repository", json!("acme/other"), "gate-exchange-claims"),
            ("repository_owner_id", json!("8"), "gate-exchange-claims"),
            ("ref", json!("refs/heads/main"), "gate-exchange-claims"),
            ("environment", json!("test"), "gate-exchange-claims"),
            (
                "workflow_ref",
                json!("acme/acme/.github/workflows/evil.yml@refs/tags/v1"),
                "gate-exchange-claims",
            ),
            (
                "workflow_ref",
                json!("acme/acme/.github/workflows/release.yml@evil"),
                "gate-exchange-claims",
            ),
            (
                "workflow_ref",
                json!("acme/acme/.github/workflows/release.yml"),
                "gate-exchange-claims",
            ),
            ("event_name", json!("pull_request_target"), "gate-exchange-event"),
            ("event_name", json!("workflow_run"), "gate-exchange-event"),
            ("event_name", json!("schedule"), "gate-exchange-event"),
        ] {
            let mut claims = honest();
            claims.insert(claim.to_owned(), value.clone());
            assert_eq!(exchange(&claims, 1000).unwrap_err().code, code, "{claim} {value}");
        }
        assert!(
            exchange(&honest(), 1359).is_ok() && exchange(&honest(), 1360).is_err(),
            "a minute of leeway"
        );
    }

    #[test]
    fn a_rule_without_owner_id_gives_no_token() {
        let policy = RegistryPolicy::from_toml(&POLICY.replace("owner-id = \"7\"", "")).unwrap();
        let claims = Claims::read(&honest(), &["crates.example".to_owned()], UnixTime::from_secs(1000)).unwrap();
        assert_eq!(
            claims.scopes(&policy, &provider()).unwrap_err().code,
            "gate-exchange-claims"
        );
    }

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
        let url = Url::parse("http://127.0.0.1:8090/").unwrap();
        assert_eq!(honest.audiences(&url), ["127.0.0.1", "127.0.0.1:8090"]);
        for wrong in ["", "registry-token-file = \"t\"\nlifetime-minutes = 60"] {
            assert!(read(wrong).check().is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", RegistryToken::new("secret")), "RegistryToken(…)");
    }
}
