//! Log checkpoints [C2SP tlog-checkpoint], their witnesses' cosignatures [C2SP tlog-cosignature], and RFC 6962 tree
//! heads inside notes [C2SP static-ct-api].

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    Budget, Error, PublicKey, UnixTime,
    key::SignatureScheme,
    merkle::NodeHash,
    note::{self, Note, NoteSignature},
    sct,
};

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

/// A checkpoint with its signatures, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note around it.
    pub note: Note,
}

impl Checkpoint {
    /// Parses the text of a note.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a line is missing, the size has a leading zero, or the root is not 32 bytes of canonical base64.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = text.strip_suffix('\n').ok_or(Error::Checkpoint)?.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(Error::Checkpoint);
        let origin = line()?.to_owned();
        let size = parse_size(line()?).ok_or(Error::Checkpoint)?;
        let root = parse_root(line()?).ok_or(Error::Checkpoint)?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(Error::Checkpoint);
        }
        Ok(Self {
            origin,
            size,
            root,
            extensions,
        })
    }

    /// The note text: what is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root));
        for extension in &self.extensions {
            text.push_str(extension);
            text.push('\n');
        }
        text
    }
}

impl SignedCheckpoint {
    /// Parses a whole signed checkpoint.
    ///
    /// # Errors
    /// As [`Note::parse`] and [`Checkpoint::parse`].
    pub fn parse(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        let note = Note::parse(bytes, budget)?;
        let checkpoint = Checkpoint::parse(&note.text)?;
        Ok(Self { checkpoint, note })
    }

    /// Checks the signature line named `name` whose hint is that of `key_id`, made by `key` with its default scheme.
    /// Where there are several such lines, all must hold: two signatures of one key cannot both be wanted if one is wrong.
    ///
    /// # Errors
    /// [`Error::CheckpointSignature`] when there is none or it does not verify.
    pub fn verify(&self, name: &str, key_id: &[u8; 32], key: &PublicKey) -> Result<(), Error> {
        self.verify_lines(name, key_id, |signature| {
            key.verify(key.default_scheme(), self.note.text.as_bytes(), signature)
                .ok()
        })?;
        Ok(())
    }

    /// Checks the cosignature of the witness `name` and tells when it saw this checkpoint [tlog-cosignature §Format].
    ///
    /// # Errors
    /// [`Error::CheckpointSignature`] when there is none, it does not verify, or the key is not Ed25519.
    pub fn verify_cosignature(&self, name: &str, key: &PublicKey) -> Result<UnixTime, Error> {
        let raw = key.ed25519_bytes().ok_or(Error::CheckpointSignature)?;
        self.verify_lines(name, &note::cosignature_key_id(name, raw), |blob| {
            let (time, signature) = blob.split_first_chunk()?;
            let time = u64::from_be_bytes(*time);
            let message = cosigned_message(time, &self.note.text);
            key.verify(SignatureScheme::Ed25519, message.as_bytes(), signature)
                .ok()?;
            i64::try_from(time).ok().map(UnixTime::from_secs)
        })
    }

    /// Checks the RFC 6962 tree head signature of a static CT log and tells its time in milliseconds [static-ct-api §Checkpoints].
    ///
    /// # Errors
    /// [`Error::CheckpointSignature`] when there is none or it does not verify.
    pub fn verify_tree_head(&self, key: &PublicKey) -> Result<u64, Error> {
        let origin = &self.checkpoint.origin;
        self.verify_lines(origin, &note::tree_head_key_id(origin, &key.id()), |blob| {
            let (timestamp, signed) = blob.split_first_chunk()?;
            let timestamp_ms = u64::from_be_bytes(*timestamp);
            let message = sct::tree_head_signed_data(timestamp_ms, self.checkpoint.size, &self.checkpoint.root);
            sct::DigitallySigned::from_bytes(signed)
                .and_then(|signed| signed.verify(key, &message))
                .ok()?;
            Some(timestamp_ms)
        })
    }

    /// What `check` makes of the line of this key; of several, the last.
    fn verify_lines<T>(&self, name: &str, key_id: &[u8; 32], check: impl Fn(&[u8]) -> Option<T>) -> Result<T, Error> {
        let belongs = |line: &&NoteSignature| line.name == name && key_id.starts_with(&line.key_hint);
        let mut found = None;
        for line in self.note.signatures.iter().filter(belongs) {
            found = Some(check(&line.signature).ok_or(Error::CheckpointSignature)?);
        }
        found.ok_or(Error::CheckpointSignature)
    }
}

/// What a witness signs [tlog-cosignature §Format]. `time` is in seconds.
#[must_use]
pub fn cosigned_message(time: u64, checkpoint_text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{checkpoint_text}")
}

/// A decimal number without sign or leading zero.
fn parse_size(line: &str) -> Option<u64> {
    let canonical = line == "0" || line.starts_with(|first: char| matches!(first, '1'..='9'));
    canonical.then(|| line.parse().ok())?
}

fn parse_root(line: &str) -> Option<NodeHash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}
