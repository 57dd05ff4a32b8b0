//! `cargo sigstore verify`: who made these files, crates, or everything in `Cargo.lock`.

mod fetching;
mod inspection;
mod sources;
mod wanted;

use std::path::{Path, PathBuf};

use verify::PublicKey;

use self::{fetching::Fetching, wanted::Wanted};
use crate::{
    context::Context,
    evidence::{
        cache::Cache,
        expectation::{Expectations, Severity, Signer},
        judgement::{Case, Demands, Judge},
        report, sarif,
    },
    failure::{Exit, Failure},
    file,
    lockfile::Lockfile,
    registry::{selection::Registry, token::RegistryToken},
    trust,
};

/// Arguments of `verify`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A file, NAME@VERSION, or sha256:HEX; without any, every registry crate of Cargo.lock
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Take evidence from this file; all of it must hold
    #[arg(long, value_name = "FILE", requires = "targets")]
    bundle: Vec<PathBuf>,
    /// Who must have signed: the certificate's subject alternative name; `*` stands for anything but `/`
    #[arg(long, value_name = "NAME", requires = "certificate_oidc_issuer")]
    certificate_identity: Option<String>,
    /// Who must vouch for that identity
    #[arg(long, value_name = "URL", requires = "certificate_identity")]
    certificate_oidc_issuer: Option<String>,
    /// The key that must have signed, instead of an identity: a public key in PEM; its owner alone vouches for it
    #[arg(long, value_name = "PEM", conflicts_with_all = ["certificate_identity", "certificate_oidc_issuer"])]
    key: Option<PathBuf>,
    /// Trust this trusted root, instead of `--trust` [default: that of public-good]
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// Ask this attestation store, and nobody else
    #[arg(long, value_name = "URL", env = "CARGO_SIGSTORE_ATTESTATIONS")]
    attestations: Option<String>,
    /// Whom to expect, crate by crate [default: sigstore.toml beside Cargo.lock]
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,
    /// The lock file [default: Cargo.lock here or in a folder above]
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
    /// The registry of a NAME@VERSION that is not in the lock file
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Compare a .crate with its attested commit, by this clone of its repository: every file must be the commit's
    #[arg(long, value_name = "CLONE", requires = "targets")]
    source: Option<PathBuf>,
    /// Accept what has no attestation, and say so
    #[arg(long)]
    allow_unattested: bool,
    /// Accept whoever signed where nobody is expected, and say so
    #[arg(long)]
    allow_unpinned: bool,
    /// Accept what the manifest inside a crate does not explain, such as an edge of Cargo.lock that it lacks, and say so
    #[arg(long)]
    allow_unexplained: bool,
    #[command(flatten)]
    weaker: Weaker,
}

/// What may be missing from a bundle only when the user says so.
#[derive(clap::Args, Debug)]
struct Weaker {
    /// Accept what is in no public log, only stamped with the time, as GitHub signs in private repositories, and say so
    #[arg(long)]
    allow_unlogged: bool,
    /// Accept what a key signed at an unknown time, and say so: whoever steals the key signs for the past
    #[arg(long, requires = "key")]
    allow_untimed: bool,
}

impl Arguments {
    /// The token for a registry that shows itself to nobody without one. Our own variable is for the registry that the user named here:
    /// a lock file, or configuration that lies beside it, must not choose who sees it.
    fn token_for(&self, context: &Context, registry: &Registry) -> Option<RegistryToken> {
        let named = self.registry.as_deref();
        let named = named.and_then(|name| Registry::select(context, Some(name), None).ok());
        if named.is_some_and(|named| named.index_url == registry.index_url) {
            RegistryToken::find(context, registry).ok()
        } else {
            RegistryToken::of_cargo(context, registry)
        }
    }
}

/// Verifies and tells.
///
/// # Errors
/// Usage and configuration; what was looked at is told, not failed on.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let path = arguments.lockfile.clone().or_else(find_lockfile);
    let expectations = expectations(arguments, path.as_deref())?;
    let whole = if arguments.targets.is_empty() {
        let path = path.as_deref().ok_or(Error::NoLockfile)?;
        Some((path, Lockfile::read(path)?))
    } else {
        None
    };
    let mut wanted = match &whole {
        Some((path, lockfile)) => Wanted::all_of(lockfile, path),
        None => Wanted::named_by(arguments, context, path.as_deref())?,
    };
    for wanted in &mut wanted {
        wanted.subject.options = repeated(arguments, context);
    }
    if wanted.is_empty() {
        context.printer.note("the lock file holds no crate from a registry");
        if context.printer.is_sarif() {
            context.printer.json(&sarif::log(&[], &[]))?;
        }
        return Ok(Exit::Yes);
    }
    let trust = trust::believed(context, arguments.trusted_root.as_deref())?;
    let judge = Judge {
        verifier: trust::verifier(trust.root)?,
        now: context.now(),
        demands: demands(arguments, context)?,
    };
    let signer = flags_signer(arguments);
    let cache = trust::home(context).ok().map(|home| Cache::new(&home));
    let mut cases: Vec<Case<'_>> = wanted
        .iter()
        .map(|wanted| wanted.case(signer.as_ref(), &expectations, cache.as_ref()))
        .collect();
    let mut findings = judge.judge(&cases)?;
    let open = fetching::open(&wanted, &findings, &expectations);
    if !open.is_empty() {
        let fetching = Fetching {
            arguments,
            context,
            services: trust.services.as_ref(),
            judge: &judge,
            cache: cache.as_ref(),
        };
        fetching.complete(&open, &wanted, &mut cases, &mut findings)?;
    }
    if let Some(clone) = &arguments.source {
        sources::add(clone, &wanted, &mut findings);
    }
    if let Some((path, lockfile)) = &whole {
        inspection::add(context, lockfile, path, &expectations, &mut findings);
    }
    report::tell(context, &findings, &expectations)
}

/// What the flags demand of every bundle, and no longer demand: said aloud.
fn demands(arguments: &Arguments, context: &Context) -> Result<Demands, Failure> {
    if arguments.weaker.allow_unlogged {
        context
            .printer
            .warn("accepting signatures that are in no public log: a stolen identity would leave no trace");
    }
    if arguments.weaker.allow_untimed {
        context
            .printer
            .warn("accepting signatures of an unknown time: a stolen key signs for the past");
    }
    Ok(Demands {
        key: arguments.key.as_deref().map(public_key).transpose()?,
        unlogged: arguments.weaker.allow_unlogged,
        untimed: arguments.weaker.allow_untimed,
    })
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let bytes = file::read(path, KEY_BYTES)?;
    PublicKey::from_pem(&String::from_utf8_lossy(&bytes)).map_err(|source| {
        Error::Key {
            path: path.to_owned(),
            source,
        }
        .into()
    })
}

/// The options about trust and evidence, to be repeated in a command that we propose.
fn repeated(arguments: &Arguments, context: &Context) -> Vec<String> {
    let path = |path: &PathBuf| path.display().to_string();
    let mut options = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        options.extend(value.map(|value| [name.to_owned(), value]).into_iter().flatten());
    };
    add("--trusted-root", arguments.trusted_root.as_ref().map(path));
    if arguments.trusted_root.is_none() {
        add("--trust", context.options.trust.clone());
    }
    for bundle in &arguments.bundle {
        add("--bundle", Some(path(bundle)));
    }
    if arguments.weaker.allow_unlogged {
        options.push("--allow-unlogged".to_owned());
    }
    options
}

fn flags_signer(arguments: &Arguments) -> Option<Signer> {
    let identity = arguments.certificate_identity.as_deref()?;
    let issuer = arguments.certificate_oidc_issuer.as_deref()?;
    Some(Signer::new(identity, issuer))
}

fn expectations(arguments: &Arguments, lockfile: Option<&Path>) -> Result<Expectations, Failure> {
    let beside = lockfile.map(|lockfile| lockfile.with_file_name("sigstore.toml"));
    let path = arguments
        .expectations
        .clone()
        .or_else(|| beside.filter(|path| path.is_file()));
    let mut expectations = match path {
        Some(path) => Expectations::read(&path)?,
        None => Expectations::default(),
    };
    if arguments.allow_unattested {
        expectations.unattested = Severity::Report;
    }
    if arguments.allow_unpinned {
        expectations.unpinned = Severity::Report;
    }
    if arguments.allow_unexplained {
        expectations.unexplained = Severity::Report;
    }
    Ok(expectations)
}

fn find_lockfile() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|path| path.is_file())
}

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no `Cargo.lock` here or above")]
    NoLockfile,
    #[error("{registry} has no `{name}@{version}`")]
    NoCrate {
        name: String,
        version: String,
        registry: String,
    },
    #[error("`{}` is no public key", path.display())]
    Key { path: PathBuf, source: verify::Error },
    #[error("`{label}` is no `.crate` file, so it cannot be compared with a commit")]
    NotAtHand { label: String },
    #[error("`{label}` changed while it was looked at")]
    Changed { label: String },
    #[error("no evidence is cached and `--offline` forbids asking for it")]
    Offline,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, code, hint) = match &error {
            Error::NoLockfile => (
                Exit::Usage,
                "lockfile",
                "name what to verify, run it in a package's folder, or pass `--lockfile`",
            ),
            Error::NoCrate { .. } => (
                Exit::Usage,
                "crate-unknown",
                "check the version, or pass `--registry NAME`",
            ),
            Error::Key { .. } => (
                Exit::Usage,
                "key-malformed",
                "`--key` takes a public key in PEM, `-----BEGIN PUBLIC KEY-----`",
            ),
            Error::NotAtHand { .. } => (
                Exit::Unavailable,
                "source-unavailable",
                "name the file `NAME-VERSION.crate`, as in cargo's cache, or leave `--source` out",
            ),
            Error::Changed { .. } => (
                Exit::Refused,
                "source-differs",
                "run it again on a file that nobody writes to",
            ),
            Error::Offline => (Exit::Unavailable, "offline-evidence", "run it once without `--offline`"),
        };
        Self::new(exit, code, &error).hint(hint)
    }
}

/// A PEM file of the largest RSA key is under 2 KiB.
const KEY_BYTES: usize = 64 << 10;

const EXAMPLES: &str = "\
Examples:
  Every registry crate of Cargo.lock, as sigstore.toml expects it:
    cargo sigstore verify --trust acme
  One file, with the bundle beside it:
    cargo sigstore verify mine-1.0.0.crate --trusted-root trusted_root.json \\
      --certificate-identity 'https://github.com/me/mine/.github/workflows/r.yml@refs/tags/v1' \\
      --certificate-oidc-issuer https://token.actions.githubusercontent.com
  On a machine that has never been online, trusting public-good as it is built in:
    cargo sigstore verify mine-1.0.0.crate --offline --allow-unpinned
  By digest, without the file:
    cargo sigstore verify sha256:HEX --trust acme --allow-unpinned
  Whether a crate holds what its attested commit holds, too:
    cargo sigstore verify mine-1.0.0.crate --trust acme --source ../mine
  Signed with a key instead of an identity:
    cargo sigstore verify release.tar --bundle release.sigstore.json --key release.pub
  An artifact of a private repository on GitHub, which is in no public log:
    cargo sigstore verify app.tar --bundle app.json --trust github --allow-unlogged \\
      --certificate-identity … --certificate-oidc-issuer …

Exit codes: 0 everything as expected, 1 something refused, 2 usage or configuration, 3 could not look.";
