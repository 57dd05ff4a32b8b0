//! SCTs, lists of them and leaves of CT tiles print back byte for byte.
#![no_main]

use verify::sct::{self, SignedCertificateTimestamp, TileLeaf};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(sct) = SignedCertificateTimestamp::from_bytes(bytes) {
        assert_eq!(sct.to_bytes(), bytes);
        let _ = sct.leaf_index();
    }
    if let Ok(list) = sct::parse_list(bytes, 16) {
        assert_eq!(sct::encode_list(&list), bytes);
    }
    if let Ok((leaf, length)) = TileLeaf::from_bytes(bytes) {
        assert_eq!(leaf.to_bytes(), bytes[..length]);
    }
});
