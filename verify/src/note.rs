//! Signed notes [C2SP signed-note] and the key ids of their signers.

use std::fmt;

use base64::Engine as _;

use crate::{
    Budget, Error, PublicKey,
    base64_text::STANDARD,
    digest,
    key::{KeyId, KeyKind},
};

/// A text and the signatures below it, as read; nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The signed text, ending in a newline.
    pub text: String,
    /// The signature lines in order.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Key name: no Unicode space, no `+`, not empty.
    pub name: String,
    /// First four bytes of the key id.
    pub key_hint: [u8; 4],
    /// The bytes after the hint.
    pub signature: Vec<u8>,
}

impl Note {
    /// Parses a signed note.
    ///
    /// # Errors
    /// [`Error::Note`] when it is malformed, [`Error::TooLarge`] and [`Error::TooMany`] beyond the budget.
    pub fn parse(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        if bytes.len() > budget.note_bytes {
            return Err(Error::TooLarge {
                what: "note",
                limit: budget.note_bytes,
            });
        }
        let note = std::str::from_utf8(bytes).map_err(|_| Error::Note)?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(Error::Note);
        }
        // The last blank line divides: the text may hold others.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(Error::Note)?;
        let lines = lines.strip_suffix('\n').ok_or(Error::Note)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == budget.note_signatures {
                return Err(Error::TooMany {
                    what: "note signatures",
                    limit: budget.note_signatures,
                });
            }
            signatures.push(NoteSignature::parse(line).ok_or(Error::Note)?);
        }
        Ok(Self {
            text: format!("{text}\n"),
            signatures,
        })
    }
}

/// Prints text, blank line, signature lines: what [`Note::parse`] read.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let blob = STANDARD.decode(blob).ok()?;
        let (key_hint, signature) = blob.split_first_chunk()?;
        (is_key_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_hint: *key_hint,
            signature: signature.to_vec(),
        })
    }
}

/// The line without its newline: em dash, name, base64 of hint and signature.
impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = [self.key_hint.as_slice(), &self.signature].concat();
        write!(f, "\u{2014} {} {}", self.name, STANDARD.encode(blob))
    }
}

/// Whether `name` may name a note key: not empty, no Unicode space, no `+` [signed-note §Format].
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|character| character.is_whitespace() || character == '+')
}

/// Name and key of a witness, from its verifier key `<name>+<hint>+<base64 of 0x04 and the Ed25519 key>`
/// [C2SP signed-note §Verifier keys, tlog-cosignature §Format].
///
/// # Errors
/// [`Error::Note`] when it is malformed or of another kind, or when the hint is not that of name and key.
pub fn witness_key(text: &str) -> Result<(String, PublicKey), Error> {
    let read = || {
        let (name, rest) = text.split_once('+')?;
        let (hint, encoded) = rest.split_once('+')?;
        let blob = STANDARD.decode(encoded).ok()?;
        let raw = blob.strip_prefix(&[COSIGNATURE_V1])?.try_into().ok()?;
        let id = cosignature_key_id(name, &raw);
        let belongs = id.starts_with(&hex::decode(hint).ok()?) && hint.len() == 8;
        let key = PublicKey::from_ed25519_bytes(&raw).ok()?;
        (is_key_name(name) && belongs).then(|| (name.to_owned(), key))
    };
    read().ok_or(Error::Note)
}

/// Key id of an Ed25519 note key: SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key), all 32 bytes; the hint is the first four. `key` is the raw 32-byte key.
#[must_use]
pub fn ed25519_key_id(name: &str, key: &[u8; 32]) -> [u8; 32] {
    key_id(name, &[ED25519], key)
}

/// Key id of a witness's Ed25519 cosignature key: SHA-256(name ‖ 0x0A ‖ 0x04 ‖ key) [C2SP tlog-cosignature].
#[must_use]
pub fn cosignature_key_id(name: &str, key: &[u8; 32]) -> [u8; 32] {
    key_id(name, &[COSIGNATURE_V1], key)
}

/// Key id of a static CT log: SHA-256(name ‖ 0x0A ‖ 0x05 ‖ log id) [C2SP static-ct-api §Checkpoints].
#[must_use]
pub fn tree_head_key_id(name: &str, log_id: &KeyId) -> [u8; 32] {
    key_id(name, &[RFC6962_TREE_HEAD], &log_id.0)
}

/// Key id of a log key under protobuf-specs' rules: [`ed25519_key_id`] for Ed25519, SHA-256(SPKI) for ECDSA, the RSA rule of rekor-tiles for RSA.
#[must_use]
pub fn log_key_id(origin: &str, key: &PublicKey) -> [u8; 32] {
    match (key.kind(), key.ed25519_bytes()) {
        (KeyKind::Ed25519, Some(raw)) => ed25519_key_id(origin, raw),
        (KeyKind::Rsa { .. }, _) => key_id(origin, b"\xffPKIX-RSA-PKCS#1v1.5", key.spki_der()),
        (KeyKind::Ed25519 | KeyKind::P256 | KeyKind::P384 | KeyKind::P521, _) => key.id().0,
    }
}

fn key_id(name: &str, kind: &[u8], key: &[u8]) -> [u8; 32] {
    digest::sha256_of_parts(&[name.as_bytes(), b"\n", kind, key])
}

/// Signature type bytes [signed-note §Signature types].
const ED25519: u8 = 1;
/// [tlog-cosignature]
const COSIGNATURE_V1: u8 = 4;
/// [static-ct-api]
const RFC6962_TREE_HEAD: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    const HONEST: &str = "log.example\n1\nroot\n\n\u{2014} log.example AAECAwQ=\n\u{2014} witness.example AQIDBAU=\n";

    fn parse(text: &str) -> Result<Note, Error> {
        Note::parse(text.as_bytes(), &Budget::default())
    }

    #[test]
    fn an_honest_note_prints_back() {
        let note = parse(HONEST).unwrap();
        assert_eq!(note.text, "log.example\n1\nroot\n");
        let names: Vec<&str> = note.signatures.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["log.example", "witness.example"]);
        assert_eq!(
            (note.signatures[0].key_hint, note.signatures[0].signature.as_slice()),
            ([0, 1, 2, 3], &[4][..])
        );
        assert_eq!(note.to_string(), HONEST);
    }

    #[test]
    fn the_last_blank_line_divides_text_and_signatures() {
        let note = parse("a\n\nb\n\n\u{2014} log.example AAECAwQ=\n").unwrap();
        assert_eq!(note.text, "a\n\nb\n");
    }

    #[test]
    fn a_note_without_signature_is_refused() {
        for text in [
            "",
            "\n",
            "\n\n",
            "a\n",
            "a\n\n",
            "a\n\n\n",
            "log.example\n1\nroot\n\u{2014} log.example AAECAwQ=\n",
        ] {
            assert_eq!(parse(text), Err(Error::Note), "{text:?}");
        }
    }

    #[test]
    fn a_note_that_does_not_end_in_a_newline_is_refused() {
        assert_eq!(parse(HONEST.trim_end()), Err(Error::Note));
        assert_eq!(parse(&format!("{HONEST}\n")), Err(Error::Note));
        assert_eq!(parse(&format!("{HONEST}more")), Err(Error::Note));
    }

    #[test]
    fn a_malformed_signature_line_is_refused() {
        for line in [
            "- log.example AAECAwQ=",
            "\u{2014}log.example AAECAwQ=",
            "\u{2014}  log.example AAECAwQ=",
            "\u{2014} log.example  AAECAwQ=",
            "\u{2014} log.example",
            "\u{2014}  AAECAwQ=",
            "\u{2014} log+example AAECAwQ=",
            "\u{2014} log\u{a0}example AAECAwQ=",
            "\u{2014} log.example AAECAwQ= more",
            "\u{2014} log.example ",
        ] {
            assert_eq!(parse(&format!("a\n\n{line}\n")), Err(Error::Note), "{line}");
        }
    }

    #[test]
    fn a_signature_that_is_not_canonical_base64_of_five_bytes_is_refused() {
        assert!(parse("a\n\n\u{2014} log.example AAECAwQ=\n").is_ok());
        for blob in [
            "AAECAw==",
            "AAE=",
            "AAECAwQ",
            "AAECAwR=",
            "AAECA_Q=",
            "AAEC AwQ=",
            "AAECAwQ==",
        ] {
            assert_eq!(
                parse(&format!("a\n\n\u{2014} log.example {blob}\n")),
                Err(Error::Note),
                "{blob}"
            );
        }
    }

    #[test]
    fn control_characters_and_broken_utf8_are_refused() {
        assert!(parse(&HONEST.replace("root", "ro\u{7f}\u{80}ot")).is_ok());
        for character in ["\r", "\t", "\0", "\u{1f}"] {
            assert_eq!(parse(&HONEST.replace("root", character)), Err(Error::Note));
        }
        let mut bytes = HONEST.as_bytes().to_vec();
        bytes[0] = 0xff;
        assert_eq!(Note::parse(&bytes, &Budget::default()), Err(Error::Note));
    }

    #[test]
    fn a_note_over_the_budget_is_refused() {
        let at = |note_bytes, note_signatures| {
            let budget = Budget {
                note_bytes,
                note_signatures,
                ..Budget::default()
            };
            Note::parse(HONEST.as_bytes(), &budget)
        };
        assert!(at(HONEST.len(), 2).is_ok());
        assert_eq!(at(HONEST.len() - 1, 2).unwrap_err().code(), "too-large");
        assert_eq!(at(HONEST.len(), 1).unwrap_err().code(), "too-many");
    }

    #[test]
    fn sixteen_signatures_are_accepted() {
        let lines = "\u{2014} log.example AAECAwQ=\n".repeat(16);
        assert_eq!(parse(&format!("a\n\n{lines}")).unwrap().signatures.len(), 16);
    }

    #[test]
    fn key_ids_are_those_of_rekor_v2() {
        // From the public instance's documentation: origin, raw key, key id.
        let raw = hex::decode("444bc9c8d6468d7e81dc3008b83dc14e0f6b230574d0663c5e0e4553e2050d44").unwrap();
        let key = PublicKey::from_ed25519_bytes(&raw.try_into().unwrap()).unwrap();
        let expected = "2AtEIMfG6Y41yK0tcwRTBS2tjhOrjKGIpDkHFgp65g0=";
        assert_eq!(STANDARD.encode(log_key_id("rekor-local", &key)), expected);
        assert_ne!(STANDARD.encode(log_key_id("rekor-locam", &key)), expected);
    }

    #[test]
    fn a_witness_is_named_by_its_verifier_key() {
        // Of a public witness; its cosignatures begin with this hint.
        let honest = "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G";
        let (name, key) = witness_key(honest).unwrap();
        assert_eq!(name, "witness.navigli.sunlight.geomys.org");
        let id = cosignature_key_id(&name, key.ed25519_bytes().unwrap());
        assert_eq!(hex::encode(&id[..4]), "a3e00fe2");
        let short = [4, 1, 2, 3];
        let raw = key.ed25519_bytes().unwrap();
        let of_another_kind = [[1].as_slice(), raw].concat();
        let with = |blob: &[u8]| {
            let id = key_id("a", &blob[..1], &blob[1..]);
            format!("a+{}+{}", hex::encode(&id[..4]), STANDARD.encode(blob))
        };
        assert!(witness_key(&with(&[[4].as_slice(), raw].concat())).is_ok());
        for wrong in [
            String::new(),
            "witness.example".to_owned(),
            "witness.example+a3e00fe2".to_owned(),
            honest.replace("navigli", "another"),
            honest.replace("a3e00fe2", "a3e00fe3"),
            honest.replace("a3e00fe2", "a3e00f"),
            honest.replace("a3e00fe2", ""),
            honest.replace("+BNy", "+BNz"),
            format!("{honest}A"),
            format!(" {honest}"),
            with(&short),
            with(&of_another_kind),
        ] {
            assert_eq!(witness_key(&wrong), Err(Error::Note), "{wrong}");
        }
    }

    #[test]
    fn kinds_of_keys_have_kinds_of_ids() {
        let key = [7; 32];
        let ids = [
            ed25519_key_id("a", &key),
            cosignature_key_id("a", &key),
            tree_head_key_id("a", &KeyId(key)),
        ];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        assert_eq!(
            ids[0],
            <[u8; 32]>::from(Sha256::digest([b"a\n\x01".as_slice(), &key].concat()))
        );
        assert_eq!(
            ids[1],
            <[u8; 32]>::from(Sha256::digest([b"a\n\x04".as_slice(), &key].concat()))
        );
        assert_eq!(
            ids[2],
            <[u8; 32]>::from(Sha256::digest([b"a\n\x05".as_slice(), &key].concat()))
        );
    }

    proptest! {
        #[test]
        fn any_note_that_is_read_prints_back(text in "[a-c\n]{0,12}\n\n(\u{2014} [a-z+ ]{1,3} [A-D=]{8}\n){0,3}") {
            if let Ok(note) = parse(&text) {
                prop_assert_eq!(note.to_string(), text);
            }
        }

        #[test]
        fn any_note_that_is_written_is_read(
            text in "([^\u{0}-\u{1f}]{0,20}\n){1,5}",
            lines in prop::collection::vec(("[^+\\s\u{0}-\u{1f}]{1,20}", any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 1..100)), 1..5),
        ) {
            let signatures = lines
                .into_iter()
                .map(|(name, key_hint, signature)| NoteSignature { name, key_hint, signature })
                .filter(|line| is_key_name(&line.name))
                .collect::<Vec<_>>();
            prop_assume!(!signatures.is_empty());
            let note = Note { text, signatures };
            prop_assert_eq!(parse(&note.to_string()), Ok(note));
        }
    }
}
