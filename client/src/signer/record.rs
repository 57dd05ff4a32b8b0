//! The record of a signature: its log entry and the stamps that tell its time.

use verify::{
    Budget, Digest, Error as Refusal, Sha256Digest, TrustedRoot, UnixTime,
    bundle::{Content, TransparencyLogEntry},
    certificate::Certificate,
    entry::{EntryVerifier, HashedRekordV001, HashedRekordV002},
    key::{KeyDetails, PublicKey},
    signing_config::SigningConfig,
};

use super::choose;
use crate::{
    Error, Http, Service,
    http::Endpoint,
    legacy_log::{LegacyLog, Proposal},
    log::SignatureLog,
    timestamp::TimestampAuthority,
};

/// The services that make a signature provable.
#[derive(Debug)]
pub(super) struct Recorder {
    log: Log,
    /// May be missing beside a v1 log, which states the time itself.
    timestamps: Option<TimestampAuthority>,
}

/// By the newest API that the log offers.
#[derive(Debug)]
enum Log {
    V2(SignatureLog),
    V1(LegacyLog),
}

/// What a bundle holds beside signer and content.
pub(super) struct Record {
    pub(super) entry: TransparencyLogEntry,
    /// RFC 3161 responses, DER.
    pub(super) timestamps: Vec<Vec<u8>>,
}

impl Recorder {
    /// Chooses the newest log and the newest authority that are valid now.
    ///
    /// # Errors
    /// [`Error::NoService`] without a log, or without a timestamp authority beside a log that states no time;
    /// [`Error::Url`].
    pub(super) fn new(
        http: &Http,
        config: &SigningConfig,
        trusted_root: &TrustedRoot,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let service = Service::SignatureLog;
        let chosen = SigningConfig::select(&config.logs, &[1, 2], now).ok_or(Error::NoService { service })?;
        let endpoint = Endpoint::from_trust_configuration(service, &chosen.url)?;
        let log = if chosen.api_version == 1 {
            Log::V1(LegacyLog::new(http.clone(), endpoint, trusted_root))
        } else {
            Log::V2(SignatureLog::new(http.clone(), endpoint, trusted_root))
        };
        let authority = choose(Service::TimestampAuthority, &config.timestamp_authorities, 1, now);
        let timestamps = match (&log, authority) {
            (Log::V1(_), Err(Error::NoService { .. })) => None,
            (_, authority) => Some(TimestampAuthority::new(http.clone(), authority?)),
        };
        Ok(Self { log, timestamps })
    }

    /// Logs and stamps a P-256 signature over `digest`, both at the same time; the first failure ends both.
    ///
    /// # Errors
    /// Those of the log and of [`TimestampAuthority::stamp`].
    pub(super) async fn record(
        &self,
        content: &Content,
        digest: Sha256Digest,
        signature: &[u8],
        verifier: EntryVerifier,
    ) -> Result<Record, Error> {
        let stamps = async {
            match &self.timestamps {
                Some(authority) => Ok(vec![authority.stamp(signature).await?.der]),
                None => Ok(Vec::new()),
            }
        };
        let entry = self.log.create(content, digest, signature, verifier);
        let (entry, timestamps) = tokio::try_join!(entry, stamps)?;
        Ok(Record { entry, timestamps })
    }
}

impl Log {
    async fn create(
        &self,
        content: &Content,
        digest: Sha256Digest,
        signature: &[u8],
        verifier: EntryVerifier,
    ) -> Result<TransparencyLogEntry, Error> {
        match (self, content) {
            (Self::V2(log), _) => {
                let entry = HashedRekordV002 {
                    digest: Digest::from(digest),
                    signature: signature.to_vec(),
                    key_details: KeyDetails::EcdsaP256Sha256,
                    verifier,
                };
                log.create(&entry).await
            }
            (Self::V1(log), Content::Dsse(envelope)) => {
                let pem = to_pem(&verifier).map_err(Error::Bundle)?;
                log.create(&Proposal::envelope(envelope, &pem)).await
            }
            (Self::V1(log), Content::Message { .. }) => {
                let entry = HashedRekordV001 {
                    digest: Digest::from(digest),
                    signature: signature.to_vec(),
                    verifier_pem: to_pem(&verifier).map_err(Error::Bundle)?,
                };
                log.create(&Proposal::message(entry)).await
            }
        }
    }
}

/// The text form in which a v1 log names a signer.
fn to_pem(verifier: &EntryVerifier) -> Result<String, Refusal> {
    match verifier {
        EntryVerifier::Certificate(der) => Ok(Certificate::from_der(der, &Budget::default())?.to_pem()),
        EntryVerifier::PublicKey(der) => Ok(PublicKey::from_spki_der(der)?.to_pem()),
    }
}
