//! A release by `cargo sigstore publish`: what reaches the registry is what was attested, and no child of it ever holds a token.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tests::{
    Registry, Stage,
    ci::Release,
    http,
    issuer::{Endpoint, Fault, Profile},
    project::{Project, fixture},
    registry::Options,
    run::{Outcome, run},
    tools::write_program,
};

const LIMIT: Duration = Duration::from_mins(5);

/// A stage with a registry that cargo knows as `fixture`.
struct Scene {
    stage: Stage,
    registry: Registry,
}

/// A crate with the release of it that a GitHub job makes.
struct Job {
    project: Project,
    release: Release,
}

impl Scene {
    fn open() -> Self {
        let mut stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
        let registry = Registry::start(Options::default()).expect("a registry");
        stage.workshop.know("fixture", &registry);
        Self { stage, registry }
    }

    fn job(&self, name: &str) -> Job {
        let project = self.stage.workshop.adopt(&fixture(name)).expect("a crate");
        let repository = format!("ferris/{name}");
        let release = Release::of_tag(&repository, &project.version, &project.commit);
        Job { project, release }
    }

    /// `cargo sigstore publish` in the job's environment.
    fn publish(&self, job: &Job) -> Command {
        let mut command = self.stage.workshop.cargo_sigstore(&job.project.folder);
        command
            .args(["publish", "--registry", "fixture"])
            .env("SIGSTORE_TRUST_CONFIG", self.stage.instance.trust("trust_config.json"))
            .env("CARGO_REGISTRIES_FIXTURE_TOKEN", self.registry.token())
            .envs(job.release.github_environment(&self.stage.issuer));
        command
    }

    /// `cargo sigstore verify TARGET…` for the job's identity.
    fn verify(&self, job: &Job, targets: &[&str]) -> Outcome {
        let mut command = self.stage.workshop.cargo_sigstore(&job.project.folder);
        command
            .arg("verify")
            .args(targets)
            .args(["--certificate-identity", &job.release.github_subject()])
            .args(["--certificate-oidc-issuer", &self.stage.issuer.url(Profile::GitHub)])
            .env("SIGSTORE_TRUST_CONFIG", self.stage.instance.trust("trust_config.json"));
        ran(&mut command)
    }

    fn attestations(&self, digest: &str) -> Vec<Value> {
        let url = format!("{}/api/v1/attestations/sha256:{digest}", self.stage.instance.url());
        let answer = http::get(&url).expect("an answer").json();
        answer["attestations"].as_array().cloned().unwrap_or_default()
    }
}

fn ran(command: &mut Command) -> Outcome {
    run(command, LIMIT).expect("it runs")
}

/// Predicate types of bundles.
fn predicates(attestations: &[Value]) -> Vec<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let predicate = |attestation: &Value| {
        let payload = attestation["bundle"]["dsseEnvelope"]["payload"]
            .as_str()
            .expect("a payload");
        let statement: Value = serde_json::from_slice(&STANDARD.decode(payload).expect("base64")).expect("JSON");
        statement["predicateType"].as_str().expect("a type").to_owned()
    };
    let mut types: Vec<String> = attestations.iter().map(predicate).collect();
    types.sort();
    types
}

#[test]
fn a_release_is_attested_stored_uploaded_and_verified_from_a_lock_file() {
    let scene = Scene::open();
    let job = scene.job("crockford");
    ran(&mut scene.publish(&job))
        .success()
        .expect("the release is published");

    let published = scene.registry.version("crockford", "0.3.1").expect("the version");
    let digest = verify::Sha256Digest::of(&published.bytes).to_string();
    assert_eq!(published.line["cksum"], digest);
    let expected = [
        "https://cyclonedx.org/bom",
        "https://in-toto.io/attestation/link/v0.3",
        "https://slsa.dev/provenance/v1",
    ];
    assert_eq!(predicates(&scene.attestations(&digest)), expected);

    scene
        .verify(&job, &["crockford@0.3.1", "--registry", "fixture"])
        .success()
        .expect("by name");
    scene
        .verify(&job, &[&format!("sha256:{digest}")])
        .success()
        .expect("by digest");
    let consumer = scene.stage.workshop.adopt(&fixture("consumer")).expect("a consumer");
    let mut add = scene.stage.workshop.cargo(&consumer.folder);
    ran(add.args(["add", "--quiet", "crockford", "--registry", "fixture"]))
        .success()
        .expect("cargo adds it");
    let consuming = Job {
        project: consumer,
        release: job.release.clone(),
    };
    scene.verify(&consuming, &[]).success().expect("the lock file holds");
    // Evidence once fetched is kept: the same again without any network.
    scene.verify(&consuming, &["--offline"]).success().expect("offline too");

    // Somebody else's identity is not enough.
    let mut other = consuming.release.clone();
    other.repository = "somebody/else".to_owned();
    let other = Job {
        project: consuming.project.clone(),
        release: other,
    };
    scene.verify(&other, &[]).exit(1).expect("another identity is refused");

    // Again: the version is there already, and nothing is uploaded twice.
    let uploads = scene.registry.uploads().len();
    assert_eq!(uploads, 1);
}

/// Programs that write down their environment and then do what is asked of them, before all others on `PATH`.
fn witnesses(scene: &Scene, log: &Path) -> std::ffi::OsString {
    let folder = scene.stage.path("witnesses");
    std::fs::create_dir(&folder).expect("a folder");
    let path = scene.stage.tools.path();
    for name in ["cargo", "rustc", "git"] {
        let real = std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .unwrap_or_else(|| panic!("no {name} on PATH"));
        let script = format!(
            "#!/bin/sh\n{{ echo \"--- {name} ran\"; env; }} >> '{}'\nexec '{}' \"$@\"\n",
            log.display(),
            real.display()
        );
        let witness = folder.join(name);
        write_program(&witness, &script).expect("a script");
    }
    let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("a PATH")
}

#[test]
fn no_child_process_sees_a_token() {
    let scene = Scene::open();
    let job = scene.job("telltale");
    let (log, by_build_script) = (scene.stage.path("environments"), scene.stage.path("telltale.txt"));
    let path = witnesses(&scene, &log);
    let secrets = [
        ("CARGO_REGISTRY_TOKEN", "secret-of-crates-io"),
        ("CARGO_REGISTRIES_OTHER_TOKEN", "secret-of-another-registry"),
        ("SOME_ID_TOKEN", "secret-id-token"),
        ("GITHUB_TOKEN", "secret-of-github"),
    ];
    let environment = |command: &mut Command| {
        command
            .env("PATH", &path)
            .env("TELLTALE", &by_build_script)
            .env_remove("CARGO")
            .envs(secrets)
            .env("CARGO_REGISTRIES_FIXTURE_TOKEN", scene.registry.token());
    };
    let request_token = |environment: Vec<(String, String)>| {
        let found = environment
            .into_iter()
            .find(|(name, _)| name == "ACTIONS_ID_TOKEN_REQUEST_TOKEN");
        found.expect("a request token").1
    };

    // A plain `cargo package` hands everything to the build script: the witnesses can see it.
    let mut plain = scene.stage.workshop.cargo(&job.project.folder);
    environment(&mut plain);
    ran(plain.args(["package", "--quiet"]))
        .success()
        .expect("cargo packages");
    let seen = std::fs::read_to_string(&by_build_script).expect("the build script wrote");
    for (name, secret) in secrets {
        assert!(seen.contains(secret), "the witness is blind to {name}");
    }
    std::fs::remove_file(&by_build_script).expect("a clean sheet");
    std::fs::remove_file(&log).expect("a clean sheet");

    let mut publish = scene.publish(&job);
    environment(&mut publish);
    let variables = job.release.github_environment(&scene.stage.issuer);
    publish.envs(variables.clone());
    ran(&mut publish).success().expect("it is published");
    let seen = std::fs::read_to_string(&by_build_script).expect("the build script ran");
    assert!(seen.contains("--- build script ran"));
    let all = format!("{seen}{}", std::fs::read_to_string(&log).expect("the witnesses wrote"));
    for program in ["cargo", "rustc", "git"] {
        assert!(all.contains(&format!("--- {program} ran")), "{program} was not watched");
    }
    let request_token = request_token(variables);
    for secret in secrets
        .iter()
        .map(|(_, secret)| *secret)
        .chain([scene.registry.token(), &request_token, "eyJ"])
    {
        let line = all.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a child saw a token");
    }
    assert_eq!(scene.registry.uploads().len(), 1);
}

/// Cargo's side of the credential provider's conversation, for an upload of other bytes than were attested.
#[test]
fn a_provider_asked_for_another_digest_gives_no_token_and_nothing_is_uploaded() {
    let scene = Scene::open();
    let job = scene.job("crockford");
    // A cargo that adds a line to the crate between packaging and upload, as a thief on the machine could.
    let path = meddling_cargo(&scene, &job);
    let mut publish = scene.publish(&job);
    publish.env("PATH", path).env_remove("CARGO");
    let refused = ran(&mut publish);
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    assert!(!refused.said().contains(scene.registry.token()), "the token was shown");
    let uploads = scene.registry.uploads();
    assert!(uploads.is_empty(), "something was uploaded: {uploads:?}");
    for request in scene.registry.requests() {
        assert_eq!(request.authorization, None, "the token left the machine: {request:?}");
    }
    // The same without the meddler goes through.
    ran(&mut scene.publish(&job))
        .success()
        .expect("the honest upload is accepted");
    assert_eq!(scene.registry.uploads().len(), 1);
}

/// A `cargo` first on `PATH` that changes the sources before `cargo publish` and otherwise does as it is told.
fn meddling_cargo(scene: &Scene, job: &Job) -> std::ffi::OsString {
    let folder = scene.stage.path("meddler");
    std::fs::create_dir(&folder).expect("a folder");
    let path = scene.stage.tools.path();
    let real: PathBuf = std::env::split_paths(&path)
        .map(|folder| folder.join("cargo"))
        .find(|path| path.is_file())
        .expect("cargo on PATH");
    let source = job.project.folder.join("src/lib.rs");
    let script = format!(
        "#!/bin/sh\nfor word in \"$@\"; do\n  if [ \"$word\" = publish ]; then\n    cp '{source}' '{source}.honest'\n    \
         echo '// a line that no commit has' >> '{source}'\n    '{real}' \"$@\" --allow-dirty\n    code=$?\n    \
         mv '{source}.honest' '{source}'\n    exit $code\n  fi\ndone\nexec '{real}' \"$@\"\n",
        source = source.display(),
        real = real.display(),
    );
    let meddler = folder.join("cargo");
    write_program(&meddler, &script).expect("a script");
    let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("a PATH")
}

#[test]
fn a_missing_permission_a_stranger_and_a_broken_token_service_stop_before_anything_is_stored() {
    let scene = Scene::open();
    let job = scene.job("crockford");
    let without_permission = || {
        let mut command = scene.publish(&job);
        command
            .env_remove("ACTIONS_ID_TOKEN_REQUEST_URL")
            .env_remove("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
        ran(&mut command)
    };
    let faulty = |fault: Fault| {
        scene.stage.issuer.inject(Endpoint::Token, fault);
        let outcome = ran(&mut scene.publish(&job));
        scene.stage.issuer.heal();
        outcome
    };
    let cases = [
        ("no permission", without_permission(), "E-ID-NOPERM"),
        ("another audience", faulty(Fault::WrongAudience), "E-ID-AUD"),
        (
            "an expired token",
            faulty(Fault::ClockSkew { seconds: -86_400 }),
            "E-ID-EXPIRED",
        ),
        ("no JSON", faulty(Fault::Garbage), "E-ID-HTTP"),
        ("a token of 10 MB", faulty(Fault::Huge), "E-ID-HTTP"),
        ("a thousand dots", faulty(Fault::ExtraDots), "E-ID-MALFORMED"),
        ("a forged signature", faulty(Fault::BadSignature), "E-CA-TOKEN"),
    ];
    for (what, outcome, code) in cases {
        assert!(matches!(outcome.code, Some(1..=3)), "{what}: {}", outcome.said());
        assert!(
            outcome.stderr.contains(&format!("[{code}]")),
            "{what}: {}",
            outcome.said()
        );
        assert!(outcome.stderr.contains("hint: "), "{what}: {}", outcome.said());
    }
    assert!(scene.registry.uploads().is_empty(), "something was uploaded");
    let left = std::fs::read_dir(scene.stage.workshop.target().join("sigstore")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "a bundle was written");
    // A service that comes back is waited for.
    scene
        .stage
        .issuer
        .inject(Endpoint::Token, Fault::Unavailable { times: 2 });
    ran(&mut scene.publish(&job))
        .success()
        .expect("published after two failures");
}

#[test]
fn a_prebuilt_crate_is_published_without_a_checkout() {
    let scene = Scene::open();
    let job = scene.job("crockford");
    let mut package = scene.stage.workshop.cargo(&job.project.folder);
    ran(package.args(["package", "--quiet"]))
        .success()
        .expect("cargo packages");
    let prebuilt = scene.stage.workshop.target().join("package/crockford-0.3.1.crate");
    let bytes = std::fs::read(&prebuilt).expect("the crate");
    let elsewhere = scene.stage.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    let mut publish = scene.publish(&job);
    publish.current_dir(&elsewhere).arg("--crate-file").arg(&prebuilt);
    ran(&mut publish).success().expect("it is published");
    let published = scene.registry.version("crockford", "0.3.1").expect("the version");
    assert!(published.bytes == bytes, "other bytes arrived");
    scene
        .verify(&job, &["crockford@0.3.1", "--registry", "fixture"])
        .success()
        .expect("it verifies");
}

#[test]
fn a_dry_run_says_what_and_as_whom_and_does_nothing() {
    let scene = Scene::open();
    let job = scene.job("crockford");
    let mut publish = scene.publish(&job);
    let shown = ran(publish.arg("--dry-run")).success().expect("a dry run");
    assert!(shown.said().contains(&job.release.github_subject()), "{}", shown.said());
    assert!(
        shown.said().contains("https://slsa.dev/provenance/v1"),
        "{}",
        shown.said()
    );
    assert!(scene.registry.uploads().is_empty());
    let log = http::get(&format!("{}/checkpoint", scene.stage.instance.url())).expect("a checkpoint");
    assert_eq!(
        log.text().lines().nth(1),
        Some("1"),
        "something was logged besides the genesis entry"
    );
}
