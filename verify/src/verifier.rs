//! The verifier, and the only maker of [`Verified`].
//!
//! A bundle is refused when anything in it is wrong, not only when too little of it is right: every log entry, every
//! timestamp and every SCT that is present must hold.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use crate::{
    Budget, Bundle, Error, Policy, PublicKey, Sha256Digest, TrustedRoot, UnixTime, WorkloadIdentity,
    artifact::Artifact,
    bundle::SignerMaterial,
    certificate::{CODE_SIGNING, Certificate},
    chain::{Authority, TimestampAuthority},
    identity::Claim,
    policy::Signer,
    statement::{Statement, Subject},
    trusted_root::TransparencyLog,
};

mod attested;
mod batch;
mod content;
mod entry;
mod leaf;
mod stamp;

pub use batch::BatchItem;

use attested::Attested;
use batch::Cache;
use content::Signed;
use entry::EntryEvidence;
use leaf::Leaf;

/// Checks bundles against one trusted root. Keys and chains are parsed and checked once, here.
#[derive(Debug)]
pub struct Verifier {
    budget: Budget,
    logs: Vec<TransparencyLog>,
    ct_logs: Vec<TransparencyLog>,
    authorities: Vec<Authority>,
    timestamp_authorities: Vec<TimestampAuthority>,
}

/// A bundle that held: the evidence, not a boolean. Only [`Verifier`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    artifact: Option<Sha256Digest>,
    attested: Option<Attested>,
    signer: Signatory,
    times: Vec<AuthenticatedTime>,
    log_entries: Vec<AuthenticatedEntry>,
    checks: Vec<&'static str>,
}

/// An instant that somebody trusted signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedTime {
    /// When.
    pub at: UnixTime,
    /// Who says so.
    pub source: TimeSource,
}

/// Who stated a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeSource {
    /// A timestamp authority, by its URI.
    TimestampAuthority(String),
    /// A v1 log's signed entry timestamp, by the log's URL.
    LogPromise(String),
}

/// A log entry whose proof held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedEntry {
    /// The log's URL.
    pub log_url: String,
    /// The log's id.
    pub log_id: [u8; 32],
    /// Index as the bundle states it.
    pub index: u64,
    /// Kind and version, `hashedrekord 0.0.2`.
    pub kind: String,
}

impl Verifier {
    /// Prepares a trusted root: keys, chains, their dates and usages.
    ///
    /// # Errors
    /// [`Error::CertificateChain`] when a chain in it does not hold together, [`Error::TrustedRoot`] when the id of a
    /// log is not that of its key.
    pub fn new(trusted_root: TrustedRoot) -> Result<Self, Error> {
        Self::with_budget(trusted_root, Budget::default())
    }

    /// The same with limits of the caller's.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_budget(trusted_root: TrustedRoot, budget: Budget) -> Result<Self, Error> {
        for log in &trusted_root.logs {
            let ids = [Some(log.log_id), log.checkpoint_key_id];
            if !ids.iter().flatten().all(|id| log.is_key_id(id)) {
                return Err(FOREIGN_LOG_ID);
            }
        }
        if trusted_root.ct_logs.iter().any(|log| log.log_id != log.key.id().0) {
            return Err(FOREIGN_LOG_ID);
        }
        Ok(Self {
            budget,
            authorities: trusted_root
                .certificate_authorities
                .iter()
                .map(|authority| Authority::new(&authority.chain, authority.valid_for, &CODE_SIGNING))
                .collect::<Result<_, _>>()?,
            timestamp_authorities: trusted_root
                .timestamp_authorities
                .iter()
                .map(TimestampAuthority::new)
                .collect::<Result<_, _>>()?,
            logs: trusted_root.logs,
            ct_logs: trusted_root.ct_logs,
        })
    }

    /// Checks everything a bundle claims of `artifact`, then the policy.
    ///
    /// # Errors
    /// The first check that fails; see `docs/codes.md`.
    pub fn verify(
        &self,
        bundle: &Bundle,
        artifact: &Artifact<'_>,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Verified, Error> {
        self.verify_with(bundle, artifact, policy, now, None)
    }

    /// Checks many bundles on up to `threads` threads; results stand in the order of `items`.
    ///
    /// A leaf certificate or checkpoint that several bundles share is checked once. What one bundle's failure is says
    /// nothing about the others.
    #[must_use]
    pub fn verify_all(
        &self,
        items: &[BatchItem<'_>],
        now: UnixTime,
        threads: NonZeroUsize,
    ) -> Vec<Result<Verified, Error>> {
        batch::verify_all(self, items, now, threads)
    }

    /// Checks a signing certificate on its own, before anything is signed with it: profile, path, SCTs (there must be one),
    /// and that all of them hold at `at`.
    ///
    /// # Errors
    /// [`Error::CertificateProfile`], [`Error::UnknownAuthority`], [`Error::CertificateChain`], [`Error::SctMissing`] and
    /// the SCTs' other errors, [`Error::CertificateTime`], [`Error::AuthorityTime`], [`Error::FutureTime`].
    pub fn check_certificate(&self, certificate: &Certificate, at: UnixTime) -> Result<WorkloadIdentity, Error> {
        let leaf = Leaf::verify(self, certificate.der())?;
        if leaf.sct_times.is_empty() {
            return Err(Error::SctMissing);
        }
        leaf.check_times(self, &[at], at.plus_secs(CLOCK_TOLERANCE_SECS))?;
        Ok(leaf.identity)
    }

    fn verify_with(
        &self,
        bundle: &Bundle,
        artifact: &Artifact<'_>,
        policy: &Policy,
        now: UnixTime,
        cache: Option<&Cache>,
    ) -> Result<Verified, Error> {
        bundle.check(&self.budget)?;
        let mut checks = Vec::with_capacity(TYPICAL_CHECKS);
        let subject = self.signing_subject(bundle, policy, cache, &mut checks)?;
        let mut signed = Signed::new(bundle, artifact, policy, &self.budget)?;
        signed.verify_signature(subject.key())?;
        checks.push("artifact signature");

        let mut times = self.verify_timestamps(bundle, &mut checks)?;
        let entries = self.verify_entries(bundle, &signed, &subject, cache, &mut checks)?;
        times.extend(entries.iter().filter_map(|entry| entry.time.clone()));
        self.check_times(&times, &subject, &entries, policy, now)?;
        checks.push("times");

        policy.check_identity(subject.identity())?;
        let payload = signed.envelope().map(|envelope| envelope.payload.as_slice());
        policy.check_statement(signed.statement.as_ref(), payload)?;
        check_thresholds(policy, &entries, &times)?;
        checks.push("policy");
        Ok(Verified {
            artifact: signed.artifact_sha256(),
            attested: self.attested(&signed),
            signer: match subject {
                SigningSubject::Leaf(leaf) => Signatory::Leaf(leaf),
                SigningSubject::Key(key) => Signatory::Key(key.clone()),
            },
            times,
            log_entries: entries.into_iter().map(|entry| entry.entry).collect(),
            checks,
        })
    }

    fn attested(&self, signed: &Signed<'_>) -> Option<Attested> {
        let (envelope, (_, matches)) = signed.envelope().zip(signed.statement.as_ref())?;
        Some(Attested::new(&envelope.payload, &self.budget, matches.chosen))
    }

    /// The certificate, checked but for its dates, or the managed key.
    fn signing_subject<'p>(
        &self,
        bundle: &Bundle,
        policy: &'p Policy,
        cache: Option<&Cache>,
        checks: &mut Vec<&'static str>,
    ) -> Result<SigningSubject<'p>, Error> {
        match (&bundle.signer, policy.signer()) {
            (SignerMaterial::PublicKeyHint(hint), Signer::Key(key)) => {
                content::check_key_hint(hint, key)?;
                checks.push("key hint");
                Ok(SigningSubject::Key(key))
            }
            (SignerMaterial::PublicKeyHint(_), Signer::Identity { .. } | Signer::AnyIdentity) => {
                Err(Error::SignerMismatch {
                    rule: "the policy demands a certificate, the bundle names a key",
                })
            }
            (SignerMaterial::Certificate(_) | SignerMaterial::CertificateChain(_), Signer::Key(_)) => {
                Err(Error::SignerMismatch {
                    rule: "the policy demands a key, the bundle carries a certificate",
                })
            }
            (SignerMaterial::Certificate(der), _) => {
                let leaf = self.leaf(der, cache, checks)?;
                leaf::check_transparency(&leaf, policy)?;
                Ok(SigningSubject::Leaf(leaf))
            }
            (SignerMaterial::CertificateChain(chain), _) => {
                let (first, rest) = chain.split_first().ok_or(Error::Certificate)?;
                leaf::check_intermediates(rest, &self.budget)?;
                let leaf = self.leaf(first, cache, checks)?;
                leaf::check_transparency(&leaf, policy)?;
                Ok(SigningSubject::Leaf(leaf))
            }
        }
    }

    fn leaf(&self, der: &[u8], cache: Option<&Cache>, checks: &mut Vec<&'static str>) -> Result<Arc<Leaf>, Error> {
        let leaf = match cache {
            Some(cache) => cache.leaf(der, || Leaf::verify(self, der))?,
            None => Arc::new(Leaf::verify(self, der)?),
        };
        checks.extend_from_slice(&["certificate profile", "certificate signature"]);
        checks.extend(leaf.sct_times.iter().map(|_| "SCT signature"));
        Ok(leaf)
    }

    fn verify_timestamps(
        &self,
        bundle: &Bundle,
        checks: &mut Vec<&'static str>,
    ) -> Result<Vec<AuthenticatedTime>, Error> {
        let mut times = Vec::with_capacity(bundle.timestamps.len().saturating_add(1));
        for timestamp in &bundle.timestamps {
            times.push(stamp::verify(self, timestamp, bundle.signature())?);
            checks.push("timestamp signature");
        }
        Ok(times)
    }

    fn verify_entries(
        &self,
        bundle: &Bundle,
        signed: &Signed<'_>,
        subject: &SigningSubject<'_>,
        cache: Option<&Cache>,
        checks: &mut Vec<&'static str>,
    ) -> Result<Vec<EntryEvidence>, Error> {
        let mut evidence = Vec::with_capacity(bundle.log_entries.len());
        for stated in &bundle.log_entries {
            evidence.push(entry::verify(
                self,
                bundle.version,
                stated,
                signed,
                subject,
                cache,
                checks,
            )?);
        }
        Ok(evidence)
    }

    /// Every time that counts lies within what every authority, certificate and log is believed for.
    fn check_times(
        &self,
        times: &[AuthenticatedTime],
        subject: &SigningSubject<'_>,
        entries: &[EntryEvidence],
        policy: &Policy,
        now: UnixTime,
    ) -> Result<(), Error> {
        if entries.is_empty() && policy.needs().transparency {
            return Err(Error::NoLogEntry);
        }
        let may_lack_time = matches!(subject, SigningSubject::Key(_)) && !policy.needs().time;
        if times.is_empty() && !may_lack_time {
            return Err(Error::NoTime);
        }
        let latest = now.plus_secs(CLOCK_TOLERANCE_SECS);
        let instants: Vec<UnixTime> = times.iter().map(|time| time.at).collect();
        if let Some(at) = instants.iter().copied().find(|at| *at > latest) {
            return Err(Error::FutureTime { at });
        }
        if let SigningSubject::Leaf(leaf) = subject {
            leaf.check_times(self, &instants, latest)?;
        }
        entries.iter().try_for_each(|entry| entry.check_times(self, &instants))
    }
}

/// Who a [`Verified`] says signed.
#[derive(Clone, Debug)]
enum Signatory {
    Leaf(Arc<Leaf>),
    Key(PublicKey),
}

/// Who signed: the one whose key the signature is checked with.
enum SigningSubject<'p> {
    Leaf(Arc<Leaf>),
    Key(&'p PublicKey),
}

impl SigningSubject<'_> {
    fn key(&self) -> &PublicKey {
        match self {
            Self::Leaf(leaf) => leaf.certificate.public_key(),
            Self::Key(key) => key,
        }
    }

    fn identity(&self) -> Option<&WorkloadIdentity> {
        match self {
            Self::Leaf(leaf) => Some(&leaf.identity),
            Self::Key(_) => None,
        }
    }
}

impl Verified {
    /// SHA-256 of the artifact that was checked; none when only other digests of it were given.
    #[must_use]
    pub const fn artifact_digest(&self) -> Option<&Sha256Digest> {
        self.artifact.as_ref()
    }

    /// The statement of a DSSE bundle; built from the signed bytes at the first call.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        self.attested.as_ref()?.statement()
    }

    /// Predicate type of the statement.
    #[must_use]
    pub fn predicate_type(&self) -> Option<&str> {
        Some(self.statement()?.predicate_type.as_str())
    }

    /// The subject that matched the artifact.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.attested.as_ref()?.subject()
    }

    /// Who signed; none for a managed key.
    #[must_use]
    pub fn identity(&self) -> Option<&WorkloadIdentity> {
        match &self.signer {
            Signatory::Leaf(leaf) => Some(&leaf.identity),
            Signatory::Key(_) => None,
        }
    }

    /// The key that signed: the certificate's, or the managed one.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        match &self.signer {
            Signatory::Leaf(leaf) => leaf.certificate.public_key(),
            Signatory::Key(key) => key,
        }
    }

    /// A claim of the certificate.
    #[must_use]
    pub fn claim(&self, claim: Claim) -> Option<&str> {
        self.identity()?.claim(claim)
    }

    /// Every authenticated time, at least one unless the policy came from [`crate::danger::untimed_managed_key`].
    #[must_use]
    pub fn times(&self) -> &[AuthenticatedTime] {
        &self.times
    }

    /// Every log entry.
    #[must_use]
    pub fn log_entries(&self) -> &[AuthenticatedEntry] {
        &self.log_entries
    }

    /// Index in the first log that the bundle names.
    #[must_use]
    pub fn log_index(&self) -> Option<u64> {
        self.log_entries.first().map(|entry| entry.index)
    }

    /// Id of the first log that the bundle names.
    #[must_use]
    pub fn log_id(&self) -> Option<&[u8; 32]> {
        self.log_entries.first().map(|entry| &entry.log_id)
    }

    /// Names of the checks made, in order. Those that end in `signature` cost one signature check each
    /// (unless a batch had made it before).
    #[must_use]
    pub fn checks(&self) -> &[&'static str] {
        &self.checks
    }
}

fn check_thresholds(policy: &Policy, entries: &[EntryEvidence], times: &[AuthenticatedTime]) -> Result<(), Error> {
    let logs: BTreeSet<_> = entries.iter().map(|entry| entry.log).collect();
    let authorities: BTreeSet<_> = times
        .iter()
        .filter_map(|time| match &time.source {
            TimeSource::TimestampAuthority(uri) => Some(uri.as_str()),
            TimeSource::LogPromise(_) => None,
        })
        .collect();
    policy.check_thresholds(logs.len(), authorities.len(), count_witnesses(policy, entries))
}

/// How many of the policy's witnesses saw a checkpoint that an entry of the bundle stands in.
fn count_witnesses(policy: &Policy, entries: &[EntryEvidence]) -> usize {
    let saw = |name: &str, key: &PublicKey| {
        let checkpoints = entries.iter().filter_map(|entry| entry.checkpoint.as_ref());
        checkpoints
            .into_iter()
            .any(|signed| signed.verify_cosignature(name, key).is_ok())
    };
    policy
        .known_witnesses()
        .iter()
        .filter(|(name, key)| saw(name, key))
        .count()
}

const FOREIGN_LOG_ID: Error = Error::TrustedRoot {
    reason: "the id of a log is not that of its key",
};
/// How far a signed time may lie ahead of the verifier's clock: clocks of honest machines differ by seconds.
const CLOCK_TOLERANCE_SECS: i64 = 60;
/// A bundle of today makes nine.
const TYPICAL_CHECKS: usize = 12;
