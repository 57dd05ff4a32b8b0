//! A whole Sigstore instance in memory, whose every statement can be made wrong one field at a time and signed again.
//!
//! [`World`] holds the keys and what the trusted root says; [`Recipe`] what a signer and the services do. The defaults
//! are honest: `World::new().bundle(&Recipe::default())` verifies.

#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::missing_panics_doc,
    clippy::format_push_string,
    clippy::must_use_candidate,
    clippy::struct_excessive_bools,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    reason = "test support, shared by several test binaries that each use a part"
)]

mod certificate;
pub mod der;
mod entry;
mod key;
mod recipe;
mod token;
mod world;

use verify::{Policy, UnixTime};

#[allow(unused_imports, reason = "no test binary uses all of it")]
pub use self::{
    certificate::{
        CODE_SIGNING, CaRecipe, LeafRecipe, SctRecipe, TIME_STAMPING, TSA_KEY_ID, extension, key_usage, purposes,
        sign_certificate, tsa_leaf,
    },
    entry::{CheckpointRecipe, EntryKind},
    key::Key,
    recipe::{Recipe, statement},
    token::{CertificateHashRecipe, TokenRecipe, attribute, token},
    world::{World, long},
};

pub const IDENTITY: &str = "https://ci.example/acme/widget/.ci/publish.yml@refs/tags/v1.0.0";
pub const ISSUER: &str = "https://ci.example";
pub const ARTIFACT: &[u8] = b"the bytes of a crate";
/// The second of signing.
pub const SIGNED_AT: UnixTime = UnixTime::from_secs(1_767_268_800);
pub const NOW: UnixTime = UnixTime::from_secs(1_767_272_400);

pub fn policy() -> Policy {
    Policy::identity(IDENTITY, ISSUER).unwrap()
}

fn flip_last(bytes: &mut [u8], flip: bool) {
    if let Some(last) = bytes.last_mut().filter(|_| flip) {
        *last ^= 1;
    }
}
