//! The 914 Ed25519 edge cases of C2SP CCTV, each with flags that say what is odd about it.
//!
//! Every one of them verifies under some implementation. Ours refuses each that carries any flag: no honest signer makes
//! such a key or signature, and two verifiers that disagree are a way to split a log's readers.

use std::collections::BTreeMap;

use verify::{PublicKey, key::SignatureScheme};

#[test]
fn every_odd_key_or_signature_is_refused() {
    let Some(cases) = super::read("ed25519/ed25519vectors.json") else {
        return;
    };
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 914);
    let mut verdicts: BTreeMap<String, [u32; 2]> = BTreeMap::new();
    for case in cases {
        let flags: Vec<&str> = case["flags"].as_array().map_or_else(Vec::new, |flags| {
            flags.iter().filter_map(|flag| flag.as_str()).collect()
        });
        let raw = super::bytes(case, "key").try_into().unwrap();
        let accepted = PublicKey::from_ed25519_bytes(&raw).is_ok_and(|key| {
            key.verify(
                SignatureScheme::Ed25519,
                super::text(case, "msg").as_bytes(),
                &super::bytes(case, "sig"),
            )
            .is_ok()
        });
        verdicts.entry(flags.join(" ")).or_default()[usize::from(accepted)] += 1;
        assert_eq!(accepted, flags.is_empty(), "{case}");
    }
    println!("flags: [refused, accepted]\n{verdicts:#?}");
}
