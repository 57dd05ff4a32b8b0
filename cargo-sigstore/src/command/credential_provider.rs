//! `cargo sigstore credential-provider`: what cargo runs to get a registry's token.
//!
//! Started by `cargo sigstore publish` it passes cargo's question on to its parent. Named in cargo's own configuration
//! (`credential-provider = "cargo-sigstore"`) it signs what cargo is about to upload, stores the
//! bundles, and only then gives the token.

use std::path::{Path, PathBuf};

use verify::{Sha256Digest, provenance::Options};

use crate::{
    context::Context,
    credential::{
        channel::ask,
        protocol::{Answer, Request, converse},
    },
    failure::{Exit, Failure},
    identity_token,
    lockfile::Lockfile,
    registry::{index::IndexConfig, selection::Registry, token::RegistryToken},
    release::{
        attest::{Services, Sources, connect},
        cargo::{CHANNEL_VARIABLE, Cargo},
        crate_file::CrateFile,
        sbom::Bom,
        statements::Release,
    },
};

/// Arguments of `credential-provider`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Cargo passes this
    #[arg(long, hide = true)]
    cargo_plugin: bool,
    /// Put the bundles into this attestation store
    #[arg(long, value_name = "URL", env = "CARGO_SIGSTORE_ATTESTATIONS")]
    attestations: Option<String>,
    #[command(flatten)]
    identity: identity_token::Arguments,
}

/// Speaks with cargo on stdin and stdout.
///
/// # Errors
/// Code `channel` when cargo cannot be understood.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    if !arguments.cargo_plugin {
        let error = Error::NotCargo;
        return Err(Failure::new(Exit::Usage, "credential-provider", &error).hint(CONFIGURATION));
    }
    let parent = context.variable(CHANNEL_VARIABLE).map(PathBuf::from);
    let answer = |request: &Request| match &parent {
        Some(path) => ask(path, request).unwrap_or_else(|failure| Answer::Refused(failure.message().to_owned())),
        None => alone(arguments, context, request),
    };
    let mut stdin = std::io::stdin().lock();
    let mut stdout = std::io::stdout().lock();
    converse(&mut stdin, &mut stdout, answer)
        .map_err(|source| Failure::new(Exit::Unavailable, "channel", &Error::Conversation { source }))?;
    Ok(Exit::Yes)
}

/// Answers without a parent: whatever a token is asked for cargo gets it as from any provider, but an upload is signed first.
fn alone(arguments: &Arguments, context: &Context, request: &Request) -> Answer {
    if request.kind != "get" {
        return Answer::NotSupported;
    }
    let registry = Registry {
        name: request.registry.name.clone().filter(|name| name != "crates-io"),
        index_url: request.registry.index_url.clone(),
    };
    let token = match RegistryToken::find(context, &registry) {
        Ok(token) => token,
        Err(_) if request.operation == "read" => return Answer::NotFound,
        Err(failure) => return Answer::Refused(one_line(&failure)),
    };
    if request.operation == "publish"
        && let Err(failure) = sign(arguments, context, request, &registry, &token)
    {
        context.printer.failure(&failure);
        return Answer::Refused(one_line(&failure));
    }
    Answer::Token(token.secret().to_owned())
}

/// Signs the crate that cargo is about to upload and stores the bundles.
fn sign(
    arguments: &Arguments,
    context: &Context,
    request: &Request,
    registry: &Registry,
    token: &RegistryToken,
) -> Result<(), Failure> {
    let cargo = Cargo::new(&[], true, false);
    let metadata = cargo.metadata(None)?;
    let target = metadata.target_directory.as_std_path();
    let (path, file) = about_to_be_uploaded(target, request, registry)?;
    let package = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name.as_str() == request.name && package.version.to_string() == request.vers);
    let sbom = package.map(|package| {
        let text = std::fs::read_to_string(metadata.workspace_root.join("Cargo.lock")).unwrap_or_default();
        let lockfile = Lockfile::from_toml(&text)?;
        Ok::<_, Failure>(Bom::new(package, &metadata, &lockfile, file.digest, registry.other_index()).to_sbom())
    });
    let dirty = file.archive.vcs_info.as_ref().is_some_and(|vcs| vcs.dirty);
    let release = Release {
        path,
        index: registry.other_index().map(str::to_owned),
        sbom: sbom.transpose()?,
        command: vec!["cargo".to_owned(), "publish".to_owned()],
        cargo: cargo.version()?,
        options: Options {
            allow_dirty: dirty,
            exclude_lockfile: false,
        },
        file,
    };
    let (http, trust) = connect(context)?;
    context.block_on(async {
        let config = IndexConfig::fetch(&http, registry, Some(token))
            .await
            .unwrap_or_default();
        let sources = Sources {
            identity: &arguments.identity,
            store: arguments.attestations.as_deref(),
            registry_store: config.attestations(),
        };
        let mut services = Services::new(context, http, trust, sources)?;
        let attested = services.attest(context, &release).await?;
        attested.write(&target.join("sigstore"), &release.file.file_name())?;
        services.store(context, &release, &attested).await
    })
}

/// The file that cargo is about to upload, by the digest it named.
fn about_to_be_uploaded(
    target: &Path,
    request: &Request,
    registry: &Registry,
) -> Result<(PathBuf, CrateFile), Failure> {
    let name = format!("{}-{}.crate", request.name, request.vers);
    let folder = target.join("package");
    let path = [folder.join("tmp-crate").join(&name), folder.join(&name)]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Error::NoFile { name: name.clone() })?;
    let file = CrateFile::read(&path, registry.other_index())?;
    let asked: Sha256Digest = request.cksum.parse()?;
    if file.digest == asked {
        Ok((path, file))
    } else {
        Err(Failure::from(Error::OtherFile { name })
            .fact("cargo uploads", asked)
            .fact("found", file.digest))
    }
}

fn one_line(failure: &Failure) -> String {
    format!("{} [{}]", failure.message(), failure.code())
}

/// Why no token is given.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("this command is for cargo to run")]
    NotCargo,
    #[error("the conversation with cargo broke")]
    Conversation { source: std::io::Error },
    #[error("cannot find `{name}`, which cargo is about to upload")]
    NoFile { name: String },
    #[error("`{name}` on disk is not what cargo is about to upload")]
    OtherFile { name: String },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Refused, "not-attested", &error).hint("use `cargo sigstore publish`, which needs not find it")
    }
}

const CONFIGURATION: &str = "\
to sign with a plain `cargo publish`, write into `.cargo/config.toml`:
[registry]
credential-provider = \"cargo-sigstore\"";
