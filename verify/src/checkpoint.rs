//! Log checkpoints [C2SP tlog-checkpoint], their witnesses' cosignatures [C2SP tlog-cosignature], and RFC 6962 tree
//! heads inside notes [C2SP static-ct-api].

use base64::Engine as _;

use crate::{
    Budget, Error, PublicKey, UnixTime,
    base64_text::STANDARD,
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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may be blunt")]
mod tests {
    use super::*;
    use crate::{key::KeyId, merkle::empty_root, sct::DigitallySigned};
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
    };
    use proptest::prelude::*;

    const TEXT: &str = "log.example\n10\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

    fn parse(text: &str) -> Result<Checkpoint, Error> {
        Checkpoint::parse(text)
    }

    fn signer() -> (Ed25519KeyPair, PublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = PublicKey::from_ed25519_bytes(pair.public_key().as_ref().try_into().unwrap()).unwrap();
        (pair, key)
    }

    fn line(name: &str, key_id: [u8; 32], signature: &[u8]) -> NoteSignature {
        NoteSignature {
            name: name.to_owned(),
            key_hint: *key_id.first_chunk().unwrap(),
            signature: signature.to_vec(),
        }
    }

    fn signed(text: &str, signatures: Vec<NoteSignature>) -> SignedCheckpoint {
        let note = Note {
            text: text.to_owned(),
            signatures,
        };
        SignedCheckpoint::parse(note.to_string().as_bytes(), &Budget::default()).unwrap()
    }

    #[test]
    fn an_honest_checkpoint_prints_back() {
        for text in [
            TEXT.to_owned(),
            format!("{TEXT}extension one\nextension two\n"),
            TEXT.replace("10", "0"),
            TEXT.replace("10", "18446744073709551615"),
            TEXT.replace("log.example", "rekor.sigstore.dev - 2605736670972794746"),
        ] {
            assert_eq!(parse(&text).unwrap().to_text(), text);
        }
        assert_eq!(parse(TEXT).unwrap().size, 10);
    }

    #[test]
    fn a_missing_or_empty_line_is_refused() {
        let lines: Vec<&str> = TEXT.lines().collect();
        for text in [
            String::new(),
            "\n".to_owned(),
            lines[..1].join("\n") + "\n",
            lines[..2].join("\n") + "\n",
            format!("{}\n{}\n", lines[1], lines[2]),
            format!("{}\n{}\n", lines[0], lines[2]),
            format!("\n{TEXT}"),
            format!("{TEXT}\n"),
            format!("{TEXT}\nextension\n"),
            TEXT.trim_end().to_owned(),
            format!("{TEXT}extension"),
        ] {
            assert_eq!(parse(&text), Err(Error::Checkpoint), "{text:?}");
        }
    }

    #[test]
    fn a_size_that_is_not_canonical_is_refused() {
        for size in [
            "010",
            "00",
            "+10",
            "-1",
            "1e3",
            " 10",
            "10 ",
            "0x10",
            "",
            "18446744073709551616",
            "١٠",
        ] {
            assert_eq!(parse(&TEXT.replace("10", size)), Err(Error::Checkpoint), "{size}");
        }
    }

    #[test]
    fn a_root_that_is_not_canonical_base64_of_32_bytes_is_refused() {
        let root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for other in [
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_=",
            " AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ] {
            assert_eq!(parse(&TEXT.replace(root, other)), Err(Error::Checkpoint), "{other}");
        }
    }

    #[test]
    fn the_line_of_the_log_must_hold() {
        let (pair, key) = signer();
        let id = note::log_key_id("log.example", &key);
        let signature = pair.sign(TEXT.as_bytes());
        let checkpoint = signed(TEXT, vec![line("log.example", id, signature.as_ref())]);
        assert_eq!(checkpoint.verify("log.example", &id, &key), Ok(()));
        let refused = Err(Error::CheckpointSignature);
        assert_eq!(checkpoint.verify("log.examplf", &id, &key), refused);
        assert_eq!(checkpoint.verify("log.example", &[9; 32], &key), refused);
        let other = PublicKey::from_ed25519_bytes(
            Ed25519KeyPair::from_seed_unchecked(&[8; 32])
                .unwrap()
                .public_key()
                .as_ref()
                .try_into()
                .unwrap(),
        )
        .unwrap();
        assert_eq!(checkpoint.verify("log.example", &id, &other), refused);
        let changed = signed(&TEXT.replace("10", "11"), checkpoint.note.signatures.clone());
        assert_eq!(changed.verify("log.example", &id, &key), refused);
    }

    #[test]
    fn lines_of_others_do_not_matter() {
        let (pair, key) = signer();
        let id = note::log_key_id("log.example", &key);
        let honest = line("log.example", id, pair.sign(TEXT.as_bytes()).as_ref());
        let others = vec![
            line("log.example", [9; 32], &[1; 64]),
            line("witness.example", id, &[1; 64]),
            honest.clone(),
        ];
        assert_eq!(signed(TEXT, others).verify("log.example", &id, &key), Ok(()));
    }

    #[test]
    fn a_second_line_of_the_log_that_is_wrong_is_refused() {
        let (pair, key) = signer();
        let id = note::log_key_id("log.example", &key);
        let honest = line("log.example", id, pair.sign(TEXT.as_bytes()).as_ref());
        let wrong = line("log.example", id, &[1; 64]);
        for lines in [vec![honest.clone(), wrong.clone()], vec![wrong, honest]] {
            let checkpoint = signed(TEXT, lines);
            assert_eq!(
                checkpoint.verify("log.example", &id, &key),
                Err(Error::CheckpointSignature)
            );
        }
    }

    #[test]
    fn a_cosignature_tells_its_time() {
        let (pair, key) = signer();
        let time = 1_795_313_743_u64;
        let blob = |message: &str| [&time.to_be_bytes(), pair.sign(message.as_bytes()).as_ref()].concat();
        let id = note::cosignature_key_id("witness.example", key.ed25519_bytes().unwrap());
        let honest = line("witness.example", id, &blob(&cosigned_message(time, TEXT)));
        assert_eq!(
            signed(TEXT, vec![honest]).verify_cosignature("witness.example", &key),
            Ok(UnixTime::from_secs(1_795_313_743))
        );
        let refused = Err(Error::CheckpointSignature);
        for message in [cosigned_message(time + 1, TEXT), TEXT.to_owned()] {
            let wrong = line("witness.example", id, &blob(&message));
            assert_eq!(
                signed(TEXT, vec![wrong]).verify_cosignature("witness.example", &key),
                refused
            );
        }
        let short = line("witness.example", id, &[1; 7]);
        assert_eq!(
            signed(TEXT, vec![short]).verify_cosignature("witness.example", &key),
            refused
        );
        // A log's own signature is no cosignature, even by the same key.
        let own = line(
            "witness.example",
            note::ed25519_key_id("witness.example", key.ed25519_bytes().unwrap()),
            &blob(&cosigned_message(time, TEXT)),
        );
        assert_eq!(
            signed(TEXT, vec![own]).verify_cosignature("witness.example", &key),
            refused
        );
    }

    #[test]
    fn a_tree_head_signature_tells_its_time() {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        let key = PublicKey::from_p256_coordinates(point[1..33].try_into().unwrap(), point[33..].try_into().unwrap())
            .unwrap();
        let blob = |size| {
            let message = sct::tree_head_signed_data(1234, size, &[0; 32]);
            let signed = DigitallySigned {
                algorithm: [4, 3],
                signature: pair.sign(&random, &message).unwrap().as_ref().to_vec(),
            };
            [1234_u64.to_be_bytes().as_slice(), &signed.to_bytes()].concat()
        };
        let id = note::tree_head_key_id("log.example", &key.id());
        let verify = |blob: &[u8], id| signed(TEXT, vec![line("log.example", id, blob)]).verify_tree_head(&key);
        assert_eq!(verify(&blob(10), id), Ok(1234));
        let refused = Err(Error::CheckpointSignature);
        assert_eq!(verify(&blob(11), id), refused);
        assert_eq!(verify(&[blob(10), vec![0]].concat(), id), refused);
        assert_eq!(
            verify(&blob(10), note::tree_head_key_id("log.example", &KeyId([0; 32]))),
            refused
        );
    }

    proptest! {
        #[test]
        fn any_checkpoint_that_is_written_is_read(
            origin in "[^\u{0}-\u{1f}]{1,30}",
            size: u64,
            root: [u8; 32],
            extensions in prop::collection::vec("[^\n]{1,20}", 0..4),
        ) {
            let checkpoint = Checkpoint { origin, size, root, extensions };
            prop_assert_eq!(parse(&checkpoint.to_text()), Ok(checkpoint));
        }

        #[test]
        fn any_checkpoint_that_is_read_prints_back(text in "[a\n]{0,3}[0-2+]{0,3}\n[AB]{42}[A-F]{1}=\n{1,2}[a\n]{0,3}") {
            if let Ok(checkpoint) = parse(&text) {
                prop_assert_eq!(checkpoint.to_text(), text);
            }
        }
    }

    #[test]
    fn the_empty_tree_has_a_checkpoint() {
        let checkpoint = Checkpoint {
            origin: "log.example".to_owned(),
            size: 0,
            root: empty_root(),
            extensions: Vec::new(),
        };
        assert_eq!(
            checkpoint.to_text(),
            "log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        );
    }
}
