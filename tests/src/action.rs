//! What a runner gives to a step of the Action, and what the step leaves in the runner's files.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Doing as _, Error};

/// The folder of the Action in this repository.
#[must_use]
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gh-action")
}

/// The variable that carries an input.
#[must_use]
pub fn variable(input: &str) -> String {
    format!("CARGO_SIGSTORE_INPUT_{}", input.to_uppercase().replace('-', "_"))
}

/// The names under a key of `action.yml` (`inputs`, `outputs`), with the text of each.
#[must_use]
pub fn members(action: &str, key: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut inside = false;
    let mut current = String::new();
    for line in action.lines() {
        if !line.starts_with(' ') && !line.is_empty() {
            inside = line == format!("{key}:");
        } else if let Some(name) = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':'))
            && inside
            && !name.starts_with(' ')
        {
            name.clone_into(&mut current);
            found.insert(current.clone(), String::new());
        } else if let Some(text) = found.get_mut(&current).filter(|_| inside) {
            text.push_str(line.trim());
            text.push('\n');
        }
    }
    found
}

/// The files through which a step talks to its runner.
#[derive(Debug)]
pub struct RunnerFiles {
    folder: PathBuf,
}

impl RunnerFiles {
    /// Fresh files in a folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(folder: PathBuf) -> Result<Self, Error> {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).doing("empty the runner's folder")?;
        }
        std::fs::create_dir_all(&folder).doing("make the runner's folder")?;
        Ok(Self { folder })
    }

    /// Names the files in a step's environment.
    pub fn give(&self, command: &mut Command) {
        for name in [
            "GITHUB_OUTPUT",
            "GITHUB_STEP_SUMMARY",
            "GITHUB_PATH",
            "GITHUB_ARTIFACTS",
        ] {
            command.env(name, self.folder.join(name));
        }
    }

    /// What the step wrote into one of them.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// The outputs of the step, as the runner reads `NAME<<END`.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<String, String> {
        let text = self.text("GITHUB_OUTPUT");
        let mut lines = text.lines();
        let mut outputs = BTreeMap::new();
        while let Some((name, end)) = lines.next().and_then(|line| line.split_once("<<")) {
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
            outputs.insert(name.to_owned(), value.join("\n"));
        }
        outputs
    }
}

/// `act`, which runs workflows without GitHub, as `.ci/run` installs it.
#[derive(Clone, Debug)]
pub struct Act {
    program: PathBuf,
}

impl Act {
    /// `act` in the environment that `INTEROP_ACTION` names. Without it `what` did not run: this is said on stderr, past the
    /// test harness, which hides what passing tests print.
    #[must_use]
    pub fn find(what: &str) -> Option<Self> {
        let folder = std::env::var_os("INTEROP_ACTION").map(PathBuf::from);
        if folder.is_none() {
            let words = format!("\nNOT RUN: {what}. It needs `act`: `.ci/run action`.\n\n");
            drop(std::io::stderr().write_all(words.as_bytes()));
        }
        let program = folder?.join("bin/act");
        Some(Self { program })
    }

    /// `act push` on the repository in `folder`, in host mode, blind to everything around it. `room` keeps caches and the job's
    /// files; `actions` are folders that stand for actions of others.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn push(
        &self,
        folder: &Path,
        room: &Path,
        environment: &[(String, String)],
        actions: &[(&str, &Path)],
    ) -> Result<Command, Error> {
        std::fs::create_dir_all(room.join("home")).doing("make a home for act")?;
        let lines: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        std::fs::write(room.join("variables"), lines.concat()).doing("write the job's variables")?;
        let reference = environment.iter().find(|(name, _)| name == "GITHUB_REF");
        let event = serde_json::json!({"ref": reference.map(|(_, value)| value)});
        std::fs::write(room.join("event.json"), event.to_string()).doing("write the event")?;
        let mut command = Command::new(&self.program);
        command
            .current_dir(folder)
            .env_clear()
            .env("HOME", room.join("home"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .args(["push", "--no-cache-server", "--action-offline-mode"])
            .args(["-P", "ubuntu-24.04=-self-hosted", "--action-cache-path"])
            .arg(room.join("cache"))
            .arg("--env-file")
            .arg(room.join("variables"))
            .arg("-e")
            .arg(room.join("event.json"));
        for (name, folder) in actions {
            command
                .arg("--local-repository")
                .arg(format!("{name}={}", folder.display()));
        }
        Ok(command)
    }
}
