//! The verifier, and the only maker of [`Verified`].

use crate::{
    Budget, Bundle, Error, Policy, Sha256Digest, TrustedRoot, UnixTime, WorkloadIdentity,
    statement::{Statement, Subject},
};

/// What the bundle is claimed to speak of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Artifact<'a> {
    /// The bytes themselves.
    Bytes(&'a [u8]),
    /// Its SHA-256, as in `Cargo.lock`.
    Digest(Sha256Digest),
}

/// Checks bundles against one trusted root. Keys and chains are parsed and checked once, here.
#[derive(Debug)]
pub struct Verifier {
    _private: (),
}

impl Verifier {
    /// Prepares a trusted root: keys, chains, their dates and usages.
    ///
    /// # Errors
    /// [`Error::TrustedRoot`] when a chain in it does not hold together.
    pub fn new(_trusted_root: TrustedRoot) -> Result<Self, Error> {
        todo!()
    }
    /// The same with limits of the caller's.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_budget(_trusted_root: TrustedRoot, _budget: Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Checks everything a bundle claims of `artifact`, then the policy.
    ///
    /// # Errors
    /// The first check that fails; see `docs/codes.md`.
    pub fn verify(
        &self,
        _bundle: &Bundle,
        _artifact: &Artifact<'_>,
        _policy: &Policy,
        _now: UnixTime,
    ) -> Result<Verified, Error> {
        todo!()
    }
}

/// A bundle that held: the evidence, not a boolean. Only [`Verifier`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    statement: Option<Statement>,
    subject: Option<Subject>,
    identity: Option<WorkloadIdentity>,
    times: Vec<AuthenticatedTime>,
    log_entries: Vec<AuthenticatedEntry>,
    checks: Vec<&'static str>,
}

/// An instant that somebody trusted signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedTime {
    /// When.
    pub at: UnixTime,
    /// Who says so.
    pub source: TimeSource,
}

/// Who stated a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeSource {
    /// A timestamp authority, by its URI.
    TimestampAuthority(String),
    /// A v1 log's signed entry timestamp, by the log's URL.
    LogPromise(String),
}

/// A log entry whose proof held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedEntry {
    /// The log's URL.
    pub log_url: String,
    /// Index as the bundle states it.
    pub index: u64,
    /// Kind and version, `hashedrekord 0.0.2`.
    pub kind: String,
}

impl Verified {
    /// The statement of a DSSE bundle.
    #[must_use]
    pub const fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }
    /// The subject that matched the artifact.
    #[must_use]
    pub const fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }
    /// Who signed; none for a managed key.
    #[must_use]
    pub const fn identity(&self) -> Option<&WorkloadIdentity> {
        self.identity.as_ref()
    }
    /// Every authenticated time, at least one.
    #[must_use]
    pub fn times(&self) -> &[AuthenticatedTime] {
        &self.times
    }
    /// Every log entry.
    #[must_use]
    pub fn log_entries(&self) -> &[AuthenticatedEntry] {
        &self.log_entries
    }
    /// Names of the checks made, in order.
    #[must_use]
    pub fn checks(&self) -> &[&'static str] {
        &self.checks
    }
}
