//! The logs as a whole: in process, on real files, over real HTTP.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "tests may be blunt"
)]

mod crashes;
mod damage;
mod engine;
mod v1;
mod v2;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use verify::{
    HashAlgorithm,
    checkpoint::SignedCheckpoint,
    entry::{Entry, EntryVerifier, HashedRekordV002},
    key::KeyDetails,
    merkle,
};

use super::{
    CtLog, LegacyLog, LogError, LogKind, PrecertificateSubmission, SignatureLog, Storage, StorageOptions, crash::Crash,
    leaf::BodyLeaf, spec::LogSpec, storage::Log,
};
use crate::keys::SigningKey;

const HOST: &str = "log.example";

/// A data folder with keys that live as long as it does, so that logs can be opened again.
struct Bench {
    folder: tempfile::TempDir,
    ed25519: SigningKey,
    p256: SigningKey,
    ct: SigningKey,
    clock_ms: Arc<AtomicU64>,
}

/// The three logs of a [`Bench`], open.
struct Logs {
    signature: SignatureLog,
    legacy: LegacyLog,
    ct: CtLog,
    /// The signature log without its API.
    raw: Log,
    crash: Crash,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            ed25519: SigningKey::generate_ed25519().unwrap(),
            p256: SigningKey::generate_p256().unwrap(),
            ct: SigningKey::generate_p256().unwrap(),
            clock_ms: Arc::new(AtomicU64::new(1_800_000_000_000)),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn storage(&self, crash: Crash) -> Result<Storage, LogError> {
        let clock = Arc::clone(&self.clock_ms);
        let clock = Arc::new(move || clock.fetch_add(7, Ordering::Relaxed));
        Storage::start(&self.data(), &StorageOptions::default(), clock, crash)
    }

    fn open(&self) -> Logs {
        self.try_open(Crash::default()).unwrap()
    }

    fn try_open(&self, crash: Crash) -> Result<Logs, LogError> {
        let storage = self.storage(crash.clone())?;
        Ok(Logs {
            signature: SignatureLog::open(&storage, HOST, self.ed25519.clone())?,
            legacy: LegacyLog::open(&storage, HOST, self.p256.clone())?,
            ct: CtLog::open(&storage, HOST, self.ct.clone(), vec![b"root".to_vec()])?,
            raw: storage.log(LogSpec::signature(HOST, self.ed25519.clone())?)?,
            crash,
        })
    }
}

impl Bench {
    /// The CT log without its API.
    fn open_ct_state(&self, logs: &Logs) -> Log {
        logs.raw
            .storage
            .log(LogSpec::certificates(HOST, self.ct.clone()).unwrap())
            .unwrap()
    }
}

impl Logs {
    /// Appends `count` bodies of their own to the signature log, in few commits.
    async fn fill(&self, from: u64, count: u64) {
        let appends = (from..from + count).map(|index| self.raw.append(body(index)));
        for outcome in futures_util::future::join_all(appends).await {
            outcome.unwrap();
        }
    }

    async fn log_certificate(&self, number: u64) -> verify::sct::SignedCertificateTimestamp {
        self.ct.log_precertificate(precertificate(number)).await.unwrap()
    }
}

/// A body that is its own canonical form, one for each number. The signature in it is not checked below the API.
fn body(number: u64) -> BodyLeaf {
    let entry = Entry::HashedRekordV002(HashedRekordV002 {
        digest: HashAlgorithm::Sha256.digest(&number.to_be_bytes()),
        signature: number.to_be_bytes().to_vec(),
        key_details: KeyDetails::EcdsaP256Sha256,
        verifier: EntryVerifier::PublicKey(vec![1, 2, 3]),
    });
    BodyLeaf { body: entry.to_body() }
}

fn precertificate(number: u64) -> PrecertificateSubmission {
    PrecertificateSubmission {
        precertificate_der: format!("precertificate {number}").into_bytes(),
        tbs: format!("certificate {number}").into_bytes(),
        issuer_key_hash: [7; 32],
        chain_der: vec![b"issuer".to_vec(), b"root".to_vec()],
    }
}

/// A signed `hashedrekord` over `message`, as a client makes it.
fn hashedrekord(key: &SigningKey, message: &[u8]) -> HashedRekordV002 {
    HashedRekordV002 {
        digest: HashAlgorithm::Sha256.digest(message),
        signature: key.sign(message).unwrap(),
        key_details: KeyDetails::EcdsaP256Sha256,
        verifier: EntryVerifier::PublicKey(key.public_key().spki_der().to_vec()),
    }
}

/// Serves a router on a port of its own for the rest of the test.
async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::new()
}

/// Waits until no full bundle is left in memory: the files are durable and the database has forgotten them.
async fn archived(log: &Log) {
    for _ in 0..500 {
        if log.state.pending_count() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nothing was archived within five seconds");
}

/// Checks an answer as a client would: proof to root, root to checkpoint, signature on the checkpoint.
fn check_entry(log: &SignatureLog, entry: &verify::bundle::TransparencyLogEntry) {
    let proof = entry.inclusion_proof.as_ref().unwrap();
    assert_eq!(proof.log_index, entry.log_index);
    assert!(!proof.hashes.is_empty() && entry.log_index > 0);
    let leaf = merkle::leaf_hash(&entry.canonicalized_body);
    merkle::verify_inclusion(&leaf, proof.log_index, proof.tree_size, &proof.hashes, &proof.root_hash).unwrap();
    let signed = SignedCheckpoint::parse(proof.checkpoint.as_bytes(), &verify::Budget::default()).unwrap();
    signed.verify(log.origin(), &log.log_id(), log.public_key()).unwrap();
    assert_eq!(
        (signed.checkpoint.size, signed.checkpoint.root),
        (proof.tree_size, proof.root_hash)
    );
    assert_eq!(signed.checkpoint.origin, HOST);
}

/// Copies a folder that is written to meanwhile: a file that gets its final name under the copier's hands is looked for again.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut is_whole = false;
    while !is_whole {
        is_whole = true;
        for item in std::fs::read_dir(from).unwrap() {
            let item = item.unwrap();
            let target = to.join(item.file_name());
            if item.path().is_dir() {
                copy_folder(&item.path(), &target);
            } else if !target.exists()
                && let Err(error) = std::fs::copy(item.path(), target)
            {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
                is_whole = false;
            }
        }
    }
}
