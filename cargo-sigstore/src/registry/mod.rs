//! Cargo registries: which one, with which token, and what its index says.

pub(crate) mod crate_cache;
pub(crate) mod exchange;
pub(crate) mod index;
pub(crate) mod selection;
pub(crate) mod token;
pub(crate) mod upload;
