//! Which trust a command uses: a file, or a name in the trust store.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use tuf_root::store::{HttpOptions, Loaded, PublicInstance, TrustStore, public_instance};
use verify::{Budget, TrustedRoot, Verifier, signing_config::ClientTrustConfig};

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
        load(context, &store(context)?, selected).map(|loaded| loaded.config)
    }
}

/// What a trust root of the store says: from the cache when offline or asked lately. Warns when it has expired.
///
/// # Errors
/// The codes of the trust store.
pub(crate) fn load(context: &Context, store: &TrustStore, name: &str) -> Result<Loaded, Failure> {
    let offline = context.options.offline;
    let loaded = context.block_on(async { Ok(store.load(name, offline, context.now()).await?) })?;
    if let Some(warning) = loaded.warning() {
        context.printer.warn(warning);
    }
    Ok(loaded)
}

/// The trust store of this user, in the folder `trust` of [`home`].
///
/// # Errors
/// Code `home`, and those of the file that `--ca-file` names.
pub(crate) fn store(context: &Context) -> Result<TrustStore, Failure> {
    let mut options = HttpOptions::default();
    if let Some(path) = &context.options.ca_file {
        options.extra_roots_pem.push(file::read(path, CA_FILE_BYTES)?);
    }
    Ok(TrustStore::open(home(context)?.join("trust")).with_http(options))
}

/// The failure of what cannot be done with `--offline`.
pub(crate) fn offline() -> Failure {
    Error::Offline.into()
}

/// Whom to believe when verifying.
#[derive(Debug)]
pub(crate) struct Believed {
    /// The trusted root.
    pub(crate) root: TrustedRoot,
    /// The services of the same instance, where they are known and may be asked for evidence.
    pub(crate) services: Option<ClientTrustConfig>,
}

/// What to verify with: `--trusted-root` when given, else `--trust`, else the public-good instance.
///
/// Offline, a public instance that was never asked is believed as it is built in, and the user is told.
///
/// # Errors
/// Code `trust-malformed` and the codes of the trust store.
pub(crate) fn believed(context: &Context, file: Option<&Path>) -> Result<Believed, Failure> {
    if let Some(path) = file {
        let budget = Budget::default();
        let bytes = file::read(path, budget.trust_bytes)?;
        let root = TrustedRoot::from_json(&bytes, &budget).map_err(|error| malformed(path, error))?;
        return Ok(Believed { root, services: None });
    }
    let selected = context.options.trust.as_deref().unwrap_or(DEFAULT_INSTANCE);
    if let Some(instance) = public_instance(selected) {
        return public(context, instance);
    }
    let config = client_trust_config(context)?;
    Ok(Believed {
        root: config.trusted_root.clone(),
        services: Some(config),
    })
}

/// A public instance, from the store or as it is built in. None of them keeps attestations of crates.
fn public(context: &Context, instance: &PublicInstance) -> Result<Believed, Failure> {
    let stored = store(context).and_then(|store| load(context, &store, instance.name));
    let root = match stored {
        Ok(loaded) => loaded.config.trusted_root,
        Err(failure) if context.options.offline && NEVER_ASKED.contains(&failure.code()) => {
            context.printer.note(format_args!(
                "trusting `{0}` as it is built in; `cargo sigstore trust update {0}` asks for what changed since",
                instance.name
            ));
            instance.trusted_root()?
        }
        Err(failure) if failure.exit() == Exit::Unavailable || NEVER_ASKED.contains(&failure.code()) => {
            return Err(failure.hint(format_args!(
                "try again later, or pass `--offline` to trust `{}` as it was last seen or is built in",
                instance.name
            )));
        }
        Err(failure) => return Err(failure),
    };
    Ok(Believed { root, services: None })
}

/// The trusted root to verify with, as [`believed`].
///
/// # Errors
/// As [`believed`].
pub(crate) fn trusted_root(context: &Context, file: Option<&Path>) -> Result<TrustedRoot, Failure> {
    Ok(believed(context, file)?.root)
}

/// A verifier that believes this trusted root.
///
/// # Errors
/// Exit code 2 when the root does not hold together: that says nothing of any bundle.
pub(crate) fn verifier(root: TrustedRoot) -> Result<Verifier, Failure> {
    Verifier::new(root).map_err(|error| {
        Failure::from(error)
            .with_exit(Exit::Usage)
            .while_doing("the trusted root cannot be used")
    })
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
    #[error("this needs the network, which `--offline` forbids")]
    Offline,
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
                "pass `--trust NAME` or `--trust FILE`; `cargo sigstore trust add` stores one",
            ),
            Error::Offline => ("offline", "leave out `--offline`"),
            Error::Malformed { .. } => (
                "trust-malformed",
                "`--trust` takes a client trust configuration, `--trusted-root` a trusted root",
            ),
            Error::Home => ("home", "set `CARGO_SIGSTORE_HOME` to a folder"),
        };
        Self::new(Exit::Usage, code, &error).hint(hint)
    }
}

impl From<tuf_root::Error> for Failure {
    fn from(error: tuf_root::Error) -> Self {
        let exit = match error.exit_code() {
            1 => Exit::Refused,
            2 => Exit::Usage,
            3 => Exit::Unavailable,
            _ => Exit::Bug,
        };
        Self::new(exit, error.code(), &error).hint(error.hint())
    }
}

/// Believed when verifying, unless the user says otherwise: the instance that the public clients of every language begin with.
const DEFAULT_INSTANCE: &str = "public-good";

/// Codes that say that nothing usable is cached.
const NEVER_ASKED: [&str; 2] = ["trust-no-cache", "home"];

/// Every public TLS root together is under 1 MiB.
const CA_FILE_BYTES: usize = 4 << 20;

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
