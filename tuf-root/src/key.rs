//! Keys of roles: Ed25519 (`ed25519`) and P-256 (`ecdsa`, scheme `ecdsa-sha2-nistp256`) [TUF 1.0 §4.2], in PEM files.

use std::{collections::HashMap, fmt, str::FromStr};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use tough::schema::{
    decoded::{Decoded, Hex},
    key::{EcdsaKey, EcdsaScheme, Ed25519Key, Ed25519Scheme, Key},
};
use zeroize::Zeroizing;

use crate::Error;

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519, pure.
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    P256,
}

/// The public half of a role's key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: Key,
    id: Decoded<Hex>,
}

/// A private key that signs metadata. Never printed.
pub struct SigningKey {
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl SigningKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system gives no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&random),
            Algorithm::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
        }
        .map_err(|_| Error::Internal { what: "no randomness" })?;
        Self::from_pkcs8(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Reads one PEM block labelled `PRIVATE KEY` (PKCS#8 [RFC 5958], unencrypted).
    ///
    /// # Errors
    /// [`Error::PrivateKey`] when it holds anything else.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, Error> {
        let block = pem::parse(pem).map_err(|_| Error::PrivateKey)?;
        let label_fits = block.tag() == "PRIVATE KEY";
        let pkcs8 = Zeroizing::new(block.into_contents());
        if label_fits {
            Self::from_pkcs8(pkcs8)
        } else {
            Err(Error::PrivateKey)
        }
    }

    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        let (pair, key) = if let Ok(pair) = Ed25519KeyPair::from_pkcs8(&pkcs8) {
            let key = ed25519(pair.public_key().as_ref());
            (Pair::Ed25519(pair), key)
        } else {
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).map_err(|_| Error::PrivateKey)?;
            let key = p256(pair.public_key().as_ref());
            (Pair::P256(pair), key)
        };
        Ok(Self {
            pair,
            pkcs8,
            public: PublicKey::new(key)?,
        })
    }

    /// The key as one PEM block labelled `PRIVATE KEY`.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(encode("PRIVATE KEY", self.pkcs8.to_vec()))
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public half as one PEM block labelled `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the key cannot be encoded.
    pub fn public_pem(&self) -> Result<String, Error> {
        let spki = match &self.pair {
            Pair::Ed25519(pair) => AsDer::as_der(pair.public_key()),
            Pair::P256(pair) => AsDer::as_der(pair.public_key()),
        }
        .map_err(|_| Error::Internal {
            what: "public key cannot be encoded",
        })?;
        Ok(encode("PUBLIC KEY", spki.as_ref().to_vec()))
    }

    /// A signature as TUF wants it: 64 bytes for Ed25519, ASN.1 DER for P-256.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| Error::Internal {
                    what: "key does not sign",
                }),
        }
    }
}

/// Shows the key id only.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public.id()).finish()
    }
}

impl PublicKey {
    /// Reads one PEM block labelled `PUBLIC KEY` [RFC 5280 §4.1.2.7].
    ///
    /// # Errors
    /// [`Error::PublicKey`] when it holds anything but a P-256 or Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let block = pem::parse(pem).map_err(|_| Error::PublicKey)?;
        if block.tag() != "PUBLIC KEY" {
            return Err(Error::PublicKey);
        }
        if let Some(raw) = block.contents().strip_prefix(ED25519_SPKI_PREFIX.as_slice()) {
            return if raw.len() == 32 {
                Self::new(ed25519(raw))
            } else {
                Err(Error::PublicKey)
            };
        }
        match Key::from_str(pem.trim()) {
            Ok(key @ Key::Ecdsa { .. }) => Self::new(key),
            _ => Err(Error::PublicKey),
        }
    }

    pub(crate) fn new(key: Key) -> Result<Self, Error> {
        let id = key.key_id().map_err(|_| Error::Internal { what: "key has no id" })?;
        Ok(Self { key, id })
    }

    /// The key id: 64 hexadecimal digits, SHA-256 of the canonical key object.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&self.id)
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) const fn key_id(&self) -> &Decoded<Hex> {
        &self.id
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id()).finish()
    }
}

fn ed25519(raw: &[u8]) -> Key {
    Key::Ed25519 {
        keyval: Ed25519Key {
            public: raw.to_vec().into(),
            _extra: HashMap::new(),
        },
        scheme: Ed25519Scheme::Ed25519,
        _extra: HashMap::new(),
    }
}

fn p256(point: &[u8]) -> Key {
    Key::Ecdsa {
        keyval: EcdsaKey {
            public: point.to_vec().into(),
            _extra: HashMap::new(),
        },
        scheme: EcdsaScheme::EcdsaSha2Nistp256,
        _extra: HashMap::new(),
    }
}

fn encode(label: &str, der: Vec<u8>) -> String {
    pem::encode_config(
        &pem::Pem::new(label, der),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

/// Everything of an Ed25519 `SubjectPublicKeyInfo` before the 32 bytes of the key [RFC 8410 §4].
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_pem_form_with_the_same_id() {
        for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem()).unwrap();
            assert_eq!(key.public(), again.public());
            assert_eq!(&PublicKey::from_pem(&key.public_pem().unwrap()).unwrap(), key.public());
            assert_eq!(key.public().id().len(), 64);
        }
    }

    #[test]
    fn a_private_key_is_not_printed() {
        let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({:?})", key.public().id()));
    }

    #[test]
    fn other_pem_blocks_are_refused() {
        let key = SigningKey::generate(Algorithm::P256).unwrap();
        let private = key.to_pkcs8_pem();
        let public = key.public_pem().unwrap();
        assert!(SigningKey::from_pkcs8_pem(&private).is_ok() && PublicKey::from_pem(&public).is_ok());
        assert!(matches!(SigningKey::from_pkcs8_pem(&public), Err(Error::PrivateKey)));
        assert!(matches!(PublicKey::from_pem(&private), Err(Error::PublicKey)));
        assert!(matches!(SigningKey::from_pkcs8_pem("not PEM"), Err(Error::PrivateKey)));
        let rsa_label = private.replace("PRIVATE KEY", "RSA PRIVATE KEY");
        assert!(matches!(SigningKey::from_pkcs8_pem(&rsa_label), Err(Error::PrivateKey)));
        let cut = encode("PUBLIC KEY", ED25519_SPKI_PREFIX.to_vec());
        assert!(matches!(PublicKey::from_pem(&cut), Err(Error::PublicKey)));
    }
}
