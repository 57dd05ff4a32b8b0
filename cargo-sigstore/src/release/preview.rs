//! What would be signed and as whom, without signing.

use client::oidc::{self, FreshToken, IdentityToken};
use serde_json::{Value, json};
use verify::{WorkloadIdentity, identity::SubjectAlternativeName};

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
    let predicted = predict(context, identity);
    let unknown = WorkloadIdentity {
        san: SubjectAlternativeName::Uri(String::new()),
        claims: std::collections::BTreeMap::new(),
    };
    let (whom, why) = match &predicted {
        Ok(Some(identity)) => (Some(identity), None),
        Ok(None) => (
            None,
            Some("the certificate authority decides; this kind of token cannot be predicted".to_owned()),
        ),
        Err(failure) => (None, Some(failure.message().to_owned())),
    };
    let mut documents = Vec::new();
    for release in releases {
        let all = statements(release, whom.unwrap_or(&unknown))?;
        documents.push(json!({
            "file": release.file.file_name(),
            "digest": format!("sha256:{}", release.file.digest),
            "files": release.file.files.len(),
            "registry": registry.display_name(),
            "identity": whom.map(identity_json),
            "identityUnknown": why,
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
        tell(context, release, registry, whom, why.as_deref(), document)?;
    }
    context.printer.note("nothing was signed, stored or uploaded");
    Ok(Exit::Yes)
}

fn tell(
    context: &Context,
    release: &Release,
    registry: &Registry,
    whom: Option<&WorkloadIdentity>,
    why: Option<&str>,
    document: &Value,
) -> Result<(), Failure> {
    let printer = &context.printer;
    printer.line(format_args!(
        "{}  sha256:{}",
        release.file.file_name(),
        release.file.digest
    ))?;
    printer.line(format_args!("  registry  {}", registry.display_name()))?;
    match (whom, why) {
        (Some(identity), _) => {
            printer.line(format_args!("  signer    {}", identity.san.as_str()))?;
            printer.line(format_args!("  issuer    {}", identity.issuer()))?;
        }
        (None, why) => printer.line(format_args!("  signer    unknown: {}", why.unwrap_or_default()))?,
    }
    for statement in document["statements"].as_array().into_iter().flatten() {
        let size = statement.to_string().len();
        let predicate_type = statement["predicateType"].as_str().unwrap_or_default();
        printer.line(format_args!("  statement {predicate_type} ({size} bytes)"))?;
    }
    let provenance = document["statements"].get(0).unwrap_or(&Value::Null);
    let text = serde_json::to_string_pretty(&provenance["predicate"]).unwrap_or_default();
    printer.line(format_args!("  provenance\n    {}", text.replace('\n', "\n    ")))
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
