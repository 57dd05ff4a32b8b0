//! `server.toml`: what an instance is called and where it listens.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Error, layout::Layout};

/// The configuration of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Version of the folder's layout.
    pub(crate) layout: u32,
    /// The URL that clients use: scheme, host, port; never changes, the logs are named after its host.
    pub(crate) origin: Origin,
    /// Where to listen unless `--listen` says otherwise.
    pub(crate) listen: SocketAddr,
    /// Serves TLS itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
}

/// PEM files for TLS, relative to the instance's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Certificate chain, leaf first.
    pub(crate) certificate: PathBuf,
    /// PKCS #8 key.
    pub(crate) key: PathBuf,
}

/// An `http` or `https` URL with a host and nothing after the port. Fulcio's clients drop any path, and logs are named after the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Origin(Url);

impl Origin {
    /// Reads an origin.
    ///
    /// # Errors
    /// [`Error::Origin`].
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refused = || Error::Origin {
            found: text.chars().take(200).collect(),
        };
        let url = Url::parse(text).map_err(|_| refused())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let transport = matches!(url.scheme(), "http" | "https");
        if bare && transport && url.password().is_none() && url.host_str().is_some_and(|host| !host.is_empty()) {
            Ok(Self(url))
        } else {
            Err(refused())
        }
    }

    /// `http://127.0.0.1:8080`, without a trailing slash.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The host name or address: the origin of the logs.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Where an instance of this origin listens by default: the origin's own address when it is an IP address, else loopback.
    pub(crate) fn default_listen(&self) -> SocketAddr {
        let address = match self.0.host() {
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
            Some(url::Host::Domain(_)) | None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let port = match self.0.port() {
            Some(port) => port,
            None => DEFAULT_PORT,
        };
        SocketAddr::new(address, port)
    }
}

impl TryFrom<String> for Origin {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.as_str().to_owned()
    }
}

impl Config {
    /// Reads the configuration of an instance's folder.
    ///
    /// # Errors
    /// [`Error::DirectoryMissing`], [`Error::LayoutTooNew`], [`Error::Configuration`], [`Error::File`].
    pub(crate) fn read(layout: &Layout) -> Result<Self, Error> {
        let path = layout.server_toml();
        let text = fs::read_to_string(&path).map_err(|error| {
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                let path = layout.root().to_owned();
                Error::DirectoryMissing { path }
            } else {
                Error::file("read", &path)(error)
            }
        })?;
        Self::parse(&text, &path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let malformed = |error: toml::de::Error| Error::Configuration {
            path: path.to_owned(),
            detail: error.message().chars().take(300).collect(),
        };
        let version: LayoutVersion = toml::from_str(text).map_err(malformed)?;
        if version.layout > LAYOUT {
            return Err(Error::LayoutTooNew {
                found: version.layout,
                known: LAYOUT,
            });
        }
        toml::from_str(text).map_err(malformed)
    }

    /// The file's text, with words for who reads it.
    pub(crate) fn to_toml(&self) -> String {
        let values = toml::to_string(self).unwrap_or_default();
        format!("{HEADER}{values}")
    }
}

/// Read first, so that a newer file is told from a malformed one.
#[derive(Deserialize)]
struct LayoutVersion {
    layout: u32,
}

/// The layout this program writes.
pub(crate) const LAYOUT: u32 = 1;
/// Of an instance behind somebody else's TLS.
const DEFAULT_PORT: u16 = 8080;
const HEADER: &str = "\
# A Sigstore instance. `origin` is part of every signature's trust: it cannot be changed later.
# To serve TLS from files below this folder:
#   [tls]
#   certificate = \"tls/chain.pem\"
#   key = \"tls/key.pem\"
";

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            layout: LAYOUT,
            origin: Origin::parse("http://127.0.0.1:8080").unwrap(),
            listen: "127.0.0.1:8080".parse().unwrap(),
            tls: None,
        }
    }

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(text, Path::new("server.toml"))
    }

    #[test]
    fn a_configuration_prints_back() {
        assert_eq!(parse(&config().to_toml()).unwrap(), config());
    }

    #[test]
    fn a_newer_layout_is_told_from_a_malformed_file() {
        let newer = config().to_toml().replace("layout = 1", "layout = 2") + "unheard_of = true\n";
        assert_eq!(parse(&newer).unwrap_err().code(), "layout-too-new");
        let unknown = config().to_toml() + "unheard_of = true\n";
        assert_eq!(parse(&unknown).unwrap_err().code(), "configuration");
        assert_eq!(parse("layout = ").unwrap_err().code(), "configuration");
    }

    #[test]
    fn origins_have_neither_path_nor_credentials() {
        assert_eq!(
            Origin::parse("https://sigstore.example.com/").unwrap().as_str(),
            "https://sigstore.example.com"
        );
        for text in [
            "https://h/x",
            "https://h?x",
            "ftp://h",
            "https://u@h",
            "h",
            "https://h#x",
            "",
        ] {
            assert_eq!(Origin::parse(text).unwrap_err().code(), "origin", "{text}");
        }
    }

    #[test]
    fn the_default_address_is_the_origins_own() {
        let listen = |text| Origin::parse(text).unwrap().default_listen().to_string();
        assert_eq!(listen("http://127.0.0.1:9"), "127.0.0.1:9");
        assert_eq!(listen("http://[::1]:9"), "[::1]:9");
        assert_eq!(listen("https://sigstore.example.com"), "127.0.0.1:8080");
    }
}
