//! In-toto statements [in-toto attestation framework v1, Statement layer].
//!
//! Reading is strict about shape and liberal about members it does not know, as the framework's parsing rules ask;
//! writing gives `_type`, `subject`, `predicateType`, `predicate` in this order, compact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Budget, Error, Sha256Digest, json};

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

/// A subject of a statement [in-toto attestation framework v1, `ResourceDescriptor`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// File name; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its URI, a purl for crates; empty when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Lowercase hexadecimal digest by algorithm name (`sha256`); at least one.
    pub digest: BTreeMap<String, String>,
}

impl Statement {
    /// Reads a v1 (or v0.1) statement.
    ///
    /// # Errors
    /// [`Error::Statement`] for another `_type`, no subject, a subject without digest, a digest that is not lowercase
    /// hexadecimal of its algorithm's length, an empty predicate type or a predicate that is no object;
    /// [`Error::Json`], [`Error::TooLarge`], [`Error::TooDeep`], [`Error::TooMany`].
    pub fn from_json(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        let wire: Wire = json::parse_as(bytes, "statement", budget.payload_bytes, budget.json_depth)?;
        if !KNOWN_TYPES.contains(&wire.statement_type.as_str()) {
            return Err(Error::Statement);
        }
        if wire.subject.len() > budget.subjects {
            return Err(Error::TooMany {
                what: "subjects",
                limit: budget.subjects,
            });
        }
        let complete = !wire.subject.is_empty() && wire.subject.iter().all(Subject::is_well_formed);
        let predicate = wire
            .predicate
            .unwrap_or_else(|| serde_json::Value::Object(serde_json::Map::new()));
        if !complete || wire.predicate_type.is_empty() || !predicate.is_object() {
            return Err(Error::Statement);
        }
        Ok(Self {
            subjects: wire.subject,
            predicate_type: wire.predicate_type,
            predicate,
        })
    }

    /// Writes a v1 statement, compact.
    #[must_use]
    pub fn to_json(&self) -> String {
        let wire = WireOut {
            statement_type: STATEMENT_TYPE,
            subject: &self.subjects,
            predicate_type: &self.predicate_type,
            predicate: &self.predicate,
        };
        // Only a map with keys that are no strings can fail here, and this type has none.
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

impl Subject {
    /// A subject known by its SHA-256, as a crate is in `Cargo.lock`.
    #[must_use]
    pub fn sha256(name: &str, uri: &str, digest: &Sha256Digest) -> Self {
        Self {
            name: name.to_owned(),
            uri: uri.to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), digest.to_string())]),
        }
    }

    /// Digests whose length is fixed by their algorithm must have it; unknown algorithms need only a value.
    fn is_well_formed(&self) -> bool {
        !self.digest.is_empty()
            && self.digest.iter().all(|(algorithm, value)| {
                let hexadecimal = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                match algorithm.as_str() {
                    "sha256" => hexadecimal && value.len() == 64,
                    "sha384" => hexadecimal && value.len() == 96,
                    "sha512" => hexadecimal && value.len() == 128,
                    _ => !value.is_empty(),
                }
            })
    }
}

/// The shape on the wire.
#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(default)]
    predicate: Option<serde_json::Value>,
}

/// The same, borrowed, in the order it is written.
#[derive(Serialize)]
struct WireOut<'a> {
    #[serde(rename = "_type")]
    statement_type: &'a str,
    subject: &'a [Subject],
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
    predicate: &'a serde_json::Value,
}

/// v1, and v0.1 which npm still signs on GitLab.
const KNOWN_TYPES: [&str; 2] = [STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1"];

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: &str = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a-1.0.0.crate","digest":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}}],"predicateType":"https://example.com/p","predicate":{"k":1}}"#;

    fn read(text: &str) -> Result<Statement, Error> {
        Statement::from_json(text.as_bytes(), &Budget::default())
    }

    #[test]
    fn an_honest_statement_prints_back() {
        let statement = read(HONEST).unwrap();
        assert_eq!(read(&statement.to_json()).unwrap(), statement);
        assert_eq!(statement.subjects[0].name, "a-1.0.0.crate");
    }

    #[test]
    fn version_0_1_is_read() {
        assert!(read(&HONEST.replace("Statement/v1", "Statement/v0.1")).is_ok());
    }

    #[test]
    fn an_unknown_type_is_refused() {
        assert_eq!(
            read(&HONEST.replace("Statement/v1", "Statement/v2")),
            Err(Error::Statement)
        );
    }

    #[test]
    fn a_statement_of_nothing_is_refused() {
        let mut value: serde_json::Value = serde_json::from_str(HONEST).unwrap();
        value["subject"] = serde_json::json!([]);
        assert_eq!(read(&value.to_string()), Err(Error::Statement));
    }

    #[test]
    fn a_subject_without_digest_is_refused() {
        let mut value: serde_json::Value = serde_json::from_str(HONEST).unwrap();
        value["subject"][0]["digest"] = serde_json::json!({});
        assert_eq!(read(&value.to_string()), Err(Error::Statement));
    }

    #[test]
    fn an_uppercase_or_short_digest_is_refused() {
        for digest in ["AB".repeat(32), "ab".repeat(31)] {
            let mut value: serde_json::Value = serde_json::from_str(HONEST).unwrap();
            value["subject"][0]["digest"]["sha256"] = digest.into();
            assert_eq!(read(&value.to_string()), Err(Error::Statement));
        }
    }

    #[test]
    fn a_predicate_that_is_no_object_is_refused() {
        let mut value: serde_json::Value = serde_json::from_str(HONEST).unwrap();
        value["predicate"] = serde_json::json!([1]);
        assert_eq!(read(&value.to_string()), Err(Error::Statement));
    }

    #[test]
    fn more_subjects_than_the_budget_are_refused() {
        let budget = Budget {
            subjects: 1,
            ..Budget::default()
        };
        let mut value: serde_json::Value = serde_json::from_str(HONEST).unwrap();
        let subject = value["subject"][0].clone();
        assert!(Statement::from_json(value.to_string().as_bytes(), &budget).is_ok());
        value["subject"].as_array_mut().unwrap().push(subject);
        let refused = Statement::from_json(value.to_string().as_bytes(), &budget);
        assert_eq!(
            refused,
            Err(Error::TooMany {
                what: "subjects",
                limit: 1
            })
        );
    }
}
