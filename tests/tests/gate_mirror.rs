//! The gate as `[source]` replacement before a registry that plays crates.io: cargo is unmodified and the lock file stays as it was.

use std::{path::Path, time::Duration};

use serde_json::json;
use tests::{
    Gate, Instance, Issuer, Registry, Tools, http,
    project::{Project, Workshop, fixture},
    registry,
    run::{Outcome, run},
};

const LIMIT: Duration = Duration::from_mins(3);
const MIRROR: &str = "[mirror]\nsource = \"crates-io\"\n";

struct Scene {
    registry: Registry,
    gate: Gate,
    workshop: Workshop,
    _instance: Instance,
}

impl Scene {
    /// A registry that holds `crockford` and `telltale`, published past the mirror as anybody publishes to crates.io.
    fn open(policy: &str) -> Self {
        let tools = Tools::install(Path::new(env!("CARGO_BIN_EXE_sandbox"))).expect("our binaries");
        let issuer = Issuer::start().expect("an issuer");
        let instance = Instance::start(&tools, &issuer).expect("a server");
        let registry = Registry::start(registry::Options::default()).expect("a registry");
        let index = format!("{}/index/", registry.url());
        let gate = Gate::start_with(&tools, &instance, &index, policy, MIRROR).expect("a gate");
        let mut workshop = Workshop::open(&tools).expect("a workshop");
        workshop.know("origin", &registry);
        let scene = Self {
            registry,
            gate,
            workshop,
            _instance: instance,
        };
        for name in ["crockford", "telltale"] {
            let project = scene.workshop.adopt(&fixture(name)).expect("a fixture");
            let published = scene.cargo(&project, &["publish", "--no-verify", "--registry", "origin"]);
            assert_eq!(published.code, Some(0), "{}", published.said());
        }
        scene
    }

    fn cargo(&self, project: &Project, arguments: &[&str]) -> Outcome {
        let mut command = self.workshop.cargo(&project.folder);
        command
            .args(arguments)
            .env("CARGO_REGISTRIES_ORIGIN_TOKEN", self.registry.token())
            .env("CARGO_REGISTRIES_ORIGIN_CREDENTIAL_PROVIDER", "cargo:token")
            .env("TELLTALE", self.told())
            .env("CARGO_NET_RETRY", "0");
        run(&mut command, LIMIT).expect("cargo runs")
    }

    /// What telltale's build script would write.
    fn told(&self) -> std::path::PathBuf {
        self.workshop.folder().join("told")
    }

    /// Cargo's configuration exactly as `crates-plugin check` prints it.
    fn configure(&self) {
        let printed = self.gate.check().expect("the check");
        assert_eq!(printed.code, Some(0), "{}", printed.said());
        let home = self.workshop.folder().join("cargo-home");
        let lines = printed
            .stdout
            .find("# .cargo/config.toml")
            .expect("the lines for cargo");
        std::fs::write(home.join("config.toml"), &printed.stdout[lines..]).expect("cargo's configuration");
    }

    /// A consumer with `crockford` added, not built yet.
    fn consumer(&self) -> Project {
        self.configure();
        let consumer = self.workshop.adopt(&fixture("consumer")).expect("a fixture");
        let added = self.cargo(&consumer, &["add", "--quiet", "crockford"]);
        assert_eq!(added.code, Some(0), "{}", added.said());
        consumer
    }
}

#[test]
fn a_build_goes_through_the_mirror_and_the_lock_file_names_crates_io() {
    let scene = Scene::open("unlisted = \"admit\"\n");
    let consumer = scene.consumer();
    let built = scene.cargo(&consumer, &["run", "--quiet"]);
    assert_eq!(built.code, Some(0), "{}", built.said());
    let lock = std::fs::read_to_string(consumer.folder.join("Cargo.lock")).expect("the lock file");
    assert!(
        lock.contains("source = \"registry+https://github.com/rust-lang/crates.io-index\""),
        "{lock}"
    );
    assert!(!lock.contains("127.0.0.1"), "{lock}");
    let downloads = scene.registry.requests();
    assert!(
        downloads
            .iter()
            .any(|request| request.path == "/dl/crockford/0.3.1/download")
    );
    let config = http::get(&format!("{}/index/config.json", scene.gate.url()))
        .expect("config.json")
        .json();
    assert!(config["api"].is_null(), "a mirror has no web API: {config}");
}

#[test]
fn a_crate_that_the_policy_refuses_is_shown_as_cargo_shows_it_and_never_built() {
    let scene = Scene::open("unlisted = \"refuse\"\n");
    let consumer = scene.consumer();
    let refused = scene.cargo(&consumer, &["run", "--quiet"]);
    assert_ne!(refused.code, Some(0));
    for words in ["403", "gate-no-rule", "crockford"] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    scene.gate.change_policy("unlisted = \"admit\"\n");
    let built = scene.cargo(&consumer, &["run", "--quiet"]);
    assert_eq!(
        built.code,
        Some(0),
        "the same crate under another policy: {}",
        built.said()
    );
}

#[test]
fn a_dependency_that_only_the_index_knows_is_never_compiled() {
    let scene = Scene::open("unlisted = \"admit\"\n");
    let evil = json!({"name": "telltale", "req": "^1", "features": [], "optional": false, "default_features": true,
                      "target": null, "kind": "normal"});
    scene.registry.edit_line("crockford", "0.3.1", |line| {
        line["deps"].as_array_mut().expect("deps").push(evil.clone());
    });
    let consumer = scene.consumer();
    let refused = scene.cargo(&consumer, &["build", "--quiet"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("gate-manifest-differs"), "{}", refused.stderr);
    assert!(!scene.told().exists(), "telltale's build script never ran");

    // Without the gate the same registry gets its build script run.
    let config = format!(
        "[source.crates-io]\nreplace-with = \"origin\"\n[source.origin]\nregistry = \"{}\"\n",
        scene.registry.index_url()
    );
    let home = scene.workshop.folder().join("cargo-home");
    std::fs::write(home.join("config.toml"), config).expect("cargo's configuration");
    // Cargo keeps the registry's honest line from before.
    std::fs::remove_dir_all(home.join("registry")).expect("an empty cargo home");
    std::fs::remove_file(consumer.folder.join("Cargo.lock")).expect("no lock file");
    let built = scene.cargo(&consumer, &["build", "--quiet"]);
    assert_eq!(built.code, Some(0), "{}", built.said());
    assert!(scene.told().exists(), "the attack itself works");
}

#[test]
fn a_mirror_takes_no_publishes_and_says_where_to_go() {
    let scene = Scene::open("unlisted = \"admit\"\n");
    let url = format!("{}/api/v1/crates/new", scene.gate.url());
    let token = [("authorization", scene.registry.token())];
    let refused = http::request("PUT", &url, &token, b"anything").expect("an answer");
    assert_eq!(refused.status, 403);
    for words in ["gate-mirror", "cargo publish --registry crates-io"] {
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    let yank = format!("{}/api/v1/crates/crockford/0.3.1/yank", scene.gate.url());
    let passed = http::request("DELETE", &yank, &token, b"").expect("an answer");
    assert_eq!(passed.status, 404, "{}", passed.text());
    assert_eq!(scene.registry.uploads().len(), 2, "only those past the mirror");
}
