//! The client that public conformance suites run: see [`tests::conformance_bundle`] and [`tests::conformance_tuf`] for the
//! two protocols. Exits with 0 or 1 only.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if tests::conformance_tuf::is_meant(&arguments) {
        let already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        drop(already_installed);
        return tests::conformance_tuf::run(&arguments);
    }
    tests::conformance_bundle::run(&arguments)
}
