//! Telling findings: a table and refusals for people, one document for programs.

use serde_json::json;
use verify::Verified;

use crate::{
    context::Context,
    evidence::{
        expectation::{Expectations, Severity},
        finding::{Finding, Outcome},
        inspection,
        judgement::accepting,
        sarif::{self, Refusal},
    },
    failure::{Exit, Failure},
    printer::{table, visible},
};

/// Tells the findings and gives the exit code: refused before unavailable before yes.
///
/// # Errors
/// Code `output`.
pub(crate) fn tell(context: &Context, findings: &[Finding], expectations: &Expectations) -> Result<Exit, Failure> {
    let exit = exit(findings, expectations);
    let nothing = findings.iter().all(|finding| finding.proofs.is_empty());
    let established = established(findings);
    if context.printer.is_json() {
        context.printer.json(&json!({
            "schemaVersion": 1,
            "result": result_name(exit),
            "established": established,
            "notEstablished": not_established(findings),
            "artifacts": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        }))?;
        // The document holds the refusals; who records it shows them to people too.
        if context.printer.is_recording() {
            for refusal in refusals(findings, expectations) {
                context.printer.failure(&refusal.failure);
            }
            inspection::warn(context, findings);
        }
        return Ok(exit);
    }
    if context.printer.is_sarif() {
        context
            .printer
            .json(&sarif::log(&refusals(findings, expectations), findings))?;
        inspection::warn(context, findings);
        return Ok(exit);
    }
    context.printer.line(human_table(findings))?;
    for finding in findings {
        say_more(context, finding);
    }
    let mut told: Vec<Failure> = Vec::new();
    for refusal in refusals(findings, expectations) {
        // What is the same for every artifact, such as a store that cannot be asked, is told once.
        if !told.contains(&refusal.failure) {
            context.printer.failure(&refusal.failure);
            told.push(refusal.failure);
        }
    }
    if findings.len() > 1 {
        context.printer.line(format_args!("\n{}", summary(findings)))?;
    }
    inspection::tell(context, findings)?;
    if nothing {
        return Ok(exit);
    }
    context.printer.note(format_args!(
        "established: {}; not established: {}",
        established.join(", "),
        not_established(findings).join(", ")
    ));
    Ok(exit)
}

/// What was established of every bundle that held, and of every crate. What a flag went without is not.
fn established(findings: &[Finding]) -> Vec<&'static str> {
    let inside = inspection::is_complete(findings).then_some(inspection::ESTABLISHED);
    let source = is_the_source(findings).then_some(SOURCE);
    of_bundles(findings).into_iter().chain(inside).chain(source).collect()
}

fn of_bundles(findings: &[Finding]) -> Vec<&'static str> {
    let proofs: Vec<&Verified> = findings.iter().flat_map(|finding| &finding.proofs).collect();
    if proofs.is_empty() {
        return Vec::new();
    }
    let logged = proofs.iter().all(|proof| !proof.log_entries().is_empty());
    let timed = proofs.iter().all(|proof| !proof.times().is_empty());
    let identified = proofs.iter().all(|proof| proof.identity().is_some());
    let signature = match (logged, timed) {
        (true, true) => "signature, log entry and time",
        (true, false) => "signature and log entry",
        (false, true) => "signature and time",
        (false, false) => "signature",
    };
    let signer = if identified {
        "identity of the signer"
    } else {
        "key of the signer"
    };
    vec!["presence of evidence", signature, signer]
}

/// What it does not mean.
fn not_established(findings: &[Finding]) -> Vec<&'static str> {
    let lock = findings.iter().any(|finding| finding.contents.is_some());
    let inside = (lock && !inspection::is_complete(findings)).then_some(inspection::ESTABLISHED);
    let source = (!is_the_source(findings)).then_some(SOURCE);
    let never = ["harmlessness of the code"];
    inside.into_iter().chain(source).chain(never).collect()
}

/// Whether every artifact holds what its attested commit holds.
fn is_the_source(findings: &[Finding]) -> bool {
    let equal = |finding: &Finding| finding.source.as_ref().is_some_and(|source| source.attested);
    !findings.is_empty() && findings.iter().all(equal)
}

fn exit(findings: &[Finding], expectations: &Expectations) -> Exit {
    let worst = findings
        .iter()
        .map(|finding| weight(finding, expectations).max(weight_inside(finding)))
        .max();
    match worst {
        Some(Weight::No) | None => Exit::Refused,
        Some(Weight::Unknown) => Exit::Unavailable,
        Some(Weight::Yes) => Exit::Yes,
    }
}

/// How an outcome counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Yes,
    Unknown,
    No,
}

fn weight(finding: &Finding, expectations: &Expectations) -> Weight {
    match finding.outcome {
        Outcome::Verified => Weight::Yes,
        Outcome::Signed if expectations.unpinned == Severity::Report => Weight::Yes,
        Outcome::Unattested if may_be_unattested(finding, expectations) => Weight::Yes,
        Outcome::Unavailable => Weight::Unknown,
        Outcome::Signed | Outcome::Unattested | Outcome::Refused => Weight::No,
    }
}

/// How what is inside counts.
fn weight_inside(finding: &Finding) -> Weight {
    let refusals = finding.contents.iter().flat_map(|contents| &contents.refusals);
    let weights = refusals.map(|refusal| match refusal.exit() {
        Exit::Unavailable => Weight::Unknown,
        Exit::Yes | Exit::Refused | Exit::Usage | Exit::Bug => Weight::No,
    });
    weights.max().unwrap_or(Weight::Yes)
}

/// A crate whose signer a rule names is always to be attested: otherwise whoever steals its account just leaves the bundle out.
fn may_be_unattested(finding: &Finding, expectations: &Expectations) -> bool {
    let package = finding.subject.package.as_ref();
    let named = package.is_some_and(|(name, _)| expectations.signer_of(name).is_some());
    expectations.unattested == Severity::Report && !named
}

const fn result_name(exit: Exit) -> &'static str {
    match exit {
        Exit::Yes => "yes",
        Exit::Unavailable => "unavailable",
        Exit::Refused | Exit::Usage | Exit::Bug => "no",
    }
}

fn human_table(findings: &[Finding]) -> String {
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let [identity, commit, index, time] = finding.row();
            [
                finding.subject.label.clone(),
                finding.told().name().to_owned(),
                commit,
                index,
                time,
                identity,
            ]
            .map(|cell| visible(&cell))
            .to_vec()
        })
        .collect();
    table(
        &["ARTIFACT", "RESULT", "COMMIT", "LOG INDEX", "TIME", "IDENTITY"],
        &rows,
    )
}

fn summary(findings: &[Finding]) -> String {
    let outcomes = [
        Outcome::Verified,
        Outcome::Signed,
        Outcome::Unattested,
        Outcome::Unavailable,
        Outcome::Refused,
    ];
    let counts: Vec<String> = outcomes
        .iter()
        .map(|outcome| {
            (
                outcome,
                findings.iter().filter(|finding| finding.told() == *outcome).count(),
            )
        })
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| format!("{count} {}", outcome.name()))
        .collect();
    format!("{} artifacts: {}", findings.len(), counts.join(", "))
}

/// What registries say of an artifact, and what its source does.
fn say_more(context: &Context, finding: &Finding) {
    if let Some(source) = &finding.source {
        context.printer.note(source.line(&finding.subject.label));
    }
    for statement in &finding.registry {
        // What the user named is refused for it already, and told among the refusals.
        if let Some(failure) = statement
            .failure()
            .filter(|failure| !finding.refusals.contains(failure))
        {
            context.printer.failure(failure);
        }
        if let Some(line) = statement.line(&finding.subject.label, finding.rank()) {
            context.printer.note(line);
        }
    }
}

/// Why findings are no yes, one after another.
fn refusals<'a>(findings: &'a [Finding], expectations: &Expectations) -> Vec<Refusal<'a>> {
    let of = |finding: &'a Finding| {
        let inside = finding.contents.iter().flat_map(|contents| contents.refusals.clone());
        failures(finding, expectations)
            .into_iter()
            .chain(inside)
            .map(move |failure| Refusal {
                label: &finding.subject.label,
                place: finding.subject.place.as_ref(),
                failure,
            })
    };
    findings.iter().flat_map(of).collect()
}

/// Why the bundles of a finding are no yes.
fn failures(finding: &Finding, expectations: &Expectations) -> Vec<Failure> {
    match finding.outcome {
        Outcome::Refused | Outcome::Unavailable => {
            // Several bundles of one signer fail alike; that is one thing to say.
            let mut different: Vec<Failure> = Vec::new();
            for refusal in &finding.refusals {
                if !different.contains(refusal) {
                    different.push(refusal.clone());
                }
            }
            different
        }
        Outcome::Signed if expectations.unpinned == Severity::Refuse => vec![unpinned(finding)],
        Outcome::Unattested if !may_be_unattested(finding, expectations) => vec![unattested(finding, expectations)],
        Outcome::Verified | Outcome::Signed | Outcome::Unattested => Vec::new(),
    }
}

fn unpinned(finding: &Finding) -> Failure {
    let error = Error::Unpinned {
        label: finding.subject.label.clone(),
    };
    let failure = Failure::new(Exit::Refused, "unpinned", &error);
    match finding.best().and_then(Verified::identity) {
        Some(identity) => failure
            .fact("signed by", visible(identity.san.as_str()))
            .fact("issuer", visible(identity.issuer()))
            .hint(accepting(identity, &finding.subject)),
        None => failure,
    }
}

fn unattested(finding: &Finding, expectations: &Expectations) -> Failure {
    let error = Error::Unattested {
        label: finding.subject.label.clone(),
    };
    let accepting = if expectations.unattested == Severity::Report {
        "a rule of `sigstore.toml` names its signer, so it must have one"
    } else {
        "`unattested = \"report\"` in `sigstore.toml`, or `--allow-unattested`, accepts it"
    };
    Failure::new(Exit::Refused, "unattested", &error)
        .fact("digest", format_args!("sha256:{}", finding.subject.digest))
        .hint(format_args!("pass `--bundle FILE` if you have one; {accepting}"))
}

/// Why a finding is no yes.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{label}` is signed, but nobody said by whom it should be")]
    Unpinned { label: String },
    #[error("`{label}` has no attestation")]
    Unattested { label: String },
}

const SOURCE: &str = "equality with the source";

#[cfg(test)]
mod tests {
    use verify::Sha256Digest;

    use super::*;
    use crate::evidence::target::Subject;

    fn finding(outcome: Outcome) -> Finding {
        Finding::without(Subject::package("a", "1.0.0", Sha256Digest([1; 32])), outcome)
    }

    fn exit_of(outcomes: &[Outcome], expectations: &Expectations) -> Exit {
        let findings: Vec<Finding> = outcomes.iter().map(|outcome| finding(*outcome)).collect();
        exit(&findings, expectations)
    }

    #[test]
    fn no_is_stronger_than_unknown_and_unknown_than_yes() {
        let strict = Expectations::default();
        assert_eq!(exit_of(&[Outcome::Verified], &strict), Exit::Yes);
        assert_eq!(
            exit_of(&[Outcome::Verified, Outcome::Unavailable], &strict),
            Exit::Unavailable
        );
        assert_eq!(
            exit_of(&[Outcome::Unavailable, Outcome::Refused], &strict),
            Exit::Refused
        );
        assert_eq!(exit_of(&[], &strict), Exit::Refused);
    }

    #[test]
    fn what_is_unattested_or_unpinned_is_refused_unless_told_otherwise() {
        let strict = Expectations::default();
        let mut lenient = Expectations::default();
        lenient.unattested = Severity::Report;
        lenient.unpinned = Severity::Report;
        for outcome in [Outcome::Signed, Outcome::Unattested] {
            assert_eq!(exit_of(&[outcome], &strict), Exit::Refused);
            assert_eq!(exit_of(&[outcome], &lenient), Exit::Yes);
        }
        assert_eq!(exit_of(&[Outcome::Refused], &lenient), Exit::Refused);
    }

    #[test]
    fn a_crate_that_a_rule_names_is_refused_without_a_bundle_whatever_holds_for_others() {
        let rule = "unattested = \"report\"\n[[crate]]\nname = \"a\"\nidentity = \"https://github.com/a/a/w@r\"\nissuer = \"https://i.example\"";
        let expectations = Expectations::from_toml(rule).unwrap();
        assert_eq!(exit_of(&[Outcome::Verified], &expectations), Exit::Yes);
        assert_eq!(exit_of(&[Outcome::Unattested], &expectations), Exit::Refused);
        let other = Finding::without(
            Subject::package("b", "1.0.0", Sha256Digest([1; 32])),
            Outcome::Unattested,
        );
        assert_eq!(exit(&[other], &expectations), Exit::Yes);
    }

    #[test]
    fn the_summary_counts() {
        let findings = [
            finding(Outcome::Verified),
            finding(Outcome::Refused),
            finding(Outcome::Verified),
        ];
        assert_eq!(summary(&findings), "3 artifacts: 2 verified, 1 refused");
    }
}
