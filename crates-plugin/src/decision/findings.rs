//! What a decision finds, in words: code, cause, and what to do.

use verify::{
    Sha256Digest, Verified,
    agreement::{self, Outcome},
    identity::Claim,
};

use super::Finding;
use crate::policy::Rule;

pub(super) fn archive_finding(error: &package::Error) -> Finding {
    Finding {
        code: error.code(),
        cause: error.to_string(),
        hint: "let `cargo package` make the archive; it never writes what is refused here",
    }
}

pub(super) fn difference_finding(difference: &package::Difference) -> Finding {
    Finding {
        code: "gate-manifest-differs",
        cause: difference.to_string(),
        hint: "cargo builds what the index says: publish with an unmodified cargo, so that request and manifest agree",
    }
}

pub(super) fn unlisted_finding(name: &str) -> Finding {
    Finding {
        code: "gate-no-rule",
        cause: format!("no rule of the registry's policy names `{name}`"),
        hint: "ask the registry's operator for a rule that says who may publish this crate",
    }
}

pub(super) fn new_name_finding(name: &str) -> Finding {
    Finding {
        code: "gate-new-name",
        cause: format!("`{name}` would be a new name, and the policy does not let this publisher take one"),
        hint: "ask the registry's operator to list the name in a rule, or publish from an identity the registry knows",
    }
}

pub(super) fn denied_event(rule: &Rule, provenance: &Verified) -> Option<Finding> {
    let event = provenance.identity()?.claim(Claim::BuildTrigger)?;
    rule.deny_events.contains(event).then(|| Finding {
        code: "gate-event-denied",
        cause: format!("the policy lets no run that `{event}` started publish this crate"),
        hint: "start the release in another way, as a push of its tag",
    })
}

/// The certificate's name says which workflow ran, at which ref of its own. A workflow that can be called is called from any
/// branch and by any other: of which ref the run is, and which workflow it started with, claims 14 and 18 say.
pub(super) fn other_caller(rule: &Rule, provenance: &Verified) -> Option<Finding> {
    let identity = provenance.identity()?;
    let claimed = |claim| identity.claim(claim).unwrap_or("nothing").to_owned();
    let reference = claimed(Claim::SourceRepositoryRef);
    let caller = claimed(Claim::BuildConfigUri);
    let (expected, found) = if !rule.allows_ref(&reference) {
        (rule.reference.clone(), reference)
    } else if rule.is_called() && !rule.is_caller(&caller) {
        (rule.caller(), caller)
    } else {
        return None;
    };
    Some(Finding {
        code: "gate-caller-differs",
        cause: format!("the workflow was called from elsewhere: expected {expected}, found {found}"),
        hint: "publish from the ref, and the workflow, that the rule names",
    })
}

pub(super) fn changed_finding(check: &agreement::Check) -> Finding {
    let said = if let Outcome::Differs { expected, found } = &check.outcome {
        format!("it was {expected}, now it is {found}")
    } else {
        "it is another".to_owned()
    };
    Finding {
        code: "gate-publisher-changed",
        cause: format!("the publisher is another than that of the version before: {said}"),
        hint: "a moved repository or a renamed workflow looks like this, and so does a takeover: make sure which it is",
    }
}

pub(super) fn missing_finding(digest: &Sha256Digest) -> Finding {
    Finding {
        code: "gate-no-attestation",
        cause: format!("nobody attested sha256:{digest}"),
        hint: "publish from CI with `cargo sigstore publish`",
    }
}

pub(super) fn evidence_finding(error: &verify::Error) -> Finding {
    Finding {
        code: error.code(),
        cause: error.to_string(),
        hint: "the code's paragraph in docs/codes.md says what this means and what to do",
    }
}

pub(super) fn agreement_finding(check: &agreement::Check) -> Finding {
    let said = if let Outcome::Differs { expected, found } = &check.outcome {
        format!("expected {expected}, found {found}")
    } else {
        format!("{:?}", check.outcome)
    };
    let cause = format!("provenance check {} ({}): {said}", check.number, check.name);
    Finding {
        code: "gate-provenance-differs",
        cause,
        hint: "build and publish this version from the workflow and commit that its provenance names",
    }
}
