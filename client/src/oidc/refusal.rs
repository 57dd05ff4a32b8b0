//! Why there is no usable token, in the words of the catalogue: E-ID, E-CA, E-PRIVATE, E-UNSTATED and E-EVENT.

use verify::UnixTime;

use super::TokenSource;
use crate::{Class, Error};

/// Why no token could be had, or why one will not do. The text never holds a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// Nothing offers a token.
    #[error("no identity token: this is no CI we know, and none was given")]
    NoSource,
    /// GitHub, without permission to ask for tokens.
    #[error("GitHub gives this job no permission to ask for an identity token")]
    NoPermission,
    /// GitHub, for a pull request from a fork.
    #[error("GitHub gives no identity token to a pull request from a fork")]
    Fork,
    /// Forgejo, without the workflow's consent.
    #[error("Forgejo gives this workflow no identity token")]
    Forgejo,
    /// GitLab, without an `id_tokens` entry.
    #[error("GitLab gives this job no identity token: variable `{variable}` is missing")]
    GitLab {
        /// The variable that is looked for.
        variable: String,
        /// The audience it is for.
        audience: String,
    },
    /// A CI we know, without what its tokens are asked with.
    #[error("{origin} gives this job no identity token: `{missing}` is missing")]
    Missing {
        /// Which CI.
        origin: TokenSource,
        /// The variable or program.
        missing: &'static str,
    },
    /// Not a token.
    #[error("{origin} gave no well-formed token: {cause}")]
    Malformed {
        /// Where it came from.
        origin: TokenSource,
        /// What is wrong with it.
        cause: verify::Error,
    },
    /// A token for somebody else.
    #[error("the token of {origin} is not for audience `{expected}`{}", list(.claims))]
    Audience {
        /// Where it came from.
        origin: TokenSource,
        /// The wanted audience.
        expected: String,
        /// What it claims.
        claims: Vec<(&'static str, String)>,
    },
    /// A token that ran out, or never says when it will.
    #[error("the token of {origin} has run out{}", list(.claims))]
    Expired {
        /// Where it came from.
        origin: TokenSource,
        /// When; none when it has no `exp`.
        at: Option<UnixTime>,
        /// What it claims.
        claims: Vec<(&'static str, String)>,
    },
    /// The token service failed, after every try.
    #[error("{origin} gave no token: {cause}")]
    Http {
        /// Which CI.
        origin: TokenSource,
        /// What happened.
        cause: Box<Error>,
    },
    /// A CI's own program failed.
    #[error("`{program}` gave no token: {failure}")]
    Command {
        /// Its name.
        program: &'static str,
        /// How it failed.
        failure: CommandFailure,
    },
    /// Sign-in in the browser failed.
    #[error("sign-in failed: {failure}")]
    SignIn {
        /// Where it stopped.
        failure: SignInFailure,
    },
    /// The certificate authority takes no tokens of this issuer.
    #[error("the certificate authority takes no tokens of `{issuer}`; it takes: {}", .accepted.join(", "))]
    Issuer {
        /// The token's issuer.
        issuer: String,
        /// What it takes, as it says itself.
        accepted: Vec<String>,
    },
    /// The token lacks a claim that a certificate needs.
    #[error("the token lacks claim `{name}`, without which no certificate can be issued")]
    Claim {
        /// The claim.
        name: String,
    },
    /// The certificate authority refused the token for another reason.
    #[error("the certificate authority refused the token: {message}{}", list(.claims))]
    Refused {
        /// The authority's own words.
        message: String,
        /// Its machine-readable reasons, if any.
        reasons: Vec<String>,
        /// What the token claims.
        claims: Vec<(&'static str, String)>,
    },
    /// A repository that is not public, in a log that everybody reads.
    #[error("the repository is {visibility}, and the certificate would tell everybody its name, commit and workflow")]
    Private {
        /// What the token says: `private` or `internal`.
        visibility: String,
    },
    /// Nobody chose the public instance, and the token does not say that its repository is public.
    #[error("no instance was chosen, and the token does not say that its repository is public")]
    Unstated,
    /// An event in which foreign code decides what runs.
    #[error("tokens of event `{event}` are refused: a stranger's pull request can start it")]
    Event {
        /// The event.
        event: String,
    },
}

/// How a CI's own program failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandFailure {
    /// Not on the search path.
    #[error("it cannot be started")]
    NotStarted,
    /// No end in time.
    #[error("it did not end within {0} s")]
    Timeout(u64),
    /// Another exit code than 0.
    #[error("it ended with code {0}")]
    Exit(i32),
    /// Ended by a signal.
    #[error("it was ended by a signal")]
    Signal,
    /// More output than a token.
    #[error("it printed more than {0} bytes")]
    TooLarge(usize),
}

/// Where a sign-in stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInFailure {
    /// The issuer is no acceptable URL.
    #[error("the identity provider's address is not acceptable")]
    Address,
    /// The provider's discovery document cannot be used.
    #[error("the identity provider's configuration cannot be used: {0}")]
    Discovery(String),
    /// No local port for the answer.
    #[error("no port on loopback can be opened")]
    Listen,
    /// Nobody answered.
    #[error("nobody signed in within {0} s")]
    Timeout(u64),
    /// The provider or the person said no.
    #[error("the identity provider answered `{0}`")]
    Denied(String),
    /// The code was not exchanged for a token.
    #[error("the identity provider gave no token: {0}")]
    Exchange(String),
    /// The token is not signed by the provider or not for this sign-in.
    #[error("the identity provider's token does not hold: {0}")]
    Token(String),
}

impl OidcError {
    /// The catalogue's name; `docs/codes/client.md` has a paragraph for each.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSource => "E-ID-NONE",
            Self::NoPermission => "E-ID-NOPERM",
            Self::Fork => "E-ID-FORK",
            Self::Forgejo => "E-ID-FORGEJO",
            Self::GitLab { .. } => "E-ID-GITLAB",
            Self::Missing { .. } => "E-ID-MISSING",
            Self::Malformed { .. } => "E-ID-MALFORMED",
            Self::Audience { .. } => "E-ID-AUD",
            Self::Expired { .. } => "E-ID-EXPIRED",
            Self::Http { .. } => "E-ID-HTTP",
            Self::Command { .. } => "E-ID-COMMAND",
            Self::SignIn { .. } => "E-ID-SIGNIN",
            Self::Issuer { .. } => "E-CA-ISSUER",
            Self::Claim { .. } => "E-CA-CLAIM",
            Self::Refused { .. } => "E-CA-TOKEN",
            Self::Private { .. } => "E-PRIVATE",
            Self::Unstated => "E-UNSTATED",
            Self::Event { .. } => "E-EVENT",
        }
    }

    /// What to change; several lines where a block is to be pasted.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoSource => "run it in a CI, pass `--identity-token-file`, or run it on a terminal to sign in".into(),
            Self::NoPermission => "add this to the job (and, for a reusable workflow, to the job that calls it):\n  permissions:\n    id-token: write".into(),
            Self::Fork => "publish from a branch or tag of the repository itself".into(),
            Self::Forgejo => "add `enable-openid-connect: true` to the job; it needs Forgejo 15 and a runner above 12.5".into(),
            Self::GitLab { variable, audience } => {
                format!("add this to the job:\n  id_tokens:\n    {variable}:\n      aud: {audience}")
            }
            Self::Missing { missing, .. } => format!("see why `{missing}` is not there for this job"),
            Self::Malformed { .. } => "pass one compact JSON Web Token, nothing around it".into(),
            Self::Audience { expected, .. } => format!("ask for a token with audience `{expected}`"),
            Self::Expired { .. } => "ask for the token right before signing, not before the build".into(),
            Self::Http { cause, .. } if cause.is_unavailable() => "run the job again; nothing was published".into(),
            Self::Http { .. } => "see the job's permissions; the token service refused".into(),
            Self::Command { program, .. } => format!("run `{program}` by hand in the same job to see what it says"),
            Self::SignIn { .. } => "run it again, or pass `--identity-token-file`".into(),
            Self::Issuer { .. } => "choose the instance that knows this issuer with `--trust NAME`, or ask its operator to add it".into(),
            Self::Claim { name } if name.starts_with("ci_config") => {
                "GitLab gives child pipelines and included configurations no such claim: sign in a job of the project's own pipeline".into()
            }
            Self::Claim { .. } => "see `cargo sigstore identity` for what the token says".into(),
            Self::Refused { .. } => "compare the claims with the authority's configuration; the token itself is never shown".into(),
            Self::Private { .. } => "sign with an instance of your own, or accept it with `--allow-private-repository`".into(),
            Self::Unstated => "name the instance: `--trust NAME` for one of your own, `--trust public-good` for everybody's, whose log is public for ever".into(),
            Self::Event { .. } => "publish on `push` of a tag, `release` or `workflow_dispatch`; on GitLab in a pipeline of a tag, or one started by hand".into(),
        }
    }

    /// Refused, configuration, or unavailable.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::NoSource
            | Self::NoPermission
            | Self::Fork
            | Self::Forgejo
            | Self::GitLab { .. }
            | Self::Missing { .. }
            | Self::Malformed { .. }
            | Self::Audience { .. } => Class::Configuration,
            Self::Expired { .. }
            | Self::Issuer { .. }
            | Self::Claim { .. }
            | Self::Refused { .. }
            | Self::Private { .. }
            | Self::Unstated
            | Self::Event { .. } => Class::Refused,
            Self::Http { cause, .. } => cause.class(),
            Self::Command { .. } => Class::Unavailable,
            Self::SignIn { failure } => match failure {
                SignInFailure::Address => Class::Configuration,
                SignInFailure::Denied(_) | SignInFailure::Token(_) => Class::Refused,
                SignInFailure::Discovery(_)
                | SignInFailure::Listen
                | SignInFailure::Timeout(_)
                | SignInFailure::Exchange(_) => Class::Unavailable,
            },
        }
    }
}

fn list(claims: &[(&'static str, String)]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (name, value) in claims {
        let _ = write!(text, "\n  {name} = {value}");
    }
    text
}
