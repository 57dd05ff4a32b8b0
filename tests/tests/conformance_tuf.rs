//! The TUF protocol of `conformance-client` as the suite observes it: exit codes, requests, and what lies in the folders.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use tests::{run::run, service::Service};
use tuf_root::{
    key::{Algorithm, SigningKey},
    repository::{self, CreateOptions, Lifetimes},
};
use verify::UnixTime;

/// A repository, its server with a log of requests, and the folders of a client.
struct World {
    folder: tempfile::TempDir,
    key: SigningKey,
    service: Service,
    asked: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SigningKey::generate(Algorithm::P256).expect("a key");
        let dir = folder.path().join("tuf");
        let options = CreateOptions {
            root_keys: std::slice::from_ref(&key),
            root_threshold: 1,
            targets_keys: std::slice::from_ref(&key),
            targets_threshold: 1,
            online_key: &key,
            targets: &[("file.txt".to_owned(), b"hello".to_vec())].into(),
            lifetimes: Lifetimes::default(),
        };
        repository::create(&dir, &options, now()).expect("a repository");
        for folder_name in ["metadata", "downloads"] {
            fs::create_dir(folder.path().join(folder_name)).expect("a folder");
        }
        let asked = Arc::new(Mutex::new(Vec::new()));
        let service = serve(dir, Arc::clone(&asked));
        Self {
            folder,
            key,
            service,
            asked,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn client(arguments: &[&str]) -> i32 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-client"));
        command.args(arguments);
        run(&mut command, Duration::from_secs(30))
            .expect("the client runs")
            .code
            .expect("an exit code")
    }

    fn init(&self, root: &Path) -> i32 {
        Self::client(&["--metadata-dir", text(&self.path("metadata")), "init", text(root)])
    }

    fn refresh(&self) -> i32 {
        let url = format!("{}/", self.service.url());
        Self::client(&[
            "--metadata-url",
            &url,
            "--metadata-dir",
            text(&self.path("metadata")),
            "refresh",
        ])
    }

    fn download(&self, name: &str) -> i32 {
        let url = format!("{}/", self.service.url());
        let targets = format!("{url}targets/");
        let (metadata, downloads) = (self.path("metadata"), self.path("downloads"));
        let mut arguments = vec![
            "--metadata-url",
            &url,
            "--metadata-dir",
            text(&metadata),
            "--target-name",
            name,
        ];
        arguments.extend([
            "--target-dir",
            text(&downloads),
            "--target-base-url",
            &targets,
            "download",
        ]);
        Self::client(&arguments)
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("the log"))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn now() -> UnixTime {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock");
    UnixTime::from_secs(i64::try_from(since.as_secs()).expect("a year before 292 billion"))
}

fn serve(dir: PathBuf, asked: Arc<Mutex<Vec<String>>>) -> Service {
    let answer = move |axum::extract::Path(path): axum::extract::Path<String>| {
        asked.lock().expect("the log").push(path.clone());
        let answer = fs::read(dir.join(path)).map_err(|_| StatusCode::NOT_FOUND);
        async move { answer }
    };
    Service::start(|_| Router::new().route("/{*path}", get(answer))).expect("a server")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn init_asks_nothing_and_refuses_what_is_no_root() {
    let world = World::new();
    let no_root = world.path("no-root.json");
    fs::write(&no_root, "{}").expect("a file");
    assert_eq!(world.init(&no_root), 1);
    assert_eq!(world.init(&world.path("missing.json")), 1);
    assert_eq!(world.refresh(), 1, "nothing is trusted yet");
    assert_eq!(world.init(&world.path("tuf/1.root.json")), 0);
    assert!(world.take_asked().is_empty());
    assert_eq!(names(&world.path("metadata")), ["root.json"]);
}

#[test]
fn a_refresh_asks_for_each_file_once_and_keeps_it_as_received() {
    let world = World::new();
    assert_eq!(world.init(&world.path("tuf/1.root.json")), 0);
    assert_eq!(world.refresh(), 0);
    assert_eq!(
        world.take_asked(),
        ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    );
    assert_eq!(
        names(&world.path("metadata")),
        ["root.json", "snapshot.json", "targets.json", "timestamp.json"]
    );
    let received = [
        ("root", "1.root"),
        ("snapshot", "1.snapshot"),
        ("targets", "1.targets"),
        ("timestamp", "timestamp"),
    ];
    for (kept, published) in received {
        let kept = fs::read(world.path(&format!("metadata/{kept}.json"))).expect("a file");
        assert_eq!(
            kept,
            fs::read(world.path(&format!("tuf/{published}.json"))).expect("a file"),
            "{published}"
        );
    }
    assert_eq!(world.refresh(), 0);
    assert_eq!(world.take_asked(), ["2.root.json", "timestamp.json"]);
    repository::refresh(&world.path("tuf"), &world.key, now()).expect("a refresh");
    assert_eq!(world.refresh(), 0);
    assert_eq!(world.take_asked(), ["2.root.json", "timestamp.json"]);

    fs::write(world.path("tuf/timestamp.json"), "{}").expect("a file");
    assert_eq!(world.refresh(), 1);
    let kept = fs::read_to_string(world.path("metadata/timestamp.json")).expect("a file");
    assert!(kept.contains("\"version\": 2"), "{kept}");
}

#[test]
fn a_target_is_downloaded_once_and_only_as_listed() {
    let world = World::new();
    assert_eq!(world.init(&world.path("tuf/1.root.json")), 0);
    assert_eq!(world.download("file.txt"), 0);
    assert_eq!(
        fs::read(world.path("downloads/file.txt")).expect("the target"),
        b"hello"
    );
    let first = world.take_asked();
    let targets = |asked: &[String]| asked.iter().filter(|path| path.starts_with("targets/")).count();
    assert_eq!(targets(&first), 1);
    assert_eq!(world.download("file.txt"), 0);
    assert_eq!(targets(&world.take_asked()), 0);
    assert_eq!(world.download("other.txt"), 1);

    fs::remove_file(world.path("downloads/file.txt")).expect("a file");
    for name in names(&world.path("tuf/targets")) {
        fs::write(world.path(&format!("tuf/targets/{name}")), "hellO").expect("a file");
    }
    assert_eq!(world.download("file.txt"), 1);
    assert!(names(&world.path("downloads")).is_empty());
}

#[test]
fn a_command_that_is_none_exits_with_1() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["--metadata-dir"],
        &["--metadata-dir", "x", "init"],
    ] {
        assert_eq!(World::client(arguments), 1, "{arguments:?}");
    }
}
