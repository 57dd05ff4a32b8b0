//! `cargo sigstore trust` against a repository on loopback: exit code, stdout and stderr.
#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use snapbox::cmd::Command;
use tuf_root::{
    key::{Algorithm, SigningKey},
    repository::{self, CreateOptions, Lifetimes},
    store::public_instance,
};
use verify::{
    PublicKey, TrustedRoot, UnixTime,
    signing_config::{Service, SigningConfig},
    time::ValidityWindow,
    trusted_root::TransparencyLog,
};

/// A repository, served, and the home of a user.
struct World {
    folder: tempfile::TempDir,
    key: SigningKey,
    url: String,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::generate(Algorithm::P256).unwrap();
        let dir = folder.path().join("tuf");
        create(&dir, &key, Lifetimes::default(), now());
        let url = serve(dir);
        Self { folder, key, url }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("tuf/1.root.json")
    }

    fn run(&self, line: &str) -> Command {
        Command::new(snapbox::cmd::cargo_bin!("cargo-sigstore"))
            .env_remove("SIGSTORE_TRUST_CONFIG")
            .env("CARGO_SIGSTORE_HOME", self.folder.path().join("home"))
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1")
            .args(line.split_whitespace())
    }

    fn add(&self) {
        let line = format!("trust add acme {} --root {}", self.url, self.root().display());
        self.run(&line).assert().code(0);
    }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixTime::from_secs(i64::try_from(since.as_secs()).unwrap())
}

fn create(dir: &Path, key: &SigningKey, lifetimes: Lifetimes, now: UnixTime) {
    let options = CreateOptions {
        root_keys: std::slice::from_ref(key),
        root_threshold: 1,
        targets_keys: std::slice::from_ref(key),
        targets_threshold: 1,
        online_key: key,
        targets: &documents(key),
        lifetimes,
    };
    repository::create(dir, &options, now).unwrap();
}

fn documents(key: &SigningKey) -> BTreeMap<String, Vec<u8>> {
    let key = PublicKey::from_pem(&key.public_pem().unwrap()).unwrap();
    let valid_for = ValidityWindow {
        start: UnixTime::from_secs(1_767_225_600),
        end: None,
    };
    let log = TransparencyLog {
        base_url: "https://log.example".to_owned(),
        key_details: key.default_details().unwrap(),
        log_id: key.id().0,
        key,
        valid_for,
        checkpoint_key_id: None,
        operator: "example".to_owned(),
    };
    let service = |url: &str| Service {
        url: url.to_owned(),
        api_version: 2,
        valid_for,
        operator: "example".to_owned(),
    };
    let root = TrustedRoot {
        logs: vec![log],
        ..TrustedRoot::default()
    };
    let services = SigningConfig {
        logs: vec![service("https://log.example")],
        ..SigningConfig::default()
    };
    [
        ("trusted_root.json".to_owned(), root.to_json().into_bytes()),
        ("signing_config.v0.2.json".to_owned(), services.to_json().into_bytes()),
    ]
    .into()
}

/// Serves a folder on loopback until the test's process ends.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 8192];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(request.get(..length).unwrap()).into_owned();
            let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
            let (status, body) = match fs::read(folder.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    url
}

#[test]
fn a_trust_root_is_added_shown_and_removed() {
    let world = World::new();
    let line = format!("trust add acme {} --root {}", world.url, world.root().display());
    world.run(&line).assert().code(0).stdout_eq("").stderr_eq(
        "       Added acme at http://127.0.0.1:[..]/\n     Updated acme: root version 1, good until [..]Z\n",
    );
    world.run("trust list").assert().code(0).stderr_eq("").stdout_eq(
        "NAME         LAST ASKED            REPOSITORY\n\
         acme         [..]Z  http://127.0.0.1:[..]/\n\
         github       never                 https://tuf-repo.github.com/\n\
         public-good  never                 https://tuf-repo-cdn.sigstore.dev/\n\
         staging      never                 https://tuf-repo-cdn.sigstage.dev/\n",
    );
    world.run("trust show acme --offline").assert().code(0).stderr_eq("").stdout_eq(
        "acme at http://127.0.0.1:[..]/\n\
         began with the root sha256:[..]\n\
         \n\
         METADATA   VERSION  EXPIRES\n\
         root       1        [..]Z\n\
         targets    1        [..]Z\n\
         snapshot   1        [..]Z\n\
         timestamp  1        [..]Z\n\
         \n\
         Certificate authorities\n  none\n\
         \n\
         Signature logs\n       BELIEVED                   KEY                    ADDRESS\n  now  2026-01-01T00:00:00Z to …  P256 [..]  https://log.example\n\
         \n\
         CT logs\n  none\n\
         \n\
         Timestamp authorities\n  none\n\
         \n\
         Services to sign with\n       FOR  API  ADDRESS\n  now  log  v2   https://log.example\n",
    );
    let json = world.run("trust show acme --format json").assert().code(0);
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert_eq!(json["logs"][0]["url"], "https://log.example");
    assert_eq!((&json["can_sign"], &json["expired"]), (&true.into(), &false.into()));
    world.run("trust update").assert().code(0);
    world.run("trust remove acme").assert().code(0);
    world.run("trust show acme").assert().code(2).stdout_eq("").stderr_eq(
        "error[trust-unknown]: no trust root is called `acme`\n\
         hint: `public-good`, `staging` and `github` are built in; `cargo sigstore trust list` shows all names, `cargo sigstore trust add` adds one\n",
    );
}

#[test]
fn nothing_is_trusted_on_first_use() {
    let world = World::new();
    world.run(&format!("trust add acme {}", world.url)).assert().code(2);
    let zeros = "0".repeat(64);
    let refused = world
        .run(&format!("trust add acme {} --root-sha256 {zeros}", world.url))
        .assert()
        .code(1);
    let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(
        text.starts_with("error[trust-pin]: root metadata has digest "),
        "{text}"
    );
    world.run("trust update acme").assert().code(2);

    let digest = verify::Sha256Digest::of(&fs::read(world.root()).unwrap());
    world
        .run(&format!("trust add acme {} --root-sha256 {digest}", world.url))
        .assert()
        .code(0);
    world.run("trust show acme").assert().code(0);
}

#[test]
fn a_root_that_its_repository_does_not_follow_is_not_added() {
    let world = World::new();
    let foreign = World::new();
    let line = format!("trust add acme {} --root {}", world.url, foreign.root().display());
    let refused = world.run(&line).assert().code(1);
    let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(
        text.contains("error[tuf-threshold]: timestamp metadata has 0 of 1 needed signatures"),
        "{text}"
    );
    world.run("trust show acme --offline").assert().code(2);
    world.add();
}

#[test]
fn expired_trust_is_refused_online_and_announced_offline() {
    let world = World::new();
    world.add();
    // the same instance, two days ago and not refreshed since: its timestamp has run out
    let stale = World::new();
    fs::remove_dir_all(stale.folder.path().join("tuf")).unwrap();
    create(
        &stale.folder.path().join("tuf"),
        &stale.key,
        Lifetimes::default(),
        now().plus_secs(-2 * 86_400),
    );
    let line = format!("trust add acme {} --root {}", stale.url, stale.root().display());
    let refused = stale.run(&line).assert().code(1);
    let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(
        text.contains("error[tuf-expired]: timestamp metadata expired at "),
        "{text}"
    );

    // what was fetched while it was good is used offline, with a warning
    let lifetimes = Lifetimes {
        timestamp_seconds: 10,
        ..Lifetimes::default()
    };
    let brief = World::new();
    fs::remove_dir_all(brief.folder.path().join("tuf")).unwrap();
    create(&brief.folder.path().join("tuf"), &brief.key, lifetimes, now());
    brief.add();
    std::thread::sleep(std::time::Duration::from_secs(11));
    brief.run("trust show acme").assert().code(1);
    let shown = brief.run("trust show acme --offline").assert().code(0);
    let text = String::from_utf8_lossy(&shown.get_output().stderr).into_owned();
    assert!(
        text.starts_with("warning: working offline with trust metadata that expired (timestamp, "),
        "{text}"
    );
}

#[test]
fn offline_nothing_is_fetched() {
    let world = World::new();
    world.run("trust update --offline").assert().code(2);
    let zeros = "0".repeat(64);
    world
        .run(&format!("--offline trust add acme {} --root-sha256 {zeros}", world.url))
        .assert()
        .code(2);
    let line = format!(
        "trust add acme {} --root {} --offline",
        world.url,
        world.root().display()
    );
    world.run(&line).assert().code(0);
    world
        .run("trust show acme --offline")
        .assert()
        .code(3)
        .stdout_eq("")
        .stderr_eq(
            "error[trust-no-cache]: nothing usable is cached for `acme`\n\
         hint: run `cargo sigstore trust update` once while online\n",
        );
}

#[test]
fn a_public_instance_that_was_never_asked_is_shown_as_it_is_built_in() {
    let world = World::new();
    let shown = world.run("trust show public-good --offline").assert().code(0);
    let shown = shown.stderr_eq(
        "note: trusting `public-good` as it is built in; `cargo sigstore trust update public-good` asks for what changed since\n",
    );
    let instance = public_instance("public-good").unwrap();
    let head = instance.root_head().unwrap();
    shown.stdout_eq(format!(
        "public-good at https://tuf-repo-cdn.sigstore.dev/\n\
         as it is built in; begins with the root sha256:{}\n\
         \n\
         METADATA  VERSION  EXPIRES\n\
         root      {}       {}\n\
         \n\
         Certificate authorities\n...\n\
         Signature logs\n...\n\
         CT logs\n...\n\
         Timestamp authorities\n...\n",
        instance.root_sha256, head.version, head.expires
    ));
    for name in ["public-good", "staging", "github"] {
        let line = format!("trust show {name} --offline --format json --quiet");
        let json = world.run(&line).assert().code(0).stderr_eq("");
        let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
        assert_eq!(json["built_in"], true, "{name}");
        assert!(json["roles"]["root"]["version"].as_u64() >= Some(9), "{name}");
        assert_eq!(
            json["roles"].as_object().unwrap().len(),
            1,
            "nothing else was ever asked for"
        );
        assert_eq!(
            (&json["can_sign"], &json["instance"]["last_asked"]),
            (&false.into(), &serde_json::Value::Null)
        );
        assert!(
            !json["certificate_authorities"].as_array().unwrap().is_empty(),
            "{name}"
        );
    }
    // what was shown was only shown
    world.run("trust list").assert().code(0).stdout_eq(
        "NAME         LAST ASKED  REPOSITORY\n\
         github       never       https://tuf-repo.github.com/\n\
         public-good  never       https://tuf-repo-cdn.sigstore.dev/\n\
         staging      never       https://tuf-repo-cdn.sigstage.dev/\n",
    );
}

#[test]
fn a_public_instance_of_which_the_cache_is_lost_is_trusted_as_built_in_with_a_warning() {
    let world = World::new();
    let place = world.folder.path().join("home/trust/public-good");
    fs::create_dir_all(place.join("metadata")).unwrap();
    fs::write(place.join("refreshed"), "2026-11-01T00:00:00Z").unwrap();
    let warning = |said: &str| {
        format!("warning: {said}: trusting `public-good` as it is built in, without what was known since\n")
    };
    let show = || world.run("trust show public-good --offline --quiet").assert().code(0);
    let damaged = "what is kept of `public-good` is damaged: `metadata/root.json`";
    show().stderr_eq(warning(damaged));
    fs::write(place.join("metadata/root.json"), "{}").unwrap();
    show().stderr_eq(warning(damaged));
    fs::write(
        place.join("metadata/root.json"),
        public_instance("public-good").unwrap().root,
    )
    .unwrap();
    fs::write(place.join("metadata/timestamp.json"), "{").unwrap();
    show().stderr_eq(warning("nothing usable is cached for `public-good`"));
    fs::write(place.join("refreshed"), "yesterday").unwrap();
    show().stderr_eq(warning("what is kept of `public-good` is damaged: `refreshed`"));
    world.run("trust remove public-good").assert().code(0);
    show().stderr_eq("");
}
