//! Digests that know their algorithm.

use crate::Error;

/// A hash function of FIPS 180-4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    /// Length of a digest in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
    /// The protobuf enum name: `SHA2_256`.
    #[must_use]
    pub const fn protobuf_name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA2_256",
            Self::Sha384 => "SHA2_384",
            Self::Sha512 => "SHA2_512",
        }
    }
    /// The in-toto and Rekor v1 name: `sha256`.
    #[must_use]
    pub const fn lowercase_name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
    /// The digest of `message`.
    #[must_use]
    pub fn digest(self, _message: &[u8]) -> Digest {
        todo!()
    }
}

/// A digest and its algorithm; the length always fits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: HashAlgorithm,
    bytes: Vec<u8>,
}

impl Digest {
    /// A digest from its raw bytes.
    ///
    /// # Errors
    /// [`Error::DigestLength`] when the length is not the algorithm's.
    pub fn from_bytes(_algorithm: HashAlgorithm, _bytes: &[u8]) -> Result<Self, Error> {
        todo!()
    }
    /// The hash function.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }
    /// The raw bytes, as long as the algorithm says.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A SHA-256 digest: the `cksum` of a crate, the name of an artifact. Prints and parses as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// The SHA-256 of `message`.
    #[must_use]
    pub fn of(_message: &[u8]) -> Self {
        todo!()
    }
}

/// 64 hexadecimal digits, with or without the prefix `sha256:`; fails with [`Error::DigestText`].
impl std::str::FromStr for Sha256Digest {
    type Err = Error;
    fn from_str(_text: &str) -> Result<Self, Error> {
        todo!()
    }
}

/// 64 lowercase hexadecimal digits, no prefix.
impl std::fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl From<Sha256Digest> for Digest {
    fn from(_value: Sha256Digest) -> Self {
        todo!()
    }
}
