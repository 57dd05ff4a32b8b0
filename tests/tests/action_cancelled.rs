//! What becomes of the upload token that a job of the Action gets, above all when the job is cancelled.

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use tests::{
    Stage,
    action::{Act, source, variable},
    ci::Release,
    project::fixture,
    repository::Repository,
    run::{Outcome, run},
    service::Service,
};

const LIMIT: Duration = Duration::from_mins(5);

/// A registry that exchanges identities; it notes method, path and authorization of each request.
#[derive(Clone)]
struct Stalling {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Where it never answers: method, and what the path ends in.
    at: (&'static str, &'static str),
    /// How it answers who gives a token back.
    revocation: StatusCode,
    /// What it answers to an upload.
    upload: &'static str,
    /// Whether its index is for those with a token only.
    auth_required: bool,
    /// Set when it answers there after all.
    released: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    authorization: String,
}

const UPLOAD_TOKEN: &str = "cio_tp_0123456789abcdefghijklmnopqrstuv";

/// Longer than anything takes, also where much else runs.
const PATIENCE: Duration = Duration::from_mins(2);

impl Stalling {
    fn at(method: &'static str, path: &'static str) -> Self {
        Self {
            seen: Arc::default(),
            at: (method, path),
            revocation: StatusCode::NO_CONTENT,
            upload: "{}",
            auth_required: false,
            released: Arc::default(),
        }
    }

    fn serve(&self) -> Service {
        let state = self.clone();
        Service::start(|base| {
            let state = (state, base.to_owned());
            Router::new().fallback(stall).with_state(state)
        })
        .expect("a service")
    }

    fn find(&self, method: &str, path: &str) -> Option<String> {
        let seen = self.seen.lock().expect("a lock");
        let found = seen
            .iter()
            .find(|seen| seen.method == method && seen.path.ends_with(path));
        found.map(|seen| seen.authorization.clone())
    }

    fn saw(&self, method: &str) -> Option<String> {
        self.find(method, "")
    }

    /// The authorization of such a request, once it is there.
    fn await_request(&self, method: &str, path: &str) -> Option<String> {
        eventually(|| self.find(method, path))
    }

    /// Answers where it did not.
    fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
    }
}

fn eventually<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = found() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

async fn stall(
    State((registry, base)): State<(Stalling, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    registry.seen.lock().expect("a lock").push(Seen {
        method: method.to_string(),
        path: uri.path().to_owned(),
        authorization: authorization.unwrap_or_default().to_owned(),
    });
    let (stalled, path) = registry.at;
    while method == stalled && uri.path().ends_with(path) && !registry.released.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let is_known = authorization == Some(UPLOAD_TOKEN);
    match (method.as_str(), uri.path()) {
        ("GET", _) if registry.auth_required && !is_known => (StatusCode::UNAUTHORIZED, String::new()),
        ("GET", "/index/config.json") => (
            StatusCode::OK,
            format!(
                r#"{{"dl": "{base}/dl", "api": "{base}", "auth-required": {}}}"#,
                registry.auth_required
            ),
        ),
        ("POST", _) => (StatusCode::OK, format!(r#"{{"token": "{UPLOAD_TOKEN}"}}"#)),
        ("DELETE", _) => (registry.revocation, String::new()),
        ("PUT", _) => (StatusCode::OK, registry.upload.to_owned()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    }
}

/// A step that publishes packaged crates at such a registry.
struct Step {
    stage: Stage,
    registry: Stalling,
    _service: Service,
    process: Child,
}

impl Step {
    fn start(registry: Stalling, crates: &[&str]) -> Self {
        let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
        let service = registry.serve();
        let mut release = None;
        for name in crates {
            let project = stage.workshop.adopt(&fixture(name)).expect("a crate");
            let mut package = stage.workshop.cargo(&project.folder);
            package.args(["package", "--quiet", "--no-verify"]);
            run(&mut package, LIMIT).and_then(Outcome::success).expect("packaged");
            let repository = format!("ferris/{name}");
            release.get_or_insert_with(|| Release::of_tag(&repository, &project.version, &project.commit));
        }
        let release = release.expect("a crate");
        let mut command = Command::new("sh");
        command
            .arg(source().join("run.sh"))
            .env("GITHUB_ACTION_PATH", source())
            .env("CARGO_SIGSTORE_HOME", stage.path("sigstore-home"))
            .env("CARGO_HOME", stage.path("cargo-home"))
            .env(variable("binary"), stage.tools.cargo_sigstore())
            .env(variable("crate-files"), stage.path("target/package/*.crate"))
            .env(
                variable("registry"),
                format!("stalling=sparse+{}/index/", service.url()),
            )
            .env(variable("instance"), stage.instance.trust("trust_config.json"))
            .env(variable("trusted-publishing"), "always")
            .envs(release.github_environment(&stage.issuer))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(stage.path("log")).expect("a log"));
        let process = command.spawn().expect("it starts");
        Self {
            stage,
            registry,
            _service: service,
            process,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.stage.path("log")).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = run(kill.args(["-s", signal, &self.process.id().to_string()]), LIMIT);
        sent.and_then(Outcome::success).expect("the signal is sent");
    }

    /// Whether it succeeded. What does not end is killed, and no success.
    fn ended(&mut self) -> Option<bool> {
        let status = eventually(|| self.process.try_wait().expect("a process"));
        if status.is_none() {
            self.process.kill().expect("it is killed");
        }
        status.map(|status| status.success())
    }

    /// The token is hidden in the log before anything else could print it, and then nothing does.
    fn is_discreet(&self) -> bool {
        let log = self.log();
        log.matches(UPLOAD_TOKEN).count() == 1 && log.contains(&format!("::add-mask::{UPLOAD_TOKEN}\n"))
    }
}

fn bearer() -> String {
    format!("Bearer {UPLOAD_TOKEN}")
}

#[test]
fn a_cancelled_job_gives_its_registry_token_back() {
    // What the runner sends first, and what it sends when that did not help.
    for signal in ["INT", "TERM"] {
        let mut step = Step::start(Stalling::at("PUT", ""), &["crockford"]);
        let upload = step.registry.await_request("PUT", "");
        assert_eq!(upload.as_deref(), Some(UPLOAD_TOKEN), "{}", step.log());
        let early = step.registry.saw("DELETE");
        assert_eq!(early, None, "the token is needed until the upload ends");
        step.signal(signal);
        assert_eq!(
            step.registry.await_request("DELETE", ""),
            Some(bearer()),
            "{}",
            step.log()
        );
        assert_eq!(step.ended(), Some(false), "a cancelled step is no success");
        assert!(step.is_discreet(), "{}", step.log());
    }
}

#[test]
fn a_job_that_is_cancelled_while_it_asks_for_a_token_gives_back_what_it_gets() {
    let mut step = Step::start(Stalling::at("POST", "trusted_publishing/tokens"), &["crockford"]);
    step.registry.await_request("POST", "").expect("it asks");
    step.signal("INT");
    step.registry.release();
    assert_eq!(
        step.registry.await_request("DELETE", ""),
        Some(bearer()),
        "{}",
        step.log()
    );
    assert_eq!(step.ended(), Some(false), "{}", step.log());
    assert_eq!(step.registry.saw("PUT"), None, "{}", step.log());
    assert!(step.is_discreet(), "{}", step.log());
}

#[test]
fn a_job_that_has_given_its_token_back_can_still_be_cancelled() {
    let registry = Stalling::at("GET", "/te/ll/telltale");
    let mut step = Step::start(registry, &["crockford", "telltale"]);
    let second = step.registry.await_request("GET", "/te/ll/telltale");
    second.unwrap_or_else(|| panic!("{}", step.log()));
    assert_eq!(step.registry.saw("DELETE"), Some(bearer()), "{}", step.log());
    step.signal("INT");
    assert_eq!(step.ended(), Some(false), "{}", step.log());
}

#[test]
fn a_token_that_the_registry_does_not_take_back_is_told() {
    for (revocation, told) in [
        (StatusCode::NO_CONTENT, false),
        (StatusCode::FORBIDDEN, true),
        (StatusCode::NOT_FOUND, true),
    ] {
        let registry = Stalling {
            revocation,
            ..Stalling::at("", "")
        };
        let mut step = Step::start(registry, &["crockford"]);
        assert_eq!(step.ended(), Some(true), "{}", step.log());
        assert_eq!(step.registry.saw("DELETE"), Some(bearer()), "{}", step.log());
        let words = format!(
            "could not be given back (the registry answers with status {}",
            revocation.as_u16()
        );
        assert_eq!(step.log().contains(&words), told, "{}", step.log());
    }
}

#[test]
fn a_registry_that_shows_nothing_without_a_token_is_read_with_an_exchanged_one() {
    for auth_required in [false, true] {
        let registry = Stalling {
            auth_required,
            ..Stalling::at("", "")
        };
        let mut step = Step::start(registry, &["crockford"]);
        assert_eq!(step.ended(), Some(true), "{}", step.log());
        let seen = step.registry.seen.lock().expect("a lock").clone();
        let count = |method: &str| seen.iter().filter(|seen| seen.method == method).count();
        let reads = seen.iter().filter(|seen| seen.method == "GET");
        let shown = reads.filter(|seen| seen.authorization == UPLOAD_TOKEN).count();
        assert_eq!(shown, if auth_required { 2 } else { 0 }, "{seen:?}");
        assert_eq!(count("PUT"), 1, "{seen:?}");
        assert_eq!(count("POST"), count("DELETE"), "a token was not given back: {seen:?}");
    }
}

#[test]
fn a_registrys_words_are_no_commands_to_the_runner() {
    let registry = Stalling {
        upload: r#"{"errors": [{"detail": "no:\r\n  ::add-path::/evil\n::set-output name=path::/evil ##[group]"}]}"#,
        ..Stalling::at("", "")
    };
    let mut step = Step::start(registry, &["crockford"]);
    assert_eq!(step.ended(), Some(false), "{}", step.log());
    let log = step.log();
    assert!(
        log.contains("error[registry-refused]") && log.contains("the registry says: no:\n"),
        "{log}"
    );
    for line in log.lines().filter(|line| !line.starts_with("::error title=")) {
        let command = line.trim_start().starts_with("::add-path") || line.trim_start().starts_with("::set-output");
        assert!(!command && !line.contains("##[group]"), "{log}");
    }
    assert_eq!(step.registry.saw("DELETE"), Some(bearer()), "{log}");
}

const CANCELLED: &str = "\
on: push
permissions: {}
jobs:
  publish:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v5
      - uses: cargo-sigstore/gh-action@v0
        with:
          registry: stalling=sparse+${{ env.STALLING }}/index/
          trusted-publishing: always
          instance: ${{ env.INSTANCE }}
          binary: ${{ env.BINARY }}
      - run: echo 'a step after it ran'
";

/// The process that a step of `act` became: `act` kills where GitHub's runner interrupts, so the test sends the runner's signal.
fn step_of(act: u32) -> Option<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:"))?
            .trim()
            .parse()
            .ok()
    };
    let is_step = |pid: u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.ends_with(b"\0sigstore\0ci\0")
            && std::iter::successors(Some(pid), |pid| parent(*pid)).any(|pid| pid == act)
    };
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| is_step(*pid))
}

#[test]
fn a_cancelled_job_gives_its_registry_token_back_under_act() {
    let Some(act) = Act::find("the Action in a cancelled job") else {
        return;
    };
    let repository = Repository::open(env!("CARGO_BIN_EXE_sandbox").as_ref(), CANCELLED).expect("a repository");
    let registry = Stalling::at("PUT", "");
    let service = registry.serve();
    let mut permissions = repository.release.github_environment(&repository.stage.issuer);
    permissions.push(("STALLING".to_owned(), service.url().clone()));
    let path = repository.stage.path("log");
    let file = std::fs::File::create(&path).expect("a log");
    let mut running = repository
        .pushing(&act, permissions)
        .expect("a command")
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("the log"))
        .stderr(file)
        .spawn()
        .expect("act starts");
    let log = || std::fs::read_to_string(&path).unwrap_or_default();
    let upload = registry.await_request("PUT", "");
    assert_eq!(upload.as_deref(), Some(UPLOAD_TOKEN), "{}", log());
    assert_eq!(
        registry.saw("DELETE"),
        None,
        "the token is needed until the upload ends"
    );
    let step = step_of(running.id()).expect("the step's process");
    let sent = run(Command::new("kill").args(["-s", "INT", &step.to_string()]), LIMIT);
    sent.and_then(Outcome::success).expect("the signal is sent");
    let revoked = registry.await_request("DELETE", "");
    let ended = running.wait().expect("act ends");
    assert_eq!(revoked, Some(bearer()), "{}", log());
    assert!(!ended.success(), "a cancelled job is no success");
    assert!(!log().contains("a step after it ran\n  |"), "{}", log());
    assert!(!log().contains(UPLOAD_TOKEN), "{}", log());
}
