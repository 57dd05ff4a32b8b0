//! In-toto statements [in-toto attestation framework v1, Statement layer].
//!
//! Reading is strict about shape and liberal about members it does not know, as the framework's parsing rules ask;
//! writing gives `_type`, `subject`, `predicateType`, `predicate` in this order, compact.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

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
        let outline = Outline::from_json(bytes, budget)?;
        Ok(Self {
            subjects: outline.subjects.iter().map(SubjectOutline::to_subject).collect(),
            predicate_type: outline.predicate_type.clone().into_owned(),
            predicate: read_predicate(bytes)?,
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
}

/// A statement as it stands in its bytes: everything is checked, little is copied, and the predicate is not built.
///
/// What a verifier needs of a statement is its subjects; a predicate of a hundred values is for whoever asks for it.
#[derive(Debug, Deserialize)]
pub(crate) struct Outline<'a> {
    #[serde(borrow, rename = "_type")]
    statement_type: Cow<'a, str>,
    #[serde(borrow, rename = "subject")]
    pub(crate) subjects: Vec<SubjectOutline<'a>>,
    #[serde(borrow, rename = "predicateType")]
    pub(crate) predicate_type: Cow<'a, str>,
    #[serde(default)]
    predicate: PredicateShape,
}

/// What kind of value the predicate is; its members are left where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PredicateShape {
    #[default]
    Absent,
    Object,
    Other,
}

/// Which subjects of a statement are the artifact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matches {
    /// The first that has the wanted name, else the first.
    pub(crate) chosen: usize,
    /// How many there are.
    pub(crate) count: usize,
}

/// A subject as it stands in the bytes.
#[derive(Debug, Deserialize)]
pub(crate) struct SubjectOutline<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow, default)]
    uri: Cow<'a, str>,
    #[serde(borrow)]
    digest: Digests<'a>,
}

/// Algorithm names and hexadecimal digests, in the order of the bytes; no name twice, as the JSON was checked for that.
#[derive(Debug)]
struct Digests<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Outline<'a> {
    /// Reads and checks a statement.
    ///
    /// # Errors
    /// As [`Statement::from_json`].
    pub(crate) fn from_json(bytes: &'a [u8], budget: &Budget) -> Result<Self, Error> {
        let outline: Self = json::parse_borrowed(bytes, "statement", budget.payload_bytes, budget.json_depth)?;
        if !KNOWN_TYPES.contains(&outline.statement_type.as_ref()) {
            return Err(Error::Statement);
        }
        if outline.subjects.len() > budget.subjects {
            return Err(Error::TooMany {
                what: "subjects",
                limit: budget.subjects,
            });
        }
        let complete = !outline.subjects.is_empty() && outline.subjects.iter().all(SubjectOutline::is_well_formed);
        if !complete || outline.predicate_type.is_empty() || outline.predicate == PredicateShape::Other {
            return Err(Error::Statement);
        }
        Ok(outline)
    }
}

/// Builds the predicate of a statement of which the outline was read; an empty object when there is none.
///
/// # Errors
/// [`Error::Statement`], though nothing that has an outline should fail here.
pub(crate) fn read_predicate(bytes: &[u8]) -> Result<serde_json::Value, Error> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        predicate: Option<serde_json::Map<String, serde_json::Value>>,
    }
    let wire: Wire = serde_json::from_slice(bytes).map_err(|_| Error::Statement)?;
    Ok(serde_json::Value::Object(wire.predicate.unwrap_or_default()))
}

impl<'de> Deserialize<'de> for PredicateShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = PredicateShape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a predicate")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<PredicateShape, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(PredicateShape::Object)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<PredicateShape, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(PredicateShape::Other)
            }
            fn visit_unit<E>(self) -> Result<PredicateShape, E> {
                Ok(PredicateShape::Absent)
            }
            fn visit_bool<E>(self, _: bool) -> Result<PredicateShape, E> {
                Ok(PredicateShape::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<PredicateShape, E> {
                Ok(PredicateShape::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<PredicateShape, E> {
                Ok(PredicateShape::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<PredicateShape, E> {
                Ok(PredicateShape::Other)
            }
            fn visit_str<E>(self, _: &str) -> Result<PredicateShape, E> {
                Ok(PredicateShape::Other)
            }
        }
        deserializer.deserialize_any(ShapeVisitor)
    }
}

impl SubjectOutline<'_> {
    /// The digest of this algorithm, hexadecimal.
    pub(crate) fn digest(&self, algorithm: &str) -> Option<&str> {
        let Digests(list) = &self.digest;
        let found = list.iter().find(|(name, _)| name == algorithm)?;
        Some(found.1.as_ref())
    }

    fn to_subject(&self) -> Subject {
        let Digests(list) = &self.digest;
        Subject {
            name: self.name.clone().into_owned(),
            uri: self.uri.clone().into_owned(),
            digest: list
                .iter()
                .map(|(name, value)| (name.clone().into_owned(), value.clone().into_owned()))
                .collect(),
        }
    }

    /// Digests whose length is fixed by their algorithm must have it; unknown algorithms need only a value.
    fn is_well_formed(&self) -> bool {
        let Digests(list) = &self.digest;
        !list.is_empty()
            && list.iter().all(|(algorithm, value)| {
                let hexadecimal = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                match algorithm.as_ref() {
                    "sha256" => hexadecimal && value.len() == 64,
                    "sha384" => hexadecimal && value.len() == 96,
                    "sha512" => hexadecimal && value.len() == 128,
                    _ => !value.is_empty(),
                }
            })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Digests<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DigestsVisitor;
        impl<'de> Visitor<'de> for DigestsVisitor {
            type Value = Digests<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("digests by algorithm")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Digests<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some((json::Text(name), json::Text(value))) = members.next_entry()? {
                    list.push((name, value));
                }
                Ok(Digests(list))
            }
        }
        deserializer.deserialize_map(DigestsVisitor)
    }
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
