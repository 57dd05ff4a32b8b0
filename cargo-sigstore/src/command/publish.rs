//! `cargo sigstore publish`: package, attest, store, upload, in this order.
//!
//! No foreign code runs near a token: packaging and the verification build happen in a child without secrets, before any
//! token is asked for. What is uploaded is what was attested: the upload's token is given out only for that digest.

mod credential;
mod gate;
mod prebuilt;

use std::path::PathBuf;

use cargo_metadata::{Metadata, Package};
use client::oidc::TokenOptions;
use serde_json::Value;
use verify::provenance::Options;

use crate::{
    context::Context,
    credential::channel::Channel,
    expected_digests::ExpectedDigests,
    failure::{Exit, Failure},
    identity_token,
    lockfile::Lockfile,
    registry::{
        exchange::{Exchanged, TrustedPublishing, can_exchange, exchange},
        index::{IndexConfig, checksum},
        selection::Registry,
        token::RegistryToken,
        upload::upload,
    },
    release::{
        attest::{Services, Sources, connect},
        cargo::{Cargo, Selection},
        crate_file::CrateFile,
        preview,
        sbom::{Bom, Sbom},
        statements::Release,
        workspace::{refuse_dirty, select},
    },
};

use self::{
    credential::{naming_gitlab_variable, refuse_without_permission, registry_token},
    gate::Gate,
};

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
    let mut publishing = Publishing::prepare(arguments, context, registry, target)?;
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
                ..release(package, &metadata, &registry)?
            })
        })
        .map(|release: Result<Release, Failure>| {
            release.map(|release| Release {
                sbom: release.sbom.filter(|_| !arguments.no_sbom),
                ..release
            })
        })
        .collect::<Result<_, Failure>>()?;
    Ok((releases, registry, target))
}

/// Reads the crate that cargo made of a package, and makes its bill of materials.
fn release(package: &Package, metadata: &Metadata, registry: &Registry) -> Result<Release, Failure> {
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
        sbom: Some(bom.to_sbom()),
        command: Vec::new(),
        cargo: verify::provenance::Cargo::default(),
        options: Options::default(),
    })
}

/// Everything that publishing needs.
struct Publishing<'a> {
    arguments: &'a Arguments,
    context: &'a Context,
    registry: Registry,
    config: IndexConfig,
    /// None when an identity is exchanged for one right before each upload.
    token: Option<RegistryToken>,
    exchange: TokenOptions,
    services: Services,
    /// Folder of the bundle files; those of prebuilt crates lie beside them.
    folder: PathBuf,
}

impl<'a> Publishing<'a> {
    /// Finds the registry's token and the services before anything is signed.
    fn prepare(
        arguments: &'a Arguments,
        context: &'a Context,
        registry: Registry,
        target: PathBuf,
    ) -> Result<Self, Failure> {
        let (token, missing) = registry_token(arguments, context, &registry)?;
        let (http, trust) = connect(context)?;
        let exchange = arguments.identity.token_options(context, &trust)?;
        let config = if registry.index_url.starts_with("sparse+") {
            context.block_on(IndexConfig::fetch(&http, &registry, token.as_ref()))?
        } else {
            IndexConfig::default()
        };
        let api = config.api.as_deref();
        if let Some(missing) = missing.filter(|_| !can_exchange(context, api, &exchange)) {
            return Err(naming_gitlab_variable(missing, context, api));
        }
        let sources = Sources {
            identity: &arguments.identity,
            store: arguments.attestations.as_deref(),
            registry_store: config.attestations(),
        };
        let services = Services::new(context, http, trust, sources)?;
        Ok(Self {
            arguments,
            context,
            registry,
            config,
            token,
            exchange,
            services,
            folder: target.join("sigstore"),
        })
    }

    /// Publishes the releases in their order.
    fn all(&mut self, releases: &[Release], documents: &mut Vec<Value>) -> Result<(), Failure> {
        for release in releases {
            if self.is_published(release)? {
                self.context.printer.status(
                    "Skipping",
                    format_args!(
                        "{}: {} has it already",
                        release.file.file_name(),
                        self.registry.display_name()
                    ),
                );
                continue;
            }
            documents.push(self.one(release)?);
        }
        Ok(())
    }

    /// Attest, store, upload.
    fn one(&mut self, release: &Release) -> Result<Value, Failure> {
        let folder = match release.path.parent() {
            Some(folder) if self.is_prebuilt() => folder,
            _ => &self.folder,
        };
        let (context, services) = (self.context, &mut self.services);
        let (attested, files) = context.block_on(async {
            let attested = services.attest(context, release).await?;
            let files = attested.write(folder, &release.file.file_name())?;
            services.store(context, release, &attested).await?;
            Ok((attested, files))
        })?;
        let exchanged = self.exchanged()?;
        let given = exchanged.as_ref().map(Exchanged::token);
        if let Some(token) = given.or(self.token.as_ref()) {
            if self.is_prebuilt() {
                self.upload(release, token)?;
            } else {
                self.cargo_publish(release, token)?;
            }
        }
        drop(exchanged);
        self.context.printer.status(
            "Published",
            format_args!(
                "{} to {}, sha256:{}",
                release.file.file_name(),
                self.registry.display_name(),
                release.file.digest
            ),
        );
        if !self.context.printer.is_json() {
            let [one, _] = &files;
            self.context.printer.line(one.display())?;
        }
        let mut document = attested.to_json(release, &files);
        if let Some(members) = document.as_object_mut() {
            members.insert("crate".to_owned(), release.path.display().to_string().into());
            members.insert("index".to_owned(), self.registry.index_url.as_str().into());
            members.insert("attestations".to_owned(), self.services.store_url().into());
        }
        Ok(document)
    }

    const fn is_prebuilt(&self) -> bool {
        !self.arguments.crate_file.is_empty()
    }

    /// Whether the registry has these very bytes: then an earlier run got this far.
    fn is_published(&self, release: &Release) -> Result<bool, Failure> {
        if !self.registry.index_url.starts_with("sparse+") {
            return Ok(false);
        }
        let http = self.services.http.clone();
        let token = self.token.as_ref().filter(|_| self.config.auth_required);
        let file = &release.file;
        let found = self
            .context
            .block_on(checksum(&http, &self.registry, token, &file.name, &file.version))?;
        match found {
            None => Ok(false),
            Some(digest) if digest == file.digest => Ok(true),
            Some(digest) if self.arguments.skip_existing => {
                self.context.printer.warn(format_args!(
                    "{} has another {}: sha256:{digest}",
                    self.registry.display_name(),
                    file.file_name()
                ));
                Ok(true)
            }
            Some(digest) => Err(Error::Published {
                file_name: file.file_name(),
                registry: self.registry.display_name().to_owned(),
            }
            .with_digests(&digest.to_string(), &file.digest.to_string())),
        }
    }

    /// Lets cargo upload; it gets the token through us, for the attested digest alone.
    fn cargo_publish(&self, release: &Release, token: &RegistryToken) -> Result<(), Failure> {
        let gate = Gate::new(release, &self.registry, self.config.auth_required, token.clone());
        let channel = Channel::open()?;
        let program =
            std::env::current_exe().map_err(|source| Failure::new(Exit::Bug, "channel", &Error::Program { source }))?;
        let program = program.to_string_lossy();
        let provider = [program.as_ref()];
        let mut selection = selection(self.arguments, &[], &self.registry);
        selection.packages = vec![release.file.name.clone()];
        let cargo = Cargo::new(
            &self.arguments.keep_env,
            self.context.options.quiet,
            self.context.options.offline,
        )
        .with_registries(self.context.registry_indexes());
        let outcome = channel.serve_while(
            |request| gate.answer(request),
            || cargo.publish(&selection, &provider, channel.path()),
        );
        match gate.refusal() {
            Some(refusal) => Err(refusal),
            None => outcome,
        }
    }

    /// An upload token of this run, where the registry's own is not used.
    fn exchanged(&self) -> Result<Option<Exchanged>, Failure> {
        if self.token.is_some() {
            return Ok(None);
        }
        let (http, options) = (&self.services.http, self.exchange.clone());
        exchange(self.context, http, self.config.api.as_deref(), options).map(Some)
    }

    fn upload(&self, release: &Release, token: &RegistryToken) -> Result<(), Failure> {
        let http = self.services.http.clone();
        self.context.printer.status("Uploading", release.file.file_name());
        self.context.block_on(upload(
            self.context,
            &http,
            &self.registry,
            &self.config,
            &release.file,
            token,
        ))
    }
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
