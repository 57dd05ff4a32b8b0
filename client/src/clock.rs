//! The only place of this crate that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use verify::UnixTime;

/// The system's time; a clock before 1970 reads as 1970, at which nothing is valid.
#[must_use]
pub fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_secs(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
