//! The command line.

use std::path::PathBuf;

use clap::{
    Args, CommandFactory, Parser, Subcommand, ValueEnum,
    builder::styling::{AnsiColor, Styles},
};

use crate::command;

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-sigstore",
    bin_name = "cargo sigstore",
    version,
    about = "Sign, attest, publish and verify crates with Sigstore",
    long_about = LONG_ABOUT,
    after_help = EXAMPLES,
    styles = STYLES,
    disable_help_subcommand = true,
    max_term_width = 100,
)]
pub(crate) struct CommandLine {
    /// Options that every command takes.
    #[command(flatten)]
    pub(crate) options: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// Whom to trust: `public-good`, `staging`, `github`, a name that `cargo sigstore trust add` gave, or a client trust
    /// configuration file; `public-good` unless said otherwise, to sign only in a job of a public repository
    #[arg(long, global = true, value_name = "NAME|FILE", env = "SIGSTORE_TRUST_CONFIG")]
    pub(crate) trust: Option<String>,
    /// Make no network request; use what is cached and say so
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// How data is printed on stdout
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub(crate) format: Format,
    /// Print failures and data only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Trust the certificate authorities in this PEM file too, for TLS
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CARGO_SIGSTORE_CA_FILE",
        hide_env_values = true
    )]
    pub(crate) ca_file: Option<PathBuf>,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences.
    Human,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code scanning; of `verify` only.
    Sarif,
}

/// The commands. To add one: a module in `command`, a variant here, a line in `command::run`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Package, attest and publish crates
    Publish(Box<command::publish::Arguments>),
    /// Verify who made files, crates, or everything in Cargo.lock
    Verify(Box<command::verify::Arguments>),
    /// Sign files
    Sign(command::sign::Arguments),
    /// Sign a statement about a file
    Attest(command::attest::Arguments),
    /// Show as whom one would sign here
    Identity(command::identity::Arguments),
    /// Print everything in a bundle
    Inspect(command::inspect::Arguments),
    /// Give cargo a registry's token, for what was attested
    #[command(hide = true)]
    CredentialProvider(command::credential_provider::Arguments),
    /// Keep trust roots: whom to believe, and where to ask
    Trust(command::trust::Arguments),
    /// Do what the inputs of the GitHub Action say
    #[command(hide = true)]
    Ci,
    /// Print a completion script for a shell
    Completions(command::completions::Arguments),
    /// Print the manual page, or write those of all commands to a folder
    #[command(hide = true)]
    Man(command::man::Arguments),
}

/// The command line as clap knows it, for parsing and for generated documents.
pub(crate) fn command() -> clap::Command {
    CommandLine::command()
}

const LONG_ABOUT: &str = "\
Sign, attest, publish and verify crates with Sigstore.

A signature says where bytes come from: which workflow, of which repository, at which commit. It does not say \
that they are good. Every report lists what was checked.";

const EXAMPLES: &str = "\
Examples:
  cargo sigstore trust add acme https://sigstore.acme.example/tuf --root root.json
  cargo sigstore publish --trust acme --dry-run
  cargo sigstore verify --trust acme
  cargo sigstore inspect mine-1.0.0.crate.sigstore.json

Exit codes: 0 yes, 1 looked and refused, 2 usage or configuration, 3 could not look, 70 a bug of ours.";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
