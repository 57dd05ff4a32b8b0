//! The attestation store: what is asked, and what is believed of the answers.

#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

mod loopback;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{get, post},
};
use client::{Class, Service, attestations::AttestationStore};
use loopback::{Counter, DIGEST, http, serve};
use serde_json::{Value, json};
use verify::{Bundle, Sha256Digest};

fn bundle() -> Bundle {
    loopback::bundle(&[1, 2, 3])
}

fn bundle_json() -> Value {
    loopback::json_of(&bundle())
}

async fn store(router: Router) -> AttestationStore {
    AttestationStore::new(
        http(),
        loopback::endpoint(Service::AttestationStore, &serve(router).await),
    )
}

#[tokio::test]
async fn a_stored_bundle_is_filed_under_the_artifact() {
    let file = |digest: Sha256Digest| {
        move |Json(body): Json<Value>| async move {
            assert_eq!(body, bundle_json());
            let answer = json!({ "id": Sha256Digest([9; 32]).to_string(), "digests": [format!("sha256:{digest}")] });
            (StatusCode::CREATED, Json(answer))
        }
    };
    let honest = store(Router::new().route("/api/v1/attestations", post(file(DIGEST)))).await;
    let stored = honest.put(&bundle(), &DIGEST).await.unwrap();
    assert_eq!((stored.id, stored.digests), (Sha256Digest([9; 32]), vec![DIGEST]));
    let lying = store(Router::new().route("/api/v1/attestations", post(file(Sha256Digest([2; 32]))))).await;
    assert_eq!(
        lying.put(&bundle(), &DIGEST).await.unwrap_err().code(),
        "store-wrong-answer"
    );
}

#[tokio::test]
async fn what_is_found_is_parsed_and_what_is_no_bundle_is_counted() {
    let path = format!("/api/v1/attestations/sha256:{DIGEST}");
    let answer = json!({ "attestations": [{ "bundle": bundle_json() }, { "bundle": { "mediaType": "x" } }] });
    let store = store(Router::new().route(&path, get(move || async move { Json(answer) }))).await;
    let found = store.by_digest(&DIGEST).await.unwrap();
    assert_eq!((found.bundles, found.unreadable), (vec![bundle()], 1));
    let nothing = store.by_digest(&Sha256Digest([2; 32])).await.unwrap();
    assert_eq!((nothing.bundles.len(), nothing.unreadable), (0, 0));
}

/// A store that has one bundle about everything, and answers with `extra` besides.
fn answering(seen: Counter, padding: usize, extra: Option<Sha256Digest>) -> Router {
    let query = move |Json(body): Json<Value>| {
        seen.next();
        async move {
            let asked: Vec<String> = serde_json::from_value(body.get("digests").unwrap().clone()).unwrap();
            assert!((1..=1000).contains(&asked.len()));
            let extra = extra.map(|digest| format!("sha256:{digest}"));
            let found = asked.into_iter().chain(extra).map(|digest| {
                let padded = json!({ "bundle": bundle_json(), "padding": "x".repeat(padding) });
                (digest, json!([padded]))
            });
            Json(json!({ "attestations": found.collect::<serde_json::Map<_, _>>() }))
        }
    };
    Router::new()
        .route("/api/v1/attestations/query", post(query))
        .layer(DefaultBodyLimit::max(1 << 20))
}

fn digests(count: u16) -> Vec<Sha256Digest> {
    (0..count).map(|n| Sha256Digest::of(&n.to_be_bytes())).collect()
}

#[tokio::test]
async fn a_query_asks_for_a_thousand_digests_at_a_time() {
    let seen = Counter::default();
    let url = serve(answering(seen.clone(), 0, None)).await;
    let http = client::Http::new(client::HttpOptions::default()).unwrap();
    let store = AttestationStore::new(http, loopback::endpoint(Service::AttestationStore, &url));
    let found = store.query(&digests(2001)).await.unwrap();
    assert_eq!((found.len(), seen.count()), (2001, 3));
    assert!(store.query(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_would_be_too_large_is_asked_for_in_halves() {
    let seen = Counter::default();
    // Four digests make more than 200 KB, two make less.
    let url = serve(answering(seen.clone(), 60_000, None)).await;
    let store =
        AttestationStore::new(http(), loopback::endpoint(Service::AttestationStore, &url)).answer_limit(200_000);
    assert_eq!(store.query(&digests(4)).await.unwrap().len(), 4);
    assert_eq!(seen.count(), 3);
}

#[tokio::test]
async fn digests_nobody_asked_about_are_a_lie() {
    let store = store(answering(Counter::default(), 0, Some(DIGEST))).await;
    let error = store.query(&digests(3)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("store-wrong-answer", Class::Refused));
}

#[tokio::test]
async fn a_store_that_is_down_is_unavailable_and_not_empty() {
    let store = store(Router::new().fallback(|| async { StatusCode::SERVICE_UNAVAILABLE })).await;
    for error in [
        store.by_digest(&DIGEST).await.unwrap_err(),
        store.query(&[DIGEST]).await.unwrap_err(),
    ] {
        assert_eq!((error.code(), error.class()), ("service-busy", Class::Unavailable));
    }
}
