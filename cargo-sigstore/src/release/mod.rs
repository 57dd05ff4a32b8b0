//! From a working tree to a `.crate` and the statements about it.

pub(crate) mod attest;
pub(crate) mod cargo;
pub(crate) mod crate_file;
pub(crate) mod link;
pub(crate) mod preview;
pub(crate) mod publish_request;
pub(crate) mod sbom;
pub(crate) mod statements;
pub(crate) mod workspace;
