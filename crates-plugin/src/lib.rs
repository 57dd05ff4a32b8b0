//! The registry-side gate: what a publish or a download must bring to be let through.
//!
//! The core, [`decision`], is synchronous and free of input and output: bytes, evidence, policy and time in, a
//! [`decision::Verdict`] out. Around it stand the [`ledger`] that keeps verdicts and the [`service`] that speaks
//! cargo's registry protocol on both sides.

pub mod attest;
pub mod config;
mod crash;
pub mod decision;
pub mod ledger;
pub mod login;
pub mod mirror;
pub mod operation;
pub mod policy;
pub mod records;
pub mod refusal;
pub mod service;
pub mod trusted_publishing;
pub mod webhook;

mod start;

pub use config::Config;
pub use policy::RegistryPolicy;
pub use start::main;
