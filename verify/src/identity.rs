//! Who signed: the identity of a Fulcio certificate, shared by what renders, predicts and checks it.

use crate::Error;

/// A claim in a certificate extension, OID 1.3.6.1.4.1.57264.1.N [fulcio oid-info]. The discriminant is N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Claim {
    /// Issuer, deprecated form of [`Claim::Issuer`].
    DeprecatedIssuer = 1,
    /// Deprecated GitHub workflow trigger.
    GithubWorkflowTrigger = 2,
    /// Deprecated GitHub workflow SHA.
    GithubWorkflowSha = 3,
    /// Deprecated GitHub workflow name.
    GithubWorkflowName = 4,
    /// Deprecated GitHub workflow repository.
    GithubWorkflowRepository = 5,
    /// Deprecated GitHub workflow ref.
    GithubWorkflowRef = 6,
    /// OIDC issuer.
    Issuer = 8,
    /// Workflow that ran.
    BuildSignerUri = 9,
    /// Its commit.
    BuildSignerDigest = 10,
    /// Hosted or self-hosted.
    RunnerEnvironment = 11,
    /// Source repository.
    SourceRepositoryUri = 12,
    /// Source commit.
    SourceRepositoryDigest = 13,
    /// Source ref.
    SourceRepositoryRef = 14,
    /// Immutable repository id.
    SourceRepositoryIdentifier = 15,
    /// Repository owner.
    SourceRepositoryOwnerUri = 16,
    /// Immutable owner id.
    SourceRepositoryOwnerIdentifier = 17,
    /// Top-level build configuration.
    BuildConfigUri = 18,
    /// Its commit.
    BuildConfigDigest = 19,
    /// Event that started the build.
    BuildTrigger = 20,
    /// The run.
    RunInvocationUri = 21,
    /// Public or private when signed.
    SourceRepositoryVisibility = 22,
    /// Deployment environment.
    DeploymentEnvironment = 23,
    /// Token subject.
    TokenSubject = 24,
}

impl Claim {
    /// Every claim, ascending.
    pub const ALL: [Self; 23] = [
        Self::DeprecatedIssuer,
        Self::GithubWorkflowTrigger,
        Self::GithubWorkflowSha,
        Self::GithubWorkflowName,
        Self::GithubWorkflowRepository,
        Self::GithubWorkflowRef,
        Self::Issuer,
        Self::BuildSignerUri,
        Self::BuildSignerDigest,
        Self::RunnerEnvironment,
        Self::SourceRepositoryUri,
        Self::SourceRepositoryDigest,
        Self::SourceRepositoryRef,
        Self::SourceRepositoryIdentifier,
        Self::SourceRepositoryOwnerUri,
        Self::SourceRepositoryOwnerIdentifier,
        Self::BuildConfigUri,
        Self::BuildConfigDigest,
        Self::BuildTrigger,
        Self::RunInvocationUri,
        Self::SourceRepositoryVisibility,
        Self::DeploymentEnvironment,
        Self::TokenSubject,
    ];
    /// The last arc of the OID, 1 to 24.
    #[must_use]
    pub const fn number(self) -> u8 {
        todo!()
    }
    /// The name in Fulcio's configuration and in our flags and JSON: `source-repository-uri`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        todo!()
    }
    /// The claim of this name.
    #[must_use]
    pub fn from_name(_name: &str) -> Option<Self> {
        todo!()
    }
    /// Whether the extension value is the bare string (1 to 6) instead of a DER `UTF8String`.
    #[must_use]
    pub const fn is_raw(self) -> bool {
        todo!()
    }
    /// The extension value: what stands inside `extnValue`'s OCTET STRING.
    #[must_use]
    pub fn encode(self, _value: &str) -> Vec<u8> {
        todo!()
    }
    /// Reads an extension value.
    ///
    /// # Errors
    /// [`Error::CertificateExtension`] when it is not UTF-8, not a `UTF8String`, or bytes trail.
    pub fn decode(self, _value: &[u8]) -> Result<String, Error> {
        todo!()
    }
}

/// The one subject alternative name of a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubjectAlternativeName {
    /// `uniformResourceIdentifier`: workflows, SPIFFE ids, URIs.
    Uri(String),
    /// `rfc822Name`.
    Email(String),
    /// `otherName` 1.3.6.1.4.1.57264.1.7: `user!domain`.
    Username(String),
}

impl SubjectAlternativeName {
    /// The text that policies compare.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Uri(text) | Self::Email(text) | Self::Username(text) => text,
        }
    }
}

/// Issuer, subject alternative name and up to 23 claims: what a certificate says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadIdentity {
    /// The subject alternative name.
    pub san: SubjectAlternativeName,
    /// Claim values; never empty strings.
    pub claims: std::collections::BTreeMap<Claim, String>,
}

impl WorkloadIdentity {
    /// The claim's value.
    #[must_use]
    pub fn claim(&self, claim: Claim) -> Option<&str> {
        self.claims.get(&claim).map(String::as_str)
    }
    /// The issuer: extension 8, else 1; empty when there is neither.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claim(Claim::Issuer)
            .or_else(|| self.claim(Claim::DeprecatedIssuer))
            .unwrap_or_default()
    }
}
