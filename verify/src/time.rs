//! Instants and validity windows, in whole seconds of Unix time.

use crate::Error;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The instant `seconds` after the epoch.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds)
    }
    /// Seconds after the epoch.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0
    }
    /// Parses an RFC 3339 instant in UTC (`2026-11-22T02:15:43Z`; a fraction is cut off).
    ///
    /// # Errors
    /// [`Error::Time`] when the text is no such instant.
    pub fn from_rfc3339(_text: &str) -> Result<Self, Error> {
        todo!()
    }
    /// This instant `seconds` later (earlier when negative), saturating.
    #[must_use]
    pub const fn plus_secs(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// RFC 3339 in UTC with whole seconds: `2026-11-22T02:15:43Z`.
impl std::fmt::Display for UnixTime {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// A closed interval of time; without an end it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityWindow {
    /// First instant inside.
    pub start: UnixTime,
    /// Last instant inside.
    pub end: Option<UnixTime>,
}

impl ValidityWindow {
    /// Whether `at` lies in the closed interval.
    #[must_use]
    pub fn contains(&self, at: UnixTime) -> bool {
        self.start <= at && self.end.is_none_or(|end| at <= end)
    }
}
