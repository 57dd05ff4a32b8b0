//! Fulcio's identity configuration [fulcio config/identity/config.yaml], read unchanged and compiled at load.
//!
//! Three keys are ours, each per issuer: `allow-loopback-http`, `single-use-tokens`, `certificates-per-minute`. Types beyond
//! `ci-provider`, `email` and `uri` are refused at load: an operator must not believe that somebody can sign who cannot.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Deserialize;
use url::Url;
use verify::identity::Claim;

use super::{
    issuer::{Issuer, IssuerKind, Provider, is_loopback, issuer_url},
    template::{Template, TemplateError, Values},
};

/// Why an identity configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Larger than [`MAX_BYTES`].
    #[error("identity configuration is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Not YAML of the right shape.
    #[error("identity configuration is not valid YAML of its kind: {detail}")]
    Yaml {
        /// The parser's words: line, column, member.
        detail: String,
    },
    /// No issuer at all.
    #[error("identity configuration names no issuer")]
    Empty,
    /// An issuer URL that is not absolute `https`.
    #[error("issuer `{found}` is not an absolute https URL")]
    IssuerUrl {
        /// The text, cut at 200 characters.
        found: String,
    },
    /// The map key and `issuer-url` differ.
    #[error("issuer `{issuer}` is listed under another URL")]
    IssuerMismatch {
        /// The `issuer-url`.
        issuer: String,
    },
    /// An issuer of a type that this server does not serve.
    #[error("issuer `{issuer}` has the unsupported type `{found}`")]
    IssuerType {
        /// The issuer.
        issuer: String,
        /// Its type.
        found: String,
    },
    /// An issuer without its audience.
    #[error("issuer `{issuer}` has no `client-id`")]
    Audience {
        /// The issuer.
        issuer: String,
    },
    /// A `ci-provider` without metadata.
    #[error("issuer `{issuer}` names the unknown provider `{provider}`")]
    Provider {
        /// The issuer.
        issuer: String,
        /// The provider's name.
        provider: String,
    },
    /// An extension that no OID is known for.
    #[error("provider `{provider}` has a template for the unknown extension `{extension}`")]
    Extension {
        /// The provider's name.
        provider: String,
        /// The extension's name.
        extension: String,
    },
    /// A template outside the subset.
    #[error("provider `{provider}`, template `{template}`: {source}")]
    Template {
        /// The provider's name.
        provider: String,
        /// Which template.
        template: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// A `subject-domain` that is missing, no URL, or foreign to the issuer.
    #[error("issuer `{issuer}` needs a `subject-domain` with scheme and host, in the issuer's own domain")]
    SubjectDomain {
        /// The issuer.
        issuer: String,
    },
    /// An `issuer-claim` that is no simple path, or outside type `email`.
    #[error("issuer `{issuer}` has an `issuer-claim` other than `$.name.name` or outside type `email`")]
    IssuerClaim {
        /// The issuer.
        issuer: String,
    },
    /// A `challenge-claim` other than the type's own.
    #[error("issuer `{issuer}` has a `challenge-claim` that its type does not use")]
    ChallengeClaim {
        /// The issuer.
        issuer: String,
    },
    /// A malformed `--issuer` flag.
    #[error("malformed --issuer: {reason}")]
    Flag {
        /// What is wrong.
        reason: &'static str,
    },
}

impl IdentityError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "identity-config-too-large",
            Self::Yaml { .. } => "identity-config-yaml",
            Self::Empty => "identity-config-empty",
            Self::IssuerUrl { .. } => "identity-config-issuer-url",
            Self::IssuerMismatch { .. } => "identity-config-issuer-mismatch",
            Self::IssuerType { .. } => "identity-config-issuer-type",
            Self::Audience { .. } => "identity-config-audience",
            Self::Provider { .. } => "identity-config-provider",
            Self::Extension { .. } => "identity-config-extension",
            Self::Template { .. } => "identity-config-template",
            Self::SubjectDomain { .. } => "identity-config-subject-domain",
            Self::IssuerClaim { .. } => "identity-config-issuer-claim",
            Self::ChallengeClaim { .. } => "identity-config-challenge-claim",
            Self::Flag { .. } => "issuer-flag",
        }
    }

    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Flag { .. } => {
                "write --issuer URL,type=github-workflow (or gitlab-pipeline, forgejo-actions, buildkite-job, email, uri)"
            }
            Self::IssuerUrl { .. } => "use https; http is accepted only on loopback, with `allow-loopback-http: true`",
            Self::IssuerType { .. } => "supported types: ci-provider, email, uri",
            Self::TooLarge
            | Self::Yaml { .. }
            | Self::Empty
            | Self::IssuerMismatch { .. }
            | Self::Audience { .. }
            | Self::Provider { .. }
            | Self::Extension { .. }
            | Self::Template { .. }
            | Self::SubjectDomain { .. }
            | Self::IssuerClaim { .. }
            | Self::ChallengeClaim { .. } => "correct identity.yaml and start again",
        }
    }
}

/// The issuers that this server accepts, compiled.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    exact: HashMap<String, Arc<Issuer>>,
    wildcard: Vec<(Pattern, Arc<Issuer>)>,
}

impl IdentityConfig {
    /// Reads a configuration, at most 1 MiB of YAML (or JSON, which is YAML).
    ///
    /// # Errors
    /// [`IdentityError`], the first thing that is wrong.
    pub fn from_yaml(text: &str) -> Result<Self, IdentityError> {
        if text.len() > MAX_BYTES {
            return Err(IdentityError::TooLarge);
        }
        let document: Document =
            serde_saphyr::from_str(&with_alias_keys(text)).map_err(|error| IdentityError::Yaml {
                detail: error.to_string().chars().take(300).collect(),
            })?;
        document.compile()
    }

    /// The issuer of exactly this URL, else the first pattern that matches all of it.
    pub(crate) fn find(&self, issuer: &str) -> Option<&Arc<Issuer>> {
        self.exact.get(issuer).or_else(|| {
            let matching = |(pattern, _): &&(Pattern, _)| pattern.matches(issuer);
            self.wildcard.iter().find(matching).map(|(_, issuer)| issuer)
        })
    }

    /// Every issuer, those with exact URLs first, each group sorted, and whether it is a pattern.
    pub(crate) fn issuers(&self) -> Vec<(&Issuer, bool)> {
        let mut all: Vec<(&Issuer, bool)> = self.exact.values().map(|issuer| (issuer.as_ref(), false)).collect();
        all.extend(self.wildcard.iter().map(|(_, issuer)| (issuer.as_ref(), true)));
        all.sort_by(|(a, a_wild), (b, b_wild)| (a_wild, &a.url).cmp(&(b_wild, &b.url)));
        all
    }
}

/// Sets the colon apart from an alias that is a key, as in `*github-type:`. The public file spells it so and Go's parser reads it,
/// while to YAML 1.2.2 §7.1 the colon belongs to the alias.
fn with_alias_keys(text: &str) -> String {
    let separated = |line: &str| {
        let key = line.trim().strip_prefix('*')?.strip_suffix(':')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let indent = line.split('*').next()?;
        (!key.is_empty() && key.bytes().all(plain)).then(|| format!("{indent}*{key} :"))
    };
    let lines = text
        .lines()
        .map(|line| separated(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Document {
    /// YAML anchors of the public file; means nothing by itself.
    #[serde(default, rename = "define")]
    _define: Option<serde_json::Value>,
    #[serde(default)]
    oidc_issuers: BTreeMap<String, IssuerEntry>,
    #[serde(default)]
    meta_issuers: BTreeMap<String, IssuerEntry>,
    #[serde(default)]
    ci_issuer_metadata: BTreeMap<String, ProviderEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct IssuerEntry {
    issuer_url: Option<String>,
    client_id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    ci_provider: Option<String>,
    issuer_claim: Option<String>,
    subject_domain: Option<String>,
    challenge_claim: Option<String>,
    ca_cert: Option<String>,
    #[serde(default)]
    skip_email_verification: bool,
    #[serde(default)]
    allow_loopback_http: bool,
    #[serde(default)]
    single_use_tokens: bool,
    certificates_per_minute: Option<u32>,
    #[serde(default, rename = "spiffe-trust-domain")]
    _spiffe_trust_domain: Option<String>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "contact")]
    _contact: Option<String>,
    #[serde(default, rename = "environment")]
    _environment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ProviderEntry {
    #[serde(default)]
    default_template_values: BTreeMap<String, String>,
    #[serde(default)]
    extension_templates: BTreeMap<String, String>,
    subject_alternative_name_template: String,
}

impl Document {
    fn compile(self) -> Result<IdentityConfig, IdentityError> {
        let mut providers = HashMap::new();
        for (name, entry) in self.ci_issuer_metadata {
            providers.insert(name.clone(), Arc::new(entry.compile(name)?));
        }
        let mut exact = HashMap::new();
        for (url, entry) in self.oidc_issuers {
            if entry.issuer_url.as_ref().is_some_and(|stated| *stated != url) {
                return Err(IdentityError::IssuerMismatch { issuer: url });
            }
            issuer_url(&url, entry.allow_loopback_http)?;
            exact.insert(url.clone(), Arc::new(entry.compile(url, &providers)?));
        }
        let mut wildcard = Vec::new();
        for (pattern, entry) in self.meta_issuers {
            issuer_url(&pattern.replace('*', "a"), entry.allow_loopback_http)?;
            let compiled = Pattern::new(&pattern);
            wildcard.push((compiled, Arc::new(entry.compile(pattern, &providers)?)));
        }
        if exact.is_empty() && wildcard.is_empty() {
            return Err(IdentityError::Empty);
        }
        Ok(IdentityConfig { exact, wildcard })
    }
}

impl IssuerEntry {
    fn compile(self, url: String, providers: &HashMap<String, Arc<Provider>>) -> Result<Issuer, IdentityError> {
        let kind = self.kind_of(&url, providers)?;
        if self.issuer_claim.is_some() && !matches!(kind, IssuerKind::Email { .. }) {
            return Err(IdentityError::IssuerClaim { issuer: url });
        }
        let audience = self.client_id.filter(|audience| !audience.is_empty());
        let issuer = Issuer {
            audience: audience.ok_or_else(|| IdentityError::Audience { issuer: url.clone() })?,
            kind,
            ca_cert: self.ca_cert,
            skip_email_verification: self.skip_email_verification,
            allow_loopback_http: self.allow_loopback_http,
            single_use_tokens: self.single_use_tokens,
            certificates_per_minute: self.certificates_per_minute,
            url,
        };
        match self.challenge_claim {
            Some(claim) if claim != issuer.challenge_claim() => {
                Err(IdentityError::ChallengeClaim { issuer: issuer.url })
            }
            _ => Ok(issuer),
        }
    }

    fn kind_of(&self, url: &str, providers: &HashMap<String, Arc<Provider>>) -> Result<IssuerKind, IdentityError> {
        let issuer = url.to_owned();
        match self.kind.as_str() {
            "ci-provider" => {
                let provider = self.ci_provider.clone().unwrap_or_default();
                let known = providers.get(&provider).cloned();
                Ok(IssuerKind::Ci(
                    known.ok_or(IdentityError::Provider { issuer, provider })?,
                ))
            }
            "email" => Ok(IssuerKind::Email {
                issuer_claim: match &self.issuer_claim {
                    Some(path) => Some(claim_path(path).ok_or(IdentityError::IssuerClaim { issuer })?),
                    None => None,
                },
            }),
            "uri" => {
                let domain = self.subject_domain.as_deref().and_then(|text| Url::parse(text).ok());
                let domain = domain.filter(|domain| self.allow_loopback_http || same_organization(domain, url));
                Ok(IssuerKind::Uri {
                    subject_domain: domain.ok_or(IdentityError::SubjectDomain { issuer })?,
                })
            }
            other => Err(IdentityError::IssuerType {
                issuer,
                found: other.chars().take(100).collect(),
            }),
        }
    }
}

impl ProviderEntry {
    fn compile(self, name: String) -> Result<Provider, IdentityError> {
        let compile = |label: &str, text: &str| {
            Template::compile(text).map_err(|source| IdentityError::Template {
                provider: name.clone(),
                template: label.to_owned(),
                source,
            })
        };
        let mut extensions = Vec::new();
        for (extension, text) in &self.extension_templates {
            let claim = Claim::from_name(extension).filter(|claim| is_templated(*claim));
            let Some(claim) = claim else {
                return Err(IdentityError::Extension {
                    provider: name.clone(),
                    extension: extension.chars().take(100).collect(),
                });
            };
            extensions.push((claim, compile(extension, text)?));
        }
        extensions.sort_by_key(|(claim, _)| *claim);
        let san = "subject-alternative-name-template";
        let subject_alternative_name = compile(san, &self.subject_alternative_name_template)?;
        Ok(Provider {
            defaults: Values::from_iter(self.default_template_values),
            extensions,
            subject_alternative_name,
            name,
        })
    }
}

/// Issuer and subject come from the token, never from a template [fulcio docs/oid-info.md].
fn is_templated(claim: Claim) -> bool {
    !matches!(claim, Claim::DeprecatedIssuer | Claim::Issuer | Claim::TokenSubject)
}

/// `$.name.name`, the part of `JSONPath` that configurations use.
fn claim_path(path: &str) -> Option<Vec<String>> {
    let names: Vec<String> = path.strip_prefix("$.")?.split('.').map(str::to_owned).collect();
    let plain = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (names.len() <= 4 && names.iter().all(plain)).then_some(names)
}

/// Whether issuer and subject domain share host or the last two labels of it, as Fulcio demands.
fn same_organization(domain: &Url, issuer: &str) -> bool {
    let Ok(issuer) = Url::parse(issuer) else { return false };
    let (Some(a), Some(b)) = (domain.host_str(), issuer.host_str()) else {
        return false;
    };
    let tail = |host: &str| {
        let labels: Vec<String> = host.rsplit('.').take(2).map(str::to_owned).collect();
        (labels.len() == 2).then_some(labels)
    };
    a == b || (!is_loopback(domain) && tail(a).is_some_and(|labels| tail(b) == Some(labels)))
}

/// A URL in which `*` stands for one or more of `-_a-zA-Z0-9`, matched whole (GHSA-59jp-pj84-45mr was an unanchored match).
#[derive(Clone, Debug)]
struct Pattern(Vec<Option<u8>>);

impl Pattern {
    fn new(text: &str) -> Self {
        Self(text.bytes().map(|byte| (byte != b'*').then_some(byte)).collect())
    }

    /// Runs all ways to match side by side: linear in the text whatever the pattern.
    fn matches(&self, text: &str) -> bool {
        let mut states = vec![0_usize];
        for byte in text.bytes() {
            let mut next = Vec::with_capacity(states.len());
            for state in states {
                let after = state.saturating_add(1);
                match self.0.get(state) {
                    Some(Some(literal)) if *literal == byte => next.push(after),
                    Some(None) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') => {
                        next.extend([state, after]);
                    }
                    _ => {}
                }
            }
            next.sort_unstable();
            next.dedup();
            states = next;
        }
        states.contains(&self.0.len())
    }
}

/// The public configuration has 14 KiB.
pub const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
