//! Tokens and key sets are read or refused; no token verifies without a key.
#![no_main]

use fuzz::budget;
use verify::token::{JsonWebKeySet, JwsAlgorithm, UnverifiedToken};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let keys = JsonWebKeySet::from_json(bytes, &budget());
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = UnverifiedToken::parse(text, &budget()) {
        let _ = (token.issuer(), token.key_id(), token.claims());
        let none = JsonWebKeySet::from_json(br#"{"keys":[]}"#, &budget()).expect("an empty set");
        let all = [JwsAlgorithm::Rs256, JwsAlgorithm::Es256, JwsAlgorithm::EdDsa];
        assert!(token.verify(&keys.unwrap_or(none), &all).is_err());
    }
});
