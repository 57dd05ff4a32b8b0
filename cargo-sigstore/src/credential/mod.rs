//! Cargo's credential provider: cargo asks it for the token right before an upload, naming crate, version and digest.

pub(crate) mod channel;
pub(crate) mod protocol;
