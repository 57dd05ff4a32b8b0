//! Why something of the testkit could not be done.

use std::fmt;

/// What was being done, and what stood in the way.
#[derive(Debug)]
pub struct Error {
    doing: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl Error {
    /// A failure that no other error caused.
    #[must_use]
    pub fn new(doing: impl Into<String>, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            doing: doing.into(),
            cause: cause.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.cause)
    }
}

impl std::error::Error for Error {}

/// Says what was being done when something failed.
pub trait Doing<T> {
    /// Names the attempt.
    ///
    /// # Errors
    /// The error that is there already, under this name.
    fn doing(self, what: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error> {
        self.map_err(|cause| Error::new(what, cause))
    }
}
