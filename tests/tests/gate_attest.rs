//! The registry signs what it accepted: once and for all, whenever it was killed on the way.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tests::{
    Gate, Gatehouse, Issuer,
    gatehouse::{EVERYBODY, Setting, only_ferris},
    http,
    issuer::Profile,
    project::Project,
    run::{Outcome, run},
};
use verify::Sha256Digest;

const LIMIT: Duration = Duration::from_mins(3);
/// Signing takes a moment; on a busy machine several.
const SIGNED_WITHIN: Duration = Duration::from_mins(1);
const BY_TOKEN: &str = "[attest]\ntoken-file = \"token\"\npolicy-uri = \"https://example.com/policy.toml\"\n";

/// Every crash point of the gate, and whether the registry has the crate by then.
const POINTS: [(&str, bool); 8] = [
    ("verdict-lost", false),
    ("verdict-kept", false),
    ("upload-kept", false),
    ("forwarded", true),
    ("acceptance-kept", true),
    ("signed", true),
    ("bundle-kept", true),
    ("stored", true),
];

/// A gate that signs by token, which is there already.
fn open(policy: impl FnOnce(&Issuer) -> String) -> Gatehouse {
    open_with(|issuer| {
        let token = issuer.token(Profile::Uri).expect("a token");
        Setting::policy(policy(issuer)).sections(BY_TOKEN).file("token", token)
    })
}

fn open_with(setting: impl FnOnce(&Issuer) -> Setting) -> Gatehouse {
    Gatehouse::open(Path::new(env!("CARGO_BIN_EXE_sandbox")), setting).expect("a gate")
}

fn verify(scene: &Gatehouse, folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = scene.workshop.cargo_sigstore(folder);
    command
        .args(["verify", "--trust"])
        .arg(scene.instance.trust("trust_config.json"))
        .args(arguments);
    run(&mut command, LIMIT).expect("cargo sigstore runs")
}

fn crate_digest(scene: &Gatehouse) -> Sha256Digest {
    let published = scene.registry.version("crockford", "0.3.1").expect("it is published");
    Sha256Digest::of(&published.bytes)
}

/// Statements of the registry about a digest at `store`, by predicate type.
fn statements(store: &str, digest: &Sha256Digest) -> Vec<Value> {
    let url = format!("{store}/api/v1/attestations/sha256:{digest}");
    let answer = http::get(&url).expect("an answer").json();
    let bundles = answer["attestations"].as_array().cloned().unwrap_or_default();
    let payloads = bundles.iter().filter_map(|found| {
        let payload = found["bundle"]["dsseEnvelope"]["payload"].as_str()?;
        serde_json::from_slice::<Value>(&BASE64_STANDARD.decode(payload).ok()?).ok()
    });
    payloads.filter(is_of_registry).collect()
}

fn is_of_registry(statement: &Value) -> bool {
    [verify::release::PREDICATE_TYPE, verify::summary::PREDICATE_TYPE]
        .iter()
        .any(|kind| statement["predicateType"] == *kind)
}

/// Both statements, as soon as they are there.
fn awaited(store: &str, digest: &Sha256Digest, gate: &Gate) -> (Value, Value) {
    let deadline = Instant::now() + SIGNED_WITHIN;
    loop {
        let found = statements(store, digest);
        let of = |kind: &str| {
            found
                .iter()
                .find(|statement| statement["predicateType"] == kind)
                .cloned()
        };
        let (release, summary) = (of(verify::release::PREDICATE_TYPE), of(verify::summary::PREDICATE_TYPE));
        if let (Some(release), Some(summary)) = (release, summary) {
            return (release, summary);
        }
        assert!(Instant::now() < deadline, "not signed: {}", gate.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `crockford`, attested by its publisher, accepted, and signed by the registry.
fn attested() -> (Gatehouse, Project) {
    let scene = open(only_ferris);
    let project = scene.project("crockford");
    let published = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(published.code, Some(0), "{}", published.said());
    awaited(scene.instance.url(), &crate_digest(&scene), &scene.gate);
    (scene, project)
}

/// A consumer that depends on `crockford` of the gate, with its lock file.
fn consumer(scene: &Gatehouse) -> Project {
    let consumer = scene.project("consumer");
    for arguments in [
        ["add", "--quiet", "crockford", "--registry", "gate"].as_slice(),
        &["generate-lockfile"],
    ] {
        let outcome = scene.cargo(&consumer, arguments);
        assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    }
    consumer
}

#[test]
fn what_was_attested_and_accepted_gets_a_release_and_a_summary() {
    let scene = open(only_ferris);
    let project = scene.project("crockford");
    let published = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(published.code, Some(0), "{}", published.said());
    let digest = crate_digest(&scene);
    let (release, summary) = awaited(scene.instance.url(), &digest, &scene.gate);
    assert_eq!(
        statements(scene.gate.url(), &digest).len(),
        2,
        "each once, at the gate too"
    );
    for statement in [&release, &summary] {
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.to_string());
        assert_eq!(statement["subject"][0]["name"], "crockford-0.3.1.crate");
    }
    let purl = release["predicate"]["purl"].as_str().expect("a purl");
    assert!(purl.starts_with("pkg:cargo/crockford@0.3.1?repository_url="), "{purl}");
    let predicate = &summary["predicate"];
    assert_eq!(predicate["verifier"]["id"], scene.gate.url());
    assert_eq!(
        predicate["resourceUri"],
        format!("{}/dl/crockford/0.3.1/download", scene.gate.url())
    );
    assert_eq!(predicate["verificationResult"], "PASSED");
    assert_eq!(predicate["verifiedLevels"], json!(["SLSA_BUILD_LEVEL_2"]));
    let policy = std::fs::read(scene.gate.file("policy.toml")).expect("the policy");
    assert_eq!(
        predicate["policy"]["digest"]["sha256"],
        Sha256Digest::of(&policy).to_string()
    );
    let inputs = predicate["inputAttestations"].as_array().expect("inputs");
    assert_eq!(inputs.len(), 1, "the provenance that the rule demands: {inputs:?}");
    let token = std::fs::read_to_string(scene.gate.file("token")).expect("the token");
    assert!(!scene.gate.log().contains(&token), "no token in the log");
}

#[test]
fn killed_between_any_two_steps_an_upload_is_finished_or_repeatable() {
    for (point, has_it) in POINTS {
        let mut scene = open(|_| EVERYBODY.to_owned());
        let project = scene.project("crockford");
        scene.gate.kill();
        scene.gate.crash_at(Some(point));
        scene.gate.serve().expect("the gate again");
        let first = scene.publish(&project);
        assert!(scene.gate.died_within(SIGNED_WITHIN), "{point}: {}", first.said());
        assert_eq!(
            scene.registry.version("crockford", "0.3.1").is_some(),
            has_it,
            "{point}"
        );
        scene.gate.kill();
        scene.gate.crash_at(None);
        scene.gate.serve().expect("the gate again");
        let again = scene.publish(&project);
        let there = again.said().contains("already exists");
        assert!(again.code == Some(0) || (has_it && there), "{point}: {}", again.said());
        let (_, summary) = awaited(scene.instance.url(), &crate_digest(&scene), &scene.gate);
        assert_eq!(
            summary["predicate"]["verifiedLevels"],
            json!(["SLSA_BUILD_LEVEL_UNEVALUATED"])
        );
        let download = http::get(&scene.download_url("crockford", "0.3.1")).expect("an answer");
        assert_eq!(download.status, 200, "{point}");
        assert!(admitted(&scene.gate), "{point}: the verdict is recorded");
        println!("{point}: finished");
    }
}

#[test]
fn nothing_is_served_when_the_gate_dies_before_the_verdict_is_kept() {
    let mut scene = open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    let published = scene.cargo(&project, &["publish", "--no-verify", "--registry", "bare"]);
    assert_eq!(
        published.code,
        Some(0),
        "straight to the registry: {}",
        published.said()
    );
    let url = scene.download_url("crockford", "0.3.1");
    scene.gate.kill();
    scene.gate.crash_at(Some("verdict-lost"));
    scene.gate.serve().expect("the gate again");
    let answer = http::get(&url);
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.body.is_empty()));
    assert!(!admitted(&scene.gate));
    scene.gate.kill();
    scene.gate.crash_at(None);
    scene.gate.serve().expect("the gate again");
    assert_eq!(http::get(&url).expect("an answer").status, 200);
    assert!(admitted(&scene.gate));
}

/// Whether the ledger holds an admission.
fn admitted(gate: &Gate) -> bool {
    let ledger = rusqlite::Connection::open(gate.data().join("verdicts.sqlite")).expect("the ledger");
    let count: i64 = ledger
        .query_row("SELECT COUNT(*) FROM admission", [], |row| row.get(0))
        .expect("a count");
    count > 0
}

#[test]
fn an_upload_repeated_with_the_same_bytes_succeeds_and_with_others_does_not() {
    let scene = open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    assert_eq!(scene.publish(&project).code, Some(0));
    let published = scene.registry.version("crockford", "0.3.1").expect("it is published");
    let features = published.line["features"].clone();
    let metadata = json!({"name": "crockford", "vers": "0.3.1", "deps": [], "features": features, "links": null});
    let upload = |archive: &[u8], token: &str| {
        let body = package::publish::join(metadata.to_string().as_bytes(), archive).expect("a body");
        let url = format!("{}/api/v1/crates/new", scene.gate.url());
        http::request("PUT", &url, &[("authorization", token)], &body).expect("an answer")
    };
    let again = upload(&published.bytes, scene.registry.token());
    assert_eq!(again.status, 200, "{}", again.text());
    assert!(again.text().contains("very bytes already"), "{}", again.text());
    let stranger = upload(&published.bytes, "another");
    assert_eq!(stranger.status, 403, "{}", stranger.text());
    std::fs::write(project.folder.join("README.md"), "Other words.\n").expect("a change");
    let packaged = scene.cargo(&project, &["package", "--no-verify", "--allow-dirty"]);
    assert_eq!(packaged.code, Some(0), "{}", packaged.said());
    let other = std::fs::read(scene.workshop.target().join("package/crockford-0.3.1.crate")).expect("the archive");
    assert_ne!(other, published.bytes);
    let refused = upload(&other, scene.registry.token());
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("already uploaded"), "{}", refused.text());
}

#[test]
fn statements_wait_for_the_token_and_are_signed_then() {
    let scene = open(|_| EVERYBODY.to_owned());
    let project = scene.project("crockford");
    std::fs::write(scene.gate.file("token"), "no token").expect("the token file");
    let published = scene.publish(&project);
    assert_eq!(
        published.code,
        Some(0),
        "nobody waits for signatures: {}",
        published.said()
    );
    scene.gate.wait_for_log("not attested yet");
    let token = scene.issuer.token(Profile::Uri).expect("a token");
    std::fs::write(scene.gate.file("token"), token).expect("the token file");
    awaited(scene.instance.url(), &crate_digest(&scene), &scene.gate);
}

/// Whom a consumer expects to have signed `crockford`.
fn author(scene: &Gatehouse) -> String {
    format!(
        "[[crate]]\nname = \"crockford\"\nidentity = \"https://github.com/ferris/crockford/.github/workflows/release.yml@refs/tags/v0.3.1\"\n\
         issuer = \"{}\"\n",
        scene.issuer.url(Profile::GitHub)
    )
}

/// Pins the gate's identity, under the name `acme`.
fn pin(scene: &Gatehouse, verifier: &str, level: u8) -> String {
    let identity = Profile::Uri.subject(&scene.issuer.base());
    let issuer = scene.issuer.url(Profile::Uri);
    format!(
        "[[registry]]\nname = \"acme\"\nverifier = \"{verifier}\"\nidentity = \"{identity}\"\nissuer = \"{issuer}\"\n\
         minimum-level = {level}\n"
    )
}

#[test]
fn verify_shows_what_a_pinned_registry_says_and_who_is_a_stranger() {
    let (scene, _) = attested();
    let consumer = consumer(&scene);
    let author = author(&scene);
    let pin = |verifier: &str, level: u8| pin(&scene, verifier, level);
    let verify_with = |expectations: &str, format: &str| {
        std::fs::write(consumer.folder.join("sigstore.toml"), expectations).expect("sigstore.toml");
        verify(&scene, &consumer.folder, &["--format", format])
    };
    let unpinned = verify_with(&author, "human");
    assert_eq!(unpinned.code, Some(0), "{}", unpinned.said());
    assert!(unpinned.stderr.contains("signed by a stranger"), "{}", unpinned.stderr);
    assert!(!unpinned.stderr.contains("admitted"), "{}", unpinned.stderr);

    let pinned = verify_with(&format!("{author}{}", pin(scene.gate.url(), 2)), "human");
    assert_eq!(pinned.code, Some(0), "{}", pinned.said());
    let policy = std::fs::read(scene.gate.file("policy.toml")).expect("the policy");
    let admitted = format!(
        "registry `acme` admitted `crockford 0.3.1` under policy sha256:{}, SLSA build level 2",
        Sha256Digest::of(&policy)
    );
    assert!(pinned.stderr.contains(&admitted), "{}", pinned.stderr);
    assert!(
        pinned
            .stderr
            .contains("registry `acme` published it as pkg:cargo/crockford@0.3.1")
    );

    let machine = verify_with(&format!("{author}{}", pin(scene.gate.url(), 2)), "json");
    let document: Value = serde_json::from_str(&machine.stdout).expect("a document");
    let statements = document["artifacts"][0]["registry"]
        .as_array()
        .expect("statements")
        .clone();
    let admitted = statements
        .iter()
        .find(|said| said["standing"] == "admitted")
        .expect("a summary");
    assert_eq!(
        (&admitted["evidenceFor"], &admitted["level"], &admitted["registry"]),
        (&json!("E5"), &json!(2), &json!("acme"))
    );

    for (expectations, field) in [
        (pin("https://other.example", 2), "verifier.id"),
        (pin(scene.gate.url(), 3), "verifiedLevels"),
    ] {
        let wrong = verify_with(&format!("{author}{expectations}"), "human");
        assert!(wrong.stderr.contains("registry-statement"), "{}", wrong.stderr);
        assert!(wrong.stderr.contains(field), "{}", wrong.stderr);
        assert!(!wrong.stderr.contains("rank E5"), "{}", wrong.stderr);
    }
}

/// Neither stands in for the other.
#[test]
fn a_registrys_word_and_equality_with_the_source_together_make_the_highest_rank() {
    let (scene, project) = attested();
    let consumer = consumer(&scene);
    let expectations = format!("{}{}", author(&scene), pin(&scene, scene.gate.url(), 2));
    std::fs::write(consumer.folder.join("sigstore.toml"), expectations).expect("sigstore.toml");
    let pinned = verify(&scene, &consumer.folder, &[]);
    assert_eq!(pinned.code, Some(0), "{}", pinned.said());
    assert!(
        pinned.stderr.contains("(evidence for rank E5, which"),
        "{}",
        pinned.stderr
    );
    let bytes = scene.registry.version("crockford", "0.3.1").expect("published").bytes;
    std::fs::write(consumer.folder.join("crockford-0.3.1.crate"), bytes).expect("the crate");
    let clone = project.folder.display().to_string();
    let compared = ["crockford-0.3.1.crate", "--source", clone.as_str()];
    let equal = verify(&scene, &consumer.folder, &compared);
    assert_eq!(equal.code, Some(0), "{}", equal.said());
    assert!(
        equal.stderr.contains("SLSA build level 2 (rank E5)"),
        "{}",
        equal.stderr
    );
    let equal = verify(
        &scene,
        &consumer.folder,
        &[&compared[..], &["--format", "json"]].concat(),
    );
    let document: Value = serde_json::from_str(&equal.stdout).expect("a document");
    let artifact = &document["artifacts"][0];
    assert_eq!(
        (&artifact["rank"], &artifact["source"]["commit"]),
        (&json!("E5"), &json!(project.commit))
    );
    let elsewhere = scene.project("telltale").folder.display().to_string();
    let open = verify(
        &scene,
        &consumer.folder,
        &["crockford-0.3.1.crate", "--source", &elsewhere],
    );
    assert_eq!(open.code, Some(3), "{}", open.said());
    assert!(open.stderr.contains("source-unavailable"), "{}", open.stderr);
}

#[test]
fn code_scanning_is_told_what_registries_say_and_warned_of_what_falls_short() {
    let (scene, _) = attested();
    let consumer = consumer(&scene);
    let scan = |level: u8| {
        let expectations = format!("{}{}", author(&scene), pin(&scene, scene.gate.url(), level));
        std::fs::write(consumer.folder.join("sigstore.toml"), expectations).expect("sigstore.toml");
        verify(&scene, &consumer.folder, &["--format", "sarif"])
    };
    let scanning = scan(2);
    let log: Value = serde_json::from_str(&scanning.stdout).expect("SARIF");
    assert_eq!(log["runs"][0]["results"], json!([]), "{}", scanning.stdout);
    let told = &log["runs"][0]["properties"]["registryStatements"];
    let standings: Vec<&Value> = told
        .as_array()
        .expect("statements")
        .iter()
        .map(|said| &said["standing"])
        .collect();
    assert!(
        standings.contains(&&json!("admitted")) && standings.contains(&&json!("published")),
        "{told}"
    );
    let scanning = scan(3);
    let log: Value = serde_json::from_str(&scanning.stdout).expect("SARIF");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["level"]),
        (&json!("registry-statement"), &json!("warning")),
        "{}",
        scanning.stdout
    );
    let print = result["partialFingerprints"]["artifactAndCode/v1"].as_str();
    assert!(
        print.is_some_and(|print| print.contains(" acme https://slsa.dev/")),
        "{result}"
    );
}

#[test]
fn a_registry_with_a_key_serves_its_statements_itself() {
    let key = tempfile::tempdir().expect("a folder");
    let public = make_key(key.path());
    let attest = format!("[attest]\nkey = \"{}\"\n", key.path().join("registry.pem").display());
    let scene = open_with(|_| Setting::policy(EVERYBODY).sections(&attest));
    let project = scene.project("crockford");
    let published = scene.publish(&project);
    assert_eq!(published.code, Some(0), "{}", published.said());
    let digest = crate_digest(&scene);
    awaited(scene.gate.url(), &digest, &scene.gate);
    assert!(
        statements(scene.instance.url(), &digest).is_empty(),
        "no store can judge them"
    );
    let config = http::get(&format!("{}/index/config.json", scene.gate.url()))
        .expect("config.json")
        .json();
    let template = config["attestations"].as_str().expect("a template");
    assert!(template.starts_with(scene.gate.url()), "{template}");

    let consumer = consumer(&scene);
    std::fs::write(consumer.folder.join("registry.pub"), public).expect("the public key");
    let expectations = format!(
        "unattested = \"report\"\n[[registry]]\nname = \"acme\"\nverifier = \"{}\"\nkey = \"registry.pub\"\n",
        scene.gate.url()
    );
    std::fs::write(consumer.folder.join("sigstore.toml"), expectations).expect("sigstore.toml");
    let verified = verify(&scene, &consumer.folder, &["--attestations", scene.gate.url()]);
    assert_eq!(verified.code, Some(0), "{}", verified.said());
    assert!(
        verified.stderr.contains("its build not evaluated"),
        "{}",
        verified.stderr
    );
    assert!(
        verified.stdout.contains("unattested"),
        "the registry stands in for no publisher: {}",
        verified.stdout
    );
}

/// Writes `registry.pem`, readable by nobody else; the public key as PEM.
fn make_key(folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;

    use p256::{
        ecdsa::SigningKey,
        elliptic_curve::Generate as _,
        pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding},
    };
    let key = SigningKey::try_generate_from_rng(&mut rand::rngs::SysRng).expect("a key");
    let path = folder.join("registry.pem");
    std::fs::write(&path, key.to_pkcs8_pem(LineEnding::LF).expect("PEM").as_bytes()).expect("the key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("the mode");
    key.verifying_key().to_public_key_pem(LineEnding::LF).expect("PEM")
}
