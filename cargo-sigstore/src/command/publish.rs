//! `cargo sigstore publish`: package, attest, store, upload, in this order.
//!
//! No foreign code runs near a token: packaging and the verification build happen in a child without secrets, before any
//! token is asked for. What is uploaded is what was attested: the upload's token is given out only for that digest.

mod credential;
mod gate;
mod prebuilt;
mod publishing;

use std::path::PathBuf;

use cargo_metadata::{Metadata, Package};
use verify::provenance::Options;

use crate::{
    context::Context,
    expected_digests::ExpectedDigests,
    failure::{Exit, Failure},
    identity_token,
    lockfile::Lockfile,
    registry::{exchange::TrustedPublishing, selection::Registry},
    release::{
        cargo::{Cargo, Selection},
        crate_file::CrateFile,
        preview,
        sbom::{Bom, Sbom, SbomFormat},
        statements::Release,
        workspace::{refuse_dirty, select},
    },
};

use self::{credential::refuse_without_permission, publishing::Publishing};

/// Arguments of `publish`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// Publish this package
    #[arg(long, short, value_name = "NAME", conflicts_with = "workspace")]
    package: Vec<String>,
    /// Publish every package of the workspace, those others depend on first
    #[arg(long)]
    workspace: bool,
    /// Leave this package out
    #[arg(long, value_name = "NAME", requires = "workspace")]
    exclude: Vec<String>,
    /// Path to Cargo.toml
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// Publish to this registry of cargo's configuration
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Show what would be signed and as whom; sign and upload nothing
    #[arg(long)]
    dry_run: bool,
    /// Upload this prebuilt crate; nothing is checked out or compiled. Of several, those others depend on first
    #[arg(long, value_name = "FILE", conflicts_with_all = ["package", "workspace", "manifest_path"])]
    crate_file: Vec<PathBuf>,
    /// Publish uncommitted changes; the provenance says so
    #[arg(long)]
    allow_dirty: bool,
    /// Leave Cargo.lock out of the crate; the provenance says so
    #[arg(long)]
    exclude_lockfile: bool,
    /// Exchange the CI's identity for an upload token that ends with this run
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    trusted_publishing: TrustedPublishing,
    /// Do not build what was packaged
    #[arg(long)]
    no_verify: bool,
    /// Make no bill of materials
    #[arg(long)]
    no_sbom: bool,
    /// Make the bill of materials in this format
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, conflicts_with_all = ["no_sbom", "sbom"])]
    sbom_format: SbomFormat,
    /// Attest this bill of materials, CycloneDX or SPDX in JSON, instead of making one
    #[arg(long, value_name = "FILE", conflicts_with = "no_sbom")]
    sbom: Option<PathBuf>,
    /// Pass over a version that the registry has already, even with other bytes
    #[arg(long)]
    skip_existing: bool,
    /// Let cargo and build scripts see this environment variable, although it looks like a secret
    #[arg(long, value_name = "NAME")]
    keep_env: Vec<String>,
    /// Put the bundles into this attestation store
    #[arg(long, value_name = "URL", env = "CARGO_SIGSTORE_ATTESTATIONS")]
    attestations: Option<String>,
    #[command(flatten)]
    identity: identity_token::Arguments,
    /// What the prebuilt crates must hash to.
    #[arg(skip)]
    pub(crate) expected: ExpectedDigests,
    /// Whether GitHub is to keep the bundles too: then a version without any there is not done.
    #[arg(skip)]
    pub(crate) at_github: bool,
}

/// Publishes.
///
/// # Errors
/// Those of every step; what was done before a failure is told and harmless, and running again completes it.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let sbom = arguments.sbom.as_deref().map(Sbom::read).transpose()?;
    let permitted = |registry: &Registry| may_publish(arguments, context, registry);
    let (mut releases, registry, target) = if arguments.crate_file.is_empty() {
        packaged(arguments, context, permitted)?
    } else {
        let registry = Registry::select(context, arguments.registry.as_deref(), None)?;
        permitted(&registry)?;
        let files = &arguments.crate_file;
        let releases = prebuilt::read(files, &arguments.expected, &registry, options(arguments))?;
        (releases, registry, PathBuf::new())
    };
    if let Some(sbom) = sbom {
        for release in &mut releases {
            release.sbom = Some(sbom.clone());
        }
    }
    if arguments.dry_run {
        return preview::show(context, &releases, &registry, &arguments.identity);
    }
    let mut publishing = Publishing::prepare(arguments, context, registry, &target)?;
    let mut documents = Vec::new();
    let outcome = publishing.all(&releases, &mut documents);
    // What was published before a failure stays published, and is told.
    if context.printer.is_json() && (outcome.is_ok() || !documents.is_empty()) {
        context
            .printer
            .json(&serde_json::json!({"schemaVersion": 1, "published": documents}))?;
    }
    outcome.map(|()| Exit::Yes)
}

/// Packages only: what `publish` does before any token is asked for. Gives the paths of the crates.
///
/// # Errors
/// Those of selection, git and cargo, and of the archives that came of it.
pub(crate) fn package(arguments: &Arguments, context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let (releases, ..) = packaged(arguments, context, |_| Ok(()))?;
    Ok(releases.into_iter().map(|release| release.path).collect())
}

/// What can be told before anything is packaged; a dry run needs no permission.
fn may_publish(arguments: &Arguments, context: &Context, registry: &Registry) -> Result<(), Failure> {
    if arguments.dry_run {
        return Ok(());
    }
    refuse_without_permission(arguments, context, registry)
}

/// Steps 1 and 2 of a working tree: package in a scrubbed child, read what came of it.
fn packaged(
    arguments: &Arguments,
    context: &Context,
    permitted: impl FnOnce(&Registry) -> Result<(), Failure>,
) -> Result<(Vec<Release>, Registry, PathBuf), Failure> {
    let cargo = Cargo::new(&arguments.keep_env, context.options.quiet, context.options.offline)
        .with_registries(context.registry_indexes());
    let metadata = cargo.metadata(arguments.manifest_path.as_deref())?;
    let packages = select(&metadata, &arguments.package, arguments.workspace, &arguments.exclude)?;
    if !arguments.allow_dirty {
        let folders: Vec<PathBuf> = packages.iter().map(|package| folder(package)).collect();
        refuse_dirty(&folders, || cargo.tool("git"))?;
    }
    let registry = registry_of(arguments, context, &packages)?;
    permitted(&registry)?;
    let selection = selection(arguments, &packages, &registry);
    context.printer.phase("Package without any token");
    context.printer.status(
        "Packaging",
        format_args!("{} without any token", selection.packages.join(", ")),
    );
    let stopped = context
        .variable("GITHUB_ACTIONS")
        .map(|_| context.printer.stop_commands());
    let outcome = cargo.package(&selection);
    drop(stopped);
    outcome?;
    let version = cargo.version()?;
    let target = metadata.target_directory.clone().into_std_path_buf();
    let releases = packages
        .iter()
        .map(|package| {
            Ok(Release {
                command: command_line(arguments, package),
                cargo: version.clone(),
                options: options(arguments),
                ..release(package, &metadata, &registry, |bom| sbom(arguments, context, bom))?
            })
        })
        .collect::<Result<_, Failure>>()?;
    Ok((releases, registry, target))
}

/// The bill of materials as it was asked for.
fn sbom(arguments: &Arguments, context: &Context, bom: &Bom) -> Option<Sbom> {
    let sbom = match arguments.sbom_format {
        SbomFormat::Cyclonedx => bom.to_sbom(),
        SbomFormat::Spdx => bom.to_spdx(context.now()),
    };
    (!arguments.no_sbom).then_some(sbom)
}

/// Reads the crate that cargo made of a package, and makes its bill of materials.
fn release(
    package: &Package,
    metadata: &Metadata,
    registry: &Registry,
    sbom: impl FnOnce(&Bom) -> Option<Sbom>,
) -> Result<Release, Failure> {
    let name = format!("{}-{}.crate", package.name, package.version);
    let path = metadata.target_directory.join("package").join(name);
    let index = registry.other_index();
    let file = CrateFile::read(path.as_std_path(), index)?;
    let lockfile = std::fs::read_to_string(metadata.workspace_root.join("Cargo.lock")).unwrap_or_default();
    let lockfile = Lockfile::from_toml(&lockfile)?;
    let bom = Bom::new(package, metadata, &lockfile, file.digest, index);
    Ok(Release {
        path: path.into_std_path_buf(),
        file,
        index: index.map(str::to_owned),
        sbom: sbom(&bom),
        command: Vec::new(),
        cargo: verify::provenance::Cargo::default(),
        options: Options::default(),
    })
}

/// The registry that all the packages go to.
fn registry_of(arguments: &Arguments, context: &Context, packages: &[&Package]) -> Result<Registry, Failure> {
    let mut chosen: Option<Registry> = None;
    for package in packages {
        let registry = Registry::select(context, arguments.registry.as_deref(), package.publish.as_deref())?;
        if chosen.as_ref().is_some_and(|chosen| *chosen != registry) {
            return Err(Error::Registries.into());
        }
        chosen = Some(registry);
    }
    Ok(chosen.unwrap_or_else(Registry::crates_io))
}

fn selection(arguments: &Arguments, packages: &[&Package], registry: &Registry) -> Selection {
    Selection {
        manifest_path: arguments.manifest_path.clone(),
        packages: packages.iter().map(|package| package.name.to_string()).collect(),
        registry: registry.name.clone(),
        allow_dirty: arguments.allow_dirty,
        exclude_lockfile: arguments.exclude_lockfile,
        no_verify: arguments.no_verify,
    }
}

const fn options(arguments: &Arguments) -> Options {
    Options {
        allow_dirty: arguments.allow_dirty,
        exclude_lockfile: arguments.exclude_lockfile,
    }
}

/// The command of the package step, as the link states it.
fn command_line(arguments: &Arguments, package: &Package) -> Vec<String> {
    let flags = [
        (arguments.no_verify, "--no-verify"),
        (arguments.allow_dirty, "--allow-dirty"),
        (arguments.exclude_lockfile, "--exclude-lockfile"),
    ];
    let mut words = vec![
        "cargo".to_owned(),
        "package".to_owned(),
        "--package".to_owned(),
        package.name.to_string(),
    ];
    words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_owned()));
    words
}

fn folder(package: &Package) -> PathBuf {
    let folder = package.manifest_path.parent();
    folder.map(|folder| folder.as_std_path().to_owned()).unwrap_or_default()
}

/// Why a release cannot be published.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{registry} has another `{file_name}` already")]
    Published { file_name: String, registry: String },
    #[error("the packages go to different registries")]
    Registries,
    #[error("cannot find our own program")]
    Program { source: std::io::Error },
}

impl Error {
    fn with_digests(self, published: &str, ours: &str) -> Failure {
        Failure::from(self).fact("published", published).fact("ours", ours)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, code, hint) = match &error {
            Error::Published { .. } => (
                Exit::Refused,
                "already-published",
                "a version cannot be published twice: raise the version",
            ),
            Error::Registries => (
                Exit::Usage,
                "registry-forbidden",
                "publish them one by one, with `--package`",
            ),
            Error::Program { .. } => (Exit::Bug, "channel", "report this"),
        };
        Self::new(exit, code, &error).hint(hint)
    }
}

const EXAMPLES: &str = "\
Examples:
  In a CI job that may ask for an identity token, with the registry's token in CARGO_SIGSTORE_REGISTRY_TOKEN:
    cargo sigstore publish --trust acme --registry acme
  A whole workspace:
    cargo sigstore publish --trust acme --workspace
  What would be signed, and as whom:
    cargo sigstore publish --trust acme --dry-run
  In a job that compiles nothing, a crate that an earlier job made with `cargo package`:
    cargo sigstore publish --trust acme --crate-file mine-1.0.0.crate

Signing is public and permanent: the certificate names your workflow, repository and commit, and the log keeps it.
Running the command again after a failure is harmless.";
