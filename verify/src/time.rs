//! Instants and validity windows, in whole seconds of Unix time [RFC 3339].

use std::time::Duration;

use der::DateTime;

use crate::Error;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

/// A closed interval of time; without an end it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityWindow {
    /// First instant inside.
    pub start: UnixTime,
    /// Last instant inside.
    pub end: Option<UnixTime>,
}

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

    /// Parses an RFC 3339 instant in UTC, 1970 to 9999 (`2026-11-22T02:15:43Z`; a fraction is cut off).
    ///
    /// # Errors
    /// [`Error::Time`] when the text is no such instant.
    pub fn from_rfc3339(text: &str) -> Result<Self, Error> {
        let date_time: DateTime = match text.split_once('.') {
            None => text.parse(),
            Some((seconds, fraction)) => {
                let digits = fraction.strip_suffix('Z').ok_or(Error::Time)?;
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Error::Time);
                }
                format!("{seconds}Z").parse()
            }
        }
        .map_err(|_| Error::Time)?;
        i64::try_from(date_time.unix_duration().as_secs())
            .map(Self)
            .map_err(|_| Error::Time)
    }

    /// This instant `seconds` later (earlier when negative), saturating.
    #[must_use]
    pub const fn plus_secs(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// RFC 3339 in UTC with whole seconds, `2026-11-22T02:15:43Z`; outside the years 1970 to 9999 as `@` and the seconds.
impl std::fmt::Display for UnixTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let calendar = u64::try_from(self.0)
            .ok()
            .and_then(|seconds| DateTime::from_unix_duration(Duration::from_secs(seconds)).ok());
        match calendar {
            Some(date_time) => write!(f, "{date_time}"),
            None => write!(f, "@{}", self.0),
        }
    }
}

impl ValidityWindow {
    /// Whether `at` lies in the closed interval.
    #[must_use]
    pub fn contains(&self, at: UnixTime) -> bool {
        self.start <= at && self.end.is_none_or(|end| at <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_prints_back() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-22T02:15:43Z", 1_795_313_743),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            let time = UnixTime::from_rfc3339(text).unwrap();
            assert_eq!((time.as_secs(), time.to_string().as_str()), (seconds, text));
        }
    }

    #[test]
    fn a_fraction_is_cut_off() {
        for text in [
            "2026-11-22T02:15:43.9Z",
            "2026-11-22T02:15:43.999999999Z",
            "2026-11-22T02:15:43.000Z",
        ] {
            assert_eq!(UnixTime::from_rfc3339(text), Ok(UnixTime(1_795_313_743)));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        assert!(UnixTime::from_rfc3339("2026-11-22T02:15:43Z").is_ok());
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T02:15:43",
            "2026-11-22T02:15:43+00:00",
            "2026-11-22T02:15:43.Z",
            "2026-11-22T02:15:43.5",
            "2026-11-22T02:15:43.5xZ",
            "2026-11-22T02:15:43Z ",
            " 2026-11-22T02:15:43Z",
            "2026-11-22 02:15:43Z",
            "2026-13-22T02:15:43Z",
            "2026-02-29T02:15:43Z",
            "2026-11-22T24:15:43Z",
            "2026-11-22T02:60:43Z",
            "2026-11-22T02:15:60Z",
            "1969-12-31T23:59:59Z",
            "+026-11-22T02:15:43Z",
            "2026-11-22T02:15:43Zé",
        ] {
            assert_eq!(UnixTime::from_rfc3339(text), Err(Error::Time), "{text}");
        }
    }

    #[test]
    fn extremes_print_and_saturate() {
        assert_eq!(UnixTime(i64::MIN).to_string(), format!("@{}", i64::MIN));
        assert_eq!(UnixTime(i64::MAX).to_string(), format!("@{}", i64::MAX));
        assert_eq!(UnixTime(i64::MAX).plus_secs(1), UnixTime(i64::MAX));
        assert_eq!(UnixTime(i64::MIN).plus_secs(-1), UnixTime(i64::MIN));
    }

    #[test]
    fn a_window_is_closed() {
        let window = ValidityWindow {
            start: UnixTime(10),
            end: Some(UnixTime(20)),
        };
        let inside = [9, 10, 20, 21].map(|at| window.contains(UnixTime(at)));
        assert_eq!(inside, [false, true, true, false]);
        assert!(ValidityWindow { end: None, ..window }.contains(UnixTime(i64::MAX)));
    }
}
