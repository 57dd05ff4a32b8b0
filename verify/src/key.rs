//! Public keys, and the only place where a signature is checked [FIPS 186-5, RFC 8032, RFC 8017].
//!
//! Everything but Ed25519ph goes through `aws-lc-rs`, which has no Ed25519ph. Ed25519 is strict in both forms; see
//! [`PublicKey::verify`].

mod ed25519;

use std::sync::{Arc, OnceLock};

use aws_lc_rs::{
    digest as aws_digest,
    signature::{self as aws, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm},
};
use der::{
    Decode as _, Encode as _, Sequence, Tag, Tagged as _,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef},
};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::{Digest, Error, HashAlgorithm, digest, pem};

/// A SHA-256 of a DER `SubjectPublicKeyInfo`: the id of v1, CT and ECDSA logs. `[u8; 32]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 32]);

/// The protobuf-specs `PublicKeyDetails` that this suite knows: key type, size and hash in one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyDetails {
    /// `PKIX_ECDSA_P256_SHA_256`
    EcdsaP256Sha256,
    /// `PKIX_ECDSA_P384_SHA_384`
    EcdsaP384Sha384,
    /// `PKIX_ECDSA_P521_SHA_512`
    EcdsaP521Sha512,
    /// `PKIX_ED25519`
    Ed25519,
    /// `PKIX_ED25519_PH`
    Ed25519Ph,
    /// `PKIX_RSA_PKCS1V15_2048_SHA256`
    RsaPkcs1v15Sha256_2048,
    /// `PKIX_RSA_PKCS1V15_3072_SHA256`
    RsaPkcs1v15Sha256_3072,
    /// `PKIX_RSA_PKCS1V15_4096_SHA256`
    RsaPkcs1v15Sha256_4096,
    /// `PKIX_RSA_PSS_2048_SHA256`
    RsaPssSha256_2048,
    /// `PKIX_RSA_PSS_3072_SHA256`
    RsaPssSha256_3072,
    /// `PKIX_RSA_PSS_4096_SHA256`
    RsaPssSha256_4096,
}

/// How a signature was made over a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// ECDSA with an ASN.1 DER signature, over this hash.
    Ecdsa(HashAlgorithm),
    /// ECDSA with a fixed-length signature r‖s, as JWS writes it [RFC 7518 §3.4]; with the curve's own hash.
    EcdsaFixed(HashAlgorithm),
    /// Pure Ed25519 [RFC 8032 §5.1].
    Ed25519,
    /// Ed25519ph with SHA-512 and empty context [RFC 8032 §5.1].
    Ed25519Ph,
    /// RSASSA-PKCS1-v1_5 [RFC 8017 §8.2].
    RsaPkcs1v15(HashAlgorithm),
    /// RSASSA-PSS [RFC 8017 §8.1], salt as long as the hash.
    RsaPss(HashAlgorithm),
}

/// What kind of key a [`PublicKey`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519.
    Ed25519,
    /// RSA, with the modulus length in bits.
    Rsa {
        /// Modulus length in bits.
        bits: usize,
    },
}

/// A public key, parsed once: the point is on the curve, the modulus is 2048 to 8192 bits. Which sizes a signer may have, authority and log decide.
#[derive(Clone)]
pub struct PublicKey {
    spki_der: Arc<[u8]>,
    kind: KeyKind,
    /// Ready for [`Self::default_scheme`].
    parsed: Arc<ParsedPublicKey>,
    /// Asked for again and again where the key is that of a log.
    id: OnceLock<KeyId>,
}

impl PublicKey {
    /// Parses a DER `SubjectPublicKeyInfo` [RFC 5280 §4.1.2.7]: points uncompressed, RSA with NULL parameters.
    ///
    /// # Errors
    /// [`Error::Key`] when the bytes are no supported key, the point is off its curve or outside the group of prime order,
    /// an RSA exponent is below 65537 [FIPS 186-5 §5.4], or bytes trail.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, Error> {
        let kind = kind_of(der).ok_or(Error::Key)?;
        let algorithm = verification_algorithm(kind, default_scheme(kind)).ok_or(Error::Key)?;
        let parsed = ParsedPublicKey::new(algorithm, der).map_err(|_| Error::Key)?;
        Ok(Self {
            spki_der: der.into(),
            kind,
            parsed: Arc::new(parsed),
            id: OnceLock::new(),
        })
    }

    /// Parses one PEM block labelled `PUBLIC KEY` (LF or CRLF).
    ///
    /// # Errors
    /// [`Error::Key`] as [`Self::from_spki_der`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        Self::from_spki_der(&pem::decode(PEM_LABEL, pem).ok_or(Error::Key)?)
    }

    /// A P-256 key from its affine coordinates, 32 bytes each, as a JSON Web Key writes them [RFC 7518 §6.2.1].
    ///
    /// # Errors
    /// [`Error::Key`] when the point is off the curve.
    pub fn from_p256_coordinates(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, Error> {
        Self::from_spki_der(&[P256_SPKI_PREFIX.as_slice(), x, y].concat())
    }

    /// An RSA key from modulus and exponent, big-endian, as a JSON Web Key writes them [RFC 7518 §6.3.1].
    ///
    /// # Errors
    /// [`Error::Key`] as [`Self::from_spki_der`].
    pub fn from_rsa_components(modulus: &[u8], exponent: &[u8]) -> Result<Self, Error> {
        let spki = rsa_spki(modulus, exponent).map_err(|_| Error::Key)?;
        Self::from_spki_der(&spki)
    }

    /// An Ed25519 key from its 32 bytes.
    ///
    /// # Errors
    /// [`Error::Key`] when the point is off the curve or of low order.
    pub fn from_ed25519_bytes(raw: &[u8; 32]) -> Result<Self, Error> {
        Self::from_spki_der(&[ED25519_SPKI_PREFIX.as_slice(), raw].concat())
    }

    /// The DER `SubjectPublicKeyInfo` as it was read.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The key as PEM: label `PUBLIC KEY`, LF, 64 columns.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.spki_der)
    }

    /// Type and size.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The raw 32 bytes of an Ed25519 key; none for others.
    #[must_use]
    pub fn ed25519_bytes(&self) -> Option<&[u8; 32]> {
        (self.kind == KeyKind::Ed25519)
            .then(|| self.spki_der.last_chunk())
            .flatten()
    }

    /// SHA-256 of the DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn id(&self) -> KeyId {
        *self.id.get_or_init(|| KeyId(digest::sha256(&self.spki_der)))
    }

    /// The scheme this kind of key signs with when nothing else is said: the curve's hash; SHA-256 with PKCS #1 v1.5 for RSA; pure Ed25519.
    #[must_use]
    pub const fn default_scheme(&self) -> SignatureScheme {
        default_scheme(self.kind)
    }

    /// The `keyDetails` a Sigstore client states for a signature of [`Self::default_scheme`]; none for RSA sizes without a name.
    #[must_use]
    pub const fn default_details(&self) -> Option<KeyDetails> {
        match self.kind {
            KeyKind::P256 => Some(KeyDetails::EcdsaP256Sha256),
            KeyKind::P384 => Some(KeyDetails::EcdsaP384Sha384),
            KeyKind::P521 => Some(KeyDetails::EcdsaP521Sha512),
            KeyKind::Ed25519 => Some(KeyDetails::Ed25519),
            KeyKind::Rsa { bits: 2048 } => Some(KeyDetails::RsaPkcs1v15Sha256_2048),
            KeyKind::Rsa { bits: 3072 } => Some(KeyDetails::RsaPkcs1v15Sha256_3072),
            KeyKind::Rsa { bits: 4096 } => Some(KeyDetails::RsaPkcs1v15Sha256_4096),
            KeyKind::Rsa { .. } => None,
        }
    }

    /// Checks a signature over `message`.
    ///
    /// ECDSA signatures are strict DER (or, for [`SignatureScheme::EcdsaFixed`], exactly two field elements); the high
    /// `s` is allowed, as FIPS 186-5 does. Ed25519 uses the equation without the cofactor [RFC 8032 §5.1.7] and refuses an
    /// `S` not below the group order, and an `R` that is not canonical or of low order; since the key is of prime order,
    /// so is then every `R`.
    ///
    /// # Errors
    /// [`Error::Signature`] when it does not verify or the scheme is not one of this key's.
    pub fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        if scheme == SignatureScheme::Ed25519Ph {
            return self.verify_digest(scheme, &HashAlgorithm::Sha512.digest(message), signature);
        }
        if scheme == SignatureScheme::Ed25519 && !ed25519::is_strict_signature(signature) {
            return Err(Error::Signature);
        }
        let held = if scheme == self.default_scheme() {
            self.parsed.verify_sig(message, signature)
        } else {
            let algorithm = verification_algorithm(self.kind, scheme).ok_or(Error::Signature)?;
            UnparsedPublicKey::new(algorithm, &self.spki_der).verify(message, signature)
        };
        held.map_err(|_| Error::Signature)
    }

    /// Checks a signature over a message of which only the digest is known (ECDSA, RSA, Ed25519ph).
    ///
    /// # Errors
    /// [`Error::Signature`] as [`Self::verify`], and when the digest is not of the scheme's hash; pure Ed25519 always fails here.
    pub fn verify_digest(&self, scheme: SignatureScheme, digest: &Digest, signature: &[u8]) -> Result<(), Error> {
        match (scheme, self.ed25519_bytes()) {
            (SignatureScheme::Ed25519, _) => return Err(Error::Signature),
            (SignatureScheme::Ed25519Ph, Some(key)) => return ed25519::verify_prehashed(key, digest, signature),
            _ => {}
        }
        let algorithm = verification_algorithm(self.kind, scheme).ok_or(Error::Signature)?;
        let imported = aws_digest::Digest::import_less_safe(digest.as_bytes(), aws_hash(digest.algorithm()))
            .map_err(|_| Error::Signature)?;
        let held = if scheme == self.default_scheme() {
            self.parsed.verify_digest_sig(&imported, signature)
        } else {
            UnparsedPublicKey::new(algorithm, &self.spki_der).verify_digest(&imported, signature)
        };
        held.map_err(|_| Error::Signature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki_der == other.spki_der
    }
}

impl Eq for PublicKey {}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl KeyDetails {
    /// Every value this suite knows.
    pub const ALL: [Self; 11] = [
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::EcdsaP521Sha512,
        Self::Ed25519,
        Self::Ed25519Ph,
        Self::RsaPkcs1v15Sha256_2048,
        Self::RsaPkcs1v15Sha256_3072,
        Self::RsaPkcs1v15Sha256_4096,
        Self::RsaPssSha256_2048,
        Self::RsaPssSha256_3072,
        Self::RsaPssSha256_4096,
    ];

    /// The protobuf enum name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "PKIX_ECDSA_P256_SHA_256",
            Self::EcdsaP384Sha384 => "PKIX_ECDSA_P384_SHA_384",
            Self::EcdsaP521Sha512 => "PKIX_ECDSA_P521_SHA_512",
            Self::Ed25519 => "PKIX_ED25519",
            Self::Ed25519Ph => "PKIX_ED25519_PH",
            Self::RsaPkcs1v15Sha256_2048 => "PKIX_RSA_PKCS1V15_2048_SHA256",
            Self::RsaPkcs1v15Sha256_3072 => "PKIX_RSA_PKCS1V15_3072_SHA256",
            Self::RsaPkcs1v15Sha256_4096 => "PKIX_RSA_PKCS1V15_4096_SHA256",
            Self::RsaPssSha256_2048 => "PKIX_RSA_PSS_2048_SHA256",
            Self::RsaPssSha256_3072 => "PKIX_RSA_PSS_3072_SHA256",
            Self::RsaPssSha256_4096 => "PKIX_RSA_PSS_4096_SHA256",
        }
    }

    /// The key details with this protobuf enum name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|details| details.as_str() == name)
    }

    /// The hash that the signature covers.
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::EcdsaP384Sha384 => HashAlgorithm::Sha384,
            Self::EcdsaP521Sha512 | Self::Ed25519 | Self::Ed25519Ph => HashAlgorithm::Sha512,
            Self::EcdsaP256Sha256
            | Self::RsaPkcs1v15Sha256_2048
            | Self::RsaPkcs1v15Sha256_3072
            | Self::RsaPkcs1v15Sha256_4096
            | Self::RsaPssSha256_2048
            | Self::RsaPssSha256_3072
            | Self::RsaPssSha256_4096 => HashAlgorithm::Sha256,
        }
    }

    /// The scheme of a signature with these details.
    #[must_use]
    pub const fn scheme(self) -> SignatureScheme {
        match self {
            Self::EcdsaP256Sha256 | Self::EcdsaP384Sha384 | Self::EcdsaP521Sha512 => {
                SignatureScheme::Ecdsa(self.hash())
            }
            Self::Ed25519 => SignatureScheme::Ed25519,
            Self::Ed25519Ph => SignatureScheme::Ed25519Ph,
            Self::RsaPkcs1v15Sha256_2048 | Self::RsaPkcs1v15Sha256_3072 | Self::RsaPkcs1v15Sha256_4096 => {
                SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha256)
            }
            Self::RsaPssSha256_2048 | Self::RsaPssSha256_3072 | Self::RsaPssSha256_4096 => {
                SignatureScheme::RsaPss(HashAlgorithm::Sha256)
            }
        }
    }

    /// Whether a key of this kind can have these details: type, curve and modulus length agree.
    #[must_use]
    pub fn fits(self, kind: KeyKind) -> bool {
        kind == match self {
            Self::EcdsaP256Sha256 => KeyKind::P256,
            Self::EcdsaP384Sha384 => KeyKind::P384,
            Self::EcdsaP521Sha512 => KeyKind::P521,
            Self::Ed25519 | Self::Ed25519Ph => KeyKind::Ed25519,
            Self::RsaPkcs1v15Sha256_2048 | Self::RsaPssSha256_2048 => KeyKind::Rsa { bits: 2048 },
            Self::RsaPkcs1v15Sha256_3072 | Self::RsaPssSha256_3072 => KeyKind::Rsa { bits: 3072 },
            Self::RsaPkcs1v15Sha256_4096 | Self::RsaPssSha256_4096 => KeyKind::Rsa { bits: 4096 },
        }
    }
}

const fn default_scheme(kind: KeyKind) -> SignatureScheme {
    match kind {
        KeyKind::P256 => SignatureScheme::Ecdsa(HashAlgorithm::Sha256),
        KeyKind::P384 => SignatureScheme::Ecdsa(HashAlgorithm::Sha384),
        KeyKind::P521 => SignatureScheme::Ecdsa(HashAlgorithm::Sha512),
        KeyKind::Ed25519 => SignatureScheme::Ed25519,
        KeyKind::Rsa { .. } => SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha256),
    }
}

/// `RSAPublicKey` [RFC 8017 §A.1.1].
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// Kind of the key, after the checks that the cryptographic library leaves out.
fn kind_of(spki_der: &[u8]) -> Option<KeyKind> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki_der).ok()?;
    let key = spki.subject_public_key.as_bytes()?;
    match (spki.algorithm.oid, spki.algorithm.parameters) {
        (EC_PUBLIC_KEY, Some(curve)) => {
            let (kind, element_bytes) = match curve.decode_as::<ObjectIdentifier>().ok()? {
                SECP256R1 => (KeyKind::P256, 32_usize),
                SECP384R1 => (KeyKind::P384, 48),
                SECP521R1 => (KeyKind::P521, 66),
                _ => return None,
            };
            let coordinates = key.strip_prefix(&[UNCOMPRESSED_POINT])?;
            (coordinates.len() == element_bytes.saturating_mul(2)).then_some(kind)
        }
        (ED25519, None) => ed25519::is_strict_key(key.try_into().ok()?).then_some(KeyKind::Ed25519),
        (RSA_ENCRYPTION, Some(parameters)) if parameters.tag() == Tag::Null && parameters.value().is_empty() => {
            let rsa = RsaPublicKey::from_der(key).ok()?;
            let bits = bit_length(rsa.modulus.as_bytes());
            let exponent_bits = bit_length(rsa.public_exponent.as_bytes());
            ((2048..=8192).contains(&bits) && exponent_bits > 16).then_some(KeyKind::Rsa { bits })
        }
        _ => None,
    }
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> der::Result<Vec<u8>> {
    let key = RsaPublicKey {
        modulus: UintRef::new(modulus)?,
        public_exponent: UintRef::new(exponent)?,
    };
    let algorithm = AlgorithmIdentifierRef {
        oid: RSA_ENCRYPTION,
        parameters: Some(AnyRef::NULL),
    };
    SubjectPublicKeyInfoRef {
        algorithm,
        subject_public_key: BitStringRef::from_bytes(&key.to_der()?)?,
    }
    .to_der()
}

/// Bits of a big-endian number without leading zero bytes.
fn bit_length(bytes: &[u8]) -> usize {
    let leading = bytes.first().map_or(0, |first| first.leading_zeros());
    bytes
        .len()
        .saturating_mul(8)
        .saturating_sub(usize::try_from(leading).unwrap_or(0))
}

fn verification_algorithm(kind: KeyKind, scheme: SignatureScheme) -> Option<&'static dyn VerificationAlgorithm> {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    use SignatureScheme::{Ecdsa, EcdsaFixed, Ed25519, RsaPkcs1v15, RsaPss};
    Some(match (kind, scheme) {
        (KeyKind::P256, Ecdsa(Sha256)) => &aws::ECDSA_P256_SHA256_ASN1,
        (KeyKind::P256, Ecdsa(Sha384)) => &aws::ECDSA_P256_SHA384_ASN1,
        (KeyKind::P256, Ecdsa(Sha512)) => &aws::ECDSA_P256_SHA512_ASN1,
        (KeyKind::P384, Ecdsa(Sha256)) => &aws::ECDSA_P384_SHA256_ASN1,
        (KeyKind::P384, Ecdsa(Sha384)) => &aws::ECDSA_P384_SHA384_ASN1,
        (KeyKind::P384, Ecdsa(Sha512)) => &aws::ECDSA_P384_SHA512_ASN1,
        (KeyKind::P521, Ecdsa(Sha256)) => &aws::ECDSA_P521_SHA256_ASN1,
        (KeyKind::P521, Ecdsa(Sha384)) => &aws::ECDSA_P521_SHA384_ASN1,
        (KeyKind::P521, Ecdsa(Sha512)) => &aws::ECDSA_P521_SHA512_ASN1,
        (KeyKind::P256, EcdsaFixed(Sha256)) => &aws::ECDSA_P256_SHA256_FIXED,
        (KeyKind::P384, EcdsaFixed(Sha384)) => &aws::ECDSA_P384_SHA384_FIXED,
        (KeyKind::P521, EcdsaFixed(Sha512)) => &aws::ECDSA_P521_SHA512_FIXED,
        (KeyKind::Ed25519, Ed25519) => &aws::ED25519,
        (KeyKind::Rsa { .. }, RsaPkcs1v15(Sha256)) => &aws::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa { .. }, RsaPkcs1v15(Sha384)) => &aws::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa { .. }, RsaPkcs1v15(Sha512)) => &aws::RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::Rsa { .. }, RsaPss(Sha256)) => &aws::RSA_PSS_2048_8192_SHA256,
        (KeyKind::Rsa { .. }, RsaPss(Sha384)) => &aws::RSA_PSS_2048_8192_SHA384,
        (KeyKind::Rsa { .. }, RsaPss(Sha512)) => &aws::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn aws_hash(algorithm: HashAlgorithm) -> &'static aws_digest::Algorithm {
    match algorithm {
        HashAlgorithm::Sha256 => &aws_digest::SHA256,
        HashAlgorithm::Sha384 => &aws_digest::SHA384,
        HashAlgorithm::Sha512 => &aws_digest::SHA512,
    }
}

const PEM_LABEL: &str = "PUBLIC KEY";

/// [RFC 5480 §2.1.1]
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
/// [RFC 8410 §3]
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// [RFC 3279 §2.3.1]
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// [SEC 1 §2.3.3]
const UNCOMPRESSED_POINT: u8 = 4;

/// DER of a P-256 `SubjectPublicKeyInfo` up to the coordinates [RFC 5480 §2].
const P256_SPKI_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// DER of an Ed25519 `SubjectPublicKeyInfo` up to the key [RFC 8410 §4].
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may be blunt")]
mod tests;
