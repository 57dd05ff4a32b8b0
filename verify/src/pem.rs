//! PEM blocks [RFC 7468], strict about labels and what surrounds them, liberal about line ends and widths.

use base64::Engine as _;

use crate::base64_text::STANDARD;

/// The bytes of the one block in `text`, which must carry this label; white space around it is allowed, nothing else.
#[must_use]
pub fn decode(label: &str, text: &str) -> Option<Vec<u8>> {
    let mut blocks = decode_all(label, text)?;
    let block = blocks.pop()?;
    blocks.is_empty().then_some(block)
}

/// The bytes of each block in `text`, at least one, all with this label.
#[must_use]
pub fn decode_all(label: &str, text: &str) -> Option<Vec<Vec<u8>>> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim_ascii_end) {
        match open.as_mut() {
            None if line == begin => open = Some(String::new()),
            None if line.is_empty() => {}
            None => return None,
            Some(encoded) if line == end => {
                blocks.push(STANDARD.decode(encoded).ok()?);
                open = None;
            }
            Some(encoded) => encoded.push_str(line),
        }
    }
    (open.is_none() && !blocks.is_empty()).then_some(blocks)
}

/// One block: LF, 64 columns, a newline at the end.
#[must_use]
pub fn encode(label: &str, bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII: every index is a character boundary.
        let (line, next) = rest.split_at_checked(COLUMNS).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// [RFC 7468 §2]
const COLUMNS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_prints_back() {
        for length in [0, 1, 47, 48, 49, 96, 1000] {
            let bytes = vec![0xa5; length];
            let text = encode("PUBLIC KEY", &bytes);
            assert!(text.lines().all(|line| line.len() <= COLUMNS));
            assert_eq!(decode("PUBLIC KEY", &text), Some(bytes.clone()));
            assert_eq!(decode("PUBLIC KEY", &text.replace('\n', "\r\n")), Some(bytes.clone()));
            assert_eq!(decode("PUBLIC KEY", &format!("\n{}\n\n", text.trim())), Some(bytes));
        }
    }

    #[test]
    fn lines_of_another_width_are_read() {
        let text = "-----BEGIN X-----\nAA\nEC\nAwQ=\n-----END X-----";
        assert_eq!(decode("X", text), Some(vec![0, 1, 2, 3, 4]));
    }

    #[test]
    fn another_label_is_refused() {
        assert_eq!(decode("CERTIFICATE", &encode("PUBLIC KEY", b"a")), None);
    }

    #[test]
    fn text_around_a_block_is_refused() {
        let text = encode("X", b"a");
        assert!(decode("X", &text).is_some());
        assert_eq!(decode("X", &format!("subject: a\n{text}")), None);
        assert_eq!(decode("X", &format!("{text}more\n")), None);
    }

    #[test]
    fn two_blocks_are_refused_where_one_is_wanted() {
        let two = [encode("X", b"a"), encode("X", b"b")].concat();
        assert_eq!(decode_all("X", &two), Some(vec![b"a".to_vec(), b"b".to_vec()]));
        assert_eq!(decode("X", &two), None);
    }

    #[test]
    fn an_open_or_broken_block_is_refused() {
        for text in [
            "",
            "-----BEGIN X-----\nYQ==\n",
            "-----BEGIN X-----\nYQ=\n-----END X-----",
            "-----BEGIN X-----\nYR==\n-----END X-----",
            "-----BEGIN X-----\nY Q==\n-----END X-----",
            "-----BEGIN X-----\nYQ==\n-----END Y-----",
            "YQ==\n-----END X-----",
        ] {
            assert_eq!(decode("X", text), None, "{text}");
        }
    }
}
