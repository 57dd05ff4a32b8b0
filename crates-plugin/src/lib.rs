//! The registry-side gate: what a publish or a download must bring to be let through.
//!
//! The core is synchronous and free of input and output: bytes, evidence, policy and time in, a verdict out.

pub mod policy;

pub use policy::RegistryPolicy;
