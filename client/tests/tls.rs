//! TLS: an additional root is believed, and only it; the certificates under `tls/` serve nothing but this test.

#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

mod loopback;

use std::net::SocketAddr;

use axum::{Router, routing::get};
use axum_server::tls_rustls::RustlsConfig;
use client::{Class, Http, HttpOptions};

const ROOT: &[u8] = include_bytes!("tls/root.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
const KEY: &[u8] = include_bytes!("tls/server.key");

async fn serve() -> String {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = RustlsConfig::from_pem(CERTIFICATE.to_vec(), KEY.to_vec())
        .await
        .unwrap();
    let handle = axum_server::Handle::new();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let server = axum_server::bind_rustls(SocketAddr::from(([127, 0, 0, 1], 0)), config).handle(handle.clone());
    tokio::spawn(server.serve(router.into_make_service()));
    let address = handle.listening().await.unwrap();
    format!("https://localhost:{}", address.port())
}

fn http(roots: &[&[u8]]) -> Http {
    let extra_roots_pem = roots.iter().map(|pem| pem.to_vec()).collect();
    Http::new(HttpOptions {
        extra_roots_pem,
        tries: 1,
        ..HttpOptions::default()
    })
    .unwrap()
}

#[tokio::test]
async fn an_additional_root_is_believed_and_without_it_nobody_answers() {
    let url = serve().await;
    assert_eq!(http(&[ROOT]).send(loopback::get(&url)).await.unwrap().body(), b"hello");
    let error = http(&[]).send(loopback::get(&url)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("service-connect", Class::Unavailable));
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_believed() {
    let url = serve().await.replace("localhost", "[::ffff:127.0.0.1]");
    let error = http(&[ROOT]).send(loopback::get(&url)).await.unwrap_err();
    assert_eq!(error.code(), "service-connect");
    assert!(error.to_string().contains("not valid for"), "{error}");
}
