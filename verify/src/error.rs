//! One flat enum of everything that can be refused, each with a stable code.

use crate::UnixTime;

mod hint;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A document is larger than the budget.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What document.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// More items than the budget allows.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What items.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// JSON nested deeper than the budget allows.
    #[error("{what} is nested deeper than {limit} levels")]
    TooDeep {
        /// What document.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Not JSON, or not of the right shape.
    #[error("{what} is not valid JSON of its kind at line {line}, column {column}")]
    Json {
        /// What document.
        what: &'static str,
        /// Line, from 1; 0 when unknown.
        line: usize,
        /// Column.
        column: usize,
    },
    /// A field of a JSON document is missing, of the wrong type or out of range.
    #[error("{what}: field `{field}` is missing or malformed")]
    Field {
        /// What document.
        what: &'static str,
        /// Field, dotted path.
        field: &'static str,
    },
    /// A media type that this reader does not know.
    #[error("{what} has an unknown media type: `{found}`")]
    MediaType {
        /// What document.
        what: &'static str,
        /// What it says, cut at 100 characters.
        found: String,
    },
    /// Not an RFC 3339 instant.
    #[error("not an RFC 3339 time in UTC")]
    Time,
    /// A digest of the wrong length.
    #[error("digest has {found} bytes instead of {expected}")]
    DigestLength {
        /// Length of the algorithm.
        expected: usize,
        /// Length found.
        found: usize,
    },
    /// Not 64 hexadecimal digits.
    #[error("not a SHA-256 digest: expected 64 hexadecimal digits")]
    DigestText,
    /// Not a supported public key.
    #[error("not a supported public key")]
    Key,
    /// A signature does not verify.
    #[error("signature does not verify")]
    Signature,
    /// A Merkle inclusion proof does not hold.
    #[error("inclusion proof does not lead to the root")]
    InclusionProof,
    /// A Merkle consistency proof does not hold.
    #[error("consistency proof does not connect the two trees")]
    ConsistencyProof,
    /// A malformed signed note.
    #[error("malformed signed note")]
    Note,
    /// A malformed checkpoint.
    #[error("malformed checkpoint")]
    Checkpoint,
    /// No signature of the log on its checkpoint.
    #[error("checkpoint carries no valid signature of the log")]
    CheckpointSignature,
    /// Not a tile path.
    #[error("not a tile path")]
    TilePath,
    /// A malformed entry bundle.
    #[error("malformed entry bundle")]
    EntryBundle,
    /// A malformed or unknown log entry body.
    #[error("log entry body is malformed or of an unknown kind")]
    Entry,
    /// A malformed SCT.
    #[error("malformed signed certificate timestamp")]
    Sct,
    /// A malformed certificate.
    #[error("malformed certificate")]
    Certificate,
    /// A certificate extension that cannot be read.
    #[error("certificate extension {oid} is malformed")]
    CertificateExtension {
        /// Dotted OID.
        oid: String,
    },
    /// A certificate outside the leaf profile.
    #[error("certificate does not fit the signing profile: {rule}")]
    CertificateProfile {
        /// The rule broken.
        rule: &'static str,
    },
    /// A malformed statement.
    #[error("malformed in-toto statement")]
    Statement,
    /// A bundle signed by a key where an identity is needed.
    #[error("the bundle was signed by a key, not by an identity")]
    NoIdentity,
    /// A statement with another predicate type than the one asked for.
    #[error("statement has predicate type `{found}`")]
    PredicateType {
        /// What it says, cut at 100 characters.
        found: String,
    },
    /// Provenance of a build type that this reader does not know.
    #[error("provenance has build type `{found}`")]
    BuildType {
        /// What it says, cut at 100 characters.
        found: String,
    },
    /// A trusted root that does not hold together.
    #[error("trusted root: {reason}")]
    TrustedRoot {
        /// What is wrong.
        reason: &'static str,
    },
    /// A malformed token.
    #[error("malformed token")]
    Token,
    /// No key of the issuer fits the token.
    #[error("no key of the issuer fits the token")]
    TokenKey,
    /// A token's signature does not verify.
    #[error("token signature does not verify")]
    TokenSignature,
    /// A token signed by an algorithm that is not allowed.
    #[error("token algorithm is not allowed")]
    TokenAlgorithm,
    /// A policy without identity or issuer.
    #[error("a policy needs an identity and an issuer")]
    EmptyIdentity,
    /// Something stands in a bundle twice.
    #[error("bundle repeats a {what}")]
    Repeated {
        /// What is repeated.
        what: &'static str,
    },
    /// None, or more than one, of alternatives that exclude each other.
    #[error("bundle does not have exactly one {what}")]
    OneOf {
        /// What there must be exactly one of.
        what: &'static str,
    },
    /// A bundle that is not as its version promises.
    #[error("bundle does not fit its version: {rule}")]
    BundleVersion {
        /// The rule broken.
        rule: &'static str,
    },
    /// A certificate path that does not hold.
    #[error("certificate path does not hold: {rule}")]
    CertificateChain {
        /// The rule broken.
        rule: &'static str,
    },
    /// A certificate outside its validity at a time that counts.
    #[error("certificate was not valid at {at}")]
    CertificateTime {
        /// The time that counts.
        at: UnixTime,
    },
    /// No trusted authority issued the certificate.
    #[error("no trusted certificate authority issued the certificate")]
    UnknownAuthority,
    /// A trusted authority issued the certificate, but is not believed for that time.
    #[error("the certificate authority is not believed at {at}")]
    AuthorityTime {
        /// The time that counts.
        at: UnixTime,
    },
    /// No SCT in the certificate.
    #[error("certificate carries no signed certificate timestamp")]
    SctMissing,
    /// An SCT of a log that is not trusted.
    #[error("signed certificate timestamp of an unknown CT log")]
    SctUnknownLog,
    /// An SCT from a time for which its log is not believed.
    #[error("the CT log is not believed at {at}")]
    SctTime {
        /// Time of the SCT.
        at: UnixTime,
    },
    /// An SCT whose signature does not verify.
    #[error("signature of the signed certificate timestamp does not verify")]
    SctSignature,
    /// A malformed or refusing RFC 3161 response.
    #[error("malformed RFC 3161 timestamp: {rule}")]
    Timestamp {
        /// The rule broken.
        rule: &'static str,
    },
    /// A timestamp of other bytes.
    #[error("timestamp does not cover the signature")]
    TimestampImprint,
    /// A timestamp by nobody who is trusted.
    #[error("no trusted timestamp authority made the timestamp")]
    TimestampUnknownAuthority,
    /// A timestamp whose signature does not verify.
    #[error("signature of the timestamp does not verify")]
    TimestampSignature,
    /// A timestamp from a time for which its authority is not believed.
    #[error("the timestamp authority is not believed at {at}")]
    TimestampTime {
        /// Time of the timestamp.
        at: UnixTime,
    },
    /// A trusted time later than now.
    #[error("time {at} lies in the future")]
    FutureTime {
        /// The time.
        at: UnixTime,
    },
    /// Nobody trusted says when.
    #[error("bundle carries no authenticated time")]
    NoTime,
    /// No log entry.
    #[error("bundle carries no log entry")]
    NoLogEntry,
    /// A log entry of a log that is not trusted.
    #[error("log entry of an unknown log")]
    UnknownLog,
    /// A log entry from a time for which its log is not believed.
    #[error("the log is not believed at {at}")]
    LogTime {
        /// The time that counts.
        at: UnixTime,
    },
    /// A log entry without a proof, or without its checkpoint.
    #[error("log entry carries no inclusion proof with a checkpoint")]
    ProofMissing,
    /// A signed entry timestamp that does not verify.
    #[error("signed entry timestamp does not verify")]
    InclusionPromise,
    /// A checkpoint of another log.
    #[error("checkpoint has the origin of another log: `{found}`")]
    CheckpointOrigin {
        /// What it says, cut at 100 characters.
        found: String,
    },
    /// Proof and checkpoint disagree.
    #[error("inclusion proof and checkpoint disagree about {field}")]
    CheckpointMismatch {
        /// What they disagree about.
        field: &'static str,
    },
    /// Log entry and bundle disagree.
    #[error("log entry and bundle disagree about {field}")]
    EntryMismatch {
        /// What they disagree about.
        field: &'static str,
    },
    /// The artifact is another one.
    #[error("artifact is not the one that was signed")]
    ArtifactMismatch,
    /// The artifact's bytes, or a further digest, are needed.
    #[error("the {algorithm} digest of the artifact is needed")]
    DigestNeeded {
        /// Lowercase name of the algorithm.
        algorithm: &'static str,
    },
    /// A signature that covers the artifact's bytes, not a digest of them.
    #[error("the bytes of the artifact are needed")]
    BytesNeeded,
    /// A payload that is no in-toto statement.
    #[error("envelope holds no in-toto statement but `{found}`")]
    PayloadType {
        /// What it says, cut at 100 characters.
        found: String,
    },
    /// No subject of the statement is the artifact.
    #[error("no subject of the statement is the artifact")]
    SubjectMismatch,
    /// The bundle names another key than the policy, or a key where a certificate is demanded, or the reverse.
    #[error("bundle is not signed as the policy demands: {rule}")]
    SignerMismatch {
        /// The rule broken.
        rule: &'static str,
    },
    /// Signed by somebody else.
    #[error("signed by `{found}`, not by `{expected}`")]
    IdentityMismatch {
        /// What the policy demands.
        expected: String,
        /// What the certificate says.
        found: String,
    },
    /// Identity vouched for by another issuer.
    #[error("identity was issued by `{found}`, not by `{expected}`")]
    IssuerMismatch {
        /// What the policy demands.
        expected: String,
        /// What the certificate says.
        found: String,
    },
    /// A claim with another value.
    #[error("claim {claim} is `{found}`, not `{expected}`")]
    ClaimMismatch {
        /// Name of the claim.
        claim: &'static str,
        /// What the policy demands.
        expected: String,
        /// What the certificate says; empty when it says nothing.
        found: String,
    },
    /// A claim with a value that the policy refuses.
    #[error("claim {claim} is `{found}`, which the policy refuses")]
    ClaimDenied {
        /// Name of the claim.
        claim: &'static str,
        /// The refused value.
        found: String,
    },
    /// The artifact is a subject of the statement, under another name.
    #[error("subject is named `{found}`, not `{expected}`")]
    SubjectName {
        /// What the policy demands.
        expected: String,
        /// What the statement says.
        found: String,
    },
    /// A statement of another kind.
    #[error("statement has predicate type `{found}`, not `{expected}`")]
    PredicateTypeMismatch {
        /// What the policy demands.
        expected: String,
        /// What the statement says; empty when there is no statement.
        found: String,
    },
    /// A statement made by another builder.
    #[error("provenance names the builder `{found}`, not `{expected}`")]
    BuilderMismatch {
        /// What the policy demands.
        expected: String,
        /// What the provenance says; empty when it says nothing.
        found: String,
    },
    /// Fewer witnesses of a kind than the policy demands.
    #[error("{found} {what} instead of at least {needed}")]
    Threshold {
        /// What is counted.
        what: &'static str,
        /// How many the policy demands.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A pattern that is not anchored or cannot be read.
    #[error("not an anchored pattern: {rule}")]
    Pattern {
        /// The rule broken.
        rule: &'static str,
    },
}

impl Error {
    /// The stable kebab-case code; `docs/codes.md` has a paragraph for each.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::TooMany { .. } => "too-many",
            Self::TooDeep { .. } => "too-deep",
            Self::Json { .. } => "json",
            Self::Field { .. } => "field",
            Self::MediaType { .. } => "media-type",
            Self::Time => "time",
            Self::DigestLength { .. } => "digest-length",
            Self::DigestText => "digest-text",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::InclusionProof => "inclusion-proof",
            Self::ConsistencyProof => "consistency-proof",
            Self::Note => "note",
            Self::Checkpoint => "checkpoint",
            Self::CheckpointSignature => "checkpoint-signature",
            Self::TilePath => "tile-path",
            Self::EntryBundle => "entry-bundle",
            Self::Entry => "entry",
            Self::Sct => "sct",
            Self::Certificate => "certificate",
            Self::CertificateExtension { .. } => "certificate-extension",
            Self::CertificateProfile { .. } => "certificate-profile",
            Self::Statement => "statement",
            Self::NoIdentity => "no-identity",
            Self::PredicateType { .. } => "predicate-type",
            Self::BuildType { .. } => "build-type",
            Self::TrustedRoot { .. } => "trusted-root",
            Self::Token => "token",
            Self::TokenKey => "token-key",
            Self::TokenSignature => "token-signature",
            Self::TokenAlgorithm => "token-algorithm",
            Self::EmptyIdentity => "empty-identity",
            Self::Repeated { .. } => "repeated",
            Self::OneOf { .. } => "one-of",
            Self::BundleVersion { .. } => "bundle-version",
            Self::CertificateChain { .. } => "certificate-chain",
            Self::CertificateTime { .. } => "certificate-time",
            Self::UnknownAuthority => "unknown-authority",
            Self::AuthorityTime { .. } => "authority-time",
            Self::SctMissing => "sct-missing",
            Self::SctUnknownLog => "sct-unknown-log",
            Self::SctTime { .. } => "sct-time",
            Self::SctSignature => "sct-signature",
            Self::Timestamp { .. } => "timestamp",
            Self::TimestampImprint => "timestamp-imprint",
            Self::TimestampUnknownAuthority => "timestamp-unknown-authority",
            Self::TimestampSignature => "timestamp-signature",
            Self::TimestampTime { .. } => "timestamp-time",
            Self::FutureTime { .. } => "future-time",
            Self::NoTime => "no-time",
            Self::NoLogEntry => "no-log-entry",
            Self::UnknownLog => "unknown-log",
            Self::LogTime { .. } => "log-time",
            Self::ProofMissing => "proof-missing",
            Self::InclusionPromise => "inclusion-promise",
            Self::CheckpointOrigin { .. } => "checkpoint-origin",
            Self::CheckpointMismatch { .. } => "checkpoint-mismatch",
            Self::EntryMismatch { .. } => "entry-mismatch",
            Self::ArtifactMismatch => "artifact-mismatch",
            Self::DigestNeeded { .. } => "digest-needed",
            Self::BytesNeeded => "bytes-needed",
            Self::PayloadType { .. } => "payload-type",
            Self::SubjectMismatch => "subject-mismatch",
            Self::SignerMismatch { .. } => "signer-mismatch",
            Self::IdentityMismatch { .. } => "identity-mismatch",
            Self::IssuerMismatch { .. } => "issuer-mismatch",
            Self::ClaimMismatch { .. } => "claim-mismatch",
            Self::ClaimDenied { .. } => "claim-denied",
            Self::SubjectName { .. } => "subject-name",
            Self::PredicateTypeMismatch { .. } => "predicate-type-mismatch",
            Self::BuilderMismatch { .. } => "builder-mismatch",
            Self::Threshold { .. } => "threshold",
            Self::Pattern { .. } => "pattern",
        }
    }
}

#[cfg(test)]
mod tests {
    /// The codes as they stand in `code()`: what a list kept by hand would miss.
    fn codes() -> Vec<&'static str> {
        let source = include_str!("error.rs");
        let arms = source.lines().filter(|line| line.trim_start().starts_with("Self::"));
        arms.filter_map(|line| line.split_once("=> \"")?.1.split('"').next())
            .collect()
    }

    #[test]
    fn every_code_has_its_paragraph_and_every_paragraph_its_code() {
        let paragraphs = include_str!("../../docs/codes/verify.md");
        let codes = codes();
        assert!(codes.len() > 60, "only {} codes found", codes.len());
        for code in &codes {
            let heading = format!("\n## {code}\n");
            let (_, text) = paragraphs
                .split_once(&heading)
                .unwrap_or_else(|| panic!("no `## {code}`"));
            assert!(
                text.lines().next().is_some_and(|line| line.len() > 20),
                "`## {code}` says nothing"
            );
        }
        let is_code = |heading: &&str| {
            heading
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '-')
        };
        let headings = paragraphs.lines().filter_map(|line| line.strip_prefix("## "));
        for heading in headings.filter(is_code) {
            assert!(codes.contains(&heading), "`{heading}` is no code");
        }
    }

    #[test]
    fn codes_are_unique() {
        let mut codes = codes();
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
