//! What a signer and the services do.

use verify::{Sha256Digest, UnixTime, bundle::BundleVersion, dsse::IN_TOTO_PAYLOAD_TYPE, entry::Entry};

use super::{ARTIFACT, CheckpointRecipe, EntryKind, Key, LeafRecipe, SIGNED_AT, TokenRecipe};

/// What a signer and the services do. A hook that is `None` does the honest thing.
pub struct Recipe {
    pub signer: Key,
    pub leaf: LeafRecipe,
    /// The in-toto statement; none for a signature over the artifact.
    pub statement: Option<String>,
    pub payload_type: String,
    pub version: BundleVersion,
    pub entry: Option<EntryKind>,
    pub edit_body: fn(Entry) -> Entry,
    pub checkpoint: CheckpointRecipe,
    pub promise_at: UnixTime,
    pub token: Option<TokenRecipe>,
    /// A managed key instead of a certificate: its hint.
    pub key_hint: Option<String>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            signer: Key::p256(),
            leaf: LeafRecipe::default(),
            statement: None,
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            version: BundleVersion::V0_3,
            entry: Some(EntryKind::HashedRekordV002),
            edit_body: |entry| entry,
            checkpoint: CheckpointRecipe::default(),
            promise_at: SIGNED_AT,
            token: Some(TokenRecipe::default()),
            key_hint: None,
        }
    }
}

impl Recipe {
    /// A bundle of a v1 log: no timestamp, the log's promise tells the time.
    pub fn v1(kind: EntryKind) -> Self {
        let recipe = Self {
            entry: Some(kind),
            token: None,
            ..Self::default()
        };
        if kind == EntryKind::HashedRekordV001 {
            recipe
        } else {
            recipe.with_statement()
        }
    }
    pub fn with_statement(mut self) -> Self {
        self.statement = Some(statement(&[(
            "widget-1.0.0.crate",
            "sha256",
            &Sha256Digest::of(ARTIFACT).to_string(),
        )]));
        self
    }
}

pub fn statement(subjects: &[(&str, &str, &str)]) -> String {
    let subjects: Vec<_> = subjects
        .iter()
        .map(|(name, algorithm, digest)| serde_json::json!({"name": name, "digest": {*algorithm: digest}}))
        .collect();
    serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"runDetails": {"builder": {"id": "https://ci.example/builder"}}},
    })
    .to_string()
}
