//! One module per command: its arguments and `run(&Arguments, &Context) -> Result<Exit, Failure>`.

pub(crate) mod completions;
pub(crate) mod man;

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
    match command {
        Command::Completions(arguments) => completions::run(arguments, context),
        Command::Man(arguments) => man::run(arguments, context),
    }
}
