//! `init`: keys, certificates, configuration, trust documents and TUF repository of a new instance, all or nothing.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tuf_root::{
    key::{Algorithm, SigningKey as TufKey},
    repository::{self, CreateOptions, Lifetimes},
};
use verify::{Budget, UnixTime, certificate::Certificate};

use crate::{
    Error,
    ceremony::{self, Authority},
    clock,
    config::{Config, LAYOUT, Origin},
    identity::{IdentityConfig, IssuerSpec, defaults, issuer::IssuerType},
    keys::SigningKey,
    layout::{self, KeyFile, Layout},
    trust::TrustMaterial,
};

/// What the operator asks for.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// The new folder; must not exist or be empty.
    pub dir: PathBuf,
    /// The URL that clients will use; `http://127.0.0.1:8080` by default.
    pub origin: Option<String>,
    /// Where to listen; derived from the origin by default.
    pub listen: Option<SocketAddr>,
    /// Issuers beyond the public CI providers.
    pub issuers: Vec<IssuerSpec>,
}

impl InitOptions {
    /// An instance in `dir` with every default.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            origin: None,
            listen: None,
            issuers: Vec::new(),
        }
    }
}

/// What `init` made. Prints the lines that point each client at the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// The instance's URL.
    pub origin: String,
    /// The folder, absolute.
    pub dir: PathBuf,
    /// Where the instance will listen.
    pub listen: SocketAddr,
}

/// Makes a new instance. The folder appears complete or not at all.
///
/// # Errors
/// [`Error::DirectoryExists`], [`Error::Origin`], [`Error::Identity`] before anything is written; [`Error::ReadOnly`],
/// [`Error::DiskFull`], [`Error::File`], [`Error::Ceremony`], [`Error::Tuf`] without leaving anything behind.
pub fn init(options: &InitOptions) -> Result<InitReport, Error> {
    let origin = Origin::parse(options.origin.as_deref().unwrap_or(DEFAULT_ORIGIN))?;
    let identity_yaml = defaults::identity_yaml(&options.issuers);
    IdentityConfig::from_yaml(&identity_yaml)?;
    let dir = std::path::absolute(&options.dir).map_err(Error::file("resolve", &options.dir))?;
    refuse_occupied(&dir)?;
    let parent = dir.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    let staging = tempfile::Builder::new()
        .prefix(".sigstore-server-init-")
        .tempdir_in(parent)
        .map_err(Error::file("create a folder in", parent))?;
    let config = Config {
        layout: LAYOUT,
        listen: options.listen.unwrap_or_else(|| origin.default_listen()),
        origin,
        tls: None,
    };
    let layout = Layout::new(staging.path());
    layout.create_folders()?;
    let sign_in = options.issuers.iter().filter(|issuer| issuer.kind == IssuerType::Email);
    let sign_in = sign_in.map(|issuer| issuer.url.clone()).collect();
    write_instance(&layout, &config, sign_in, clock::now())?;
    layout::write(&layout.identity_yaml(), identity_yaml.as_bytes(), 0o644)?;
    layout::write(&layout.server_toml(), config.to_toml().as_bytes(), 0o644)?;
    move_into_place(staging, &dir)?;
    Ok(InitReport {
        origin: config.origin.as_str().to_owned(),
        dir,
        listen: config.listen,
    })
}

fn refuse_occupied(dir: &Path) -> Result<(), Error> {
    let occupied = || Error::DirectoryExists { path: dir.to_owned() };
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(occupied()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(occupied()),
        Err(error) => Err(Error::file("read", dir)(error)),
    }
}

fn write_instance(layout: &Layout, config: &Config, sign_in: Vec<String>, now: UnixTime) -> Result<(), Error> {
    let host = config.origin.host();
    let ca = ceremony::certificate_authority(host, now)?;
    let tsa = ceremony::timestamp_authority(host, now)?;
    let signature_log = SigningKey::generate_ed25519()?;
    let legacy_log = SigningKey::generate_p256()?;
    let certificate_log = SigningKey::generate_p256()?;
    for (file, key) in [
        (KeyFile::CertificateAuthority, &ca.key),
        (KeyFile::CertificateAuthorityRoot, &ca.root_key),
        (KeyFile::TimestampAuthority, &tsa.key),
        (KeyFile::TimestampAuthorityRoot, &tsa.root_key),
        (KeyFile::SignatureLog, &signature_log),
        (KeyFile::LegacyLog, &legacy_log),
        (KeyFile::CertificateLog, &certificate_log),
    ] {
        layout.write_key(file, &key.to_pkcs8_pem())?;
    }
    let material = TrustMaterial {
        origin: &config.origin,
        signature_log: signature_log.public_key(),
        legacy_log: legacy_log.public_key(),
        certificate_log: certificate_log.public_key(),
        ca_chain: write_chain(&ca, &layout.ca_chain())?,
        tsa_chain: write_chain(&tsa, &layout.tsa_chain())?,
        sign_in,
        now,
    };
    write_trust(layout, &material)
}

fn write_chain(authority: &Authority, path: &Path) -> Result<Vec<Certificate>, Error> {
    let budget = Budget::default();
    let chain = authority.chain.iter().map(|der| Certificate::from_der(der, &budget));
    let chain: Vec<Certificate> = chain.collect::<Result<_, _>>().map_err(|source| Error::Trust {
        path: path.to_owned(),
        source,
    })?;
    let pem: String = chain.iter().map(Certificate::to_pem).collect();
    layout::write(path, pem.as_bytes(), 0o644)?;
    Ok(chain)
}

/// Writes the three JSON documents, then the TUF repository that carries two of them, then the copy of its root.
fn write_trust(layout: &Layout, material: &TrustMaterial<'_>) -> Result<(), Error> {
    let config = material.config();
    let trusted_root = config.trusted_root.to_json();
    let signing_config = config.signing_config.to_json();
    for (name, text) in [
        (TRUSTED_ROOT, &trusted_root),
        (SIGNING_CONFIG, &signing_config),
        (TRUST_CONFIG, &config.to_json()),
    ] {
        layout::write(&layout.trust(name), text.as_bytes(), 0o644)?;
    }
    let root_key = TufKey::generate(Algorithm::P256)?;
    let online_key = TufKey::generate(Algorithm::P256)?;
    layout.write_key(KeyFile::TufRoot, &root_key.to_pkcs8_pem())?;
    layout.write_key(KeyFile::TufOnline, &online_key.to_pkcs8_pem())?;
    let targets = BTreeMap::from([
        (TRUSTED_ROOT.to_owned(), trusted_root.into_bytes()),
        (SIGNING_CONFIG.to_owned(), signing_config.into_bytes()),
    ]);
    let root_keys = std::slice::from_ref(&root_key);
    let options = CreateOptions {
        root_keys,
        root_threshold: 1,
        targets_keys: root_keys,
        targets_threshold: 1,
        online_key: &online_key,
        targets: &targets,
        lifetimes: Lifetimes::default(),
    };
    repository::create(&layout.tuf(), &options, material.now)?;
    let root = layout.tuf().join("1.root.json");
    let root = fs::read(&root).map_err(Error::file("read", root))?;
    layout::write(&layout.trust(ROOT), &root, 0o644)
}

/// Renames the finished folder to its name; an empty folder of that name is replaced.
fn move_into_place(staging: tempfile::TempDir, dir: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    for folder in ["keys", "certificates", "trust", "."] {
        layout::sync_folder(&staging.path().join(folder))?;
    }
    let readable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(staging.path(), readable).map_err(Error::file("set permissions of", staging.path()))?;
    fs::rename(staging.path(), dir).map_err(|error| {
        use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
        if matches!(error.kind(), DirectoryNotEmpty | AlreadyExists | NotADirectory) {
            Error::DirectoryExists { path: dir.to_owned() }
        } else {
            Error::file("rename to", dir)(error)
        }
    })?;
    drop(staging.keep());
    dir.parent().map_or(Ok(()), layout::sync_folder)
}

/// One copy-paste line for each client, for when the server is started.
impl std::fmt::Display for InitReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = NEXT_STEPS
            .replace("<url>", &self.origin)
            .replace("<name>", &self.trust_name())
            .replace("<dir>", &self.dir.display().to_string());
        f.write_str(&text)
    }
}

impl InitReport {
    /// The host as a name that the trust store takes: `sigstore-example`; `local` on loopback.
    fn trust_name(&self) -> String {
        let authority = self.origin.split("//").nth(1).unwrap_or(&self.origin);
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        if host == "localhost" || host.starts_with("127.") || host.starts_with('[') {
            return "local".to_owned();
        }
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        host.chars().map(plain).take(64).collect()
    }
}

/// What the operator does next. The folder is replaced last, since only it can hold any text.
const NEXT_STEPS: &str = "\
made a Sigstore instance for <url> in <dir>

start            sigstore-server serve <dir>

cargo-sigstore   cargo sigstore trust add <name> <url>/tuf --root <dir>/trust/root.json
sigstore-python  sigstore --trust-config <dir>/trust/trust_config.json sign FILE
                 sigstore --instance <url>/tuf trust-instance <dir>/trust/root.json
sigstore-js      sigstore init --mirror <url>/tuf --root <dir>/trust/root.json
                 bundleBuilderFromSigningConfig: <dir>/trust/signing_config.v0.2.json, TrustedRoot.fromJSON: <dir>/trust/trusted_root.json
sigstore-rust    SigningConfig::from_file(\"<dir>/trust/signing_config.v0.2.json\"), TrustedRoot::from_file(\"<dir>/trust/trusted_root.json\")
cosign           cosign sign-blob --signing-config <dir>/trust/signing_config.v0.2.json --trusted-root <dir>/trust/trusted_root.json --bundle BUNDLE FILE
                 cosign initialize --mirror <url>/tuf --root <dir>/trust/root.json
environment      export SIGSTORE_TRUST_CONFIG=<dir>/trust/trust_config.json
                 export TUF_MIRROR=<url>/tuf TUF_ROOT_JSON=<dir>/trust/root.json
own TLS roots    export REQUESTS_CA_BUNDLE=CA.pem SSL_CERT_FILE=CA.pem NODE_EXTRA_CA_CERTS=CA.pem

move keys/tuf-root.pem, keys/ca-root.pem and keys/tsa-root.pem off this machine: serving does not need them
";
/// As the command line's help says.
const DEFAULT_ORIGIN: &str = "http://127.0.0.1:8080";
/// Names that clients look for in the TUF repository.
pub(crate) const TRUSTED_ROOT: &str = "trusted_root.json";
const SIGNING_CONFIG: &str = "signing_config.v0.2.json";
const TRUST_CONFIG: &str = "trust_config.json";
const ROOT: &str = "root.json";
