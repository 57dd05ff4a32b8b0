//! The server's signing keys: P-256 for CA, timestamp authority, CT and v1 log; Ed25519 for the v2 log [FIPS 186-5, RFC 8032].
//!
//! Private keys are held by aws-lc-rs and leave it only as PKCS #8 inside [`Zeroizing`]. Where the files live and who may read
//! them is the configuration's business.

use std::sync::Arc;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use der::pem::LineEnding;
use verify::PublicKey;
use zeroize::Zeroizing;

/// A private key that signs for the server. Cheap to clone; never printed.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Pair>,
    pem: Arc<Zeroizing<String>>,
    public: PublicKey,
}

/// What can go wrong with a key of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not one PEM block labelled `PRIVATE KEY`, or longer than any key of ours.
    #[error("not a PEM private key: expected one block labelled `PRIVATE KEY` (PKCS #8)")]
    Pem,
    /// Valid PEM, but neither a P-256 nor an Ed25519 key.
    #[error("not a P-256 or Ed25519 key in PKCS #8")]
    Unsupported,
    /// The cryptography library refused to generate, export or use the key.
    #[error("the cryptography library failed")]
    Library,
}

impl KeyError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Pem => "key-pem",
            Self::Unsupported => "key-unsupported",
            Self::Library => "key-library",
        }
    }

    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Pem => "convert the key with `openssl pkcs8 -topk8 -nocrypt`",
            Self::Unsupported => "make a P-256 key for CA, TSA, CT and v1 log, an Ed25519 key for the v2 log",
            Self::Library => "run the server's self test again; a broken key file or random source is likely",
        }
    }
}

impl SigningKey {
    /// A new P-256 key from the system's random source.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn generate_p256() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Library)?;
        Self::new(Pair::P256(pair))
    }

    /// A new Ed25519 key from the system's random source.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn generate_ed25519() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Library)?;
        Self::new(Pair::Ed25519(pair))
    }

    /// Reads one PEM block `PRIVATE KEY` holding PKCS #8 [RFC 5958], at most 4 KiB.
    ///
    /// # Errors
    /// [`KeyError::Pem`] when it is no such block, [`KeyError::Unsupported`] when the key is of another kind.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.len() > PEM_LIMIT_BYTES {
            return Err(KeyError::Pem);
        }
        let (label, der) = der::pem::decode_vec(pem.trim_ascii().as_bytes()).map_err(|_| KeyError::Pem)?;
        let der = Zeroizing::new(der);
        if label != PKCS8_LABEL {
            return Err(KeyError::Pem);
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der) {
            return Self::new(Pair::P256(pair));
        }
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| KeyError::Unsupported)?;
        Self::new(Pair::Ed25519(pair))
    }

    /// The key as one PEM block `PRIVATE KEY` (PKCS #8 version 1), LF, 64 columns.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        Zeroizing::clone(&self.pem)
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`: ECDSA over its SHA-256 in ASN.1 DER, or pure Ed25519 (64 bytes).
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = match self.pair.as_ref() {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        };
        Ok(signature.map_err(|_| KeyError::Library)?.as_ref().to_vec())
    }

    fn new(pair: Pair) -> Result<Self, KeyError> {
        let public = PublicKey::from_spki_der(&pair.spki_der()?).map_err(|_| KeyError::Library)?;
        let pem = der::pem::encode_string(PKCS8_LABEL, LineEnding::LF, &pair.pkcs8_der()?);
        let pem = Arc::new(Zeroizing::new(pem.map_err(|_| KeyError::Library)?));
        Ok(Self {
            pair: Arc::new(pair),
            pem,
            public,
        })
    }
}

/// Shows the public half only.
impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    fn spki_der(&self) -> Result<Vec<u8>, KeyError> {
        let spki: PublicKeyX509Der<'_> = match self {
            Self::P256(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
        }
        .map_err(|_| KeyError::Library)?;
        Ok(spki.as_ref().to_vec())
    }

    fn pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let der = match self {
            Self::P256(pair) => pair.to_pkcs8v1().map_err(|_| KeyError::Library)?.as_ref().to_vec(),
            Self::Ed25519(pair) => {
                let document: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Library)?;
                document.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(der))
    }
}

/// PEM label of an unencrypted PKCS #8 key [RFC 7468 §10].
const PKCS8_LABEL: &str = "PRIVATE KEY";

/// No P-256 or Ed25519 key needs more than a few hundred bytes.
const PEM_LIMIT_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [SigningKey; 2] {
        [
            SigningKey::generate_p256().unwrap(),
            SigningKey::generate_ed25519().unwrap(),
        ]
    }

    #[test]
    fn a_key_read_back_signs_for_the_same_public_key() {
        for key in both() {
            let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            let signature = again.sign(b"message").unwrap();
            let scheme = key.public_key().default_scheme();
            key.public_key().verify(scheme, b"message", &signature).unwrap();
            key.public_key().verify(scheme, b"messagE", &signature).unwrap_err();
        }
    }

    #[test]
    fn debug_output_holds_no_private_key() {
        for key in both() {
            let pem = key.to_pkcs8_pem();
            let secret = pem.lines().nth(1).unwrap().to_owned();
            assert!(!format!("{key:?}").contains(&secret));
        }
    }

    #[test]
    fn another_label_is_refused() {
        let pem = SigningKey::generate_p256().unwrap().to_pkcs8_pem();
        assert!(SigningKey::from_pkcs8_pem(&pem).is_ok());
        let relabelled = pem.replace("PRIVATE KEY", "EC PRIVATE KEY");
        assert_eq!(SigningKey::from_pkcs8_pem(&relabelled).unwrap_err(), KeyError::Pem);
        assert_eq!(SigningKey::from_pkcs8_pem("").unwrap_err(), KeyError::Pem);
    }

    #[test]
    fn another_curve_is_refused() {
        let pair = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        let pem = der::pem::encode_string(PKCS8_LABEL, LineEnding::LF, der.as_ref()).unwrap();
        assert_eq!(SigningKey::from_pkcs8_pem(&pem).unwrap_err(), KeyError::Unsupported);
    }
}
