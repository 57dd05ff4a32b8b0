//! The v1 API over real HTTP: what is accepted, and what each fault is told.

use serde_json::{Value, json};
use verify::{dsse, entry::signed_entry_timestamp_payload, key::SignatureScheme};

use super::*;
use crate::log::http::base64;

/// A proposed `hashedrekord` 0.0.1 over `message`, its PEM with CRLF as some clients send it.
pub(super) fn hashedrekord(key: &SigningKey, message: &[u8]) -> Value {
    let pem = key.public_key().to_pem().replace('\n', "\r\n");
    json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": hex::encode(HashAlgorithm::Sha256.digest(message).as_bytes())}},
        "signature": {"content": base64(&key.sign(message).unwrap()), "publicKey": {"content": base64(pem.as_bytes())}},
    }})
}

fn dsse_entry(keys: &[&SigningKey], payload: &[u8]) -> Value {
    let message = dsse::pae("text/plain", payload);
    let signatures: Vec<Value> = keys
        .iter()
        .map(|key| json!({"sig": base64(&key.sign(&message).unwrap()), "keyid": ""}))
        .collect();
    let envelope =
        json!({"payload": base64(payload), "payloadType": "text/plain", "signatures": signatures}).to_string();
    let verifiers: Vec<String> = keys
        .iter()
        .map(|key| base64(key.public_key().to_pem().as_bytes()))
        .collect();
    json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "proposedContent": {"envelope": envelope, "verifiers": verifiers},
        "signatures": null, "envelopeHash": null, "payloadHash": null,
    }})
}

fn intoto_entry(key: &SigningKey, payload: &[u8]) -> Value {
    let signature = key.sign(&dsse::pae("text/plain", payload)).unwrap();
    let doubly = |bytes: &[u8]| base64(base64(bytes).as_bytes());
    let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex::encode(HashAlgorithm::Sha256.digest(bytes).as_bytes())});
    json!({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": {
        "envelope": {"payloadType": "text/plain", "payload": doubly(payload), "signatures": [
            {"sig": doubly(&signature), "publicKey": base64(key.public_key().to_pem().as_bytes())},
        ]},
        "hash": hash(b"stated by the client"),
        "payloadHash": hash(payload),
    }}})
}

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
        let url = serve(logs.legacy.router()).await;
        Self {
            _bench: bench,
            logs,
            url,
            http: http(),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self
            .http
            .post(format!("{}{path}", self.url))
            .json(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Checks promise, proof and checkpoint of an answer, and gives its id and entry.
    fn check(&self, answer: &Value) -> (String, Value) {
        let (id, entry) = answer.as_object().unwrap().iter().next().unwrap();
        let body = decode(&entry["body"]);
        let proof = &entry["verification"]["inclusionProof"];
        let log = &self.logs.legacy;
        let payload = signed_entry_timestamp_payload(
            &body,
            entry["integratedTime"].as_i64().unwrap(),
            &log.log_id(),
            entry["logIndex"].as_u64().unwrap(),
        );
        let promise = decode(&entry["verification"]["signedEntryTimestamp"]);
        let scheme = SignatureScheme::Ecdsa(HashAlgorithm::Sha256);
        log.public_key().verify(scheme, &payload, &promise).unwrap();
        let leaf = merkle::leaf_hash(&body);
        assert_eq!(*id, format!("{:016x}{}", log.tree_id(), hex::encode(leaf)));
        let hashes: Vec<[u8; 32]> = proof["hashes"].as_array().unwrap().iter().map(hash).collect();
        let (index, size) = (proof["logIndex"].as_u64().unwrap(), proof["treeSize"].as_u64().unwrap());
        merkle::verify_inclusion(&leaf, index, size, &hashes, &hash(&proof["rootHash"])).unwrap();
        let checkpoint = proof["checkpoint"].as_str().unwrap();
        let signed = SignedCheckpoint::parse(checkpoint.as_bytes(), &verify::Budget::default()).unwrap();
        assert_eq!(signed.checkpoint.origin, format!("{HOST} - {}", log.tree_id()));
        signed.verify(HOST, &log.log_id(), log.public_key()).unwrap();
        (id.clone(), entry.clone())
    }
}

fn decode(value: &Value) -> Vec<u8> {
    crate::log::fields::decode(value.as_str().unwrap()).unwrap()
}

fn hash(value: &Value) -> [u8; 32] {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

#[tokio::test]
async fn each_kind_is_logged_with_promise_and_proof() {
    let server = Server::start().await;
    let (key, other) = (
        SigningKey::generate_p256().unwrap(),
        SigningKey::generate_ed25519().unwrap(),
    );
    let entries = [
        (hashedrekord(&key, b"artifact"), "hashedrekord"),
        (dsse_entry(&[&key, &other], b"statement"), "dsse"),
        (intoto_entry(&key, b"statement"), "intoto"),
    ];
    for (number, (proposed, kind)) in entries.iter().enumerate() {
        let (status, answer) = server.post("/api/v1/log/entries", proposed).await;
        assert_eq!(status, 201, "{answer}");
        let (id, entry) = server.check(&answer);
        assert_eq!(entry["logIndex"], number + 1);
        let body = decode(&entry["body"]);
        let parsed = Entry::parse(&body, &verify::Budget::default()).unwrap();
        assert_eq!((parsed.kind(), parsed.to_body()), (*kind, body));
        for path in [
            format!("/api/v1/log/entries/{id}"),
            format!("/api/v1/log/entries?logIndex={}", number + 1),
        ] {
            let (status, found) = server.get(&path).await;
            assert_eq!(
                (status, server.check(&found).1["body"].clone()),
                (200, entry["body"].clone())
            );
        }
        let (status, again) = server.post("/api/v1/log/entries", proposed).await;
        assert_eq!(
            (status, server.check(&again).1["logIndex"].clone()),
            (201, json!(number + 1))
        );
    }
}

#[tokio::test]
async fn the_answer_names_its_entry_in_etag_and_location_and_the_pem_is_re_encoded() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let url = format!("{}/api/v1/log/entries", server.url);
    let answer = server
        .http
        .post(url)
        .json(&hashedrekord(&key, b"x"))
        .send()
        .await
        .unwrap();
    let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
    let (etag, location) = (header("etag"), header("location"));
    let (id, entry) = server.check(&answer.json().await.unwrap());
    assert_eq!((etag, location), (id.clone(), format!("/api/v1/log/entries/{id}")));
    let Entry::HashedRekordV001(entry) = Entry::parse(&decode(&entry["body"]), &verify::Budget::default()).unwrap()
    else {
        panic!("another kind");
    };
    assert_eq!(entry.verifier_pem, key.public_key().to_pem());
}

#[tokio::test]
async fn the_tree_its_key_and_its_consistency_can_be_read() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let mut roots = vec![server.get("/api/v1/log").await.1];
    for number in 0..5_u8 {
        server.post("/api/v1/log/entries", &hashedrekord(&key, &[number])).await;
        roots.push(server.get("/api/v1/log").await.1);
    }
    let newest = roots.last().unwrap().clone();
    assert_eq!(newest["treeSize"], 6);
    assert_eq!(newest["treeID"], server.logs.legacy.tree_id().to_string());
    for old in &roots {
        let (first, last) = (old["treeSize"].as_u64().unwrap(), 6);
        let path = format!("/api/v1/log/proof?firstSize={first}&lastSize={last}");
        let (status, proof) = server.get(&path).await;
        assert_eq!((status, &proof["rootHash"]), (200, &newest["rootHash"]));
        let hashes: Vec<[u8; 32]> = proof["hashes"].as_array().unwrap().iter().map(hash).collect();
        let (old, new) = (hash(&old["rootHash"]), hash(&newest["rootHash"]));
        merkle::verify_consistency(first, &old, last, &new, &hashes).unwrap();
    }
    let pem = server
        .http
        .get(format!("{}/api/v1/log/publicKey", server.url))
        .send()
        .await
        .unwrap()
        .text()
        .await;
    assert_eq!(pem.unwrap(), server.logs.legacy.public_key().to_pem());
    assert_eq!(server.get("/api/v1/log/publicKey?treeID=1").await.0, 404);
    for query in [
        "firstSize=0&lastSize=3",
        "firstSize=4&lastSize=3",
        "firstSize=1&lastSize=7",
        "firstSize=1&lastSize=x",
        "firstSize=1",
    ] {
        assert_eq!(
            server.get(&format!("/api/v1/log/proof?{query}")).await.0,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn up_to_ten_entries_are_retrieved_at_once() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let proposed = hashedrekord(&key, b"x");
    let (id, _) = server.check(&server.post("/api/v1/log/entries", &proposed).await.1);
    let uuid = &id[16..];
    let search = json!({"entryUUIDs": [id, uuid], "logIndexes": [0, 1, 99], "entries": [proposed]});
    let (status, found) = server.post("/api/v1/log/entries/retrieve", &search).await;
    assert_eq!((status, found.as_array().unwrap().len()), (200, 5));
    for answer in found
        .as_array()
        .unwrap()
        .iter()
        .filter(|answer| answer.get(&id).is_some())
    {
        server.check(answer);
    }
    let ten = json!({"logIndexes": vec![1; 10]});
    assert_eq!(server.post("/api/v1/log/entries/retrieve", &ten).await.0, 200);
    let eleven = json!({"logIndexes": vec![1; 11]});
    let (status, error) = server.post("/api/v1/log/entries/retrieve", &eleven).await;
    assert_eq!(
        (status, &error["details"][0]["reason"]),
        (422, &json!("log-request-too-many"))
    );
}

#[tokio::test]
async fn what_is_not_there_is_404_and_ping_answers() {
    let server = Server::start().await;
    for path in [
        "?logIndex=99",
        &format!("/{}", "0".repeat(80)),
        &format!("/{}", "0".repeat(64)),
        "/nonsense",
    ] {
        let (status, error) = server.get(&format!("/api/v1/log/entries{path}")).await;
        assert_eq!((status, error["code"].as_u64()), (404, Some(404)), "{path}");
    }
    assert_eq!(
        server
            .http
            .get(format!("{}/ping", server.url))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

/// One edit of an accepted request, and the code and status it must get.
#[tokio::test]
async fn each_fault_is_told() {
    let server = Server::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let record = hashedrekord(&key, b"x");
    let envelope = dsse_entry(&[&key], b"x");
    let intoto = intoto_entry(&key, b"x");
    for accepted in [&record, &envelope, &intoto] {
        assert_eq!(server.post("/api/v1/log/entries", accepted).await.0, 201);
    }
    let spec = "/spec/signature/publicKey/content";
    let other = base64(SigningKey::generate_p256().unwrap().public_key().to_pem().as_bytes());
    let ed25519 = base64(SigningKey::generate_ed25519().unwrap().public_key().to_pem().as_bytes());
    let many: Vec<&SigningKey> = vec![&key; 11];
    let faults: Vec<(&str, Value, &str)> = vec![
        ("kind", edit(&record, "/kind", json!("rekord")), "log-request-kind"),
        (
            "version",
            edit(&record, "/apiVersion", json!("0.0.2")),
            "log-request-kind",
        ),
        ("no spec", edit(&record, "/spec", Value::Null), "log-request-missing"),
        ("spec text", edit(&record, "/spec", json!("x")), "log-request-malformed"),
        (
            "no signature",
            edit(&record, "/spec/signature/content", json!("")),
            "log-request-missing",
        ),
        (
            "signature",
            edit(&record, "/spec/signature/content", json!("AAAA")),
            "log-request-signature",
        ),
        (
            "base64",
            edit(&record, "/spec/signature/content", json!("%")),
            "log-request-malformed",
        ),
        (
            "no PEM",
            edit(&record, spec, json!(base64(b"x"))),
            "log-request-verifier",
        ),
        (
            "another key",
            edit(&record, spec, json!(other)),
            "log-request-signature",
        ),
        ("Ed25519", edit(&record, spec, json!(ed25519)), "log-request-algorithm"),
        (
            "hash algorithm",
            edit(&record, "/spec/data/hash/algorithm", json!("md5")),
            "log-request-malformed",
        ),
        (
            "hash length",
            edit(&record, "/spec/data/hash/value", json!("00")),
            "log-request-digest-length",
        ),
        (
            "another hash",
            edit(&record, "/spec/data/hash/value", json!("00".repeat(32))),
            "log-request-signature",
        ),
        (
            "unknown field",
            add(&record, "/spec/data", "url", json!("x")),
            "log-request-unknown-field",
        ),
        (
            "envelope text",
            edit(&envelope, "/spec/proposedContent/envelope", json!("{")),
            "log-request-json",
        ),
        (
            "no verifiers",
            edit(&envelope, "/spec/proposedContent/verifiers", json!([])),
            "log-request-missing",
        ),
        (
            "other verifier",
            edit(&envelope, "/spec/proposedContent/verifiers", json!([other])),
            "log-request-signature",
        ),
        (
            "verifier twice",
            edit(&envelope, "/spec/proposedContent/verifiers", json!([other, other])),
            "log-request-duplicate-verifier",
        ),
        ("eleven signatures", dsse_entry(&many, b"x"), "log-request-too-many"),
        (
            "readOnly field",
            edit(&envelope, "/spec/signatures", json!([])),
            "log-request-malformed",
        ),
        (
            "payload hash",
            edit(&intoto, "/spec/content/payloadHash/value", json!("00".repeat(32))),
            "log-request-payload-hash",
        ),
        (
            "intoto signature",
            edit(
                &intoto,
                "/spec/content/envelope/signatures/0/sig",
                json!(base64(b"AAAA")),
            ),
            "log-request-signature",
        ),
        (
            "payload",
            edit(&intoto, "/spec/content/envelope/payload", json!(base64(b"YQ=="))),
            "log-request-signature",
        ),
    ];
    for (fault, request, code) in faults {
        let (status, error) = server.post("/api/v1/log/entries", &request).await;
        assert_eq!(
            (status, error["details"][0]["reason"].as_str()),
            (400, Some(code)),
            "{fault}: {error}"
        );
        assert_eq!(error["code"], 400);
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    let (_, tree) = server.get("/api/v1/log").await;
    assert_eq!(tree["treeSize"], 4, "a refused request left an entry");
}

/// The value with what stands at a JSON pointer replaced.
pub(super) fn edit(value: &Value, pointer: &str, new: Value) -> Value {
    let mut edited = value.clone();
    *edited.pointer_mut(pointer).unwrap() = new;
    edited
}

/// The value with a member added to the object at a JSON pointer.
pub(super) fn add(value: &Value, pointer: &str, name: &str, new: Value) -> Value {
    let mut edited = value.clone();
    edited
        .pointer_mut(pointer)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .insert(name.to_owned(), new);
    edited
}
