//! What nearly every end-to-end test starts with: our binaries, an issuer, a server that believes it, and a workshop.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    Doing as _, Error, Instance, Issuer, Tools,
    issuer::Profile,
    project::Workshop,
    run::{Outcome, run},
};

/// A running Sigstore of our own and everything around it.
#[derive(Debug)]
pub struct Stage {
    /// Our binaries.
    pub tools: Tools,
    /// Who says who is who.
    pub issuer: Issuer,
    /// The server.
    pub instance: Instance,
    /// Where files and crates go.
    pub workshop: Workshop,
}

/// How long one command of ours may take.
const LIMIT: Duration = Duration::from_mins(1);

impl Stage {
    /// Starts everything, with `binary` (a `sandbox` binary) for all tools.
    ///
    /// # Errors
    /// Something did not start.
    pub fn open(binary: &Path) -> Result<Self, Error> {
        let tools = Tools::install(binary)?;
        let issuer = Issuer::start()?;
        let instance = Instance::start(&tools, &issuer)?;
        let workshop = Workshop::open(&tools)?;
        Ok(Self {
            tools,
            issuer,
            instance,
            workshop,
        })
    }

    /// Writes a file into the workshop.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf, Error> {
        let path = self.workshop.folder().join(name);
        std::fs::write(&path, bytes).doing(format!("write {}", path.display()))?;
        Ok(path)
    }

    /// A path in the workshop.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.workshop.folder().join(name)
    }

    /// `cargo sigstore …` in the workshop, trusting our instance, as a robot with a GitHub token at hand.
    ///
    /// # Errors
    /// No token could be made.
    pub fn signing_command(&self) -> Result<Command, Error> {
        let mut command = self.workshop.cargo_sigstore(self.workshop.folder());
        command
            .env("SIGSTORE_TRUST_CONFIG", self.instance.trust("trust_config.json"))
            .env("SIGSTORE_ID_TOKEN", self.issuer.token(Profile::GitHub)?);
        Ok(command)
    }

    /// `cargo sigstore verify …` with the instance's trusted root and the GitHub profile's identity.
    #[must_use]
    pub fn verifying_command(&self, artifact: &Path, bundle: &Path) -> Command {
        let mut command = self.workshop.cargo_sigstore(self.workshop.folder());
        command.arg("verify").arg(artifact).arg("--bundle").arg(bundle);
        command
            .arg("--trusted-root")
            .arg(self.instance.trust("trusted_root.json"));
        command.args(["--certificate-identity", &self.issuer.subject(Profile::GitHub)]);
        command.args(["--certificate-oidc-issuer", &self.issuer.url(Profile::GitHub)]);
        command
    }

    /// What [`Self::sign`] runs.
    ///
    /// # Errors
    /// No token could be made.
    pub fn sign_command(&self, artifact: &Path, bundle: &Path) -> Result<Command, Error> {
        let mut command = self.signing_command()?;
        command.arg("sign").arg(artifact).arg("--bundle").arg(bundle);
        Ok(command)
    }

    /// Signs a file with `cargo sigstore sign`.
    ///
    /// # Errors
    /// It could not; its own words are in the error.
    pub fn sign(&self, artifact: &Path, bundle: &Path) -> Result<Outcome, Error> {
        run(&mut self.sign_command(artifact, bundle)?, LIMIT)?.success()
    }

    /// Signs a statement about a file with `cargo sigstore attest`.
    ///
    /// # Errors
    /// It could not; its own words are in the error.
    pub fn attest(&self, artifact: &Path, bundle: &Path) -> Result<Outcome, Error> {
        run(&mut self.attest_command(artifact, bundle)?, LIMIT)?.success()
    }

    /// What [`Self::attest`] runs.
    ///
    /// # Errors
    /// No token could be made.
    pub fn attest_command(&self, artifact: &Path, bundle: &Path) -> Result<Command, Error> {
        let predicate = self.write("predicate.json", br#"{"made": "by cargo sigstore"}"#)?;
        let mut command = self.signing_command()?;
        command
            .arg("attest")
            .arg(artifact)
            .args(["--type", "https://example.org/interop/v1"])
            .arg("--predicate")
            .arg(predicate)
            .arg("--bundle")
            .arg(bundle);
        Ok(command)
    }

    /// The instance's client trust configuration, as if it had logs of this API version only.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn trust_of_log(&self, version: u32) -> Result<PathBuf, Error> {
        let text = std::fs::read(self.instance.trust("trust_config.json")).doing("read the trust configuration")?;
        let mut config: Value = serde_json::from_slice(&text).doing("read the trust configuration")?;
        if let Some(Value::Array(logs)) = config.pointer_mut("/signingConfig/rekorTlogUrls") {
            logs.retain(|log| log["majorApiVersion"] == version);
        }
        self.write(&format!("trust_config.log{version}.json"), config.to_string())
    }

    /// Verifies with `cargo sigstore verify`; the exit code is the answer.
    ///
    /// # Errors
    /// It could not be run.
    pub fn verify(&self, artifact: &Path, bundle: &Path) -> Result<Outcome, Error> {
        run(&mut self.verifying_command(artifact, bundle), LIMIT)
    }
}
