//! What registries say of crates: that they published them, and that they admitted them under a policy.
//!
//! Such a statement is evidence beside the publisher's, never instead of it, and only when the user pinned the registry:
//! anybody can sign that something was verified.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use verify::{
    Artifact, Budget, Bundle, Policy, PublicKey, Sha256Digest, UnixTime, Verified, Verifier,
    bundle::Content,
    danger,
    release::{self, Release},
    statement::Statement,
    summary::{self, Demands, VerificationSummary},
};

use crate::{
    evidence::{
        expectation::{Error, Signer},
        finding::Rank,
        target::Subject,
    },
    failure::{Exit, Failure},
    file,
    printer::visible,
    release::crate_file::name_and_version,
};

/// A registry whose statements count, `[[registry]]` of `sigstore.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RegistryPin {
    /// What the user calls it.
    name: String,
    /// How it calls itself as verifier: the gate's URL.
    verifier: String,
    /// Where its crates are found; `{name}` and `{version}` stand for the package's. The gate's own layout by default.
    resource: Option<String>,
    /// Subject alternative name of its certificate, with `issuer`.
    identity: Option<String>,
    /// OIDC issuer.
    issuer: Option<String>,
    /// Instead of both: its public key, a PEM file beside `sigstore.toml`.
    key: Option<std::path::PathBuf>,
    /// Lowest SLSA build level that it must have established.
    #[serde(default)]
    minimum_level: u8,
    #[serde(skip)]
    pem: Option<String>,
}

impl RegistryPin {
    /// Reads the key, from `folder` when its path is relative, and checks that the pin names exactly one signer.
    ///
    /// # Errors
    /// Codes `file-read`, `file-size`, `expectations`.
    pub(crate) fn load(&mut self, folder: &Path) -> Result<(), Failure> {
        if let Some(path) = &self.key {
            let bytes = file::read(&folder.join(path), KEY_BYTES)?;
            self.pem = Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        self.policy("a", "0.0.0")?;
        Ok(())
    }

    fn policy(&self, name: &str, version: &str) -> Result<Policy, Error> {
        let unusable = || Error::Registry {
            name: self.name.clone(),
        };
        match (&self.identity, &self.issuer, &self.pem) {
            (Some(identity), Some(issuer), None) => Signer::new(identity, issuer).policy(name, version),
            (None, None, Some(pem)) => {
                let key = PublicKey::from_pem(pem.trim()).map_err(|_| unusable())?;
                Ok(Policy::managed_key(key))
            }
            _ => Err(unusable()),
        }
    }

    fn resource(&self, name: &str, version: &str) -> String {
        let own = format!(
            "{}/dl/{{name}}/{{version}}/download",
            self.verifier.trim_end_matches('/')
        );
        let template = self.resource.as_ref().unwrap_or(&own);
        template.replace("{name}", name).replace("{version}", version)
    }
}

/// A registry's statement about one artifact, as far as it holds.
#[derive(Clone, Debug)]
pub(crate) struct RegistryStatement {
    predicate_type: String,
    /// Who signed, for people.
    signer: String,
    standing: Standing,
}

/// What a statement is worth.
#[derive(Clone, Debug)]
enum Standing {
    /// A pinned registry admitted the crate.
    Admitted {
        registry: String,
        policy: String,
        level: Option<u8>,
    },
    /// A pinned registry published it.
    Released { registry: String, purl: String },
    /// It holds, but nobody pinned who signed it.
    Stranger,
    /// A pinned registry signed it, and it does not say what it should.
    Wrong { registry: String, failure: Failure },
}

impl RegistryStatement {
    /// Whether a pinned registry signed it.
    pub(crate) const fn is_pinned(&self) -> bool {
        !matches!(self.standing, Standing::Stranger)
    }

    /// What tells it from other registries' statements, and from others of this one.
    pub(crate) fn name(&self) -> String {
        let (Standing::Admitted { registry, .. }
        | Standing::Released { registry, .. }
        | Standing::Wrong { registry, .. }) = &self.standing
        else {
            return format!("{} {}", self.signer, self.predicate_type);
        };
        format!("{registry} {}", self.predicate_type)
    }

    /// Whether a pinned registry admitted the artifact by it.
    pub(crate) const fn is_admission(&self) -> bool {
        matches!(self.standing, Standing::Admitted { .. })
    }

    /// What is wrong with it.
    pub(crate) const fn failure(&self) -> Option<&Failure> {
        match &self.standing {
            Standing::Wrong { failure, .. } => Some(failure),
            Standing::Admitted { .. } | Standing::Released { .. } | Standing::Stranger => None,
        }
    }

    /// One line about it, for an artifact of this rank; none when there is a failure to tell instead.
    pub(crate) fn line(&self, label: &str, rank: Rank) -> Option<String> {
        match &self.standing {
            Standing::Admitted {
                registry,
                policy,
                level,
            } => Some(format!(
                "registry `{registry}` admitted `{label}` under policy sha256:{policy}, {} ({})",
                level_words(*level),
                match rank {
                    Rank::E5 => "rank E5",
                    Rank::E4 | Rank::E3 | Rank::E1 | Rank::E0 =>
                        "evidence for rank E5, which takes equality with the source besides: `--source`",
                }
            )),
            Standing::Released { registry, purl } => Some(format!("registry `{registry}` published it as {purl}")),
            Standing::Stranger => Some(format!(
                "a registry's statement about `{label}` is signed by a stranger: {}; a `[[registry]]` of `sigstore.toml` can pin it",
                self.signer
            )),
            Standing::Wrong { .. } => None,
        }
    }

    /// The statement as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let mut value = json!({ "predicateType": self.predicate_type, "signer": self.signer });
        let more = match &self.standing {
            Standing::Admitted {
                registry,
                policy,
                level,
            } => json!({
                "standing": "admitted", "registry": registry, "policy": format!("sha256:{policy}"), "level": level, "evidenceFor": "E5",
            }),
            Standing::Released { registry, purl } => {
                json!({ "standing": "published", "registry": registry, "purl": purl })
            }
            Standing::Stranger => json!({ "standing": "stranger" }),
            Standing::Wrong { registry, failure } => {
                json!({ "standing": "wrong", "registry": registry, "error": failure.to_json() })
            }
        };
        if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
            value.extend(more);
        }
        value
    }
}

/// Whether a bundle claims to be a registry's statement. Nothing of it is believed.
pub(crate) fn is_statement(bundle: &Bundle) -> bool {
    let Content::Dsse(envelope) = &bundle.content else {
        return false;
    };
    let statement = Statement::from_json(&envelope.payload, &Budget::default());
    statement.is_ok_and(|statement| PREDICATE_TYPES.contains(&statement.predicate_type.as_str()))
}

/// Judges registry statements, with one trusted root at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registrar<'a> {
    /// The verifier.
    pub(crate) verifier: &'a Verifier,
    /// The time by this machine's clock.
    pub(crate) now: UnixTime,
    /// Whose statements count.
    pub(crate) pins: &'a [RegistryPin],
}

impl<'a> Registrar<'a> {
    /// Whether a pinned registry signed the bundle.
    pub(crate) fn is_pinned(&self, bundle: &Bundle, subject: &Subject, artifact: &Artifact<'_>) -> bool {
        self.pinned(bundle, subject, artifact).is_some()
    }

    fn pinned(
        &self,
        bundle: &Bundle,
        subject: &Subject,
        artifact: &Artifact<'_>,
    ) -> Option<(&'a RegistryPin, Verified)> {
        let (name, version) = subject.name_and_version();
        self.pins.iter().find_map(|pin| {
            // A pin that cannot be used was refused when it was read.
            let policy = pin.policy(name, version).ok()?;
            let proof = self.verifier.verify(bundle, artifact, &policy, self.now).ok()?;
            Some((pin, proof))
        })
    }

    /// What each bundle is worth; the error of one that does not hold at all.
    pub(crate) fn judge(
        &self,
        bundle: &Bundle,
        subject: &Subject,
        artifact: &Artifact<'_>,
    ) -> Result<RegistryStatement, verify::Error> {
        if let Some((pin, proof)) = self.pinned(bundle, subject, artifact) {
            return Ok(statement(&proof, standing(&proof, pin, subject)));
        }
        match self
            .verifier
            .verify(bundle, artifact, &danger::any_identity(), self.now)
        {
            Ok(proof) => Ok(statement(&proof, Standing::Stranger)),
            // Who does not know the key can say nothing of it.
            Err(verify::Error::SignerMismatch { .. }) => Ok(RegistryStatement {
                predicate_type: predicate_type(bundle),
                signer: "a key that nobody here knows".to_owned(),
                standing: Standing::Stranger,
            }),
            Err(error) => Err(error),
        }
    }
}

fn statement(proof: &Verified, standing: Standing) -> RegistryStatement {
    let signer = proof.identity().map_or_else(
        || format!("key sha256:{}", Sha256Digest(proof.key().id().0)),
        |identity| format!("{} ({})", visible(identity.san.as_str()), visible(identity.issuer())),
    );
    RegistryStatement {
        predicate_type: proof.predicate_type().unwrap_or_default().to_owned(),
        signer,
        standing,
    }
}

fn predicate_type(bundle: &Bundle) -> String {
    let Content::Dsse(envelope) = &bundle.content else {
        return String::new();
    };
    let statement = Statement::from_json(&envelope.payload, &Budget::default());
    statement.map(|statement| statement.predicate_type).unwrap_or_default()
}

/// What a statement that a pinned registry signed says of the subject.
fn standing(proof: &Verified, pin: &RegistryPin, subject: &Subject) -> Standing {
    let registry = pin.name.clone();
    let said = proof.statement().ok_or(verify::Error::Statement);
    let read = said.and_then(|statement| match statement.predicate_type.as_str() {
        summary::PREDICATE_TYPE => {
            VerificationSummary::from_statement(statement, &Budget::default()).map(Said::Summary)
        }
        _ => Release::from_statement(statement, &Budget::default()).map(Said::Release),
    });
    let (name, version) = package(proof, subject);
    let outcome = match read {
        Err(error) => Err(Failure::from(error).while_doing(format_args!("the statement of registry `{registry}`"))),
        Ok(Said::Release(release)) => released(&release, &name, &version, &registry, subject),
        Ok(Said::Summary(summary)) => admitted(&summary, pin, &name, &version, subject),
    };
    outcome.unwrap_or_else(|failure| Standing::Wrong { registry, failure })
}

enum Said {
    Summary(VerificationSummary),
    Release(Release),
}

/// Name and version: the user's, else those of the verified subject, whose digest the user gave.
fn package(proof: &Verified, subject: &Subject) -> (String, String) {
    let of_subject = || name_and_version(Path::new(&proof.subject()?.name));
    subject.package.clone().or_else(of_subject).unwrap_or_default()
}

fn admitted(
    summary: &VerificationSummary,
    pin: &RegistryPin,
    name: &str,
    version: &str,
    subject: &Subject,
) -> Result<Standing, Failure> {
    let demands = Demands {
        verifier: &pin.verifier,
        resource_uri: &pin.resource(name, version),
        minimum_level: pin.minimum_level,
    };
    match summary.shortfalls(&demands).first() {
        None => Ok(Standing::Admitted {
            registry: pin.name.clone(),
            policy: visible(summary.policy_digest()),
            level: summary.build_level(),
        }),
        Some(short) => Err(wrong(&pin.name, subject, short.field, &short.expected, &short.found)),
    }
}

fn released(
    release: &Release,
    name: &str,
    version: &str,
    registry: &str,
    subject: &Subject,
) -> Result<Standing, Failure> {
    let expected = verify::provenance::package_url(name, version, None);
    let plain = release
        .purl
        .split_once('?')
        .map_or(release.purl.as_str(), |(plain, _)| plain);
    if plain == expected {
        return Ok(Standing::Released {
            registry: registry.to_owned(),
            purl: visible(&release.purl),
        });
    }
    Err(wrong(registry, subject, "purl", &expected, plain))
}

fn wrong(registry: &str, subject: &Subject, field: &'static str, expected: &str, found: &str) -> Failure {
    let error = WrongStatement {
        registry: registry.to_owned(),
        label: subject.label.clone(),
        field,
    };
    Failure::new(Exit::Refused, "registry-statement", &error)
        .fact("expected", visible(expected))
        .fact("found", visible(found))
        .hint("the statement counts for nothing; correct the `[[registry]]` of `sigstore.toml`, or ask the registry's operator")
}

/// A pinned registry says something else than it should.
#[derive(Debug, thiserror::Error)]
#[error("the statement of registry `{registry}` about `{label}` falls short in {field}")]
struct WrongStatement {
    registry: String,
    label: String,
    field: &'static str,
}

fn level_words(level: Option<u8>) -> String {
    level.map_or_else(
        || "its build not evaluated".to_owned(),
        |level| format!("SLSA build level {level}"),
    )
}

const PREDICATE_TYPES: [&str; 3] = [
    release::PREDICATE_TYPE,
    release::PREDICATE_TYPE_V0_1,
    summary::PREDICATE_TYPE,
];
/// A public key takes 200 bytes, one of RSA 800.
const KEY_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    impl RegistryStatement {
        /// A summary of the registry `acme` that holds, or falls short.
        pub(crate) fn summary(failure: Option<Failure>) -> Self {
            let registry = "acme".to_owned();
            Self {
                predicate_type: summary::PREDICATE_TYPE.to_owned(),
                signer: "a key".to_owned(),
                standing: match failure {
                    Some(failure) => Standing::Wrong { registry, failure },
                    None => Standing::Admitted {
                        registry,
                        policy: "00".repeat(32),
                        level: Some(2),
                    },
                },
            }
        }
    }

    fn pin(text: &str) -> RegistryPin {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_pin_names_exactly_one_signer() {
        let folder = tempfile::tempdir().unwrap();
        let key = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";
        std::fs::write(folder.path().join("registry.pub"), key).unwrap();
        let base = "name = \"acme\"\nverifier = \"https://crates.example\"\n";
        let identity = "identity = \"https://crates.example/robots/gate\"\nissuer = \"https://issuer.example\"\n";
        let key = "key = \"registry.pub\"\n";
        let outcome = |more: &str| {
            let loaded = pin(&format!("{base}{more}")).load(folder.path());
            loaded.map_or_else(
                |failure| failure.to_json()["code"].as_str().unwrap().to_owned(),
                |()| "used".to_owned(),
            )
        };
        assert_eq!(outcome(identity), "used");
        assert_eq!(outcome(key), "used");
        assert_eq!(outcome(""), "expectations");
        assert_eq!(outcome(&format!("{identity}{key}")), "expectations");
        assert_eq!(outcome("key = \"none.pub\"\n"), "file-read");
        std::fs::write(folder.path().join("registry.pub"), "no key").unwrap();
        assert_eq!(outcome(key), "expectations");
    }

    #[test]
    fn crates_are_where_the_gate_serves_them_unless_told_otherwise() {
        let mut pin = pin("name = \"acme\"\nverifier = \"https://crates.example\"\n");
        assert_eq!(pin.resource("a", "1.0.0"), "https://crates.example/dl/a/1.0.0/download");
        pin.resource = Some("https://static.example/{name}-{version}.crate".to_owned());
        assert_eq!(pin.resource("a", "1.0.0"), "https://static.example/a-1.0.0.crate");
    }
}
