//! The runner of GitHub Actions or Forgejo: its workflow commands and its files.
//!
//! Commands are lines `::NAME PROPERTY=VALUE::DATA`; files are appended to (GitHub's "Workflow commands").

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    context::Context,
    failure::{Exit, Failure},
    printer::{Printer, data},
};

/// Where a step tells things.
#[derive(Debug)]
pub(super) struct Runner {
    printer: Printer,
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
    path: Option<PathBuf>,
    artifacts: Option<PathBuf>,
}

impl Runner {
    /// The runner that the environment describes; without one its files are left out.
    pub(super) fn of(context: &Context) -> Self {
        let file = |name: &str| context.variable(name).map(PathBuf::from);
        Self {
            printer: context.printer.clone(),
            output: file("GITHUB_OUTPUT"),
            summary: file("GITHUB_STEP_SUMMARY"),
            path: file("GITHUB_PATH"),
            artifacts: file("GITHUB_ARTIFACTS"),
        }
    }

    /// Hides a secret in everything that the job prints from here on; the runner hides line by line.
    pub(super) fn mask(&self, secret: &str) {
        for line in secret.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.printer.workflow_command("add-mask", &data(line));
        }
    }

    /// Begins a group of lines that the log shows folded; groups do not nest.
    pub(super) fn group(&self, title: &str) {
        self.printer.phase(title);
    }

    /// Ends the group, if there is one.
    pub(super) fn end_group(&self) {
        self.printer.end_phase();
    }

    /// Annotates the run with a failure.
    pub(super) fn error(&self, failure: &Failure) {
        let title = property(&format!("cargo-sigstore {}", failure.code()));
        let text = data(&shortened(&text_of(failure)));
        self.printer.workflow_command(&format!("error title={title}"), &text);
    }

    /// Annotates the run with something that is probably not meant.
    pub(super) fn warning(&self, text: &str) {
        self.printer
            .workflow_command("warning title=cargo-sigstore", &data(&shortened(text)));
    }

    /// Annotates the run with something worth knowing.
    pub(super) fn notice(&self, text: &str) {
        self.printer
            .workflow_command("notice title=cargo-sigstore", &data(&shortened(text)));
    }

    /// Sets outputs of the step.
    ///
    /// # Errors
    /// Code `file-write`.
    pub(super) fn outputs(&self, outputs: &[(&'static str, String)]) -> Result<(), Failure> {
        let mut text = String::new();
        for (name, value) in outputs {
            let end = delimiter();
            text.extend([*name, "<<", &end, "\n", value, "\n", &end, "\n"]);
        }
        append(self.output.as_deref(), &text)
    }

    /// Appends to the job's summary as much as the runner takes.
    ///
    /// # Errors
    /// Code `file-write`.
    pub(super) fn summary(&self, markdown: &str) -> Result<(), Failure> {
        let Some(path) = &self.summary else {
            return Ok(());
        };
        let used = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let room = SUMMARY_BYTES.saturating_sub(usize::try_from(used).unwrap_or(usize::MAX));
        append(Some(path), whole_lines(markdown, room))
    }

    /// Puts a folder on the `PATH` of the steps that follow.
    ///
    /// # Errors
    /// Code `file-write`.
    pub(super) fn add_path(&self, folder: &Path) -> Result<(), Failure> {
        append(self.path.as_deref(), &format!("{}\n", folder.display()))
    }

    /// Names files that the runner hashes for the steps that follow, where it offers that. A path that its format cannot hold
    /// is left out with a warning.
    ///
    /// # Errors
    /// Code `file-write`.
    pub(super) fn artifacts<'a>(&self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), Failure> {
        let mut text = String::new();
        for path in paths {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            match path.to_str() {
                Some(path) if !path.contains(['=', '\n', '\r']) => text.extend([path, "\n"]),
                _ => self
                    .printer
                    .warn(format_args!("GITHUB_ARTIFACTS cannot name {}", path.display())),
            }
        }
        append(self.artifacts.as_deref(), &text)
    }
}

fn append(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = path.filter(|_| !text.is_empty()) else {
        return Ok(());
    };
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| {
        let error = Error {
            path: path.to_owned(),
            source,
        };
        Failure::new(Exit::Unavailable, "file-write", &error).hint("check the runner's disk")
    })
}

/// One of the runner's files cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`, a file of the runner", path.display())]
struct Error {
    path: PathBuf,
    source: std::io::Error,
}

/// All of a failure, a line each.
fn text_of(failure: &Failure) -> String {
    let mut lines = vec![failure.message().to_owned()];
    lines.extend(failure.causes().iter().map(|cause| format!("caused by: {cause}")));
    lines.extend(failure.facts().iter().map(|(name, value)| format!("{name}: {value}")));
    lines.extend(failure.hint_text().map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}

/// The runner cuts annotations; better to do so where it shows.
fn shortened(text: &str) -> String {
    if text.chars().count() <= ANNOTATION_CHARACTERS {
        return text.to_owned();
    }
    let kept = text.chars().take(ANNOTATION_CHARACTERS.saturating_sub(1));
    kept.chain(std::iter::once('…')).collect()
}

/// The longest beginning of whole lines with at most `limit` bytes.
fn whole_lines(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = text
        .match_indices('\n')
        .map(|(position, _)| position.saturating_add(1))
        .take_while(|end| *end <= limit)
        .last();
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A line that no value can contain: whoever controls a value cannot set another output.
fn delimiter() -> String {
    format!("end-{:032x}", rand::random::<u128>())
}

/// "The annotation text is cut at 4096 characters" (actions/runner).
const ANNOTATION_CHARACTERS: usize = 4096;
/// A step's summary is refused above one MiB.
const SUMMARY_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_begin_another_command() {
        assert_eq!(data("50%\r\n::set-output::x"), "50%25%0D%0A::set-output::x");
        assert_eq!(property("a:b,c\n"), "a%3Ab%2Cc%0A");
    }

    #[test]
    fn long_annotations_are_cut_where_it_shows() {
        let long = "é".repeat(ANNOTATION_CHARACTERS + 1);
        let cut = shortened(&long);
        assert_eq!(cut.chars().count(), ANNOTATION_CHARACTERS);
        assert!(cut.ends_with('…'));
        let fits = "é".repeat(ANNOTATION_CHARACTERS);
        assert_eq!(shortened(&fits), fits);
    }

    #[test]
    fn a_summary_is_cut_between_lines() {
        assert_eq!(whole_lines("ab\ncd\nef", 8), "ab\ncd\nef");
        assert_eq!(whole_lines("ab\ncd\nef", 7), "ab\ncd\n");
        assert_eq!(whole_lines("ab\ncd\nef", 3), "ab\n");
        assert_eq!(whole_lines("ab\ncd\nef", 2), "");
    }

    #[test]
    fn delimiters_differ() {
        assert_ne!(delimiter(), delimiter());
    }
}
