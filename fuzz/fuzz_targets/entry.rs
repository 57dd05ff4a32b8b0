//! A log entry is the same when it is read again from what we print; a v2 entry prints back byte for byte.
#![no_main]

use fuzz::budget;
use verify::entry::Entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::parse(bytes, &budget()) {
        let body = entry.to_body();
        match entry {
            Entry::HashedRekordV002(_) | Entry::DsseV002(_) => assert_eq!(body, bytes),
            _ => assert_eq!(Entry::parse(&body, &budget()), Ok(entry)),
        }
    }
});
