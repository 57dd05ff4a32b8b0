//! A service on loopback, and what the tests hand to the client.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use client::{
    Http, HttpOptions, Service,
    http::{Endpoint, Request},
};
use verify::{
    Bundle, Sha256Digest,
    bundle::{BundleVersion, Content, SignerMaterial},
};

/// Serves `router` on a free port; it lives as long as the test's runtime.
pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A client that tries again soon.
pub(crate) fn http() -> Http {
    patient_for(Duration::from_secs(30))
}

/// A client in a hurry, for services that hang.
pub(crate) fn hasty() -> Http {
    patient_for(Duration::from_secs(1))
}

fn patient_for(time: Duration) -> Http {
    Http::new(HttpOptions {
        connect_timeout: time,
        total_timeout: time,
        first_delay: Duration::from_millis(5),
        tries: 3,
        ..HttpOptions::default()
    })
    .unwrap()
}

pub(crate) fn endpoint(service: Service, url: &str) -> Endpoint {
    Endpoint::parse(service, url).unwrap()
}

pub(crate) fn get(url: &str) -> Request {
    Request::get(endpoint(Service::SignatureLog, url), 1000)
}

/// Counts what a handler sees.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

impl Counter {
    /// One more; gives how many there were before.
    pub(crate) fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A compact token with these claims and a signature of nobody.
pub(crate) fn token(claims: &serde_json::Value) -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"RS256","typ":"JWT","kid":"1"}"#.to_owned());
    format!(
        "{header}.{}.{}",
        part(claims.to_string()),
        part("no signature".to_owned())
    )
}

/// Seconds since the epoch, `offset` from now.
pub(crate) fn at(offset: i64) -> i64 {
    client::clock::now().plus_secs(offset).as_secs()
}

/// The digest that [`bundle`] is about.
pub(crate) const DIGEST: Sha256Digest = Sha256Digest([1; 32]);

/// A bundle of nobody with this signature.
pub(crate) fn bundle(signature: &[u8]) -> Bundle {
    Bundle {
        version: BundleVersion::V0_3,
        signer: SignerMaterial::PublicKeyHint("key".into()),
        log_entries: Vec::new(),
        timestamps: Vec::new(),
        content: Content::Message {
            digest: Some(DIGEST.into()),
            signature: signature.to_vec(),
        },
    }
}

/// The same as it is sent.
pub(crate) fn json_of(bundle: &Bundle) -> serde_json::Value {
    serde_json::from_str(&bundle.to_json()).unwrap()
}
