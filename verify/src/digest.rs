//! Digests that know their algorithm [FIPS 180-4].

use aws_lc_rs::digest as aws;

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

/// A digest and its algorithm; the length always fits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: HashAlgorithm,
    /// The digest, zeros after it.
    padded: [u8; LONGEST],
}

/// A SHA-256 digest: the `cksum` of a crate, the name of an artifact. Prints and parses as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest(pub [u8; 32]);

#[allow(clippy::len_without_is_empty, reason = "no digest is empty")]
impl HashAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

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

    /// The algorithm with this [`Self::protobuf_name`].
    #[must_use]
    pub fn from_protobuf_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.protobuf_name() == name)
    }

    /// The algorithm with this [`Self::lowercase_name`].
    #[must_use]
    pub fn from_lowercase_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.lowercase_name() == name)
    }

    /// The digest of `message`.
    #[must_use]
    pub fn digest(self, message: &[u8]) -> Digest {
        Digest::padded(self, aws::digest(self.implementation(), message).as_ref())
    }

    /// The implementation, twice as fast as portable code where the processor has no instructions for SHA-2.
    pub(crate) fn implementation(self) -> &'static aws::Algorithm {
        match self {
            Self::Sha256 => &aws::SHA256,
            Self::Sha384 => &aws::SHA384,
            Self::Sha512 => &aws::SHA512,
        }
    }
}

impl Digest {
    /// A digest from its raw bytes.
    ///
    /// # Errors
    /// [`Error::DigestLength`] when the length is not the algorithm's.
    pub fn from_bytes(algorithm: HashAlgorithm, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() == algorithm.len() {
            Ok(Self::padded(algorithm, bytes))
        } else {
            Err(Error::DigestLength {
                expected: algorithm.len(),
                found: bytes.len(),
            })
        }
    }

    /// The hash function.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The raw bytes, as long as the algorithm says.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.padded.get(..self.algorithm.len()).unwrap_or_default()
    }

    fn padded(algorithm: HashAlgorithm, bytes: &[u8]) -> Self {
        let mut padded = [0; LONGEST];
        for (place, byte) in padded.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Self { algorithm, padded }
    }
}

/// `sha384:` and lowercase hexadecimal digits.
impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}:{}",
            self.algorithm.lowercase_name(),
            hex::encode(self.as_bytes())
        )
    }
}

impl Sha256Digest {
    /// The SHA-256 of `message`.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        Self(sha256(message))
    }
}

/// 64 hexadecimal digits, with or without the prefix `sha256:`; fails with [`Error::DigestText`].
impl std::str::FromStr for Sha256Digest {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| Error::DigestText)?;
        Ok(Self(bytes))
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
    fn from(value: Sha256Digest) -> Self {
        Self::padded(HashAlgorithm::Sha256, &value.0)
    }
}

/// SHA-256 of `message`.
pub(crate) fn sha256(message: &[u8]) -> [u8; 32] {
    finished(&aws::digest(&aws::SHA256, message))
}

/// SHA-256 of these parts, one after the other.
pub(crate) fn sha256_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws::Context::new(&aws::SHA256);
    for part in parts {
        context.update(part);
    }
    finished(&context.finish())
}

/// The 32 bytes of a SHA-256.
fn finished(digest: &aws::Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().zip(digest.as_ref()) {
        *place = *byte;
    }
    bytes
}

/// The longest digest, SHA-512's.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_fips_180_4() {
        let starts = HashAlgorithm::ALL.map(|algorithm| hex::encode(&algorithm.digest(b"abc").as_bytes()[..8]));
        assert_eq!(starts, ["ba7816bf8f01cfea", "cb00753f45a35e8b", "ddaf35a193617aba"]);
        assert_eq!(
            Digest::from(Sha256Digest::of(b"abc")),
            HashAlgorithm::Sha256.digest(b"abc")
        );
    }

    #[test]
    fn names_lead_back_to_the_algorithm() {
        for algorithm in HashAlgorithm::ALL {
            assert_eq!(
                HashAlgorithm::from_protobuf_name(algorithm.protobuf_name()),
                Some(algorithm)
            );
            assert_eq!(
                HashAlgorithm::from_lowercase_name(algorithm.lowercase_name()),
                Some(algorithm)
            );
        }
        assert_eq!(HashAlgorithm::from_lowercase_name("SHA256"), None);
        assert_eq!(HashAlgorithm::from_protobuf_name("SHA1"), None);
    }

    #[test]
    fn another_length_is_refused() {
        for algorithm in HashAlgorithm::ALL {
            let bytes = [7; 65];
            let right = algorithm.len();
            assert_eq!(
                Digest::from_bytes(algorithm, &bytes[..right]).unwrap().as_bytes(),
                &bytes[..right]
            );
            for found in [0, right - 1, right + 1] {
                let expected = right;
                assert_eq!(
                    Digest::from_bytes(algorithm, &bytes[..found]),
                    Err(Error::DigestLength { expected, found })
                );
            }
        }
    }

    #[test]
    fn digests_of_two_algorithms_differ() {
        let short = Digest::from_bytes(HashAlgorithm::Sha256, &[0; 32]).unwrap();
        let long = Digest::from_bytes(HashAlgorithm::Sha384, &[0; 48]).unwrap();
        assert_ne!(short, long);
    }

    #[test]
    fn a_digest_text_has_64_digits() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(text.parse(), Ok(Sha256Digest::of(b"abc")));
        assert_eq!(
            format!("sha256:{}", text.to_uppercase()).parse(),
            Ok(Sha256Digest::of(b"abc"))
        );
        assert_eq!(Sha256Digest::of(b"abc").to_string(), text);
        for wrong in [
            "",
            "sha256:",
            &text[1..],
            &format!("{text}0"),
            &text.replace('b', "g"),
            &format!("sha512:{text}"),
        ] {
            assert_eq!(wrong.parse::<Sha256Digest>(), Err(Error::DigestText), "{wrong}");
        }
    }
}
