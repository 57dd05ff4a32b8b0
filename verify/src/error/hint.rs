//! What to try after a refusal: one sentence for each kind.

use super::Error;

impl Error {
    /// What the reader may try; a sentence without a final period. `docs/codes/verify.md` says more.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::TooDeep { .. } => {
                "check that this is the right file; honest ones are far smaller"
            }
            Self::Json { .. } | Self::Field { .. } | Self::Time | Self::DigestLength { .. } => {
                "fetch the file again, from its source"
            }
            Self::MediaType { .. } => {
                "check that this is the right file; a newer kind needs a newer version of this tool"
            }
            Self::DigestText => "write 64 hexadecimal digits, with or without `sha256:`",
            Self::Key => "use ECDSA P-256, P-384 or P-521, Ed25519, or RSA from 2048 bits",
            Self::Repeated { .. } | Self::OneOf { .. } | Self::BundleVersion { .. } => {
                "no signing client makes such a bundle; fetch it again, or sign again"
            }
            Self::Signature | Self::ArtifactMismatch | Self::SubjectMismatch | Self::EntryMismatch { .. } => {
                "fetch artifact and bundle again; if they still differ, do not use the artifact"
            }
            Self::DigestNeeded { .. } | Self::BytesNeeded => "give the file itself instead of its digest",
            Self::UnknownAuthority
            | Self::SctUnknownLog
            | Self::UnknownLog
            | Self::TimestampUnknownAuthority
            | Self::AuthorityTime { .. }
            | Self::SctTime { .. }
            | Self::TimestampTime { .. }
            | Self::LogTime { .. } => "use the trust root of the instance that signed, and update it: `--trust NAME`",
            Self::CertificateTime { .. } => "sign again: a certificate is good for ten minutes",
            Self::FutureTime { .. } => "check this machine's clock",
            Self::SctMissing | Self::NoLogEntry | Self::NoTime | Self::ProofMissing => {
                "sign again with a log, a CT log and a timestamp authority"
            }
            Self::IdentityMismatch { .. } | Self::IssuerMismatch { .. } => {
                "if this signer is the right one, name it as the expected identity"
            }
            Self::SignerMismatch { .. } => {
                "expect a key (`--key PEM`) of what a key signed, an identity of what bears a certificate"
            }
            Self::ClaimMismatch { .. }
            | Self::ClaimDenied { .. }
            | Self::SubjectName { .. }
            | Self::PredicateTypeMismatch { .. }
            | Self::BuilderMismatch { .. }
            | Self::Threshold { .. } => "if this is what you want to accept, say so in the policy",
            Self::EmptyIdentity => "name both identity and issuer",
            Self::Pattern { .. } => "write scheme, host and the first part of the path before any `*`",
            Self::TrustedRoot { .. } | Self::CertificateChain { .. } => {
                "fetch the trusted root again, or tell its operator"
            }
            Self::TokenKey | Self::TokenSignature | Self::TokenAlgorithm | Self::Token => {
                "get a new token from its issuer"
            }
            Self::NoIdentity
            | Self::PredicateType { .. }
            | Self::BuildType { .. }
            | Self::PayloadType { .. }
            | Self::Statement => "check that this is the right kind of attestation",
            Self::Certificate
            | Self::CertificateExtension { .. }
            | Self::CertificateProfile { .. }
            | Self::Sct
            | Self::SctSignature => "only certificates of a signing authority are accepted; sign again",
            Self::Timestamp { .. } | Self::TimestampImprint | Self::TimestampSignature => {
                "only tokens of a timestamp authority over this signature are accepted; sign again"
            }
            Self::InclusionProof
            | Self::ConsistencyProof
            | Self::InclusionPromise
            | Self::Note
            | Self::Checkpoint
            | Self::CheckpointSignature
            | Self::CheckpointOrigin { .. }
            | Self::CheckpointMismatch { .. }
            | Self::TilePath
            | Self::EntryBundle
            | Self::Entry => "fetch the bundle again; if it stays so, keep it and tell the log's operator",
        }
    }
}
