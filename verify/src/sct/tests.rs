//! Tests of SCTs and CT leaves: each way in which reading can fail, and that all print back.

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
    let key =
        PublicKey::from_p256_coordinates(point[1..33].try_into().unwrap(), point[33..].try_into().unwrap()).unwrap();
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
