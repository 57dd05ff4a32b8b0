//! Evidence kept on disk for ever, by the digest it speaks of.
//!
//! Only bundles that some trusted authority's certificate stands behind are kept. They are verified again at each use,
//! so an attacker who can change the cache can at most hide evidence, which is then fetched again.

use std::path::PathBuf;

use verify::{Bundle, Sha256Digest};

use crate::{evidence::bundle_file, file};

/// The cache.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache below the tool's home folder.
    pub(crate) fn new(home: &std::path::Path) -> Self {
        Self {
            folder: home.join("bundles").join("sha256"),
        }
    }

    /// What is kept about an artifact. What cannot be read counts as not kept.
    pub(crate) fn load(&self, digest: Sha256Digest) -> Vec<Bundle> {
        let path = self.path(digest);
        if path.is_file() {
            bundle_file::read(&path).unwrap_or_default()
        } else {
            Vec::new()
        }
    }

    /// Keeps bundles beside those already kept. The cache is a convenience, so a failure to write is none of the caller's.
    pub(crate) fn keep(&self, digest: Sha256Digest, bundles: &[Bundle]) {
        let mut kept = self.load(digest);
        let before = kept.len();
        for bundle in bundles {
            if kept.len() < KEPT_BUNDLES && !kept.contains(bundle) {
                kept.push(bundle.clone());
            }
        }
        if kept.len() > before {
            drop(file::write(&self.path(digest), bundle_file::to_lines(&kept).as_bytes()));
        }
    }

    /// `bundles/sha256/ab/abcd….jsonl`
    fn path(&self, digest: Sha256Digest) -> PathBuf {
        let name = digest.to_string();
        let (first, _) = name.split_at_checked(2).unwrap_or_default();
        self.folder.join(first).join(format!("{name}.jsonl"))
    }
}

/// Most bundles kept about one artifact.
const KEPT_BUNDLES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_kept_or_is_broken_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let digest = Sha256Digest([0xab; 32]);
        assert_eq!(cache.load(digest), []);
        let path = cache.path(digest);
        assert!(path.ends_with(format!("ab/{digest}.jsonl")));
        file::write(&path, b"{\"mediaType\":").unwrap();
        assert_eq!(cache.load(digest), []);
    }
}
