//! The registry-side gate as its operator runs it, as a child process before the fixture registry.

use std::{
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Doing as _, Error, Instance, Registry, Tools, http,
    instance::free_port,
    run::{Outcome, run},
};

/// A gate that serves; it dies with the value.
#[derive(Debug)]
pub struct Gate {
    tools: Tools,
    folder: TempDir,
    url: String,
    serving: Option<Child>,
    crash_at: Option<&'static str>,
}

/// How long the gate may take until it serves.
const READY_WITHIN: Duration = Duration::from_mins(1);

impl Gate {
    /// Writes configuration and policy and serves before a fixture registry.
    ///
    /// # Errors
    /// The gate ended or was not ready in a minute; its own words are in the error.
    pub fn start(tools: &Tools, instance: &Instance, registry: &Registry, policy: &str) -> Result<Self, Error> {
        Self::start_with(tools, instance, &format!("{}/index/", registry.url()), policy, "")
    }

    /// The same before any registry, by its index URL, with `more` sections in the configuration.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        tools: &Tools,
        instance: &Instance,
        index: &str,
        policy: &str,
        more: &str,
    ) -> Result<Self, Error> {
        let mut gate = Self::prepare(tools, instance, index, policy, more)?;
        gate.serve()?;
        Ok(gate)
    }

    /// The same without serving yet, so that files can be put beside the configuration.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn prepare(tools: &Tools, instance: &Instance, index: &str, policy: &str, more: &str) -> Result<Self, Error> {
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let folder = tempfile::Builder::new()
            .prefix("gate-")
            .tempdir()
            .doing("make a folder for the gate")?;
        let address = url.trim_start_matches("http://");
        let trust = instance.trust("trust_config.json");
        let configuration = format!(
            "listen = \"{address}\"\npublic-url = \"{url}\"\ntrust = \"{}\"\npolicy = \"policy.toml\"\ndata = \"data\"\n\
             [upstream]\nindex = \"{index}\"\n[evidence]\nattestations = \"{}\"\n{more}\n",
            trust.display(),
            instance.url(),
        );
        std::fs::write(folder.path().join("gate.toml"), configuration).doing("write the gate's configuration")?;
        let gate = Self {
            tools: tools.clone(),
            folder,
            url,
            serving: None,
            crash_at: None,
        };
        gate.set_policy(policy)?;
        Ok(gate)
    }

    /// Replaces the policy file; the gate reads it at the next start, or at a SIGHUP.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_policy(&self, policy: &str) -> Result<(), Error> {
        std::fs::write(self.folder.path().join("policy.toml"), policy).doing("write the policy")
    }

    /// Serves again, after [`Self::kill`].
    ///
    /// # Errors
    /// The gate ended or was not ready in a minute.
    pub fn serve(&mut self) -> Result<(), Error> {
        let log = std::fs::File::create(self.log_file()).doing("make the gate's log")?;
        let mut command = Command::new(self.tools.gate());
        command
            .arg("serve")
            .arg(self.folder.path().join("gate.toml"))
            .stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log);
        if let Some(point) = self.crash_at {
            command.env("CRATES_PLUGIN_CRASH_AT", point);
        }
        self.serving = Some(command.spawn().doing("start the gate")?);
        let deadline = Instant::now() + READY_WITHIN;
        while !http::get(&format!("{}/healthz", self.url)).is_ok_and(|answer| answer.status == 200) {
            let ended = self.serving.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                self.kill();
                return Err(Error::new(
                    "start the gate",
                    format!("not ready ({ended:?})\n{}", self.log()),
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// At the next start, dies at this point of a publish; only debug builds of the gate do.
    pub const fn crash_at(&mut self, point: Option<&'static str>) {
        self.crash_at = point;
    }

    /// Whether it died by itself, within this time.
    #[must_use]
    pub fn died_within(&mut self, limit: Duration) -> bool {
        self.ended_within(limit).is_some()
    }

    /// How it ended, if it does within this time.
    #[must_use]
    pub fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let ended = self.serving.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// `crates-plugin check`.
    ///
    /// # Errors
    /// It could not be run.
    pub fn check(&self) -> Result<Outcome, Error> {
        let mut command = Command::new(self.tools.gate());
        command.arg("check").arg(self.folder.path().join("gate.toml"));
        run(&mut command, READY_WITHIN)
    }

    /// Has it read its policy again: SIGHUP.
    ///
    /// # Errors
    /// It does not run, or `kill` does not.
    pub fn reload(&self) -> Result<(), Error> {
        self.signal("-HUP")
    }

    /// Tells it to end: SIGTERM.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub fn stop(&self) -> Result<(), Error> {
        self.signal("-TERM")
    }

    fn signal(&self, signal: &str) -> Result<(), Error> {
        let process = self
            .process()
            .ok_or_else(|| Error::new("signal the gate", "it does not run"))?;
        let mut command = Command::new("kill");
        command.args([signal, &process.to_string()]);
        run(&mut command, READY_WITHIN)?.success().map(drop)
    }

    /// The process id, while serving.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.serving.as_ref().map(Child::id)
    }

    /// SIGKILL, no warning.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.serving.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The index that cargo is pointed at.
    #[must_use]
    pub fn index_url(&self) -> String {
        format!("sparse+{}/index/", self.url)
    }

    /// The folder of its verdicts.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.file("data")
    }

    /// A file beside its configuration.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the gate said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Puts another policy into force.
    ///
    /// # Panics
    /// The gate does not take it within a minute.
    pub fn change_policy(&self, policy: &str) {
        let said = || self.log().matches("policy reloaded").count();
        let before = said();
        self.set_policy(policy).expect("a policy file");
        self.reload().expect("a signal");
        let deadline = Instant::now() + READY_WITHIN;
        while said() == before {
            assert!(Instant::now() < deadline, "the policy is not taken\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the gate has said `text`.
    ///
    /// # Panics
    /// It does not say it within a minute.
    pub fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.log().contains(text) {
            assert!(
                Instant::now() < deadline,
                "the gate never said {text:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("gate.log")
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.kill();
    }
}
