//! The first entry of each log, made by the log itself: no user's entry has index 0 or an empty proof, which clients in the field
//! cannot read.

use std::str::FromStr as _;

use der::Encode as _;
use verify::{
    HashAlgorithm, UnixTime,
    entry::{Entry, EntryVerifier, HashedRekordV001, HashedRekordV002},
    key::KeyDetails,
};
use x509_cert::name::Name;

use super::{
    LogError, LogKind,
    leaf::{BodyLeaf, CertificateLeaf, LeafBuilder, PromisedLeaf},
    spec::LogSpec,
};
use crate::{
    keys::{KeyError, SigningKey},
    x509::{self, Fields, X509Error},
};

/// The genesis leaf of a log.
///
/// The v1 log signs its origin with its own P-256 key. The v2 log's Ed25519 key signs checkpoints only (`hashedrekord` knows
/// Ed25519 prehashed alone), so a key that is thrown away signs. The CT log's leaf is a certificate of its own key,
/// named after its origin, that nothing trusts.
pub(super) fn leaf(spec: &LogSpec, now_ms: u64) -> Result<Box<dyn LeafBuilder>, LogError> {
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
        LogKind::Certificates => Box::new(CertificateLeaf {
            der: certificate(spec, now_ms)?,
        }),
    })
}

/// A self-signed certificate, valid for one second.
fn certificate(spec: &LogSpec, now_ms: u64) -> Result<Vec<u8>, LogError> {
    let now = UnixTime::from_secs(i64::try_from(now_ms / 1000).unwrap_or(0));
    let spki = spec.key.public_key().spki_der().to_vec();
    let make = || -> Result<Vec<u8>, X509Error> {
        let name = Name::from_str(&format!("CN=genesis,O={}", spec.origin))?.to_der()?;
        let fields = Fields {
            serial: x509::random_serial()?,
            issuer: name.clone(),
            subject: name,
            not_before: now,
            not_after: now.plus_secs(1),
            extensions: vec![x509::subject_key_identifier(&spki)?],
            subject_public_key_info: spki.clone(),
        };
        x509::sign(&fields.to_tbs(&spec.key)?, &spec.key)
    };
    make().map_err(|_| LogError::Signing(KeyError::Library))
}
