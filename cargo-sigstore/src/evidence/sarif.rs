//! Findings as SARIF 2.1.0 [OASIS], for code scanning: a result for each refusal, at the crate's line of `Cargo.lock`, and for
//! each statement of a pinned registry that falls short.
//!
//! What else registries say is in the run's property bag [SARIF 2.1.0 §3.8]: it is no problem, and code scanning takes every
//! result for one, whatever its `kind`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    evidence::{contents::EDGE, finding::Finding, registry::RegistryStatement, target::Place},
    failure::Failure,
    printer::visible,
};

/// A refusal, and what of.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    /// What was refused, as it is called on the screen.
    pub(crate) label: &'a str,
    /// Where it is named.
    pub(crate) place: Option<&'a Place>,
    /// Why.
    pub(crate) failure: Failure,
}

/// How much a result weighs [SARIF 2.1.0 §3.27.10].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// It changes no answer.
    Warning,
    /// It is why the answer is no.
    Error,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One result.
struct Problem<'a> {
    level: Level,
    label: &'a str,
    place: Option<&'a Place>,
    failure: &'a Failure,
    /// What tells it from another of the same code and artifact.
    part: Option<String>,
}

/// The log of one run.
pub(crate) fn log(refusals: &[Refusal<'_>], findings: &[Finding]) -> Value {
    let refused = refusals.iter().map(Problem::of_refusal);
    let problems: Vec<Problem<'_>> = refused
        .chain(findings.iter().flat_map(Problem::of_registries))
        .collect();
    let mut rules: BTreeMap<&str, Level> = BTreeMap::new();
    for problem in &problems {
        let level = rules.entry(problem.failure.code()).or_insert(problem.level);
        *level = problem.level.max(*level);
    }
    let order: Vec<&str> = rules.keys().copied().collect();
    let mut run = json!({
        "tool": {"driver": {
            "name": "cargo-sigstore",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "informationUri": env!("CARGO_PKG_REPOSITORY"),
            "rules": rules.iter().map(|(code, level)| rule(code, *level)).collect::<Vec<_>>(),
        }},
        "columnKind": "unicodeCodePoints",
        "results": problems.iter().map(|problem| result(problem, &order)).collect::<Vec<_>>(),
    });
    let statements: Vec<Value> = findings.iter().flat_map(statements).collect();
    if let Some(run) = run.as_object_mut().filter(|_| !statements.is_empty()) {
        run.insert("properties".to_owned(), json!({ "registryStatements": statements }));
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    })
}

impl<'a> Problem<'a> {
    fn of_refusal(refusal: &'a Refusal<'_>) -> Self {
        // A crate may have several edges that are not explained.
        let mut facts = refusal.failure.facts().iter();
        let edge = facts.find(|(name, _)| *name == EDGE);
        Self {
            level: Level::Error,
            label: refusal.label,
            place: refusal.place,
            failure: &refusal.failure,
            part: edge.map(|(_, value)| value.clone()),
        }
    }

    /// The statements that count for nothing, although a pinned registry signed them.
    fn of_registries(finding: &'a Finding) -> impl Iterator<Item = Self> {
        let wrong = finding
            .registry
            .iter()
            .filter_map(|statement| Some((statement, statement.failure()?)))
            // What the user named is refused for it already.
            .filter(|(_, failure)| !finding.refusals.contains(failure));
        wrong.map(|(statement, failure)| Self {
            level: Level::Warning,
            label: &finding.subject.label,
            place: finding.subject.place.as_ref(),
            failure,
            part: Some(statement.name()),
        })
    }
}

/// What registries say of an artifact, each as the JSON document has it, with what the screen shows.
fn statements(finding: &Finding) -> Vec<Value> {
    let describe = |statement: &RegistryStatement| {
        let mut value = statement.to_json();
        if let Some(members) = value.as_object_mut() {
            members.insert("artifact".to_owned(), visible(&finding.subject.label).into());
            members.insert("digest".to_owned(), format!("sha256:{}", finding.subject.digest).into());
            if let Some(line) = statement.line(&finding.subject.label, finding.rank()) {
                members.insert("message".to_owned(), visible(&line).into());
            }
        }
        value
    };
    finding.registry.iter().map(describe).collect()
}

fn rule(code: &str, level: Level) -> Value {
    json!({
        "id": code,
        "helpUri": format!("{}/blob/main/docs/codes.md", env!("CARGO_PKG_REPOSITORY")),
        "help": {"text": format!("docs/codes.md says what `{code}` means, and what to do")},
        "defaultConfiguration": {"level": level.name()},
    })
}

fn result(problem: &Problem<'_>, rules: &[&str]) -> Value {
    let code = problem.failure.code();
    let mut result = json!({
        "ruleId": code,
        "ruleIndex": rules.iter().position(|known| *known == code),
        "level": problem.level.name(),
        "message": {"text": sentence(problem.failure)},
        "partialFingerprints": {"artifactAndCode/v1": fingerprint(problem)},
    });
    if let (Some(place), Some(object)) = (problem.place, result.as_object_mut()) {
        object.insert("locations".to_owned(), json!([location(place)]));
    }
    result
}

/// What tells a result from others, run after run.
fn fingerprint(problem: &Problem<'_>) -> String {
    let parts = [visible(problem.label), problem.failure.code().to_owned()];
    let part = problem.part.as_deref().map(visible);
    parts.into_iter().chain(part).collect::<Vec<_>>().join(" ")
}

/// Sentence, causes, facts and hint, as the screen shows them.
fn sentence(failure: &Failure) -> String {
    let mut parts = vec![visible(failure.message())];
    parts.extend(
        failure
            .causes()
            .iter()
            .map(|cause| format!("caused by: {}", visible(cause))),
    );
    let facts = failure.facts().iter();
    parts.extend(facts.map(|(name, value)| format!("{name}: {}", visible(value))));
    parts.extend(failure.hint_text().map(|hint| format!("hint: {}", visible(hint))));
    parts.join("; ")
}

fn location(place: &Place) -> Value {
    let mut physical = json!({"artifactLocation": {"uri": place.uri}});
    if let (Some(line), Some(object)) = (place.line, physical.as_object_mut()) {
        object.insert("region".to_owned(), json!({"startLine": line}));
    }
    json!({"physicalLocation": physical})
}

#[cfg(test)]
mod tests {
    use verify::Sha256Digest;

    use super::*;
    use crate::evidence::{finding::Outcome, target::Subject};

    #[test]
    fn each_refusal_is_a_result_and_each_code_a_rule() {
        let place = Place {
            uri: "Cargo.lock".to_owned(),
            line: Some(7),
        };
        let refusal = |label, error| Refusal {
            label,
            place: Some(&place),
            failure: Failure::from(error),
        };
        let refusals = [
            refusal("a 1.0.0", verify::Error::Signature),
            refusal("b 1.0.0", verify::Error::SubjectMismatch),
            refusal("c 1.0.0", verify::Error::Signature),
        ];
        let log = log(&refusals, &[]);
        let run = &log["runs"][0];
        let ids: Vec<&str> = run["tool"]["driver"]["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), 2);
        for (result, label) in run["results"].as_array().unwrap().iter().zip(["a", "b", "c"]) {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(ids[index], result["ruleId"]);
            assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startLine"], 7);
            let print = result["partialFingerprints"]["artifactAndCode/v1"].as_str().unwrap();
            assert!(print.starts_with(label));
        }
        let nothing: Vec<Refusal<'_>> = Vec::new();
        assert_eq!(super::log(&nothing, &[])["runs"][0]["results"], json!([]));
    }

    #[test]
    fn a_statement_that_falls_short_is_a_warning_unless_it_is_why_the_answer_is_no() {
        let subject = Subject::package("a", "1.0.0", Sha256Digest([1; 32]));
        let failure = Failure::from(verify::Error::Statement);
        let mut finding = Finding::without(subject, Outcome::Verified);
        finding.registry = vec![
            RegistryStatement::summary(None),
            RegistryStatement::summary(Some(failure.clone())),
        ];
        let log_of = |finding: &Finding, refusals: &[Refusal<'_>]| log(refusals, std::slice::from_ref(finding));
        let levels = |log: &Value| -> Vec<String> {
            let results = log["runs"][0]["results"].as_array().unwrap().iter();
            results
                .map(|result| result["level"].as_str().unwrap().to_owned())
                .collect()
        };
        let warned = log_of(&finding, &[]);
        assert_eq!(levels(&warned), ["warning"]);
        let rule = &warned["runs"][0]["tool"]["driver"]["rules"][0];
        assert_eq!(rule["defaultConfiguration"]["level"], "warning");
        let told = &warned["runs"][0]["properties"]["registryStatements"];
        assert_eq!(
            (&told[0]["standing"], &told[1]["standing"]),
            (&json!("admitted"), &json!("wrong"))
        );
        assert_eq!(told[0]["artifact"], "a 1.0.0");

        finding.spoil(failure.clone());
        let refusal = Refusal {
            label: "a 1.0.0",
            place: None,
            failure,
        };
        let refused = log_of(&finding, &[refusal]);
        assert_eq!(levels(&refused), ["error"]);
    }
}
