//! `--keep`: how to point other clients at what is running, until the user has seen enough.

use tokio::signal::unix::{SignalKind, signal};

use super::{Scene, say};
use crate::{Doing as _, Error, issuer::Profile};

/// Prints the instructions and waits for Ctrl-C.
pub(super) fn keep(scene: &Scene) -> Result<(), Error> {
    let token = scene.workshop.folder().join("token");
    let folder = scene.instance.folder().display();
    let (url, issuer) = (scene.instance.url(), scene.issuer_url());
    let subject = scene.issuer.subject(Profile::GitHub);
    say(&format!(
        "
Still running; Ctrl-C ends it.

  in a browser    {url}/healthz  {url}/metrics  {url}/checkpoint  {url}/api/v2/trustBundle
                  {issuer}/.well-known/openid-configuration
  a token         in {token}, renewed every minute
  sign            cosign sign-blob --yes --signing-config {folder}/trust/signing_config.v0.2.json \\
                    --trusted-root {folder}/trust/trusted_root.json --identity-token {token} --bundle b.json FILE
                  sigstore --trust-config {folder}/trust/trust_config.json sign --identity-token \"$(cat {token})\" --bundle b.json FILE
                  SIGSTORE_TRUST_CONFIG={folder}/trust/trust_config.json SIGSTORE_ID_TOKEN=\"$(cat {token})\" cargo sigstore sign FILE
  verify          cosign verify-blob --trusted-root {folder}/trust/trusted_root.json --bundle b.json \\
                    --certificate-identity {subject} --certificate-oidc-issuer {issuer} FILE
                  sigstore --trust-config {folder}/trust/trust_config.json verify identity --bundle b.json \\
                    --cert-identity {subject} --cert-oidc-issuer {issuer} FILE
  over TUF        sigstore --instance {url}/tuf trust-instance {folder}/trust/root.json
                  cosign initialize --mirror {url}/tuf --root {folder}/trust/root.json
  the registry    CARGO_REGISTRIES_SANDBOX_INDEX={index} cargo add {name} --registry sandbox
",
        token = token.display(),
        index = scene.registry.index_url(),
        name = scene.project.name,
    ));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing("start a runtime")?;
    runtime.block_on(async {
        let mut minute = tokio::time::interval(std::time::Duration::from_mins(1));
        let mut terminated = signal(SignalKind::terminate()).doing("wait for SIGTERM")?;
        loop {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => return interrupted.doing("wait for Ctrl-C"),
                _ = terminated.recv() => return Ok(()),
                _ = minute.tick() => write_token(scene, &token)?,
            }
        }
    })
}

/// A fresh token in a file that only this user may read.
fn write_token(scene: &Scene, path: &std::path::Path) -> Result<(), Error> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .doing("write the token")?;
    let token = scene.issuer.token(Profile::GitHub)?;
    file.write_all(token.as_bytes()).doing("write the token")
}
