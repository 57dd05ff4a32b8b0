//! What was admitted under the policy in force, so that a download costs a map look-up.

use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock},
};

use verify::{Sha256Digest, UnixTime};

/// Admitted archives by name and version, of one policy.
#[derive(Debug)]
pub(super) struct Admitted(RwLock<Kept>);

#[derive(Debug)]
struct Kept {
    policy: Sha256Digest,
    archives: HashMap<(String, String), Known>,
    /// Of which the registry served other bytes than were admitted.
    doubted: HashSet<(String, String)>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    digest: Sha256Digest,
    /// The last second of an exception.
    until: Option<UnixTime>,
}

impl Admitted {
    /// Nothing yet, under this policy.
    pub(super) fn under(policy: Sha256Digest) -> Self {
        Self(RwLock::new(Kept {
            policy,
            archives: HashMap::new(),
            doubted: HashSet::new(),
        }))
    }

    /// Another policy holds from now on; what is being decided under the one before is not kept.
    pub(super) fn begin(&self, policy: Sha256Digest) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.policy = policy;
        kept.archives.clear();
    }

    /// The digest admitted for this name and version, while that lasts.
    pub(super) fn find(&self, name: &str, version: &str, now: UnixTime) -> Option<Sha256Digest> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = kept.archives.get(&(name.to_owned(), version.to_owned()))?;
        known.until.is_none_or(|end| now <= end).then_some(known.digest)
    }

    /// Keeps what was admitted under `policy`, if that still holds.
    pub(super) fn keep(
        &self,
        policy: &Sha256Digest,
        name: &str,
        version: &str,
        digest: Sha256Digest,
        until: Option<UnixTime>,
    ) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.policy == *policy {
            let served = (name.to_owned(), version.to_owned());
            kept.doubted.remove(&served);
            kept.archives.insert(served, Known { digest, until });
        }
    }

    /// The registry serves other bytes now: the next download is looked at anew, and whole.
    pub(super) fn doubt(&self, name: &str, version: &str) {
        let served = (name.to_owned(), version.to_owned());
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.archives.remove(&served);
        if kept.doubted.len() >= MOST_DOUBTED {
            kept.doubted.clear();
        }
        kept.doubted.insert(served);
    }

    /// Whether an admission that the ledger has says nothing of what the registry serves.
    pub(super) fn is_doubted(&self, name: &str, version: &str) -> bool {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        kept.doubted.contains(&(name.to_owned(), version.to_owned()))
    }
}

/// A registry that is wrong about more is looked at again for some of them.
const MOST_DOUBTED: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: Sha256Digest = Sha256Digest([1; 32]);
    const OLD: Sha256Digest = Sha256Digest([2; 32]);
    const NEW: Sha256Digest = Sha256Digest([3; 32]);

    fn at(second: i64) -> UnixTime {
        UnixTime::from_secs(second)
    }

    #[test]
    fn what_was_decided_under_another_policy_is_not_kept() {
        let admitted = Admitted::under(OLD);
        admitted.keep(&OLD, "a", "1.0.0", DIGEST, None);
        assert_eq!(admitted.find("a", "1.0.0", at(0)), Some(DIGEST));
        admitted.begin(NEW);
        assert_eq!(admitted.find("a", "1.0.0", at(0)), None);
        admitted.keep(&OLD, "a", "1.0.0", DIGEST, None);
        assert_eq!(admitted.find("a", "1.0.0", at(0)), None);
        admitted.keep(&NEW, "a", "1.0.0", DIGEST, None);
        assert_eq!(admitted.find("a", "1.0.0", at(0)), Some(DIGEST));
        admitted.doubt("a", "1.0.0");
        assert_eq!(admitted.find("a", "1.0.0", at(0)), None);
        assert!(admitted.is_doubted("a", "1.0.0"));
        admitted.keep(&NEW, "a", "1.0.0", DIGEST, None);
        assert!(!admitted.is_doubted("a", "1.0.0"));
    }

    #[test]
    fn an_exception_ends_with_its_last_second() {
        let admitted = Admitted::under(OLD);
        admitted.keep(&OLD, "a", "1.0.0", DIGEST, Some(at(9)));
        assert_eq!(admitted.find("a", "1.0.0", at(9)), Some(DIGEST));
        assert_eq!(admitted.find("a", "1.0.0", at(10)), None);
    }
}
