//! The gate before the fixture registry: unmodified cargo on one side, the registry on the other, attackers on both.

use std::{io::Write as _, path::Path, process::Command, time::Duration};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tests::{
    Gate, Instance, Issuer, Registry, Tools,
    ci::Release,
    http,
    issuer::Profile,
    project::{Project, Workshop, fixture},
    registry,
    run::{Outcome, run},
};

const LIMIT: Duration = Duration::from_mins(3);
const EVERYBODY: &str = "unlisted = \"admit\"\n";

/// Issuer, server, registry, gate before it, and a workshop whose cargo knows the gate as `gate`.
struct Scene {
    issuer: Issuer,
    instance: Instance,
    registry: Registry,
    gate: Gate,
    workshop: Workshop,
}

impl Scene {
    fn open(policy: impl FnOnce(&Issuer) -> String) -> Self {
        let tools = Tools::install(Path::new(env!("CARGO_BIN_EXE_sandbox"))).expect("our binaries");
        let issuer = Issuer::start().expect("an issuer");
        let instance = Instance::start(&tools, &issuer).expect("a server");
        let registry = Registry::start(registry::Options::default()).expect("a registry");
        let gate = Gate::start(&tools, &instance, &registry, &policy(&issuer)).expect("a gate");
        let mut workshop = Workshop::open(&tools).expect("a workshop");
        workshop.know_index("gate", &gate.index_url());
        Self {
            issuer,
            instance,
            registry,
            gate,
            workshop,
        }
    }

    fn project(&self, name: &str) -> Project {
        self.workshop.adopt(&fixture(name)).expect("a fixture")
    }

    fn cargo(&self, project: &Project, arguments: &[&str]) -> Outcome {
        let mut command = self.workshop.cargo(&project.folder);
        command
            .args(arguments)
            .env("CARGO_REGISTRIES_GATE_TOKEN", self.registry.token());
        command.env("CARGO_REGISTRIES_GATE_CREDENTIAL_PROVIDER", "cargo:token");
        run(&mut command, LIMIT).expect("cargo runs")
    }

    fn sigstore_publish(&self, project: &Project, repository: &str) -> Outcome {
        let release = Release::of_tag(repository, &project.version, &project.commit);
        let mut command: Command = self.workshop.cargo(&project.folder);
        command
            .args(["sigstore", "publish", "--registry", "gate"])
            .env("SIGSTORE_TRUST_CONFIG", self.instance.trust("trust_config.json"))
            .env("CARGO_SIGSTORE_REGISTRY_TOKEN", self.registry.token())
            .envs(release.github_environment(&self.issuer));
        run(&mut command, LIMIT).expect("cargo runs")
    }

    fn consume(&self, name: &str) -> (Project, Outcome) {
        let consumer = self.project("consumer");
        let added = self.cargo(&consumer, &["add", "--quiet", name, "--registry", "gate"]);
        assert_eq!(added.code, Some(0), "{}", added.said());
        let built = self.cargo(&consumer, &["run", "--quiet"]);
        (consumer, built)
    }
}

/// Only releases of `ferris/crockford` by its release workflow.
fn only_ferris(issuer: &Issuer) -> String {
    format!(
        "[[rule]]\ncrates = [\"crockford\"]\nissuer = \"{}\"\nrepository = \"https://github.com/ferris/crockford\"\n\
         workflow = \".github/workflows/release.yml\"\nref = \"refs/tags/*\"\ntag-required = true\n\
         statements = [\"https://cyclonedx.org/bom\"]\n",
        issuer.url(Profile::GitHub)
    )
}

#[test]
fn unmodified_cargo_works_through_the_gate() {
    let scene = Scene::open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    let published = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert_eq!(published.code, Some(0), "{}", published.said());
    assert!(
        published.stderr.contains("not attested"),
        "the good news reaches cargo: {}",
        published.stderr
    );
    let (consumer, built) = scene.consume("crockford");
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
    let scene = Scene::open(only_ferris);
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
    let (_, built) = scene.consume("crockford");
    assert_eq!(built.code, Some(0), "{}", built.said());
}

#[test]
fn a_dependency_added_to_the_index_is_never_built() {
    let mut scene = Scene::open(|_| EVERYBODY.to_owned());
    for name in ["crockford", "telltale"] {
        let project = scene.project(name);
        let published = scene.cargo(&project, &["publish", "--registry", "gate", "--allow-dirty"]);
        assert_eq!(published.code, Some(0), "{}", published.said());
    }
    let (_, built) = scene.consume("crockford");
    assert_eq!(built.code, Some(0), "the unharmed index is good: {}", built.said());

    let evil = json!({"name": "telltale", "req": "^1", "features": [], "optional": false, "default_features": true,
                      "target": null, "kind": "normal"});
    scene.registry.edit_line("crockford", "0.3.1", |line| {
        line["deps"].as_array_mut().expect("deps").push(evil.clone());
    });
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

    // Not seen before: compared at the download, which is refused.
    scene.gate.kill();
    let data = scene.gate.data();
    std::fs::remove_dir_all(&data).expect("a gate that never saw the crate");
    scene.gate.serve().expect("the gate again");
    let refused = http::get(&format!("{}/dl/crockford/0.3.1/download", scene.gate.url())).expect("an answer");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("gate-manifest-differs"), "{}", refused.text());
    assert!(refused.text().contains("telltale"), "{}", refused.text());
}

#[test]
fn a_tampered_download_does_not_leave_the_gate() {
    let scene = Scene::open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    assert_eq!(scene.cargo(&project, &["publish", "--registry", "gate"]).code, Some(0));
    let url = format!("{}/dl/crockford/0.3.1/download", scene.gate.url());
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
    let scene = Scene::open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    assert_eq!(scene.cargo(&project, &["publish", "--registry", "gate"]).code, Some(0));
    let published = scene.registry.version("crockford", "0.3.1").expect("it was published");
    let url = format!("{}/dl/crockford/0.3.1/download", scene.gate.url());
    let asked = |method: &str, headers: &[(&str, &str)]| http::request(method, &url, headers, b"").expect("an answer");
    let head = asked("HEAD", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
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
    let mut scene = Scene::open(only_ferris);
    let project = scene.project("crockford");
    let honest = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(honest.code, Some(0), "{}", honest.said());
    scene.instance.kill();
    // A verdict once made stays, also over a restart of the gate.
    scene.gate.kill();
    scene.gate.serve().expect("the gate again");
    let url = format!("{}/dl/crockford/0.3.1/download", scene.gate.url());
    assert_eq!(http::get(&url).expect("an answer").status, 200);
    // What was never decided is deferred: neither let through nor refused.
    scene.gate.kill();
    std::fs::remove_dir_all(scene.gate.data()).expect("a gate that never saw the crate");
    scene.gate.serve().expect("the gate again");
    let deferred = http::get(&url).expect("an answer");
    assert_eq!(deferred.status, 503);
    let upload = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert_ne!(upload.code, Some(0));
    assert_eq!(scene.registry.uploads().len(), 1, "only the honest one");
}

#[test]
fn hostile_uploads_are_refused() {
    let scene = Scene::open(|_| EVERYBODY.to_owned());
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
    let tools = Tools::install(Path::new(env!("CARGO_BIN_EXE_sandbox"))).expect("our binaries");
    let issuer = Issuer::start().expect("an issuer");
    let instance = Instance::start(&tools, &issuer).expect("a server");
    let options = registry::Options { auth_required: true };
    let registry = Registry::start(options).expect("a registry");
    let gate = Gate::start(&tools, &instance, &registry, EVERYBODY).expect("a gate");
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
    let scene = Scene::open(|_| "unlisted = \"admit\"\nfirst-publish = \"reserved\"\n".to_owned());
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
        only_ferris(&scene.issuer)
    );
    let known = known.replace("\"crockford\"", "\"other\"");
    scene.gate.set_policy(&known).expect("a policy");
    scene.gate.wait_for_log("policy reloaded");
    let unattested = scene.cargo(&project, &["publish", "--registry", "gate"]);
    assert!(
        unattested.stderr.contains("gate-no-attestation"),
        "{}",
        unattested.said()
    );
    let honest = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(honest.code, Some(0), "{}", honest.said());
}
