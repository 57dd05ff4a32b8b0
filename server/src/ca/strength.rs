//! Keys that we refuse to certify though they can be parsed [fulcio pkg/certificate, go `sigstore/pkg/cryptoutils`].

use der::{
    Decode as _, Sequence,
    asn1::{ObjectIdentifier, UintRef},
};
use spki::SubjectPublicKeyInfoRef;
use verify::{PublicKey, key::KeyKind};

/// Why a key is not certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyRefusal {
    /// No public key at all.
    #[error("not a public key that can be parsed")]
    Unparsable,
    /// A key type or curve that is not certified.
    #[error("key type or curve is not certified: use P-256, P-384, P-521, Ed25519 or RSA")]
    Unsupported,
    /// An RSA modulus of another length.
    #[error("RSA modulus must have 2048, 3072 or 4096 bits")]
    RsaSize,
    /// An RSA exponent other than 65537.
    #[error("RSA exponent must be 65537")]
    RsaExponent,
    /// A modulus with a small factor.
    #[error("RSA modulus has a small factor")]
    RsaSmallFactor,
    /// A modulus made by the faulty library of CVE-2017-15361.
    #[error("RSA modulus has the fingerprint of CVE-2017-15361")]
    RsaRoca,
}

impl KeyRefusal {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Unparsable => "ca-key-unparsable",
            Self::Unsupported => "ca-key-unsupported",
            Self::RsaSize => "ca-key-rsa-size",
            Self::RsaExponent => "ca-key-rsa-exponent",
            Self::RsaSmallFactor => "ca-key-rsa-small-factor",
            Self::RsaRoca => "ca-key-rsa-roca",
        }
    }
}

/// Parses a DER `SubjectPublicKeyInfo` and refuses weak keys.
///
/// # Errors
/// [`KeyRefusal::Unparsable`] when it is no key, the others when it is one that we do not certify.
pub(crate) fn certifiable_key(spki_der: &[u8]) -> Result<PublicKey, KeyRefusal> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki_der).map_err(|_| KeyRefusal::Unparsable)?;
    if spki.algorithm.oid == RSA_ENCRYPTION {
        let key = RsaPublicKey::from_der(spki.subject_public_key.raw_bytes()).map_err(|_| KeyRefusal::Unparsable)?;
        check_rsa(&key)?;
    }
    match PublicKey::from_spki_der(spki_der) {
        Ok(key) => match key.kind() {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 | KeyKind::Ed25519 => Ok(key),
            KeyKind::Rsa { bits } if RSA_BITS.contains(&bits) => Ok(key),
            KeyKind::Rsa { .. } => Err(KeyRefusal::RsaSize),
            _ => Err(KeyRefusal::Unsupported),
        },
        Err(_) if is_other_known_key(&spki) => Err(KeyRefusal::Unsupported),
        Err(_) => Err(KeyRefusal::Unparsable),
    }
}

/// A key of a kind that exists but that nobody certifies: another curve, DSA, Ed448, RSA-PSS.
fn is_other_known_key(spki: &SubjectPublicKeyInfoRef<'_>) -> bool {
    if spki.algorithm.oid == EC_PUBLIC_KEY {
        let curve = spki.algorithm.parameters_oid().ok();
        return curve.is_some_and(|curve| !CERTIFIED_CURVES.contains(&curve));
    }
    [DSA, ED448, RSA_PSS].contains(&spki.algorithm.oid)
}

fn check_rsa(key: &RsaPublicKey<'_>) -> Result<(), KeyRefusal> {
    let modulus = key.modulus.as_bytes();
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = modulus
        .len()
        .saturating_mul(8)
        .saturating_sub(usize::try_from(leading).unwrap_or(0));
    if !RSA_BITS.contains(&bits) {
        return Err(KeyRefusal::RsaSize);
    }
    if key.exponent.as_bytes() != [1, 0, 1] {
        return Err(KeyRefusal::RsaExponent);
    }
    if (2..SMALL_FACTOR_LIMIT).any(|divisor| remainder(modulus, divisor) == 0) {
        return Err(KeyRefusal::RsaSmallFactor);
    }
    if ROCA_PRIMES
        .into_iter()
        .all(|prime| is_power_of_65537(remainder(modulus, prime), prime))
    {
        return Err(KeyRefusal::RsaRoca);
    }
    Ok(())
}

/// `number` (big-endian) modulo `divisor`, which is small and not zero.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0_u32, |rest, byte| {
        rest.saturating_mul(256)
            .saturating_add(u32::from(*byte))
            .checked_rem(divisor)
            .unwrap_or(0)
    })
}

/// Whether `residue` lies in the subgroup that 65537 generates modulo `prime` [CVE-2017-15361].
fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let generator = 65_537_u32.checked_rem(prime).unwrap_or(0);
    let mut power = 1_u32;
    for _ in 0..prime {
        if power == residue {
            return true;
        }
        power = power.saturating_mul(generator).checked_rem(prime).unwrap_or(0);
    }
    false
}

/// `RSAPublicKey` [RFC 8017 §A.1.1].
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");
/// P-256, P-384, P-521 [RFC 5480 §2.1.1.1].
const CERTIFIED_CURVES: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
    ObjectIdentifier::new_unwrap("1.3.132.0.34"),
    ObjectIdentifier::new_unwrap("1.3.132.0.35"),
];
/// Fulcio's registry of client keys.
const RSA_BITS: [usize; 3] = [2048, 3072, 4096];
/// Trial division as far as Fulcio's key check goes.
const SMALL_FACTOR_LIMIT: u32 = 752;
/// Primes of the published ROCA fingerprint.
const ROCA_PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests may be blunt"
)]
mod tests {
    use aws_lc_rs::{
        encoding::{AsDer as _, PublicKeyX509Der},
        rsa::KeySize,
        signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair},
    };
    use der::{Encode as _, asn1::BitString};
    use spki::AlgorithmIdentifierOwned;

    use super::*;

    fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let key = RsaPublicKey {
            modulus: UintRef::new(modulus).unwrap(),
            exponent: UintRef::new(exponent).unwrap(),
        };
        let algorithm = AlgorithmIdentifierOwned {
            oid: RSA_ENCRYPTION,
            parameters: Some(der::Any::null()),
        };
        spki::SubjectPublicKeyInfo {
            algorithm,
            subject_public_key: BitString::from_bytes(&key.to_der().unwrap()).unwrap(),
        }
        .to_der()
        .unwrap()
    }

    fn generated_modulus() -> Vec<u8> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        pair.public_key().modulus().big_endian_without_leading_zero().to_vec()
    }

    fn refusal(spki: &[u8]) -> KeyRefusal {
        certifiable_key(spki).unwrap_err()
    }

    #[test]
    fn honest_keys_are_certified() {
        certifiable_key(&rsa_spki(&generated_modulus(), &[1, 0, 1])).unwrap();
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        assert_eq!(certifiable_key(der.as_ref()).unwrap().kind(), KeyKind::P384);
    }

    #[test]
    fn odd_rsa_keys_are_refused() {
        let modulus = generated_modulus();
        assert_eq!(refusal(&rsa_spki(&modulus, &[3])), KeyRefusal::RsaExponent);
        assert_eq!(refusal(&rsa_spki(&modulus[..128], &[1, 0, 1])), KeyRefusal::RsaSize);
        let mut multiple_of_three = modulus;
        while remainder(&multiple_of_three, 3) != 0 {
            let last = multiple_of_three.len() - 1;
            multiple_of_three[last] = multiple_of_three[last].wrapping_add(2);
        }
        assert_eq!(
            refusal(&rsa_spki(&multiple_of_three, &[1, 0, 1])),
            KeyRefusal::RsaSmallFactor
        );
    }

    #[test]
    fn a_modulus_with_the_roca_fingerprint_is_refused() {
        let modulus = roca_modulus();
        let key = RsaPublicKey {
            modulus: UintRef::new(&modulus).unwrap(),
            exponent: UintRef::new(&[1, 0, 1]).unwrap(),
        };
        assert_eq!(check_rsa(&key), Err(KeyRefusal::RsaRoca));
        let honest = generated_modulus();
        let outside = |prime: &u32| !is_power_of_65537(remainder(&honest, *prime), *prime);
        assert!(ROCA_PRIMES.iter().any(outside));
    }

    /// A 2048-bit number that is 65537^0 modulo every prime of the fingerprint and has no small factor.
    fn roca_modulus() -> Vec<u8> {
        let product: u128 = ROCA_PRIMES.iter().map(|prime| u128::from(*prime)).product();
        let mut number = vec![0_u8; 256];
        number[0] = 0xc1;
        let missing = product - remainder_wide(&number, product) + 1;
        add(&mut number, missing);
        while (2..SMALL_FACTOR_LIMIT).any(|divisor| remainder(&number, divisor) == 0) {
            add(&mut number, product);
        }
        number
    }

    fn add(number: &mut [u8], mut carry: u128) {
        for byte in number.iter_mut().rev() {
            let sum = u128::from(*byte) + (carry & 0xff);
            *byte = (sum & 0xff) as u8;
            carry = (carry >> 8) + (sum >> 8);
        }
    }

    fn remainder_wide(number: &[u8], divisor: u128) -> u128 {
        number
            .iter()
            .fold(0, |rest, byte| (rest * 256 + u128::from(*byte)) % divisor)
    }

    #[test]
    fn another_curve_is_unsupported_and_rubbish_unparsable() {
        // secp256k1, generator point
        let spki = hex::decode(
            "3056301006072a8648ce3d020106052b8104000a0342000479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
             483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
        )
        .unwrap();
        assert_eq!(refusal(&spki), KeyRefusal::Unsupported);
        assert_eq!(refusal(&spki[..40]), KeyRefusal::Unparsable);
        assert_eq!(refusal(b""), KeyRefusal::Unparsable);
    }
}
