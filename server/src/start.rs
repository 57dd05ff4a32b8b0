//! `serve`: every service of an instance on one port.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, http::StatusCode, middleware};
use axum_server::{Handle, Server, tls_rustls::RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::{sync::watch, task::JoinHandle};
use tower_http::{cors::CorsLayer, timeout::TimeoutLayer};
use verify::{Budget, TrustedRoot, Verifier};

use crate::{
    Error,
    attestations::{self, AttestationStore},
    ca::{self, CertificateAuthority, submission::MAX_BODY_BYTES},
    config::{Config, Tls},
    identity::IdentityConfig,
    init::TRUSTED_ROOT,
    layout::{self, KeyFile, Layout},
    log::{CtLog, LegacyLog, SignatureLog, Storage},
    oidc::Authenticator,
    reply::Refusal,
    status,
    tsa::{self, TimestampAuthority},
    tuf::{self, Freshness},
};

/// A running instance. Dropping it stops the server without ceremony; [`Running::shutdown`] lets requests finish.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    url: String,
    handle: Handle<SocketAddr>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<io::Result<()>>,
    refreshing: JoinHandle<()>,
}

impl Running {
    /// The address listened on, with the real port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS` or `https://ADDRESS`: where this process answers, which behind a proxy is not the origin.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops accepting, lets requests finish for up to ten seconds, closes the stores.
    pub async fn shutdown(mut self) {
        self.handle.graceful_shutdown(Some(GRACE));
        let _ = self.stop.send(true);
        let _ = (&mut self.serving).await;
        let _ = (&mut self.refreshing).await;
    }

    /// Waits until the server has ended by itself.
    ///
    /// # Errors
    /// What ended it.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        (&mut self.serving).await.unwrap_or(Ok(()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        let _ = self.stop.send(true);
    }
}

/// Starts the instance in `dir`, listening on `listen` or where its configuration says. Answers requests when this returns.
///
/// # Errors
/// [`Error`]: the folder, its configuration, keys and stores are checked before the first request is taken.
pub async fn start(dir: &Path, listen: Option<SocketAddr>) -> Result<Running, Error> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = status::recorder();
    let layout = Layout::new(dir);
    let config = Config::read(&layout)?;
    let tls = match &config.tls {
        Some(tls) => Some(read_tls(&layout, tls).await?),
        None => None,
    };
    let address = listen.unwrap_or(config.listen);
    let listener = bind(address)?;
    let address = listener.local_addr().map_err(|source| listen_error(address, source))?;
    let freshness = Freshness::default();
    let router = blocking_router(layout.clone(), config, freshness.clone()).await?;
    let online_key = tuf_root::key::SigningKey::from_pkcs8_pem(&layout.read_secret(KeyFile::TufOnline)?)?;
    let (stop, stopped) = watch::channel(false);
    let refreshing = tokio::spawn(tuf::keep_fresh(layout.tuf(), Arc::new(online_key), freshness, stopped));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let handle = Handle::new();
    let serving = serve(listener, tls, router, handle.clone()).map_err(|source| listen_error(address, source))?;
    Ok(Running {
        address,
        url: format!("{scheme}://{address}"),
        handle,
        stop,
        serving,
        refreshing,
    })
}

/// Opening stores blocks on disk and threads.
async fn blocking_router(layout: Layout, config: Config, freshness: Freshness) -> Result<Router, Error> {
    let built = tokio::task::spawn_blocking(move || services(&layout, &config, freshness)).await;
    built.map_err(|_| Error::Runtime)?
}

fn services(layout: &Layout, config: &Config, freshness: Freshness) -> Result<Router, Error> {
    let host = config.origin.host();
    let path = layout.identity_yaml();
    let identity = std::fs::read_to_string(&path).map_err(Error::file("read", path))?;
    let authenticator = Arc::new(Authenticator::new(IdentityConfig::from_yaml(&identity)?)?);
    let ca_key = layout.read_key(KeyFile::CertificateAuthority)?;
    let ca_chain = layout::read_chain(&layout.ca_chain(), &ca_key)?;
    let tsa_key = layout.read_key(KeyFile::TimestampAuthority)?;
    let tsa_chain = layout::read_chain(&layout.tsa_chain(), &tsa_key)?;
    let timestamps = TimestampAuthority::new(tsa_key, &tsa_chain)?;
    let storage = Storage::open(&layout.data())?;
    let signature_log = SignatureLog::open(&storage, host, layout.read_key(KeyFile::SignatureLog)?)?;
    let legacy_log = LegacyLog::open(&storage, host, layout.read_key(KeyFile::LegacyLog)?)?;
    let roots = ca_chain.last().map(|root| root.der().to_vec()).into_iter().collect();
    let certificate_log = CtLog::open(&storage, host, layout.read_key(KeyFile::CertificateLog)?, roots)?;
    let store = AttestationStore::open(&layout.data(), verifier(layout)?)?;
    let authority = CertificateAuthority::new(ca_key, &ca_chain, certificate_log.clone());
    let router = Router::new()
        .merge(ca::router(authority, authenticator))
        .merge(tsa::router(timestamps))
        .merge(signature_log.router())
        .merge(legacy_log.router())
        .merge(certificate_log.router())
        .merge(attestations::router(store))
        .merge(tuf::router(layout.tuf()))
        .merge(status::router(freshness))
        .fallback(not_found);
    Ok(router
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_LIMIT,
        ))
        .layer(CorsLayer::permissive())
        .layer(middleware::from_fn(status::observe)))
}

fn verifier(layout: &Layout) -> Result<Verifier, Error> {
    let path = layout.trust(TRUSTED_ROOT);
    let bytes = std::fs::read(&path).map_err(Error::file("read", &path))?;
    let refused = |source| Error::Trust { path, source };
    TrustedRoot::from_json(&bytes, &Budget::default())
        .and_then(Verifier::new)
        .map_err(refused)
}

async fn not_found() -> Refusal {
    Refusal::bad_request("Not Found", "not-found", "no such path here".to_owned()).status(StatusCode::NOT_FOUND)
}

async fn read_tls(layout: &Layout, tls: &Tls) -> Result<RustlsConfig, Error> {
    let (certificate, key) = (layout.root().join(&tls.certificate), layout.root().join(&tls.key));
    let config = RustlsConfig::from_pem_file(&certificate, key).await;
    config.map_err(|_| Error::Tls { certificate })
}

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).map_err(|source| listen_error(address, source))?;
    listener
        .set_nonblocking(true)
        .map_err(|source| listen_error(address, source))?;
    Ok(listener)
}

fn listen_error(address: SocketAddr, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::AddrInUse {
        Error::AddressInUse { address }
    } else {
        let source = Arc::new(source);
        Error::Listen { address, source }
    }
}

fn serve(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    handle: Handle<SocketAddr>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let service = router.into_make_service();
    if let Some(tls) = tls {
        let mut server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle);
        bound_patience(&mut server);
        Ok(tokio::spawn(server.serve(service)))
    } else {
        let mut server = axum_server::from_tcp(listener)?.handle(handle);
        bound_patience(&mut server);
        Ok(tokio::spawn(server.serve(service)))
    }
}

/// A client that sends its headers byte by byte, or nothing, is hung up on.
fn bound_patience<Address, Acceptor>(server: &mut Server<Address, Acceptor>)
where
    Address: axum_server::Address,
{
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_LIMIT)
        .max_concurrent_streams(MAX_STREAMS);
}

/// For headers, and between requests of a connection; Fulcio's idle limit.
const HEADER_LIMIT: Duration = Duration::from_mins(1);
/// A publisher needs three.
const MAX_STREAMS: u32 = 128;
/// Fulcio's limit is the same.
const REQUEST_LIMIT: Duration = Duration::from_mins(1);
const GRACE: Duration = Duration::from_secs(10);
