//! The certificate transparency log: precertificates of our own CA, logged in process [RFC 6962], read as static CT [C2SP static-ct-api v1.1].

use axum::{
    Json, Router,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use verify::{
    Budget, PublicKey,
    key::KeyId,
    sct::{self, LoggedCertificate, SignedCertificateTimestamp},
};

use super::{
    LogError, Storage, database,
    http::{self, Failure},
    leaf::PrecertificateLeaf,
    request::RequestError,
    spec::{LogSpec, SHA256_ECDSA},
    storage::Log,
};
use crate::keys::SigningKey;

/// The log of certificates. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CtLog {
    log: Log,
    key: SigningKey,
    /// DER of the roots whose certificates are logged.
    roots: std::sync::Arc<Vec<Vec<u8>>>,
}

/// A precertificate that wants an SCT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrecertificateSubmission {
    /// The precertificate with its poison extension, DER.
    pub precertificate_der: Vec<u8>,
    /// DER `TBSCertificate` without poison and SCT list.
    pub tbs: Vec<u8>,
    /// SHA-256 of the issuer's DER `SubjectPublicKeyInfo`.
    pub issuer_key_hash: [u8; 32],
    /// DER, issuer first, root last; at most 10.
    pub chain_der: Vec<Vec<u8>>,
}

impl CtLog {
    /// Opens the log, or creates it with its genesis entry. Its origin is `host/ct`; `roots` are shown by `get-roots`.
    ///
    /// # Errors
    /// As [`super::SignatureLog::open`]; the key must be P-256.
    pub fn open(storage: &Storage, host: &str, key: SigningKey, roots: Vec<Vec<u8>>) -> Result<Self, LogError> {
        let log = storage.log(LogSpec::certificates(host, key.clone())?)?;
        Ok(Self {
            log,
            key,
            roots: roots.into(),
        })
    }

    /// First line of the checkpoints: the submission prefix without a scheme.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.log.reader.origin
    }

    /// The log's key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.log.reader.key
    }

    /// The log's id in SCTs: SHA-256 of its key [RFC 6962 §3.2].
    #[must_use]
    pub fn log_id(&self) -> KeyId {
        self.log.reader.key.id()
    }

    /// The newest signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.log.published().checkpoint.to_string()
    }

    /// Logs a precertificate, waits until it is durable, and signs its SCT with the `leaf_index` extension.
    /// The same certificate of the same issuer gets an SCT of the same time and index.
    ///
    /// # Errors
    /// [`LogError::EntryTooLarge`] for a certificate above 64 KiB or a chain above 10; [`LogError::Overloaded`],
    /// [`LogError::ArchiveBehind`], [`LogError::Closed`], [`LogError::Signing`], and what the storage fails with.
    pub async fn log_precertificate(
        &self,
        submission: PrecertificateSubmission,
    ) -> Result<SignedCertificateTimestamp, LogError> {
        check_sizes(&submission)?;
        let PrecertificateSubmission {
            precertificate_der,
            tbs,
            issuer_key_hash,
            chain_der,
        } = submission;
        let logged = LoggedCertificate::Precertificate {
            issuer_key_hash,
            tbs: tbs.clone(),
        };
        let leaf = PrecertificateLeaf {
            precertificate: precertificate_der,
            tbs,
            issuer_key_hash,
            chain: chain_der,
        };
        let sequenced = self.log.append(leaf).await?;
        let extensions = sct::leaf_index_extension(sequenced.index).to_vec();
        let signature = self
            .key
            .sign(&sct::signed_data(sequenced.time_ms, &logged, &extensions))?;
        Ok(SignedCertificateTimestamp {
            log_id: self.log_id(),
            timestamp_ms: sequenced.time_ms,
            extensions,
            algorithm: SHA256_ECDSA,
            signature,
        })
    }

    /// `/ct/checkpoint`, `/ct/tile/…`, `/ct/issuer/<SHA-256>` and `/ct/ct/v1/get-roots` (the origin is `host/ct`), also as `/ct/v1/get-roots`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/ct/issuer/{fingerprint}", get(issuer))
            .route("/ct/v1/get-roots", get(roots))
            .route("/ct/ct/v1/get-roots", get(roots))
            .with_state(self.clone())
            .merge(http::read_router(self.log.clone(), "/ct"))
    }
}

async fn roots(State(log): State<CtLog>) -> Response {
    let certificates: Vec<String> = log.roots.iter().map(|der| http::base64(der)).collect();
    Json(json!({"certificates": certificates})).into_response()
}

async fn issuer(State(log): State<CtLog>, Path(fingerprint): Path<String>) -> Response {
    let read = log.log.clone();
    let found = log.log.compute(move || {
        let fingerprint = parse_fingerprint(&fingerprint).ok_or(LogError::NotFound)?;
        read.read(|connection| database::issuer(connection, &fingerprint))?
            .ok_or(LogError::NotFound)
    });
    match found.await.flatten() {
        Ok(der) => {
            let headers = [
                (header::CONTENT_TYPE, "application/pkix-cert"),
                (header::CACHE_CONTROL, http::IMMUTABLE),
            ];
            (headers, der).into_response()
        }
        Err(LogError::NotFound) => Failure::from(RequestError::NotFound { what: "issuer" }).into_text(),
        Err(error) => Failure::from(error).into_text(),
    }
}

/// 64 lowercase hexadecimal digits [static-ct-api §Issuers].
fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let bytes: [u8; 32] = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}

fn check_sizes(submission: &PrecertificateSubmission) -> Result<(), LogError> {
    let budget = Budget::default();
    let limit = budget.certificate_bytes;
    let certificates = submission
        .chain_der
        .iter()
        .chain([&submission.precertificate_der, &submission.tbs]);
    let largest = certificates.map(Vec::len).max().unwrap_or(0);
    if largest > limit {
        return Err(LogError::EntryTooLarge { bytes: largest, limit });
    }
    if submission.chain_der.len() > budget.chain_certificates {
        return Err(LogError::EntryTooLarge {
            bytes: submission.chain_der.iter().map(Vec::len).sum(),
            limit,
        });
    }
    Ok(())
}
