//! RFC 3161 timestamps of a bundle.

use super::{AuthenticatedTime, TimeSource, Verifier};
use crate::{Error, certificate::Certificate, chain::TimestampAuthority, timestamp::Timestamp};

/// Checks that a trusted authority stamped `signature`, at a time for which it is believed.
pub(super) fn verify(verifier: &Verifier, der: &[u8], signature: &[u8]) -> Result<AuthenticatedTime, Error> {
    let timestamp = Timestamp::from_der(der, &verifier.budget)?;
    timestamp.check_imprint(signature)?;
    // One certificate may be listed for several periods; of the reasons to refuse, the last is the most telling.
    let mut outcome = Err(Error::TimestampUnknownAuthority);
    for authority in &verifier.timestamp_authorities {
        match verify_by(verifier, authority, &timestamp) {
            Ok(true) => {
                return Ok(AuthenticatedTime {
                    at: timestamp.at(),
                    source: TimeSource::TimestampAuthority(authority.uri.clone()),
                });
            }
            Ok(false) => {}
            // Whose signature held is the authority that is meant.
            Err(_) if matches!(outcome, Err(Error::TimestampTime { .. })) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// Whether this authority made the token; an error when it is named but something does not hold.
fn verify_by(verifier: &Verifier, authority: &TimestampAuthority, timestamp: &Timestamp) -> Result<bool, Error> {
    if let Some(leaf) = &authority.leaf {
        if !timestamp.names(leaf) {
            return Ok(false);
        }
        // [RFC 3161 §2.4.1] where certificates come along, the signer's is among them; it was trusted before, or not at all.
        let mut brought = timestamp.certificates().peekable();
        if brought.peek().is_some() && !brought.any(|der| der == leaf.der()) {
            return Err(Error::Timestamp {
                rule: "the certificates that come along include the signer's",
            });
        }
        authority.check_own_leaf(leaf)?;
        timestamp.verify_signature(leaf)?;
        authority.check_time(leaf, timestamp.at())?;
        return Ok(true);
    }
    // The trusted root has only the issuers: the token must bring its signer's certificate.
    for der in timestamp.certificates().take(verifier.budget.chain_certificates) {
        let Ok(leaf) = Certificate::from_der(der, &verifier.budget) else {
            continue;
        };
        if timestamp.names(&leaf) && authority.names(&leaf) {
            authority.check_leaf(&leaf)?;
            timestamp.verify_signature(&leaf)?;
            authority.check_time(&leaf, timestamp.at())?;
            return Ok(true);
        }
    }
    Ok(false)
}
