//! Cargo as a child process that sees no secret.
//!
//! Cargo hands its environment to every build script and procedural macro, so the environment of the child holds no
//! token: neither those of the CI nor those of the registry. What it cannot hide: a process of the same user can read
//! `/proc/PID/environ` of our ancestors and the files in the home folder. Only a job that holds no token while it
//! compiles is safe from that; see `--crate-file`.

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::failure::{Exit, Failure};

/// Cargo with a scrubbed environment.
#[derive(Clone, Debug)]
pub(crate) struct Cargo {
    program: OsString,
    environment: Vec<(OsString, OsString)>,
    flags: Vec<&'static str>,
}

/// What to package or publish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// The workspace's manifest, when it is not that of the current folder.
    pub(crate) manifest_path: Option<PathBuf>,
    /// Names of packages.
    pub(crate) packages: Vec<String>,
    /// Name of a registry other than the default.
    pub(crate) registry: Option<String>,
    /// Whether uncommitted changes are accepted.
    pub(crate) allow_dirty: bool,
    /// Whether the lock file is left out.
    pub(crate) exclude_lockfile: bool,
    /// Whether the verification build is left out.
    pub(crate) no_verify: bool,
}

impl Cargo {
    /// Cargo with this process's environment less its secrets; `keep` names variables to let through nevertheless.
    pub(crate) fn new(keep: &[String], quiet: bool, offline: bool) -> Self {
        let mut flags = Vec::new();
        if quiet {
            flags.push("--quiet");
        }
        if offline {
            flags.push("--offline");
        }
        Self {
            program: std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")),
            environment: std::env::vars_os().filter(|(name, _)| keeps(name, keep)).collect(),
            flags,
        }
    }

    /// The same where registries are that no configuration names.
    pub(crate) fn with_registries(mut self, indexes: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = indexes.into_iter().map(|(name, index)| (name.into(), index.into()));
        self.environment.extend(variables);
        self
    }

    /// The versions of this cargo.
    ///
    /// # Errors
    /// Code `cargo`.
    pub(crate) fn version(&self) -> Result<verify::provenance::Cargo, Failure> {
        let text = self.output(&["-Vv"])?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().to_owned()).unwrap_or_default()
        };
        Ok(verify::provenance::Cargo {
            version: field("release:"),
            commit_hash: field("commit-hash:"),
            host: field("host:"),
        })
    }

    /// The workspace and its resolved dependencies.
    ///
    /// # Errors
    /// Code `cargo`.
    pub(crate) fn metadata(&self, manifest_path: Option<&Path>) -> Result<Metadata, Failure> {
        let mut arguments: Vec<OsString> = ["metadata", "--format-version", "1"].map(OsString::from).to_vec();
        arguments.extend(self.flags.iter().filter(|flag| **flag != "--quiet").map(OsString::from));
        if let Some(path) = manifest_path {
            arguments.extend([OsString::from("--manifest-path"), path.into()]);
        }
        let text = self.output(&arguments)?;
        MetadataCommand::parse(text).map_err(|source| Error::Metadata { source }.into())
    }

    /// Packages, and builds what was packaged unless told not to.
    ///
    /// # Errors
    /// Code `cargo-failed` when cargo refuses; it has said why on stderr.
    pub(crate) fn package(&self, selection: &Selection) -> Result<(), Failure> {
        let mut command = self.command("package", selection);
        if selection.no_verify {
            command.arg("--no-verify");
        }
        run(command, "package")
    }

    /// Uploads, without a build. `provider` is the command that cargo asks for the token, `channel` the environment it needs.
    ///
    /// # Errors
    /// Code `cargo-failed` when cargo refuses; it has said why on stderr.
    pub(crate) fn publish(&self, selection: &Selection, provider: &[&str], channel: &Path) -> Result<(), Failure> {
        let mut command = self.command("publish", selection);
        let key = match &selection.registry {
            Some(name) => format!("registries.{name}.credential-provider"),
            None => "registry.credential-provider".to_owned(),
        };
        let parts: Vec<toml::Value> = provider.iter().map(|part| toml::Value::from(*part)).collect();
        command
            .arg("--no-verify")
            .arg("--config")
            .arg(format!("{key}={}", toml::Value::Array(parts)))
            .env(CHANNEL_VARIABLE, channel);
        run(command, "publish")
    }

    fn command(&self, verb: &str, selection: &Selection) -> Command {
        let mut command = self.bare();
        command.arg(verb).args(&self.flags);
        if let Some(path) = &selection.manifest_path {
            command.arg("--manifest-path").arg(path);
        }
        for package in &selection.packages {
            command.args(["--package", package]);
        }
        if let Some(registry) = &selection.registry {
            command.args(["--registry", registry]);
        }
        if selection.allow_dirty {
            command.arg("--allow-dirty");
        }
        if selection.exclude_lockfile && verb == "package" {
            command.arg("--exclude-lockfile");
        }
        command
    }

    fn bare(&self) -> Command {
        self.tool(&self.program)
    }

    /// Any other program in the same scrubbed environment: git runs what its configuration names.
    pub(crate) fn tool(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[impl AsRef<OsStr>]) -> Result<String, Failure> {
        let output = self.bare().args(arguments).stderr(Stdio::piped()).output();
        let output = output.map_err(|source| Error::Start { source })?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(Error::Refused {
                text: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            }
            .into())
        }
    }
}

/// The environment variable that tells the credential provider where its parent listens.
pub(crate) const CHANNEL_VARIABLE: &str = "CARGO_SIGSTORE_CHANNEL";

/// Runs cargo with its stdout moved to our stderr: stdout is for data of ours.
fn run(mut command: Command, verb: &'static str) -> Result<(), Failure> {
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(|source| Error::Start { source })?;
    if let Some(mut stdout) = child.stdout.take() {
        pass_on(&mut stdout);
    }
    let status = child.wait().map_err(|source| Error::Start { source })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed {
            verb,
            status: status.to_string(),
        }
        .into())
    }
}

fn pass_on(from: &mut impl Read) {
    let mut buffer = [0; 4096];
    while let Ok(count) = from.read(&mut buffer) {
        let chunk = buffer.get(..count).unwrap_or_default();
        if count == 0 || std::io::stderr().write_all(chunk).is_err() {
            break;
        }
    }
}

/// Whether a child may see a variable.
fn keeps(name: &OsStr, keep: &[String]) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    keep.iter().any(|kept| kept == name) || !is_secret(name)
}

/// Whether a variable holds a secret, lets its reader mint one, or steers later steps of the CI job.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if ["_CREDENTIAL_PROVIDER", "_CREDENTIAL_PROVIDERS"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return false;
    }
    SECRET_WORDS.iter().any(|word| name.contains(word))
        || SECRET_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SECRET_NAMES.contains(&name.as_str())
}

/// A variable whose name contains one of these is taken for a secret: registry tokens
/// (`CARGO_REGISTRY_TOKEN`, `CARGO_REGISTRIES_NAME_TOKEN`), ID tokens, `GITHUB_TOKEN`, cloud keys.
const SECRET_WORDS: [&str; 9] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "API_KEY",
];
/// `ACTIONS_ID_TOKEN_REQUEST_URL`, `ACTIONS_RUNTIME_URL`, cache and results services; GitLab's job JWTs.
const SECRET_PREFIXES: [&str; 3] = ["ACTIONS_", "CI_JOB_JWT", "CARGO_SIGSTORE_"];
/// Files through which a step steers the steps after it, and what else mints or opens.
const SECRET_NAMES: [&str; 8] = [
    "GITHUB_ENV",
    "GITHUB_OUTPUT",
    "GITHUB_PATH",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
    "SSH_AUTH_SOCK",
    "SPIFFE_ENDPOINT_SOCKET",
    "NETRC",
];

/// Why cargo did not do its work.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot run cargo")]
    Start { source: std::io::Error },
    #[error("cargo refuses")]
    Refused { text: String },
    #[error("`cargo {verb}` failed with {status}")]
    Failed { verb: &'static str, status: String },
    #[error("cannot read what `cargo metadata` says")]
    Metadata { source: cargo_metadata::Error },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Start { .. } | Error::Metadata { .. } => Self::new(Exit::Unavailable, "cargo", &error)
                .hint("check that `cargo` runs here, or set `CARGO` to its path"),
            Error::Refused { text } => Self::new(Exit::Usage, "cargo", &error)
                .fact("cargo says", text)
                .hint("run it in a package's folder, or pass `--manifest-path`"),
            Error::Failed { .. } => Self::new(Exit::Refused, "cargo-failed", &error)
                .hint("cargo's own words above say why; nothing more was done"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_secret() {
        for name in [
            "CARGO_REGISTRY_TOKEN",
            "CARGO_REGISTRIES_MY_REG_TOKEN",
            "CARGO_SIGSTORE_REGISTRY_TOKEN",
            "SIGSTORE_ID_TOKEN",
            "CRATES_IO_ID_TOKEN",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "ACTIONS_RUNTIME_TOKEN",
            "GITHUB_TOKEN",
            "gh_token",
            "CI_JOB_TOKEN",
            "CI_JOB_JWT_V2",
            "BUILDKITE_AGENT_ACCESS_TOKEN",
            "CIRCLE_OIDC_TOKEN_V2",
            "AWS_SECRET_ACCESS_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GITHUB_ENV",
            "GITHUB_OUTPUT",
        ] {
            assert!(!keeps(OsStr::new(name), &[]), "{name}");
        }
    }

    #[test]
    fn what_a_build_needs_is_kept() {
        for name in [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "RUSTUP_TOOLCHAIN",
            "RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_REGISTRIES_X_INDEX",
            "CARGO_REGISTRIES_X_CREDENTIAL_PROVIDER",
            "GITHUB_ACTIONS",
            "GITHUB_SHA",
        ] {
            assert!(keeps(OsStr::new(name), &[]), "{name}");
        }
    }

    #[test]
    fn the_user_can_let_one_through() {
        assert!(keeps(OsStr::new("MY_TOKEN"), &["MY_TOKEN".to_owned()]));
        assert!(!keeps(OsStr::new("MY_TOKEN"), &["OTHER".to_owned()]));
    }
}
