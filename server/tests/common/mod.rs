//! An instance in this process, an issuer on loopback that it believes, and somebody who asks for certificates.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt, and each test file uses a part of this"
)]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{Json, Router, routing::get};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use server::{InitOptions, Running, keys::SigningKey};
use verify::{Budget, TrustedRoot, UnixTime, certificate::Certificate};

/// Issuer, instance, and the folder of both.
pub struct Bench {
    pub issuer: Issuer,
    pub running: Running,
    pub folder: tempfile::TempDir,
    pub http: reqwest::Client,
}

impl Bench {
    /// An instance that believes an issuer shaped like GitHub (`/github`), one of email addresses (`/mail`) and one of URIs (`/uri`).
    pub async fn start() -> Self {
        let issuer = Issuer::start().await;
        let folder = tempfile::tempdir().unwrap();
        init(&folder.path().join("instance"), &issuer);
        let listen = "127.0.0.1:0".parse().unwrap();
        let running = server::start(&folder.path().join("instance"), Some(listen))
            .await
            .unwrap();
        Self {
            issuer,
            running,
            folder,
            http: reqwest::Client::new(),
        }
    }

    /// Stops the instance in good order and starts it again.
    pub async fn restart(self) -> Self {
        let Self {
            issuer,
            running,
            folder,
            http,
        } = self;
        running.shutdown().await;
        let listen = "127.0.0.1:0".parse().unwrap();
        let running = server::start(&folder.path().join("instance"), Some(listen))
            .await
            .unwrap();
        Self {
            issuer,
            running,
            folder,
            http,
        }
    }

    /// Replaces text in a file of the instance.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.dir().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("instance")
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.url())
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let response = self.http.post(self.url(path)).json(body).send().await.unwrap();
        Answer::read(response).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::read(self.http.get(self.url(path)).send().await.unwrap()).await
    }

    pub async fn certify(&self, body: &Value) -> Answer {
        self.post("/api/v2/signingCert", body).await
    }

    /// The usual claims of the issuer shaped like GitHub.
    pub fn claims(&self) -> Value {
        github_claims(&self.issuer.url)
    }

    /// The usual request with a key of ours.
    pub fn request(&self, key: &SigningKey) -> Value {
        let claims = self.claims();
        key_request(&self.issuer.token(&claims), key, claims["sub"].as_str().unwrap())
    }

    pub fn trusted_root(&self) -> TrustedRoot {
        let bytes = std::fs::read(self.dir().join("trust/trusted_root.json")).unwrap();
        TrustedRoot::from_json(&bytes, &Budget::default()).unwrap()
    }

    /// Size of the CT log by its checkpoint.
    pub async fn logged_certificates(&self) -> u64 {
        let checkpoint = self.get("/ct/checkpoint").await.text;
        checkpoint.lines().nth(1).unwrap().parse().unwrap()
    }
}

/// Makes an instance's folder that believes the issuer.
pub fn init(dir: &Path, issuer: &Issuer) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let specs = [
        format!("{}/github,type=github-workflow", issuer.url),
        format!("{}/mail,type=email", issuer.url),
        format!("{}/uri,type=uri,subject-domain=https://svc.example.com", issuer.url),
    ];
    let options = InitOptions {
        origin: Some(format!("http://127.0.0.1:{port}")),
        issuers: specs.iter().map(|spec| spec.parse().unwrap()).collect(),
        ..InitOptions::new(dir)
    };
    server::init(&options).unwrap();
}

/// An answer, read.
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            text: response.text().await.unwrap(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// The certificates of a 200 answer, leaf first.
    pub fn certificates(&self) -> Vec<Certificate> {
        assert_eq!(self.status, 200, "{}", self.text);
        let json = self.json();
        let list = json["signedCertificateEmbeddedSct"]["chain"]["certificates"]
            .as_array()
            .unwrap()
            .clone();
        let read = |pem: &Value| Certificate::from_pem(pem.as_str().unwrap(), &Budget::default()).unwrap();
        list.iter().map(read).collect()
    }

    /// Status, our code and the reason of a refusal in Fulcio's shape.
    pub fn refusal(&self) -> (u16, String, String) {
        let json = self.json();
        let detail = &json["details"][0];
        let text = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
        (self.status, text("code"), text("reason"))
    }
}

/// A loopback OpenID Connect issuer with one ES256 key.
pub struct Issuer {
    pub url: String,
    key: Arc<EcdsaKeyPair>,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = new_key();
        let keys = json!({ "keys": [jwk(&key)] });
        let mut router = Router::new().route("/keys", get(move || async move { Json(keys) }));
        for name in ["github", "mail", "uri"] {
            let document = json!({
                "issuer": format!("{url}/{name}"),
                "jwks_uri": format!("{url}/keys"),
                "id_token_signing_alg_values_supported": ["ES256"],
            });
            let path = format!("/{name}/.well-known/openid-configuration");
            router = router.route(&path, get(move || async move { Json(document) }));
        }
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            key: Arc::new(key),
        }
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        sign(
            &self.key,
            &json!({"alg": "ES256", "kid": "first", "typ": "JWT"}),
            claims,
        )
    }

    /// A token with another header, signed all the same.
    pub fn with_header(&self, header: &Value, claims: &Value) -> String {
        sign(&self.key, header, claims)
    }
}

/// A token that names the issuer's key but is signed by another.
pub fn forged(claims: &Value) -> String {
    sign(&new_key(), &json!({"alg": "ES256", "kid": "first"}), claims)
}

pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}

pub fn unix_now() -> UnixTime {
    UnixTime::from_secs(now())
}

pub fn github_claims(issuer: &str) -> Value {
    json!({
        "iss": format!("{issuer}/github"), "aud": "sigstore", "sub": "repo:o/r:ref:refs/heads/main",
        "iat": now(), "nbf": now(), "exp": now() + 300,
        "event_name": "push", "sha": "a".repeat(40), "workflow": "release", "repository": "o/r", "ref": "refs/heads/main",
        "job_workflow_ref": "o/w/.github/workflows/r.yml@refs/tags/v1", "job_workflow_sha": "b".repeat(40),
        "runner_environment": "github-hosted", "repository_id": "1", "repository_owner": "o", "repository_owner_id": "2",
        "workflow_ref": "o/r/.github/workflows/release.yml@refs/heads/main", "workflow_sha": "c".repeat(40),
        "run_id": "7", "run_attempt": "1", "repository_visibility": "public", "environment": "crates",
    })
}

/// A request in the form that sigstore-js, -rust and -go send.
pub fn key_request(token: &str, key: &SigningKey, challenge: &str) -> Value {
    json!({
        "credentials": {"oidcIdentityToken": token},
        "publicKeyRequest": {
            "publicKey": {"algorithm": "", "content": key.public_key().to_pem().replace('\n', "\r\n")},
            "proofOfPossession": STANDARD.encode(key.sign(challenge.as_bytes()).unwrap()),
        },
    })
}

/// Runs OpenSSL in a folder; panics with its words when it fails.
pub fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let words = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "openssl {arguments:?}: {words}");
    words
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn jwk(key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    json!({"kty": "EC", "crv": "P-256", "kid": "first", "use": "sig", "alg": "ES256", "x": coordinate(1..33), "y": coordinate(33..65)})
}

fn sign(key: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}
