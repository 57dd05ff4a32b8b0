//! What a caller demands of a bundle. Every policy names an identity; there is no default.

use crate::{
    Error, PublicKey, WorkloadIdentity,
    identity::Claim,
    provenance,
    statement::{Matches, Outline, read_predicate},
};

/// A demand on a bundle: at least who signed it.
#[derive(Clone, Debug)]
pub struct Policy {
    signer: Signer,
    claims: Vec<(Claim, String)>,
    /// Values that a claim must not have.
    denied: Vec<(Claim, String)>,
    predicate_type: Option<String>,
    builder: Option<String>,
    subject_name: Option<String>,
    only_subject: bool,
    one_match: bool,
    workflow_path: Option<String>,
    workflow_ref: Option<String>,
    thresholds: Thresholds,
    /// Names and Ed25519 keys of the witnesses that count.
    witnesses: Vec<(String, PublicKey)>,
    needs: Needs,
}

/// Whose signature is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    /// A certificate with this name from this issuer.
    Identity { san: Pattern, issuer: String },
    /// Any certificate of a trusted authority: only from [`crate::danger`].
    AnyIdentity,
    /// This key.
    Key(PublicKey),
}

/// How many of each are wanted, each from another log or authority.
#[derive(Clone, Copy, Debug, Default)]
struct Thresholds {
    logs: usize,
    timestamps: usize,
    witnesses: usize,
}

/// What a bundle must carry whatever else is demanded: only [`crate::danger`] takes one away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// At least one log entry, and an SCT in the certificate.
    pub(crate) transparency: bool,
    /// At least one authenticated time.
    pub(crate) time: bool,
}

/// A text to compare with, from its first to its last character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(String),
    /// Literal pieces between wildcards.
    Glob(String),
}

impl Policy {
    /// Demands exactly this subject alternative name and issuer.
    ///
    /// # Errors
    /// [`Error::EmptyIdentity`] when either is empty.
    pub fn identity(san: &str, issuer: &str) -> Result<Self, Error> {
        if san.is_empty() || issuer.is_empty() {
            return Err(Error::EmptyIdentity);
        }
        Ok(Self::new(Signer::Identity {
            san: Pattern::Exact(san.to_owned()),
            issuer: issuer.to_owned(),
        }))
    }

    /// Demands a subject alternative name that the whole pattern matches, and exactly this issuer.
    ///
    /// `*` stands for any characters but `/`, `**` for any characters. A pattern is anchored at both ends by itself.
    /// Before the first wildcard must stand a scheme, a host and at least one part of the path (or, for an e-mail
    /// address, nothing but the part before the `@` may be a wildcard), so that nobody can register a matching name elsewhere.
    ///
    /// # Errors
    /// [`Error::EmptyIdentity`] when either is empty, [`Error::Pattern`] when a wildcard stands too early.
    pub fn identity_pattern(pattern: &str, issuer: &str) -> Result<Self, Error> {
        if pattern.is_empty() || issuer.is_empty() {
            return Err(Error::EmptyIdentity);
        }
        check_anchored(pattern)?;
        Ok(Self::new(Signer::Identity {
            san: Pattern::Glob(pattern.to_owned()),
            issuer: issuer.to_owned(),
        }))
    }

    /// Demands a managed key instead of a certificate.
    #[must_use]
    pub fn managed_key(key: PublicKey) -> Self {
        Self::new(Signer::Key(key))
    }

    /// Further demands this value of a claim.
    #[must_use]
    pub fn claim(mut self, claim: Claim, value: &str) -> Self {
        self.claims.push((claim, value.to_owned()));
        self
    }

    /// Further refuses this value of a claim, as a trigger like `pull_request_target`.
    #[must_use]
    pub fn deny_claim(mut self, claim: Claim, value: &str) -> Self {
        self.denied.push((claim, value.to_owned()));
        self
    }

    /// Further demands a statement with this predicate type.
    #[must_use]
    pub fn predicate_type(mut self, uri: &str) -> Self {
        self.predicate_type = Some(uri.to_owned());
        self
    }

    /// Further demands provenance of this builder: `runDetails.builder.id` of SLSA v1, `builder.id` of v0.2.
    #[must_use]
    pub fn builder(mut self, id: &str) -> Self {
        self.builder = Some(id.to_owned());
        self
    }

    /// Further demands that the subject that matches the artifact has this name.
    #[must_use]
    pub fn subject_name(mut self, name: &str) -> Self {
        self.subject_name = Some(name.to_owned());
        self
    }

    /// Further demands that the statement has no other subject than the artifact.
    #[must_use]
    pub const fn only_subject(mut self) -> Self {
        self.only_subject = true;
        self
    }

    /// Further demands that exactly one subject of the statement has the artifact's digest: no second name for the same bytes.
    #[must_use]
    pub const fn one_match(mut self) -> Self {
        self.one_match = true;
        self
    }

    /// Further demands that the build configuration (claim 18) is the file at this path of its repository, as
    /// `.github/workflows/release.yml`.
    #[must_use]
    pub fn workflow_path(mut self, path: &str) -> Self {
        self.workflow_path = Some(path.to_owned());
        self
    }

    /// Further demands that the build configuration (claim 18) was taken from this ref, or commit.
    #[must_use]
    pub fn workflow_ref(mut self, reference: &str) -> Self {
        self.workflow_ref = Some(reference.to_owned());
        self
    }

    /// Further demands entries in at least this many different logs.
    #[must_use]
    pub const fn logs(mut self, at_least: usize) -> Self {
        self.thresholds.logs = at_least;
        self
    }

    /// Further demands timestamps of at least this many different timestamp authorities.
    #[must_use]
    pub const fn timestamps(mut self, at_least: usize) -> Self {
        self.thresholds.timestamps = at_least;
        self
    }

    /// Further demands that at least this many of these witnesses, each a name and an Ed25519 key, have cosigned a
    /// checkpoint that the bundle's entries stand in [C2SP tlog-cosignature]. A witness named twice counts once.
    #[must_use]
    pub fn witnesses(mut self, at_least: usize, known: &[(&str, PublicKey)]) -> Self {
        self.thresholds.witnesses = at_least;
        for (name, key) in known {
            let is_new = |(_, other): &(String, PublicKey)| other != key;
            if self.witnesses.iter().all(is_new) {
                self.witnesses.push(((*name).to_owned(), key.clone()));
            }
        }
        self
    }

    /// Of several subjects with the artifact's digest, the one with this name is meant.
    pub(crate) fn wanted_subject_name(&self) -> Option<&str> {
        self.subject_name.as_deref()
    }

    pub(crate) fn known_witnesses(&self) -> &[(String, PublicKey)] {
        &self.witnesses
    }

    pub(crate) const fn new(signer: Signer) -> Self {
        Self {
            signer,
            claims: Vec::new(),
            denied: Vec::new(),
            predicate_type: None,
            builder: None,
            subject_name: None,
            only_subject: false,
            one_match: false,
            workflow_path: None,
            workflow_ref: None,
            thresholds: Thresholds {
                logs: 0,
                timestamps: 0,
                witnesses: 0,
            },
            witnesses: Vec::new(),
            needs: Needs {
                transparency: true,
                time: true,
            },
        }
    }

    pub(crate) const fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(crate) const fn needs(&self) -> Needs {
        self.needs
    }

    pub(crate) const fn needs_mut(&mut self) -> &mut Needs {
        &mut self.needs
    }

    /// Checks identity, issuer and claims; a managed key was compared where the signature was checked.
    ///
    /// # Errors
    /// [`Error::IdentityMismatch`], [`Error::IssuerMismatch`], [`Error::ClaimMismatch`].
    pub(crate) fn check_identity(&self, identity: Option<&WorkloadIdentity>) -> Result<(), Error> {
        if let (Signer::Identity { san, issuer }, Some(identity)) = (&self.signer, identity) {
            if !san.matches(identity.san.as_str()) {
                return Err(Error::IdentityMismatch {
                    expected: san.text().to_owned(),
                    found: identity.san.as_str().to_owned(),
                });
            }
            if identity.issuer() != issuer {
                return Err(Error::IssuerMismatch {
                    expected: issuer.clone(),
                    found: identity.issuer().to_owned(),
                });
            }
        }
        let found = |claim| identity.and_then(|identity| identity.claim(claim));
        for (claim, expected) in &self.claims {
            demand(found(*claim), expected, mismatch(*claim))?;
        }
        for (claim, denied) in &self.denied {
            if found(*claim) == Some(denied) {
                return Err(Error::ClaimDenied {
                    claim: claim.name(),
                    found: denied.clone(),
                });
            }
        }
        self.check_workflow(identity)
    }

    /// The workflow is the certificate's build configuration, split as [`provenance::workflow`] does.
    fn check_workflow(&self, identity: Option<&WorkloadIdentity>) -> Result<(), Error> {
        if self.workflow_path.is_none() && self.workflow_ref.is_none() {
            return Ok(());
        }
        let found = identity.and_then(provenance::workflow);
        if let Some(expected) = &self.workflow_path {
            let path = found.as_ref().map(|workflow| workflow.path.as_str());
            demand(path, expected, mismatch(Claim::BuildConfigUri))?;
        }
        if let Some(expected) = &self.workflow_ref {
            let reference = found.as_ref().map(|workflow| workflow.reference.as_str());
            demand(reference, expected, mismatch(Claim::BuildConfigUri))?;
        }
        Ok(())
    }

    /// Checks predicate type, builder and subject.
    ///
    /// # Errors
    /// [`Error::PredicateTypeMismatch`], [`Error::BuilderMismatch`], [`Error::SubjectMismatch`], [`Error::SubjectName`],
    /// [`Error::Repeated`].
    pub(crate) fn check_statement(
        &self,
        statement: Option<&(Outline<'_>, Matches)>,
        payload: Option<&[u8]>,
    ) -> Result<(), Error> {
        let outline = statement.map(|(outline, _)| outline);
        if let Some(expected) = &self.predicate_type {
            let found = outline.map(|outline| outline.predicate_type.as_ref());
            demand(found, expected, |expected, found| Error::PredicateTypeMismatch {
                expected,
                found,
            })?;
        }
        if let Some(expected) = &self.builder {
            let predicate = payload.map(read_predicate).transpose()?;
            let found = predicate.as_ref().and_then(builder_id);
            demand(found, expected, |expected, found| Error::BuilderMismatch {
                expected,
                found,
            })?;
        }
        if let Some(expected) = &self.subject_name {
            let subject = statement.and_then(|(outline, matches)| outline.subjects.get(matches.chosen));
            let found = subject.map(|subject| subject.name.as_ref());
            demand(found, expected, |expected, found| Error::SubjectName {
                expected,
                found,
            })?;
        }
        if self.only_subject && outline.is_none_or(|outline| outline.subjects.len() != 1) {
            return Err(Error::SubjectMismatch);
        }
        match statement {
            None if self.one_match => Err(Error::SubjectMismatch),
            Some((_, matches)) if self.one_match && matches.count != 1 => Err(Error::Repeated {
                what: "subject with the artifact's digest",
            }),
            None | Some(_) => Ok(()),
        }
    }

    /// Checks how many different logs, authorities and witnesses speak for the bundle.
    ///
    /// # Errors
    /// [`Error::Threshold`].
    pub(crate) fn check_thresholds(&self, logs: usize, timestamps: usize, witnesses: usize) -> Result<(), Error> {
        let counts = [
            ("logs", self.thresholds.logs, logs),
            ("timestamp authorities", self.thresholds.timestamps, timestamps),
            ("witnesses", self.thresholds.witnesses, witnesses),
        ];
        let short = counts.into_iter().find(|(_, needed, found)| found < needed);
        short.map_or(Ok(()), |(what, needed, found)| {
            Err(Error::Threshold { what, needed, found })
        })
    }
}

impl Pattern {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(expected) => expected == text,
            Self::Glob(pattern) => glob_matches(pattern.as_bytes(), text.as_bytes()),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Glob(text) => text,
        }
    }
}

/// Whether the whole of `text` fits: `*` any bytes but `/`, `**` any bytes.
///
/// Each position of the pattern is visited at most once for each position of the text, so the time is at most the
/// product of both lengths.
fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    // `reached[i]`: whether the pattern read so far can end at text position i.
    let mut reached = vec![false; text.len().saturating_add(1)];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    let mut rest = pattern;
    while let Some((first, tail)) = rest.split_first() {
        let (wildcard, crosses, next) = match (first, tail.split_first()) {
            (b'*', Some((b'*', after))) => (true, true, after),
            (b'*', _) => (true, false, tail),
            _ => (false, false, tail),
        };
        reached = advance(
            &reached,
            text,
            |byte| {
                if wildcard {
                    crosses || byte != b'/'
                } else {
                    byte == *first
                }
            },
            wildcard,
        );
        rest = next;
    }
    reached.last().copied().unwrap_or_default()
}

/// Positions reached after one literal byte, or after any number of allowed bytes.
fn advance(reached: &[bool], text: &[u8], allowed: impl Fn(u8) -> bool, repeats: bool) -> Vec<bool> {
    let mut next = Vec::with_capacity(reached.len());
    let mut previous_next = false;
    let mut previous_reached = false;
    for (position, here) in reached.iter().enumerate() {
        let byte = position.checked_sub(1).and_then(|index| text.get(index));
        let steps = byte.is_some_and(|byte| allowed(*byte));
        let value = if repeats {
            *here || (steps && previous_next)
        } else {
            steps && previous_reached
        };
        next.push(value);
        previous_next = value;
        previous_reached = *here;
    }
    next
}

fn mismatch(claim: Claim) -> impl FnOnce(String, String) -> Error {
    move |expected, found| Error::ClaimMismatch {
        claim: claim.name(),
        expected,
        found,
    }
}

fn check_anchored(pattern: &str) -> Result<(), Error> {
    let literal = pattern.split('*').next().unwrap_or_default();
    if let Some((_, rest)) = literal.split_once("://") {
        let Some((host, path)) = rest.split_once('/') else {
            return Err(Error::Pattern {
                rule: "no wildcard in the host",
            });
        };
        if host.is_empty() || !path.contains('/') {
            return Err(Error::Pattern {
                rule: "no wildcard in the first part of the path",
            });
        }
        return Ok(());
    }
    let domain_is_literal = pattern
        .rsplit_once('@')
        .is_some_and(|(_, domain)| !domain.is_empty() && !domain.contains('*'));
    if domain_is_literal && !pattern.contains("://") {
        Ok(())
    } else {
        Err(Error::Pattern {
            rule: "before a wildcard stand scheme, host and one part of the path",
        })
    }
}

/// What is demanded was found. Nothing is not the empty text: a demand for the empty text is never met by silence.
fn demand(found: Option<&str>, expected: &str, refuse: impl FnOnce(String, String) -> Error) -> Result<(), Error> {
    if found == Some(expected) {
        Ok(())
    } else {
        Err(refuse(expected.to_owned(), found.unwrap_or_default().to_owned()))
    }
}

fn builder_id(predicate: &serde_json::Value) -> Option<&str> {
    let v1 = predicate.pointer("/runDetails/builder/id");
    let v0 = predicate.pointer("/builder/id");
    v1.or(v0)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_identity_is_no_policy() {
        assert!(Policy::identity("a", "b").is_ok());
        assert_eq!(Policy::identity("", "b").unwrap_err(), Error::EmptyIdentity);
        assert_eq!(Policy::identity("a", "").unwrap_err(), Error::EmptyIdentity);
        assert_eq!(Policy::identity_pattern("", "b").unwrap_err(), Error::EmptyIdentity);
        assert_eq!(
            Policy::identity_pattern("https://h/o/*", "").unwrap_err(),
            Error::EmptyIdentity
        );
    }

    #[test]
    fn a_refusal_says_what_was_expected() {
        for (policy, expected) in [
            (Policy::identity("a", "b"), "a"),
            (Policy::identity_pattern("https://h/o/*", "b"), "https://h/o/*"),
        ] {
            let found = WorkloadIdentity {
                san: crate::identity::SubjectAlternativeName::Uri("c".to_owned()),
                claims: std::collections::BTreeMap::new(),
            };
            let refused = policy.and_then(|policy| policy.check_identity(Some(&found)));
            assert_eq!(
                refused,
                Err(Error::IdentityMismatch {
                    expected: expected.to_owned(),
                    found: "c".to_owned()
                })
            );
        }
    }

    #[test]
    fn a_pattern_matches_from_end_to_end() {
        for (pattern, text, expected) in [
            ("https://h/o/*", "https://h/o/r", true),
            ("https://h/o/*", "https://h/o/", true),
            ("https://h/o/*", "https://h/o/r/w", false),
            ("https://h/o/**", "https://h/o/r/w", true),
            ("https://h/o/*/w@refs/tags/*", "https://h/o/r/w@refs/tags/v1", true),
            ("https://h/o/*/w@refs/tags/*", "https://h/o/r/w@refs/tags/v1/x", false),
            ("https://h/o/*/w@refs/tags/*", "https://h/o/r/w@refs/heads/v1", false),
            ("https://h/o/r", "https://h/o/rr", false),
            ("https://h/o/r", "xhttps://h/o/r", false),
            ("*@example.com", "me@example.com", true),
            ("*@example.com", "me@example.com.evil.org", false),
        ] {
            let matches = Pattern::Glob(pattern.to_owned()).matches(text);
            assert_eq!(matches, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_wildcard_in_host_or_owner_is_refused() {
        assert!(Policy::identity_pattern("https://github.com/owner/*", "i").is_ok());
        assert!(Policy::identity_pattern("*@example.com", "i").is_ok());
        for pattern in [
            "*",
            "https://*",
            "https://github.com/*",
            "https://*/o/r",
            "me@*",
            "**/x",
        ] {
            assert!(
                matches!(Policy::identity_pattern(pattern, "i"), Err(Error::Pattern { .. })),
                "{pattern}"
            );
        }
    }
}
