//! `seeds CORPUS`: seeds for the fuzz targets of `package`, one folder of the corpus for each target.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a tool of the tests"
)]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use package::publish::join;
use tar::{Builder, EntryType, Header};

fn main() {
    let Some(corpus) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds CORPUS");
        std::process::exit(2);
    };
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), bytes).expect("a seed");
    };
    for (name, tar) in archives() {
        put("archive", name, &tar);
        put("archive", &format!("{name}.gz"), &gzip(&tar));
    }
    let manifests = manifests();
    for (place, manifest) in manifests.iter().enumerate() {
        put("manifest", &place.to_string(), manifest.as_bytes());
        put(
            "original",
            &format!("{place}-itself"),
            format!("{manifest}\0{manifest}").as_bytes(),
        );
    }
    put(
        "original",
        "generated",
        format!("{}\0{ORIGINAL}", manifests[0]).as_bytes(),
    );
    put("publish_request", "metadata", REQUEST.as_bytes());
    let body = join(REQUEST.as_bytes(), b"crate").expect("a body");
    put("publish_request", "body", &body);
    for (place, line) in LINES.iter().enumerate() {
        put("index_line", &place.to_string(), line.as_bytes());
    }
    println!("seeds of archives, manifests, publish requests and index lines made here");
}

/// Honest archives, and some whose readers could differ.
fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let with = |edit: &dyn Fn(&mut Builder<Vec<u8>>)| {
        let mut tar = Builder::new(Vec::new());
        member(&mut tar, "a-1.0.0/Cargo.toml", EntryType::Regular, b"[package]");
        edit(&mut tar);
        tar.into_inner().expect("memory")
    };
    let vcs = format!(r#"{{"git":{{"sha1":"{}"}},"path_in_vcs":"a"}}"#, "0".repeat(40));
    vec![
        ("small", with(&|_| ())),
        (
            "metadata",
            with(&|tar| {
                for name in ["Cargo.toml.orig", "Cargo.lock", "src/lib.rs"] {
                    member(tar, &format!("a-1.0.0/{name}"), EntryType::Regular, b"#");
                }
                member(tar, "a-1.0.0/.cargo_vcs_info.json", EntryType::Regular, vcs.as_bytes());
            }),
        ),
        (
            "folder",
            with(&|tar| {
                member(tar, "a-1.0.0/src/", EntryType::Directory, b"");
                member(tar, "a-1.0.0/src/lib.rs", EntryType::Regular, b"//! a");
            }),
        ),
        (
            "long-name",
            with(&|tar| {
                member(tar, "././@LongLink", EntryType::GNULongName, b"a-1.0.0/benign.rs\0");
                member(tar, "a-1.0.0/build.rs", EntryType::Regular, b"fn main() {}");
            }),
        ),
        (
            "link",
            with(&|tar| member(tar, "a-1.0.0/link", EntryType::Symlink, b"")),
        ),
        (
            "extended-header",
            with(&|tar| member(tar, "a-1.0.0/pax", EntryType::XHeader, b"19 path=a-1.0.0/x\n")),
        ),
    ]
}

fn member(tar: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(u64::try_from(content.len()).expect("a size"));
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, content).expect("memory");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// One that has everything, then those of this repository that stand for themselves.
fn manifests() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = ["fuzz/Cargo.toml"].map(|path| fs::read_to_string(root.join("..").join(path)).expect("a manifest"));
    [
        GENERATED.to_owned(),
        "[package]\nname = \"a\"\nversion = \"1.0.0\"".to_owned(),
    ]
    .into_iter()
    .chain(own)
    .collect()
}

const GENERATED: &str = r#"[package]
name = "a"
version = "1.0.0"
build = "build.rs"
links = "z"
autolib = false
[lib]
name = "a"
path = "src/lib.rs"
crate-type = ["cdylib"]
[[bin]]
name = "b"
path = "src/bin/b.rs"
[dependencies.b]
version = "1.2"
package = "real-b"
optional = true
default-features = false
features = ["x"]
registry-index = "sparse+https://r.example/index/"
[dev-dependencies.c]
version = "=0.3.1"
[target.'cfg(unix)'.build-dependencies.d]
version = ">=1, <3"
[features]
default = ["dep:b", "e?/x"]
"#;

const ORIGINAL: &str = r#"[package]
name = "a"
version.workspace = true
links = "z"
autolib = false
[lib]
proc-macro = false
crate-type = ["cdylib"]
[dependencies]
b = { package = "real-b", version = "^1.2", registry = "r", optional = true, default-features = false, features = ["x"] }
[dev_dependencies]
c.workspace = true
t = { path = "../t" }
[target.'cfg( unix )'.build-dependencies]
d = ">=1, <3"
[features]
default = ["dep:b", "e?/x", "t/y"]
"#;

const REQUEST: &str = r#"{"name":"a","vers":"1.0.0","deps":[{"name":"real-b","version_req":"^1.0","features":["x"],"optional":true,"default_features":false,"target":"cfg(unix)","kind":"build","registry":"https://r.example","explicit_name_in_toml":"b"}],"features":{"f":["dep:b"]},"links":null,"badges":{},"readme":"a"}"#;

const LINES: [&str; 2] = [
    r#"{"name":"a","vers":"1.0.0","deps":[{"name":"b","req":"1.0","features":["x"],"optional":true,"default_features":false,"target":"cfg( unix )","kind":"build","registry":null,"package":"real-b"}],"cksum":"0000000000000000000000000000000000000000000000000000000000000000","features":{},"features2":{"f":["dep:b"]},"yanked":false,"v":2,"links":"z"}"#,
    r#"{"name":"a","vers":"1.0.0","cksum":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
];
