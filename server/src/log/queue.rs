//! What waits for the writer: bounded by count and by bytes, so that overload is answered at once and memory stays bounded.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
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
}

#[derive(Default)]
struct Inner {
    work: Work,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(most_entries: usize, most_bytes: usize) -> Self {
        Self {
            inner: Mutex::new(Inner::default()),
            ready: Condvar::new(),
            most_entries,
            most_bytes,
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
        drop(inner);
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

    /// Takes everything that waits; waits until there is something. None when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Work> {
        let mut inner = self.lock();
        while inner.work.is_empty() && !inner.closed {
            inner = self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.bytes = 0;
        let work = std::mem::take(&mut inner.work);
        (!work.is_empty()).then_some(work)
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

impl Work {
    fn is_empty(&self) -> bool {
        self.attachments.is_empty() && self.submissions.is_empty() && self.archived.is_empty()
    }
}
