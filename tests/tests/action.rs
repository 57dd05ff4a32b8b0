//! The GitHub Action: what it takes and gives is documented, and `cargo sigstore ci` does it, here without any runner.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tests::{
    Registry, Stage,
    action::{RunnerFiles, members, source, variable},
    ci::Release,
    http,
    issuer::Profile,
    project::{Project, fixture},
    registry::Options,
    run::{Outcome, run},
    service::Service,
};

const LIMIT: Duration = Duration::from_mins(5);

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_input_and_output_is_mapped_and_documented() {
    let action = read(&source().join("action.yml"));
    let readme = read(&source().join("README.md"));
    let sources = source().join("../cargo-sigstore/src/command/ci");
    let (inputs_rs, report_rs) = (read(&sources.join("inputs.rs")), read(&sources.join("report.rs")));
    let script = read(&source().join("run.sh"));
    let inputs = members(&action, "inputs");
    assert!(inputs.len() >= 28, "{inputs:?}");
    for (name, text) in &inputs {
        let mapping = format!("{}: ${{{{ inputs.{name} }}}}\n", variable(name));
        assert!(action.contains(&mapping), "action.yml does not map {name}");
        assert!(
            readme.contains(&format!("| `{name}` |")),
            "README.md lacks the input {name}"
        );
        let used = inputs_rs.contains(&format!("\"{name}\"")) || script.contains(&variable(name));
        assert!(used, "nobody reads the input {name}");
        assert!(
            text.contains("description: ") && text.contains("default: '"),
            "{name}: {text}"
        );
    }
    let mapped = action.matches("CARGO_SIGSTORE_INPUT_").count();
    assert_eq!(mapped, inputs.len(), "action.yml maps what is no input");
    let outputs = members(&action, "outputs");
    assert_eq!(outputs.len(), 9, "{outputs:?}");
    for (name, text) in &outputs {
        assert!(text.contains(&format!("steps.unix.outputs.{name} ")), "{name}: {text}");
        assert!(
            readme.contains(&format!("| `{name}` |")),
            "README.md lacks the output {name}"
        );
        assert!(
            report_rs.contains(&format!("(\"{name}\", ")),
            "nobody sets the output {name}"
        );
    }
    // Text of a script never holds an expression: a value could end the word it stands in.
    for line in action.lines().filter(|line| line.trim_start().starts_with("run:")) {
        assert!(!line.contains("${{"), "{line}");
    }
}

/// A stage with a registry and a crate to release.
struct Scene {
    stage: Stage,
    registry: Registry,
    project: Project,
    release: Release,
}

/// What a step did.
struct Step {
    outcome: Outcome,
    files: RunnerFiles,
    outputs: BTreeMap<String, String>,
}

impl Step {
    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.outputs[name]).unwrap_or_else(|_| panic!("{name}: {:?}", self.outputs))
    }

    fn succeeded(self) -> Self {
        assert_eq!(self.outcome.code, Some(0), "{}", self.outcome.said());
        self
    }

    /// The one error annotation, unescaped.
    fn refused(&self, exit: i32, code: &str) -> String {
        let said = self.outcome.said();
        assert_eq!(self.outcome.code, Some(exit), "{said}");
        let start = format!("::error title=cargo-sigstore {code}::");
        let text = said.lines().find_map(|line| line.strip_prefix(&start));
        let text = text.unwrap_or_else(|| panic!("no {code} in {said}"));
        text.replace("%0A", "\n").replace("%25", "%")
    }
}

impl Scene {
    fn open() -> Self {
        let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
        let registry = Registry::start(Options::default()).expect("a registry");
        let mut stage = stage;
        stage.workshop.know("fixture", &registry);
        let project = stage.workshop.adopt(&fixture("crockford")).expect("a crate");
        let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
        Self {
            stage,
            registry,
            project,
            release,
        }
    }

    /// `cargo sigstore ci` with these inputs, in a job without any permission.
    fn command(&self, inputs: &[(&str, &str)]) -> Command {
        let mut command = self.stage.workshop.cargo_sigstore(&self.project.folder);
        let instance = self.stage.instance.trust("trust_config.json");
        command
            .arg("ci")
            .env(variable("instance"), instance)
            .env(variable("registry"), "fixture")
            .envs(self.release.github_environment_without_permission(&self.stage.issuer));
        for (name, value) in inputs {
            command.env(variable(name), value);
        }
        command
    }

    /// The same in a job with `id-token: write` and the registry's token.
    fn publishing(&self, inputs: &[(&str, &str)]) -> Command {
        let mut command = self.command(inputs);
        command
            .env(variable("registry-token"), self.registry.token())
            .envs(self.release.github_environment(&self.stage.issuer));
        command
    }

    /// Our instance under the public one's names, which it reaches as a proxy, with its logs' v1 API alone.
    fn public(&self) -> String {
        let own = read(&self.stage.instance.trust("trust_config.json"));
        let mut config: Value = serde_json::from_str(&own).expect("JSON");
        let services = &mut config["signingConfig"];
        services["caUrls"][0]["url"] = "http://fulcio.sigstore.dev".into();
        services["tsaUrls"][0]["url"] = "http://timestamp.sigstore.dev/api/v1/timestamp".into();
        let logs = services["rekorTlogUrls"].as_array_mut().expect("logs");
        logs.retain(|log| log["majorApiVersion"] == 1);
        logs[0]["url"] = "http://rekor.sigstore.dev".into();
        let trust = self.stage.write("public.json", config.to_string()).expect("a file");
        trust.display().to_string()
    }

    fn step(&self, mut command: Command) -> Step {
        let files = RunnerFiles::new(self.stage.path("runner")).expect("files");
        files.give(&mut command);
        let outcome = run(&mut command, LIMIT).expect("it runs");
        let outputs = files.outputs();
        Step {
            outcome,
            files,
            outputs,
        }
    }

    /// How many entries the signature logs have, that of the v1 API and that of v2.
    fn logged(&self) -> u64 {
        let get = |path: &str| http::get(&format!("{}{path}", self.stage.instance.url())).expect("an answer");
        let size = get("/checkpoint")
            .text()
            .lines()
            .nth(1)
            .and_then(|size| size.parse::<u64>().ok());
        let of_v1 = get("/api/v1/log").json()["treeSize"].as_u64();
        size.expect("a size") + of_v1.expect("a size")
    }

    fn published_digest(&self) -> String {
        let version = self.registry.version("crockford", "0.3.1").expect("a version");
        verify::Sha256Digest::of(&version.bytes).to_string()
    }
}

#[test]
fn publish_uploads_what_it_attested_and_tells_the_runner() {
    let scene = Scene::open();
    let step = scene.step(scene.publishing(&[("command", "publish")])).succeeded();
    let digest = scene.published_digest();
    assert_eq!(step.json("digests"), json!({"crockford-0.3.1.crate": digest}));
    let published = step.json("published");
    assert_eq!(published[0]["cksum"], digest);
    assert_eq!(
        (&published[0]["name"], &published[0]["version"]),
        (&json!("crockford"), &json!("0.3.1"))
    );
    assert_eq!(step.outputs["identity"], scene.release.github_subject());
    assert_eq!(step.json("log-entries").as_array().expect("a list").len(), 3);
    assert_eq!(step.outputs["version"], env!("CARGO_PKG_VERSION"));
    for path in step.outputs["bundle-paths"]
        .lines()
        .chain([step.outputs["crate-files"].as_str()])
    {
        assert!(Path::new(path).is_file(), "{path}");
    }
    let summary = step.files.text("GITHUB_STEP_SUMMARY");
    for words in [
        "| crate | sha256 | identity | log index | bundle |",
        &digest,
        &scene.release.github_subject(),
    ] {
        assert!(summary.contains(words), "{summary}");
    }
    assert_eq!(step.files.text("GITHUB_ARTIFACTS").trim(), step.outputs["crate-files"]);
    let said = &step.outcome.stderr;
    let first = said.lines().next().expect("a line");
    assert_eq!(
        first,
        format!("::add-mask::{}", scene.registry.token()),
        "secrets are masked before anything else"
    );
    assert_eq!(said.matches(scene.registry.token()).count(), 1, "{said}");
    assert_eq!(
        said.matches("::group::Verify crockford-0.3.1.crate as a consumer would")
            .count(),
        1,
        "{said}"
    );
    let groups: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("::group::")).collect();
    assert_eq!(
        groups,
        [
            "Package without any token",
            "Sign crockford-0.3.1.crate",
            "Store the evidence of crockford-0.3.1.crate",
            "Upload crockford-0.3.1.crate",
            "Verify crockford-0.3.1.crate as a consumer would"
        ]
    );
    assert_eq!(said.matches("::endgroup::\n").count(), groups.len(), "{said}");
    let signing = said.split("::group::").find(|group| group.starts_with("Sign"));
    let signing = signing.expect("a group");
    assert!(
        signing.contains("Certified as https://github.com/ferris/crockford/") && signing.contains("log index"),
        "{signing}"
    );
    assert!(
        said.contains("::notice title=cargo-sigstore::Published: crockford-0.3.1.crate%0A"),
        "{said}"
    );
    assert!(!said.contains("::error"), "{said}");
    let (_, stopped) = said
        .split_once("::stop-commands::")
        .expect("nobody's build is listened to");
    let (token, packaging) = stopped.split_once('\n').expect("a token");
    let (packaging, rest) = packaging
        .split_once(&format!("::{token}::\n"))
        .expect("the runner listens again");
    assert!(packaging.contains("Compiling") && rest.contains("::notice"), "{said}");

    // Again: what is there is passed over.
    let again = scene.step(scene.publishing(&[])).succeeded();
    assert_eq!(again.json("published"), json!([]));
    assert_eq!(scene.registry.uploads().len(), 1);
}

/// Nobody keeps attestations there: what was published is verified by its files.
#[test]
fn with_the_public_instance_a_crate_is_published_and_its_files_are_the_evidence() {
    let scene = Scene::open();
    let instance = &scene.stage.instance;
    let trust = scene.public();
    let mut command = scene.publishing(&[("command", "publish"), ("instance", &trust)]);
    command.env("http_proxy", instance.url()).env("no_proxy", "127.0.0.1");
    let step = scene.step(command).succeeded();
    let said = step.outcome.said();
    assert!(
        said.contains("nobody keeps attestations of this registry's crates"),
        "{said}"
    );
    assert!(said.contains("::group::Verify crockford-0.3.1.crate\n"), "{said}");
    assert!(!said.contains("Stored"), "{said}");
    let entries = step.json("log-entries");
    assert_eq!(entries.as_array().map(Vec::len), Some(3), "{entries}");
    assert_eq!(step.json("published")[0]["cksum"], scene.published_digest());

    // The evidence is good: anybody who has the files verifies, and a changed crate is refused.
    let file = PathBuf::from(&step.outputs["crate-files"]);
    let bundle = PathBuf::from(step.outputs["bundle-paths"].lines().next().expect("a bundle"));
    let verify = |file: &Path| {
        let mut command = scene.stage.workshop.cargo_sigstore(scene.stage.workshop.folder());
        command.arg("verify").arg(file).arg("--bundle").arg(&bundle);
        command.arg("--trusted-root").arg(instance.trust("trusted_root.json"));
        command.args(["--certificate-identity", &scene.release.github_subject()]);
        command.args(["--certificate-oidc-issuer", &scene.stage.issuer.url(Profile::GitHub)]);
        run(&mut command, LIMIT).expect("it runs").code
    };
    assert_eq!(verify(&file), Some(0));
    let other = scene.stage.write("other.crate", "another crate").expect("a file");
    assert_eq!(verify(&other), Some(1));
}

/// A statement needs no store either, and a bill of materials that another tool made goes with the rest of the evidence.
#[test]
fn with_the_public_instance_statements_of_other_tools_are_files_too() {
    let scene = Scene::open();
    let trust = scene.public();
    let step = |inputs: &[(&str, &str)]| {
        let mut command = scene.publishing(inputs);
        command
            .env(variable("instance"), &trust)
            .env("http_proxy", scene.stage.instance.url())
            .env("no_proxy", "127.0.0.1");
        scene.step(command)
    };
    let write = |name: &str, text: &str| {
        let path = scene.stage.write(name, text).expect("a file");
        path.display().to_string()
    };
    let file = write("a.txt", "a");
    let predicate = write("p.json", r#"{"result": "PASSED"}"#);
    let attested = step(&[
        ("command", "attest"),
        ("crate-files", &file),
        ("predicate-type", "https://in-toto.io/attestation/test-result/v0.1"),
        ("predicate-path", &predicate),
    ])
    .succeeded();
    assert!(
        Path::new(&attested.outputs["bundle-paths"]).is_file(),
        "{:?}",
        attested.outputs
    );
    assert!(attested.outcome.said().contains("the bundle is in the file alone"));

    let before = scene.logged();
    let nothing = scene.stage.path("mistyped.json").display().to_string();
    let other = write("other.json", r#"{"name": "no bill of materials"}"#);
    for (path, code) in [(&nothing, "file-read"), (&other, "sbom")] {
        let refused = step(&[("sbom", path)]);
        refused.refused(2, code);
        assert!(!refused.outcome.said().contains("Packaging"), "{path}");
    }
    assert_eq!(scene.logged(), before, "something was signed");
    assert!(scene.registry.uploads().is_empty());
    // Ours as SPDX.
    let ours = step(&[("sbom", "spdx"), ("dry-run", "true"), ("verbose", "true")]).succeeded();
    let said = ours.outcome.said();
    assert!(
        said.contains("\"predicateType\": \"https://spdx.dev/Document/v2.3\"") && said.contains("SPDXRef-DOCUMENT"),
        "{said}"
    );
    let spdx = write("bom.spdx.json", r#"{"spdxVersion": "SPDX-2.3", "name": "crockford"}"#);
    let published = step(&[("sbom", &spdx)]).succeeded();
    assert_eq!(published.json("published")[0]["cksum"], scene.published_digest());
    let bundles = published.outputs["bundle-paths"].lines();
    let all = bundles
        .filter(|path| {
            Path::new(path)
                .extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .map(|path| read(Path::new(path)));
    let kinds = all.collect::<String>().lines().map(predicate_type).collect::<Vec<_>>();
    assert_eq!(
        kinds,
        [
            "https://slsa.dev/provenance/v1",
            "https://spdx.dev/Document/v2.3",
            "https://in-toto.io/attestation/link/v0.3"
        ]
    );
}

/// What the statement in a bundle means.
fn predicate_type(bundle: &str) -> String {
    let bundle: Value = serde_json::from_str(bundle).expect("JSON");
    let payload = bundle["dsseEnvelope"]["payload"].as_str().expect("a payload");
    let payload = STANDARD.decode(payload).expect("base64");
    let statement: Value = serde_json::from_slice(&payload).expect("JSON");
    statement["predicateType"].as_str().expect("a type").to_owned()
}

#[test]
fn one_job_packages_without_a_token_and_another_publishes_without_a_compiler() {
    let scene = Scene::open();
    let crates = scene.stage.path("crates");
    let folder = crates.display().to_string();
    let packaged = scene
        .step(scene.command(&[("command", "package"), ("output-dir", &folder)]))
        .succeeded();
    let digests = packaged.outputs["digests"].clone();
    assert_eq!(
        packaged.outputs["crate-files"],
        format!("{folder}/crockford-0.3.1.crate")
    );

    // The second job has neither the sources nor cargo.
    let empty = scene.stage.path("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let pattern = format!("{folder}/*.crate");
    let publish = |digests: &str| {
        let inputs = [("crate-files", pattern.as_str()), ("digests", digests)];
        let mut command = scene.publishing(&inputs);
        command.current_dir(&empty).env("PATH", &empty);
        scene.step(command)
    };
    let other = json!({"crockford-0.3.1.crate": "0".repeat(64)}).to_string();
    let text = publish(&other).refused(1, "ci-digest");
    assert!(text.contains("expected: 0000") && text.contains("hint: "), "{text}");
    assert!(
        scene.registry.uploads().is_empty(),
        "a crate with another digest was uploaded"
    );
    // What the reusable workflow hands over where the other job's output is empty: no file is expected.
    publish("{}").refused(1, "ci-digest");
    assert!(read(&source().join(".github/workflows/publish.yml")).contains("outputs.digests || '{}' }}"));
    assert!(scene.registry.uploads().is_empty());
    let step = publish(&digests).succeeded();
    assert!(!step.outcome.said().contains("::warning"), "{}", step.outcome.said());
    assert_eq!(step.outputs["digests"], digests);
    assert_eq!(step.json("digests")["crockford-0.3.1.crate"], scene.published_digest());
    // An output whose name is misspelt is empty, as if nobody had asked for digests.
    let step = publish("").succeeded();
    let said = step.outcome.said();
    assert!(
        said.contains("::warning title=cargo-sigstore::`crate-files` are published without `digests`"),
        "{said}"
    );
}

#[test]
fn a_job_without_permission_is_told_the_line_to_add() {
    let scene = Scene::open();
    let mut command = scene.command(&[]);
    command.env(variable("registry-token"), scene.registry.token());
    let step = scene.step(command);
    let text = step.refused(2, "E-ID-NOPERM");
    assert!(text.contains("id-token: write") && text.contains('\n'), "{text}");
    assert!(text.chars().count() <= 4096);
    assert!(step.files.text("GITHUB_STEP_SUMMARY").contains("E-ID-NOPERM"));
    assert!(scene.registry.uploads().is_empty());
    scene.step(scene.publishing(&[])).succeeded();
}

#[test]
fn sign_attest_verify_and_setup_do_what_their_names_say() {
    let scene = Scene::open();
    let file = scene.stage.write("crockford-0.3.1.crate", "bytes").expect("a file");
    let file = file.display().to_string();
    let out = scene.stage.path("out").display().to_string();
    let signed = [
        ("command", "sign"),
        ("crate-files", file.as_str()),
        ("output-dir", &out),
    ];
    let step = scene.step(scene.publishing(&signed)).succeeded();
    assert_eq!(
        step.outputs["bundle-paths"],
        format!("{out}/crockford-0.3.1.crate.sigstore.json")
    );
    // Where the step works elsewhere paths are those that the next step needs.
    let folder = scene.project.folder.join("deep/er");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("b.txt"), "b").expect("a file");
    let elsewhere = [
        ("command", "sign"),
        ("crate-files", "er/b.txt"),
        ("working-directory", "deep"),
    ];
    let step = scene.step(scene.publishing(&elsewhere)).succeeded();
    assert_eq!(step.outputs["bundle-paths"], "deep/er/b.txt.sigstore.json");

    let predicate = scene.stage.write("p.json", r#"{"result": "PASSED"}"#).expect("a file");
    let predicate = predicate.display().to_string();
    let kind = "https://in-toto.io/attestation/test-result/v0.1";
    let inputs = [
        ("command", "attest"),
        ("crate-files", file.as_str()),
        ("predicate-type", kind),
        ("predicate-path", &predicate),
    ];
    assert!(
        scene
            .step(scene.publishing(&inputs[..3]))
            .refused(2, "ci-input")
            .contains("predicate-path")
    );
    let step = scene.step(scene.publishing(&inputs)).succeeded();
    assert_eq!(step.json("log-entries").as_array().expect("a list").len(), 1);

    let rule = format!(
        "[[crate]]\nname = \"crockford\"\nidentity = \"{}\"\nissuer = \"{}\"\n",
        scene.release.github_subject(),
        scene.stage.issuer.url(tests::issuer::Profile::GitHub)
    );
    let policy = |text: &str| {
        scene
            .stage
            .write("sigstore.toml", text)
            .expect("a policy")
            .display()
            .to_string()
    };
    let verify = |policy: &str| {
        let inputs = [
            ("command", "verify"),
            ("crate-files", file.as_str()),
            ("policy", policy),
        ];
        scene.step(scene.command(&inputs))
    };
    let step = verify(&policy(&rule)).succeeded();
    assert!(step.files.text("GITHUB_STEP_SUMMARY").contains("| result |"));
    verify(&policy(&rule.replace("ferris", "mallory"))).refused(1, "identity-mismatch");

    // Where nothing is published provenance is no question, and debug logging shows command lines.
    let mut setup = scene.command(&[("command", "verify"), ("crate-files", &file), ("provenance", "false")]);
    setup
        .env(variable("policy"), policy(&rule))
        .env("ACTIONS_STEP_DEBUG", "true");
    let debugged = scene.step(setup).succeeded();
    assert!(debugged.outcome.said().contains("Running cargo sigstore verify"));
    let step = scene.step(scene.command(&[("command", "setup")])).succeeded();
    assert!(!step.outcome.said().contains("Running cargo sigstore"));
    let path = PathBuf::from(&step.outputs["path"]);
    assert_eq!(
        Path::new(step.files.text("GITHUB_PATH").trim()),
        path.parent().expect("a folder")
    );
}

#[test]
fn inputs_that_cannot_be_are_refused() {
    let scene = Scene::open();
    for (input, value) in [
        ("command", "deploy"),
        ("dry-run", "yes"),
        ("provenance", "false"),
        ("trusted-publishing", "sometimes"),
        ("digests", "[]"),
        ("working-directory", "/no/such/folder"),
        ("instance", "https://sigstore.example/trust.json"),
    ] {
        let text = scene.step(scene.publishing(&[(input, value)])).refused(2, "ci-input");
        assert!(text.contains(&format!("`{input}`")), "{text}");
    }
    let text = scene
        .step(scene.publishing(&[("crate-files", "*.none")]))
        .refused(2, "ci-files");
    assert!(text.contains("`*.none`"), "{text}");
    // A value that looks like an option stays a value.
    scene
        .step(scene.publishing(&[("packages", "--workspace")]))
        .refused(2, "package-selection");
    assert!(scene.registry.uploads().is_empty());
    let dry = scene.step(scene.publishing(&[("dry-run", "true")])).succeeded();
    assert!(dry.files.text("GITHUB_STEP_SUMMARY").contains("Would be published"));
    assert!(scene.registry.uploads().is_empty());
    scene.step(scene.publishing(&[])).succeeded();
}

#[test]
fn what_was_signed_before_a_failure_is_told_and_kept() {
    let scene = Scene::open();
    let write = |name: &str| scene.stage.write(name, name).expect("a file").display().to_string();
    let files = [write("a.txt"), write("b.txt")];
    let kept = scene.stage.path("kept").display().to_string();
    let step = || {
        let inputs = [
            ("command", "sign"),
            ("crate-files", &files.join("\n")),
            ("output-dir", &kept),
        ];
        scene.step(scene.publishing(&inputs))
    };
    // Where the second bundle belongs is something else.
    let obstacle = format!("{}.sigstore.json", files[1]);
    std::fs::create_dir(&obstacle).expect("a folder");
    let failed = step();
    failed.refused(3, "file-write");
    assert_eq!(failed.outputs["bundle-paths"], format!("{kept}/a.txt.sigstore.json"));
    assert!(Path::new(&failed.outputs["bundle-paths"]).is_file());
    assert!(failed.files.text("GITHUB_STEP_SUMMARY").contains("a.txt"));
    std::fs::remove_dir(&obstacle).expect("a folder");
    let done = step().succeeded();
    assert_eq!(done.outputs["bundle-paths"].lines().count(), 2);
}

#[test]
fn a_dry_run_signs_and_states_nothing() {
    let scene = Scene::open();
    let file = scene.stage.write("a.txt", "a").expect("a file").display().to_string();
    let predicate = scene.stage.write("p.json", r#"{"result": "PASSED"}"#).expect("a file");
    let predicate = predicate.display().to_string();
    for (command, title) in [("sign", "Would be signed"), ("attest", "Would be attested")] {
        let inputs = |dry_run| {
            [
                ("command", command),
                ("crate-files", file.as_str()),
                ("predicate-type", "https://in-toto.io/attestation/test-result/v0.1"),
                ("predicate-path", &predicate),
                ("dry-run", dry_run),
            ]
        };
        let before = scene.logged();
        let step = scene.step(scene.publishing(&inputs("true"))).succeeded();
        assert_eq!(scene.logged(), before, "{command}");
        assert!(!Path::new(&format!("{file}.sigstore.json")).exists(), "{command}");
        let summary = step.files.text("GITHUB_STEP_SUMMARY");
        assert!(
            summary.contains(title) && summary.contains(&scene.release.github_subject()),
            "{summary}"
        );
        let done = scene.step(scene.publishing(&inputs("false"))).succeeded();
        assert_ne!(done.json("log-entries"), json!([]), "{command}");
        std::fs::remove_file(format!("{file}.sigstore.json")).expect("a bundle");
    }
}

#[test]
fn a_strangers_event_signs_nothing() {
    let scene = Scene::open();
    let file = scene.stage.write("a.txt", "a").expect("a file").display().to_string();
    let predicate = scene.stage.write("p.json", r#"{"result": "PASSED"}"#).expect("a file");
    let predicate = predicate.display().to_string();
    for command in ["sign", "attest"] {
        let step = |event: &str| {
            let inputs = [
                ("command", command),
                ("crate-files", file.as_str()),
                ("predicate-type", "https://in-toto.io/attestation/test-result/v0.1"),
                ("predicate-path", &predicate),
            ];
            let mut job = scene.publishing(&inputs);
            let changes = json!({ "event_name": event });
            job.envs(scene.release.github_environment_with(&scene.stage.issuer, &changes));
            scene.step(job)
        };
        step("push").succeeded();
        for event in ["pull_request_target", "workflow_run"] {
            step(event).refused(1, "E-EVENT");
        }
    }
}

/// Bundles that GitHub's API was sent, with the authorization.
type Received = Arc<Mutex<Vec<(Value, String)>>>;

async fn attestations(
    State(received): State<Received>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (axum::http::StatusCode, Json<Value>) {
    let authorization = headers["authorization"].to_str().unwrap_or_default().to_owned();
    let mut received = received.lock().expect("a lock");
    if authorization != "Bearer ghs_right" {
        return (
            axum::http::StatusCode::FORBIDDEN,
            Json(json!({"message": "Resource not accessible by integration"})),
        );
    }
    received.push((body["bundle"].clone(), authorization));
    (axum::http::StatusCode::CREATED, Json(json!({"id": received.len()})))
}

/// What was received, for those with the same authorization.
async fn listed(State(received): State<Received>, headers: HeaderMap) -> Json<Value> {
    let received = received.lock().expect("a lock");
    let of_same = received
        .iter()
        .filter(|(_, authorization)| headers["authorization"] == *authorization);
    let listed: Vec<Value> = of_same
        .map(|(bundle, _)| json!({"bundle": bundle, "repository_id": 1}))
        .collect();
    Json(json!({ "attestations": listed }))
}

fn github(received: &Received) -> Service {
    let state = Arc::clone(received);
    let service = Service::start(|_| {
        Router::new()
            .route("/repos/ferris/crockford/attestations", post(attestations))
            .route("/repos/ferris/crockford/attestations/{digest}", get(listed))
            .with_state(state)
    });
    service.expect("a service")
}

/// GitHub, which is out of order for some time.
fn ailing_github(received: &Received, failures: usize) -> Service {
    let state = Arc::clone(received);
    let left = Arc::new(Mutex::new(failures));
    let store = move |state: State<Received>, headers: HeaderMap, body: Json<Value>| async move {
        {
            let mut left = left.lock().expect("a lock");
            if *left > 0 {
                *left -= 1;
                return (axum::http::StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
            }
        }
        attestations(state, headers, body).await
    };
    let service = Service::start(|_| {
        Router::new()
            .route("/repos/ferris/crockford/attestations", post(store))
            .route("/repos/ferris/crockford/attestations/{digest}", get(listed))
            .with_state(state)
    });
    service.expect("a service")
}

#[test]
fn a_release_that_failed_after_its_upload_is_completed_by_running_again() {
    let scene = Scene::open();
    let received = Received::default();
    let github = ailing_github(&received, 1);
    let trust = scene.public();
    let publish = || {
        let mut publish = scene.publishing(&[
            ("instance", trust.as_str()),
            ("github-attestations", "true"),
            ("github-token", "ghs_right"),
        ]);
        publish
            .env("http_proxy", scene.stage.instance.url())
            .env("no_proxy", "127.0.0.1")
            .env("GITHUB_API_URL", github.url());
        scene.step(publish)
    };
    let first = publish();
    assert_eq!(first.outcome.code, Some(3), "{}", first.outcome.said());
    assert_eq!(scene.registry.uploads().len(), 1);
    assert_eq!(first.outputs["attestation-urls"], "");
    assert_eq!(first.json("published")[0]["cksum"], scene.published_digest());
    let said = first.outcome.said();
    assert!(said.contains("::group::Verify crockford-0.3.1.crate"), "{said}");

    let second = publish().succeeded();
    assert_eq!(scene.registry.uploads().len(), 1, "it was uploaded again");
    assert_eq!(second.outputs["attestation-urls"].lines().count(), 3);
    assert_eq!(received.lock().expect("a lock").len(), 3);
    let third = publish().succeeded();
    assert!(third.outcome.said().contains("Skipping"), "{}", third.outcome.said());
    assert_eq!(received.lock().expect("a lock").len(), 3, "it was signed again");
}

#[test]
fn what_was_published_before_a_failure_is_told_kept_and_verified() {
    let scene = Scene::open();
    let other = scene.stage.workshop.adopt(&fixture("telltale")).expect("a crate");
    for folder in [&scene.project.folder, &other.folder] {
        let mut package = scene.stage.workshop.cargo(folder);
        package.args(["package", "--quiet", "--no-verify"]);
        run(&mut package, LIMIT).and_then(Outcome::success).expect("packaged");
    }
    // Of the second crate the registry has this version already, with other bytes.
    let mut before = scene.stage.workshop.cargo(&other.folder);
    before
        .args(["publish", "--quiet", "--no-verify", "--registry", "fixture"])
        .env("CARGO_REGISTRIES_FIXTURE_TOKEN", scene.registry.token())
        .env("CARGO_REGISTRIES_FIXTURE_CREDENTIAL_PROVIDER", "cargo:token");
    run(&mut before, LIMIT).and_then(Outcome::success).expect("published");
    let other_bytes = |line: &mut Value| line["cksum"] = "0".repeat(64).into();
    scene.registry.edit_line("telltale", &other.version, other_bytes);
    let crates = scene.stage.path("target/package/*.crate").display().to_string();
    let kept = scene.stage.path("kept");
    let publish = |inputs: &[(&str, &str)]| {
        let folder = kept.display().to_string();
        let mut command = scene.publishing(&[("crate-files", crates.as_str()), ("output-dir", &folder)]);
        for (name, value) in inputs {
            command.env(variable(name), value);
        }
        scene.step(command)
    };
    let step = publish(&[]);
    step.refused(1, "already-published");
    let published = step.json("published");
    assert_eq!(published.as_array().map(Vec::len), Some(1), "{published}");
    assert_eq!(published[0]["cksum"], scene.published_digest());
    assert!(kept.join("crockford-0.3.1.crate.sigstore.json").is_file());
    let summary = step.files.text("GITHUB_STEP_SUMMARY");
    assert!(
        summary.contains("already-published") && summary.contains(&scene.published_digest()),
        "{summary}"
    );
    let said = step.outcome.said();
    assert!(
        said.contains("::group::Verify crockford-0.3.1.crate as a consumer would"),
        "{said}"
    );
    assert_eq!(scene.registry.uploads().len(), 2);
    // The same where the second is to be passed over.
    publish(&[("skip-existing", "true")]).succeeded();
    assert_eq!(scene.registry.uploads().len(), 2);
}

/// The public instance keeps nothing, and GitHub what the Action gives it: who expects the workflow needs no more than the crate.
#[test]
fn what_the_action_stores_with_github_is_found_by_whoever_verifies() {
    let scene = Scene::open();
    let github = github(&Received::default());
    let trust = scene.public();
    let mut publish = scene.publishing(&[
        ("instance", trust.as_str()),
        ("github-attestations", "true"),
        ("github-token", "ghs_right"),
    ]);
    publish
        .env("http_proxy", scene.stage.instance.url())
        .env("no_proxy", "127.0.0.1")
        .env("GITHUB_API_URL", github.url());
    let step = scene.step(publish).succeeded();
    assert_eq!(step.outputs["attestation-urls"].lines().count(), 3);

    let rule = format!(
        "[[crate]]\nname = \"crockford\"\nidentity = \"{}\"\nissuer = \"{}\"\n",
        scene.release.github_subject(),
        scene.stage.issuer.url(Profile::GitHub)
    );
    let policy = scene.stage.write("sigstore.toml", rule).expect("a policy");
    let consumer = scene.stage.workshop.adopt(&fixture("consumer")).expect("a consumer");
    let mut add = scene.stage.workshop.cargo(&consumer.folder);
    add.args(["add", "--quiet", "crockford", "--registry", "fixture"]);
    run(&mut add, LIMIT).expect("it runs").success().expect("cargo adds it");
    let verify = |token: &str| {
        let inputs = [
            ("command", "verify"),
            ("instance", trust.as_str()),
            ("policy", policy.to_str().expect("UTF-8")),
            ("github-token", token),
        ];
        let mut command = scene.command(&inputs);
        command
            .env("GITHUB_API_URL", github.url())
            .current_dir(&consumer.folder);
        scene.step(command)
    };
    let found = verify("ghs_right").succeeded();
    let summary = found.files.text("GITHUB_STEP_SUMMARY");
    assert!(
        summary.contains("crockford") && summary.contains("verified"),
        "{summary}"
    );
    assert!(
        !found.outcome.said().contains("nobody keeps"),
        "{}",
        found.outcome.said()
    );
}

#[test]
fn github_gets_the_bundles_when_asked() {
    let scene = Scene::open();
    let received = Received::default();
    let github = github(&received);
    let step = |token: &str| {
        let inputs = [("github-attestations", "true"), ("github-token", token)];
        let mut command = scene.publishing(&inputs);
        command.env("GITHUB_API_URL", github.url());
        scene.step(command)
    };
    let step = step("ghs_right").succeeded();
    let urls: Vec<&str> = step.outputs["attestation-urls"].lines().collect();
    assert_eq!(urls.len(), 3);
    assert_eq!(urls[0], "https://github.com/ferris/crockford/attestations/1");
    let received = received.lock().expect("a lock");
    assert!(received.iter().all(|(bundle, _)| bundle["dsseEnvelope"].is_object()));
    assert!(step.outcome.stderr.contains("::add-mask::ghs_right"));

    let file = scene.stage.write("a.txt", "a").expect("a file").display().to_string();
    let inputs = [
        ("command", "sign"),
        ("crate-files", file.as_str()),
        ("github-attestations", "true"),
        ("github-token", "ghs_wrong"),
    ];
    let mut command = scene.publishing(&inputs);
    command.env("GITHUB_API_URL", github.url());
    drop(received);
    let text = scene.step(command).refused(1, "ci-github");
    assert!(
        text.contains("not accessible") && text.contains("attestations: write"),
        "{text}"
    );
}
