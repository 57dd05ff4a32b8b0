//! The first entry of each log, made by the log itself: no user's entry has index 0 or an empty proof, which clients in the field
//! cannot read.

use verify::{
    HashAlgorithm,
    entry::{Entry, EntryVerifier, HashedRekordV001, HashedRekordV002},
    key::KeyDetails,
};

use super::{
    LogError, LogKind,
    leaf::{BodyLeaf, LeafBuilder, PrecertificateLeaf, PromisedLeaf},
    spec::LogSpec,
};
use crate::keys::SigningKey;

/// The genesis leaf of a log.
///
/// The v1 log signs its origin with its own P-256 key. The v2 log's Ed25519 key signs checkpoints only (`hashedrekord` knows
/// Ed25519 prehashed alone), so a key that is thrown away signs. The CT log's leaf names its origin where a certificate would be.
pub(super) fn leaf(spec: &LogSpec) -> Result<Box<dyn LeafBuilder>, LogError> {
    let message = format!("{}\ngenesis\n", spec.origin);
    let digest = HashAlgorithm::Sha256.digest(message.as_bytes());
    Ok(match spec.kind {
        LogKind::Signature => {
            let key = SigningKey::generate_p256()?;
            let entry = Entry::HashedRekordV002(HashedRekordV002 {
                digest,
                signature: key.sign(message.as_bytes())?,
                key_details: KeyDetails::EcdsaP256Sha256,
                verifier: EntryVerifier::PublicKey(key.public_key().spki_der().to_vec()),
            });
            Box::new(BodyLeaf { body: entry.to_body() })
        }
        LogKind::Legacy => {
            let entry = Entry::HashedRekordV001(HashedRekordV001 {
                digest,
                signature: spec.key.sign(message.as_bytes())?,
                verifier_pem: spec.key.public_key().to_pem(),
            });
            Box::new(PromisedLeaf {
                body: entry.to_body(),
                key: spec.key.clone(),
            })
        }
        LogKind::Certificates => Box::new(PrecertificateLeaf {
            precertificate: Vec::new(),
            tbs: message.into_bytes(),
            issuer_key_hash: spec.key.public_key().id().0,
            chain: Vec::new(),
        }),
    })
}
