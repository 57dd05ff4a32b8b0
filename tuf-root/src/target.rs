//! Targets: names, digests, and where they lie.

use std::collections::HashMap;

use tough::{
    TargetName,
    schema::{Hashes, Target},
};

use crate::{Error, metadata};

/// What metadata says about these bytes.
pub(crate) fn describe(bytes: &[u8]) -> Target {
    Target {
        length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        hashes: metadata::hashes(bytes),
        custom: HashMap::new(),
        _extra: HashMap::new(),
    }
}

/// A name that is a plain file name on every system and needs no escape in a URL.
pub(crate) fn name(name: &str) -> Result<TargetName, Error> {
    let refused = || Error::TargetName {
        name: name.chars().take(200).collect(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.chars().all(plain) {
        return Err(refused());
    }
    TargetName::new(name).map_err(|_| refused())
}

/// Where a target lies, relative to the repository.
pub(crate) fn file(name: &str, hashes: &Hashes) -> String {
    format!("targets/{}.{name}", hex::encode(&hashes.sha256))
}

/// Largest target: trusted roots are a few kilobytes.
pub(crate) const TARGET_BYTES: u64 = 16 << 20;
