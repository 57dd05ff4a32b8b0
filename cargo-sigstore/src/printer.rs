//! All output: data on stdout, progress and failures on stderr.
//!
//! Colour is left out when the stream is no terminal or `NO_COLOR` is set; nothing depends on it.

use std::{
    fmt::Display,
    io::{IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::{
    arguments::{Format, GlobalOptions},
    failure::{Exit, Failure},
};

/// Writes what a command has to say.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    format: Format,
    quiet: bool,
    record: Option<Arc<Mutex<Record>>>,
    /// Whether the runner was told to fold what follows.
    in_group: Arc<AtomicBool>,
}

/// What commands said to a printer that records: the data, and the failures, which were shown too.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Documents that would have gone to stdout.
    pub(crate) documents: Vec<serde_json::Value>,
    /// Failures that were shown.
    pub(crate) failures: Vec<Failure>,
}

impl Printer {
    /// A printer as the options ask.
    pub(crate) fn new(options: &GlobalOptions) -> Self {
        Self {
            format: options.format,
            quiet: options.quiet,
            record: None,
            in_group: Arc::default(),
        }
    }

    /// A printer that keeps data as documents, instead of writing them, and shows failures to people.
    pub(crate) fn recording() -> Self {
        Self {
            format: Format::Json,
            quiet: false,
            record: Some(Arc::default()),
            in_group: Arc::default(),
        }
    }

    /// Whether data is kept as documents.
    pub(crate) const fn is_recording(&self) -> bool {
        self.record.is_some()
    }

    /// What was recorded since this was last asked.
    pub(crate) fn take_record(&self) -> Record {
        let record = self.record.as_ref();
        record.map_or_else(Record::default, |record| {
            std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    fn note_down(&self, note: impl FnOnce(&mut Record)) -> bool {
        if let Some(record) = &self.record {
            note(&mut record.lock().unwrap_or_else(PoisonError::into_inner));
        }
        self.record.is_some()
    }

    /// Whether data is asked for as JSON.
    pub(crate) const fn is_json(&self) -> bool {
        matches!(self.format, Format::Json)
    }

    /// Whether data is asked for as SARIF.
    pub(crate) const fn is_sarif(&self) -> bool {
        matches!(self.format, Format::Sarif)
    }

    /// Writes a line of data.
    ///
    /// # Errors
    /// A failure with code `output` when stdout cannot be written; a reader that has gone away is no failure.
    #[allow(clippy::unused_self, reason = "all output goes through the printer")]
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(
                Exit::Unavailable,
                "output",
                &OutputError { source: error },
            )),
            _ => Ok(()),
        }
    }

    /// Writes a JSON document, indented.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let unwritable = |error| {
            let source = std::io::Error::other(error);
            Failure::new(Exit::Bug, "output", &OutputError { source })
        };
        let document = serde_json::to_value(value).map_err(unwritable)?;
        if self.note_down(|record| record.documents.push(document)) {
            return Ok(());
        }
        self.line(serde_json::to_string_pretty(value).map_err(unwritable)?)
    }

    /// Tells of a step: a verb of at most 12 characters as cargo prints it, then what it is about.
    pub(crate) fn status(&self, verb: &str, message: impl Display) {
        if !self.quiet {
            tell(&format_args!("{} {message}", format!("{verb:>12}").green().bold()));
        }
    }

    /// Warns.
    #[allow(clippy::unused_self, reason = "all output goes through the printer")]
    pub(crate) fn warn(&self, message: impl Display) {
        tell(&format_args!("{}{} {message}", "warning".yellow().bold(), ":".bold()));
    }

    /// Tells of something worth knowing.
    pub(crate) fn note(&self, message: impl Display) {
        if !self.quiet {
            tell(&format_args!("{}{} {message}", "note".cyan().bold(), ":".bold()));
        }
    }

    /// A command to the runner of GitHub Actions or Forgejo, which reads the output of a step.
    #[allow(clippy::unused_self, reason = "all output goes through the printer")]
    pub(crate) fn workflow_command(&self, name: &str, value: &str) {
        to_stderr(&format_args!("::{name}::{value}"));
    }

    /// Begins a phase of the work: in a job of the Action a group of lines that the log shows folded; groups do not nest.
    pub(crate) fn phase(&self, title: impl Display) {
        if !self.is_recording() {
            return;
        }
        self.end_phase();
        self.workflow_command("group", &data(&title.to_string()));
        self.in_group.store(true, Ordering::Relaxed);
    }

    /// Ends the phase, if there is one.
    pub(crate) fn end_phase(&self) {
        if self.in_group.swap(false, Ordering::Relaxed) {
            self.workflow_command("endgroup", "");
        }
    }

    /// Has the runner take what others print for plain text until the guard is dropped: a build script that fails is quoted,
    /// and could set outputs of the step [GitHub, workflow commands, "Stopping and starting workflow commands"].
    pub(crate) fn stop_commands(&self) -> StoppedCommands<'_> {
        let token = format!("{:032x}", rand::random::<u128>());
        self.workflow_command("stop-commands", &token);
        StoppedCommands { printer: self, token }
    }

    /// Shows a failure: sentence and code, causes, facts, one hint. With `--format json` one JSON object on one line.
    pub(crate) fn failure(&self, failure: &Failure) {
        let recorded = self.note_down(|record| record.failures.push(failure.clone()));
        if self.is_json() && !recorded {
            to_stderr(&serde_json::json!({ "error": failure.to_json() }));
        } else {
            tell(&Shown(failure).to_string().trim_end());
        }
    }

    /// A progress bar of `length` steps; invisible unless stderr is a terminal.
    pub(crate) fn progress(&self, length: u64, verb: &str) -> ProgressBar {
        let visible = std::io::stderr().is_terminal() && !self.quiet && !self.is_json() && !self.is_sarif();
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(length), target).with_prefix(format!("{verb:>12}"));
        if let Ok(style) = ProgressStyle::with_template("{prefix:.cyan.bold} [{bar:28}] {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        if visible {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        bar
    }
}

/// Data of a workflow command, escaped as `actions/toolkit` does.
pub(crate) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Lines up rows in columns two spaces apart; the last column is left ragged.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let titles: Vec<String> = header.iter().map(|title| (*title).to_owned()).collect();
    let lines: Vec<String> = std::iter::once(&titles)
        .chain(rows)
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

/// Text from outside with control characters made visible, so that it cannot move the cursor or fake a line.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let hidden = character.is_control()
                || matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let (plain, escaped) = if hidden {
                (None, Some(character.escape_default()))
            } else {
                (Some(character), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// The same for a text of several lines, which stay lines.
pub(crate) fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(visible).collect();
    lines.join("\n")
}

/// A failure in the human format.
struct Shown<'a>(&'a Failure);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(failure) = self;
        let label = format!("error[{}]", failure.code());
        writeln!(f, "{}{} {}", label.red().bold(), ":".bold(), failure.message())?;
        for cause in failure.causes() {
            writeln!(f, "  caused by: {}", cause.trim_end().replace('\n', "\n    "))?;
        }
        for (name, value) in failure.facts() {
            writeln!(f, "  {name}: {}", value.replace('\n', "\n    "))?;
        }
        if let Some(hint) = failure.hint_text() {
            writeln!(f, "{} {}", "hint:".cyan().bold(), hint.replace('\n', "\n      "))?;
        }
        Ok(())
    }
}

/// Stdout cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output")]
struct OutputError {
    source: std::io::Error,
}

/// Text for people on stderr: none of its lines is a command to a runner that reads them. Runners look past leading white
/// space for `::NAME`, and anywhere in a line for the older `##[NAME]` (actions/runner, `ActionCommand`).
fn tell(text: &dyn Display) {
    to_stderr(&no_command(&text.to_string()));
}

fn no_command(text: &str) -> String {
    let line = |line: &str| {
        let bar = if plain(line).trim_start().starts_with("::") {
            "| "
        } else {
            ""
        };
        format!("{bar}{}", line.replace("##[", "#\\#["))
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A line as it is without colours, which may be taken away before it is read.
fn plain(line: &str) -> String {
    anstream::adapter::strip_str(line).to_string()
}

/// A line on stderr. When even that fails there is nobody left to tell.
fn to_stderr(text: &dyn Display) {
    let mut stderr = anstream::stderr().lock();
    let nobody_left = writeln!(stderr, "{text}");
    drop(nobody_left);
}

/// The runner listens again once this is dropped.
pub(crate) struct StoppedCommands<'a> {
    printer: &'a Printer,
    token: String,
}

impl Drop for StoppedCommands<'_> {
    fn drop(&mut self) {
        self.printer.workflow_command(&self.token, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up() {
        let rows = [
            vec!["serde".to_owned(), "1".to_owned()],
            vec!["a".to_owned(), "22".to_owned()],
        ];
        assert_eq!(table(&["crate", "v"], &rows), "crate  v\nserde  1\na      22");
    }

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(visible("é – ok"), "é – ok");
    }

    #[test]
    fn no_line_for_people_is_a_command_to_a_runner() {
        let said = "refused: ::no\n::set-output name=a::b\n \t::add-path::x\n\u{1b}[31m::stop\nx ##[group]y";
        let shown = "refused: ::no\n| ::set-output name=a::b\n|  \t::add-path::x\n| \u{1b}[31m::stop\nx #\\#[group]y";
        assert_eq!(no_command(said), shown);
    }

    #[test]
    fn lines_of_others_stay_lines() {
        assert_eq!(lines("a\r\nb\u{1b}\rc"), "a\nb\\u{1b}\\rc");
    }

    #[test]
    fn a_failure_shows_all_its_parts() {
        let failure = Failure::from(verify::Error::Signature)
            .while_doing("`a.crate` refused")
            .fact("expected", "x")
            .hint("try y");
        let text = anstream::adapter::strip_str(&Shown(&failure).to_string()).to_string();
        let expected =
            "error[signature]: `a.crate` refused\n  caused by: signature does not verify\n  expected: x\nhint: try y\n";
        assert_eq!(text, expected);
    }
}
