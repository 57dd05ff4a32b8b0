//! Clients that others wrote, as `.ci/run environments` installs them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Folders with unmodified clients.
#[derive(Clone, Debug)]
pub struct Clients {
    python: PathBuf,
    js: PathBuf,
}

impl Clients {
    /// The folders that `INTEROP_PYTHON` and `INTEROP_JS` name. Without both there are none, and `what` did not run: this is
    /// said on stderr, past the test harness, which hides what passing tests print.
    #[must_use]
    pub fn find(what: &str) -> Option<Self> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let found = folder("INTEROP_PYTHON").zip(folder("INTEROP_JS"));
        if found.is_none() {
            let words = format!("\nNOT RUN: {what}. It needs clients of others: `.ci/run environments interop`.\n\n");
            drop(std::io::stderr().write_all(words.as_bytes()));
        }
        let (python, js) = found?;
        Some(Self { python, js })
    }

    /// Python with sigstore-python and python-tuf, running a script of `tests/interop/python`.
    #[must_use]
    pub fn python(&self, script: &str) -> Command {
        let mut command = Command::new(self.python.join("bin/python"));
        command.arg(scripts().join("python").join(script));
        command
    }

    /// The `sigstore` command of sigstore-python.
    #[must_use]
    pub fn sigstore_python(&self) -> Command {
        Command::new(self.python.join("bin/sigstore"))
    }

    /// Node with sigstore-js, running a script of `tests/interop/js`.
    #[must_use]
    pub fn js(&self, script: &str) -> Command {
        let mut command = Command::new(self.js.join("node_modules/.bin/node"));
        command.arg(scripts().join("js").join(script)).current_dir(&self.js);
        command
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}
