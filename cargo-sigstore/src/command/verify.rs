//! `cargo sigstore verify`: who made these files, crates, or everything in `Cargo.lock`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use verify::{
    Artifact, Budget, Bundle, HashAlgorithm, PublicKey, Sha256Digest,
    artifact::{ArtifactDigests, ArtifactHasher},
    bundle::Content,
    certificate::Certificate,
    key::KeyKind,
    signing_config::ClientTrustConfig,
};

use crate::{
    context::Context,
    evidence::{
        bundle_file,
        cache::Cache,
        expectation::{Expectations, Severity, Signer},
        finding::{Finding, Outcome},
        judgement::{Case, Demands, Judge},
        registry::RegistryStatement,
        report, sarif,
        store::Store,
        target::{Place, Subject, Target},
    },
    failure::{Exit, Failure},
    file,
    lockfile::Lockfile,
    network,
    registry::{
        index::{IndexConfig, checksum},
        selection::Registry,
    },
    release::crate_file::name_and_version,
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
    /// Ask this attestation store
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
    /// Accept what has no attestation, and say so
    #[arg(long)]
    allow_unattested: bool,
    /// Accept whoever signed where nobody is expected, and say so
    #[arg(long)]
    allow_unpinned: bool,
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

/// Verifies and tells.
///
/// # Errors
/// Usage and configuration; what was looked at is told, not failed on.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let lockfile_path = arguments.lockfile.clone().or_else(find_lockfile);
    let expectations = expectations(arguments, lockfile_path.as_deref())?;
    let mut wanted = wanted(arguments, context, lockfile_path.as_deref())?;
    for wanted in &mut wanted {
        wanted.subject.options = repeated(arguments, context);
    }
    if wanted.is_empty() {
        context.printer.note("the lock file holds no crate from a registry");
        if context.printer.is_sarif() {
            context.printer.json(&sarif::log(&[]))?;
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
    let open = open(&wanted, &findings, &expectations);
    if !open.is_empty() {
        let fetching = Fetching {
            arguments,
            context,
            services: trust.services.as_ref(),
            judge: &judge,
            cache: cache.as_ref(),
        };
        fetching.complete(&open, &mut cases, &mut findings)?;
    }
    report::tell(context, &findings, &expectations)
}

/// An artifact the user asks about.
#[derive(Debug)]
struct Wanted {
    subject: Subject,
    digests: Option<ArtifactDigests>,
    /// The file's content, where a digest may not be enough and it is small.
    bytes: Option<Vec<u8>>,
    file: Option<PathBuf>,
    /// What the user named or put beside the file; nothing else is looked for then.
    given: Vec<Bundle>,
}

impl Wanted {
    fn artifact(&self) -> Artifact<'_> {
        match (&self.bytes, &self.digests) {
            (Some(bytes), _) => Artifact::Bytes(bytes),
            (None, Some(digests)) => Artifact::Digests(digests),
            (None, None) => Artifact::Digest(self.subject.digest),
        }
    }

    fn case<'a>(
        &'a self,
        signer: Option<&'a Signer>,
        expectations: &'a Expectations,
        cache: Option<&Cache>,
    ) -> Case<'a> {
        let named = self
            .subject
            .package
            .as_ref()
            .and_then(|(name, _)| expectations.signer_of(name));
        let bundles = if self.given.is_empty() {
            cache.map(|cache| cache.load(self.subject.digest)).unwrap_or_default()
        } else {
            self.given.clone()
        };
        Case {
            subject: self.subject.clone(),
            artifact: self.artifact(),
            file: self.file.as_deref(),
            bundles,
            every: !self.given.is_empty(),
            signer: signer.or(named),
            registries: &expectations.registries,
        }
    }
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
    Ok(expectations)
}

/// Everything asked about, with its digest.
fn wanted(arguments: &Arguments, context: &Context, lockfile: Option<&Path>) -> Result<Vec<Wanted>, Failure> {
    if arguments.targets.is_empty() {
        let path = lockfile.ok_or(Error::NoLockfile)?;
        let crates = read_lockfile(path)?;
        return Ok(crates
            .registry_crates()
            .map(|(package, digest)| {
                let mut subject = Subject::package(&package.name, &package.version, digest);
                subject.place = Some(Place::new(path, crates.line(&package.name, &package.version)));
                without_file(subject, Vec::new())
            })
            .collect());
    }
    let given = given(&arguments.bundle)?;
    arguments
        .targets
        .iter()
        .map(|text| match Target::parse(text) {
            Target::File(path) => of_file(&path, &given),
            Target::Digest(digest) => {
                let label = format!("sha256:{digest}");
                let subject = Subject {
                    label,
                    package: None,
                    digest,
                    place: None,
                    options: Vec::new(),
                };
                Ok(without_file(subject, given.clone()))
            }
            Target::Crate { name, version } => {
                let digest = crate_digest(arguments, context, lockfile, &name, &version)?;
                Ok(without_file(Subject::package(&name, &version, digest), given.clone()))
            }
        })
        .collect()
}

fn given(paths: &[PathBuf]) -> Result<Vec<Bundle>, Failure> {
    let mut bundles = Vec::new();
    for path in paths {
        bundles.extend(bundle_file::read(path)?);
    }
    Ok(bundles)
}

const fn without_file(subject: Subject, given: Vec<Bundle>) -> Wanted {
    Wanted {
        subject,
        digests: None,
        bytes: None,
        file: None,
        given,
    }
}

fn of_file(path: &Path, given: &[Bundle]) -> Result<Wanted, Failure> {
    let given = match bundle_file::beside(path) {
        Some(beside) if given.is_empty() => bundle_file::read(&beside)?,
        _ => given.to_vec(),
    };
    let budget = Budget::default();
    let mut algorithms = vec![HashAlgorithm::Sha256];
    algorithms.extend(given.iter().flat_map(|bundle| bundle.artifact_algorithms(&budget)));
    algorithms.sort_unstable();
    algorithms.dedup();
    let bytes = if given.iter().any(wants_bytes) {
        file::read_if_small(path, SMALL_BYTES)?
    } else {
        None
    };
    let digests = match &bytes {
        Some(bytes) => {
            let mut hasher = ArtifactHasher::new(&algorithms);
            hasher.update(bytes);
            hasher.finish()
        }
        None => file::digests(path, &algorithms)?,
    };
    let subject = Subject {
        label: path.display().to_string(),
        package: name_and_version(path),
        digest: file::sha256_of(&digests),
        place: Some(Place::new(path, None)),
        options: Vec::new(),
    };
    Ok(Wanted {
        subject,
        digests: Some(digests),
        bytes,
        file: Some(path.to_owned()),
        given,
    })
}

/// Whether a bundle's signature may cover the bytes themselves: Ed25519 and RSA-PSS do, and a bundle does not say what kind
/// of key it means when it holds no certificate.
fn wants_bytes(bundle: &Bundle) -> bool {
    let Content::Message { .. } = bundle.content else {
        return false;
    };
    let certificate = bundle
        .certificate()
        .and_then(|der| Certificate::from_der(der, &Budget::default()).ok());
    let hashes_first = |kind| matches!(kind, KeyKind::P256 | KeyKind::P384 | KeyKind::P521);
    certificate.is_none_or(|certificate| !hashes_first(certificate.public_key().kind()))
}

/// The digest of a crate: what the lock file says, else what the registry's index says now.
fn crate_digest(
    arguments: &Arguments,
    context: &Context,
    lockfile: Option<&Path>,
    name: &str,
    version: &str,
) -> Result<Sha256Digest, Failure> {
    if let Some(path) = lockfile
        && let Some(digest) = read_lockfile(path)?.checksum(name, version)
    {
        return Ok(digest);
    }
    let http = network::http(context)?;
    let registry = Registry::select(context, arguments.registry.as_deref(), None)?;
    let found = context.block_on(checksum(&http, &registry, None, name, version))?;
    let digest = found.ok_or_else(|| Error::NoCrate {
        name: name.to_owned(),
        version: version.to_owned(),
        registry: registry.display_name().to_owned(),
    })?;
    context.printer.note(format_args!(
        "`{name}@{version}` is not in the lock file; its digest is the word of {}",
        registry.display_name()
    ));
    Ok(digest)
}

fn read_lockfile(path: &Path) -> Result<Lockfile, Failure> {
    let bytes = file::read(path, LOCKFILE_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    Lockfile::from_toml(&text).map_err(|error| Failure::from(error).fact("file", path.display()))
}

fn find_lockfile() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|path| path.is_file())
}

/// Positions of those that more evidence might help: nothing was given for them and what was cached is not enough.
fn open(wanted: &[Wanted], findings: &[Finding], expectations: &Expectations) -> Vec<usize> {
    let pairs = wanted.iter().zip(findings).enumerate();
    pairs
        .filter(|(_, (wanted, finding))| {
            let pinned = finding.registry.iter().any(RegistryStatement::is_pinned);
            let unheard = !expectations.registries.is_empty() && !pinned;
            let unproven = matches!(finding.outcome, Outcome::Unattested | Outcome::Refused);
            wanted.given.is_empty() && (unproven || unheard)
        })
        .map(|(position, _)| position)
        .collect()
}

/// Asking the store for what is missing.
struct Fetching<'a> {
    arguments: &'a Arguments,
    context: &'a Context,
    services: Option<&'a ClientTrustConfig>,
    judge: &'a Judge,
    cache: Option<&'a Cache>,
}

impl Fetching<'_> {
    /// Fetches evidence about the cases at `open` in one batch, judges them again and keeps what is worth it.
    fn complete(&self, open: &[usize], cases: &mut [Case<'_>], findings: &mut [Finding]) -> Result<(), Failure> {
        let digests: Vec<Sha256Digest> = open
            .iter()
            .filter_map(|position| cases.get(*position))
            .map(|case| case.subject.digest)
            .collect();
        let fetched = match self.fetch(&digests)? {
            Ok(fetched) => fetched,
            Err(why) => {
                mark_unavailable(open, findings, &why);
                return Ok(());
            }
        };
        for position in open {
            let (Some(case), Some(finding)) = (cases.get_mut(*position), findings.get_mut(*position)) else {
                continue;
            };
            let Some(bundles) = fetched.get(&case.subject.digest) else {
                continue;
            };
            if let Some(cache) = self.cache {
                cache.keep(case.subject.digest, &self.judge.credible(case.subject.digest, bundles));
            }
            let new = bundles.iter().filter(|bundle| !case.bundles.contains(bundle));
            let new: Vec<Bundle> = new.cloned().collect();
            case.bundles.extend(new);
            if let Some(judged) = self.judge.judge(std::slice::from_ref(case))?.pop() {
                *finding = judged;
            }
        }
        Ok(())
    }

    /// The bundles by digest; inside, why the store could not be asked.
    ///
    /// # Errors
    /// Configuration: no store is known, or its URL is none.
    fn fetch(&self, digests: &[Sha256Digest]) -> Result<Result<BTreeMap<Sha256Digest, Vec<Bundle>>, Failure>, Failure> {
        if self.context.options.offline {
            let failure = Failure::new(Exit::Unavailable, "offline-evidence", &Error::Offline);
            return Ok(Err(
                failure.hint("run it once without `--offline`, or pass `--bundle FILE`")
            ));
        }
        let http = network::http(self.context)?;
        let progress = self.context.printer.progress(1, "Fetching");
        let outcome = self.context.block_on(async {
            let of_registry = self.store_of_registry(&http).await;
            let store = Store::choose(
                &http,
                self.arguments.attestations.as_deref(),
                self.services,
                of_registry.as_deref(),
                self.judge.now,
            )?;
            Ok(store
                .client
                .query(digests)
                .await
                .map_err(|error| unanswered(error, &store.url)))
        });
        progress.finish_and_clear();
        let found = outcome?;
        Ok(found.map(|found| {
            found
                .into_iter()
                .map(|(digest, found)| (digest, found.bundles))
                .collect()
        }))
    }

    /// The store that a registry's own configuration names; asked only when nothing else names one.
    async fn store_of_registry(&self, http: &client::Http) -> Option<String> {
        if self.arguments.attestations.is_some() || self.services.is_some() {
            return None;
        }
        let registry = Registry::select(self.context, self.arguments.registry.as_deref(), None).ok()?;
        let config = IndexConfig::fetch(http, &registry, None).await.ok()?;
        config.attestations().map(str::to_owned)
    }
}

/// A store that does not answer leaves the question open, whatever the reason.
fn unanswered(error: client::Error, url: &str) -> Failure {
    Failure::from(error)
        .with_exit(Exit::Unavailable)
        .while_doing(format_args!("the attestation store at {url} cannot be asked"))
}

fn mark_unavailable(open: &[usize], findings: &mut [Finding], why: &Failure) {
    for position in open {
        if let Some(finding) = findings.get_mut(*position)
            && finding.outcome == Outcome::Unattested
        {
            *finding = Finding::unavailable(finding.subject.clone(), why.clone());
        }
    }
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
            Error::Offline => (Exit::Unavailable, "offline-evidence", "run it once without `--offline`"),
        };
        Self::new(exit, code, &error).hint(hint)
    }
}

/// Ten thousand packages make about 3 MiB.
const LOCKFILE_BYTES: usize = 32 << 20;

/// A PEM file of the largest RSA key is under 2 KiB.
const KEY_BYTES: usize = 64 << 10;

/// Files up to this size are held in memory where a signature covers their bytes; what Ed25519 signs is small.
const SMALL_BYTES: usize = 64 << 20;

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
  Signed with a key instead of an identity:
    cargo sigstore verify release.tar --bundle release.sigstore.json --key release.pub
  An artifact of a private repository on GitHub, which is in no public log:
    cargo sigstore verify app.tar --bundle app.json --trust github --allow-unlogged \\
      --certificate-identity … --certificate-oidc-issuer …

Exit codes: 0 everything as expected, 1 something refused, 2 usage or configuration, 3 could not look.";
