//! Who may have a certificate, and what it will say: the identity configuration and the principal of a checked token.

pub mod configuration;
pub(crate) mod defaults;
pub(crate) mod issuer;
pub(crate) mod principal;
pub(crate) mod template;

pub use configuration::{IdentityConfig, IdentityError};
pub use issuer::{IssuerSpec, IssuerType};
pub use template::TemplateError;
