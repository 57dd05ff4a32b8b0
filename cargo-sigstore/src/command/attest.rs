//! `attest`: a signed statement about a file.

use std::path::PathBuf;

use verify::{
    Budget, Sha256Digest, json,
    statement::{Statement, Subject},
};

use crate::{
    context::Context,
    evidence::store::Store,
    expected_digests::{ExpectedDigests, sha256},
    failure::{Exit, Failure},
    file, identity_token,
    release::{
        attest::connect,
        preview::{self, Planned},
    },
    signing::{self, Receipt},
};

/// Arguments of `attest`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The file that the statement speaks of
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the predicate means: a URI
    #[arg(long = "type", value_name = "URI")]
    predicate_type: String,
    /// The predicate: a JSON object in a file
    #[arg(long, value_name = "FILE")]
    predicate: PathBuf,
    /// Name of the subject [default: the file's]
    #[arg(long, value_name = "NAME")]
    subject_name: Option<String>,
    /// Where to write the bundle [default: FILE.sigstore.json]
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Put the bundle into the attestation store too
    #[arg(long, group = "storing")]
    store: bool,
    /// The same where there is a store; elsewhere the file is the evidence
    #[arg(long, hide = true, group = "storing")]
    store_if_any: bool,
    /// Address of the attestation store [default: the trusted instance's]
    #[arg(long, value_name = "URL", env = "CARGO_SIGSTORE_ATTESTATIONS", requires = "storing")]
    attestations: Option<String>,
    /// Show what would be signed and as whom; sign and store nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    identity: identity_token::Arguments,
    /// What the file must hash to.
    #[arg(skip)]
    pub(crate) expected: ExpectedDigests,
}

/// Signs the statement and writes the bundle.
///
/// # Errors
/// Codes of the files, the trust configuration and the services; a bundle is written only after it was verified.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let digest = sha256(&arguments.file)?;
    arguments.expected.hold(&arguments.file, digest)?;
    let statement = statement(arguments, &digest)?;
    if arguments.dry_run {
        let planned = Planned {
            path: &arguments.file,
            digest,
            statement: Some(statement),
        };
        return preview::show_files(context, &[planned], &arguments.identity);
    }
    let (http, trust) = connect(context)?;
    let named = arguments.attestations.as_deref();
    let store = if arguments.store {
        Some(Store::choose(&http, named, Some(&trust), None, context.now())?)
    } else if arguments.store_if_any {
        Store::find(&http, named, Some(&trust), None, context.now())?
    } else {
        None
    };
    context.block_on(async {
        let session = signing::session(context, &http, trust, &arguments.identity).await?;
        let signed = session.sign_statement(statement.to_json().as_bytes(), digest).await?;
        let bundle = signing::bundle_path(arguments.bundle.as_deref(), &arguments.file);
        let receipt = Receipt::write(&arguments.file, digest, bundle, signed)?;
        context.printer.status("Attested", arguments.file.display());
        if let Some(store) = &store {
            store.client.put(&receipt.signed().bundle, &digest).await?;
            context.printer.status("Stored", &store.url);
        } else if arguments.store_if_any {
            context
                .printer
                .note("nobody keeps attestations of this instance: the bundle is in the file alone");
        }
        signing::tell(context, &[receipt])
    })?;
    Ok(Exit::Yes)
}

fn statement(arguments: &Arguments, digest: &Sha256Digest) -> Result<Statement, Failure> {
    let budget = Budget::default();
    let path = &arguments.predicate;
    if url::Url::parse(&arguments.predicate_type).is_err() {
        return Err(Failure::new(
            Exit::Usage,
            "predicate-type",
            &Error::Type(arguments.predicate_type.clone()),
        )
        .hint("a predicate type is a URI, such as `https://slsa.dev/provenance/v1`"));
    }
    let bytes = file::read(path, budget.payload_bytes)?;
    let malformed = |cause: &dyn std::error::Error| {
        Failure::new(Exit::Usage, "predicate", cause).while_doing(format_args!("`{}` is no predicate", path.display()))
    };
    let predicate = json::parse(&bytes, "predicate", budget.payload_bytes, budget.json_depth);
    let predicate = predicate.map_err(|error| malformed(&error))?;
    if !predicate.is_object() {
        return Err(malformed(&Error::Object));
    }
    let own_name = || {
        arguments
            .file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let name = arguments.subject_name.clone().or_else(own_name).unwrap_or_default();
    Ok(Statement {
        subjects: vec![Subject::sha256(&name, "", digest)],
        predicate_type: arguments.predicate_type.clone(),
        predicate,
    })
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{0}` is no URI")]
    Type(String),
    #[error("a predicate is a JSON object")]
    Object,
}

const EXAMPLES: &str = "\
Examples:
  A test result, into a bundle beside the file and into the instance's attestation store:
    cargo sigstore attest target/package/mine-1.0.0.crate --trust acme --store \\
      --type https://in-toto.io/attestation/test-result/v0.1 --predicate result.json

Provenance and SBOM of a crate are made by `cargo sigstore publish`.";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser as _;

    use super::*;
    use crate::{
        arguments::{Command, CommandLine},
        printer::Printer,
    };

    /// What stops it with an instance that does not exist, where the file must hold `expected`.
    fn stopped_by(expected: &[u8]) -> &'static str {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        file::write(&path, b"x").unwrap();
        let words = [
            "cargo-sigstore",
            "attest",
            "--trust=/no/such/instance",
            "--type=https://example.com/t",
            "--predicate=/no/such/predicate",
            path.to_str().unwrap(),
        ];
        let line = CommandLine::parse_from(words);
        let Command::Attest(mut arguments) = line.command else {
            panic!("{line:?}");
        };
        let expected = BTreeMap::from([("a.txt".to_owned(), Sha256Digest::of(expected))]);
        arguments.expected = ExpectedDigests::new(expected);
        let printer = Printer::new(&line.options);
        run(&arguments, &Context::new(line.options, printer))
            .unwrap_err()
            .code()
    }

    #[test]
    fn bytes_that_are_not_those_expected_are_not_signed() {
        assert_ne!(stopped_by(b"x"), "ci-digest");
        assert_eq!(stopped_by(b"y"), "ci-digest");
    }
}
