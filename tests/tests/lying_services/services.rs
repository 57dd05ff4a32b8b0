//! Certificate authority, log, timestamp authority and token service, each telling a lie.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use client::{
    Class, Error, Http, Service as Role, Signer,
    attestations::AttestationStore,
    http::Endpoint as Address,
    log::SignatureLog,
    oidc::{IdentityToken, TokenOptions, obtain},
    tiles::LogReader,
    timestamp::TimestampAuthority,
};
use serde_json::{Map, Value, json};
use tests::issuer::{Endpoint, Fault, Profile};
use verify::{
    Artifact, Budget, Policy, Sha256Digest, Verifier,
    checkpoint::SignedCheckpoint,
    statement::{Statement, Subject},
};

use crate::bench::{ARTIFACT, Bench, CERTIFY, LOG, Lie, STAMP, flip, hasty, http};

#[test]
fn an_honest_instance_signs_for_every_kind_of_identity() {
    let bench = Bench::new();
    let verifier = Verifier::new(bench.instance.trust.trusted_root.clone()).expect("a trusted root");
    for profile in Profile::ALL {
        let session = bench.certify_as(&bench.token(profile)).expect("a certificate");
        let (subject, issuer) = (bench.issuer.subject(profile), bench.issuer.url(profile));
        assert_eq!(
            (session.identity().san.as_str(), session.identity().issuer()),
            (subject.as_str(), issuer.as_str())
        );
        let signed = bench
            .runtime
            .block_on(session.sign_artifact(ARTIFACT))
            .expect("a signature");
        let policy = Policy::identity(&subject, &issuer).expect("a policy");
        let outcome = verifier.verify(
            &signed.bundle,
            &Artifact::Digest(ARTIFACT),
            &policy,
            client::clock::now(),
        );
        assert_eq!(
            outcome.expect("verified by anybody").log_index(),
            signed.verified.log_index()
        );
    }
}

#[test]
fn many_statements_are_signed_under_one_certificate_at_the_same_time() {
    let bench = Bench::new();
    let session = bench.certify().expect("a certificate");
    let statement = |n: u8| Statement {
        subjects: vec![Subject::sha256("a.crate", "", &Sha256Digest([n; 32]))],
        predicate_type: "https://example.org/p/v1".to_owned(),
        predicate: json!({ "n": n }),
    };
    let signed = bench.runtime.block_on(futures_util::future::join_all((0..20).map(|n| {
        let (session, json) = (&session, statement(n).to_json());
        async move { session.sign_statement(json.as_bytes(), Sha256Digest([n; 32])).await }
    })));
    let mut indexes: Vec<u64> = signed
        .into_iter()
        .map(|one| one.expect("signed").verified.log_index().unwrap())
        .collect();
    indexes.sort_unstable();
    indexes.dedup();
    assert_eq!(indexes.len(), 20);
    let wrong = bench
        .runtime
        .block_on(session.sign_statement(statement(1).to_json().as_bytes(), ARTIFACT));
    assert_eq!(wrong.expect_err("another subject").code(), "own-statement");
}

#[test]
fn a_lying_certificate_authority_is_noticed() {
    let bench = Bench::new();
    let other = bench.other_instance();
    assert_eq!(
        bench.certifying(|proxy| proxy.lie(CERTIFY, Lie::Elsewhere(other.url.clone()))),
        "ca-untrusted"
    );
    // The first answer is for the first key.
    bench.proxy.lie(CERTIFY, Lie::Replay);
    bench.certify().expect("the first answer is honest");
    assert_eq!(
        bench.certify().expect_err("a replay was believed").code(),
        "ca-wrong-key"
    );
    // Another commit in a token with the same subject.
    let changes: Map<String, Value> = [("sha".to_owned(), json!("deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"))]
        .into_iter()
        .collect();
    let swapped = bench.issuer.token_with(Profile::GitHub, &changes).expect("a token");
    let ask = move |body: Vec<u8>| {
        let mut value: Value = serde_json::from_slice(&body).expect("JSON");
        value["credentials"]["oidcIdentityToken"] = swapped.as_str().into();
        value.to_string().into_bytes()
    };
    assert_eq!(
        bench.certifying(|proxy| proxy.lie(CERTIFY, Lie::Ask(Arc::new(ask)))),
        "ca-wrong-identity"
    );
    let chain = "/signedCertificateEmbeddedSct/chain/certificates";
    let detached = move |value: &mut Value| {
        let certificates = value.pointer(chain).expect("a chain").clone();
        *value = json!({ "signedCertificateDetachedSct": { "chain": { "certificates": certificates } } });
    };
    assert_eq!(bench.certifying(|proxy| proxy.change_json(CERTIFY, detached)), "ca-sct");
    let leaf_only = move |value: &mut Value| {
        value
            .pointer_mut(chain)
            .and_then(Value::as_array_mut)
            .expect("a chain")
            .truncate(1);
    };
    assert_eq!(
        bench.certifying(|proxy| proxy.change_json(CERTIFY, leaf_only)),
        "answer-malformed"
    );
    assert_eq!(
        bench.certifying(|proxy| proxy.change(CERTIFY, |_| b"{}".to_vec())),
        "answer-malformed"
    );
    assert_eq!(
        bench.certifying(|proxy| proxy.change(CERTIFY, |_| vec![b' '; 1 << 20])),
        "answer-too-large"
    );
}

#[test]
fn a_certificate_that_no_known_ct_log_saw_is_not_believed() {
    let bench = Bench::new();
    bench.certify().expect("an honest certificate");
    let mut trust = bench.trust();
    trust.trusted_root.ct_logs = bench.other_instance().trust.trusted_root.ct_logs;
    let signer = Signer::new(http(), trust).expect("a signer");
    let error = bench
        .runtime
        .block_on(signer.certify(&bench.token(Profile::GitHub)))
        .expect_err("an unknown CT log");
    assert_eq!((error.code(), error.class()), ("ca-sct", Class::Refused));
}

#[test]
fn a_lying_log_is_noticed() {
    let bench = Bench::new();
    let other = bench.other_instance();
    let set = |pointer: &'static str, change: fn(&mut Value)| {
        move |value: &mut Value| change(value.pointer_mut(pointer).expect("a field"))
    };
    assert_eq!(
        bench.signing(|proxy| proxy.change_json(LOG, set("/inclusionProof/hashes/0", flip))),
        "log-proof"
    );
    assert_eq!(
        bench.signing(|proxy| proxy.change_json(LOG, set("/inclusionProof/rootHash", flip))),
        "log-checkpoint"
    );
    assert_eq!(
        bench.signing(|proxy| proxy.change_json(LOG, set("/logId/keyId", flip))),
        "log-unknown"
    );
    assert_eq!(
        bench.signing(|proxy| proxy.change_json(LOG, set("/canonicalizedBody", flip))),
        "log-wrong-entry"
    );
    assert_eq!(
        bench.signing(|proxy| proxy.lie(LOG, Lie::Elsewhere(other.url.clone()))),
        "log-unknown"
    );
    let resign = |value: &mut Value| {
        let note = value.as_str().expect("a note").to_owned();
        let (text, signature) = note.rsplit_once(' ').expect("a signature");
        let mut blob = Value::from(signature.trim_end());
        flip(&mut blob);
        *value = format!("{text} {}\n", blob.as_str().expect("base64")).into();
    };
    assert_eq!(
        bench.signing(|proxy| proxy.change_json(LOG, set("/inclusionProof/checkpoint/envelope", resign))),
        "log-checkpoint"
    );
    bench.proxy.lie(LOG, Lie::Replay);
    bench.sign().expect("the first answer is honest");
    assert_eq!(
        bench.sign().expect_err("a replay was believed").code(),
        "log-wrong-entry"
    );
}

#[test]
fn a_lying_timestamp_authority_is_noticed() {
    let bench = Bench::new();
    let other = bench.other_instance();
    assert_eq!(
        bench.signing(|proxy| proxy.lie(STAMP, Lie::Elsewhere(other.url.clone()))),
        "tsa-token"
    );
    let last_bit = |mut body: Vec<u8>| {
        *body.last_mut().expect("a token") ^= 1;
        body
    };
    assert_eq!(bench.signing(|proxy| proxy.change(STAMP, last_bit)), "tsa-token");
    assert_eq!(
        bench.signing(|proxy| proxy.change(STAMP, |_| b"\x30\x00".to_vec())),
        "tsa-token"
    );
    bench.proxy.lie(STAMP, Lie::Replay);
    bench.sign().expect("the first answer is honest");
    assert_eq!(
        bench.sign().expect_err("a replay was believed").code(),
        "tsa-wrong-imprint"
    );
    // The same bytes stamped twice: only the nonce tells the old answer from a new one.
    let endpoint = Address::parse(Role::TimestampAuthority, &format!("{}{STAMP}", bench.service.url())).expect("a URL");
    let authority = TimestampAuthority::new(http(), endpoint);
    bench.proxy.first_answers.lock().unwrap().clear();
    bench
        .runtime
        .block_on(authority.stamp(b"message"))
        .expect("the first answer is honest");
    let replayed = bench.runtime.block_on(authority.stamp(b"message"));
    assert_eq!(replayed.expect_err("a replay was believed").code(), "tsa-wrong-nonce");
}

#[test]
fn a_service_that_hangs_is_unavailable_and_one_that_stumbles_is_asked_again() {
    let bench = Bench::new();
    for path in [CERTIFY, LOG, STAMP] {
        bench.proxy.honest();
        bench.proxy.lie(path, Lie::Stumble(StatusCode::SERVICE_UNAVAILABLE));
        bench.sign().expect("the second try succeeds");
        bench.proxy.lie(path, Lie::Hang);
        let begun = Instant::now();
        let error = bench.sign_with(hasty()).expect_err("a hanging service answered");
        assert_eq!(
            (error.code(), error.class()),
            ("service-timeout", Class::Unavailable),
            "{path}"
        );
        assert!(begun.elapsed() < Duration::from_mins(1), "{path}");
    }
}

#[test]
fn the_authoritys_one_sentence_is_turned_into_a_named_cause() {
    let bench = Bench::new();
    let changed = |profile, name: &str, value: Value| {
        let changes: Map<String, Value> = [(name.to_owned(), value)].into_iter().collect();
        IdentityToken::new(bench.issuer.token_with(profile, &changes).expect("a token")).expect("a token")
    };
    let code = |token: &IdentityToken| {
        let error = bench.certify_as(token).expect_err("a bad token was accepted");
        assert!(
            !format!("{error} {error:?}").contains(token.secret()),
            "the token shows"
        );
        error.code()
    };
    bench
        .certify_as(&changed(Profile::GitLab, "user_login", json!("crab")))
        .expect("an honest token");
    assert_eq!(code(&changed(Profile::GitHub, "aud", json!("elsewhere"))), "E-ID-AUD");
    assert_eq!(
        code(&changed(Profile::GitHub, "exp", json!(1_700_000_000))),
        "E-ID-EXPIRED"
    );
    assert_eq!(
        code(&changed(Profile::GitHub, "iss", json!("https://unknown.example.org"))),
        "E-CA-ISSUER"
    );
    assert_eq!(
        code(&changed(Profile::GitLab, "ci_config_sha", Value::Null)),
        "E-CA-CLAIM"
    );
    let honest = bench.issuer.token(Profile::GitHub).expect("a token");
    let (signed, _) = honest.rsplit_once('.').expect("three parts");
    let forged = IdentityToken::new(format!("{signed}.{}", "A".repeat(342))).expect("a token");
    assert_eq!(code(&forged), "E-CA-TOKEN");
}

#[test]
fn each_fault_of_the_token_service_has_its_name() {
    let bench = Bench::new();
    let job = bench.issuer.job(Profile::GitHub, &Map::new());
    let environment = |name: &str| match name {
        "GITHUB_ACTIONS" => Some("true".to_owned()),
        "ACTIONS_ID_TOKEN_REQUEST_URL" => Some(job.request_url.clone()),
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN" => Some(job.request_token.clone()),
        _ => None,
    };
    let certify = |http: Http| -> Result<(), Error> {
        let options = TokenOptions::default();
        let token = bench.runtime.block_on(obtain(&http, &options, &environment))?;
        bench.certify_as(&token).map(drop)
    };
    let pause = Duration::from_secs(1);
    for (fault, code, class) in [
        (Fault::Unavailable { times: 9 }, "E-ID-HTTP", Class::Unavailable),
        (Fault::SlowBody { pause }, "E-ID-HTTP", Class::Unavailable),
        (Fault::Hang, "E-ID-HTTP", Class::Unavailable),
        (Fault::Garbage, "E-ID-HTTP", Class::Refused),
        (Fault::WrongAudience, "E-ID-AUD", Class::Configuration),
        (Fault::ClockSkew { seconds: -100_000 }, "E-ID-EXPIRED", Class::Refused),
        (Fault::ClockSkew { seconds: 100_000 }, "E-CA-TOKEN", Class::Refused),
        (Fault::ExtraDots, "E-ID-MALFORMED", Class::Configuration),
        (Fault::Huge, "E-ID-HTTP", Class::Refused),
        (Fault::BadSignature, "E-CA-TOKEN", Class::Refused),
    ] {
        certify(http()).expect("the honest issuer is believed");
        bench.issuer.inject(Endpoint::Token, fault.clone());
        let slow = matches!(fault, Fault::Hang | Fault::SlowBody { .. });
        let error = certify(if slow { hasty() } else { http() }).expect_err("a fault went unnoticed");
        assert_eq!((error.code(), error.class()), (code, class), "{fault:?}: {error}");
        bench.issuer.heal();
    }
    bench.issuer.inject(Endpoint::Token, Fault::Unavailable { times: 1 });
    certify(http()).expect("the second try succeeds");
}

#[test]
fn what_was_stored_and_logged_can_be_read_back() {
    let bench = Bench::new();
    let session = bench.certify().expect("a certificate");
    let statement = Statement {
        subjects: vec![Subject::sha256("a.crate", "", &ARTIFACT)],
        predicate_type: "https://example.org/p/v1".to_owned(),
        predicate: json!({}),
    };
    bench.runtime.block_on(async {
        let signed = session
            .sign_statement(statement.to_json().as_bytes(), ARTIFACT)
            .await
            .expect("signed");
        let at = |role| Address::parse(role, &bench.service.url()).expect("a URL");
        let store = AttestationStore::new(http(), at(Role::AttestationStore));
        let stored = store.put(&signed.bundle, &ARTIFACT).await.expect("stored");
        assert_eq!(
            store.put(&signed.bundle, &ARTIFACT).await.expect("stored again"),
            stored
        );
        assert_eq!(
            store.by_digest(&ARTIFACT).await.expect("found").bundles,
            std::slice::from_ref(&signed.bundle)
        );
        let found = store.query(&[ARTIFACT, Sha256Digest([8; 32])]).await.expect("found");
        assert_eq!(found.keys().collect::<Vec<_>>(), [&ARTIFACT]);

        let reader = LogReader::new(http(), at(Role::SignatureLog));
        let checkpoint = reader.checkpoint().await.expect("a checkpoint").checkpoint;
        let logged = &signed.bundle.log_entries[0];
        let width = u16::try_from(checkpoint.size).expect("a small log");
        let entries = reader.entries(0, width).await.expect("entries");
        assert_eq!(
            entries[usize::try_from(logged.log_index).unwrap()],
            logged.canonicalized_body
        );
        assert_eq!(reader.root(checkpoint.size).await.expect("a root"), checkpoint.root);
        let path = reader
            .inclusion_proof(logged.log_index, checkpoint.size)
            .await
            .expect("a proof");
        let leaf = verify::merkle::leaf_hash(&logged.canonicalized_body);
        verify::merkle::verify_inclusion(&leaf, logged.log_index, checkpoint.size, &path, &checkpoint.root)
            .expect("a proof");
        let proof = logged.inclusion_proof.as_ref().expect("a proof");
        let old = SignedCheckpoint::parse(proof.checkpoint.as_bytes(), &Budget::default())
            .expect("a checkpoint")
            .checkpoint;
        let consistency = reader
            .consistency_proof(old.size, checkpoint.size)
            .await
            .expect("a proof");
        verify::merkle::verify_consistency(old.size, &old.root, checkpoint.size, &checkpoint.root, &consistency)
            .expect("consistent");
    });
}

#[test]
fn a_second_submission_of_the_same_entry_is_answered_with_the_same_index() {
    let bench = Bench::new();
    let signed = bench.sign().expect("signed");
    let logged = &signed.bundle.log_entries[0];
    let verify::entry::Entry::HashedRekordV002(entry) =
        verify::entry::Entry::parse(&logged.canonicalized_body, &Budget::default()).expect("an entry")
    else {
        panic!("another kind of entry");
    };
    let endpoint = Address::parse(Role::SignatureLog, &bench.service.url()).expect("a URL");
    let log = SignatureLog::new(http(), endpoint, &bench.instance.trust.trusted_root);
    let again = bench.runtime.block_on(log.create(&entry)).expect("answered again");
    assert_eq!(again.log_index, logged.log_index);
}
