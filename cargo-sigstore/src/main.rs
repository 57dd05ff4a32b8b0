//! The `cargo-sigstore` binary.

fn main() {}
