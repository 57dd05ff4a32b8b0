//! A publish request splits into what joins to the same bytes, and says what the index line says that a registry makes of it.
#![no_main]

use fuzz::registry;
use package::{
    PublishRequest, Registries,
    publish::{self, IndexLine},
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = PublishRequest::split(bytes) {
        let body = publish::join(request.metadata, request.archive).expect("parts of a body");
        assert_eq!(body, bytes);
        metadata(request);
    }
    // The same bytes as metadata: lengths that fit are hard to come by.
    let body = publish::join(bytes, b"crate").expect("a body");
    if let Ok(request) = PublishRequest::split(&body) {
        assert_eq!((request.metadata, request.archive), (bytes, &b"crate"[..]));
        metadata(request);
    }
});

fn metadata(request: PublishRequest<'_>) {
    let registries = Registries::crates_io();
    let Ok(description) = request.description(&registries) else {
        return;
    };
    assert_eq!(description.differences(&description), []);
    let document = serde_json::from_slice(request.metadata).expect("what was read as JSON");
    let line = registry::line_of_request(&document).to_string();
    let line = IndexLine::from_json(line.as_bytes(), &registries).expect("a registry's line");
    assert_eq!(description.differences(&line.description), []);
    let written = registry::request(&description).to_string();
    let body = publish::join(written.as_bytes(), b"").expect("a body");
    if let Ok(again) = PublishRequest::split(&body) {
        assert_eq!(again.description(&registries), Ok(description));
    }
}
