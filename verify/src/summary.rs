//! Verification summaries [SLSA v1.2, verification summary attestation v1]: a verifier says what it checked, by which policy,
//! and what came of it, so that others need not check again.
//!
//! Whether to believe the verifier is the caller's: it is known by the signature, `verifier.id` is only its name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Budget, Error, Sha256Digest, json, statement::Statement};

/// `https://slsa.dev/verification_summary/v1`
pub const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";
/// Version of the specification that our levels are meant by.
pub const SLSA_VERSION: &str = "1.2";
/// The level of what was let through without looking at how it was built.
pub const UNEVALUATED: &str = "SLSA_BUILD_LEVEL_UNEVALUATED";

/// The predicate. What was verified is the statement's subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationSummary {
    /// Who verified.
    pub verifier: SummaryVerifier,
    /// When, RFC 3339 in UTC.
    #[serde(default)]
    pub time_verified: String,
    /// Where the artifact is found: for a crate its download URL.
    pub resource_uri: String,
    /// By which policy.
    pub policy: SummaryResource,
    /// The attestations that were looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_attestations: Vec<SummaryResource>,
    /// What came of it.
    pub verification_result: VerificationResult,
    /// Levels and properties that were established: `SLSA_BUILD_LEVEL_2`.
    #[serde(default)]
    pub verified_levels: Vec<String>,
    /// How many dependencies, by level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependency_levels: BTreeMap<String, u64>,
    /// Version of the specification that the levels are meant by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub slsa_version: String,
}

/// Who verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryVerifier {
    /// URI that names the verifier.
    pub id: String,
    /// Versions of its parts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
}

/// A policy or an attestation, by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryResource {
    /// Where it is found; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Lowercase hexadecimal digest by algorithm name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
}

/// What came of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VerificationResult {
    /// The artifact fits the policy.
    Passed,
    /// It does not.
    Failed,
}

/// What a reader demands of a summary besides its signature and subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands<'a> {
    /// Name of the verifier.
    pub verifier: &'a str,
    /// Where the reader finds the artifact.
    pub resource_uri: &'a str,
    /// Lowest SLSA build level; 0 accepts what was never evaluated.
    pub minimum_level: u8,
}

/// One thing in which a summary is not what was demanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// `verifier.id`, `resourceUri`, `verificationResult` or `verifiedLevels`.
    pub field: &'static str,
    /// What was demanded.
    pub expected: String,
    /// What it says.
    pub found: String,
}

impl VerificationSummary {
    /// Reads the predicate of a summary statement.
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
        json::parse_as(
            text.as_bytes(),
            "verification summary",
            budget.payload_bytes,
            budget.json_depth,
        )
    }

    /// The predicate as JSON.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        // Only a map with keys that are no strings can fail here, and this type has none.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The highest SLSA build level it states; none when the build was not evaluated.
    #[must_use]
    pub fn build_level(&self) -> Option<u8> {
        let levels = self.verified_levels.iter();
        levels
            .filter_map(|level| level.strip_prefix(BUILD_LEVEL)?.parse().ok())
            .filter(|level| *level <= HIGHEST_LEVEL)
            .max()
    }

    /// SHA-256 of the policy as the summary states it; empty when it does not.
    #[must_use]
    pub fn policy_digest(&self) -> &str {
        self.policy.digest.get("sha256").map_or("", String::as_str)
    }

    /// Everything in which the summary falls short [SLSA v1.2, verifying a VSA, steps 4 to 7]; empty when it may be relied on.
    #[must_use]
    pub fn shortfalls(&self, demands: &Demands<'_>) -> Vec<Shortfall> {
        let mut found = Vec::new();
        let mut fall = |short: bool, field, expected: String, said: String| {
            if short {
                found.push(Shortfall {
                    field,
                    expected,
                    found: said,
                });
            }
        };
        let shorten = |text: &str| text.chars().take(SHOWN_CHARACTERS).collect::<String>();
        fall(
            self.verifier.id != demands.verifier,
            "verifier.id",
            demands.verifier.to_owned(),
            shorten(&self.verifier.id),
        );
        fall(
            self.resource_uri != demands.resource_uri,
            "resourceUri",
            demands.resource_uri.to_owned(),
            shorten(&self.resource_uri),
        );
        fall(
            self.verification_result != VerificationResult::Passed,
            "verificationResult",
            "PASSED".to_owned(),
            "FAILED".to_owned(),
        );
        fall(
            self.build_level().unwrap_or_default() < demands.minimum_level,
            "verifiedLevels",
            build_level(demands.minimum_level),
            shorten(&self.verified_levels.join(", ")),
        );
        found
    }
}

impl SummaryResource {
    /// A resource known by its SHA-256.
    #[must_use]
    pub fn sha256(uri: &str, digest: &Sha256Digest) -> Self {
        Self {
            uri: uri.to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), digest.to_string())]),
        }
    }
}

/// `SLSA_BUILD_LEVEL_2`
#[must_use]
pub fn build_level(level: u8) -> String {
    format!("{BUILD_LEVEL}{level}")
}

const BUILD_LEVEL: &str = "SLSA_BUILD_LEVEL_";
/// Levels of the build track [SLSA v1.2, build track].
const HIGHEST_LEVEL: u8 = 3;
const SHOWN_CHARACTERS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Subject;

    fn summary() -> VerificationSummary {
        VerificationSummary {
            verifier: SummaryVerifier {
                id: "https://crates.example".to_owned(),
                version: BTreeMap::new(),
            },
            time_verified: "2026-11-26T13:00:00Z".to_owned(),
            resource_uri: "https://crates.example/dl/a/1.0.0/download".to_owned(),
            policy: SummaryResource::sha256("https://crates.example/policy", &Sha256Digest([1; 32])),
            input_attestations: vec![SummaryResource::sha256("", &Sha256Digest([2; 32]))],
            verification_result: VerificationResult::Passed,
            verified_levels: vec![build_level(2)],
            dependency_levels: BTreeMap::new(),
            slsa_version: SLSA_VERSION.to_owned(),
        }
    }

    fn demands() -> Demands<'static> {
        Demands {
            verifier: "https://crates.example",
            resource_uri: "https://crates.example/dl/a/1.0.0/download",
            minimum_level: 2,
        }
    }

    fn statement(predicate: serde_json::Value) -> Statement {
        Statement {
            subjects: vec![Subject::sha256("a-1.0.0.crate", "", &Sha256Digest([7; 32]))],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate,
        }
    }

    #[test]
    fn a_summary_prints_back() {
        let statement = statement(summary().to_value());
        assert_eq!(statement.predicate["verificationResult"], "PASSED");
        assert_eq!(statement.predicate["policy"]["digest"]["sha256"], "01".repeat(32));
        let read = VerificationSummary::from_statement(&statement, &Budget::default()).unwrap();
        assert_eq!(read, summary());
        assert_eq!(read.policy_digest(), "01".repeat(32));
    }

    #[test]
    fn another_predicate_a_missing_verifier_or_an_unknown_result_is_refused() {
        let code = |statement: &Statement| {
            let read = VerificationSummary::from_statement(statement, &Budget::default());
            read.map_or_else(|error| error.code(), |_| "read")
        };
        let honest = statement(summary().to_value());
        assert_eq!(code(&honest), "read");
        for (field, value) in [
            ("verifier", serde_json::Value::Null),
            ("verificationResult", "PASSED?".into()),
        ] {
            let mut harmed = honest.clone();
            harmed.predicate[field] = value;
            assert_eq!(code(&harmed), "json", "{field}");
        }
        let mut other = honest;
        other.predicate_type = "https://slsa.dev/verification_summary/v0.2".to_owned();
        assert_eq!(code(&other), "predicate-type");
    }

    #[test]
    fn each_demand_is_held_against_the_summary() {
        assert_eq!(summary().shortfalls(&demands()), []);
        let fields = |edit: &dyn Fn(&mut VerificationSummary)| -> Vec<&'static str> {
            let mut edited = summary();
            edit(&mut edited);
            let short = edited.shortfalls(&demands());
            short.iter().map(|short| short.field).collect()
        };
        assert_eq!(fields(&|s| s.verifier.id.push('x')), ["verifier.id"]);
        assert_eq!(fields(&|s| s.resource_uri.push('x')), ["resourceUri"]);
        assert_eq!(
            fields(&|s| s.verification_result = VerificationResult::Failed),
            ["verificationResult"]
        );
        for levels in [
            vec![],
            vec![UNEVALUATED.to_owned()],
            vec![build_level(1)],
            vec![build_level(4)],
        ] {
            assert_eq!(fields(&|s| s.verified_levels.clone_from(&levels)), ["verifiedLevels"]);
        }
    }

    #[test]
    fn the_highest_level_counts() {
        let mut summary = summary();
        summary.verified_levels = vec![build_level(1), build_level(3), "FEDRAMP_HIGH".to_owned()];
        assert_eq!(summary.build_level(), Some(3));
        summary.verified_levels = vec![UNEVALUATED.to_owned()];
        assert_eq!(summary.build_level(), None);
    }
}
