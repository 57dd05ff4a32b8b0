//! One accepted issuer, and the `--issuer` flag that describes one.

use std::{str::FromStr, sync::Arc};

use url::Url;

use super::{configuration::IdentityError, template::Template};

/// An issuer whose tokens buy certificates.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// The exact URL, or a pattern with `*`.
    pub(crate) url: String,
    /// The audience that tokens must name.
    pub(crate) audience: String,
    /// How tokens become identities.
    pub(crate) kind: IssuerKind,
    /// PEM certificates that the issuer's TLS must lead to, instead of the system's.
    pub(crate) ca_cert: Option<String>,
    /// Waives `email_verified`.
    pub(crate) skip_email_verification: bool,
    /// Accepts `http` on a loopback address: for tests and sandboxes.
    pub(crate) allow_loopback_http: bool,
    /// Refuses a second certificate for the same `jti`.
    pub(crate) single_use_tokens: bool,
    /// Most certificates in a minute, over all holders of this issuer's tokens.
    pub(crate) certificates_per_minute: Option<u32>,
}

/// How a token's claims become an identity.
#[derive(Clone, Debug)]
pub(crate) enum IssuerKind {
    /// A CI provider, by templates.
    Ci(Arc<Provider>),
    /// `email` is the identity.
    Email {
        /// Claim path that replaces `iss` in the certificate, as Dex needs.
        issuer_claim: Option<Vec<String>>,
    },
    /// `sub` is a URI below this scheme and host.
    Uri {
        /// Scheme and host.
        subject_domain: Url,
    },
}

/// The compiled templates of a CI provider.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    /// Name in the configuration.
    pub(crate) name: String,
    /// Values for claims that a token does not have; URLs among them cannot be overridden.
    pub(crate) defaults: super::template::Values,
    /// Template of each extension, ascending.
    pub(crate) extensions: Vec<(verify::identity::Claim, Template)>,
    /// Template of the subject alternative name.
    pub(crate) subject_alternative_name: Template,
}

impl Issuer {
    /// The claim that proof of possession signs.
    pub(crate) const fn challenge_claim(&self) -> &'static str {
        match self.kind {
            IssuerKind::Email { .. } => "email",
            IssuerKind::Ci(_) | IssuerKind::Uri { .. } => "sub",
        }
    }

    /// `issuerType` of `/api/v2/configuration`.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self.kind {
            IssuerKind::Ci(_) => "ci-provider",
            IssuerKind::Email { .. } => "email",
            IssuerKind::Uri { .. } => "uri",
        }
    }
}

/// The kinds of issuer that `--issuer` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerType {
    /// GitHub Actions.
    GithubWorkflow,
    /// GitLab CI.
    GitlabPipeline,
    /// Forgejo Actions, Codeberg.
    ForgejoActions,
    /// Buildkite.
    BuildkiteJob,
    /// People, by verified email address.
    Email,
    /// Services, by a URI subject.
    Uri,
}

impl IssuerType {
    /// The name in flags and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GithubWorkflow => "github-workflow",
            Self::GitlabPipeline => "gitlab-pipeline",
            Self::ForgejoActions => "forgejo-actions",
            Self::BuildkiteJob => "buildkite-job",
            Self::Email => "email",
            Self::Uri => "uri",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [
            Self::GithubWorkflow,
            Self::GitlabPipeline,
            Self::ForgejoActions,
            Self::BuildkiteJob,
            Self::Email,
            Self::Uri,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }

    /// What a URL lets one conclude; nothing for a host that nobody knows.
    fn guess(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        if host == "token.actions.githubusercontent.com" || url.path().ends_with("/_services/token") {
            Some(Self::GithubWorkflow)
        } else if url.path().ends_with("/api/actions") {
            Some(Self::ForgejoActions)
        } else if host.starts_with("gitlab.") {
            Some(Self::GitlabPipeline)
        } else if host == "agent.buildkite.com" {
            Some(Self::BuildkiteJob)
        } else {
            None
        }
    }
}

/// An issuer as `--issuer URL[,type=…][,url=…][,subject-domain=…]` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSpec {
    /// The issuer, exactly as tokens spell it in `iss`.
    pub url: String,
    /// Its kind.
    pub kind: IssuerType,
    /// Base of the provider's own URLs (`https://github.example.com`), where it differs from the public one.
    pub base_url: Option<String>,
    /// Scheme and host of `uri` subjects.
    pub subject_domain: Option<String>,
}

impl IssuerSpec {
    /// Whether the issuer speaks plain `http`, which only loopback may.
    #[must_use]
    pub fn is_loopback_http(&self) -> bool {
        Url::parse(&self.url).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url))
    }
}

/// `URL[,type=…][,url=…][,subject-domain=…]`; the type may be left out for URLs that tell it.
impl FromStr for IssuerSpec {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let mut fields = text.split(',');
        let url = fields.next().unwrap_or_default().trim().to_owned();
        let malformed = |reason| IdentityError::Flag { reason };
        let parsed = issuer_url(&url, true)?;
        let (mut kind, mut base_url, mut subject_domain) = (None, None, None);
        for field in fields {
            let (key, value) = field
                .split_once('=')
                .ok_or(malformed("expected `key=value` after a comma"))?;
            match key.trim() {
                "type" => kind = Some(IssuerType::from_name(value).ok_or(malformed("unknown `type`"))?),
                "url" => base_url = Some(value.trim_end_matches('/').to_owned()),
                "subject-domain" => subject_domain = Some(value.to_owned()),
                _ => return Err(malformed("known keys: type, url, subject-domain")),
            }
        }
        let kind = kind
            .or_else(|| IssuerType::guess(&parsed))
            .ok_or(malformed("say which kind it is with `,type=…`"))?;
        if kind == IssuerType::Uri && subject_domain.is_none() {
            return Err(malformed("type `uri` needs `,subject-domain=…`"));
        }
        Ok(Self {
            url,
            kind,
            base_url,
            subject_domain,
        })
    }
}

/// Parses an issuer URL: absolute `https` without credentials, query or fragment; `http` on loopback where allowed.
pub(crate) fn issuer_url(text: &str, allow_loopback_http: bool) -> Result<Url, IdentityError> {
    let refused = || IdentityError::IssuerUrl {
        found: text.chars().take(200).collect(),
    };
    let url = Url::parse(text).map_err(|_| refused())?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let transport = url.scheme() == "https" || (allow_loopback_http && url.scheme() == "http" && is_loopback(&url));
    if plain && transport && url.host().is_some() {
        Ok(url)
    } else {
        Err(refused())
    }
}

/// Whether the host is a loopback address or `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(domain)) => domain == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_host_tells_its_type() {
        let spec: IssuerSpec = "https://codeberg.org/api/actions".parse().unwrap();
        assert_eq!(spec.kind, IssuerType::ForgejoActions);
        let spec: IssuerSpec = "https://gitlab.example.com".parse().unwrap();
        assert_eq!(spec.kind, IssuerType::GitlabPipeline);
    }

    #[test]
    fn every_field_is_read() {
        let text = "http://127.0.0.1:9/x,type=uri,url=https://h/,subject-domain=https://example.com";
        let spec: IssuerSpec = text.parse().unwrap();
        assert_eq!(spec.kind, IssuerType::Uri);
        assert_eq!(spec.base_url.as_deref(), Some("https://h"));
        assert_eq!(spec.subject_domain.as_deref(), Some("https://example.com"));
        assert!(spec.is_loopback_http());
    }

    #[test]
    fn an_unknown_host_needs_a_type() {
        assert!("https://ci.example.com,type=email".parse::<IssuerSpec>().is_ok());
        let refused = "https://ci.example.com".parse::<IssuerSpec>();
        assert!(matches!(refused, Err(IdentityError::Flag { .. })));
    }

    #[test]
    fn plain_http_beyond_loopback_is_refused() {
        assert!("http://localhost:1,type=email".parse::<IssuerSpec>().is_ok());
        for url in [
            "http://example.com",
            "ftp://127.0.0.1",
            "https://u:p@h",
            "https://h?q",
            "nonsense",
        ] {
            let refused = format!("{url},type=email").parse::<IssuerSpec>();
            assert!(matches!(refused, Err(IdentityError::IssuerUrl { .. })), "{url}");
        }
    }
}
