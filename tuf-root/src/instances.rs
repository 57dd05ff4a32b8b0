//! The public Sigstore instances, with the TUF roots where trust in them begins. A newer root is found by following the chain.

use verify::{Budget, TrustedRoot, UnixTime};

use crate::{Error, reader::refusal, repository::Head, store::TRUSTED_ROOT};

/// An instance known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicInstance {
    /// What `--trust` calls it.
    pub name: &'static str,
    /// Where its TUF repository is.
    pub url: &'static str,
    /// Root metadata as its operators published it.
    pub root: &'static [u8],
    /// SHA-256 of `root`, in hexadecimal, as pinned here.
    pub root_sha256: &'static str,
    /// `trusted_root.json` as its repository offered it when this version was made: for machines that are offline and never
    /// asked. Later rotations and revocations are not in it.
    pub trusted_root_json: &'static [u8],
    /// SHA-256 of `trusted_root_json`, in hexadecimal, as pinned here.
    pub trusted_root_sha256: &'static str,
}

impl PublicInstance {
    /// Version and expiry of `root`.
    ///
    /// # Errors
    /// [`Error::Metadata`] or [`Error::Threshold`]: never, as a test shows.
    pub fn root_head(&self) -> Result<Head, Error> {
        let set = sigstore_tuf::TrustedMetadataSet::from_root(self.root).map_err(refusal)?;
        Ok(Head {
            version: set.root().version,
            expires: UnixTime::from_secs(set.root().expires.as_second()),
        })
    }

    /// The trusted root that is built in.
    ///
    /// # Errors
    /// [`Error::Document`]: never, as a test shows.
    pub fn trusted_root(&self) -> Result<TrustedRoot, Error> {
        TrustedRoot::from_json(self.trusted_root_json, &Budget::default()).map_err(|source| Error::Document {
            name: TRUSTED_ROOT,
            source,
        })
    }
}

/// The instance of this name.
#[must_use]
pub fn public_instance(name: &str) -> Option<&'static PublicInstance> {
    PUBLIC_INSTANCES.iter().find(|instance| instance.name == name)
}

/// Public-good, its staging twin, and GitHub's own.
pub const PUBLIC_INSTANCES: [PublicInstance; 3] = [
    PublicInstance {
        name: "public-good",
        url: "https://tuf-repo-cdn.sigstore.dev/",
        root: include_bytes!("../roots/public-good.root.json"),
        root_sha256: "27aea7e372aa7864065174f0661784fcf8b0e28b1dbfebeada31a0f1fb19167f",
        trusted_root_json: include_bytes!("../roots/public-good.trusted_root.json"),
        trusted_root_sha256: "6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66",
    },
    PublicInstance {
        name: "staging",
        url: "https://tuf-repo-cdn.sigstage.dev/",
        root: include_bytes!("../roots/staging.root.json"),
        root_sha256: "3cfd686011642e1fe151d5e413524bc1fe47ac69e87d44a33a811d04fe1795b9",
        trusted_root_json: include_bytes!("../roots/staging.trusted_root.json"),
        trusted_root_sha256: "44deb991d4bbf2150751ccee235d9810bce4434383c26d8898c1bcadbace6ed8",
    },
    PublicInstance {
        name: "github",
        url: "https://tuf-repo.github.com/",
        root: include_bytes!("../roots/github.root.json"),
        root_sha256: "eb303461e0109458144b6ebcbfd62aaa6f6d7481e9ca77504b85f17761661462",
        trusted_root_json: include_bytes!("../roots/github.trusted_root.json"),
        trusted_root_sha256: "484cdfe1a7c65479c5ba2a22193d1be90f0020db1997de696ab207434c62fbb7",
    },
];

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_roots_are_those_pinned_and_sign_themselves() {
        for instance in PUBLIC_INSTANCES {
            assert_eq!(
                hex::encode(Sha256::digest(instance.root)),
                instance.root_sha256,
                "{}",
                instance.name
            );
            assert!(instance.root_head().unwrap().version >= 9, "{}", instance.name);
        }
    }

    #[test]
    fn the_trusted_roots_are_those_pinned_and_hold_together() {
        for instance in PUBLIC_INSTANCES {
            assert_eq!(
                hex::encode(Sha256::digest(instance.trusted_root_json)),
                instance.trusted_root_sha256,
                "{}",
                instance.name
            );
            let root = instance.trusted_root().unwrap();
            assert!(!root.certificate_authorities.is_empty());
            verify::Verifier::new(root).unwrap();
        }
    }
}
