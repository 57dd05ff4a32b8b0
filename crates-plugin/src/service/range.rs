//! One byte range of an archive [RFC 9110 §14], cut out by the gate itself: the registry is asked for the whole, since only the
//! whole can be held against a digest.

use axum::http::{HeaderMap, header};
use bytes::Bytes;

/// The bytes from `start` up to, but not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What a request wants of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// A part.
    Part(Window),
    /// What is not there.
    Unsatisfiable,
}

impl Wanted {
    /// Of an archive of `total` bytes. Several ranges, other units and conditions on the range are answered with the whole,
    /// as every server may [RFC 9110 §14.2].
    pub(super) fn of(headers: &HeaderMap, total: u64) -> Self {
        let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let range = text.and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
        let Some((first, last)) = range.filter(|_| !headers.contains_key(header::IF_RANGE)) else {
            return Self::Whole;
        };
        let number = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse::<u64>())
        };
        let (start, end) = match (first, last) {
            ("", suffix) => match number(suffix) {
                Some(Ok(length)) => (total.saturating_sub(length), total),
                _ => return Self::Whole,
            },
            (first, "") => match number(first) {
                Some(Ok(start)) => (start, total),
                _ => return Self::Whole,
            },
            (first, last) => match (number(first), number(last)) {
                (Some(Ok(start)), Some(Ok(last))) if start <= last => (start, last.saturating_add(1).min(total)),
                _ => return Self::Whole,
            },
        };
        if start < end {
            Self::Part(Window { start, end })
        } else {
            Self::Unsatisfiable
        }
    }
}

impl Window {
    /// What of a chunk at `offset` is inside.
    pub(super) fn cut(self, offset: u64, chunk: &Bytes) -> Bytes {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let inside = |at: u64| usize::try_from(at.saturating_sub(offset).min(length)).unwrap_or(usize::MAX);
        let (from, to) = (inside(self.start), inside(self.end));
        if from < to && to <= chunk.len() {
            chunk.slice(from..to)
        } else {
            Bytes::new()
        }
    }

    pub(super) const fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn wanted(text: &'static str) -> Wanted {
        Wanted::of(
            &HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(text))]),
            10,
        )
    }

    #[test]
    fn single_ranges_are_read_and_anything_else_is_the_whole() {
        let part = |start, end| Wanted::Part(Window { start, end });
        assert_eq!(wanted("bytes=0-3"), part(0, 4));
        assert_eq!(wanted("bytes=4-"), part(4, 10));
        assert_eq!(wanted("bytes=-3"), part(7, 10));
        assert_eq!(wanted("bytes=-30"), part(0, 10));
        assert_eq!(wanted("bytes=8-99"), part(8, 10));
        for text in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(wanted(text), Wanted::Unsatisfiable, "{text}");
        }
        for text in [
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=3-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes",
        ] {
            assert_eq!(wanted(text), Wanted::Whole, "{text}");
        }
        assert_eq!(Wanted::of(&HeaderMap::new(), 10), Wanted::Whole);
    }

    #[test]
    fn chunks_are_cut_wherever_they_lie() {
        let bytes = Bytes::from_static(b"0123456789");
        for size in 1..=10 {
            for (start, end) in [(0, 10), (0, 1), (3, 7), (9, 10), (2, 2)] {
                let window = Window { start, end };
                let mut offset = 0;
                let mut found = Vec::new();
                for chunk in bytes.chunks(size) {
                    found.extend_from_slice(&window.cut(offset, &Bytes::copy_from_slice(chunk)));
                    offset += u64::try_from(chunk.len()).unwrap();
                }
                let expected = &bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
                assert_eq!(found, expected, "{size} {start} {end}");
            }
        }
    }
}
