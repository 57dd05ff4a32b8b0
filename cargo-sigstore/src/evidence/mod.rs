//! Evidence about artifacts: where bundles are found, whom a user expects, how they were judged, how that is told.

pub(crate) mod bundle_file;
pub(crate) mod cache;
pub(crate) mod contents;
pub(crate) mod expectation;
pub(crate) mod finding;
pub(crate) mod github;
mod inspection;
pub(crate) mod judgement;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod sarif;
pub(crate) mod source;
pub(crate) mod store;
pub(crate) mod target;
