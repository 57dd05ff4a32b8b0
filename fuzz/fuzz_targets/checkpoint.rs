//! A signed checkpoint prints back byte for byte.
#![no_main]

use fuzz::budget;
use verify::checkpoint::SignedCheckpoint;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = SignedCheckpoint::parse(bytes, &budget()) {
        assert_eq!(signed.checkpoint.to_text(), signed.note.text);
        assert_eq!(signed.note.to_string().as_bytes(), bytes);
    }
});
