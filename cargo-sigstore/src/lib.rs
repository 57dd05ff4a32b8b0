//! The cargo subcommand `cargo sigstore`: sign, attest, publish and verify crates with Sigstore.
//!
//! [`main`] is the whole interface; the binary only calls it. One module per command lives in `command`,
//! what all commands share beside it: arguments, terminal, failures, trust.

mod arguments;
mod command;
mod context;
mod credential;
mod evidence;
mod expected_digests;
mod failure;
mod file;
mod identity_token;
mod lockfile;
mod network;
mod printer;
mod registry;
mod release;
mod signing;
mod start;
mod trust;

pub use start::main;
