//! What waits for the writer: bounded by count and by bytes, so that overload is answered at once and memory stays bounded.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    LogError, LogKind,
    leaf::LeafBuilder,
    spec::LogSpec,
    state::{LogState, Published},
};

/// An entry that wants a place.
pub(super) struct Submission {
    pub(super) kind: LogKind,
    pub(super) builder: Box<dyn LeafBuilder>,
    pub(super) reply: oneshot::Sender<Result<Sequenced, LogError>>,
}

/// An entry in its place, durable, inside a published tree.
#[derive(Clone, Debug)]
pub(super) struct Sequenced {
    pub(super) index: u64,
    pub(super) time_ms: u64,
    pub(super) seal: Vec<u8>,
    pub(super) published: Arc<Published>,
}

/// A log that wants to be opened or created.
pub(super) struct Attachment {
    pub(super) spec: LogSpec,
    pub(super) reply: std::sync::mpsc::Sender<Result<Arc<LogState>, LogError>>,
}

/// Everything that was waiting when the writer looked.
#[derive(Default)]
pub(super) struct Work {
    pub(super) attachments: Vec<Attachment>,
    pub(super) submissions: Vec<Submission>,
    /// Entries that files hold durably.
    pub(super) archived: BTreeMap<LogKind, u64>,
}

/// The queue between the callers and the one writer.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Condvar,
    most_entries: usize,
    most_bytes: usize,
    /// How long the writer waits for work before it looks at the clock.
    patience: Duration,
}

#[derive(Default)]
struct Inner {
    work: Work,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(most_entries: usize, most_bytes: usize, patience: Duration) -> Self {
        Self {
            inner: Mutex::new(Inner::default()),
            ready: Condvar::new(),
            most_entries,
            most_bytes,
            patience,
        }
    }

    /// Queues an entry, or refuses it at once.
    pub(super) fn submit(&self, submission: Submission) -> Result<(), LogError> {
        let bytes = submission.builder.waiting_bytes();
        let mut inner = self.lock();
        if inner.closed {
            return Err(LogError::Closed);
        }
        let total = inner.bytes.saturating_add(bytes);
        if inner.work.submissions.len() >= self.most_entries || total > self.most_bytes {
            return Err(LogError::Overloaded);
        }
        inner.bytes = total;
        inner.work.submissions.push(submission);
        let waiting = inner.work.submissions.len();
        drop(inner);
        metrics::gauge!("log_queue_depth").set(lossy(waiting));
        self.ready.notify_one();
        Ok(())
    }

    pub(super) fn attach(&self, attachment: Attachment) -> Result<(), LogError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(LogError::Closed);
        }
        inner.work.attachments.push(attachment);
        drop(inner);
        self.ready.notify_one();
        Ok(())
    }

    /// Tells the writer that the entries below `archived` are in durable files.
    pub(super) fn archived(&self, kind: LogKind, archived: u64) {
        self.lock().work.archived.insert(kind, archived);
        self.ready.notify_one();
    }

    /// Takes everything that waits; waits until there is something, or for so long that nothing is taken. None when the queue is
    /// closed and empty.
    pub(super) fn take(&self) -> Option<Work> {
        let mut inner = self.lock();
        while inner.work.is_empty() && !inner.closed {
            let waited = self.ready.wait_timeout(inner, self.patience);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            inner = guard;
            if timeout.timed_out() {
                break;
            }
        }
        if inner.closed && inner.work.is_empty() {
            return None;
        }
        inner.bytes = 0;
        let work = std::mem::take(&mut inner.work);
        drop(inner);
        metrics::gauge!("log_queue_depth").set(0.0);
        Some(work)
    }

    /// Refuses everything from now on; what waits is still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Closes and throws away what waits, whose callers learn that the log is closed.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.work = Work::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number for a metric, where precision does not matter.
fn lossy(value: usize) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}

impl Work {
    fn is_empty(&self) -> bool {
        self.attachments.is_empty() && self.submissions.is_empty() && self.archived.is_empty()
    }
}
