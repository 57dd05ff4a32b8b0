//! Log entries of every kind, with their proofs, promises and checkpoints.

use base64::{Engine, engine::general_purpose::STANDARD};
use verify::{
    Bundle, Digest, HashAlgorithm,
    bundle::{Content, InclusionProof, TransparencyLogEntry},
    dsse::IN_TOTO_PAYLOAD_TYPE,
    entry::{
        DsseV001, DsseV002, Entry, EntryVerifier, HashedRekordV001, HashedRekordV002, IntotoSignature, IntotoV002,
        signed_entry_timestamp_payload,
    },
    key::KeyDetails,
    merkle, note,
};

use super::{ARTIFACT, Key, Recipe, SIGNED_AT, World, flip_last};

/// Which log writes which kind of entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    HashedRekordV002,
    DsseV002,
    HashedRekordV001,
    DsseV001,
    IntotoV002,
}

#[derive(Default)]
pub struct CheckpointRecipe {
    pub origin: Option<String>,
    pub name: Option<String>,
    pub size: Option<u64>,
    pub flip_root: bool,
    pub flip_signature: bool,
    pub hint: Option<[u8; 4]>,
    /// Name and Ed25519 key of each witness that cosigns.
    pub witnesses: Vec<(String, Key)>,
}

impl World {
    pub fn entry(&self, recipe: &Recipe, kind: EntryKind, bundle: &Bundle) -> TransparencyLogEntry {
        let body = (recipe.edit_body)(honest_entry(recipe, kind, bundle));
        let is_v2 = matches!(kind, EntryKind::HashedRekordV002 | EntryKind::DsseV002);
        let canonicalized_body = body.to_body();
        // Three leaves; ours is the second.
        let leaf = merkle::leaf_hash(&canonicalized_body);
        let (before, after) = (merkle::leaf_hash(b"before"), merkle::leaf_hash(b"after"));
        let root = merkle::node_hash(&merkle::node_hash(&before, &leaf), &after);
        let log_index = if is_v2 { 1 } else { 4001 };
        let (key, log_id, host) = if is_v2 {
            (
                &self.log,
                note::log_key_id("log.example", self.log.public()),
                "log.example",
            )
        } else {
            (&self.log_v1, self.log_v1.public().id().0, "v1.example")
        };
        let promise = (!is_v2).then(|| {
            let at = recipe.promise_at.as_secs();
            key.sign(&signed_entry_timestamp_payload(
                &canonicalized_body,
                at,
                &log_id,
                log_index,
            ))
        });
        TransparencyLogEntry {
            log_index,
            log_id: log_id.to_vec(),
            kind: body.kind().to_owned(),
            kind_version: body.kind_version().to_owned(),
            integrated_time: (!is_v2).then_some(recipe.promise_at),
            inclusion_promise: promise,
            inclusion_proof: Some(InclusionProof {
                log_index: 1,
                root_hash: root,
                tree_size: 3,
                hashes: vec![before, after],
                checkpoint: checkpoint(&recipe.checkpoint, key, &log_id, host, is_v2, &root),
            }),
            canonicalized_body,
        }
    }
}

fn checkpoint(
    recipe: &CheckpointRecipe,
    key: &Key,
    log_id: &[u8; 32],
    host: &str,
    is_v2: bool,
    root: &[u8; 32],
) -> String {
    let mut root = *root;
    if recipe.flip_root {
        root[0] ^= 1;
    }
    let usual = if is_v2 {
        host.to_owned()
    } else {
        format!("{host} - 1193050959916656506")
    };
    let origin = recipe.origin.clone().unwrap_or(usual);
    let text = format!("{origin}\n{}\n{}\n", recipe.size.unwrap_or(3), STANDARD.encode(root));
    let mut signature = key.sign(text.as_bytes());
    flip_last(&mut signature, recipe.flip_signature);
    let hint = recipe.hint.unwrap_or([log_id[0], log_id[1], log_id[2], log_id[3]]);
    let name = recipe.name.clone().unwrap_or(host.to_owned());
    let line = STANDARD.encode([hint.as_slice(), &signature].concat());
    let mut note = format!("{text}\n\u{2014} {name} {line}\n");
    for (witness, key) in &recipe.witnesses {
        let id = note::cosignature_key_id(witness, key.public().ed25519_bytes().unwrap());
        let time = u64::try_from(SIGNED_AT.as_secs()).unwrap();
        let signature = key.sign(verify::checkpoint::cosigned_message(time, &text).as_bytes());
        let blob = [&id[..4], &time.to_be_bytes(), &signature].concat();
        note += &format!("\u{2014} {witness} {}\n", STANDARD.encode(blob));
    }
    note
}

fn honest_entry(recipe: &Recipe, kind: EntryKind, bundle: &Bundle) -> Entry {
    let signature = bundle.signature().to_vec();
    let details = recipe
        .signer
        .public()
        .default_details()
        .unwrap_or(KeyDetails::EcdsaP256Sha256);
    let hash = details.hash();
    let (digest, payload) = match &bundle.content {
        Content::Message { .. } => (hash.digest(ARTIFACT), Vec::new()),
        Content::Dsse(envelope) => (hash.digest(&envelope.pae()), envelope.payload.clone()),
    };
    let verifier = match bundle.certificate() {
        Some(der) => EntryVerifier::Certificate(der.to_vec()),
        None => EntryVerifier::PublicKey(recipe.signer.public().spki_der().to_vec()),
    };
    let verifier_pem = match bundle.certificate() {
        Some(der) => ::der::pem::encode_string("CERTIFICATE", ::der::pem::LineEnding::LF, der).unwrap(),
        None => recipe.signer.public().to_pem(),
    };
    let sha256 = |bytes: &[u8]| -> Digest { HashAlgorithm::Sha256.digest(bytes) };
    match kind {
        EntryKind::HashedRekordV002 => Entry::HashedRekordV002(HashedRekordV002 {
            digest,
            signature,
            key_details: details,
            verifier,
        }),
        EntryKind::DsseV002 => Entry::DsseV002(DsseV002 {
            payload_hash: sha256(&payload),
            signatures: vec![(signature, details, verifier)],
        }),
        EntryKind::HashedRekordV001 => Entry::HashedRekordV001(HashedRekordV001 {
            digest,
            signature,
            verifier_pem,
        }),
        EntryKind::DsseV001 => Entry::DsseV001(DsseV001 {
            envelope_hash: sha256(b"envelope"),
            payload_hash: sha256(&payload),
            signatures: vec![(STANDARD.encode(signature), verifier_pem)],
        }),
        EntryKind::IntotoV002 => Entry::IntotoV002(IntotoV002 {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            envelope_hash: sha256(b"envelope"),
            payload_hash: sha256(&payload),
            signatures: vec![IntotoSignature {
                signature,
                verifier_pem,
                key_id: String::new(),
            }],
        }),
    }
}
