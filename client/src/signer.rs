//! From token to verified bundle: certify a fresh key, sign, log and stamp in parallel, assemble, verify.
//!
//! Every answer is checked against the trusted root before the next step uses it; nothing leaves this module that the
//! verifier would refuse.

mod managed;
mod record;
mod session;

use std::sync::Arc;

use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    elliptic_curve::Generate as _,
    pkcs8::EncodePublicKey as _,
};
use rand::rngs::SysRng;
use verify::{
    PublicKey, TrustedRoot, UnixTime, Verifier, WorkloadIdentity,
    certificate::Certificate,
    identity::Claim,
    signing_config::{ClientTrustConfig, Service as ConfiguredService, SigningConfig},
};

use self::record::Recorder;
pub use self::{
    managed::{ManagedKey, ManagedSession},
    session::{Signed, SigningSession},
};
use crate::{
    Error, Http, Service,
    authority::CertificateAuthority,
    clock,
    http::Endpoint,
    oidc::{IdentityToken, OidcError, plain_claims, predict, predict_at},
};

/// Signs under one trust configuration; cheap to clone.
#[derive(Clone, Debug)]
pub struct Signer {
    services: Arc<Services>,
    disclosure: Disclosure,
}

/// Whose name a log may learn that everybody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disclosure {
    /// Anybody's: the log is not public, or the caller accepts it.
    Any,
    /// Not that of a repository which says that it is private.
    NotPrivate,
    /// That of a repository which says that it is public.
    Public,
}

/// Whom to ask and whom to believe.
#[derive(Debug)]
struct Services {
    authority: CertificateAuthority,
    recorder: Recorder,
    verifier: Verifier,
}

impl Signer {
    /// Chooses the services: certificate authority v1, signature log v2 or else v1, timestamp authority v1, without which a
    /// v1 log does: it states the time itself.
    ///
    /// # Errors
    /// [`Error::NoService`] when one is not configured or no longer valid, [`Error::Url`], [`Error::TrustedRoot`].
    pub fn new(http: Http, trust: ClientTrustConfig) -> Result<Self, Error> {
        let now = clock::now();
        let config = &trust.signing_config;
        let authority = choose(Service::CertificateAuthority, &config.certificate_authorities, 1, now)?;
        let trusted_root: TrustedRoot = trust.trusted_root;
        let recorder = Recorder::new(&http, config, &trusted_root, now)?;
        Ok(Self {
            disclosure: if authority.url().host_str() == Some(PUBLIC_GOOD) {
                Disclosure::NotPrivate
            } else {
                Disclosure::Any
            },
            services: Arc::new(Services {
                authority: CertificateAuthority::new(http, authority),
                recorder,
                verifier: Verifier::new(trusted_root).map_err(Error::TrustedRoot)?,
            }),
        })
    }

    /// Whether a repository that is not public may sign with the public instance, whose log tells everybody its name.
    #[must_use]
    pub fn allow_private_repository(mut self, allow: bool) -> Self {
        if allow {
            self.disclosure = Disclosure::Any;
        }
        self
    }

    /// Signs only for repositories whose token says that they are public: nobody chose the instance.
    #[must_use]
    pub const fn only_public_repositories(mut self) -> Self {
        self.disclosure = Disclosure::Public;
        self
    }

    /// Has a fresh P-256 key certified for the token's identity. The key never leaves this process and is wiped with the
    /// session.
    ///
    /// The certificate is believed only if it is for our key, chains to the trusted root now, carries valid SCTs, fits
    /// the signing profile, and says what the token says.
    ///
    /// # Errors
    /// [`Error::Identity`] when the authority refuses the token, with the reason it does not give, or when it would tell
    /// everybody of a private repository; [`Error::CaWrongKey`],
    /// [`Error::CaUntrusted`], [`Error::CaSct`], [`Error::CaProfile`], [`Error::CaWrongIdentity`],
    /// [`Error::CertificateExpired`] for a certificate that is not to be believed; those of
    /// [`CertificateAuthority::certify`]; [`Error::Random`].
    pub async fn certify(&self, token: &IdentityToken) -> Result<SigningSession, Error> {
        match self.disclosure {
            Disclosure::Any => {}
            Disclosure::NotPrivate => token.check_public()?,
            Disclosure::Public => token.check_stated_public()?,
        }
        let key = SigningKey::try_generate_from_rng(&mut SysRng).map_err(|_| Error::Random)?;
        let public_key = public_key(&key)?;
        let proof: Signature = key.sign(token.principal().as_bytes());
        let chain = self
            .services
            .authority
            .certify(token, &public_key, proof.to_der().as_bytes())
            .await;
        let chain = match chain {
            Ok(chain) => chain,
            Err(refusal) => return Err(self.explain(refusal, token).await),
        };
        let leaf = chain.into_iter().next().ok_or(Error::CaWrongKey)?;
        if *leaf.public_key() != public_key {
            return Err(Error::CaWrongKey);
        }
        let identity = self.check_certificate(&leaf, clock::now())?;
        check_identity(token, &identity)?;
        Ok(SigningSession::new(Arc::clone(&self.services), key, leaf, identity))
    }

    /// Signs with a key that the verifiers know, instead of a certified one. Log and timestamp authority are the same.
    #[must_use]
    pub fn managed(&self, key: ManagedKey) -> ManagedSession {
        ManagedSession::new(Arc::clone(&self.services), key)
    }

    fn check_certificate(&self, leaf: &Certificate, now: UnixTime) -> Result<WorkloadIdentity, Error> {
        let validity = leaf.validity();
        // The authority's clock may be ahead of ours; a certificate that begins a little later is a fresh one.
        let ahead = validity.start > now && validity.start <= now.plus_secs(CLOCK_SKEW_SECS);
        let at = if ahead { validity.start } else { now };
        if !validity.contains(at) {
            return Err(Error::CertificateExpired {
                at: validity.end.unwrap_or(validity.start),
            });
        }
        let checked = self.services.verifier.check_certificate(leaf, at);
        checked.map_err(untrusted)
    }

    /// The authority says only that it refuses; what it publishes of itself and the claims say why.
    async fn explain(&self, refusal: Error, token: &IdentityToken) -> Error {
        let Error::Status {
            status: 400 | 401 | 403,
            message,
            reasons,
            ..
        } = &refusal
        else {
            return refusal;
        };
        let missing = reasons.iter().find_map(|reason| reason.strip_prefix("claim-missing:"));
        if let Some(name) = missing {
            return OidcError::Claim { name: name.to_owned() }.into();
        }
        if let Ok(issuers) = self.services.authority.accepted_issuers().await {
            let Some(issuer) = issuers.iter().find(|issuer| issuer.accepts(token.issuer())) else {
                let accepted = issuers.iter().map(ToString::to_string).collect();
                return OidcError::Issuer {
                    issuer: token.issuer().to_owned(),
                    accepted,
                }
                .into();
            };
            if let Err(unfit) = token.check(&issuer.audience, clock::now()) {
                return unfit.into();
            }
        }
        if let Err(missing) = predict(token) {
            return missing.into();
        }
        let (message, reasons) = (message.clone(), reasons.clone());
        OidcError::Refused {
            message,
            reasons,
            claims: token.shown_claims(),
        }
        .into()
    }
}

/// What the certificate says is what the token says: everything, where the authority's templates are known; elsewhere the
/// issuer, and what no template changes.
fn check_identity(token: &IdentityToken, found: &WorkloadIdentity) -> Result<(), Error> {
    let wrong = |what, found: &str, expected: &str| Error::CaWrongIdentity {
        what,
        found: found.to_owned(),
        expected: expected.to_owned(),
    };
    let Some(expected) = predict_at(token, found)? else {
        if found.issuer() != token.issuer() {
            return Err(wrong(Claim::Issuer.name(), found.issuer(), token.issuer()));
        }
        for (claim, wanted) in plain_claims(token) {
            if let Some(said) = found.claim(claim)
                && said != wanted
            {
                return Err(wrong(claim.name(), said, &wanted));
            }
        }
        return Ok(());
    };
    if found.san != expected.san {
        return Err(wrong(
            "subject alternative name",
            found.san.as_str(),
            expected.san.as_str(),
        ));
    }
    for claim in Claim::ALL {
        let (said, wanted) = (found.claim(claim), expected.claim(claim));
        // Older authorities do not write the newest claims, newer ones may stop writing the deprecated.
        let may_miss = claim.is_raw() || matches!(claim, Claim::DeploymentEnvironment | Claim::TokenSubject);
        if said != wanted && !(said.is_none() && may_miss) {
            return Err(wrong(
                claim.name(),
                said.unwrap_or_default(),
                wanted.unwrap_or_default(),
            ));
        }
    }
    Ok(())
}

/// Which part of the certificate does not hold.
fn untrusted(refusal: verify::Error) -> Error {
    use verify::Error as Refusal;
    let transparency = matches!(
        refusal,
        Refusal::Sct
            | Refusal::SctMissing
            | Refusal::SctUnknownLog
            | Refusal::SctTime { .. }
            | Refusal::SctSignature
            | Refusal::FutureTime { .. }
    );
    let profile = matches!(
        refusal,
        Refusal::CertificateProfile { .. } | Refusal::CertificateExtension { .. }
    );
    if transparency {
        Error::CaSct(refusal)
    } else if profile {
        Error::CaProfile(refusal)
    } else {
        Error::CaUntrusted(refusal)
    }
}

fn choose(service: Service, offered: &[ConfiguredService], version: u32, now: UnixTime) -> Result<Endpoint, Error> {
    let chosen = SigningConfig::select(offered, &[version], now).ok_or(Error::NoService { service })?;
    Endpoint::from_trust_configuration(service, &chosen.url)
}

fn public_key(key: &SigningKey) -> Result<PublicKey, Error> {
    let der = key.verifying_key().to_public_key_der().map_err(|_| Error::Random)?;
    PublicKey::from_spki_der(der.as_bytes()).map_err(|_| Error::Random)
}

/// Host of the public instance's certificate authority.
const PUBLIC_GOOD: &str = "fulcio.sigstore.dev";

/// How far the authority's clock may be ahead of ours.
const CLOCK_SKEW_SECS: i64 = 300;

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde_json::{Value, json};
    use verify::identity::SubjectAlternativeName;

    use super::*;

    fn token(claims: &Value) -> IdentityToken {
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let header = part(r#"{"alg":"RS256"}"#);
        IdentityToken::new(format!("{header}.{}.{}", part(&claims.to_string()), part("none"))).unwrap()
    }

    fn forgejo(issuer: &str) -> IdentityToken {
        token(&json!({
            "iss": issuer, "sub": "s", "repository": "o/r", "repository_id": "1", "repository_owner": "o",
            "repository_owner_id": "2", "sha": "abc", "ref": "refs/heads/main", "event_name": "push", "run_id": "5",
            "workflow_ref": "o/r/.forgejo/workflows/x.yml@refs/heads/main",
        }))
    }

    fn code(token: &IdentityToken, found: &WorkloadIdentity) -> &'static str {
        check_identity(token, found).map_or_else(|error| error.code(), |()| "believed")
    }

    #[test]
    fn a_certificate_says_what_the_token_says_and_nothing_else() {
        let token = forgejo("https://codeberg.org/api/actions");
        let honest = predict(&token).unwrap().unwrap();
        assert_eq!(code(&token, &honest), "believed");
        for claim in honest
            .claims
            .keys()
            .copied()
            .filter(|claim| *claim != Claim::DeprecatedIssuer)
        {
            let mut other = honest.clone();
            other.claims.insert(claim, "other".to_owned());
            assert_eq!(code(&token, &other), "ca-wrong-identity", "{claim:?}");
        }
        let mut extra = honest.clone();
        extra.claims.insert(Claim::DeploymentEnvironment, "release".to_owned());
        assert_eq!(code(&token, &extra), "ca-wrong-identity");
        let mut missing = honest.clone();
        missing.claims.remove(&Claim::BuildTrigger);
        assert_eq!(code(&token, &missing), "ca-wrong-identity");
        let mut older = honest.clone();
        older.claims.remove(&Claim::TokenSubject);
        assert_eq!(code(&token, &older), "believed");
        let other = WorkloadIdentity {
            san: SubjectAlternativeName::Email("a@b.test".to_owned()),
            ..honest
        };
        assert_eq!(code(&token, &other), "ca-wrong-identity");
    }

    #[test]
    fn an_instance_with_templates_of_its_own_is_still_held_to_what_no_template_changes() {
        let token = forgejo("https://git.corp.test");
        let plain = |claim, value: &str| {
            let claims = [
                (Claim::Issuer, "https://git.corp.test".to_owned()),
                (claim, value.to_owned()),
            ];
            WorkloadIdentity {
                san: SubjectAlternativeName::Uri("https://x.test/y".to_owned()),
                claims: claims.into(),
            }
        };
        assert_eq!(code(&token, &plain(Claim::SourceRepositoryDigest, "abc")), "believed");
        assert_eq!(
            code(&token, &plain(Claim::SourceRepositoryDigest, "abd")),
            "ca-wrong-identity"
        );
        assert_eq!(
            code(&token, &plain(Claim::SourceRepositoryIdentifier, "9")),
            "ca-wrong-identity"
        );
        assert_eq!(code(&token, &plain(Claim::TokenSubject, "t")), "ca-wrong-identity");
        assert_eq!(
            code(&token, &plain(Claim::Issuer, "https://other.test")),
            "ca-wrong-identity"
        );
    }

    fn service(url: &str, api_version: u32) -> ConfiguredService {
        ConfiguredService {
            url: url.to_owned(),
            api_version,
            valid_for: verify::time::ValidityWindow {
                start: UnixTime::from_secs(0),
                end: None,
            },
            operator: String::new(),
        }
    }

    #[test]
    fn a_private_repository_is_not_told_to_the_world_unawares() {
        let signer = |authority: &str| {
            let signing_config = SigningConfig {
                certificate_authorities: vec![service(authority, 1)],
                logs: vec![service("https://log.test", 2)],
                timestamp_authorities: vec![service("https://stamp.test", 1)],
                ..SigningConfig::default()
            };
            let trusted_root = TrustedRoot::default();
            let http = Http::new(crate::HttpOptions::default()).unwrap();
            Signer::new(
                http,
                ClientTrustConfig {
                    trusted_root,
                    signing_config,
                },
            )
            .unwrap()
        };
        let public = signer("https://fulcio.sigstore.dev");
        assert_eq!(public.disclosure, Disclosure::NotPrivate);
        assert_eq!(
            public.clone().allow_private_repository(false).disclosure,
            Disclosure::NotPrivate
        );
        assert_eq!(public.allow_private_repository(true).disclosure, Disclosure::Any);
        assert_eq!(signer("https://sigstore.corp.test").disclosure, Disclosure::Any);
        for (name, visibility, public) in [
            ("repository_visibility", "public", true),
            ("repository_visibility", "private", false),
            ("repository_visibility", "internal", false),
            ("project_visibility", "private", false),
            ("other", "private", true),
        ] {
            assert_eq!(
                token(&json!({ name: visibility })).check_public().is_ok(),
                public,
                "{name} {visibility}"
            );
            let stated = public && name != "other";
            assert_eq!(
                token(&json!({ name: visibility })).check_stated_public().is_ok(),
                stated,
                "{name} {visibility}"
            );
        }
    }

    #[tokio::test]
    async fn an_instance_that_nobody_chose_learns_of_public_repositories_only() {
        let http = Http::new(crate::HttpOptions::default()).unwrap();
        let signer = |disclosure| Signer {
            disclosure,
            services: Arc::new(Services {
                authority: CertificateAuthority::new(
                    http.clone(),
                    Endpoint::parse(Service::CertificateAuthority, "http://127.0.0.1:1").unwrap(),
                ),
                recorder: Recorder::new(
                    &http,
                    &SigningConfig {
                        logs: vec![service("http://127.0.0.1:1", 1)],
                        ..SigningConfig::default()
                    },
                    &TrustedRoot::default(),
                    UnixTime::from_secs(1),
                )
                .unwrap(),
                verifier: Verifier::new(TrustedRoot::default()).unwrap(),
            }),
        };
        for (disclosure, claims, code) in [
            (Disclosure::Any, json!({}), "service-connect"),
            (Disclosure::NotPrivate, json!({}), "service-connect"),
            (
                Disclosure::NotPrivate,
                json!({"repository_visibility": "private"}),
                "E-PRIVATE",
            ),
            (
                Disclosure::Public,
                json!({"repository_visibility": "public"}),
                "service-connect",
            ),
            (
                Disclosure::Public,
                json!({"repository_visibility": "internal"}),
                "E-PRIVATE",
            ),
            (Disclosure::Public, json!({}), "E-UNSTATED"),
        ] {
            let error = signer(disclosure).certify(&token(&claims)).await.unwrap_err();
            assert_eq!(error.code(), code, "{disclosure:?} {claims}: {error}");
        }
    }

    #[test]
    fn events_of_strangers_are_refused() {
        for (claim, event, code) in [
            ("event_name", "push", None),
            ("event_name", "pull_request_target", Some("E-EVENT")),
            ("event_name", "workflow_run", Some("E-EVENT")),
            ("pipeline_source", "push", None),
            ("pipeline_source", "web", None),
            ("pipeline_source", "merge_request_event", Some("E-EVENT")),
            ("pipeline_source", "external_pull_request_event", Some("E-EVENT")),
        ] {
            let outcome = token(&json!({ claim: event })).check_event();
            assert_eq!(outcome.err().map(|error| error.code()), code, "{event}");
        }
    }

    #[test]
    fn only_services_of_a_known_version_that_are_valid_now_are_chosen() {
        let service = |url: &str, api_version| ConfiguredService {
            url: url.to_owned(),
            api_version,
            valid_for: verify::time::ValidityWindow {
                start: UnixTime::from_secs(100),
                end: Some(UnixTime::from_secs(200)),
            },
            operator: String::new(),
        };
        let offered = [service("https://one.test", 1), service("https://two.test", 2)];
        let chosen = |version, now| choose(Service::SignatureLog, &offered, version, UnixTime::from_secs(now));
        assert_eq!(chosen(2, 150).unwrap().url().as_str(), "https://two.test/");
        for (version, now) in [(3, 150), (2, 99), (2, 201)] {
            assert_eq!(chosen(version, now).unwrap_err().code(), "no-service");
        }
    }
}
