//! The client that fetches archives: large ones, many at once.
//!
//! An ordinary client reads up to 400 KB at a time from each connection; for a hundred downloads that would be most of the
//! gate's memory. This one reads through small buffers, and follows redirects, since a registry may keep its archives
//! elsewhere and clients must not be sent there past the gate.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::http::{self, HeaderMap, HeaderValue, Method, Uri, header, uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{Client, connect::HttpConnector},
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, Sleep, sleep, timeout};
use url::Url;

use crate::login::Login;

use super::{AGENT, CONNECT, SILENCE, StartError, upstream_client};

/// A client of the registry and of wherever it keeps archives.
#[derive(Debug)]
pub(super) struct Archives {
    direct: Client<HttpsConnector<HttpConnector>, Empty<bytes::Bytes>>,
    /// For addresses that the environment sends through a proxy [curl, `HTTPS_PROXY`, `NO_PROXY`].
    proxied: reqwest::Client,
    proxies: Matcher,
}

/// An archive that could not be asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The registry gave, or sent us to, an address that is none.
    #[error("an address is no http or https URL")]
    Address,
    /// It led us around.
    #[error("more than {REDIRECTS} redirects")]
    Redirects,
    /// Nothing came.
    #[error("no answer within {} s", SILENCE.as_secs())]
    Silence,
    /// No connection, or no HTTP.
    #[error(transparent)]
    Direct(#[from] hyper_util::client::legacy::Error),
    /// The same through a proxy.
    #[error(transparent)]
    Proxied(#[from] reqwest::Error),
}

impl Archives {
    /// A client; connections are made when they are needed.
    ///
    /// # Errors
    /// The platform's certificates cannot be read.
    pub(super) fn new() -> Result<Self, StartError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(StartError::Certificates)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let direct = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(BUFFER_BYTES)
            .build(connector);
        Ok(Self {
            direct,
            proxied: upstream_client()?,
            proxies: Matcher::from_system(),
        })
    }

    /// Asks for an archive (GET or HEAD), also where it was moved to. `Authorization` is for the first host alone.
    ///
    /// # Errors
    /// [`FetchError`]; any status but a redirect is an answer.
    pub(super) async fn ask(
        &self,
        method: &Method,
        url: &str,
        headers: &HeaderMap,
    ) -> Result<reqwest::Response, FetchError> {
        let mut url = Url::parse(url).map_err(|_| FetchError::Address)?;
        let mut headers = headers.clone();
        // That of a download template; a redirect's is nobody's.
        if let Some(login) = Login::take_from(&mut url) {
            login.add_to(&mut headers, &url);
        }
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        for _ in 0..=REDIRECTS {
            let answer = timeout(SILENCE, self.ask_once(method, &url, &headers))
                .await
                .map_err(|_| FetchError::Silence)??;
            let Some(mut next) = moved_to(&answer, &url)? else {
                return Ok(answer);
            };
            if next.origin() != url.origin() {
                for secret in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION] {
                    headers.remove(secret);
                }
            }
            Login::take_from(&mut next);
            url = next;
        }
        Err(FetchError::Redirects)
    }

    async fn ask_once(&self, method: &Method, url: &Url, headers: &HeaderMap) -> Result<reqwest::Response, FetchError> {
        let address: Uri = url.as_str().parse().map_err(|_| FetchError::Address)?;
        let is_http = [uri::Scheme::HTTP, uri::Scheme::HTTPS]
            .iter()
            .any(|scheme| address.scheme() == Some(scheme));
        if !is_http || address.host().is_none() {
            return Err(FetchError::Address);
        }
        if self.proxies.intercept(&address).is_some() {
            let request = self.proxied.request(method.clone(), url.clone());
            return Ok(request.headers(headers.clone()).send().await?);
        }
        let mut request = http::Request::new(Empty::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = address;
        *request.headers_mut() = headers.clone();
        let answer = self.direct.request(request).await?;
        Ok(answer.map(|body| reqwest::Body::wrap(Impatient::new(body))).into())
    }
}

/// Where a redirect leads; none when the answer is no redirect [RFC 9110 §15.4].
fn moved_to(answer: &reqwest::Response, from: &Url) -> Result<Option<Url>, FetchError> {
    if ![301, 302, 303, 307, 308].contains(&answer.status().as_u16()) {
        return Ok(None);
    }
    let Some(place) = answer.headers().get(header::LOCATION) else {
        return Ok(None);
    };
    let place = place.to_str().map_err(|_| FetchError::Address)?;
    from.join(place).map(Some).map_err(|_| FetchError::Address)
}

/// A body that fails when nothing comes for [`SILENCE`].
struct Impatient {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl Impatient {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            deadline: Box::pin(sleep(SILENCE)),
        }
    }
}

impl HttpBody for Impatient {
    type Data = bytes::Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let again = Instant::now().checked_add(SILENCE);
            let deadline = again.unwrap_or_else(Instant::now);
            self.deadline.as_mut().reset(deadline);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        self.deadline
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is read from a connection at once, or up to twice as much; an answer's headers must fit too.
const BUFFER_BYTES: usize = 32 << 10;
/// From a registry to its storage, and once around it.
const REDIRECTS: usize = 3;

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use axum::{
        Router,
        extract::{Path, State},
        http::StatusCode,
        response::{IntoResponse as _, Response},
    };
    use tokio::net::TcpListener;

    use super::*;

    /// A registry that leads elsewhere: `/to/N` redirects as the list says, `/end` says with which credentials it was asked.
    async fn registry(places: Vec<String>) -> SocketAddr {
        async fn lead(Path(number): Path<usize>, State(places): State<Arc<Vec<String>>>) -> Response {
            (StatusCode::FOUND, [(header::LOCATION, places[number].clone())]).into_response()
        }
        async fn end(headers: HeaderMap) -> String {
            let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            format!("asked as {}", shown.unwrap_or("nobody"))
        }
        let router = Router::new()
            .route("/to/{number}", axum::routing::get(lead))
            .route("/end", axum::routing::get(end))
            .with_state(Arc::new(places));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn ask(url: String) -> Result<String, FetchError> {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("token"))]);
        let answer = Archives::new().unwrap().ask(&Method::GET, &url, &headers).await?;
        assert_eq!(answer.status(), StatusCode::OK);
        Ok(answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn credentials_follow_to_the_same_place_only() {
        let storage = registry(Vec::new()).await;
        let places = vec!["/end".to_owned(), format!("http://{storage}/end"), "../to/0".to_owned()];
        let registry = registry(places).await;
        let asked = async |path: &str| ask(format!("http://{registry}{path}")).await.unwrap();
        assert_eq!(asked("/end").await, "asked as token");
        assert_eq!(asked("/to/0").await, "asked as token");
        assert_eq!(asked("/to/2").await, "asked as token");
        assert_eq!(asked("/to/1").await, "asked as nobody");
    }

    #[tokio::test]
    async fn a_user_name_and_password_are_for_the_first_place_alone() {
        let storage = registry(Vec::new()).await;
        let places = [
            "/end".to_owned(),
            format!("http://{storage}/end"),
            format!("http://other:word@{storage}/end"),
        ];
        let registry = registry(places.to_vec()).await;
        let archives = Archives::new().unwrap();
        let asked = async |login: &str, path: &str, headers: &HeaderMap| {
            let url = format!("http://{login}{registry}{path}");
            archives
                .ask(&Method::GET, &url, headers)
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        };
        let nobody = HeaderMap::new();
        assert_eq!(asked("", "/end", &nobody).await, "asked as nobody");
        assert_eq!(
            asked("gate:w%3Ard@", "/end", &nobody).await,
            "asked as Basic Z2F0ZTp3OnJk"
        );
        assert_eq!(
            asked("gate:w%3Ard@", "/to/0", &nobody).await,
            "asked as Basic Z2F0ZTp3OnJk"
        );
        assert_eq!(asked("gate:w%3Ard@", "/to/1", &nobody).await, "asked as nobody");
        assert_eq!(asked("gate:w%3Ard@", "/to/2", &nobody).await, "asked as nobody");
        let own = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("token"))]);
        assert_eq!(asked("gate:w%3Ard@", "/end", &own).await, "asked as token");
    }

    #[tokio::test]
    async fn a_way_in_circles_ends() {
        let registry = registry(["/to/1", "/to/2", "/end", "/to/0"].map(str::to_owned).to_vec()).await;
        assert!(ask(format!("http://{registry}/to/0")).await.is_ok());
        let around = ask(format!("http://{registry}/to/3")).await;
        assert!(matches!(around, Err(FetchError::Redirects)), "{around:?}");
    }

    #[tokio::test]
    async fn other_addresses_are_none() {
        let registry = registry(vec!["file:///etc/passwd".to_owned(), "ftp://127.0.0.1/".to_owned()]).await;
        assert!(ask(format!("http://{registry}/end")).await.is_ok());
        for path in ["/to/0", "/to/1"] {
            let asked = ask(format!("http://{registry}{path}")).await;
            assert!(matches!(asked, Err(FetchError::Address)), "{asked:?}");
        }
        assert!(matches!(ask("crates".to_owned()).await, Err(FetchError::Address)));
    }

    #[tokio::test]
    async fn a_large_body_comes_whole_and_in_small_pieces() {
        let body: Vec<u8> = (0..3_000_000_usize).map(|place| place.to_le_bytes()[0]).collect();
        let served = bytes::Bytes::from(body.clone());
        let router = Router::new().fallback(async move || served.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let archives = Archives::new().unwrap();
        let mut answer = archives.ask(&Method::GET, &url, &HeaderMap::new()).await.unwrap();
        assert_eq!(answer.content_length(), Some(3_000_000));
        let (mut came, mut largest) = (Vec::new(), 0);
        while let Some(piece) = answer.chunk().await.unwrap() {
            largest = largest.max(piece.len());
            came.extend_from_slice(&piece);
        }
        assert!(came == body);
        assert!(largest <= 2 * BUFFER_BYTES, "{largest}");
        let head = archives.ask(&Method::HEAD, &url, &HeaderMap::new()).await.unwrap();
        assert_eq!(head.headers().get(header::CONTENT_LENGTH).unwrap(), "3000000");
    }
}
