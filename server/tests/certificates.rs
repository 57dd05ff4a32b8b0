//! What the certificate authority issues, field by field, and what it refuses.

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

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{Bench, key_request, now, openssl, unix_now};
use serde_json::{Value, json};
use server::keys::SigningKey;
use verify::{
    Budget, HashAlgorithm, Verifier,
    identity::{Claim, SubjectAlternativeName},
    key::SignatureScheme,
    sct::{self, LoggedCertificate},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_has_the_whole_profile() {
    let bench = Bench::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let chain = bench.certify(&bench.request(&key)).await.certificates();
    assert_eq!(chain.len(), 3);
    let leaf = &chain[0];
    assert_eq!(leaf.public_key(), key.public_key());
    let validity = leaf.validity();
    assert_eq!(validity.end.unwrap().as_secs() - validity.start.as_secs(), 600);
    assert!((now() - validity.start.as_secs()).abs() < 30);
    assert!(!leaf.is_ca());
    assert_eq!(leaf.issuer_and_subject().1, [0x30, 0x00]);
    assert_eq!(leaf.issuer_and_subject().0, chain[1].issuer_and_subject().1);

    let claims = bench.claims();
    let identity = leaf.identity().unwrap();
    let san = "https://github.com/o/w/.github/workflows/r.yml@refs/tags/v1";
    assert_eq!(identity.san, SubjectAlternativeName::Uri(san.to_owned()));
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    let expected = [
        (Claim::DeprecatedIssuer, text("iss")),
        (Claim::GithubWorkflowTrigger, text("event_name")),
        (Claim::GithubWorkflowSha, text("sha")),
        (Claim::GithubWorkflowName, text("workflow")),
        (Claim::GithubWorkflowRepository, text("repository")),
        (Claim::GithubWorkflowRef, text("ref")),
        (Claim::Issuer, text("iss")),
        (Claim::BuildSignerUri, san.to_owned()),
        (Claim::BuildSignerDigest, text("job_workflow_sha")),
        (Claim::RunnerEnvironment, text("runner_environment")),
        (Claim::SourceRepositoryUri, "https://github.com/o/r".to_owned()),
        (Claim::SourceRepositoryDigest, text("sha")),
        (Claim::SourceRepositoryRef, text("ref")),
        (Claim::SourceRepositoryIdentifier, text("repository_id")),
        (Claim::SourceRepositoryOwnerUri, "https://github.com/o".to_owned()),
        (Claim::SourceRepositoryOwnerIdentifier, text("repository_owner_id")),
        (
            Claim::BuildConfigUri,
            format!("https://github.com/{}", text("workflow_ref")),
        ),
        (Claim::BuildConfigDigest, text("workflow_sha")),
        (Claim::BuildTrigger, text("event_name")),
        (
            Claim::RunInvocationUri,
            "https://github.com/o/r/actions/runs/7/attempts/1".to_owned(),
        ),
        (Claim::SourceRepositoryVisibility, text("repository_visibility")),
        (Claim::DeploymentEnvironment, text("environment")),
        (Claim::TokenSubject, text("sub")),
    ];
    assert_eq!(identity.claims, expected.into_iter().collect());
    let verifier = Verifier::new(bench.trusted_root()).unwrap();
    assert_eq!(verifier.check_certificate(leaf, unix_now()).unwrap(), identity);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_sct_covers_the_precertificate() {
    let bench = Bench::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let before = bench.logged_certificates().await;
    let chain = bench.certify(&bench.request(&key)).await.certificates();
    assert_eq!(bench.logged_certificates().await, before + 1);
    let scts = chain[0].scts(&Budget::default()).unwrap();
    assert_eq!(scts.len(), 1);
    let root = bench.trusted_root();
    let log = &root.ct_logs[0];
    assert_eq!(scts[0].log_id, log.key.id());
    assert_eq!(scts[0].extensions, sct::leaf_index_extension(before));
    let logged = LoggedCertificate::Precertificate {
        issuer_key_hash: chain[1].public_key().id().0,
        tbs: chain[0].precertificate_tbs().unwrap(),
    };
    let data = sct::signed_data(scts[0].timestamp_ms, &logged, &scts[0].extensions);
    let scheme = SignatureScheme::Ecdsa(HashAlgorithm::Sha256);
    log.key.verify(scheme, &data, &scts[0].signature).unwrap();
    let other = sct::signed_data(scts[0].timestamp_ms + 1, &logged, &scts[0].extensions);
    log.key.verify(scheme, &other, &scts[0].signature).unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_reads_and_verifies_the_chain() {
    let bench = Bench::start().await;
    let key = SigningKey::generate_p256().unwrap();
    let chain = bench.certify(&bench.request(&key)).await.certificates();
    let folder = tempfile::tempdir().unwrap();
    for (name, certificate) in ["leaf.pem", "intermediate.pem", "root.pem"].iter().zip(&chain) {
        std::fs::write(folder.path().join(name), certificate.to_pem()).unwrap();
    }
    let strict = [
        "verify",
        "-x509_strict",
        "-CAfile",
        "root.pem",
        "-untrusted",
        "intermediate.pem",
        "leaf.pem",
    ];
    assert!(openssl(folder.path(), &strict).contains("leaf.pem: OK"));
    let words = openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    let order = [
        "Key Usage: critical",
        "Extended Key Usage: \n",
        "Subject Key Identifier",
        "Authority Key Identifier",
        "Subject Alternative Name: critical",
        "1.3.6.1.4.1.57264.1.1:",
        "1.3.6.1.4.1.57264.1.2:",
        "1.3.6.1.4.1.57264.1.8:",
        "1.3.6.1.4.1.57264.1.24:",
        "CT Precertificate SCTs",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|text| words.find(text).unwrap_or_else(|| panic!("{text}: {words}")))
        .collect();
    assert!(places.is_sorted(), "{words}");
    assert!(!words.contains("Basic Constraints"), "{words}");
    let request = ["x509", "-in", "root.pem", "-noout", "-text"];
    assert!(openssl(folder.path(), &request).contains("CA:TRUE"));
    let words = openssl(folder.path(), &["x509", "-in", "intermediate.pem", "-noout", "-text"]);
    assert!(
        words.contains("CA:TRUE, pathlen:0") && words.contains("Code Signing"),
        "{words}"
    );
}

/// Every key that OpenSSL makes and we certify, as a signing request of sigstore-python's kind.
#[tokio::test(flavor = "multi_thread")]
async fn signing_requests_prove_possession() {
    let bench = Bench::start().await;
    let folder = tempfile::tempdir().unwrap();
    let keys: [&[&str]; 6] = [
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
        &["-algorithm", "ED25519"],
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
    ];
    for arguments in keys {
        openssl(folder.path(), &[&["genpkey", "-out", "key.pem"], arguments].concat());
        let request = ["req", "-new", "-key", "key.pem", "-subj", "/", "-out", "request.pem"];
        openssl(folder.path(), &request);
        let pem = std::fs::read_to_string(folder.path().join("request.pem")).unwrap();
        let body = json!({"certificateSigningRequest": STANDARD.encode(&pem), "publicKeyRequest": null});
        let token = bench.issuer.token(&bench.claims());
        let response = bench.http.post(bench.url("/api/v2/signingCert")).bearer_auth(&token);
        let response = response
            .header("accept", "application/pem-certificate-chain")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(
            response.status(),
            200,
            "{arguments:?}: {}",
            response.text().await.unwrap()
        );

        let mut der = der::pem::decode_vec(pem.as_bytes()).unwrap().1;
        *der.last_mut().unwrap() ^= 1;
        let broken = der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, &der).unwrap();
        let body =
            json!({"credentials": {"oidcIdentityToken": token}, "certificateSigningRequest": STANDARD.encode(broken)});
        let (status, code, _) = bench.certify(&body).await.refusal();
        assert_eq!(
            (status, code.as_str()),
            (400, "ca-proof-of-possession"),
            "{arguments:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_services_are_certified_too() {
    let bench = Bench::start().await;
    let key = SigningKey::generate_ed25519().unwrap();
    let claims = |issuer: &str, more: Value| {
        let mut claims =
            json!({"iss": format!("{}/{issuer}", bench.issuer.url), "aud": ["other", "sigstore"], "exp": now() + 60});
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        claims
    };
    let mail = claims(
        "mail",
        json!({"sub": "17", "email": "a@example.com", "email_verified": true}),
    );
    let answer = bench
        .certify(&key_request(&bench.issuer.token(&mail), &key, "a@example.com"))
        .await;
    let identity = answer.certificates()[0].identity().unwrap();
    assert_eq!(identity.san, SubjectAlternativeName::Email("a@example.com".into()));
    assert_eq!(identity.claim(Claim::TokenSubject), Some("17"));
    let by_subject = bench
        .certify(&key_request(&bench.issuer.token(&mail), &key, "17"))
        .await;
    assert_eq!(by_subject.refusal().1, "ca-proof-of-possession");

    let uri = claims("uri", json!({"sub": "https://svc.example.com/builder"}));
    let answer = bench
        .certify(&key_request(
            &bench.issuer.token(&uri),
            &key,
            "https://svc.example.com/builder",
        ))
        .await;
    let identity = answer.certificates()[0].identity().unwrap();
    assert_eq!(
        identity.san,
        SubjectAlternativeName::Uri("https://svc.example.com/builder".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_do_not_hold_are_refused_and_nothing_is_logged() {
    let bench = Bench::start().await;
    let key = SigningKey::generate_p256().unwrap();
    assert_eq!(bench.certify(&bench.request(&key)).await.status, 200);
    let before = bench.logged_certificates().await;
    let honest = bench.claims();
    let subject = honest["sub"].as_str().unwrap().to_owned();
    let edited = |name: &str, value: Value| {
        let mut claims = honest.clone();
        claims[name] = value;
        bench.issuer.token(&claims)
    };
    let none = bench
        .issuer
        .with_header(&json!({"alg": "none", "kid": "first"}), &honest);
    let symmetric = bench
        .issuer
        .with_header(&json!({"alg": "HS256", "kid": "first"}), &honest);
    let other_key = bench
        .issuer
        .with_header(&json!({"alg": "ES256", "kid": "second"}), &honest);
    let cases = [
        (edited("exp", json!(now() - 1)), "identity-token-expired", "expired"),
        (
            edited("exp", Value::Null),
            "identity-claim-missing",
            "claim-missing:exp",
        ),
        (
            edited("nbf", json!(now() + 3600)),
            "identity-token-not-yet-valid",
            "not-yet-valid",
        ),
        (edited("aud", json!("other")), "identity-token-audience", "audience"),
        (
            edited("aud", json!(["sigstore.example"])),
            "identity-token-audience",
            "audience",
        ),
        (
            edited("iss", json!("https://evil.example")),
            "identity-issuer-unknown",
            "issuer-unknown",
        ),
        (
            edited("iss", json!(format!("{}/github/", bench.issuer.url))),
            "identity-issuer-unknown",
            "issuer-unknown",
        ),
        (
            edited("workflow_sha", Value::Null),
            "identity-claim-missing",
            "claim-missing:workflow_sha",
        ),
        (common::forged(&honest), "identity-token-signature", "signature"),
        (none, "identity-token-signature", "signature"),
        (symmetric, "identity-token-signature", "signature"),
        (other_key, "identity-token-signature", "signature"),
        (
            format!("{}.x", bench.issuer.token(&honest)),
            "identity-token-malformed",
            "malformed",
        ),
        (".".repeat(100_000), "identity-token-malformed", "malformed"),
        (String::new(), "identity-token-missing", "missing"),
    ];
    for (token, code, reason) in cases {
        let answer = bench.certify(&key_request(&token, &key, &subject)).await;
        assert_eq!(
            answer.refusal(),
            (400, code.to_owned(), reason.to_owned()),
            "{}",
            answer.text
        );
        let json = answer.json();
        assert_eq!(json["message"], "There was an error processing the identity token");
        assert_eq!(json["code"], 3);
        assert!(!answer.text.contains("evil.example"), "a claim's value was echoed");
    }
    assert_eq!(bench.logged_certificates().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_hold_are_refused_and_nothing_is_logged() {
    let bench = Bench::start().await;
    let key = SigningKey::generate_p256().unwrap();
    assert_eq!(bench.certify(&bench.request(&key)).await.status, 200);
    let before = bench.logged_certificates().await;
    let subject = bench.claims()["sub"].as_str().unwrap().to_owned();
    let token = bench.issuer.token(&bench.claims());
    let foreign_proof = key_request(&token, &key, "somebody else");
    let mut foreign_key = key_request(&token, &key, &subject);
    let other = SigningKey::generate_p256().unwrap();
    foreign_key["publicKeyRequest"]["publicKey"]["content"] = other.public_key().to_pem().into();
    let folder = tempfile::tempdir().unwrap();
    let generate = [
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:1024",
        "-out",
        "weak.pem",
    ];
    openssl(folder.path(), &generate);
    let weak_pem = openssl(folder.path(), &["pkey", "-in", "weak.pem", "-pubout"]);
    let mut weak = key_request(&token, &key, &subject);
    weak["publicKeyRequest"]["publicKey"]["content"] = weak_pem.into();
    let mut rubbish = key_request(&token, &key, &subject);
    rubbish["publicKeyRequest"]["publicKey"]["content"] =
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into();
    let cases = [
        (
            foreign_proof,
            "ca-proof-of-possession",
            "The signature supplied in the request could not be verified",
        ),
        (
            foreign_key,
            "ca-proof-of-possession",
            "The signature supplied in the request could not be verified",
        ),
        (
            weak,
            "ca-key-rsa-size",
            "The public key supplied in the request is insecure",
        ),
        (
            rubbish,
            "ca-key-unparsable",
            "The public key supplied in the request could not be parsed",
        ),
    ];
    for (body, code, message) in cases {
        let answer = bench.certify(&body).await;
        let (status, found, _) = answer.refusal();
        assert_eq!((status, found.as_str()), (400, code), "{}", answer.text);
        assert_eq!(answer.json()["message"], message);
    }
    let bytes = |body: String| bench.http.post(bench.url("/api/v2/signingCert")).body(body).send();
    let deep = bytes(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)))
        .await
        .unwrap();
    assert_eq!(deep.status(), 400);
    let large = bytes(format!("{{\"credentials\":\"{}\"}}", "x".repeat(5 << 20)))
        .await
        .unwrap();
    assert_eq!(large.status(), 413);
    assert_eq!(
        large.headers()["connection"],
        "close",
        "what was not read is in the way"
    );
    assert_eq!(bench.logged_certificates().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_describes_itself() {
    let bench = Bench::start().await;
    let configuration = bench.get("/api/v2/configuration").await.json();
    let issuers = configuration["issuers"].as_array().unwrap();
    let find = |url: String| {
        issuers
            .iter()
            .find(|issuer| issuer["issuerUrl"] == url.as_str())
            .unwrap()
    };
    assert_eq!(find(format!("{}/mail", bench.issuer.url))["challengeClaim"], "email");
    assert_eq!(
        find(format!("{}/uri", bench.issuer.url))["subjectDomain"],
        "https://svc.example.com"
    );
    assert_eq!(
        find("https://token.actions.githubusercontent.com".into())["issuerType"],
        "ci-provider"
    );
    assert!(issuers.iter().any(|issuer| issuer["wildcardIssuerUrl"].is_string()));
    let bundle = bench.get("/api/v2/trustBundle").await.json();
    let chain = bundle["chains"][0]["certificates"].as_array().unwrap().len();
    assert_eq!(chain, 2);
    let pem = bench.get("/api/v1/rootCert").await.text;
    assert_eq!(
        pem,
        std::fs::read_to_string(bench.dir().join("certificates/ca.pem")).unwrap()
    );
}
