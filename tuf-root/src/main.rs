//! The `tuf-root` binary.

fn main() {}
