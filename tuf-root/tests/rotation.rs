//! Roots follow one another, signed by the thresholds of both, by people who never meet.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod common;

use std::{collections::BTreeSet, fs};

use common::{Keys, NOW, read, read_with, targets};
use tuf_root::{
    Error, Role,
    draft::{Detached, Draft, First, Rotation},
    key::{Algorithm, SigningKey},
    repository::{self, Lifetimes},
};

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
