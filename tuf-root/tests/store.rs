//! The reading side over HTTP: what is accepted, what is refused and with which code, what is kept.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may be blunt"
)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{DAY, HOUR, Keys, NOW};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tuf_root::{
    Error, Role,
    draft::Rotation,
    key::{Algorithm, SigningKey},
    repository::{self, CreateOptions, Lifetimes},
    store::{Freshness, HttpOptions, TrustStore, public_instance},
};
use verify::{TrustedRoot, signing_config::SigningConfig};

/// A web server on loopback that serves a folder and remembers what was asked for.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request
                    .split(' ')
                    .nth(1)
                    .unwrap_or("/")
                    .trim_start_matches('/')
                    .to_owned();
                log.lock().unwrap().push(path.clone());
                if folder.join("hang").exists() {
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_mins(1)).await;
                        drop(stream);
                    });
                    continue;
                }
                let (status, body) = match fs::read(folder.join(path)) {
                    Ok(body) => ("200 OK", body),
                    Err(_) => ("404 Not Found", Vec::new()),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                drop(stream.write_all(&[head.as_bytes(), &body].concat()).await);
            }
        });
        Self { url, asked, task }
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A repository, its server, and a reader's store.
struct World {
    folder: tempfile::TempDir,
    keys: Keys,
    server: Server,
    store: TrustStore,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("tuf");
        let keys = Keys::new();
        let options = CreateOptions {
            root_keys: &keys.root,
            root_threshold: 2,
            targets_keys: &keys.targets,
            targets_threshold: 1,
            online_key: &keys.online,
            targets: &documents(),
            lifetimes: Lifetimes::default(),
        };
        repository::create(&dir, &options, NOW).unwrap();
        let server = Server::start(dir.clone()).await;
        let store = TrustStore::open(folder.path().join("store"));
        store
            .add("ours", &server.url, &fs::read(dir.join("1.root.json")).unwrap())
            .unwrap();
        Self {
            folder,
            keys,
            server,
            store,
        }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("tuf")
    }

    fn cached(&self, file: &str) -> PathBuf {
        self.folder.path().join("store/ours").join(file)
    }

    fn refresh(&self, now: verify::UnixTime) {
        repository::refresh(&self.dir(), &self.keys.online, now).unwrap();
    }

    fn publish(&self, set: &BTreeMap<String, Vec<u8>>, remove: &[&str]) -> Result<(), Error> {
        let remove: BTreeSet<String> = remove.iter().map(|name| (*name).to_owned()).collect();
        repository::publish(
            &self.dir(),
            set,
            &remove,
            &[&self.keys.targets[0]],
            &self.keys.online,
            NOW,
        )
        .map(drop_copy)
    }
}

fn drop_copy<T>(_: T) {}

fn documents() -> BTreeMap<String, Vec<u8>> {
    [
        (
            "trusted_root.json".to_owned(),
            TrustedRoot::default().to_json().into_bytes(),
        ),
        (
            "signing_config.v0.2.json".to_owned(),
            SigningConfig::default().to_json().into_bytes(),
        ),
    ]
    .into()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

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
    fs::write(world.cached("metadata/root.json"), "{}").unwrap();
    let refused = world.store.load("ours", false, NOW).await.unwrap_err();
    assert!(matches!(refused, Error::Metadata { .. }), "{refused}");
    assert_eq!(refused.code(), "trust-metadata");
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
        total_timeout: Duration::from_millis(300),
        ..HttpOptions::default()
    };
    let store = world.store.clone().with_http(hasty);
    store.update("ours", NOW).await.unwrap();

    fs::write(world.dir().join("hang"), "").unwrap();
    let refused = store.update("ours", NOW).await.unwrap_err();
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
async fn a_cache_that_cannot_be_written_is_reported() {
    let world = World::new().await;
    fs::create_dir_all(world.cached("metadata/timestamp.json/in-the-way")).unwrap();
    let refused = world.store.update("ours", NOW).await.unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert_eq!((refused.code(), refused.exit_code()), ("tuf-io", 3));
}

#[tokio::test]
async fn an_update_that_was_cut_short_leaves_no_half_trust() {
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
    let refused = world.store.load("ours", true, NOW).await.unwrap_err();
    assert!(matches!(refused, Error::NoCache { .. }), "{refused}");
    fs::write(&snapshot, good).unwrap();
    world.store.load("ours", false, NOW).await.unwrap();
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
        .map(|instance| instance.name)
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
