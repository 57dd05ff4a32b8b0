//! Compact JSON Web Tokens and key sets [RFC 7515, RFC 7517, RFC 7519], bounded and without `none`.

use crate::{Budget, Error};

/// A token whose signature nobody has checked: good for choosing an issuer and for showing claims, nothing else.
#[derive(Clone)]
pub struct UnverifiedToken {
    claims: serde_json::Map<String, serde_json::Value>,
}

/// Claims of a token whose signature, by a key of the given set, was checked. Times and audience are the caller's to check.
#[derive(Clone)]
pub struct VerifiedToken {
    claims: serde_json::Map<String, serde_json::Value>,
}

/// JWS algorithms that an issuer may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwsAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// A JSON Web Key Set [RFC 7517 §5].
#[derive(Clone, Debug)]
pub struct JsonWebKeySet {}

impl UnverifiedToken {
    /// Reads a compact token: exactly two dots before anything else, base64url without padding, bounded JSON.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::TooLarge`].
    pub fn parse(_text: &str, _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// The claims, unchecked.
    #[must_use]
    pub fn claims(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.claims
    }
    /// The `iss` claim.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
    /// The `kid` of the header.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        todo!()
    }
    /// Checks the signature with the key of the set that `kid` names (or the only one that fits, without `kid`).
    ///
    /// # Errors
    /// [`Error::TokenKey`] when no key fits, [`Error::TokenSignature`], [`Error::TokenAlgorithm`].
    pub fn verify(&self, _keys: &JsonWebKeySet, _allowed: &[JwsAlgorithm]) -> Result<VerifiedToken, Error> {
        todo!()
    }
}

impl VerifiedToken {
    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.claims
    }
}

impl JsonWebKeySet {
    /// Reads a key set; unknown key types are left out, `use: enc` keys too.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::TooLarge`], [`Error::TooMany`].
    pub fn from_json(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Whether a key with this id is in the set.
    #[must_use]
    pub fn contains(&self, _key_id: &str) -> bool {
        todo!()
    }
}
