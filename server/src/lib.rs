//! A Sigstore of your own in one binary: CA, CT log, signature log, timestamp authority, attestation store.
//!
//! [`init`] makes the folder of an instance, [`start`] serves it on one port, [`main`] is the command line over both.

mod attestations;
mod ca;
mod ceremony;
mod cli;
mod clock;
mod config;
mod error;
pub mod identity;
mod init;
pub mod keys;
mod layout;
pub mod log;
mod oidc;
mod provider;
mod reply;
mod start;
mod status;
mod trust;
mod tsa;
mod tuf;
mod x509;

pub use attestations::StoreError;
pub use cli::main;
pub use error::Error;
pub use init::{InitOptions, InitReport, init};
pub use provider::ProviderError;
pub use start::{Running, start};
pub use x509::X509Error;
