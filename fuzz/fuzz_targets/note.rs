//! A signed note prints back byte for byte.
#![no_main]

use fuzz::budget;
use verify::note::Note;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(bytes, &budget()) {
        assert_eq!(note.to_string().as_bytes(), bytes);
    }
});
