//! A crate to release, and the step that does it.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use serde_json::Value;
use tests::{
    Registry, Stage,
    action::{RunnerFiles, variable},
    ci::Release,
    http,
    project::{Project, fixture},
    registry::Options,
    run::{Outcome, run},
};

pub(crate) const LIMIT: Duration = Duration::from_mins(5);

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A stage with a registry and a crate to release.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) registry: Registry,
    pub(crate) project: Project,
    pub(crate) release: Release,
}

/// What a step did.
pub(crate) struct Step {
    pub(crate) outcome: Outcome,
    pub(crate) files: RunnerFiles,
    pub(crate) outputs: BTreeMap<String, String>,
}

impl Step {
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.outputs[name]).unwrap_or_else(|_| panic!("{name}: {:?}", self.outputs))
    }

    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.outcome.code, Some(0), "{}", self.outcome.said());
        self
    }

    /// The one error annotation, unescaped.
    pub(crate) fn refused(&self, exit: i32, code: &str) -> String {
        let said = self.outcome.said();
        assert_eq!(self.outcome.code, Some(exit), "{said}");
        let start = format!("::error title=cargo-sigstore {code}::");
        let text = said.lines().find_map(|line| line.strip_prefix(&start));
        let text = text.unwrap_or_else(|| panic!("no {code} in {said}"));
        text.replace("%0A", "\n").replace("%25", "%")
    }
}

impl Scene {
    pub(crate) fn open() -> Self {
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
    pub(crate) fn command(&self, inputs: &[(&str, &str)]) -> Command {
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
    pub(crate) fn publishing(&self, inputs: &[(&str, &str)]) -> Command {
        let mut command = self.command(inputs);
        command
            .env(variable("registry-token"), self.registry.token())
            .envs(self.release.github_environment(&self.stage.issuer));
        command
    }

    /// Our instance under the public one's names, which it reaches as a proxy, with its logs' v1 API alone.
    pub(crate) fn public(&self) -> String {
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

    pub(crate) fn step(&self, mut command: Command) -> Step {
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
    pub(crate) fn logged(&self) -> u64 {
        let get = |path: &str| http::get(&format!("{}{path}", self.stage.instance.url())).expect("an answer");
        let size = get("/checkpoint")
            .text()
            .lines()
            .nth(1)
            .and_then(|size| size.parse::<u64>().ok());
        let of_v1 = get("/api/v1/log").json()["treeSize"].as_u64();
        size.expect("a size") + of_v1.expect("a size")
    }

    pub(crate) fn published_digest(&self) -> String {
        let version = self.registry.version("crockford", "0.3.1").expect("a version");
        verify::Sha256Digest::of(&version.bytes).to_string()
    }
}
