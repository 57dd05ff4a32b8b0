//! Everything that can go wrong between us and a service, each with a stable code.
//!
//! Two questions matter to a caller: did we look and refuse, or could we not look ([`Class`])? And which service is at
//! fault ([`Service`])? A service that lies has a code of its own for each lie.

use crate::oidc::OidcError;

/// A service that a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// Issues signing certificates (Fulcio's API).
    CertificateAuthority,
    /// The signature log (Rekor's v2 API, C2SP tiles).
    SignatureLog,
    /// RFC 3161.
    TimestampAuthority,
    /// Keeps bundles by digest.
    AttestationStore,
    /// An OpenID Connect provider.
    IdentityProvider,
    /// The endpoint of a CI that mints tokens for jobs.
    CiTokenService,
    /// A cargo registry.
    Registry,
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CertificateAuthority => "certificate authority",
            Self::SignatureLog => "signature log",
            Self::TimestampAuthority => "timestamp authority",
            Self::AttestationStore => "attestation store",
            Self::IdentityProvider => "identity provider",
            Self::CiTokenService => "token service of the CI",
            Self::Registry => "registry",
        })
    }
}

/// What kind of failure this is: what a caller's exit code should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// We looked, and what we saw is not acceptable: 1.
    Refused,
    /// The request was not well posed: 2.
    Configuration,
    /// We could not look: 3.
    Unavailable,
    /// Our bug: 70.
    Internal,
}

impl Class {
    /// The exit code of every binary of this suite.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Configuration => 2,
            Self::Unavailable => 3,
            Self::Internal => 70,
        }
    }
}

/// Why a service could not be used or was not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL that is none, or plain `http` where only `https` will do.
    #[error("{service}: not an acceptable URL: `{url}`")]
    Url {
        /// Whose URL.
        service: Service,
        /// The URL as given, without user information.
        url: String,
    },
    /// Additional TLS roots that are not PEM certificates, or no TLS client can be made of them.
    #[error("additional TLS root certificates cannot be used")]
    TlsRoots,
    /// No whole answer in time, after every try.
    #[error("{service} did not answer within {seconds} s: {url}")]
    Timeout {
        /// Who.
        service: Service,
        /// Where.
        url: String,
        /// Time limit of one try.
        seconds: u64,
    },
    /// No connection, after every try.
    #[error("cannot connect to the {service} at {url}: {cause}")]
    Connect {
        /// Who.
        service: Service,
        /// Where.
        url: String,
        /// What the network or TLS library says.
        cause: String,
    },
    /// The connection broke in the middle of an answer, after every try.
    #[error("connection to the {service} at {url} broke: {cause}")]
    Transport {
        /// Who.
        service: Service,
        /// Where.
        url: String,
        /// What the network library says.
        cause: String,
    },
    /// 408, 429 or 5xx, after every try.
    #[error("{service} cannot answer now: {url} says {status} {message}")]
    Busy {
        /// Who.
        service: Service,
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
        /// The service's own words, cut and without control characters.
        message: String,
    },
    /// Any other status than the expected one.
    #[error("{service} refused the request: {url} says {status} {message}")]
    Status {
        /// Who.
        service: Service,
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
        /// The service's own words, cut and without control characters.
        message: String,
        /// Machine-readable reasons the service gave in `details`.
        reasons: Vec<String>,
    },
    /// A redirect where none is allowed.
    #[error("{service} redirects from {url} where no redirect is allowed")]
    Redirect {
        /// Who.
        service: Service,
        /// Where.
        url: String,
    },
    /// An answer beyond the limit.
    #[error("{service} answers with more than {limit} bytes: {url}")]
    AnswerTooLarge {
        /// Who.
        service: Service,
        /// Where.
        url: String,
        /// Limit in bytes.
        limit: usize,
    },
    /// An answer that is not what the service's specification says.
    #[error("{service} gave a malformed answer: {source}")]
    Answer {
        /// Who.
        service: Service,
        /// What is wrong with it.
        source: verify::Error,
    },
    /// The trust configuration names no usable service of this kind.
    #[error("the trust configuration names no usable {service}")]
    NoService {
        /// Which kind.
        service: Service,
    },
    /// The trusted root in the configuration does not hold together.
    #[error("the trusted root cannot be used: {0}")]
    TrustedRoot(#[source] verify::Error),
    /// No token, or one that will not do.
    #[error(transparent)]
    Identity(#[from] OidcError),
    /// The certificate is for a key that is not ours.
    #[error("the certificate authority certified another key than the one we sent")]
    CaWrongKey,
    /// The certificate does not chain to the trusted root.
    #[error("the issued certificate is not of the trusted root: {0}")]
    CaUntrusted(#[source] verify::Error),
    /// The certificate carries no SCT, or none that holds.
    #[error("the issued certificate has no valid signed certificate timestamp: {0}")]
    CaSct(#[source] verify::Error),
    /// The certificate breaks the signing profile.
    #[error("the issued certificate does not fit the signing profile: {0}")]
    CaProfile(#[source] verify::Error),
    /// The certificate speaks of somebody else than the token.
    #[error("the certificate says {what} is `{found}`, the token says `{expected}`")]
    CaWrongIdentity {
        /// Name of the claim, or `subject alternative name`.
        what: &'static str,
        /// In the certificate; empty when absent.
        found: String,
        /// Predicted from the token; empty when it should be absent.
        expected: String,
    },
    /// The signing certificate has run out, or runs out before a service could answer.
    #[error("the signing certificate ran out at {at}")]
    CertificateExpired {
        /// `notAfter`.
        at: verify::UnixTime,
    },
    /// The log entry is of another kind or body than what was sent.
    #[error("the signature log logged something else than what was sent")]
    LogWrongEntry,
    /// The log entry names a log the trusted root does not know.
    #[error("the signature log answered as log {log_id}, which the trusted root does not know")]
    LogUnknown {
        /// Hexadecimal log id.
        log_id: String,
    },
    /// The inclusion proof does not hold.
    #[error("the signature log's inclusion proof does not hold: {0}")]
    LogProof(#[source] verify::Error),
    /// The checkpoint is not signed by the log, or is of another tree than the proof.
    #[error("the signature log's checkpoint does not hold: {0}")]
    LogCheckpoint(#[source] verify::Error),
    /// The timestamp is over other bytes.
    #[error("the timestamp is over another digest than the one sent")]
    TsaWrongImprint,
    /// The timestamp echoes another nonce: an old answer played again.
    #[error("the timestamp does not echo the nonce of the request")]
    TsaWrongNonce,
    /// The timestamp is not signed by an authority of the trusted root, or is malformed.
    #[error("the timestamp does not hold: {0}")]
    TsaToken(#[source] verify::Error),
    /// The finished bundle does not verify.
    #[error("the finished bundle does not verify: {0}")]
    Bundle(#[source] verify::Error),
    /// The attestation store answered about something else.
    #[error("the attestation store answered about another digest or bundle than the one sent")]
    StoreWrongAnswer,
    /// The statement is not one, or does not speak of the artifact.
    #[error("cannot sign this statement: {0}")]
    Statement(#[source] verify::Error),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl Error {
    /// The stable code; `docs/codes/client.md` has a paragraph for each.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "service-url",
            Self::TlsRoots => "service-tls-roots",
            Self::Timeout { .. } => "service-timeout",
            Self::Connect { .. } => "service-connect",
            Self::Transport { .. } => "service-transport",
            Self::Busy { .. } => "service-busy",
            Self::Status { .. } => "service-status",
            Self::Redirect { .. } => "service-redirect",
            Self::AnswerTooLarge { .. } => "answer-too-large",
            Self::Answer { .. } => "answer-malformed",
            Self::NoService { .. } => "no-service",
            Self::TrustedRoot(_) => "trusted-root-unusable",
            Self::Identity(error) => error.code(),
            Self::CaWrongKey => "ca-wrong-key",
            Self::CaUntrusted(_) => "ca-untrusted",
            Self::CaSct(_) => "ca-sct",
            Self::CaProfile(_) => "ca-profile",
            Self::CaWrongIdentity { .. } => "ca-wrong-identity",
            Self::CertificateExpired { .. } => "signing-certificate-expired",
            Self::LogWrongEntry => "log-wrong-entry",
            Self::LogUnknown { .. } => "log-unknown",
            Self::LogProof(_) => "log-proof",
            Self::LogCheckpoint(_) => "log-checkpoint",
            Self::TsaWrongImprint => "tsa-wrong-imprint",
            Self::TsaWrongNonce => "tsa-wrong-nonce",
            Self::TsaToken(_) => "tsa-token",
            Self::Bundle(_) => "own-bundle",
            Self::StoreWrongAnswer => "store-wrong-answer",
            Self::Statement(_) => "own-statement",
            Self::Random => "random",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Url { .. } => "write an absolute https URL; plain http is accepted only on loopback or inside a trust configuration".into(),
            Self::TlsRoots => "give PEM files with one or more `CERTIFICATE` blocks".into(),
            Self::Timeout { .. } | Self::Transport { .. } | Self::Busy { .. } => {
                "try again later; nothing was published".into()
            }
            Self::Connect { .. } => "check the address, the network and, for a private instance, its TLS root".into(),
            Self::Status { service: Service::CertificateAuthority, .. } => {
                "run `cargo sigstore identity` to see what the token says".into()
            }
            Self::Status { .. } => "the service's own words say what to change".into(),
            Self::Redirect { .. } => "write the final URL into the trust configuration".into(),
            Self::NoService { .. } => {
                "run `cargo sigstore trust update`, or name an instance with `--trust NAME`".into()
            }
            Self::TrustedRoot(_) => "run `cargo sigstore trust update`".into(),
            Self::Identity(error) => error.hint(),
            Self::CertificateExpired { .. } => "ask for a new certificate; one lasts ten minutes".into(),
            Self::Statement(_) => "check subject and digest of the statement".into(),
            Self::Random => "see why the operating system's random source fails".into(),
            Self::Bundle(_) => "nothing was published; report this with the code".into(),
            Self::AnswerTooLarge { .. }
            | Self::Answer { .. }
            | Self::CaWrongKey
            | Self::CaUntrusted(_)
            | Self::CaSct(_)
            | Self::CaProfile(_)
            | Self::CaWrongIdentity { .. }
            | Self::LogWrongEntry
            | Self::LogUnknown { .. }
            | Self::LogProof(_)
            | Self::LogCheckpoint(_)
            | Self::TsaWrongImprint
            | Self::TsaWrongNonce
            | Self::TsaToken(_)
            | Self::StoreWrongAnswer => {
                "nothing was published; the service is faulty, dishonest, or not the one of this trusted root: run `cargo sigstore trust update`, then tell its operator".into()
            }
        }
    }

    /// Refused, configuration, unavailable or our bug.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Timeout { .. } | Self::Connect { .. } | Self::Transport { .. } | Self::Busy { .. } | Self::Random => {
                Class::Unavailable
            }
            Self::Url { .. } | Self::TlsRoots | Self::NoService { .. } | Self::TrustedRoot(_) | Self::Statement(_) => {
                Class::Configuration
            }
            Self::Identity(error) => error.class(),
            Self::Bundle(_) => Class::Internal,
            Self::Status { .. }
            | Self::Redirect { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Answer { .. }
            | Self::CaWrongKey
            | Self::CaUntrusted(_)
            | Self::CaSct(_)
            | Self::CaProfile(_)
            | Self::CaWrongIdentity { .. }
            | Self::CertificateExpired { .. }
            | Self::LogWrongEntry
            | Self::LogUnknown { .. }
            | Self::LogProof(_)
            | Self::LogCheckpoint(_)
            | Self::TsaWrongImprint
            | Self::TsaWrongNonce
            | Self::TsaToken(_)
            | Self::StoreWrongAnswer => Class::Refused,
        }
    }

    /// Whether we could not look, as opposed to looked and refused.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self.class(), Class::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    /// Codes in a `fn code` of this crate's own source: what stands between `=> "` and `"`.
    fn codes(source: &str) -> Vec<&str> {
        let start = source.find("pub const fn code(&self)").unwrap();
        let body = &source[start..];
        let end = body.find("\n    }\n").unwrap();
        body[..end]
            .split("=> \"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect()
    }

    #[test]
    fn every_code_has_its_paragraph() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/codes/client.md");
        let page = std::fs::read_to_string(path).unwrap();
        let mut all = codes(include_str!("error.rs"));
        all.extend(codes(include_str!("oidc/refusal.rs")));
        assert!(all.len() > 40, "found only {all:?}");
        for code in &all {
            assert!(
                page.contains(&format!("\n## {code}\n")),
                "docs/codes/client.md lacks `## {code}`"
            );
        }
        for heading in page.lines().filter_map(|line| line.strip_prefix("## ")) {
            assert!(
                all.contains(&heading),
                "docs/codes/client.md explains `{heading}`, which nothing says"
            );
        }
    }
}
