//! The TUF trust root of a Sigstore instance [TUF 1.0]: made and kept with [`repository`], signed by people in ceremonies
//! with [`draft`], read with [`store`].
//!
//! Everything here is synchronous, except the reading side, which talks HTTP. Time is always an argument.
//!
//! ```
//! use tuf_root::{key::{Algorithm, SigningKey}, repository::{self, CreateOptions, Lifetimes}};
//! # fn main() -> Result<(), tuf_root::Error> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let dir = &folder.path().join("tuf");
//! # let now = verify::UnixTime::from_secs(1_795_000_000);
//! let root_key = SigningKey::generate(Algorithm::Ed25519)?;
//! let online_key = SigningKey::generate(Algorithm::P256)?;
//! repository::create(dir, &CreateOptions {
//!     root_keys: std::slice::from_ref(&root_key),
//!     root_threshold: 1,
//!     targets_keys: std::slice::from_ref(&root_key),
//!     targets_threshold: 1,
//!     online_key: &online_key,
//!     targets: &[("trusted_root.json".to_owned(), b"{}".to_vec())].into(),
//!     lifetimes: Lifetimes::default(),
//! }, now)?;
//! // every few hours, without anybody's root key:
//! repository::refresh(dir, &online_key, now.plus_secs(3600))?;
//! repository::verify(dir, now.plus_secs(3600))?;
//! # Ok(()) }
//! ```

mod audit;
pub mod cli;
mod crash;
pub mod draft;
mod error;
mod fetch;
mod files;
mod instances;
pub mod key;
mod metadata;
mod plan;
pub mod reader;
pub mod repository;
mod roles;
mod state;
pub mod store;
mod target;

pub use error::{Error, Role};
