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
use verify::merkle::NodeHash;

use super::{
    LogError, LogKind,
    crash::{Crash, CrashPoint},
    database::{self, Head, LeafRow},
    files::Files,
    genesis,
    leaf::{Leaf, LeafBuilder},
    queue::{Attachment, Queue, Sequenced, Submission, Work},
    spec::{LogReader, LogSpec},
    state::{FullBundle, LogState, Published},
    tree::{self, FullTile, TILE_WIDTH, Tree},
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

/// Where an entry was put, before anybody may know.
#[derive(Clone)]
struct Placement {
    index: u64,
    time_ms: u64,
    seal: Vec<u8>,
    duplicate: bool,
}

/// The next tree of one log while the transaction is open.
struct Draft<'t> {
    connection: &'t Connection,
    spec: &'t LogSpec,
    head: Head,
    tree: Tree,
    tail: Vec<Arc<[u8]>>,
    time_ms: u64,
    placed: HashMap<[u8; 32], Placement>,
    tiles: Vec<FullTile>,
    bundles: Vec<FullBundle>,
    /// Sign even an unchanged tree.
    renew: bool,
}

/// What a transaction did, before anybody may know.
struct Outcome {
    drafted: Vec<(LogKind, Drafted)>,
    /// One for each submission, in their order.
    placements: Vec<Placement>,
}

/// The right edge of a log as the database holds it.
struct Edge {
    tree: Tree,
    /// Entries after the last full bundle.
    tail: Vec<Arc<[u8]>>,
    /// Full bundles that are not yet files.
    bundles: Vec<FullBundle>,
}

/// What one log shows after the commit.
struct Drafted {
    bundles: Vec<FullBundle>,
    published: Published,
    time_ms: u64,
}

/// Refuses and answers everybody when the writer ends, be it by a panic.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl OpenLog {
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
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Draft::begin(transaction, log, now_ms.max(log.last_time_ms))?)
            }
        };
        placements.push(draft.place(submission.builder.as_ref())?);
    }
    if let Some(log) = logs
        .get(&LogKind::Certificates)
        .filter(|log| log.is_stale(now_ms, renew_after_ms))
        && let std::collections::hash_map::Entry::Vacant(entry) = drafts.entry(LogKind::Certificates)
    {
        entry.insert(Draft {
            renew: true,
            ..Draft::begin(transaction, log, now_ms)?
        });
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

impl<'t> Draft<'t> {
    /// Starts from the head in the database, with the edge in memory if it is that head's.
    fn begin(connection: &'t Connection, log: &'t OpenLog, time_ms: u64) -> Result<Self, LogError> {
        let kind = log.spec.kind;
        let missing = LogError::Damaged {
            log: kind,
            what: "the head is missing",
        };
        let head = database::head(connection, kind)?.ok_or(missing)?;
        let seen = log.state.published();
        let edge = if head.size == seen.tree.size() && head.root == seen.root {
            Edge {
                tree: seen.tree.clone(),
                tail: seen.tail.clone(),
                bundles: Vec::new(),
            }
        } else {
            edge(connection, kind, &head)?
        };
        Ok(Self::new(connection, &log.spec, head, edge, time_ms))
    }

    fn new(connection: &'t Connection, spec: &'t LogSpec, head: Head, edge: Edge, time_ms: u64) -> Self {
        let Edge { tree, tail, bundles } = edge;
        Self {
            connection,
            spec,
            head,
            tree,
            tail,
            time_ms,
            placed: HashMap::new(),
            renew: false,
            tiles: Vec::new(),
            bundles,
        }
    }

    /// Gives a submission its index: an old one when an equal entry is in the log or earlier in this batch.
    fn place(&mut self, builder: &dyn LeafBuilder) -> Result<Placement, LogError> {
        let identity = builder.identity();
        if let Some(placed) = self.placed.get(&identity) {
            return Ok(Placement {
                duplicate: true,
                ..placed.clone()
            });
        }
        if let Some(LeafRow {
            index, time_ms, seal, ..
        }) = database::leaf_by_identity(self.connection, self.spec.kind, &identity)?
        {
            return Ok(Placement {
                index,
                time_ms,
                seal,
                duplicate: true,
            });
        }
        let index = self.tree.size();
        let leaf = builder.leaf(index, self.time_ms)?;
        let placement = Placement {
            index,
            time_ms: leaf.time_ms,
            seal: leaf.seal.clone(),
            duplicate: false,
        };
        self.append(identity, leaf)?;
        self.placed.insert(identity, placement.clone());
        Ok(placement)
    }

    fn append(&mut self, identity: [u8; 32], leaf: Leaf) -> Result<(), LogError> {
        let (kind, index) = (self.spec.kind, self.tree.size());
        for (fingerprint, der) in &leaf.issuers {
            database::put_issuer(self.connection, fingerprint, der)?;
        }
        let row = LeafRow {
            identity,
            index,
            time_ms: leaf.time_ms,
            seal: leaf.seal,
        };
        database::insert_leaf(self.connection, kind, &row)?;
        database::insert_entry(self.connection, kind, index, &leaf.hash, &leaf.entry)?;
        self.tail.push(leaf.entry.into());
        let tiles = &mut self.tiles;
        self.tree.push(leaf.hash, |tile| tiles.push(tile));
        if self.tree.size().is_multiple_of(TILE_WIDTH) {
            self.close_bundle()
        } else {
            Ok(())
        }
    }

    fn close_bundle(&mut self) -> Result<(), LogError> {
        let tiles = std::mem::take(&mut self.tiles);
        for tile in &tiles {
            database::insert_tile(self.connection, self.spec.kind, tile)?;
        }
        let index = (self.tree.size() / TILE_WIDTH).saturating_sub(1);
        let bytes = join(self.spec.kind, &std::mem::take(&mut self.tail));
        self.bundles.push(FullBundle { index, bytes, tiles });
        Ok(())
    }

    /// Signs the new tree and moves the head to it.
    fn finish(mut self) -> Result<Drafted, LogError> {
        let (kind, old_size) = (self.spec.kind, self.head.size);
        let root = self.tree.root();
        if self.tree.size() != old_size || self.renew {
            if !self.bundles.is_empty() {
                for level in 1..self.tree.levels() {
                    database::put_edge(self.connection, kind, level, &self.tree.level(level).concat())?;
                }
            }
            let checkpoint = self.spec.sign(self.tree.size(), root, self.time_ms)?;
            self.head = Head {
                size: self.tree.size(),
                root,
                checkpoint,
                ..self.head
            };
            database::update_head(self.connection, kind, old_size, &self.head)?;
        }
        let checkpoint = self.head.checkpoint.into();
        let published = Published {
            tree: self.tree,
            root,
            checkpoint,
            tail: self.tail,
        };
        Ok(Drafted {
            bundles: self.bundles,
            published,
            time_ms: self.time_ms,
        })
    }
}

/// Reads a log from the database and checks it against itself, its key, its files and its last known checkpoint.
fn load(connection: &Connection, reader: &LogReader, files: Files) -> Result<(LogState, u64), LogError> {
    let log = reader.kind;
    let head = database::head(connection, log)?.ok_or(LogError::Damaged {
        log,
        what: "the head is missing",
    })?;
    if head.key != reader.key.spki_der() {
        return Err(LogError::WrongKey { log });
    }
    if head.origin != reader.origin {
        return Err(LogError::WrongOrigin {
            log,
            recorded: head.origin,
            given: reader.origin.clone(),
        });
    }
    let Edge { tree, tail, bundles } = edge(connection, log, &head)?;
    let broken = LogError::Damaged {
        log,
        what: "the checkpoint is not this log's signature over its tree",
    };
    let checked = reader
        .verify(&head.checkpoint)
        .filter(|(said, _)| said.size == head.size && said.root == head.root);
    let (_, last_time_ms) = checked.ok_or(broken)?;
    guard(reader, &files, &head)?;
    let checkpoint = head.checkpoint.into();
    let published = Published {
        tree,
        root: head.root,
        checkpoint,
        tail,
    };
    let state = LogState::new(log, files, published.clone());
    state.publish(bundles, published);
    guard_mark(reader, &state)?;
    Ok((state, last_time_ms))
}

/// Right edge, newest entries and unarchived bundles of a log; the root must be the head's.
fn edge(connection: &Connection, log: LogKind, head: &Head) -> Result<Edge, LogError> {
    let damaged = |what| LogError::Damaged { log, what };
    let mut tiles = database::tiles(connection, log)?;
    let (mut tail, mut hashes): (Vec<Arc<[u8]>>, Vec<NodeHash>) = (Vec::new(), Vec::new());
    let (mut bundles, mut next) = (Vec::new(), head.archived);
    database::each_entry(connection, log, |index, hash, entry| {
        if index != next {
            return Err(damaged("an entry is missing or should not be there"));
        }
        next = next.saturating_add(1);
        tail.push(entry.into());
        hashes.push(hash);
        if next.is_multiple_of(TILE_WIDTH) {
            let full = index / TILE_WIDTH;
            let bytes = join(log, &std::mem::take(&mut tail));
            hashes.clear();
            let tiles = tiles.extract_if(.., |tile| ends_with(tile, full)).collect();
            bundles.push(FullBundle {
                index: full,
                bytes,
                tiles,
            });
        }
        Ok(())
    })?;
    if next != head.size {
        return Err(damaged("there are more or fewer entries than the head says"));
    }
    let mut levels = vec![hashes];
    levels.extend(database::upper_edge(connection, log)?);
    let tree = Tree::from_edge(head.size, levels).ok_or(damaged("the right edge has another size than the head"))?;
    if tree.root() != head.root {
        return Err(damaged("the right edge has another root than the head"));
    }
    Ok(Edge { tree, tail, bundles })
}

/// Refuses to go on when files hold more than the database: it was restored from an old copy, and going on would fork the log.
fn guard(reader: &LogReader, files: &Files, head: &Head) -> Result<(), LogError> {
    let log = reader.kind;
    let found = files.proven_size()?;
    if found > head.size {
        return Err(LogError::Fork {
            log,
            database: head.size,
            found,
        });
    }
    if found < head.archived {
        return Err(LogError::Damaged {
            log,
            what: "files that the database relies on are missing",
        });
    }
    Ok(())
}

/// The same for the checkpoint beside the tiles: the tree must contain the one it speaks of.
fn guard_mark(reader: &LogReader, state: &LogState) -> Result<(), LogError> {
    let log = reader.kind;
    let Some(text) = state.files.mark()?.filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let unreadable = LogError::Damaged {
        log,
        what: "the copy of the checkpoint is not this log's",
    };
    let (said, _) = reader.verify(&text).ok_or(unreadable)?;
    let published = state.published();
    let size = published.tree.size();
    if said.size > size || state.root_at(&published, said.size)? != said.root {
        return Err(LogError::Fork {
            log,
            database: size,
            found: said.size,
        });
    }
    Ok(())
}

/// Whether the last leaf under `tile` is the last of bundle `full`.
fn ends_with(tile: &FullTile, full: u64) -> bool {
    let entries = full.saturating_add(1).saturating_mul(TILE_WIDTH);
    tree::full_tiles(entries, tile.level) == tile.index.saturating_add(1)
        && tree::full_tiles(entries.saturating_sub(1), tile.level) == tile.index
}

fn join(kind: LogKind, entries: &[Arc<[u8]>]) -> Vec<u8> {
    let mut bundle = Vec::new();
    for entry in entries {
        kind.append_entry(&mut bundle, entry);
    }
    bundle
}

/// A number for a metric, where precision does not matter.
#[allow(clippy::cast_precision_loss, clippy::as_conversions, reason = "metrics are doubles")]
const fn lossy(value: u64) -> f64 {
    value as f64
}
