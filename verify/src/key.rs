//! Public keys, and the only place where a signature is checked [FIPS 186-5, RFC 8032, RFC 8017].

use crate::{Digest, Error, HashAlgorithm};

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

impl KeyDetails {
    /// The protobuf enum name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        todo!()
    }
    /// The key details with this protobuf enum name.
    #[must_use]
    pub fn from_name(_name: &str) -> Option<Self> {
        todo!()
    }
    /// The hash that the signature covers.
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        todo!()
    }
}

/// How a signature was made over a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// ECDSA with an ASN.1 DER signature, over this hash.
    Ecdsa(HashAlgorithm),
    /// ECDSA with a fixed-length signature r‖s, as JWS writes it [RFC 7518 §3.4].
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

/// A public key, parsed once: the point is on the curve, the modulus is 2048 to 8192 bits (4096 for a signer's, checked by its users).
#[derive(Clone)]
pub struct PublicKey {
    spki_der: Vec<u8>,
    kind: KeyKind,
}

impl PublicKey {
    /// Parses a DER `SubjectPublicKeyInfo` [RFC 5280 §4.1.2.7].
    ///
    /// # Errors
    /// [`Error::Key`] when the bytes are no supported key, the point is off its curve, or bytes trail.
    pub fn from_spki_der(_der: &[u8]) -> Result<Self, Error> {
        todo!()
    }
    /// Parses one PEM block labelled `PUBLIC KEY` (LF or CRLF).
    ///
    /// # Errors
    /// [`Error::Key`] as [`Self::from_spki_der`].
    pub fn from_pem(_pem: &str) -> Result<Self, Error> {
        todo!()
    }
    /// The DER `SubjectPublicKeyInfo` as it was read.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }
    /// The key as PEM: label `PUBLIC KEY`, LF, 64 columns.
    #[must_use]
    pub fn to_pem(&self) -> String {
        todo!()
    }
    /// Type and size.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }
    /// SHA-256 of the DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn id(&self) -> KeyId {
        todo!()
    }
    /// The scheme this kind of key signs with when nothing else is said: the curve's hash; SHA-256 with PKCS #1 v1.5 for RSA; pure Ed25519.
    #[must_use]
    pub const fn default_scheme(&self) -> SignatureScheme {
        todo!()
    }
    /// The `keyDetails` a Sigstore client states for a signature of [`Self::default_scheme`]; none for RSA sizes without a name.
    #[must_use]
    pub const fn default_details(&self) -> Option<KeyDetails> {
        todo!()
    }
    /// Checks a signature over `message`.
    ///
    /// # Errors
    /// [`Error::Signature`] when it does not verify or the scheme is not one of this key's.
    pub fn verify(&self, _scheme: SignatureScheme, _message: &[u8], _signature: &[u8]) -> Result<(), Error> {
        todo!()
    }
    /// Checks a signature over a message of which only the digest is known (ECDSA, RSA PKCS #1 v1.5, Ed25519ph with SHA-512).
    ///
    /// # Errors
    /// [`Error::Signature`] as [`Self::verify`]; pure Ed25519 always fails here.
    pub fn verify_digest(&self, _scheme: SignatureScheme, _digest: &Digest, _signature: &[u8]) -> Result<(), Error> {
        todo!()
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
