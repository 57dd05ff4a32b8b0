//! The folder of an instance: where each file lives, and how it is written.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use verify::{Budget, certificate::Certificate};
use zeroize::Zeroizing;

use crate::{Error, keys::SigningKey};

/// The folder of an instance.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

/// Key files. Trust: who can read one of these can speak for that part of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFile {
    /// Signs certificates: can forge any identity, but not without the CT log's key unnoticed.
    CertificateAuthority,
    /// Signed the CA certificate; needed only to replace it, may be moved away.
    CertificateAuthorityRoot,
    /// Signs timestamps: can backdate.
    TimestampAuthority,
    /// Signed the TSA certificate; may be moved away.
    TimestampAuthorityRoot,
    /// Signs checkpoints of the signature log: can fork it.
    SignatureLog,
    /// Signs checkpoints and promises of the v1 log.
    LegacyLog,
    /// Signs SCTs.
    CertificateLog,
    /// Signs TUF root and targets: can replace every other key in clients' eyes; move it away.
    TufRoot,
    /// Signs TUF snapshot and timestamp: can freeze, not replace.
    TufOnline,
}

impl KeyFile {
    const fn name(self) -> &'static str {
        match self {
            Self::CertificateAuthority => "ca.pem",
            Self::CertificateAuthorityRoot => "ca-root.pem",
            Self::TimestampAuthority => "tsa.pem",
            Self::TimestampAuthorityRoot => "tsa-root.pem",
            Self::SignatureLog => "log.pem",
            Self::LegacyLog => "log-v1.pem",
            Self::CertificateLog => "ct.pem",
            Self::TufRoot => "tuf-root.pem",
            Self::TufOnline => "tuf-online.pem",
        }
    }
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    pub(crate) fn server_toml(&self) -> PathBuf {
        self.root.join("server.toml")
    }
    pub(crate) fn identity_yaml(&self) -> PathBuf {
        self.root.join("identity.yaml")
    }
    pub(crate) fn key(&self, file: KeyFile) -> PathBuf {
        self.root.join("keys").join(file.name())
    }
    pub(crate) fn ca_chain(&self) -> PathBuf {
        self.root.join("certificates/ca.pem")
    }
    pub(crate) fn tsa_chain(&self) -> PathBuf {
        self.root.join("certificates/tsa.pem")
    }
    pub(crate) fn trust(&self, name: &str) -> PathBuf {
        self.root.join("trust").join(name)
    }
    pub(crate) fn tuf(&self) -> PathBuf {
        self.root.join("tuf")
    }
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Makes the folders of a new instance; keys and data for the owner only.
    pub(crate) fn create_folders(&self) -> Result<(), Error> {
        use std::os::unix::fs::DirBuilderExt as _;
        for (name, mode) in [
            ("keys", 0o700),
            ("data", 0o700),
            ("certificates", 0o755),
            ("trust", 0o755),
        ] {
            let path = self.root.join(name);
            fs::DirBuilder::new()
                .mode(mode)
                .create(&path)
                .map_err(Error::file("create", path))?;
        }
        Ok(())
    }

    /// Reads a key.
    pub(crate) fn read_key(&self, file: KeyFile) -> Result<SigningKey, Error> {
        let path = self.key(file);
        let pem = self.read_secret(file)?;
        SigningKey::from_pkcs8_pem(&pem).map_err(|source| Error::KeyFile { path, source })
    }

    /// Reads the PEM text of a key.
    pub(crate) fn read_secret(&self, file: KeyFile) -> Result<Zeroizing<String>, Error> {
        let path = self.key(file);
        let pem = fs::read_to_string(&path).map_err(Error::file("read", path))?;
        Ok(Zeroizing::new(pem))
    }

    /// Writes a key, readable by the owner only.
    pub(crate) fn write_key(&self, file: KeyFile, pem: &str) -> Result<(), Error> {
        write(&self.key(file), pem.as_bytes(), 0o600)
    }
}

/// Writes a new file, durably.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(Error::file("write", path))
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::file("sync", path))
}

/// Reads a chain of PEM certificates and checks that its first belongs to `key`.
pub(crate) fn read_chain(path: &Path, key: &SigningKey) -> Result<Vec<Certificate>, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    let refused = |reason| Error::Chain {
        path: path.to_owned(),
        reason,
    };
    let budget = Budget::default();
    if text.len() > budget.certificate_bytes.saturating_mul(budget.chain_certificates) {
        return Err(refused("it is too long"));
    }
    let mut chain = Vec::new();
    for block in text.split_inclusive(END_CERTIFICATE) {
        if block.trim().is_empty() {
            continue;
        }
        let certificate = Certificate::from_pem(block.trim(), &budget);
        chain.push(certificate.map_err(|_| refused("a certificate is malformed"))?);
    }
    let first = chain.first().ok_or(refused("it is empty"))?;
    if first.public_key() != key.public_key() {
        return Err(refused("its first certificate is for another key"));
    }
    Ok(chain)
}

const END_CERTIFICATE: &str = "-----END CERTIFICATE-----";
