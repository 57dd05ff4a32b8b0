//! Leaves that come to be only when their place in the log is known.

use sha2::{Digest as _, Sha256};
use verify::{
    entry,
    merkle::{self, NodeHash},
    sct::{LoggedCertificate, TileLeaf},
};

use super::LogError;
use crate::keys::SigningKey;

/// What is logged, before it has an index.
pub(super) trait LeafBuilder: Send {
    /// What makes two submissions the same. `[u8; 32]`.
    fn identity(&self) -> [u8; 32];
    /// Bytes that the submission holds while it waits.
    fn waiting_bytes(&self) -> usize;
    /// The leaf at this index and time.
    fn leaf(&self, index: u64, time_ms: u64) -> Result<Leaf, LogError>;
}

/// A leaf in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Bytes in the entry bundle.
    pub(super) entry: Vec<u8>,
    /// Merkle leaf hash.
    pub(super) hash: NodeHash,
    /// Time to remember, in milliseconds; 0 where the log states none.
    pub(super) time_ms: u64,
    /// See [`super::database::LeafRow::seal`].
    pub(super) seal: Vec<u8>,
    /// Issuer certificates by fingerprint, CT only.
    pub(super) issuers: Vec<([u8; 32], Vec<u8>)>,
}

/// A canonical body in the v2 log: no time, no promise.
#[derive(Debug)]
pub(super) struct BodyLeaf {
    pub(super) body: Vec<u8>,
}

/// A canonical body in the v1 log: whole seconds and a promise.
#[derive(Debug)]
pub(super) struct PromisedLeaf {
    pub(super) body: Vec<u8>,
    pub(super) key: SigningKey,
}

/// A precertificate in the CT log.
#[derive(Debug)]
pub(super) struct PrecertificateLeaf {
    pub(super) precertificate: Vec<u8>,
    pub(super) tbs: Vec<u8>,
    pub(super) issuer_key_hash: [u8; 32],
    /// DER, issuer first, root last.
    pub(super) chain: Vec<Vec<u8>>,
}

/// A final certificate in the CT log: the log's own, as its genesis.
#[derive(Debug)]
pub(super) struct CertificateLeaf {
    pub(super) der: Vec<u8>,
}

impl LeafBuilder for BodyLeaf {
    fn identity(&self) -> [u8; 32] {
        merkle::leaf_hash(&self.body)
    }
    fn waiting_bytes(&self) -> usize {
        self.body.len()
    }
    fn leaf(&self, _index: u64, _time_ms: u64) -> Result<Leaf, LogError> {
        let entry = self.body.clone();
        Ok(Leaf {
            hash: self.identity(),
            entry,
            time_ms: 0,
            seal: Vec::new(),
            issuers: Vec::new(),
        })
    }
}

impl LeafBuilder for PromisedLeaf {
    fn identity(&self) -> [u8; 32] {
        merkle::leaf_hash(&self.body)
    }
    fn waiting_bytes(&self) -> usize {
        self.body.len()
    }
    fn leaf(&self, index: u64, time_ms: u64) -> Result<Leaf, LogError> {
        let seconds = time_ms / 1000;
        let payload = promise_payload(&self.body, seconds, &self.key.public_key().id().0, index);
        let (entry, seal) = (self.body.clone(), self.key.sign(&payload)?);
        Ok(Leaf {
            hash: self.identity(),
            entry,
            time_ms: seconds.saturating_mul(1000),
            seal,
            issuers: Vec::new(),
        })
    }
}

impl LeafBuilder for CertificateLeaf {
    fn identity(&self) -> [u8; 32] {
        certificate_identity(&self.der)
    }
    fn waiting_bytes(&self) -> usize {
        self.der.len()
    }
    fn leaf(&self, index: u64, time_ms: u64) -> Result<Leaf, LogError> {
        Ok(ct_leaf(
            &TileLeaf {
                timestamp_ms: time_ms,
                logged: LoggedCertificate::Certificate(self.der.clone()),
                extensions: verify::sct::leaf_index_extension(index).to_vec(),
                precertificate: Vec::new(),
                chain_fingerprints: Vec::new(),
            },
            Vec::new(),
        ))
    }
}

impl LeafBuilder for PrecertificateLeaf {
    fn identity(&self) -> [u8; 32] {
        precertificate_identity(&self.issuer_key_hash, &self.tbs)
    }
    fn waiting_bytes(&self) -> usize {
        let chain: usize = self.chain.iter().map(Vec::len).sum();
        chain
            .saturating_add(self.precertificate.len())
            .saturating_add(self.tbs.len())
    }
    fn leaf(&self, index: u64, time_ms: u64) -> Result<Leaf, LogError> {
        let issuers: Vec<([u8; 32], Vec<u8>)> = self
            .chain
            .iter()
            .map(|der| (Sha256::digest(der).into(), der.clone()))
            .collect();
        let leaf = TileLeaf {
            timestamp_ms: time_ms,
            logged: LoggedCertificate::Precertificate {
                issuer_key_hash: self.issuer_key_hash,
                tbs: self.tbs.clone(),
            },
            extensions: verify::sct::leaf_index_extension(index).to_vec(),
            precertificate: self.precertificate.clone(),
            chain_fingerprints: issuers.iter().map(|(fingerprint, _)| *fingerprint).collect(),
        };
        Ok(ct_leaf(&leaf, issuers))
    }
}

fn ct_leaf(leaf: &TileLeaf, issuers: Vec<([u8; 32], Vec<u8>)>) -> Leaf {
    let entry = leaf.to_bytes();
    Leaf {
        hash: merkle::leaf_hash(&leaf.merkle_tree_leaf()),
        time_ms: leaf.timestamp_ms,
        seal: Sha256::digest(&entry).to_vec(),
        entry,
        issuers,
    }
}

/// What the v1 promise is signed over. `seconds` is Unix time.
pub(super) fn promise_payload(body: &[u8], seconds: u64, log_id: &[u8; 32], index: u64) -> Vec<u8> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    entry::signed_entry_timestamp_payload(body, seconds, log_id, index)
}

/// The same certificate of the same issuer is one entry, however its precertificate was signed.
pub(super) fn precertificate_identity(issuer_key_hash: &[u8; 32], tbs: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(issuer_key_hash);
    hash.update(tbs);
    hash.finalize().into()
}

/// A final certificate is itself.
pub(super) fn certificate_identity(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}
