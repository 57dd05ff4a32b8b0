//! One certificate, three statements, every bundle verified before anybody else sees it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use client::{
    Http,
    oidc::FreshToken,
    signer::{Signed, Signer},
};
use serde_json::{Value, json};
use verify::{
    Budget, Sha256Digest, Verified, WorkloadIdentity,
    agreement::{Check, Expectations, examine},
    signing_config::ClientTrustConfig,
};

use crate::{
    context::Context,
    evidence::{
        bundle_file,
        finding::{identity_json, log_entries_json},
        judgement::differs,
        store::Store,
    },
    failure::Failure,
    file, identity_token, network,
    release::statements::{Kind, Release, statements},
    signing,
};

/// Everything that attesting needs from outside.
#[derive(Debug)]
pub(crate) struct Services {
    /// HTTP.
    pub(crate) http: Http,
    signer: Signer,
    /// None where the instance has none and nobody names one: then the files are the evidence.
    store: Option<Store>,
    token: FreshToken,
}

/// A release with its bundles.
#[derive(Debug)]
pub(crate) struct Attested {
    /// Who signed.
    pub(crate) identity: WorkloadIdentity,
    /// The bundles; provenance is the first.
    pub(crate) bundles: Vec<(Kind, Signed)>,
}

/// Where to find what attesting needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    /// Options about the identity token.
    pub(crate) identity: &'a identity_token::Arguments,
    /// The attestation store that the user names.
    pub(crate) store: Option<&'a str>,
    /// The attestation store that the registry names.
    pub(crate) registry_store: Option<&'a str>,
}

impl Services {
    /// Prepares the services of the selected instance; nothing is asked yet.
    ///
    /// # Errors
    /// Those of trust, store and token options.
    pub(crate) fn new(
        context: &Context,
        http: Http,
        trust: ClientTrustConfig,
        sources: Sources<'_>,
    ) -> Result<Self, Failure> {
        let options = sources.identity.token_options(context, &trust)?;
        let store = Store::find(
            &http,
            sources.store,
            Some(&trust),
            sources.registry_store,
            context.now(),
        )?;
        Ok(Self {
            signer: signing::signer(context, &http, trust, sources.identity)?,
            store,
            token: FreshToken::new(http.clone(), options),
            http,
        })
    }

    /// Signs the statements about a release and checks that they agree with certificate and crate. Nothing is stored.
    ///
    /// # Errors
    /// Those of token, certificate, log and timestamp; code `provenance-disagrees`.
    pub(crate) async fn attest(&mut self, context: &Context, release: &Release) -> Result<Attested, Failure> {
        let environment = |name: &str| context.variable(name);
        let token = self.token.get(&environment, context.now()).await?;
        token.check_event()?;
        let session = self.signer.certify(token).await?;
        let identity = session.identity().clone();
        context
            .printer
            .status("Certified", format_args!("as {}", identity.san.as_str()));
        let mut bundles = Vec::new();
        for (kind, statement) in statements(release, &identity)? {
            let signed = session
                .sign_statement(statement.to_json().as_bytes(), release.file.digest)
                .await?;
            if kind == Kind::Provenance {
                agree(context, &signed.verified, release)?;
            }
            let index = signed
                .verified
                .log_index()
                .map(|index| format!(", log index {index}"))
                .unwrap_or_default();
            context.printer.status(
                "Signed",
                format_args!("{} of {}{index}", kind.name(), release.file.file_name()),
            );
            bundles.push((kind, signed));
        }
        Ok(Attested { identity, bundles })
    }

    /// Puts the bundles into the attestation store, where there is one, and says so. Storing them again changes nothing.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn store(&self, context: &Context, release: &Release, attested: &Attested) -> Result<(), Failure> {
        let Some(store) = &self.store else {
            context.printer.note(format_args!(
                "nobody keeps attestations of this registry's crates: give the bundles to those who verify, as with the release of the source code, \
                 or name a store with `--attestations URL`"
            ));
            return Ok(());
        };
        for (_, signed) in &attested.bundles {
            let stored = store.client.put(&signed.bundle, &release.file.digest).await;
            stored.map_err(|error| {
                Failure::from(error).while_doing(format_args!(
                    "the attestation store at {} did not take a bundle",
                    store.url
                ))
            })?;
        }
        context.printer.status(
            "Stored",
            format_args!("{} bundles at {}", attested.bundles.len(), store.url),
        );
        Ok(())
    }

    /// What the store has about an artifact, by predicate type; none where there is no store.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn stored(&self, digest: &Sha256Digest) -> Result<Option<BTreeSet<String>>, Failure> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let found = store.client.by_digest(digest).await?;
        Ok(Some(bundle_file::stated(&found.bundles)))
    }

    /// Address of the attestation store in use.
    pub(crate) fn store_url(&self) -> Option<&str> {
        self.store.as_ref().map(|store| store.url.as_str())
    }
}

impl Attested {
    /// Writes `NAME-VERSION.crate.sigstore.json` (the provenance, for any tool) and `….sigstore.jsonl` (all bundles).
    ///
    /// # Errors
    /// Code `file-write`.
    pub(crate) fn write(&self, folder: &Path, file_name: &str) -> Result<[PathBuf; 2], Failure> {
        let one = folder.join(format!("{file_name}.sigstore.json"));
        let all = folder.join(format!("{file_name}.sigstore.jsonl"));
        if let Some((_, provenance)) = self.bundles.first() {
            file::write(&one, provenance.bundle.to_json().as_bytes())?;
        }
        let bundles = self.bundles.iter().map(|(_, signed)| &signed.bundle);
        file::write(&all, bundle_file::to_lines(bundles).as_bytes())?;
        Ok([one, all])
    }

    /// The release and its evidence, for programs.
    pub(crate) fn to_json(&self, release: &Release, files: &[PathBuf]) -> Value {
        let file = &release.file;
        json!({
            "name": file.name,
            "version": file.version,
            "digest": format!("sha256:{}", file.digest),
            "identity": identity_json(&self.identity),
            "statements": self.bundles.iter().map(|(kind, signed)| json!({
                "kind": kind.name(),
                "predicateType": signed.verified.predicate_type(),
                "logIndex": signed.verified.log_index(),
                "logEntries": log_entries_json(&signed.verified),
                "time": signed.verified.times().first().map(|time| time.at.to_string()),
            })).collect::<Vec<_>>(),
            "files": files,
        })
    }
}

/// Provenance, certificate and crate must agree before anything leaves: what we would refuse to verify we do not publish.
fn agree(context: &Context, proof: &Verified, release: &Release) -> Result<(), Failure> {
    let facts = release.file.facts(release.index.as_deref());
    let issuers = proof.identity().map(|identity| identity.issuer().to_owned());
    let expectations = Expectations {
        issuers: issuers.into_iter().collect(),
        ..Expectations::default()
    };
    let report = examine(proof, &facts, &expectations, &Budget::default())?;
    for check in report.differences() {
        let failure = differs(check, &release.file.file_name());
        if excused(check, release) {
            context.printer.warn(failure.message());
        } else {
            return Err(failure.hint(hint(check)));
        }
    }
    Ok(())
}

/// `--allow-dirty` excuses a crate that does not hold the commit: of that the user was warned.
fn excused(check: &Check, release: &Release) -> bool {
    check.name == "crate-commit" && release.options.allow_dirty
}

fn hint(check: &Check) -> &'static str {
    match check.name {
        "crate-commit" => {
            "package from a clean checkout of the commit that the CI job runs on; `--allow-dirty` publishes all the same and says so"
        }
        "trigger" => "publish from a workflow that a push, a tag, a release or a person starts",
        _ => "nothing was published; report this with the lines above",
    }
}

/// The HTTP client and the trust of the selected instance.
///
/// # Errors
/// Those of [`network::http`] and [`crate::trust::for_signing`].
pub(crate) fn connect(context: &Context) -> Result<(Http, ClientTrustConfig), Failure> {
    let trust = crate::trust::for_signing(context)?;
    Ok((network::http(context)?, trust))
}
