//! A repository that is served over HTTP, and the store of a reader.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tuf_root::{
    Error,
    repository::{self, CreateOptions, Lifetimes},
    store::TrustStore,
};
use verify::{TrustedRoot, signing_config::SigningConfig};

use super::{Keys, NOW};

/// A repository, its server, and a reader's store.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) keys: Keys,
    pub(crate) server: Server,
    pub(crate) store: TrustStore,
}

impl World {
    pub(crate) async fn new() -> Self {
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

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("tuf")
    }

    pub(crate) fn cached(&self, file: &str) -> PathBuf {
        self.folder.path().join("store/ours").join(file)
    }

    pub(crate) fn refresh(&self, now: verify::UnixTime) {
        repository::refresh(&self.dir(), &self.keys.online, now).unwrap();
    }

    pub(crate) fn publish(&self, set: &BTreeMap<String, Vec<u8>>, remove: &[&str]) -> Result<(), Error> {
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

/// A web server on loopback that serves a folder and remembers what was asked for.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    pub(crate) task: tokio::task::JoinHandle<()>,
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

    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

pub(crate) fn documents() -> BTreeMap<String, Vec<u8>> {
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

pub(crate) fn copy(from: &Path, to: &Path) {
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
