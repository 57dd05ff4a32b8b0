//! The timestamp authority [RFC 3161], with the API of Sigstore's.

mod request;
mod routes;
mod token;

pub(crate) use routes::router;
pub(crate) use token::TimestampAuthority;
