//! What is written is read by an independent client, through every change; what cannot be is refused, and nothing is written.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod common;

use std::{collections::BTreeSet, fs};

use common::{DAY, HOUR, Keys, NOW, read, targets};
use tuf_root::{
    Error, Role,
    draft::Rotation,
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
