//! A log that offers Rekor's v1 API only, as the public instance's: it is signed with, and its lies are noticed too.

use axum::http::StatusCode;
use client::{Error, Signed, Signer};
use serde_json::{Value, json};
use verify::statement::{Statement, Subject};

use crate::bench::{ARTIFACT, Bench, Lie, flip, http};

const LOG: &str = "/api/v1/log/entries";

fn sign(bench: &Bench) -> Result<Signed, Error> {
    let mut trust = bench.trust();
    trust.signing_config.logs.retain(|log| log.api_version == 1);
    let session = bench
        .runtime
        .block_on(Signer::new(http(), trust)?.certify(&bench.token(tests::issuer::Profile::GitHub)))?;
    bench.runtime.block_on(session.sign_artifact(ARTIFACT))
}

fn code_of(bench: &Bench, lie: impl FnOnce(&crate::bench::Proxy)) -> &'static str {
    bench.code_of(|bench| sign(bench).map(drop), lie)
}

/// Changes a member of the one entry in the answer.
fn entry(pointer: &'static str, change: fn(&mut Value)) -> impl Fn(&mut Value) + Send + Sync + 'static {
    move |answer| {
        let entry = answer.as_object_mut().and_then(|map| map.values_mut().next());
        change(entry.and_then(|entry| entry.pointer_mut(pointer)).expect("a field"));
    }
}

/// Hexadecimal with another first digit.
fn other_digit(text: &mut Value) {
    let hex = text.as_str().expect("hexadecimal");
    let first = if hex.starts_with('0') { "1" } else { "0" };
    *text = format!("{first}{}", hex.get(1..).expect("more digits")).into();
}

fn one_more(number: &mut Value) {
    *number = (number.as_u64().expect("a number") + 1).into();
}

#[test]
fn each_lie_is_noticed_and_has_its_code() {
    let bench = Bench::new();
    let proof = |pointer, change| entry(pointer, change);
    for (pointer, change, code) in [
        ("/body", flip as fn(&mut Value), "log-wrong-entry"),
        ("/logID", other_digit, "log-unknown"),
        ("/integratedTime", one_more, "log-proof"),
        ("/logIndex", one_more, "log-proof"),
        ("/verification/signedEntryTimestamp", flip, "log-proof"),
        ("/verification/inclusionProof/hashes/0", other_digit, "log-proof"),
        ("/verification/inclusionProof/logIndex", one_more, "log-checkpoint"),
        ("/verification/inclusionProof/treeSize", one_more, "log-checkpoint"),
        ("/verification/inclusionProof/rootHash", other_digit, "log-checkpoint"),
        (
            "/verification/inclusionProof",
            |proof| *proof = Value::Null,
            "answer-malformed",
        ),
        ("/body", |body| *body = json!("no base64"), "answer-malformed"),
    ] {
        assert_eq!(
            code_of(&bench, |proxy| proxy.change_json(LOG, proof(pointer, change))),
            code,
            "{pointer}"
        );
    }
    let twice = |answer: &mut Value| {
        let entry = answer.as_object().and_then(|map| map.values().next()).cloned();
        answer["0".repeat(80)] = entry.expect("an entry");
    };
    assert_eq!(
        code_of(&bench, |proxy| proxy.change_json(LOG, twice)),
        "answer-malformed"
    );
    let other = bench.other_instance();
    assert_eq!(
        code_of(&bench, |proxy| proxy.lie(LOG, Lie::Elsewhere(other.url.clone()))),
        "log-unknown"
    );
    bench.proxy.lie(LOG, Lie::Replay);
    sign(&bench).expect("the first answer is honest");
    assert_eq!(
        sign(&bench).expect_err("a replay was believed").code(),
        "log-wrong-entry"
    );
}

/// Rekor answers a repeated request with 409 and the place of the entry: a first answer was lost on the way.
#[test]
fn an_entry_that_is_there_already_is_read_from_its_place() {
    let bench = Bench::new();
    bench.proxy.lie(LOG, Lie::Conflict);
    let signed = sign(&bench).expect("the entry is read from its place");
    assert_eq!(signed.bundle.log_entries[0].kind_version, "0.0.1");
    bench.proxy.lie(LOG, Lie::Stumble(StatusCode::CONFLICT));
    assert_eq!(
        sign(&bench).expect_err("a conflict without a place").code(),
        "service-status"
    );
}

#[test]
fn statements_are_logged_by_their_envelope_and_times_come_from_the_log_alone_where_nobody_stamps() {
    let bench = Bench::new();
    let mut trust = bench.trust();
    trust.signing_config.logs.retain(|log| log.api_version == 1);
    trust.signing_config.timestamp_authorities.clear();
    let client = Signer::new(http(), trust.clone()).expect("a signer");
    let token = bench.token(tests::issuer::Profile::GitHub);
    let session = bench.runtime.block_on(client.certify(&token)).expect("a certificate");
    let statement = Statement {
        subjects: vec![Subject::sha256("mine.crate", "", &ARTIFACT)],
        predicate_type: "https://example.org/p".to_owned(),
        predicate: json!({}),
    };
    let signed = bench
        .runtime
        .block_on(session.sign_statement(statement.to_json().as_bytes(), ARTIFACT))
        .expect("signed");
    let entry = &signed.bundle.log_entries[0];
    assert_eq!((entry.kind.as_str(), entry.kind_version.as_str()), ("dsse", "0.0.1"));
    assert!(signed.bundle.timestamps.is_empty());
    assert_eq!(signed.verified.times().len(), 1, "the log's promise");

    // A v2 log states no time.
    trust.signing_config.logs = bench.trust().signing_config.logs;
    assert_eq!(
        Signer::new(http(), trust).expect_err("nobody states a time").code(),
        "no-service"
    );
}
