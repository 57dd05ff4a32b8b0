//! The public Sigstore instances, with the TUF roots where trust in them begins. A newer root is found by following the chain.

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
    },
    PublicInstance {
        name: "staging",
        url: "https://tuf-repo-cdn.sigstage.dev/",
        root: include_bytes!("../roots/staging.root.json"),
        root_sha256: "3cfd686011642e1fe151d5e413524bc1fe47ac69e87d44a33a811d04fe1795b9",
    },
    PublicInstance {
        name: "github",
        url: "https://tuf-repo.github.com/",
        root: include_bytes!("../roots/github.root.json"),
        root_sha256: "eb303461e0109458144b6ebcbfd62aaa6f6d7481e9ca77504b85f17761661462",
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
            sigstore_tuf::TrustedMetadataSet::from_root(instance.root).unwrap();
        }
    }
}
