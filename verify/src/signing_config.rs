//! Signing configuration v0.2 and client trust configuration v0.1 [protobuf-specs trustroot v1].

use crate::{Budget, Error, TrustedRoot, UnixTime, time::ValidityWindow};

/// Where a signer finds its services.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SigningConfig {
    /// Certificate authorities.
    pub certificate_authorities: Vec<Service>,
    /// OIDC providers.
    pub oidc_providers: Vec<Service>,
    /// Signature logs.
    pub logs: Vec<Service>,
    /// Timestamp authorities: full endpoint URLs.
    pub timestamp_authorities: Vec<Service>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Base URL; of a timestamp authority the full endpoint.
    pub url: String,
    /// Major API version.
    pub api_version: u32,
    /// When it may be used.
    pub valid_for: ValidityWindow,
    /// Who runs it.
    pub operator: String,
}

impl SigningConfig {
    /// Reads v0.2.
    ///
    /// # Errors
    /// [`Error::MediaType`], [`Error::Json`].
    pub fn from_json(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Writes v0.2, selector ANY.
    #[must_use]
    pub fn to_json(&self) -> String {
        todo!()
    }
    /// The service to use at `now`: of those valid, the highest of `versions`, then the newest start.
    #[must_use]
    pub fn select<'a>(_services: &'a [Service], _versions: &[u32], _now: UnixTime) -> Option<&'a Service> {
        todo!()
    }
}

/// Trusted root and signing configuration in one file.
#[derive(Clone, Debug)]
pub struct ClientTrustConfig {
    /// Whom to believe.
    pub trusted_root: TrustedRoot,
    /// Whom to ask.
    pub signing_config: SigningConfig,
}

impl ClientTrustConfig {
    /// Reads v0.1.
    ///
    /// # Errors
    /// As [`TrustedRoot::from_json`] and [`SigningConfig::from_json`].
    pub fn from_json(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Writes v0.1.
    #[must_use]
    pub fn to_json(&self) -> String {
        todo!()
    }
}
