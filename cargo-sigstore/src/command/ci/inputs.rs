//! The inputs of the Action, as `action.yml` hands them over: a variable each.

use std::{collections::BTreeMap, path::PathBuf};

use verify::Sha256Digest;

use crate::{
    context::Context,
    expected_digests::ExpectedDigests,
    failure::{Exit, Failure},
};

use super::runner::Runner;

/// What the Action is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Package, attest, publish; or attest and publish what was packaged.
    Publish,
    /// Package only; needs no permission.
    Package,
    /// Sign files.
    Sign,
    /// State something about files.
    Attest,
    /// Verify files, or `Cargo.lock`.
    Verify,
    /// Put the binary on `PATH`.
    Setup,
}

/// Where a crate's bill of materials comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sbom {
    /// Nowhere.
    None,
    /// We make it.
    CycloneDx,
    /// We make it, as SPDX.
    Spdx,
    /// A file.
    File(PathBuf),
}

/// The inputs, read.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is an input of the Action")]
pub(super) struct Inputs {
    pub(super) command: Command,
    pub(super) packages: Vec<String>,
    pub(super) workspace: bool,
    pub(super) crate_files: Vec<String>,
    /// What each file must hash to, by file name.
    pub(super) digests: ExpectedDigests,
    pub(super) working_directory: Option<PathBuf>,
    pub(super) manifest_path: Option<String>,
    pub(super) registry: Option<String>,
    /// The registry's index, where the input says it: `NAME=sparse+https://…`.
    pub(super) index: Option<String>,
    pub(super) trusted_publishing: String,
    pub(super) instance: String,
    pub(super) sbom: Sbom,
    pub(super) predicate_type: Option<String>,
    pub(super) predicate_path: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) verify_after: bool,
    pub(super) dry_run: bool,
    pub(super) skip_existing: bool,
    pub(super) allow_private_repository: bool,
    pub(super) output_dir: Option<PathBuf>,
    pub(super) github_attestations: bool,
    pub(super) summary: bool,
    pub(super) verbose: bool,
}

impl Inputs {
    /// Reads the variables that the Action's one step sets.
    ///
    /// # Errors
    /// Code `ci-input`.
    pub(super) fn read(context: &Context) -> Result<Self, Failure> {
        let text = |name: &'static str| variable(context, name);
        let flag = |name: &'static str, unset: bool| flag(context, name, unset);
        let command = command(text("command").as_deref())?;
        let publishes = matches!(command, Command::Publish | Command::Package);
        if !flag("provenance", true)? && publishes {
            return Err(refused("provenance", "false", "true").hint("nothing is published without provenance"));
        }
        let registry = text("registry");
        Ok(Self {
            command,
            packages: lines(text("packages")),
            workspace: flag("workspace", false)?,
            crate_files: lines(text("crate-files")),
            digests: match text("digests") {
                Some(text) => ExpectedDigests::new(digests(&text)?),
                None => ExpectedDigests::default(),
            },
            working_directory: text("working-directory").map(PathBuf::from),
            manifest_path: text("manifest-path"),
            registry: registry.clone().map(|text| name_of(&text).to_owned()),
            index: registry.and_then(|text| text.split_once('=').map(|(_, index)| index.to_owned())),
            trusted_publishing: trusted_publishing(text("trusted-publishing"))?,
            instance: text("instance").unwrap_or_else(|| "public-good".to_owned()),
            sbom: sbom(text("sbom").as_deref()),
            predicate_type: text("predicate-type"),
            predicate_path: text("predicate-path"),
            policy: text("policy"),
            verify_after: flag("verify-after", true)?,
            dry_run: flag("dry-run", false)?,
            skip_existing: flag("skip-existing", false)?,
            allow_private_repository: flag("allow-private-repository", false)?,
            output_dir: text("output-dir").map(PathBuf::from),
            github_attestations: flag("github-attestations", false)?,
            summary: flag("summary", true)?,
            verbose: flag("verbose", false)? || is_debugged(context),
        })
    }
}

/// Whether the run has debug logging: what the runner says to every step, and the setting of the repository by which it is
/// turned on, for runners that do not say.
fn is_debugged(context: &Context) -> bool {
    let is = |name: &str, on: &str| context.variable(name).is_some_and(|value| value == on);
    is("RUNNER_DEBUG", "1") || is("ACTIONS_STEP_DEBUG", "true")
}

/// The secrets among the inputs, hidden in the log before anything is said.
pub(super) fn mask_secrets(context: &Context, runner: &Runner) {
    for name in ["registry-token", "identity-token", "github-token"] {
        if let Some(secret) = variable(context, name) {
            runner.mask(&secret);
        }
    }
}

/// The secret inputs under the names by which the other commands look for them.
pub(super) fn secrets(context: &Context) -> Vec<(String, String)> {
    let named = [
        ("registry-token", "CARGO_SIGSTORE_REGISTRY_TOKEN"),
        ("identity-token", "SIGSTORE_ID_TOKEN"),
        ("github-token", "GH_TOKEN"),
    ];
    let given = named.into_iter();
    given
        .filter_map(|(input, name)| Some((name.to_owned(), variable(context, input)?)))
        .collect()
}

/// The value of an input; none when it is empty.
pub(super) fn variable(context: &Context, input: &str) -> Option<String> {
    let name = input.to_ascii_uppercase().replace('-', "_");
    let value = context.variable(&format!("CARGO_SIGSTORE_INPUT_{name}"))?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// An input that cannot be used.
pub(super) fn unusable(input: &'static str, value: &str, cause: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Usage, "ci-input", cause).while_doing(Error::Value {
        input,
        value: value.to_owned(),
    })
}

/// An input that must be something else.
pub(super) fn refused(input: &'static str, value: &str, accepted: &str) -> Failure {
    let error = Error::Value {
        input,
        value: value.to_owned(),
    };
    Failure::new(Exit::Usage, "ci-input", &error).fact("accepted", accepted)
}

/// An input that is needed for what was asked.
pub(super) fn missing(input: &'static str, wanted_for: &'static str) -> Failure {
    Failure::new(Exit::Usage, "ci-input", &Error::Missing { input, wanted_for })
        .hint(format_args!("add `{input}:` under `with:`"))
}

/// `NAME` of `NAME` or `NAME=INDEX`.
fn name_of(registry: &str) -> &str {
    registry.split_once('=').map_or(registry, |(name, _)| name)
}

fn flag(context: &Context, input: &'static str, unset: bool) -> Result<bool, Failure> {
    match variable(context, input).as_deref() {
        None => Ok(unset),
        Some("true" | "True" | "TRUE") => Ok(true),
        Some("false" | "False" | "FALSE") => Ok(false),
        Some(other) => Err(refused(input, other, "true, false")),
    }
}

fn lines(text: Option<String>) -> Vec<String> {
    let lines = text.unwrap_or_default();
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

fn command(text: Option<&str>) -> Result<Command, Failure> {
    Ok(match text.unwrap_or("publish") {
        "publish" => Command::Publish,
        "package" => Command::Package,
        "sign" => Command::Sign,
        "attest" => Command::Attest,
        "verify" => Command::Verify,
        "setup" => Command::Setup,
        other => {
            return Err(refused(
                "command",
                other,
                "publish, package, sign, attest, verify, setup",
            ));
        }
    })
}

fn trusted_publishing(text: Option<String>) -> Result<String, Failure> {
    let text = text.unwrap_or_else(|| "auto".to_owned());
    if ["auto", "always", "never"].contains(&text.as_str()) {
        Ok(text)
    } else {
        Err(refused("trusted-publishing", &text, "auto, always, never"))
    }
}

fn sbom(text: Option<&str>) -> Sbom {
    match text {
        None | Some("cyclonedx") => Sbom::CycloneDx,
        Some("none") => Sbom::None,
        Some("spdx") => Sbom::Spdx,
        Some(path) => Sbom::File(PathBuf::from(path)),
    }
}

/// `{"NAME": "HEX"}`, as the output of the same name is written; `sha256:` may stand before the digits.
fn digests(text: &str) -> Result<BTreeMap<String, Sha256Digest>, Failure> {
    let expected = "a JSON object of file names and SHA-256 digests";
    let stated: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|_| refused("digests", text, expected))?;
    let digest = |hex: &str| {
        let mut bytes = [0; 32];
        let hex = hex.strip_prefix("sha256:").unwrap_or(hex);
        hex::decode_to_slice(hex, &mut bytes).ok().map(|()| Sha256Digest(bytes))
    };
    let entries = stated.into_iter().map(|(name, hex)| match digest(&hex) {
        Some(digest) => Ok((name, digest)),
        None => Err(refused("digests", &hex, expected)),
    });
    entries.collect()
}

/// Why an input is refused.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the input `{input}` cannot be `{value}`")]
    Value { input: &'static str, value: String },
    #[error("the input `{input}` is needed to {wanted_for}")]
    Missing {
        input: &'static str,
        wanted_for: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_hexadecimal_by_name() {
        let hex = "ab".repeat(32);
        for stated in [hex.clone(), format!("sha256:{hex}")] {
            let read = digests(&format!(r#"{{"a-1.0.0.crate": "{stated}"}}"#)).unwrap();
            assert_eq!(read["a-1.0.0.crate"], Sha256Digest([0xab; 32]));
        }
        for bad in ["", "[]", r#"{"a": 1}"#, r#"{"a": "abcd"}"#, r#"{"a": "zz"}"#] {
            assert_eq!(digests(bad).unwrap_err().code(), "ci-input", "{bad}");
        }
    }

    #[test]
    fn only_known_words_are_taken() {
        assert_eq!(command(None).unwrap(), Command::Publish);
        assert!(command(Some("deploy")).is_err());
        assert!(trusted_publishing(Some("always".to_owned())).is_ok());
        assert!(trusted_publishing(Some("sometimes".to_owned())).is_err());
        assert_eq!(sbom(Some("a.json")), Sbom::File(PathBuf::from("a.json")));
        assert_eq!((sbom(None), sbom(Some("spdx"))), (Sbom::CycloneDx, Sbom::Spdx));
    }

    #[test]
    fn a_list_is_a_line_each() {
        assert_eq!(lines(Some(" a \n\n b\r\n".to_owned())), ["a", "b"]);
    }
}
