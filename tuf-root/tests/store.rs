//! The reading side over HTTP: what is accepted, and what is refused with which code.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may be blunt"
)]

mod common;

use std::{collections::BTreeMap, fs, time::Duration};

use common::{
    DAY, HOUR, Keys, NOW,
    reader::{World, copy, documents},
};
use tuf_root::{
    Error, Role,
    draft::Rotation,
    key::{Algorithm, SigningKey},
    repository::{self, CreateOptions, Lifetimes},
    store::{Freshness, HttpOptions, public_instance},
};
use verify::signing_config::SigningConfig;

#[tokio::test]
async fn an_update_asks_for_what_is_needed_and_an_hour_later_again() {
    let world = World::new().await;
    let loaded = world.store.update("ours", NOW).await.unwrap();
    assert_eq!(
        (loaded.freshness, loaded.can_sign, loaded.warning()),
        (Freshness::Refreshed, true, None)
    );
    let asked = world.server.take_asked();
    assert_eq!(
        asked[..4],
        ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    );
    assert_eq!(asked.len(), 6);

    let soon = NOW.plus_secs(HOUR - 1);
    let loaded = world.store.load("ours", false, soon).await.unwrap();
    assert_eq!(loaded.freshness, Freshness::Cached { refreshed: NOW });
    assert!(world.server.take_asked().is_empty());

    let later = NOW.plus_secs(HOUR);
    assert_eq!(
        world.store.load("ours", false, later).await.unwrap().freshness,
        Freshness::Refreshed
    );
    assert_eq!(world.server.take_asked(), ["2.root.json", "timestamp.json"]);

    let eager = world.store.clone().with_freshness(0);
    eager.load("ours", false, later).await.unwrap();
    assert_eq!(world.server.take_asked().len(), 2);
    // a clock that was set back is no reason to skip a question
    world.store.load("ours", false, NOW).await.unwrap();
    assert_eq!(world.server.take_asked().len(), 2);
}

#[tokio::test]
async fn expired_metadata_is_refused_online() {
    let world = World::new().await;
    world.store.update("ours", NOW).await.unwrap();
    let refused = world
        .store
        .load("ours", false, NOW.plus_secs(2 * DAY))
        .await
        .unwrap_err();
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
    assert_eq!((refused.code(), refused.exit_code()), ("tuf-expired", 1));
    let refused = world
        .store
        .load("ours", false, NOW.plus_secs(400 * DAY))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Expired { role: Role::Root, .. }), "{refused}");
    world.refresh(NOW.plus_secs(2 * DAY));
    world.store.load("ours", false, NOW.plus_secs(2 * DAY)).await.unwrap();
}

#[tokio::test]
async fn a_repository_that_goes_back_is_refused() {
    let world = World::new().await;
    let old = world.folder.path().join("old");
    copy(&world.dir(), &old);
    world.refresh(NOW);
    world.store.update("ours", NOW).await.unwrap();
    fs::copy(old.join("timestamp.json"), world.dir().join("timestamp.json")).unwrap();
    let refused = world.store.update("ours", NOW).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            Error::Rollback {
                trusted: 2,
                offered: 1,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!((refused.code(), refused.exit_code()), ("tuf-rollback", 1));
    // what was accepted stays
    assert_eq!(
        world
            .store
            .load("ours", true, NOW)
            .await
            .unwrap()
            .heads
            .timestamp
            .version,
        2
    );
}

#[tokio::test]
async fn the_newest_root_is_kept_and_old_keys_lose_their_say() {
    let world = World::new().await;
    let before = world.folder.path().join("before");
    copy(&world.dir(), &before);
    world.store.update("ours", NOW).await.unwrap();
    let online = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let rotation = Rotation {
        online_keys: Some(vec![online.public().clone()]),
        ..Rotation::default()
    };
    let signers = [&world.keys.root[0], &world.keys.root[1]];
    repository::rotate(&world.dir(), &rotation, &signers, &[&world.keys.online, &online], NOW).unwrap();
    let loaded = world.store.update("ours", NOW).await.unwrap();
    assert_eq!(loaded.heads.root.version, 2);
    let newest = fs::read(world.dir().join("2.root.json")).unwrap();
    assert_eq!(fs::read(world.cached("metadata/root.json")).unwrap(), newest);

    // the repository of yesterday, kept fresh by whoever stole the old online key
    for file in ["2.root.json", "timestamp.json"] {
        drop(fs::remove_file(world.dir().join(file)));
    }
    repository::refresh(&before, &world.keys.online, NOW).unwrap();
    repository::refresh(&before, &world.keys.online, NOW).unwrap();
    repository::refresh(&before, &world.keys.online, NOW).unwrap();
    copy(&before, &world.dir());
    let refused = world.store.update("ours", NOW).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Threshold {
                role: Role::Timestamp,
                found: 0,
                needed: 1
            }
        ),
        "{refused}"
    );
    assert_eq!(fs::read(world.cached("metadata/root.json")).unwrap(), newest);
    assert_eq!(world.store.load("ours", true, NOW).await.unwrap().heads.root.version, 2);
}

#[tokio::test]
async fn a_foreign_repository_is_refused() {
    let world = World::new().await;
    world.store.update("ours", NOW).await.unwrap();
    fs::remove_dir_all(world.dir()).unwrap();
    let options = CreateOptions {
        root_keys: &Keys::new().root,
        root_threshold: 1,
        targets_keys: &world.keys.targets,
        targets_threshold: 1,
        online_key: &world.keys.root[0],
        targets: &documents(),
        lifetimes: Lifetimes::default(),
    };
    repository::create(&world.dir(), &options, NOW).unwrap();
    let refused = world.store.update("ours", NOW).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Threshold {
                role: Role::Timestamp,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!((refused.code(), refused.exit_code()), ("tuf-threshold", 1));
}

#[tokio::test]
async fn a_target_that_was_swapped_is_refused() {
    let world = World::new().await;
    for entry in fs::read_dir(world.dir().join("targets")).unwrap() {
        let path = entry.unwrap().path();
        let length = fs::read(&path).unwrap().len();
        fs::write(&path, "x".repeat(length)).unwrap();
    }
    let refused = world.store.update("ours", NOW).await.unwrap_err();
    assert!(matches!(refused, Error::Inconsistent { .. }), "{refused}");
    assert_eq!((refused.code(), refused.exit_code()), ("trust-inconsistent", 1));
}

#[tokio::test]
async fn verification_needs_no_signing_configuration_but_a_trusted_root() {
    let world = World::new().await;
    world.publish(&BTreeMap::new(), &["signing_config.v0.2.json"]).unwrap();
    let loaded = world.store.update("ours", NOW).await.unwrap();
    assert!(!loaded.can_sign);
    assert_eq!(loaded.config.signing_config, SigningConfig::default());

    let not_json = [("trusted_root.json".to_owned(), b"not JSON".to_vec())].into();
    world.publish(&not_json, &[]).unwrap();
    let refused = world.store.update("ours", NOW).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Document {
                name: "trusted_root.json",
                ..
            }
        ),
        "{refused}"
    );

    world.publish(&BTreeMap::new(), &["trusted_root.json"]).unwrap();
    let refused = world.store.update("ours", NOW).await.unwrap_err();
    assert!(
        matches!(&refused, Error::NoTarget { name } if name == "trusted_root.json"),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_is_away_or_floods_is_typed() {
    let world = World::new().await;
    let hasty = HttpOptions {
        total_timeout: Duration::from_secs(1),
        ..HttpOptions::default()
    };
    let store = &world.store;
    store.update("ours", NOW).await.unwrap();

    fs::write(world.dir().join("hang"), "").unwrap();
    let refused = store.clone().with_http(hasty).update("ours", NOW).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Unavailable { reason, .. } if reason == "it took too long"),
        "{refused}"
    );
    assert_eq!((refused.code(), refused.exit_code()), ("trust-unavailable", 3));
    fs::remove_file(world.dir().join("hang")).unwrap();

    fs::write(world.dir().join("timestamp.json"), vec![b' '; 20_000]).unwrap();
    let refused = store.update("ours", NOW).await.unwrap_err();
    assert!(matches!(refused, Error::TooLarge { limit: 16_384, .. }), "{refused}");
    assert_eq!(refused.exit_code(), 1);

    fs::remove_file(world.dir().join("timestamp.json")).unwrap();
    let refused = store.update("ours", NOW).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");

    world.server.task.abort();
    drop(world.server.task.await);
    let refused = store.update("ours", NOW).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    store.load("ours", true, NOW).await.unwrap();
}

#[tokio::test]
async fn a_root_is_downloaded_only_against_a_pin() {
    let world = World::new().await;
    let pin = world.store.instance("ours").unwrap().root_sha256;
    let root = world.store.fetch_root(&world.server.url, &pin).await.unwrap();
    world.store.add("pinned", &world.server.url, &root).unwrap();
    let other = "0".repeat(64);
    let refused = world.store.fetch_root(&world.server.url, &other).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Pin { found, .. } if *found == pin),
        "{refused}"
    );
    assert_eq!((refused.code(), refused.exit_code()), ("trust-pin", 1));
    let refused = world
        .store
        .fetch_root("http://not-loopback.example/", &pin)
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Url { .. }), "{refused}");
}

#[tokio::test]
async fn names_are_added_once_listed_and_removed() {
    let world = World::new().await;
    let root = fs::read(world.dir().join("1.root.json")).unwrap();
    let add = |name: &str| world.store.add(name, &world.server.url, &root);
    assert!(matches!(add("ours"), Err(Error::Known { .. })));
    assert!(
        matches!(add("public-good"), Err(Error::Known { .. })),
        "nobody takes a public name"
    );
    for bad in ["", "../x", "a/b", ".x", "-x", "A", "a b", "trust.json", &"x".repeat(65)] {
        assert!(matches!(add(bad), Err(Error::Name { .. })), "{bad}");
        assert!(matches!(world.store.remove(bad), Err(Error::Name { .. })), "{bad}");
    }
    let mut damaged = root.clone();
    let position = damaged.len() / 2;
    damaged[position] ^= 1;
    assert!(world.store.add("damaged", &world.server.url, &damaged).is_err());
    add("acme").unwrap();
    let names: Vec<String> = world
        .store
        .list()
        .unwrap()
        .into_iter()
        .map(|listed| listed.name)
        .collect();
    assert_eq!(names, ["acme", "github", "ours", "public-good", "staging"]);
    world.store.remove("acme").unwrap();
    assert!(matches!(world.store.remove("acme"), Err(Error::Unknown { .. })));
    assert!(matches!(
        world.store.update("acme", NOW).await,
        Err(Error::Unknown { .. })
    ));
    assert!(
        matches!(world.store.remove("github"), Err(Error::Unknown { .. })),
        "there is no cache of it yet"
    );
    assert_eq!(
        world.store.instance("github").unwrap().root_sha256,
        public_instance("github").unwrap().root_sha256
    );
}
