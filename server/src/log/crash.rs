//! Named crash points: the places where a process may die between two writes. Nothing outside tests can set one off.

/// One write and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CrashPoint {
    /// The transaction that creates a log was not committed.
    GenesisLost,
    /// It was, and nobody learned of it.
    GenesisKept,
    /// The transaction that sequences entries was not committed.
    CommitLost,
    /// It was, and nobody was answered.
    CommitKept,
    /// A tile file was written under its temporary name only.
    TileLost,
    /// It has its own name, and nothing else happened.
    TileKept,
    /// An entry bundle was written under its temporary name only.
    BundleLost,
    /// It has its own name, and nothing else happened.
    BundleKept,
    /// All files are written, the database still holds their contents.
    PruneLost,
    /// The database has dropped them, memory does not know.
    PruneKept,
    /// The copy of the newest checkpoint was not renamed.
    MarkLost,
    /// It was.
    MarkKept,
}

/// Decides whether the process dies at a point.
#[derive(Clone, Debug, Default)]
pub(super) struct Crash {
    #[cfg(test)]
    plan: std::sync::Arc<std::sync::Mutex<Plan>>,
}

#[cfg(test)]
#[derive(Debug, Default)]
struct Plan {
    at: Option<CrashPoint>,
    dead: bool,
}

impl Crash {
    /// [`Self::reach`], when the write at that point is made at all.
    pub(super) fn reach_if(&self, made: bool, point: CrashPoint) -> Result<(), super::LogError> {
        if made { self.reach(point) } else { Ok(()) }
    }
}

#[cfg(not(test))]
impl Crash {
    /// Nothing happens.
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the shape of the version that tests use"
    )]
    pub(super) const fn reach(&self, _point: CrashPoint) -> Result<(), super::LogError> {
        Ok(())
    }
    /// The process lives.
    #[allow(clippy::unused_self, reason = "the shape of the version that tests use")]
    pub(super) const fn is_dead(&self) -> bool {
        false
    }
}

#[cfg(test)]
impl Crash {
    pub(super) fn arm(&self, point: CrashPoint) {
        self.plan.lock().unwrap().at = Some(point);
    }
    /// Fails at the armed point and at every later one, as everything does in a dead process.
    pub(super) fn reach(&self, point: CrashPoint) -> Result<(), super::LogError> {
        let mut plan = self.plan.lock().unwrap();
        plan.dead |= plan.at == Some(point);
        if plan.dead {
            Err(super::LogError::Closed)
        } else {
            Ok(())
        }
    }
    pub(super) fn is_dead(&self) -> bool {
        self.plan.lock().unwrap().dead
    }
}
