//! From inputs to the command lines of other commands, which run in this process.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::FromArgMatches as _;
use url::Url;
use verify::Sha256Digest;

use crate::{
    arguments::{Command as Line, CommandLine, Format, command},
    command,
    context::Context,
    expected_digests::{ExpectedDigests, sha256},
    failure::{Exit, Failure},
    file, network,
    registry::selection::variable_part,
};

use super::{
    files, github,
    inputs::{self, Command, Inputs, Sbom, missing},
    report::Report,
    runner::Runner,
};

/// What a step of the Action does.
pub(super) struct Steps<'a> {
    pub(super) context: &'a Context,
    pub(super) runner: &'a Runner,
    pub(super) inputs: &'a Inputs,
    pub(super) report: &'a mut Report,
}

impl Steps<'_> {
    /// Does what the input `command` says.
    ///
    /// # Errors
    /// Those of the commands; codes `ci-…`.
    pub(super) fn run(&mut self) -> Result<Exit, Failure> {
        match self.inputs.command {
            Command::Publish => self.publish(),
            Command::Package => self.package(),
            Command::Sign => self.sign(),
            Command::Attest => self.attest(),
            Command::Verify => self.verify(),
            Command::Setup => self.setup(),
        }
    }

    /// Keeps and stores what was signed: also, and above all, when something failed after it was.
    fn keep(&mut self, outcome: Result<Exit, Failure>) -> Result<Exit, Failure> {
        let kept = self.keep_bundles().map(|()| Exit::Yes);
        let outcome = self.both(outcome, kept);
        let stored = self.store_with_github().map(|()| Exit::Yes);
        self.both(outcome, stored)
    }

    /// What came of two things that were both done. Of two failures the lesser is told here.
    fn both(&self, one: Result<Exit, Failure>, other: Result<Exit, Failure>) -> Result<Exit, Failure> {
        let exit = |outcome: &Result<Exit, Failure>| outcome.as_ref().map_or_else(Failure::exit, |exit| *exit);
        let (worse, lesser) = if exit(&one).worse(exit(&other)) == exit(&one) {
            (one, other)
        } else {
            (other, one)
        };
        if let Err(failure) = &lesser {
            self.context.printer.failure(failure);
        }
        worse
    }

    fn publish(&mut self) -> Result<Exit, Failure> {
        let files = self.crate_files()?;
        if !files.is_empty() && !self.inputs.digests.is_stated() {
            self.runner.warning(NO_DIGESTS);
        }
        let mut words = self.publish_words()?;
        words.extend(files.iter().map(|file| format!("--crate-file={}", file.display())));
        let published = self.line(&words);
        if self.inputs.dry_run {
            return published;
        }
        let outcome = self.keep(published);
        if self.inputs.verify_after {
            let verified = self.verify_published();
            self.both(outcome, verified)
        } else {
            outcome
        }
    }

    /// The words of `publish`, without `--crate-file`.
    fn publish_words(&self) -> Result<Vec<String>, Failure> {
        let inputs = self.inputs;
        let mut words = vec!["publish".to_owned()];
        words.extend(self.registry_words());
        let flags = [
            (inputs.dry_run, "--dry-run"),
            (inputs.skip_existing, "--skip-existing"),
            (inputs.sbom == Sbom::None, "--no-sbom"),
        ];
        match &inputs.sbom {
            Sbom::File(path) => words.push(format!("--sbom={}", path.display())),
            Sbom::Spdx => words.push("--sbom-format=spdx".to_owned()),
            Sbom::CycloneDx | Sbom::None => {}
        }
        words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_owned()));
        words.extend(self.identity_words());
        if inputs.crate_files.is_empty() {
            words.extend(self.package_words());
        }
        if inputs.trusted_publishing != "auto" {
            words.push(format!("--trusted-publishing={}", inputs.trusted_publishing));
        }
        words.extend(self.trust_words()?);
        Ok(words)
    }

    fn package(&mut self) -> Result<Exit, Failure> {
        let mut words = vec!["publish".to_owned()];
        words.extend(self.registry_words());
        words.extend(self.package_words());
        let inner = self.inner(&words)?;
        let Line::Publish(arguments) = &inner.0 else {
            return Ok(Exit::Bug);
        };
        for path in command::publish::package(arguments, &inner.1)? {
            let path = self.copied(path)?;
            let digest = sha256(&path)?;
            self.report.add_crate(path, &digest.to_string());
        }
        Ok(Exit::Yes)
    }

    fn sign(&mut self) -> Result<Exit, Failure> {
        let files = self.needed_files("sign")?;
        self.runner.group("Sign");
        let mut words = vec!["sign".to_owned()];
        words.extend(self.dry_run_word());
        words.extend(self.identity_words());
        words.extend(self.trust_words()?);
        words.push("--".to_owned());
        words.extend(files.iter().map(|path| path.display().to_string()));
        let signed = self.line(&words);
        if self.inputs.dry_run {
            return signed;
        }
        self.keep(signed)
    }

    fn attest(&mut self) -> Result<Exit, Failure> {
        let inputs = self.inputs;
        let files = self.needed_files("attest")?;
        let predicate = inputs.predicate_path.as_deref();
        let predicate = predicate.ok_or_else(|| missing("predicate-path", "attest"))?;
        let kind = inputs.predicate_type.as_deref();
        let kind = kind.ok_or_else(|| missing("predicate-type", "attest"))?;
        let attested = files.iter().try_fold(Exit::Yes, |_, path| {
            self.runner.group(&format!("Attest {}", file::name(path)));
            self.attest_one(path, kind, predicate)
        });
        if self.inputs.dry_run {
            return attested;
        }
        self.keep(attested)
    }

    fn attest_one(&mut self, file: &Path, kind: &str, predicate: &str) -> Result<Exit, Failure> {
        let mut words = vec!["attest".to_owned(), "--store-if-any".to_owned()];
        words.extend(self.dry_run_word());
        words.extend([format!("--type={kind}"), format!("--predicate={predicate}")]);
        words.extend(self.identity_words());
        words.extend(self.trust_words()?);
        words.extend(["--".to_owned(), file.display().to_string()]);
        self.line(&words)
    }

    fn verify(&mut self) -> Result<Exit, Failure> {
        let files = self.crate_files()?;
        self.runner.group("Verify");
        let mut words = vec!["verify".to_owned()];
        words.extend(self.inputs.policy.as_ref().map(|path| format!("--expectations={path}")));
        words.extend(self.trust_words()?);
        if !files.is_empty() {
            words.push("--".to_owned());
            words.extend(files.iter().map(|path| path.display().to_string()));
        }
        self.line(&words)
    }

    /// Evidence about what was published, as a consumer gets it.
    fn verify_published(&mut self) -> Result<Exit, Failure> {
        let mut worst = Ok(Exit::Yes);
        for signer in self.report.signers() {
            let consumer = if signer.unstored.is_none() {
                " as a consumer would"
            } else {
                ""
            };
            self.runner.group(&format!("Verify {}{consumer}", signer.file));
            let mut words = vec!["verify".to_owned()];
            words.extend(self.registry_words());
            words.push(format!("--certificate-identity={}", signer.identity));
            words.push(format!("--certificate-oidc-issuer={}", signer.issuer));
            words.extend(self.trust_words()?);
            if let Some((file, bundle)) = signer.unstored {
                words.extend([format!("--bundle={}", bundle.display()), "--".to_owned()]);
                words.push(file.display().to_string());
            } else {
                words.extend(["--".to_owned(), format!("sha256:{}", signer.digest)]);
            }
            let verified = self.line(&words);
            worst = self.both(worst, verified);
        }
        worst
    }

    fn setup(&mut self) -> Result<Exit, Failure> {
        if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            self.runner.add_path(folder)?;
        }
        Ok(Exit::Yes)
    }

    /// Stores the new bundles with GitHub, when asked.
    fn store_with_github(&mut self) -> Result<(), Failure> {
        if !self.inputs.github_attestations {
            return Ok(());
        }
        let bundles = self.report.bundles();
        if bundles.is_empty() {
            return Ok(());
        }
        self.runner.group("Store with GitHub");
        let mut urls = Vec::new();
        let stored = github::store(self.context, &bundles, &mut urls);
        self.report.stored_with_github(urls);
        stored
    }

    /// Runs a command line, and takes down what it said.
    fn line(&mut self, words: &[String]) -> Result<Exit, Failure> {
        let (line, context) = self.inner(words)?;
        let outcome = command::run(&line, &context);
        let record = context.printer.take_record();
        if self.inputs.verbose {
            for document in &record.documents {
                let text = serde_json::to_string_pretty(document).unwrap_or_default();
                // When stderr is gone there is nobody left to tell.
                drop(writeln!(std::io::stderr(), "{text}"));
            }
        }
        self.report.take(record);
        outcome
    }

    /// The command that a command line means, and the context it runs in.
    fn inner(&self, words: &[String]) -> Result<(Line, Context), Failure> {
        if self.inputs.verbose {
            self.context
                .printer
                .status("Running", format_args!("cargo sigstore {}", words.join(" ")));
        }
        let program = std::iter::once("cargo-sigstore").chain(words.iter().map(String::as_str));
        let usage = |error: clap::Error| Failure::new(Exit::Usage, "ci-input", &error);
        let matches = command().try_get_matches_from(program).map_err(usage)?;
        let line = CommandLine::from_arg_matches(&matches).map_err(usage)?;
        let options = crate::arguments::GlobalOptions {
            format: Format::Json,
            ..line.options
        };
        let context = Context::new(options, self.context.printer.clone());
        let context = context.with_variables(inputs::secrets(self.context));
        let mut command = line.command;
        if let Some(expected) = expected_by(&mut command) {
            *expected = self.inputs.digests.clone();
        }
        if let Line::Publish(arguments) = &mut command {
            arguments.at_github = self.inputs.github_attestations;
        }
        Ok((command, context.with_variables(self.index_variable())))
    }

    fn crate_files(&mut self) -> Result<Vec<PathBuf>, Failure> {
        let files = files::expand(&self.inputs.crate_files)?;
        self.inputs.digests.hold_all(&files)?;
        Ok(files)
    }

    fn needed_files(&mut self, wanted_for: &'static str) -> Result<Vec<PathBuf>, Failure> {
        let files = self.crate_files()?;
        if files.is_empty() {
            return Err(missing("crate-files", wanted_for));
        }
        Ok(files)
    }

    fn registry_words(&self) -> Option<String> {
        self.inputs.registry.as_ref().map(|name| format!("--registry={name}"))
    }

    /// Where the registry is, under the name by which cargo looks for it.
    fn index_variable(&self) -> Option<(String, String)> {
        let (name, index) = (self.inputs.registry.as_deref()?, self.inputs.index.clone()?);
        Some((format!("CARGO_REGISTRIES_{}_INDEX", variable_part(name)), index))
    }

    fn package_words(&self) -> Vec<String> {
        let inputs = self.inputs;
        let mut words = Vec::new();
        words.extend(inputs.packages.iter().map(|name| format!("--package={name}")));
        words.extend(inputs.workspace.then(|| "--workspace".to_owned()));
        words.extend(
            inputs
                .manifest_path
                .as_ref()
                .map(|path| format!("--manifest-path={path}")),
        );
        words
    }

    fn dry_run_word(&self) -> Option<String> {
        self.inputs.dry_run.then(|| "--dry-run".to_owned())
    }

    fn identity_words(&self) -> Option<String> {
        let allowed = self.inputs.allow_private_repository;
        allowed.then(|| "--allow-private-repository".to_owned())
    }

    fn trust_words(&self) -> Result<Option<String>, Failure> {
        let instance = &self.inputs.instance;
        if !instance.starts_with("https://") && !instance.starts_with("http://") {
            return Ok(Some(format!("--trust={instance}")));
        }
        let path = self.fetched_trust(instance)?;
        Ok(Some(format!("--trust={}", path.display())))
    }

    /// A trust configuration from an address that says its SHA-256: `https://…#sha256=HEX`. Without, whoever holds the address
    /// would decide whom to believe.
    fn fetched_trust(&self, address: &str) -> Result<PathBuf, Failure> {
        let wrong = || {
            inputs::refused(
                "instance",
                address,
                "public-good, staging, a name, a file, https://…#sha256=HEX",
            )
        };
        let (url, digest) = address.split_once("#sha256=").ok_or_else(wrong)?;
        Url::parse(url).map_err(|_| wrong())?;
        let path = crate::trust::home(self.context)?
            .join("instances")
            .join(format!("{digest}.json"));
        let known = |bytes: &[u8]| Sha256Digest::of(bytes).to_string() == digest;
        if file::read(&path, TRUST_BYTES).is_ok_and(|bytes| known(&bytes)) {
            return Ok(path);
        }
        let bytes = self
            .context
            .block_on(github::fetch(&network::http(self.context)?, url, TRUST_BYTES))?;
        if !known(&bytes) {
            let failure = Failure::new(Exit::Refused, "ci-digest", &Error::Instance(url.to_owned()));
            return Err(failure
                .fact("expected", digest)
                .fact("found", Sha256Digest::of(&bytes))
                .hint("ask the instance's operator which digest is right"));
        }
        file::write(&path, &bytes)?;
        Ok(path)
    }

    fn copied(&self, path: PathBuf) -> Result<PathBuf, Failure> {
        let Some(folder) = &self.inputs.output_dir else {
            return Ok(path);
        };
        let copy = folder.join(file::name(&path));
        file::write(&copy, &file::read(&path, COPIED_BYTES)?)?;
        Ok(copy)
    }

    /// Copies the bundles to `output-dir`, when that is given.
    fn keep_bundles(&mut self) -> Result<(), Failure> {
        let bundles = self.report.bundle_paths().to_vec();
        let copies: Result<Vec<PathBuf>, Failure> = bundles.into_iter().map(|path| self.copied(path)).collect();
        self.report.moved_bundles(copies?);
        Ok(())
    }
}

/// Where a command that signs files is told what they must hash to.
const fn expected_by(line: &mut Line) -> Option<&mut ExpectedDigests> {
    match line {
        Line::Publish(arguments) => Some(&mut arguments.expected),
        Line::Sign(arguments) => Some(&mut arguments.expected),
        Line::Attest(arguments) => Some(&mut arguments.expected),
        Line::Verify(_)
        | Line::Identity(_)
        | Line::Completions(_)
        | Line::Inspect(_)
        | Line::CredentialProvider(_)
        | Line::Man(_)
        | Line::Trust(_)
        | Line::Ci => None,
    }
}

/// Why a step cannot be done.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the trust configuration at `{0}` is another one than its digest says")]
    Instance(String),
}

/// An input that is empty because the output of the other job was misspelt looks like one that was left out.
const NO_DIGESTS: &str = "`crate-files` are published without `digests`: nothing shows that they are those that another job made. \
    Hand over the output `digests` of the job that packaged them; if you did, its name or the job's `outputs:` is misspelt";
/// Crates are at most 10 MiB at crates.io, elsewhere somewhat more; bundles are smaller.
const COPIED_BYTES: usize = 256 << 20;
/// A trust configuration with every log that ever was is under 100 KiB.
const TRUST_BYTES: usize = 1 << 20;
