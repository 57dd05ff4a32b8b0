//! The gate's configuration, one TOML file.
//!
//! ```toml
//! listen = "127.0.0.1:8090"
//! public-url = "http://127.0.0.1:8090"
//! trust = "trust_config.json"
//! policy = "policy.toml"
//! data = "gate-data"
//!
//! [upstream]
//! index = "http://127.0.0.1:8091/index/"
//!
//! [evidence]
//! attestations = "http://127.0.0.1:8080"
//! ```

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;
use url::Url;

use crate::login::Login;

use crate::{
    attest::AttestConfig,
    mirror::{CRATES_IO, MirrorConfig},
    operation::Operation,
    trusted_publishing::TrustedPublishing,
    webhook::Webhook,
};

/// What the gate stands before, whom it believes and where it keeps its verdicts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// URL under which clients reach the gate, without a trailing slash.
    pub public_url: Url,
    /// Client trust configuration or trusted root, JSON.
    pub trust: PathBuf,
    /// Policy file.
    pub policy: PathBuf,
    /// Folder of the verdicts.
    pub data: PathBuf,
    /// The registry behind the gate.
    pub upstream: Upstream,
    /// Where evidence is found.
    pub evidence: EvidenceSource,
    /// With what the registry signs what it accepted; without it signs nothing.
    #[serde(default)]
    pub attest: Option<AttestConfig>,
    /// Whether, and for which source, the gate is a mirror that takes no publishes.
    #[serde(default)]
    pub mirror: Option<MirrorConfig>,
    /// Largest `.crate`, in bytes.
    #[serde(default = "default_archive_bytes")]
    pub archive_bytes: u64,
    /// Exchange of identity tokens for upload tokens.
    #[serde(default)]
    pub trusted_publishing: Option<TrustedPublishing>,
    /// Receiver of the registry's webhooks.
    #[serde(default)]
    pub webhook: Option<Webhook>,
    /// Limits.
    #[serde(default)]
    pub operation: Operation,
}

/// The registry behind the gate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Upstream {
    /// Sparse index URL, ending in `/`, without `sparse+`; read without its user name and password.
    pub index: Url,
    /// User name and password that the index URL had.
    #[serde(skip)]
    pub login: Option<Login>,
    /// Other index URLs of the same registry, as manifests published there name it: its address before the gate stood there.
    #[serde(default)]
    pub also_known_as: Vec<String>,
    /// Whether the registry mirrors crates.io: dependencies without a registry are then its own.
    #[serde(default)]
    pub mirrors_crates_io: bool,
}

/// Where evidence is found.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvidenceSource {
    /// Base URL of the attestation store.
    pub attestations: Url,
}

/// A message that quotes the configuration, without what stands before an `@`: a URL may have a password there.
fn without_logins(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut pieces = message.split('@').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            kept.push_str(piece);
        } else {
            let begins = |letter: char| letter.is_whitespace() || matches!(letter, '/' | '"' | '\'');
            kept.push_str(piece.trim_end_matches(|letter| !begins(letter)));
            kept.push_str("…@");
        }
    }
    kept
}

impl Config {
    /// Reads a configuration; relative paths are taken from the folder of the file by the caller.
    ///
    /// # Errors
    /// What is wrong, with line and field, and without any password that stands there.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| without_logins(&error.to_string()))?;
        config.upstream.login = Login::take_from(&mut config.upstream.index);
        let http = |url: &Url| matches!(url.scheme(), "http" | "https");
        if !http(&config.public_url) || !http(&config.upstream.index) || !http(&config.evidence.attestations) {
            return Err("URLs start with http:// or https://".to_owned());
        }
        if !config.upstream.index.path().ends_with('/') {
            return Err("upstream.index ends with `/`, as in the index URL of cargo's configuration".to_owned());
        }
        let section = config.trusted_publishing.as_ref();
        section
            .map_or(Ok(()), TrustedPublishing::check)
            .and_then(|()| config.operation.check())
            .map_err(str::to_owned)?;
        Ok(config)
    }

    /// Every index URL that the registry is known by, as cargo writes it: through the gate first, then its own and its former ones.
    #[must_use]
    pub fn index_urls(&self) -> Vec<String> {
        let public = self.public_url.as_str().trim_end_matches('/');
        let own = &self.upstream.index;
        let mut urls = vec![
            format!("sparse+{}", self.index_url()),
            format!("sparse+{public}{}", own.path()),
            format!("sparse+{own}"),
        ];
        urls.extend(self.upstream.also_known_as.iter().cloned());
        let mut known = std::collections::BTreeSet::new();
        urls.retain(|url| known.insert(url.clone()));
        urls
    }

    /// An address in the registry's `config.json`, with the registry's own origin in the place of this gate's: a registry that is
    /// set up to be reached through the gate names it.
    #[must_use]
    pub fn behind(&self, address: &str) -> String {
        let public = self.public_url.as_str().trim_end_matches('/');
        let rest = address.strip_prefix(public);
        rest.filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .map_or_else(
                || address.to_owned(),
                |rest| format!("{}{rest}", self.upstream.index.origin().ascii_serialization()),
            )
    }

    /// Whether dependencies without a registry are of the registry behind the gate.
    #[must_use]
    pub fn mirrors_crates_io(&self) -> bool {
        let mirror = self.mirror.as_ref();
        self.upstream.mirrors_crates_io || mirror.is_some_and(|mirror| mirror.source == CRATES_IO)
    }

    /// Index URL as clients of the gate write it, without `sparse+`.
    #[must_use]
    pub fn index_url(&self) -> String {
        format!("{}/index/", self.public_url.as_str().trim_end_matches('/'))
    }
}

/// crates.io's own default.
const fn default_archive_bytes() -> u64 {
    10 << 20
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: &str = r#"
listen = "127.0.0.1:0"
public-url = "http://127.0.0.1:8090/"
trust = "trust_config.json"
policy = "policy.toml"
data = "data"
[upstream]
index = "http://127.0.0.1:8091/index/"
[evidence]
attestations = "http://127.0.0.1:8080"
"#;

    #[test]
    fn an_honest_file_is_read() {
        let config = Config::from_toml(HONEST).unwrap();
        assert_eq!(config.index_url(), "http://127.0.0.1:8090/index/");
        assert_eq!(config.archive_bytes, 10 << 20);
    }

    #[test]
    fn a_registry_that_names_the_gate_is_found_behind_it() {
        let config = Config::from_toml(HONEST).unwrap();
        for (named, found) in [
            ("http://127.0.0.1:8090", "http://127.0.0.1:8091"),
            (
                "http://127.0.0.1:8090/api/v1/crates/dl/{crate}",
                "http://127.0.0.1:8091/api/v1/crates/dl/{crate}",
            ),
            ("http://127.0.0.1:80900/dl", "http://127.0.0.1:80900/dl"),
            ("https://static.example/{crate}", "https://static.example/{crate}"),
        ] {
            assert_eq!(config.behind(named), found);
        }
    }

    #[test]
    fn a_password_is_kept_apart_and_not_printed() {
        let text = HONEST.replace("http://127.0.0.1:8091", "http://gate:s3cret@127.0.0.1:8091");
        let config = Config::from_toml(&text).unwrap();
        assert_eq!(config.upstream.index.as_str(), "http://127.0.0.1:8091/index/");
        assert!(config.upstream.login.is_some());
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(Config::from_toml(HONEST).unwrap().upstream.login.is_none());
        for (from, to) in [
            ("index = ", "indx = "),
            ("http://gate", "http//gate"),
            ("http://gate", "gate"),
            ("gate:", "ga\nte:"),
        ] {
            let error = Config::from_toml(&text.replacen(from, to, 1)).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
        let error = Config::from_toml(&text.replacen("index = ", "indx = ", 1)).unwrap_err();
        assert!(
            error.contains("indx") && error.contains("http://…@127.0.0.1:8091"),
            "{error}"
        );
    }

    #[test]
    fn wrong_files_are_refused() {
        for (from, to) in [
            ("listen", "lisen"),
            ("127.0.0.1:0", "127.0.0.1"),
            ("http://127.0.0.1:8091/index/", "http://127.0.0.1:8091/index"),
            ("http://127.0.0.1:8080", "file:///etc/passwd"),
            ("[evidence]", "[other]"),
            ("[evidence]", "[operation]\nrequests = 0\n[evidence]"),
        ] {
            assert!(HONEST.contains(from));
            assert!(Config::from_toml(&HONEST.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
