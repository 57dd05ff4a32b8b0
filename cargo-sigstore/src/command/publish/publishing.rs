//! Attest, store, upload: the part of publishing that holds tokens.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use client::{Http, oidc::TokenOptions};
use serde_json::Value;
use url::Url;

use crate::{
    context::Context,
    credential::channel::Channel,
    evidence::{
        bundle_file::stated,
        github::{self, Hosts},
    },
    failure::{Exit, Failure},
    registry::{
        exchange::{Exchanged, TrustedPublishing, can_exchange, exchange},
        index::{IndexConfig, Listing, listing},
        selection::Registry,
        token::RegistryToken,
        upload::upload,
    },
    release::{
        attest::{Attested, Services, Sources, connect},
        cargo::Cargo,
        statements::{Release, predicate_types},
    },
};

use super::{
    Arguments, Error,
    credential::{naming_gitlab_variable, registry_token},
    gate::Gate,
    selection,
};

/// Everything that publishing needs.
pub(super) struct Publishing<'a> {
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
    pub(super) fn prepare(
        arguments: &'a Arguments,
        context: &'a Context,
        registry: Registry,
        target: &Path,
    ) -> Result<Self, Failure> {
        let (token, missing) = registry_token(arguments, context, &registry)?;
        let (http, trust) = connect(context)?;
        let exchange = arguments.identity.token_options(context, &trust)?;
        let config = config(arguments, context, &http, &registry, token.as_ref(), &exchange)?;
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

    /// Publishes the releases in their order, and says of each what was done.
    pub(super) fn all(&mut self, releases: &[Release], documents: &mut Vec<Value>) -> Result<(), Failure> {
        for release in releases {
            let name = release.file.file_name();
            let registry = self.registry.display_name().to_owned();
            let printer = &self.context.printer;
            let is_new = match self.standing(release)? {
                Standing::Done => {
                    printer.status("Skipping", format_args!("{name}: {registry} has it already"));
                    continue;
                }
                Standing::WithoutEvidence => {
                    printer.status(
                        "Completing",
                        format_args!("{name}: {registry} has it, and evidence is missing"),
                    );
                    None
                }
                Standing::Absent { is_new } => Some(is_new),
            };
            let (attested, files) = self.attest(release)?;
            if let Some(is_new) = is_new {
                self.context.printer.phase(format_args!("Upload {name}"));
                self.upload(release, is_new)?;
                self.context.printer.status(
                    "Published",
                    format_args!("{name} to {registry}, sha256:{}", release.file.digest),
                );
            }
            if !self.context.printer.is_json() {
                let [one, _] = &files;
                self.context.printer.line(one.display())?;
            }
            let mut document = attested.to_json(release, &files);
            if let Some(members) = document.as_object_mut() {
                members.insert("crate".to_owned(), release.path.display().to_string().into());
                members.insert("index".to_owned(), self.registry.index_url.as_str().into());
                members.insert("attestations".to_owned(), self.services.store_url().into());
                members.insert("uploaded".to_owned(), is_new.is_some().into());
            }
            documents.push(document);
        }
        Ok(())
    }

    /// Signs the statements, writes them into files and stores them.
    fn attest(&mut self, release: &Release) -> Result<(Attested, [PathBuf; 2]), Failure> {
        let folder = match release.path.parent() {
            Some(folder) if self.is_prebuilt() => folder,
            _ => &self.folder,
        };
        let (context, services) = (self.context, &mut self.services);
        let name = release.file.file_name();
        context.printer.phase(format_args!("Sign {name}"));
        context.block_on(async {
            let attested = services.attest(context, release).await?;
            let files = attested.write(folder, &name)?;
            context.printer.phase(format_args!("Store the evidence of {name}"));
            services.store(context, release, &attested).await?;
            Ok((attested, files))
        })
    }

    /// Uploads what was attested, with the registry's token or one of this run.
    fn upload(&self, release: &Release, is_new: bool) -> Result<(), Failure> {
        let exchanged = self.exchanged(is_new)?;
        let given = exchanged.as_ref().map(Exchanged::token);
        match given.or(self.token.as_ref()) {
            Some(token) if self.is_prebuilt() => self.upload_prebuilt(release, token),
            Some(token) => self.cargo_publish(release, token),
            None => Err(RegistryToken::missing(&self.registry)),
        }
    }

    const fn is_prebuilt(&self) -> bool {
        !self.arguments.crate_file.is_empty()
    }

    /// What is done of a release already, and what is to be done.
    fn standing(&self, release: &Release) -> Result<Standing, Failure> {
        if !self.registry.index_url.starts_with("sparse+") {
            return Ok(Standing::Absent { is_new: false });
        }
        let http = self.services.http.clone();
        // Where the index is for those with a token only, one of this run that is given back after the look.
        let exchanged = if self.config.auth_required {
            self.exchanged(false)?
        } else {
            None
        };
        let token = exchanged.as_ref().map(Exchanged::token).or(self.token.as_ref());
        let token = token.filter(|_| self.config.auth_required);
        let file = &release.file;
        let found = self
            .context
            .block_on(listing(&http, &self.registry, token, &file.name, &file.version))?;
        match found {
            Listing::NoCrate => Ok(Standing::Absent { is_new: true }),
            Listing::NoVersion => Ok(Standing::Absent { is_new: false }),
            Listing::Version(digest) if digest == file.digest && self.has_evidence(release)? => Ok(Standing::Done),
            Listing::Version(digest) if digest == file.digest => Ok(Standing::WithoutEvidence),
            Listing::Version(digest) if self.arguments.skip_existing => {
                self.context.printer.warn(format_args!(
                    "{} has another {}: sha256:{digest}",
                    self.registry.display_name(),
                    file.file_name()
                ));
                Ok(Standing::Done)
            }
            Listing::Version(digest) => Err(Error::Published {
                file_name: file.file_name(),
                registry: self.registry.display_name().to_owned(),
            }
            .with_digests(&digest.to_string(), &file.digest.to_string())),
        }
    }

    /// Whether everybody who is to keep evidence has a statement of each kind that we would make. Who made it is not looked at.
    fn has_evidence(&self, release: &Release) -> Result<bool, Failure> {
        let wanted = predicate_types(release);
        let digest = &release.file.digest;
        let context = self.context;
        if let Some(found) = context.block_on(self.services.stored(digest))?
            && !found.is_superset(&wanted)
        {
            return Ok(false);
        }
        if !self.arguments.at_github {
            return Ok(true);
        }
        let repository =
            ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY"].map(|name| context.variable(name).unwrap_or_default());
        let hosts = Hosts::new(&self.services.http, |name| context.variable(name))?;
        let Some(question) = hosts.question(&repository.join("/"), *digest) else {
            return Ok(true);
        };
        let found = context.block_on(async {
            let answers = github::answers(&[question], || {}).await;
            answers.into_iter().collect::<Result<Vec<_>, _>>()
        })?;
        let found = found
            .iter()
            .flat_map(|found| stated(&found.bundles))
            .collect::<BTreeSet<_>>();
        Ok(found.is_superset(&wanted))
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
        // Cargo shows what the registry says.
        let stopped = self
            .context
            .variable("GITHUB_ACTIONS")
            .map(|_| self.context.printer.stop_commands());
        let outcome = channel.serve_while(
            |request| gate.answer(request),
            || cargo.publish(&selection, &provider, channel.path()),
        );
        drop(stopped);
        match gate.refusal() {
            Some(refusal) => Err(refusal),
            None => outcome,
        }
    }

    /// An upload token of this run, where the registry's own is not used.
    fn exchanged(&self, is_new: bool) -> Result<Option<Exchanged>, Failure> {
        if self.token.is_some() {
            return Ok(None);
        }
        let (http, options) = (&self.services.http, self.exchange.clone());
        exchange(self.context, http, self.config.api.as_deref(), options, is_new).map(Some)
    }

    fn upload_prebuilt(&self, release: &Release, token: &RegistryToken) -> Result<(), Failure> {
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

/// `config.json`. A registry that shows it to nobody without a token gets one that an identity was exchanged for, at the origin
/// of its index: where its web API is only `config.json` says.
fn config(
    arguments: &Arguments,
    context: &Context,
    http: &Http,
    registry: &Registry,
    token: Option<&RegistryToken>,
    options: &TokenOptions,
) -> Result<IndexConfig, Failure> {
    let Some(index) = registry.index_url.strip_prefix("sparse+") else {
        return Ok(IndexConfig::default());
    };
    let fetch = |token| context.block_on(IndexConfig::fetch(http, registry, token));
    let found = fetch(token);
    let hidden = match &found {
        Err(failure) if token.is_none() && failure.code() == "registry-token" => failure.clone(),
        _ => return found,
    };
    let origin = Url::parse(index).ok().map(|url| url.origin().ascii_serialization());
    let origin = origin.as_deref();
    if arguments.trusted_publishing == TrustedPublishing::Auto && !can_exchange(context, origin, options) {
        return Err(naming_gitlab_variable(hidden, context, origin));
    }
    let reading = exchange(context, http, origin, options.clone(), false)?;
    fetch(Some(reading.token()))
}

/// What is done of a release already.
enum Standing {
    /// The registry does not have it, and if it is new no other version either.
    Absent { is_new: bool },
    /// The registry has these very bytes, and somebody who is to keep evidence does not have all of it: an earlier run failed.
    WithoutEvidence,
    /// Nothing is left to do, or the version has other bytes and that is to be passed over.
    Done,
}
