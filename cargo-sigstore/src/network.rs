//! The HTTP client of all commands, and how failures of services are shown.

use client::{Class, Http, HttpOptions};

use crate::{
    context::Context,
    failure::{Exit, Failure},
    file,
};

/// An HTTP client with the user's additional TLS roots.
///
/// # Errors
/// Code `offline` when `--offline` forbids it; those of the file; `service-tls-roots`.
pub(crate) fn http(context: &Context) -> Result<Http, Failure> {
    if context.options.offline {
        return Err(Failure::new(Exit::Usage, "offline", &Error::Offline).hint("leave out `--offline`"));
    }
    let mut options = HttpOptions::default();
    if let Some(path) = &context.options.ca_file {
        options.extra_roots_pem.push(file::read(path, CA_FILE_BYTES)?);
    }
    Ok(Http::new(options)?)
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let hint = error.hint();
        Self::new(exit(error.class()), error.code(), &error).hint(hint)
    }
}

impl From<client::oidc::OidcError> for Failure {
    fn from(error: client::oidc::OidcError) -> Self {
        client::Error::from(error).into()
    }
}

/// The exit code of a class of failures.
const fn exit(class: Class) -> Exit {
    match class {
        Class::Refused => Exit::Refused,
        Class::Configuration => Exit::Usage,
        Class::Unavailable => Exit::Unavailable,
        Class::Internal => Exit::Bug,
    }
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("this needs the network, which `--offline` forbids")]
    Offline,
}

/// Every public root together is under 1 MiB.
const CA_FILE_BYTES: usize = 4 << 20;
