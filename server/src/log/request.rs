//! Requests to the logs: what they say, checked completely before anything is queued.

use verify::{
    Budget, Digest, PublicKey,
    certificate::Certificate,
    dsse,
    entry::{Entry, EntryVerifier, HashedRekordV002},
    key::KeyDetails,
};

use super::fields::{self, Fields};

/// Why a request was refused. Text names a field of the request, never its contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The body is larger than we read.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The connection broke while the body was read.
    #[error("the request body could not be read")]
    Body,
    /// Not JSON, nested too deeply, or with a member twice.
    #[error("the request body is not acceptable JSON: {0}")]
    Json(verify::Error),
    /// Neither a `hashedrekord` nor a `dsse` request, or of a version we do not take.
    #[error("invalid type, must be hashedrekord")]
    Kind,
    /// A member that the request type does not have.
    #[error("unknown field `{field}` in `{path}`")]
    UnknownField {
        /// The object.
        path: &'static str,
        /// Its member, cut at 100 characters.
        field: String,
    },
    /// A member that must be there.
    #[error("missing {field}")]
    Missing {
        /// The member.
        field: &'static str,
    },
    /// A member of another type, encoding or range.
    #[error("malformed {field}")]
    Malformed {
        /// The member.
        field: &'static str,
    },
    /// Neither a key nor a certificate that we can read.
    #[error("the verifier is neither a supported public key nor a certificate with one")]
    Verifier,
    /// `keyDetails` names an algorithm that this log does not take.
    #[error("the signing algorithm in keyDetails is not allowed")]
    Algorithm,
    /// `keyDetails` and the key disagree.
    #[error("the key is not what keyDetails says")]
    KeyMismatch,
    /// The digest is not as long as its hash function's.
    #[error("the digest has {found} bytes instead of {expected}")]
    DigestLength {
        /// By the algorithm.
        expected: usize,
        /// In the request.
        found: usize,
    },
    /// The signature does not verify over the digest.
    #[error("the signature does not verify")]
    Signature,
    /// More signatures or verifiers than we check.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The same verifier twice.
    #[error("a verifier occurs twice")]
    DuplicateVerifier,
    /// The payload does not have the digest that the request states.
    #[error("the payload hash is not that of the payload")]
    PayloadHash,
    /// The canonical body would not fit an entry bundle.
    #[error("the entry would have {bytes} bytes, more than 65535")]
    EntryTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No such entry, tree or parameter.
    #[error("{what} not found")]
    NotFound {
        /// What was asked for.
        what: &'static str,
    },
}

impl RequestError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "log-request-too-large",
            Self::Body => "log-request-body",
            Self::Json(_) => "log-request-json",
            Self::Kind => "log-request-kind",
            Self::UnknownField { .. } => "log-request-unknown-field",
            Self::Missing { .. } => "log-request-missing",
            Self::Malformed { .. } => "log-request-malformed",
            Self::Verifier => "log-request-verifier",
            Self::Algorithm => "log-request-algorithm",
            Self::KeyMismatch => "log-request-key-mismatch",
            Self::DigestLength { .. } => "log-request-digest-length",
            Self::Signature => "log-request-signature",
            Self::TooMany { .. } => "log-request-too-many",
            Self::DuplicateVerifier => "log-request-duplicate-verifier",
            Self::PayloadHash => "log-request-payload-hash",
            Self::EntryTooLarge { .. } => "log-request-entry-too-large",
            Self::NotFound { .. } => "log-request-not-found",
        }
    }

    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "send a hashedrekord over the digest instead of the content",
            Self::Body => "send it again",
            Self::Json(_) => "send one JSON object without duplicate members",
            Self::Kind => {
                "send `hashedRekordRequestV002` (for DSSE: over the digest of the pre-authentication encoding)"
            }
            Self::UnknownField { .. } => "leave the field out; the client may be newer than this server",
            Self::Missing { .. } | Self::Malformed { .. } => "compare the request with the API's description",
            Self::Verifier => {
                "send DER (v2) or PEM (v1) of a P-256, P-384, P-521, RSA or Ed25519 key or of its certificate"
            }
            Self::Algorithm => "sign with ECDSA P-256, P-384, P-521 or RSA PKCS #1 v1.5 of 2048, 3072 or 4096 bits",
            Self::KeyMismatch => "state the keyDetails of the key that signed",
            Self::DigestLength { .. } => "send the raw digest of the hash function that keyDetails names",
            Self::Signature => "sign exactly the content whose digest is sent",
            Self::TooMany { .. } => "send fewer at a time",
            Self::DuplicateVerifier => "list each verifier once",
            Self::PayloadHash => "hash the payload after base64 decoding",
            Self::EntryTooLarge { .. } => "use a certificate of ordinary size",
            Self::NotFound { .. } => "read the checkpoint first: the tree may be smaller",
        }
    }
}

/// A checked request of the v2 API, as the entry to record. `dsseRequestV002` becomes a `hashedrekord` over the digest of the
/// pre-authentication encoding, which is what current clients send and every current verifier reads.
///
/// # Errors
/// Every variant of [`RequestError`] but the ones that only the transport or the v1 API knows.
pub(super) fn parse_v2(body: &[u8]) -> Result<Entry, RequestError> {
    let limits = Budget::default();
    let value = verify::json::parse(body, "log request", BODY_LIMIT_BYTES, limits.json_depth);
    let mut request = Fields::new(value.map_err(RequestError::Json)?, "request")?;
    let hashed = request.object("hashedRekordRequestV002")?;
    let dsse = request.object("dsseRequestV002")?;
    request.finish()?;
    let entry = match (hashed, dsse) {
        (Some(fields), None) => hashedrekord(fields, &limits)?,
        (None, Some(fields)) => dsse_as_hashedrekord(fields, &limits)?,
        (Some(_), Some(_)) | (None, None) => return Err(RequestError::Kind),
    };
    Ok(Entry::HashedRekordV002(entry))
}

/// The canonical body of an entry, if an entry bundle can hold it.
pub(super) fn body_of(entry: &Entry) -> Result<Vec<u8>, RequestError> {
    let body = entry.to_body();
    if u16::try_from(body.len()).is_err() {
        return Err(RequestError::EntryTooLarge { bytes: body.len() });
    }
    Ok(body)
}

/// A verifier of a v2 request.
struct StatedVerifier {
    verifier: EntryVerifier,
    key: PublicKey,
    details: KeyDetails,
}

/// What a verifier says before it is parsed.
struct RawVerifier {
    verifier: EntryVerifier,
    details: Option<String>,
}

fn hashedrekord(mut fields: Fields, limits: &Budget) -> Result<HashedRekordV002, RequestError> {
    let signature_fields = fields.object("signature")?;
    let digest = fields.bytes("digest")?;
    fields.finish()?;
    let mut signature_fields = signature_fields.ok_or(RequestError::Missing { field: "signature" })?;
    let signature = signature_fields.bytes("content")?;
    let verifier = signature_fields.object("verifier")?;
    signature_fields.finish()?;
    let verifier = verifier.map(RawVerifier::read).transpose()?;
    let missing = |field| RequestError::Missing { field };
    if signature.is_empty() {
        return Err(missing("signature content"));
    }
    if digest.is_empty() {
        return Err(missing("digest"));
    }
    let stated = verifier.ok_or_else(|| missing("verifier"))?.check(limits)?;
    let algorithm = stated.details.hash();
    let wrong = RequestError::DigestLength {
        expected: algorithm.len(),
        found: digest.len(),
    };
    let digest = Digest::from_bytes(algorithm, &digest).map_err(|_| wrong)?;
    let held = stated.key.verify_digest(stated.details.scheme(), &digest, &signature);
    held.map_err(|_| RequestError::Signature)?;
    Ok(HashedRekordV002 {
        digest,
        signature,
        key_details: stated.details,
        verifier: stated.verifier,
    })
}

fn dsse_as_hashedrekord(mut fields: Fields, limits: &Budget) -> Result<HashedRekordV002, RequestError> {
    let envelope = fields.object("envelope")?;
    let verifiers = fields.array("verifiers")?;
    fields.finish()?;
    let mut envelope = envelope.ok_or(RequestError::Missing { field: "envelope" })?;
    let payload = envelope.bytes("payload")?;
    let payload_type = envelope.string("payloadType")?.unwrap_or_default();
    let signatures = envelope.array("signatures")?;
    envelope.finish()?;
    check_counts(signatures.len(), verifiers.len(), limits)?;
    let signatures = signatures
        .into_iter()
        .map(envelope_signature)
        .collect::<Result<Vec<_>, _>>()?;
    let verifiers = verifiers
        .into_iter()
        .map(|value| RawVerifier::read(Fields::new(value, "verifiers")?)?.check(limits))
        .collect::<Result<Vec<_>, RequestError>>()?;
    let keys: Vec<&EntryVerifier> = verifiers.iter().map(|stated| &stated.verifier).collect();
    if has_duplicate(&keys) {
        return Err(RequestError::DuplicateVerifier);
    }
    let message = dsse::pae(&payload_type, &payload);
    let mut first = None;
    for signature in signatures {
        let found = verifiers.iter().find_map(|stated| {
            let digest = stated.details.hash().digest(&message);
            let verified = stated.key.verify_digest(stated.details.scheme(), &digest, &signature);
            verified.is_ok().then_some((stated, digest))
        });
        let (stated, digest) = found.ok_or(RequestError::Signature)?;
        first.get_or_insert_with(|| HashedRekordV002 {
            digest,
            signature,
            key_details: stated.details,
            verifier: stated.verifier.clone(),
        });
    }
    first.ok_or(RequestError::Missing { field: "signatures" })
}

/// At least one, at most [`Budget::envelope_signatures`] of each.
pub(super) fn check_counts(signatures: usize, verifiers: usize, limits: &Budget) -> Result<(), RequestError> {
    let limit = limits.envelope_signatures;
    for (what, count) in [("signatures", signatures), ("verifiers", verifiers)] {
        match count {
            0 => return Err(RequestError::Missing { field: what }),
            count if count > limit => return Err(RequestError::TooMany { what, limit }),
            _ => {}
        }
    }
    Ok(())
}

/// Whether two of at most ten things are equal.
pub(super) fn has_duplicate<T: PartialEq>(things: &[T]) -> bool {
    things
        .iter()
        .enumerate()
        .any(|(at, thing)| things.iter().take(at).any(|earlier| earlier == thing))
}

fn envelope_signature(value: serde_json::Value) -> Result<Vec<u8>, RequestError> {
    let mut fields = Fields::new(value, "signatures")?;
    let signature = fields.bytes("sig")?;
    fields.string("keyid")?;
    fields.finish()?;
    if signature.is_empty() {
        Err(RequestError::Missing { field: "sig" })
    } else {
        Ok(signature)
    }
}

impl RawVerifier {
    fn read(mut fields: Fields) -> Result<Self, RequestError> {
        let key = fields.object("publicKey")?;
        let certificate = fields.object("x509Certificate")?;
        let details = fields.string("keyDetails")?;
        fields.finish()?;
        let verifier = match (key, certificate) {
            (Some(key), None) => EntryVerifier::PublicKey(raw_bytes(key)?),
            (None, Some(certificate)) => EntryVerifier::Certificate(raw_bytes(certificate)?),
            (None, None) => {
                return Err(RequestError::Missing {
                    field: "verifier key or certificate",
                });
            }
            (Some(_), Some(_)) => return Err(RequestError::Malformed { field: "verifier" }),
        };
        Ok(Self { verifier, details })
    }

    /// Key or certificate parses, then `keyDetails` is allowed, then both agree.
    fn check(self, limits: &Budget) -> Result<StatedVerifier, RequestError> {
        let key = match &self.verifier {
            EntryVerifier::PublicKey(der) => PublicKey::from_spki_der(der).map_err(|_| RequestError::Verifier)?,
            EntryVerifier::Certificate(der) => {
                let certificate = Certificate::from_der(der, limits).map_err(|_| RequestError::Verifier)?;
                certificate.public_key().clone()
            }
        };
        let details = self.details.ok_or(RequestError::Missing { field: "keyDetails" })?;
        let details = KeyDetails::from_name(&details).filter(|details| ALLOWED.contains(details));
        let details = details.ok_or(RequestError::Algorithm)?;
        if !details.fits(key.kind()) {
            return Err(RequestError::KeyMismatch);
        }
        Ok(StatedVerifier {
            verifier: self.verifier,
            key,
            details,
        })
    }
}

fn raw_bytes(mut fields: Fields) -> Result<Vec<u8>, RequestError> {
    let bytes = fields.bytes("rawBytes")?;
    fields.finish()?;
    if bytes.is_empty() {
        Err(RequestError::Missing { field: "rawBytes" })
    } else {
        Ok(bytes)
    }
}

/// The algorithms the v2 log takes. Pure Ed25519 cannot be checked from a digest, and our cryptography has no Ed25519ph.
const ALLOWED: [KeyDetails; 6] = [
    KeyDetails::EcdsaP256Sha256,
    KeyDetails::EcdsaP384Sha384,
    KeyDetails::EcdsaP521Sha512,
    KeyDetails::RsaPkcs1v15Sha256_2048,
    KeyDetails::RsaPkcs1v15Sha256_3072,
    KeyDetails::RsaPkcs1v15Sha256_4096,
];

/// Base64 again, for base64 inside base64 as the v1 API has it.
pub(super) fn decode_text(text: &[u8], field: &'static str) -> Result<Vec<u8>, RequestError> {
    let text = str::from_utf8(text).map_err(|_| RequestError::Malformed { field })?;
    fields::decode(text).ok_or(RequestError::Malformed { field })
}

/// Largest request body, as the public log allows.
pub(super) const BODY_LIMIT_BYTES: usize = 4 << 20;
