//! The log entries and checkpoints of real bundles print back byte for byte.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use verify::{Budget, checkpoint::SignedCheckpoint, entry::Entry, merkle::leaf_hash};

/// Each log entry of each bundle that is JSON, with the bundle's name.
fn log_entries() -> Option<Vec<(String, Value)>> {
    let mut entries = Vec::new();
    for folder in std::fs::read_dir(super::folder()?.join("bundles")).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let Ok(text) = std::fs::read(folder.path().join("bundle.sigstore.json")) else {
            continue;
        };
        let Ok(bundle) = serde_json::from_slice::<Value>(&text) else {
            continue;
        };
        for entry in bundle["verificationMaterial"]["tlogEntries"].as_array().unwrap() {
            entries.push((name.clone(), entry.clone()));
        }
    }
    assert!(entries.len() > 20, "{}", entries.len());
    Some(entries)
}

#[test]
fn entries_of_honest_bundles_print_back() {
    let Some(entries) = log_entries() else { return };
    for (name, entry) in entries.into_iter().filter(|(name, _)| !name.ends_with("_fail")) {
        let body = STANDARD.decode(super::text(&entry, "canonicalizedBody")).unwrap();
        let parsed = Entry::parse(&body, &Budget::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(parsed.to_body(), body, "{name}");
        assert_eq!(parsed.kind(), super::text(&entry["kindVersion"], "kind"));
        assert_eq!(parsed.kind_version(), super::text(&entry["kindVersion"], "version"));
    }
}

#[test]
fn checkpoints_of_honest_bundles_print_back() {
    let Some(entries) = log_entries() else { return };
    let mut seen = 0;
    for (name, entry) in entries.into_iter().filter(|(name, _)| !name.ends_with("_fail")) {
        let Some(envelope) = entry["inclusionProof"]["checkpoint"]["envelope"].as_str() else {
            continue;
        };
        let signed = SignedCheckpoint::parse(envelope.as_bytes(), &Budget::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(signed.note.to_string(), envelope, "{name}");
        assert_eq!(signed.checkpoint.to_text(), signed.note.text, "{name}");
        assert_eq!(
            signed.checkpoint.size.to_string(),
            super::text(&entry["inclusionProof"], "treeSize")
        );
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn the_leaf_of_a_known_entry_is_known() {
    let Some(entries) = log_entries() else { return };
    let (_, entry) = entries
        .into_iter()
        .find(|(name, _)| name == "rekor2-checkpoint-cosigned")
        .unwrap();
    let body = STANDARD.decode(super::text(&entry, "canonicalizedBody")).unwrap();
    assert_eq!(body.len(), 3175);
    let leaf = "78470eff2921878c2141726b650bf349099c37850a731f287a6accf35d40441f";
    assert_eq!(hex::encode(leaf_hash(&body)), leaf);
}
