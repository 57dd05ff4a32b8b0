//! Strict Ed25519 [RFC 8032 §5.1]: what to refuse before the equation, and Ed25519ph.
//!
//! A key is taken only when its encoding is canonical and its point lies in the group of prime order. Then `R` = `S`·B − k·A
//! lies there as well, and of all the odd signatures that implementations disagree on only an `R` of low order (the
//! identity) is left, which is refused too. No honest signer makes any of them.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update, typenum::U64};

use crate::{Digest, Error, HashAlgorithm};

/// Whether `encoded` is the canonical encoding of a point of prime order.
pub(super) fn is_strict_key(encoded: &[u8; 32]) -> bool {
    is_strict_point(encoded) && VerifyingKey::from_bytes(encoded).is_ok_and(|key| key.to_edwards().is_torsion_free())
}

/// 64 bytes whose first half is a canonical encoding and no point of low order.
pub(super) fn is_strict_signature(signature: &[u8]) -> bool {
    signature.len() == 64 && signature.first_chunk().is_some_and(is_strict_point)
}

/// Checks an Ed25519ph signature with an empty context over a message of which the SHA-512 is known.
pub(super) fn verify_prehashed(key: &[u8; 32], digest: &Digest, signature: &[u8]) -> Result<(), Error> {
    if digest.algorithm() != HashAlgorithm::Sha512 || !is_strict_signature(signature) {
        return Err(Error::Signature);
    }
    let prehash = Prehash(digest.as_bytes().try_into().map_err(|_| Error::Signature)?);
    let signature = Signature::from_slice(signature).map_err(|_| Error::Signature)?;
    VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_prehashed_strict(prehash, None, &signature))
        .map_err(|_| Error::Signature)
}

/// A finished SHA-512 in the shape of a hash function that takes no more input: all that `ed25519-dalek` accepts.
struct Prehash([u8; 64]);

impl Default for Prehash {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Update for Prehash {
    fn update(&mut self, _: &[u8]) {}
}

impl OutputSizeUser for Prehash {
    type OutputSize = U64;
}

impl FixedOutput for Prehash {
    fn finalize_into(self, out: &mut Output<Self>) {
        *out = self.0.into();
    }
}

impl HashMarker for Prehash {}

/// Whether an encoded point is canonical (y below 2^255 − 19) and not of low order. Whether it is on the curve is not
/// checked here.
fn is_strict_point(encoded: &[u8; 32]) -> bool {
    let mut y = *encoded;
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    let below_prime = y.iter().rev().cmp(PRIME.iter().rev()).is_lt();
    below_prime && !LOW_ORDER_Y.contains(&y)
}

/// 2^255 − 19, little-endian [RFC 8032 §5.1].
const PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// The y coordinates of the eight points of low order, little-endian: 0 (order 4), 1 (order 1), −1 (order 2) and the two of order 8.
const LOW_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = PRIME;
        minus_one[0] = 0xec;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may be blunt")]
mod tests {
    use super::*;
    use crate::{PublicKey, key::SignatureScheme};

    /// [RFC 8032 §7.3]
    const KEY: &str = "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf";
    const SIGNATURE: &str = "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406";

    fn key() -> PublicKey {
        PublicKey::from_ed25519_bytes(&hex::decode(KEY).unwrap().try_into().unwrap()).unwrap()
    }

    #[test]
    fn the_ed25519ph_example_of_rfc_8032_verifies() {
        let signature = hex::decode(SIGNATURE).unwrap();
        assert_eq!(key().verify(SignatureScheme::Ed25519Ph, b"abc", &signature), Ok(()));
        let digest = HashAlgorithm::Sha512.digest(b"abc");
        assert_eq!(
            key().verify_digest(SignatureScheme::Ed25519Ph, &digest, &signature),
            Ok(())
        );
    }

    #[test]
    fn any_other_ed25519ph_signature_is_refused() {
        let signature = hex::decode(SIGNATURE).unwrap();
        let refused = Err(Error::Signature);
        for position in [0, 31, 32, 63] {
            let mut changed = signature.clone();
            changed[position] ^= 1;
            assert_eq!(key().verify(SignatureScheme::Ed25519Ph, b"abc", &changed), refused);
        }
        for wrong in [&signature[..63], &[signature.as_slice(), &[0]].concat(), &[]] {
            assert_eq!(key().verify(SignatureScheme::Ed25519Ph, b"abc", wrong), refused);
        }
        assert_eq!(key().verify(SignatureScheme::Ed25519Ph, b"abd", &signature), refused);
        assert_eq!(key().verify(SignatureScheme::Ed25519, b"abc", &signature), refused);
        for digest in [
            HashAlgorithm::Sha256.digest(b"abc"),
            HashAlgorithm::Sha512.digest(b"abd"),
        ] {
            assert_eq!(
                key().verify_digest(SignatureScheme::Ed25519Ph, &digest, &signature),
                refused
            );
        }
    }

    #[test]
    fn keys_of_low_order_are_refused() {
        for y in LOW_ORDER_Y {
            for sign in [0, 0x80] {
                let mut encoded = y;
                encoded[31] |= sign;
                assert!(!is_strict_key(&encoded));
            }
        }
    }

    #[test]
    fn keys_that_are_not_canonical_are_refused() {
        // y and y + p name the same point where y is below 19.
        for y in 0_u8..19 {
            let mut encoded = PRIME;
            encoded[0] += y;
            assert!(!is_strict_key(&encoded), "{y}");
        }
    }

    #[test]
    fn a_key_off_the_curve_is_refused() {
        let mut encoded = [0; 32];
        encoded[0] = 2;
        assert!(!is_strict_key(&encoded));
        assert_eq!(PublicKey::from_ed25519_bytes(&encoded), Err(Error::Key));
    }
}
