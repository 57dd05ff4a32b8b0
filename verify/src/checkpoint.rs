//! Log checkpoints [C2SP tlog-checkpoint] and RFC 6962 tree heads inside notes [C2SP static-ct-api].

use crate::{Budget, Error, merkle::NodeHash, note::Note};

/// What a checkpoint says: origin, tree size, root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// First line: the log's name.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Merkle root of that many leaves.
    pub root: NodeHash,
    /// Further non-empty lines.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Parses the text of a note.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a line is missing, the size has a leading zero, or the root is not 32 bytes of canonical base64.
    pub fn parse(_text: &str) -> Result<Self, Error> {
        todo!()
    }
    /// The note text: what is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        todo!()
    }
}

/// A checkpoint with its signatures, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note around it.
    pub note: Note,
}

impl SignedCheckpoint {
    /// Parses a whole signed checkpoint.
    ///
    /// # Errors
    /// As [`Note::parse`] and [`Checkpoint::parse`].
    pub fn parse(_bytes: &[u8], _budget: &Budget) -> Result<Self, Error> {
        todo!()
    }
    /// Checks the signature line named `name` whose hint is that of `key_id`, made by `key` with its default scheme.
    ///
    /// # Errors
    /// [`Error::CheckpointSignature`] when there is none or it does not verify.
    pub fn verify(&self, _name: &str, _key_id: &[u8; 32], _key: &crate::PublicKey) -> Result<(), Error> {
        todo!()
    }
}
