//! A Sigstore of our own as its operator runs it: `sigstore-server init`, then `serve`, as child processes on loopback.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Doing as _, Error, Issuer, Tools, http,
    run::{Outcome, run},
};

/// A server folder and, most of the time, the process that serves it. The process dies with the value.
#[derive(Debug)]
pub struct Instance {
    tools: Tools,
    folder: PathBuf,
    _parent: TempDir,
    url: String,
    serving: Option<Child>,
}

/// How long the server may take until it says it is ready.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long `init` or `fsck` may take.
const LIMIT: Duration = Duration::from_mins(1);

impl Instance {
    /// Initializes and serves, believing every profile of `issuer`.
    ///
    /// # Errors
    /// `init` or `serve` failed; their own words are in the error.
    pub fn start(tools: &Tools, issuer: &Issuer) -> Result<Self, Error> {
        let mut instance = Self::init(tools, issuer)?;
        instance.serve()?;
        Ok(instance)
    }

    /// Initializes a folder, without serving it.
    ///
    /// # Errors
    /// `init` failed.
    pub fn init(tools: &Tools, issuer: &Issuer) -> Result<Self, Error> {
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let parent = tempfile::Builder::new()
            .prefix("instance-")
            .tempdir()
            .doing("make a folder for the server")?;
        let instance = Self {
            tools: tools.clone(),
            folder: parent.path().join("server"),
            _parent: parent,
            url,
            serving: None,
        };
        let mut init = instance.command("init");
        init.args(["--origin", &instance.url]);
        for issuer in issuer.specifications() {
            init.args(["--issuer", &issuer]);
        }
        run(&mut init, LIMIT)?.success()?;
        Ok(instance)
    }

    /// Starts the server on this folder and waits until it is ready.
    ///
    /// # Errors
    /// It ended, or was not ready in a minute; the end of its log is in the error.
    pub fn serve(&mut self) -> Result<(), Error> {
        self.serve_through(&[])
    }

    /// The same through a program that ends in running its arguments: `sh -c 'ulimit …; exec "$@"' sh`.
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub fn serve_through(&mut self, program: &[&str]) -> Result<(), Error> {
        let log = File::create(self.log_file()).doing("make the server's log")?;
        let mut command = self.command_through(program, "serve");
        command
            .args(["--listen", self.address()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing("share the server's log")?)
            .stderr(log);
        self.serving = Some(command.spawn().doing("start the server")?);
        self.await_ready()
    }

    /// `sigstore-server SUBCOMMAND DIR`.
    #[must_use]
    pub fn command(&self, subcommand: &str) -> Command {
        self.command_through(&[], subcommand)
    }

    fn command_through(&self, program: &[&str], subcommand: &str) -> Command {
        let server = self.tools.server();
        let mut command = match program.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(server);
                command
            }
            None => Command::new(server),
        };
        command.arg(subcommand).arg(self.folder()).env("NO_COLOR", "1");
        command
    }

    /// Kills the server as a power cut would: SIGKILL, no warning.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.serving.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// `sigstore-server fsck DIR`.
    ///
    /// # Errors
    /// It could not be run; what it found is in the outcome.
    pub fn fsck(&self) -> Result<Outcome, Error> {
        run(&mut self.command("fsck"), LIMIT)
    }

    /// The process id, while serving.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.serving.as_ref().map(Child::id)
    }

    /// `http://127.0.0.1:PORT`, the origin of every service.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The folder that `init` wrote.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A document of the folder `trust`: `trusted_root.json`, `signing_config.v0.2.json`, `trust_config.json`, `root.json`.
    #[must_use]
    pub fn trust(&self, name: &str) -> PathBuf {
        self.folder().join("trust").join(name)
    }

    /// What the server said since it was last started.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.with_file_name("serve.log")
    }

    fn await_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        let url = format!("{}/readyz", self.url);
        loop {
            if http::get(&url).is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            let ended = self.serving.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                self.kill();
                return Err(Error::new(
                    "start the server",
                    format!("not ready ({ended:?})\n{}", self.log()),
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on and nobody is given unasked: below those that the system hands out, and another at each
/// call, so that neither an outgoing connection nor a test beside this one takes it before it is used.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes run beside each other; each begins elsewhere.
    let start = std::process::id().wrapping_mul(211);
    for _ in 0..PORTS {
        let place = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = u16::try_from(FIRST_PORT.saturating_add(place)).doing("find a free port")?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::new("find a free port", "all are taken"))
}

/// Linux hands out ports from 32768 on.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 12_000;
