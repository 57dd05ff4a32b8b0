//! `cargo sigstore completions`: a completion script for a shell.

use clap_complete::{Shell, generate};

use crate::{
    arguments::command,
    context::Context,
    failure::{Exit, Failure},
};

/// Arguments of `completions`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
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
    context.printer.line(script(arguments.shell).trim_end())?;
    Ok(Exit::Yes)
}

/// The script for a shell. That for bash is made under a name without a hyphen, with which the generator loses its place
/// after the first word (clap issue 6421).
fn script(shell: Shell) -> String {
    let name = if shell == Shell::Bash { "cargo_sigstore" } else { NAME };
    let mut script = Vec::new();
    generate(shell, &mut for_people(), name, &mut script);
    let registered = |name: &str| format!("default {name}\n");
    String::from_utf8_lossy(&script).replace(&registered(name), &registered(NAME))
}

/// The command line without what only cargo and runners call: a script would offer hidden commands too.
fn for_people() -> clap::Command {
    let all = command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set());
    clap::Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(all.get_arguments().cloned())
        .subcommands(shown.cloned())
}

/// The program, as a shell calls it.
const NAME: &str = "cargo-sigstore";

const EXAMPLES: &str = "\
Examples:
  cargo sigstore completions bash > ~/.local/share/bash-completion/completions/cargo-sigstore
  cargo sigstore completions fish > ~/.config/fish/completions/cargo-sigstore.fish
  cargo sigstore completions zsh > DIR/_cargo-sigstore        where DIR is in $fpath

They complete `cargo-sigstore …`, which is the same program; that of zsh `cargo sigstore …` too.";
