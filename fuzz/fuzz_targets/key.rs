//! A public key keeps its bytes, as DER and as PEM.
#![no_main]

use verify::PublicKey;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = PublicKey::from_spki_der(bytes) {
        assert_eq!(key.spki_der(), bytes);
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key.clone()));
        assert!(key.verify(key.default_scheme(), bytes, bytes).is_err());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = PublicKey::from_pem(text);
    }
});
