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
    /// The store at `explicit`, else at the origin of the instance's certificate authority, else at `of_registry`.
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
        let endpoint = if let Some(url) = explicit.or(of_registry.filter(|_| trust.is_none())) {
            Endpoint::parse(Service::AttestationStore, url)?
        } else if let Some(origin) = trust.and_then(|trust| origin(trust, now)) {
            Endpoint::from_trust_configuration(Service::AttestationStore, &origin)?
        } else {
            return Err(Error::Missing.into());
        };
        Ok(Self {
            url: endpoint.url().to_string(),
            client: AttestationStore::new(http.clone(), endpoint),
        })
    }
}

/// Scheme, host and port of the certificate authority in use: one origin serves every role of a private instance.
fn origin(trust: &ClientTrustConfig, now: UnixTime) -> Option<String> {
    let authority = SigningConfig::select(&trust.signing_config.certificate_authorities, &[1], now)?;
    let url = Url::parse(&authority.url).ok()?;
    Some(url.origin().ascii_serialization())
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no attestation store is known")]
    Missing,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Usage, "store-missing", &error)
            .hint("pass `--attestations URL`, `--bundle FILE`, or a trust configuration with `--trust`")
    }
}
