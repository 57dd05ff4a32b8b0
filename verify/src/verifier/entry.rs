//! Log entries: that a trusted log holds this entry, and that the entry is about this very signature.

use std::sync::Arc;

use base64::Engine as _;

use super::{
    AuthenticatedEntry, AuthenticatedTime, IndexScope, SigningSubject, TimeSource, Verifier, batch::Cache,
    content::Signed,
};
use crate::{
    Digest, Error, HashAlgorithm, UnixTime,
    base64_text::STANDARD,
    bundle::{BundleVersion, InclusionProof, TransparencyLogEntry},
    checkpoint::SignedCheckpoint,
    entry::{Entry, EntryVerifier, signed_entry_timestamp_payload},
    key::KeyDetails,
    merkle,
    trusted_root::TransparencyLog,
};

mod expected;

/// An entry whose promise and proof held.
pub(super) struct EntryEvidence {
    pub(super) entry: AuthenticatedEntry,
    /// Index of the log in the verifier.
    pub(super) log: usize,
    /// When the log promised it; v1 only.
    pub(super) time: Option<AuthenticatedTime>,
}

/// Which API made the entry. A v2 log states no time and makes no promise; its name is its host's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Generation {
    V1,
    V2,
}

/// Checks that the entry is about `signed` by `subject`, and that its log holds it.
pub(super) fn verify(
    verifier: &Verifier,
    version: BundleVersion,
    stated: &TransparencyLogEntry,
    signed: &Signed<'_>,
    subject: &SigningSubject<'_>,
    cache: Option<&Cache>,
    checks: &mut Vec<&'static str>,
) -> Result<EntryEvidence, Error> {
    let (index, log) = find_log(verifier, stated)?;
    let generation = match expected::generation(stated, signed, subject) {
        Some(generation) => generation,
        None => read_body(verifier, stated, signed, subject)?,
    };
    checks.push("log entry");
    let time = verify_promise(log, stated, generation)?;
    if time.is_some() {
        checks.push("inclusion promise signature");
    }
    let mut checkpoint = None;
    let proof = stated.inclusion_proof.as_ref();
    if let Some(proof) = proof.filter(|proof| !proof.checkpoint.is_empty()) {
        checkpoint = Some(check_checkpoint(verifier, log, proof, generation, cache)?);
        checks.push("checkpoint signature");
    } else if !has_only_promise(stated, version) {
        return Err(Error::ProofMissing);
    }
    if let Some(proof) = proof {
        check_index(stated, proof, generation)?;
        verify_inclusion(stated, proof)?;
        checks.push("inclusion proof");
    }
    let (position, scope) = match proof {
        // A v1 log signs the index over all its shards in its promise, and nowhere else.
        Some(proof) if generation == Generation::V1 && time.is_none() => (proof.log_index, IndexScope::Tree),
        _ => (stated.log_index, IndexScope::Log),
    };
    Ok(EntryEvidence {
        entry: AuthenticatedEntry {
            log_url: log.base_url.clone(),
            log_id: log.log_id,
            index: position,
            scope,
            kind: format!("{} {}", stated.kind, stated.kind_version),
            checkpoint,
        },
        log: index,
        time,
    })
}

impl EntryEvidence {
    /// The log is believed for the time that it promised; a log that states no time, for every time that others state.
    pub(super) fn check_times(&self, verifier: &Verifier, times: &[UnixTime]) -> Result<(), Error> {
        let Some(log) = verifier.logs.get(self.log) else {
            return Err(Error::UnknownLog);
        };
        let outside = |at: &UnixTime| !log.valid_for.contains(*at);
        let failing = match &self.time {
            Some(time) => Some(time.at).filter(outside),
            None => times.iter().copied().find(outside),
        };
        failing.map_or(Ok(()), |at| Err(Error::LogTime { at }))
    }
}

fn find_log<'v>(verifier: &'v Verifier, stated: &TransparencyLogEntry) -> Result<(usize, &'v TransparencyLog), Error> {
    let mut logs = verifier.logs.iter().enumerate();
    logs.find(|(_, log)| log.has_id(&stated.log_id))
        .ok_or(Error::UnknownLog)
}

/// Reads a body that is not the [`expected`] one, and says what in it is about something else.
fn read_body(
    verifier: &Verifier,
    stated: &TransparencyLogEntry,
    signed: &Signed<'_>,
    subject: &SigningSubject<'_>,
) -> Result<Generation, Error> {
    let body = Entry::parse(&stated.canonicalized_body, &verifier.budget)?;
    if body.kind() != stated.kind || body.kind_version() != stated.kind_version {
        return Err(mismatch("kind"));
    }
    check_binding(&body, signed, subject)?;
    Ok(generation_of(&body))
}

const fn generation_of(body: &Entry) -> Generation {
    match body {
        Entry::HashedRekordV002(_) | Entry::DsseV002(_) => Generation::V2,
        Entry::HashedRekordV001(_) | Entry::DsseV001(_) | Entry::IntotoV002(_) => Generation::V1,
    }
}

/// The signed entry timestamp: a v1 log's word that it will include the entry, and when it took it.
fn verify_promise(
    log: &TransparencyLog,
    stated: &TransparencyLogEntry,
    generation: Generation,
) -> Result<Option<AuthenticatedTime>, Error> {
    if generation == Generation::V2 {
        // A v2 log never says either; a bundle that does claims something nobody vouches for.
        if stated.inclusion_promise.is_some() {
            return Err(mismatch("inclusion promise"));
        }
        if stated.integrated_time.is_some() {
            return Err(mismatch("integrated time"));
        }
        return Ok(None);
    }
    let Some(promise) = &stated.inclusion_promise else {
        return Ok(None);
    };
    let at = stated.integrated_time.ok_or(Error::InclusionPromise)?;
    let message =
        signed_entry_timestamp_payload(&stated.canonicalized_body, at.as_secs(), &log.log_id, stated.log_index);
    log.key
        .verify(log.key_details.scheme(), &message, promise)
        .map_err(|_| Error::InclusionPromise)?;
    Ok(Some(AuthenticatedTime {
        at,
        source: TimeSource::LogPromise(log.base_url.clone()),
    }))
}

/// Clients of early 2023 wrote v0.1 bundles with no proof, or with one that leads to no checkpoint.
fn has_only_promise(stated: &TransparencyLogEntry, version: BundleVersion) -> bool {
    version == BundleVersion::V0_1 && stated.inclusion_promise.is_some()
}

/// A v1 log counts over all its shards and its proofs within one, so that a proof's index is never the higher one
/// [Rekor v1, virtual log index]; a v2 log has no shards.
fn check_index(stated: &TransparencyLogEntry, proof: &InclusionProof, generation: Generation) -> Result<(), Error> {
    let agree = match generation {
        Generation::V1 => proof.log_index <= stated.log_index,
        Generation::V2 => proof.log_index == stated.log_index,
    };
    if agree {
        Ok(())
    } else {
        Err(Error::CheckpointMismatch { field: "log index" })
    }
}

fn verify_inclusion(stated: &TransparencyLogEntry, proof: &InclusionProof) -> Result<(), Error> {
    merkle::verify_inclusion(
        &merkle::leaf_hash(&stated.canonicalized_body),
        proof.log_index,
        proof.tree_size,
        &proof.hashes,
        &proof.root_hash,
    )
}

/// The log signed a checkpoint of the very tree that the proof is about.
fn check_checkpoint(
    verifier: &Verifier,
    log: &TransparencyLog,
    proof: &InclusionProof,
    generation: Generation,
    cache: Option<&Cache>,
) -> Result<Arc<SignedCheckpoint>, Error> {
    let read = || verify_checkpoint(verifier, log, &proof.checkpoint, generation);
    let signed = match cache {
        Some(cache) => cache.checkpoint(&log.log_id, &proof.checkpoint, read)?,
        None => Arc::new(read()?),
    };
    if signed.checkpoint.size != proof.tree_size {
        return Err(Error::CheckpointMismatch { field: "tree size" });
    }
    if signed.checkpoint.root != proof.root_hash {
        return Err(Error::CheckpointMismatch { field: "root hash" });
    }
    Ok(signed)
}

/// Reads a checkpoint, checks that it is this log's and that the log signed it.
fn verify_checkpoint(
    verifier: &Verifier,
    log: &TransparencyLog,
    text: &str,
    generation: Generation,
) -> Result<SignedCheckpoint, Error> {
    let signed = SignedCheckpoint::parse(text.as_bytes(), &verifier.budget)?;
    let origin = signed.checkpoint.origin.as_str();
    let (name, key_id) = match generation {
        Generation::V2 if origin == log.host() => (origin, log.checkpoint_id()),
        Generation::V1 => {
            let plain = (origin == log.host()).then_some(origin);
            let name = plain.or_else(|| v1_name(origin)).ok_or_else(|| foreign(origin))?;
            (name, log.key.id().0)
        }
        Generation::V2 => return Err(foreign(origin)),
    };
    signed.verify(name, &key_id, &log.key)?;
    Ok(signed)
}

/// `<name> - <decimal tree id>`, as Rekor writes it; a log of another make may use its host name alone. The name is the server's own idea of its host, which a proxy may hide from the trusted root.
fn v1_name(origin: &str) -> Option<&str> {
    let (name, tree) = origin.rsplit_once(" - ")?;
    let is_decimal = !tree.is_empty() && tree.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then_some(name)
}

/// The entry names this digest, this signature and this signer.
fn check_binding(body: &Entry, signed: &Signed<'_>, subject: &SigningSubject<'_>) -> Result<(), Error> {
    match body {
        Entry::HashedRekordV002(entry) => {
            check_details(entry.key_details, entry.digest.algorithm(), signed, subject)?;
            check_digest(&entry.digest, signed)?;
            check_signature(&entry.signature, signed)?;
            check_verifier(&entry.verifier, subject)
        }
        Entry::HashedRekordV001(entry) => {
            check_digest(&entry.digest, signed)?;
            check_signature(&entry.signature, signed)?;
            check_pem(&entry.verifier_pem, subject)
        }
        Entry::DsseV001(entry) => {
            check_payload(&entry.payload_hash, signed)?;
            let [(signature, verifier)] = entry.signatures.as_slice() else {
                return Err(mismatch("signatures"));
            };
            check_signature(&STANDARD.decode(signature).map_err(|_| Error::Entry)?, signed)?;
            check_pem(verifier, subject)
        }
        Entry::IntotoV002(entry) => {
            check_payload(&entry.payload_hash, signed)?;
            if signed
                .envelope()
                .is_none_or(|envelope| envelope.payload_type != entry.payload_type)
            {
                return Err(mismatch("payload type"));
            }
            let [signature] = entry.signatures.as_slice() else {
                return Err(mismatch("signatures"));
            };
            check_signature(&signature.signature, signed)?;
            check_pem(&signature.verifier_pem, subject)
        }
        Entry::DsseV002(entry) => {
            check_payload(&entry.payload_hash, signed)?;
            let [(signature, details, verifier)] = entry.signatures.as_slice() else {
                return Err(mismatch("signatures"));
            };
            check_details(*details, details.hash(), signed, subject)?;
            check_signature(signature, signed)?;
            check_verifier(verifier, subject)
        }
    }
}

/// What the entry says of the key, and of how it signed, is true.
fn check_details(
    details: KeyDetails,
    digest: HashAlgorithm,
    signed: &Signed<'_>,
    subject: &SigningSubject<'_>,
) -> Result<(), Error> {
    let signed_so = signed.scheme == Some(details.scheme());
    if details.fits(subject.key().kind()) && details.hash() == digest && signed_so {
        Ok(())
    } else {
        Err(mismatch("key details"))
    }
}

/// The digest is of the signed message, by the hash that the signature covers.
fn check_digest(stated: &Digest, signed: &Signed<'_>) -> Result<(), Error> {
    if signed.covered_hash().is_some_and(|hash| hash != stated.algorithm())
        || signed.digest(stated.algorithm())? != stated
    {
        return Err(mismatch("digest"));
    }
    Ok(())
}

fn check_payload(stated: &Digest, signed: &Signed<'_>) -> Result<(), Error> {
    let envelope = signed.envelope().ok_or(mismatch("content"))?;
    if stated.algorithm().digest(&envelope.payload) == *stated {
        Ok(())
    } else {
        Err(mismatch("payload"))
    }
}

fn check_signature(stated: &[u8], signed: &Signed<'_>) -> Result<(), Error> {
    if stated == signed.signature {
        Ok(())
    } else {
        Err(mismatch("signature"))
    }
}

fn check_verifier(stated: &EntryVerifier, subject: &SigningSubject<'_>) -> Result<(), Error> {
    let same = match (stated, subject) {
        (EntryVerifier::Certificate(der), SigningSubject::Leaf(leaf)) => der == leaf.certificate.der(),
        (EntryVerifier::PublicKey(der), SigningSubject::Key(key)) => der == key.spki_der(),
        (EntryVerifier::Certificate(_), SigningSubject::Key(_))
        | (EntryVerifier::PublicKey(_), SigningSubject::Leaf(_)) => false,
    };
    if same { Ok(()) } else { Err(mismatch("signer")) }
}

/// Compares the decoded blocks: log and bundle need not wrap lines alike.
fn check_pem(stated: &str, subject: &SigningSubject<'_>) -> Result<(), Error> {
    let (label, der) = der::pem::decode_vec(stated.trim().as_bytes()).map_err(|_| Error::Entry)?;
    let same = match subject {
        SigningSubject::Leaf(leaf) => label == "CERTIFICATE" && der == leaf.certificate.der(),
        SigningSubject::Key(key) => label == "PUBLIC KEY" && der == key.spki_der(),
    };
    if same { Ok(()) } else { Err(mismatch("signer")) }
}

const fn mismatch(field: &'static str) -> Error {
    Error::EntryMismatch { field }
}

fn foreign(origin: &str) -> Error {
    Error::CheckpointOrigin {
        found: origin.chars().take(100).collect(),
    }
}
