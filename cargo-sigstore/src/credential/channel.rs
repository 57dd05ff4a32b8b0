//! The private channel between `cargo sigstore publish` and the credential provider that cargo starts for it.
//!
//! A Unix socket in a folder that only this user may enter. The parent keeps the token and decides; the provider passes
//! on cargo's question and the answer. No token is ever in an environment or a file.

use std::{
    fs::Permissions,
    io::BufReader,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::{
    credential::protocol::{Answer, Request, read_line, write_line},
    failure::{Exit, Failure},
};

/// The parent's end.
#[derive(Debug)]
pub(crate) struct Channel {
    _folder: TempDir,
    path: PathBuf,
    listener: UnixListener,
}

impl Channel {
    /// Opens a channel in a new folder with mode 0700.
    ///
    /// # Errors
    /// Code `channel`.
    pub(crate) fn open() -> Result<Self, Failure> {
        let open = || {
            let folder = tempfile::Builder::new()
                .prefix("cargo-sigstore-")
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(temporary_folder())?;
            let path = folder.path().join("provider");
            let listener = UnixListener::bind(&path)?;
            Ok(Self {
                _folder: folder,
                path,
                listener,
            })
        };
        open().map_err(failure)
    }

    /// Where the provider connects.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` while another thread answers every question with `decide`.
    pub(crate) fn serve_while<T>(&self, decide: impl Fn(&Request) -> Answer + Send, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.serve(&done, decide));
            let result = work();
            done.store(true, Ordering::SeqCst);
            // Wakes the thread; when that fails the listener is broken and the thread has ended.
            drop(UnixStream::connect(&self.path));
            result
        })
    }

    fn serve(&self, done: &AtomicBool, decide: impl Fn(&Request) -> Answer) {
        for connection in self.listener.incoming() {
            if done.load(Ordering::SeqCst) {
                break;
            }
            // A connection that breaks leaves the provider without an answer, so cargo uploads nothing.
            drop(connection.and_then(|connection| answer_one(&connection, &decide)));
        }
    }
}

/// Answers the one question of a connection.
fn answer_one(connection: &UnixStream, decide: &impl Fn(&Request) -> Answer) -> std::io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let Some(line) = read_line(&mut BufReader::new(connection))? else {
        return Ok(());
    };
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => decide(&request),
        Err(_) => Answer::NotSupported,
    };
    let mut output = connection;
    write_line(&mut output, &serde_json::to_value(Wire::from(answer))?)
}

/// The provider's end: passes a question to the parent at `path`.
///
/// # Errors
/// Code `channel`.
pub(crate) fn ask(path: &Path, request: &Request) -> Result<Answer, Failure> {
    let ask = || {
        let connection = UnixStream::connect(path)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut output = &connection;
        write_line(&mut output, &serde_json::to_value(request)?)?;
        let line = read_line(&mut BufReader::new(&connection))?.map(Zeroizing::new);
        let line = line.ok_or_else(|| std::io::Error::other("no answer"))?;
        let wire: Wire = serde_json::from_str(&line)?;
        Ok(wire.into())
    };
    ask().map_err(failure)
}

/// An answer on the channel.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Wire {
    Token(String),
    NotFound,
    NotSupported,
    Refused(String),
}

impl From<Answer> for Wire {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Token(token) => Self::Token(token),
            Answer::NotFound => Self::NotFound,
            Answer::NotSupported => Self::NotSupported,
            Answer::Refused(why) => Self::Refused(why),
        }
    }
}

impl From<Wire> for Answer {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Token(token) => Self::Token(token),
            Wire::NotFound => Self::NotFound,
            Wire::NotSupported => Self::NotSupported,
            Wire::Refused(why) => Self::Refused(why),
        }
    }
}

/// The system's, unless its path leaves no room for a socket's name (108 bytes on Linux, 104 elsewhere).
fn temporary_folder() -> PathBuf {
    let usual = std::env::temp_dir();
    if usual.as_os_str().len() > 60 {
        PathBuf::from("/tmp")
    } else {
        usual
    }
}

fn failure(source: std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, "channel", &Error { source })
        .hint("check that the folder for temporary files is writable")
}

/// The two ends cannot speak.
#[derive(Debug, thiserror::Error)]
#[error("the credential provider and `cargo sigstore publish` cannot reach each other")]
struct Error {
    source: std::io::Error,
}

/// Both ends are on this machine and neither computes anything.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::protocol::RegistryInfo;

    fn request(name: &str) -> Request {
        Request {
            v: 1,
            registry: RegistryInfo {
                index_url: "sparse+https://r.example/".to_owned(),
                name: None,
            },
            kind: "get".to_owned(),
            operation: "publish".to_owned(),
            name: name.to_owned(),
            vers: "1.0.0".to_owned(),
            cksum: "00".to_owned(),
        }
    }

    #[test]
    fn a_question_is_passed_on_and_answered() {
        let channel = Channel::open().unwrap();
        let decide = |request: &Request| match request.name.as_str() {
            "a" => Answer::Token("t".to_owned()),
            _ => Answer::Refused("no".to_owned()),
        };
        let (yes, no) = channel.serve_while(decide, || {
            let yes = ask(channel.path(), &request("a")).unwrap();
            let no = ask(channel.path(), &request("b")).unwrap();
            (yes, no)
        });
        assert!(matches!(yes, Answer::Token(token) if token == "t"));
        assert!(matches!(no, Answer::Refused(why) if why == "no"));
    }

    #[test]
    fn only_this_user_may_enter() {
        let channel = Channel::open().unwrap();
        let folder = channel.path().parent().unwrap();
        let mode = std::fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn nobody_answers_after_the_work() {
        let channel = Channel::open().unwrap();
        let path = channel.path().to_owned();
        channel.serve_while(|_| Answer::NotFound, || ());
        drop(channel);
        assert_eq!(ask(&path, &request("a")).err().unwrap().code(), "channel");
    }

    #[test]
    fn noise_does_not_stop_the_channel() {
        let channel = Channel::open().unwrap();
        let answer = channel.serve_while(
            |_| Answer::Token("t".to_owned()),
            || {
                drop(UnixStream::connect(channel.path()).unwrap());
                ask(channel.path(), &request("a")).unwrap()
            },
        );
        assert!(matches!(answer, Answer::Token(_)));
    }
}
