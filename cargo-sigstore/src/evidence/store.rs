//! Which attestation store is asked: the one named by the user, else that of the trusted instance, else the registry's.

use client::{Http, Service, attestations::AttestationStore, http::Endpoint};
use url::Url;
use verify::{
    signing_config::{ClientTrustConfig, SigningConfig},
    time::UnixTime,
};

use crate::failure::{Exit, Failure};

/// An attestation store and its address.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// Its client.
    pub(crate) client: AttestationStore,
    /// Its base URL.
    pub(crate) url: String,
}

impl Store {
    /// The store at `explicit`, else at the origin of the private instance's certificate authority, else at `of_registry`.
    ///
    /// # Errors
    /// Code `service-url` for what is no URL; `store-missing` when nobody names a store.
    pub(crate) fn choose(
        http: &Http,
        explicit: Option<&str>,
        trust: Option<&ClientTrustConfig>,
        of_registry: Option<&str>,
        now: UnixTime,
    ) -> Result<Self, Failure> {
        let found = Self::find(http, explicit, trust, of_registry, now)?;
        found.ok_or_else(|| Error::Missing.into())
    }

    /// As [`Self::choose`], but none when nobody names a store: a public instance has none.
    ///
    /// # Errors
    /// Code `service-url`.
    pub(crate) fn find(
        http: &Http,
        explicit: Option<&str>,
        trust: Option<&ClientTrustConfig>,
        of_registry: Option<&str>,
        now: UnixTime,
    ) -> Result<Option<Self>, Failure> {
        let private = trust.and_then(|trust| private_origin(trust, now));
        let endpoint = match (explicit, private, of_registry) {
            (Some(url), _, _) | (None, None, Some(url)) => Endpoint::parse(Service::AttestationStore, url)?,
            (None, Some(origin), _) => Endpoint::from_trust_configuration(Service::AttestationStore, &origin)?,
            (None, None, None) => return Ok(None),
        };
        Ok(Some(Self {
            url: endpoint.url().to_string(),
            client: AttestationStore::new(http.clone(), endpoint),
        }))
    }
}

/// Scheme, host and port of the certificate authority in use: one origin serves every role of a private instance. None of a
/// public instance, which keeps no attestations.
fn private_origin(trust: &ClientTrustConfig, now: UnixTime) -> Option<String> {
    let authority = SigningConfig::select(&trust.signing_config.certificate_authorities, &[1], now)?;
    let url = Url::parse(&authority.url).ok()?;
    let is_public = url.host_str().is_some_and(|host| PUBLIC_AUTHORITIES.contains(&host));
    (!is_public).then(|| url.origin().ascii_serialization())
}

/// Certificate authorities of the instances that are known by name: public-good, staging, GitHub's.
const PUBLIC_AUTHORITIES: [&str; 3] = ["fulcio.sigstore.dev", "fulcio.sigstage.dev", "fulcio.githubapp.com"];

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no attestation store is known")]
    Missing,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Usage, "store-missing", &error)
            .hint("pass `--attestations URL`, or leave out `--store`: the bundle is in the file all the same")
    }
}

#[cfg(test)]
mod tests {
    use verify::{TrustedRoot, signing_config::Service as ConfiguredService, time::ValidityWindow};

    use super::*;

    /// Where evidence goes that is signed with the instance of this authority.
    fn store(authority: Option<&str>, explicit: Option<&str>, of_registry: Option<&str>) -> Option<String> {
        let trust = authority.map(|url| ClientTrustConfig {
            trusted_root: TrustedRoot::default(),
            signing_config: SigningConfig {
                certificate_authorities: vec![ConfiguredService {
                    url: url.to_owned(),
                    api_version: 1,
                    valid_for: ValidityWindow {
                        start: UnixTime::from_secs(0),
                        end: None,
                    },
                    operator: String::new(),
                }],
                ..SigningConfig::default()
            },
        });
        let http = Http::new(client::HttpOptions::default()).unwrap();
        let found = Store::find(&http, explicit, trust.as_ref(), of_registry, UnixTime::from_secs(1)).unwrap();
        found.map(|store| store.url)
    }

    #[test]
    fn a_private_instance_has_a_store_and_a_public_one_has_none() {
        let (private, public) = (
            Some("https://sigstore.acme.test/ca"),
            Some("https://fulcio.sigstore.dev"),
        );
        let (named, registry) = (Some("https://named.test/"), Some("https://registry.test/"));
        let owned = |url: &str| Some(url.to_owned());
        assert_eq!(store(private, None, None), owned("https://sigstore.acme.test/"));
        assert_eq!(store(private, None, registry), owned("https://sigstore.acme.test/"));
        assert_eq!(store(private, named, registry), owned("https://named.test/"));
        assert_eq!(store(public, None, None), None);
        assert_eq!(store(public, None, registry), owned("https://registry.test/"));
        assert_eq!(store(public, named, registry), owned("https://named.test/"));
        assert_eq!(store(None, None, registry), owned("https://registry.test/"));
        assert_eq!(store(None, None, None), None);
    }
}
