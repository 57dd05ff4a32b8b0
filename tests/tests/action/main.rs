//! The GitHub Action: what it takes and gives is documented, and `cargo sigstore ci` does it, here without any runner.

mod github;
mod scene;

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tests::{
    action::{members, source, variable},
    issuer::Profile,
    run::run,
};

use crate::scene::{LIMIT, Scene, read};

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
