//! Section `[operation]`: what one gate takes on at once, and how long it waits.

use std::time::Duration;

use serde::Deserialize;

/// Limits of a running gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Operation {
    /// Requests answered at once; more get 503 at once.
    pub requests: usize,
    /// Publishes buffered at once, each up to `archive-bytes` and its metadata.
    pub publishes: usize,
    /// Seconds until a request without an answer gets 503; an upload counts from its first byte.
    pub request_seconds: u16,
    /// Seconds that requests in flight get when the gate is told to stop.
    pub drain_seconds: u16,
}

impl Default for Operation {
    fn default() -> Self {
        Self {
            requests: 1024,
            publishes: 16,
            request_seconds: 120,
            drain_seconds: 30,
        }
    }
}

impl Operation {
    /// Refuses limits that let nothing through.
    ///
    /// # Errors
    /// What is wrong.
    pub const fn check(&self) -> Result<(), &'static str> {
        if self.requests == 0 || self.publishes == 0 || self.request_seconds == 0 {
            return Err("operation: requests, publishes and request-seconds are at least 1");
        }
        Ok(())
    }

    /// [`Self::request_seconds`].
    #[must_use]
    pub fn request_limit(&self) -> Duration {
        Duration::from_secs(self.request_seconds.into())
    }

    /// [`Self::drain_seconds`].
    #[must_use]
    pub fn drain_limit(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }
}
