//! Entry bundles and tile paths print back byte for byte.
#![no_main]

use verify::tile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(entries) = tile::parse_entry_bundle(bytes) {
        assert_eq!(tile::encode_entry_bundle(&entries).as_deref(), Ok(bytes));
    }
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    if let Ok((index, width)) = tile::parse_index_path(path) {
        assert_eq!(
            tile::bundle_path("entries", index, width),
            format!("tile/entries/{path}")
        );
    }
});
