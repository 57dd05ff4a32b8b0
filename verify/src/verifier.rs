//! The verifier, and the only maker of [`Verified`].
//!
//! A bundle is refused when anything in it is wrong, not only when too little of it is right: every log entry, every
//! timestamp and every SCT that is present must hold.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use crate::{
    Budget, Bundle, Error, Policy, PublicKey, TrustedRoot, UnixTime, WorkloadIdentity,
    artifact::Artifact,
    bundle::{BundleVersion, SignerMaterial},
    certificate::{CODE_SIGNING, Certificate},
    chain::{Authority, TimestampAuthority},
    policy::Signer,
    trusted_root::TransparencyLog,
};

mod attested;
mod batch;
mod content;
mod entry;
mod leaf;
mod stamp;
mod verified;

pub use batch::BatchItem;
pub use verified::{
    AuthenticatedEntry, AuthenticatedSct, AuthenticatedTime, Cosignature, IndexScope, TimeSource, Verified,
};

use attested::Attested;
use batch::Cache;
use content::Signed;
use entry::EntryEvidence;
use leaf::Leaf;
use verified::Signatory;

/// Checks bundles against one trusted root. Keys and chains are parsed and checked once, here.
#[derive(Debug)]
pub struct Verifier {
    budget: Budget,
    logs: Vec<TransparencyLog>,
    ct_logs: Arc<[TransparencyLog]>,
    authorities: Vec<Authority>,
    timestamp_authorities: Vec<TimestampAuthority>,
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
                .map(|authority| Authority::each(&authority.chain, authority.valid_for, &CODE_SIGNING))
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flatten()
                .collect(),
            timestamp_authorities: trusted_root
                .timestamp_authorities
                .iter()
                .map(TimestampAuthority::new)
                .collect::<Result<_, _>>()?,
            logs: trusted_root.logs,
            ct_logs: trusted_root.ct_logs.into(),
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
        if leaf.scts.is_empty() {
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
        let cosignatures = cosignatures(policy, &entries, &mut checks);
        check_thresholds(policy, &entries, &times, &cosignatures)?;
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
            cosignatures,
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
                leaf::check_intermediates(rest, &self.budget, is_of_the_first_clients(bundle))?;
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
        checks.extend(leaf.scts.iter().map(|_| "SCT signature"));
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

/// Clients of 2022 knew no inclusion proofs, and wrote the root into the chain.
fn is_of_the_first_clients(bundle: &Bundle) -> bool {
    let entries = &bundle.log_entries;
    let only_promises = !entries.is_empty() && entries.iter().all(|entry| entry.inclusion_proof.is_none());
    bundle.version == BundleVersion::V0_1 && only_promises
}

fn check_thresholds(
    policy: &Policy,
    entries: &[EntryEvidence],
    times: &[AuthenticatedTime],
    cosignatures: &[Cosignature],
) -> Result<(), Error> {
    let logs: BTreeSet<_> = entries.iter().map(|entry| entry.log).collect();
    let authorities: BTreeSet<_> = times
        .iter()
        .filter_map(|time| match &time.source {
            TimeSource::TimestampAuthority(uri) => Some(uri.as_str()),
            TimeSource::LogPromise(_) => None,
        })
        .collect();
    let witnesses: BTreeSet<_> = cosignatures.iter().map(Cosignature::position).collect();
    policy.check_thresholds(logs.len(), authorities.len(), witnesses.len())
}

/// Every cosignature of a witness that the policy names, of a checkpoint that an entry of the bundle stands in.
fn cosignatures(policy: &Policy, entries: &[EntryEvidence], checks: &mut Vec<&'static str>) -> Vec<Cosignature> {
    let mut held = Vec::new();
    for (witness, (name, key)) in policy.known_witnesses().iter().enumerate() {
        for signed in entries.iter().filter_map(|entry| entry.entry.signed_checkpoint()) {
            if let Ok(at) = signed.verify_cosignature(name, key) {
                checks.push("witness cosignature");
                held.push(Cosignature::new(witness, name, &signed.checkpoint.origin, at));
            }
        }
    }
    held
}

const FOREIGN_LOG_ID: Error = Error::TrustedRoot {
    reason: "the id of a log is not that of its key",
};
/// How far a signed time may lie ahead of the verifier's clock: clocks of honest machines differ by seconds.
const CLOCK_TOLERANCE_SECS: i64 = 60;
/// A bundle of today makes nine.
const TYPICAL_CHECKS: usize = 12;
