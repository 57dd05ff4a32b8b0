//! GitHub's attestations API: bundles in the answer and beside it, and who sees the token.

#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

mod loopback;

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use client::{
    Class, Error, Service,
    attestations::Found,
    github::{GitHub, Repository},
};
use loopback::{DIGEST, bundle, endpoint, http, json_of, serve};
use serde_json::{Value, json};

fn packed(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

/// Path, query and `Authorization` of every request.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A GitHub that answers the list so, `/spaces/N` with a file that unpacks to N MiB of nothing, and every other request with these bytes.
struct Answers {
    list: fn(&str) -> (StatusCode, Value),
    file: Vec<u8>,
}

impl Answers {
    async fn ask(self, token: Option<&str>) -> (Result<Found, Error>, Vec<(String, Option<String>)>) {
        let seen = Seen::default();
        let Self { list, file } = self;
        let noted = Arc::clone(&seen);
        let answer = move |request: Request| async move {
            let authorization = request.headers().get("authorization");
            let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            noted.lock().unwrap().push((request.uri().to_string(), authorization));
            let response: Response = if request.uri().path().starts_with("/api/repos/") {
                let (status, list) = list(&format!("http://{host}"));
                (status, Json(list)).into_response()
            } else if let Some(size) = request.uri().path().strip_prefix("/spaces/") {
                packed(&vec![b' '; size.parse::<usize>().unwrap() << 20]).into_response()
            } else {
                file.into_response()
            };
            response
        };
        let origin = serve(Router::new().fallback(answer)).await;
        let api = endpoint(Service::AttestationStore, &format!("{origin}/api"));
        let repository = Repository::parse("ferris/crockford").unwrap();
        let found = GitHub::new(http(), api, token).by_digest(&repository, &DIGEST).await;
        let seen = seen.lock().unwrap().clone();
        (found, seen)
    }
}

#[tokio::test]
async fn bundles_are_in_the_answer_or_in_files_that_get_no_token() {
    let answers = Answers {
        list: |origin| {
            let beside = format!("{origin}/files/1.json.sn?sig=a%2Bb");
            let list = json!({"attestations": [
                {"bundle": json_of(&bundle(&[1])), "bundle_url": beside, "repository_id": 1},
                {"bundle": null, "bundle_url": beside, "initiator": "user"},
                {"bundle_url": beside},
                {"bundle": {"mediaType": "x"}},
                {"repository_id": 1},
            ]});
            (StatusCode::OK, list)
        },
        file: packed(bundle(&[2]).to_json().as_bytes()),
    };
    let (found, seen) = answers.ask(Some("ghs_secret")).await;
    let found = found.unwrap();
    assert_eq!(found.bundles, [bundle(&[1]), bundle(&[2]), bundle(&[2])]);
    assert_eq!(found.unreadable, 2);
    let list = format!("/api/repos/ferris/crockford/attestations/sha256:{DIGEST}?per_page=100");
    let file = ("/files/1.json.sn?sig=a%2Bb".to_owned(), None);
    assert_eq!(seen, [(list, Some("Bearer ghs_secret".to_owned())), file.clone(), file]);
}

#[tokio::test]
async fn without_a_token_none_is_sent_and_no_repository_is_no_bundle() {
    let answers = Answers {
        list: |_| (StatusCode::NOT_FOUND, json!({"message": "Not Found"})),
        file: Vec::new(),
    };
    let (found, seen) = answers.ask(None).await;
    assert_eq!(found.unwrap(), Found::default());
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1, None);
}

#[tokio::test]
async fn a_file_that_unpacks_to_too_much_or_to_nothing_is_no_bundle() {
    let beside = |file: Vec<u8>| Answers {
        list: |origin| {
            let list = json!({"attestations": [{"bundle_url": format!("{origin}/file")}]});
            (StatusCode::OK, list)
        },
        file,
    };
    let honest = packed(bundle(&[1]).to_json().as_bytes());
    let (found, _) = beside(honest.clone()).ask(None).await;
    assert_eq!(found.unwrap().bundles, [bundle(&[1])]);
    // 4 GiB, by its own word; 64 MiB, truly; cut short; none at all.
    let claimed = [&[0xff, 0xff, 0xff, 0xff, 0x0f], &honest[2..]].concat();
    let spaces = packed(&vec![b' '; 64 << 20]);
    let cut = honest[..honest.len() - 1].to_vec();
    for file in [claimed, spaces, cut, Vec::new()] {
        let (found, _) = beside(file).ask(None).await;
        let found = found.unwrap();
        assert_eq!((found.bundles.len(), found.unreadable), (0, 1));
    }
}

#[tokio::test]
async fn files_have_one_limit_together() {
    let after = |list| {
        let answers = Answers {
            list,
            // 2 MiB of JSON.
            file: packed(format!("{}{}", bundle(&[1]).to_json(), " ".repeat(2 << 20)).as_bytes()),
        };
        async { answers.ask(None).await.0.unwrap() }
    };
    let fits = after(|origin| {
        let urls = [format!("{origin}/spaces/29"), format!("{origin}/file")];
        (
            StatusCode::OK,
            json!({"attestations": urls.map(|url| json!({"bundle_url": url}))}),
        )
    });
    let fits = fits.await;
    assert_eq!((fits.bundles, fits.unreadable), (vec![bundle(&[1])], 1));
    let too_much = after(|origin| {
        let urls = [format!("{origin}/spaces/30"), format!("{origin}/file")];
        (
            StatusCode::OK,
            json!({"attestations": urls.map(|url| json!({"bundle_url": url}))}),
        )
    });
    let too_much = too_much.await;
    assert_eq!((too_much.bundles, too_much.unreadable), (Vec::new(), 2));
}

#[tokio::test]
async fn a_refusal_is_told_and_a_file_is_fetched_in_the_open_from_nowhere() {
    let limited = Answers {
        list: |_| (StatusCode::FORBIDDEN, json!({"message": "API rate limit exceeded"})),
        file: Vec::new(),
    };
    let (refused, _) = limited.ask(Some("ghs_secret")).await;
    let error = refused.unwrap_err();
    assert_eq!(error.code(), "service-status");
    let told = error.to_string();
    assert!(told.contains("rate limit") && !told.contains("ghs_secret"), "{told}");
    let plain = Answers {
        list: |_| {
            let list = json!({"attestations": [{"bundle_url": "http://files.example/1?sig=secret"}]});
            (StatusCode::OK, list)
        },
        file: Vec::new(),
    };
    let (refused, seen) = plain.ask(None).await;
    let error = refused.unwrap_err();
    assert!(!error.to_string().contains("sig=secret"), "{error}");
    assert_eq!((error.code(), seen.len()), ("service-url", 1));
    let other = Answers {
        list: |_| (StatusCode::OK, json!([])),
        file: Vec::new(),
    };
    let (refused, _) = other.ask(None).await;
    assert_eq!(refused.unwrap_err().class(), Class::Refused);
}
