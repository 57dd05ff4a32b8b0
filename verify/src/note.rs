//! Signed notes [C2SP signed-note] and the key ids of their signers.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{
    Budget, Error, PublicKey,
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
    Sha256::new()
        .chain_update(name)
        .chain_update(b"\n")
        .chain_update(kind)
        .chain_update(key)
        .finalize()
        .into()
}

/// Signature type bytes [signed-note §Signature types].
const ED25519: u8 = 1;
/// [tlog-cosignature]
const COSIGNATURE_V1: u8 = 4;
/// [static-ct-api]
const RFC6962_TREE_HEAD: u8 = 5;
