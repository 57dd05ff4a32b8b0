//! What every command is given: options, terminal, environment, clock.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    time::{SystemTime, UNIX_EPOCH},
};

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
    /// Variables that stand before those of the environment.
    variables: Variables,
}

impl Context {
    /// A context of this process.
    pub(crate) fn new(options: GlobalOptions, printer: Printer) -> Self {
        Self {
            options,
            printer,
            variables: Variables::default(),
        }
    }

    /// The same with variables that stand before those of the environment; children do not get them, but for
    /// [`Self::registry_indexes`].
    pub(crate) fn with_variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.0.extend(variables);
        self
    }

    /// An environment variable that is set, not empty and UTF-8.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let given = self.variables.0.get(name).cloned();
        given
            .or_else(|| std::env::var(name).ok())
            .filter(|value| !value.is_empty())
    }

    /// The given variables that tell cargo where a registry is, `CARGO_REGISTRIES_NAME_INDEX`.
    pub(crate) fn registry_indexes(&self) -> Vec<(String, String)> {
        let given = self.variables.0.iter().filter(|(name, _)| is_index(name));
        given.map(|(name, index)| (name.clone(), index.clone())).collect()
    }

    /// Every variable that tells cargo where a registry is.
    pub(crate) fn known_indexes(&self) -> Vec<(String, String)> {
        let text = |text: OsString| text.into_string().ok();
        let own = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        let own = own.filter(|(name, _)| is_index(name));
        self.registry_indexes().into_iter().chain(own).collect()
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

fn is_index(name: &str) -> bool {
    name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_INDEX")
}

/// Variables by name; they may be secrets, so only the names show.
#[derive(Default)]
struct Variables(BTreeMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The asynchronous runtime cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the asynchronous runtime")]
struct RuntimeError {
    source: std::io::Error,
}
