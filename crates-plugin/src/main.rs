//! The `crates-plugin` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    crates_plugin::main(std::env::args_os())
}
