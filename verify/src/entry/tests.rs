//! Tests of the entry module: one for each way a parser can fail.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";

fn digest(algorithm: HashAlgorithm) -> Digest {
    algorithm.digest(b"artifact")
}

fn hashed_rekord(algorithm: HashAlgorithm) -> HashedRekordV002 {
    HashedRekordV002 {
        digest: digest(algorithm),
        signature: vec![1, 2, 3],
        key_details: KeyDetails::EcdsaP256Sha256,
        verifier: EntryVerifier::Certificate(vec![4, 5]),
    }
}

/// One entry of each kind.
fn entries() -> Vec<Entry> {
    let sha256 = || digest(HashAlgorithm::Sha256);
    vec![
        Entry::HashedRekordV002(hashed_rekord(HashAlgorithm::Sha256)),
        Entry::HashedRekordV001(HashedRekordV001 {
            digest: sha256(),
            signature: vec![1],
            verifier_pem: PEM.to_owned(),
        }),
        Entry::DsseV001(DsseV001 {
            envelope_hash: sha256(),
            payload_hash: sha256(),
            signatures: vec![("AQ==".to_owned(), PEM.to_owned()), ("Ag==".to_owned(), PEM.to_owned())],
        }),
        Entry::IntotoV002(IntotoV002 {
            payload_type: "application/vnd.in-toto+json".to_owned(),
            envelope_hash: sha256(),
            payload_hash: sha256(),
            signatures: vec![
                IntotoSignature {
                    signature: vec![1],
                    verifier_pem: PEM.to_owned(),
                    key_id: String::new(),
                },
                IntotoSignature {
                    signature: vec![2],
                    verifier_pem: PEM.to_owned(),
                    key_id: "a\"b".to_owned(),
                },
            ],
        }),
        Entry::DsseV002(DsseV002 {
            payload_hash: sha256(),
            signatures: vec![(vec![1], KeyDetails::Ed25519Ph, EntryVerifier::PublicKey(vec![2]))],
        }),
    ]
}

fn parse(body: &[u8]) -> Result<Entry, Error> {
    Entry::parse(body, &Budget::default())
}

/// The body with one member replaced, canonical again.
fn with(entry: &Entry, pointer: &str, value: Value) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&entry.to_body()).unwrap();
    *body.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    json::canonicalize(&body).unwrap()
}

fn without(entry: &Entry, pointer: &str, name: &str) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&entry.to_body()).unwrap();
    let parent = body.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    parent.remove(name).unwrap();
    json::canonicalize(&body).unwrap()
}

fn and(entry: &Entry, pointer: &str, name: &str) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&entry.to_body()).unwrap();
    body.pointer_mut(pointer).unwrap()[name] = "more".into();
    json::canonicalize(&body).unwrap()
}

#[test]
fn every_kind_prints_back_in_canonical_form() {
    for entry in entries() {
        let body = entry.to_body();
        assert_eq!(parse(&body), Ok(entry));
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json::canonicalize(&value).unwrap(), body);
    }
}

#[test]
fn every_hash_has_its_v2_name_and_length() {
    for (algorithm, name) in HashAlgorithm::ALL.into_iter().zip(["SHA2_256", "SHA2_384", "SHA2_512"]) {
        let entry = Entry::HashedRekordV002(hashed_rekord(algorithm));
        let body: Value = serde_json::from_slice(&entry.to_body()).unwrap();
        assert_eq!(body["spec"]["hashedRekordV002"]["data"]["algorithm"], name);
        assert_eq!(parse(&entry.to_body()), Ok(entry));
    }
}

#[test]
fn every_hash_has_its_v1_name_and_length() {
    for algorithm in HashAlgorithm::ALL {
        let entry = Entry::HashedRekordV001(HashedRekordV001 {
            digest: digest(algorithm),
            signature: vec![1],
            verifier_pem: PEM.to_owned(),
        });
        assert_eq!(parse(&entry.to_body()), Ok(entry));
    }
}

#[test]
fn an_unknown_kind_or_version_is_refused() {
    let entry = &entries()[0];
    for (pointer, value) in [
        ("/kind", "rekord"),
        ("/kind", "intoto"),
        ("/apiVersion", "0.0.3"),
        ("/apiVersion", "0.0.1"),
    ] {
        assert_eq!(parse(&with(entry, pointer, value.into())), Err(Error::Entry), "{value}");
    }
}

#[test]
fn a_missing_member_is_refused() {
    for (position, pointer, name) in [
        (0, "", "spec"),
        (0, "", "kind"),
        (0, "/spec", "hashedRekordV002"),
        (0, "/spec/hashedRekordV002", "data"),
        (0, "/spec/hashedRekordV002/data", "digest"),
        (0, "/spec/hashedRekordV002/signature", "content"),
        (0, "/spec/hashedRekordV002/signature/verifier", "keyDetails"),
        (0, "/spec/hashedRekordV002/signature/verifier", "x509Certificate"),
        (1, "/spec/data", "hash"),
        (1, "/spec/signature", "publicKey"),
        (2, "/spec", "payloadHash"),
        (2, "/spec/signatures/0", "verifier"),
        (3, "/spec/content", "hash"),
        (3, "/spec/content/envelope", "payloadType"),
        (3, "/spec/content/envelope/signatures/0", "sig"),
        (4, "/spec/dsseV002", "payloadHash"),
    ] {
        let entry = &entries()[position];
        assert_eq!(
            parse(&without(entry, pointer, name)),
            Err(Error::Entry),
            "{pointer} {name}"
        );
    }
}

#[test]
fn an_unknown_member_is_refused_in_v2_and_left_alone_in_v1() {
    for (position, pointer) in [
        (0, ""),
        (0, "/spec"),
        (0, "/spec/hashedRekordV002"),
        (0, "/spec/hashedRekordV002/data"),
        (0, "/spec/hashedRekordV002/signature/verifier"),
        (0, "/spec/hashedRekordV002/signature/verifier/x509Certificate"),
        (4, "/spec/dsseV002"),
        (1, ""),
    ] {
        assert_eq!(
            parse(&and(&entries()[position], pointer, "more")),
            Err(Error::Entry),
            "{pointer}"
        );
    }
    for (position, pointer) in [
        (1, "/spec"),
        (1, "/spec/signature"),
        (2, "/spec"),
        (3, "/spec/content/envelope"),
    ] {
        let entry = entries().swap_remove(position);
        assert_eq!(parse(&and(&entry, pointer, "more")), Ok(entry), "{pointer}");
    }
}

#[test]
fn a_v2_body_that_is_not_canonical_is_refused() {
    for position in [0, 4] {
        let text = String::from_utf8(entries()[position].to_body()).unwrap();
        assert!(parse(text.as_bytes()).is_ok());
        let value: Value = serde_json::from_str(&text).unwrap();
        for other in [
            format!("{text}\n"),
            format!(" {text}"),
            text.replace(":\"0.0.2\"", ": \"0.0.2\""),
            text.replace("\"kind\"", "\"kin\\u0064\""),
            text.replace("{\"apiVersion\":\"0.0.2\",", "{")
                .replace("\"spec\"", "\"apiVersion\":\"0.0.2\",\"spec\""),
            serde_json::to_string_pretty(&value).unwrap(),
        ] {
            assert_eq!(parse(other.as_bytes()), Err(Error::Entry), "{other}");
        }
    }
}

#[test]
fn both_or_neither_verifier_are_refused() {
    let entry = &entries()[0];
    let verifier = "/spec/hashedRekordV002/signature/verifier";
    let details = "PKIX_ECDSA_P256_SHA_256";
    let raw = json!({"rawBytes": "BAU="});
    let key = json!({"keyDetails": details, "publicKey": raw});
    assert!(parse(&with(entry, verifier, key)).is_ok());
    let both = json!({"keyDetails": details, "publicKey": raw, "x509Certificate": raw});
    assert_eq!(parse(&with(entry, verifier, both)), Err(Error::Entry));
    assert_eq!(
        parse(&with(entry, verifier, json!({"keyDetails": details}))),
        Err(Error::Entry)
    );
}

#[test]
fn unknown_key_details_and_hashes_are_refused() {
    let entry = &entries()[0];
    for (pointer, value) in [
        (
            "/spec/hashedRekordV002/signature/verifier/keyDetails",
            "PKIX_ECDSA_P256_SHA_384",
        ),
        ("/spec/hashedRekordV002/data/algorithm", "SHA1"),
        ("/spec/hashedRekordV002/data/algorithm", "sha256"),
    ] {
        assert_eq!(parse(&with(entry, pointer, value.into())), Err(Error::Entry), "{value}");
    }
    let v1 = &entries()[1];
    for algorithm in ["sha1", "SHA2_256", ""] {
        assert_eq!(
            parse(&with(v1, "/spec/data/hash/algorithm", algorithm.into())),
            Err(Error::Entry)
        );
    }
}

#[test]
fn a_digest_of_another_length_is_refused() {
    let entries = entries();
    let short = parse(&with(&entries[0], "/spec/hashedRekordV002/data/digest", "AAAA".into()));
    assert_eq!(short, Err(Error::DigestLength { expected: 32, found: 3 }));
    let short = parse(&with(&entries[1], "/spec/data/hash/value", "00".into()));
    assert_eq!(short, Err(Error::DigestLength { expected: 32, found: 1 }));
    assert_eq!(
        parse(&with(&entries[1], "/spec/data/hash/value", "zz".into())),
        Err(Error::Entry)
    );
}

#[test]
fn values_that_are_not_canonical_base64_are_refused() {
    let entries = entries();
    for (position, pointer) in [
        (0, "/spec/hashedRekordV002/signature/content"),
        (0, "/spec/hashedRekordV002/signature/verifier/x509Certificate/rawBytes"),
        (1, "/spec/signature/content"),
        (1, "/spec/signature/publicKey/content"),
        (2, "/spec/signatures/1/verifier"),
        (3, "/spec/content/envelope/signatures/0/sig"),
        (3, "/spec/content/envelope/signatures/0/publicKey"),
        (4, "/spec/dsseV002/signatures/0/content"),
    ] {
        for value in ["", "A", "AQ", "AR==", "AQ==\n", "A_=="] {
            assert_eq!(
                parse(&with(&entries[position], pointer, value.into())),
                Err(Error::Entry),
                "{pointer} {value}"
            );
        }
    }
}

#[test]
fn a_signature_encoded_once_is_refused_in_intoto() {
    let sig = "/spec/content/envelope/signatures/0/sig";
    assert!(parse(&with(&entries()[3], sig, "QVE9PQ==".into())).is_ok());
    assert_eq!(parse(&with(&entries()[3], sig, "AQ==".into())), Err(Error::Entry));
}

#[test]
fn an_envelope_without_signature_is_refused() {
    for (position, pointer) in [
        (2, "/spec/signatures"),
        (3, "/spec/content/envelope/signatures"),
        (4, "/spec/dsseV002/signatures"),
    ] {
        assert_eq!(
            parse(&with(&entries()[position], pointer, json!([]))),
            Err(Error::Entry)
        );
    }
}

#[test]
fn more_signatures_than_the_budget_are_refused() {
    let at = |position: usize, envelope_signatures| {
        let budget = Budget {
            envelope_signatures,
            ..Budget::default()
        };
        Entry::parse(&entries()[position].to_body(), &budget)
    };
    for (position, count) in [(2, 2), (3, 2), (4, 1)] {
        assert!(at(position, count).is_ok());
        assert_eq!(at(position, count - 1).unwrap_err().code(), "too-many");
    }
}

#[test]
fn a_body_over_the_budget_is_refused() {
    let body = entries()[0].to_body();
    let at = |entry_bytes, json_depth| {
        let budget = Budget {
            entry_bytes,
            json_depth,
            ..Budget::default()
        };
        Entry::parse(&body, &budget)
    };
    assert!(at(body.len(), 6).is_ok());
    assert_eq!(at(body.len() - 1, 6).unwrap_err().code(), "too-large");
    assert_eq!(at(body.len(), 5).unwrap_err().code(), "too-deep");
}

#[test]
fn the_request_holds_what_the_entry_holds() {
    let request = hashed_rekord(HashAlgorithm::Sha256).to_request();
    let body: Value = serde_json::from_slice(&entries()[0].to_body()).unwrap();
    let [request, body] = [&request["hashedRekordRequestV002"], &body["spec"]["hashedRekordV002"]];
    assert_eq!(request["digest"], body["data"]["digest"]);
    assert_eq!(request["signature"], body["signature"]);
}

#[test]
fn the_promise_covers_canonical_json() {
    let payload = signed_entry_timestamp_payload(b"{}", 1_700_000_000, &[0xab; 32], u64::MAX);
    let text = format!(
        r#"{{"body":"e30=","integratedTime":1700000000,"logID":"{}","logIndex":18446744073709551615}}"#,
        "ab".repeat(32)
    );
    assert_eq!(payload, text.as_bytes());
    let small = signed_entry_timestamp_payload(b"{}", 5, &[0; 32], 7);
    let value: Value = serde_json::from_slice(&small).unwrap();
    assert_eq!(json::canonicalize(&value).unwrap(), small);
}

fn verifier() -> impl Strategy<Value = EntryVerifier> {
    let der = || prop::collection::vec(any::<u8>(), 1..50);
    prop_oneof![
        der().prop_map(EntryVerifier::PublicKey),
        der().prop_map(EntryVerifier::Certificate)
    ]
}

proptest! {
    #[test]
    fn any_hashedrekord_prints_back(
        hash in 0_usize..3,
        details in 0_usize..11,
        signature in prop::collection::vec(any::<u8>(), 1..80),
        verifier in verifier(),
    ) {
        let entry = Entry::HashedRekordV002(HashedRekordV002 {
            digest: HashAlgorithm::ALL[hash].digest(&signature),
            signature,
            key_details: KeyDetails::ALL[details],
            verifier,
        });
        let body = entry.to_body();
        let value: Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(json::canonicalize(&value).unwrap(), body.clone());
        prop_assert_eq!(parse(&body), Ok(entry));
    }

    #[test]
    fn any_intoto_entry_prints_back(
        payload_type: String,
        signatures in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..80), ".{1,40}", any::<String>()), 1..5),
    ) {
        let signatures = signatures
            .into_iter()
            .map(|(signature, verifier_pem, key_id)| IntotoSignature { signature, verifier_pem, key_id })
            .collect();
        let (envelope_hash, payload_hash) = (digest(HashAlgorithm::Sha256), digest(HashAlgorithm::Sha256));
        let entry = Entry::IntotoV002(IntotoV002 { payload_type, envelope_hash, payload_hash, signatures });
        let body = entry.to_body();
        let value: Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(json::canonicalize(&value).unwrap(), body.clone());
        prop_assert_eq!(parse(&body), Ok(entry));
    }
}
