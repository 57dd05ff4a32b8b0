//! What every command is given: options, terminal, environment, clock.

use std::time::{SystemTime, UNIX_EPOCH};

use verify::UnixTime;

use crate::{
    arguments::GlobalOptions,
    failure::{Exit, Failure},
    printer::Printer,
};

/// The world as a command sees it.
#[derive(Debug)]
pub(crate) struct Context {
    /// Options that every command takes.
    pub(crate) options: GlobalOptions,
    /// The terminal.
    pub(crate) printer: Printer,
}

impl Context {
    /// A context of this process.
    pub(crate) const fn new(options: GlobalOptions, printer: Printer) -> Self {
        Self { options, printer }
    }

    /// An environment variable that is set, not empty and UTF-8.
    #[allow(clippy::unused_self, reason = "the environment is part of the context")]
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// The time by this machine's clock.
    #[allow(clippy::unused_self, reason = "the clock is part of the context")]
    pub(crate) fn now(&self) -> UnixTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime::from_secs(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
    }

    /// Runs a future on a runtime made for it, on this thread.
    ///
    /// # Errors
    /// The future's own; code `runtime` when no runtime can be made.
    #[allow(clippy::unused_self, reason = "running is part of the context")]
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Failure::new(Exit::Unavailable, "runtime", &RuntimeError { source }))?;
        runtime.block_on(future)
    }
}

/// The asynchronous runtime cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the asynchronous runtime")]
struct RuntimeError {
    source: std::io::Error,
}
