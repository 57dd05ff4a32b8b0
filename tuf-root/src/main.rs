//! The `tuf-root` binary.

fn main() -> std::process::ExitCode {
    tuf_root::cli::main(std::env::args_os())
}
