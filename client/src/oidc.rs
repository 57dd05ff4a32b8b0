//! Workload and personal identity tokens [OpenID Connect Core 1.0]: where they come from and what they say.
//!
//! Sources are asked in a fixed order, each for itself; the first that is present must answer, so that a broken setup is
//! reported instead of silently passed over. Tokens are asked for late, kept in memory only and never shown.

mod ambient;
mod command;
mod interactive;
mod predict;
mod refusal;
mod token;

use std::sync::Arc;

use verify::UnixTime;

pub(crate) use self::predict::plain_claims;
pub use self::{
    ambient::gitlab_variable,
    command::is_secret_variable,
    interactive::Interactive,
    predict::{Shape, predict, predict_at},
    refusal::OidcError,
    token::{IdentityToken, TokenSource},
};
use crate::Http;

/// What kind of token is wanted and where it may come from.
#[derive(Clone)]
pub struct TokenOptions {
    /// The audience the token must name: `sigstore`, or a registry's host.
    pub audience: String,
    /// A token given by the user; nothing else is asked then.
    pub explicit: Option<IdentityToken>,
    /// Whether the environment of a CI may be asked. `SIGSTORE_OIDC_DISABLE_AMBIENT_PROVIDERS` overrides it.
    pub ambient: bool,
    /// Sign-in of a person in a browser, when nothing else is there; only ever set on a terminal.
    pub interactive: Option<Interactive>,
    /// Called with each secret as soon as it is known, before anything else can print it: `::add-mask::` of a CI.
    pub mask: Option<Mask>,
}

/// Hides a secret from everything that is printed after.
#[derive(Clone)]
pub struct Mask(Arc<dyn Fn(&str) + Send + Sync>);

impl Mask {
    /// A mask that calls `hide` with each secret.
    pub fn new(hide: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hide))
    }

    /// Hides a secret.
    pub fn hide(&self, secret: &str) {
        (self.0)(secret);
    }
}

/// Ambient tokens for audience `sigstore`.
impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            audience: "sigstore".to_owned(),
            explicit: None,
            ambient: true,
            interactive: None,
            mask: None,
        }
    }
}

impl TokenOptions {
    fn mask(&self, secret: &str) {
        if let Some(mask) = &self.mask {
            mask.hide(secret);
        }
    }
}

impl std::fmt::Debug for TokenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenOptions")
            .field("audience", &self.audience)
            .field("explicit", &self.explicit)
            .field("ambient", &self.ambient)
            .field("interactive", &self.interactive)
            .finish_non_exhaustive()
    }
}

/// Obtains a token: explicit, `SIGSTORE_ID_TOKEN`, GitHub or Forgejo, GitLab, Buildkite, CircleCI, Codefresh, a person.
///
/// `env` reads one environment variable; an empty value counts as absent. The token is checked for audience and expiry,
/// nothing more: only the certificate authority can tell whether it is genuine.
///
/// # Errors
/// [`OidcError`], by the catalogue `E-ID-…`.
pub async fn obtain(
    http: &Http,
    options: &TokenOptions,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<IdentityToken, OidcError> {
    let token = find(http, options, &Environment { read: env }).await?;
    options.mask(token.secret());
    token.check(&options.audience, crate::clock::now())?;
    Ok(token)
}

/// Whether the surrounding CI offers this job a token for the wanted audience, as far as can be told without asking for it:
/// GitHub and Forgejo let the job ask for any, GitLab puts those that the job names into variables.
#[must_use]
pub fn is_offered(options: &TokenOptions, env: &(dyn Fn(&str) -> Option<String> + Sync)) -> bool {
    let env = Environment { read: env };
    options.ambient && !env.says_yes(DISABLED) && ambient::is_offered(&options.audience, &env)
}

/// Why no token will be had, as far as can be told without asking for one: the job may not ask its CI, which GitHub and
/// Forgejo say beforehand. None where it may, where a token was given, or where no CI is to be asked.
#[must_use]
pub fn withheld(options: &TokenOptions, env: &(dyn Fn(&str) -> Option<String> + Sync)) -> Option<OidcError> {
    let env = Environment { read: env };
    let given = options.explicit.is_some() || !matches!(ambient::from_variable(&env, &options.audience), Ok(None));
    if given || !options.ambient || env.says_yes(DISABLED) {
        return None;
    }
    ambient::withheld(&env)
}

/// A token that is asked for late and renewed before it runs out.
#[derive(Debug)]
pub struct FreshToken {
    http: Http,
    options: TokenOptions,
    current: Option<IdentityToken>,
}

impl FreshToken {
    /// Nothing is asked for yet.
    #[must_use]
    pub const fn new(http: Http, options: TokenOptions) -> Self {
        Self {
            http,
            options,
            current: None,
        }
    }

    /// A token good for another [`LEAST_REMAINING_SECS`] seconds, obtained anew when the last one is not. A source that
    /// cannot renew (an explicit token) gives what it has.
    ///
    /// # Errors
    /// As [`obtain`].
    pub async fn get(
        &mut self,
        env: &(dyn Fn(&str) -> Option<String> + Sync),
        now: UnixTime,
    ) -> Result<&IdentityToken, OidcError> {
        let soon = now.plus_secs(LEAST_REMAINING_SECS);
        let good = self
            .current
            .take()
            .filter(|token| token.expires_at().is_some_and(|end| end > soon));
        let token = match good {
            Some(token) => token,
            None => obtain(&self.http, &self.options, env).await?,
        };
        Ok(self.current.insert(token))
    }
}

/// Turns off all CIs, as in other clients.
const DISABLED: &str = "SIGSTORE_OIDC_DISABLE_AMBIENT_PROVIDERS";

/// A token with less than this many seconds left is obtained anew.
pub const LEAST_REMAINING_SECS: i64 = 60;

/// Environment variables through the caller's function; empty ones are absent.
struct Environment<'a> {
    read: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

impl Environment<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.read)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// Whether the variable says yes: present and neither `0` nor `false`.
    fn says_yes(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

async fn find(http: &Http, options: &TokenOptions, env: &Environment<'_>) -> Result<IdentityToken, OidcError> {
    if let Some(token) = &options.explicit {
        return Ok(token.clone());
    }
    if let Some(token) = ambient::from_variable(env, &options.audience)? {
        return Ok(token);
    }
    let disabled = env.says_yes(DISABLED);
    if options.ambient
        && !disabled
        && let Some(token) = ambient::detect(http, options, env).await?
    {
        return Ok(token);
    }
    match &options.interactive {
        Some(interactive) => interactive::sign_in(http, interactive).await,
        None => Err(OidcError::NoSource),
    }
}
