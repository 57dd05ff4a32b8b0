//! What is printed: results on stdout, failures on stderr.

use std::{
    error::Error as _,
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use serde_json::{Value, json};

use super::arguments::Format;
use crate::{
    Error,
    repository::{Head, Heads},
};

/// An error and what it is about.
pub(super) struct Failure {
    about: Option<String>,
    error: Error,
}

impl Failure {
    /// An error about a file that the user named.
    pub(super) fn about(path: &Path, error: Error) -> Self {
        Self {
            about: Some(format!("cannot use `{}`", path.display())),
            error,
        }
    }

    /// What the process exits with: a missing file that the user named is a usage error.
    pub(super) const fn exit_code(&self) -> u8 {
        match (&self.about, &self.error) {
            (Some(_), Error::Missing { .. } | Error::Io { .. } | Error::TooLarge { .. }) => 2,
            (_, error) => error.exit_code(),
        }
    }

    /// Code, sentence, causes, hint.
    fn lines(&self) -> String {
        let mut messages: Vec<String> = self.about.iter().cloned().collect();
        messages.push(self.error.to_string());
        let mut source = self.error.source();
        while let Some(cause) = source {
            messages.push(cause.to_string());
            source = cause.source();
        }
        let mut text = String::new();
        let mut messages = messages.iter();
        let first = messages.next().map_or("", String::as_str);
        // writing to a string cannot fail
        let _ = writeln!(text, "error[{}]: {first}", self.error.code());
        for cause in messages {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        let _ = write!(text, "hint: {}", self.error.hint());
        text
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { about: None, error }
    }
}

/// Writes what a command has to say.
pub(super) struct Printer {
    format: Format,
}

impl Printer {
    pub(super) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints a result as JSON or as lines.
    pub(super) fn result(&self, json: &Value, lines: &[String]) -> Result<(), Failure> {
        let text = match self.format {
            Format::Json => format!("{json:#}"),
            Format::Human => lines.join("\n"),
        };
        match writeln!(io::stdout().lock(), "{text}") {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::io("write to", "stdout")(error).into())
            }
            _ => Ok(()),
        }
    }

    /// Prints versions and expiries.
    pub(super) fn heads(&self, heads: &Heads) -> Result<(), Failure> {
        self.result(&heads_json(heads), &heads_lines(heads))
    }

    /// Prints a failure. When even stderr is gone there is nobody left to tell.
    pub(super) fn failure(&self, failure: &Failure) {
        let text = match self.format {
            Format::Human => failure.lines(),
            Format::Json => json!({ "error": {
                "code": failure.error.code(),
                "exit": failure.exit_code(),
                "message": failure.error.to_string(),
                "hint": failure.error.hint(),
            }})
            .to_string(),
        };
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

pub(super) fn heads_lines(heads: &Heads) -> Vec<String> {
    let line = |(name, head): (&str, Head)| format!("{name:<9} version {:<5} expires {}", head.version, head.expires);
    each(heads).map(line).to_vec()
}

pub(super) fn heads_json(heads: &Heads) -> Value {
    each(heads)
        .map(|(name, head)| {
            (
                name.to_owned(),
                json!({ "version": head.version, "expires": head.expires.to_string() }),
            )
        })
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into()
}

const fn each(heads: &Heads) -> [(&'static str, Head); 4] {
    [
        ("root", heads.root),
        ("targets", heads.targets),
        ("snapshot", heads.snapshot),
        ("timestamp", heads.timestamp),
    ]
}
