//! The testkit: services on loopback that a publishing job meets, our own binaries as child processes, and crates to publish.
//!
//! Everything listens on 127.0.0.1 and dies with the value that started it.

pub mod action;
pub mod author;
pub mod authority;
pub mod ci;
pub mod clients;
pub mod conformance;
pub mod conformance_bundle;
pub mod conformance_tuf;
pub mod consumer;
pub mod error;
pub mod gate;
pub mod gatehouse;
pub mod http;
pub mod instance;
pub mod issuer;
pub mod load;
pub mod project;
pub mod registry;
pub mod repository;
pub mod run;
pub mod sandbox;
pub mod service;
pub mod stage;
pub mod tools;

pub use consumer::Consumer;
pub use error::{Doing, Error};
pub use gate::Gate;
pub use gatehouse::Gatehouse;
pub use instance::Instance;
pub use issuer::Issuer;
pub use registry::Registry;
pub use stage::Stage;
pub use tools::Tools;
