//! The v2 API over real HTTP: what is accepted, what each fault is told, and the tile read side.

use serde_json::{Value, json};
use verify::{Budget, bundle::TransparencyLogEntry, dsse};

use super::{
    v1::{add, edit},
    *,
};
use crate::log::http::base64;

struct Server {
    _bench: Bench,
    logs: Logs,
    url: String,
    http: reqwest::Client,
}

impl Server {
    async fn start() -> Self {
        let bench = Bench::new();
        let logs = bench.open();
        let url = serve(
            logs.signature
                .router()
                .merge(logs.legacy.router())
                .merge(logs.ct.router()),
        )
        .await;
        Self {
            _bench: bench,
            logs,
            url,
            http: http(),
        }
    }

    async fn post(&self, body: &Value) -> (u16, Value) {
        let answer = self
            .http
            .post(format!("{}/api/v2/log/entries", self.url))
            .json(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn logged(&self, body: &Value) -> TransparencyLogEntry {
        let (status, answer) = self.post(body).await;
        assert_eq!(status, 201, "{answer}");
        let entry = TransparencyLogEntry::from_json(answer.to_string().as_bytes(), &Budget::default()).unwrap();
        check_entry(&self.logs.signature, &entry);
        entry
    }

    async fn get(&self, path: &str) -> (u16, String, String, Vec<u8>) {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        let header = |name| {
            answer
                .headers()
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
                .to_owned()
        };
        let (status, kind, cache) = (
            answer.status().as_u16(),
            header("content-type"),
            header("cache-control"),
        );
        (status, kind, cache, answer.bytes().await.unwrap().to_vec())
    }
}

fn dsse_request(keys: &[&SigningKey], payload: &[u8]) -> Value {
    let message = dsse::pae("text/plain", payload);
    let signatures: Vec<Value> = keys
        .iter()
        .map(|key| json!({"sig": base64(&key.sign(&message).unwrap()), "keyid": ""}))
        .collect();
    let verifiers: Vec<Value> = keys.iter().map(|key| verifier(key)).collect();
    json!({"dsseRequestV002": {
        "envelope": {"payload": base64(payload), "payloadType": "text/plain", "signatures": signatures},
        "verifiers": verifiers,
    }})
}

fn verifier(key: &SigningKey) -> Value {
    json!({
        "publicKey": {"rawBytes": base64(key.public_key().spki_der())},
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
    })
}

#[tokio::test]
async fn every_field_is_present_and_integers_are_strings() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let (status, answer) = server.post(&hashedrekord(&key, b"x").to_request()).await;
    assert_eq!(status, 201);
    let mut names: Vec<&String> = answer.as_object().unwrap().keys().collect();
    names.sort();
    let expected = [
        "canonicalizedBody",
        "inclusionPromise",
        "inclusionProof",
        "integratedTime",
        "kindVersion",
        "logId",
        "logIndex",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        (&answer["logIndex"], &answer["integratedTime"]),
        (&json!("1"), &json!("0"))
    );
    assert_eq!(
        (&answer["inclusionPromise"], &answer["kindVersion"]["version"]),
        (&Value::Null, &json!("0.0.2"))
    );
    assert_eq!(answer["inclusionProof"]["treeSize"], json!("2"));
    assert_eq!(answer["logId"]["keyId"], json!(base64(&server.logs.signature.log_id())));
}

#[tokio::test]
async fn the_body_is_the_canonical_form_of_the_request() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let record = hashedrekord(&key, b"x");
    let entry = server.logged(&record.to_request()).await;
    assert_eq!(entry.canonicalized_body, Entry::HashedRekordV002(record).to_body());
    let value: Value = serde_json::from_slice(&entry.canonicalized_body).unwrap();
    assert_eq!(verify::json::canonicalize(&value).unwrap(), entry.canonicalized_body);
}

#[tokio::test]
async fn snake_case_names_and_other_base64_are_read() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let record = hashedrekord(&key, b"x");
    let camel = server.logged(&record.to_request()).await;
    let url_safe = |bytes: &[u8]| {
        base64(bytes)
            .replace('+', "-")
            .replace('/', "_")
            .trim_end_matches('=')
            .to_owned()
    };
    let EntryVerifier::PublicKey(der) = &record.verifier else {
        panic!()
    };
    let snake = json!({"hashed_rekord_request_v002": {
        "digest": url_safe(record.digest.as_bytes()),
        "signature": {
            "content": url_safe(&record.signature),
            "verifier": {"public_key": {"raw_bytes": url_safe(der)}, "key_details": "PKIX_ECDSA_P256_SHA_256", "x509_certificate": null},
        },
    }});
    assert_eq!(server.logged(&snake).await.log_index, camel.log_index);
}

#[tokio::test]
async fn a_dsse_envelope_is_recorded_as_hashedrekord_over_its_encoding() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let request = dsse_request(&[&key], b"statement");
    let entry = server.logged(&request).await;
    assert_eq!(
        (entry.kind.as_str(), entry.kind_version.as_str()),
        ("hashedrekord", "0.0.2")
    );
    let Entry::HashedRekordV002(record) = Entry::parse(&entry.canonicalized_body, &Budget::default()).unwrap() else {
        panic!("another kind");
    };
    assert_eq!(
        record.digest,
        HashAlgorithm::Sha256.digest(&dsse::pae("text/plain", b"statement"))
    );
    let sent = &request["dsseRequestV002"]["envelope"]["signatures"][0]["sig"];
    assert_eq!(json!(base64(&record.signature)), *sent);
    let other = SigningKey::generate_p256().unwrap();
    server.logged(&dsse_request(&[&key, &other], b"two")).await;
}

#[tokio::test]
async fn a_repeated_request_gets_its_place_again() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let request = hashedrekord(&key, b"x").to_request();
    let (first, again) = (server.logged(&request).await, server.logged(&request).await);
    assert_eq!((first.log_index, again.log_index), (1, 1));
}

/// One edit of an accepted request, and the code it must get. The order of the checks is the contract's: a request with every
/// fault is told the first.
#[tokio::test]
async fn each_fault_is_told() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let record = hashedrekord(&key, b"x").to_request();
    let envelope = dsse_request(&[&key], b"x");
    server.logged(&record).await;
    server.logged(&envelope).await;
    let root = "/hashedRekordRequestV002";
    let at = |path: &str| format!("{root}{path}");
    let stated = at("/signature/verifier/keyDetails");
    let raw = at("/signature/verifier/publicKey/rawBytes");
    let other = json!(base64(SigningKey::generate_p256().unwrap().public_key().spki_der()));
    let ed25519 = json!(base64(SigningKey::generate_ed25519().unwrap().public_key().spki_der()));
    let eleven: Vec<SigningKey> = (0..11).map(|_| SigningKey::generate_p256().unwrap()).collect();
    let dsse = |path: &str, new: Value| edit(&envelope, &format!("/dsseRequestV002{path}"), new);
    let faults: Vec<(&str, Value, &str)> = vec![
        ("empty", json!({}), "log-request-kind"),
        ("array", json!([]), "log-request-malformed"),
        (
            "unknown request",
            json!({"hashedRekordRequestV003": {}}),
            "log-request-unknown-field",
        ),
        (
            "both requests",
            add(&record, "", "dsseRequestV002", envelope["dsseRequestV002"].clone()),
            "log-request-kind",
        ),
        (
            "unknown field",
            add(&record, root, "extra", json!(1)),
            "log-request-unknown-field",
        ),
        (
            "unknown field below",
            add(&record, &at("/signature"), "extra", json!(1)),
            "log-request-unknown-field",
        ),
        (
            "no signature",
            edit(&record, &at("/signature"), Value::Null),
            "log-request-missing",
        ),
        (
            "empty signature",
            edit(&record, &at("/signature/content"), json!("")),
            "log-request-missing",
        ),
        (
            "no digest",
            edit(&record, &at("/digest"), Value::Null),
            "log-request-missing",
        ),
        (
            "no verifier",
            edit(&record, &at("/signature/verifier"), Value::Null),
            "log-request-missing",
        ),
        ("empty verifier", edit(&record, &raw, json!("")), "log-request-missing"),
        ("no details", edit(&record, &stated, Value::Null), "log-request-missing"),
        (
            "base64",
            edit(&record, &at("/digest"), json!("%%")),
            "log-request-malformed",
        ),
        (
            "number",
            edit(&record, &at("/digest"), json!(1)),
            "log-request-malformed",
        ),
        ("no key", edit(&record, &raw, json!("AAAA")), "log-request-verifier"),
        (
            "no certificate",
            edit(
                &record,
                &at("/signature/verifier"),
                json!({"x509Certificate": {"rawBytes": "AAAA"}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}),
            ),
            "log-request-verifier",
        ),
        (
            "unknown details",
            edit(&record, &stated, json!("PKIX_X")),
            "log-request-algorithm",
        ),
        (
            "pure Ed25519",
            edit(&record, &stated, json!("PKIX_ED25519")),
            "log-request-algorithm",
        ),
        (
            "other curve",
            edit(&record, &stated, json!("PKIX_ECDSA_P384_SHA_384")),
            "log-request-key-mismatch",
        ),
        ("Ed25519 key", edit(&record, &raw, ed25519), "log-request-key-mismatch"),
        (
            "short digest",
            edit(&record, &at("/digest"), json!("AAAA")),
            "log-request-digest-length",
        ),
        (
            "another digest",
            edit(&record, &at("/digest"), json!(base64(&[0; 32]))),
            "log-request-signature",
        ),
        (
            "another key",
            edit(&record, &raw, other.clone()),
            "log-request-signature",
        ),
        ("no envelope", dsse("/envelope", Value::Null), "log-request-missing"),
        (
            "no signatures",
            dsse("/envelope/signatures", json!([])),
            "log-request-missing",
        ),
        ("no verifiers", dsse("/verifiers", json!([])), "log-request-missing"),
        (
            "payload",
            dsse("/envelope/payload", json!("AAAA")),
            "log-request-signature",
        ),
        (
            "payload type",
            dsse("/envelope/payloadType", json!("x")),
            "log-request-signature",
        ),
        (
            "verifier",
            dsse("/verifiers/0/publicKey/rawBytes", other),
            "log-request-signature",
        ),
        (
            "verifier twice",
            dsse("/verifiers", json!([verifier(&key), verifier(&key)])),
            "log-request-duplicate-verifier",
        ),
        (
            "a signature of nobody",
            dsse(
                "/envelope/signatures",
                json!([envelope["dsseRequestV002"]["envelope"]["signatures"][0], {"sig": "AAAA"}]),
            ),
            "log-request-signature",
        ),
        (
            "eleven",
            dsse_request(&eleven.iter().collect::<Vec<_>>(), b"x"),
            "log-request-too-many",
        ),
    ];
    for (fault, request, code) in faults {
        let (status, error) = server.post(&request).await;
        assert_eq!(
            (status, error["details"][0]["reason"].as_str()),
            (400, Some(code)),
            "{fault}: {error}"
        );
        assert_eq!(error["code"], 3);
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with("invalid hashedrekord request: ") || message == "invalid type, must be hashedrekord"
        );
    }
    server
        .logged(&dsse_request(&eleven.iter().take(10).collect::<Vec<_>>(), b"x"))
        .await;
    assert_eq!(
        server.logs.raw.published().tree.size(),
        4,
        "a refused request left an entry"
    );
}

#[tokio::test]
async fn bodies_beyond_the_limit_or_not_json_are_refused() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let send = async |body: Vec<u8>| {
        let answer = server
            .http
            .post(format!("{}/api/v2/log/entries", server.url))
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (
            status,
            answer.json::<Value>().await.unwrap()["details"][0]["reason"]
                .as_str()
                .unwrap()
                .to_owned(),
        )
    };
    server.logged(&dsse_request(&[&key], &vec![b'a'; 2 << 20])).await;
    assert_eq!(
        send(vec![b' '; (4 << 20) + 1]).await,
        (413, "log-request-too-large".into())
    );
    assert_eq!(send(b"{".to_vec()).await, (400, "log-request-json".into()));
    assert_eq!(send(Vec::new()).await, (400, "log-request-json".into()));
    assert_eq!(
        send(br#"{"a":1,"a":1}"#.to_vec()).await,
        (400, "log-request-json".into())
    );
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(send(deep.into_bytes()).await, (400, "log-request-json".into()));
}

#[tokio::test]
async fn checkpoints_tiles_and_bundles_are_read_under_both_prefixes() {
    let server = Server::start().await;
    server.logs.fill(0, 300).await;
    for prefix in ["", "/api/v2"] {
        let (status, kind, cache, text) = server.get(&format!("{prefix}/checkpoint")).await;
        assert_eq!(
            (status, kind.as_str(), cache.as_str()),
            (200, "text/plain; charset=utf-8", "no-cache")
        );
        assert_eq!(String::from_utf8(text).unwrap(), server.logs.signature.checkpoint());
        for (path, length) in [
            ("tile/0/000", Some(8192)),
            ("tile/0/001.p/45", Some(45 * 32)),
            ("tile/1/000.p/1", Some(32)),
            ("tile/entries/000", None),
            ("tile/entries/001.p/45", None),
        ] {
            let (status, kind, cache, bytes) = server.get(&format!("{prefix}/{path}")).await;
            assert_eq!((status, kind.as_str()), (200, "application/octet-stream"), "{path}");
            assert!(cache.contains("immutable"));
            assert!(length.is_none_or(|length| length == bytes.len()), "{path}");
        }
        for path in [
            "tile/0/001",
            "tile/0/001.p/46",
            "tile/0/000.p/0",
            "tile/00/000",
            "tile/64/000",
            "tile/data/000",
            "tile/0/1",
            "tile/0/000.p/256",
            "tile/x/000",
            "tile/entries/x000/000",
        ] {
            let (status, _, cache, _) = server.get(&format!("{prefix}/{path}")).await;
            assert_eq!((status, cache.as_str()), (404, "no-store"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_ct_log_is_read_as_static_ct() {
    let server = Server::start().await;
    for number in 0..3 {
        server.logs.log_certificate(number).await;
    }
    let (status, _, _, text) = server.get("/ct/checkpoint").await;
    assert_eq!(
        (status, String::from_utf8(text).unwrap()),
        (200, server.logs.ct.checkpoint())
    );
    let (status, _, _, mut bundle) = server.get("/ct/tile/data/000.p/4").await;
    assert_eq!(status, 200);
    let (_, _, _, tile) = server.get("/ct/tile/0/000.p/4").await;
    for (index, hash) in tile.chunks(32).enumerate() {
        let (leaf, length) = verify::sct::TileLeaf::from_bytes(&bundle).unwrap();
        assert_eq!(merkle::leaf_hash(&leaf.merkle_tree_leaf()), *hash);
        assert_eq!(leaf.extensions, verify::sct::leaf_index_extension(index as u64));
        for fingerprint in leaf.chain_fingerprints {
            let (status, kind, _, der) = server.get(&format!("/ct/issuer/{}", hex::encode(fingerprint))).await;
            assert_eq!((status, kind.as_str()), (200, "application/pkix-cert"));
            assert_eq!(verify::Sha256Digest::of(&der).0, fingerprint);
        }
        bundle.drain(..length);
    }
    assert!(bundle.is_empty());
    assert_eq!(server.get(&format!("/ct/issuer/{}", "0".repeat(64))).await.0, 404);
    let (_, _, _, roots) = server.get("/ct/v1/get-roots").await;
    assert_eq!(
        serde_json::from_slice::<Value>(&roots).unwrap(),
        json!({"certificates": [base64(b"root")]})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hammer_measures_answers_that_hold() {
    let server = Server::start().await;
    let options = crate::log::HammerOptions {
        url: server.url.parse().unwrap(),
        clients: 8,
        duration: std::time::Duration::from_millis(500),
        idle: 20,
    };
    let report = crate::log::hammer(&options).await.unwrap();
    let size = server.logs.raw.published().tree.size();
    assert_eq!(report.entries as u64 + 20 + 1, size);
    assert!(report.entries >= 8 && report.idle.p50 <= report.idle.p99 && report.loaded.p99 <= report.loaded.most);
    eprintln!("{report:?}");
    let elsewhere = crate::log::HammerOptions {
        url: format!("{}/nowhere", server.url).parse().unwrap(),
        ..options
    };
    assert_eq!(
        crate::log::hammer(&elsewhere).await.unwrap_err().code(),
        "hammer-status"
    );
}

#[tokio::test]
async fn more_bodies_than_memory_are_told_to_come_back() {
    let bench = Bench::new();
    let options = StorageOptions {
        body_bytes: 10 << 10,
        ..StorageOptions::default()
    };
    let storage = Storage::open_with(&bench.data(), &options).unwrap();
    let log = SignatureLog::open(&storage, HOST, bench.ed25519.clone()).unwrap();
    let url = serve(log.router()).await;
    let key = SigningKey::generate_p256().unwrap();
    let send = async |body: String| {
        http()
            .post(format!("{url}/api/v2/log/entries"))
            .body(body)
            .send()
            .await
            .unwrap()
    };
    assert_eq!(
        send(hashedrekord(&key, b"x").to_request().to_string()).await.status(),
        201
    );
    let refused = send(" ".repeat(20 << 10)).await;
    assert_eq!(refused.status(), 503);
    let seconds: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&seconds));
    let error: Value = refused.json().await.unwrap();
    assert_eq!(
        (&error["code"], &error["details"][0]["reason"]),
        (&json!(14), &json!("log-overloaded"))
    );
    assert_eq!(
        send(hashedrekord(&key, b"y").to_request().to_string()).await.status(),
        201
    );
}
