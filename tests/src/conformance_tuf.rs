//! The TUF half of `conformance-client`: the protocol of the `tuf-conformance` suite, on the reading side of `tuf-root`.
//!
//! ```text
//! conformance-client --metadata-dir DIR init ROOT
//! conformance-client --metadata-url URL --metadata-dir DIR refresh
//! conformance-client --metadata-url URL --metadata-dir DIR --target-name PATH … --target-dir DIR --target-base-url URL download
//! ```
//! The exit code is 0 or 1, nothing else.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use tuf_root::{
    Error,
    reader::{Reader, Source},
    store::HttpOptions,
};
use verify::UnixTime;

use crate::conformance;

/// Whether these arguments, the program's name first, are of this protocol: it begins with an option, the other with a command.
#[must_use]
pub fn is_meant(arguments: &[OsString]) -> bool {
    arguments
        .get(1)
        .is_some_and(|first| first == "--metadata-dir" || first == "--metadata-url")
}

/// Runs one command of the protocol; the program's name comes first.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    conformance::run(|| Request::parse(arguments).and_then(|request| request.run()))
}

#[derive(Debug, Default)]
struct Request {
    metadata_dir: PathBuf,
    metadata_url: String,
    target_names: Vec<String>,
    target_dir: PathBuf,
    target_base_url: String,
    command: Vec<String>,
}

impl Request {
    fn parse(arguments: &[OsString]) -> Result<Self, String> {
        let mut request = Self::default();
        let mut rest = arguments
            .iter()
            .skip(1)
            .map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or(format!("`{argument}` lacks its value"));
            match argument.as_str() {
                "--metadata-dir" => request.metadata_dir = value()?.into(),
                "--metadata-url" => request.metadata_url = value()?,
                "--target-name" => request.target_names.push(value()?),
                "--target-dir" => request.target_dir = value()?.into(),
                "--target-base-url" => request.target_base_url = value()?,
                _ => request.command.push(argument),
            }
        }
        Ok(request)
    }

    fn run(&self) -> Result<(), String> {
        let command: Vec<&str> = self.command.iter().map(String::as_str).collect();
        let done = match command.as_slice() {
            ["init", root] => {
                let root =
                    conformance::read(root.as_ref(), ROOT_BYTES).map_err(|error| format!("`{root}`: {error}"))?;
                Reader::trust(&self.metadata_dir, &root)
            }
            ["refresh"] => block_on(async { self.refreshed().await.map(drop) }),
            ["download"] => block_on(self.download()),
            other => return Err(format!("expected `init ROOT`, `refresh` or `download`, not {other:?}")),
        };
        done.map_err(|error| format!("{}: {error}", error.code()))
    }

    async fn refreshed(&self) -> Result<Reader, Error> {
        let source = Source::Web {
            metadata_url: &self.metadata_url,
            targets_url: if self.target_base_url.is_empty() {
                &self.metadata_url
            } else {
                &self.target_base_url
            },
            options: &HttpOptions::default(),
        };
        let mut reader = Reader::open(&self.metadata_dir, &self.target_dir, source)?;
        reader.refresh(now()).await?;
        Ok(reader)
    }

    /// The reader's own cache of targets is the folder asked for: one file per target, fetched once.
    async fn download(&self) -> Result<(), Error> {
        let mut reader = self.refreshed().await?;
        for name in &self.target_names {
            reader.target(name, now()).await?;
        }
        Ok(())
    }
}

fn block_on(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime on this thread").block_on(work)
}

/// By this machine's clock: the suite moves it.
fn now() -> UnixTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_secs(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

/// Largest root to start from.
const ROOT_BYTES: usize = 4 << 20;
