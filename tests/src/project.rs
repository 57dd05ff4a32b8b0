//! Crates in git repositories of their own, and the cargo that works on them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    Doing as _, Error, Registry, Tools,
    ci::AMBIENT,
    run::{Outcome, run},
};

/// How long one cargo or git command may take.
const LIMIT: Duration = Duration::from_mins(5);

/// A folder with its own cargo home and target folder, so that nothing of the user's is read or written.
#[derive(Debug)]
pub struct Workshop {
    folder: TempDir,
    tools: Tools,
    registries: Vec<(String, String)>,
}

/// A crate inside a workshop, committed.
#[derive(Clone, Debug)]
pub struct Project {
    /// The package's folder.
    pub folder: PathBuf,
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
}

/// The crates kept in this repository for tests.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

impl Workshop {
    /// An empty workshop.
    ///
    /// # Errors
    /// No folder could be made.
    pub fn open(tools: &Tools) -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix("workshop-")
            .tempdir()
            .doing("make a workshop")?;
        for name in ["cargo-home", "target"] {
            std::fs::create_dir(folder.path().join(name)).doing(format!("make {name}"))?;
        }
        Ok(Self {
            folder,
            tools: tools.clone(),
            registries: Vec::new(),
        })
    }

    /// Makes `registry` known to cargo as `name`, without a token.
    pub fn know(&mut self, name: &str, registry: &Registry) {
        self.know_index(name, &registry.index_url());
    }

    /// Makes the registry with this index (`sparse+http://…`) known to cargo as `name`, without a token.
    pub fn know_index(&mut self, name: &str, index: &str) {
        self.registries.push((name.to_uppercase(), index.to_owned()));
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// cargo's target folder.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.folder().join("target")
    }

    /// Keeps the folder on disk for good.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// Copies a folder, makes it a git repository with one commit, tagged `v{version}`.
    ///
    /// # Errors
    /// Copying, git, or reading the manifest failed.
    pub fn adopt(&self, source: &Path) -> Result<Project, Error> {
        let name = source.file_name().unwrap_or_default();
        self.adopt_as(source, &name.to_string_lossy())
    }

    /// The same, into a folder of this name.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub fn adopt_as(&self, source: &Path, name: &str) -> Result<Project, Error> {
        let folder = self.folder().join(name);
        copy(source, &folder).doing(format!("copy {}", source.display()))?;
        git(&folder, &["init", "--quiet", "--initial-branch", "main"])?;
        git(&folder, &["add", "--all"])?;
        git(&folder, &["commit", "--quiet", "--message", "release"])?;
        self.project(folder)
    }

    /// Commits the next version of a project: the same files under another version.
    ///
    /// # Errors
    /// Its manifest cannot be read or written, or git failed.
    pub fn next_version(&self, project: &Project, version: &str) -> Result<Project, Error> {
        let path = project.folder.join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).doing("read the manifest")?;
        let line = |version: &str| format!("\nversion = \"{version}\"\n");
        std::fs::write(&path, manifest.replacen(&line(&project.version), &line(version), 1)).doing("write it")?;
        git(&project.folder, &["commit", "--quiet", "--all", "--message", version])?;
        self.project(project.folder.clone())
    }

    /// Clones the repository around a manifest: what is committed there, nothing else.
    ///
    /// # Errors
    /// There is no repository around it, or no commit.
    pub fn clone_of(&self, manifest: &Path) -> Result<Project, Error> {
        let manifest = manifest.canonicalize().doing(format!("find {}", manifest.display()))?;
        let package = manifest.parent().unwrap_or(Path::new("/"));
        let top = PathBuf::from(git(package, &["rev-parse", "--show-toplevel"])?.stdout.trim());
        let inside = package
            .strip_prefix(&top)
            .doing("find the package inside its repository")?;
        let copy = self.folder().join("repository");
        let (from, to) = (top.display().to_string(), copy.display().to_string());
        git(&top, &["clone", "--quiet", &from, &to])?;
        self.project(copy.join(inside))
    }

    /// Reads name, version and commit of the package in `folder`.
    ///
    /// # Errors
    /// Its manifest cannot be read or there is no commit.
    pub fn project(&self, folder: PathBuf) -> Result<Project, Error> {
        let commit = git(&folder, &["rev-parse", "HEAD"])?.stdout.trim().to_owned();
        let mut command = self.cargo(&folder);
        command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
        let metadata = run(&mut command, LIMIT)?.success()?;
        let metadata: cargo_metadata::Metadata =
            serde_json::from_str(&metadata.stdout).doing("read cargo's metadata")?;
        let manifest = folder.join("Cargo.toml");
        let package = metadata
            .packages
            .iter()
            .find(|package| package.manifest_path.as_std_path() == manifest)
            .ok_or_else(|| Error::new("read the package", format!("none at {}", manifest.display())))?;
        Ok(Project {
            folder,
            name: package.name.to_string(),
            version: package.version.to_string(),
            commit,
        })
    }

    /// `cargo …` in `folder`: our tools on `PATH`, this workshop's homes, no token, no CI.
    #[must_use]
    pub fn cargo(&self, folder: &Path) -> Command {
        let mut command = self.tools.cargo();
        self.dress(&mut command, folder);
        command
    }

    /// `cargo-sigstore sigstore …` in `folder`, as cargo would call it.
    #[must_use]
    pub fn cargo_sigstore(&self, folder: &Path) -> Command {
        let mut command = Command::new(self.tools.cargo_sigstore());
        command.env("PATH", self.tools.path()).arg("sigstore");
        self.dress(&mut command, folder);
        command
    }

    fn dress(&self, command: &mut Command, folder: &Path) {
        for name in AMBIENT {
            command.env_remove(name);
        }
        command
            .current_dir(folder)
            .env("CARGO_HOME", self.folder().join("cargo-home"))
            .env("CARGO_TARGET_DIR", self.target())
            .env("CARGO_SIGSTORE_HOME", self.folder().join("sigstore-home"))
            // Nothing listens there: what a test does not start nobody asks.
            .env("GITHUB_API_URL", "http://127.0.0.1:1")
            .env("CARGO_TERM_COLOR", "never")
            .env("NO_COLOR", "1");
        for (name, index) in &self.registries {
            command.env(format!("CARGO_REGISTRIES_{name}_INDEX"), index);
        }
    }
}

/// `git …` in `folder`, blind to the user's configuration. The clock stands still, so that the same tree is the same commit.
fn git(folder: &Path, arguments: &[&str]) -> Result<Outcome, Error> {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Ferris")
        .env("GIT_AUTHOR_EMAIL", "ferris@example.org")
        .env("GIT_AUTHOR_DATE", "2026-11-01T12:00:00Z")
        .env("GIT_COMMITTER_NAME", "Ferris")
        .env("GIT_COMMITTER_EMAIL", "ferris@example.org")
        .env("GIT_COMMITTER_DATE", "2026-11-01T12:00:00Z");
    run(&mut command, LIMIT)?.success()
}

/// Copies a tree of plain files, leaving out build products.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(name))?;
        } else {
            std::fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
