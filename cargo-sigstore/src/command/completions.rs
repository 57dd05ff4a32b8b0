//! `cargo sigstore completions`: a completion script for a shell.

use clap_complete::{Shell, generate};

use crate::{
    arguments::command,
    context::Context,
    failure::{Exit, Failure},
};

/// Arguments of `completions`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  cargo sigstore completions bash > ~/.local/share/bash-completion/completions/cargo-sigstore"
)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Code `output`.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut command(), "cargo-sigstore", &mut script);
    context.printer.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Yes)
}
