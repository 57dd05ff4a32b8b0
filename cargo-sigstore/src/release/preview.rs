//! What would be signed and as whom, without signing.

use std::path::Path;

use client::oidc::{self, FreshToken, IdentityToken};
use serde_json::{Value, json};
use verify::{Sha256Digest, WorkloadIdentity, identity::SubjectAlternativeName, statement::Statement};

use crate::{
    context::Context,
    evidence::finding::identity_json,
    failure::{Exit, Failure},
    identity_token,
    registry::selection::Registry,
    release::{
        attest::connect,
        statements::{Release, statements},
    },
};

/// A file that would be signed, or of which something would be stated.
pub(crate) struct Planned<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// Its digest.
    pub(crate) digest: Sha256Digest,
    /// What would be stated of it; none for a plain signature.
    pub(crate) statement: Option<Statement>,
}

/// Shows what would be signed, with the identity that the CI's token predicts.
///
/// # Errors
/// Code `output`; a token that cannot be had is told, not failed on.
pub(crate) fn show_files(
    context: &Context,
    files: &[Planned<'_>],
    identity: &identity_token::Arguments,
) -> Result<Exit, Failure> {
    let signer = Signer::predict(context, identity);
    let documents = files.iter().map(|file| {
        let statements = file.statement.iter().map(|statement| document(&statement.to_json()));
        json!({
            "file": file.path.display().to_string(),
            "digest": format!("sha256:{}", file.digest),
            "identity": signer.identity.as_ref().map(identity_json),
            "identityUnknown": signer.unknown,
            "statements": statements.collect::<Vec<_>>(),
        })
    });
    let documents: Vec<Value> = documents.collect();
    if context.printer.is_json() {
        context
            .printer
            .json(&json!({"schemaVersion": 1, "dryRun": documents}))?;
        return Ok(Exit::Yes);
    }
    for (file, document) in files.iter().zip(&documents) {
        let printer = &context.printer;
        printer.line(format_args!("{}  sha256:{}", file.path.display(), file.digest))?;
        signer.tell(context)?;
        tell_statements(context, document)?;
    }
    context.printer.note("nothing was signed or stored");
    Ok(Exit::Yes)
}

/// Shows the statements that would be signed, with the identity that the CI's token predicts.
///
/// # Errors
/// Those of the statements; a token that cannot be had is told, not failed on.
pub(crate) fn show(
    context: &Context,
    releases: &[Release],
    registry: &Registry,
    identity: &identity_token::Arguments,
) -> Result<Exit, Failure> {
    let signer = Signer::predict(context, identity);
    let unknown = WorkloadIdentity {
        san: SubjectAlternativeName::Uri(String::new()),
        claims: std::collections::BTreeMap::new(),
    };
    let whom = signer.identity.as_ref();
    let mut documents = Vec::new();
    for release in releases {
        let all = statements(release, whom.unwrap_or(&unknown))?;
        documents.push(json!({
            "file": release.file.file_name(),
            "digest": format!("sha256:{}", release.file.digest),
            "files": release.file.files.len(),
            "registry": registry.display_name(),
            "identity": whom.map(identity_json),
            "identityUnknown": signer.unknown,
            "statements": all.iter().map(|(_, statement)| document(&statement.to_json())).collect::<Vec<_>>(),
        }));
    }
    if context.printer.is_json() {
        context
            .printer
            .json(&json!({"schemaVersion": 1, "dryRun": documents}))?;
        return Ok(Exit::Yes);
    }
    for (release, document) in releases.iter().zip(&documents) {
        tell(context, release, registry, &signer, document)?;
    }
    context.printer.note("nothing was signed, stored or uploaded");
    Ok(Exit::Yes)
}

fn tell(
    context: &Context,
    release: &Release,
    registry: &Registry,
    signer: &Signer,
    document: &Value,
) -> Result<(), Failure> {
    let printer = &context.printer;
    printer.line(format_args!(
        "{}  sha256:{}",
        release.file.file_name(),
        release.file.digest
    ))?;
    printer.line(format_args!("  registry  {}", registry.display_name()))?;
    signer.tell(context)?;
    tell_statements(context, document)?;
    let provenance = document["statements"].get(0).unwrap_or(&Value::Null);
    let text = serde_json::to_string_pretty(&provenance["predicate"]).unwrap_or_default();
    printer.line(format_args!("  provenance\n    {}", text.replace('\n', "\n    ")))
}

fn tell_statements(context: &Context, document: &Value) -> Result<(), Failure> {
    for statement in document["statements"].as_array().into_iter().flatten() {
        let size = statement.to_string().len();
        let predicate_type = statement["predicateType"].as_str().unwrap_or_default();
        context
            .printer
            .line(format_args!("  statement {predicate_type} ({size} bytes)"))?;
    }
    Ok(())
}

/// As whom one would sign.
struct Signer {
    identity: Option<WorkloadIdentity>,
    /// Why nobody knows.
    unknown: Option<String>,
}

impl Signer {
    fn predict(context: &Context, arguments: &identity_token::Arguments) -> Self {
        let (identity, unknown) = match predict(context, arguments) {
            Ok(Some(identity)) => (Some(identity), None),
            Ok(None) => (
                None,
                Some("the certificate authority decides; this kind of token cannot be predicted".to_owned()),
            ),
            Err(failure) => (None, Some(failure.message().to_owned())),
        };
        Self { identity, unknown }
    }

    fn tell(&self, context: &Context) -> Result<(), Failure> {
        let printer = &context.printer;
        if let Some(identity) = &self.identity {
            printer.line(format_args!("  signer    {}", identity.san.as_str()))?;
            return printer.line(format_args!("  issuer    {}", identity.issuer()));
        }
        let why = self.unknown.as_deref().unwrap_or_default();
        printer.line(format_args!("  signer    unknown: {why}"))
    }
}

/// The identity that the token at hand predicts. The token is not used for anything.
fn predict(context: &Context, identity: &identity_token::Arguments) -> Result<Option<WorkloadIdentity>, Failure> {
    let (http, trust) = connect(context)?;
    let options = identity.token_options(context, &trust)?;
    context.block_on(async {
        let options = oidc::TokenOptions {
            interactive: None,
            ..options
        };
        let mut fresh = FreshToken::new(http, options);
        let environment = |name: &str| context.variable(name);
        let token = fresh.get(&environment, context.now()).await?;
        if context.options.trust.is_none() && !identity.allow_private_repository {
            token.check_stated_public()?;
        }
        match oidc::predict(token)? {
            Some(identity) => Ok(Some(identity)),
            None => Ok(oidc::predict_at(token, &usual(token))?),
        }
    })
}

/// What an authority that nobody knows would certify if it named the servers of GitHub and GitLab as the public one does.
fn usual(token: &IdentityToken) -> WorkloadIdentity {
    let github = token
        .claim("job_workflow_ref")
        .map(|path| format!("https://github.com/{path}"));
    let gitlab = token.claim("ci_config_ref_uri").map(|uri| format!("https://{uri}"));
    let san = github.or(gitlab).unwrap_or_default();
    WorkloadIdentity {
        san: SubjectAlternativeName::Uri(san),
        claims: std::collections::BTreeMap::new(),
    }
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
