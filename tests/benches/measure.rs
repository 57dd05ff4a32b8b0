//! Measures what the project promises, on loopback, and prints one line for each figure.
//!
//! `cargo bench -p tests --bench measure`.

use std::{
    path::Path,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use client::{Http, HttpOptions, oidc::IdentityToken, signer::Signer};
use tests::{
    Doing as _, Error, Stage,
    issuer::Profile,
    load::{Writer, check, signature_log},
    run::run,
};
use tokio::task::JoinSet;
use verify::{Budget, HashAlgorithm, Sha256Digest, artifact::ArtifactHasher, signing_config::ClientTrustConfig};

/// Signatures, one after another.
const SIGNATURES: usize = 200;

/// Appends, one after another.
const APPENDS: usize = 200;

/// Clients at the same time, and how long they write.
const CLIENTS: usize = 64;
const LOAD: Duration = Duration::from_secs(5);

/// Certificates, from this many clients.
const CERTIFICATES: usize = 400;
const REQUESTERS: usize = 8;

/// Runs of `cargo sigstore verify`.
const VERIFICATIONS: usize = 50;

/// A large artifact.
/// What is read and hashed at once, and how often: 1 GiB.
const PIECE_BYTES: usize = 256 << 10;
const PIECES: usize = 4096;

fn main() -> ExitCode {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Error> {
    let sandbox = Path::new(env!("CARGO_BIN_EXE_sandbox"));
    sandbox_time(sandbox)?;
    let stage = Stage::open(sandbox)?;
    let runtime = tokio::runtime::Runtime::new().doing("start a runtime")?;
    runtime.block_on(sign_latency(&stage))?;
    runtime.block_on(append_idle(&stage))?;
    runtime.block_on(append_loaded(&stage))?;
    runtime.block_on(certificates(&stage))?;
    verify_time(&stage)?;
    hash_time(&stage)
}

fn sandbox_time(sandbox: &Path) -> Result<(), Error> {
    let outcome = run(&mut std::process::Command::new(sandbox), Duration::from_mins(5))?.success()?;
    report(
        "sandbox, start to exit",
        &format!("{:.1} s", outcome.took.as_secs_f64()),
    );
    Ok(())
}

/// From a token in hand to a bundle that our own verifier accepted.
async fn sign_latency(stage: &Stage) -> Result<(), Error> {
    let signer = signer(stage)?;
    let mut times = Vec::new();
    for number in 0..SIGNATURES {
        let token = IdentityToken::new(stage.issuer.token(Profile::GitHub)?).doing("read the token")?;
        let digest = Sha256Digest::of(format!("artifact {number}").as_bytes());
        let start = Instant::now();
        let session = signer.certify(&token).await.doing("certify")?;
        session.sign_artifact(digest).await.doing("sign")?;
        times.push(start.elapsed());
    }
    report("sign, token to verified bundle", &percentiles(times));
    Ok(())
}

async fn append_idle(stage: &Stage) -> Result<(), Error> {
    let writer = Writer::new(stage.instance.url())?;
    let mut times = Vec::new();
    for number in 0..APPENDS {
        let request = writer.request(format!("idle {number}").as_bytes())?;
        let start = Instant::now();
        writer.send(&request).await?;
        times.push(start.elapsed());
    }
    report("log append, idle", &percentiles(times));
    Ok(())
}

async fn append_loaded(stage: &Stage) -> Result<(), Error> {
    let log = Arc::new(signature_log(&stage.instance)?);
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let writer = Writer::new(stage.instance.url())?;
        let log = Arc::clone(&log);
        clients.spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < LOAD {
                let request = writer.request(format!("loaded {client} {}", times.len()).as_bytes())?;
                let sent = Instant::now();
                let answer = writer.send(&request).await?;
                times.push(sent.elapsed());
                // One in a hundred is checked wholly: the load is the server's, not the checker's.
                if times.len() % 100 == 1 {
                    check(&request, &answer, &log)?;
                }
            }
            Ok::<_, Error>(times)
        });
    }
    let mut times = Vec::new();
    for result in clients.join_all().await {
        times.extend(result?);
    }
    let rate = per_second(times.len(), start.elapsed());
    report(
        &format!("log append, {CLIENTS} clients"),
        &format!("{rate:.0} entries/s, {}", percentiles(times)),
    );
    Ok(())
}

async fn certificates(stage: &Stage) -> Result<(), Error> {
    let signer = Arc::new(signer(stage)?);
    let tokens: Vec<String> = (0..CERTIFICATES)
        .map(|_| stage.issuer.token(Profile::GitHub))
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    let mut requesters = JoinSet::new();
    for part in tokens.chunks(CERTIFICATES.div_ceil(REQUESTERS)) {
        let (signer, part) = (Arc::clone(&signer), part.to_vec());
        requesters.spawn(async move {
            for token in part {
                let token = IdentityToken::new(token).doing("read the token")?;
                signer.certify(&token).await.doing("certify")?;
            }
            Ok::<_, Error>(())
        });
    }
    for result in requesters.join_all().await {
        result?;
    }
    let rate = per_second(CERTIFICATES, start.elapsed());
    report(
        &format!("certificates, {REQUESTERS} clients, each checked"),
        &format!("{rate:.0}/s"),
    );
    Ok(())
}

fn verify_time(stage: &Stage) -> Result<(), Error> {
    let artifact = stage.write("artifact", "bytes\n")?;
    let bundle = stage.path("artifact.sigstore.json");
    stage.sign(&artifact, &bundle)?;
    let mut times = Vec::new();
    stage.verify(&artifact, &bundle)?.success()?;
    for _ in 0..VERIFICATIONS {
        let mut command = stage.verifying_command(&artifact, &bundle);
        let start = Instant::now();
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        times.push(start.elapsed());
        if !status.doing("verify")?.success() {
            return Err(Error::new("verify", "the good bundle was refused"));
        }
    }
    report("cargo sigstore verify, process start to exit", &percentiles(times));
    Ok(())
}

/// A large artifact, as `cargo sigstore verify` reads it, beside the hash of as many bytes in memory.
fn hash_time(stage: &Stage) -> Result<(), Error> {
    let (small, large) = (stage.write("artifact", "bytes\n")?, stage.path("large"));
    let piece: Vec<u8> = (0..PIECE_BYTES).map(|place| (place % 251).to_le_bytes()[0]).collect();
    // Written, not only made as long: reading what was never written measures the kernel's zeros.
    let mut file = std::fs::File::create(&large).doing("make a large file")?;
    for _ in 0..PIECES {
        std::io::Write::write_all(&mut file, &piece).doing("write a large file")?;
    }
    let bundle = stage.path("artifact.sigstore.json");
    stage.sign(&small, &bundle)?;
    let start = Instant::now();
    let mut child = stage
        .verifying_command(&large, &bundle)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .doing("verify")?;
    let mut peak = String::new();
    while child.try_wait().doing("wait for verify")?.is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        if let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            line.trim().clone_into(&mut peak);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let ours = start.elapsed();
    let start = Instant::now();
    let mut hasher = ArtifactHasher::new(&[HashAlgorithm::Sha256]);
    for _ in 0..PIECES {
        hasher.update(&piece);
    }
    drop(std::hint::black_box(hasher.finish()));
    let hash = start.elapsed();
    let ratio = ours.as_secs_f64() / hash.as_secs_f64();
    report(
        "1 GiB artifact, against its hash in memory",
        &format!("{ours:.2?} of {hash:.2?} ({ratio:.2}×), peak memory {peak}"),
    );
    Ok(())
}

fn signer(stage: &Stage) -> Result<Signer, Error> {
    let json = std::fs::read(stage.instance.trust("trust_config.json")).doing("read the trust configuration")?;
    let trust = ClientTrustConfig::from_json(&json, &Budget::default()).doing("parse the trust configuration")?;
    let options = HttpOptions {
        user_agent: "measure".to_owned(),
        ..HttpOptions::default()
    };
    let http = Http::new(options).doing("make an HTTP client")?;
    Signer::new(http, trust).doing("make a signer")
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| {
        let index = (times.len() * share / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    format!("p50 {:.1} ms, p99 {:.1} ms of {}", at(50), at(99), times.len())
}

fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

fn report(what: &str, figure: &str) {
    println!("{what:<46} {figure}");
}
