//! Many bundles at once: work is shared between threads, and what several bundles have in common is checked once.

use std::{
    collections::HashMap,
    hash::Hash,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Leaf, Verified, Verifier};
use crate::{Artifact, Bundle, Error, Policy, UnixTime, checkpoint::SignedCheckpoint};

/// One bundle of a batch, and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct BatchItem<'a> {
    /// The bundle.
    pub bundle: &'a Bundle,
    /// What it is claimed to speak of.
    pub artifact: Artifact<'a>,
    /// What is demanded of it.
    pub policy: &'a Policy,
}

/// Outcomes that do not depend on the bundle they were found in. Bounded: a full cache takes nothing more.
#[derive(Debug, Default)]
pub(super) struct Cache {
    leaves: Outcomes<Vec<u8>, Leaf>,
    checkpoints: Outcomes<([u8; 32], String), SignedCheckpoint>,
}

/// What each key's check came to.
#[derive(Debug)]
struct Outcomes<K, V>(Mutex<HashMap<K, Result<Arc<V>, Error>>>);

impl Cache {
    /// The outcome for this certificate, by its DER bytes.
    pub(super) fn leaf(&self, der: &[u8], check: impl FnOnce() -> Result<Leaf, Error>) -> Result<Arc<Leaf>, Error> {
        self.leaves.recall(der.to_vec(), check)
    }

    /// The outcome for this checkpoint of this log, by its text.
    pub(super) fn checkpoint(
        &self,
        log_id: &[u8; 32],
        text: &str,
        check: impl FnOnce() -> Result<SignedCheckpoint, Error>,
    ) -> Result<Arc<SignedCheckpoint>, Error> {
        self.checkpoints.recall((*log_id, text.to_owned()), check)
    }
}

pub(super) fn verify_all(
    verifier: &Verifier,
    items: &[BatchItem<'_>],
    now: UnixTime,
    threads: NonZeroUsize,
) -> Vec<Result<Verified, Error>> {
    let cache = Cache::default();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(position) else {
                return outcomes;
            };
            let outcome = verifier.verify_with(item.bundle, &item.artifact, item.policy, now, Some(&cache));
            outcomes.push((position, outcome));
        }
    };
    let helpers = threads.get().min(items.len()).saturating_sub(1);
    let mut outcomes = thread::scope(|scope| {
        let handles: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut outcomes = work();
        for handle in handles {
            match handle.join() {
                Ok(more) => outcomes.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcomes
    });
    outcomes.sort_unstable_by_key(|(position, _)| *position);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

impl<K, V> Default for Outcomes<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Outcomes<K, V> {
    /// The check runs without the lock: two threads may both make it, which costs time but never changes an outcome.
    fn recall(&self, key: K, check: impl FnOnce() -> Result<V, Error>) -> Result<Arc<V>, Error> {
        if let Some(outcome) = self.lock().get(&key) {
            return outcome.clone();
        }
        let outcome = check().map(Arc::new);
        let mut known = self.lock();
        if known.len() < CAPACITY {
            known.insert(key, outcome.clone());
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Result<Arc<V>, Error>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries of each cache: a leaf with its claims takes about 10 KB, so that a full cache stays under 10 MB.
const CAPACITY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_checked_again_until_the_cache_is_full() {
        let outcomes = Outcomes::<usize, usize>::default();
        let checked_again = |key: usize| {
            let mut checked = false;
            let outcome = outcomes.recall(key, || {
                checked = true;
                if key == 1 { Err(Error::Signature) } else { Ok(key) }
            });
            let expected = if key == 1 { Err(Error::Signature) } else { Ok(key) };
            assert_eq!(outcome.map(|value| *value), expected);
            checked
        };
        assert!((0..CAPACITY).all(checked_again));
        assert!(!(0..CAPACITY).any(checked_again));
        assert!(checked_again(CAPACITY) && checked_again(CAPACITY));
        assert!(!checked_again(1));
    }
}
