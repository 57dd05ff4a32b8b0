//! Moves full bundles and tiles from the database into files, after the answers. Late files cost nobody anything: until the
//! writer has forgotten them, reads come from memory.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use super::{
    LogError, LogKind,
    files::{self, Content},
    queue::Queue,
    state::{FullBundle, LogState},
    tree::TILE_WIDTH,
};

/// Runs beside the writer; ends when the writer has gone.
pub(super) struct Archiver {
    pub(super) queue: Arc<Queue>,
    pub(super) woken: Receiver<Arc<LogState>>,
}

/// What the archiver knows of a log.
struct Watched {
    state: Arc<LogState>,
    /// Bundles below this are files, the writer was told so.
    reported: u64,
    marked_size: u64,
    marked_at: Option<Instant>,
    retry_at: Option<Instant>,
}

impl Archiver {
    pub(super) fn run(self) {
        let mut logs: HashMap<LogKind, Watched> = HashMap::new();
        loop {
            let woken = if logs.values().any(Watched::is_behind) {
                self.woken.recv_timeout(MARK_INTERVAL)
            } else {
                self.woken.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match woken {
                Ok(state) => watch(&mut logs, &state),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(state) = self.woken.try_recv() {
                watch(&mut logs, &state);
            }
            for log in logs.values_mut() {
                log.step(&self.queue, false);
            }
        }
        for log in logs.values_mut() {
            log.step(&self.queue, true);
        }
    }
}

fn watch(logs: &mut HashMap<LogKind, Watched>, state: &Arc<LogState>) {
    let fresh = Watched {
        state: Arc::clone(state),
        reported: 0,
        marked_size: 0,
        marked_at: None,
        retry_at: None,
    };
    logs.entry(state.kind).or_insert(fresh);
}

impl Watched {
    /// Whether something is left to do without being woken: a mark that was put off, or a failed write.
    fn is_behind(&self) -> bool {
        self.retry_at.is_some() || self.marked_size < self.state.published().tree.size()
    }

    fn step(&mut self, queue: &Queue, last: bool) {
        if !last && self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let outcome = self.archive(queue).and_then(|()| self.mark(last));
        self.retry_at = outcome
            .is_err()
            .then(|| Instant::now().checked_add(RETRY_AFTER))
            .flatten();
        if let Err(error) = outcome {
            metrics::counter!("log_archive_failures_total", "log" => self.state.kind.name()).increment(1);
            let cause: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(code = error.code(), error = cause, "tiles not written");
        }
    }

    /// Writes what waits, in order, and tells the writer how far the files reach.
    fn archive(&mut self, queue: &Queue) -> Result<(), LogError> {
        let mut written = self.reported;
        let outcome = self
            .state
            .pending()
            .iter()
            .filter(|bundle| bundle.index >= self.reported)
            .try_for_each(|bundle| {
                put(&self.state, bundle)?;
                written = bundle.index.saturating_add(1);
                Ok(())
            });
        if written > self.reported {
            self.reported = written;
            queue.archived(self.state.kind, written.saturating_mul(TILE_WIDTH));
        }
        outcome
    }

    /// Copies the newest checkpoint beside the tiles, at most once in [`MARK_INTERVAL`].
    fn mark(&mut self, last: bool) -> Result<(), LogError> {
        let published = self.state.published();
        let recent = self.marked_at.is_some_and(|at| at.elapsed() < MARK_INTERVAL);
        if published.tree.size() == self.marked_size || (recent && !last) {
            return Ok(());
        }
        self.state.files.put_mark(&published.checkpoint)?;
        self.marked_size = published.tree.size();
        self.marked_at = Some(Instant::now());
        Ok(())
    }
}

fn put(state: &LogState, bundle: &FullBundle) -> Result<(), LogError> {
    for tile in &bundle.tiles {
        state
            .files
            .put(&files::tile_path(tile.level, tile.index), &tile.hashes, Content::Tile)?;
    }
    state.files.put(
        &files::bundle_path(state.kind, bundle.index),
        &bundle.bytes,
        Content::Bundle,
    )
}

/// How often the copy of the checkpoint is renewed while the log grows.
const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait after a failed write.
const RETRY_AFTER: Duration = Duration::from_secs(2);
