//! The whole suite on this machine, in seconds, without any account: `cargo run --release --bin sandbox`.
//!
//! The same binary is every tool of the suite under that tool's name; see [`tests::tools`].

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use tests::sandbox::{Options, play};

/// Publish a crate as a CI job would, verify it as a consumer would, tamper with it as an attacker would: on loopback,
/// with a Sigstore of your own.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version)]
struct Arguments {
    /// Publish the package of this manifest, as committed in its git repository, instead of the fixture crate
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// Leave everything running afterwards and print how to point other clients at it
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    if let Some(code) = tests::tools::dispatch() {
        return code;
    }
    let arguments = Arguments::parse();
    let options = Options {
        manifest_path: arguments.manifest_path,
        keep: arguments.keep,
    };
    match play(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
