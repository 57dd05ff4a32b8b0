//! Sign-in in a browser, with a provider and a browser made for it.

#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

mod loopback;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use client::{
    Class,
    oidc::{IdentityToken, Interactive, OidcError, TokenOptions, TokenSource, obtain},
};
use loopback::{at, http};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};
use url::Url;
use verify::Sha256Digest;

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// The person, or the provider, says no.
    Denied,
    /// The browser comes back with the state of another sign-in, and never again.
    State,
    /// Nobody comes back.
    Nobody,
    /// The token answers another request.
    Nonce,
    /// The token is signed by another key.
    Key,
    /// The token is for another client.
    Audience,
    /// The provider takes no code.
    Code,
    /// The provider has no discovery document.
    Discovery,
}

struct Provider {
    url: String,
    fault: Fault,
    /// Of the one sign-in under way: `code_challenge` and `nonce`.
    request: Mutex<Option<(String, String)>>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn part(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    fn discovery(&self) -> Response {
        if self.fault == Fault::Discovery {
            return StatusCode::NOT_FOUND.into_response();
        }
        Json(json!({
            "issuer": self.url,
            "authorization_endpoint": format!("{}/authorize", self.url),
            "token_endpoint": format!("{}/token", self.url),
            "jwks_uri": format!("{}/keys", self.url),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }))
        .into_response()
    }

    fn keys() -> Value {
        let point = key(1).verifying_key().to_sec1_point(false);
        let (x, y) = (part(point.x().unwrap()), part(point.y().unwrap()));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1", "x": x, "y": y }] })
    }

    /// Exchanges the code for a token, if the verifier is that of the challenge [RFC 7636 §4.6].
    fn token(&self, form: &HashMap<String, String>) -> Response {
        let (challenge, nonce) = self.request.lock().unwrap().clone().unwrap();
        let verifier = form.get("code_verifier").unwrap();
        assert_eq!(part(Sha256Digest::of(verifier.as_bytes()).0), challenge);
        assert_eq!(form.get("code").unwrap(), "the-code");
        if self.fault == Fault::Code {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
        }
        let claims = json!({
            "iss": self.url,
            "aud": if self.fault == Fault::Audience { "another" } else { "sigstore" },
            "sub": "CgY",
            "email": "ferris@example.org",
            "email_verified": true,
            "iat": at(0),
            "exp": at(300),
            "nonce": if self.fault == Fault::Nonce { "another" } else { &nonce },
        });
        let signed = format!("{}.{}", part(r#"{"alg":"ES256","kid":"1"}"#), part(claims.to_string()));
        let signature: Signature = key(if self.fault == Fault::Key { 2 } else { 1 }).sign(signed.as_bytes());
        let token = format!("{signed}.{}", part(signature.to_bytes()));
        Json(json!({ "access_token": "unused", "token_type": "Bearer", "id_token": token })).into_response()
    }

    /// The person's browser: signs in and follows the redirect.
    async fn browse(&self, address: Url) {
        let query: HashMap<String, String> = address.query_pairs().into_owned().collect();
        assert_eq!(query.get("code_challenge_method").unwrap(), "S256");
        assert!(query.get("scope").unwrap().split(' ').any(|scope| scope == "email"));
        let asked = (
            query.get("code_challenge").unwrap().clone(),
            query.get("nonce").unwrap().clone(),
        );
        *self.request.lock().unwrap() = Some(asked);
        let redirect = query.get("redirect_uri").unwrap();
        let favicon = Url::parse(redirect).unwrap().join("/favicon.ico").unwrap();
        assert_eq!(reqwest::get(favicon).await.unwrap().status(), 404);
        let state = if self.fault == Fault::State {
            "another"
        } else {
            query.get("state").unwrap()
        };
        let outcome = if self.fault == Fault::Denied {
            ("error", "access_denied")
        } else {
            ("code", "the-code")
        };
        let callback = Url::parse_with_params(redirect, [outcome, ("state", state)]).unwrap();
        let answer = reqwest::get(callback).await.unwrap();
        assert_eq!(answer.status(), if self.fault == Fault::State { 400 } else { 200 });
    }
}

async fn sign_in(fault: Fault) -> Result<IdentityToken, OidcError> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let provider = Arc::new(Provider {
        url: url.clone(),
        fault,
        request: Mutex::default(),
    });
    let token = |State(provider): State<Arc<Provider>>, form: String| async move {
        let form = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        provider.token(&form)
    };
    let router = Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(|State(provider): State<Arc<Provider>>| async move { provider.discovery() }),
        )
        .route("/keys", get(|| async { Json(Provider::keys()) }))
        .route("/token", post(token))
        .with_state(Arc::clone(&provider));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let open = move |address: &Url| {
        if provider.fault != Fault::Nobody {
            let (provider, address) = (Arc::clone(&provider), address.clone());
            tokio::spawn(async move { provider.browse(address).await });
        }
    };
    let in_vain = matches!(fault, Fault::State | Fault::Nobody);
    let interactive = Interactive {
        issuer: url,
        client_id: "sigstore".to_owned(),
        open: Arc::new(open),
        patience: Duration::from_secs(if in_vain { 3 } else { 60 }),
    };
    let options = TokenOptions {
        interactive: Some(interactive),
        ..TokenOptions::default()
    };
    obtain(&http(), &options, &|_| None).await
}

#[tokio::test]
async fn a_person_signs_in_with_proof_key_state_and_nonce() {
    let token = sign_in(Fault::None).await.unwrap();
    assert_eq!(
        (token.source(), token.principal().as_str()),
        (TokenSource::Interactive, "ferris@example.org")
    );
}

#[tokio::test]
async fn each_way_a_sign_in_can_fail_is_told_apart() {
    for (fault, words, class) in [
        (Fault::Denied, "access_denied", Class::Refused),
        (Fault::State, "nobody signed in", Class::Unavailable),
        (Fault::Nobody, "nobody signed in", Class::Unavailable),
        (Fault::Nonce, "does not hold", Class::Refused),
        (Fault::Key, "does not hold", Class::Refused),
        (Fault::Audience, "does not hold", Class::Refused),
        (Fault::Code, "gave no token", Class::Unavailable),
        (Fault::Discovery, "configuration cannot be used", Class::Unavailable),
    ] {
        let error = sign_in(fault).await.unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("E-ID-SIGNIN", class),
            "{fault:?}: {error}"
        );
        assert!(error.to_string().contains(words), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn a_provider_is_asked_over_https_or_on_loopback_only() {
    let interactive = Interactive {
        issuer: "http://accounts.example.org".to_owned(),
        client_id: "sigstore".to_owned(),
        open: Arc::new(|_| ()),
        patience: Duration::from_secs(1),
    };
    let options = TokenOptions {
        interactive: Some(interactive),
        ..TokenOptions::default()
    };
    let error = obtain(&http(), &options, &|_| None).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("E-ID-SIGNIN", Class::Configuration));
}
