//! An index line is the same when it is read again from what we write, and differs from itself in nothing.
#![no_main]

use fuzz::registry;
use package::{Registries, publish::IndexLine};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let registries = Registries::crates_io();
    let Ok(line) = IndexLine::from_json(bytes, &registries) else {
        return;
    };
    assert_eq!(line.description.differences(&line.description), []);
    let mut written = registry::line(&line.description);
    written["cksum"] = line.checksum.as_str().into();
    written["yanked"] = line.yanked.into();
    let again = IndexLine::from_json(written.to_string().as_bytes(), &registries);
    assert_eq!(again, Ok(line));
});
