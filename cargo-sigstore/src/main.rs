//! The `cargo-sigstore` binary, run by cargo as `cargo sigstore`.

fn main() -> std::process::ExitCode {
    cargo_sigstore::main(std::env::args_os())
}
