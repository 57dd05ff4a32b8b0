//! What verifying costs: ours and `sigstore-verify` on the same bundles, in thread CPU time.
//!
//! `SIGSTORE_VECTORS=… cargo bench -p tests --bench verification`. Without the vectors there is nothing to measure, and it says so.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench stops at the first thing that is not as it must be"
)]

use std::{
    alloc::System,
    fs,
    hint::black_box,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{WaitId, WaitIdOptions},
    time::{ClockId, clock_gettime},
};
use sigstore_verify::{trust_root, types};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use verify::{
    Artifact, Budget, Bundle, Policy, TrustedRoot, UnixTime, Verifier,
    certificate::Certificate,
    entry::signed_entry_timestamp_payload,
    key::{KeyKind, PublicKey},
    trusted_root::TransparencyLog,
    verifier::BatchItem,
};

#[path = "../../verify/tests/authority/mod.rs"]
mod authority;

/// Counts allocations: those of the signature checks are the C library's own and not among them.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const N: u32 = 2_000;
/// About how many bytes a timestamp's signature covers.
const SIGNED_ATTRIBUTES: usize = 200;
/// Processes of each kind.
const RUNS: usize = 300;
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn main() {
    let folder = std::env::var_os("SIGSTORE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!("NOT RUN: no vectors at {}; set SIGSTORE_VECTORS", folder.display());
        return;
    }
    println!("single signature checks, µs:");
    single_checks();
    println!("\nper bundle, µs of thread CPU time, N = {N}:");
    println!(
        "{:<32} {:>8} {:>8} {:>7}  {:>9} {:>9}  {:>7} {:>7} {:>7} {:>7}",
        "", "ours", "theirs", "ratio", "+parse", "+parse", "checks", "minimum", "beyond", "allocs"
    );
    for (label, name, root) in [
        ("Rekor v1, artifact", "happy-path-v0.3", None),
        ("Rekor v1, DSSE", "happy-path-intoto-in-dsse-v3", None),
        (
            "Rekor v2 + TSA, artifact",
            "rekor2-happy-path",
            Some("trusted_root.json"),
        ),
        (
            "Rekor v2 + TSA, DSSE",
            "rekor2-dsse-happy-path",
            Some("trusted_root.json"),
        ),
    ] {
        compare(label, &folder, name, root);
    }
    println!();
    batch(&folder);
    distinct();
    println!("\nconformance-client verify-bundle, process start to exit, ms of CPU, of {RUNS}:");
    println!("{:<32} {:>8} {:>8} {:>8}", "", "p10", "median", "p90");
    processes(&folder);
}

/// Everything both sides need for one bundle.
struct Case {
    artifact: Vec<u8>,
    bundle: Vec<u8>,
    root: Vec<u8>,
}

fn case(folder: &Path, name: &str, root: Option<&str>) -> Case {
    let bundle = folder.join("bundles").join(name);
    Case {
        artifact: fs::read(folder.join("bundles/a.txt")).unwrap(),
        root: fs::read(root.map_or_else(|| folder.join("trust/production.json"), |root| bundle.join(root))).unwrap(),
        bundle: fs::read(bundle.join("bundle.sigstore.json")).unwrap(),
    }
}

fn now() -> UnixTime {
    UnixTime::from_rfc3339("2026-11-22T00:00:00Z").unwrap()
}

fn ours(root: &[u8]) -> Verifier {
    Verifier::new(TrustedRoot::from_json(root, &Budget::default()).unwrap()).unwrap()
}

fn theirs(root: &[u8]) -> sigstore_verify::Verifier {
    let root = trust_root::TrustedRoot::from_json(std::str::from_utf8(root).unwrap()).unwrap();
    sigstore_verify::Verifier::new(&root).unwrap()
}

fn compare(label: &str, folder: &Path, name: &str, root: Option<&str>) {
    let case = case(folder, name, root);
    let policy = Policy::identity(IDENTITY, ISSUER).unwrap();
    let verifier = ours(&case.root);
    let bundle = Bundle::from_json(&case.bundle, &Budget::default()).unwrap();
    let artifact = Artifact::Bytes(&case.artifact);
    let held = verifier.verify(&bundle, &artifact, &policy, now()).unwrap();
    let checks = held
        .checks()
        .iter()
        .filter(|check| check.ends_with("signature"))
        .count();

    let region = Region::new(ALLOCATOR);
    drop(black_box(verifier.verify(&bundle, &artifact, &policy, now())));
    let allocations = region.change().allocations;
    let signatures = signatures(&case, &bundle);
    let mut signatures_time = 0.0;

    let their_policy = sigstore_verify::VerificationPolicy::new(IDENTITY, ISSUER);
    let their_verifier = theirs(&case.root);
    let text = std::str::from_utf8(&case.bundle).unwrap();
    let their_bundle = types::Bundle::from_json(text).unwrap();
    their_verifier
        .verify(case.artifact.as_slice(), &their_bundle, &their_policy)
        .unwrap();

    // Interleaved, so that a change of clock speed meets both.
    let mut times = [Duration::ZERO; 4];
    for _ in 0..10 {
        let rounds = N / 10;
        times[0] += cpu_time(rounds, || verifier.verify(&bundle, &artifact, &policy, now()).unwrap());
        signatures_time += signatures.iter().map(|check| check.micros(rounds)).sum::<f64>() / 10.0;
        times[1] += cpu_time(rounds, || {
            their_verifier
                .verify(case.artifact.as_slice(), &their_bundle, &their_policy)
                .unwrap()
        });
        times[2] += cpu_time(rounds, || {
            let bundle = Bundle::from_json(&case.bundle, &Budget::default()).unwrap();
            verifier.verify(&bundle, &artifact, &policy, now()).unwrap()
        });
        times[3] += cpu_time(rounds, || {
            let bundle = types::Bundle::from_json(text).unwrap();
            their_verifier
                .verify(case.artifact.as_slice(), &bundle, &their_policy)
                .unwrap()
        });
    }
    let [ours, theirs, ours_parsed, theirs_parsed] = times.map(|time| micros(time) / f64::from(N));
    println!(
        "{label:<32} {ours:>8.1} {theirs:>8.1} {:>6.2}×  {ours_parsed:>9.1} {theirs_parsed:>9.1}  {checks:>7} {:>7} {:>7.1} {allocations:>7}",
        theirs / ours,
        signatures.len(),
        ours - signatures_time,
    );
    assert_eq!(checks, signatures.len(), "a signature was checked twice, or not at all");
}

/// A signature of a bundle: a check of the same kind, over a message of the same length.
struct SignatureCheck {
    key: authority::Key,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl SignatureCheck {
    fn new(kind: KeyKind, length: usize) -> Self {
        let key = match kind {
            KeyKind::P256 => authority::Key::p256(),
            KeyKind::P384 => authority::Key::p384(),
            KeyKind::P521 => authority::Key::p521(),
            KeyKind::Ed25519 => authority::Key::ed25519(),
            _ => authority::Key::rsa(),
        };
        let message = vec![7; length];
        let signature = key.sign(&message);
        Self {
            key,
            message,
            signature,
        }
    }

    fn micros(&self, rounds: u32) -> f64 {
        let key = self.key.public();
        let time = cpu_time(rounds, || {
            key.verify(key.default_scheme(), &self.message, &self.signature)
                .unwrap();
        });
        micros(time) / f64::from(rounds)
    }
}

/// Every signature that a bundle under a certificate carries, counted from the bundle itself: fewer checks than these
/// would leave one out.
fn signatures(case: &Case, bundle: &Bundle) -> Vec<SignatureCheck> {
    let budget = Budget::default();
    let root = TrustedRoot::from_json(&case.root, &budget).unwrap();
    let leaf = Certificate::from_der(bundle.certificate().unwrap(), &budget).unwrap();
    let kind = |logs: &[TransparencyLog], id: &[u8]| logs.iter().find(|log| log.log_id == id).unwrap().key.kind();
    let issuer = leaf.issuer_and_subject().0;
    let mut authorities = root.certificate_authorities.iter();
    let authority = authorities.find(|authority| authority.chain[0].issuer_and_subject().1 == issuer);
    let length = leaf.tbs().len();
    // The content's digest is at hand where the signature is checked.
    let mut checks = vec![
        SignatureCheck::new(authority.unwrap().chain[0].public_key().kind(), length),
        SignatureCheck::new(leaf.public_key().kind(), 32),
    ];
    for sct in leaf.scts(&budget).unwrap() {
        checks.push(SignatureCheck::new(kind(&root.ct_logs, &sct.log_id.0), length));
    }
    for _ in &bundle.timestamps {
        let tsa = root.timestamp_authorities[0].chain[0].public_key().kind();
        checks.push(SignatureCheck::new(tsa, SIGNED_ATTRIBUTES));
    }
    for entry in &bundle.log_entries {
        let log = kind(&root.logs, &entry.log_id);
        if entry.inclusion_promise.is_some() {
            let length = signed_entry_timestamp_payload(&entry.canonicalized_body, 0, &[0; 32], 0).len();
            checks.push(SignatureCheck::new(log, length));
        }
        let checkpoint = entry.inclusion_proof.as_ref().map(|proof| proof.checkpoint.as_str());
        if let Some((text, _)) = checkpoint.and_then(|checkpoint| checkpoint.split_once("\n\n")) {
            checks.push(SignatureCheck::new(log, text.len()));
        }
    }
    checks
}

/// Many bundles under one certificate: ours as one batch on one thread, theirs one by one.
fn batch(folder: &Path) {
    let case = case(folder, "rekor2-happy-path", Some("trusted_root.json"));
    let policy = Policy::identity(IDENTITY, ISSUER).unwrap();
    let verifier = ours(&case.root);
    let bundle = Bundle::from_json(&case.bundle, &Budget::default()).unwrap();
    let item = BatchItem {
        bundle: &bundle,
        artifact: Artifact::Bytes(&case.artifact),
        policy: &policy,
    };
    let items = vec![item; N as usize];
    let ours = cpu_time(1, || {
        let outcomes = verifier.verify_all(&items, now(), NonZeroUsize::MIN);
        assert!(outcomes.iter().all(Result::is_ok));
    });
    let their_verifier = theirs(&case.root);
    let their_policy = sigstore_verify::VerificationPolicy::new(IDENTITY, ISSUER);
    let their_bundle = types::Bundle::from_json(std::str::from_utf8(&case.bundle).unwrap()).unwrap();
    let theirs = cpu_time(N, || {
        their_verifier
            .verify(case.artifact.as_slice(), &their_bundle, &their_policy)
            .unwrap()
    });
    println!(
        "same leaf, batch of {N}: ours {:.1} µs, theirs {:.1} µs per bundle, {:.2}×",
        micros(ours) / f64::from(N),
        micros(theirs) / f64::from(N),
        micros(theirs) / micros(ours)
    );
}

/// A lock file's worth of bundles that share nothing but the trusted root.
fn distinct() {
    let world = authority::World::new();
    let bundles: Vec<_> = (0..1_000)
        .map(|_| world.bundle(&authority::Recipe::default().with_statement()))
        .collect();
    let verifier = world.verifier().unwrap();
    let policy = authority::policy();
    let items: Vec<_> = bundles
        .iter()
        .map(|bundle| BatchItem {
            bundle,
            artifact: Artifact::Bytes(authority::ARTIFACT),
            policy: &policy,
        })
        .collect();
    let threads = thread::available_parallelism().unwrap();
    let start = Instant::now();
    let outcomes = verifier.verify_all(&items, authority::NOW, threads);
    let elapsed = start.elapsed();
    assert!(outcomes.iter().all(Result::is_ok));
    println!(
        "1000 distinct bundles on {threads} threads: {:.0} ms, peak memory {}",
        elapsed.as_secs_f64() * 1e3,
        peak_memory()
    );
}

fn single_checks() {
    let message = [7; 32];
    for (name, key) in [
        ("P-256", authority::Key::p256()),
        ("P-384", authority::Key::p384()),
        ("Ed25519", authority::Key::ed25519()),
        ("RSA 2048", authority::Key::rsa()),
    ] {
        let signature = key.sign(&message);
        let public: &PublicKey = key.public();
        let time = cpu_time(N, || {
            public.verify(public.default_scheme(), &message, &signature).unwrap();
        });
        println!("  {name:<8} {:>6.1}", micros(time) / f64::from(N));
    }
}

fn cpu_time<T>(rounds: u32, mut work: impl FnMut() -> T) -> Duration {
    let clock = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
    };
    let start = clock();
    for _ in 0..rounds {
        black_box(work());
    }
    clock().checked_sub(start).unwrap()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

/// What the shortest process costs, then whole verifications.
fn processes(folder: &Path) {
    row("nothing (/bin/true)", || Command::new("/bin/true"));
    for (label, name, root) in [
        ("Rekor v1, artifact", "happy-path-v0.3", None),
        ("Rekor v1, DSSE", "happy-path-intoto-in-dsse-v3", None),
        (
            "Rekor v2 + TSA, artifact",
            "rekor2-happy-path",
            Some("trusted_root.json"),
        ),
    ] {
        let bundle = folder.join("bundles").join(name);
        row(label, || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-client"));
            command
                .args(["verify-bundle", "--bundle"])
                .arg(bundle.join("bundle.sigstore.json"));
            command.args(["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER]);
            if let Some(root) = root {
                command.arg("--trusted-root").arg(bundle.join(root));
            }
            command.arg(folder.join("bundles/a.txt"));
            command
        });
    }
}

fn row(label: &str, command: impl Fn() -> Command) {
    let mut times: Vec<_> = (0..RUNS).map(|_| process_cpu_time(&mut command())).collect();
    times.sort();
    let [low, median, high] = [1, 5, 9].map(|tenth| micros(times[RUNS * tenth / 10]) / 1000.0);
    println!("{label:<32} {low:>8.2} {median:>8.2} {high:>8.2}");
}

/// What the scheduler counted for the one thread of a process that has ended and is not yet reaped, kernel and user.
fn process_cpu_time(command: &mut Command) -> Duration {
    let mut child = command.spawn().unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::Pid(id), ended).unwrap();
    let counted = fs::read_to_string(format!("/proc/{}/schedstat", child.id())).unwrap();
    assert!(child.wait().unwrap().success());
    Duration::from_nanos(counted.split(' ').next().unwrap().parse().unwrap())
}
