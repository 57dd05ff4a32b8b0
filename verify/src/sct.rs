//! Signed certificate timestamps and CT leaves [RFC 6962 §3, C2SP static-ct-api].

use crate::{
    Error, HashAlgorithm, PublicKey,
    key::{KeyId, SignatureScheme},
    tls::{Reader, put_vector16, put_vector24},
};

/// What a CT log logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedCertificate {
    /// A final certificate, DER.
    Certificate(Vec<u8>),
    /// A precertificate.
    Precertificate {
        /// SHA-256 of the issuer's DER `SubjectPublicKeyInfo`.
        issuer_key_hash: [u8; 32],
        /// DER `TBSCertificate` without poison and SCT list.
        tbs: Vec<u8>,
    },
}

/// A signed certificate timestamp, v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCertificateTimestamp {
    /// SHA-256 of the log key.
    pub log_id: KeyId,
    /// Milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// `CtExtensions`, at most 65 535 bytes.
    pub extensions: Vec<u8>,
    /// TLS hash and signature algorithm, `04 03` for ECDSA with SHA-256.
    pub algorithm: [u8; 2],
    /// The signature; DER for ECDSA.
    pub signature: Vec<u8>,
}

/// A signature and the algorithms that made it [RFC 5246 §4.7].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigitallySigned {
    /// Hash and signature algorithm, `04 03` for ECDSA with SHA-256.
    pub algorithm: [u8; 2],
    /// The signature; DER for ECDSA.
    pub signature: Vec<u8>,
}

/// A leaf of a static CT data tile [static-ct-api §Log Entries].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileLeaf {
    /// Milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// What was logged.
    pub logged: LoggedCertificate,
    /// `CtExtensions`.
    pub extensions: Vec<u8>,
    /// The precertificate as submitted, DER; empty for a final certificate.
    pub precertificate: Vec<u8>,
    /// SHA-256 fingerprints of the issuing chain.
    pub chain_fingerprints: Vec<[u8; 32]>,
}

impl SignedCertificateTimestamp {
    /// Parses a TLS-encoded SCT [RFC 6962 §3.2].
    ///
    /// # Errors
    /// [`Error::Sct`] on another version, a short field or trailing bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        let sct = Self::read(&mut reader).ok_or(Error::Sct)?;
        if reader.is_empty() { Ok(sct) } else { Err(Error::Sct) }
    }

    /// TLS encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION_1];
        bytes.extend_from_slice(&self.log_id.0);
        bytes.extend_from_slice(&self.timestamp_ms.to_be_bytes());
        put_vector16(&mut bytes, &self.extensions);
        bytes.extend_from_slice(&self.algorithm);
        put_vector16(&mut bytes, &self.signature);
        bytes
    }

    /// Checks that `key` signed this SCT for `logged`. Whether `key` is that of [`Self::log_id`] is the caller's to know.
    ///
    /// # Errors
    /// [`Error::Signature`] when it does not verify, or the algorithm is not the key's.
    pub fn verify(&self, key: &PublicKey, logged: &LoggedCertificate) -> Result<(), Error> {
        let message = signed_data(self.timestamp_ms, logged, &self.extensions);
        key.verify(scheme(self.algorithm)?, &message, &self.signature)
    }

    /// The index that a static CT log put into the extensions; none when there is no such extension.
    #[must_use]
    pub fn leaf_index(&self) -> Option<u64> {
        let mut reader = Reader(&self.extensions);
        while let Some([kind]) = reader.array() {
            let data = reader.vector16()?;
            if kind == LEAF_INDEX {
                let index: [u8; 5] = data.try_into().ok()?;
                let mut number = [0; 8];
                *number.last_chunk_mut()? = index;
                return Some(u64::from_be_bytes(number));
            }
        }
        None
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [version] = reader.array()?;
        if version != VERSION_1 {
            return None;
        }
        Some(Self {
            log_id: KeyId(reader.array()?),
            timestamp_ms: reader.u64()?,
            extensions: reader.vector16()?.to_vec(),
            algorithm: reader.array()?,
            signature: reader.vector16()?.to_vec(),
        })
    }
}

impl DigitallySigned {
    /// Parses the TLS encoding.
    ///
    /// # Errors
    /// [`Error::Sct`] on a short field or trailing bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        let mut read = || {
            Some(Self {
                algorithm: reader.array()?,
                signature: reader.vector16()?.to_vec(),
            })
        };
        let signed = read().ok_or(Error::Sct)?;
        if reader.is_empty() { Ok(signed) } else { Err(Error::Sct) }
    }

    /// TLS encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.algorithm.to_vec();
        put_vector16(&mut bytes, &self.signature);
        bytes
    }

    /// Checks that `key` signed `message`.
    ///
    /// # Errors
    /// [`Error::Signature`] when it does not verify, or the algorithm is not the key's.
    pub fn verify(&self, key: &PublicKey, message: &[u8]) -> Result<(), Error> {
        key.verify(scheme(self.algorithm)?, message, &self.signature)
    }
}

/// Parses a TLS `SignedCertificateTimestampList` (inside both OCTET STRINGs) [RFC 6962 §3.3].
///
/// # Errors
/// [`Error::Sct`] when malformed or empty, [`Error::TooMany`] beyond `limit`.
pub fn parse_list(bytes: &[u8], limit: usize) -> Result<Vec<SignedCertificateTimestamp>, Error> {
    let mut outer = Reader(bytes);
    let mut list = Reader(outer.vector16().ok_or(Error::Sct)?);
    if !outer.is_empty() || list.is_empty() {
        return Err(Error::Sct);
    }
    let mut scts = Vec::new();
    while !list.is_empty() {
        if scts.len() == limit {
            return Err(Error::TooMany { what: "SCTs", limit });
        }
        let sct = list.vector16().ok_or(Error::Sct)?;
        scts.push(SignedCertificateTimestamp::from_bytes(sct)?);
    }
    Ok(scts)
}

/// TLS `SignedCertificateTimestampList`.
#[must_use]
pub fn encode_list(scts: &[SignedCertificateTimestamp]) -> Vec<u8> {
    let mut list = Vec::new();
    for sct in scts {
        put_vector16(&mut list, &sct.to_bytes());
    }
    let mut bytes = Vec::new();
    put_vector16(&mut bytes, &list);
    bytes
}

/// `TimestampedEntry`: what SCT signature and Merkle leaf share [RFC 6962 §3.4].
#[must_use]
pub fn timestamped_entry(timestamp_ms: u64, logged: &LoggedCertificate, extensions: &[u8]) -> Vec<u8> {
    let mut bytes = timestamp_ms.to_be_bytes().to_vec();
    match logged {
        LoggedCertificate::Certificate(der) => {
            bytes.extend_from_slice(&X509_ENTRY);
            put_vector24(&mut bytes, der);
        }
        LoggedCertificate::Precertificate { issuer_key_hash, tbs } => {
            bytes.extend_from_slice(&PRECERT_ENTRY);
            bytes.extend_from_slice(issuer_key_hash);
            put_vector24(&mut bytes, tbs);
        }
    }
    put_vector16(&mut bytes, extensions);
    bytes
}

/// What the SCT signature covers: version 1, type `certificate_timestamp`, the [`timestamped_entry`] [RFC 6962 §3.2].
#[must_use]
pub fn signed_data(timestamp_ms: u64, logged: &LoggedCertificate, extensions: &[u8]) -> Vec<u8> {
    after_two_zeros(timestamp_ms, logged, extensions)
}

/// `MerkleTreeLeaf`: version 1, type `timestamped_entry`, the [`timestamped_entry`] [RFC 6962 §3.4].
#[must_use]
pub fn merkle_tree_leaf(timestamp_ms: u64, logged: &LoggedCertificate, extensions: &[u8]) -> Vec<u8> {
    after_two_zeros(timestamp_ms, logged, extensions)
}

/// Version and type are both zero for the signature and for the leaf, so both are the same bytes.
fn after_two_zeros(timestamp_ms: u64, logged: &LoggedCertificate, extensions: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(timestamped_entry(timestamp_ms, logged, extensions));
    bytes
}

/// The `leaf_index` extension of static CT: `00 0005` and 40 bits, of a larger index the low ones [static-ct-api §SCT Extension].
#[must_use]
pub fn leaf_index_extension(index: u64) -> [u8; 8] {
    let mut extension = index.to_be_bytes();
    if let Some(header) = extension.first_chunk_mut() {
        *header = [LEAF_INDEX, 0, 5];
    }
    extension
}

/// The RFC 6962 `TreeHeadSignature` input: version 0, type 1, time, size, root [RFC 6962 §3.5].
#[must_use]
pub fn tree_head_signed_data(timestamp_ms: u64, size: u64, root: &[u8; 32]) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    bytes.extend_from_slice(&timestamp_ms.to_be_bytes());
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(root);
    bytes
}

impl TileLeaf {
    /// Encoding in a data tile.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = timestamped_entry(self.timestamp_ms, &self.logged, &self.extensions);
        if matches!(self.logged, LoggedCertificate::Precertificate { .. }) {
            put_vector24(&mut bytes, &self.precertificate);
        }
        put_vector16(&mut bytes, &self.chain_fingerprints.concat());
        bytes
    }

    /// Reads one leaf and how many bytes it took.
    ///
    /// # Errors
    /// [`Error::Sct`] when malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, usize), Error> {
        let mut reader = Reader(bytes);
        let leaf = Self::read(&mut reader).ok_or(Error::Sct)?;
        Ok((leaf, bytes.len().saturating_sub(reader.0.len())))
    }

    /// The Merkle leaf's bytes.
    #[must_use]
    pub fn merkle_tree_leaf(&self) -> Vec<u8> {
        merkle_tree_leaf(self.timestamp_ms, &self.logged, &self.extensions)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let timestamp_ms = reader.u64()?;
        let logged = match reader.array()? {
            X509_ENTRY => LoggedCertificate::Certificate(reader.vector24()?.to_vec()),
            PRECERT_ENTRY => LoggedCertificate::Precertificate {
                issuer_key_hash: reader.array()?,
                tbs: reader.vector24()?.to_vec(),
            },
            _ => return None,
        };
        let extensions = reader.vector16()?.to_vec();
        let precertificate = match logged {
            LoggedCertificate::Certificate(_) => Vec::new(),
            LoggedCertificate::Precertificate { .. } => reader.vector24()?.to_vec(),
        };
        let (chain_fingerprints, odd) = reader.vector16()?.as_chunks();
        odd.is_empty().then(|| Self {
            timestamp_ms,
            logged,
            extensions,
            precertificate,
            chain_fingerprints: chain_fingerprints.to_vec(),
        })
    }
}

/// The scheme of TLS `SignatureAndHashAlgorithm` [RFC 5246 §7.4.1.4.1]; SHA-1 and below, and DSA, are refused.
fn scheme([hash, signature]: [u8; 2]) -> Result<SignatureScheme, Error> {
    let hash = match hash {
        4 => HashAlgorithm::Sha256,
        5 => HashAlgorithm::Sha384,
        6 => HashAlgorithm::Sha512,
        _ => return Err(Error::Signature),
    };
    match signature {
        1 => Ok(SignatureScheme::RsaPkcs1v15(hash)),
        3 => Ok(SignatureScheme::Ecdsa(hash)),
        _ => Err(Error::Signature),
    }
}

/// `v1(0)` [RFC 6962 §3.2]
const VERSION_1: u8 = 0;
/// `LogEntryType` [RFC 6962 §3.1]
const X509_ENTRY: [u8; 2] = [0, 0];
/// `LogEntryType` [RFC 6962 §3.1]
const PRECERT_ENTRY: [u8; 2] = [0, 1];
/// `ExtensionType` [static-ct-api §SCT Extension]
const LEAF_INDEX: u8 = 0;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may be blunt")]
mod tests;
