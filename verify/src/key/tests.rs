//! Tests of the key module. `openssl.json` holds signatures over `a message` by every scheme, `refused.json` keys that
//! are well formed but not ours to take; both were made with the OpenSSL command line.

use super::*;
use aws_lc_rs::{rand::SystemRandom, signature as aws_signing};
use aws_signing::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const MESSAGE: &[u8] = b"a message";

fn ed25519() -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let key = PublicKey::from_ed25519_bytes(pair.public_key().as_ref().try_into().unwrap()).unwrap();
    (pair, key)
}

fn p256() -> (EcdsaKeyPair, PublicKey) {
    let algorithm = &aws_signing::ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let key = PublicKey::from_p256_coordinates(point[1..33].try_into().unwrap(), point[33..].try_into().unwrap());
    (pair, key.unwrap())
}

/// Key, scheme, signature over [`MESSAGE`].
fn openssl() -> Vec<(PublicKey, SignatureScheme, Vec<u8>)> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("openssl.json")).unwrap();
    let read = |case: Value| {
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        let hash = HashAlgorithm::from_lowercase_name(&text("hash")).unwrap();
        let scheme = match text("scheme").as_str() {
            "ecdsa" => SignatureScheme::Ecdsa(hash),
            "rsa-pkcs1v15" => SignatureScheme::RsaPkcs1v15(hash),
            "rsa-pss" => SignatureScheme::RsaPss(hash),
            other => panic!("unknown scheme {other}"),
        };
        let key = PublicKey::from_spki_der(&STANDARD.decode(text("key")).unwrap()).unwrap();
        (key, scheme, STANDARD.decode(text("signature")).unwrap())
    };
    cases.into_iter().map(read).collect()
}

fn scheme_hash(scheme: SignatureScheme) -> HashAlgorithm {
    match scheme {
        SignatureScheme::Ecdsa(hash)
        | SignatureScheme::EcdsaFixed(hash)
        | SignatureScheme::RsaPkcs1v15(hash)
        | SignatureScheme::RsaPss(hash) => hash,
        SignatureScheme::Ed25519 | SignatureScheme::Ed25519Ph => HashAlgorithm::Sha512,
    }
}

#[test]
fn signatures_of_openssl_verify_by_message_and_by_digest() {
    let cases = openssl();
    assert_eq!(cases.len(), 17);
    for (key, scheme, signature) in cases {
        assert_eq!(key.verify(scheme, MESSAGE, &signature), Ok(()), "{key:?} {scheme:?}");
        let digest = scheme_hash(scheme).digest(MESSAGE);
        assert_eq!(
            key.verify_digest(scheme, &digest, &signature),
            Ok(()),
            "{key:?} {scheme:?}"
        );
    }
}

#[test]
fn a_signature_under_another_scheme_message_or_key_is_refused() {
    let cases = openssl();
    let refused = Err(Error::Signature);
    for (key, scheme, signature) in &cases {
        assert_eq!(key.verify(*scheme, b"another message", signature), refused);
        assert_eq!(
            key.verify_digest(*scheme, &scheme_hash(*scheme).digest(b"another"), signature),
            refused
        );
        for (other_key, other_scheme, _) in &cases {
            if (other_key, other_scheme) != (key, scheme) {
                assert_eq!(other_key.verify(*other_scheme, MESSAGE, signature), refused);
                let digest = scheme_hash(*other_scheme).digest(MESSAGE);
                assert_eq!(other_key.verify_digest(*other_scheme, &digest, signature), refused);
            }
        }
    }
}

#[test]
fn a_digest_of_another_hash_is_refused() {
    for (key, scheme, signature) in openssl() {
        for hash in HashAlgorithm::ALL
            .into_iter()
            .filter(|hash| *hash != scheme_hash(scheme))
        {
            let digest = hash.digest(MESSAGE);
            assert_eq!(key.verify_digest(scheme, &digest, &signature), Err(Error::Signature));
        }
    }
}

#[test]
fn a_signature_changed_cut_or_extended_is_refused() {
    for (key, scheme, signature) in openssl() {
        let mut changed = signature.clone();
        *changed.last_mut().unwrap() ^= 1;
        let cut = &signature[..signature.len() - 1];
        let extended = [signature.as_slice(), &[0]].concat();
        for wrong in [changed.as_slice(), cut, &extended, &[]] {
            assert_eq!(key.verify(scheme, MESSAGE, wrong), Err(Error::Signature), "{scheme:?}");
        }
    }
}

#[test]
fn ed25519_is_pure_and_has_no_digest_form() {
    let (pair, key) = ed25519();
    let signature = pair.sign(MESSAGE);
    assert_eq!(
        key.verify(SignatureScheme::Ed25519, MESSAGE, signature.as_ref()),
        Ok(())
    );
    assert_eq!(
        key.verify(SignatureScheme::Ed25519, b"other", signature.as_ref()),
        Err(Error::Signature)
    );
    let digest = HashAlgorithm::Sha512.digest(MESSAGE);
    let over_digest = pair.sign(digest.as_bytes());
    for scheme in [SignatureScheme::Ed25519, SignatureScheme::Ed25519Ph] {
        assert_eq!(
            key.verify_digest(scheme, &digest, over_digest.as_ref()),
            Err(Error::Signature)
        );
        assert_eq!(
            key.verify_digest(scheme, &digest, signature.as_ref()),
            Err(Error::Signature)
        );
    }
}

#[test]
fn an_ed25519_signature_whose_s_is_not_reduced_is_refused() {
    let (pair, key) = ed25519();
    let mut signature = pair.sign(MESSAGE).as_ref().to_vec();
    assert_eq!(key.verify(SignatureScheme::Ed25519, MESSAGE, &signature), Ok(()));
    // S + L names the same scalar.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0_u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(
        key.verify(SignatureScheme::Ed25519, MESSAGE, &signature),
        Err(Error::Signature)
    );
}

#[test]
fn fixed_length_and_der_signatures_are_not_taken_for_each_other() {
    let (pair, key) = p256();
    let fixed = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
    let hash = HashAlgorithm::Sha256;
    assert_eq!(
        key.verify(SignatureScheme::EcdsaFixed(hash), MESSAGE, fixed.as_ref()),
        Ok(())
    );
    assert_eq!(
        key.verify(SignatureScheme::Ecdsa(hash), MESSAGE, fixed.as_ref()),
        Err(Error::Signature)
    );
    let (key, scheme, der) = openssl().swap_remove(0);
    assert_eq!(key.verify(scheme, MESSAGE, &der), Ok(()));
    assert_eq!(
        key.verify(SignatureScheme::EcdsaFixed(hash), MESSAGE, &der),
        Err(Error::Signature)
    );
}

#[test]
fn keys_print_back_as_der_and_pem() {
    let keys = openssl()
        .into_iter()
        .map(|(key, ..)| key)
        .chain([ed25519().1, p256().1]);
    for key in keys {
        assert_eq!(PublicKey::from_spki_der(key.spki_der()), Ok(key.clone()));
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key.clone()));
        assert_eq!(
            PublicKey::from_pem(&key.to_pem().replace('\n', "\r\n")),
            Ok(key.clone())
        );
        assert_eq!(
            PublicKey::from_pem(&key.to_pem().replace("PUBLIC", "PRIVATE")),
            Err(Error::Key)
        );
        assert_eq!(key.id(), KeyId(Sha256::digest(key.spki_der()).into()));
    }
}

#[test]
fn a_key_cut_anywhere_or_with_trailing_bytes_is_refused() {
    for key in [openssl().swap_remove(0).0, openssl().swap_remove(9).0, ed25519().1] {
        let der = key.spki_der();
        for length in 0..der.len() {
            assert_eq!(PublicKey::from_spki_der(&der[..length]), Err(Error::Key));
        }
        assert_eq!(PublicKey::from_spki_der(&[der, &[0]].concat()), Err(Error::Key));
    }
}

#[test]
fn well_formed_keys_that_are_not_ours_to_take_are_refused() {
    let keys: std::collections::BTreeMap<String, String> = serde_json::from_str(include_str!("refused.json")).unwrap();
    assert_eq!(keys.len(), 10);
    for (name, key) in keys {
        assert_eq!(
            PublicKey::from_spki_der(&STANDARD.decode(key).unwrap()),
            Err(Error::Key),
            "{name}"
        );
    }
}

#[test]
fn a_point_off_its_curve_is_refused() {
    let mut x_and_y = [[0; 32]; 2];
    assert_eq!(
        PublicKey::from_p256_coordinates(&x_and_y[0], &x_and_y[1]),
        Err(Error::Key)
    );
    let (_, key) = p256();
    let point = key.spki_der().last_chunk::<64>().unwrap();
    x_and_y[0].copy_from_slice(&point[..32]);
    x_and_y[1].copy_from_slice(&point[32..]);
    assert!(PublicKey::from_p256_coordinates(&x_and_y[0], &x_and_y[1]).is_ok());
    x_and_y[1][31] ^= 1;
    assert_eq!(
        PublicKey::from_p256_coordinates(&x_and_y[0], &x_and_y[1]),
        Err(Error::Key)
    );
}

#[test]
fn parameters_that_a_key_must_not_lack_or_have_are_refused() {
    // Ed25519 with NULL parameters [RFC 8410 §3: must be absent].
    let raw = ed25519().1.ed25519_bytes().copied().unwrap();
    let null = [
        &[
            0x30, 0x2c, 0x30, 0x07, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x05, 0x00, 0x03, 0x21, 0x00,
        ][..],
        &raw,
    ]
    .concat();
    assert_eq!(PublicKey::from_spki_der(&null), Err(Error::Key));
    // RSA without parameters [RFC 3279 §2.3.1: must be NULL]: both outer lengths shrink by the two bytes of NULL.
    let rsa = openssl().swap_remove(9).0.spki_der().to_vec();
    assert_eq!(rsa[..6], [0x30, 0x82, 0x01, 0x22, 0x30, 0x0d]);
    let bare = [&[0x30, 0x82, 0x01, 0x20, 0x30, 0x0b], &rsa[6..17], &rsa[19..]].concat();
    assert_eq!(PublicKey::from_spki_der(&bare), Err(Error::Key));
    // A bit string with unused bits.
    let mut bits = ed25519().1.spki_der().to_vec();
    bits[11] = 1;
    assert_eq!(PublicKey::from_spki_der(&bits), Err(Error::Key));
}

#[test]
fn an_rsa_key_from_its_components_is_the_same_key() {
    let key = openssl().swap_remove(9).0;
    let modulus = &key.spki_der()[33..33 + 256];
    for exponent in [&[1, 0, 1][..], &[0, 1, 0, 1]] {
        assert_eq!(PublicKey::from_rsa_components(modulus, exponent), Ok(key.clone()));
    }
    assert_eq!(PublicKey::from_rsa_components(modulus, &[]), Err(Error::Key));
    assert_eq!(
        PublicKey::from_rsa_components(&modulus[1..], &[1, 0, 1]),
        Err(Error::Key)
    );
    assert_eq!(
        PublicKey::from_rsa_components(&[0xff; 1025], &[1, 0, 1]),
        Err(Error::Key)
    );
}

#[test]
fn details_lead_back_from_their_names_and_fit_their_keys() {
    for details in KeyDetails::ALL {
        assert_eq!(KeyDetails::from_name(details.as_str()), Some(details));
        assert_eq!(details.hash(), scheme_hash(details.scheme()));
    }
    assert_eq!(KeyDetails::from_name("PKIX_ECDSA_P256_SHA_384"), None);
    for (key, ..) in openssl() {
        let details = key.default_details().unwrap();
        assert_eq!(details.scheme(), key.default_scheme());
        let fitting = KeyDetails::ALL
            .into_iter()
            .filter(|details| details.fits(key.kind()))
            .count();
        let expected = if matches!(key.kind(), KeyKind::Rsa { .. }) {
            2
        } else {
            1
        };
        assert!(details.fits(key.kind()) && fitting == expected);
    }
    let (_, key) = ed25519();
    assert_eq!(key.default_details(), Some(KeyDetails::Ed25519));
    assert!(KeyDetails::Ed25519Ph.fits(key.kind()));
}

#[test]
fn debug_names_the_kind_alone() {
    assert_eq!(format!("{:?}", ed25519().1), "PublicKey { kind: Ed25519, .. }");
}
