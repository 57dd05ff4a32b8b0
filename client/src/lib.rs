//! HTTP clients of the services a publisher and a verifier talk to, OIDC tokens, and the signer that puts them together.
//!
//! Nothing a service says is believed: everything is checked against the trusted root before it is used, and the finished
//! bundle is verified before it is handed out. Trust is handed in as a value; the terminal is the caller's.

pub mod attestations;
pub mod authority;
pub mod clock;
pub mod error;
pub mod github;
pub mod http;
mod legacy_log;
pub mod log;
pub mod oidc;
pub mod signer;
pub mod tiles;
pub mod timestamp;

pub use error::{Class, Error, Service};
pub use http::{Http, HttpOptions};
pub use signer::{ManagedKey, ManagedSession, Signed, Signer, SigningSession};
