//! What a download is held against: nobody's rejected upload, no exception that has ended, and the manifest that cargo wrote.

use std::{
    io::{Read as _, Write as _},
    path::Path,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use rusqlite::{Connection, params};
use tests::{
    Gatehouse,
    gatehouse::{EVERYBODY, Setting},
    http::{self, Answer},
};
use verify::Sha256Digest;

const DOWNLOAD: &str = "/dl/crockford/0.3.1/download";

fn open(policy: &str) -> Gatehouse {
    let binary = Path::new(env!("CARGO_BIN_EXE_sandbox"));
    Gatehouse::open(binary, |_| Setting::policy(policy)).expect("a gate")
}

fn download(scene: &Gatehouse) -> Option<Answer> {
    http::get(&format!("{}{DOWNLOAD}", scene.gate.url())).ok()
}

/// The published archive with a file of this size and content more, under the same name and version.
fn with_file(archive: &[u8], path: &str, content: &[u8]) -> Vec<u8> {
    repacked(archive, |tar| {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).expect("a size"));
        header.set_mode(0o644);
        let path = format!("crockford-0.3.1/{path}");
        tar.append_data(&mut header, path, content).expect("a member");
    })
}

fn repacked(archive: &[u8], more: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    edited(archive, |_, content| content, more)
}

fn edited(
    archive: &[u8],
    edit: impl Fn(&str, Vec<u8>) -> Vec<u8>,
    more: impl FnOnce(&mut tar::Builder<Vec<u8>>),
) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut published = tar::Archive::new(GzDecoder::new(archive));
    for entry in published.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        let content = edit(&path, content);
        let mut header = entry.header().clone();
        header.set_size(u64::try_from(content.len()).expect("a size"));
        tar.append_data(&mut header, &path, content.as_slice())
            .expect("a member");
    }
    more(&mut tar);
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    packed
        .write_all(&tar.into_inner().expect("an archive"))
        .expect("an archive");
    packed.finish().expect("an archive")
}

/// `crockford` in the registry; the archive as it was published.
fn published(scene: &Gatehouse) -> Vec<u8> {
    let outcome = scene.cargo(
        &scene.project("crockford"),
        &["publish", "--no-verify", "--registry", "bare"],
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    scene.registry.version("crockford", "0.3.1").expect("published").bytes
}

/// Has the gate see everything anew.
fn restart(scene: &mut Gatehouse) {
    scene.gate.kill();
    std::fs::remove_dir_all(scene.gate.data()).expect("the gate's data");
    scene.gate.serve().expect("a gate");
}

/// Somebody without a token may send whatever he likes; the gate admits what nobody needs to attest, the registry refuses him.
#[test]
fn an_upload_that_the_registry_rejects_changes_no_download() {
    let mut scene = open(EVERYBODY);
    let small = published(&scene);
    let large = with_file(&small, "large", &vec![7; 400_000]);
    for honest in [small, large] {
        scene.registry.replace("crockford", "0.3.1", &honest, true);
        restart(&mut scene);
        assert!(download(&scene).is_some_and(|answer| answer.body == honest));
        let other = with_file(&honest, "other", b"somebody else's");
        let described = serde_json::json!({
            "name": "crockford", "vers": "0.3.1", "deps": [], "features": {"default": ["std"], "std": []}, "links": null,
        });
        let body = package::publish::join(described.to_string().as_bytes(), &other).expect("a body");
        let url = format!("{}/api/v1/crates/new", scene.gate.url());
        let rejected = http::request("PUT", &url, &[("authorization", "nobody's")], &body).expect("an answer");
        assert_eq!(rejected.status, 403, "{}", rejected.text());
        assert!(
            !rejected.text().contains("gate"),
            "the registry's word: {}",
            rejected.text()
        );
        for _ in 0..2 {
            assert!(download(&scene).is_some_and(|answer| answer.body == honest));
        }
    }
}

/// A large archive is streamed while it is hashed, so the first who asks is cut off; the next is told why.
#[test]
fn other_bytes_of_a_large_archive_are_named_at_the_second_try() {
    let scene = open(EVERYBODY);
    let honest = with_file(&published(&scene), "large", &vec![7; 400_000]);
    scene.registry.replace("crockford", "0.3.1", &honest, true);
    for _ in 0..2 {
        assert!(download(&scene).is_some_and(|answer| answer.body == honest));
    }
    let mut other = honest.clone();
    *other.last_mut().expect("bytes") ^= 1;
    scene.registry.replace("crockford", "0.3.1", &other, false);
    let cut = download(&scene);
    assert!(
        cut.is_none_or(|answer| answer.body.len() < honest.len()),
        "no whole archive"
    );
    let refused = download(&scene).expect("an answer");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("gate-other-bytes"), "{}", refused.text());
    scene.registry.replace("crockford", "0.3.1", &honest, false);
    assert!(download(&scene).is_some_and(|answer| answer.body == honest));
}

/// `Cargo.toml.orig` is what is in the repository; cargo builds by `Cargo.toml`.
#[test]
fn a_generated_manifest_that_departs_from_its_original_is_refused() {
    let mut scene = open(EVERYBODY);
    let honest = published(&scene);
    let unharmed = repacked(&honest, |_| ());
    let harmed = edited(
        &honest,
        |path, content| {
            if path.ends_with("/Cargo.toml") {
                let text = String::from_utf8(content).expect("a manifest");
                let text = text.replacen("[package]\n", "[package]\nbuild = \"src/other.rs\"\n", 1);
                text.replace("build = false\n", "").into_bytes()
            } else {
                content
            }
        },
        |_| (),
    );
    for (archive, status) in [(&unharmed, 200), (&harmed, 403)] {
        scene.registry.replace("crockford", "0.3.1", archive, true);
        restart(&mut scene);
        let answer = download(&scene).expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 403 {
            assert!(answer.text().contains("gate-manifest-departs: "), "{}", answer.text());
            assert!(answer.text().contains("[[exception]]"), "{}", answer.text());
        }
    }
}

/// What an exception admitted once is admitted no longer than the exception lasts, also after a restart.
#[test]
fn an_exception_that_has_ended_serves_nothing_that_it_admitted() {
    let exception = |expires: &str| {
        format!(
            "[[exception]]\ncrate = \"crockford\"\nversion = \"0.3.1\"\nreason = \"of before\"\nexpires = {expires}\n"
        )
    };
    let ended = exception("2020-01-01");
    let mut scene = open(&exception("2999-12-31"));
    let archive = published(&scene);
    assert_eq!(download(&scene).expect("an answer").status, 200);
    // As if the gate had admitted it while this one lasted.
    let admit_as = |scene: &Gatehouse, policy: &str, ground: &str| {
        let database = Connection::open(scene.gate.data().join("verdicts.sqlite")).expect("the ledger");
        let trust = std::fs::read(scene.instance.trust("trust_config.json")).expect("a trust configuration");
        let written = database.execute(
            "INSERT OR REPLACE INTO admission (sha256, policy, trust, ground, at) VALUES (?1, ?2, ?3, ?4, 0)",
            params![
                Sha256Digest::of(&archive).0.as_slice(),
                Sha256Digest::of(policy.as_bytes()).0.as_slice(),
                Sha256Digest::of(&trust).0.as_slice(),
                ground
            ],
        );
        assert_eq!(written, Ok(1));
    };
    for (policy, ground, status) in [
        (exception("2999-12-31"), "exception", 200),
        (ended.clone(), "attested", 200),
        (ended, "exception", 403),
    ] {
        scene.gate.kill();
        scene.gate.set_policy(&policy).expect("a policy");
        admit_as(&scene, &policy, ground);
        scene.gate.serve().expect("a gate");
        let answer = download(&scene).expect("an answer");
        assert_eq!(answer.status, status, "{ground}: {}", answer.text());
    }
}
