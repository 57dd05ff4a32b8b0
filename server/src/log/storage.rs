//! One data folder: the database, the tile files, the writer thread and the archiver thread that serve all logs in it.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    LogError,
    archiver::Archiver,
    crash::Crash,
    database, files,
    leaf::LeafBuilder,
    queue::{Attachment, Queue, Sequenced, Submission},
    sequencer::{Clock, Sequencer},
    spec::{self, LogReader, LogSpec},
    state::{LogState, Published},
};

/// The data folder of an instance's logs, opened by this process alone. Cheap to clone; the last clone's end stops the threads
/// after everything queued is done.
#[derive(Clone, Debug)]
pub struct Storage {
    handle: Arc<Handle>,
}

/// Bounds on what may wait.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Most entries waiting for a commit. 4096, as the public log allows.
    pub queue_entries: usize,
    /// Most bytes of entries waiting for a commit.
    pub queue_bytes: usize,
    /// Most full bundles of one log waiting to become files; each is held in memory.
    pub pending_bundles: usize,
    /// Most pages (of 4096 bytes) that the database file may grow to; without, as many as the disk holds.
    pub database_pages: Option<u32>,
    /// Age at which the CT log's checkpoint is signed again though nothing was logged: readers want one within a day [RFC 6962 §3].
    pub checkpoint_age: Duration,
    /// Most bytes of request bodies held at the same time.
    pub body_bytes: usize,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            queue_entries: 4096,
            queue_bytes: 64 << 20,
            pending_bundles: 256,
            database_pages: None,
            checkpoint_age: Duration::from_hours(6),
            body_bytes: 128 << 20,
        }
    }
}

struct Handle {
    queue: Arc<Queue>,
    data: PathBuf,
    /// Reads `leaf` and `issuer` rows; write-ahead logging lets it read while the writer writes.
    /// Closed before the writer, whose closing then leaves one file without a write-ahead log.
    reader: Mutex<Option<Connection>>,
    cpu: Arc<Semaphore>,
    /// Kibibytes of request bodies that may still be read.
    bodies: Arc<Semaphore>,
    pending_bundles: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Locked for as long as we live.
    _lock: File,
}

impl Storage {
    /// Opens or creates the data folder.
    ///
    /// # Errors
    /// [`LogError::InUse`], [`LogError::ReadOnly`], [`LogError::DiskFull`], [`LogError::Setting`], [`LogError::Schema`],
    /// [`LogError::Database`], [`LogError::File`].
    pub fn open(data: &Path) -> Result<Self, LogError> {
        Self::open_with(data, &StorageOptions::default())
    }

    /// [`Self::open`] with other bounds.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(data: &Path, options: &StorageOptions) -> Result<Self, LogError> {
        Self::start(data, options, Arc::new(system_time_ms), Crash::default())
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.handle.data
    }

    pub(super) fn start(data: &Path, options: &StorageOptions, clock: Clock, crash: Crash) -> Result<Self, LogError> {
        files::create_folder(data)?;
        let lock = lock(data)?;
        let path = data.join(DATABASE);
        let connection = database::open(&path, options.database_pages)?;
        let reader = Mutex::new(Some(database::open_read_only(&path)?));
        files::flush_folder(data)?;
        let queue = Arc::new(Queue::new(
            options.queue_entries,
            options.queue_bytes,
            options
                .checkpoint_age
                .checked_div(4)
                .unwrap_or_default()
                .max(Duration::from_millis(10)),
        ));
        let (wake, woken) = mpsc::channel();
        let archiver = Archiver {
            queue: Arc::clone(&queue),
            woken,
        };
        let (queue_of_writer, data_of_writer) = (Arc::clone(&queue), data.to_owned());
        let sequencer = Sequencer {
            connection,
            queue: queue_of_writer,
            data: data_of_writer,
            clock,
            crash,
            wake,
            logs: HashMap::new(),
            owed: BTreeMap::new(),
            renew_after_ms: u64::try_from(options.checkpoint_age.as_millis()).unwrap_or(u64::MAX),
        };
        let threads = vec![
            spawn("log-writer", move || sequencer.run())?,
            spawn("log-archiver", move || archiver.run())?,
        ];
        let processors = thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let handle = Handle {
            queue,
            data: data.to_owned(),
            reader,
            cpu: Arc::new(Semaphore::new(processors)),
            bodies: Arc::new(Semaphore::new((options.body_bytes / 1024).min(Semaphore::MAX_PERMITS))),
            pending_bundles: options.pending_bundles,
            threads: Mutex::new(threads),
            _lock: lock,
        };
        Ok(Self {
            handle: Arc::new(handle),
        })
    }

    /// Opens a log of this folder, creating it when it is new.
    pub(super) fn log(&self, spec: LogSpec) -> Result<Log, LogError> {
        spec::check_kind(spec.kind, &spec.key)?;
        let reader = spec.reader();
        let (reply, answer) = mpsc::channel();
        self.handle.queue.attach(Attachment { spec, reply })?;
        let state = answer.recv().map_err(|_| LogError::Closed)??;
        Ok(Log {
            storage: self.clone(),
            state,
            reader,
        })
    }
}

/// What the three logs have in common.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) storage: Storage,
    pub(super) state: Arc<LogState>,
    pub(super) reader: LogReader,
}

impl Log {
    /// Sequences an entry and waits until it is durable and its tree published.
    pub(super) async fn append(&self, builder: impl LeafBuilder + 'static) -> Result<Sequenced, LogError> {
        let kind = self.state.kind;
        let refuse = |error: LogError| {
            metrics::counter!("log_refused_total", "log" => kind.name(), "code" => error.code()).increment(1);
            error
        };
        if self.state.pending_count() >= self.storage.handle.pending_bundles {
            return Err(refuse(LogError::ArchiveBehind));
        }
        let (reply, answer) = oneshot::channel();
        self.storage
            .handle
            .queue
            .submit(Submission {
                kind,
                builder: Box::new(builder),
                reply,
            })
            .map_err(refuse)?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    pub(super) fn published(&self) -> Arc<Published> {
        self.state.published()
    }

    /// Reserves memory for a request body of at most `bytes`, for as long as the permit lives.
    pub(super) fn admit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, LogError> {
        let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).saturating_add(1);
        let permit = Arc::clone(&self.storage.handle.bodies).try_acquire_many_owned(kibibytes);
        permit.map_err(|_| LogError::Overloaded)
    }

    /// Runs blocking work (signature checks, proofs, reads) on as many threads as there are processors.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LogError> {
        let permit = Arc::clone(&self.storage.handle.cpu)
            .acquire_owned()
            .await
            .map_err(|_| LogError::Closed)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|_| LogError::Closed)
    }

    /// Reads rows. Blocks: call it inside [`Self::compute`].
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, LogError>) -> Result<T, LogError> {
        let reader = self
            .storage
            .handle
            .reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        read(reader.as_ref().ok_or(LogError::Closed)?)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.reader.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn spawn(name: &'static str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let failed = LogError::file("start the thread", Path::new(name));
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(failed)
}

/// The kernel drops the lock with the process, however it ends.
fn lock(data: &Path) -> Result<File, LogError> {
    let path = data.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(LogError::file("open the lock file", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(LogError::InUse { path }),
        Err(fs::TryLockError::Error(error)) => Err(LogError::file("lock", &path)(error)),
    }
}

fn system_time_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// The database's file name in the data folder.
pub(super) const DATABASE: &str = "logs.sqlite";

/// The lock file's name in the data folder.
pub(super) const LOCK: &str = "logs.lock";
