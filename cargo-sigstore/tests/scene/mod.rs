//! Runs the command in a folder of its own and compares all that it says: exit code, stdout, stderr.
//!
//! `SNAPSHOTS=overwrite cargo test -p cargo-sigstore` writes them anew; look at the difference before committing it.
//! The folder `fixtures` holds a crate, its bundles and the trusted root of the instance that signed them, on 22 November
//! 2026; that instance is gone, and nothing here needs it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use snapbox::{Assert, Data};
use tempfile::TempDir;

/// A folder with the fixtures in it, and a home of its own.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
}

impl Scene {
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn with_fixtures() -> Self {
        let scene = Self::empty();
        for entry in std::fs::read_dir(here("fixtures")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, scene.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        scene
    }

    /// What others signed with the public-good instance, with a key in a log, with an Ed25519 key alone, and with the staging
    /// instance, whose log has witnesses: four bundles. All but that of the Ed25519 key are from the public conformance suite.
    pub(crate) fn with_public_bundles() -> Self {
        let scene = Self::empty();
        for entry in std::fs::read_dir(here("public")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, scene.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A lock file with the fixture crate, or another checksum of it.
    pub(crate) fn lock(&self, digest: &str) {
        self.write(
            "Cargo.lock",
            format!(
                "version = 4\n\n[[package]]\nname = \"crockford\"\nversion = \"0.3.1\"\n\
                 source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{digest}\"\n"
            ),
        );
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-sigstore"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.path("home"))
            .env("CARGO_SIGSTORE_HOME", self.path("home"))
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs and compares everything with `snapshots/NAME.txt`.
    pub(crate) fn snapshot(&self, name: &str, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        let mut text = format!("$ cargo sigstore {}\n", arguments.join(" "));
        writeln!(text, "exit code {}", output.status.code().unwrap_or(-1)).unwrap();
        for (title, stream) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            let stream = String::from_utf8(stream).unwrap();
            if !stream.is_empty() {
                write!(text, "--- {title}\n{stream}").unwrap();
            }
        }
        let text = text.replace(&self.folder.path().display().to_string(), "[FOLDER]");
        let text = text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
        let expected = Data::read_from(&here("snapshots").join(format!("{name}.txt")), None).raw();
        Assert::new()
            .action_env("SNAPSHOTS")
            .eq(Data::text(text).raw(), expected);
    }
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

pub(crate) const CRATE: &str = "crockford-0.3.1.crate";
pub(crate) const IDENTITY: &str = "https://github.com/ferris/crockford/.github/workflows/release.yml@refs/tags/v0.3.1";
pub(crate) const ISSUER: &str = "http://127.0.0.1:37177/github";
pub(crate) const DIGEST: &str = "39858692d143b334ca997658db9af1717933fc2d2c19734c2b73f1eb9e28a325";
