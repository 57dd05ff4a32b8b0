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
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use proptest::prelude::*;

    fn sct() -> SignedCertificateTimestamp {
        SignedCertificateTimestamp {
            log_id: KeyId([3; 32]),
            timestamp_ms: 1_795_313_743_000,
            extensions: leaf_index_extension(77).to_vec(),
            algorithm: [4, 3],
            signature: vec![9; 70],
        }
    }

    fn precertificate() -> LoggedCertificate {
        LoggedCertificate::Precertificate {
            issuer_key_hash: [5; 32],
            tbs: vec![6; 300],
        }
    }

    #[test]
    fn an_sct_is_laid_out_as_rfc_6962_says() {
        let bytes = sct().to_bytes();
        assert_eq!(bytes.len(), 1 + 32 + 8 + 2 + 8 + 2 + 2 + 70);
        assert_eq!((bytes[0], &bytes[1..33]), (0, &[3; 32][..]));
        assert_eq!(bytes[33..41], 1_795_313_743_000_u64.to_be_bytes());
        assert_eq!(bytes[41..51], [0, 8, 0, 0, 5, 0, 0, 0, 0, 77]);
        assert_eq!(bytes[51..55], [4, 3, 0, 70]);
        assert_eq!(SignedCertificateTimestamp::from_bytes(&bytes), Ok(sct()));
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = sct().to_bytes();
        bytes[0] = 1;
        assert_eq!(SignedCertificateTimestamp::from_bytes(&bytes), Err(Error::Sct));
    }

    #[test]
    fn an_sct_cut_anywhere_or_with_trailing_bytes_is_refused() {
        let mut bytes = sct().to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(
                SignedCertificateTimestamp::from_bytes(&bytes[..length]),
                Err(Error::Sct),
                "{length}"
            );
        }
        bytes.push(0);
        assert_eq!(SignedCertificateTimestamp::from_bytes(&bytes), Err(Error::Sct));
    }

    #[test]
    fn a_list_prints_back() {
        let list = vec![
            sct(),
            SignedCertificateTimestamp {
                extensions: Vec::new(),
                ..sct()
            },
        ];
        assert_eq!(parse_list(&encode_list(&list), 2), Ok(list));
    }

    #[test]
    fn a_malformed_list_is_refused() {
        let honest = encode_list(&[sct()]);
        assert!(parse_list(&honest, 1).is_ok());
        for length in 0..honest.len() {
            assert_eq!(parse_list(&honest[..length], 1), Err(Error::Sct));
        }
        assert_eq!(parse_list(&[honest.as_slice(), &[0]].concat(), 1), Err(Error::Sct));
        assert_eq!(parse_list(&[0, 0], 1), Err(Error::Sct));
        let mut inner_too_long = honest.clone();
        inner_too_long[3] += 1;
        assert_eq!(parse_list(&inner_too_long, 1), Err(Error::Sct));
    }

    #[test]
    fn a_list_over_the_limit_is_refused() {
        let bytes = encode_list(&[sct(), sct()]);
        assert!(parse_list(&bytes, 2).is_ok());
        assert_eq!(parse_list(&bytes, 1), Err(Error::TooMany { what: "SCTs", limit: 1 }));
    }

    #[test]
    fn the_leaf_index_is_read_from_the_extensions() {
        let with = |extensions: &[u8]| {
            let extensions = extensions.to_vec();
            SignedCertificateTimestamp { extensions, ..sct() }.leaf_index()
        };
        assert_eq!(with(&leaf_index_extension((1 << 40) - 1)), Some((1 << 40) - 1));
        assert_eq!(with(&[&[9, 0, 1, 1][..], &leaf_index_extension(5)].concat()), Some(5));
        for none in [
            &[][..],
            &[9, 0, 1, 1],
            &[0, 0, 4, 1, 2, 3, 4],
            &[0, 0, 5, 1, 2, 3, 4],
            &[0],
        ] {
            assert_eq!(with(none), None);
        }
    }

    #[test]
    fn the_signed_data_is_laid_out_as_rfc_6962_says() {
        let bytes = signed_data(7, &precertificate(), b"ext");
        assert_eq!(bytes[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1]);
        assert_eq!(bytes[12..44], [5; 32]);
        assert_eq!(bytes[44..47], [0, 1, 44]);
        assert_eq!(bytes[347..], *b"\0\x03ext");
        let certificate = signed_data(7, &LoggedCertificate::Certificate(vec![8; 2]), b"");
        assert_eq!(certificate[10..], [0, 0, 0, 0, 2, 8, 8, 0, 0]);
        assert_eq!(merkle_tree_leaf(7, &precertificate(), b"ext"), bytes);
    }

    #[test]
    fn a_tile_leaf_says_what_the_tree_holds() {
        let leaf = TileLeaf {
            timestamp_ms: 7,
            logged: precertificate(),
            extensions: leaf_index_extension(5).to_vec(),
            precertificate: vec![8],
            chain_fingerprints: vec![[9; 32]],
        };
        let expected = merkle_tree_leaf(7, &precertificate(), &leaf_index_extension(5));
        assert_eq!(leaf.merkle_tree_leaf(), expected);
    }

    #[test]
    fn every_scheme_of_today_has_its_number_and_no_other_has() {
        for (hash, algorithm) in [
            (4, HashAlgorithm::Sha256),
            (5, HashAlgorithm::Sha384),
            (6, HashAlgorithm::Sha512),
        ] {
            assert_eq!(scheme([hash, 1]), Ok(SignatureScheme::RsaPkcs1v15(algorithm)));
            assert_eq!(scheme([hash, 3]), Ok(SignatureScheme::Ecdsa(algorithm)));
        }
        for numbers in [[2, 3], [3, 3], [7, 3], [4, 0], [4, 2], [4, 4]] {
            assert_eq!(scheme(numbers), Err(Error::Signature), "{numbers:?}");
        }
    }

    #[test]
    fn a_tree_head_is_laid_out_as_rfc_6962_says() {
        let bytes = tree_head_signed_data(1, 2, &[3; 32]);
        assert_eq!(bytes[..18], [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(bytes[18..], [3; 32]);
    }

    #[test]
    fn the_signature_covers_time_certificate_and_extensions() {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        let key = PublicKey::from_p256_coordinates(point[1..33].try_into().unwrap(), point[33..].try_into().unwrap())
            .unwrap();
        let mut honest = sct();
        let message = signed_data(honest.timestamp_ms, &precertificate(), &honest.extensions);
        honest.signature = pair.sign(&random, &message).unwrap().as_ref().to_vec();
        assert_eq!(honest.verify(&key, &precertificate()), Ok(()));
        let refused = Err(Error::Signature);
        let later = SignedCertificateTimestamp {
            timestamp_ms: honest.timestamp_ms + 1,
            ..honest.clone()
        };
        assert_eq!(later.verify(&key, &precertificate()), refused);
        let bare = SignedCertificateTimestamp {
            extensions: Vec::new(),
            ..honest.clone()
        };
        assert_eq!(bare.verify(&key, &precertificate()), refused);
        assert_eq!(
            honest.verify(&key, &LoggedCertificate::Certificate(vec![6; 300])),
            refused
        );
        for algorithm in [[4, 1], [5, 3], [2, 3], [4, 2], [0, 0]] {
            let other = SignedCertificateTimestamp {
                algorithm,
                ..honest.clone()
            };
            assert_eq!(other.verify(&key, &precertificate()), refused);
        }
    }

    #[test]
    fn a_field_too_long_for_its_length_is_cut() {
        let long = SignedCertificateTimestamp {
            extensions: vec![1; 65_536],
            ..sct()
        };
        let read = SignedCertificateTimestamp::from_bytes(&long.to_bytes()).unwrap();
        assert_eq!(read.extensions.len(), 65_535);
    }

    #[test]
    fn a_tile_leaf_cut_anywhere_is_refused() {
        let leaf = TileLeaf {
            timestamp_ms: 1,
            logged: precertificate(),
            extensions: vec![1],
            precertificate: vec![2; 10],
            chain_fingerprints: vec![[3; 32]],
        };
        let bytes = leaf.to_bytes();
        assert_eq!(TileLeaf::from_bytes(&bytes), Ok((leaf, bytes.len())));
        for length in 0..bytes.len() {
            assert_eq!(TileLeaf::from_bytes(&bytes[..length]), Err(Error::Sct), "{length}");
        }
    }

    #[test]
    fn a_tile_leaf_of_unknown_type_or_with_half_a_fingerprint_is_refused() {
        let leaf = TileLeaf {
            timestamp_ms: 1,
            logged: LoggedCertificate::Certificate(vec![1]),
            extensions: Vec::new(),
            precertificate: Vec::new(),
            chain_fingerprints: vec![[3; 32]],
        };
        let bytes = leaf.to_bytes();
        assert!(TileLeaf::from_bytes(&bytes).is_ok());
        let mut unknown = bytes.clone();
        unknown[9] = 2;
        assert_eq!(TileLeaf::from_bytes(&unknown), Err(Error::Sct));
        let mut half = bytes.clone();
        let at = bytes.len() - 33;
        half[at] = 31;
        assert_eq!(TileLeaf::from_bytes(&half), Err(Error::Sct));
    }

    fn logged() -> impl Strategy<Value = LoggedCertificate> {
        let der = || prop::collection::vec(any::<u8>(), 0..100);
        prop_oneof![
            der().prop_map(LoggedCertificate::Certificate),
            (any::<[u8; 32]>(), der())
                .prop_map(|(issuer_key_hash, tbs)| LoggedCertificate::Precertificate { issuer_key_hash, tbs }),
        ]
    }

    proptest! {
        #[test]
        fn any_sct_that_is_read_prints_back(bytes in prop::collection::vec(0_u8..3, 45..80)) {
            if let Ok(sct) = SignedCertificateTimestamp::from_bytes(&bytes) {
                prop_assert_eq!(sct.to_bytes(), bytes);
            }
        }

        #[test]
        fn any_tile_leaf_that_is_written_is_read(
            timestamp_ms: u64,
            logged in logged(),
            extensions in prop::collection::vec(any::<u8>(), 0..20),
            precertificate in prop::collection::vec(any::<u8>(), 0..100),
            chain_fingerprints in prop::collection::vec(any::<[u8; 32]>(), 0..4),
            rest in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let precertificate = match logged {
                LoggedCertificate::Certificate(_) => Vec::new(),
                LoggedCertificate::Precertificate { .. } => precertificate,
            };
            let leaf = TileLeaf { timestamp_ms, logged, extensions, precertificate, chain_fingerprints };
            let mut bytes = leaf.to_bytes();
            let length = bytes.len();
            bytes.extend(rest);
            prop_assert_eq!(TileLeaf::from_bytes(&bytes), Ok((leaf, length)));
        }
    }
}
