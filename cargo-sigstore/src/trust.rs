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

/// What to sign with: what `--trust` selects, else, in a CI job, the public-good instance, and the user is told. Whoever signs with
/// it unchosen holds the signer to public repositories ([`client::Signer::only_public_repositories`]). A person's identity is
/// told to nobody unasked, so elsewhere there is no default.
///
/// # Errors
/// As [`client_trust_config`], and the codes of the trust store.
pub(crate) fn for_signing(context: &Context) -> Result<ClientTrustConfig, Failure> {
    let in_ci = || FORGES.iter().any(|name| context.variable(name).is_some());
    if context.options.trust.is_some() || !in_ci() {
        return client_trust_config(context);
    }
    context.printer.note(format_args!(
        "no `--trust`: signing with `{DEFAULT_INSTANCE}`, whose log tells everybody repository, workflow and commit, for ever"
    ));
    load(context, &store(context)?, DEFAULT_INSTANCE).map(|loaded| loaded.config)
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
/// Offline, a public instance of which nothing usable is kept is believed as it is built in, and the user is told ([`known`]).
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

/// A public instance. None of them keeps attestations of crates.
fn public(context: &Context, instance: &'static PublicInstance) -> Result<Believed, Failure> {
    let root = match known(context, instance.name)? {
        Known::Loaded(loaded) => loaded.config.trusted_root,
        Known::BuiltIn(instance) => instance.trusted_root()?,
    };
    Ok(Believed { root, services: None })
}

/// What is known of a trust root of the store.
#[derive(Debug)]
pub(crate) enum Known {
    /// What its repository said, now or when it was last asked.
    Loaded(Box<Loaded>),
    /// Nothing but what is built in.
    BuiltIn(&'static PublicInstance),
}

/// What is known of a trust root of the store: as [`load`], but offline a public instance of which nothing usable is kept is
/// known as it is built in. A note says so when it was never asked; a warning when it was, for then something was lost.
///
/// # Errors
/// The codes of the trust store, code `home`.
pub(crate) fn known(context: &Context, name: &str) -> Result<Known, Failure> {
    let store = store(context);
    let loaded = store.clone().and_then(|store| load(context, &store, name));
    let failure = match loaded {
        Ok(loaded) => return Ok(Known::Loaded(Box::new(loaded))),
        Err(failure) => failure,
    };
    let Some(instance) = public_instance(name) else {
        return Err(failure);
    };
    if !context.options.offline {
        return Err(if ONLINE_ONLY.contains(&failure.code()) {
            failure.hint(format_args!(
                "try again later, or pass `--offline` to trust `{name}` as it was last seen or is built in"
            ))
        } else {
            failure
        });
    }
    let asked = store.is_ok_and(|store| store.refreshed(name).is_some());
    if NEVER_ASKED.contains(&failure.code()) && !asked {
        context.printer.note(format_args!(
            "trusting `{name}` as it is built in; `cargo sigstore trust update {name}` asks for what changed since"
        ));
    } else if NEVER_ASKED.contains(&failure.code()) || LOST.contains(&failure.code()) {
        context.printer.warn(format_args!(
            "{}: trusting `{name}` as it is built in, without what was known since",
            failure.message()
        ));
    } else {
        return Err(failure);
    }
    Ok(Known::BuiltIn(instance))
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
                "pass `--trust NAME` or `--trust FILE`; `cargo sigstore trust add` stores one, and `--trust public-good` is everybody's, whose log is public for ever",
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
        Self::new(exit, error.code(), &error).hint(hint(&error))
    }
}

/// What a user may try, where the hint of the library is for who keeps a repository.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "all other hints are for users too, or never reach one"
)]
const fn hint(error: &tuf_root::Error) -> &'static str {
    use tuf_root::Error as Store;
    match error {
        Store::Io { .. } => {
            "check the path, its permissions and the free space, or set `CARGO_SIGSTORE_HOME` to a folder that can be written"
        }
        Store::Expired { .. } => {
            "ask its operator to refresh it; `--offline` uses what is cached and says when it expired"
        }
        Store::Threshold { .. } | Store::Version { .. } => {
            "somebody else may answer for this repository: ask its operator, and do not remove the cache"
        }
        Store::TooLarge { .. } => "no honest repository has such a file; ask its operator",
        other => other.hint(),
    }
}

/// Believed when verifying, unless the user says otherwise: the instance that the public clients of every language begin with.
const DEFAULT_INSTANCE: &str = "public-good";
/// What the CIs set whose tokens say whether a repository is public.
const FORGES: [&str; 3] = ["GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL", "GITLAB_CI"];

/// Codes that say that nothing usable is cached.
const NEVER_ASKED: [&str; 2] = ["trust-no-cache", "home"];

/// Codes that say that what was kept cannot be used.
const LOST: [&str; 2] = ["trust-damaged", "tuf-io"];

/// Codes that being offline answers.
const ONLINE_ONLY: [&str; 2] = ["trust-unavailable", "home"];

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
