//! What uploads: the registry's own token, or one that the CI's identity is exchanged for; and whether the job may have either.

use client::oidc::{self, TokenOptions, gitlab_variable};

use crate::{
    context::Context,
    failure::Failure,
    registry::{
        exchange::{TrustedPublishing, audience},
        selection::Registry,
        token::RegistryToken,
    },
};

use super::Arguments;

/// Refuses a job that can neither sign nor upload because it may not ask for an identity, before anything is packaged.
///
/// # Errors
/// `E-ID-NOPERM`, `E-ID-FORK` or `E-ID-FORGEJO`.
pub(super) fn refuse_without_permission(
    arguments: &Arguments,
    context: &Context,
    registry: &Registry,
) -> Result<(), Failure> {
    let environment = |name: &str| context.variable(name);
    let signing = arguments.identity.without_a_person(context)?;
    let mut withheld = oidc::withheld(&signing, &environment);
    // A token that was given is for signing, unless the exchange was asked for and it happens to be for the registry.
    let exchanges = match arguments.trusted_publishing {
        TrustedPublishing::Always => context.variable("SIGSTORE_ID_TOKEN").is_none(),
        TrustedPublishing::Auto => RegistryToken::find(context, registry).is_err(),
        TrustedPublishing::Never => false,
    };
    if exchanges {
        let exchange = TokenOptions {
            explicit: None,
            audience: "a registry".to_owned(),
            ..signing
        };
        withheld = withheld.or_else(|| oidc::withheld(&exchange, &environment));
    }
    withheld.map_or(Ok(()), |error| Err(error.into()))
}

/// The registry's own token; none when an identity is to be exchanged instead. With it, where that depends on what the CI
/// offers for this registry, why there is no token.
pub(super) fn registry_token(
    arguments: &Arguments,
    context: &Context,
    registry: &Registry,
) -> Result<(Option<RegistryToken>, Option<Failure>), Failure> {
    let in_ci = || IDENTITY_CIS.iter().any(|name| context.variable(name).is_some());
    match arguments.trusted_publishing {
        TrustedPublishing::Always => Ok((None, None)),
        TrustedPublishing::Never => Ok((Some(RegistryToken::find(context, registry)?), None)),
        TrustedPublishing::Auto => match RegistryToken::find(context, registry) {
            Err(missing) if in_ci() => Ok((None, Some(missing))),
            found => Ok((Some(found?), None)),
        },
    }
}

/// A GitLab job has an identity for those only whom it names; here is how it names the registry.
pub(super) fn naming_gitlab_variable(missing: Failure, context: &Context, api: Option<&str>) -> Failure {
    let (Some(api), Some(_)) = (api, context.variable("GITLAB_CI")) else {
        return missing;
    };
    let audience = audience(api);
    let exchange = format!(
        "where the registry knows this project as a trusted publisher, add `{}: {{ aud: {audience} }}` to the job's `id_tokens:`",
        gitlab_variable(&audience)
    );
    let hint = match missing.hint_text() {
        Some(hint) => format!("{hint}; or, {exchange}"),
        None => exchange,
    };
    missing.hint(hint)
}

/// What CIs set that may offer a job an identity for the registry: GitHub and Forgejo where it may ask, GitLab in every job.
const IDENTITY_CIS: [&str; 2] = ["ACTIONS_ID_TOKEN_REQUEST_URL", "GITLAB_CI"];
