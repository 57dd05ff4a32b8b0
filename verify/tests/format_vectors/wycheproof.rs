//! Wycheproof: ECDSA over P-256 and P-384, Ed25519, RSA PKCS #1 v1.5. (JSON web signatures are tested in `verify::token`.)

use serde_json::Value;
use verify::{HashAlgorithm, PublicKey, key::SignatureScheme};

/// Checks each case; gives how many were accepted. `acceptable` cases are refused.
fn run(file: &str, scheme: SignatureScheme, count: usize) -> Option<usize> {
    let vectors = super::read(file)?;
    let (mut seen, mut accepted) = (0, 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        let key = PublicKey::from_spki_der(&super::bytes(group, "publicKeyDer"));
        for case in group["tests"].as_array().unwrap() {
            let message = super::bytes(case, "msg");
            let signature = super::bytes(case, "sig");
            seen += 1;
            let Ok(key) = &key else {
                // RSA keys with exponent 3 [FIPS 186-5 §5.4].
                assert_eq!(case["flags"][1], "SmallPublicKey", "{file} {case}");
                continue;
            };
            let verdict = key.verify(scheme, &message, &signature);
            assert_eq!(verdict.is_ok(), case["result"] == "valid", "{file} {case}");
            by_digest(key, scheme, &message, &signature, verdict.is_ok(), case);
            accepted += usize::from(verdict.is_ok());
        }
    }
    assert_eq!(seen, count);
    Some(accepted)
}

fn by_digest(key: &PublicKey, scheme: SignatureScheme, message: &[u8], signature: &[u8], expected: bool, case: &Value) {
    let (SignatureScheme::Ecdsa(hash) | SignatureScheme::RsaPkcs1v15(hash)) = scheme else {
        return;
    };
    let verdict = key.verify_digest(scheme, &hash.digest(message), signature);
    assert_eq!(verdict.is_ok(), expected, "by digest: {case}");
}

#[test]
fn ecdsa_p256() {
    let scheme = SignatureScheme::Ecdsa(HashAlgorithm::Sha256);
    let accepted = run("wycheproof/ecdsa_secp256r1_sha256_test.json", scheme, 484);
    assert!(accepted.is_none_or(|accepted| accepted == 174));
}

#[test]
fn ecdsa_p384() {
    let scheme = SignatureScheme::Ecdsa(HashAlgorithm::Sha384);
    let accepted = run("wycheproof/ecdsa_secp384r1_sha384_test.json", scheme, 504);
    assert!(accepted.is_none_or(|accepted| accepted == 194));
}

#[test]
fn ed25519() {
    let accepted = run("wycheproof/ed25519_test.json", SignatureScheme::Ed25519, 151);
    assert!(accepted.is_none_or(|accepted| accepted == 88));
}

#[test]
fn rsa_pkcs1v15() {
    let scheme = SignatureScheme::RsaPkcs1v15(HashAlgorithm::Sha256);
    let accepted = run("wycheproof/rsa_signature_2048_sha256_test.json", scheme, 259);
    assert!(accepted.is_none_or(|accepted| accepted == 7));
}
