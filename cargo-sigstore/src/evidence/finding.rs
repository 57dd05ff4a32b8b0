//! What came of looking at one artifact.

use serde_json::{Value, json};
use verify::{
    Verified, WorkloadIdentity,
    identity::{Claim, SubjectAlternativeName},
    verifier::TimeSource,
};

use crate::{
    evidence::{registry::RegistryStatement, target::Subject},
    failure::Failure,
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
        }
    }

    /// Nobody could look, for this reason.
    pub(crate) fn unavailable(subject: Subject, why: Failure) -> Self {
        Self {
            refusals: vec![why],
            ..Self::without(subject, Outcome::Unavailable)
        }
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
            or_dash(entry.map(|entry| entry.index.to_string())),
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
            "outcome": self.outcome.name(),
            "evidence": self.proofs.iter().map(proof_json).collect::<Vec<_>>(),
            "refusals": self.refusals.iter().map(Failure::to_json).collect::<Vec<_>>(),
        });
        if let Some(document) = document.as_object_mut().filter(|_| !self.registry.is_empty()) {
            let statements = self.registry.iter().map(RegistryStatement::to_json).collect();
            document.insert("registry".to_owned(), statements);
        }
        document
    }
}

/// Everything a verified bundle established.
pub(crate) fn proof_json(proof: &Verified) -> Value {
    json!({
        "identity": proof.identity().map(identity_json),
        "predicateType": proof.predicate_type(),
        "subject": proof.subject().map(|subject| subject.name.as_str()),
        "logEntries": log_entries_json(proof),
        "times": proof.times().iter().map(|time| json!({
            "time": time.at.to_string(), "source": source_name(&time.source),
        })).collect::<Vec<_>>(),
        "checks": proof.checks(),
    })
}

/// The log entries whose proof held.
pub(crate) fn log_entries_json(proof: &Verified) -> Vec<Value> {
    let entries = proof.log_entries().iter();
    entries
        .map(|entry| {
            json!({
                "log": entry.log_url, "logId": hex::encode(entry.log_id), "index": entry.index, "kind": entry.kind,
            })
        })
        .collect()
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
