//! The issuer's signing keys: one RSA and one P-256, as JSON Web Keys [RFC 7517, RFC 7518 §6].

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::Error;

/// A JWS algorithm this issuer signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits: what every CI uses.
    Rs256,
    /// ECDSA P-256 with SHA-256.
    Es256,
}

/// One generation of keys.
#[derive(Debug)]
pub struct Keys {
    generation: u32,
    rsa: RsaKeyPair,
    ecdsa: EcdsaKeyPair,
}

impl Keys {
    /// Fresh keys whose ids carry `generation`.
    ///
    /// # Errors
    /// The random source or the key generation failed.
    pub fn generate(generation: u32) -> Result<Self, Error> {
        let failed = |_| Error::new("make the issuer's keys", "the crypto library failed");
        Ok(Self {
            generation,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?,
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?,
        })
    }

    /// Which generation this is, from 1.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Both public keys, as members of a key set.
    #[must_use]
    pub fn public(&self) -> Vec<Value> {
        let (modulus, exponent) = self.rsa_components();
        let point = self.ecdsa.public_key().as_ref();
        vec![
            json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id(Algorithm::Rs256),
                   "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent)}),
            json!({"kty": "EC", "use": "sig", "alg": "ES256", "kid": self.id(Algorithm::Es256), "crv": "P-256",
                   "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65])}),
        ]
    }

    /// A compact token over `claims` [RFC 7515 §7.1].
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn sign(&self, algorithm: Algorithm, claims: &Value) -> Result<String, Error> {
        let name = match algorithm {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
        };
        let header = json!({"typ": "JWT", "alg": name, "kid": self.id(algorithm)});
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.signature(algorithm, message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::new("sign a token", "the crypto library failed");
        let random = SystemRandom::new();
        match algorithm {
            Algorithm::Rs256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Algorithm::Es256 => Ok(self.ecdsa.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
        }
    }

    fn id(&self, algorithm: Algorithm) -> String {
        match algorithm {
            Algorithm::Rs256 => format!("rsa-{}", self.generation),
            Algorithm::Es256 => format!("ecdsa-{}", self.generation),
        }
    }

    /// Modulus and exponent out of `RSAPublicKey` [RFC 8017 §A.1.1]: SEQUENCE, INTEGER of 257 octets, INTEGER of 3.
    fn rsa_components(&self) -> (Vec<u8>, Vec<u8>) {
        let der = self.rsa.public_key().as_ref();
        let exponent = &der[der.len() - 3..];
        let modulus = &der[der.len() - 5 - 256..der.len() - 5];
        (modulus.to_vec(), exponent.to_vec())
    }
}

/// A DER `SubjectPublicKeyInfo` of a fresh RSA key of `bits` (2048, 3072 or 4096), for requests about foreign keys.
///
/// # Errors
/// The crypto library failed.
pub fn rsa_public_key_der(size: KeySize) -> Result<Vec<u8>, Error> {
    let failed = |_| Error::new("make an RSA key", "the crypto library failed");
    let key = RsaKeyPair::generate(size).map_err(failed)?;
    Ok(key.public_key().as_der().map_err(failed)?.as_ref().to_vec())
}
