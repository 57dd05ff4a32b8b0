//! Telling what was found inside the crates of a lock file, as a whole.

use crate::{
    context::Context,
    evidence::{
        contents::{Contents, Look, NOT_FETCHED, UNREADABLE},
        finding::Finding,
    },
    failure::Failure,
};

/// What a complete inspection establishes.
pub(super) const ESTABLISHED: &str = "dependencies as the crates' own manifests say";

/// Whether every crate of a lock file was looked into and nothing was found.
pub(super) fn is_complete(findings: &[Finding]) -> bool {
    let sound =
        |contents: &Contents| contents.is_checked() && contents.refusals.is_empty() && contents.warnings.is_empty();
    findings
        .iter()
        .all(|finding| finding.contents.as_ref().is_some_and(sound))
}

/// A line about all, and warnings; nothing where no lock file was asked about.
///
/// # Errors
/// Code `output`.
pub(super) fn tell(context: &Context, findings: &[Finding]) -> Result<(), Failure> {
    let looked_into: Vec<&Contents> = contents(findings).filter(|contents| contents.is_checked()).collect();
    if !looked_into.is_empty() {
        let edges: usize = looked_into.iter().map(|contents| contents.edges()).sum();
        let wrong: usize = looked_into
            .iter()
            .map(|contents| contents.refusals.len().saturating_add(contents.warnings.len()))
            .sum();
        context.printer.line(format_args!(
            "manifests looked into: {} of {}; edges of the lock file: {edges}; findings: {wrong}",
            looked_into.len(),
            contents(findings).count()
        ))?;
    }
    warn(context, findings);
    Ok(())
}

/// What the user only wants to be told, and what nobody looked into.
pub(super) fn warn(context: &Context, findings: &[Finding]) {
    for warning in contents(findings).flat_map(|contents| &contents.warnings) {
        context
            .printer
            .warn(format_args!("{} [{}]", warning.message(), warning.code()));
    }
    let all = contents(findings).count();
    for (look, why) in [(Look::NotFetched, NOT_FETCHED), (Look::Unreadable, UNREADABLE)] {
        // What must be looked into is among the refusals.
        let count = contents(findings)
            .filter(|contents| contents.look == look && contents.refusals.is_empty())
            .count();
        if count > 0 {
            context.printer.warn(format_args!(
                "the manifests of {count} of {all} crates are not checked: {why}"
            ));
        }
    }
}

fn contents(findings: &[Finding]) -> impl Iterator<Item = &Contents> {
    findings.iter().filter_map(|finding| finding.contents.as_ref())
}
