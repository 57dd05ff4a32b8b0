//! Whom a user expects to have signed: the flags, or the file `sigstore.toml`.
//!
//! ```toml
//! unattested = "refuse"        # crates without any bundle: "refuse" (the default) or "report"
//! unpinned = "refuse"          # crates that are signed, but that no rule below names
//! unexplained = "refuse"       # what the manifest inside a crate does not explain
//! unfetched = "report"         # crates that cargo has not downloaded, so that nobody looked inside: "report" (the default) or "refuse"
//! same-registry = [["https://old.example/git/index", "sparse+https://new.example/index/"]]
//!
//! [[crate]]
//! name = "tokio*"              # a name, or the beginning of names
//! identity = "https://github.com/tokio-rs/tokio/.github/workflows/release.yml@refs/tags/{name}-{version}"
//! issuer = "https://token.actions.githubusercontent.com"
//! claims = { runner-environment = "github-hosted" }
//!
//! [[registry]]                 # whose statements count as evidence
//! name = "acme"
//! verifier = "https://crates.example"
//! identity = "https://crates.example/robots/gate"   # or: key = "registry.pub"
//! issuer = "https://issuer.example"
//! ```

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use verify::{Policy, identity::Claim};

use crate::{
    evidence::registry::RegistryPin,
    failure::{Exit, Failure},
    file,
};

/// What a user expects of artifacts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Expectations {
    /// What to do about artifacts without any bundle.
    pub(crate) unattested: Severity,
    /// What to do about artifacts whose signer nobody named.
    pub(crate) unpinned: Severity,
    /// What to do about what the manifest inside a crate does not explain.
    pub(crate) unexplained: Severity,
    /// What to do about crates that cargo has not downloaded.
    pub(crate) unfetched: Unfetched,
    /// Index URLs that name one registry each.
    pub(crate) same_registry: Vec<Vec<String>>,
    /// Who signs which crates; an exact name is stronger than a beginning, else the first wins.
    #[serde(rename = "crate")]
    rules: Vec<Rule>,
    /// Registries whose statements count.
    #[serde(rename = "registry")]
    pub(crate) registries: Vec<RegistryPin>,
}

/// How much something matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It is told, and the answer is no.
    #[default]
    Refuse,
    /// It is told.
    Report,
}

/// [`Severity`], where being told is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Unfetched(pub(crate) Severity);

impl Default for Unfetched {
    fn default() -> Self {
        Self(Severity::Report)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    #[serde(flatten)]
    signer: Signer,
}

/// Who is expected to have signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Signer {
    /// Subject alternative name; `*` stands for anything but `/`, `{name}` and `{version}` for the package's.
    pub(crate) identity: String,
    /// OIDC issuer.
    pub(crate) issuer: String,
    /// Values of claims, by their names in Fulcio's configuration.
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

impl Expectations {
    /// Reads `sigstore.toml`.
    ///
    /// # Errors
    /// Codes `file-read`, `file-size`, `expectations`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = file::read(path, FILE_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        let of_file = |failure: Failure| failure.fact("file", path.display());
        let mut expectations = Self::from_toml(&text).map_err(|error| of_file(error.into()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for registry in &mut expectations.registries {
            registry.load(folder).map_err(of_file)?;
        }
        Ok(expectations)
    }

    pub(super) fn from_toml(text: &str) -> Result<Self, Error> {
        let expectations: Self = toml::from_str(text).map_err(|source| Error::Toml {
            source: Box::new(source),
        })?;
        for rule in &expectations.rules {
            rule.signer.policy("a", "0.0.0")?;
        }
        Ok(expectations)
    }

    /// Who is expected to sign a crate.
    pub(crate) fn signer_of(&self, name: &str) -> Option<&Signer> {
        let exact = self.rules.iter().find(|rule| rule.name == name);
        let beginning = || {
            self.rules.iter().find(|rule| {
                let beginning = rule.name.strip_suffix('*');
                beginning.is_some_and(|beginning| name.starts_with(beginning))
            })
        };
        exact.or_else(beginning).map(|rule| &rule.signer)
    }
}

impl Signer {
    /// A signer without claims, as the flags name it.
    pub(crate) fn new(identity: &str, issuer: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            issuer: issuer.to_owned(),
            claims: BTreeMap::new(),
        }
    }

    /// Where the package's source is, as far as this signer tells: the claim about it, else the URL of the workflow.
    pub(crate) fn source(&self, name: &str, version: &str) -> String {
        let claimed = self.claims.get(Claim::SourceRepositoryUri.name());
        filled(claimed.unwrap_or(&self.identity), name, version)
    }

    /// The verifier's policy for a package.
    ///
    /// # Errors
    /// [`Error::Claim`] for an unknown claim, [`Error::Identity`] when identity or issuer are empty or a wildcard stands too early.
    pub(crate) fn policy(&self, name: &str, version: &str) -> Result<Policy, Error> {
        let identity = filled(&self.identity, name, version);
        let policy = if identity.contains('*') {
            Policy::identity_pattern(&identity, &self.issuer)
        } else {
            Policy::identity(&identity, &self.issuer)
        };
        let mut policy = policy.map_err(|source| Error::Identity {
            identity: self.identity.clone(),
            source,
        })?;
        for (name, value) in &self.claims {
            let claim = Claim::from_name(name).ok_or_else(|| Error::Claim { name: name.clone() })?;
            policy = policy.claim(claim, value);
        }
        Ok(policy)
    }
}

fn filled(text: &str, name: &str, version: &str) -> String {
    text.replace("{name}", name).replace("{version}", version)
}

/// Why expectations cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Not of this shape.
    #[error("the expectations are malformed")]
    Toml {
        /// What the TOML reader says.
        source: Box<toml::de::Error>,
    },
    /// An unusable identity.
    #[error("`{identity}` cannot be used as an identity")]
    Identity {
        /// As written.
        identity: String,
        /// Why.
        source: verify::Error,
    },
    /// A registry that names no signer, or two.
    #[error("registry `{name}` cannot be pinned")]
    Registry {
        /// As written.
        name: String,
    },
    /// An unknown claim.
    #[error("there is no claim `{name}`")]
    Claim {
        /// As written.
        name: String,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::Toml { .. } => "docs/guides/verify.md shows the shape of `sigstore.toml`".to_owned(),
            Error::Identity { .. } => {
                "write the whole subject alternative name and the issuer, as `cargo sigstore inspect` prints them"
                    .to_owned()
            }
            Error::Registry { .. } => {
                "name `identity` and `issuer`, or the PEM file of its public `key`, and not both".to_owned()
            }
            Error::Claim { .. } => {
                let names: Vec<&str> = Claim::ALL.iter().map(|claim| claim.name()).collect();
                format!("claims are: {}", names.join(", "))
            }
        };
        Self::new(Exit::Usage, "expectations", &error).hint(hint)
    }
}

/// A rule for each of ten thousand crates.
const FILE_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
unattested = "report"
[[crate]]
name = "tokio*"
identity = "https://github.com/tokio-rs/tokio/.github/workflows/release.yml@refs/tags/{name}-{version}"
issuer = "https://token.actions.githubusercontent.com"
[[crate]]
name = "tokio-util"
identity = "https://github.com/other/*"
issuer = "https://token.actions.githubusercontent.com"
claims = { runner-environment = "github-hosted" }
"#;

    #[test]
    fn an_exact_name_is_stronger_than_a_beginning() {
        let expectations = Expectations::from_toml(FILE).unwrap();
        assert_eq!(
            (expectations.unattested, expectations.unpinned),
            (Severity::Report, Severity::Refuse)
        );
        assert_eq!(
            expectations.signer_of("tokio-util").unwrap().identity,
            "https://github.com/other/*"
        );
        assert!(
            expectations
                .signer_of("tokio-stream")
                .unwrap()
                .identity
                .ends_with("{version}")
        );
        assert_eq!(expectations.signer_of("serde"), None);
    }

    #[test]
    fn the_source_is_the_claimed_one_else_where_the_workflow_is() {
        let mut signer = Signer::new(
            "https://github.com/acme/{name}/.github/workflows/publish.yml@refs/tags/v{version}",
            "https://token.actions.githubusercontent.com",
        );
        let workflow = "https://github.com/acme/mine/.github/workflows/publish.yml@refs/tags/v1.0.0";
        assert_eq!(signer.source("mine", "1.0.0"), workflow);
        let claimed = (
            "source-repository-uri".to_owned(),
            "https://github.com/me/mine".to_owned(),
        );
        signer.claims = BTreeMap::from([claimed]);
        assert_eq!(signer.source("mine", "1.0.0"), "https://github.com/me/mine");
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        assert!(Expectations::from_toml(FILE).is_ok());
        for (from, to) in [
            ("unattested", "unatested"),
            ("\"report\"", "\"maybe\""),
            ("runner-environment", "runner-surroundings"),
            ("https://github.com/other/*", "https://*/x"),
            (
                "issuer = \"https://token.actions.githubusercontent.com\"",
                "issuer = \"\"",
            ),
        ] {
            assert!(Expectations::from_toml(&FILE.replace(from, to)).is_err(), "{to}");
        }
    }
}
