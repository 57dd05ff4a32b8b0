//! Fetching metadata and targets over HTTP, with bounds on size and time.

use std::{error::Error as _, time::Duration};

use sigstore_tuf::{
    Repository,
    reqwest::{Certificate, Client, StatusCode, redirect},
    transport::FetchFuture,
};
use url::{Host, Url};

use crate::Error;

/// How to talk to repositories.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// What to call ourselves.
    pub user_agent: String,
    /// For the connection.
    pub connect_timeout: Duration,
    /// For a whole request: the bound on a repository that trickles.
    pub total_timeout: Duration,
    /// More certificate authorities to believe for TLS, PEM bundles.
    pub extra_roots_pem: Vec<Vec<u8>>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("cargo-sigstore/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_mins(1),
            extra_roots_pem: Vec::new(),
        }
    }
}

/// A repository behind a web server.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    client: Client,
    metadata: Url,
    targets: Url,
}

impl Web {
    /// A repository with its metadata and its targets at these addresses.
    pub(crate) fn new(metadata: &str, targets: &str, options: &HttpOptions) -> Result<Self, Error> {
        let mut client = Client::builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .timeout(options.total_timeout)
            .redirect(redirect::Policy::custom(follow));
        for bundle in &options.extra_roots_pem {
            let certificates = Certificate::from_pem_bundle(bundle).map_err(|_| Error::TlsRoots)?;
            client = client.tls_certs_merge(certificates);
        }
        let client = client.build().map_err(|_| Error::TlsRoots)?;
        Ok(Self {
            client,
            metadata: base(metadata)?,
            targets: base(targets)?,
        })
    }

    /// At most `limit` bytes of `name` below `base`; none when the server has no such file.
    async fn fetch(&self, base: &Url, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let refused = || Error::Url {
            url: format!("{base}{name}"),
        };
        let url = base.join(name).map_err(|_| refused())?;
        if !url.as_str().starts_with(base.as_str()) {
            return Err(refused());
        }
        let unavailable = |reason: String| Error::Unavailable {
            url: url.to_string(),
            reason,
        };
        let sent = self.client.get(url.clone()).send().await;
        let mut response = sent.map_err(|error| unavailable(innermost(&error)))?;
        match response.status() {
            StatusCode::OK => {}
            // object stores answer 403 for what is not there
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Ok(None),
            status => return Err(unavailable(format!("the server answered {status}"))),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(innermost(&error)))? {
            bytes.extend_from_slice(&chunk);
            if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
                return Err(Error::TooLarge {
                    file: url.to_string(),
                    limit,
                });
            }
        }
        Ok(Some(bytes))
    }

    /// The metadata file of this name.
    pub(crate) async fn metadata(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        self.fetch(&self.metadata, name, limit).await
    }
}

impl Repository for Web {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.fetch(&self.metadata, name, max_length).await.map_err(carried) })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.fetch(&self.targets, path, max_length).await.map_err(carried) })
    }
}

/// Checks the address of a repository: `https`, or `http` to this machine.
pub(crate) fn base(address: &str) -> Result<Url, Error> {
    let refused = || Error::Url {
        url: address.chars().take(500).collect(),
    };
    let with_slash = if address.ends_with('/') {
        address.to_owned()
    } else {
        format!("{address}/")
    };
    let url = Url::parse(&with_slash).map_err(|_| refused())?;
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if plain && is_allowed(&url) {
        Ok(url)
    } else {
        Err(refused())
    }
}

fn is_allowed(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.host().is_some() && (url.scheme() == "https" || url.scheme() == "http" && loopback)
}

/// Follows a few redirections, none that leaves TLS.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    if attempt.previous().len() > 5 || !is_allowed(attempt.url()) {
        attempt.stop()
    } else {
        attempt.follow()
    }
}

/// Our error inside the one that the TUF client passes through.
fn carried(error: Error) -> sigstore_tuf::Error {
    sigstore_tuf::Error::transport_with_source("fetch", error)
}

/// The last cause, which names the fact: `connection refused`.
fn innermost(error: &sigstore_tuf::reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback() {
        for good in [
            "https://a.example",
            "https://a.example/tuf/",
            "http://127.0.0.1:8080/tuf",
            "http://[::1]/",
            "http://localhost:1",
        ] {
            assert!(base(good).unwrap().as_str().ends_with('/'), "{good}");
        }
        for bad in [
            "http://a.example",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "ftp://a.example",
            "file:///etc",
            "a.example",
            "",
            "https://user:secret@a.example/",
            "https://a.example/?q",
            "https://a.example/#f",
        ] {
            assert!(matches!(base(bad), Err(Error::Url { .. })), "{bad}");
        }
    }

    #[tokio::test]
    async fn nothing_is_fetched_from_outside_of_the_repository() {
        let base = "http://127.0.0.1:1/tuf/";
        let web = Web::new(base, base, &HttpOptions::default()).unwrap();
        let inside = web.metadata("1.root.json", 10).await;
        assert!(matches!(inside, Err(Error::Unavailable { .. })), "nobody listens there");
        for outside in [
            "../x",
            "/x",
            "//elsewhere.example/x",
            "https://elsewhere.example/tuf/x",
            "a/../../x",
        ] {
            let refused = web.metadata(outside, 10).await;
            assert!(matches!(refused, Err(Error::Url { .. })), "{outside}");
        }
    }
}
