//! What a test of the gate starts with: issuer, server, registry, the gate before it, and a workshop whose cargo knows the gate
//! as `gate` and the registry behind it as `bare`.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    Doing as _, Error, Gate, Instance, Issuer, Registry, Tools,
    ci::Release,
    issuer::Profile,
    project::{Project, Workshop, fixture},
    registry,
    run::{Outcome, run},
};

/// A gate that serves, and everything around it.
#[derive(Debug)]
pub struct Gatehouse {
    /// Our binaries.
    pub tools: Tools,
    /// Who says who is who.
    pub issuer: Issuer,
    /// The server: the gate asks its attestation store.
    pub instance: Instance,
    /// The registry behind the gate.
    pub registry: Registry,
    /// The gate.
    pub gate: Gate,
    /// Where crates are published from.
    pub workshop: Workshop,
}

/// What the gate's operator wrote.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    policy: String,
    sections: String,
    files: Vec<(String, String)>,
    registry: registry::Options,
}

/// How long one cargo command may take.
const LIMIT: Duration = Duration::from_mins(3);

/// A policy that lets everything through.
pub const EVERYBODY: &str = "unlisted = \"admit\"\n";

/// A rule for `crockford`: releases of a repository at GitHub, by its release workflow. More keys may follow.
#[must_use]
pub fn only(repository: &str, issuer: &Issuer) -> String {
    format!(
        "[[rule]]\ncrates = [\"crockford\"]\nissuer = \"{}\"\nrepository = \"https://github.com/{repository}\"\n\
         workflow = \".github/workflows/release.yml\"\nref = \"refs/tags/*\"\n",
        issuer.url(Profile::GitHub)
    )
}

/// The same for `ferris/crockford`.
#[must_use]
pub fn only_ferris(issuer: &Issuer) -> String {
    only("ferris/crockford", issuer)
}

impl Setting {
    /// A policy file.
    #[must_use]
    pub fn policy(text: impl Into<String>) -> Self {
        Self {
            policy: text.into(),
            ..Self::default()
        }
    }

    /// With more sections in the configuration. The registry's own token is in the file `registry-token`.
    #[must_use]
    pub fn sections(mut self, text: &str) -> Self {
        self.sections.push_str(text);
        self
    }

    /// Before a registry that behaves so.
    #[must_use]
    pub fn before(mut self, registry: registry::Options) -> Self {
        self.registry = registry;
        self
    }

    /// With a file beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }
}

impl Gatehouse {
    /// Starts everything, with `binary` (a `sandbox` binary) for all tools.
    ///
    /// # Errors
    /// Something did not start.
    pub fn open(binary: &Path, setting: impl FnOnce(&Issuer) -> Setting) -> Result<Self, Error> {
        let tools = Tools::install(binary)?;
        let issuer = Issuer::start()?;
        let instance = Instance::start(&tools, &issuer)?;
        let setting = setting(&issuer);
        let registry = Registry::start(setting.registry)?;
        let index = registry.upstream_index();
        let mut gate = Gate::prepare(&tools, &instance, &index, &setting.policy, &setting.sections)?;
        let token = ("registry-token".to_owned(), registry.token().to_owned());
        for (name, content) in setting.files.iter().chain([&token]) {
            std::fs::write(gate.file(name), content).doing(format!("write {name}"))?;
        }
        gate.serve()?;
        let mut workshop = Workshop::open(&tools)?;
        workshop.know_index("gate", &gate.index_url());
        workshop.know("bare", &registry);
        Ok(Self {
            tools,
            issuer,
            instance,
            registry,
            gate,
            workshop,
        })
    }

    /// A fixture crate as a project of its own.
    ///
    /// # Panics
    /// There is no such fixture, or git does not work.
    #[must_use]
    pub fn project(&self, name: &str) -> Project {
        self.workshop.adopt(&fixture(name)).expect("a fixture")
    }

    /// The next version of a project, committed: the same files under another version.
    ///
    /// # Panics
    /// Its manifest cannot be written, or git does not work.
    #[must_use]
    pub fn next_version(&self, project: &Project, version: &str) -> Project {
        self.workshop.next_version(project, version).expect("a version")
    }

    /// `cargo …` in a project, with the registry's token for both its names.
    #[must_use]
    pub fn command(&self, project: &Project, arguments: &[&str]) -> Command {
        let mut command = self.workshop.cargo(&project.folder);
        command.args(arguments).env("CARGO_NET_RETRY", "0");
        for name in ["GATE", "BARE"] {
            command
                .env(format!("CARGO_REGISTRIES_{name}_TOKEN"), self.registry.token())
                .env(format!("CARGO_REGISTRIES_{name}_CREDENTIAL_PROVIDER"), "cargo:token");
        }
        command
    }

    /// The same, run.
    #[must_use]
    pub fn cargo(&self, project: &Project, arguments: &[&str]) -> Outcome {
        self.run(&mut self.command(project, arguments))
    }

    /// `cargo publish` through the gate, unattested and without the verify build.
    #[must_use]
    pub fn publish(&self, project: &Project) -> Outcome {
        self.cargo(project, &["publish", "--no-verify", "--registry", "gate"])
    }

    /// `cargo sigstore publish` through the gate, as the release workflow of `repository` at GitHub.
    #[must_use]
    pub fn sigstore_publish(&self, project: &Project, repository: &str) -> Outcome {
        let release = Release::of_tag(repository, &project.version, &project.commit);
        self.run(
            self.sigstore_command(project, release.github_environment(&self.issuer))
                .env("CARGO_SIGSTORE_REGISTRY_TOKEN", self.registry.token()),
        )
    }

    /// `cargo sigstore publish` through the gate in any CI job, by its variables, without the registry's token.
    #[must_use]
    pub fn sigstore_command(&self, project: &Project, job: Vec<(String, String)>) -> Command {
        let mut command = self.workshop.cargo(&project.folder);
        command
            .args(["sigstore", "publish", "--registry", "gate"])
            .env("SIGSTORE_TRUST_CONFIG", self.instance.trust("trust_config.json"))
            .envs(job);
        command
    }

    /// Runs a command of cargo.
    ///
    /// # Panics
    /// It cannot be run or takes longer than three minutes.
    #[must_use]
    pub fn run(&self, command: &mut Command) -> Outcome {
        run(command, LIMIT).expect("cargo runs")
    }

    /// Where the gate answers downloads of a version.
    #[must_use]
    pub fn download_url(&self, name: &str, version: &str) -> String {
        format!("{}/dl/{name}/{version}/download", self.gate.url())
    }
}
