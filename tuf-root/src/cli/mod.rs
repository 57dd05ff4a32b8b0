//! The `tuf-root` program: ceremonies and publication from the command line.

mod arguments;
mod ceremony;
mod keys;
mod output;

use std::{
    ffi::OsString,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Parser as _, error::ErrorKind};
use verify::UnixTime;

use arguments::{Command, CommandLine};
use output::{Failure, Printer};

/// Runs `tuf-root` with the arguments of a process, the program's name first.
///
/// The exit code is 0 for yes, 1 when something was looked at and refused, 2 for a usage or configuration error,
/// 3 when it could not be looked at, 70 for a bug of ours.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => return explain(&error),
    };
    let printer = Printer::new(line.format);
    match catch_unwind(AssertUnwindSafe(|| run(&line.command, &printer))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            printer.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
        Err(_) => ExitCode::from(70),
    }
}

fn run(command: &Command, printer: &Printer) -> Result<(), Failure> {
    match command {
        Command::Key(arguments) => keys::run(arguments, printer),
        Command::Init(arguments) => ceremony::init(arguments, now(), printer),
        Command::Publish(arguments) => ceremony::publish(arguments, now(), printer),
        Command::Rotate(arguments) => ceremony::rotate(arguments, now(), printer),
        Command::Sign(arguments) => ceremony::sign(arguments, printer),
        Command::Refresh(arguments) => ceremony::refresh(arguments, now(), printer),
        Command::Verify(arguments) => ceremony::verify(arguments, now(), printer),
    }
}

fn now() -> UnixTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_secs(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

/// Prints a help text or a usage error.
fn explain(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked_for && printed.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    }
}
