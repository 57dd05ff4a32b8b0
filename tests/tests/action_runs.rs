//! The Action where it runs: its script alone, and under `act`, which runs workflows without GitHub.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
};
use tests::{
    Stage,
    action::{Act, RunnerFiles, source, variable},
    ci::Release,
    repository::{Repository, copy_into},
    run::{Outcome, run},
    service::Service,
};

const LIMIT: Duration = Duration::from_mins(5);

/// Names in `release.env` are those of the machine.
const ASSET: &str = if cfg!(target_arch = "aarch64") {
    "cargo-sigstore-aarch64-linux"
} else {
    "cargo-sigstore-x86_64-linux"
};

/// Where releases are downloaded from: files by path, and every request.
#[derive(Clone, Default)]
struct Mirror {
    files: Arc<Mutex<Vec<(String, Bytes)>>>,
    requests: Arc<Mutex<Vec<String>>>,
    /// Whether it never answers.
    stalls: Arc<AtomicBool>,
}

impl Mirror {
    fn serve(&self) -> Service {
        let state = self.clone();
        Service::start(|_| Router::new().fallback(answer).with_state(state)).expect("a service")
    }

    fn put(&self, path: &str, bytes: Vec<u8>) {
        let mut files = self.files.lock().expect("a lock");
        files.retain(|(known, _)| known != path);
        files.push((path.to_owned(), bytes.into()));
    }

    fn requests(&self) -> usize {
        self.requests.lock().expect("a lock").len()
    }
}

async fn answer(State(mirror): State<Mirror>, uri: Uri) -> Result<Bytes, StatusCode> {
    mirror.requests.lock().expect("a lock").push(uri.path().to_owned());
    if mirror.stalls.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let files = mirror.files.lock().expect("a lock");
    let found = files.iter().find(|(path, _)| path == uri.path());
    found.map(|(_, bytes)| bytes.clone()).ok_or(StatusCode::NOT_FOUND)
}

/// A copy of the Action whose release is our own binary, and the mirror that has it.
struct Released {
    stage: Stage,
    action: PathBuf,
    mirror: Mirror,
    service: Service,
}

impl Released {
    fn new() -> Self {
        let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
        let (action, dist) = (stage.path("action"), stage.path("dist"));
        copy_into(&source(), &action).expect("a copy");
        std::fs::create_dir(&dist).expect("a folder");
        let binary = std::fs::read(stage.tools.cargo_sigstore()).expect("our binary");
        std::fs::write(dist.join(ASSET), &binary).expect("a release");
        let mut fill = Command::new(action.join("release.sh"));
        let filled = run(fill.arg("0.1.0").arg(&dist), LIMIT)
            .and_then(Outcome::success)
            .expect("filled");
        assert!(filled.stdout.contains("1 binaries"), "{}", filled.stdout);
        let mirror = Mirror::default();
        mirror.put(&format!("/v0.1.0/{ASSET}"), binary);
        let service = mirror.serve();
        Self {
            stage,
            action,
            mirror,
            service,
        }
    }

    fn cached(&self) -> PathBuf {
        let system = ASSET.trim_start_matches("cargo-sigstore-");
        self.stage
            .path("tools")
            .join(format!("cargo-sigstore/0.1.0-{system}/cargo-sigstore"))
    }

    /// The files in the tool cache.
    fn left(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.stage.path("tools")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let kind = if path.is_dir() { &mut folders } else { &mut files };
                kind.push(path);
            }
        }
        files
    }

    /// `run.sh` with command `setup`, run to its end.
    fn setup(&self, inputs: &[(&str, &str)]) -> (Outcome, RunnerFiles) {
        let (mut command, files) = self.command(inputs);
        (run(&mut command, LIMIT).expect("it runs"), files)
    }

    fn command(&self, inputs: &[(&str, &str)]) -> (Command, RunnerFiles) {
        let files = RunnerFiles::new(self.stage.path("runner")).expect("files");
        let mut command = Command::new("sh");
        command
            .arg(self.action.join("run.sh"))
            .current_dir(self.stage.path(""))
            .env("GITHUB_ACTION_PATH", &self.action)
            .env("RUNNER_TOOL_CACHE", self.stage.path("tools"))
            .env(variable("base-url"), self.service.url())
            .env(variable("command"), "setup");
        for (name, value) in inputs {
            command.env(variable(name), value);
        }
        files.give(&mut command);
        (command, files)
    }
}

#[test]
fn the_binary_is_hashed_at_every_use() {
    let released = Released::new();
    let (first, files) = released.setup(&[]);
    assert_eq!(first.code, Some(0), "{}", first.said());
    assert_eq!(files.outputs()["path"], released.cached().display().to_string());
    assert_eq!(released.mirror.requests(), 1);
    let (second, _) = released.setup(&[]);
    assert_eq!(
        (second.code, released.mirror.requests()),
        (Some(0), 1),
        "{}",
        second.said()
    );

    // Somebody changes the cached binary: it does not run.
    let marker = released.stage.path("marker");
    std::fs::write(released.cached(), format!("#!/bin/sh\ntouch '{}'\n", marker.display())).expect("a change");
    let (third, _) = released.setup(&[]);
    assert_eq!(
        (third.code, released.mirror.requests()),
        (Some(0), 2),
        "{}",
        third.said()
    );
    assert!(third.stdout.contains("action-cache"), "{}", third.said());
    assert!(!marker.exists(), "the changed binary ran");

    // Somebody changes the release.
    std::fs::remove_file(released.cached()).expect("a cached binary");
    released
        .mirror
        .put(&format!("/v0.1.0/{ASSET}"), b"#!/bin/sh\nexit 0\n".to_vec());
    let (fourth, _) = released.setup(&[]);
    assert_eq!(fourth.code, Some(1), "{}", fourth.said());
    assert!(
        fourth.stdout.contains("::error title=cargo-sigstore action-digest::"),
        "{}",
        fourth.said()
    );
    assert!(!released.cached().exists(), "another binary was kept");

    // Nobody has the release.
    let (fifth, _) = released.setup(&[("base-url", &format!("{}/elsewhere", released.service.url()))]);
    assert_eq!(fifth.code, Some(3), "{}", fifth.said());
    assert!(
        fifth.stdout.contains("::error title=cargo-sigstore action-download::"),
        "{}",
        fifth.said()
    );
    assert_eq!(released.left(), Vec::<PathBuf>::new(), "something was left behind");
}

#[test]
fn another_version_must_be_signed_by_the_release_workflow() {
    let released = Released::new();
    let workflow = "https://github.com/cargo-sigstore/cargo-sigstore/.github/workflows/release.yml";
    let stage = &released.stage;
    let env = released.action.join("release.env");
    let text = std::fs::read_to_string(&env).expect("release.env");
    let issuer = stage.issuer.url(tests::issuer::Profile::GitHub);
    let trust = stage.instance.trust("trust_config.json").display().to_string();
    let text = text
        .replace("https://token.actions.githubusercontent.com", &issuer)
        .replace("=public-good", &format!("={trust}"));
    std::fs::write(&env, text).expect("release.env");
    let other = stage
        .write("other", "#!/bin/sh\necho \"another version: $*\"\n")
        .expect("a file");
    let bundle = |repository: &str| {
        let release = Release {
            workflow: "release.yml".to_owned(),
            ..Release::of_tag(repository, "0.2.0", "6ae2c0d9e7b54d2f8f0a1b2c3d4e5f6071829304")
        };
        let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
        command.arg("sign").arg(&other).args(["--trust", &trust]);
        command.envs(release.github_environment(&stage.issuer));
        run(&mut command, LIMIT).and_then(Outcome::success).expect("signed");
        std::fs::read(stage.path("other.sigstore.json")).expect("a bundle")
    };
    released
        .mirror
        .put(&format!("/v0.2.0/{ASSET}"), std::fs::read(&other).expect("a file"));
    let path = format!("/v0.2.0/{ASSET}.sigstore.json");
    released.mirror.put(&path, bundle("cargo-sigstore/cargo-sigstore"));
    let policy = "[[file]]\nname = \"nothing is as this file says\"\n";
    std::fs::write(stage.path("sigstore.toml"), policy).expect("a policy of the job");
    std::fs::write(stage.path("Cargo.lock"), "").expect("a lock file of the job");
    for _ in 0..2 {
        let (ours, _) = released.setup(&[("version", "0.2.0")]);
        assert_eq!(ours.code, Some(0), "{}", ours.said());
        assert!(
            ours.stdout.ends_with("another version: sigstore ci\n"),
            "{}",
            ours.said()
        );
        assert_eq!(released.left().len(), 2, "{:?}", released.left());
    }

    released.mirror.put(&path, bundle("mallory/cargo-sigstore"));
    let (theirs, _) = released.setup(&[("version", "0.2.0")]);
    assert_eq!(theirs.code, Some(1), "{}", theirs.said());
    assert!(
        theirs.stdout.contains("action-version") && !theirs.stdout.contains("another version"),
        "{}",
        theirs.said()
    );
    assert!(theirs.stderr.contains(workflow), "{}", theirs.said());
    assert_eq!(released.left().len(), 2, "{:?}", released.left());
    let (none, _) = released.setup(&[("version", "0.3.0")]);
    assert!(
        none.code == Some(3) && none.stdout.contains("action-download"),
        "{}",
        none.said()
    );
    assert_eq!(released.left().len(), 2, "{:?}", released.left());
    for bad in ["latest", "../0.1.0", "0.2.0;id"] {
        let (outcome, _) = released.setup(&[("version", bad)]);
        assert!(
            outcome.code == Some(2) && outcome.stdout.contains("action-version"),
            "{}",
            outcome.said()
        );
    }
}

#[test]
fn a_job_that_is_cancelled_while_it_downloads_ends_and_leaves_nothing() {
    for signal in ["INT", "TERM"] {
        let released = Released::new();
        released.mirror.stalls.store(true, Ordering::SeqCst);
        let (mut command, _) = released.command(&[]);
        let mut step = command.spawn().expect("it starts");
        // Sooner than curl gives up.
        let within = |mut is_so: Box<dyn FnMut() -> bool + '_>| {
            let deadline = Instant::now() + Duration::from_mins(2);
            while Instant::now() < deadline {
                if is_so() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            false
        };
        assert!(
            within(Box::new(|| released.mirror.requests() == 1)),
            "nothing is asked for"
        );
        let kill = run(Command::new("kill").args(["-s", signal, &step.id().to_string()]), LIMIT);
        kill.and_then(Outcome::success).expect("the signal is sent");
        let ended = within(Box::new(|| step.try_wait().expect("a process").is_some()));
        if !ended {
            step.kill().expect("it is killed");
        }
        assert!(ended, "{signal} did not end it");
        assert_eq!(released.left(), Vec::<PathBuf>::new(), "something was left behind");
    }
    assert_eq!(Released::new().setup(&[]).0.code, Some(0));
}

/// What a workflow passes on from an issue or a branch's name may hold line breaks.
#[test]
fn no_input_can_begin_a_command_to_the_runner() {
    let released = Released::new();
    let command = "::add-path::/evil";
    for (input, code) in [
        ("base-url", "action-url"),
        ("binary", "action-binary"),
        ("version", "action-version"),
    ] {
        let value = format!("100%\n{command}\r\n{command}");
        let (outcome, _) = released.setup(&[(input, &value)]);
        let said = outcome.said();
        assert_eq!(outcome.code, Some(2), "{said}");
        assert!(outcome.stdout.contains(&format!("cargo-sigstore {code}::")), "{said}");
        assert!(
            outcome.stdout.contains("100%25%0A::add-path::/evil%0D%0A::add-path"),
            "{said}"
        );
        assert!(
            !said.lines().any(|line| line.trim_start().starts_with(command)),
            "{said}"
        );
    }
    assert_eq!(released.setup(&[]).0.code, Some(0));
}

#[test]
fn without_a_release_a_binary_must_be_named() {
    let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
    let script = |binary: &str| {
        let mut command = Command::new("sh");
        command
            .arg(source().join("run.sh"))
            .current_dir(stage.tools.folder())
            .env("GITHUB_ACTION_PATH", source())
            .env("RUNNER_TEMP", stage.path("temp"))
            .env(variable("command"), "setup")
            .env(variable("binary"), binary);
        run(&mut command, LIMIT).expect("it runs")
    };
    assert_eq!(script("cargo-sigstore").code, Some(0));
    let missing = script("no-such-file");
    assert!(
        missing.code == Some(2) && missing.stdout.contains("action-binary"),
        "{}",
        missing.said()
    );
    let none = script("");
    assert!(
        none.code == Some(2) && none.stdout.contains("action-release"),
        "{}",
        none.said()
    );
}

/// Two jobs; `actions/upload-artifact` and its counterpart are stand-ins that copy files, since theirs need GitHub.
const WORKFLOW: &str = "\
on: push
permissions: {}
jobs:
  package:
    runs-on: ubuntu-24.04
    outputs:
      digests: ${{ steps.package.outputs.digests }}
    steps:
      - uses: actions/checkout@v5
      - id: package
        uses: cargo-sigstore/gh-action@v0
        with: {command: package, output-dir: crates, registry: fixture, binary: '${{ env.BINARY }}'}
      - uses: actions/upload-artifact@v4
  publish:
    needs: package
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/download-artifact@v4
      - id: publish
        uses: cargo-sigstore/gh-action@v0
        with:
          crate-files: crates/*.crate
          digests: ${{ needs.package.outputs.digests }}
          registry: fixture=${{ env.CARGO_REGISTRIES_FIXTURE_INDEX }}
          registry-token: ${{ env.TOKEN_OF_THE_REGISTRY }}
          instance: ${{ env.INSTANCE }}
          binary: ${{ env.BINARY }}
      - run: echo 'published ${{ steps.publish.outputs.published }} as ${{ steps.publish.outputs.identity }}'
";

#[test]
fn two_jobs_publish_the_fixture_crate_and_pass_the_digest_on() {
    let Some(act) = Act::find("the Action's two jobs") else {
        return;
    };
    let repository = Repository::open(env!("CARGO_BIN_EXE_sandbox").as_ref(), WORKFLOW).expect("a repository");
    let refused = repository
        .push(
            &act,
            repository
                .release
                .github_environment_without_permission(&repository.stage.issuer),
        )
        .expect("act runs");
    assert_ne!(refused.code, Some(0), "{}", refused.said());
    assert!(
        refused.said().contains("E-ID-NOPERM") && refused.said().contains("id-token: write"),
        "{}",
        refused.said()
    );
    assert!(repository.registry.uploads().is_empty());

    std::fs::remove_dir_all(repository.stage.path("shared")).expect("the artifact of the run before");
    let done = repository
        .push(&act, repository.release.github_environment(&repository.stage.issuer))
        .expect("act runs");
    assert_eq!(done.code, Some(0), "{}", done.said());
    let version = repository.registry.version("crockford", "0.3.1").expect("a version");
    let digest = verify::Sha256Digest::of(&version.bytes).to_string();
    let told = format!("\"cksum\":\"{digest}\"");
    assert!(done.stdout.contains(&told), "{}", done.said());
    assert!(
        done.stdout
            .contains(&format!("as {}", repository.release.github_subject())),
        "{}",
        done.said()
    );
    assert!(
        !done.said().contains(repository.registry.token()),
        "the registry's token is in the log"
    );
}

#[test]
fn a_digest_that_another_job_did_not_hand_over_is_refused_under_act() {
    let Some(act) = Act::find("the Action with a swapped artifact") else {
        return;
    };
    let swap = "      - uses: actions/download-artifact@v4\n      - run: printf x >> crates/crockford-0.3.1.crate\n";
    let workflow = WORKFLOW.replace("      - uses: actions/download-artifact@v4\n", swap);
    let repository = Repository::open(env!("CARGO_BIN_EXE_sandbox").as_ref(), &workflow).expect("a repository");
    let refused = repository
        .push(&act, repository.release.github_environment(&repository.stage.issuer))
        .expect("act runs");
    assert_ne!(refused.code, Some(0), "{}", refused.said());
    assert!(refused.said().contains("ci-digest"), "{}", refused.said());
    assert!(
        repository.registry.uploads().is_empty(),
        "the swapped crate was uploaded"
    );
}

const DOWNLOADING: &str = "\
on: push
permissions: {}
jobs:
  setup:
    runs-on: ubuntu-24.04
    steps:
      - uses: cargo-sigstore/gh-action@v0
        with: {command: setup, base-url: '${{ env.MIRROR }}'}
      - run: cargo-sigstore sigstore --version
";

#[test]
fn a_job_downloads_the_binary_once_and_notices_changes() {
    let Some(act) = Act::find("the Action's download") else {
        return;
    };
    let released = Released::new();
    let repository = Repository::open(env!("CARGO_BIN_EXE_sandbox").as_ref(), DOWNLOADING).expect("a repository");
    let room = repository.stage.path("room");
    let job = || {
        let variables = vec![
            ("MIRROR".to_owned(), released.service.url()),
            ("GITHUB_REF".to_owned(), repository.release.git_ref.clone()),
        ];
        let actions: [(&str, &Path); 1] = [("cargo-sigstore/gh-action@v0", &released.action)];
        let mut command = act
            .push(&repository.project.folder, &room, &variables, &actions)
            .expect("a command");
        run(&mut command, LIMIT).expect("act runs")
    };
    for _ in 0..2 {
        let done = job();
        assert_eq!(done.code, Some(0), "{}", done.said());
        assert!(done.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", done.said());
        assert_eq!(released.mirror.requests(), 1);
    }
    let cache = room.join("cache/tool_cache/cargo-sigstore");
    let folder = std::fs::read_dir(cache)
        .expect("a cache")
        .next()
        .expect("a version")
        .expect("a version");
    std::fs::write(folder.path().join("cargo-sigstore"), "#!/bin/sh\nexit 0\n").expect("a change");
    let changed = job();
    assert_eq!(
        (changed.code, released.mirror.requests()),
        (Some(0), 2),
        "{}",
        changed.said()
    );
    assert!(changed.said().contains("was changed since"), "{}", changed.said());
}
