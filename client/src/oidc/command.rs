//! Tokens printed by a CI's own program, and the variables no other child may see.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt as _, process::Command};
use zeroize::Zeroizing;

use super::refusal::{CommandFailure, OidcError};

/// Whether an environment variable must not reach a child process that builds foreign code: cargo hands its whole
/// environment to build scripts.
#[must_use]
pub fn is_secret_variable(name: &str) -> bool {
    let registry = name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_TOKEN");
    let request = name.starts_with("ACTIONS_ID_TOKEN_REQUEST_");
    registry || request || name.ends_with("_ID_TOKEN") || SECRETS.contains(&name)
}

/// Runs a program of the CI and gives its standard output, trimmed. It sees no registry token.
pub(super) async fn run(program: &'static str, arguments: &[&str]) -> Result<String, OidcError> {
    let failed = |failure| OidcError::Command { program, failure };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_secret_variable) {
            command.env_remove(name);
        }
    }
    let mut child = command.spawn().map_err(|_| failed(CommandFailure::NotStarted))?;
    let mut output = Zeroizing::new(Vec::new());
    let finished = tokio::time::timeout(LIMIT, async {
        if let Some(stdout) = child.stdout.take() {
            // Reading stops one byte beyond the limit; the program then meets a closed pipe.
            let limit = u64::try_from(OUTPUT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
            let _ = stdout.take(limit).read_to_end(&mut output).await;
        }
        child.wait().await
    })
    .await;
    let status = match finished {
        Ok(Ok(status)) => status,
        Ok(Err(_)) => return Err(failed(CommandFailure::NotStarted)),
        Err(_) => return Err(failed(CommandFailure::Timeout(LIMIT.as_secs()))),
    };
    if output.len() > OUTPUT_BYTES {
        return Err(failed(CommandFailure::TooLarge(OUTPUT_BYTES)));
    }
    match status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output).trim().to_owned()),
        Some(code) => Err(failed(CommandFailure::Exit(code))),
        None => Err(failed(CommandFailure::Signal)),
    }
}

/// Secrets with names of their own.
const SECRETS: [&str; 5] = [
    "CARGO_REGISTRY_TOKEN",
    "CARGO_SIGSTORE_REGISTRY_TOKEN",
    "ID_TOKEN",
    "CIRCLE_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN_V2",
];

/// As long as a CI's token service may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The token limit of the budget.
const OUTPUT_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_that_holds_or_mints_a_token_is_secret() {
        for name in [
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "SIGSTORE_ID_TOKEN",
            "CRATES_IO_ID_TOKEN",
            "CARGO_REGISTRY_TOKEN",
            "CARGO_REGISTRIES_MY_TOKEN",
            "CARGO_SIGSTORE_REGISTRY_TOKEN",
            "ID_TOKEN",
        ] {
            assert!(is_secret_variable(name), "{name}");
        }
        for name in ["PATH", "CARGO_HOME", "CARGO_REGISTRIES_MY_INDEX", "GITHUB_REF"] {
            assert!(!is_secret_variable(name), "{name}");
        }
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_is_reported_by_name() {
        let error = run("no-such-program-of-any-ci", &[]).await.unwrap_err();
        assert_eq!(error.code(), "E-ID-COMMAND");
        assert!(error.to_string().contains("no-such-program-of-any-ci"));
    }

    #[tokio::test]
    async fn output_is_trimmed_and_exit_codes_are_told() {
        assert_eq!(run("echo", &["token"]).await.unwrap(), "token");
        let failure = CommandFailure::Exit(1);
        assert_eq!(
            run("false", &[]).await.unwrap_err(),
            OidcError::Command {
                program: "false",
                failure
            }
        );
    }
}
