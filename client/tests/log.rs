//! A small honest log, and each way in which it can lie about an entry.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may be blunt")]

mod loopback;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use client::{Class, Error, Service, log::SignatureLog, tiles::LogReader};
use loopback::{http, serve};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePublicKey as _,
};
use verify::{
    Digest, PublicKey, Sha256Digest, TrustedRoot, UnixTime,
    bundle::{InclusionProof, TransparencyLogEntry},
    checkpoint::Checkpoint,
    entry::{Entry, EntryVerifier, HashedRekordV002},
    key::KeyDetails,
    merkle::{self, NodeHash},
    note::{Note, NoteSignature},
    tile::TileId,
    time::ValidityWindow,
    trusted_root::TransparencyLog,
};

/// A log of four leaves; ours is the last. ECDSA, so that its id is the hash of its key.
struct Log {
    key: SigningKey,
    entry: HashedRekordV002,
    lie: Lie,
}

/// What is changed in an honest answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    Body,
    Kind,
    LogId,
    Index,
    Hash,
    Root,
    Size,
    NoProof,
    Origin,
    CheckpointSignature,
    CheckpointOfAnotherTree,
    Conflict,
    ConflictOfAnotherEntry,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey::from_spki_der(key.verifying_key().to_public_key_der().unwrap().as_bytes()).unwrap()
}

fn entry() -> HashedRekordV002 {
    let signer = key(9);
    let signature: Signature = signer.sign(b"artifact");
    HashedRekordV002 {
        digest: Digest::from(Sha256Digest::of(b"artifact")),
        signature: signature.to_der().as_bytes().to_vec(),
        key_details: KeyDetails::EcdsaP256Sha256,
        verifier: EntryVerifier::PublicKey(public_key(&signer).spki_der().to_vec()),
    }
}

impl Log {
    fn leaves(&self) -> Vec<NodeHash> {
        let body = Entry::HashedRekordV002(self.entry.clone()).to_body();
        let others: [&[u8]; 3] = [b"genesis", b"one", b"two"];
        others
            .into_iter()
            .chain([body.as_slice()])
            .map(merkle::leaf_hash)
            .collect()
    }

    fn checkpoint(&self, root: NodeHash) -> String {
        let origin = if self.lie == Lie::Origin {
            "elsewhere.test"
        } else {
            "127.0.0.1"
        };
        let root = if self.lie == Lie::CheckpointOfAnotherTree {
            [1; 32]
        } else {
            root
        };
        let checkpoint = Checkpoint {
            origin: origin.into(),
            size: 4,
            root,
            extensions: Vec::new(),
        };
        let text = checkpoint.to_text();
        let signer = if self.lie == Lie::CheckpointSignature {
            key(2)
        } else {
            self.key.clone()
        };
        let signature: Signature = signer.sign(text.as_bytes());
        let id = public_key(&self.key).id().0;
        let signatures = vec![NoteSignature {
            name: origin.into(),
            key_hint: [id[0], id[1], id[2], id[3]],
            signature: signature.to_der().as_bytes().to_vec(),
        }];
        Note { text, signatures }.to_string()
    }

    fn answer(&self) -> TransparencyLogEntry {
        let leaves = self.leaves();
        let (left, right) = (
            merkle::node_hash(&leaves[0], &leaves[1]),
            merkle::node_hash(&leaves[2], &leaves[3]),
        );
        let root = merkle::node_hash(&left, &right);
        let mut proof = InclusionProof {
            log_index: 3,
            root_hash: root,
            tree_size: 4,
            hashes: vec![leaves[2], left],
            checkpoint: self.checkpoint(root),
        };
        let mut answer = TransparencyLogEntry {
            log_index: 3,
            log_id: public_key(&self.key).id().0.to_vec(),
            kind: "hashedrekord".into(),
            kind_version: "0.0.2".into(),
            integrated_time: None,
            inclusion_promise: None,
            inclusion_proof: None,
            canonicalized_body: Entry::HashedRekordV002(self.entry.clone()).to_body(),
        };
        match self.lie {
            Lie::Body => {
                let digest = Digest::from(Sha256Digest::of(b"another"));
                let other = HashedRekordV002 {
                    digest,
                    ..self.entry.clone()
                };
                answer.canonicalized_body = Entry::HashedRekordV002(other).to_body();
            }
            Lie::Kind => answer.kind_version = "0.0.1".into(),
            Lie::LogId => answer.log_id[0] ^= 1,
            Lie::Index => (answer.log_index, proof.log_index) = (2, 2),
            Lie::Hash => proof.hashes[0][0] ^= 1,
            Lie::Root => proof.root_hash[0] ^= 1,
            Lie::Size => proof.tree_size = 5,
            Lie::None
            | Lie::NoProof
            | Lie::Origin
            | Lie::CheckpointSignature
            | Lie::CheckpointOfAnotherTree
            | Lie::Conflict
            | Lie::ConflictOfAnotherEntry => {}
        }
        answer.inclusion_proof = (self.lie != Lie::NoProof).then_some(proof);
        answer
    }

    fn router(self) -> Router {
        let create = |State(log): State<Arc<Self>>, Json(request): Json<serde_json::Value>| async move {
            assert_eq!(request, log.entry.to_request());
            log.create()
        };
        let checkpoint = |State(log): State<Arc<Self>>| async move { log.checkpoint(log.root()) };
        let tile = |State(log): State<Arc<Self>>, Path(index): Path<String>| async move {
            // Partial tiles of a real log would be at `000.p/4`; the whole one does not exist yet.
            if index == "000.p/4" {
                Ok(log.leaves().concat())
            } else {
                Err(StatusCode::NOT_FOUND)
            }
        };
        Router::new()
            .route("/api/v2/log/entries", post(create))
            .route("/checkpoint", get(checkpoint))
            .route("/tile/0/{*index}", get(tile))
            .with_state(Arc::new(self))
    }

    fn root(&self) -> NodeHash {
        let leaves = self.leaves();
        merkle::node_hash(
            &merkle::node_hash(&leaves[0], &leaves[1]),
            &merkle::node_hash(&leaves[2], &leaves[3]),
        )
    }

    fn create(&self) -> Response {
        let index = if self.lie == Lie::Conflict {
            Some("3")
        } else {
            (self.lie == Lie::ConflictOfAnotherEntry).then_some("1")
        };
        match index {
            Some(index) => (StatusCode::CONFLICT, [("x-log-index", index)], "{}").into_response(),
            None => (StatusCode::CREATED, Json(self.answer().to_json_value())).into_response(),
        }
    }
}

async fn create(lie: Lie) -> Result<TransparencyLogEntry, Error> {
    let log = Log {
        key: key(1),
        entry: entry(),
        lie,
    };
    let trusted = TransparencyLog {
        base_url: "http://127.0.0.1:1".into(),
        key: public_key(&log.key),
        key_details: KeyDetails::EcdsaP256Sha256,
        valid_for: ValidityWindow {
            start: UnixTime::from_secs(0),
            end: None,
        },
        log_id: public_key(&log.key).id().0,
        checkpoint_key_id: None,
        operator: String::new(),
    };
    let url = serve(log.router()).await;
    let trusted_root = TrustedRoot {
        logs: vec![trusted],
        ..TrustedRoot::default()
    };
    let client = SignatureLog::new(http(), loopback::endpoint(Service::SignatureLog, &url), &trusted_root);
    client.create(&entry()).await
}

#[tokio::test]
async fn an_honest_log_is_believed() {
    let logged = create(Lie::None).await.unwrap();
    assert_eq!((logged.log_index, logged.inclusion_proof.unwrap().hashes.len()), (3, 2));
}

#[tokio::test]
async fn each_lie_is_noticed_and_has_its_code() {
    for (lie, code) in [
        (Lie::Body, "log-wrong-entry"),
        (Lie::Kind, "log-wrong-entry"),
        (Lie::LogId, "log-unknown"),
        (Lie::Index, "log-proof"),
        (Lie::Hash, "log-proof"),
        (Lie::Root, "log-checkpoint"),
        (Lie::Size, "log-checkpoint"),
        (Lie::NoProof, "log-proof"),
        (Lie::Origin, "log-checkpoint"),
        (Lie::CheckpointSignature, "log-checkpoint"),
        (Lie::CheckpointOfAnotherTree, "log-checkpoint"),
    ] {
        let error = create(lie).await.unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            (code, Class::Refused),
            "{lie:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_bare_conflict_is_read_back_and_proven_from_tiles() {
    let logged = create(Lie::Conflict).await.unwrap();
    assert_eq!(
        logged,
        create(Lie::None)
            .await
            .map(|honest| without_checkpoint(honest, &logged))
            .unwrap()
    );
    let error = create(Lie::ConflictOfAnotherEntry).await.unwrap_err();
    assert_eq!(error.code(), "log-proof");
}

/// ECDSA signatures differ each time, so the checkpoint is taken over before the rest is compared.
fn without_checkpoint(mut honest: TransparencyLogEntry, other: &TransparencyLogEntry) -> TransparencyLogEntry {
    let checkpoint = other.inclusion_proof.as_ref().unwrap().checkpoint.clone();
    honest.inclusion_proof.as_mut().unwrap().checkpoint = checkpoint;
    honest
}

#[tokio::test]
async fn an_answer_that_is_no_entry_is_malformed() {
    for body in ["", "{}", "[]", "null", "{\"logIndex\":\"3\"}"] {
        let url = serve(Router::new().route(
            "/api/v2/log/entries",
            post(move || async move { (StatusCode::CREATED, body) }),
        ))
        .await;
        let endpoint = loopback::endpoint(Service::SignatureLog, &url);
        let error = SignatureLog::new(http(), endpoint, &TrustedRoot::default())
            .create(&entry())
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("answer-malformed", Class::Refused),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_tile_is_read_partial_or_cut_from_the_full_one_and_never_of_another_size() {
    let full: Vec<u8> = (0..256_u32)
        .flat_map(|n| [u8::try_from(n % 251).unwrap(); 32])
        .collect();
    let whole = full.clone();
    let router = Router::new()
        .route("/tile/0/000", get(move || async move { whole }))
        .route("/tile/0/001.p/3", get(|| async { vec![7_u8; 96] }))
        .route("/tile/0/002.p/3", get(|| async { vec![7_u8; 95] }));
    let url = serve(router).await;
    let reader = LogReader::new(http(), loopback::endpoint(Service::SignatureLog, &url));
    let tile = |index, width| reader.tile(TileId { level: 0, index, width });
    assert_eq!(tile(0, 256).await.unwrap(), full);
    assert_eq!(tile(0, 5).await.unwrap(), &full[..160]);
    assert_eq!(tile(1, 3).await.unwrap(), vec![7; 96]);
    assert_eq!(tile(2, 3).await.unwrap_err().code(), "answer-malformed");
    assert_eq!(tile(3, 3).await.unwrap_err().code(), "service-status");
}
