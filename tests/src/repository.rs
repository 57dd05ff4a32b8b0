//! A repository with a release workflow, and everything around the job that runs it.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    Doing as _, Error, Registry, Stage,
    action::{self, Act},
    ci::Release,
    project::{Project, fixture},
    registry::Options,
    run::{Outcome, run},
};

const LIMIT: Duration = Duration::from_mins(5);

/// A repository with a workflow, and everything around the job that runs it.
#[derive(Debug)]
pub struct Repository {
    /// Issuer, instance and tools.
    pub stage: Stage,
    /// Where its crate goes.
    pub registry: Registry,
    /// The clone.
    pub project: Project,
    /// Whose job runs.
    pub release: Release,
}

impl Repository {
    /// A clone of the fixture crate `crockford` whose release job is `workflow`; `binary` is any program of the build's.
    ///
    /// # Errors
    /// A process does not start, a file cannot be written.
    pub fn open(binary: &Path, workflow: &str) -> Result<Self, Error> {
        let stage = Stage::open(binary)?;
        let registry = Registry::start(Options::default())?;
        let sources = stage.path("sources/crockford");
        copy_into(&fixture("crockford"), &sources)?;
        let folder = sources.join(".github/workflows");
        std::fs::create_dir_all(&folder).doing("make a folder")?;
        std::fs::write(folder.join("release.yml"), workflow).doing("write the workflow")?;
        let project = stage.workshop.adopt(&sources)?;
        let mut remote = Command::new("git");
        remote.current_dir(&project.folder).args(["remote", "add", "origin"]);
        run(remote.arg("https://github.com/ferris/crockford.git"), LIMIT).and_then(Outcome::success)?;
        let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
        for (name, script) in [
            ("upload", "cp -R crates \"$SHARED\""),
            ("download", "cp -R \"$SHARED\" crates"),
        ] {
            let folder = stage.path(name);
            std::fs::create_dir(&folder).doing("make a folder")?;
            let text = format!(
                "name: {name}\ndescription: copies\nruns:\n  using: composite\n  steps:\n    - {{shell: sh, run: '{script}'}}\n"
            );
            std::fs::write(folder.join("action.yml"), text).doing("write a stand-in")?;
        }
        Ok(Self {
            stage,
            registry,
            project,
            release,
        })
    }

    /// Variables of every job, but those with the right to ask for an identity.
    fn variables(&self) -> Vec<(String, String)> {
        let stage = &self.stage;
        let home = std::env::var("HOME").unwrap_or_default();
        let rustup = std::env::var("RUSTUP_HOME").unwrap_or(format!("{home}/.rustup"));
        let path = |name: &str| stage.path(name).display().to_string();
        let mut variables: Vec<(String, String)> = [
            ("BINARY", stage.tools.cargo_sigstore().display().to_string()),
            (
                "INSTANCE",
                stage.instance.trust("trust_config.json").display().to_string(),
            ),
            ("CARGO_REGISTRIES_FIXTURE_INDEX", self.registry.index_url()),
            ("TOKEN_OF_THE_REGISTRY", self.registry.token().to_owned()),
            ("SHARED", path("shared")),
            ("CARGO_HOME", path("cargo-home")),
            ("CARGO_TARGET_DIR", path("target")),
            ("CARGO_SIGSTORE_HOME", path("sigstore-home")),
            ("RUSTUP_HOME", rustup),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        variables.extend(std::env::var("RUSTUP_TOOLCHAIN").map(|value| ("RUSTUP_TOOLCHAIN".to_owned(), value)));
        variables
    }

    /// Runs the workflow of a push, with these variables in its jobs besides those that every job has.
    ///
    /// # Errors
    /// `act` does not start, or not end.
    pub fn push(&self, act: &Act, permissions: Vec<(String, String)>) -> Result<Outcome, Error> {
        run(&mut self.pushing(act, permissions)?, LIMIT)
    }

    /// The command of [`Self::push`].
    ///
    /// # Errors
    /// As [`Act::push`].
    pub fn pushing(&self, act: &Act, permissions: Vec<(String, String)>) -> Result<Command, Error> {
        let mut variables = self.variables();
        variables.extend(permissions);
        let (upload, download) = (self.stage.path("upload"), self.stage.path("download"));
        let action = action::source();
        let actions: [(&str, &Path); 3] = [
            ("cargo-sigstore/gh-action@v0", &action),
            ("actions/upload-artifact@v4", &upload),
            ("actions/download-artifact@v4", &download),
        ];
        let room = self.stage.path("room");
        act.push(&self.project.folder, &room, &variables, &actions)
    }
}

/// Copies what a folder holds.
///
/// # Errors
/// Those of the file system.
pub fn copy_into(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(to).doing("make a folder")?;
    for entry in std::fs::read_dir(from).doing("list a folder")? {
        let entry = entry.doing("list a folder")?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_into(&path, &copy)?;
        } else {
            std::fs::copy(&path, &copy).doing("copy a file")?;
        }
    }
    Ok(())
}
