//! Key files: making, showing, reading.

use std::path::{Path, PathBuf};

use serde_json::json;
use zeroize::Zeroizing;

use super::{
    arguments,
    output::{Failure, Printer},
};
use crate::{
    Error, files,
    key::{Algorithm, PublicKey, SigningKey},
};

/// A key read from a file: the private half, if it was there.
pub(super) enum KeyFile {
    Private(SigningKey),
    Public(PublicKey),
}

impl KeyFile {
    /// Reads a private or public PEM file.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_text(path)?;
        if text.contains("PRIVATE KEY-----") {
            SigningKey::from_pkcs8_pem(&text).map(Self::Private)
        } else {
            PublicKey::from_pem(&text).map(Self::Public)
        }
        .map_err(|error| Failure::about(path, error))
    }

    /// Reads a private PEM file.
    pub(super) fn read_private(path: &Path) -> Result<SigningKey, Failure> {
        SigningKey::from_pkcs8_pem(&read_text(path)?).map_err(|error| Failure::about(path, error))
    }

    pub(super) fn public(&self) -> &PublicKey {
        match self {
            Self::Private(key) => key.public(),
            Self::Public(key) => key,
        }
    }

    pub(super) fn private(&self) -> Option<&SigningKey> {
        match self {
            Self::Private(key) => Some(key),
            Self::Public(_) => None,
        }
    }
}

/// `tuf-root key`.
pub(super) fn run(arguments: &arguments::Key, printer: &Printer) -> Result<(), Failure> {
    let path = &arguments.file;
    if path.exists() {
        let key = KeyFile::read(path)?;
        return show(path, key.public(), false, printer);
    }
    let algorithm = match arguments.kind {
        arguments::Kind::Ed25519 => Algorithm::Ed25519,
        arguments::Kind::P256 => Algorithm::P256,
    };
    let key = SigningKey::generate(algorithm)?;
    files::write_secret(path, key.to_pkcs8_pem().as_bytes())?;
    files::write(&public_path(path), key.public_pem()?.as_bytes())?;
    show(path, key.public(), true, printer)
}

fn show(path: &Path, key: &PublicKey, made: bool, printer: &Printer) -> Result<(), Failure> {
    let lines = [format!("{} {}", key.id(), path.display())];
    printer.result(
        &json!({ "key_id": key.id(), "file": path.to_string_lossy(), "made": made }),
        &lines,
    )
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(files::read_existing(path, KEY_BYTES).map_err(|error| Failure::about(path, error))?);
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::about(path, Error::PrivateKey))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Largest key file; a P-256 or Ed25519 key has a few hundred bytes.
const KEY_BYTES: u64 = 64 << 10;
