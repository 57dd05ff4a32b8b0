//! Requests for certificates, made without the client under test.

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::Error;

/// A fresh P-256 key that wants to be certified.
#[derive(Debug)]
pub struct Applicant {
    key: EcdsaKeyPair,
}

impl Applicant {
    /// A new key.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn new() -> Result<Self, Error> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| Error::new("make a key", "the crypto library failed"))?;
        Ok(Self { key })
    }

    /// The public key in PEM.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn public_key_pem(&self) -> Result<String, Error> {
        let der = self
            .key
            .public_key()
            .as_der()
            .map_err(|_| Error::new("write a key", "the crypto library failed"))?;
        Ok(pem("PUBLIC KEY", der.as_ref()))
    }

    /// The proof of possession: a signature over the token's challenge, base64.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn proof(&self, challenge: &str) -> Result<String, Error> {
        let signature = self
            .key
            .sign(&SystemRandom::new(), challenge.as_bytes())
            .map_err(|_| Error::new("sign", "the crypto library failed"))?;
        Ok(STANDARD.encode(signature.as_ref()))
    }

    /// The body of `POST /api/v2/signingCert` for a token whose challenge claim is `challenge`.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn request(&self, token: &str, challenge: &str) -> Result<Value, Error> {
        Ok(json!({
            "credentials": {"oidcIdentityToken": token},
            "publicKeyRequest": {
                "publicKey": {"algorithm": "ECDSA", "content": self.public_key_pem()?},
                "proofOfPossession": self.proof(challenge)?,
            },
        }))
    }
}

/// One PEM block: LF, 64 columns [RFC 7468 §2].
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    lines.extend(
        base64
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned()),
    );
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}
