//! Somebody who uses crates of a registry: a project with a lock file, and whom it expects to have signed what.

use std::{path::Path, path::PathBuf, process::Command, time::Duration};

use crate::{
    Doing as _, Error, Registry, Stage,
    ci::Release,
    issuer::Profile,
    project::{Project, fixture},
    registry::Options,
    run::{Outcome, run},
};

/// A registry with two honest, attested crates that have nothing to do with each other, `crockford` and `telltale`, and a project
/// that uses the first.
#[derive(Debug)]
pub struct Consumer {
    /// Instance and workshop.
    pub stage: Stage,
    /// The registry, `fixture` to cargo.
    pub registry: Registry,
    /// The project.
    pub project: Project,
}

impl Consumer {
    /// Publishes both crates, each from a workflow of its own repository, and starts the project.
    ///
    /// # Errors
    /// Something could not be started, or cargo or `cargo sigstore publish` failed.
    pub fn open(sandbox: &Path) -> Result<Self, Error> {
        let mut stage = Stage::open(sandbox)?;
        let registry = Registry::start(Options::default())?;
        stage.workshop.know("fixture", &registry);
        for name in ["crockford", "telltale"] {
            let project = stage.workshop.adopt(&fixture(name))?;
            let release = Release::of_tag(&format!("ferris/{name}"), &project.version, &project.commit);
            let mut publish = stage.workshop.cargo_sigstore(&project.folder);
            publish
                .args(["publish", "--registry", "fixture"])
                .env("SIGSTORE_TRUST_CONFIG", stage.instance.trust("trust_config.json"))
                .env("CARGO_REGISTRIES_FIXTURE_TOKEN", registry.token())
                .envs(release.github_environment(&stage.issuer));
            run(&mut publish, LIMIT)?.success()?;
        }
        let project = stage.workshop.adopt(&fixture("consumer"))?;
        let expected = "https://github.com/ferris/{name}/.github/workflows/release.yml@refs/tags/v{version}";
        let expectations = format!(
            "[[crate]]\nname = \"*\"\nidentity = \"{expected}\"\nissuer = \"{}\"\n",
            stage.issuer.url(Profile::GitHub)
        );
        std::fs::write(project.folder.join("sigstore.toml"), expectations).doing("write the expectations")?;
        let consumer = Self {
            stage,
            registry,
            project,
        };
        consumer.uses("crockford")?;
        Ok(consumer)
    }

    /// Adds a crate of the registry to the project.
    ///
    /// # Errors
    /// cargo does not.
    pub fn uses(&self, name: &str) -> Result<(), Error> {
        self.cargo(&["add", "--quiet", name, "--registry", "fixture"])?
            .success()?;
        Ok(())
    }

    /// `cargo …` in the project.
    ///
    /// # Errors
    /// It does not run.
    pub fn cargo(&self, arguments: &[&str]) -> Result<Outcome, Error> {
        run(self.stage.workshop.cargo(&self.project.folder).args(arguments), LIMIT)
    }

    /// What cargo makes of the index as it is now: a new lock file, every crate fetched.
    ///
    /// # Errors
    /// cargo does not.
    pub fn lock_anew(&self) -> Result<String, Error> {
        let path = self.project.folder.join("Cargo.lock");
        std::fs::remove_file(&path).doing("remove the lock file")?;
        self.cargo(&["generate-lockfile", "--quiet"])?.success()?;
        self.cargo(&["fetch", "--locked", "--quiet"])?.success()?;
        std::fs::read_to_string(path).doing("read the lock file")
    }

    /// Expects the same workflow in whichever repository of its owner, so that nobody knows which to ask about.
    ///
    /// # Errors
    /// The expectations cannot be changed.
    pub fn expect_any_repository(&self) -> Result<(), Error> {
        let path = self.project.folder.join("sigstore.toml");
        let text = std::fs::read_to_string(&path).doing("read the expectations")?;
        let any = text.replace("https://github.com/ferris/{name}/", "https://github.com/ferris/*/");
        std::fs::write(&path, any).doing("write the expectations")
    }

    /// Expects nobody any more.
    ///
    /// # Errors
    /// It did not expect anybody.
    pub fn expect_nobody(&self) -> Result<(), Error> {
        std::fs::remove_file(self.project.folder.join("sigstore.toml")).doing("remove the expectations")
    }

    /// `cargo sigstore verify …` in the project, as somebody who trusts the private instance, which has a store.
    #[must_use]
    pub fn verify_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.workshop.cargo_sigstore(&self.project.folder);
        let trust = self.stage.instance.trust("trust_config.json");
        command
            .arg("verify")
            .args(arguments)
            .env("SIGSTORE_TRUST_CONFIG", trust);
        command
    }

    /// The same as somebody who has the trusted root only, as of a public instance: no store is known.
    #[must_use]
    pub fn verify_without_store(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.workshop.cargo_sigstore(&self.project.folder);
        let root = self.stage.instance.trust("trusted_root.json");
        command.arg("verify").args(arguments).arg("--trusted-root").arg(root);
        command
    }

    /// The `.crate` in cargo's cache.
    ///
    /// # Errors
    /// There is no cache.
    pub fn cached(&self, file: &str) -> Result<PathBuf, Error> {
        let cache = self.stage.workshop.folder().join("cargo-home/registry/cache");
        let doing = || format!("look into {}", cache.display());
        let mut folders = std::fs::read_dir(&cache).doing(doing())?;
        let folder = folders.next().ok_or_else(|| Error::new(doing(), "it is empty"))?;
        Ok(folder.doing(doing())?.path().join(file))
    }
}

const LIMIT: Duration = Duration::from_mins(5);
