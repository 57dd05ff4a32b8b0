//! What `sign` and `attest` share: a certified key, and what is told afterwards.

use std::path::{Path, PathBuf};

use client::{Http, Signed, Signer, SigningSession, oidc::obtain};
use serde_json::{Value, json};
use verify::{Sha256Digest, signing_config::ClientTrustConfig};

use crate::{
    context::Context,
    evidence::finding::{identity_json, log_entries_json},
    failure::Failure,
    file, identity_token,
    printer::{table, visible},
};

/// Signs with this instance. One that nobody chose learns of no repository but those that say that they are public.
///
/// # Errors
/// Those of [`Signer::new`].
pub(crate) fn signer(
    context: &Context,
    http: &Http,
    trust: ClientTrustConfig,
    identity: &identity_token::Arguments,
) -> Result<Signer, Failure> {
    let signer = Signer::new(http.clone(), trust)?;
    Ok(if identity.allow_private_repository {
        signer.allow_private_repository(true)
    } else if context.options.trust.is_none() {
        signer.only_public_repositories()
    } else {
        signer
    })
}

/// Obtains a token and a certificate for a fresh key, and says as whom.
///
/// # Errors
/// Those of the token options, [`obtain`] and [`Signer::certify`].
pub(crate) async fn session(
    context: &Context,
    http: &Http,
    trust: ClientTrustConfig,
    identity: &identity_token::Arguments,
) -> Result<SigningSession, Failure> {
    let options = identity.token_options(context, &trust)?;
    let signer = signer(context, http, trust, identity)?;
    let token = obtain(http, &options, &|name| context.variable(name)).await?;
    token.check_event()?;
    let session = signer.certify(&token).await?;
    let name = visible(session.identity().san.as_str());
    context.printer.status("Certified", format_args!("as {name}"));
    Ok(session)
}

/// What was signed and where the evidence is.
pub(crate) struct Receipt {
    file: PathBuf,
    digest: Sha256Digest,
    bundle: PathBuf,
    signed: Signed,
}

impl Receipt {
    /// Writes the bundle, verified before, whole or not at all.
    ///
    /// # Errors
    /// Code `file-write`.
    pub(crate) fn write(file: &Path, digest: Sha256Digest, bundle: PathBuf, signed: Signed) -> Result<Self, Failure> {
        file::write(&bundle, signed.bundle.to_json().as_bytes())?;
        let file = file.to_owned();
        Ok(Self {
            file,
            digest,
            bundle,
            signed,
        })
    }

    /// The evidence.
    pub(crate) const fn signed(&self) -> &Signed {
        &self.signed
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.file.display().to_string(),
            format!("sha256:{}", self.digest),
            self.signed
                .verified
                .log_index()
                .map_or_else(String::new, |index| index.to_string()),
            self.bundle.display().to_string(),
        ]
    }

    fn to_json(&self) -> Value {
        let verified = &self.signed.verified;
        let times: Vec<String> = verified.times().iter().map(|time| time.at.to_string()).collect();
        json!({
            "file": self.file.display().to_string(),
            "digest": format!("sha256:{}", self.digest),
            "bundle": self.bundle.display().to_string(),
            "predicateType": verified.predicate_type(),
            "identity": verified.identity().map(identity_json),
            "logIndex": verified.log_index(),
            "logEntries": log_entries_json(verified),
            "times": times,
            "checks": verified.checks(),
        })
    }
}

/// Tells what was signed: a table, or a JSON list.
///
/// # Errors
/// Code `output`.
pub(crate) fn tell(context: &Context, receipts: &[Receipt]) -> Result<(), Failure> {
    if context.printer.is_json() {
        let signed: Vec<Value> = receipts.iter().map(Receipt::to_json).collect();
        return context.printer.json(&json!({"schemaVersion": 1, "signed": signed}));
    }
    let rows: Vec<Vec<String>> = receipts.iter().map(Receipt::row).collect();
    context
        .printer
        .line(table(&["file", "digest", "log index", "bundle"], &rows))
}

/// Where a bundle is written: where asked, else beside the file.
pub(crate) fn bundle_path(asked: Option<&Path>, file: &Path) -> PathBuf {
    asked.map_or_else(
        || {
            let mut beside = file.as_os_str().to_owned();
            beside.push(".sigstore.json");
            PathBuf::from(beside)
        },
        Path::to_owned,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_lies_beside_its_file_unless_asked_otherwise() {
        assert_eq!(
            bundle_path(None, Path::new("a/b.crate")),
            Path::new("a/b.crate.sigstore.json")
        );
        assert_eq!(
            bundle_path(Some(Path::new("c")), Path::new("a/b.crate")),
            Path::new("c")
        );
    }
}
