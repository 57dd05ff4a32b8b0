//! One flat enum of everything that can be refused, each with a stable code.

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
        }
    }
}
