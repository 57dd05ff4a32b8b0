//! What was signed: the artifact itself, or a statement with the artifact among its subjects.

use std::cell::OnceCell;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use crate::{
    Budget, Bundle, Digest, Error, HashAlgorithm, Policy, PublicKey, Sha256Digest,
    artifact::Artifact,
    bundle::Content,
    dsse::{Envelope, IN_TOTO_PAYLOAD_TYPE},
    key::{KeyKind, SignatureScheme},
    statement::{Matches, Outline, SubjectOutline},
};

/// The signed message, seen through whatever of it is known: bytes or digests.
pub(super) struct Signed<'a> {
    artifact: Artifact<'a>,
    message: Message<'a>,
    pub(super) signature: &'a [u8],
    pub(super) statement: Option<(Outline<'a>, Matches)>,
    digests: [OnceCell<Digest>; 3],
    /// How the signature was found to be made.
    pub(super) scheme: Option<SignatureScheme>,
}

enum Message<'a> {
    Artifact,
    Envelope { envelope: &'a Envelope, pae: Vec<u8> },
}

impl<'a> Signed<'a> {
    /// Reads the content and finds the artifact in it.
    ///
    /// # Errors
    /// [`Error::ArtifactMismatch`], [`Error::SubjectMismatch`], [`Error::PayloadType`], [`Error::OneOf`],
    /// [`Error::DigestNeeded`], and those of the statement.
    pub(super) fn new(
        bundle: &'a Bundle,
        artifact: &Artifact<'a>,
        policy: &Policy,
        budget: &Budget,
    ) -> Result<Self, Error> {
        let mut signed = Signed {
            artifact: *artifact,
            message: Message::Artifact,
            signature: bundle.signature(),
            statement: None,
            digests: [const { OnceCell::new() }; 3],
            scheme: None,
        };
        match &bundle.content {
            Content::Message { digest, .. } => {
                if let Some(stated) = digest
                    && signed.digest(stated.algorithm())? != stated
                {
                    return Err(Error::ArtifactMismatch);
                }
            }
            Content::Dsse(envelope) => {
                if envelope.payload_type != IN_TOTO_PAYLOAD_TYPE {
                    return Err(Error::PayloadType {
                        found: envelope.payload_type.chars().take(100).collect(),
                    });
                }
                let outline = Outline::from_json(&envelope.payload, budget)?;
                let matches = find_subjects(&outline, artifact, policy.wanted_subject_name())?;
                signed.statement = Some((outline, matches));
                signed.message = Message::Envelope {
                    envelope,
                    pae: envelope.pae(),
                };
            }
        }
        Ok(signed)
    }

    /// The envelope of a DSSE bundle.
    pub(super) const fn envelope(&self) -> Option<&Envelope> {
        match &self.message {
            Message::Envelope { envelope, .. } => Some(envelope),
            Message::Artifact => None,
        }
    }

    /// Digest of what was signed: of the artifact, or of the envelope's pre-authentication encoding.
    ///
    /// # Errors
    /// [`Error::DigestNeeded`].
    pub(super) fn digest(&self, algorithm: HashAlgorithm) -> Result<&Digest, Error> {
        let [sha256, sha384, sha512] = &self.digests;
        let cell = match algorithm {
            HashAlgorithm::Sha256 => sha256,
            HashAlgorithm::Sha384 => sha384,
            HashAlgorithm::Sha512 => sha512,
        };
        if let Some(digest) = cell.get() {
            return Ok(digest);
        }
        let digest = match &self.message {
            Message::Artifact => self.artifact.digest(algorithm)?,
            Message::Envelope { pae, .. } => algorithm.digest(pae),
        };
        Ok(cell.get_or_init(|| digest))
    }

    /// SHA-256 of the artifact, where it is known.
    pub(super) fn artifact_sha256(&self) -> Option<Sha256Digest> {
        let digest = match &self.message {
            Message::Artifact => self.digest(HashAlgorithm::Sha256).ok()?.clone(),
            Message::Envelope { .. } => self.artifact.digest(HashAlgorithm::Sha256).ok()?,
        };
        digest.as_bytes().try_into().ok().map(Sha256Digest)
    }

    /// Checks the signature with the schemes that a key of this kind may have used.
    ///
    /// # Errors
    /// [`Error::Signature`]; [`Error::DigestNeeded`] or [`Error::BytesNeeded`] when the likeliest scheme could not be tried.
    pub(super) fn verify_signature(&mut self, key: &PublicKey) -> Result<(), Error> {
        let mut failure = None;
        for scheme in schemes(key.kind()) {
            match self.verify_scheme(key, *scheme) {
                Ok(()) => {
                    self.scheme = Some(*scheme);
                    return Ok(());
                }
                // What could not be tried says more than what was tried in vain.
                Err(Error::Signature) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or(Error::Signature))
    }

    fn verify_scheme(&self, key: &PublicKey, scheme: SignatureScheme) -> Result<(), Error> {
        let over_digest = matches!(scheme, SignatureScheme::Ecdsa(_) | SignatureScheme::RsaPkcs1v15(_));
        match hash_of(scheme).filter(|_| over_digest) {
            Some(hash) => key.verify_digest(scheme, self.digest(hash)?, self.signature),
            None => key.verify(scheme, self.bytes().ok_or(Error::BytesNeeded)?, self.signature),
        }
    }

    /// The hash that the signature was found to cover; none for pure Ed25519.
    pub(super) fn covered_hash(&self) -> Option<HashAlgorithm> {
        self.scheme.and_then(hash_of)
    }

    fn bytes(&self) -> Option<&[u8]> {
        match &self.message {
            Message::Artifact => self.artifact.bytes(),
            Message::Envelope { pae, .. } => Some(pae),
        }
    }
}

/// The subjects whose digests agree with the artifact: at least one does, and none that is known contradicts.
fn find_subjects(outline: &Outline<'_>, artifact: &Artifact<'_>, name: Option<&str>) -> Result<Matches, Error> {
    let mut known = Known::default();
    let (mut count, mut first, mut named) = (0_usize, None, None);
    for (position, subject) in outline.subjects.iter().enumerate() {
        if known.is_artifact(subject, artifact) {
            count = count.saturating_add(1);
            first = first.or(Some(position));
            named = named.or((Some(subject.name.as_ref()) == name).then_some(position));
        }
    }
    match named.or(first) {
        Some(chosen) => Ok(Matches { chosen, count }),
        None => Err(known.why_not()),
    }
}

/// Digests of the artifact, hexadecimal, as far as they were asked for.
#[derive(Default)]
struct Known {
    digests: [Option<String>; 3],
    /// What the caller did not give.
    needed: Option<Error>,
}

impl Known {
    fn is_artifact(&mut self, subject: &SubjectOutline<'_>, artifact: &Artifact<'_>) -> bool {
        let mut agrees = false;
        for (algorithm, slot) in HashAlgorithm::ALL.iter().zip(&mut self.digests) {
            let Some(stated) = subject.digest(algorithm.lowercase_name()) else {
                continue;
            };
            if slot.is_none() {
                match artifact.digest(*algorithm) {
                    Ok(digest) => *slot = Some(hex::encode(digest.as_bytes())),
                    Err(error) => {
                        self.needed = Some(error);
                        continue;
                    }
                }
            }
            if slot.as_deref() != Some(stated) {
                return false;
            }
            agrees = true;
        }
        agrees
    }

    /// A digest that was not given is worth asking for only when none that was given could be compared.
    fn why_not(self) -> Error {
        let compared = self.digests.iter().any(Option::is_some);
        self.needed.filter(|_| !compared).unwrap_or(Error::SubjectMismatch)
    }
}

/// A hint that is a SHA-256 must be the key's: base64 (as cosign writes it, npm with a prefix and without padding) or
/// hexadecimal. Any other text is a name whose meaning only its writer knows.
pub(super) fn check_key_hint(hint: &str, key: &PublicKey) -> Result<(), Error> {
    let text = hint.strip_prefix("SHA256:").unwrap_or(hint);
    let decoded = STANDARD
        .decode(text)
        .or_else(|_| STANDARD_NO_PAD.decode(text))
        .ok()
        .filter(|bytes| bytes.len() == 32)
        .or_else(|| hex::decode(text).ok().filter(|bytes| bytes.len() == 32));
    match decoded {
        Some(id) if id != key.id().0 => Err(Error::SignerMismatch {
            rule: "the bundle names another key",
        }),
        _ => Ok(()),
    }
}

/// What a key of this kind may have signed with, likeliest first. Early cosign signed SHA-256 digests with P-384 and P-521 too.
const fn schemes(kind: KeyKind) -> &'static [SignatureScheme] {
    match kind {
        KeyKind::P256 => &[SignatureScheme::Ecdsa(HashAlgorithm::Sha256)],
        KeyKind::P384 => &[
            SignatureScheme::Ecdsa(HashAlgorithm::Sha384),
            SignatureScheme::Ecdsa(HashAlgorithm::Sha256),
        ],
        KeyKind::P521 => &[
            SignatureScheme::Ecdsa(HashAlgorithm::Sha512),
            SignatureScheme::Ecdsa(HashAlgorithm::Sha256),
        ],
        KeyKind::Ed25519 => &[SignatureScheme::Ed25519, SignatureScheme::Ed25519Ph],
        KeyKind::Rsa { .. } => &[
            SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha256),
            SignatureScheme::RsaPss(HashAlgorithm::Sha256),
        ],
    }
}

const fn hash_of(scheme: SignatureScheme) -> Option<HashAlgorithm> {
    match scheme {
        SignatureScheme::Ecdsa(hash)
        | SignatureScheme::EcdsaFixed(hash)
        | SignatureScheme::RsaPkcs1v15(hash)
        | SignatureScheme::RsaPss(hash) => Some(hash),
        SignatureScheme::Ed25519Ph => Some(HashAlgorithm::Sha512),
        SignatureScheme::Ed25519 => None,
    }
}
