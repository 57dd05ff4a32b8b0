//! The sandbox.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::tools::dispatch().unwrap_or(ExitCode::FAILURE)
}
