//! Public vectors: Merkle proofs, Wycheproof, Ed25519 edge cases, logged entries.
//!
//! They are data outside the repository: in the folder that `SIGSTORE_VECTORS` names, else in `../shared/vectors` beside
//! it. Without them these tests say so and check nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt, and vectors are files"
)]

mod ed25519;
mod entries;
mod merkle;
mod wycheproof;

use std::path::PathBuf;

/// The folder of vectors; none, said loudly, where there is none.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SIGSTORE_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    println!("NOT RUN: no vectors at {}; set SIGSTORE_VECTORS", folder.display());
    None
}

/// One file of vectors, as JSON.
fn read(path: &str) -> Option<serde_json::Value> {
    let text = std::fs::read(folder()?.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Some(serde_json::from_slice(&text).expect(path))
}

/// The text of a member.
fn text<'a>(case: &'a serde_json::Value, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_else(|| panic!("no {member} in {case}"))
}

/// The bytes of a hexadecimal member.
fn bytes(case: &serde_json::Value, member: &str) -> Vec<u8> {
    hex::decode(text(case, member)).expect(member)
}
