//! What becomes of a registry's token when a job of the Action is cancelled.

use std::{
    process::{Command, Stdio},
    sync::{Arc, Mutex},
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

/// A registry that exchanges identities and never answers an upload; it notes method, path and authorization.
#[derive(Clone, Default)]
struct Stalling(Arc<Mutex<Vec<(String, String)>>>);

const UPLOAD_TOKEN: &str = "cio_tp_0123456789abcdefghijklmnopqrstuv";

impl Stalling {
    fn serve(&self) -> Service {
        let state = self.clone();
        Service::start(|base| {
            let state = (state, base.to_owned());
            Router::new().fallback(stall).with_state(state)
        })
        .expect("a service")
    }

    fn saw(&self, method: &str) -> Option<String> {
        let seen = self.0.lock().expect("a lock");
        let found = seen.iter().find(|(known, _)| known == method);
        found.map(|(_, authorization)| authorization.clone())
    }

    fn await_request(&self, method: &str, within: Duration) -> Option<String> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(authorization) = self.saw(method) {
                return Some(authorization);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

async fn stall(
    State((registry, base)): State<(Stalling, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let seen = (method.to_string(), authorization.unwrap_or_default().to_owned());
    if uri.path() != "/index/config.json" {
        registry.0.lock().expect("a lock").push(seen);
    }
    match (method.as_str(), uri.path()) {
        ("GET", "/index/config.json") => (StatusCode::OK, format!(r#"{{"dl": "{base}/dl", "api": "{base}"}}"#)),
        ("POST", _) => (StatusCode::OK, format!(r#"{{"token": "{UPLOAD_TOKEN}"}}"#)),
        ("DELETE", _) => (StatusCode::NO_CONTENT, String::new()),
        ("PUT", _) => std::future::pending().await,
        _ => (StatusCode::NOT_FOUND, String::new()),
    }
}

#[test]
fn a_cancelled_job_gives_its_registry_token_back() {
    // What the runner sends first, and what it sends when that did not help.
    for signal in ["INT", "TERM"] {
        let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
        let registry = Stalling::default();
        let service = registry.serve();
        let project = stage.workshop.adopt(&fixture("crockford")).expect("a crate");
        let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
        let mut package = stage.workshop.cargo(&project.folder);
        package.args(["package", "--quiet", "--no-verify"]);
        run(&mut package, LIMIT).and_then(Outcome::success).expect("packaged");
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
        let mut step = command.spawn().expect("it starts");
        let log = || std::fs::read_to_string(stage.path("log")).unwrap_or_default();
        let upload = registry.await_request("PUT", Duration::from_mins(1));
        assert_eq!(upload.as_deref(), Some(UPLOAD_TOKEN), "{}", log());
        assert_eq!(
            registry.saw("DELETE"),
            None,
            "the token is needed until the upload ends"
        );
        let mut kill = Command::new("kill");
        let sent = run(kill.args(["-s", signal, &step.id().to_string()]), LIMIT);
        sent.and_then(Outcome::success).expect("the signal is sent");
        let revoked = registry.await_request("DELETE", Duration::from_secs(7));
        let ended = step.wait().expect("it ends");
        assert_eq!(revoked, Some(format!("Bearer {UPLOAD_TOKEN}")), "{}", log());
        assert!(!ended.success(), "a cancelled step is no success");
        assert!(!log().contains(UPLOAD_TOKEN), "{}", log());
    }
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
    let registry = Stalling::default();
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
    let upload = registry.await_request("PUT", Duration::from_mins(2));
    assert_eq!(upload.as_deref(), Some(UPLOAD_TOKEN), "{}", log());
    assert_eq!(
        registry.saw("DELETE"),
        None,
        "the token is needed until the upload ends"
    );
    let step = step_of(running.id()).expect("the step's process");
    let sent = run(Command::new("kill").args(["-s", "INT", &step.to_string()]), LIMIT);
    sent.and_then(Outcome::success).expect("the signal is sent");
    let revoked = registry.await_request("DELETE", Duration::from_secs(7));
    let ended = running.wait().expect("act ends");
    assert_eq!(revoked, Some(format!("Bearer {UPLOAD_TOKEN}")), "{}", log());
    assert!(!ended.success(), "a cancelled job is no success");
    assert!(!log().contains("a step after it ran\n  |"), "{}", log());
    assert!(!log().contains(UPLOAD_TOKEN), "{}", log());
}
