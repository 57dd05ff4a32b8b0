//! What a bundle that held establishes: the evidence, not a boolean.
//!
//! Everything here was signed by somebody whom the trusted root or the policy names. What a bundle says besides, nobody
//! vouches for, and it is left out.

use std::sync::Arc;

use super::{attested::Attested, leaf::Leaf};
use crate::{
    PublicKey, Sha256Digest, UnixTime, WorkloadIdentity,
    bundle::TransparencyLogEntry,
    checkpoint::{Checkpoint, SignedCheckpoint},
    identity::Claim,
    statement::{Statement, Subject},
};

/// A bundle that held. Only [`Verifier`](super::Verifier) makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    pub(super) artifact: Option<Sha256Digest>,
    pub(super) attested: Option<Attested>,
    pub(super) signer: Signatory,
    pub(super) times: Vec<AuthenticatedTime>,
    pub(super) log_entries: Vec<AuthenticatedEntry>,
    pub(super) cosignatures: Vec<Cosignature>,
    pub(super) checks: Vec<&'static str>,
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

/// A log entry whose proof or promise held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedEntry {
    /// The log's URL.
    pub log_url: String,
    /// The log's id.
    pub log_id: [u8; 32],
    /// The index that the log vouches for.
    pub index: u64,
    /// What [`Self::index`] counts in.
    pub scope: IndexScope,
    /// Kind and version, `hashedrekord 0.0.2`.
    pub kind: String,
    pub(super) checkpoint: Option<Arc<SignedCheckpoint>>,
}

/// What the index of a log entry counts in. The index that a bundle states beside the proof counts over all shards of a
/// v1 log, but the log signs it in its promise only [Rekor v1, signed entry timestamp].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexScope {
    /// The whole log: a v2 log's only tree, or every shard of a v1 log, as its promise says.
    Log,
    /// The tree of [`AuthenticatedEntry::checkpoint`], as the inclusion proof shows: one shard of a v1 log that promised nothing.
    Tree,
}

/// A CT log's word that it has the certificate [RFC 6962 §3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthenticatedSct<'a> {
    /// The CT log's URL.
    pub log_url: &'a str,
    /// The CT log's id.
    pub log_id: &'a [u8; 32],
    /// When it took the certificate, to the second.
    pub at: UnixTime,
    /// Index of the leaf, where a static CT log signed it.
    pub index: Option<u64>,
}

/// A witness's word that it saw a checkpoint, and no other history of its log [C2SP tlog-cosignature].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Position of the witness in the policy.
    position: usize,
    /// The witness's name, as the policy gives it.
    pub witness: String,
    /// Origin of the checkpoint.
    pub origin: String,
    /// When, by the witness's own clock. No certificate is valid because of it.
    pub at: UnixTime,
}

/// Who signed.
#[derive(Clone, Debug)]
pub(super) enum Signatory {
    Leaf(Arc<Leaf>),
    Key(PublicKey),
}

impl Verified {
    /// SHA-256 of the artifact that was checked; none when only other digests of it were given.
    #[must_use]
    pub const fn artifact_digest(&self) -> Option<&Sha256Digest> {
        self.artifact.as_ref()
    }

    /// The statement of a DSSE bundle; built from the signed bytes at the first call.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        self.attested.as_ref()?.statement()
    }

    /// Predicate type of the statement.
    #[must_use]
    pub fn predicate_type(&self) -> Option<&str> {
        Some(self.statement()?.predicate_type.as_str())
    }

    /// The subject that matched the artifact.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.attested.as_ref()?.subject()
    }

    /// Who signed; none for a managed key.
    #[must_use]
    pub fn identity(&self) -> Option<&WorkloadIdentity> {
        Some(&self.leaf()?.identity)
    }

    /// The key that signed: the certificate's, or the managed one.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        match &self.signer {
            Signatory::Leaf(leaf) => leaf.certificate.public_key(),
            Signatory::Key(key) => key,
        }
    }

    /// A claim of the certificate.
    #[must_use]
    pub fn claim(&self, claim: Claim) -> Option<&str> {
        self.identity()?.claim(claim)
    }

    /// Every authenticated time, at least one unless the policy came from [`crate::danger::untimed_managed_key`].
    #[must_use]
    pub fn times(&self) -> &[AuthenticatedTime] {
        &self.times
    }

    /// Every log entry.
    #[must_use]
    pub fn log_entries(&self) -> &[AuthenticatedEntry] {
        &self.log_entries
    }

    /// Index of the first entry; [`AuthenticatedEntry::scope`] says in what.
    #[must_use]
    pub fn log_index(&self) -> Option<u64> {
        self.log_entries.first().map(|entry| entry.index)
    }

    /// Id of the first log that the bundle names.
    #[must_use]
    pub fn log_id(&self) -> Option<&[u8; 32]> {
        self.log_entries.first().map(|entry| &entry.log_id)
    }

    /// Every SCT of the certificate; none for a managed key.
    pub fn scts(&self) -> impl Iterator<Item = AuthenticatedSct<'_>> {
        self.leaf().into_iter().flat_map(Leaf::scts)
    }

    /// Every cosignature by a witness that the policy names, whether or not the policy demands it, of a checkpoint that an
    /// entry stands in.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }

    /// Names of the checks made, in order. Those that end in `signature` cost one signature check each
    /// (unless a batch had made it before).
    #[must_use]
    pub fn checks(&self) -> &[&'static str] {
        &self.checks
    }

    fn leaf(&self) -> Option<&Leaf> {
        match &self.signer {
            Signatory::Leaf(leaf) => Some(leaf),
            Signatory::Key(_) => None,
        }
    }
}

impl AuthenticatedEntry {
    /// What the log signed of the tree that the inclusion proof leads to; none where a v0.1 bundle has a promise only.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        Some(&self.signed_checkpoint()?.checkpoint)
    }

    /// Whether this is what was established of `stated`, an entry of the bundle.
    #[must_use]
    pub fn is_of(&self, stated: &TransparencyLogEntry) -> bool {
        let proof = stated.inclusion_proof.as_ref();
        let index = match self.scope {
            IndexScope::Log => Some(stated.log_index),
            IndexScope::Tree => proof.map(|proof| proof.log_index),
        };
        index == Some(self.index) && self.log_id.as_slice() == stated.log_id
    }

    pub(super) fn signed_checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.checkpoint.as_deref()
    }
}

impl Cosignature {
    pub(super) fn new(position: usize, witness: &str, origin: &str, at: UnixTime) -> Self {
        Self {
            position,
            witness: witness.to_owned(),
            origin: origin.to_owned(),
            at,
        }
    }

    /// Position of the witness in the policy: two witnesses may have one name.
    pub(super) const fn position(&self) -> usize {
        self.position
    }
}
