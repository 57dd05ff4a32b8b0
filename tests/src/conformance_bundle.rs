//! The bundle half of `conformance-client`: the protocol of the `sigstore-conformance` suite.
//!
//! ```text
//! conformance-client verify-bundle [--staging] --bundle FILE (--key PEM | --certificate-identity TEXT --certificate-oidc-issuer URL) [--trusted-root FILE] ARTIFACT
//! conformance-client sign-bundle [--staging] [--in-toto] --identity-token JWT --bundle OUT [--trusted-root FILE] [--signing-config FILE] INPUT
//! ```
//! The exit code is 0 or 1, nothing else; a refusal is one line on stderr.

use std::{
    collections::{BTreeMap, VecDeque},
    error::Error,
    ffi::OsString,
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use client::{Http, HttpOptions, Signed, Signer, oidc::IdentityToken};
use verify::{
    Artifact, Budget, Bundle, HashAlgorithm, Policy, PublicKey, Sha256Digest, TrustedRoot, UnixTime, Verified,
    Verifier,
    artifact::{ArtifactDigests, ArtifactHasher},
    danger,
    signing_config::{ClientTrustConfig, SigningConfig},
    statement::Statement,
};

use crate::conformance;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs one command of the protocol; the program's name comes first.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    conformance::run(|| {
        command(arguments).map_err(|error| {
            let mut line = error.to_string();
            let mut cause = error.source();
            while let Some(deeper) = cause {
                line = format!("{line}: {deeper}");
                cause = deeper.source();
            }
            line
        })
    })
}

fn command(arguments: &[OsString]) -> Outcome<()> {
    let arguments = Arguments::parse(arguments.iter().skip(1).cloned().collect())?;
    match arguments.words.first().and_then(|word| word.to_str()) {
        Some("verify-bundle") => verify_bundle(&arguments),
        Some("sign-bundle") => in_runtime(sign_bundle(&arguments)),
        _ => Err("expected `verify-bundle` or `sign-bundle`".into()),
    }
}

fn verify_bundle(arguments: &Arguments) -> Outcome<()> {
    let budget = Budget::default();
    let trusted_root = trusted_root(arguments, &budget)?;
    let policy = policy(arguments, &trusted_root)?;
    let bundle = Bundle::from_json(&arguments.read("--bundle", budget.bundle_bytes)?, &budget)?;
    let verifier = Verifier::new(trusted_root)?;
    let stated = arguments.operand()?;
    let verify = |artifact| verifier.verify(&bundle, &artifact, &policy, now()?).map_err(Box::from);
    let outcome: Outcome<Verified> = if let Some(digest) = digest(stated) {
        verify(Artifact::Digest(digest))
    } else {
        let metadata = fs::metadata(stated)?;
        if !metadata.is_file() {
            return Err("the artifact is no file".into());
        }
        if metadata.len() <= IN_MEMORY_BYTES {
            verify(Artifact::Bytes(&fs::read(stated)?))
        } else {
            verify(Artifact::Digests(&hashed(
                stated,
                &bundle.artifact_algorithms(&budget),
            )?))
        }
    };
    outcome.map(drop)
}

fn policy(arguments: &Arguments, trusted_root: &TrustedRoot) -> Outcome<Policy> {
    let identity = ["--certificate-identity", "--certificate-oidc-issuer"];
    if arguments.flags.contains_key("--key") {
        if identity.iter().any(|flag| arguments.flags.contains_key(flag)) {
            return Err("a bundle is signed by a key or by an identity, not by both".into());
        }
        let pem = String::from_utf8(arguments.read("--key", KEY_BYTES)?)?;
        return Ok(key_policy(PublicKey::from_pem(&pem)?, trusted_root));
    }
    let [san, issuer] = identity.map(|flag| arguments.text(flag));
    Ok(Policy::identity(san?, issuer?)?)
}

/// The caller holds the key, so that no validity has to be judged by a time; and a root that names no log asks for none.
fn key_policy(key: PublicKey, trusted_root: &TrustedRoot) -> Policy {
    let policy = danger::untimed_managed_key(Policy::managed_key(key));
    if trusted_root.logs.is_empty() && trusted_root.skipped.is_empty() {
        danger::timestamp_only(policy)
    } else {
        policy
    }
}

/// `sha256:` and 64 hexadecimal digits, unless a file has that name.
fn digest(stated: &Path) -> Option<Sha256Digest> {
    let digits = stated.to_str()?.strip_prefix("sha256:")?;
    digits.parse().ok().filter(|_| !stated.exists())
}

fn hashed(path: &Path, algorithms: &[HashAlgorithm]) -> Outcome<ArtifactDigests> {
    let mut hasher = ArtifactHasher::new(algorithms);
    let mut file = fs::File::open(path)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = std::io::Read::read(&mut file, &mut piece)?;
        if length == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&piece[..length]);
    }
}

async fn sign_bundle(arguments: &Arguments) -> Outcome<()> {
    let budget = Budget::default();
    let signing_config = match arguments.optional("--signing-config", budget.trust_bytes)? {
        Some(bytes) => bytes,
        None if arguments.has("--staging") => return Err("signing with staging needs --signing-config".into()),
        None => PUBLIC_GOOD_SIGNING_CONFIG.to_vec(),
    };
    let trust = ClientTrustConfig {
        trusted_root: trusted_root(arguments, &budget)?,
        signing_config: SigningConfig::from_json(&signing_config, &budget)?,
    };
    let input = fs::read(arguments.operand()?)?;
    let token = IdentityToken::new(arguments.text("--identity-token")?.to_owned())?;
    let http = Http::new(HttpOptions {
        total_timeout: Duration::from_secs(30),
        ..HttpOptions::default()
    })?;
    let session = Signer::new(http, trust)?.certify(&token).await?;
    let signed: Signed = if arguments.has("--in-toto") {
        let statement = Statement::from_json(&input, &budget)?;
        let digest = statement
            .subjects
            .iter()
            .find_map(|subject| subject.digest.get("sha256"));
        let digest: Sha256Digest = digest.ok_or("no subject has a SHA-256 digest")?.parse()?;
        session.sign_statement(&input, digest).await?
    } else {
        session.sign_artifact(Sha256Digest::of(&input)).await?
    };
    fs::write(arguments.value("--bundle")?, signed.bundle.to_json())?;
    Ok(())
}

fn trusted_root(arguments: &Arguments, budget: &Budget) -> Outcome<TrustedRoot> {
    let bytes = match arguments.optional("--trusted-root", budget.trust_bytes)? {
        Some(bytes) => bytes,
        None if arguments.has("--staging") => STAGING_TRUSTED_ROOT.to_vec(),
        None => PUBLIC_GOOD_TRUSTED_ROOT.to_vec(),
    };
    Ok(TrustedRoot::from_json(&bytes, budget)?)
}

fn in_runtime(work: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn now() -> Outcome<UnixTime> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(UnixTime::from_secs(i64::try_from(since.as_secs())?))
}

/// A command, its operand, and flags with their values, each at most once.
struct Arguments {
    words: Vec<OsString>,
    flags: BTreeMap<&'static str, OsString>,
}

impl Arguments {
    fn parse(mut rest: VecDeque<OsString>) -> Outcome<Self> {
        let mut parsed = Self {
            words: Vec::new(),
            flags: BTreeMap::new(),
        };
        while let Some(argument) = rest.pop_front() {
            let known = |list: &[&'static str]| list.iter().copied().find(|flag| argument == *flag);
            let (flag, value) = if let Some(flag) = known(&SWITCHES) {
                (flag, Some(OsString::new()))
            } else if let Some(flag) = known(&FLAGS) {
                (flag, rest.pop_front())
            } else if argument.as_encoded_bytes().starts_with(b"-") {
                return Err(format!("unknown flag {}", argument.display()).into());
            } else {
                parsed.words.push(argument);
                continue;
            };
            let value = value.ok_or_else(|| format!("{flag} has no value"))?;
            if parsed.flags.insert(flag, value).is_some() {
                return Err(format!("{flag} twice").into());
            }
        }
        Ok(parsed)
    }

    fn has(&self, switch: &str) -> bool {
        self.flags.contains_key(switch)
    }

    fn value(&self, flag: &str) -> Outcome<&OsString> {
        self.flags.get(flag).ok_or_else(|| format!("{flag} is missing").into())
    }

    fn text(&self, flag: &str) -> Outcome<&str> {
        let value = self.value(flag)?.to_str();
        value.ok_or_else(|| format!("{flag} is not UTF-8").into())
    }

    /// The file that a flag names.
    fn read(&self, flag: &str, limit: usize) -> Outcome<Vec<u8>> {
        let path = self.value(flag)?;
        conformance::read(path.as_ref(), limit).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    fn optional(&self, flag: &str, limit: usize) -> Outcome<Option<Vec<u8>>> {
        self.has(flag).then(|| self.read(flag, limit)).transpose()
    }

    /// The one word after the command.
    fn operand(&self) -> Outcome<&Path> {
        match self.words.as_slice() {
            [_, operand] => Ok(operand.as_ref()),
            _ => Err("expected one file or digest after the command".into()),
        }
    }
}

const SWITCHES: [&str; 2] = ["--staging", "--in-toto"];
const FLAGS: [&str; 7] = [
    "--bundle",
    "--key",
    "--certificate-identity",
    "--certificate-oidc-issuer",
    "--trusted-root",
    "--signing-config",
    "--identity-token",
];

/// Largest key file.
const KEY_BYTES: usize = 64 << 10;
/// How much of a large artifact is read at once: little enough to be hashed from the processor's cache.
const PIECE_BYTES: usize = 256 << 10;
/// Larger artifacts are hashed piece by piece.
const IN_MEMORY_BYTES: u64 = 16 << 20;
const PUBLIC_GOOD_TRUSTED_ROOT: &[u8] = include_bytes!("../fixtures/trust/public-good.trusted_root.json");
const PUBLIC_GOOD_SIGNING_CONFIG: &[u8] = include_bytes!("../fixtures/trust/public-good.signing_config.json");
const STAGING_TRUSTED_ROOT: &[u8] = include_bytes!("../fixtures/trust/staging.trusted_root.json");
