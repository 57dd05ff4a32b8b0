//! An RFC 3161 response is read or refused.
#![no_main]

use fuzz::budget;
use verify::timestamp::Timestamp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(timestamp) = Timestamp::from_der(bytes, &budget()) {
        let _ = (timestamp.at(), timestamp.imprint(), timestamp.nonce());
        let _ = timestamp.check_imprint(bytes);
    }
});
