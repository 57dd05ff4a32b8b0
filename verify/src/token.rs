//! Compact JSON Web Tokens and key sets [RFC 7515, RFC 7517, RFC 7519], bounded and without `none`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{Budget, Error, HashAlgorithm, PublicKey, json, key::SignatureScheme};

/// A token whose signature nobody has checked: good for choosing an issuer and for showing claims, nothing else.
#[derive(Clone)]
pub struct UnverifiedToken {
    jws: Jws,
    claims: Map<String, Value>,
}

/// Claims of a token whose signature, by a key of the given set, was checked. Times and audience are the caller's to check.
#[derive(Clone)]
pub struct VerifiedToken {
    claims: Map<String, Value>,
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
pub struct JsonWebKeySet {
    keys: Vec<JsonWebKey>,
}

#[derive(Clone, Debug)]
struct JsonWebKey {
    id: Option<String>,
    algorithm: JwsAlgorithm,
    key: PublicKey,
}

impl UnverifiedToken {
    /// Reads a compact token: exactly two dots before anything else, base64url without padding, bounded JSON.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::TooLarge`], and [`Error::TooDeep`] or [`Error::Json`] of header or claims.
    pub fn parse(text: &str, budget: &Budget) -> Result<Self, Error> {
        let (jws, payload) = Jws::parse(text, budget)?;
        let Value::Object(claims) = json::parse(&payload, WHAT, budget.token_bytes, budget.json_depth)? else {
            return Err(Error::Token);
        };
        Ok(Self { jws, claims })
    }

    /// The claims, unchecked.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
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
        self.jws.key_id.as_deref()
    }

    /// Checks the signature with the key of the set that `kid` names (or the only one that fits, without `kid`).
    ///
    /// # Errors
    /// [`Error::TokenKey`] when no key fits, [`Error::TokenSignature`], [`Error::TokenAlgorithm`].
    pub fn verify(&self, keys: &JsonWebKeySet, allowed: &[JwsAlgorithm]) -> Result<VerifiedToken, Error> {
        self.jws.verify(keys, allowed)?;
        Ok(VerifiedToken {
            claims: self.claims.clone(),
        })
    }
}

/// Without the token: it is a secret.
impl std::fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnverifiedToken")
            .field("algorithm", &self.jws.algorithm)
            .field("key_id", &self.jws.key_id)
            .field("issuer", &self.issuer())
            .finish_non_exhaustive()
    }
}

impl VerifiedToken {
    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// Without the claims, which may name a person.
impl std::fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedToken").finish_non_exhaustive()
    }
}

impl JwsAlgorithm {
    /// The algorithm of this `alg` value [RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2].
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    const fn scheme(self) -> SignatureScheme {
        match self {
            Self::Rs256 => SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha256),
            Self::Es256 => SignatureScheme::EcdsaFixed(HashAlgorithm::Sha256),
            Self::EdDsa => SignatureScheme::Ed25519,
        }
    }
}

impl JsonWebKeySet {
    /// Reads a key set; unknown key types are left out, `use: enc` keys too, and keys too weak to be used.
    ///
    /// # Errors
    /// [`Error::Token`] for a member that is not base64url, two different keys of one id and algorithm;
    /// [`Error::TooMany`], [`Error::TooLarge`], [`Error::TooDeep`], [`Error::Json`].
    pub fn from_json(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        let wire: WireSet = json::parse_as(bytes, KEY_SET, budget.trust_bytes, budget.json_depth)?;
        if wire.keys.len() > budget.jwks_keys {
            return Err(Error::TooMany {
                what: "keys of an issuer",
                limit: budget.jwks_keys,
            });
        }
        let mut keys: Vec<JsonWebKey> = Vec::new();
        for wire in wire.keys {
            let Some(key) = wire.read()? else { continue };
            let same = |other: &&JsonWebKey| key.id.is_some() && other.id == key.id && other.algorithm == key.algorithm;
            match keys.iter().find(same) {
                None => keys.push(key),
                Some(other) if other.key == key.key => {}
                Some(_) => return Err(Error::Token),
            }
        }
        Ok(Self { keys })
    }

    /// Whether a key with this id is in the set.
    #[must_use]
    pub fn contains(&self, key_id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(key_id))
    }
}

/// A compact JSON Web Signature [RFC 7515 §7.1], apart from its payload.
#[derive(Clone)]
struct Jws {
    algorithm: String,
    key_id: Option<String>,
    /// Header and payload as they came, up to the second dot; with the signature this is the secret.
    signed: Zeroizing<String>,
    signature: Zeroizing<Vec<u8>>,
}

impl Jws {
    /// The signature's parts, and the payload.
    fn parse(text: &str, budget: &Budget) -> Result<(Self, Zeroizing<Vec<u8>>), Error> {
        if text.len() > budget.token_bytes {
            return Err(Error::TooLarge {
                what: WHAT,
                limit: budget.token_bytes,
            });
        }
        if text.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Err(Error::Token);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Error::Token)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Token)?;
        let header: Header = json::parse_as(&decode(header)?, HEADER, budget.token_bytes, budget.json_depth)?;
        // An extension that must be understood and is not [RFC 7515 §4.1.11].
        if header.crit.is_some() {
            return Err(Error::Token);
        }
        let jws = Self {
            algorithm: header.alg,
            key_id: header.kid,
            signed: Zeroizing::new(signed.to_owned()),
            signature: decode(signature)?,
        };
        Ok((jws, decode(payload)?))
    }

    fn verify(&self, keys: &JsonWebKeySet, allowed: &[JwsAlgorithm]) -> Result<(), Error> {
        let algorithm = JwsAlgorithm::from_name(&self.algorithm)
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or(Error::TokenAlgorithm)?;
        let fitting: Vec<&PublicKey> = keys
            .keys
            .iter()
            .filter(|key| key.algorithm == algorithm && (self.key_id.is_none() || key.id == self.key_id))
            .map(|key| &key.key)
            .collect();
        let [key] = fitting.as_slice() else {
            return Err(Error::TokenKey);
        };
        key.verify(algorithm.scheme(), self.signed.as_bytes(), &self.signature)
            .map_err(|_| Error::TokenSignature)
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct WireSet {
    keys: Vec<WireKey>,
}

/// A JSON Web Key as far as public signature keys need it [RFC 7517 §4, RFC 7518 §6, RFC 8037 §2].
#[derive(Deserialize)]
struct WireKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl WireKey {
    /// The key; none when it is not for checking signatures of a known algorithm.
    fn read(self) -> Result<Option<JsonWebKey>, Error> {
        let for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        let (algorithm, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let key = PublicKey::from_rsa_components(&member(self.n)?, &member(self.e)?);
                (JwsAlgorithm::Rs256, key)
            }
            ("EC", Some("P-256")) => {
                let key = PublicKey::from_p256_coordinates(&coordinate(self.x)?, &coordinate(self.y)?);
                (JwsAlgorithm::Es256, key)
            }
            ("OKP", Some("Ed25519")) => (JwsAlgorithm::EdDsa, PublicKey::from_ed25519_bytes(&coordinate(self.x)?)),
            _ => return Ok(None),
        };
        let stated = self.alg.as_deref();
        let agrees = stated.is_none_or(|stated| JwsAlgorithm::from_name(stated) == Some(algorithm));
        Ok(key.ok().filter(|_| for_signatures && agrees).map(|key| JsonWebKey {
            id: self.kid,
            algorithm,
            key,
        }))
    }
}

fn member(text: Option<String>) -> Result<Zeroizing<Vec<u8>>, Error> {
    decode(&text.ok_or(Error::Token)?)
}

fn coordinate(text: Option<String>) -> Result<[u8; 32], Error> {
    member(text)?.as_slice().try_into().map_err(|_| Error::Token)
}

/// Base64url without padding, canonical [RFC 7515 §2].
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| Error::Token)
}

const WHAT: &str = "token";
const HEADER: &str = "token header";
const KEY_SET: &str = "key set";

#[cfg(test)]
mod tests;
