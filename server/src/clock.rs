//! The clock, read in one place; everything below takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use verify::UnixTime;

/// The present, in whole seconds. A clock before 1970 reads as 1970, where no certificate of ours is valid.
#[must_use]
pub(crate) fn now() -> UnixTime {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    UnixTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}
