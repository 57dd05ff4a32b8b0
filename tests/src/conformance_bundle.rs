//! The bundle half of `conformance-client`: the protocol of the `sigstore-conformance` suite.
//!
//! ```text
//! conformance-client verify-bundle [--staging] --bundle FILE (--key PEM | --certificate-identity TEXT --certificate-oidc-issuer URL) [--trusted-root FILE] ARTIFACT
//! conformance-client sign-bundle [--staging] [--in-toto] --identity-token JWT --bundle OUT [--trusted-root FILE] [--signing-config FILE] INPUT
//! ```
//! The exit code is 0 or 1, nothing else; a refusal is one line on stderr.

use std::{
    collections::VecDeque,
    error::Error,
    ffi::OsString,
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use client::{Http, HttpOptions, Signed, Signer, oidc::IdentityToken};
use verify::{
    Artifact, Budget, Bundle, Policy, PublicKey, Sha256Digest, TrustedRoot, UnixTime, Verifier,
    artifact::ArtifactHasher,
    signing_config::{ClientTrustConfig, SigningConfig},
    statement::Statement,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs one command of the protocol; the program's name comes first.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    // A panic is a bug of ours, and still a clean 1 for the suite.
    std::panic::set_hook(Box::new(|panic| eprintln!("conformance-client: {panic}")));
    match std::panic::catch_unwind(|| command(arguments)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let mut line = error.to_string();
            let mut cause = error.source();
            while let Some(deeper) = cause {
                line = format!("{line}: {deeper}");
                cause = deeper.source();
            }
            eprintln!("conformance-client: {}", line.replace('\n', " "));
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn command(arguments: &[OsString]) -> Outcome<()> {
    let words = arguments.iter().skip(1);
    let arguments = Arguments::parse(words.map(|word| word.to_string_lossy().into_owned()).collect())?;
    match arguments.words.first().map(String::as_str) {
        Some("verify-bundle") => verify_bundle(&arguments),
        Some("sign-bundle") => in_runtime(sign_bundle(&arguments)),
        _ => Err("expected `verify-bundle` or `sign-bundle`".into()),
    }
}

fn verify_bundle(arguments: &Arguments) -> Outcome<()> {
    let budget = Budget::default();
    let trusted_root = trusted_root(arguments, &budget)?;
    let policy = match arguments.optional("--key") {
        Some(path) => Policy::managed_key(PublicKey::from_pem(&fs::read_to_string(path)?)?),
        None => Policy::identity(
            arguments.one("--certificate-identity")?,
            arguments.one("--certificate-oidc-issuer")?,
        )?,
    };
    let bundle = Bundle::from_json(&fs::read(arguments.one("--bundle")?)?, &budget)?;
    let verifier = Verifier::new(trusted_root)?;
    let stated = arguments.word(1)?;
    let digest = stated
        .strip_prefix("sha256:")
        .and_then(|digits| digits.parse::<Sha256Digest>().ok());
    if let Some(digest) = digest.filter(|_| !Path::new(stated).exists()) {
        verifier.verify(&bundle, &Artifact::Digest(digest), &policy, now()?)?;
        return Ok(());
    }
    let size = fs::metadata(stated)?.len();
    if size <= IN_MEMORY_BYTES {
        verifier.verify(&bundle, &Artifact::Bytes(&fs::read(stated)?), &policy, now()?)?;
        return Ok(());
    }
    let mut hasher = ArtifactHasher::new(&bundle.artifact_algorithms(&budget));
    let mut file = fs::File::open(stated)?;
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = std::io::Read::read(&mut file, &mut piece)?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
    }
    verifier.verify(&bundle, &Artifact::Digests(&hasher.finish()), &policy, now()?)?;
    Ok(())
}

async fn sign_bundle(arguments: &Arguments) -> Outcome<()> {
    let budget = Budget::default();
    let signing_config = match arguments.optional("--signing-config") {
        Some(path) => fs::read(path)?,
        None if arguments.has("--staging") => return Err("signing with staging needs --signing-config".into()),
        None => PUBLIC_GOOD_SIGNING_CONFIG.to_vec(),
    };
    let trust = ClientTrustConfig {
        trusted_root: trusted_root(arguments, &budget)?,
        signing_config: SigningConfig::from_json(&signing_config, &budget)?,
    };
    let input = fs::read(arguments.word(1)?)?;
    let token = IdentityToken::new(arguments.one("--identity-token")?.to_owned())?;
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
    fs::write(arguments.one("--bundle")?, signed.bundle.to_json())?;
    Ok(())
}

fn trusted_root(arguments: &Arguments, budget: &Budget) -> Outcome<TrustedRoot> {
    let bytes = match arguments.optional("--trusted-root") {
        Some(path) => fs::read(path)?,
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

/// Words, and flags with their values.
struct Arguments {
    words: Vec<String>,
    flags: Vec<(String, String)>,
}

impl Arguments {
    fn parse(mut rest: VecDeque<String>) -> Outcome<Self> {
        let mut parsed = Self {
            words: Vec::new(),
            flags: Vec::new(),
        };
        while let Some(argument) = rest.pop_front() {
            if SWITCHES.contains(&argument.as_str()) {
                parsed.flags.push((argument, String::new()));
            } else if FLAGS.contains(&argument.as_str()) {
                let value = rest.pop_front().ok_or_else(|| format!("{argument} has no value"))?;
                parsed.flags.push((argument, value));
            } else if argument.starts_with('-') {
                return Err(format!("unknown flag {argument}").into());
            } else {
                parsed.words.push(argument);
            }
        }
        Ok(parsed)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|(name, _)| name == flag)
    }

    fn all(&self, flag: &str) -> Vec<&str> {
        let wanted = self.flags.iter().filter(|(name, _)| name == flag);
        wanted.map(|(_, value)| value.as_str()).collect()
    }

    fn optional(&self, flag: &str) -> Option<&str> {
        self.all(flag).first().copied()
    }

    fn one(&self, flag: &str) -> Outcome<&str> {
        self.optional(flag).ok_or_else(|| format!("{flag} is missing").into())
    }

    fn word(&self, position: usize) -> Outcome<&str> {
        let word = self.words.get(position).map(String::as_str);
        word.ok_or_else(|| "an argument is missing".into())
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

/// Larger artifacts are hashed piece by piece.
const IN_MEMORY_BYTES: u64 = 16 << 20;
const PUBLIC_GOOD_TRUSTED_ROOT: &[u8] = include_bytes!("../fixtures/trust/public-good.trusted_root.json");
const PUBLIC_GOOD_SIGNING_CONFIG: &[u8] = include_bytes!("../fixtures/trust/public-good.signing_config.json");
const STAGING_TRUSTED_ROOT: &[u8] = include_bytes!("../fixtures/trust/staging.trusted_root.json");
