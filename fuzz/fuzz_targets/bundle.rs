//! A bundle that is read is the same when it is read again from what we print.
#![no_main]

use fuzz::budget;
use verify::Bundle;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = Bundle::from_json(bytes, &budget()) {
        let printed = bundle.to_json();
        assert_eq!(Bundle::from_json(printed.as_bytes(), &budget()), Ok(bundle));
    }
});
