//! Parsing a real certificate with one thing wrong at a time.

use super::*;

/// A leaf of the public staging instance.
const LEAF: &str = include_str!("../../tests/data/leaf.pem");

fn leaf() -> Vec<u8> {
    der::pem::decode_vec(LEAF.as_bytes()).unwrap().1
}

fn read(der: &[u8]) -> Result<Certificate, Error> {
    Certificate::from_der(der, &Budget::default())
}

#[test]
fn a_real_leaf_is_read() {
    let certificate = read(&leaf()).unwrap();
    let identity = certificate.identity().unwrap();
    assert_eq!(identity.issuer(), "https://token.actions.githubusercontent.com");
    assert_eq!(identity.claims.len(), 21);
    assert_eq!(identity.claim(Claim::SourceRepositoryIdentifier), Some("632596897"));
    assert_eq!(certificate.scts(&Budget::default()).unwrap().len(), 1);
    assert!(!certificate.is_ca());
    assert_eq!(certificate.validity().start.to_string(), "2025-06-12T12:02:16Z");
    assert_eq!(certificate.validity().end.unwrap().to_string(), "2025-06-12T12:12:16Z");
}

#[test]
fn pem_prints_back_and_carriage_returns_are_read() {
    let budget = Budget::default();
    let certificate = Certificate::from_pem(LEAF, &budget).unwrap();
    assert_eq!(certificate.to_pem(), LEAF);
    let windows = LEAF.replace('\n', "\r\n");
    assert_eq!(Certificate::from_pem(&windows, &budget).unwrap(), certificate);
    let other = LEAF.replace("CERTIFICATE", "X509 CRL");
    assert_eq!(Certificate::from_pem(&other, &budget), Err(Error::Certificate));
}

#[test]
fn the_precertificate_differs_by_the_sct_list_alone() {
    let certificate = read(&leaf()).unwrap();
    let tbs = certificate.precertificate_tbs().unwrap();
    let list = certificate
        .extensions
        .iter()
        .find(|extension| extension.oid == SCT_LIST)
        .unwrap();
    assert_eq!(tbs.len(), certificate.tbs().len() - list.whole.len());
    let found = |needle: &[u8]| tbs.windows(needle.len()).any(|window| window == needle);
    for extension in &certificate.extensions {
        assert_eq!(
            found(slice(certificate.der(), &extension.whole)),
            extension.oid != SCT_LIST
        );
    }
    // A certificate without the list is its own precertificate.
    let mut without = certificate.clone();
    without.extensions.retain(|extension| extension.oid != SCT_LIST);
    assert_eq!(without.precertificate_tbs().unwrap(), tbs);
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut der = leaf();
    assert!(read(&der).is_ok());
    der.push(0);
    assert_eq!(read(&der), Err(Error::Certificate));
}

#[test]
fn every_cut_is_refused() {
    let der = leaf();
    for length in 0..der.len() {
        assert!(read(&der[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_larger_certificate_than_the_budget_is_refused() {
    let der = leaf();
    let limited = |limit| {
        let budget = Budget {
            certificate_bytes: limit,
            ..Budget::default()
        };
        Certificate::from_der(&der, &budget).map(|_| ())
    };
    assert_eq!(limited(der.len()), Ok(()));
    let refused = limited(der.len() - 1).unwrap_err();
    assert_eq!(refused.code(), "too-large");
}

#[test]
fn no_flipped_bit_reads_as_the_same_certificate() {
    let honest = leaf();
    let certificate = read(&honest).unwrap();
    for position in 0..honest.len() {
        for bit in 0..8 {
            let mut der = honest.clone();
            der[position] ^= 1 << bit;
            if let Ok(changed) = read(&der) {
                assert_ne!(changed, certificate);
            }
        }
    }
}

#[test]
fn two_statements_of_the_algorithm_must_agree() {
    let honest = leaf();
    // ecdsa-with-SHA384, of which the second is outside the part that is signed.
    let oid = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
    let places: Vec<_> = (0..honest.len()).filter(|at| honest[*at..].starts_with(&oid)).collect();
    assert_eq!(places.len(), 2);
    for place in places {
        let mut der = honest.clone();
        der[place + 7] = 2;
        assert_eq!(read(&der), Err(Error::Certificate));
    }
}
