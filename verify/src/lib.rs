//! Every Sigstore format and every proof, as pure functions of bytes, trust, limits and time.
//!
//! Nothing here reads a clock, a file, the environment or the network; nothing is random or global.
//! The entry point is [`Verifier::verify`], which alone can make a [`Verified`].

pub mod agreement;
pub mod artifact;
mod base64_text;
pub mod budget;
pub mod bundle;
pub mod certificate;
pub mod chain;
pub mod checkpoint;
pub mod danger;
pub mod digest;
pub mod dsse;
pub mod entry;
pub mod error;
pub mod identity;
pub mod json;
pub mod key;
pub mod link;
pub mod merkle;
pub mod note;
pub mod pem;
pub mod policy;
pub mod provenance;
pub mod release;
pub mod sct;
pub mod signing_config;
pub mod statement;
pub mod summary;
pub mod tile;
pub mod time;
pub mod timestamp;
mod tls;
pub mod token;
pub mod trusted_root;
pub mod verifier;

pub use artifact::Artifact;
pub use budget::Budget;
pub use bundle::Bundle;
pub use digest::{Digest, HashAlgorithm, Sha256Digest};
pub use error::Error;
pub use identity::WorkloadIdentity;
pub use key::PublicKey;
pub use policy::Policy;
pub use time::UnixTime;
pub use trusted_root::TrustedRoot;
pub use verifier::{Verified, Verifier};
