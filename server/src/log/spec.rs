//! What tells the three logs apart: name, origin, key, and how each signs its checkpoints [C2SP tlog-checkpoint, static-ct-api].

use verify::{
    Budget, PublicKey,
    checkpoint::{Checkpoint, SignedCheckpoint},
    key::KeyKind,
    merkle::NodeHash,
    note::{self, Note, NoteSignature},
    sct,
};

use super::LogError;
use crate::keys::{KeyError, SigningKey};

/// The three logs of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogKind {
    /// The signature log, Rekor v2.
    Signature,
    /// The small log for older verifiers, Rekor v1.
    Legacy,
    /// The certificate transparency log.
    Certificates,
}

/// Everything that is fixed for the life of a log.
#[derive(Clone, Debug)]
pub(super) struct LogSpec {
    pub(super) kind: LogKind,
    /// First line of each checkpoint.
    pub(super) origin: String,
    /// Name on the log's signature line.
    pub(super) signer: String,
    pub(super) key: SigningKey,
}

/// The public half of a [`LogSpec`]: enough to read and check.
#[derive(Clone, Debug)]
pub(super) struct LogReader {
    pub(super) kind: LogKind,
    pub(super) origin: String,
    pub(super) key: PublicKey,
}

impl LogKind {
    /// Every log.
    pub const ALL: [Self; 3] = [Self::Signature, Self::Legacy, Self::Certificates];

    /// Name of the log's folder and of its metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Legacy => "legacy",
            Self::Certificates => "ct",
        }
    }

    /// The log's number in the database.
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Signature => 1,
            Self::Legacy => 2,
            Self::Certificates => 3,
        }
    }

    /// The folder of entry bundles below `tile/`.
    pub(super) const fn bundle_directory(self) -> &'static str {
        match self {
            Self::Signature | Self::Legacy => "entries",
            Self::Certificates => "data",
        }
    }

    /// Adds one entry to a bundle: with a 16-bit length before it, or, in static CT, as it is.
    pub(super) fn append_entry(self, bundle: &mut Vec<u8>, entry: &[u8]) {
        if self != Self::Certificates {
            let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
            bundle.extend_from_slice(&length.to_be_bytes());
        }
        bundle.extend_from_slice(entry);
    }

    /// Splits a bundle into the bytes of its entries, without length prefixes; none when it is malformed.
    pub(super) fn split_bundle(self, bundle: &[u8]) -> Option<Vec<&[u8]>> {
        if self != Self::Certificates {
            return verify::tile::parse_entry_bundle(bundle).ok();
        }
        let mut entries = Vec::new();
        let mut rest = bundle;
        while !rest.is_empty() {
            let (_, length) = sct::TileLeaf::from_bytes(rest).ok()?;
            let (entry, after) = rest.split_at_checked(length).filter(|_| length > 0)?;
            entries.push(entry);
            rest = after;
        }
        Some(entries)
    }

    /// The Merkle leaf hash of an entry; none when a CT entry is malformed.
    pub(super) fn leaf_hash(self, entry: &[u8]) -> Option<NodeHash> {
        if self != Self::Certificates {
            return Some(verify::merkle::leaf_hash(entry));
        }
        let (leaf, length) = sct::TileLeaf::from_bytes(entry).ok()?;
        let bytes = sct::merkle_tree_leaf(leaf.timestamp_ms, &leaf.logged, &leaf.extensions);
        (length == entry.len()).then(|| verify::merkle::leaf_hash(&bytes))
    }
}

impl std::fmt::Display for LogKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl LogSpec {
    /// The v2 log: its origin is the bare host name, because Go derives it so from the URL.
    pub(super) fn signature(host: &str, key: SigningKey) -> Result<Self, LogError> {
        check_host(host)?;
        Ok(Self {
            kind: LogKind::Signature,
            origin: host.to_owned(),
            signer: host.to_owned(),
            key,
        })
    }

    /// The v1 log: origin `host - tree id`, by which Go recognises a v1 checkpoint; signed under the host's name.
    pub(super) fn legacy(host: &str, key: SigningKey) -> Result<Self, LogError> {
        check_host(host)?;
        let origin = format!("{host} - {}", tree_id(key.public_key()));
        Ok(Self {
            kind: LogKind::Legacy,
            origin,
            signer: host.to_owned(),
            key,
        })
    }

    /// The CT log: origin is the submission prefix without a scheme.
    pub(super) fn certificates(host: &str, key: SigningKey) -> Result<Self, LogError> {
        check_host(host)?;
        let origin = format!("{host}/ct");
        Ok(Self {
            kind: LogKind::Certificates,
            signer: origin.clone(),
            origin,
            key,
        })
    }

    pub(super) fn reader(&self) -> LogReader {
        LogReader {
            kind: self.kind,
            origin: self.origin.clone(),
            key: self.key.public_key().clone(),
        }
    }

    /// A signed checkpoint. `time_ms` goes into CT checkpoints only.
    pub(super) fn sign(&self, size: u64, root: NodeHash, time_ms: u64) -> Result<String, LogError> {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size,
            root,
            extensions: Vec::new(),
        };
        let text = checkpoint.to_text();
        let signature = match self.kind {
            LogKind::Signature | LogKind::Legacy => self.key.sign(text.as_bytes())?,
            LogKind::Certificates => {
                let der = self.key.sign(&sct::tree_head_signed_data(time_ms, size, &root))?;
                tree_head_blob(time_ms, &der)?
            }
        };
        let key_hint = hint(self.reader().key_id());
        let line = NoteSignature {
            name: self.signer.clone(),
            key_hint,
            signature,
        };
        Ok(Note {
            text,
            signatures: vec![line],
        }
        .to_string())
    }
}

impl LogReader {
    /// The id whose first four bytes stand on the signature line.
    pub(super) fn key_id(&self) -> [u8; 32] {
        match self.kind {
            LogKind::Signature => note::log_key_id(&self.origin, &self.key),
            LogKind::Legacy => self.key.id().0,
            LogKind::Certificates => note::tree_head_key_id(&self.origin, &self.key.id()),
        }
    }

    /// Reads a checkpoint of this log and checks origin and signature. The time is that of a CT checkpoint, else 0.
    pub(super) fn verify(&self, text: &str) -> Option<(Checkpoint, u64)> {
        let signed = SignedCheckpoint::parse(text.as_bytes(), &Budget::default()).ok()?;
        if signed.checkpoint.origin != self.origin || signed.note.to_string() != text {
            return None;
        }
        let time_ms = match self.kind {
            LogKind::Certificates => signed.verify_tree_head(&self.key).ok()?,
            LogKind::Signature | LogKind::Legacy => signed
                .verify(self.signer(), &self.key_id(), &self.key)
                .ok()
                .map(|()| 0)?,
        };
        Some((signed.checkpoint, time_ms))
    }

    fn signer(&self) -> &str {
        match self.kind {
            LogKind::Signature | LogKind::Certificates => &self.origin,
            LogKind::Legacy => self.origin.split(' ').next().unwrap_or_default(),
        }
    }
}

/// The tree id of a v1 log, a positive 63-bit number that its key determines.
#[must_use]
pub fn tree_id(key: &PublicKey) -> u64 {
    let id = key.id().0;
    let first = id.first_chunk().copied().unwrap_or_default();
    (u64::from_be_bytes(first) >> 1) | 1 << 62
}

/// The key kind each log needs: what its readers can verify.
pub(super) fn check_kind(kind: LogKind, key: &SigningKey) -> Result<(), LogError> {
    let fits = match kind {
        LogKind::Signature => matches!(key.public_key().kind(), KeyKind::Ed25519 | KeyKind::P256),
        LogKind::Legacy | LogKind::Certificates => key.public_key().kind() == KeyKind::P256,
    };
    if fits {
        Ok(())
    } else {
        Err(LogError::Signing(KeyError::Unsupported))
    }
}

/// A note's key name has neither space nor `+` [C2SP signed-note]; an origin here has neither port nor path.
fn check_host(host: &str) -> Result<(), LogError> {
    let fits = !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':'));
    if fits {
        Ok(())
    } else {
        Err(LogError::Name {
            host: host.chars().take(100).collect(),
        })
    }
}

fn hint([a, b, c, d, ..]: [u8; 32]) -> [u8; 4] {
    [a, b, c, d]
}

/// u64 time ‖ TLS `DigitallySigned` of SHA-256 and ECDSA [static-ct-api §Checkpoints, RFC 5246 §4.7].
fn tree_head_blob(time_ms: u64, der: &[u8]) -> Result<Vec<u8>, LogError> {
    let length = u16::try_from(der.len()).map_err(|_| LogError::Signing(KeyError::Library))?;
    Ok([&time_ms.to_be_bytes()[..], &SHA256_ECDSA, &length.to_be_bytes(), der].concat())
}

/// `HashAlgorithm` sha256 and `SignatureAlgorithm` ecdsa [RFC 5246 §7.4.1.4.1].
pub(super) const SHA256_ECDSA: [u8; 2] = [4, 3];

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests may be blunt"
)]
mod tests {
    use super::*;

    fn all() -> [LogSpec; 3] {
        [
            LogSpec::signature("log.example", SigningKey::generate_ed25519().unwrap()).unwrap(),
            LogSpec::legacy("log.example", SigningKey::generate_p256().unwrap()).unwrap(),
            LogSpec::certificates("log.example", SigningKey::generate_p256().unwrap()).unwrap(),
        ]
    }

    #[test]
    fn each_log_reads_its_own_checkpoint() {
        for spec in all() {
            let text = spec.sign(7, [9; 32], 1_700_000_000_123).unwrap();
            let (checkpoint, time_ms) = spec.reader().verify(&text).unwrap();
            assert_eq!((checkpoint.size, checkpoint.root), (7, [9; 32]));
            assert_eq!(
                time_ms,
                if spec.kind == LogKind::Certificates {
                    1_700_000_000_123
                } else {
                    0
                }
            );
        }
    }

    #[test]
    fn no_byte_of_a_checkpoint_can_change() {
        for spec in all() {
            let text = spec.sign(7, [9; 32], 1_700_000_000_123).unwrap();
            for at in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                assert_eq!(spec.reader().verify(&changed), None, "{} byte {at}", spec.kind);
            }
        }
    }

    #[test]
    fn a_host_that_no_key_name_can_hold_is_refused() {
        for host in ["", "a b", "a+b", "a/b", "http://a", "ä"] {
            let key = SigningKey::generate_ed25519().unwrap();
            assert!(LogSpec::signature("a.example", key.clone()).is_ok());
            assert_eq!(LogSpec::signature(host, key).unwrap_err().code(), "log-name");
        }
    }
}
