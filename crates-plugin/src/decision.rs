//! The decision on one crate: evidence in, [`Verdict`] out. No clock, no network, no files.
//!
//! The order is cheap before dear, and each refusal lists everything found at its step: the archive's own rules, the request
//! against the manifest inside, the policy's rule, the bundles, the fourteen provenance checks.

use package::{Archive, Description, Limits, Manifest, Registries, original};
use verify::{
    Artifact, Budget, Bundle, Policy, Sha256Digest, UnixTime, Verified, Verifier, WorkloadIdentity,
    agreement::{self, CrateFacts, Expectations, Publisher},
    bundle::Content,
    certificate::Certificate,
    provenance::{PREDICATE_TYPE as PROVENANCE, package_url},
};

mod findings;

use findings::{
    agreement_finding, archive_finding, changed_finding, denied_event, difference_finding, evidence_finding,
    missing_finding, new_name_finding, other_caller, unlisted_finding,
};

use crate::policy::{FirstPublish, PublisherChange, RegistryPolicy, Rule, Unlisted};

/// What a decision needs besides the crate.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// Who may publish what.
    pub policy: &'a RegistryPolicy,
    /// Whom to believe.
    pub verifier: &'a Verifier,
    /// The registry that the gate stands before.
    pub registries: &'a Registries,
    /// The index URLs that package URLs may name; none for crates.io.
    pub index_urls: &'a [String],
    /// Bounds on the archive.
    pub limits: &'a Limits,
    /// Bounds on the evidence.
    pub budget: &'a Budget,
    /// What the registry had before.
    pub history: &'a History,
}

/// What the registry had before this crate came.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Whether this is the first version of its name.
    pub name: NameState,
    /// Who published the version before, where the gate admitted it.
    pub previous: Option<Publisher>,
    /// Identities that published other crates here.
    pub known: Vec<Rule>,
}

/// Whether a crate of the name is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameState {
    /// It is, or it does not matter: nothing is being published.
    #[default]
    Taken,
    /// It is not.
    New,
    /// The index could not be asked.
    Unknown,
}

/// The crate to decide on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Name, as the request or URL says it.
    pub name: &'a str,
    /// Version, likewise.
    pub version: &'a str,
    /// The `.crate`.
    pub archive: &'a [u8],
    /// What the publish request or the index line says of it, where there is one.
    pub claimed: Option<&'a Description>,
}

/// What is known about a digest.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// Every bundle found; possibly none.
    Bundles(Vec<Bundle>),
    /// The store could not be asked.
    Unavailable,
}

/// The decision.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Let it through.
    Admit(Admission),
    /// We looked and refuse: at least one finding.
    Refuse(Vec<Finding>),
    /// We could not look; to be asked again.
    Defer,
}

/// Why a crate is let through.
#[derive(Clone, Debug)]
pub struct Admission {
    /// SHA-256 of the archive.
    pub digest: Sha256Digest,
    /// What the manifest inside says: index lines are held against it.
    pub description: Description,
    /// On what ground.
    pub ground: Ground,
    /// What the policy only warns of.
    pub warnings: Vec<Finding>,
}

/// On what ground a crate is let through.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ground {
    /// Verified statements, provenance first, and the SLSA build level.
    Attested {
        /// What was verified.
        statements: Vec<Verified>,
        /// SLSA build level.
        level: u8,
    },
    /// An exception of the policy.
    Exception {
        /// Why.
        reason: String,
        /// Its last second.
        until: UnixTime,
    },
    /// No rule names the crate, and the policy lets such crates through.
    Unlisted,
}

/// One thing wrong with a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable kebab-case code of `docs/codes.md`.
    pub code: &'static str,
    /// What is wrong, with what was expected and found.
    pub cause: String,
    /// What to do.
    pub hint: &'static str,
}

impl Ground {
    /// Who published, where that was established.
    #[must_use]
    pub fn identity(&self) -> Option<&WorkloadIdentity> {
        match self {
            Self::Attested { statements, .. } => statements.first().and_then(Verified::identity),
            Self::Exception { .. } | Self::Unlisted => None,
        }
    }

    /// When it ends to hold, for an exception.
    #[must_use]
    pub const fn until(&self) -> Option<UnixTime> {
        match self {
            Self::Exception { until, .. } => Some(*until),
            Self::Attested { .. } | Self::Unlisted => None,
        }
    }
}

/// `attested …`, `exception …`, `unlisted`: one line of good news.
impl std::fmt::Display for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Attested { level, .. } => {
                let identity = self.identity().map_or("nobody", |identity| identity.san.as_str());
                write!(f, "attested by {identity}, SLSA build level {level}")
            }
            Self::Exception { reason, .. } => write!(f, "let through by an exception: {reason}"),
            Self::Unlisted => f.write_str("not attested: no rule of the registry names this crate"),
        }
    }
}

impl Ground {
    /// One word for the ledger.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Attested { .. } => "attested",
            Self::Exception { .. } => EXCEPTION,
            Self::Unlisted => "unlisted",
        }
    }
}

/// The ledger's word for an exception, the one ground that ends by itself.
pub(crate) const EXCEPTION: &str = "exception";

impl Verdict {
    /// One word for metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Admit(_) => "admit",
            Self::Refuse(_) => "refuse",
            Self::Defer => "defer",
        }
    }
}

/// `code: cause`, then the hint on a line of its own.
impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\nhint: {}", self.code, self.cause, self.hint)
    }
}

impl Gate<'_> {
    /// Decides on one crate.
    #[must_use]
    pub fn decide(&self, candidate: &Candidate<'_>, evidence: &Evidence, now: UnixTime) -> Verdict {
        let (archive, manifest) = match self.open(candidate) {
            Ok(opened) => opened,
            Err(error) => return Verdict::Refuse(vec![archive_finding(&error)]),
        };
        let differences = candidate
            .claimed
            .map(|claimed| manifest.description.differences(claimed));
        if let Some(differences) = differences.filter(|list| !list.is_empty()) {
            return Verdict::Refuse(differences.iter().map(difference_finding).collect());
        }
        let admit = |(ground, warnings)| {
            let digest = Sha256Digest::of(candidate.archive);
            Verdict::Admit(Admission {
                digest,
                description: manifest.description.clone(),
                ground,
                warnings,
            })
        };
        let exception = self.policy.exception_for(candidate.name, candidate.version, now);
        if let Some((exception, until)) = exception.and_then(|found| Some((found, found.last_second()?))) {
            let reason = exception.reason.clone();
            return admit((Ground::Exception { reason, until }, Vec::new()));
        }
        let departures = departures(&archive, &manifest);
        if !departures.is_empty() {
            return Verdict::Refuse(departures);
        }
        let asked = match self.who_may(candidate.name) {
            Ok(asked) => asked,
            Err(Some(finding)) => return Verdict::Refuse(vec![finding]),
            Err(None) => return Verdict::Defer,
        };
        if asked.is_empty() {
            return admit((Ground::Unlisted, Vec::new()));
        }
        let Evidence::Bundles(bundles) = evidence else {
            return Verdict::Defer;
        };
        let mut refused = Vec::new();
        for rule in asked {
            match self.attested(candidate, &archive, &manifest, rule, bundles, now) {
                Ok(grounds) => return admit(grounds),
                Err(findings) if refused.is_empty() => refused = findings,
                Err(_) => {}
            }
        }
        Verdict::Refuse(refused)
    }

    /// Whose attestation the crate needs: the rule's; that of any known identity for a new name that no rule has; nobody's.
    /// No finding when it cannot be told.
    fn who_may(&self, name: &str) -> Result<Vec<&Rule>, Option<Finding>> {
        let rule = self.policy.rule_for(name);
        if rule.is_none() && self.policy.unlisted() == Unlisted::Refuse {
            return Err(Some(unlisted_finding(name)));
        }
        let first = self.policy.first_publish();
        if first == FirstPublish::Open || self.history.name == NameState::Taken {
            return Ok(rule.into_iter().collect());
        }
        if self.history.name == NameState::Unknown {
            return Err(None);
        }
        match (first, rule) {
            (FirstPublish::Reserved, Some(rule)) if rule.lists(name) => Ok(vec![rule]),
            (FirstPublish::ExistingIdentity, Some(rule)) => Ok(vec![rule]),
            (FirstPublish::ExistingIdentity, None) => {
                let known: Vec<&Rule> = self.policy.rules().iter().chain(&self.history.known).collect();
                if known.is_empty() {
                    return Err(Some(new_name_finding(name)));
                }
                Ok(known)
            }
            (FirstPublish::Open | FirstPublish::Reserved, _) => Err(Some(new_name_finding(name))),
        }
    }

    fn open(&self, candidate: &Candidate<'_>) -> Result<(Archive, Manifest), package::Error> {
        let archive = Archive::read(candidate.archive, candidate.name, candidate.version, self.limits)?;
        let manifest = Manifest::of_package(&archive.manifest, candidate.name, candidate.version, self.registries)?;
        Ok((archive, manifest))
    }

    /// Every required statement verified under the rule's identity, and the provenance in agreement with the crate.
    fn attested(
        &self,
        candidate: &Candidate<'_>,
        archive: &Archive,
        manifest: &Manifest,
        rule: &Rule,
        bundles: &[Bundle],
        now: UnixTime,
    ) -> Result<(Ground, Vec<Finding>), Vec<Finding>> {
        let digest = Sha256Digest::of(candidate.archive);
        if bundles.is_empty() {
            return Err(vec![missing_finding(&digest)]);
        }
        let facts = self.facts(candidate, archive, manifest, digest);
        let mut required = rule.required_statements();
        let provenance = required.next().unwrap_or(PROVENANCE);
        let (provenance, level, warnings) = self.agreeing(rule, provenance, &facts, bundles, now)?;
        let mut statements = vec![provenance];
        for predicate_type in required {
            let mut verified = self.statements(rule, predicate_type, &digest, bundles, now)?;
            statements.push(verified.swap_remove(0));
        }
        Ok((Ground::Attested { statements, level }, warnings))
    }

    /// The first verified provenance that agrees with the crate, its level, and what the policy only warns of; else what is
    /// wrong with the first. The same archive may have been published to other registries before, with provenance that
    /// names those.
    fn agreeing(
        &self,
        rule: &Rule,
        predicate_type: &str,
        facts: &CrateFacts,
        bundles: &[Bundle],
        now: UnixTime,
    ) -> Result<(Verified, u8, Vec<Finding>), Vec<Finding>> {
        let mut refused = Vec::new();
        let known_by: Vec<CrateFacts> = self.package_urls(facts).collect();
        for provenance in self.statements(rule, predicate_type, &facts.digest, bundles, now)? {
            for facts in &known_by {
                match self.agreement(rule, &provenance, facts) {
                    Ok((level, warnings)) => return Ok((provenance, level, warnings)),
                    Err(findings) if refused.is_empty() => refused = findings,
                    Err(_) => {}
                }
            }
        }
        Err(refused)
    }

    /// The level of a provenance that agrees with the crate, and what the policy only warns of; else every difference.
    fn agreement(
        &self,
        rule: &Rule,
        provenance: &Verified,
        facts: &CrateFacts,
    ) -> Result<(u8, Vec<Finding>), Vec<Finding>> {
        if let Some(event) = denied_event(rule, provenance) {
            return Err(vec![event]);
        }
        if let Some(elsewhere) = other_caller(rule, provenance) {
            return Err(vec![elsewhere]);
        }
        let expectations = Expectations {
            issuers: vec![rule.issuer.clone()],
            trusted_builders: self.policy.trusted_builders().to_vec(),
            minimum_level: rule.minimum_level,
            tag_required: rule.tag_required,
            previous: self.history.previous.clone(),
        };
        let report = agreement::examine(provenance, facts, &expectations, self.budget)
            .map_err(|error| vec![evidence_finding(&error)])?;
        let (changed, differences): (Vec<_>, Vec<_>) =
            report.differences().partition(|check| check.number == CONTINUITY);
        let mut refused: Vec<Finding> = differences.into_iter().map(agreement_finding).collect();
        let mut warnings: Vec<Finding> = changed.into_iter().map(changed_finding).collect();
        match self.policy.publisher_change() {
            PublisherChange::Ignore => warnings.clear(),
            PublisherChange::Warn => {}
            PublisherChange::Refuse => refused.append(&mut warnings),
        }
        if refused.is_empty() {
            Ok((report.level, warnings))
        } else {
            Err(refused)
        }
    }

    /// Every bundle that verifies with this predicate type, at least one; else why each did not.
    fn statements(
        &self,
        rule: &Rule,
        predicate_type: &str,
        digest: &Sha256Digest,
        bundles: &[Bundle],
        now: UnixTime,
    ) -> Result<Vec<Verified>, Vec<Finding>> {
        let (mut verified, mut findings) = (Vec::new(), Vec::new());
        for bundle in bundles.iter().filter(|bundle| may_state(bundle, predicate_type)) {
            let proof = rule_policy(rule, predicate_type, bundle)
                .and_then(|policy| self.verifier.verify(bundle, &Artifact::Digest(*digest), &policy, now));
            match proof {
                Ok(proof) => verified.push(proof),
                Err(error) => {
                    let finding = evidence_finding(&error);
                    if !findings.contains(&finding) {
                        findings.push(finding);
                    }
                }
            }
        }
        if !verified.is_empty() {
            return Ok(verified);
        }
        if findings.is_empty() {
            findings.push(Finding {
                code: "gate-statement-missing",
                cause: format!("no statement of type {predicate_type} for sha256:{digest}"),
                hint: "publish with `cargo sigstore publish`, which attests everything the policy can ask for",
            });
        }
        Err(findings)
    }

    /// The crate under each URL of the registry that provenance may name it by; that of crates.io without any.
    fn package_urls(&self, facts: &CrateFacts) -> impl Iterator<Item = CrateFacts> {
        let none = self.index_urls.is_empty().then_some(None);
        let urls = none
            .into_iter()
            .chain(self.index_urls.iter().map(|url| Some(url.as_str())));
        urls.map(|url| CrateFacts {
            package_url: package_url(&facts.name, &facts.version, url),
            ..facts.clone()
        })
    }

    fn facts(
        &self,
        candidate: &Candidate<'_>,
        archive: &Archive,
        manifest: &Manifest,
        digest: Sha256Digest,
    ) -> CrateFacts {
        CrateFacts {
            name: candidate.name.to_owned(),
            version: candidate.version.to_owned(),
            digest,
            package_url: package_url(
                candidate.name,
                candidate.version,
                self.index_urls.first().map(String::as_str),
            ),
            vcs: archive.vcs_info.as_ref().map(|vcs| agreement::VcsInfo {
                commit: vcs.commit.clone(),
                dirty: vcs.dirty,
                path: vcs.path.clone().unwrap_or_default(),
            }),
            repository: manifest.repository.clone(),
        }
    }
}

/// Where the generated manifest departs from the original beside it. An original that cannot be read is no sign of anything.
fn departures(archive: &Archive, manifest: &Manifest) -> Vec<Finding> {
    let original = archive.original_manifest.as_deref();
    let found = original.and_then(|original| original::departures(&archive.manifest, original).ok());
    let finding = |departure: &original::Departure| Finding {
        code: "gate-manifest-departs",
        cause: format!(
            "Cargo.toml of {} {} departs from Cargo.toml.orig: {departure}",
            manifest.description.name, manifest.description.version
        ),
        hint: "cargo makes the one from the other; package with an unmodified cargo",
    };
    found.iter().flatten().map(finding).collect()
}

/// Whether a bundle need not be left out for what it states, which is read before anything is verified: most of the time of a
/// decision is signatures. What cannot be read is not left out, and refused by the verifier.
fn may_state(bundle: &Bundle, predicate_type: &str) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stated<'a> {
        #[serde(borrow)]
        predicate_type: std::borrow::Cow<'a, str>,
    }
    match &bundle.content {
        Content::Dsse(envelope) => serde_json::from_slice::<Stated<'_>>(&envelope.payload)
            .map_or(true, |stated| stated.predicate_type == predicate_type),
        Content::Message { .. } => false,
    }
}

/// Where any reusable workflow may sign, the name that this bundle's certificate has is the one to be verified: whose run it was, the
/// claims say, all of which the rule demands, and [`other_caller`] looks at what was started.
fn rule_policy(rule: &Rule, predicate_type: &str, bundle: &Bundle) -> Result<Policy, verify::Error> {
    let called = rule.any_builder.then(|| signer(bundle)).flatten();
    let policy = match called {
        Some(workflow) => Policy::identity(&workflow, &rule.issuer)?,
        None => Policy::identity_pattern(&rule.certificate_pattern(), &rule.issuer)?,
    };
    let policy = policy.predicate_type(predicate_type);
    Ok(rule
        .claims()
        .into_iter()
        .fold(policy, |policy, (claim, value)| policy.claim(claim, value)))
}

/// The name in a bundle's certificate, before anything is verified.
fn signer(bundle: &Bundle) -> Option<String> {
    let certificate = Certificate::from_der(bundle.certificate()?, &Budget::default()).ok()?;
    Some(certificate.identity().ok()?.san.as_str().to_owned())
}

/// Check 14: the publisher is that of the version before.
const CONTINUITY: u8 = 14;

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_of_the_gate_has_its_paragraph() {
        let paragraphs = include_str!("../../docs/codes/crates-plugin.md");
        let sources = [
            include_str!("decision.rs"),
            include_str!("decision/findings.rs"),
            include_str!("service/hook.rs"),
            include_str!("policy.rs"),
            include_str!("service/publish.rs"),
            include_str!("service/download.rs"),
            include_str!("service/exchange.rs"),
            include_str!("trusted_publishing.rs"),
            include_str!("trusted_publishing/claims.rs"),
            include_str!("webhook.rs"),
        ];
        let codes = sources.iter().flat_map(|source| source.split('"')).filter(|text| {
            let own = text.starts_with("gate-") || text.starts_with("policy-");
            own && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && text.len() > 7
        });
        let mut found = 0;
        for code in codes {
            assert!(paragraphs.contains(&format!("\n## {code}\n")), "{code}");
            found += 1;
        }
        assert!(found >= 9, "the codes are really read: {found}");
    }
}
