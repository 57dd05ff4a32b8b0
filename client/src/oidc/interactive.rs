//! A person signs in in a browser: authorization code with PKCE, answered on loopback [RFC 7636, RFC 8252 §7.3].

use std::{sync::Arc, time::Duration};

use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClientId, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    PkceCodeChallenge, RedirectUrl, Scope,
    core::{CoreClient, CoreProviderMetadata, CoreResponseType},
    http,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use url::Url;

use super::{IdentityToken, OidcError, TokenSource, refusal::SignInFailure};
use crate::{
    Error, Http, Service,
    http::{Endpoint, Method, Request, printable},
};

/// How a person may sign in.
#[derive(Clone)]
pub struct Interactive {
    /// The identity provider.
    pub issuer: String,
    /// Our name at the provider, which is also the audience of its tokens: `sigstore`.
    pub client_id: String,
    /// Shows the address, or opens it in a browser.
    pub open: Arc<dyn Fn(&Url) + Send + Sync>,
    /// How long to wait for the person.
    pub patience: Duration,
}

impl std::fmt::Debug for Interactive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interactive")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Runs the whole flow. The provider's signature, the nonce and the audience of the token are checked.
pub(super) async fn sign_in(http: &Http, interactive: &Interactive) -> Result<IdentityToken, OidcError> {
    let issuer = Endpoint::parse(Service::IdentityProvider, &interactive.issuer);
    issuer.map_err(|_| stopped(SignInFailure::Address))?;
    let issuer = IssuerUrl::new(interactive.issuer.clone()).map_err(|_| stopped(SignInFailure::Address))?;
    let ask = |request: HttpRequest| exchange(http.clone(), request);
    let metadata = CoreProviderMetadata::discover_async(issuer, &ask)
        .await
        .map_err(|error| stopped(SignInFailure::Discovery(words(&error))))?;

    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(|_| stopped(SignInFailure::Listen))?;
    let port = listener
        .local_addr()
        .map_err(|_| stopped(SignInFailure::Listen))?
        .port();
    let redirect = RedirectUrl::new(format!("http://localhost:{port}{CALLBACK}"));
    let redirect = redirect.map_err(|_| stopped(SignInFailure::Listen))?;
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(interactive.client_id.clone()), None)
        .set_redirect_uri(redirect);

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let (address, state, nonce) = client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .add_scope(Scope::new("email".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    (interactive.open)(&address);
    let code = answer(&listener, state.secret(), interactive.patience).await?;

    let exchange_failed = |error: &dyn std::error::Error| stopped(SignInFailure::Exchange(words(error)));
    let tokens = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| exchange_failed(&error))?
        .set_pkce_verifier(verifier)
        .request_async(&ask)
        .await
        .map_err(|error| exchange_failed(&error))?;
    let token = tokens.extra_fields().id_token();
    let token = token.ok_or_else(|| stopped(SignInFailure::Exchange("no `id_token` in its answer".to_owned())))?;
    let checked = token.claims(&client.id_token_verifier(), &nonce);
    checked.map_err(|error| stopped(SignInFailure::Token(words(&error))))?;
    IdentityToken::from_source(token.to_string(), TokenSource::Interactive)
}

/// One request of the flow, through the same limits as everything else.
async fn exchange(http: Http, request: HttpRequest) -> Result<HttpResponse, Error> {
    let (parts, body) = request.into_parts();
    let endpoint = Endpoint::parse(Service::IdentityProvider, &parts.uri.to_string())?;
    let method = Method::from_bytes(parts.method.as_str().as_bytes()).unwrap_or(Method::GET);
    let form = method == Method::POST;
    let mut wanted = Request::new(method, endpoint, ANSWER_BYTES).header("accept", "application/json");
    if form {
        // A code can be used once only.
        wanted = wanted.body("application/x-www-form-urlencoded", body).once();
    }
    let answer = http.send(wanted).await?;
    let mut response = HttpResponse::new(Vec::new());
    *response.status_mut() =
        http::StatusCode::from_u16(answer.status().as_u16()).unwrap_or(http::StatusCode::BAD_GATEWAY);
    let content_type = answer
        .header("content-type")
        .and_then(|text| http::HeaderValue::from_str(text).ok());
    if let Some(content_type) = content_type {
        response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    }
    *response.body_mut() = answer.into_body();
    Ok(response)
}

/// Waits for the browser to come back with our state; other requests (a favicon) are answered 404.
async fn answer(listener: &TcpListener, state: &str, patience: Duration) -> Result<String, OidcError> {
    let waiting = async {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                continue;
            };
            let callback = tokio::time::timeout(BROWSER, read_callback(&mut stream)).await;
            let Some(query) = callback.ok().flatten() else {
                reply(&mut stream, "404 Not Found", "not here").await;
                continue;
            };
            let parameter = |name: &str| {
                query
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.clone())
            };
            if parameter("state").as_deref() != Some(state) {
                reply(&mut stream, "400 Bad Request", "this answer belongs to another sign-in").await;
                continue;
            }
            if let Some(code) = parameter("code") {
                reply(&mut stream, "200 OK", "signed in; you can close this page").await;
                return Ok(code);
            }
            reply(&mut stream, "200 OK", "not signed in; you can close this page").await;
            let said = parameter("error").unwrap_or_default();
            return Err(stopped(SignInFailure::Denied(printable(&said))));
        }
    };
    let seconds = patience.as_secs();
    tokio::time::timeout(patience, waiting)
        .await
        .unwrap_or_else(|_| Err(stopped(SignInFailure::Timeout(seconds))))
}

/// The query of `GET /auth/callback?…`; nothing for any other request.
async fn read_callback(stream: &mut TcpStream) -> Option<Vec<(String, String)>> {
    let mut head = Vec::new();
    let mut buffer = [0_u8; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await.ok()?;
        head.extend_from_slice(buffer.get(..read)?);
        if read == 0 || head.len() > HEAD_BYTES {
            return None;
        }
    }
    let text = String::from_utf8(head).ok()?;
    let target = text.strip_prefix("GET ")?.split(' ').next()?;
    let url = Url::parse("http://localhost").ok()?.join(target).ok()?;
    let query = url
        .query_pairs()
        .map(|(key, value)| (key.into_owned(), value.into_owned()));
    (url.path() == CALLBACK).then(|| query.collect())
}

/// Best effort: the browser may have gone away.
async fn reply(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><title>cargo-sigstore</title><p>{text}</p>");
    let length = page.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

const fn stopped(failure: SignInFailure) -> OidcError {
    OidcError::SignIn { failure }
}

/// The innermost cause, on one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    printable(&cause.to_string())
}

/// The path the public instance's clients use.
const CALLBACK: &str = "/auth/callback";

/// How long a browser may take for one request.
const BROWSER: Duration = Duration::from_secs(5);

/// Largest request head of a browser.
const HEAD_BYTES: usize = 16 << 10;

/// Discovery documents, key sets and tokens.
const ANSWER_BYTES: usize = 1 << 20;
