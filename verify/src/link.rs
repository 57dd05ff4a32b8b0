//! In-toto link predicate v0.3 [in-toto attestation framework, predicates/link]: what a step took and what it made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Budget, Error, Sha256Digest, json, provenance::ResourceDescriptor, statement::Statement};

/// `https://in-toto.io/attestation/link/v0.3`
pub const PREDICATE_TYPE: &str = "https://in-toto.io/attestation/link/v0.3";

/// The link predicate. The step's products are the statement's subjects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Name of the step.
    pub name: String,
    /// The command that ran; may be empty.
    #[serde(default)]
    pub command: Vec<String>,
    /// What the step took: files with their digests.
    #[serde(default)]
    pub materials: Vec<ResourceDescriptor>,
    /// Exit code and the like; an object.
    #[serde(default)]
    pub byproducts: serde_json::Map<String, serde_json::Value>,
    /// The environment, as far as it is told; an object.
    #[serde(default)]
    pub environment: serde_json::Map<String, serde_json::Value>,
}

impl Link {
    /// A material known by its SHA-256.
    #[must_use]
    pub fn material(path: &str, digest: &Sha256Digest) -> ResourceDescriptor {
        ResourceDescriptor {
            name: path.to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), digest.to_string())]),
            ..ResourceDescriptor::default()
        }
    }

    /// Reads the predicate of a link statement.
    ///
    /// # Errors
    /// [`Error::PredicateType`] for another predicate, [`Error::Json`] when the shape does not fit.
    pub fn from_statement(statement: &Statement, budget: &Budget) -> Result<Self, Error> {
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(Error::PredicateType {
                found: statement.predicate_type.chars().take(100).collect(),
            });
        }
        let text = statement.predicate.to_string();
        json::parse_as(text.as_bytes(), "link", budget.payload_bytes, budget.json_depth)
    }

    /// The predicate as JSON.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        // Only a map with keys that are no strings can fail here, and this type has none.
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Subject;

    #[test]
    fn a_link_prints_back_and_another_predicate_is_refused() {
        let digest = Sha256Digest([7; 32]);
        let link = Link {
            name: "package".to_owned(),
            command: vec!["cargo".to_owned(), "package".to_owned()],
            materials: vec![Link::material("src/lib.rs", &digest)],
            byproducts: serde_json::Map::new(),
            environment: serde_json::Map::new(),
        };
        let mut statement = Statement {
            subjects: vec![Subject::sha256("a-1.0.0.crate", "", &digest)],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: link.to_value(),
        };
        assert_eq!(Link::from_statement(&statement, &Budget::default()).unwrap(), link);
        statement.predicate_type = "https://in-toto.io/Link/v1".to_owned();
        assert_eq!(
            Link::from_statement(&statement, &Budget::default()).unwrap_err().code(),
            "predicate-type"
        );
    }
}
