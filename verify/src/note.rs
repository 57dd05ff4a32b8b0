//! Signed notes [C2SP signed-note].

use crate::{Budget, Error, PublicKey};

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
    /// [`Error::Note`] when it is malformed, [`Error::TooLarge`] beyond the budget.
    pub fn parse(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
}

/// Prints text, blank line, signature lines: what [`Note::parse`] read.
impl std::fmt::Display for Note {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// Key id of an Ed25519 note key: SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key), all 32 bytes; the hint is the first four. `key` is the raw 32-byte key.
#[must_use]
pub fn ed25519_key_id(_name: &str, _key: &[u8; 32]) -> [u8; 32] {
    todo!()
}
/// Key id of a log key under protobuf-specs' rules: [`ed25519_key_id`] for Ed25519, SHA-256(SPKI) for ECDSA, the RSA rule of rekor-tiles for RSA.
#[must_use]
pub fn log_key_id(_origin: &str, _key: &PublicKey) -> [u8; 32] {
    todo!()
}
