//! Writing to a log as fast as it answers, and checking what it answered.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use verify::{
    Budget, Sha256Digest, TrustedRoot,
    bundle::TransparencyLogEntry,
    checkpoint::SignedCheckpoint,
    merkle::{NodeHash, leaf_hash, verify_inclusion},
    trusted_root::TransparencyLog,
};

use crate::{Doing as _, Error, Instance, http};

/// Makes log entries: a key and where they go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    http: reqwest::Client,
    url: String,
    key: Arc<EcdsaKeyPair>,
    spki: String,
}

/// An entry the log said it keeps, after every proof in the answer was checked.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// What was sent.
    pub request: Value,
    /// Where it stands.
    pub index: u64,
    /// Hash of the logged bytes.
    pub leaf: NodeHash,
    /// Size of the tree in the checkpoint it came with.
    pub size: u64,
    /// Root of that tree.
    pub root: NodeHash,
}

impl Writer {
    /// A writer to the v2 log at `url`, with a fresh P-256 key.
    ///
    /// # Errors
    /// No key or no HTTP client could be made.
    pub fn new(url: &str) -> Result<Self, Error> {
        let failed = |_| Error::new("make a key", "the crypto library failed");
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
        let spki = STANDARD.encode(key.public_key().as_der().map_err(failed)?.as_ref());
        let http = reqwest::Client::builder()
            .timeout(Duration::from_mins(1))
            .no_proxy()
            .build()
            .doing("make an HTTP client")?;
        Ok(Self {
            http,
            url: format!("{url}/api/v2/log/entries"),
            key: Arc::new(key),
            spki,
        })
    }

    /// A request to log a signature over `message`.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn request(&self, message: &[u8]) -> Result<Value, Error> {
        let signature = self
            .key
            .sign(&SystemRandom::new(), message)
            .map_err(|_| Error::new("sign", "the crypto library failed"))?;
        Ok(json!({"hashedRekordRequestV002": {
            "digest": STANDARD.encode(Sha256Digest::of(message).0),
            "signature": {
                "content": STANDARD.encode(signature.as_ref()),
                "verifier": {"publicKey": {"rawBytes": self.spki}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"},
            },
        }}))
    }

    /// Sends a request; the body of a 201.
    ///
    /// # Errors
    /// The log cannot be reached, or answers anything but 201.
    pub async fn send(&self, request: &Value) -> Result<Vec<u8>, Error> {
        let answer = self.http.post(&self.url).json(request).send().await.doing("append")?;
        let status = answer.status();
        let body = answer.bytes().await.doing("read the answer")?;
        if status != 201 {
            return Err(Error::new(
                "append",
                format!("{status}: {}", String::from_utf8_lossy(&body)),
            ));
        }
        Ok(body.to_vec())
    }
}

/// The v2 log of an instance's trusted root: the one with an Ed25519 key.
///
/// # Errors
/// The trusted root cannot be read or holds none.
pub fn signature_log(instance: &Instance) -> Result<TransparencyLog, Error> {
    let json = std::fs::read(instance.trust("trusted_root.json")).doing("read the trusted root")?;
    let root = TrustedRoot::from_json(&json, &Budget::default()).doing("parse the trusted root")?;
    let mut logs = root.logs.into_iter();
    logs.find(|log| log.key.kind() == verify::key::KeyKind::Ed25519)
        .ok_or_else(|| Error::new("find the v2 log", "no log of the trusted root has an Ed25519 key"))
}

/// Checks an answer wholly: checkpoint signature, its agreement with the proof, and the proof.
///
/// # Errors
/// The first check that fails.
pub fn check(request: &Value, answer: &[u8], log: &TransparencyLog) -> Result<Acknowledged, Error> {
    let entry = TransparencyLogEntry::from_json(answer, &Budget::default()).doing("parse the entry")?;
    let proof = entry
        .inclusion_proof
        .ok_or_else(|| Error::new("check the answer", "no inclusion proof"))?;
    let checkpoint = check_checkpoint(proof.checkpoint.as_bytes(), log)?;
    if (checkpoint.0, checkpoint.1) != (proof.tree_size, proof.root_hash) {
        return Err(Error::new(
            "check the answer",
            "the proof's tree is not the checkpoint's",
        ));
    }
    let leaf = leaf_hash(&entry.canonicalized_body);
    verify_inclusion(&leaf, proof.log_index, proof.tree_size, &proof.hashes, &proof.root_hash)
        .doing("check the proof")?;
    Ok(Acknowledged {
        request: request.clone(),
        index: proof.log_index,
        leaf,
        size: proof.tree_size,
        root: proof.root_hash,
    })
}

/// Size and root of a checkpoint that the log signed.
///
/// # Errors
/// It is malformed or not signed by the log.
pub fn check_checkpoint(bytes: &[u8], log: &TransparencyLog) -> Result<(u64, NodeHash), Error> {
    let signed = SignedCheckpoint::parse(bytes, &Budget::default()).doing("parse the checkpoint")?;
    signed
        .verify(&signed.checkpoint.origin, &log.log_id, &log.key)
        .doing("check the checkpoint")?;
    Ok((signed.checkpoint.size, signed.checkpoint.root))
}

/// Every leaf hash of the log, read from its public entry bundles up to its public checkpoint; and that checkpoint.
///
/// # Errors
/// A bundle or the checkpoint cannot be had, or the leaves do not make the root.
pub fn read_log(url: &str, log: &TransparencyLog) -> Result<(Vec<NodeHash>, u64), Error> {
    let checkpoint = http::get(&format!("{url}/checkpoint"))?;
    let (size, root) = check_checkpoint(&checkpoint.body, log)?;
    let mut leaves = Vec::new();
    for bundle in 0..size.div_ceil(256) {
        let width = u16::try_from((size - bundle * 256).min(256)).doing("count a bundle")?;
        let path = verify::tile::bundle_path("entries", bundle, width);
        let answer = http::get(&format!("{url}/{path}"))?;
        if answer.status != 200 {
            return Err(Error::new(format!("read {path}"), format!("status {}", answer.status)));
        }
        let entries = verify::tile::parse_entry_bundle(&answer.body).doing(format!("parse {path}"))?;
        leaves.extend(entries.into_iter().map(leaf_hash));
    }
    let roots = Roots::of(&leaves);
    if roots.at(size) != Some(root) {
        return Err(Error::new("read the log", "its entries do not make its root"));
    }
    Ok((leaves, size))
}

/// The root of every prefix of a list of leaves [RFC 6962 §2.1], computed without the code under test.
#[derive(Clone, Debug)]
pub struct Roots {
    roots: Vec<NodeHash>,
}

impl Roots {
    /// Hashes the leaves once.
    #[must_use]
    pub fn of(leaves: &[NodeHash]) -> Self {
        let mut roots = vec![Sha256Digest::of(b"").0];
        // Complete subtrees, largest first, each with its number of leaves.
        let mut edge: Vec<(usize, NodeHash)> = Vec::new();
        for leaf in leaves {
            edge.push((1, *leaf));
            while let [.., (left_size, left), (right_size, right)] = edge.as_slice()
                && left_size == right_size
            {
                let merged = (left_size + right_size, node(left, right));
                edge.truncate(edge.len() - 2);
                edge.push(merged);
            }
            let root = edge
                .iter()
                .rev()
                .map(|(_, hash)| *hash)
                .reduce(|right, left| node(&left, &right));
            roots.extend(root);
        }
        Self { roots }
    }

    /// The root of the first `size` leaves.
    #[must_use]
    pub fn at(&self, size: u64) -> Option<NodeHash> {
        self.roots.get(usize::try_from(size).ok()?).copied()
    }
}

fn node(left: &NodeHash, right: &NodeHash) -> NodeHash {
    Sha256Digest::of(&[&[1][..], left, right].concat()).0
}
