//! Finishing uploads: whatever the registry accepted gets the registry's own statements, however often the gate is restarted.
//!
//! Each step is made durable before the next, and each may be made twice: a signature that was lost is made again (the log
//! then has two entries for one statement), a bundle that is stored already is stored again to no effect.

use std::{sync::Arc, time::Duration};

use axum::http::HeaderMap;
use verify::{Budget, Bundle, Sha256Digest, UnixTime, signing_config::ClientTrustConfig};

use super::{Service, StartError, exchange, hook, now};
use crate::{
    Config, RegistryPolicy,
    attest::{AttestError, Attestor, Names, Session},
    crash::CrashPoint,
    decision::{Admission, Evidence, Ground},
    ledger::{
        LedgerError,
        outbox::{Facts, StatementKind, Upload},
    },
    trusted_publishing::RegistryToken,
};

/// Why an upload is not finished yet.
#[derive(Debug, thiserror::Error)]
enum Delay {
    #[error("the registry's index does not show it yet")]
    NotInIndex,
    #[error(transparent)]
    Attest(#[from] AttestError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<client::Error> for Delay {
    fn from(error: client::Error) -> Self {
        Self::Attest(error.into())
    }
}

/// The signer of the registry, where one is configured.
pub(super) fn attestor(
    config: &Config,
    http: client::Http,
    trust: Option<ClientTrustConfig>,
) -> Result<Option<Attestor>, StartError> {
    let Some(attest) = &config.attest else {
        return Ok(None);
    };
    let names = Names {
        base: config.public_url.as_str().trim_end_matches('/').to_owned(),
        index_url: (!config.mirrors_crates_io()).then(|| format!("sparse+{}", config.index_url())),
        policy_uri: attest.policy_uri.clone(),
    };
    Ok(Some(Attestor::new(attest, http, trust, names)?))
}

impl Service {
    /// Finishes uploads for ever: those of before the restart first, later ones as they come.
    pub async fn finish_uploads(self: Arc<Self>) {
        if self.attestor.is_none() {
            return;
        }
        if let Err(error) = self.ledger.hasten_uploads(now()) {
            tracing::error!(%error, "uploads under way cannot be read");
        }
        loop {
            self.finish_due().await;
            let due = self.ledger.next_due().ok().flatten();
            let wait = due.map_or(LONGEST_WAIT, |due| {
                let seconds = due.as_secs().saturating_sub(now().as_secs());
                Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).clamp(SHORTEST_WAIT, LONGEST_WAIT)
            });
            tokio::select! {
                () = self.accepted.notified() => (),
                () = tokio::time::sleep(wait) => (),
            }
        }
    }

    async fn finish_due(&self) {
        let uploads = match self.ledger.due_uploads(now()) {
            Ok(uploads) => uploads,
            Err(error) => {
                tracing::error!(%error, "uploads under way cannot be read");
                return;
            }
        };
        for upload in uploads {
            let (krate, version) = (&upload.name, &upload.version);
            match self.finish(&upload).await {
                Ok(()) => tracing::info!(krate, version, digest = %upload.archive, "attested by the registry"),
                Err(delay) => {
                    metrics::counter!("gate_attest_delays_total").increment(1);
                    tracing::warn!(krate, version, %delay, tries = upload.tries, "not attested yet");
                    self.later(&upload);
                }
            }
        }
        let open = self.ledger.open_uploads().unwrap_or_default();
        metrics::gauge!("gate_uploads_open").set(u32::try_from(open).map_or(f64::INFINITY, f64::from));
    }

    async fn finish(&self, upload: &Upload) -> Result<(), Delay> {
        if !upload.accepted {
            if !self.has_in_index(upload, &self.own_credentials()).await {
                return Err(Delay::NotInIndex);
            }
            self.ledger.accept_upload(upload, now())?;
        }
        let Some(attestor) = &self.attestor else {
            return Ok(());
        };
        let mut session = None;
        for kind in StatementKind::ALL {
            let bundle = match self.ledger.kept_bundle(&upload.archive, kind)? {
                Some(text) => text,
                None => self.sign(attestor, &mut session, upload, kind).await?,
            };
            if !attestor.is_keyed() {
                let bundle = Bundle::from_json(bundle.as_bytes(), &Budget::default());
                let bundle = bundle.map_err(|_| LedgerError::Damaged)?;
                self.store.put(&bundle, &upload.archive).await?;
            }
            CrashPoint::Stored.reach();
        }
        Ok(self.ledger.finish_upload(&upload.archive)?)
    }

    /// Signs and keeps one statement; one session serves all of an upload.
    async fn sign(
        &self,
        attestor: &Attestor,
        session: &mut Option<Session>,
        upload: &Upload,
        kind: StatementKind,
    ) -> Result<String, Delay> {
        let session = match session {
            Some(session) => session,
            None => session.insert(attestor.session().await?),
        };
        let signed = session.sign(&attestor.statement(upload, kind), upload.archive).await?;
        CrashPoint::Signed.reach();
        let text = signed.bundle.to_json();
        self.ledger.keep_bundle(&upload.archive, kind, &text)?;
        CrashPoint::BundleKept.reach();
        Ok(text)
    }

    /// Doubles the wait with each try; an upload that never showed up in the index was refused by the registry.
    fn later(&self, upload: &Upload) {
        let age = now().as_secs().saturating_sub(upload.facts.at);
        let outcome = if !upload.accepted && age > NEVER_ACCEPTED_SECS {
            tracing::warn!(
                krate = upload.name,
                version = upload.version,
                "the registry never showed it; given up"
            );
            self.ledger.forget_upload(&upload.archive)
        } else {
            let wait = 1_i64.checked_shl(upload.tries.min(62)).unwrap_or(i64::MAX);
            let due = now().plus_secs(wait.min(LONGEST_BACK_OFF_SECS));
            self.ledger.postpone_upload(&upload.archive, due)
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "an upload under way cannot be postponed");
        }
    }

    /// The registry's own token, where the gate has one: an index may be shown with a token only.
    fn own_credentials(&self) -> HeaderMap {
        let exchange = self.exchange.as_ref().map(exchange::Exchange::registry_token);
        let token = exchange.or_else(|| self.receiver.as_ref().map(hook::Receiver::registry_token));
        token.map(RegistryToken::header).unwrap_or_default()
    }

    /// Whether the registry's index names this version with the very bytes of the upload.
    pub(super) async fn has_in_index(&self, upload: &Upload, headers: &HeaderMap) -> bool {
        let line = self.index_line(&upload.name, &upload.version, headers).await;
        line.is_ok_and(|line| line.checksum.parse() == Ok::<Sha256Digest, verify::Error>(upload.archive))
    }
}

/// The upload as it is recorded before it is forwarded.
pub(super) fn upload(admission: &Admission, evidence: &Evidence, policy: &RegistryPolicy) -> Upload {
    let (level, inputs) = match &admission.ground {
        Ground::Attested { level, statements } => (Some(*level), used(statements, evidence)),
        Ground::Exception { .. } | Ground::Unlisted => (None, Vec::new()),
    };
    Upload {
        archive: admission.digest,
        name: admission.description.name.clone(),
        version: admission.description.version.clone(),
        facts: Facts {
            at: now().as_secs(),
            policy: policy.digest().to_string(),
            level,
            inputs,
        },
        accepted: false,
        tries: 0,
    }
}

/// Digests of the bundles that the statements came from, as the store keeps them: known by their log entries.
fn used(statements: &[verify::Verified], evidence: &Evidence) -> Vec<String> {
    let Evidence::Bundles(bundles) = evidence else {
        return Vec::new();
    };
    let is_used = |bundle: &&Bundle| {
        let mut entries = bundle.log_entries.iter();
        entries.any(|entry| {
            let mut proven = statements.iter().flat_map(verify::Verified::log_entries);
            proven.any(|known| known.is_of(entry))
        })
    };
    let digest = |bundle: &Bundle| Sha256Digest::of(bundle.to_json().as_bytes()).to_string();
    bundles.iter().filter(is_used).map(digest).collect()
}

/// When an upload that is being forwarded is looked at by the worker: after the longest upload.
pub(super) fn after_forwarding() -> UnixTime {
    now().plus_secs(FORWARDING_SECS)
}

/// A crate of 10 MiB at 170 KiB/s.
const FORWARDING_SECS: i64 = 60;
/// An index that lags longer than a day shows nothing any more.
const NEVER_ACCEPTED_SECS: i64 = 86_400;
const LONGEST_BACK_OFF_SECS: i64 = 600;
const SHORTEST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
