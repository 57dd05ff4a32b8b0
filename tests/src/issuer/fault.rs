//! What an issuer, or the road to it, does wrong.

use std::time::Duration;

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// Where a job asks for its token.
    Token,
    /// The discovery document.
    Discovery,
    /// The key set.
    Keys,
}

/// A fault, until it is taken back or has struck as often as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers 503 this many times, then well.
    Unavailable {
        /// Answers before it recovers.
        times: u32,
    },
    /// Sends the right answer one byte at a time.
    SlowBody {
        /// Before each byte.
        pause: Duration,
    },
    /// Accepts the request and never answers.
    Hang,
    /// Answers 200 with something that is no JSON.
    Garbage,
    /// A token for another audience than was asked for.
    WrongAudience,
    /// A clock that is wrong by this many seconds: negative values give tokens long expired, positive ones tokens of the future.
    ClockSkew {
        /// Added to `iat`, `nbf` and `exp`.
        seconds: i64,
    },
    /// A token with a thousand dots.
    ExtraDots,
    /// A token of 10 MB.
    Huge,
    /// A token whose signature has one bit changed.
    BadSignature,
}
