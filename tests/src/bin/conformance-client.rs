//! The client that public conformance suites run: see [`tests::conformance_tuf`] for the protocol. Exits with 0 or 1 only.

use std::process::ExitCode;

fn main() -> ExitCode {
    let already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    drop(already_installed);
    let arguments: Vec<_> = std::env::args_os().collect();
    tests::conformance_tuf::run(&arguments)
}
