//! What is damaged, missing or strange in a repository's folder is noticed, wherever it is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod common;

use std::{collections::BTreeSet, fs, path::Path};

use common::{Keys, NOW, targets};
use tuf_root::{
    Error,
    draft::Rotation,
    key::{Algorithm, SigningKey},
    repository::{self, CreateOptions, Lifetimes},
};

/// Every byte of every file is changed in turn: one bit, letter case, or a digit that stays printable.
#[test]
fn each_damaged_byte_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let (key, online) = (
        SigningKey::generate(Algorithm::Ed25519).unwrap(),
        SigningKey::generate(Algorithm::Ed25519).unwrap(),
    );
    let options = CreateOptions {
        root_keys: std::slice::from_ref(&key),
        root_threshold: 1,
        targets_keys: std::slice::from_ref(&key),
        targets_threshold: 1,
        online_key: &online,
        targets: &targets("first"),
        lifetimes: Lifetimes::default(),
    };
    repository::create(dir, &options, NOW).unwrap();
    let tried = damage_everything(dir, 1);
    assert!(tried > 3000, "{tried}");
}

/// Old targets and snapshots, the middle of the root chain, and signatures beyond the threshold.
#[test]
fn a_damaged_past_is_noticed_too() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let roots: Vec<&SigningKey> = keys.root.iter().collect();
    repository::publish(
        dir,
        &targets("second"),
        &BTreeSet::new(),
        &[&keys.targets[0]],
        &keys.online,
        NOW,
    )
    .unwrap();
    repository::rotate(dir, &Rotation::default(), &roots, &[], NOW).unwrap();
    repository::rotate(dir, &Rotation::default(), &roots, &[], NOW).unwrap();
    let tried = damage_everything(dir, 17);
    assert!(tried > 500, "{tried}");
}

/// Changes every `step`th byte of every file, cuts, extends and removes each; returns how many bytes were changed.
fn damage_everything(dir: &Path, step: usize) -> usize {
    repository::verify(dir, NOW).unwrap();
    let newest_root = dir.join(format!("{}.root.json", repository::heads(dir).unwrap().root.version));
    let mut tried = 0;
    for path in all_files(dir) {
        let good = fs::read(&path).unwrap();
        for position in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[position] ^= [0x01, 0x20, 0x29][position % 3];
            fs::write(&path, &bad).unwrap();
            assert!(
                repository::verify(dir, NOW).is_err(),
                "{} byte {position}",
                path.display()
            );
            tried += 1;
        }
        for bad in [&good[..good.len() - 1], &[good.as_slice(), b"\n"].concat(), b""] {
            fs::write(&path, bad).unwrap();
            assert!(
                repository::verify(dir, NOW).is_err(),
                "{} of {} bytes",
                path.display(),
                bad.len()
            );
        }
        fs::remove_file(&path).unwrap();
        // nothing names old versions, nor the newest root: a reader without it is a reader of yesterday
        let current = repository::heads(dir).is_err() || repository::verify(dir, NOW).is_err();
        let unnamed = path == newest_root && step > 1 || is_old(&path, dir);
        assert_eq!(current, !unnamed, "{} removed", path.display());
        fs::write(&path, &good).unwrap();
    }
    repository::verify(dir, NOW).unwrap();
    tried
}

/// Whether only an earlier version names the file.
fn is_old(path: &Path, dir: &Path) -> bool {
    // There is a second version in some of the folders only; where there is no file, nothing is named in it.
    let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    let newest_targets = ["2.targets.json", "1.targets.json"]
        .map(text)
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default();
    let name = path.file_name().unwrap().to_str().unwrap();
    match name.split_once('.').unwrap() {
        ("1", "targets.json" | "snapshot.json") => dir.join("2.targets.json").exists(),
        (digest, _) => digest.len() == 64 && !newest_targets.contains(digest),
    }
}

fn all_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else if fs::metadata(&path).unwrap().len() > 0 {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn a_gap_in_the_root_chain_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let roots: Vec<&SigningKey> = keys.root.iter().collect();
    for _ in 0..2 {
        repository::rotate(dir, &Rotation::default(), &roots, &[], NOW).unwrap();
    }
    repository::verify(dir, NOW).unwrap();
    fs::remove_file(dir.join("2.root.json")).unwrap();
    let refused = repository::verify(dir, NOW).unwrap_err();
    assert!(
        matches!(&refused, Error::Missing { file } if file == "2.root.json"),
        "{refused}"
    );
}

#[test]
fn strangers_are_reported_not_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    Keys::new().create(dir).unwrap();
    fs::write(dir.join("README"), "x").unwrap();
    fs::write(dir.join("01.root.json"), "x").unwrap();
    assert_eq!(repository::verify(dir, NOW).unwrap().strangers.len(), 2);
}
