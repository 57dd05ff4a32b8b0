//! Judging an artifact by its bundles and by what the user expects.

use std::{num::NonZeroUsize, path::Path};

use verify::{
    Artifact, Budget, Bundle, Error, Policy, PublicKey, Sha256Digest, UnixTime, Verified, Verifier, WorkloadIdentity,
    agreement::{Check, Expectations as Agreed, Outcome as Agreement, examine},
    certificate::Certificate,
    danger, provenance,
    verifier::BatchItem,
};

use crate::{
    evidence::{
        expectation::Signer,
        finding::{Finding, Outcome},
        registry::{self, Registrar, RegistryPin},
        target::Subject,
    },
    failure::{Exit, Failure},
    printer::visible,
    release::crate_file::{CrateFile, name_and_version},
};

/// What an artifact is judged by.
#[derive(Clone, Debug)]
pub(crate) struct Case<'a> {
    /// The artifact.
    pub(crate) subject: Subject,
    /// Its digests.
    pub(crate) artifact: Artifact<'a>,
    /// The file, when it is at hand.
    pub(crate) file: Option<&'a Path>,
    /// Bundles that are said to speak of it.
    pub(crate) bundles: Vec<Bundle>,
    /// Whether every bundle must hold, since the user named them; else one is enough.
    pub(crate) every: bool,
    /// Who is expected to have signed.
    pub(crate) signer: Option<&'a Signer>,
    /// Registries whose statements count.
    pub(crate) registries: &'a [RegistryPin],
}

/// Judges with one trusted root at one time.
#[derive(Debug)]
pub(crate) struct Judge {
    /// The verifier.
    pub(crate) verifier: Verifier,
    /// The time by this machine's clock.
    pub(crate) now: UnixTime,
    /// What the user demands of every bundle.
    pub(crate) demands: Demands,
}

/// What a user demands of every bundle, whatever it is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demands {
    /// This key must have signed; no identity is looked at.
    pub(crate) key: Option<PublicKey>,
    /// No log entry is needed.
    pub(crate) unlogged: bool,
    /// No time is needed; for a key only.
    pub(crate) untimed: bool,
}

impl Demands {
    /// The verifier's policy for a case.
    fn policy(&self, case: &Case<'_>) -> Result<Policy, Failure> {
        let policy = match (&self.key, case.signer) {
            (Some(key), _) => Policy::managed_key(key.clone()),
            (None, Some(signer)) => {
                let (name, version) = case.subject.name_and_version();
                signer.policy(name, version)?
            }
            // Told as "signed", never as "verified".
            (None, None) => danger::any_identity(),
        };
        Ok(self.weakened(policy))
    }

    fn weakened(&self, policy: Policy) -> Policy {
        let policy = if self.unlogged {
            danger::timestamp_only(policy)
        } else {
            policy
        };
        if self.untimed && self.key.is_some() {
            danger::untimed_managed_key(policy)
        } else {
            policy
        }
    }
}

impl Judge {
    /// Judges many artifacts on every core; the findings are in the order of the cases.
    ///
    /// # Errors
    /// Code `expectations` when an expected signer cannot be used.
    pub(crate) fn judge(&self, cases: &[Case<'_>]) -> Result<Vec<Finding>, Failure> {
        let policies = cases
            .iter()
            .map(|case| self.demands.policy(case))
            .collect::<Result<Vec<_>, _>>()?;
        let split: Vec<(Vec<&Bundle>, Vec<&Bundle>)> = cases
            .iter()
            .map(|case| {
                case.bundles
                    .iter()
                    .partition(|bundle| !self.is_of_registry(case, bundle))
            })
            .collect();
        let items: Vec<BatchItem<'_>> = cases
            .iter()
            .zip(&policies)
            .zip(&split)
            .flat_map(|((case, policy), (bundles, _))| {
                bundles.iter().map(|bundle| BatchItem {
                    bundle,
                    artifact: case.artifact,
                    policy,
                })
            })
            .collect();
        let mut outcomes = self
            .verifier
            .verify_all(&items, self.now, threads(items.len()))
            .into_iter();
        Ok(cases
            .iter()
            .zip(&split)
            .map(|(case, (bundles, statements))| {
                let of_case = outcomes.by_ref().take(bundles.len()).collect();
                let mut finding = finding(case, bundles, of_case, self.demands.key.is_some());
                self.add_registries(case, statements, &mut finding);
                finding
            })
            .collect())
    }

    fn registrar<'a>(&'a self, case: &'a Case<'_>) -> Registrar<'a> {
        Registrar {
            verifier: &self.verifier,
            now: self.now,
            pins: case.registries,
        }
    }

    /// Whether a bundle is to be judged as a registry's statement. What the user named is so only when a pinned registry signed it:
    /// otherwise it is to hold like anything else that was named.
    fn is_of_registry(&self, case: &Case<'_>, bundle: &Bundle) -> bool {
        let named = case.every || self.demands.key.is_some();
        registry::is_statement(bundle)
            && (!named || self.registrar(case).is_pinned(bundle, &case.subject, &case.artifact))
    }

    /// What registries say of the artifact. A statement that does not hold is nothing.
    fn add_registries(&self, case: &Case<'_>, statements: &[&Bundle], finding: &mut Finding) {
        for bundle in statements {
            let Ok(statement) = self.registrar(case).judge(bundle, &case.subject, &case.artifact) else {
                continue;
            };
            if let Some(wrong) = statement.failure().filter(|_| case.every) {
                finding.refusals.push(wrong.clone());
                finding.outcome = Outcome::Refused;
            }
            finding.registry.push(statement);
        }
    }

    /// Bundles that a certificate of a trusted authority stands behind: worth keeping.
    pub(crate) fn credible(&self, digest: Sha256Digest, bundles: &[Bundle]) -> Vec<Bundle> {
        let (anybody, artifact) = (self.demands.weakened(danger::any_identity()), Artifact::Digest(digest));
        let holds = |bundle: &&Bundle| self.verifier.verify(bundle, &artifact, &anybody, self.now).is_ok();
        bundles.iter().filter(holds).cloned().collect()
    }
}

/// Starting a thread costs about as much as checking a bundle, so a few bundles are checked on this one.
fn threads(items: usize) -> NonZeroUsize {
    if items < 8 {
        return NonZeroUsize::MIN;
    }
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What the outcomes of a case's bundles say together.
fn finding(case: &Case<'_>, bundles: &[&Bundle], outcomes: Vec<Result<Verified, Error>>, by_key: bool) -> Finding {
    let mut finding = Finding::without(case.subject.clone(), Outcome::Unattested);
    for (bundle, outcome) in bundles.iter().zip(outcomes) {
        match outcome {
            Ok(proof) => finding.proofs.push(proof),
            Err(error) => finding.refusals.push(refusal(&error, bundle, &case.subject)),
        }
    }
    if bundles.is_empty() {
        return finding;
    }
    let agreement = agreement(&finding.proofs, case);
    let held = if case.every {
        finding.refusals.is_empty() && agreement.refusals.is_empty()
    } else {
        // Whoever can add a bundle to a store must not be able to refuse a crate with it; but where provenance speaks of
        // the crate, some of it must be true.
        agreement.agreeing > 0 || agreement.refusals.is_empty()
    };
    let held = held && !finding.proofs.is_empty();
    finding.refusals.extend(agreement.refusals);
    finding.outcome = match (held, by_key || case.signer.is_some()) {
        (true, true) => Outcome::Verified,
        (true, false) => Outcome::Signed,
        (false, _) => Outcome::Refused,
    };
    finding
}

/// Who signed, as an unverified bundle says.
pub(crate) fn claimed_identity(bundle: &Bundle) -> Option<WorkloadIdentity> {
    let leaf = bundle.certificate()?;
    Certificate::from_der(leaf, &Budget::default()).ok()?.identity().ok()
}

/// How provenance of our build type fits certificate and crate.
#[derive(Default)]
struct ProvenanceAgreement {
    agreeing: usize,
    refusals: Vec<Failure>,
}

/// Compares provenance of our build type with the crate, whose own rules are checked on the way.
fn agreement(proofs: &[Verified], case: &Case<'_>) -> ProvenanceAgreement {
    let of_our_type = |proof: &&Verified| {
        let build_type = proof
            .statement()
            .and_then(|statement| statement.predicate.pointer("/buildDefinition/buildType"));
        build_type.and_then(|build_type| build_type.as_str()) == Some(provenance::BUILD_TYPE)
    };
    let proofs: Vec<&Verified> = proofs.iter().filter(of_our_type).collect();
    let mut agreement = ProvenanceAgreement::default();
    let path = case.file.filter(|path| name_and_version(path).is_some());
    let Some(path) = path.filter(|_| !proofs.is_empty()) else {
        return agreement;
    };
    let file = match CrateFile::read(path, None) {
        Ok(file) => file,
        Err(failure) => {
            agreement.refusals.push(failure);
            return agreement;
        }
    };
    for proof in proofs {
        match disagreement(proof, &file, &case.subject) {
            None => agreement.agreeing = agreement.agreeing.saturating_add(1),
            Some(refusal) => agreement.refusals.push(refusal),
        }
    }
    agreement
}

fn disagreement(proof: &Verified, file: &CrateFile, subject: &Subject) -> Option<Failure> {
    let mut facts = file.facts(None);
    // Which registry a file is from nobody says here; its package URL may name any.
    if let Some(named) = proof.subject() {
        let stated = named.uri.split_once('?').map_or(named.uri.as_str(), |(plain, _)| plain);
        if stated == facts.package_url {
            facts.package_url.clone_from(&named.uri);
        }
    }
    let issuers = proof.identity().map(|identity| identity.issuer().to_owned());
    let agreed = Agreed {
        issuers: issuers.into_iter().collect(),
        ..Agreed::default()
    };
    match examine(proof, &facts, &agreed, &Budget::default()) {
        Ok(report) => report.differences().next().map(|check| differs(check, &subject.label)),
        Err(error) => Some(Failure::from(error).while_doing("the provenance cannot be compared with the crate")),
    }
}

/// The failure that a check of agreement is.
pub(crate) fn differs(check: &Check, label: &str) -> Failure {
    let error = Disagreement {
        label: label.to_owned(),
        number: check.number,
        name: check.name,
    };
    let mut failure = Failure::new(Exit::Refused, "provenance-disagrees", &error);
    if let Agreement::Differs { expected, found } = &check.outcome {
        failure = failure.fact("expected", expected).fact("found", found);
    }
    failure.hint("the statement does not fit the certificate or the crate; do not use it, and tell its publisher")
}

/// A refusal with what was expected and found, and the command that would accept it.
fn refusal(error: &Error, bundle: &Bundle, subject: &Subject) -> Failure {
    let failure = Failure::from(error.clone()).while_doing(format_args!("`{}` refused", subject.label));
    if let Error::SignerMismatch { .. } = error {
        return failure.hint(claimed_identity(bundle).map_or_else(
            || "a key signed this: if you know whose, pass that key as `--key PEM`".to_owned(),
            |identity| accepting(&identity, subject),
        ));
    }
    let (Error::IdentityMismatch { expected, found }
    | Error::IssuerMismatch { expected, found }
    | Error::ClaimMismatch { expected, found, .. }) = error
    else {
        return failure;
    };
    let failure = failure
        .fact("expected", visible(expected))
        .fact("found", visible(found));
    match claimed_identity(bundle) {
        Some(identity) => failure.hint(accepting(&identity, subject)),
        None => failure,
    }
}

/// The command that accepts this signer.
pub(crate) fn accepting(identity: &WorkloadIdentity, subject: &Subject) -> String {
    let mut words = vec![
        subject.argument(),
        "--certificate-identity".to_owned(),
        identity.san.as_str().to_owned(),
        "--certificate-oidc-issuer".to_owned(),
        identity.issuer().to_owned(),
    ];
    words.extend(subject.options.iter().cloned());
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("if you expect this signer: cargo sigstore verify {}", words.join(" "))
}

/// Quoted for a shell where needed; control characters are made visible.
fn quoted(text: &str) -> String {
    let text = visible(text);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@=+,%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Provenance, certificate and crate do not say the same.
#[derive(Debug, thiserror::Error)]
#[error("`{label}`: provenance, certificate and crate disagree on check {number}, {name}")]
struct Disagreement {
    label: String,
    number: u8,
    name: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for (text, expected) in [
            ("https://h/o/r@refs/tags/v1", "https://h/o/r@refs/tags/v1"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
            ("a\u{1b}b", r"'a\u{1b}b'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
