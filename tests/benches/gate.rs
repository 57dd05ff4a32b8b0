//! The registry alone and the gate before it, in one run on loopback, one line for each figure.
//!
//! `cargo bench -p tests --bench gate`. Client, registry and gate share the machine, so the figures of both sides stand beside each other.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tests::{
    Doing as _, Error, Gate, Instance, Issuer, Registry, Tools,
    author::{Author, SBOM},
    http,
    issuer::{COMMIT, Profile},
    registry,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Downloads of a small crate, one after another.
const DOWNLOADS: usize = 2000;
/// Connections that ask for index files, and for how long.
const CONNECTIONS: usize = 64;
const LOAD: Duration = Duration::from_secs(5);
/// Crates that the gate has not seen.
const UNSEEN: usize = 200;
/// How often memory is looked at.
const GLANCE: Duration = Duration::from_millis(5);
/// Downloads at the same time.
const AT_ONCE: usize = 100;
/// After each piece of at most 64 KiB.
const SLOWLY: Duration = Duration::from_millis(50);
/// A crate of a usual size, and the largest that crates.io takes.
const SMALL_BYTES: usize = 20 << 10;
const LARGE_BYTES: usize = 9 << 20;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Error> {
    let tools = Tools::install(Path::new(env!("CARGO_BIN_EXE_sandbox")))?;
    let issuer = Issuer::start()?;
    let instance = Instance::start(&tools, &issuer)?;
    let registry = Registry::start(registry::Options::default())?;
    let gate = Gate::start(&tools, &instance, &registry, &policy(&issuer))?;
    let mut names = vec![("small".to_owned(), SMALL_BYTES), ("large".to_owned(), LARGE_BYTES)];
    names.extend((0..UNSEEN).map(|number| (format!("unseen-{number}"), SMALL_BYTES)));
    for (name, size) in &names {
        publish(&registry, name, &archive(name, *size).doing("make an archive")?)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .doing("start a runtime")?;
    runtime.block_on(async {
        first_verdicts("unseen", &gate).await?;
        let author = Author::new(&instance, &issuer, &gate.index_url())?;
        for number in 0..UNSEEN {
            let name = format!("attested-{number}");
            let archive = archive(&name, SMALL_BYTES).doing("make an archive")?;
            author.attest(&name, "1.0.0", &archive).await?;
            publish(&registry, &name, &archive)?;
        }
        first_verdicts("attested", &gate).await?;
        cached_downloads(&registry, &gate).await?;
        index_files(&registry, &gate).await?;
        many_large("at full speed", &gate, Duration::ZERO).await?;
        many_large("read slowly", &gate, SLOWLY).await
    })
}

/// What a rule names needs two statements; the rest needs none.
fn policy(issuer: &Issuer) -> String {
    format!(
        "unlisted = \"admit\"\n[[rule]]\ncrates = [\"attested-*\"]\nissuer = \"{}\"\n\
         repository = \"https://github.com/ferris/crockford\"\nworkflow = \".github/workflows/release.yml\"\n\
         ref = \"refs/tags/*\"\nstatements = [\"{SBOM}\"]\n",
        issuer.url(Profile::GitHub)
    )
}

/// Straight to the registry, so that the gate knows nothing of it.
fn publish(registry: &Registry, name: &str, archive: &[u8]) -> Result<(), Error> {
    let metadata = json!({"name": name, "vers": "1.0.0", "deps": [], "features": {}, "links": null});
    let body = package::publish::join(metadata.to_string().as_bytes(), archive).doing("make a request")?;
    let url = format!("{}/api/v1/crates/new", registry.url());
    let answer = http::request("PUT", &url, &[("authorization", registry.token())], &body)?;
    if answer.status == 200 {
        Ok(())
    } else {
        Err(Error::new("publish", answer.text()))
    }
}

/// A package with one file of random bytes beside its manifest and its commit.
fn archive(name: &str, size: usize) -> std::io::Result<Vec<u8>> {
    let mut content = vec![0; size];
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for byte in &mut content {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state.to_le_bytes()[0];
    }
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let commit = json!({"git": {"sha1": COMMIT}, "path_in_vcs": ""}).to_string();
    for (path, content) in [
        (".cargo_vcs_info.json", commit.as_bytes()),
        ("Cargo.toml", manifest.as_bytes()),
        ("data", &content),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap_or_default());
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{name}-1.0.0/{path}"), content)?;
    }
    tar.into_inner()?.finish()
}

/// Each crate once: index line, archive, evidence where a rule asks for it, decision, ledger.
async fn first_verdicts(kind: &str, gate: &Gate) -> Result<(), Error> {
    let mut connection = Connection::open(gate.url()).await?;
    let mut times = Vec::new();
    let before = worked(gate)?;
    for number in 0..UNSEEN {
        times.push(connection.timed(&download(&format!("{kind}-{number}"))).await?);
    }
    told(&format!("first verdict of an {kind} crate, with its download"), times);
    println!(
        "  of which processor time of the gate: {:.3} ms",
        worked(gate)?.saturating_sub(before).as_secs_f64() * 1000.0 / f64::from(u32::try_from(UNSEEN).unwrap_or(1))
    );
    Ok(())
}

async fn cached_downloads(registry: &Registry, gate: &Gate) -> Result<(), Error> {
    let path = download("small");
    for (what, base) in [
        ("cached download, registry alone", registry.url()),
        ("cached download, through the gate", gate.url().to_owned()),
    ] {
        let mut connection = Connection::open(&base).await?;
        connection.timed(&path).await?;
        let mut times = Vec::new();
        for _ in 0..DOWNLOADS {
            times.push(connection.timed(&path).await?);
        }
        told(what, times);
    }
    Ok(())
}

async fn index_files(registry: &Registry, gate: &Gate) -> Result<(), Error> {
    let mut rates = Vec::new();
    for (what, base) in [
        ("index requests, registry alone", registry.url()),
        ("index requests, through the gate", gate.url().to_owned()),
    ] {
        let end = Instant::now() + LOAD;
        let mut tasks = JoinSet::new();
        for number in 0..CONNECTIONS {
            let mut connection = Connection::open(&base).await?;
            tasks.spawn(async move {
                let path = format!("/index/un/se/unseen-{}", number % UNSEEN);
                let mut count: u64 = 0;
                while Instant::now() < end {
                    connection.timed(&path).await?;
                    count += 1;
                }
                Ok::<_, Error>(count)
            });
        }
        let mut total: u64 = 0;
        while let Some(count) = tasks.join_next().await {
            total += count.doing("join a client")??;
        }
        let rate = total / LOAD.as_secs();
        println!("{what}: {rate}/s from {CONNECTIONS} connections");
        rates.push(rate);
    }
    if let [alone, gated] = rates.as_slice() {
        println!("index requests, gate to registry: {} %", gated * 100 / alone.max(&1));
    }
    Ok(())
}

async fn many_large(what: &str, gate: &Gate, pause: Duration) -> Result<(), Error> {
    let path = download("large");
    Connection::open(gate.url()).await?.timed(&path).await?;
    println!("memory of the gate before: {}", memory(gate)?);
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let mut connection = Connection::open(gate.url()).await?;
        connection.pause = pause;
        let path = path.clone();
        tasks.spawn(async move { connection.timed(&path).await });
    }
    let mut most = 0;
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                Some(done) => drop(done.doing("join a client")??),
                None => break,
            },
            () = tokio::time::sleep(GLANCE) => most = most.max(resident(gate)?),
        }
    }
    println!(
        "{AT_ONCE} downloads of {} MiB at once, {what}: {:.1} s; memory of the gate: {} MB at most, after them {}",
        LARGE_BYTES >> 20,
        begin.elapsed().as_secs_f64(),
        most / 1000,
        memory(gate)?
    );
    Ok(())
}

/// Processor time of the gate so far, as the kernel counts it: hundredths of a second [`proc_pid_stat(5)`, fields 14 and 15].
fn worked(gate: &Gate) -> Result<Duration, Error> {
    let process = gate
        .process()
        .ok_or_else(|| Error::new("measure time", "the gate does not run"))?;
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).doing("read the process's times")?;
    let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>().doing("read the process's times")?;
    Ok(Duration::from_millis(ticks * 10))
}

/// Kilobytes resident now.
fn resident(gate: &Gate) -> Result<u64, Error> {
    let words = memory(gate)?;
    let now = words.split_once("VmRSS: ").and_then(|(_, rest)| rest.split(' ').next());
    now.and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::new("measure memory", words))
}

/// Resident now and at most, as the kernel says.
fn memory(gate: &Gate) -> Result<String, Error> {
    let process = gate
        .process()
        .ok_or_else(|| Error::new("measure memory", "the gate does not run"))?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).doing("read the process's status")?;
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    let words: Vec<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    Ok(words.join(", "))
}

fn download(name: &str) -> String {
    format!("/dl/{name}/1.0.0/download")
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get(times.len() * percent / 100).or(times.last());
        time.map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    println!(
        "{what}: p50 {:.3} ms, p99 {:.3} ms, most {:.3} ms",
        at(50),
        at(99),
        at(100)
    );
}

/// One connection that stays open, and as little client as possible.
struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
    /// What a slow client does after each piece.
    pause: Duration,
}

impl Connection {
    async fn open(base: &str) -> Result<Self, Error> {
        let host = base.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await.doing("connect")?;
        stream.set_nodelay(true).doing("connect")?;
        Ok(Self {
            stream,
            host,
            buffer: vec![0; 64 << 10],
            pause: Duration::ZERO,
        })
    }

    /// How long a GET takes, to the last byte of a 200.
    async fn timed(&mut self, path: &str) -> Result<Duration, Error> {
        let begin = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).await.doing("ask")?;
        let mut head = Vec::new();
        let rest = loop {
            let count = self.stream.read(&mut self.buffer).await.doing("read")?;
            head.extend_from_slice(&self.buffer[..count]);
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break head.split_off(end + 4).len();
            }
            if count == 0 {
                return Err(Error::new("read", "the connection ended"));
            }
        };
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length
            .and_then(|text| text.trim().parse().ok())
            .filter(|_| head.starts_with("http/1.1 200"))
            .ok_or_else(|| Error::new(format!("GET {path}"), head.as_str()))?;
        let mut missing = length.saturating_sub(rest);
        while missing > 0 {
            let count = self.stream.read(&mut self.buffer).await.doing("read")?;
            if count == 0 {
                return Err(Error::new("read", "the connection ended"));
            }
            missing = missing.saturating_sub(count);
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
        }
        Ok(begin.elapsed())
    }
}
