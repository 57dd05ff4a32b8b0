//! What is written is read by an independent client, through every change; what is damaged is noticed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod common;

use std::{collections::BTreeSet, fs, path::Path};

use common::{DAY, HOUR, Keys, NOW, read, read_with, targets};
use tuf_root::{
    Error, Role,
    draft::{Detached, Draft, First, Rotation},
    key::{Algorithm, SigningKey},
    repository::{self, CreateOptions, Lifetimes},
};

#[test]
fn a_new_repository_is_read_by_the_sigstore_client() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let heads = Keys::new().create(dir).unwrap();
    assert_eq!(read(dir, NOW).unwrap(), "first");
    assert_eq!(heads, repository::heads(dir).unwrap());
    assert_eq!(heads.timestamp.expires, NOW.plus_secs(DAY));
    let report = repository::verify(dir, NOW).unwrap();
    assert_eq!(report.targets, ["signing_config.v0.2.json", "trusted_root.json"]);
    assert_eq!((report.files, report.strangers.len()), (6, 0));
}

#[test]
fn expiries_have_whole_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    Keys::new().create(dir).unwrap();
    for file in ["1.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json"] {
        let json: serde_json::Value = serde_json::from_slice(&fs::read(dir.join(file)).unwrap()).unwrap();
        let expires = json["signed"]["expires"].as_str().unwrap();
        assert_eq!(expires.len(), "2026-11-22T02:15:43Z".len(), "{file}: {expires}");
    }
}

#[test]
fn a_folder_with_files_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    fs::create_dir(dir).unwrap();
    Keys::new().create(dir).unwrap(); // an empty folder is fine
    let before = fs::read(dir.join("1.root.json")).unwrap();
    assert!(matches!(Keys::new().create(dir), Err(Error::Exists { .. })));
    assert_eq!(fs::read(dir.join("1.root.json")).unwrap(), before);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_refresh_needs_the_online_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let later = NOW.plus_secs(DAY);
    assert!(matches!(
        read(dir, later.plus_secs(1)),
        Err(sigstore_tuf::Error::Expired { .. })
    ));
    let refused = repository::verify(dir, later).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Expired {
                role: Role::Timestamp,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), 1);

    let heads = repository::refresh(dir, &keys.online, later).unwrap();
    assert_eq!(
        (heads.timestamp.version, heads.snapshot.version, heads.targets.version),
        (2, 1, 1)
    );
    assert_eq!(read(dir, later).unwrap(), "first");

    let much_later = NOW.plus_secs(5 * DAY);
    let heads = repository::refresh(dir, &keys.online, much_later).unwrap();
    assert_eq!(
        (heads.timestamp.version, heads.snapshot.version),
        (3, 2),
        "half of the snapshot's life is over"
    );
    assert_eq!(read(dir, much_later.plus_secs(HOUR)).unwrap(), "first");
    repository::verify(dir, much_later).unwrap();
}

#[test]
fn a_refresh_with_another_key_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let before = fs::read(dir.join("timestamp.json")).unwrap();
    let refused = repository::refresh(dir, &keys.root[0], NOW).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Unauthorized {
                role: Role::Timestamp,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(fs::read(dir.join("timestamp.json")).unwrap(), before);
}

#[test]
fn a_refresh_of_expired_targets_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let refused = repository::refresh(dir, &keys.online, NOW.plus_secs(366 * DAY)).unwrap_err();
    assert!(matches!(refused, Error::Expired { role: Role::Root, .. }), "{refused}");
}

#[test]
fn a_refresh_vouches_only_for_what_is_there_and_good() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let rotation = Rotation {
        lifetimes: Some(Lifetimes {
            targets_seconds: 600,
            ..Lifetimes::default()
        }),
        ..Rotation::default()
    };
    let signers: Vec<&SigningKey> = keys.root.iter().chain([&keys.targets[0]]).collect();
    repository::rotate(dir, &rotation, &signers, &[&keys.online], NOW).unwrap();
    repository::refresh(dir, &keys.online, NOW.plus_secs(599)).unwrap();
    let refused = repository::refresh(dir, &keys.online, NOW.plus_secs(600)).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Expired {
                role: Role::Targets,
                ..
            }
        ),
        "{refused}"
    );

    for entry in fs::read_dir(dir.join("targets")).unwrap() {
        let path = entry.unwrap().path();
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            repository::refresh(dir, &keys.online, NOW),
            Err(Error::Missing { .. })
        ));
        fs::write(&path, "x").unwrap();
        assert!(matches!(
            repository::refresh(dir, &keys.online, NOW),
            Err(Error::Integrity { .. })
        ));
        fs::write(&path, good).unwrap();
    }
    repository::refresh(dir, &keys.online, NOW).unwrap();
}

/// The same keys signed it, as the same version: only its digest tells that it is not the one.
#[test]
fn metadata_of_a_twin_repository_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, twin) = (&folder.path().join("tuf"), &folder.path().join("twin"));
    let keys = Keys::new();
    keys.create(dir).unwrap();
    keys.create_at(twin, NOW.plus_secs(1)).unwrap();
    repository::verify(dir, NOW).unwrap();
    for file in ["1.targets.json", "1.snapshot.json"] {
        let good = fs::read(dir.join(file)).unwrap();
        fs::copy(twin.join(file), dir.join(file)).unwrap();
        let refused = repository::verify(dir, NOW).unwrap_err();
        assert!(
            matches!(&refused, Error::Integrity { file: named } if named == file),
            "{refused}"
        );
        assert!(matches!(
            repository::refresh(dir, &keys.online, NOW),
            Err(Error::Integrity { .. })
        ));
        fs::write(dir.join(file), good).unwrap();
    }
}

#[test]
fn publishing_replaces_adds_and_removes_targets() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let old_timestamp = fs::read(dir.join("timestamp.json")).unwrap();
    let remove = BTreeSet::from(["signing_config.v0.2.json".to_owned()]);
    let set = [("trusted_root.json".to_owned(), b"second".to_vec())].into();
    let heads = repository::publish(dir, &set, &remove, &[&keys.targets[1]], &keys.online, NOW).unwrap();
    assert_eq!(
        (heads.targets.version, heads.snapshot.version, heads.timestamp.version),
        (2, 2, 2)
    );
    assert_eq!(read(dir, NOW).unwrap(), "second");
    assert_eq!(repository::verify(dir, NOW).unwrap().targets, ["trusted_root.json"]);

    // a reader that got the old timestamp a moment ago still succeeds
    fs::write(dir.join("timestamp.json"), old_timestamp).unwrap();
    assert_eq!(read(dir, NOW).unwrap(), "first");
}

#[test]
fn publishing_without_a_targets_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let publish = |signers: &[&SigningKey]| {
        repository::publish(dir, &targets("second"), &BTreeSet::new(), signers, &keys.online, NOW)
    };
    assert!(matches!(
        publish(&[]),
        Err(Error::Threshold {
            role: Role::Targets,
            found: 0,
            needed: 1
        })
    ));
    assert!(matches!(
        publish(&[&keys.online]),
        Err(Error::Unauthorized {
            role: Role::Targets,
            ..
        })
    ));
    assert_eq!(read(dir, NOW).unwrap(), "first");
    publish(&[&keys.targets[0]]).unwrap();
    let gone = BTreeSet::from(["other.json".to_owned()]);
    let refused = repository::publish(dir, &targets("x"), &gone, &[&keys.targets[0]], &keys.online, NOW);
    assert!(matches!(refused, Err(Error::NoTarget { .. })));
}

#[test]
fn a_chain_of_rotations_is_followed_from_the_first_root() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let signer = |algorithm| SigningKey::generate(algorithm).unwrap();

    // root keys: one leaves, one comes
    let newcomer = signer(Algorithm::P256);
    let roots = [&keys.root[1], &keys.root[2], &newcomer];
    let rotation = Rotation {
        root_keys: Some(roots.map(|key| key.public().clone()).to_vec()),
        ..Rotation::default()
    };
    let heads = repository::rotate(dir, &rotation, &roots, &[], NOW).unwrap();
    assert_eq!((heads.root.version, heads.timestamp.version), (2, 1));

    // the online key
    let online = signer(Algorithm::Ed25519);
    let rotation = Rotation {
        online_keys: Some(vec![online.public().clone()]),
        ..Rotation::default()
    };
    let heads = repository::rotate(dir, &rotation, &roots, &[&keys.online, &online], NOW).unwrap();
    assert_eq!(
        (heads.root.version, heads.timestamp.version, heads.snapshot.version),
        (3, 2, 2)
    );
    assert!(matches!(
        repository::refresh(dir, &keys.online, NOW),
        Err(Error::Unauthorized { .. })
    ));
    repository::refresh(dir, &online, NOW).unwrap();

    // the targets keys, and everything else at once
    let targets_key = signer(Algorithm::Ed25519);
    let rotation = Rotation {
        targets_keys: Some(vec![targets_key.public().clone()]),
        root_threshold: Some(3),
        lifetimes: Some(Lifetimes {
            timestamp_seconds: 600,
            ..Lifetimes::default()
        }),
        ..Rotation::default()
    };
    let signers = [roots[0], roots[1], roots[2], &targets_key, &keys.targets[0]];
    let heads = repository::rotate(dir, &rotation, &signers, &[&online], NOW).unwrap();
    assert_eq!((heads.root.version, heads.targets.version), (4, 2));
    assert_eq!(heads.timestamp.expires, NOW.plus_secs(600));

    assert_eq!(read(dir, NOW).unwrap(), "first");
    let newest = fs::read(dir.join("4.root.json")).unwrap();
    assert_eq!(read_with(dir, &newest, NOW).unwrap(), "first");
    repository::verify(dir, NOW).unwrap();
}

#[test]
fn a_rotation_needs_the_thresholds_of_the_old_and_the_new_root() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let new: Vec<SigningKey> = (0..2).map(|_| SigningKey::generate(Algorithm::P256).unwrap()).collect();
    let rotation = Rotation {
        root_keys: Some(new.iter().map(|key| key.public().clone()).collect()),
        ..Rotation::default()
    };
    let rotate = |signers: &[&SigningKey]| repository::rotate(dir, &rotation, signers, &[], NOW);
    let (old, new) = (&keys.root, &new);
    let one_old = rotate(&[&old[0], &new[0], &new[1]]).unwrap_err();
    assert!(
        matches!(
            one_old,
            Error::Threshold {
                role: Role::Root,
                found: 1,
                needed: 2
            }
        ),
        "{one_old}"
    );
    let one_new = rotate(&[&old[0], &old[1], &new[0]]).unwrap_err();
    assert!(
        matches!(
            one_new,
            Error::Threshold {
                role: Role::Root,
                found: 1,
                needed: 2
            }
        ),
        "{one_new}"
    );
    let stranger = SigningKey::generate(Algorithm::P256).unwrap();
    assert!(matches!(
        rotate(&[&stranger]),
        Err(Error::Unauthorized { role: Role::Root, .. })
    ));
    assert!(!dir.join("2.root.json").exists());
    rotate(&[&old[0], &old[1], &new[0], &new[1]]).unwrap();
    assert_eq!(read(dir, NOW).unwrap(), "first");
}

#[test]
fn a_ceremony_needs_no_two_keys_on_one_machine() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let drafts = &folder.path().join("draft");
    let keys = Keys::new();
    let public = |keys: &[SigningKey]| keys.iter().map(|key| key.public().clone()).collect();
    let first = First {
        root_keys: public(&keys.root),
        root_threshold: 2,
        targets_keys: public(&keys.targets),
        targets_threshold: 2,
        online_keys: vec![keys.online.public().clone()],
        targets: targets("first"),
        lifetimes: Lifetimes::default(),
    };
    Draft::first(&first, NOW).unwrap().write(drafts).unwrap();

    // each holder signs a copy of the folder and hands back a few lines of text
    for key in [&keys.root[2], &keys.root[0], &keys.targets[0]] {
        let detached = Draft::read(drafts)
            .unwrap()
            .sign_detached(key)
            .unwrap()
            .to_json()
            .unwrap();
        let mut collected = Draft::read(drafts).unwrap();
        collected
            .attach(&Detached::from_json(detached.as_bytes(), "mail").unwrap())
            .unwrap();
        collected.write(drafts).unwrap();
    }
    let draft = Draft::read(drafts).unwrap();
    let missing: Vec<_> = draft
        .progress()
        .unwrap()
        .into_iter()
        .filter(|one| one.found < one.needed)
        .collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(
        (missing[0].role, missing[0].found, missing[0].needed),
        (Role::Targets, 1, 2)
    );
    let refused = repository::publish_draft(dir, &draft, &[&keys.online], NOW).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Threshold {
                role: Role::Targets,
                ..
            }
        ),
        "{refused}"
    );
    assert!(!dir.exists());

    let mut draft = draft;
    assert_eq!(draft.sign(&keys.targets[1]).unwrap(), [Role::Targets]);
    repository::publish_draft(dir, &draft, &[&keys.online], NOW).unwrap();
    assert_eq!(read(dir, NOW).unwrap(), "first");
}

#[test]
fn a_signature_for_another_draft_is_not_attached() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let draft = |content: &str| Draft::publication(dir, &targets(content), &BTreeSet::new(), NOW).unwrap();
    let mut wanted = draft("second");
    let other = draft("evil").sign_detached(&keys.targets[0]).unwrap();
    assert!(matches!(wanted.attach(&other), Err(Error::Signature { .. })));
    let right = wanted.sign_detached(&keys.targets[0]).unwrap();
    assert_eq!(wanted.attach(&right).unwrap(), [Role::Targets]);
}

#[test]
fn a_draft_of_an_earlier_state_is_stale() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    keys.create(dir).unwrap();
    let mut draft = Draft::publication(dir, &targets("second"), &BTreeSet::new(), NOW).unwrap();
    draft.sign(&keys.targets[0]).unwrap();
    repository::publish(
        dir,
        &targets("third"),
        &BTreeSet::new(),
        &[&keys.targets[0]],
        &keys.online,
        NOW,
    )
    .unwrap();
    let refused = repository::publish_draft(dir, &draft, &[&keys.online], NOW).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::StaleDraft {
                role: Role::Targets,
                base: 1,
                current: 2
            }
        ),
        "{refused}"
    );
    assert_eq!(read(dir, NOW).unwrap(), "third");
    let refused = repository::publish_draft(dir, &Draft::default(), &[&keys.online], NOW);
    assert!(matches!(refused, Err(Error::EmptyDraft)));
}

#[test]
fn impossible_thresholds_lifetimes_and_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = Keys::new();
    let twice = [SigningKey::generate(Algorithm::P256).unwrap()];
    let good = CreateOptions {
        root_keys: &keys.root,
        root_threshold: 2,
        targets_keys: &keys.targets,
        targets_threshold: 1,
        online_key: &keys.online,
        targets: &targets("first"),
        lifetimes: Lifetimes::default(),
    };
    let range = |options: CreateOptions<'_>| repository::create(dir, &options, NOW).unwrap_err();
    let refused = range(CreateOptions {
        root_threshold: 4,
        ..good
    });
    assert!(matches!(
        refused,
        Error::ThresholdRange {
            role: Role::Root,
            threshold: 4,
            keys: 3
        }
    ));
    assert!(matches!(
        range(CreateOptions {
            root_threshold: 0,
            ..good
        }),
        Error::ThresholdRange { .. }
    ));
    assert!(matches!(
        range(CreateOptions {
            root_keys: &twice,
            ..good
        }),
        Error::ThresholdRange { .. }
    ));
    for seconds in [0, u64::MAX, 1 << 50] {
        let lifetimes = Lifetimes {
            snapshot_seconds: seconds,
            ..Lifetimes::default()
        };
        let refused = range(CreateOptions { lifetimes, ..good });
        assert!(
            matches!(
                refused,
                Error::Lifetime {
                    role: Role::Snapshot,
                    ..
                }
            ),
            "{seconds}: {refused}"
        );
    }
    for name in ["", ".hidden", "a/b", "../x", "a b", "ä", &"x".repeat(129)] {
        let named = [(name.to_owned(), Vec::new())].into();
        assert!(
            matches!(
                range(CreateOptions {
                    targets: &named,
                    ..good
                }),
                Error::TargetName { .. }
            ),
            "{name}"
        );
    }
    assert!(!dir.exists());
    repository::create(dir, &good, NOW).unwrap();
}

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

#[test]
fn two_writers_do_not_lose_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let dir = &folder.path().join("tuf");
    let keys = &Keys::new();
    keys.create(dir).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..5 {
                    repository::refresh(dir, &keys.online, NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(repository::heads(dir).unwrap().timestamp.version, 21);
    repository::verify(dir, NOW).unwrap();
}
