//! The identity token of whoever signs: options shared by every command that signs.

use std::{
    convert::Infallible,
    io::IsTerminal,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use client::oidc::{IdentityToken, Interactive, Mask, TokenOptions};
use verify::{
    Sha256Digest,
    signing_config::{ClientTrustConfig, SigningConfig},
};
use zeroize::Zeroizing;

use crate::{context::Context, failure::Failure, file};

/// Options about the identity token.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Identity")]
pub(crate) struct Arguments {
    /// Read the OIDC token from this file, instead of asking the CI; `SIGSTORE_ID_TOKEN` works too
    #[arg(long, value_name = "FILE", conflicts_with = "identity_token")]
    identity_token_file: Option<PathBuf>,
    /// The OIDC token itself; other processes can see it, prefer the file or the variable
    #[arg(long, value_name = "TOKEN", hide = true)]
    identity_token: Option<SecretText>,
    /// Ask no CI for a token
    #[arg(long)]
    no_ambient: bool,
    /// Sign with the public instance although the repository is not public: its log tells everybody the repository's name
    #[arg(long)]
    pub(crate) allow_private_repository: bool,
}

impl Arguments {
    /// How to obtain a token: given, from the CI, or, on a terminal, from a person in a browser.
    ///
    /// # Errors
    /// Those of the file and of a malformed token.
    pub(crate) fn token_options(&self, context: &Context, trust: &ClientTrustConfig) -> Result<TokenOptions, Failure> {
        Ok(TokenOptions {
            interactive: interactive(context, trust),
            ..self.without_a_person(context)?
        })
    }

    /// The same without a person; for this no trust is needed.
    ///
    /// # Errors
    /// Those of the file and of a malformed token.
    pub(crate) fn without_a_person(&self, context: &Context) -> Result<TokenOptions, Failure> {
        let given = match (&self.identity_token, &self.identity_token_file) {
            (Some(SecretText(text)), _) => Some(text.to_string()),
            (None, Some(path)) => {
                let bytes = file::read(path, TOKEN_BYTES)?;
                Some(String::from_utf8_lossy(&bytes).trim().to_owned())
            }
            (None, None) => None,
        };
        let explicit = given.map(IdentityToken::new).transpose()?;
        Ok(TokenOptions {
            explicit,
            ambient: !self.no_ambient,
            mask: mask(context),
            ..TokenOptions::default()
        })
    }
}

/// A secret of the command line: never shown, wiped when dropped.
#[derive(Clone)]
struct SecretText(Zeroizing<String>);

impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Sign-in in a browser, only where a person is watching.
fn interactive(context: &Context, trust: &ClientTrustConfig) -> Option<Interactive> {
    if !std::io::stderr().is_terminal() || context.variable("CI").is_some() {
        return None;
    }
    let provider = SigningConfig::select(&trust.signing_config.oidc_providers, &[1], context.now())?;
    let printer = context.printer.clone();
    Some(Interactive {
        issuer: provider.url.clone(),
        client_id: "sigstore".to_owned(),
        open: Arc::new(move |address| {
            printer.note(format_args!("open this address in a browser to sign in:\n  {address}"));
        }),
        patience: Duration::from_mins(5),
    })
}

/// On GitHub and Forgejo a secret is hidden from the job's log by saying it once in this way.
fn mask(context: &Context) -> Option<Mask> {
    context.variable("GITHUB_ACTIONS")?;
    let printer = context.printer.clone();
    let said = Mutex::new(Vec::new());
    Some(Mask::new(move |secret| {
        let digest = Sha256Digest::of(secret.as_bytes());
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.contains(&digest) {
            printer.workflow_command("add-mask", secret);
            said.push(digest);
        }
    }))
}

/// Tokens are under 16 KiB.
const TOKEN_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_command_line_never_shows() {
        let secret: SecretText = "hidden".parse().unwrap();
        assert!(!format!("{secret:?}").contains("hidden"));
    }
}
