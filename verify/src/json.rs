//! JSON Canonicalization Scheme [RFC 8785] and bounded parsing.

use crate::Error;

/// Canonical JSON of `value` [RFC 8785]: members sorted by UTF-16 code units, no white space, ECMAScript numbers.
///
/// # Errors
/// [`Error::Json`] when a number is not an integer that a double holds exactly.
pub fn canonicalize(_value: &serde_json::Value) -> Result<Vec<u8>, Error> {
    todo!()
}

/// Parses JSON after checking size and nesting depth, refusing duplicate members and trailing bytes.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooDeep`], [`Error::Json`]; `what` names the document in the message.
pub fn parse(
    _bytes: &[u8],
    _what: &'static str,
    _limit_bytes: usize,
    _limit_depth: usize,
) -> Result<serde_json::Value, Error> {
    todo!()
}

/// [`parse`], then deserializes into `T`.
///
/// # Errors
/// As [`parse`], and [`Error::Json`] when the shape does not fit.
pub fn parse_as<T: serde::de::DeserializeOwned>(
    _bytes: &[u8],
    _what: &'static str,
    _limit_bytes: usize,
    _limit_depth: usize,
) -> Result<T, Error> {
    todo!()
}
