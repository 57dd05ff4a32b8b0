//! The certificate authority, with Fulcio's v2 API.

mod authority;
mod routes;
mod strength;
pub(crate) mod submission;

pub(crate) use authority::CertificateAuthority;
pub(crate) use routes::router;
