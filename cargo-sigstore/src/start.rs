//! From the process's arguments to its exit code.

use std::{
    ffi::OsString,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use clap::{FromArgMatches, error::ErrorKind};

use crate::{
    arguments::{CommandLine, command},
    command::run,
    context::Context,
    failure::{Exit, Failure},
    printer::Printer,
};

/// Runs `cargo sigstore` with the arguments of a process, the program's name first.
///
/// Cargo passes the subcommand's name as an extra argument (`cargo-sigstore sigstore verify`); without it the rest is taken as is.
/// The exit code is 0 for yes, 1 when something was looked at and refused, 2 for a usage or configuration error,
/// 3 when it could not be looked at, 70 for a bug of ours.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    drop(already_installed);
    let matches = match command().try_get_matches_from(without_cargos_argument(arguments)) {
        Ok(matches) => matches,
        Err(error) => return explain(&error),
    };
    let line = match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line,
        Err(error) => return explain(&error),
    };
    let printer = Printer::new(&line.options);
    let context = Context::new(line.options, printer);
    let exit = match catch_unwind(AssertUnwindSafe(|| run(&line.command, &context))) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            context.printer.failure(&failure);
            failure.exit()
        }
        Err(_) => {
            context.printer.failure(&Failure::bug());
            Exit::Bug
        }
    };
    exit.into()
}

/// Drops the extra `sigstore` that cargo inserts after the program's name; started as a credential provider, whose only
/// argument cargo decides, that command is meant.
fn without_cargos_argument(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    match arguments.get(1) {
        Some(first) if first == "sigstore" => {
            arguments.remove(1);
        }
        Some(first) if first == "--cargo-plugin" => arguments.insert(1, OsString::from("credential-provider")),
        _ => {}
    }
    arguments
}

/// Prints a help text or a usage error.
fn explain(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_help && printed.is_ok() {
        Exit::Yes.into()
    } else {
        Exit::Usage.into()
    }
}
