//! What came of looking at one artifact.

use serde_json::{Value, json};
use verify::{
    Verified, WorkloadIdentity,
    identity::{Claim, SubjectAlternativeName},
    verifier::{AuthenticatedEntry, IndexScope, TimeSource},
};

use crate::{
    evidence::{contents::Contents, registry::RegistryStatement, source::Equality, target::Subject},
    failure::{Exit, Failure},
};

/// One artifact and what was established about it.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The artifact.
    pub(crate) subject: Subject,
    /// The answer.
    pub(crate) outcome: Outcome,
    /// The bundles that held.
    pub(crate) proofs: Vec<Verified>,
    /// Why others did not, or why nobody could look.
    pub(crate) refusals: Vec<Failure>,
    /// What registries say.
    pub(crate) registry: Vec<RegistryStatement>,
    /// What is inside, where a lock file names the crate.
    pub(crate) contents: Option<Contents>,
    /// That it holds what its commit holds.
    pub(crate) source: Option<Equality>,
}

/// How much evidence there is. Each rank from E3 on includes those before it but E1 and E2, of which the second is nothing that
/// could be looked at here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Nothing that counts.
    E0,
    /// It holds what the commit holds that it names itself.
    E1,
    /// Signed by whom the user expects.
    E3,
    /// And it holds what the attested commit holds.
    E4,
    /// And a pinned registry admitted it.
    E5,
}

impl Rank {
    /// As reports call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::E0 => "E0",
            Self::E1 => "E1",
            Self::E3 => "E3",
            Self::E4 => "E4",
            Self::E5 => "E5",
        }
    }
}

/// The answer about one artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Signed by whom the user expects.
    Verified,
    /// Signed, but the user said nothing about by whom.
    Signed,
    /// There is no bundle.
    Unattested,
    /// It could not be looked at.
    Unavailable,
    /// There are bundles and none holds, or one that the user named does not.
    Refused,
}

impl Outcome {
    /// The word for the screen and for JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Signed => "signed",
            Self::Unattested => "unattested",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}

impl Finding {
    /// A finding without bundles.
    pub(crate) const fn without(subject: Subject, outcome: Outcome) -> Self {
        Self {
            subject,
            outcome,
            proofs: Vec::new(),
            refusals: Vec::new(),
            registry: Vec::new(),
            contents: None,
            source: None,
        }
    }

    /// The answer cannot be better than this failure's.
    pub(crate) fn spoil(&mut self, failure: Failure) {
        self.outcome = self.outcome.max(outcome_of(&failure));
        self.refusals.push(failure);
    }

    /// How much evidence there is. A registry's word adds to equality with the source, and stands in for nothing.
    pub(crate) fn rank(&self) -> Rank {
        let equal = self.source.as_ref();
        let admitted = self.registry.iter().any(RegistryStatement::is_admission);
        match (self.told(), equal) {
            (Outcome::Verified, Some(equal)) if equal.attested && admitted => Rank::E5,
            (Outcome::Verified, Some(equal)) if equal.attested => Rank::E4,
            (Outcome::Verified, _) => Rank::E3,
            (Outcome::Signed | Outcome::Unattested, Some(_)) => Rank::E1,
            (Outcome::Signed | Outcome::Unattested | Outcome::Unavailable | Outcome::Refused, _) => Rank::E0,
        }
    }

    /// Nobody could look, for this reason.
    pub(crate) fn unavailable(subject: Subject, why: Failure) -> Self {
        Self {
            refusals: vec![why],
            ..Self::without(subject, Outcome::Unavailable)
        }
    }

    /// The answer as it is told: what is inside may spoil what the bundles say.
    pub(crate) fn told(&self) -> Outcome {
        let spoilt = self.contents.iter().flat_map(|contents| &contents.refusals);
        let worst = spoilt.map(outcome_of);
        worst.max().map_or(self.outcome, |worst| worst.max(self.outcome))
    }

    /// Why bundles do not hold, why nobody could look, and what is wrong inside.
    pub(crate) fn all_refusals(&self) -> impl Iterator<Item = &Failure> {
        let inside = self.contents.iter().flat_map(|contents| &contents.refusals);
        self.refusals.iter().chain(inside)
    }

    /// The proof to show first: provenance when there is one.
    pub(crate) fn best(&self) -> Option<&Verified> {
        let is_provenance = |proof: &&Verified| proof.predicate_type() == Some(verify::provenance::PREDICATE_TYPE);
        self.proofs.iter().find(is_provenance).or_else(|| self.proofs.first())
    }

    /// Identity, commit, log index and time, for a table.
    pub(crate) fn row(&self) -> [String; 4] {
        let proof = self.best();
        let identity = proof.and_then(Verified::identity);
        let commit = identity.and_then(|identity| identity.claim(Claim::SourceRepositoryDigest));
        let entry = proof.and_then(|proof| proof.log_entries().first());
        let time = proof.and_then(|proof| proof.times().first());
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            or_dash(identity.map(|identity| identity.san.as_str().to_owned())),
            or_dash(commit.map(|commit| commit.chars().take(12).collect())),
            or_dash(entry.map(index_words)),
            or_dash(time.map(|time| time.at.to_string())),
        ]
    }

    /// The finding as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let (name, version) = self.subject.package.clone().unzip();
        let mut document = json!({
            "artifact": self.subject.label,
            "name": name,
            "version": version,
            "digest": format!("sha256:{}", self.subject.digest),
            "outcome": self.told().name(),
            "rank": self.rank().name(),
            "evidence": self.proofs.iter().map(proof_json).collect::<Vec<_>>(),
            "refusals": self.all_refusals().map(Failure::to_json).collect::<Vec<_>>(),
        });
        if let (Some(document), Some(contents)) = (document.as_object_mut(), &self.contents) {
            document.insert("contents".to_owned(), contents.to_json());
        }
        if let (Some(document), Some(source)) = (document.as_object_mut(), &self.source) {
            document.insert("source".to_owned(), source.to_json());
        }
        if let Some(document) = document.as_object_mut().filter(|_| !self.registry.is_empty()) {
            let statements = self.registry.iter().map(RegistryStatement::to_json).collect();
            document.insert("registry".to_owned(), statements);
        }
        document
    }
}

fn outcome_of(failure: &Failure) -> Outcome {
    match failure.exit() {
        Exit::Unavailable => Outcome::Unavailable,
        Exit::Yes | Exit::Refused | Exit::Usage | Exit::Bug => Outcome::Refused,
    }
}

/// Everything a verified bundle established.
pub(crate) fn proof_json(proof: &Verified) -> Value {
    json!({
        "identity": proof.identity().map(identity_json),
        "predicateType": proof.predicate_type(),
        "subject": proof.subject().map(|subject| subject.name.as_str()),
        "logEntries": log_entries_json(proof),
        "times": times_json(proof),
        "signedCertificateTimestamps": scts_json(proof),
        "witnesses": witnesses_json(proof),
        "checks": proof.checks(),
    })
}

/// The log entries whose proof or promise held.
pub(crate) fn log_entries_json(proof: &Verified) -> Vec<Value> {
    let entries = proof.log_entries().iter();
    entries
        .map(|entry| {
            let checkpoint = entry.checkpoint();
            json!({
                "log": entry.log_url,
                "logId": hex::encode(entry.log_id),
                "index": entry.index,
                "indexWithin": scope_name(entry.scope),
                "origin": checkpoint.map(|checkpoint| checkpoint.origin.as_str()),
                "treeSize": checkpoint.map(|checkpoint| checkpoint.size),
                "kind": entry.kind,
            })
        })
        .collect()
}

/// The times that somebody trusted signed.
pub(crate) fn times_json(proof: &Verified) -> Vec<Value> {
    let times = proof.times().iter();
    times
        .map(|time| json!({"time": time.at.to_string(), "source": source_name(&time.source)}))
        .collect()
}

/// What CT logs say of the certificate.
pub(crate) fn scts_json(proof: &Verified) -> Vec<Value> {
    let scts = proof.scts();
    scts.map(|sct| {
        json!({
            "log": sct.log_url,
            "logId": hex::encode(sct.log_id),
            "time": sct.at.to_string(),
            "index": sct.index,
        })
    })
    .collect()
}

/// Which of the named witnesses saw the checkpoints, and when.
pub(crate) fn witnesses_json(proof: &Verified) -> Vec<Value> {
    let cosignatures = proof.cosignatures().iter();
    cosignatures
        .map(|cosignature| {
            json!({
                "name": cosignature.witness,
                "origin": cosignature.origin,
                "time": cosignature.at.to_string(),
            })
        })
        .collect()
}

/// What an index counts in, for JSON.
const fn scope_name(scope: IndexScope) -> &'static str {
    match scope {
        IndexScope::Log => "log",
        IndexScope::Tree => "tree",
    }
}

/// The index for people: who looks for it in the log has to know when it counts in one shard only.
fn index_words(entry: &AuthenticatedEntry) -> String {
    match entry.scope {
        IndexScope::Log => entry.index.to_string(),
        IndexScope::Tree => format!("{} in tree", entry.index),
    }
}

/// An identity with every claim.
pub(crate) fn identity_json(identity: &WorkloadIdentity) -> Value {
    let claims: serde_json::Map<String, Value> = identity
        .claims
        .iter()
        .map(|(claim, value)| (claim.name().to_owned(), value.as_str().into()))
        .collect();
    json!({
        "subjectAlternativeName": identity.san.as_str(),
        "kind": kind_name(&identity.san),
        "issuer": identity.issuer(),
        "claims": claims,
    })
}

/// The kind of a subject alternative name.
pub(crate) const fn kind_name(name: &SubjectAlternativeName) -> &'static str {
    match name {
        SubjectAlternativeName::Uri(_) => "uri",
        SubjectAlternativeName::Email(_) => "email",
        SubjectAlternativeName::Username(_) => "username",
    }
}

/// Who states a time.
pub(crate) fn source_name(source: &TimeSource) -> String {
    if let TimeSource::TimestampAuthority(url) = source {
        format!("timestamp authority {url}")
    } else if let TimeSource::LogPromise(url) = source {
        format!("log {url}")
    } else {
        "another source".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use verify::Sha256Digest;

    use super::*;

    fn rank(outcome: Outcome, attested: Option<bool>, statements: &[Option<Failure>]) -> Rank {
        let subject = Subject::package("a", "1.0.0", Sha256Digest([1; 32]));
        let finding = Finding {
            source: attested.map(Equality::of_one),
            registry: statements.iter().cloned().map(RegistryStatement::summary).collect(),
            ..Finding::without(subject, outcome)
        };
        finding.rank()
    }

    #[test]
    fn the_highest_rank_takes_signer_source_and_registry_together() {
        let admitted = [None];
        assert_eq!(rank(Outcome::Verified, Some(true), &admitted), Rank::E5);
        // Each without one of them.
        assert_eq!(rank(Outcome::Verified, Some(true), &[]), Rank::E4);
        assert_eq!(rank(Outcome::Verified, None, &admitted), Rank::E3);
        assert_eq!(rank(Outcome::Signed, Some(true), &admitted), Rank::E1);
        // A commit that only the crate names, and a statement that falls short, make none.
        assert_eq!(rank(Outcome::Verified, Some(false), &admitted), Rank::E3);
        let short = [Some(Failure::from(verify::Error::Statement))];
        assert_eq!(rank(Outcome::Verified, Some(true), &short), Rank::E4);
        assert_eq!(rank(Outcome::Unattested, Some(false), &admitted), Rank::E1);
        for outcome in [Outcome::Refused, Outcome::Unavailable] {
            assert_eq!(rank(outcome, Some(true), &admitted), Rank::E0);
        }
        assert_eq!(rank(Outcome::Signed, None, &admitted), Rank::E0);
    }

    #[test]
    fn a_failure_spoils_the_answer() {
        let subject = Subject::package("a", "1.0.0", Sha256Digest([1; 32]));
        let mut finding = Finding::without(subject, Outcome::Verified);
        let unavailable = Failure::from(verify::Error::Statement).with_exit(Exit::Unavailable);
        finding.spoil(unavailable);
        assert_eq!(finding.outcome, Outcome::Unavailable);
        finding.spoil(Failure::from(verify::Error::Statement));
        assert_eq!(finding.outcome, Outcome::Refused);
    }
}
