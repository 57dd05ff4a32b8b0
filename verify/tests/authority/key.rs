//! Key pairs.

use std::sync::Arc;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair, RsaSignatureEncoding},
};
use verify::{PublicKey, key::KeyKind};

use super::der::{algorithm, element, oid, sequence};

/// A key pair of any kind that signs with its usual scheme.
pub struct Key {
    pair: Arc<Pair>,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static RsaSignatureEncoding),
}

impl Key {
    pub fn p256() -> Self {
        Self::ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)
    }
    pub fn p384() -> Self {
        Self::ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING)
    }
    pub fn p521() -> Self {
        Self::ecdsa(&signature::ECDSA_P521_SHA512_ASN1_SIGNING)
    }
    fn ecdsa(scheme: &'static signature::EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(scheme).unwrap();
        let der = pair.public_key().as_der().unwrap();
        let public = PublicKey::from_spki_der(der.as_ref()).unwrap();
        Self::new(Pair::Ecdsa(pair), public)
    }
    pub fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public = PublicKey::from_ed25519_bytes(pair.public_key().as_ref().try_into().unwrap()).unwrap();
        Self::new(Pair::Ed25519(pair), public)
    }
    pub fn rsa() -> Self {
        Self::rsa_with(&signature::RSA_PKCS1_SHA256)
    }
    /// Signs with PSS, which is not what keys of its kind usually do.
    pub fn rsa_pss() -> Self {
        Self::rsa_with(&signature::RSA_PSS_SHA256)
    }
    fn rsa_with(encoding: &'static RsaSignatureEncoding) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        let public = PublicKey::from_spki_der(der.as_ref()).unwrap();
        Self::new(Pair::Rsa(pair, encoding), public)
    }
    fn new(pair: Pair, public: PublicKey) -> Self {
        Self {
            pair: Arc::new(pair),
            public,
        }
    }
    /// Signing takes no state, so that a shared pair does as well as a copy.
    pub fn copy(&self) -> Self {
        Self {
            pair: Arc::clone(&self.pair),
            public: self.public.clone(),
        }
    }
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &*self.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
    /// The X.509 algorithm of [`Self::sign`].
    pub fn algorithm(&self) -> Vec<u8> {
        match self.public.kind() {
            KeyKind::P384 => algorithm("1.2.840.10045.4.3.3"),
            KeyKind::P521 => algorithm("1.2.840.10045.4.3.4"),
            KeyKind::Ed25519 => algorithm("1.3.101.112"),
            KeyKind::Rsa { .. } => sequence(&[oid("1.2.840.113549.1.1.11"), element(0x05, &[])]),
            _ => algorithm("1.2.840.10045.4.3.2"),
        }
    }
}
