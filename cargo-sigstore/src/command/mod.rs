//! One module per command: its arguments and `run(&Arguments, &Context) -> Result<Exit, Failure>`.

pub(crate) mod attest;
pub(crate) mod ci;
pub(crate) mod completions;
pub(crate) mod credential_provider;
pub(crate) mod identity;
pub(crate) mod inspect;
pub(crate) mod man;
pub(crate) mod publish;
pub(crate) mod sign;
pub(crate) mod trust;
pub(crate) mod verify;

use crate::{
    arguments::Command,
    context::Context,
    failure::{Exit, Failure},
};

/// Runs a command.
///
/// # Errors
/// The command's own.
pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, Failure> {
    if context.printer.is_sarif() && !matches!(command, Command::Verify(_)) {
        return Err(Failure::new(Exit::Usage, "format", &NoSarif).hint("use `--format json`"));
    }
    match command {
        Command::Sign(arguments) => sign::run(arguments, context),
        Command::Attest(arguments) => attest::run(arguments, context),
        Command::Identity(arguments) => identity::run(arguments, context),
        Command::Completions(arguments) => completions::run(arguments, context),
        Command::Inspect(arguments) => inspect::run(arguments, context),
        Command::Verify(arguments) => verify::run(arguments, context),
        Command::Publish(arguments) => publish::run(arguments, context),
        Command::CredentialProvider(arguments) => credential_provider::run(arguments, context),
        Command::Man(arguments) => man::run(arguments, context),
        Command::Trust(arguments) => trust::run(arguments, context),
        Command::Ci => Ok(ci::run(context)),
    }
}

/// Only what is found in a place of a file can be told as SARIF.
#[derive(Debug, thiserror::Error)]
#[error("only `verify` prints SARIF")]
struct NoSarif;
