//! What a bundle is claimed to speak of: bytes, or digests of bytes that need not fit in memory.

use aws_lc_rs::digest::Context;

use crate::{Digest, Error, HashAlgorithm, Sha256Digest};

/// What the bundle is claimed to speak of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Artifact<'a> {
    /// The bytes themselves.
    Bytes(&'a [u8]),
    /// Its SHA-256, as in `Cargo.lock`.
    Digest(Sha256Digest),
    /// Several of its digests, from an [`ArtifactHasher`].
    Digests(&'a ArtifactDigests),
}

/// Digests of one artifact, at most one for each algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactDigests {
    digests: Vec<Digest>,
}

/// Digests an artifact in constant memory: the caller feeds it piece by piece.
#[derive(Clone, Default)]
pub struct ArtifactHasher {
    /// One for each algorithm wanted.
    running: Vec<(HashAlgorithm, Context)>,
}

impl ArtifactHasher {
    /// A hasher for these algorithms; which ones a bundle needs says [`crate::Bundle::artifact_algorithms`].
    #[must_use]
    pub fn new(algorithms: &[HashAlgorithm]) -> Self {
        let wanted = HashAlgorithm::ALL
            .into_iter()
            .filter(|algorithm| algorithms.contains(algorithm));
        Self {
            running: wanted
                .map(|algorithm| (algorithm, Context::new(algorithm.implementation())))
                .collect(),
        }
    }

    /// Feeds the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        for (_, context) in &mut self.running {
            context.update(piece);
        }
    }

    /// The digests of everything that was fed.
    #[must_use]
    pub fn finish(self) -> ArtifactDigests {
        let finished = self.running.into_iter();
        ArtifactDigests {
            digests: finished
                .filter_map(|(algorithm, context)| Digest::from_bytes(algorithm, context.finish().as_ref()).ok())
                .collect(),
        }
    }
}

impl std::fmt::Debug for ArtifactHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArtifactHasher").finish_non_exhaustive()
    }
}

impl ArtifactDigests {
    /// Digests that are known from elsewhere; of two for one algorithm the first counts.
    #[must_use]
    pub const fn new(digests: Vec<Digest>) -> Self {
        Self { digests }
    }

    /// The digest for this algorithm.
    #[must_use]
    pub fn digest(&self, algorithm: HashAlgorithm) -> Option<&Digest> {
        self.digests.iter().find(|digest| digest.algorithm() == algorithm)
    }
}

impl<'a> Artifact<'a> {
    /// The digest for this algorithm.
    ///
    /// # Errors
    /// [`Error::DigestNeeded`] when only other digests are known.
    pub fn digest(&self, algorithm: HashAlgorithm) -> Result<Digest, Error> {
        let known = match self {
            Self::Bytes(bytes) => Some(algorithm.digest(bytes)),
            Self::Digest(digest) => (algorithm == HashAlgorithm::Sha256).then(|| (*digest).into()),
            Self::Digests(digests) => digests.digest(algorithm).cloned(),
        };
        known.ok_or(Error::DigestNeeded {
            algorithm: algorithm.lowercase_name(),
        })
    }

    /// The bytes, where they are at hand.
    pub(crate) const fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Digest(_) | Self::Digests(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_digest_as_the_whole() {
        let all = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
        let mut hasher = ArtifactHasher::new(&all);
        hasher.update(b"some ");
        hasher.update(b"bytes");
        let digests = hasher.finish();
        for algorithm in all {
            assert_eq!(digests.digest(algorithm), Some(&algorithm.digest(b"some bytes")));
        }
    }

    #[test]
    fn a_digest_that_nobody_computed_is_asked_for() {
        let only_sha256 = Artifact::Digest(Sha256Digest::of(b"x"));
        assert!(only_sha256.digest(HashAlgorithm::Sha256).is_ok());
        assert_eq!(
            only_sha256.digest(HashAlgorithm::Sha512),
            Err(Error::DigestNeeded { algorithm: "sha512" })
        );
    }
}
