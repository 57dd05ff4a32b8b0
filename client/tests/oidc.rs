//! Each source of tokens, present, absent and misbehaving.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may be blunt")]

mod loopback;

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::Query,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use client::{
    Class,
    oidc::{FreshToken, IdentityToken, Mask, OidcError, TokenOptions, TokenSource, is_offered, obtain, withheld},
};
use loopback::{Counter, at, hasty, http, serve, token};
use serde_json::{Value, json};

/// An environment with these variables and no others.
fn environment<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + Sync + 'a {
    move |name| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    }
}

fn honest() -> Value {
    json!({ "iss": "https://token.actions.githubusercontent.com", "aud": "sigstore", "sub": "repo:o/r", "exp": at(300) })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = honest();
    claims[name] = value;
    claims
}

async fn ask(variables: &[(&str, &str)]) -> Result<IdentityToken, OidcError> {
    obtain(&http(), &TokenOptions::default(), &environment(variables)).await
}

/// Variables of a GitHub job whose token service is at `url`.
fn github(url: &str) -> [(&'static str, &str); 3] {
    [
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-secret"),
    ]
}

/// GitHub's token service, which mints tokens of these claims for any audience.
async fn token_service(claims: Value) -> String {
    let mint = move |headers: HeaderMap, Query(query): Query<Vec<(String, String)>>| async move {
        if headers
            .get("authorization")
            .is_none_or(|value| value != "bearer runner-secret")
        {
            return Err(StatusCode::UNAUTHORIZED);
        }
        assert_eq!(
            query,
            [
                ("api".to_owned(), "1".to_owned()),
                ("audience".to_owned(), "sigstore".to_owned())
            ]
        );
        Ok(Json(json!({ "count": 1, "value": token(&claims) })))
    };
    format!(
        "{}/idtoken?api=1",
        serve(Router::new().route("/idtoken", get(mint))).await
    )
}

#[tokio::test]
async fn github_gives_a_token_for_our_audience_and_it_is_masked_first() {
    let url = token_service(honest()).await;
    let masked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&masked);
    let options = TokenOptions {
        mask: Some(Mask::new(move |secret| seen.lock().unwrap().push(secret.to_owned()))),
        ..TokenOptions::default()
    };
    let variables = github(&url);
    let found = obtain(&http(), &options, &environment(&variables)).await.unwrap();
    assert_eq!(
        (found.source(), found.issuer()),
        (TokenSource::GitHub, "https://token.actions.githubusercontent.com")
    );
    assert!(masked.lock().unwrap().iter().all(|secret| secret == found.secret()));
    assert!(!masked.lock().unwrap().is_empty());
    assert!(!format!("{found:?} {options:?}").contains(found.secret()));
}

#[tokio::test]
async fn github_without_permission_names_the_line_to_add() {
    for variables in [
        &[("GITHUB_ACTIONS", "true")][..],
        &[("GITHUB_ACTIONS", "true"), ("ACTIONS_ID_TOKEN_REQUEST_URL", " ")],
    ] {
        let error = ask(variables).await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("E-ID-NOPERM", Class::Configuration));
        assert!(error.hint().contains("id-token: write"));
    }
}

#[tokio::test]
async fn a_pull_request_from_a_fork_is_told_from_a_missing_permission() {
    let path = std::env::temp_dir().join(format!("event-{}.json", std::process::id()));
    let event = path.to_str().unwrap();
    for (fork, code) in [(true, "E-ID-FORK"), (false, "E-ID-NOPERM")] {
        std::fs::write(
            &path,
            json!({ "pull_request": { "head": { "repo": { "fork": fork } } } }).to_string(),
        )
        .unwrap();
        let error = ask(&[("GITHUB_ACTIONS", "true"), ("GITHUB_EVENT_PATH", event)])
            .await
            .unwrap_err();
        assert_eq!(error.code(), code);
    }
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn forgejo_has_a_remedy_of_its_own() {
    let error = ask(&[("GITHUB_ACTIONS", "true"), ("FORGEJO_ACTIONS", "true")])
        .await
        .unwrap_err();
    assert_eq!(error.code(), "E-ID-FORGEJO");
    assert!(error.hint().contains("enable-openid-connect: true"));
    let url = token_service(honest()).await;
    let variables = [&github(&url)[..], &[("FORGEJO_ACTIONS", "true")]].concat();
    assert_eq!(ask(&variables).await.unwrap().source(), TokenSource::Forgejo);
}

#[tokio::test]
async fn a_token_service_that_recovers_is_asked_again_and_one_that_does_not_is_unavailable() {
    let seen = Counter::default();
    let counter = seen.clone();
    let recovering = move || {
        let first = counter.next() == 0;
        async move {
            if first {
                Err(StatusCode::SERVICE_UNAVAILABLE)
            } else {
                Ok(Json(json!({ "value": token(&honest()) })))
            }
        }
    };
    let dead = || async { (StatusCode::BAD_GATEWAY, format!("{} is not for you", token(&honest()))) };
    let url = serve(Router::new().route("/ok", get(recovering)).route("/dead", get(dead))).await;
    assert!(ask(&github(&format!("{url}/ok"))).await.is_ok());
    assert_eq!(seen.count(), 2);
    let error = ask(&github(&format!("{url}/dead"))).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("E-ID-HTTP", Class::Unavailable));
    assert!(!error.to_string().contains("eyJ"), "{error}");
}

#[tokio::test]
async fn an_error_status_is_no_token_whatever_its_body_says() {
    let refuse = || async { (StatusCode::FORBIDDEN, Json(json!({ "value": token(&honest()) }))) };
    let url = serve(Router::new().route("/", get(refuse))).await;
    let error = ask(&github(&url)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("E-ID-HTTP", Class::Refused));
    assert!(!format!("{error} {error:?}").contains("eyJ"), "{error:?}");
}

#[tokio::test]
async fn a_token_service_is_believed_only_within_limits() {
    let large = || async { Json(json!({ "value": "x".repeat(10 << 20) })) };
    let dots = || async { Json(json!({ "value": format!("{}..", token(&honest())) })) };
    let empty = || async { Json(json!({ "value": "" })) };
    let missing = || async { Json(json!({ "token": token(&honest()) })) };
    let list = || async { Json(json!([1])) };
    let router = Router::new()
        .route("/large", get(large))
        .route("/dots", get(dots))
        .route("/empty", get(empty))
        .route("/missing", get(missing))
        .route("/list", get(list));
    let url = serve(router).await;
    let expected = [
        ("large", "E-ID-HTTP"),
        ("dots", "E-ID-MALFORMED"),
        ("empty", "E-ID-MALFORMED"),
        ("missing", "E-ID-HTTP"),
        ("list", "E-ID-HTTP"),
    ];
    for (path, code) in expected {
        let error = ask(&github(&format!("{url}/{path}"))).await.unwrap_err();
        assert_eq!(error.code(), code, "{path}: {error}");
    }
}

#[tokio::test]
async fn a_hanging_token_service_is_told_apart_from_a_refusing_one() {
    let hang = || async { std::future::pending::<()>().await };
    let url = serve(Router::new().route("/", get(hang))).await;
    let error = obtain(&hasty(), &TokenOptions::default(), &environment(&github(&url)))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.class()), ("E-ID-HTTP", Class::Unavailable));
}

#[tokio::test]
async fn a_token_is_never_asked_for_over_plain_http_beyond_loopback() {
    let error = ask(&github("http://tokens.example.com/idtoken")).await.unwrap_err();
    assert_eq!(error.code(), "E-ID-HTTP");
    assert!(error.to_string().contains("not an acceptable URL"), "{error}");
}

#[tokio::test]
async fn wrong_audience_and_expiry_are_named_with_the_claims_but_not_the_token() {
    for (claims, code) in [
        (with("aud", json!("other")), "E-ID-AUD"),
        (with("aud", json!(["a", "b"])), "E-ID-AUD"),
        (with("aud", Value::Null), "E-ID-AUD"),
        (with("exp", json!(at(-1))), "E-ID-EXPIRED"),
        (with("exp", Value::Null), "E-ID-EXPIRED"),
        (with("exp", json!("never")), "E-ID-EXPIRED"),
    ] {
        let url = token_service(claims).await;
        let error = ask(&github(&url)).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains("sub = repo:o/r"), "{error}");
        assert!(!format!("{error} {error:?}").contains("eyJ"), "{error:?}");
    }
    let several = token_service(with("aud", json!(["x", "sigstore"]))).await;
    assert!(ask(&github(&several)).await.is_ok());
}

#[tokio::test]
async fn the_given_token_comes_before_the_variable_and_the_variable_before_the_ci() {
    let url = token_service(with("sub", json!("ci"))).await;
    let (given, variable) = (
        token(&with("sub", json!("given"))),
        token(&with("sub", json!("variable"))),
    );
    let variables = [&github(&url)[..], &[("SIGSTORE_ID_TOKEN", variable.as_str())]].concat();
    let subject = |token: IdentityToken| token.claim("sub").unwrap();
    assert_eq!(subject(ask(&variables).await.unwrap()), "variable");
    let options = TokenOptions {
        explicit: Some(IdentityToken::new(given).unwrap()),
        ..TokenOptions::default()
    };
    assert_eq!(
        subject(obtain(&http(), &options, &environment(&variables)).await.unwrap()),
        "given"
    );
    assert_eq!(subject(ask(&github(&url)).await.unwrap()), "ci");
}

#[tokio::test]
async fn ambient_sources_can_be_switched_off_in_two_ways() {
    let url = token_service(honest()).await;
    let variables = github(&url);
    assert!(ask(&variables).await.is_ok());
    let options = TokenOptions {
        ambient: false,
        ..TokenOptions::default()
    };
    let error = obtain(&http(), &options, &environment(&variables)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("E-ID-NONE", Class::Configuration));
    let off = [&variables[..], &[("SIGSTORE_OIDC_DISABLE_AMBIENT_PROVIDERS", "1")]].concat();
    assert_eq!(ask(&off).await.unwrap_err().code(), "E-ID-NONE");
}

#[tokio::test]
async fn gitlab_reads_the_variable_of_the_audience_and_shows_the_block_to_paste() {
    let text = token(&with("aud", json!("crates.io")));
    let options = TokenOptions {
        audience: "crates.io".to_owned(),
        ..TokenOptions::default()
    };
    let present = [("GITLAB_CI", "true"), ("CRATES_IO_ID_TOKEN", text.as_str())];
    let found = obtain(&http(), &options, &environment(&present)).await.unwrap();
    assert_eq!(found.source(), TokenSource::GitLab);
    let error = obtain(&http(), &options, &environment(&present[..1]))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "E-ID-GITLAB");
    assert!(
        error.hint().contains("CRATES_IO_ID_TOKEN:\n      aud: crates.io"),
        "{}",
        error.hint()
    );
}

#[test]
fn what_a_ci_withholds_is_known_without_asking() {
    let why =
        |present: &[(&str, &str)]| withheld(&TokenOptions::default(), &environment(present)).map(|error| error.code());
    let may_ask = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://ci.example"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret"),
    ];
    for (job, code) in [
        (&[("GITHUB_ACTIONS", "true")][..], "E-ID-NOPERM"),
        (&[("GITHUB_ACTIONS", "true"), ("GITEA_ACTIONS", "true")], "E-ID-FORGEJO"),
        (&[("FORGEJO_ACTIONS", "true")], "E-ID-FORGEJO"),
    ] {
        assert_eq!(why(&[job, &may_ask].concat()), None, "{job:?}");
        assert_eq!(why(&[job, &may_ask[..1]].concat()), Some(code), "{job:?}");
        assert_eq!(why(job), Some(code), "{job:?}");
        // Another source counts, and who asks no CI is denied nothing.
        assert_eq!(why(&[job, &[("SIGSTORE_ID_TOKEN", "e.e.e")]].concat()), None, "{job:?}");
        let off = [job, &[("SIGSTORE_OIDC_DISABLE_AMBIENT_PROVIDERS", "1")]].concat();
        assert_eq!(why(&off), None, "{job:?}");
    }
    assert_eq!(why(&[("GITLAB_CI", "true")]), None);
    assert_eq!(why(&[]), None);
}

#[test]
fn what_a_ci_offers_is_known_without_asking() {
    let options = |ambient| TokenOptions {
        audience: "crates.example:8080".to_owned(),
        ambient,
        ..TokenOptions::default()
    };
    let offered = |present: &[(&str, &str)]| is_offered(&options(true), &environment(present));
    let gitlab = [("GITLAB_CI", "true"), ("CRATES_EXAMPLE_8080_ID_TOKEN", "e.e.e")];
    let github = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://ci.example"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret"),
    ];
    for present in [gitlab, github] {
        assert!(offered(&present), "{present:?}");
        assert!(!is_offered(&options(false), &environment(&present)), "{present:?}");
        let off = [&present[..], &[("SIGSTORE_OIDC_DISABLE_AMBIENT_PROVIDERS", "1")]].concat();
        assert!(!offered(&off), "{present:?}");
        assert!(!offered(&present[..1]) && !offered(&present[1..]), "{present:?}");
    }
    // A token for another audience, or none at all.
    assert!(!offered(&[("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", "e.e.e")]));
    assert!(!offered(&[("GITLAB_CI", "true"), ("CRATES_EXAMPLE_8080_ID_TOKEN", "")]));
    assert!(!offered(&[("GITLAB_CI", "false"), gitlab[1]]));
}

#[tokio::test]
async fn buildkite_asks_the_agents_endpoint() {
    let mint = |headers: HeaderMap, Json(body): Json<Value>| async move {
        assert_eq!(headers.get("authorization").unwrap(), "Token agent-secret");
        assert_eq!(body, json!({ "audience": "sigstore" }));
        Json(json!({ "token": token(&honest()) }))
    };
    let url = serve(Router::new().route("/v3/jobs/0190-ab/oidc/tokens", post(mint))).await;
    let endpoint = format!("{url}/v3");
    let variables = [
        ("BUILDKITE", "true"),
        ("BUILDKITE_AGENT_ACCESS_TOKEN", "agent-secret"),
        ("BUILDKITE_JOB_ID", "0190-ab"),
        ("BUILDKITE_AGENT_ENDPOINT", endpoint.as_str()),
    ];
    assert_eq!(ask(&variables).await.unwrap().source(), TokenSource::Buildkite);
    let mut escaping = variables;
    escaping[2].1 = "../../other";
    assert_eq!(ask(&escaping).await.unwrap_err().code(), "E-ID-MISSING");
}

#[tokio::test]
async fn codefreshs_variable_counts_only_when_it_is_for_us() {
    let ours = token(&honest());
    assert_eq!(
        ask(&[("ID_TOKEN", &ours)]).await.unwrap().source(),
        TokenSource::Codefresh
    );
    let others = token(&with("aud", json!("cluster")));
    assert_eq!(ask(&[("ID_TOKEN", &others)]).await.unwrap_err().code(), "E-ID-NONE");
}

#[tokio::test]
async fn a_token_about_to_expire_is_obtained_anew() {
    let seen = Counter::default();
    let counter = seen.clone();
    let mint = move || {
        // The first one has 30 s left.
        let life = if counter.next() == 0 { 30 } else { 300 };
        let text = token(&with("exp", json!(at(life))));
        async move { Json(json!({ "value": text })) }
    };
    let url = serve(Router::new().route("/", get(mint))).await;
    let variables = github(&url);
    let env = environment(&variables);
    let mut fresh = FreshToken::new(http(), TokenOptions::default());
    for minted in [1, 2, 2, 2] {
        fresh.get(&env, client::clock::now()).await.unwrap();
        assert_eq!(seen.count(), minted);
    }
}

#[test]
fn only_three_parts_with_an_object_inside_are_a_token() {
    let text = token(&honest());
    assert!(IdentityToken::new(format!(" {text}\n")).is_ok());
    for wrong in [
        String::new(),
        "a.b".into(),
        format!("{text}.x"),
        text.replace('.', ""),
        "a.W10.c".into(),
        "x".repeat(100_000),
    ] {
        assert_eq!(IdentityToken::new(wrong).unwrap_err().code(), "E-ID-MALFORMED");
    }
}

#[test]
fn the_principal_is_the_verified_address_else_the_subject() {
    let principal = |claims: Value| IdentityToken::new(token(&claims)).unwrap().principal();
    assert_eq!(principal(honest()), "repo:o/r");
    assert_eq!(principal(with("email", json!("a@b.test"))), "a@b.test");
    let mut unverified = with("email", json!("a@b.test"));
    unverified["email_verified"] = json!(false);
    assert_eq!(principal(unverified.clone()), "repo:o/r");
    unverified["email_verified"] = json!("true");
    assert_eq!(principal(unverified), "a@b.test");
}
