//! Every way a service can keep us waiting or drown us, and what the client makes of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may be blunt"
)]

mod loopback;

use std::time::{Duration, Instant};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Redirect},
    routing::{get, post},
};
use client::{
    Class, Error, Http, HttpOptions, Service,
    http::{Endpoint, Method, Request},
};
use loopback::{Counter, endpoint, hasty, http, serve};

/// A body whose chunks come one by one, `pause` apart, for ever.
fn dripping(pause: Duration) -> Body {
    Body::from_stream(futures_util::stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"drop ")), ()))
    }))
}

#[tokio::test]
async fn an_answer_is_read_whole() {
    let url = serve(Router::new().route("/", get(|| async { "hello" }))).await;
    let answer = http().send(loopback::get(&url)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body()), (200, b"hello".as_slice()));
}

#[tokio::test]
async fn a_service_that_hangs_is_unavailable_after_every_try() {
    let seen = Counter::default();
    let counter = seen.clone();
    let hang = move || {
        counter.next();
        async { std::future::pending::<()>().await }
    };
    let url = serve(Router::new().route("/", get(hang))).await;
    let begun = Instant::now();
    let error = hasty().send(loopback::get(&url)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("service-timeout", Class::Unavailable));
    assert!(error.is_unavailable());
    assert_eq!(seen.count(), 3);
    assert!(begun.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn a_body_that_drips_for_ever_is_cut_off_by_the_total_limit() {
    let drip = || async { dripping(Duration::from_millis(50)).into_response() };
    let url = serve(Router::new().route("/", get(drip))).await;
    let error = hasty().send(loopback::get(&url).once()).await.unwrap_err();
    assert_eq!(error.code(), "service-timeout");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused_with_and_without_its_length() {
    let stream = || async { dripping(Duration::from_millis(1)).into_response() };
    let url = serve(
        Router::new()
            .route("/full", get(|| async { vec![b'x'; 1000] }))
            .route("/long", get(|| async { vec![b'x'; 1001] }))
            .route("/endless", get(stream)),
    )
    .await;
    assert_eq!(
        http()
            .send(loopback::get(&format!("{url}/full")))
            .await
            .unwrap()
            .body()
            .len(),
        1000
    );
    for path in ["long", "endless"] {
        let options = HttpOptions {
            total_timeout: Duration::from_secs(20),
            ..HttpOptions::default()
        };
        let error = Http::new(options)
            .unwrap()
            .send(loopback::get(&format!("{url}/{path}")))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("answer-too-large", Class::Refused),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_temporary_failure_is_tried_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let seen = Counter::default();
        let counter = seen.clone();
        let recovering = move || {
            let answer = match counter.next() {
                0 => (StatusCode::from_u16(status).unwrap(), "later"),
                _ => (StatusCode::OK, "now"),
            };
            async move { answer }
        };
        let url = serve(Router::new().route("/", get(recovering))).await;
        assert_eq!(
            http().send(loopback::get(&url)).await.unwrap().body(),
            b"now",
            "{status}"
        );
        assert_eq!(seen.count(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_failure_that_stays_is_unavailable_in_the_services_own_words() {
    let url = serve(Router::new().route(
        "/",
        get(|| async {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                r#"{"code":14,"message":"reached\u0007 max pushback; retry"}"#,
            )
        }),
    ))
    .await;
    let error = http().send(loopback::get(&url)).await.unwrap_err();
    let Error::Busy {
        status: 503, message, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(message, "reached  max pushback; retry");
    assert_eq!(error.class(), Class::Unavailable);
}

#[tokio::test]
async fn retry_after_is_honoured_and_one_beyond_our_patience_ends_it() {
    for (asked, tries) in [("1", 2), ("3600", 1)] {
        let seen = Counter::default();
        let counter = seen.clone();
        let busy = move || {
            let first = counter.next() == 0;
            async move {
                if first {
                    (StatusCode::TOO_MANY_REQUESTS, [("retry-after", asked)], "").into_response()
                } else {
                    "now".into_response()
                }
            }
        };
        let url = serve(Router::new().route("/", get(busy))).await;
        let begun = Instant::now();
        let answer = http().send(loopback::get(&url)).await;
        assert_eq!(seen.count(), tries);
        if tries == 2 {
            assert_eq!(answer.unwrap().body(), b"now");
            assert!(begun.elapsed() >= Duration::from_secs(1));
        } else {
            assert_eq!(answer.unwrap_err().code(), "service-busy");
            assert!(begun.elapsed() < Duration::from_mins(1));
        }
    }
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_keeps_words_and_reasons() {
    let seen = Counter::default();
    let counter = seen.clone();
    let refuse = move || {
        counter.next();
        let body = r#"{"code":3,"message":"no","details":[{"code":"identity-claim-missing","reason":"claim-missing:ci_config_sha"},"plain"]}"#;
        async move { (StatusCode::BAD_REQUEST, body) }
    };
    let url = serve(Router::new().route("/", post(refuse))).await;
    let endpoint = endpoint(Service::CertificateAuthority, &url);
    let answer = http()
        .send(Request::post_json(endpoint, &serde_json::json!({}), 1000))
        .await
        .unwrap();
    let error = answer.expect(&[StatusCode::OK]).unwrap_err();
    let Error::Status {
        status: 400,
        message,
        reasons,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((message.as_str(), seen.count()), ("no", 1));
    assert_eq!(reasons, &["claim-missing:ci_config_sha", "plain"]);
    assert_eq!(error.class(), Class::Refused);
}

#[tokio::test]
async fn a_request_that_is_not_idempotent_is_sent_once() {
    let seen = Counter::default();
    let counter = seen.clone();
    let fail = move || {
        counter.next();
        async { StatusCode::BAD_GATEWAY }
    };
    let url = serve(Router::new().route("/", axum::routing::put(fail))).await;
    let request =
        Request::new(Method::PUT, endpoint(Service::Registry, &url), 1000).body("application/octet-stream", vec![1]);
    assert_eq!(http().send(request.once()).await.unwrap_err().code(), "service-busy");
    assert_eq!(seen.count(), 1);
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let seen = Counter::default();
    let counter = seen.clone();
    let target = move || {
        counter.next();
        async { "stolen" }
    };
    let router = Router::new()
        .route("/", get(|| async { Redirect::temporary("/target") }))
        .route("/target", get(target));
    let url = serve(router).await;
    let error = http().send(loopback::get(&url)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("service-redirect", Class::Refused));
    assert_eq!(seen.count(), 0);
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = http().send(loopback::get(&url)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("service-connect", Class::Unavailable));
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_is_unavailable() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let error = http().send(loopback::get(&url)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("service-transport", Class::Unavailable));
}

#[tokio::test]
async fn the_user_agent_names_the_tool() {
    let echo = |headers: HeaderMap| async move { headers["user-agent"].to_str().unwrap().to_owned() };
    let url = serve(Router::new().route("/", get(echo))).await;
    let options = HttpOptions {
        user_agent: "cargo-sigstore/9.9".to_owned(),
        ..HttpOptions::default()
    };
    let answer = Http::new(options).unwrap().send(loopback::get(&url)).await.unwrap();
    assert_eq!(answer.body(), b"cargo-sigstore/9.9");
}

#[test]
fn plain_http_is_for_loopback_and_trust_configurations() {
    let service = Service::SignatureLog;
    for url in [
        "https://log.example.com",
        "http://127.0.0.1:1",
        "http://localhost:8080/x",
        "http://[::1]:9",
    ] {
        assert!(Endpoint::parse(service, url).is_ok(), "{url}");
    }
    let plain = "http://log.example.com";
    assert_eq!(Endpoint::parse(service, plain).unwrap_err().code(), "service-url");
    assert!(Endpoint::from_trust_configuration(service, plain).is_ok());
    for url in [
        "ftp://log.example.com",
        "log.example.com",
        "https://user:secret@log.example.com",
        "https://a.test/#f",
        "",
    ] {
        let error = Endpoint::from_trust_configuration(service, url).unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("service-url", Class::Configuration),
            "{url}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn an_endpoint_keeps_its_prefix_and_hides_its_query() {
    let endpoint = Endpoint::parse(Service::SignatureLog, "https://a.test/log/").unwrap();
    assert_eq!(
        endpoint.below("tile/0/x001/234").to_string(),
        "https://a.test/log/tile/0/x001/234"
    );
    let asked = endpoint.with_query("audience", "a&b=c d");
    assert_eq!(asked.url().as_str(), "https://a.test/log/?audience=a%26b%3Dc+d");
    assert_eq!(asked.to_string(), "https://a.test/log/");
}

#[tokio::test]
async fn roots_that_are_no_certificates_are_refused() {
    for pem in [
        &b"nothing"[..],
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let options = HttpOptions {
            extra_roots_pem: vec![pem.to_vec()],
            ..HttpOptions::default()
        };
        // Malformed DER shows only when the TLS client is made.
        let request = Request::get(endpoint(Service::Registry, "https://localhost:1"), 1);
        let error = match Http::new(options) {
            Ok(usable) => usable.send(request).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error, Error::TlsRoots);
    }
}

#[test]
fn secrets_of_a_request_never_show() {
    let endpoint = Endpoint::parse(Service::CiTokenService, "https://a.test/?token=hidden").unwrap();
    let request = Request::get(endpoint, 1)
        .authorization("bearer hidden")
        .body("text/plain", b"hidden".to_vec());
    assert!(!format!("{request:?}").contains("hidden"));
}
