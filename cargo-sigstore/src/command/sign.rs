//! `sign`: a signature over files.

use std::path::PathBuf;

use crate::{
    context::Context,
    expected_digests::{ExpectedDigests, sha256},
    failure::{Exit, Failure},
    identity_token,
    release::{
        attest::connect,
        preview::{self, Planned},
    },
    signing::{self, Receipt},
};

/// Arguments of `sign`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Files to sign; all with one certificate
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where to write the bundle [default: FILE.sigstore.json]
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Show what would be signed and as whom; sign nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    identity: identity_token::Arguments,
    /// What the files must hash to.
    #[arg(skip)]
    pub(crate) expected: ExpectedDigests,
}

/// Signs every file and writes the bundles.
///
/// # Errors
/// Codes of the files, the trust configuration and the services; a bundle is written only after it was verified.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    if arguments.bundle.is_some() && arguments.files.len() > 1 {
        return Err(Failure::new(Exit::Usage, "bundle-several", &Error::OneBundle).hint("leave out `--bundle`"));
    }
    let mut files = Vec::new();
    for path in &arguments.files {
        let digest = sha256(path)?;
        arguments.expected.hold(path, digest)?;
        files.push((path, digest));
    }
    if arguments.dry_run {
        let mut planned = Vec::new();
        for (path, digest) in files {
            planned.push(Planned {
                path,
                digest,
                statement: None,
            });
        }
        return preview::show_files(context, &planned, &arguments.identity);
    }
    let (http, trust) = connect(context)?;
    let mut receipts = Vec::new();
    let outcome = context.block_on(async {
        let session = signing::session(context, &http, trust, &arguments.identity).await?;
        for (path, digest) in files {
            let signed = session.sign_artifact(digest).await?;
            let bundle = signing::bundle_path(arguments.bundle.as_deref(), path);
            receipts.push(Receipt::write(path, digest, bundle, signed)?);
            context.printer.status("Signed", path.display());
        }
        Ok(Exit::Yes)
    });
    // What was signed before a failure stays signed, and is told.
    if outcome.is_ok() || !receipts.is_empty() {
        signing::tell(context, &receipts)?;
    }
    outcome
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`--bundle` names one file, but several are to be signed")]
    OneBundle,
}

const EXAMPLES: &str = "\
Examples:
  In a GitHub or GitLab job of a public repository that may ask for identity tokens:
    cargo sigstore sign dist/tool.tar.gz
  With a Sigstore of one's own:
    cargo sigstore sign dist/tool.tar.gz --trust acme
  With a token from elsewhere:
    cargo sigstore sign a.txt b.txt --trust ./trust_config.json --identity-token-file token.jwt

A signature says who signed and when. To say how a file was made, use `cargo sigstore attest`.";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser as _;
    use verify::Sha256Digest;

    use super::*;
    use crate::{
        arguments::{Command, CommandLine},
        file,
        printer::Printer,
    };

    /// What stops it with an instance that does not exist, where the file must hold `expected`.
    fn stopped_by(expected: &[u8]) -> &'static str {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        file::write(&path, b"x").unwrap();
        let words = [
            "cargo-sigstore",
            "sign",
            "--trust=/no/such/instance",
            path.to_str().unwrap(),
        ];
        let line = CommandLine::parse_from(words);
        let Command::Sign(mut arguments) = line.command else {
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
