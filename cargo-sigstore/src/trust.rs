//! Which trust a command uses: a file, or a name in the trust store.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use verify::{Budget, TrustedRoot, signing_config::ClientTrustConfig};

use crate::{
    context::Context,
    failure::{Exit, Failure},
    file,
};

/// The trusted root and services that `--trust` selects.
///
/// # Errors
/// Code `trust-missing` when nothing is selected, `trust-malformed` for a file that is no client trust configuration.
pub(crate) fn client_trust_config(context: &Context) -> Result<ClientTrustConfig, Failure> {
    let Some(selected) = &context.options.trust else {
        return Err(Error::Missing.into());
    };
    if is_file(selected) {
        from_file(Path::new(selected))
    } else {
        Err(Error::Unknown { name: selected.clone() }.into())
    }
}

/// The trusted root to verify with: of `--trusted-root` when given, else of `--trust`.
///
/// # Errors
/// As [`client_trust_config`].
pub(crate) fn trusted_root(context: &Context, file: Option<&Path>) -> Result<TrustedRoot, Failure> {
    let Some(path) = file else {
        return Ok(client_trust_config(context)?.trusted_root);
    };
    let budget = Budget::default();
    let bytes = file::read(path, budget.trust_bytes)?;
    TrustedRoot::from_json(&bytes, &budget).map_err(|error| malformed(path, error))
}

/// Where the trust store and the cache of bundles live: `CARGO_SIGSTORE_HOME`, else the platform's data folder.
///
/// # Errors
/// Code `home` when the platform names no home folder.
pub(crate) fn home(context: &Context) -> Result<PathBuf, Failure> {
    if let Some(folder) = context.variable("CARGO_SIGSTORE_HOME") {
        return Ok(PathBuf::from(folder));
    }
    let strategy = etcetera::choose_base_strategy().map_err(|_| Failure::from(Error::Home))?;
    Ok(strategy.data_dir().join("cargo-sigstore"))
}

/// A value of `--trust` is a file when it looks like a path; a name has neither separators nor dots.
fn is_file(selected: &str) -> bool {
    selected.contains(['/', '\\', '.'])
}

/// Reads a client trust configuration.
fn from_file(path: &Path) -> Result<ClientTrustConfig, Failure> {
    let budget = Budget::default();
    let bytes = file::read(path, budget.trust_bytes)?;
    ClientTrustConfig::from_json(&bytes, &budget).map_err(|error| malformed(path, error))
}

fn malformed(path: &Path, source: verify::Error) -> Failure {
    Error::Malformed {
        path: path.to_owned(),
        source,
    }
    .into()
}

/// Why no trust can be had.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no trust root is selected")]
    Missing,
    #[error("the trust store has no `{name}`")]
    Unknown { name: String },
    #[error("`{}` is not usable as a trust root", path.display())]
    Malformed { path: PathBuf, source: verify::Error },
    #[error("this platform names no home folder")]
    Home,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, hint) = match &error {
            Error::Missing => (
                "trust-missing",
                "pass `--trust NAME`, `--trust FILE` or, to verify, `--trusted-root FILE`; `cargo sigstore trust add` stores one",
            ),
            Error::Unknown { .. } => (
                "trust-unknown",
                "`cargo sigstore trust list` shows the names; write a file as a path, such as `./trust_config.json`",
            ),
            Error::Malformed { .. } => (
                "trust-malformed",
                "`--trust` takes a client trust configuration, `--trusted-root` a trusted root",
            ),
            Error::Home => ("home", "set `CARGO_SIGSTORE_HOME` to a folder"),
        };
        Self::new(Exit::Usage, code, &error).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_files_are_told_apart() {
        for name in ["public-good", "staging", "acme"] {
            assert!(!is_file(name), "{name}");
        }
        for path in ["./trust", "a/b", "trust_config.json", "c:\\x"] {
            assert!(is_file(path), "{path}");
        }
    }
}
