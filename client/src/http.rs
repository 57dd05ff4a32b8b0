//! HTTP with a bound on everything: connecting, the whole request, the answer's size, the number of tries [RFC 9110].
//!
//! Redirects are never followed. Requests are repeated on 408, 429, 5xx, timeouts and broken connections, because every
//! write of the services we talk to is idempotent; [`Request::once`] says otherwise.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
pub use reqwest::{Method, StatusCode};
use url::{Host, Url};

use crate::{Error, Service};

/// Limits of a client. Every field has a default: `HttpOptions { user_agent, ..HttpOptions::default() }`.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// `User-Agent`, `name/version`; crates.io insists on one.
    pub user_agent: String,
    /// Time to establish a connection.
    pub connect_timeout: Duration,
    /// Time for one try, from connecting to the last byte of the answer.
    pub total_timeout: Duration,
    /// TLS roots believed besides the system's, each one or more PEM certificates.
    pub extra_roots_pem: Vec<Vec<u8>>,
    /// Tries of one request, at least 1.
    pub tries: u32,
    /// Wait before the second try; doubled for each further one, with jitter.
    pub first_delay: Duration,
}

/// 5 s to connect, 30 s in all (a v2 log may take 20 s), 4 tries.
impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("cargo-sigstore/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
            extra_roots_pem: Vec::new(),
            tries: 4,
            first_delay: Duration::from_millis(250),
        }
    }
}

/// An HTTP client; cloning shares its connections.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
}

/// A service's address: absolute, `http` or `https`, without user information, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    service: Service,
    url: Url,
}

/// One request, complete.
pub struct Request {
    endpoint: Endpoint,
    method: Method,
    headers: HeaderMap,
    body: Vec<u8>,
    limit_bytes: usize,
    timeout: Option<Duration>,
    once: bool,
}

/// An answer, read whole.
pub struct Response {
    endpoint: Endpoint,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Http {
    /// Prepares a client; connections and TLS are set up at the first request.
    ///
    /// # Errors
    /// [`Error::TlsRoots`] when an additional root is not PEM.
    pub fn new(options: HttpOptions) -> Result<Self, Error> {
        let mut roots = Vec::new();
        for pem in &options.extra_roots_pem {
            let parsed = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| Error::TlsRoots)?;
            if parsed.is_empty() {
                return Err(Error::TlsRoots);
            }
            roots.extend(parsed);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                roots,
                outward: OnceLock::new(),
                loopback: OnceLock::new(),
                loopback_plain: OnceLock::new(),
            }),
        })
    }

    /// Sends a request, repeating it as the module says; any status below 500 but 408 and 429 is an answer.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Connect`], [`Error::Transport`], [`Error::Busy`] after the last try;
    /// [`Error::Redirect`], [`Error::AnswerTooLarge`] at once.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let tries = if request.once { 1 } else { self.shared.options.tries };
        let mut attempt: u32 = 0;
        loop {
            let outcome = self.try_once(&request).await.and_then(Response::available);
            attempt = attempt.saturating_add(1);
            let (error, wait) = match outcome {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let wait = wait.unwrap_or_else(|| self.delay_after(attempt));
            if !error.is_unavailable() || attempt >= tries || wait > LONGEST_WAIT {
                return Err(error);
            }
            tracing::debug!(service = %request.endpoint.service, attempt, ?wait, code = error.code(), "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_once(&self, request: &Request) -> Result<Response, (Error, Option<Duration>)> {
        let endpoint = &request.endpoint;
        let total = self.shared.options.total_timeout;
        let limit = request.timeout.map_or(total, |limit| limit.min(total));
        let failed = |error: &reqwest::Error| (endpoint.failure(error, limit), None);
        let client = self.shared.client(endpoint).map_err(|error| (error, None))?;
        let mut answer = client
            .request(request.method.clone(), endpoint.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .timeout(limit)
            .send()
            .await
            .map_err(|error| failed(&error))?;
        let too_large = || {
            let (service, url) = (endpoint.service, endpoint.to_string());
            (
                Error::AnswerTooLarge {
                    service,
                    url,
                    limit: request.limit_bytes,
                },
                None,
            )
        };
        let limit_bytes = u64::try_from(request.limit_bytes).unwrap_or(u64::MAX);
        if answer.content_length().is_some_and(|length| length > limit_bytes) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
            if body.len().saturating_add(chunk.len()) > request.limit_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            endpoint: endpoint.clone(),
            status: answer.status(),
            headers: answer.headers().clone(),
            body,
        })
    }

    /// Exponential, between half and one and a half of the nominal wait.
    fn delay_after(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(10);
        let nominal = self
            .shared
            .options
            .first_delay
            .saturating_mul(1 << doublings)
            .min(LONGEST_DELAY);
        nominal.mul_f64(rand::random_range(0.5..1.5))
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An address from a signed or hand-made trust configuration: `http` is allowed, because the configuration says so.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn from_trust_configuration(service: Service, url: &str) -> Result<Self, Error> {
        Self::read(service, url, |_| true)
    }

    /// An address from anywhere else: `https`, or `http` on loopback.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn parse(service: Service, url: &str) -> Result<Self, Error> {
        Self::read(service, url, |url| url.scheme() == "https" || is_loopback(url))
    }

    fn read(service: Service, text: &str, allowed: impl Fn(&Url) -> bool) -> Result<Self, Error> {
        let refused = || {
            let shown = Url::parse(text).map_or_else(|_| text.to_owned(), |url| shown(&url));
            Error::Url {
                service,
                url: printable(&shown),
            }
        };
        let url = Url::parse(text).map_err(|_| refused())?;
        let plain = url.has_host() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if plain && matches!(url.scheme(), "http" | "https") && allowed(&url) {
            Ok(Self { service, url })
        } else {
            Err(refused())
        }
    }

    /// The address of `path` below this one; `path` has no leading slash and is already percent-encoded.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        Self {
            service: self.service,
            url,
        }
    }

    /// The address with one more query parameter, percent-encoded.
    #[must_use]
    pub fn with_query(&self, name: &str, value: &str) -> Self {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair(name, value);
        Self {
            service: self.service,
            url,
        }
    }

    /// The URL, query included.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Whose address this is.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.service
    }

    fn failure(&self, error: &reqwest::Error, limit: Duration) -> Error {
        let (service, url) = (self.service, self.to_string());
        if error.is_timeout() {
            let seconds = limit.as_secs().max(1);
            return Error::Timeout { service, url, seconds };
        }
        let cause = innermost(error);
        if error.is_connect() {
            Error::Connect { service, url, cause }
        } else {
            Error::Transport { service, url, cause }
        }
    }
}

/// Scheme, host, port and path; a query may hold what nobody should read.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.url))
    }
}

impl Request {
    /// A GET that reads at most `limit_bytes`.
    #[must_use]
    pub fn get(endpoint: Endpoint, limit_bytes: usize) -> Self {
        Self::new(Method::GET, endpoint, limit_bytes)
    }

    /// A request of any method that reads at most `limit_bytes` of the answer.
    #[must_use]
    pub fn new(method: Method, endpoint: Endpoint, limit_bytes: usize) -> Self {
        Self {
            endpoint,
            method,
            headers: HeaderMap::new(),
            body: Vec::new(),
            limit_bytes,
            timeout: None,
            once: false,
        }
    }

    /// A POST of JSON.
    #[must_use]
    pub fn post_json(endpoint: Endpoint, value: &serde_json::Value, limit_bytes: usize) -> Self {
        Self::new(Method::POST, endpoint, limit_bytes).body("application/json", value.to_string().into_bytes())
    }

    /// With this body and `Content-Type`.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body;
        self
    }

    /// With this header; a value that no header can hold is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// With a secret `Authorization` value (`Bearer …`), kept out of every debug output.
    #[must_use]
    pub fn authorization(mut self, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.insert(AUTHORIZATION, value);
        }
        self
    }

    /// With a shorter time limit than the client's for each try.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Never repeated: its effect is not idempotent.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

/// Method and address; header and body may hold secrets.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.endpoint)
    }
}

/// Status and address; the body may hold a token.
impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} from {}", self.status, self.endpoint)
    }
}

impl Response {
    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// A header's value, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, owned.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The answer, if its status is one of these.
    ///
    /// # Errors
    /// [`Error::Status`] with the service's own words.
    pub fn expect(self, statuses: &[StatusCode]) -> Result<Self, Error> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        Err(self.to_error())
    }

    /// This answer as a refusal.
    #[must_use]
    pub fn to_error(&self) -> Error {
        let (message, reasons) = self.words();
        Error::Status {
            service: self.endpoint.service,
            url: self.endpoint.to_string(),
            status: self.status.as_u16(),
            message,
            reasons,
        }
    }

    /// Sorts out redirects and temporary failures; the wait is what `Retry-After` asks for.
    fn available(self) -> Result<Self, (Error, Option<Duration>)> {
        let (service, url) = (self.endpoint.service, self.endpoint.to_string());
        if self.status.is_redirection() && self.status != StatusCode::NOT_MODIFIED {
            return Err((Error::Redirect { service, url }, None));
        }
        let temporary = matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            || (self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED);
        if !temporary {
            return Ok(self);
        }
        let asked = self
            .header(RETRY_AFTER.as_str())
            .and_then(|text| text.trim().parse().ok());
        let (message, _) = self.words();
        let status = self.status.as_u16();
        Err((
            Error::Busy {
                service,
                url,
                status,
                message,
            },
            asked.map(Duration::from_secs),
        ))
    }

    /// Message and reasons of an error body: `{"message", "details"}` as gRPC gateways write it, `{"errors":
    /// [{"detail"}]}` as cargo registries do, else the text itself.
    fn words(&self) -> (String, Vec<String>) {
        let budget = verify::Budget::default();
        let parsed = verify::json::parse(&self.body, "error body", ERROR_BODY_BYTES, budget.json_depth);
        let Ok(value) = parsed else {
            let start = self
                .body
                .get(..self.body.len().min(ERROR_BODY_BYTES))
                .unwrap_or_default();
            return (printable(&String::from_utf8_lossy(start)), Vec::new());
        };
        let of_registry = value.pointer("/errors/0/detail");
        let message = value.get("message").or(of_registry).and_then(serde_json::Value::as_str);
        let details = value.get("details").and_then(serde_json::Value::as_array);
        let cause = value.pointer("/details/0/cause").and_then(serde_json::Value::as_str);
        let mut message = message.unwrap_or_default().to_owned();
        if let Some(cause) = cause {
            message = format!("{message}: {cause}");
        }
        let reasons = details.into_iter().flatten().take(16).filter_map(reason).collect();
        (printable(&message), reasons)
    }
}

/// What clones of an [`Http`] share. Loopback never goes through a proxy; plain `http` on loopback loads no TLS roots,
/// which takes longer than a request.
struct Shared {
    options: HttpOptions,
    roots: Vec<reqwest::Certificate>,
    outward: OnceLock<reqwest::Client>,
    loopback: OnceLock<reqwest::Client>,
    loopback_plain: OnceLock<reqwest::Client>,
}

impl Shared {
    fn client(&self, endpoint: &Endpoint) -> Result<&reqwest::Client, Error> {
        let (direct, plain) = (is_loopback(&endpoint.url), endpoint.url.scheme() == "http");
        let slot = match (direct, plain) {
            (false, _) => &self.outward,
            (true, false) => &self.loopback,
            (true, true) => &self.loopback_plain,
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = self.build(direct, plain).map_err(|_| Error::TlsRoots)?;
        Ok(slot.get_or_init(|| client))
    }

    fn build(&self, direct: bool, plain: bool) -> Result<reqwest::Client, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.options.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.options.connect_timeout)
            .timeout(self.options.total_timeout)
            .tls_version_min(reqwest::tls::Version::TLS_1_2);
        if direct {
            builder = builder.no_proxy();
        }
        if plain && direct {
            builder = builder.tls_certs_only([]);
        } else if !self.roots.is_empty() {
            builder = builder.tls_certs_merge(self.roots.iter().cloned());
        }
        builder.build()
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let removed = url.set_username("").and_then(|()| url.set_password(None));
    removed.map_or_else(|()| url.scheme().to_owned(), |()| url.to_string())
}

/// One line of foreign text: no control characters, at most [`WORDS`] characters.
pub(crate) fn printable(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(WORDS)
        .collect()
}

/// A reason in `details`: a string, or an object's `reason` or `code`.
fn reason(detail: &serde_json::Value) -> Option<String> {
    let member = |name: &str| detail.get(name).and_then(serde_json::Value::as_str);
    detail
        .as_str()
        .or_else(|| member("reason"))
        .or_else(|| member("code"))
        .map(printable)
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    printable(&cause.to_string())
}

/// Longest wait between two tries, `Retry-After` included: a user is waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Longest wait of our own choosing, before jitter.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How much of an error body is read for its words.
const ERROR_BODY_BYTES: usize = 64 << 10;

/// How many characters of a service's own words are shown.
const WORDS: usize = 400;
