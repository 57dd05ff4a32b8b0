//! The gate before a real kellnr (6.13), with unmodified cargo. Building kellnr takes half an hour, so the test runs only where
//! `KELLNR_BIN` names its binary, and says so elsewhere.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tests::{
    Gate, Instance, Issuer, Tools, http,
    instance::free_port,
    project::{Project, Workshop, fixture},
    run::{Outcome, run},
};

const LIMIT: Duration = Duration::from_mins(3);
const READY_WITHIN: Duration = Duration::from_mins(1);
const TOKEN: &str = "Zy9HhJ02RJmg0GCrgLfaCVfU6IwDfhXD";

/// A kellnr with a folder of its own; it dies with the value.
struct Kellnr {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Kellnr {
    fn start(binary: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port().expect("a port").to_string();
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(binary)
            .arg("start")
            .current_dir(folder.path())
            .env("KELLNR_REGISTRY__DATA_DIR", folder.path().join("data"))
            .env("KELLNR_LOCAL__IP", "127.0.0.1")
            .env("KELLNR_LOCAL__PORT", &port)
            .env("KELLNR_ORIGIN__HOSTNAME", "127.0.0.1")
            .env("KELLNR_ORIGIN__PORT", &port)
            .env("KELLNR_SETUP__ADMIN_PWD", "password of a test")
            .env("KELLNR_SETUP__ADMIN_TOKEN", TOKEN)
            .env("KELLNR_DOCS__ENABLED", "false")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn()
            .expect("kellnr starts");
        let kellnr = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            _folder: folder,
        };
        let deadline = Instant::now() + READY_WITHIN;
        while !http::get(&format!("{}config.json", kellnr.index())).is_ok_and(|answer| answer.status == 200) {
            assert!(Instant::now() < deadline, "kellnr is not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        kellnr
    }

    fn index(&self) -> String {
        format!("{}/api/v1/crates/", self.url)
    }
}

impl Drop for Kellnr {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn cargo(workshop: &Workshop, project: &Project, arguments: &[&str]) -> Outcome {
    let mut command = workshop.cargo(&project.folder);
    command
        .args(arguments)
        .env("CARGO_REGISTRIES_GATE_TOKEN", TOKEN)
        .env("CARGO_REGISTRIES_GATE_CREDENTIAL_PROVIDER", "cargo:token");
    run(&mut command, LIMIT).expect("cargo runs")
}

#[test]
fn unmodified_cargo_and_unmodified_kellnr_work_with_the_gate_between() {
    let Some(binary) = std::env::var_os("KELLNR_BIN") else {
        println!("NOT RUN: nothing was tested against kellnr; set KELLNR_BIN to the binary of kellnr 6.13");
        return;
    };
    let tools = Tools::install(Path::new(env!("CARGO_BIN_EXE_sandbox"))).expect("our binaries");
    let issuer = Issuer::start().expect("an issuer");
    let instance = Instance::start(&tools, &issuer).expect("a server");
    let kellnr = Kellnr::start(Path::new(&binary));
    let mut gate = Gate::start_with(&tools, &instance, &kellnr.index(), "unlisted = \"refuse\"\n", "").expect("a gate");
    let mut workshop = Workshop::open(&tools).expect("a workshop");
    workshop.know_index("gate", &gate.index_url());
    let project = workshop.adopt(&fixture("crockford")).expect("a fixture");

    let refused = cargo(&workshop, &project, &["publish", "--registry", "gate"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("gate-no-rule"), "{}", refused.stderr);

    gate.kill();
    gate.set_policy("unlisted = \"admit\"\n").expect("another policy");
    gate.serve().expect("the gate again");
    let published = cargo(&workshop, &project, &["publish", "--registry", "gate"]);
    assert_eq!(published.code, Some(0), "{}", published.said());
    assert!(
        published.stderr.contains("not attested"),
        "kellnr answers `\"warnings\": null`: {}",
        published.stderr
    );

    let consumer = workshop.adopt(&fixture("consumer")).expect("a fixture");
    for arguments in [
        ["add", "crockford", "--registry", "gate"].as_slice(),
        &["run", "--quiet"],
        &["search", "crockford", "--registry", "gate"],
        &["owner", "--list", "crockford", "--registry", "gate"],
        &["yank", "--version", "0.3.1", "crockford", "--registry", "gate"],
        &[
            "yank",
            "--undo",
            "--version",
            "0.3.1",
            "crockford",
            "--registry",
            "gate",
        ],
    ] {
        let outcome = cargo(&workshop, &consumer, arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.said());
    }
}
