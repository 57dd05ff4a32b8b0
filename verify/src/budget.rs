//! The bound on every cost that foreign bytes can drive.

/// Limits on size, count and depth, checked before the bytes they bound are parsed.
///
/// The fields are plain numbers so that a caller can tighten one: `Budget { bundle_bytes: 1 << 20, ..Budget::default() }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Largest bundle, in bytes of JSON.
    pub bundle_bytes: usize,
    /// Largest DSSE payload, in bytes after base64.
    pub payload_bytes: usize,
    /// Largest trusted root, signing configuration or trust configuration, in bytes of JSON.
    pub trust_bytes: usize,
    /// Most log entries in a bundle.
    pub log_entries: usize,
    /// Most RFC 3161 timestamps in a bundle.
    pub timestamps: usize,
    /// Largest RFC 3161 response, in bytes of DER.
    pub timestamp_bytes: usize,
    /// Most certificates in a chain, the leaf included.
    pub chain_certificates: usize,
    /// Largest certificate, in bytes of DER.
    pub certificate_bytes: usize,
    /// Most SCTs in a certificate.
    pub scts: usize,
    /// Most hashes in an inclusion or consistency proof: the height of a tree of 2^64 leaves.
    pub proof_hashes: usize,
    /// Largest canonicalized log entry: the u16 length prefix of a C2SP entry bundle.
    pub entry_bytes: usize,
    /// Largest signed note or checkpoint, in bytes.
    pub note_bytes: usize,
    /// Most signature lines in a signed note.
    pub note_signatures: usize,
    /// Most signatures in a DSSE envelope.
    pub envelope_signatures: usize,
    /// Most subjects in a statement.
    pub subjects: usize,
    /// Most logs or authorities of one kind in a trusted root.
    pub trust_entries: usize,
    /// Deepest nesting of JSON arrays and objects.
    pub json_depth: usize,
    /// Largest OIDC token, in bytes.
    pub token_bytes: usize,
    /// Most keys in a JSON Web Key Set.
    pub jwks_keys: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bundle_bytes: 24 << 20,
            payload_bytes: 16 << 20,
            trust_bytes: 4 << 20,
            log_entries: 32,
            timestamps: 32,
            timestamp_bytes: 64 << 10,
            chain_certificates: 10,
            certificate_bytes: 64 << 10,
            scts: 16,
            proof_hashes: 64,
            entry_bytes: 65_535,
            note_bytes: 64 << 10,
            note_signatures: 64,
            envelope_signatures: 10,
            subjects: 1024,
            trust_entries: 256,
            json_depth: 64,
            token_bytes: 64 << 10,
            jwks_keys: 64,
        }
    }
}
