//! Trusted roots, signing configurations and both in one are the same when read again from what we print.
#![no_main]

use fuzz::budget;
use verify::{
    TrustedRoot,
    signing_config::{ClientTrustConfig, SigningConfig},
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(root) = TrustedRoot::from_json(bytes, &budget()) {
        let printed = root.to_json();
        let again = TrustedRoot::from_json(printed.as_bytes(), &budget()).expect("our own trusted root");
        assert_eq!(again.to_json(), printed);
    }
    if let Ok(config) = ClientTrustConfig::from_json(bytes, &budget()) {
        let printed = config.to_json();
        let again = ClientTrustConfig::from_json(printed.as_bytes(), &budget()).expect("our own trust configuration");
        assert_eq!(again.to_json(), printed);
    }
    if let Ok(config) = SigningConfig::from_json(bytes, &budget()) {
        let printed = config.to_json();
        assert_eq!(SigningConfig::from_json(printed.as_bytes(), &budget()), Ok(config));
    }
});
