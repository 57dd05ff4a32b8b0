//! What the reading side keeps: used offline, never believed when damaged, whole after every interruption.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may be blunt"
)]

mod common;

use std::{collections::BTreeSet, fs};

use common::{
    DAY, HOUR, NOW,
    reader::{World, documents},
};
use tuf_root::{Error, Role, repository, store::Freshness};

#[tokio::test]
async fn offline_makes_no_request_and_says_what_has_expired() {
    let world = World::new().await;
    let refused = world.store.load("ours", true, NOW).await.unwrap_err();
    assert!(matches!(refused, Error::NoCache { .. }), "{refused}");
    assert_eq!((refused.code(), refused.exit_code()), ("trust-no-cache", 3));

    world.store.update("ours", NOW).await.unwrap();
    world.server.take_asked();
    let loaded = world.store.load("ours", true, NOW.plus_secs(HOUR)).await.unwrap();
    assert_eq!(
        (loaded.freshness, loaded.warning()),
        (Freshness::Cached { refreshed: NOW }, None)
    );
    // good up to its expiry, not at it
    let at_expiry = world.store.load("ours", true, NOW.plus_secs(DAY)).await.unwrap();
    assert!(matches!(at_expiry.freshness, Freshness::Expired { .. }));
    let loaded = world.store.load("ours", true, NOW.plus_secs(2 * DAY)).await.unwrap();
    assert_eq!(
        loaded.freshness,
        Freshness::Expired {
            role: Role::Timestamp,
            at: NOW.plus_secs(DAY)
        }
    );
    assert!(loaded.warning().unwrap().contains("expired"));
    assert!(world.server.take_asked().is_empty());
}

#[tokio::test]
async fn a_damaged_cache_is_replaced_not_believed() {
    let world = World::new().await;
    world.store.update("ours", NOW).await.unwrap();
    for file in [
        "targets/trusted_root.json",
        "metadata/timestamp.json",
        "metadata/snapshot.json",
        "metadata/targets.json",
    ] {
        let good = fs::read(world.cached(file)).unwrap();
        let mut bad = good.clone();
        *bad.iter_mut().rev().find(|byte| byte.is_ascii_alphanumeric()).unwrap() ^= 1;
        fs::write(world.cached(file), &bad).unwrap();
        let refused = world.store.load("ours", true, NOW).await.unwrap_err();
        assert!(matches!(refused, Error::NoCache { .. }), "{file}: {refused}");
        world.store.load("ours", false, NOW).await.unwrap();
        assert_eq!(fs::read(world.cached(file)).unwrap(), good, "{file}");
    }
}

#[tokio::test]
async fn a_damaged_beginning_is_told_until_it_is_removed() {
    let world = World::new().await;
    world.store.update("ours", NOW).await.unwrap();
    let refused = async |offline| world.store.load("ours", offline, NOW).await.unwrap_err();
    for file in ["metadata/root.json", "instance.json"] {
        let good = fs::read(world.cached(file)).unwrap();
        for bad in [&b"{}"[..], b"", &good[..good.len() / 2], &vec![b' '; 6 << 20]] {
            fs::write(world.cached(file), bad).unwrap();
            for offline in [false, true] {
                let refused = refused(offline).await;
                assert!(
                    matches!(&refused, Error::Damaged { file: named, .. } if *named == file),
                    "{refused}"
                );
                assert_eq!((refused.code(), refused.exit_code()), ("trust-damaged", 3));
            }
        }
        fs::remove_file(world.cached(file)).unwrap();
        assert_eq!(refused(false).await.code(), "trust-damaged", "{file}");
        fs::write(world.cached(file), good).unwrap();
        world.store.load("ours", true, NOW).await.unwrap();
    }
    fs::write(world.cached("refreshed"), "yesterday").unwrap();
    assert_eq!(refused(true).await.code(), "trust-damaged");
    world.store.load("ours", false, NOW).await.unwrap();
    world.store.load("ours", true, NOW).await.unwrap();

    // a damaged one hides no other
    fs::create_dir(world.folder.path().join("store/emptied")).unwrap();
    let listed = world.store.list().unwrap();
    let names: Vec<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
    assert_eq!(names, ["emptied", "github", "ours", "public-good", "staging"]);
    assert!(matches!(listed[0].instance, Err(Error::Damaged { .. })));
    assert!(listed[2].instance.is_ok());
    world.store.remove("emptied").unwrap();
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_reported() {
    let world = World::new().await;
    fs::create_dir_all(world.cached("metadata/timestamp.json/in-the-way")).unwrap();
    let refused = world.store.update("ours", NOW).await.unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert_eq!((refused.code(), refused.exit_code()), ("tuf-io", 3));
}

#[tokio::test]
async fn an_update_that_was_cut_short_leaves_the_former_trust() {
    let world = World::new().await;
    world.store.update("ours", NOW).await.unwrap();
    world.publish(&documents(), &[]).unwrap();
    let snapshot = world.dir().join("2.snapshot.json");
    let good = fs::read(&snapshot).unwrap();
    fs::remove_file(&snapshot).unwrap();
    assert!(matches!(
        world.store.update("ours", NOW).await,
        Err(Error::Unavailable { .. })
    ));
    let former = world.store.load("ours", true, NOW).await.unwrap();
    assert_eq!(former.heads.targets.version, 1, "what was whole before");
    let half = fs::read(world.cached("metadata/timestamp.json")).unwrap();
    assert_eq!(
        half,
        fs::read(world.dir().join("timestamp.json")).unwrap(),
        "accepted stays accepted"
    );
    let asked = world.store.load("ours", false, NOW).await;
    assert!(
        matches!(asked, Err(Error::Unavailable { .. })),
        "online it is no answer"
    );
    // it is of use only whole
    fs::write(world.cached("former/metadata/snapshot.json"), "{").unwrap();
    let refused = world.store.load("ours", true, NOW).await.unwrap_err();
    assert!(matches!(refused, Error::NoCache { .. }), "{refused}");
    fs::write(&snapshot, good).unwrap();
    world.store.load("ours", false, NOW).await.unwrap();
    assert!(!world.cached("former").exists());
    assert_eq!(
        world.store.load("ours", true, NOW).await.unwrap().heads.targets.version,
        2
    );
}

#[tokio::test]
async fn updates_and_readers_do_not_disturb_each_other() {
    let world = World::new().await;
    world.store.update("ours", NOW).await.unwrap();
    let (dir, key) = (world.dir(), &world.keys);
    for _ in 0..5 {
        repository::publish(
            &dir,
            &documents(),
            &BTreeSet::new(),
            &[&key.targets[0]],
            &key.online,
            NOW,
        )
        .unwrap();
        let (update, load) = (world.store.update("ours", NOW), world.store.load("ours", true, NOW));
        let (again, loaded) = (world.store.update("ours", NOW), world.store.load("ours", true, NOW));
        let (a, b, c, d) = tokio::join!(update, load, again, loaded);
        let versions = [a, b, c, d].map(|done| done.unwrap().heads.targets.version);
        assert!(
            versions[0] == versions[2] && versions[1] >= versions[0].saturating_sub(1),
            "{versions:?}"
        );
    }
}
