//! The attestation store: bundles by the digest of what they speak of, so that who holds a crate can find its evidence.
//!
//! Whatever is kept was verified against this instance's own trusted root first. Trust: who can change the database can withhold
//! evidence, never forge it; every reader verifies again.

mod database;
mod routes;

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use verify::{
    Artifact, Budget, Bundle, HashAlgorithm, Sha256Digest, UnixTime, Verifier, bundle::Content, danger,
    statement::Statement,
};

use database::Database;
pub use database::StoreError;
pub(crate) use routes::router;

/// Why a bundle is not kept.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PutError {
    /// Malformed, or it does not hold against our trusted root.
    #[error("the bundle is refused: {0}")]
    Refused(#[from] verify::Error),
    /// A statement without, or a message with another than, a SHA-256.
    #[error("the bundle names no subject by its SHA-256")]
    NoDigest,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A bundle that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// SHA-256 of the stored bytes.
    pub(crate) id: [u8; 32],
    /// Digests under which it is found.
    pub(crate) digests: Vec<Sha256Digest>,
}

/// Verified bundles on disk. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AttestationStore {
    database: Arc<Database>,
    verifier: Arc<Verifier>,
    budget: Arc<Budget>,
}

impl AttestationStore {
    /// Opens or creates the store in a folder.
    ///
    /// # Errors
    /// [`StoreError`]; [`verify::Error`] is impossible for a trusted root that was read.
    pub(crate) fn open(folder: &std::path::Path, verifier: Verifier) -> Result<Self, StoreError> {
        Ok(Self {
            database: Arc::new(Database::open(&folder.join("attestations.sqlite"))?),
            verifier: Arc::new(verifier),
            budget: Arc::default(),
        })
    }

    /// Verifies a bundle and keeps it, durably. Keeping it twice is the same as once.
    ///
    /// # Errors
    /// [`PutError`].
    pub(crate) async fn put(&self, bytes: Vec<u8>, now: UnixTime) -> Result<Kept, PutError> {
        let store = self.clone();
        blocking(move || {
            let (bundle, digests) = store.check(&bytes, now)?;
            let text = bundle.to_json();
            let id = Sha256::digest(text.as_bytes()).into();
            store.database.insert(&id, &text, &digests)?;
            Ok(Kept { id, digests })
        })
        .await?
    }

    /// The bundles of each digest, as JSON texts, oldest first, so that nobody can hide the first by adding more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn find(
        &self,
        digests: Vec<Sha256Digest>,
        limit_each: usize,
    ) -> Result<Vec<(Sha256Digest, Vec<String>)>, StoreError> {
        let store = self.clone();
        blocking(move || store.database.find(&digests, limit_each)).await?
    }

    /// Parses a bundle, finds its digests and verifies it for the first: the signature covers them all.
    fn check(&self, bytes: &[u8], now: UnixTime) -> Result<(Bundle, Vec<Sha256Digest>), PutError> {
        let bundle = Bundle::from_json(bytes, &self.budget)?;
        let digests = self.digests(&bundle)?;
        let first = digests.first().ok_or(PutError::NoDigest)?;
        let policy = danger::any_identity();
        self.verifier.verify(&bundle, &Artifact::Digest(*first), &policy, now)?;
        Ok((bundle, digests))
    }

    fn digests(&self, bundle: &Bundle) -> Result<Vec<Sha256Digest>, PutError> {
        match &bundle.content {
            Content::Message { digest, .. } => {
                let digest = digest
                    .as_ref()
                    .filter(|digest| digest.algorithm() == HashAlgorithm::Sha256);
                let bytes = digest.and_then(|digest| digest.as_bytes().try_into().ok());
                Ok(bytes.map(Sha256Digest).into_iter().collect())
            }
            Content::Dsse(envelope) => {
                let statement = Statement::from_json(&envelope.payload, &self.budget)?;
                let texts = statement
                    .subjects
                    .iter()
                    .filter_map(|subject| subject.digest.get("sha256"));
                let mut digests: Vec<Sha256Digest> = texts.filter_map(|text| text.parse().ok()).collect();
                digests.sort_unstable();
                digests.dedup();
                Ok(digests)
            }
        }
    }
}

/// Runs blocking work beside the asynchronous.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Interrupted)
}
