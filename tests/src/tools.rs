//! Our binaries, all out of one: the `sandbox` binary under other names.
//!
//! A hard link costs nothing; where the file system refuses it the file is copied.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
};

use tempfile::TempDir;

use crate::{Doing as _, Error};

/// A folder with our binaries under their own names; gone with the last clone.
#[derive(Clone, Debug)]
pub struct Tools {
    folder: Arc<TempDir>,
}

/// What one binary can be.
const NAMES: [&str; 4] = ["cargo-sigstore", "sigstore-server", "tuf-root", "crates-plugin"];

impl Tools {
    /// Links `binary` (a `sandbox` binary) under every name.
    ///
    /// # Errors
    /// The folder cannot be made or the file neither linked nor copied.
    pub fn install(binary: &Path) -> Result<Self, Error> {
        // Beside the binary, because a hard link cannot leave its file system.
        let beside = binary.parent().unwrap_or(Path::new("."));
        let folder = tempfile::Builder::new()
            .prefix("tools-")
            .tempdir_in(beside)
            .or_else(|_| tempfile::tempdir())
            .doing("make a folder for the binaries")?;
        for name in NAMES {
            let link = folder.path().join(name);
            std::fs::hard_link(binary, &link)
                .doing(format!("link {} as {name}", binary.display()))
                .or_else(|_| copy_program(binary, &link))?;
        }
        Ok(Self {
            folder: Arc::new(folder),
        })
    }

    /// The folder, for `PATH`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `sigstore-server`.
    #[must_use]
    pub fn server(&self) -> PathBuf {
        self.folder().join("sigstore-server")
    }

    /// `cargo-sigstore`.
    #[must_use]
    pub fn cargo_sigstore(&self) -> PathBuf {
        self.folder().join("cargo-sigstore")
    }

    /// `tuf-root`.
    #[must_use]
    pub fn tuf_root(&self) -> PathBuf {
        self.folder().join("tuf-root")
    }

    /// `crates-plugin`.
    #[must_use]
    pub fn gate(&self) -> PathBuf {
        self.folder().join("crates-plugin")
    }

    /// A command `cargo …` that finds `cargo sigstore` first on its `PATH`.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.env("PATH", self.path());
        command
    }

    /// `PATH` with this folder in front.
    #[must_use]
    pub fn path(&self) -> std::ffi::OsString {
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.folder().to_owned()).chain(std::env::split_paths(&rest));
        std::env::join_paths(folders).unwrap_or(rest)
    }
}

/// Runs the tool that argv\[0] names; none when this process was called by its own name.
#[must_use]
pub fn dispatch() -> Option<ExitCode> {
    let arguments = std::env::args_os();
    let called = std::env::args_os().next()?;
    match Path::new(&called).file_stem()?.to_str()? {
        "cargo-sigstore" => Some(cargo_sigstore::main(arguments)),
        "sigstore-server" => Some(server::main(arguments)),
        "crates-plugin" => Some(crates_plugin::main(arguments)),
        "tuf-root" => Some(tuf_root::cli::main(arguments)),
        _ => None,
    }
}

/// Writes a script that can be started.
///
/// # Errors
/// It cannot be written.
pub fn write_program(path: &Path, script: &str) -> Result<(), Error> {
    install(Path::new("/dev/stdin"), path, script)
}

/// Copies a program.
///
/// # Errors
/// It cannot be read or written.
pub fn copy_program(from: &Path, to: &Path) -> Result<(), Error> {
    install(from, to, "")
}

/// By another process: a program that this one writes is open in whatever child another test forks meanwhile, and does not start then.
fn install(from: &Path, to: &Path, input: &str) -> Result<(), Error> {
    let doing = || format!("write the program {}", to.display());
    let mut command = Command::new("install");
    command.args(["-m", "755"]).arg(from).arg(to).stdin(Stdio::piped());
    let mut child = command.spawn().doing(doing())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).doing(doing())?;
    }
    let status = child.wait().doing(doing())?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(doing(), format!("install: {status}")))
    }
}
