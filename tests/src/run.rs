//! Child processes with a time limit, and what they said.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{Doing as _, Error};

/// What a child process did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command as it could be typed, without its environment.
    pub command: String,
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, lossy UTF-8.
    pub stdout: String,
    /// Standard error, lossy UTF-8.
    pub stderr: String,
    /// From start to exit.
    pub took: Duration,
}

impl Outcome {
    /// The outcome when the exit code is 0.
    ///
    /// # Errors
    /// Any other end, with everything the child said.
    pub fn success(self) -> Result<Self, Error> {
        self.exit(0)
    }
    /// The outcome when the exit code is `code`.
    ///
    /// # Errors
    /// Any other end, with everything the child said.
    pub fn exit(self, code: i32) -> Result<Self, Error> {
        if self.code == Some(code) {
            return Ok(self);
        }
        Err(Error::new(
            format!("run `{}`", self.command),
            format!(
                "exit code {:?} instead of {code}\n--- stdout\n{}\n--- stderr\n{}",
                self.code, self.stdout, self.stderr
            ),
        ))
    }
    /// Both streams, for searching.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end, at most `limit` long.
///
/// # Errors
/// It cannot be started, or had to be killed at the limit.
pub fn run(command: &mut Command, limit: Duration) -> Result<Outcome, Error> {
    let shown = shown(command);
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(format!("start `{shown}`"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, start + limit);
    let outcome = Outcome {
        command: shown,
        code: status.and_then(|status| status.code()),
        stdout: collect(stdout),
        stderr: collect(stderr),
        took: start.elapsed(),
    };
    if status.is_none() {
        return Err(Error::new(
            format!("run `{}`", outcome.command),
            format!(
                "not done after {limit:?}\n--- stdout\n{}\n--- stderr\n{}",
                outcome.stdout, outcome.stderr
            ),
        ));
    }
    Ok(outcome)
}

/// The command as it could be typed.
#[must_use]
pub fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// How the child ended; none when the deadline passed and it was killed.
fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() > deadline {
            drop(child.kill());
            drop(child.wait());
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            drop(stream.read_to_end(&mut bytes));
        }
        bytes
    })
}

fn collect(stream: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&stream.join().unwrap_or_default()).into_owned()
}
