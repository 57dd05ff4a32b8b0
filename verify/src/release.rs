//! In-toto release predicate [in-toto attestation framework, predicates/release]: a registry says that it published this.

use serde::{Deserialize, Serialize};

use crate::{Budget, Error, json, statement::Statement};

/// `https://in-toto.io/attestation/release/v0.2`
pub const PREDICATE_TYPE: &str = "https://in-toto.io/attestation/release/v0.2";
/// The version that the framework's own examples still show; read, never written.
pub const PREDICATE_TYPE_V0_1: &str = "https://in-toto.io/attestation/release/v0.1";

/// The release predicate. What was released is the statement's subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Package URL of the release, canonical.
    pub purl: String,
    /// The registry's own id of the package, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_id: Option<String>,
}

impl Release {
    /// Reads the predicate of a release statement, v0.2 or v0.1.
    ///
    /// # Errors
    /// [`Error::PredicateType`] for another predicate, [`Error::Json`] when the shape does not fit.
    pub fn from_statement(statement: &Statement, budget: &Budget) -> Result<Self, Error> {
        if ![PREDICATE_TYPE, PREDICATE_TYPE_V0_1].contains(&statement.predicate_type.as_str()) {
            return Err(Error::PredicateType {
                found: statement.predicate_type.chars().take(100).collect(),
            });
        }
        let text = statement.predicate.to_string();
        json::parse_as(text.as_bytes(), "release", budget.payload_bytes, budget.json_depth)
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
    use crate::{Sha256Digest, statement::Subject};

    fn statement(predicate: serde_json::Value) -> Statement {
        Statement {
            subjects: vec![Subject::sha256("a-1.0.0.crate", "", &Sha256Digest([7; 32]))],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate,
        }
    }

    #[test]
    fn a_release_prints_back_in_both_versions() {
        let release = Release {
            purl: "pkg:cargo/a@1.0.0".to_owned(),
            package_id: Some("a".to_owned()),
        };
        let mut statement = statement(release.to_value());
        assert_eq!(statement.predicate["packageId"], "a");
        let read = |statement: &Statement| Release::from_statement(statement, &Budget::default());
        assert_eq!(read(&statement).unwrap(), release);
        statement.predicate_type = PREDICATE_TYPE_V0_1.to_owned();
        assert_eq!(read(&statement).unwrap(), release);
    }

    #[test]
    fn another_predicate_or_shape_is_refused() {
        let mut statement = statement(serde_json::json!({"purl": "pkg:cargo/a@1.0.0"}));
        let code = |statement: &Statement| {
            Release::from_statement(statement, &Budget::default()).map_or_else(|error| error.code(), |_| "read")
        };
        assert_eq!(code(&statement), "read");
        statement.predicate = serde_json::json!({"packageId": "a"});
        assert_eq!(code(&statement), "json");
        statement.predicate_type = "https://in-toto.io/attestation/release/v1".to_owned();
        assert_eq!(code(&statement), "predicate-type");
    }
}
