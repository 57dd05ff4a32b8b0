//! A Sigstore of your own in one binary: CA, CT log, signature log, timestamp authority, attestation store.

pub mod keys;
pub mod log;
