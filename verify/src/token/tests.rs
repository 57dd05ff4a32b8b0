//! Tests of the token module: one for each way a parser can fail.

use super::*;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::json;

const ALL: [JwsAlgorithm; 3] = [JwsAlgorithm::Rs256, JwsAlgorithm::Es256, JwsAlgorithm::EdDsa];

fn budget() -> Budget {
    Budget::default()
}

fn parse(text: &str) -> Result<UnverifiedToken, Error> {
    UnverifiedToken::parse(text, &budget())
}

fn key_set(keys: &Value) -> Result<JsonWebKeySet, Error> {
    JsonWebKeySet::from_json(json!({ "keys": keys }).to_string().as_bytes(), &budget())
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn jwk(pair: &Ed25519KeyPair, id: &str) -> Value {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "use": "sig", "alg": "EdDSA"})
}

/// Another point, so another key.
fn other_jwk(id: &str) -> Value {
    jwk(&Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap(), id)
}

fn token(header: &Value, claims: &str) -> String {
    let signed = [header.to_string().as_str(), claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let signature = URL_SAFE_NO_PAD.encode(pair().sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn honest() -> String {
    token(
        &json!({"alg": "EdDSA", "kid": "one", "typ": "JWT"}),
        r#"{"iss":"https://issuer.example","sub":"me"}"#,
    )
}

#[test]
fn an_honest_token_gives_its_claims() {
    let token = parse(&honest()).unwrap();
    assert_eq!(
        (token.issuer(), token.key_id()),
        (Some("https://issuer.example"), Some("one"))
    );
    let verified = token
        .verify(&key_set(&json!([jwk(&pair(), "one")])).unwrap(), &ALL)
        .unwrap();
    assert_eq!(verified.claims()["sub"], "me");
}

#[test]
fn a_p256_token_gives_its_claims() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    let keys = key_set(&json!([{"kty": "EC", "crv": "P-256", "x": x, "y": y}])).unwrap();
    let signed = [r#"{"alg":"ES256"}"#, "{}"]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(&random, signed.as_bytes()).unwrap());
    let token = parse(&format!("{signed}.{signature}")).unwrap();
    assert!(token.verify(&keys, &ALL).is_ok());
    assert_eq!(
        token.verify(&keys, &[JwsAlgorithm::EdDsa]).unwrap_err(),
        Error::TokenAlgorithm
    );
}

#[test]
fn other_than_two_dots_are_refused_before_anything_else() {
    for text in [
        "",
        ".",
        "a.b",
        "a.b.c.d",
        &format!("{}.", honest()),
        &".".repeat(60_000),
    ] {
        assert_eq!(parse(text).unwrap_err(), Error::Token);
    }
}

#[test]
fn a_token_over_the_budget_is_refused() {
    let text = honest();
    let at = |token_bytes| {
        let budget = Budget {
            token_bytes,
            ..budget()
        };
        UnverifiedToken::parse(&text, &budget)
    };
    assert!(at(text.len()).is_ok());
    assert_eq!(at(text.len() - 1).unwrap_err().code(), "too-large");
}

#[test]
fn parts_that_are_not_canonical_base64url_are_refused() {
    let text = honest();
    let parts: Vec<&str> = text.split('.').collect();
    for position in 0..3 {
        for change in [
            |part: &str| format!("{part}="),
            |part: &str| format!("{part} "),
            |part: &str| format!("+{}", &part[1..]),
        ] {
            let mut changed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            changed[position] = change(parts[position]);
            assert_eq!(parse(&changed.join(".")).unwrap_err(), Error::Token);
        }
    }
}

#[test]
fn claims_that_are_no_object_are_refused() {
    let header = json!({"alg": "EdDSA"});
    assert!(parse(&token(&header, "{}")).is_ok());
    assert_eq!(parse(&token(&header, "[]")).unwrap_err(), Error::Token);
    assert_eq!(parse(&token(&header, "\"sub\"")).unwrap_err(), Error::Token);
    assert_eq!(parse(&token(&header, "foo")).unwrap_err().code(), "json");
    assert_eq!(
        parse(&token(&header, r#"{"sub":"a","sub":"b"}"#)).unwrap_err().code(),
        "json"
    );
    assert_eq!(
        parse(&token(
            &header,
            &format!("{{\"a\":{}1{}}}", "[".repeat(70), "]".repeat(70))
        ))
        .unwrap_err()
        .code(),
        "too-deep"
    );
}

#[test]
fn a_header_without_algorithm_or_with_a_critical_extension_is_refused() {
    assert_eq!(parse(&token(&json!({}), "{}")).unwrap_err().code(), "json");
    let critical = json!({"alg": "EdDSA", "crit": ["b64"], "b64": false});
    assert_eq!(parse(&token(&critical, "{}")).unwrap_err(), Error::Token);
}

#[test]
fn an_algorithm_that_is_not_allowed_is_refused() {
    let keys = key_set(&json!([jwk(&pair(), "one")])).unwrap();
    for algorithm in ["none", "None", "NONE", "", "HS256", "RS1", "PS256", "ES512", "eddsa"] {
        let token = parse(&token(&json!({"alg": algorithm, "kid": "one"}), "{}")).unwrap();
        assert_eq!(
            token.verify(&keys, &ALL).unwrap_err(),
            Error::TokenAlgorithm,
            "{algorithm}"
        );
    }
    let token = parse(&honest()).unwrap();
    assert_eq!(
        token.verify(&keys, &[JwsAlgorithm::Rs256]).unwrap_err(),
        Error::TokenAlgorithm
    );
}

#[test]
fn a_token_of_another_key_is_refused() {
    let token = parse(&honest()).unwrap();
    let keys = key_set(&json!([other_jwk("one")])).unwrap();
    assert_eq!(token.verify(&keys, &ALL).unwrap_err(), Error::TokenSignature);
    let keys = key_set(&json!([jwk(&pair(), "two")])).unwrap();
    assert_eq!(token.verify(&keys, &ALL).unwrap_err(), Error::TokenKey);
    assert_eq!(
        token.verify(&key_set(&json!([])).unwrap(), &ALL).unwrap_err(),
        Error::TokenKey
    );
}

#[test]
fn a_changed_token_is_refused() {
    let keys = key_set(&json!([jwk(&pair(), "one")])).unwrap();
    let text = honest();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let header = signed.split_once('.').unwrap().0;
    let claims = URL_SAFE_NO_PAD.encode(r#"{"iss":"https://issuer.example","sub":"you"}"#);
    for changed in [format!("{header}.{claims}.{signature}"), format!("{signed}.")] {
        let token = parse(&changed).unwrap();
        assert_eq!(token.verify(&keys, &ALL).unwrap_err(), Error::TokenSignature);
    }
}

#[test]
fn without_key_id_the_only_key_that_fits_is_used() {
    let token = parse(&token(&json!({"alg": "EdDSA"}), "{}")).unwrap();
    let rsa = json!({"kty": "RSA", "kid": "r", "n": URL_SAFE_NO_PAD.encode([0xc1; 256]), "e": "AQAB"});
    let one = key_set(&json!([rsa, jwk(&pair(), "one")])).unwrap();
    assert!(one.contains("r") && token.verify(&one, &ALL).is_ok());
    let two = key_set(&json!([jwk(&pair(), "one"), other_jwk("two")])).unwrap();
    assert_eq!(token.verify(&two, &ALL).unwrap_err(), Error::TokenKey);
}

#[test]
fn keys_that_are_not_for_signatures_are_left_out() {
    let with = |name: &str, value: Value| {
        let mut key = jwk(&pair(), "one");
        key[name] = value;
        key_set(&json!([key])).unwrap().contains("one")
    };
    assert!(with("use", "sig".into()) && with("key_ops", json!(["verify"])) && with("alg", "Ed25519".into()));
    assert!(!with("use", "enc".into()));
    assert!(!with("key_ops", json!(["encrypt"])));
    assert!(!with("alg", "ES256".into()));
    assert!(!with("kty", "oct".into()));
    assert!(!with("crv", "X25519".into()));
}

#[test]
fn keys_too_weak_to_be_used_are_left_out() {
    let rsa = |bytes: usize, exponent: &str| {
        let key = json!({"kty": "RSA", "kid": "r", "n": URL_SAFE_NO_PAD.encode(vec![0xc1; bytes]), "e": exponent});
        key_set(&json!([key])).unwrap().contains("r")
    };
    assert!(rsa(256, "AQAB"));
    assert!(!rsa(255, "AQAB"));
    assert!(!rsa(256, "Aw"));
    let low_order = json!({"kty": "OKP", "crv": "Ed25519", "kid": "l", "x": URL_SAFE_NO_PAD.encode([0; 32])});
    assert!(!key_set(&json!([low_order])).unwrap().contains("l"));
}

#[test]
fn a_malformed_key_refuses_the_set() {
    for (name, value) in [("x", json!("A+")), ("x", json!("AAAA")), ("x", Value::Null)] {
        let mut key = jwk(&pair(), "one");
        key[name] = value;
        assert_eq!(key_set(&json!([key])).unwrap_err(), Error::Token);
    }
}

#[test]
fn two_keys_of_one_id_are_refused_unless_equal() {
    let twice = json!([jwk(&pair(), "one"), jwk(&pair(), "one")]);
    assert!(
        parse(&honest())
            .unwrap()
            .verify(&key_set(&twice).unwrap(), &ALL)
            .is_ok()
    );
    assert_eq!(
        key_set(&json!([jwk(&pair(), "one"), other_jwk("one")])).unwrap_err(),
        Error::Token
    );
}

#[test]
fn a_key_set_over_the_budget_is_refused() {
    let text = json!({"keys": [jwk(&pair(), "one"), other_jwk("two")]}).to_string();
    let at = |jwks_keys, trust_bytes| {
        let budget = Budget {
            trust_bytes,
            jwks_keys,
            ..budget()
        };
        JsonWebKeySet::from_json(text.as_bytes(), &budget)
    };
    assert!(at(2, text.len()).is_ok());
    assert_eq!(at(1, text.len()).unwrap_err().code(), "too-many");
    assert_eq!(at(2, text.len() - 1).unwrap_err().code(), "too-large");
}

#[test]
fn debug_shows_neither_token_nor_claims() {
    let text = honest();
    let token = parse(&text).unwrap();
    let verified = token
        .verify(&key_set(&json!([jwk(&pair(), "one")])).unwrap(), &ALL)
        .unwrap();
    let shown = format!("{token:?} {verified:?}");
    assert!(shown.contains("issuer.example"));
    for part in text.split('.').chain(["\"me\"", "sub"]) {
        assert!(!shown.contains(part), "{shown}");
    }
}

/// Valid cases whose algorithm we do not have are refused too: fewer algorithms are fewer ways to be wrong.
#[test]
#[allow(clippy::disallowed_methods, reason = "vectors are files")]
fn wycheproof_json_web_signatures() {
    let folder = std::env::var_os("SIGSTORE_VECTORS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        std::path::PathBuf::from,
    );
    let Ok(text) = std::fs::read(folder.join("wycheproof/json_web_signature_test.json")) else {
        println!("NOT RUN: no vectors at {}; set SIGSTORE_VECTORS", folder.display());
        return;
    };
    let vectors: Value = serde_json::from_slice(&text).unwrap();
    let mut accepted = 0;
    for group in vectors["testGroups"].as_array().unwrap() {
        let keys = key_set(&json!([group.get("public").unwrap_or(&group["private"])]));
        for case in group["tests"].as_array().unwrap() {
            let verdict = case["jws"].as_str().ok_or(Error::Token).and_then(|text| {
                let (jws, _) = Jws::parse(text, &budget())?;
                jws.verify(keys.as_ref().map_err(Clone::clone)?, &ALL)?;
                Ok(jws.algorithm)
            });
            let ours = group["public"]["alg"]
                .as_str()
                .and_then(JwsAlgorithm::from_name)
                .is_some();
            let expected = case["result"] == "valid" && ours;
            assert_eq!(verdict.is_ok(), expected, "{}: {verdict:?}", case["tcId"]);
            accepted += u32::from(expected);
        }
    }
    assert_eq!(accepted, 10);
}
