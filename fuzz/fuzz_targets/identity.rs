//! A claim prints back byte for byte.
#![no_main]

use verify::identity::Claim;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [number, value @ ..] = bytes else { return };
    let Some(claim) = Claim::from_number(*number) else {
        return;
    };
    if let Ok(text) = claim.decode(value) {
        assert_eq!(claim.encode(&text), value);
    }
});
