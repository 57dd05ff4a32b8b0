//! Findings as SARIF 2.1.0 [OASIS], for code scanning: a result for each refusal, at the crate's line of `Cargo.lock`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{evidence::target::Place, failure::Failure, printer::visible};

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

/// The log of one run.
pub(crate) fn log(refusals: &[Refusal<'_>]) -> Value {
    let rules: BTreeSet<&str> = refusals.iter().map(|refusal| refusal.failure.code()).collect();
    let order: Vec<&str> = rules.iter().copied().collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "cargo-sigstore",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": refusals.iter().map(|refusal| result(refusal, &order)).collect::<Vec<_>>(),
        }],
    })
}

fn rule(code: &str) -> Value {
    json!({
        "id": code,
        "helpUri": format!("{}/blob/main/docs/codes.md", env!("CARGO_PKG_REPOSITORY")),
        "help": {"text": format!("docs/codes.md says what `{code}` means, and what to do")},
        "defaultConfiguration": {"level": "error"},
    })
}

fn result(refusal: &Refusal<'_>, rules: &[&str]) -> Value {
    let code = refusal.failure.code();
    let mut result = json!({
        "ruleId": code,
        "ruleIndex": rules.iter().position(|known| *known == code),
        "level": "error",
        "message": {"text": sentence(&refusal.failure)},
        "partialFingerprints": {"artifactAndCode/v1": format!("{} {code}", visible(refusal.label))},
    });
    if let (Some(place), Some(object)) = (refusal.place, result.as_object_mut()) {
        object.insert("locations".to_owned(), json!([location(place)]));
    }
    result
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
    use super::*;

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
        let log = log(&refusals);
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
        assert_eq!(super::log(&nothing)["runs"][0]["results"], json!([]));
    }
}
