//! Base64 [RFC 4648 §4], padded and canonical, with the widest instructions that the processor has.

use std::sync::LazyLock;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::GeneralPurpose as Standard;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::Simd as Standard;

/// The standard alphabet; what it reads it would write again just so.
pub(crate) static STANDARD: LazyLock<Standard> = LazyLock::new(standard);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn standard() -> Standard {
    Standard::standard(base64::engine::general_purpose::PAD)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn standard() -> Standard {
    base64::engine::general_purpose::STANDARD
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose};
    use proptest::prelude::*;

    use super::*;

    /// Long enough for every block size, and one symbol changed anywhere.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop::collection::vec(any::<u8>(), 0..600);
        (bytes, any::<prop::sample::Index>(), any::<u8>(), 0..4_u8).prop_map(|(bytes, place, symbol, change)| {
            let mut text = general_purpose::STANDARD.encode(bytes).into_bytes();
            match (change, text.is_empty()) {
                (0 | 1, false) => *place.get_mut(&mut text) = symbol,
                (2, false) => text.truncate(place.index(text.len())),
                _ => {}
            }
            text
        })
    }

    proptest! {
        #[test]
        fn it_writes_what_the_plain_engine_writes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(STANDARD.encode(&bytes), general_purpose::STANDARD.encode(&bytes));
        }

        #[test]
        fn it_reads_what_the_plain_engine_reads(text in text()) {
            let read = STANDARD.decode(&text).ok();
            prop_assert_eq!(&read, &general_purpose::STANDARD.decode(&text).ok());
            if let Some(bytes) = read {
                prop_assert_eq!(STANDARD.encode(bytes).into_bytes(), text);
            }
        }
    }
}
