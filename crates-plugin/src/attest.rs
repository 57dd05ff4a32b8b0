//! What the registry itself signs of an upload that it accepted: a `release` statement and a verification summary.
//!
//! ```toml
//! [attest]
//! key = "registry.pem"              # PKCS #8, mode 0600; or one of:
//! # token-file = "/run/oidc/token"  # read again for each signature
//! # token-from-environment = true   # as a CI gives it
//! policy-uri = "https://example.com/policy.toml"
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use client::{
    Http, ManagedKey, ManagedSession, Signed, Signer, SigningSession,
    oidc::{IdentityToken, OidcError, TokenOptions},
};
use serde::Deserialize;
use verify::{
    Sha256Digest, UnixTime,
    provenance::package_url,
    release::{self, Release},
    signing_config::ClientTrustConfig,
    statement::{Statement, Subject},
    summary::{self, SummaryResource, SummaryVerifier, VerificationResult, VerificationSummary},
};
use zeroize::Zeroizing;

use crate::ledger::outbox::{StatementKind, Upload};

/// With what the registry signs: exactly one source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AttestConfig {
    /// Private key, PKCS #8 PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// File with an OIDC token, renewed by others.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Whether the environment gives OIDC tokens.
    #[serde(default)]
    pub token_from_environment: bool,
    /// Where people find the policy; without it the summaries name it by digest only.
    #[serde(default)]
    pub policy_uri: String,
}

/// Why the registry cannot sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// Not exactly one of key, token file and environment.
    #[error("[attest] names {found} of `key`, `token-file` and `token-from-environment`: exactly one is wanted")]
    Source {
        /// How many.
        found: usize,
    },
    /// The trust file has no services to sign with.
    #[error("[attest] needs a client trust configuration: the trust file is a trusted root, which names no services")]
    Services,
    /// A file cannot be read, or is larger than such a file can be.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Others than the owner may read the key.
    #[error("{path} has mode {mode:o}: others than its owner may read the key")]
    Mode {
        /// Which.
        path: String,
        /// Permission bits.
        mode: u32,
    },
    /// Not a P-256 key in PKCS #8.
    #[error("{path} is not a P-256 private key in PKCS #8 PEM")]
    Key {
        /// Which.
        path: String,
    },
    /// No token, or not one for us.
    #[error(transparent)]
    Identity(#[from] OidcError),
    /// A service refused or could not be asked.
    #[error(transparent)]
    Client(#[from] client::Error),
}

impl AttestError {
    /// The stable kebab-case code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source { .. } => "gate-attest-source",
            Self::Services => "gate-attest-services",
            Self::File { .. } => "gate-attest-file",
            Self::Mode { .. } => "gate-attest-mode",
            Self::Key { .. } => "gate-attest-key",
            Self::Identity(error) => error.code(),
            Self::Client(error) => error.code(),
        }
    }
}

impl AttestConfig {
    /// Takes relative paths from this folder.
    pub fn resolve(&mut self, folder: &Path) {
        for path in [&mut self.key, &mut self.token_file].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }
}

/// Signs for the registry.
#[derive(Debug)]
pub struct Attestor {
    http: Http,
    signer: Signer,
    source: Source,
    names: Names,
}

/// How the registry calls itself in its statements.
#[derive(Clone, Debug)]
pub struct Names {
    /// The gate's public URL, without a slash at its end: the verifier's id.
    pub base: String,
    /// Index URL for package URLs; none for crates.io.
    pub index_url: Option<String>,
    /// Where the policy is found; may be empty.
    pub policy_uri: String,
}

#[derive(Debug)]
enum Source {
    Key(ManagedKey),
    TokenFile(PathBuf),
    Environment,
}

/// A certified or a managed key, for the statements of one upload.
#[derive(Debug)]
pub struct Session(Kind);

#[derive(Debug)]
enum Kind {
    Certified(Box<SigningSession>),
    Managed(ManagedSession),
}

impl Attestor {
    /// Reads the key, where there is one. Nothing is asked.
    ///
    /// # Errors
    /// [`AttestError`], but for identity.
    pub fn new(
        config: &AttestConfig,
        http: Http,
        trust: Option<ClientTrustConfig>,
        names: Names,
    ) -> Result<Self, AttestError> {
        let source = match (&config.key, &config.token_file, config.token_from_environment) {
            (Some(path), None, false) => Source::Key(read_key(path)?),
            (None, Some(path), false) => Source::TokenFile(path.clone()),
            (None, None, true) => Source::Environment,
            (key, file, environment) => {
                let given = [key.is_some(), file.is_some(), environment];
                return Err(AttestError::Source {
                    found: given.into_iter().filter(|given| *given).count(),
                });
            }
        };
        let signer = Signer::new(http.clone(), trust.ok_or(AttestError::Services)?)?;
        Ok(Self {
            http,
            signer,
            source,
            names,
        })
    }

    /// Whether only those who know a key can verify: no attestation store can tell such bundles from noise, so the gate keeps them.
    #[must_use]
    pub const fn is_keyed(&self) -> bool {
        matches!(self.source, Source::Key(_))
    }

    /// Obtains a token anew and has a key certified, or takes the managed key.
    ///
    /// # Errors
    /// [`AttestError`].
    pub async fn session(&self) -> Result<Session, AttestError> {
        let explicit = match &self.source {
            Source::Key(key) => return Ok(Session(Kind::Managed(self.signer.managed(key.clone())))),
            Source::TokenFile(path) => {
                let text = read_secret(path, TOKEN_BYTES)?;
                Some(IdentityToken::new(text.to_string())?)
            }
            Source::Environment => None,
        };
        let options = TokenOptions {
            explicit,
            ..TokenOptions::default()
        };
        let environment = |name: &str| std::env::var(name).ok();
        let token = client::oidc::obtain(&self.http, &options, &environment).await?;
        let session = self.signer.certify(&token).await?;
        Ok(Session(Kind::Certified(Box::new(session))))
    }

    /// The statement of this kind about an upload.
    #[must_use]
    pub fn statement(&self, upload: &Upload, kind: StatementKind) -> Statement {
        let (name, version) = (&upload.name, &upload.version);
        let purl = package_url(name, version, self.names.index_url.as_deref());
        let subject = Subject::sha256(&format!("{name}-{version}.crate"), &purl, &upload.archive);
        let (predicate_type, predicate) = match kind {
            StatementKind::Release => {
                let package_id = Some(name.clone());
                (release::PREDICATE_TYPE, Release { purl, package_id }.to_value())
            }
            StatementKind::Summary => (summary::PREDICATE_TYPE, self.summary(upload).to_value()),
        };
        Statement {
            subjects: vec![subject],
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    fn summary(&self, upload: &Upload) -> VerificationSummary {
        let facts = &upload.facts;
        let resource = |uri: &str, digest: &String| SummaryResource {
            uri: uri.to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), digest.clone())]),
        };
        VerificationSummary {
            verifier: SummaryVerifier {
                id: self.names.base.clone(),
                version: BTreeMap::from([("crates-plugin".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
            },
            time_verified: UnixTime::from_secs(facts.at).to_string(),
            resource_uri: download_url(&self.names.base, &upload.name, &upload.version),
            policy: resource(&self.names.policy_uri, &facts.policy),
            input_attestations: facts.inputs.iter().map(|digest| resource("", digest)).collect(),
            verification_result: VerificationResult::Passed,
            verified_levels: vec![
                facts
                    .level
                    .map_or_else(|| summary::UNEVALUATED.to_owned(), summary::build_level),
            ],
            dependency_levels: BTreeMap::new(),
            slsa_version: summary::SLSA_VERSION.to_owned(),
        }
    }
}

impl Session {
    /// Signs, logs and stamps a statement.
    ///
    /// # Errors
    /// Those of the services.
    pub async fn sign(&self, statement: &Statement, archive: Sha256Digest) -> Result<Signed, client::Error> {
        let text = statement.to_json();
        match &self.0 {
            Kind::Certified(session) => session.sign_statement(text.as_bytes(), archive).await,
            Kind::Managed(session) => session.sign_statement(text.as_bytes(), archive).await,
        }
    }
}

/// Where a gate at `base` serves a crate.
#[must_use]
pub fn download_url(base: &str, name: &str, version: &str) -> String {
    format!("{base}/dl/{name}/{version}/download")
}

fn read_key(path: &Path) -> Result<ManagedKey, AttestError> {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = || path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|source| AttestError::File { path: shown(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(AttestError::Mode { path: shown(), mode });
    }
    let text = read_secret(path, KEY_BYTES)?;
    ManagedKey::from_pkcs8_pem(&text).ok_or_else(|| AttestError::Key { path: shown() })
}

fn read_secret(path: &Path, limit: u64) -> Result<Zeroizing<String>, AttestError> {
    use std::io::Read as _;
    let failed = |source| AttestError::File {
        path: path.display().to_string(),
        source,
    };
    let mut text = Zeroizing::new(String::new());
    let mut file = std::fs::File::open(path).map_err(failed)?.take(limit.saturating_add(1));
    file.read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= limit) {
        Ok(text)
    } else {
        Err(failed(std::io::Error::other("the file is too large")))
    }
}

/// A P-256 key takes 250 bytes.
const KEY_BYTES: u64 = 4 << 10;
/// Tokens of large providers take 4 KiB.
const TOKEN_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Of no use to anybody.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfwGVuPP3cNOOh8wp
UwE5z1eC8WWonY+GbCRLWD6uns6hRANCAATfTAXQ+bxdgRIVS7u9CM+B94Ps0+Ie
tIefgS0gITghBq20buVhKY8PoHT/DeEGghyWFYcJq6sTTc9HmzS8uAsG
-----END PRIVATE KEY-----
";

    fn code(path: &Path) -> &'static str {
        read_key(path).map_or_else(|error| error.code(), |_| "read")
    }

    #[test]
    fn a_key_is_read_only_when_nobody_else_can_and_it_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.pem");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write(KEY, 0o600);
        assert_eq!(code(&path), "read");
        write(KEY, 0o640);
        assert_eq!(code(&path), "gate-attest-mode");
        write(&KEY.replace("PRIVATE", "PUBLIC"), 0o600);
        assert_eq!(code(&path), "gate-attest-key");
        write(&"x".repeat(5000), 0o600);
        assert_eq!(code(&path), "gate-attest-file");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(code(&path), "gate-attest-file");
    }

    #[test]
    fn exactly_one_source_is_wanted() {
        let names = Names {
            base: String::new(),
            index_url: None,
            policy_uri: String::new(),
        };
        let code = |config: &AttestConfig| {
            let http = Http::new(client::HttpOptions::default()).unwrap();
            Attestor::new(config, http, None, names.clone()).map_or_else(|error| error.code(), |_| "made")
        };
        let mut config = AttestConfig::default();
        assert_eq!(code(&config), "gate-attest-source");
        config.token_from_environment = true;
        assert_eq!(code(&config), "gate-attest-services", "the source itself is fine");
        config.token_file = Some("token".into());
        assert_eq!(code(&config), "gate-attest-source");
    }

    #[test]
    fn every_code_has_its_paragraph() {
        let paragraphs = include_str!("../../docs/codes/crates-plugin.md");
        let codes: Vec<&str> = include_str!("attest.rs")
            .split("=> \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|code| code.starts_with("gate-attest-"))
            .collect();
        assert_eq!(codes.len(), 5);
        for code in codes {
            assert!(paragraphs.contains(&format!("\n## {code}\n")), "{code}");
        }
    }
}
