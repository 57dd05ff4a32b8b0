//! The signer's certificate: profile, path, SCTs; then its dates.

use std::sync::Arc;

use super::{AuthenticatedSct, Verifier};
use crate::{
    Budget, Error, Policy, UnixTime, WorkloadIdentity, certificate::Certificate, chain::Authority,
    sct::LoggedCertificate, trusted_root::TransparencyLog,
};

/// A certificate of which everything holds that does not depend on the bundle around it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) certificate: Certificate,
    pub(super) identity: WorkloadIdentity,
    /// Indexes of the authorities that issued it: one key may be listed for several periods.
    authorities: Vec<usize>,
    /// What each CT log says of it; empty when there is no SCT.
    pub(super) scts: Vec<SctEvidence>,
    /// The verifier's.
    ct_logs: Arc<[TransparencyLog]>,
}

/// An SCT that held.
#[derive(Clone, Copy, Debug)]
pub(super) struct SctEvidence {
    /// Index of the CT log in the verifier.
    log: usize,
    at: UnixTime,
    /// Index of the leaf, where the SCT has it.
    index: Option<u64>,
}

impl Leaf {
    /// Checks profile, signature and SCTs.
    ///
    /// # Errors
    /// [`Error::CertificateProfile`], [`Error::UnknownAuthority`], [`Error::CertificateChain`], the SCTs' errors.
    pub(super) fn verify(verifier: &Verifier, der: &[u8]) -> Result<Self, Error> {
        let certificate = Certificate::from_der(der, &verifier.budget)?;
        let identity = certificate.identity()?;
        let authorities = issuers(verifier, &certificate)?;
        let scts = verify_scts(verifier, &certificate, &authorities)?;
        Ok(Self {
            certificate,
            identity,
            authorities,
            scts,
            ct_logs: Arc::clone(&verifier.ct_logs),
        })
    }

    /// What each CT log says of the certificate.
    pub(super) fn scts(&self) -> impl Iterator<Item = AuthenticatedSct<'_>> {
        self.scts.iter().filter_map(|sct| {
            let log = self.ct_logs.get(sct.log)?;
            Some(AuthenticatedSct {
                log_url: &log.base_url,
                log_id: &log.log_id,
                at: sct.at,
                index: sct.index,
            })
        })
    }

    /// Checks that certificate, path and authority hold at every authenticated time.
    ///
    /// # Errors
    /// [`Error::CertificateTime`], [`Error::AuthorityTime`], [`Error::FutureTime`].
    pub(super) fn check_times(&self, verifier: &Verifier, times: &[UnixTime], latest: UnixTime) -> Result<(), Error> {
        if let Some(at) = self.scts.iter().map(|sct| sct.at).find(|at| *at > latest) {
            return Err(Error::FutureTime { at });
        }
        let validity = self.certificate.validity();
        if let Some(at) = times.iter().copied().find(|at| !validity.contains(*at)) {
            return Err(Error::CertificateTime { at });
        }
        let mut outcome = Err(Error::UnknownAuthority);
        for authority in self
            .authorities
            .iter()
            .filter_map(|index| verifier.authorities.get(*index))
        {
            outcome = times.iter().try_for_each(|at| authority.check_time(*at));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// An SCT must be there, unless the policy says otherwise; those that are there held already.
pub(super) fn check_transparency(leaf: &Leaf, policy: &Policy) -> Result<(), Error> {
    if leaf.scts.is_empty() && policy.needs().transparency {
        return Err(Error::SctMissing);
    }
    Ok(())
}

/// Intermediates of an old bundle are not used, as the trusted root has its own, but a root among them is a trap for
/// verifiers that trust what they are sent [protobuf-specs, `X509CertificateChain`]; the very first clients wrote it nevertheless.
pub(super) fn check_intermediates(chain: &[Vec<u8>], budget: &Budget, may_bring_root: bool) -> Result<(), Error> {
    for der in chain {
        let certificate = Certificate::from_der(der, budget)?;
        if certificate.is_self_issued() && !may_bring_root {
            return Err(Error::CertificateChain {
                rule: "a bundle brings no root certificate",
            });
        }
        if !certificate.is_ca() {
            return Err(Error::CertificateChain {
                rule: "every issuer is a CA",
            });
        }
    }
    Ok(())
}

/// Indexes of the authorities whose key signed the certificate.
fn issuers(verifier: &Verifier, certificate: &Certificate) -> Result<Vec<usize>, Error> {
    let mut issuers: Vec<usize> = Vec::new();
    let mut outcome = Err(Error::UnknownAuthority);
    for (index, authority) in verifier.authorities.iter().enumerate() {
        if !authority.names(certificate) {
            continue;
        }
        let same_key = |known: &&Authority| known.key() == authority.key();
        let is_known = issuers
            .iter()
            .filter_map(|known| verifier.authorities.get(*known))
            .any(|known| same_key(&known));
        let held = if is_known {
            authority.check_signatures()
        } else {
            authority.verify(certificate)
        };
        match held {
            Ok(()) => issuers.push(index),
            Err(error) => outcome = Err(error),
        }
    }
    if issuers.is_empty() {
        outcome.map(|()| issuers)
    } else {
        Ok(issuers)
    }
}

/// Every SCT holds: a known CT log signed it over this certificate, at a time for which the log is believed.
fn verify_scts(
    verifier: &Verifier,
    certificate: &Certificate,
    authorities: &[usize],
) -> Result<Vec<SctEvidence>, Error> {
    let scts = certificate.scts(&verifier.budget)?;
    if scts.is_empty() {
        return Ok(Vec::new());
    }
    let issuer = authorities.first().and_then(|index| verifier.authorities.get(*index));
    let issuer_key = issuer.and_then(Authority::key).ok_or(Error::UnknownAuthority)?;
    let logged = LoggedCertificate::Precertificate {
        issuer_key_hash: issuer_key.id().0,
        tbs: certificate.precertificate_tbs()?,
    };
    let mut held = Vec::with_capacity(scts.len());
    for sct in &scts {
        let mut logs = verifier.ct_logs.iter().enumerate();
        let (index, log) = logs
            .find(|(_, log)| log.log_id == sct.log_id.0)
            .ok_or(Error::SctUnknownLog)?;
        let seconds = i64::try_from(sct.timestamp_ms / 1000).map_err(|_| Error::Sct)?;
        let at = UnixTime::from_secs(seconds);
        if !log.valid_for.contains(at) {
            return Err(Error::SctTime { at });
        }
        sct.verify(&log.key, &logged).map_err(|_| Error::SctSignature)?;
        held.push(SctEvidence {
            log: index,
            at,
            index: sct.leaf_index(),
        });
    }
    Ok(held)
}
