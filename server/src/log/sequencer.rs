//! The one writer: group commit without a timer. While a commit is in flight others queue; the next commit takes them all.
//!
//! One transaction: read each head, resolve duplicates, assign indexes, compute tiles and root, sign the checkpoint, insert, move
//! the head from its old size, commit. Only then is anything shown or answered. Memory holds a copy of each right edge, used only
//! while it agrees with the head that the transaction read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    LogError, LogKind,
    crash::{Crash, CrashPoint},
    database::{self, Head},
    draft::{Draft, Drafted, Placement},
    files::Files,
    genesis,
    opening::{Edge, load},
    queue::{Attachment, Queue, Sequenced, Submission, Work},
    spec::LogSpec,
    state::{LogState, Published},
    tree::Tree,
};

/// Gives the time in milliseconds since the epoch.
pub(super) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Owns the writing connection and every log's mutable half.
pub(super) struct Sequencer {
    pub(super) connection: Connection,
    pub(super) queue: Arc<Queue>,
    pub(super) data: std::path::PathBuf,
    pub(super) clock: Clock,
    pub(super) crash: Crash,
    /// Rings the archiver.
    pub(super) wake: std::sync::mpsc::Sender<Arc<LogState>>,
    pub(super) logs: HashMap<LogKind, OpenLog>,
    /// Entries, from the first, that files hold and the database need not; kept until a commit has said so.
    pub(super) owed: BTreeMap<LogKind, u64>,
    /// Age at which the CT log's checkpoint is signed again.
    pub(super) renew_after_ms: u64,
}

/// A log that this process writes.
pub(super) struct OpenLog {
    spec: LogSpec,
    state: Arc<LogState>,
    /// Time of the newest entry or checkpoint: never goes back, even when the clock does.
    last_time_ms: u64,
}

/// What a transaction did, before anybody may know.
struct Outcome {
    drafted: Vec<(LogKind, Drafted)>,
    /// One for each submission, in their order.
    placements: Vec<Placement>,
}

/// Refuses and answers everybody when the writer ends, be it by a panic.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl OpenLog {
    fn draft<'t>(&'t self, connection: &'t Connection, now_ms: u64) -> Result<Draft<'t>, LogError> {
        Draft::begin(
            connection,
            &self.spec,
            &self.state.published(),
            now_ms.max(self.last_time_ms),
        )
    }

    fn is_stale(&self, now_ms: u64, renew_after_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_time_ms) >= renew_after_ms
    }
}

impl Sequencer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _closing = Closing(Arc::clone(&self.queue));
        while let Some(work) = self.queue.take() {
            self.work(work);
            if self.crash.is_dead() {
                return;
            }
        }
    }

    fn work(&mut self, work: Work) {
        for attachment in work.attachments {
            self.attach(attachment);
        }
        if work.submissions.is_empty() && work.archived.is_empty() && !self.is_stale() {
            return;
        }
        let started = Instant::now();
        self.owed.extend(work.archived);
        match self.commit(&work.submissions) {
            Ok(outcome) => {
                self.forget();
                let published = self.publish(outcome.drafted);
                answer(work.submissions, outcome.placements, &published);
                metrics::histogram!("log_commit_seconds").record(started.elapsed());
            }
            Err(error) => {
                metrics::counter!("log_commit_failures_total", "code" => error.code()).increment(1);
                let cause: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(code = error.code(), error = cause, "commit failed");
                for submission in work.submissions {
                    let _ = submission.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Whether the CT log's checkpoint has become so old that it is signed again.
    fn is_stale(&self) -> bool {
        let now = (self.clock)();
        self.logs
            .get(&LogKind::Certificates)
            .is_some_and(|log| log.is_stale(now, self.renew_after_ms))
    }

    /// One transaction for everything that waits, over all logs.
    fn commit(&mut self, submissions: &[Submission]) -> Result<Outcome, LogError> {
        let now = (self.clock)();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(LogError::database("begin a transaction"))?;
        for (kind, size) in &self.owed {
            database::prune(&transaction, *kind, *size)?;
        }
        let outcome = sequence(&transaction, &self.logs, now, self.renew_after_ms, submissions)?;
        let (prunes, sequences) = (!self.owed.is_empty(), !submissions.is_empty());
        self.crash.reach_if(prunes, CrashPoint::PruneLost)?;
        self.crash.reach_if(sequences, CrashPoint::CommitLost)?;
        transaction.commit().map_err(LogError::database("commit"))?;
        metrics::counter!("log_commits_total").increment(1);
        self.crash.reach_if(prunes, CrashPoint::PruneKept)?;
        self.crash.reach_if(sequences, CrashPoint::CommitKept)?;
        Ok(outcome)
    }

    fn forget(&mut self) {
        for (kind, size) in std::mem::take(&mut self.owed) {
            if let Some(log) = self.logs.get(&kind) {
                log.state.forget(size);
            }
        }
    }

    fn publish(&mut self, drafted: Vec<(LogKind, Drafted)>) -> HashMap<LogKind, Arc<Published>> {
        let mut shown = HashMap::new();
        for (kind, drafted) in drafted {
            let Some(log) = self.logs.get_mut(&kind) else { continue };
            log.last_time_ms = drafted.time_ms;
            let grown = drafted
                .published
                .tree
                .size()
                .saturating_sub(log.state.published().tree.size());
            metrics::counter!("log_entries_total", "log" => kind.name()).increment(grown);
            metrics::gauge!("log_size", "log" => kind.name()).set(lossy(drafted.published.tree.size()));
            shown.insert(kind, log.state.publish(drafted.bundles, drafted.published));
            let _ = self.wake.send(Arc::clone(&log.state));
        }
        shown
    }

    fn attach(&mut self, attachment: Attachment) {
        let Attachment { spec, reply } = attachment;
        let outcome = self
            .open(spec)
            .inspect_err(|error| tracing::error!(code = error.code(), %error, "log not opened"));
        let _ = reply.send(outcome);
    }

    /// Opens a log of the database, or creates it with its genesis entry.
    fn open(&mut self, spec: LogSpec) -> Result<Arc<LogState>, LogError> {
        let kind = spec.kind;
        if database::head(&self.connection, kind)?.is_none() {
            self.create(&spec)?;
        }
        let files = Files::new(&self.data, kind, self.crash.clone());
        let (state, last_time_ms) = load(&self.connection, &spec.reader(), files)?;
        if let Some(open) = self.logs.get(&kind) {
            return Ok(Arc::clone(&open.state));
        }
        let state = Arc::new(state);
        self.logs.insert(
            kind,
            OpenLog {
                spec,
                state: Arc::clone(&state),
                last_time_ms,
            },
        );
        let _ = self.wake.send(Arc::clone(&state));
        Ok(state)
    }

    fn create(&mut self, spec: &LogSpec) -> Result<(), LogError> {
        let files = Files::new(&self.data, spec.kind, self.crash.clone());
        let found = files.proven_size()?.max(u64::from(files.mark()?.is_some()));
        if found > 0 {
            return Err(LogError::Fork {
                log: spec.kind,
                database: 0,
                found,
            });
        }
        let now = (self.clock)();
        let first = genesis::leaf(spec, now)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(LogError::database("begin a transaction"))?;
        let empty = Tree::empty();
        let head = Head {
            origin: spec.origin.clone(),
            key: spec.key.public_key().spki_der().to_vec(),
            size: 0,
            root: empty.root(),
            checkpoint: String::new(),
            archived: 0,
        };
        database::insert_head(&transaction, spec.kind, &head)?;
        let mut draft = Draft::new(
            &transaction,
            spec,
            head,
            Edge {
                tree: empty,
                tail: Vec::new(),
                bundles: Vec::new(),
            },
            now,
        );
        draft.place(first.as_ref())?;
        draft.finish()?;
        self.crash.reach(CrashPoint::GenesisLost)?;
        transaction.commit().map_err(LogError::database("commit"))?;
        self.crash.reach(CrashPoint::GenesisKept)
    }
}

/// Places every submission; the order of arrival is the order in each log.
fn sequence(
    transaction: &Transaction<'_>,
    logs: &HashMap<LogKind, OpenLog>,
    now_ms: u64,
    renew_after_ms: u64,
    submissions: &[Submission],
) -> Result<Outcome, LogError> {
    let mut drafts: HashMap<LogKind, Draft<'_>> = HashMap::new();
    let mut placements = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let log = logs.get(&submission.kind).ok_or(LogError::Closed)?;
        let draft = match drafts.entry(submission.kind) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(log.draft(transaction, now_ms)?),
        };
        placements.push(draft.place(submission.builder.as_ref())?);
    }
    if let Some(log) = logs
        .get(&LogKind::Certificates)
        .filter(|log| log.is_stale(now_ms, renew_after_ms))
        && let std::collections::hash_map::Entry::Vacant(entry) = drafts.entry(LogKind::Certificates)
    {
        entry.insert(log.draft(transaction, now_ms)?.renewed());
    }
    let drafted = drafts.into_iter().map(|(kind, draft)| Ok((kind, draft.finish()?)));
    Ok(Outcome {
        drafted: drafted.collect::<Result<_, LogError>>()?,
        placements,
    })
}

fn answer(submissions: Vec<Submission>, placements: Vec<Placement>, published: &HashMap<LogKind, Arc<Published>>) {
    metrics::histogram!("log_batch_entries").record(lossy(u64::try_from(submissions.len()).unwrap_or(u64::MAX)));
    for (submission, placement) in submissions.into_iter().zip(placements) {
        let Some(published) = published.get(&submission.kind) else {
            continue;
        };
        let Placement {
            index,
            time_ms,
            seal,
            duplicate,
        } = placement;
        if duplicate {
            metrics::counter!("log_duplicates_total", "log" => submission.kind.name()).increment(1);
        }
        let sequenced = Sequenced {
            index,
            time_ms,
            seal,
            published: Arc::clone(published),
        };
        let _ = submission.reply.send(Ok(sequenced));
    }
}

/// A number for a metric, where precision does not matter.
#[allow(clippy::cast_precision_loss, clippy::as_conversions, reason = "metrics are doubles")]
const fn lossy(value: u64) -> f64 {
    value as f64
}
