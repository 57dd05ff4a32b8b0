//! The registry signs what it accepted: once and for all, whenever it was killed on the way.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
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
use verify::Sha256Digest;

const LIMIT: Duration = Duration::from_mins(3);
/// Signing takes a moment; on a busy machine several.
const SIGNED_WITHIN: Duration = Duration::from_mins(1);
const EVERYBODY: &str = "unlisted = \"admit\"\n";
const BY_TOKEN: &str = "[attest]\ntoken-file = \"{folder}/token\"\npolicy-uri = \"https://example.com/policy.toml\"\n";

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

struct Scene {
    tools: Tools,
    issuer: Issuer,
    instance: Instance,
    registry: Registry,
}

impl Scene {
    fn open() -> Self {
        let tools = Tools::install(Path::new(env!("CARGO_BIN_EXE_sandbox"))).expect("our binaries");
        let issuer = Issuer::start().expect("an issuer");
        let instance = Instance::start(&tools, &issuer).expect("a server");
        let registry = Registry::start(registry::Options::default()).expect("a registry");
        Self {
            tools,
            issuer,
            instance,
            registry,
        }
    }

    /// A gate that signs by token, which is there already.
    fn gate(&self, policy: &str) -> Gate {
        let index = format!("{}/index/", self.registry.url());
        let gate = Gate::start_with(&self.tools, &self.instance, &index, policy, BY_TOKEN).expect("a gate");
        self.renew_token(&gate);
        gate
    }

    fn renew_token(&self, gate: &Gate) {
        let token = self.issuer.token(Profile::Uri).expect("a token");
        std::fs::write(gate.data().with_file_name("token"), token).expect("the token file");
    }

    fn workshop(&self, gate: &Gate) -> Workshop {
        let mut workshop = Workshop::open(&self.tools).expect("a workshop");
        workshop.know_index("gate", &gate.index_url());
        workshop
    }

    fn cargo(&self, workshop: &Workshop, project: &Project, arguments: &[&str]) -> Outcome {
        let mut command = workshop.cargo(&project.folder);
        command
            .args(arguments)
            .env("CARGO_REGISTRIES_GATE_TOKEN", self.registry.token())
            .env("CARGO_REGISTRIES_GATE_CREDENTIAL_PROVIDER", "cargo:token")
            .env("CARGO_NET_RETRY", "0");
        run(&mut command, LIMIT).expect("cargo runs")
    }

    fn publish(&self, workshop: &Workshop, project: &Project) -> Outcome {
        self.cargo(workshop, project, &["publish", "--no-verify", "--registry", "gate"])
    }

    fn sigstore_publish(&self, workshop: &Workshop, project: &Project) -> Outcome {
        let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
        let mut command = workshop.cargo(&project.folder);
        command
            .args(["sigstore", "publish", "--registry", "gate"])
            .env("SIGSTORE_TRUST_CONFIG", self.instance.trust("trust_config.json"))
            .env("CARGO_SIGSTORE_REGISTRY_TOKEN", self.registry.token())
            .envs(release.github_environment(&self.issuer));
        run(&mut command, LIMIT).expect("cargo runs")
    }

    fn verify(&self, workshop: &Workshop, folder: &Path, arguments: &[&str]) -> Outcome {
        let mut command = workshop.cargo_sigstore(folder);
        command
            .args(["verify", "--trust"])
            .arg(self.instance.trust("trust_config.json"))
            .args(arguments);
        run(&mut command, LIMIT).expect("cargo sigstore runs")
    }

    fn crate_digest(&self) -> Sha256Digest {
        let published = self.registry.version("crockford", "0.3.1").expect("it is published");
        Sha256Digest::of(&published.bytes)
    }

    fn registry_identity(&self) -> (String, String) {
        (Profile::Uri.subject(&self.issuer.base()), self.issuer.url(Profile::Uri))
    }
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

fn only_ferris(issuer: &Issuer) -> String {
    format!(
        "[[rule]]\ncrates = [\"crockford\"]\nissuer = \"{}\"\nrepository = \"https://github.com/ferris/crockford\"\n\
         workflow = \".github/workflows/release.yml\"\nref = \"refs/tags/*\"\n",
        issuer.url(Profile::GitHub)
    )
}

/// A consumer that depends on `crockford` of the gate, with its lock file.
fn consumer(scene: &Scene, workshop: &Workshop) -> Project {
    let consumer = workshop.adopt(&fixture("consumer")).expect("a fixture");
    let added = scene.cargo(
        workshop,
        &consumer,
        &["add", "--quiet", "crockford", "--registry", "gate"],
    );
    assert_eq!(added.code, Some(0), "{}", added.said());
    let locked = scene.cargo(workshop, &consumer, &["generate-lockfile"]);
    assert_eq!(locked.code, Some(0), "{}", locked.said());
    consumer
}

#[test]
fn what_was_attested_and_accepted_gets_a_release_and_a_summary() {
    let scene = Scene::open();
    let gate = scene.gate(&only_ferris(&scene.issuer));
    let workshop = scene.workshop(&gate);
    let project = workshop.adopt(&fixture("crockford")).expect("a fixture");
    let published = scene.sigstore_publish(&workshop, &project);
    assert_eq!(published.code, Some(0), "{}", published.said());
    let digest = scene.crate_digest();
    let (release, summary) = awaited(scene.instance.url(), &digest, &gate);
    for statement in [&release, &summary] {
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.to_string());
        assert_eq!(statement["subject"][0]["name"], "crockford-0.3.1.crate");
    }
    let purl = release["predicate"]["purl"].as_str().expect("a purl");
    assert!(purl.starts_with("pkg:cargo/crockford@0.3.1?repository_url="), "{purl}");
    let predicate = &summary["predicate"];
    assert_eq!(predicate["verifier"]["id"], gate.url());
    assert_eq!(
        predicate["resourceUri"],
        format!("{}/dl/crockford/0.3.1/download", gate.url())
    );
    assert_eq!(predicate["verificationResult"], "PASSED");
    assert_eq!(predicate["verifiedLevels"], json!(["SLSA_BUILD_LEVEL_2"]));
    let policy = std::fs::read(gate.data().with_file_name("policy.toml")).expect("the policy");
    assert_eq!(
        predicate["policy"]["digest"]["sha256"],
        Sha256Digest::of(&policy).to_string()
    );
    let inputs = predicate["inputAttestations"].as_array().expect("inputs");
    assert_eq!(inputs.len(), 1, "the provenance that the rule demands: {inputs:?}");
    let token = std::fs::read_to_string(gate.data().with_file_name("token")).expect("the token");
    assert!(!gate.log().contains(&token), "no token in the log");
}

#[test]
fn killed_between_any_two_steps_an_upload_is_finished_or_repeatable() {
    for (point, has_it) in POINTS {
        let scene = Scene::open();
        let mut gate = scene.gate(EVERYBODY);
        let workshop = scene.workshop(&gate);
        let project = workshop.adopt(&fixture("crockford")).expect("a fixture");
        gate.kill();
        gate.crash_at(Some(point));
        gate.serve().expect("the gate again");
        let first = scene.publish(&workshop, &project);
        assert!(gate.died_within(SIGNED_WITHIN), "{point}: {}", first.said());
        assert_eq!(
            scene.registry.version("crockford", "0.3.1").is_some(),
            has_it,
            "{point}"
        );
        gate.kill();
        gate.crash_at(None);
        gate.serve().expect("the gate again");
        let again = scene.publish(&workshop, &project);
        let there = again.said().contains("already exists");
        assert!(again.code == Some(0) || (has_it && there), "{point}: {}", again.said());
        let (_, summary) = awaited(scene.instance.url(), &scene.crate_digest(), &gate);
        assert_eq!(
            summary["predicate"]["verifiedLevels"],
            json!(["SLSA_BUILD_LEVEL_UNEVALUATED"])
        );
        let download = http::get(&format!("{}/dl/crockford/0.3.1/download", gate.url())).expect("an answer");
        assert_eq!(download.status, 200, "{point}");
        assert!(admitted(&gate), "{point}: the verdict is recorded");
        println!("{point}: finished");
    }
}

#[test]
fn nothing_is_served_when_the_gate_dies_before_the_verdict_is_kept() {
    let scene = Scene::open();
    let mut gate = scene.gate(EVERYBODY);
    let mut workshop = Workshop::open(&scene.tools).expect("a workshop");
    workshop.know("gate", &scene.registry);
    let project = workshop.adopt(&fixture("crockford")).expect("a fixture");
    let published = scene.publish(&workshop, &project);
    assert_eq!(
        published.code,
        Some(0),
        "straight to the registry: {}",
        published.said()
    );
    let url = format!("{}/dl/crockford/0.3.1/download", gate.url());
    gate.kill();
    gate.crash_at(Some("verdict-lost"));
    gate.serve().expect("the gate again");
    let answer = http::get(&url);
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.body.is_empty()));
    assert!(!admitted(&gate));
    gate.kill();
    gate.crash_at(None);
    gate.serve().expect("the gate again");
    assert_eq!(http::get(&url).expect("an answer").status, 200);
    assert!(admitted(&gate));
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
    let scene = Scene::open();
    let gate = scene.gate(EVERYBODY);
    let workshop = scene.workshop(&gate);
    let project = workshop.adopt(&fixture("crockford")).expect("a fixture");
    assert_eq!(scene.publish(&workshop, &project).code, Some(0));
    let published = scene.registry.version("crockford", "0.3.1").expect("it is published");
    let features = published.line["features"].clone();
    let metadata = json!({"name": "crockford", "vers": "0.3.1", "deps": [], "features": features, "links": null});
    let upload = |archive: &[u8], token: &str| {
        let body = package::publish::join(metadata.to_string().as_bytes(), archive).expect("a body");
        let url = format!("{}/api/v1/crates/new", gate.url());
        http::request("PUT", &url, &[("authorization", token)], &body).expect("an answer")
    };
    let again = upload(&published.bytes, scene.registry.token());
    assert_eq!(again.status, 200, "{}", again.text());
    assert!(again.text().contains("very bytes already"), "{}", again.text());
    let stranger = upload(&published.bytes, "another");
    assert_eq!(stranger.status, 403, "{}", stranger.text());
    std::fs::write(project.folder.join("README.md"), "Other words.\n").expect("a change");
    let packaged = scene.cargo(&workshop, &project, &["package", "--no-verify", "--allow-dirty"]);
    assert_eq!(packaged.code, Some(0), "{}", packaged.said());
    let other = std::fs::read(workshop.target().join("package/crockford-0.3.1.crate")).expect("the archive");
    assert_ne!(other, published.bytes);
    let refused = upload(&other, scene.registry.token());
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("already uploaded"), "{}", refused.text());
}

#[test]
fn statements_wait_for_the_token_and_are_signed_then() {
    let scene = Scene::open();
    let gate = scene.gate(EVERYBODY);
    let workshop = scene.workshop(&gate);
    let project = workshop.adopt(&fixture("crockford")).expect("a fixture");
    std::fs::write(gate.data().with_file_name("token"), "no token").expect("the token file");
    let published = scene.publish(&workshop, &project);
    assert_eq!(
        published.code,
        Some(0),
        "nobody waits for signatures: {}",
        published.said()
    );
    let deadline = Instant::now() + SIGNED_WITHIN;
    while !gate.log().contains("not attested yet") {
        assert!(Instant::now() < deadline, "{}", gate.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    scene.renew_token(&gate);
    awaited(scene.instance.url(), &scene.crate_digest(), &gate);
}

#[test]
fn verify_shows_what_a_pinned_registry_says_and_who_is_a_stranger() {
    let scene = Scene::open();
    let gate = scene.gate(&only_ferris(&scene.issuer));
    let workshop = scene.workshop(&gate);
    let project = workshop.adopt(&fixture("crockford")).expect("a fixture");
    let published = scene.sigstore_publish(&workshop, &project);
    assert_eq!(published.code, Some(0), "{}", published.said());
    awaited(scene.instance.url(), &scene.crate_digest(), &gate);
    let consumer = consumer(&scene, &workshop);
    let author = format!(
        "[[crate]]\nname = \"crockford\"\nidentity = \"https://github.com/ferris/crockford/.github/workflows/release.yml@refs/tags/v0.3.1\"\n\
         issuer = \"{}\"\n",
        scene.issuer.url(Profile::GitHub)
    );
    let (identity, issuer) = scene.registry_identity();
    let pin = |verifier: &str, level: u8| {
        format!(
            "[[registry]]\nname = \"acme\"\nverifier = \"{verifier}\"\nidentity = \"{identity}\"\nissuer = \"{issuer}\"\n\
             minimum-level = {level}\n"
        )
    };
    let verify = |expectations: &str, format: &str| {
        std::fs::write(consumer.folder.join("sigstore.toml"), expectations).expect("sigstore.toml");
        scene.verify(&workshop, &consumer.folder, &["--format", format])
    };
    let unpinned = verify(&author, "human");
    assert_eq!(unpinned.code, Some(0), "{}", unpinned.said());
    assert!(unpinned.stderr.contains("signed by a stranger"), "{}", unpinned.stderr);
    assert!(!unpinned.stderr.contains("admitted"), "{}", unpinned.stderr);

    let pinned = verify(&format!("{author}{}", pin(gate.url(), 2)), "human");
    assert_eq!(pinned.code, Some(0), "{}", pinned.said());
    let policy = std::fs::read(gate.data().with_file_name("policy.toml")).expect("the policy");
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

    let machine = verify(&format!("{author}{}", pin(gate.url(), 2)), "json");
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
        (pin(gate.url(), 3), "verifiedLevels"),
    ] {
        let wrong = verify(&format!("{author}{expectations}"), "human");
        assert!(wrong.stderr.contains("registry-statement"), "{}", wrong.stderr);
        assert!(wrong.stderr.contains(field), "{}", wrong.stderr);
        assert!(!wrong.stderr.contains("rank E5"), "{}", wrong.stderr);
    }
}

#[test]
fn a_registry_with_a_key_serves_its_statements_itself() {
    let scene = Scene::open();
    let index = format!("{}/index/", scene.registry.url());
    let key = tempfile::tempdir().expect("a folder");
    let public = make_key(key.path());
    let attest = format!("[attest]\nkey = \"{}\"\n", key.path().join("registry.pem").display());
    let gate = Gate::start_with(&scene.tools, &scene.instance, &index, EVERYBODY, &attest).expect("a gate");
    let workshop = scene.workshop(&gate);
    let project = workshop.adopt(&fixture("crockford")).expect("a fixture");
    let published = scene.publish(&workshop, &project);
    assert_eq!(published.code, Some(0), "{}", published.said());
    let digest = scene.crate_digest();
    awaited(gate.url(), &digest, &gate);
    assert!(
        statements(scene.instance.url(), &digest).is_empty(),
        "no store can judge them"
    );
    let config = http::get(&format!("{}/index/config.json", gate.url()))
        .expect("config.json")
        .json();
    let template = config["attestations"].as_str().expect("a template");
    assert!(template.starts_with(gate.url()), "{template}");

    let consumer = consumer(&scene, &workshop);
    std::fs::write(consumer.folder.join("registry.pub"), public).expect("the public key");
    let expectations = format!(
        "unattested = \"report\"\n[[registry]]\nname = \"acme\"\nverifier = \"{}\"\nkey = \"registry.pub\"\n",
        gate.url()
    );
    std::fs::write(consumer.folder.join("sigstore.toml"), expectations).expect("sigstore.toml");
    let verified = scene.verify(&workshop, &consumer.folder, &["--attestations", gate.url()]);
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
