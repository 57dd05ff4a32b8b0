//! An instance as a whole: what `init` writes, what `serve` answers and refuses, attestations, timestamps, the TUF repository.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests may be blunt"
)]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{Bench, Issuer, init, openssl, unix_now};
use serde_json::{Value, json};
use server::{InitOptions, keys::SigningKey};
use verify::{
    Budget, Bundle, Digest, HashAlgorithm, Sha256Digest,
    bundle::{BundleVersion, Content, SignerMaterial, TransparencyLogEntry},
    certificate::Certificate,
    dsse::{Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE},
    entry::{EntryVerifier, HashedRekordV002},
    key::KeyDetails,
    signing_config::ClientTrustConfig,
    statement::{Statement, Subject},
};

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_what_clients_read() {
    let issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/b/instance");
    init(&dir, &issuer);
    let bytes = fs::read(dir.join("trust/trust_config.json")).unwrap();
    let config = ClientTrustConfig::from_json(&bytes, &Budget::default()).unwrap();
    assert_eq!(
        config
            .signing_config
            .logs
            .iter()
            .map(|log| log.api_version)
            .collect::<Vec<_>>(),
        [2, 1]
    );
    assert!(
        config.signing_config.timestamp_authorities[0]
            .url
            .ends_with("/api/v1/timestamp")
    );
    let [v2, v1] = config.trusted_root.logs.as_slice() else {
        panic!("two logs")
    };
    assert_eq!(v2.checkpoint_key_id, Some(v2.log_id));
    assert_eq!((v1.checkpoint_key_id, v1.log_id), (None, v1.key.id().0));
    assert_eq!(config.trusted_root.certificate_authorities[0].chain.len(), 2);
    assert_eq!(config.trusted_root.timestamp_authorities[0].chain.len(), 2);
    assert_eq!(
        fs::read(dir.join("trust/root.json")).unwrap(),
        fs::read(dir.join("tuf/1.root.json")).unwrap()
    );
    for key in fs::read_dir(dir.join("keys")).unwrap() {
        assert_eq!(key.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    tuf_root::repository::verify(&dir.join("tuf"), unix_now()).unwrap();
    let beside: Vec<_> = fs::read_dir(folder.path().join("a/b")).unwrap().collect();
    assert_eq!(beside.len(), 1, "nothing is left beside the instance");
}

#[test]
fn init_overwrites_nothing_and_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    server::init(&InitOptions::new(&empty)).unwrap();
    let before = snapshot(&empty);
    assert_eq!(
        server::init(&InitOptions::new(&empty)).unwrap_err().code(),
        "directory-exists"
    );
    assert_eq!(snapshot(&empty), before);

    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(
        server::init(&InitOptions::new(&file)).unwrap_err().code(),
        "directory-exists"
    );

    let other = folder.path().join("other");
    let options = InitOptions {
        origin: Some("https://h/path".into()),
        ..InitOptions::new(&other)
    };
    assert_eq!(server::init(&options).unwrap_err().code(), "origin");
    assert!(!other.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_says_why_it_cannot() {
    let bench = Bench::start().await;
    let refuse = async |dir: &Path| {
        server::start(dir, Some("127.0.0.1:0".parse().unwrap()))
            .await
            .unwrap_err()
    };
    assert_eq!(
        refuse(&bench.folder.path().join("nowhere")).await.code(),
        "directory-missing"
    );
    assert_eq!(refuse(&bench.dir()).await.code(), "log-in-use");
    let taken = server::start(&bench.dir(), Some(bench.running.address()))
        .await
        .unwrap_err();
    assert_eq!((taken.code(), taken.exit_code()), ("address-in-use", 3));

    let other = bench.folder.path().join("other");
    server::init(&InitOptions::new(&other)).unwrap();
    let edit = |file: &str, from: &str, to: &str| {
        let path = other.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).unwrap();
    };
    edit("server.toml", "layout = 1", "layout = 7");
    let newer = refuse(&other).await;
    assert_eq!((newer.code(), newer.exit_code()), ("layout-too-new", 2));
    edit("server.toml", "layout = 7", "layout = 1");
    edit("identity.yaml", "type: ci-provider", "type: kubernetes");
    assert_eq!(refuse(&other).await.code(), "identity-config-issuer-type");
    edit("identity.yaml", "type: kubernetes", "type: ci-provider");
    fs::copy(other.join("keys/tsa.pem"), other.join("keys/ca.pem")).unwrap();
    assert_eq!(refuse(&other).await.code(), "chain");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tuf_repository_is_served_and_root_probing_ends_cleanly() {
    let bench = Bench::start().await;
    let root = bench.get("/tuf/1.root.json").await;
    assert_eq!(
        (root.status, root.text),
        (200, fs::read_to_string(bench.dir().join("trust/root.json")).unwrap())
    );
    assert_eq!(bench.get("/tuf/2.root.json").await.status, 404);
    assert_eq!(bench.get("/tuf/..%2fkeys%2fca.pem").await.status, 404);
    let timestamp = bench.get("/tuf/timestamp.json").await.json();
    assert!(timestamp["signed"]["version"].as_u64().unwrap() >= 1);
    for path in ["/healthz", "/metrics"] {
        assert_eq!(bench.get(path).await.status, 200, "{path}");
    }
    tuf_root::repository::verify(&bench.dir().join("tuf"), unix_now()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_verifies_timestamps() {
    let bench = Bench::start().await;
    let folder = tempfile::tempdir().unwrap();
    let chain = bench.get("/api/v1/timestamp/certchain").await.text;
    let (leaf, root) = chain.split_at(chain.find("-----END CERTIFICATE-----\n").unwrap() + 26);
    fs::write(folder.path().join("leaf.pem"), leaf).unwrap();
    fs::write(folder.path().join("root.pem"), root).unwrap();
    fs::write(folder.path().join("data"), "signature bytes").unwrap();
    fs::write(folder.path().join("other"), "other bytes").unwrap();
    for (hash, flags) in [
        ("-sha256", ["-cert"].as_slice()),
        ("-sha384", &[]),
        ("-sha512", &["-no_nonce", "-cert"]),
    ] {
        openssl(
            folder.path(),
            &[&["ts", "-query", "-data", "data", hash, "-out", "query"], flags].concat(),
        );
        let query = fs::read(folder.path().join("query")).unwrap();
        let request = bench
            .http
            .post(bench.url("/api/v1/timestamp"))
            .header("content-type", "application/timestamp-query");
        let response = request.body(query).send().await.unwrap();
        assert_eq!(response.status(), 200);
        fs::write(folder.path().join("reply"), response.bytes().await.unwrap()).unwrap();
        let verify = [
            "ts",
            "-verify",
            "-in",
            "reply",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "leaf.pem",
        ];
        let words = openssl(folder.path(), &[&verify[..], &["-queryfile", "query"]].concat());
        assert!(words.contains("Verification: OK"), "{words}");
        openssl(folder.path(), &[&verify[..], &["-data", "data"]].concat());
        let mut other = Command::new("openssl");
        let other = other
            .current_dir(folder.path())
            .args(verify)
            .args(["-data", "other"])
            .output()
            .unwrap();
        assert!(!other.status.success(), "a timestamp of other bytes was accepted");
    }
    let strict = [
        "verify",
        "-x509_strict",
        "-purpose",
        "timestampsign",
        "-CAfile",
        "root.pem",
        "leaf.pem",
    ];
    openssl(folder.path(), &strict);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timestamp_authority_refuses_by_name() {
    let bench = Bench::start().await;
    let json = bench
        .post(
            "/api/v1/timestamp",
            &json!({"artifactHash": STANDARD.encode([1; 32]), "hashAlgorithm": "sha256"}),
        )
        .await;
    assert_eq!(json.status, 200);
    let refuse = async |body: Value| bench.post("/api/v1/timestamp", &body).await.refusal();
    let weak = refuse(json!({"artifactHash": STANDARD.encode([1; 20]), "hashAlgorithm": "sha1"})).await;
    assert_eq!((weak.0, weak.1.as_str()), (400, "tsa-weak-hash"));
    let short = refuse(json!({"artifactHash": STANDARD.encode([1; 20]), "hashAlgorithm": "sha256"})).await;
    assert_eq!((short.0, short.1.as_str()), (400, "tsa-digest-length"));
    let text = bench
        .http
        .post(bench.url("/api/v1/timestamp"))
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(text.status(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn attestations_are_kept_once_and_found_by_digest() {
    let bench = Bench::start().await;
    let (first, second) = (Sha256Digest([1; 32]), Sha256Digest([2; 32]));
    let bundle = signed_bundle(&bench, &[first, second]).await;
    let kept = bench.post("/api/v1/attestations", &bundle).await;
    assert_eq!(kept.status, 201, "{}", kept.text);
    assert_eq!(
        kept.json()["digests"],
        json!([format!("sha256:{first}"), format!("sha256:{second}")])
    );
    let again = bench.post("/api/v1/attestations", &bundle).await;
    assert_eq!((again.status, again.json()), (201, kept.json()));

    let found = bench.get(&format!("/api/v1/attestations/sha256:{second}")).await;
    assert_eq!(found.status, 200);
    let list = found.json()["attestations"].as_array().unwrap().clone();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["bundle"], bundle);
    let absent = Sha256Digest([3; 32]);
    assert_eq!(
        bench.get(&format!("/api/v1/attestations/sha256:{absent}")).await.status,
        404
    );
    let digests: Vec<String> = [first, absent]
        .iter()
        .map(|digest| format!("sha256:{digest}"))
        .collect();
    let answer = bench
        .post("/api/v1/attestations/query", &json!({"digests": digests}))
        .await
        .json();
    assert_eq!(answer["attestations"].as_object().unwrap().len(), 1);
    assert_eq!(answer["attestations"][&digests[0]][0]["bundle"], bundle);
    let many: Vec<String> = vec![digests[0].clone(); 1001];
    let refused = bench
        .post("/api/v1/attestations/query", &json!({"digests": many}))
        .await
        .refusal();
    assert_eq!((refused.0, refused.1.as_str()), (400, "attestations-too-many"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_does_not_hold_is_not_kept() {
    let bench = Bench::start().await;
    let digest = Sha256Digest([1; 32]);
    let bundle = signed_bundle(&bench, &[digest]).await;
    let mut tampered = bundle.clone();
    let payload = STANDARD
        .decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap())
        .unwrap();
    let payload = String::from_utf8(payload)
        .unwrap()
        .replace("https://example.com/predicate", "https://example.com/predicatE");
    tampered["dsseEnvelope"]["payload"] = STANDARD.encode(payload).into();
    let mut unlogged = bundle.clone();
    unlogged["verificationMaterial"]["tlogEntries"] = json!([]);
    let foreign = signed_bundle(&Bench::start().await, &[digest]).await;
    for (name, bundle) in [
        ("tampered", tampered),
        ("unlogged", unlogged),
        ("foreign", foreign),
        ("empty", json!({})),
    ] {
        let answer = bench.post("/api/v1/attestations", &bundle).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text);
        assert!(!answer.refusal().1.is_empty(), "{name}");
    }
    assert_eq!(
        bench.get(&format!("/api/v1/attestations/sha256:{digest}")).await.status,
        404
    );
    assert_eq!(bench.post("/api/v1/attestations", &bundle).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_instance_goes_on_where_it_was() {
    let bench = Bench::start().await;
    let key = SigningKey::generate_p256().unwrap();
    assert_eq!(bench.certify(&bench.request(&key)).await.status, 200);
    let logged = bench.logged_certificates().await;
    let bench = bench.restart().await;
    assert_eq!(bench.logged_certificates().await, logged);
    assert_eq!(bench.certify(&bench.request(&key)).await.status, 200);
    assert_eq!(bench.logged_certificates().await, logged + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_can_be_limited_and_may_be_away() {
    let mut bench = Bench::start().await;
    bench.edit(
        "identity.yaml",
        "type: email\n",
        "type: email\n    single-use-tokens: true\n",
    );
    bench.edit(
        "identity.yaml",
        "type: uri\n",
        "type: uri\n    certificates-per-minute: 0\n",
    );
    bench = bench.restart().await;
    let key = SigningKey::generate_p256().unwrap();
    let certify = async |issuer: &str, more: Value, challenge: &str| {
        let mut claims =
            json!({"iss": format!("{}/{issuer}", bench.issuer.url), "aud": "sigstore", "exp": common::now() + 60});
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        bench
            .certify(&common::key_request(&bench.issuer.token(&claims), &key, challenge))
            .await
    };
    let mail = |id: Value| json!({"sub": "1", "email": "a@example.com", "email_verified": true, "jti": id});
    assert_eq!(certify("mail", mail(json!("x")), "a@example.com").await.status, 200);
    let replayed = certify("mail", mail(json!("x")), "a@example.com").await.refusal();
    assert_eq!((replayed.0, replayed.1.as_str()), (400, "identity-token-replayed"));
    let unnamed = certify("mail", mail(Value::Null), "a@example.com").await.refusal();
    assert_eq!((unnamed.0, unnamed.2.as_str()), (400, "claim-missing:jti"));
    assert_eq!(certify("mail", mail(json!("y")), "a@example.com").await.status, 200);
    let uri = json!({"sub": "https://svc.example.com/x"});
    let limited = certify("uri", uri, "https://svc.example.com/x").await.refusal();
    assert_eq!((limited.0, limited.1.as_str()), (429, "identity-issuer-rate"));

    let gone = format!("{}/gone", bench.issuer.url);
    bench.edit("identity.yaml", "/mail\"", "/gone\"");
    let bench = bench.restart().await;
    let claims = json!({"iss": gone, "aud": "sigstore", "exp": common::now() + 60, "sub": "1"});
    for reason in ["first asked", "remembered"] {
        let answer = bench
            .certify(&common::key_request(&bench.issuer.token(&claims), &key, "1"))
            .await;
        let (status, code, _) = answer.refusal();
        assert_eq!(
            (status, code.as_str()),
            (503, "identity-issuer-unavailable"),
            "{reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_served_from_files() {
    let bench = Bench::start().await;
    let folder = bench.dir();
    let certificate = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ];
    let names = [
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    openssl(
        &folder,
        &[&certificate[..], &names, &["-keyout", "tls.key", "-out", "tls.pem"]].concat(),
    );
    bench.edit(
        "server.toml",
        "layout = 1",
        "layout = 1\ntls = { certificate = \"tls.pem\", key = \"tls.key\" }",
    );
    let bench = bench.restart().await;
    assert!(bench.running.url().starts_with("https://127.0.0.1:"));
    let root = reqwest::Certificate::from_pem(&fs::read(folder.join("tls.pem")).unwrap()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    assert_eq!(http.get(bench.url("/healthz")).send().await.unwrap().status(), 200);
    assert!(
        bench.http.get(bench.url("/healthz")).send().await.is_err(),
        "an unknown root was believed"
    );
    fs::copy(folder.join("keys/ca.pem"), folder.join("tls.key")).unwrap();
    let refused = server::start(&folder, Some("127.0.0.1:0".parse().unwrap()))
        .await
        .unwrap_err();
    assert_eq!((refused.code(), refused.exit_code()), ("tls", 2));
}

/// The program as an operator runs it, at its most talkative: no part of a token reaches the log.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_never_reach_the_log() {
    let issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("instance");
    init(&dir, &issuer);
    let log = folder.path().join("log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sigstore-server"));
    child
        .arg("serve")
        .arg(&dir)
        .args(["--format", "json"])
        .env("RUST_LOG", "trace");
    child.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let mut child = child.spawn().unwrap();
    let config = fs::read_to_string(dir.join("server.toml")).unwrap();
    let url = config
        .lines()
        .find_map(|line| line.strip_prefix("origin = "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let http = reqwest::Client::new();
    while http.get(format!("{url}/readyz")).send().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let claims = common::github_claims(&issuer.url);
    let key = SigningKey::generate_p256().unwrap();
    let (good, forged) = (issuer.token(&claims), common::forged(&claims));
    let mut statuses = Vec::new();
    for token in [&good, &forged, &format!("{good}x")] {
        let body = common::key_request(token, &key, claims["sub"].as_str().unwrap());
        let request = http
            .post(format!("{url}/api/v2/signingCert"))
            .bearer_auth(token)
            .json(&body);
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    let terminated = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(terminated.success());
    assert!(child.wait().unwrap().success(), "SIGTERM ends it with 0");
    assert_eq!(statuses, [200, 400, 400]);
    let written = fs::read_to_string(log).unwrap();
    assert!(
        written.contains("issued a certificate") && written.contains("identity-token-signature"),
        "{written}"
    );
    for token in [&good, &forged] {
        for part in token.split('.').skip(1) {
            assert!(!written.contains(part), "a part of a token is in the log");
        }
    }
    assert!(
        !written.contains(claims["sub"].as_str().unwrap()),
        "a claim is in the log"
    );
    for line in written.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "not JSON: {line}");
    }
}

/// Certifies, signs a statement about these digests, logs and stamps it: a bundle as clients make it.
async fn signed_bundle(bench: &Bench, digests: &[Sha256Digest]) -> Value {
    let key = SigningKey::generate_p256().unwrap();
    let leaf: Certificate = bench.certify(&bench.request(&key)).await.certificates().remove(0);
    let statement = Statement {
        subjects: digests.iter().map(|digest| Subject::sha256("a", "", digest)).collect(),
        predicate_type: "https://example.com/predicate".to_owned(),
        predicate: json!({}),
    };
    let mut envelope = Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: statement.to_json().into_bytes(),
        signatures: Vec::new(),
    };
    let pae = envelope.pae();
    let signature = key.sign(&pae).unwrap();
    envelope.signatures.push(EnvelopeSignature {
        signature: signature.clone(),
        key_id: String::new(),
    });
    let digest = HashAlgorithm::Sha256.digest(&pae);
    let request = HashedRekordV002 {
        digest,
        signature: signature.clone(),
        key_details: KeyDetails::EcdsaP256Sha256,
        verifier: EntryVerifier::Certificate(leaf.der().to_vec()),
    };
    let entry = bench.post("/api/v2/log/entries", &request.to_request()).await;
    assert_eq!(entry.status, 201, "{}", entry.text);
    let stamped: Digest = HashAlgorithm::Sha256.digest(&signature);
    let request = json!({"artifactHash": STANDARD.encode(stamped.as_bytes()), "hashAlgorithm": "sha256"});
    let response = bench
        .http
        .post(bench.url("/api/v1/timestamp"))
        .json(&request)
        .send()
        .await
        .unwrap();
    let bundle = Bundle {
        version: BundleVersion::V0_3,
        signer: SignerMaterial::Certificate(leaf.der().to_vec()),
        log_entries: vec![TransparencyLogEntry::from_json(entry.text.as_bytes(), &Budget::default()).unwrap()],
        timestamps: vec![response.bytes().await.unwrap().to_vec()],
        content: Content::Dsse(envelope),
    };
    serde_json::from_str(&bundle.to_json()).unwrap()
}

fn snapshot(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}
