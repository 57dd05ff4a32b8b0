//! What `cargo sigstore verify` of a whole `Cargo.lock` costs, offline and with everything at hand: wall time, processor time, peak memory.
//!
//! `cargo bench -p tests --bench lockfile`. A thousand small crates are signed by an instance on loopback, each under a certificate of its own; then
//! this project's own lock file, whose crates are real and not attested.

#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "texts are made before anything is measured"
)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use client::{Http, HttpOptions, oidc::IdentityToken, signer::Signer};
use flate2::{Compression, write::GzEncoder};
use rustix::process::{Pid, WaitId, WaitIdOptions};
use serde_json::{Value, json};
use tests::{Doing as _, Error, Stage, issuer::Profile, run::run};
use tokio::task::JoinSet;
use verify::{
    Budget, Sha256Digest,
    signing_config::ClientTrustConfig,
    statement::{Statement, Subject},
};

/// Crates in the lock file, and how many of the following ones each uses.
const CRATES: usize = 1000;
const USES: usize = 3;
/// Bytes of source in a crate.
const SOURCE_BYTES: usize = 40 << 10;
/// Jobs that sign at the same time.
const SIGNERS: usize = 8;
/// Runs of each kind.
const RUNS: usize = 15;
/// How often memory is looked at.
const GLANCE: Duration = Duration::from_millis(2);
/// Scheduler ticks a second, as `/proc` counts them.
const TICKS: u32 = 100;

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
    let stage = Stage::open(Path::new(env!("CARGO_BIN_EXE_sandbox")))?;
    let world = World::make(&stage)?;
    let document = world.document()?;
    println!(
        "{CRATES} attested crates, {} edges; signature checks: {}",
        total(&document, "edges"),
        signature_checks(&document)
    );
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>8}  {:>9}",
        "", "p10", "median", "p90", "CPU", "memory"
    );
    told("with evidence and crates", 0, || world.command(true))?;
    told("with evidence, no crate in cargo's cache", 0, || world.command(false))?;
    let own = || {
        let mut command = world.verify(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")));
        match std::env::var_os("CARGO_HOME") {
            Some(home) => command.env("CARGO_HOME", home),
            None => command.env_remove("CARGO_HOME"),
        };
        command
    };
    let mut printing = own();
    let printed = run(printing.args(["--format", "json"]), Duration::from_mins(1))?.exit(3)?;
    let document: Value = serde_json::from_str(&printed.stdout).doing("read the document")?;
    let checked = artifacts(&document).filter(|artifact| artifact["contents"]["checked"] == true);
    println!(
        "this project's lock file: {} crates, {} of them in cargo's cache, {} edges, no evidence",
        artifacts(&document).count(),
        checked.count(),
        total(&document, "edges"),
    );
    told("with crates", 3, own)?;
    told("no crate in cargo's cache", 3, || {
        let mut command = own();
        command.env("CARGO_HOME", world.folder.join("nothing"));
        command
    })
}

/// A lock file, its crates in a cache of cargo's, and their evidence in ours.
struct World<'a> {
    stage: &'a Stage,
    folder: PathBuf,
}

impl<'a> World<'a> {
    fn make(stage: &'a Stage) -> Result<Self, Error> {
        let folder = stage.workshop.folder().join("thousand");
        let cache = folder.join("cargo-home/registry/cache/index.crates.io-1949cf8c6b5b557f");
        std::fs::create_dir_all(&cache).doing("make a cache")?;
        let mut lock = "version = 4\n".to_owned();
        let mut digests = Vec::new();
        for number in 0..CRATES {
            let used: Vec<String> = (number + 1..CRATES.min(number + 1 + USES)).map(name).collect();
            let bytes = packed(number, &used).doing("pack a crate")?;
            let digest = Sha256Digest::of(&bytes);
            std::fs::write(cache.join(format!("{}-1.0.0.crate", name(number))), bytes).doing("write a crate")?;
            lock += &format!(
                "\n[[package]]\nname = \"{}\"\nversion = \"1.0.0\"\n\
                 source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{digest}\"\ndependencies = {used:?}\n",
                name(number)
            );
            digests.push((number, digest));
        }
        std::fs::write(folder.join("Cargo.lock"), lock).doing("write the lock file")?;
        let expectations = format!(
            "[[crate]]\nname = \"*\"\nidentity = \"{}\"\nissuer = \"{}\"\n",
            stage.issuer.subject(Profile::GitHub),
            stage.issuer.url(Profile::GitHub)
        );
        std::fs::write(folder.join("sigstore.toml"), expectations).doing("write the expectations")?;
        let world = Self { stage, folder };
        let runtime = tokio::runtime::Runtime::new().doing("start a runtime")?;
        runtime.block_on(world.sign(&digests))?;
        Ok(world)
    }

    async fn sign(&self, digests: &[(usize, Sha256Digest)]) -> Result<(), Error> {
        let signer = Arc::new(signer(self.stage)?);
        let mut jobs = JoinSet::new();
        for part in digests.chunks(CRATES.div_ceil(SIGNERS)) {
            let tokens: Vec<String> = part
                .iter()
                .map(|_| self.stage.issuer.token(Profile::GitHub))
                .collect::<Result<_, _>>()?;
            let (signer, part, home) = (Arc::clone(&signer), part.to_vec(), self.folder.join("sigstore-home"));
            jobs.spawn(async move {
                for ((number, digest), token) in part.into_iter().zip(tokens) {
                    let token = IdentityToken::new(token).doing("read the token")?;
                    let session = signer.certify(&token).await.doing("certify")?;
                    let statement = statement(number, digest).to_json();
                    let attested = session
                        .sign_statement(statement.as_bytes(), digest)
                        .await
                        .doing("sign")?;
                    let text = digest.to_string();
                    let folder = home.join("bundles/sha256").join(&text[..2]);
                    std::fs::create_dir_all(&folder).doing("make a folder")?;
                    let line = format!("{}\n", attested.bundle.to_json());
                    std::fs::write(folder.join(format!("{text}.jsonl")), line).doing("write a bundle")?;
                }
                Ok::<_, Error>(())
            });
        }
        jobs.join_all().await.into_iter().collect()
    }

    fn verify(&self, lockfile: &Path) -> Command {
        let mut command = self.stage.workshop.cargo_sigstore(&self.folder);
        command
            .args(["verify", "--offline", "--lockfile"])
            .arg(lockfile)
            .arg("--trusted-root")
            .arg(self.stage.instance.trust("trusted_root.json"))
            .env("CARGO_SIGSTORE_HOME", self.folder.join("sigstore-home"));
        command
    }

    fn command(&self, fetched: bool) -> Command {
        let mut command = self.verify(&self.folder.join("Cargo.lock"));
        command.env(
            "CARGO_HOME",
            self.folder.join(if fetched { "cargo-home" } else { "nothing" }),
        );
        command
    }

    fn document(&self) -> Result<Value, Error> {
        let printed = run(self.command(true).args(["--format", "json"]), Duration::from_mins(1))?.success()?;
        serde_json::from_str(&printed.stdout).doing("read the document")
    }
}

fn name(number: usize) -> String {
    format!("crate-{number:04}")
}

/// A crate as cargo packs it, with source that compresses as source does.
fn packed(number: usize, used: &[String]) -> std::io::Result<Vec<u8>> {
    let dependencies: String = used.iter().map(|name| format!("{name} = \"1\"\n")).collect();
    let manifest = format!(
        "[package]\nname = \"{}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}",
        name(number)
    );
    let mut source = String::new();
    while source.len() < SOURCE_BYTES {
        let word: u64 = rand::random();
        source += &format!(
            "pub fn function_{word:x}(argument: u64) -> u64 {{\n    argument.rotate_left({}) ^ {word}\n}}\n\n",
            word % 64
        );
    }
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (path, content) in [
        ("Cargo.toml", &manifest),
        ("Cargo.toml.orig", &manifest),
        ("src/lib.rs", &source),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).map_err(std::io::Error::other)?);
        header.set_mode(0o644);
        tar.append_data(
            &mut header,
            format!("{}-1.0.0/{path}", name(number)),
            content.as_bytes(),
        )?;
    }
    tar.into_inner()?.finish()
}

/// Provenance of about the usual size.
fn statement(number: usize, digest: Sha256Digest) -> Statement {
    let repository = "https://github.com/acme/monorepo";
    let (file, url) = (
        format!("{}-1.0.0.crate", name(number)),
        format!("pkg:cargo/{}@1.0.0", name(number)),
    );
    Statement {
        subjects: vec![Subject::sha256(&file, &url, &digest)],
        predicate_type: verify::provenance::PREDICATE_TYPE.to_owned(),
        predicate: json!({
            "buildDefinition": {
                "buildType": "https://example.org/buildtypes/measure/v1",
                "externalParameters": {"workflow": {
                    "ref": format!("refs/tags/{}-v1.0.0", name(number)), "repository": repository, "path": ".github/workflows/release.yml",
                }},
                "internalParameters": {"github": {
                    "event_name": "push", "repository_id": "1", "repository_owner_id": "2", "runner_environment": "github-hosted",
                }},
                "resolvedDependencies": [{
                    "uri": format!("git+{repository}@refs/tags/{}-v1.0.0", name(number)),
                    "digest": {"gitCommit": "0123456789012345678901234567890123456789"},
                }],
            },
            "runDetails": {
                "builder": {"id": format!("{repository}/.github/workflows/release.yml@refs/heads/main")},
                "metadata": {"invocationId": format!("{repository}/actions/runs/{number}/attempts/1")},
            },
        }),
    }
}

fn signer(stage: &Stage) -> Result<Signer, Error> {
    let json = std::fs::read(stage.instance.trust("trust_config.json")).doing("read the trust configuration")?;
    let trust = ClientTrustConfig::from_json(&json, &Budget::default()).doing("parse the trust configuration")?;
    let options = HttpOptions {
        user_agent: "lockfile".to_owned(),
        ..HttpOptions::default()
    };
    let http = Http::new(options).doing("make an HTTP client")?;
    Signer::new(http, trust).doing("make a signer")
}

fn artifacts(document: &Value) -> impl Iterator<Item = &Value> {
    document["artifacts"].as_array().into_iter().flatten()
}

fn total(document: &Value, member: &str) -> u64 {
    let numbers = artifacts(document).map(|artifact| &artifact["contents"][member]);
    numbers.filter_map(Value::as_u64).sum()
}

/// How many signatures were checked, and of how many kinds, as the document says.
fn signature_checks(document: &Value) -> String {
    let evidence = artifacts(document).flat_map(|artifact| artifact["evidence"].as_array().into_iter().flatten());
    let checks: Vec<&str> = evidence
        .flat_map(|proof| proof["checks"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .filter(|check| check.ends_with("signature"))
        .collect();
    let kinds: BTreeSet<&str> = checks.iter().copied().collect();
    format!(
        "{} ({})",
        checks.len(),
        kinds.into_iter().collect::<Vec<_>>().join(", ")
    )
}

/// What one process took.
struct Cost {
    wall: Duration,
    cpu: Duration,
    memory_kib: u64,
}

fn told(what: &str, exit: i32, command: impl Fn() -> Command) -> Result<(), Error> {
    cost(&mut command(), exit)?;
    let mut costs: Vec<Cost> = (0..RUNS)
        .map(|_| cost(&mut command(), exit))
        .collect::<Result<_, _>>()?;
    let memory = costs.iter().map(|cost| cost.memory_kib).max().unwrap_or_default();
    costs.sort_by_key(|cost| cost.cpu);
    let cpu = costs[RUNS / 2].cpu;
    costs.sort_by_key(|cost| cost.wall);
    let [low, median, high] =
        [1, 5, 9].map(|tenth| format!("{:.0} ms", costs[RUNS * tenth / 10].wall.as_secs_f64() * 1e3));
    let (cpu, memory) = (
        format!("{} ms", cpu.as_millis()),
        format!("{:.1} MiB", f64::from(u32::try_from(memory).unwrap_or(0)) / 1024.0),
    );
    println!("  {what:<42} {low:>8} {median:>8} {high:>8} {cpu:>8}  {memory:>9}");
    Ok(())
}

/// Runs a process to its end; what the kernel counted is read before it is reaped.
fn cost(command: &mut Command, exit: i32) -> Result<Cost, Error> {
    let start = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .doing("start a process")?;
    let id = Pid::from_child(&child);
    let status = format!("/proc/{}/status", child.id());
    let mut memory_kib = 0;
    loop {
        let ended = rustix::process::waitid(
            WaitId::Pid(id),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG,
        );
        if ended.doing("wait for a process")?.is_some() {
            break;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        memory_kib = memory_kib.max(peak.unwrap_or(0));
        std::thread::sleep(GLANCE);
    }
    let wall = start.elapsed();
    let counted = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).doing("read what it took")?;
    let fields: Vec<&str> = counted
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    // utime and stime, of all threads [proc_pid_stat(5), fields 14 and 15].
    let ticks: u32 = fields[11..13]
        .iter()
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    let code = child.wait().doing("wait for a process")?.code();
    if code != Some(exit) {
        return Err(Error::new(
            "verify a lock file",
            format!("exit code {code:?} instead of {exit}"),
        ));
    }
    Ok(Cost {
        wall,
        cpu: Duration::from_secs(1) * ticks / TICKS,
        memory_kib,
    })
}
