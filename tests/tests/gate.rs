//! The gate before the fixture registry: unmodified cargo on one side, the registry on the other, attackers on both.

use std::{
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tests::{
    Gatehouse, Issuer,
    gatehouse::{EVERYBODY, Setting, only_ferris},
    http,
    project::Project,
    registry,
    run::Outcome,
};

fn open(policy: impl FnOnce(&Issuer) -> String) -> Gatehouse {
    open_with(|issuer| Setting::policy(policy(issuer)))
}

fn open_with(setting: impl FnOnce(&Issuer) -> Setting) -> Gatehouse {
    Gatehouse::open(Path::new(env!("CARGO_BIN_EXE_sandbox")), setting).expect("a gate")
}

/// A gate through which `crockford` was published, and `telltale`, which it does not use.
fn open_with_both() -> Gatehouse {
    let scene = open(|_| EVERYBODY.to_owned());
    for name in ["crockford", "telltale"] {
        let project = scene.project(name);
        let published = scene.cargo(&project, &["publish", "--registry", "gate", "--allow-dirty"]);
        assert_eq!(published.code, Some(0), "{}", published.said());
    }
    scene
}

/// What a dishonest registry does to the line of `crockford`.
fn add_dependency(line: &mut Value) {
    line["deps"].as_array_mut().expect("deps").push(
        json!({"name": "telltale", "req": "^1", "features": [], "optional": false, "default_features": true, "target": null,
               "kind": "normal"}),
    );
}

/// The gate never saw any archive.
fn unseen(scene: &mut Gatehouse) {
    scene.gate.kill();
    std::fs::remove_dir_all(scene.gate.data()).expect("data");
    scene.gate.serve().expect("the gate again");
}

/// Releases of a tag only, with a bill of materials.
fn strict(issuer: &Issuer) -> String {
    let rule = only_ferris(issuer);
    format!("{rule}tag-required = true\nstatements = [\"https://cyclonedx.org/bom\"]\n")
}

fn consume(scene: &Gatehouse, name: &str) -> (Project, Outcome) {
    let consumer = scene.project("consumer");
    let added = scene.cargo(&consumer, &["add", "--quiet", name, "--registry", "gate"]);
    assert_eq!(added.code, Some(0), "{}", added.said());
    let built = scene.cargo(&consumer, &["run", "--quiet"]);
    (consumer, built)
}

#[test]
fn unmodified_cargo_works_through_the_gate() {
    let scene = open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    let published = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert_eq!(published.code, Some(0), "{}", published.said());
    assert!(
        published.stderr.contains("not attested"),
        "the good news reaches cargo: {}",
        published.stderr
    );
    let (consumer, built) = consume(&scene, "crockford");
    assert_eq!(built.code, Some(0), "{}", built.said());
    for arguments in [
        ["search", "crockford", "--registry", "gate"].as_slice(),
        &["owner", "--list", "crockford", "--registry", "gate"],
        &["yank", "--version", "0.3.1", "crockford", "--registry", "gate"],
        &[
            "yank",
            "--undo",
            "--version",
            "0.3.1",
            "crockford",
            "--registry",
            "gate",
        ],
    ] {
        let outcome = scene.cargo(&consumer, arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.said());
    }
    let config = http::get(&format!("{}/index/config.json", scene.gate.url()))
        .expect("config.json")
        .json();
    assert_eq!(config["api"], scene.gate.url());
}

#[test]
fn a_stolen_token_publishes_nothing_and_the_release_workflow_does() {
    let scene = open(strict);
    let project = scene.project("crockford");
    let stolen = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert_ne!(stolen.code, Some(0));
    assert!(stolen.stderr.contains("gate-no-attestation"), "{}", stolen.stderr);
    let url = format!("{}/api/v1/crates/%6eew", scene.gate.url());
    let disguised =
        http::request("PUT", &url, &[("authorization", scene.registry.token())], b"body").expect("an answer");
    assert_eq!(
        disguised.status, 404,
        "another spelling of the publish path does not pass"
    );
    assert_eq!(
        scene
            .registry
            .requests()
            .iter()
            .filter(|request| request.method == "PUT")
            .count(),
        0
    );
    assert_eq!(scene.registry.uploads().len(), 0, "the registry never saw it");

    let fork = scene.sigstore_publish(&project, "mallory/crockford");
    assert_ne!(fork.code, Some(0));
    assert!(fork.said().contains("identity-mismatch"), "{}", fork.said());
    assert_eq!(scene.registry.uploads().len(), 0);

    let honest = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(honest.code, Some(0), "{}", honest.said());
    assert_eq!(scene.registry.uploads().len(), 1);
    let (_, built) = consume(&scene, "crockford");
    assert_eq!(built.code, Some(0), "{}", built.said());
}

#[test]
fn a_dependency_added_to_the_index_is_never_built() {
    let mut scene = open_with_both();
    let (_, built) = consume(&scene, "crockford");
    assert_eq!(built.code, Some(0), "the unharmed index is good: {}", built.said());

    scene.registry.edit_line("crockford", "0.3.1", add_dependency);
    // The gate keeps an index file for a second.
    std::thread::sleep(Duration::from_millis(1_100));
    // Seen before: the line is left out of the index, and cargo finds no such crate.
    let index = http::get(&format!("{}/index/cr/oc/crockford", scene.gate.url())).expect("the index file");
    assert_eq!((index.status, index.text().trim()), (200, ""));
    assert!(
        index.header("etag").is_some_and(|tag| tag.starts_with("\"gate-")),
        "an ETag of the gate's own"
    );
    assert!(scene.gate.log().contains("index line left out"));

    // Cargo would read an array as the same line, and nothing tells here that it is.
    let honest = scene.registry.version("telltale", "1.0.0").expect("published").line;
    let shown = || {
        std::thread::sleep(Duration::from_millis(1_100));
        let index = http::get(&format!("{}/index/te/ll/telltale", scene.gate.url())).expect("the index file");
        index.text()
    };
    assert!(shown().contains("telltale"), "the unharmed line is there");
    scene.registry.edit_line("telltale", "1.0.0", |line| {
        *line = json!([honest["name"], honest["vers"], [], honest["cksum"], {}, false]);
    });
    assert_eq!(shown().trim(), "");
    assert!(scene.gate.log().contains("index line left out: it cannot be read"));

    // Not seen before: compared at the download, which is refused.
    unseen(&mut scene);
    let refused = http::get(&scene.download_url("crockford", "0.3.1")).expect("an answer");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("gate-manifest-differs"), "{}", refused.text());
    assert!(refused.text().contains("telltale"), "{}", refused.text());
}

/// Cargo may take either line of a version, so a gate that compares one of them has compared nothing.
#[test]
fn a_version_that_the_index_has_twice_is_never_built() {
    let mut scene = open_with_both();
    // Index file and download through a gate that never saw the crate.
    let seen_anew = |scene: &mut Gatehouse| {
        unseen(scene);
        let index = http::get(&format!("{}/index/cr/oc/crockford", scene.gate.url())).expect("the index file");
        let download = http::get(&scene.download_url("crockford", "0.3.1")).expect("an answer");
        (index.text(), download.status)
    };
    let (index, status) = seen_anew(&mut scene);
    assert!(index.contains("0.3.1") && status == 200, "{index}");
    scene.registry.add_line("crockford", "0.3.1", add_dependency);
    let (index, status) = seen_anew(&mut scene);
    assert_eq!((index.trim(), status), ("", 404));
    assert!(scene.gate.log().contains("its version is there twice"));
}

/// A registry that says one thing to who resolves, and another to the gate that looks at what is downloaded.
#[test]
fn a_registry_that_changes_its_word_between_index_and_download_is_refused() {
    let mut scene = open_with_both();
    let honest = scene.registry.version("crockford", "0.3.1").expect("published").line;
    let mut lie = honest.clone();
    add_dependency(&mut lie);
    let index = |scene: &Gatehouse| {
        let url = format!("{}/index/cr/oc/crockford", scene.gate.url());
        http::get(&url).expect("the index file").text()
    };
    let download = |scene: &Gatehouse| http::get(&scene.download_url("crockford", "0.3.1")).expect("an answer");
    unseen(&mut scene);
    assert!(index(&scene).contains("crockford"));
    assert_eq!(download(&scene).status, 200);

    unseen(&mut scene);
    scene
        .registry
        .edit_line("crockford", "0.3.1", |line| *line = lie.clone());
    assert!(index(&scene).contains("telltale"), "nobody has seen the archive");
    scene
        .registry
        .edit_line("crockford", "0.3.1", |line| *line = honest.clone());
    for _ in 0..2 {
        let refused = download(&scene);
        assert_eq!(refused.status, 403);
        assert!(refused.text().contains("gate-index-changed"), "{}", refused.text());
    }
    // Nor does it help to let somebody be told the honest line, too.
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(!index(&scene).contains("telltale"));
    assert_eq!(download(&scene).status, 403);
    // It takes its time with the archive, and changes its word twice meanwhile.
    for lying in [false, true] {
        unseen(&mut scene);
        let before = scene.registry.downloads();
        scene.registry.change(|options| options.holds_downloads = true);
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| download(&scene).status);
            let deadline = Instant::now() + Duration::from_mins(1);
            while scene.registry.downloads() == before {
                assert!(Instant::now() < deadline, "the gate never asked for the archive");
                std::thread::sleep(Duration::from_millis(5));
            }
            if lying {
                scene
                    .registry
                    .edit_line("crockford", "0.3.1", |line| *line = lie.clone());
            }
            assert_eq!(index(&scene).contains("telltale"), lying);
            scene
                .registry
                .edit_line("crockford", "0.3.1", |line| *line = honest.clone());
            scene.registry.change(|options| options.holds_downloads = false);
            waiting.join().expect("an answer")
        });
        let status = if lying { 403 } else { 200 };
        assert_eq!((waiting, download(&scene).status), (status, status));
    }
    // A yank is no other word.
    unseen(&mut scene);
    assert!(index(&scene).contains("crockford"));
    scene
        .registry
        .edit_line("crockford", "0.3.1", |line| line["yanked"] = true.into());
    assert_eq!(download(&scene).status, 200);
}

#[test]
fn a_tampered_download_does_not_leave_the_gate() {
    let scene = open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    assert_eq!(scene.cargo(&project, &["publish", "--registry", "gate"]).code, Some(0));
    let url = scene.download_url("crockford", "0.3.1");
    let honest = http::get(&url).expect("an answer");
    assert_eq!(honest.status, 200);
    let published = scene.registry.version("crockford", "0.3.1").expect("it was published");
    assert_eq!(honest.body, published.bytes);
    let mut tampered = published.bytes.clone();
    *tampered.last_mut().expect("bytes") ^= 1;
    scene.registry.replace("crockford", "0.3.1", &tampered, false);
    let refused = http::get(&url).expect("an answer");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("gate-other-bytes"), "{}", refused.text());
    scene.registry.replace("crockford", "0.3.1", &published.bytes, false);
    assert_eq!(http::get(&url).expect("an answer").body, published.bytes);
}

#[test]
fn head_range_and_conditional_requests_pass_and_a_range_is_of_admitted_bytes() {
    let scene = open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    assert_eq!(scene.cargo(&project, &["publish", "--registry", "gate"]).code, Some(0));
    let published = scene.registry.version("crockford", "0.3.1").expect("it was published");
    let url = scene.download_url("crockford", "0.3.1");
    let asked = |method: &str, headers: &[(&str, &str)]| http::request(method, &url, headers, b"").expect("an answer");
    let head = asked("HEAD", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    let length = published.bytes.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    let part = asked("GET", &[("range", "bytes=5-9")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &published.bytes[5..10]));
    let total = published.bytes.len();
    assert_eq!(
        part.header("content-range"),
        Some(format!("bytes 5-9/{total}").as_str())
    );
    assert_eq!(asked("GET", &[("range", "bytes=9999999-")]).status, 416);
    assert_eq!(asked("POST", &[]).status, 405);

    let index = format!("{}/index/cr/oc/crockford", scene.gate.url());
    let first = http::get(&index).expect("the file");
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(
        first.header("etag"),
        http::get(&format!("{}/index/cr/oc/crockford", scene.registry.url()))
            .expect("the file")
            .header("etag")
    );
    let again = http::request("GET", &index, &[("if-none-match", &tag)], b"").expect("an answer");
    assert_eq!((again.status, again.body.len()), (304, 0));

    let mut tampered = published.bytes.clone();
    *tampered.last_mut().expect("bytes") ^= 1;
    scene.registry.replace("crockford", "0.3.1", &tampered, false);
    let cut = http::request("GET", &url, &[("range", "bytes=5-9")], b"");
    assert!(
        cut.is_err() || cut.is_ok_and(|answer| answer.body.is_empty()),
        "not even a part of what was not admitted"
    );
}

#[test]
fn without_the_attestation_store_the_gate_defers_and_remembers() {
    let mut scene = open(strict);
    let project = scene.project("crockford");
    let honest = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(honest.code, Some(0), "{}", honest.said());
    scene.instance.kill();
    // A verdict once made stays, also over a restart of the gate.
    scene.gate.kill();
    scene.gate.serve().expect("the gate again");
    let url = scene.download_url("crockford", "0.3.1");
    assert_eq!(http::get(&url).expect("an answer").status, 200);
    // What was never decided is deferred: neither let through nor refused.
    scene.gate.kill();
    std::fs::remove_dir_all(scene.gate.data()).expect("a gate that never saw the crate");
    scene.gate.serve().expect("the gate again");
    let deferred = http::get(&url).expect("an answer");
    assert_eq!(deferred.status, 503);
    assert_eq!(deferred.header("retry-after"), Some("5"), "{}", deferred.headers);
    let upload = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert_ne!(upload.code, Some(0));
    assert_eq!(scene.registry.uploads().len(), 1, "only the honest one");
}

#[test]
fn hostile_uploads_are_refused() {
    let scene = open(|_| EVERYBODY.to_owned());
    let metadata = json!({"name": "a", "vers": "1.0.0", "deps": [], "features": {}, "links": null});
    let manifest = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n";
    let upload = |metadata: &Value, archive: &[u8], after: &[u8]| {
        let mut body = package::publish::join(metadata.to_string().as_bytes(), archive).expect("a body");
        body.extend_from_slice(after);
        let url = format!("{}/api/v1/crates/new", scene.gate.url());
        http::request("PUT", &url, &[("authorization", scene.registry.token())], &body).expect("an answer")
    };
    let file = |path: &str, content: &str| member(path, tar::EntryType::Regular, content.as_bytes());
    let honest = vec![file("a-1.0.0/Cargo.toml", manifest)];
    let with = |more: (tar::Header, Vec<u8>)| archive(&[honest.clone(), vec![more]].concat());
    let dependency = json!({"name": "b", "version_req": "^1", "kind": "normal"});
    let other_name = [file(
        "a-1.0.0/Cargo.toml",
        "[package]\nname = \"b\"\nversion = \"1.0.0\"\n",
    )];
    let more = [file(
        "a-1.0.0/Cargo.toml",
        &format!("{manifest}[dependencies]\nb = \"1\"\n"),
    )];
    let mut added = metadata.clone();
    added["deps"] = json!([dependency]);
    let cases: Vec<(&str, Value, Vec<u8>, &[u8])> = vec![
        ("package-tar", metadata.clone(), b"no gzip at all".to_vec(), b""),
        (
            "package-member-type",
            metadata.clone(),
            with(member("a-1.0.0/link", tar::EntryType::Symlink, b"")),
            b"",
        ),
        (
            "package-member-path",
            metadata.clone(),
            with(file("a-1.0.0/../../x", "")),
            b"",
        ),
        (
            "package-duplicate-member",
            metadata.clone(),
            with(file("a-1.0.0/cargo.toml", "")),
            b"",
        ),
        ("package-top-folder", metadata.clone(), with(file("b-1.0.0/x", "")), b""),
        ("package-manifest-name", metadata.clone(), archive(&other_name), b""),
        ("gate-manifest-differs", metadata.clone(), archive(&more), b""),
        ("gate-manifest-differs", added, archive(&honest), b""),
        ("publish-request", metadata.clone(), archive(&honest), b"after"),
        (
            "package-trailing-bytes",
            metadata.clone(),
            [archive(&honest), b"after".to_vec()].concat(),
            b"",
        ),
    ];
    for (code, metadata, archive, after) in &cases {
        let answer = upload(metadata, archive, after);
        assert!(matches!(answer.status, 400 | 403), "{code}: {}", answer.text());
        assert!(answer.text().contains(code), "{code}: {}", answer.text());
    }
    // Two members of one name: whichever the registry takes, the gate compared the other.
    let doubled = metadata
        .to_string()
        .replacen('{', "{\"deps\":[{\"name\":\"b\",\"version_req\":\"^1\"}],", 1);
    let body = package::publish::join(doubled.as_bytes(), &archive(&honest)).expect("a body");
    let url = format!("{}/api/v1/crates/new", scene.gate.url());
    let answer = http::request("PUT", &url, &[("authorization", scene.registry.token())], &body).expect("an answer");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(scene.registry.uploads().len(), 0);
    let accepted = upload(&metadata, &archive(&honest), b"");
    assert_eq!(accepted.status, 200, "{}", accepted.text());
    println!("{} hostile uploads refused", cases.len() + 1);
}

#[test]
fn the_registry_decides_whom_it_shows_itself_to() {
    let options = registry::Options {
        auth_required: true,
        ..registry::Options::default()
    };
    let scene = open_with(|_| Setting::policy(EVERYBODY).before(options));
    let (gate, registry) = (&scene.gate, &scene.registry);
    let url = format!("{}/index/config.json", gate.url());
    let known = http::request("GET", &url, &[("authorization", registry.token())], b"").expect("an answer");
    assert_eq!(
        (known.status, known.json()["auth-required"].as_bool()),
        (200, Some(true))
    );
    let stranger = http::get(&url).expect("an answer");
    assert_eq!(stranger.status, 401, "also after somebody else was answered");
    assert!(stranger.header("www-authenticate").is_some());
    assert!(!gate.log().contains(registry.token()), "credentials are never logged");
}

#[test]
fn the_gate_reads_with_the_login_in_the_url_and_shows_it_to_nobody_else() {
    let elsewhere = registry::Registry::start(registry::Options::default()).expect("a registry");
    for archives_at in [None, Some(elsewhere.url())] {
        let moved = archives_at.is_some();
        let options = registry::Options {
            login_required: true,
            archives_at,
            ..registry::Options::default()
        };
        let scene = open_with(|_| Setting::policy(EVERYBODY).before(options));
        upload_to_registry(&scene.registry);
        let get = |path: &str| {
            let own = http::get(&format!("{}{path}", scene.registry.url())).expect("an answer");
            let gated = http::get(&format!("{}{path}", scene.gate.url())).expect("an answer");
            (own.status, gated.status)
        };
        assert_eq!(get("/index/config.json"), (401, 200));
        assert_eq!(get("/index/1/a"), (401, 200));
        assert_eq!(get("/dl/a/1.0.0/download"), (401, if moved { 404 } else { 200 }));
        let search = http::get(&format!("{}/api/v1/crates?q=a", scene.gate.url())).expect("an answer");
        assert_eq!(search.status, 200, "{}", search.text());
        let yank = format!("{}/api/v1/crates/a/1.0.0/yank", scene.gate.url());
        let stranger = http::request("DELETE", &yank, &[], b"").expect("an answer");
        assert_ne!(stranger.status, 200, "nobody writes with it");
        let index = format!("{}/index/1/a", scene.gate.url());
        let own = http::request("GET", &index, &[("authorization", "wrong")], b"").expect("an answer");
        assert_eq!(own.status, 401, "the caller's own wins");

        let shown = |path: &str| -> Vec<Option<String>> {
            let all = scene.registry.requests().into_iter();
            let of_path = all.filter(|request| request.path.starts_with(path));
            of_path.map(|request| request.authorization).collect()
        };
        let basic = "Basic Z2F0ZTpzM2NyZXQ6".to_owned();
        for path in ["/index/1/a", "/dl/a/1.0.0", "/api/v1/crates?q=a"] {
            assert!(shown(path).contains(&Some(basic.clone())), "{path}: {:?}", shown(path));
        }
        assert_eq!(shown("/api/v1/crates/a/1.0.0/yank"), [None]);
        let log = scene.gate.log();
        assert!(
            !log.is_empty() && !log.contains("s3cret") && !log.contains("Z2F0ZTp"),
            "{log}"
        );
    }
    let asked = elsewhere.requests();
    assert!(
        !asked.is_empty() && asked.iter().all(|request| request.authorization.is_none()),
        "{asked:?}"
    );
}

/// Uploads `a` 1.0.0 past the gate.
fn upload_to_registry(registry: &registry::Registry) {
    let manifest = b"[package]\nname = \"a\"\nversion = \"1.0.0\"\n";
    let metadata = json!({"name": "a", "vers": "1.0.0", "deps": [], "features": {}, "links": null});
    let archive = archive(&[member("a-1.0.0/Cargo.toml", tar::EntryType::Regular, manifest)]);
    let body = package::publish::join(metadata.to_string().as_bytes(), &archive).expect("a body");
    let url = format!("{}/api/v1/crates/new", registry.url());
    let uploaded = http::request("PUT", &url, &[("authorization", registry.token())], &body).expect("an answer");
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
}

fn member(path: &str, kind: tar::EntryType, content: &[u8]) -> (tar::Header, Vec<u8>) {
    let mut header = tar::Header::new_gnu();
    // Written by hand: the library refuses to write what this test needs.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(u64::try_from(content.len()).expect("a size"));
    header.set_mode(0o644);
    header.set_cksum();
    (header, content.to_vec())
}

fn archive(members: &[(tar::Header, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (header, content) in members {
        tar.append(header, content.as_slice()).expect("a member");
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar.into_inner().expect("an archive")).expect("gzip");
    gzip.finish().expect("gzip")
}

#[test]
fn a_new_name_needs_what_the_policy_says_and_a_changed_policy_holds_at_once() {
    let scene = open(|_| "unlisted = \"admit\"\nfirst-publish = \"reserved\"\n".to_owned());
    let project = scene.project("crockford");
    let refused = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert!(refused.stderr.contains("gate-new-name"), "{}", refused.said());

    scene
        .gate
        .set_policy("first-publish = \"closed\"")
        .expect("a wrong policy");
    scene.gate.wait_for_log("policy refused");
    let refused = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert!(
        refused.stderr.contains("gate-new-name"),
        "the old policy stays: {}",
        refused.said()
    );
    let metrics = http::get(&format!("{}/metrics", scene.gate.url()))
        .expect("metrics")
        .text();
    assert!(metrics.contains("gate_policy_reload_failures_total 1"), "{metrics}");

    let known = format!(
        "unlisted = \"admit\"\nfirst-publish = \"existing-identity\"\n{}",
        strict(&scene.issuer)
    );
    let known = known.replace("\"crockford\"", "\"other\"");
    scene.gate.change_policy(&known);
    let unattested = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert!(
        unattested.stderr.contains("gate-no-attestation"),
        "{}",
        unattested.said()
    );
    let honest = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(honest.code, Some(0), "{}", honest.said());
}
