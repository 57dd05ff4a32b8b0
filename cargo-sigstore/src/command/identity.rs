//! `identity`: as whom one would sign here, without signing.

use client::{
    Http, Service,
    authority::CertificateAuthority,
    http::Endpoint,
    oidc::{IdentityToken, OidcError, obtain, predict},
};
use serde_json::json;
use verify::{
    TrustedRoot, WorkloadIdentity,
    identity::Claim,
    signing_config::{ClientTrustConfig, SigningConfig},
};

use crate::{
    context::Context,
    evidence::finding::identity_json,
    failure::{Exit, Failure},
    identity_token, network,
    printer::{table, visible},
    trust,
};

/// Arguments of `identity`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    identity: identity_token::Arguments,
}

/// Obtains a token and tells what a certificate would say. Nothing is signed or logged.
///
/// # Errors
/// Codes `E-ID-…`; `E-CA-ISSUER` when the trusted instance takes no tokens of this issuer; `E-CA-CLAIM`.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let trust = match context.options.trust {
        Some(_) => Some(trust::client_trust_config(context)?),
        None => None,
    };
    let http = network::http(context)?;
    let nobody = ClientTrustConfig {
        trusted_root: TrustedRoot::default(),
        signing_config: SigningConfig::default(),
    };
    let options = arguments
        .identity
        .token_options(context, trust.as_ref().unwrap_or(&nobody))?;
    context.block_on(async {
        let token = obtain(&http, &options, &|name| context.variable(name)).await?;
        let accepted = match &trust {
            Some(trust) => Some(check_accepted(context, &http, trust, &token).await?),
            None => None,
        };
        tell(context, &token, predict(&token)?.as_ref(), accepted.as_deref())
    })?;
    Ok(Exit::Yes)
}

/// Asks the authority of the trusted instance whether it takes tokens of this issuer; gives its address.
async fn check_accepted(
    context: &Context,
    http: &Http,
    trust: &ClientTrustConfig,
    token: &IdentityToken,
) -> Result<String, Failure> {
    let service = Service::CertificateAuthority;
    let authorities = &trust.signing_config.certificate_authorities;
    let chosen = SigningConfig::select(authorities, &[1], context.now());
    let chosen = chosen.ok_or_else(|| Failure::from(client::Error::NoService { service }))?;
    let endpoint = Endpoint::from_trust_configuration(service, &chosen.url)?;
    let issuers = CertificateAuthority::new(http.clone(), endpoint)
        .accepted_issuers()
        .await?;
    if issuers.iter().any(|issuer| issuer.accepts(token.issuer())) {
        return Ok(chosen.url.clone());
    }
    let accepted = issuers.iter().map(ToString::to_string).collect();
    Err(OidcError::Issuer {
        issuer: token.issuer().to_owned(),
        accepted,
    }
    .into())
}

fn tell(
    context: &Context,
    token: &IdentityToken,
    predicted: Option<&WorkloadIdentity>,
    accepted_by: Option<&str>,
) -> Result<(), Failure> {
    let expires = token.expires_at().map(|at| at.to_string());
    if context.printer.is_json() {
        return context.printer.json(&json!({
            "schemaVersion": 1,
            "source": token.source().to_string(),
            "issuer": token.issuer(),
            "subject": token.claim("sub"),
            "expires": expires,
            "acceptedBy": accepted_by,
            "identity": predicted.map(identity_json),
        }));
    }
    let mut rows = vec![
        ["token from".to_owned(), token.source().to_string()],
        ["issuer".to_owned(), visible(token.issuer())],
        ["subject".to_owned(), visible(&token.claim("sub").unwrap_or_default())],
        ["expires".to_owned(), expires.unwrap_or_default()],
    ];
    if let Some(url) = accepted_by {
        rows.push(["accepted by".to_owned(), visible(url)]);
    }
    if let Some(identity) = predicted {
        rows.push(["certificate for".to_owned(), visible(identity.san.as_str())]);
        rows.extend(claims(identity).map(|(name, value)| [format!("  {name}"), visible(value)]));
    } else {
        rows.push([
            "certificate for".to_owned(),
            "decided by the instance's own configuration".to_owned(),
        ]);
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    context.printer.line(table(&["what", "value"], &rows))
}

/// The claims worth reading: not the deprecated ones, which repeat others.
fn claims(identity: &WorkloadIdentity) -> impl Iterator<Item = (&'static str, &str)> {
    let current = Claim::ALL.into_iter().filter(|claim| !claim.is_raw());
    current.filter_map(|claim| Some((claim.name(), identity.claim(claim)?)))
}

const EXAMPLES: &str = "\
Examples:
  What a certificate would say of this job:
    cargo sigstore identity
  And whether an instance takes its tokens:
    cargo sigstore identity --trust acme --format json";
