//! In-toto statements [in-toto attestation framework v1].

use std::collections::BTreeMap;

use crate::{Budget, Error};

/// `https://in-toto.io/Statement/v1`
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// A statement: this predicate holds of these subjects.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it speaks of, at least one.
    pub subjects: Vec<Subject>,
    /// URI that names the predicate's meaning.
    pub predicate_type: String,
    /// The predicate; an object.
    pub predicate: serde_json::Value,
}

/// A subject of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Subject {
    /// File name; may be empty.
    pub name: String,
    /// Its URI, a purl for crates; empty when absent.
    pub uri: String,
    /// Lowercase hexadecimal digest by algorithm name (`sha256`).
    pub digest: BTreeMap<String, String>,
}

impl Statement {
    /// Reads a v1 (or v0.1) statement.
    ///
    /// # Errors
    /// [`Error::Statement`], [`Error::Json`], [`Error::TooMany`].
    pub fn from_json(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Writes a v1 statement, compact.
    #[must_use]
    pub fn to_json(&self) -> String {
        todo!()
    }
}
