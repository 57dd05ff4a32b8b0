//! The formats of cargo packages, as pure functions of bytes: the `.crate` archive and its rules, the manifest inside,
//! the publish request, the index line, and whether they tell the same story.
//!
//! Cargo takes dependencies from the index line, not from the archive whose digest is signed. So a signature on the
//! archive says nothing of what is built beside it; [`Description::differences`] does.

pub mod archive;
pub mod description;
pub mod edge;
pub mod error;
pub mod manifest;
pub mod original;
pub mod publish;

pub use archive::{Archive, Limits, VcsInfo};
pub use description::{Dependency, DependencyKind, Description, Difference, Registries};
pub use error::Error;
pub use manifest::Manifest;
pub use publish::PublishRequest;
