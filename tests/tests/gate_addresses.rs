//! Where registry, gate and attestation store say they are: redirects, a registry that names the gate, former addresses, and a store
//! that answers something else.

use std::path::Path;

use axum::{Router, http::StatusCode};
use serde_json::Value;
use tests::{
    Gatehouse, Issuer,
    gatehouse::{EVERYBODY, Setting, only_ferris},
    http::{self, Answer},
    project::{Project, fixture},
    registry::Options,
    run::Outcome,
    service::Service,
};
use verify::Sha256Digest;

fn open(setting: impl FnOnce(&Issuer) -> Setting) -> Gatehouse {
    Gatehouse::open(Path::new(env!("CARGO_BIN_EXE_sandbox")), setting).expect("a gate")
}

/// `cargo publish` past the gate.
fn publish_past(scene: &Gatehouse, name: &str) -> Project {
    let project = scene.project(name);
    let outcome = scene.cargo(&project, &["publish", "--no-verify", "--registry", "bare"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    project
}

/// Unmodified cargo, with `crockford` of the gate in a fresh folder.
fn consume(scene: &Gatehouse, folder: &str) -> Outcome {
    let consumer = scene
        .workshop
        .adopt_as(&fixture("consumer"), folder)
        .expect("a fixture");
    let added = scene.cargo(&consumer, &["add", "--quiet", "crockford", "--registry", "gate"]);
    assert_eq!(added.code, Some(0), "{}", added.said());
    scene.cargo(&consumer, &["run", "--quiet"])
}

fn get(scene: &Gatehouse, path: &str) -> Answer {
    http::get(&format!("{}{path}", scene.gate.url())).expect("an answer")
}

fn restart(scene: &mut Gatehouse, edit: impl FnOnce(String) -> String) {
    scene.gate.kill();
    let file = scene.gate.file("gate.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, edit(text)).expect("a configuration");
    scene.gate.serve().expect("a gate");
}

const INDEX: &str = "/index/cr/oc/crockford";
const DOWNLOAD: &str = "/dl/crockford/0.3.1/download";

/// Cargo follows a redirect of index or archive wherever it leads, and would not come back to the gate.
#[test]
fn nobody_is_led_past_the_gate() {
    let scene = open(|issuer| Setting::policy(only_ferris(issuer)));
    publish_past(&scene, "crockford");
    let url = scene.registry.url();
    let lead = |place: &str| {
        let place = place.to_owned();
        scene.registry.change(|options| options.index_leads_to = Some(place));
    };

    // The index was moved: the gate goes there, and answers for itself.
    lead(&format!("{url}/elsewhere/"));
    let config = get(&scene, "/index/config.json");
    assert_eq!(
        (config.status, config.json()["api"].as_str()),
        (200, Some(scene.gate.url()))
    );
    assert!(get(&scene, INDEX).text().contains("0.3.1"));
    let refused = get(&scene, DOWNLOAD);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("gate-no-attestation"), "{}", refused.text());

    // It leads to the archive, in the place of the line that the gate asks for.
    for place in [format!("{url}{DOWNLOAD}?"), String::new()] {
        lead(&place);
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        for path in ["/index/config.json", INDEX, DOWNLOAD] {
            let answer = get(&scene, path);
            assert_eq!(answer.header("location"), None, "{path} with {place:?}");
            assert!(!(300..400).contains(&answer.status), "{path}: {}", answer.status);
            assert!(!answer.body.starts_with(&[0x1f, 0x8b]), "{path} gives the archive away");
        }
        assert_ne!(get(&scene, DOWNLOAD).status, 200);
    }
}

#[test]
fn an_upload_is_not_led_past_the_gate_either() {
    let scene = open(|_| Setting::policy(EVERYBODY));
    let project = scene.project("crockford");
    let elsewhere = format!("{}/api/v1/crates/elsewhere", scene.registry.url());
    scene
        .registry
        .change(|options| options.uploads_lead_to = Some(elsewhere));
    let led = scene.publish(&project);
    assert!(led.stderr.contains("takes uploads elsewhere"), "{}", led.said());
    let asked = scene.registry.requests();
    assert!(
        !asked.iter().any(|request| request.path.ends_with("/elsewhere")),
        "{asked:?}"
    );
    scene.registry.change(|options| options.uploads_lead_to = None);
    let published = scene.publish(&project);
    assert_eq!(published.code, Some(0), "{}", published.said());
}

/// As kellnr behind a gate is set up: its own `config.json` names the gate, and its index is below its web API.
#[test]
fn a_registry_that_names_the_gate_works_behind_it_under_its_own_paths() {
    let options = Options {
        like_kellnr: true,
        ..Options::default()
    };
    let mut scene = open(|issuer| Setting::policy(only_ferris(issuer)).before(options));
    let origin = scene.gate.url().to_owned();
    scene.registry.change(|options| options.origin = Some(origin.clone()));
    scene
        .workshop
        .know_index("gate", &format!("sparse+{origin}/api/v1/crates/"));
    let project = scene.project("crockford");
    let stolen = scene.publish(&project);
    assert!(stolen.stderr.contains("gate-no-attestation"), "{}", stolen.said());
    assert_eq!(scene.registry.uploads().len(), 0);
    let honest = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(honest.code, Some(0), "{}", honest.said());
    let built = consume(&scene, "consumer");
    assert_eq!(built.code, Some(0), "{}", built.said());
    let searched = scene.cargo(&project, &["search", "crockford", "--registry", "gate"]);
    assert!(searched.stdout.contains("crockford"), "{}", searched.said());
    // Neither is the registry's own download a way around, nor what only looks like an index file.
    for path in [
        "/api/v1/crates/dl/crockford/0.3.1/download",
        "/api/v1/crates/cr/oc/other",
    ] {
        assert_eq!(get(&scene, path).status, 404, "{path}");
    }
    assert_eq!(get(&scene, "/index/..%2felsewhere%2fcr/oc/crockford").status, 404);
}

/// A crate that was published before the gate stood names its registry by the address of then.
#[test]
fn former_addresses_of_the_registry_are_the_registrys() {
    let mut scene = open(|_| Setting::policy(EVERYBODY));
    let former = scene.registry.index_url().replace("127.0.0.1", "localhost");
    scene.workshop.know_index("bare", &former);
    publish_past(&scene, "crockford");
    let dependent = scene.project("consumer");
    let manifest = dependent.folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, text.replace("publish = false\n", "")).expect("a manifest");
    for arguments in [
        ["add", "--quiet", "crockford", "--registry", "bare"].as_slice(),
        &["publish", "--no-verify", "--allow-dirty", "--registry", "bare"],
    ] {
        let outcome = scene.cargo(&dependent, arguments);
        assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    }
    let download = format!("/dl/consumer/{}/download", dependent.version);
    let refused = get(&scene, &download);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("gate-manifest-differs"), "{}", refused.text());
    assert_eq!(get(&scene, "/index/co/ns/consumer").text().trim(), "", "left out");
    // What was learned of the archive under one name of the registry holds under all.
    let known = format!("[upstream]\nalso-known-as = [\"{former}\"]");
    restart(&mut scene, |text| text.replacen("[upstream]", &known, 1));
    assert_eq!(get(&scene, &download).status, 200);
    assert!(get(&scene, "/index/co/ns/consumer").text().contains("crockford"));
}

/// An error page, a redirect or a refusal of the store does not say that nobody attested anything.
#[test]
fn a_store_that_answers_something_else_has_not_said_that_it_has_nothing() {
    let mut scene = open(|issuer| Setting::policy(only_ferris(issuer)));
    let project = publish_past(&scene, "crockford");
    let refused = get(&scene, DOWNLOAD);
    assert_eq!(refused.status, 403, "the store itself says so: {}", refused.text());
    let next = scene.next_version(&project, "0.3.2");
    for (status, body) in [
        (StatusCode::OK, "<html>We are mending things.</html>"),
        (StatusCode::OK, "{}"),
        (StatusCode::FORBIDDEN, "not you"),
        (StatusCode::FOUND, ""),
    ] {
        let page = Service::start(|_| Router::new().fallback(async move || (status, body))).expect("a page");
        let store = format!("attestations = \"{}\"", page.url());
        restart(&mut scene, |text| {
            let lines = text.lines().map(|line| {
                if line.starts_with("attestations = ") {
                    store.clone()
                } else {
                    line.to_owned()
                }
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        let deferred = get(&scene, DOWNLOAD);
        assert_eq!(deferred.status, 503, "{status} {body}: {}", deferred.text());
        assert_eq!(deferred.header("retry-after"), Some("5"));
        assert!(deferred.text().starts_with("deferred: "), "{}", deferred.text());
        let published = scene.publish(&next);
        assert!(published.stderr.contains("deferred: "), "{}", published.said());
        assert_eq!(get(&scene, "/readyz").status, 503, "{status} {body}");
    }
}

/// `config.json` may name the gate for evidence, so publishers bring theirs there.
#[test]
fn evidence_is_stored_through_the_gate() {
    let scene = open(|issuer| Setting::policy(only_ferris(issuer)));
    let published = scene.sigstore_publish(&scene.project("crockford"), "ferris/crockford");
    assert_eq!(published.code, Some(0), "{}", published.said());
    let archive = scene.registry.version("crockford", "0.3.1").expect("published").bytes;
    let digest = Sha256Digest::of(&archive);
    let found = get(&scene, &format!("/api/v1/attestations/sha256:{digest}")).json();
    let mut bundle = found["attestations"][0]["bundle"].clone();
    let url = format!("{}/api/v1/attestations", scene.gate.url());
    let store = |bundle: &Value| http::post_json(&url, bundle).expect("an answer");
    let stored = store(&bundle);
    assert!(matches!(stored.status, 200 | 201), "{}", stored.text());
    let digests = stored.json()["digests"].to_string();
    assert!(digests.contains(&digest.to_string()), "{digests}");
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = "AAAA".into();
    let refused = store(&bundle);
    assert_eq!(refused.status, 400, "the store's own word: {}", refused.text());
    let asked = scene.registry.requests();
    assert!(!asked.iter().any(|request| request.path.contains("attestations")));
}

/// A registry that cannot be asked is told of in words where cargo prints the body as it is, and as JSON where cargo reads that.
#[test]
fn a_failed_download_is_told_in_words() {
    let mut scene = open(|_| Setting::policy(EVERYBODY));
    publish_past(&scene, "crockford");
    assert_eq!(get(&scene, DOWNLOAD).status, 200);
    let nowhere = format!(
        "http://127.0.0.1:{}/index/",
        tests::instance::free_port().expect("a port")
    );
    let index = scene.registry.upstream_index();
    restart(&mut scene, |text| text.replace(&index, &nowhere));
    let download = get(&scene, DOWNLOAD);
    assert_eq!(download.status, 503);
    assert!(
        download
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
    );
    assert!(
        download.text().starts_with("deferred: the registry"),
        "{}",
        download.text()
    );
    let search = get(&scene, "/api/v1/crates?q=a").json();
    assert!(search["errors"][0]["detail"].is_string(), "{search}");
}
