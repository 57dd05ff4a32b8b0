//! A registry adds a dependency to an honest crate: archive, checksum and signature stay as they are, unmodified cargo locks, fetches and
//! would build it. `cargo sigstore verify` names the edge that the crate's own manifest does not explain.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};
use tests::{
    Consumer, Stage,
    run::{Outcome, run},
};

const LIMIT: Duration = Duration::from_mins(5);

struct Scene(Consumer);

impl std::ops::Deref for Scene {
    type Target = Consumer;

    fn deref(&self) -> &Consumer {
        &self.0
    }
}

impl Scene {
    fn open() -> Self {
        Self(Consumer::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a consumer"))
    }

    fn cargo(&self, arguments: &[&str]) -> Outcome {
        self.0.cargo(arguments).expect("it runs")
    }

    fn lock_anew(&self) -> String {
        self.0.lock_anew().expect("a lock file")
    }

    fn verify(&self, arguments: &[&str]) -> Outcome {
        ran(&mut self.verify_command(arguments))
    }

    /// Lets the index say that `crockford` uses `telltale`, in these words.
    fn confuse(&self, dependency: &Value) {
        self.registry.edit_line("crockford", "0.3.1", |line| {
            line["deps"] = json!([dependency]);
        });
    }

    fn cached(&self, file: &str) -> PathBuf {
        self.0.cached(file).expect("a registry")
    }
}

fn ran(command: &mut Command) -> Outcome {
    run(command, LIMIT).expect("it runs")
}

fn dependency(kind: &str) -> Value {
    json!({
        "name": "telltale", "req": "^1", "features": [], "optional": false, "default_features": true, "target": null, "kind": kind,
    })
}

/// The line with the checksum of `crockford`.
fn checksum(lock: &str) -> &str {
    let entry = lock.split("name = \"crockford\"").nth(1).expect("an entry");
    entry
        .lines()
        .find(|line| line.starts_with("checksum"))
        .expect("a checksum")
}

fn document(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).expect("a document")
}

#[test]
fn an_index_line_that_gains_a_dependency_is_noticed_in_the_lock_file() {
    let scene = Scene::open();
    let honest = scene.verify(&[]);
    assert_eq!(honest.code, Some(0), "{}", honest.said());
    assert!(
        honest
            .stderr
            .contains("1 of 1 crates are not checked: not in cargo's cache (run `cargo fetch`)")
    );
    let honest_lock = scene.lock_anew();
    let honest = scene.verify(&["--offline"]);
    assert_eq!(honest.code, Some(0), "{}", honest.said());
    assert!(
        honest
            .stdout
            .contains("manifests looked into: 1 of 1; edges of the lock file: 0; findings: 0"),
        "{}",
        honest.said()
    );
    assert!(!honest.stderr.contains("not checked"), "{}", honest.said());

    for kind in ["normal", "build"] {
        scene.confuse(&dependency(kind));
        let lock = scene.lock_anew();
        assert!(lock.contains("\"telltale\""), "cargo believes the index: {lock}");
        assert_eq!(checksum(&lock), checksum(&honest_lock), "the crate itself is as before");
        let refused = scene.verify(&[]);
        assert_eq!(refused.code, Some(1), "{}", refused.said());
        let sentence = "error[edge-unexplained]: `crockford 0.3.1` uses `telltale 1.0.0` by the lock file, but not by its own manifest";
        assert!(refused.stderr.contains(sentence), "{}", refused.said());
        // Both crates are signed by whom the consumer expects; nothing else is wrong.
        assert_eq!(refused.stderr.matches("error[").count(), 1, "{}", refused.said());
    }

    let document = document(&scene.verify(&["--format", "json"]));
    assert_eq!(document["result"], "no");
    let of = |name: &str| {
        let artifacts = document["artifacts"].as_array().expect("artifacts");
        artifacts
            .iter()
            .find(|artifact| artifact["name"] == name)
            .expect("the crate")
    };
    assert_eq!(of("crockford")["outcome"], "refused");
    assert_eq!(of("crockford")["refusals"][0]["code"], "edge-unexplained");
    assert_eq!(of("telltale")["outcome"], "verified");
    let sarif: Value = serde_json::from_str(&scene.verify(&["--format", "sarif"]).stdout).expect("SARIF");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "edge-unexplained");
    let line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
        .as_u64()
        .expect("a line");
    let lock = std::fs::read_to_string(scene.project.folder.join("Cargo.lock")).expect("the lock file");
    let named = lock.lines().nth(usize::try_from(line).expect("a line"));
    assert_eq!(named, Some("name = \"crockford\""));

    let told = scene.verify(&["--allow-unexplained"]);
    assert_eq!(told.code, Some(0), "{}", told.said());
    assert!(
        told.stderr.contains("warning: `crockford 0.3.1` uses `telltale 1.0.0`"),
        "{}",
        told.said()
    );

    // A dependency of tests is none of the consumer's: cargo leaves it out of the lock file.
    scene.confuse(&dependency("dev"));
    assert!(!scene.lock_anew().contains("telltale"));
    assert_eq!(scene.verify(&[]).code, Some(0));
}

#[test]
fn a_registry_that_takes_the_place_of_another_needs_the_users_word() {
    let scene = Scene::open();
    let old = scene.registry.index_url();
    // A library of the old registry that uses crockford of the same registry.
    let library = scene.stage.workshop.folder().join("library");
    std::fs::create_dir_all(library.join("src")).expect("a folder");
    std::fs::write(library.join("src/lib.rs"), "").expect("a source");
    std::fs::write(
        library.join("Cargo.toml"),
        "[package]\nname = \"library\"\nversion = \"1.0.0\"\nedition = \"2021\"\nlicense = \"MIT\"\ndescription = \"x\"\n\
         [dependencies]\ncrockford = { version = \"0.3\", registry = \"fixture\" }\n[workspace]\n",
    )
    .expect("a manifest");
    let mut publish = scene.stage.workshop.cargo(&library);
    publish
        .args([
            "publish",
            "--registry",
            "fixture",
            "--allow-dirty",
            "--no-verify",
            "--quiet",
        ])
        .env("CARGO_REGISTRIES_FIXTURE_TOKEN", scene.registry.token());
    ran(&mut publish).success().expect("published");
    scene
        .cargo(&["add", "--quiet", "library", "--registry", "fixture"])
        .success()
        .expect("cargo adds it");
    scene.lock_anew();
    let arguments = ["--allow-unattested", "--allow-unpinned"];
    scene.expect_nobody().expect("expectations");
    let honest = scene.verify(&arguments);
    assert_eq!(honest.code, Some(0), "{}", honest.said());
    assert!(
        honest.stdout.contains("2 of 2; edges of the lock file: 1; findings: 0"),
        "{}",
        honest.said()
    );

    // The registry moves: the lock file names its new address, the manifest inside `library` the old one.
    let lock = scene.project.folder.join("Cargo.lock");
    let new = "sparse+https://new.example/index/";
    let moved = std::fs::read_to_string(&lock).expect("a lock file").replace(&old, new);
    std::fs::write(&lock, moved).expect("a lock file");
    let refused = scene.verify(&arguments);
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    assert!(
        refused
            .stderr
            .contains("error[edge-registry]: `library 1.0.0` uses `crockford 0.3.1`"),
        "{}",
        refused.said()
    );
    let hint = refused
        .stderr
        .split("`sigstore.toml`: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    std::fs::write(scene.project.folder.join("sigstore.toml"), hint.expect("a hint")).expect("expectations");
    let accepted = scene.verify(&arguments);
    assert_eq!(accepted.code, Some(0), "{}", accepted.said());
}

#[test]
fn nothing_is_said_against_the_crates_that_this_project_uses() {
    let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
    command
        .args(["verify", "--lockfile", lock, "--offline", "--format", "json"])
        .arg("--trusted-root")
        .arg(stage.instance.trust("trusted_root.json"));
    // The cache that this test was built from. Crates of other platforms need not be in it.
    match std::env::var_os("CARGO_HOME") {
        Some(home) => command.env("CARGO_HOME", home),
        None => command.env_remove("CARGO_HOME"),
    };
    let document = document(&ran(&mut command));
    let artifacts = document["artifacts"].as_array().expect("artifacts");
    let count = |member: &str| {
        let numbers = artifacts.iter().map(|artifact| &artifact["contents"][member]);
        numbers.map(|number| number.as_u64().unwrap_or_default()).sum::<u64>()
    };
    let looked_into = artifacts
        .iter()
        .filter(|artifact| artifact["contents"]["checked"] == true)
        .count();
    println!("{looked_into} of {} crates, {} edges", artifacts.len(), count("edges"));
    assert!(
        looked_into > 200 && count("edges") > 500,
        "{looked_into} crates in the cache"
    );
    let said: Vec<&Value> = artifacts
        .iter()
        .flat_map(|artifact| artifact["refusals"].as_array().expect("refusals"))
        .filter(|refusal| refusal["code"] != "offline-evidence")
        .collect();
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn other_bytes_in_cargos_cache_than_the_lock_file_names_are_noticed() {
    let scene = Scene::open();
    scene.lock_anew();
    assert_eq!(scene.verify(&[]).code, Some(0));
    let file = scene.cached("crockford-0.3.1.crate");
    let honest = std::fs::read(&file).expect("the crate");
    std::fs::write(&file, [honest.as_slice(), b"\0"].concat()).expect("the crate");
    let refused = scene.verify(&[]);
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    assert!(
        refused
            .stderr
            .contains("error[crate-cache]: cargo's cache holds other bytes of `crockford 0.3.1`"),
        "{}",
        refused.said()
    );
    // Cargo itself does not look again.
    scene
        .cargo(&["fetch", "--locked", "--quiet"])
        .success()
        .expect("cargo is content");
    std::fs::remove_file(&file).expect("the crate");
    let strict = std::fs::read_to_string(scene.project.folder.join("sigstore.toml")).expect("expectations");
    std::fs::write(
        scene.project.folder.join("sigstore.toml"),
        format!("unfetched = \"refuse\"\n{strict}"),
    )
    .expect("expectations");
    let open = scene.verify(&[]);
    assert_eq!(open.code, Some(3), "{}", open.said());
    assert!(
        open.stderr
            .contains("error[crate-unfetched]: the manifest of `crockford 0.3.1` was not looked at"),
        "{}",
        open.said()
    );
    scene
        .cargo(&["fetch", "--locked", "--quiet"])
        .success()
        .expect("cargo fetches it");
    assert_eq!(std::fs::read(&file).expect("the crate"), honest);
    assert_eq!(scene.verify(&[]).code, Some(0));
}
