//! The documents that tell clients whom to believe and whom to ask [protobuf-specs trustroot v1].
//!
//! The shape is the one that sigstore-python, -js, -rust, -go and cosign all read: media type v0.1, `logId` equal to the checkpoint
//! key id on the v2 log, a start of validity everywhere, v2 before v1.

use verify::{
    PublicKey, TrustedRoot, UnixTime,
    certificate::Certificate,
    key::KeyDetails,
    note,
    signing_config::{ClientTrustConfig, Service, SigningConfig},
    time::ValidityWindow,
    trusted_root::{CertificateAuthority, TransparencyLog},
};

use crate::{ceremony, config::Origin};

/// What goes into the trust documents.
#[derive(Debug)]
pub(crate) struct TrustMaterial<'a> {
    /// The instance's URL.
    pub(crate) origin: &'a Origin,
    /// Key of the signature log.
    pub(crate) signature_log: &'a PublicKey,
    /// Key of the v1 log.
    pub(crate) legacy_log: &'a PublicKey,
    /// Key of the CT log.
    pub(crate) certificate_log: &'a PublicKey,
    /// The CA's chain, issuing certificate first.
    pub(crate) ca_chain: Vec<Certificate>,
    /// The TSA's chain, leaf first.
    pub(crate) tsa_chain: Vec<Certificate>,
    /// Issuers where people can sign in.
    pub(crate) sign_in: Vec<String>,
    /// When all of this begins.
    pub(crate) now: UnixTime,
}

impl TrustMaterial<'_> {
    /// Trusted root and signing configuration.
    pub(crate) fn config(&self) -> ClientTrustConfig {
        ClientTrustConfig {
            trusted_root: self.trusted_root(),
            signing_config: self.signing_config(),
        }
    }

    fn trusted_root(&self) -> TrustedRoot {
        let url = self.origin.as_str();
        let log_id = note::log_key_id(self.origin.host(), self.signature_log);
        TrustedRoot {
            logs: vec![
                TransparencyLog {
                    checkpoint_key_id: Some(log_id),
                    ..self.log(url.to_owned(), self.signature_log, log_id)
                },
                self.log(url.to_owned(), self.legacy_log, self.legacy_log.id().0),
            ],
            certificate_authorities: vec![self.authority(url.to_owned(), &self.ca_chain)],
            ct_logs: vec![self.log(format!("{url}/ct"), self.certificate_log, self.certificate_log.id().0)],
            timestamp_authorities: vec![self.authority(self.timestamp_url(), &self.tsa_chain)],
            ..TrustedRoot::default()
        }
    }

    fn signing_config(&self) -> SigningConfig {
        let url = self.origin.as_str();
        SigningConfig {
            certificate_authorities: vec![self.service(url, 1)],
            oidc_providers: self.sign_in.iter().map(|issuer| self.service(issuer, 1)).collect(),
            logs: vec![self.service(url, 2), self.service(url, 1)],
            timestamp_authorities: vec![self.service(&self.timestamp_url(), 1)],
        }
    }

    fn timestamp_url(&self) -> String {
        format!("{}/api/v1/timestamp", self.origin.as_str())
    }

    fn since_now(&self) -> ValidityWindow {
        ValidityWindow {
            start: self.now,
            end: None,
        }
    }

    fn log(&self, base_url: String, key: &PublicKey, log_id: [u8; 32]) -> TransparencyLog {
        TransparencyLog {
            base_url,
            key: key.clone(),
            key_details: key.default_details().unwrap_or(KeyDetails::EcdsaP256Sha256),
            valid_for: self.since_now(),
            log_id,
            checkpoint_key_id: None,
            operator: self.origin.host().to_owned(),
        }
    }

    fn authority(&self, uri: String, chain: &[Certificate]) -> CertificateAuthority {
        let name = chain
            .first()
            .and_then(|first| ceremony::common_name(first.issuer_and_subject().1));
        CertificateAuthority {
            organization: self.origin.host().to_owned(),
            common_name: name.unwrap_or_default(),
            uri,
            chain: chain.to_vec(),
            valid_for: self.since_now(),
            operator: self.origin.host().to_owned(),
        }
    }

    fn service(&self, url: &str, api_version: u32) -> Service {
        Service {
            url: url.to_owned(),
            api_version,
            valid_for: self.since_now(),
            operator: self.origin.host().to_owned(),
        }
    }
}
