//! The `crates-plugin` binary.

fn main() {}
