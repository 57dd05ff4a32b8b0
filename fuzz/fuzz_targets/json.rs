//! What we read as JSON others do too; canonical JSON is its own canonical form.
#![no_main]

use verify::json;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = json::parse(bytes, "document", 1 << 20, 64) else {
        return;
    };
    assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
    if let Ok(canonical) = json::canonicalize(&value) {
        let again = json::parse(&canonical, "document", 1 << 24, 64).expect("canonical JSON");
        assert_eq!(json::canonicalize(&again), Ok(canonical));
    }
});
