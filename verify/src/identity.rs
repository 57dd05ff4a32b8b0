//! Who signed: the identity of a Fulcio certificate, shared by what renders, predicts and checks it.

use der::{Decode as _, asn1::Utf8StringRef};

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
    #[allow(clippy::as_conversions, reason = "the discriminant is the number, and `repr(u8)`")]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in Fulcio's configuration and in our flags and JSON: `source-repository-uri`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeprecatedIssuer => "deprecated-issuer",
            Self::GithubWorkflowTrigger => "github-workflow-trigger",
            Self::GithubWorkflowSha => "github-workflow-sha",
            Self::GithubWorkflowName => "github-workflow-name",
            Self::GithubWorkflowRepository => "github-workflow-repository",
            Self::GithubWorkflowRef => "github-workflow-ref",
            Self::Issuer => "issuer",
            Self::BuildSignerUri => "build-signer-uri",
            Self::BuildSignerDigest => "build-signer-digest",
            Self::RunnerEnvironment => "runner-environment",
            Self::SourceRepositoryUri => "source-repository-uri",
            Self::SourceRepositoryDigest => "source-repository-digest",
            Self::SourceRepositoryRef => "source-repository-ref",
            Self::SourceRepositoryIdentifier => "source-repository-identifier",
            Self::SourceRepositoryOwnerUri => "source-repository-owner-uri",
            Self::SourceRepositoryOwnerIdentifier => "source-repository-owner-identifier",
            Self::BuildConfigUri => "build-config-uri",
            Self::BuildConfigDigest => "build-config-digest",
            Self::BuildTrigger => "build-trigger",
            Self::RunInvocationUri => "run-invocation-uri",
            Self::SourceRepositoryVisibility => "source-repository-visibility-at-signing",
            Self::DeploymentEnvironment => "deployment-environment",
            Self::TokenSubject => "token-subject",
        }
    }

    /// The claim of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.name() == name)
    }

    /// The claim in the extension with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.number() == number)
    }

    /// The extension's OID, dotted.
    #[must_use]
    pub fn oid(self) -> String {
        format!("1.3.6.1.4.1.57264.1.{}", self.number())
    }

    /// Whether the extension value is the bare string (1 to 6) instead of a DER `UTF8String`.
    #[must_use]
    pub const fn is_raw(self) -> bool {
        self.number() <= LAST_RAW
    }

    /// The extension value: what stands inside `extnValue`'s OCTET STRING.
    #[must_use]
    pub fn encode(self, value: &str) -> Vec<u8> {
        if self.is_raw() {
            return value.as_bytes().to_vec();
        }
        let mut der = vec![UTF8_STRING];
        if let Ok(short @ 0..0x80) = u8::try_from(value.len()) {
            der.push(short);
        } else {
            let length = value.len().to_be_bytes();
            let zeros = length.iter().take_while(|byte| **byte == 0).count();
            let significant = length.len().saturating_sub(zeros);
            der.push(0x80 | u8::try_from(significant).unwrap_or(0));
            der.extend(length.iter().skip(zeros));
        }
        der.extend_from_slice(value.as_bytes());
        der
    }

    /// Reads an extension value.
    ///
    /// # Errors
    /// [`Error::CertificateExtension`] when it is not UTF-8, not a `UTF8String`, or bytes trail.
    pub fn decode(self, value: &[u8]) -> Result<String, Error> {
        let text = if self.is_raw() {
            std::str::from_utf8(value).ok()
        } else {
            Utf8StringRef::from_der(value).ok().map(|text| text.as_str())
        };
        text.map(str::to_owned)
            .ok_or_else(|| Error::CertificateExtension { oid: self.oid() })
    }
}

/// The name, as in flags and reports.
impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
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

/// Up to this number the value stands in the extension without DER around it [fulcio oid-info].
const LAST_RAW: u8 = 6;
/// Tag of `UTF8String` [X.680 §8.6].
const UTF8_STRING: u8 = 0x0c;

#[cfg(test)]
mod tests {
    use super::*;
    use der::Encode as _;
    use proptest::prelude::*;

    #[test]
    fn claims_are_numbered_1_to_24_without_7() {
        let numbers: Vec<u8> = Claim::ALL.into_iter().map(Claim::number).collect();
        let expected: Vec<u8> = (1..=24).filter(|number| *number != 7).collect();
        assert_eq!(numbers, expected);
        for claim in Claim::ALL {
            assert_eq!(Claim::from_number(claim.number()), Some(claim));
            assert_eq!(Claim::from_name(claim.name()), Some(claim));
        }
        assert_eq!(Claim::from_number(7), None);
        assert_eq!(Claim::from_name("issuer "), None);
    }

    #[test]
    fn the_first_six_are_bare_strings() {
        let raw: Vec<u8> = Claim::ALL
            .into_iter()
            .filter(|claim| claim.is_raw())
            .map(Claim::number)
            .collect();
        assert_eq!(raw, [1, 2, 3, 4, 5, 6]);
        assert_eq!(Claim::GithubWorkflowRef.encode("refs/heads/main"), b"refs/heads/main");
        assert_eq!(Claim::Issuer.encode("ab"), [0x0c, 2, b'a', b'b']);
    }

    #[test]
    fn a_claim_that_is_no_utf8_is_refused() {
        for claim in Claim::ALL {
            let mut value = claim.encode("ab");
            assert_eq!(claim.decode(&value), Ok("ab".to_owned()));
            *value.last_mut().unwrap() = 0xff;
            assert_eq!(
                claim.decode(&value),
                Err(Error::CertificateExtension { oid: claim.oid() })
            );
        }
    }

    #[test]
    fn another_string_type_a_loose_length_and_trailing_bytes_are_refused() {
        assert!(Claim::Issuer.decode(&[0x0c, 1, b'a']).is_ok());
        let ia5_string = [0x16, 1, b'a'];
        let long_length = [0x0c, 0x81, 1, b'a'];
        let indefinite = [0x0c, 0x80, b'a', 0, 0];
        let trailing = [0x0c, 1, b'a', 0];
        let short = [0x0c, 2, b'a'];
        for value in [&ia5_string[..], &long_length, &indefinite, &trailing, &short, &[]] {
            assert!(Claim::Issuer.decode(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn the_issuer_is_extension_8_before_1() {
        let mut identity = WorkloadIdentity {
            san: SubjectAlternativeName::Email("a@example.com".to_owned()),
            claims: std::collections::BTreeMap::new(),
        };
        assert_eq!(identity.issuer(), "");
        identity.claims.insert(Claim::DeprecatedIssuer, "old".to_owned());
        assert_eq!(identity.issuer(), "old");
        identity.claims.insert(Claim::Issuer, "new".to_owned());
        assert_eq!(identity.issuer(), "new");
    }

    proptest! {
        #[test]
        fn a_value_prints_back(text in ".{0,400}", position in 0_usize..23) {
            let claim = Claim::ALL[position];
            let value = claim.encode(&text);
            prop_assert_eq!(claim.decode(&value), Ok(text.clone()));
            if !claim.is_raw() {
                prop_assert_eq!(value, text.to_der().unwrap());
            }
        }
    }
}
