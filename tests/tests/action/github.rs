//! What the Action does with GitHub's attestations API, and what it does after a failure.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use serde_json::{Value, json};
use tests::{
    action::variable,
    issuer::Profile,
    project::fixture,
    run::{Outcome, run},
    service::Service,
};

use crate::scene::{LIMIT, Scene};

/// Bundles that GitHub's API was sent, with the authorization.
type Received = Arc<Mutex<Vec<(Value, String)>>>;

async fn attestations(
    State(received): State<Received>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (axum::http::StatusCode, Json<Value>) {
    let authorization = headers["authorization"].to_str().unwrap_or_default().to_owned();
    let mut received = received.lock().expect("a lock");
    if authorization != "Bearer ghs_right" {
        return (
            axum::http::StatusCode::FORBIDDEN,
            Json(json!({"message": "Resource not accessible by integration"})),
        );
    }
    received.push((body["bundle"].clone(), authorization));
    (axum::http::StatusCode::CREATED, Json(json!({"id": received.len()})))
}

/// What was received, for those with the same authorization.
async fn listed(State(received): State<Received>, headers: HeaderMap) -> Json<Value> {
    let received = received.lock().expect("a lock");
    let of_same = received
        .iter()
        .filter(|(_, authorization)| headers["authorization"] == *authorization);
    let listed: Vec<Value> = of_same
        .map(|(bundle, _)| json!({"bundle": bundle, "repository_id": 1}))
        .collect();
    Json(json!({ "attestations": listed }))
}

fn github(received: &Received) -> Service {
    let state = Arc::clone(received);
    let service = Service::start(|_| {
        Router::new()
            .route("/repos/ferris/crockford/attestations", post(attestations))
            .route("/repos/ferris/crockford/attestations/{digest}", get(listed))
            .with_state(state)
    });
    service.expect("a service")
}

/// GitHub, which is out of order for some time.
fn ailing_github(received: &Received, failures: usize) -> Service {
    let state = Arc::clone(received);
    let left = Arc::new(Mutex::new(failures));
    let store = move |state: State<Received>, headers: HeaderMap, body: Json<Value>| async move {
        {
            let mut left = left.lock().expect("a lock");
            if *left > 0 {
                *left -= 1;
                return (axum::http::StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
            }
        }
        attestations(state, headers, body).await
    };
    let service = Service::start(|_| {
        Router::new()
            .route("/repos/ferris/crockford/attestations", post(store))
            .route("/repos/ferris/crockford/attestations/{digest}", get(listed))
            .with_state(state)
    });
    service.expect("a service")
}

#[test]
fn a_release_that_failed_after_its_upload_is_completed_by_running_again() {
    let scene = Scene::open();
    let received = Received::default();
    let github = ailing_github(&received, 1);
    let trust = scene.public();
    let publish = || {
        let mut publish = scene.publishing(&[
            ("instance", trust.as_str()),
            ("github-attestations", "true"),
            ("github-token", "ghs_right"),
        ]);
        publish
            .env("http_proxy", scene.stage.instance.url())
            .env("no_proxy", "127.0.0.1")
            .env("GITHUB_API_URL", github.url());
        scene.step(publish)
    };
    let first = publish();
    assert_eq!(first.outcome.code, Some(3), "{}", first.outcome.said());
    assert_eq!(scene.registry.uploads().len(), 1);
    assert_eq!(first.outputs["attestation-urls"], "");
    assert_eq!(first.json("published")[0]["cksum"], scene.published_digest());
    let said = first.outcome.said();
    assert!(said.contains("::group::Verify crockford-0.3.1.crate"), "{said}");

    let second = publish().succeeded();
    assert_eq!(scene.registry.uploads().len(), 1, "it was uploaded again");
    assert_eq!(second.outputs["attestation-urls"].lines().count(), 3);
    assert_eq!(received.lock().expect("a lock").len(), 3);
    let third = publish().succeeded();
    assert!(third.outcome.said().contains("Skipping"), "{}", third.outcome.said());
    assert_eq!(received.lock().expect("a lock").len(), 3, "it was signed again");
}

#[test]
fn what_was_published_before_a_failure_is_told_kept_and_verified() {
    let scene = Scene::open();
    let other = scene.stage.workshop.adopt(&fixture("telltale")).expect("a crate");
    for folder in [&scene.project.folder, &other.folder] {
        let mut package = scene.stage.workshop.cargo(folder);
        package.args(["package", "--quiet", "--no-verify"]);
        run(&mut package, LIMIT).and_then(Outcome::success).expect("packaged");
    }
    // Of the second crate the registry has this version already, with other bytes.
    let mut before = scene.stage.workshop.cargo(&other.folder);
    before
        .args(["publish", "--quiet", "--no-verify", "--registry", "fixture"])
        .env("CARGO_REGISTRIES_FIXTURE_TOKEN", scene.registry.token())
        .env("CARGO_REGISTRIES_FIXTURE_CREDENTIAL_PROVIDER", "cargo:token");
    run(&mut before, LIMIT).and_then(Outcome::success).expect("published");
    let other_bytes = |line: &mut Value| line["cksum"] = "0".repeat(64).into();
    scene.registry.edit_line("telltale", &other.version, other_bytes);
    let crates = scene.stage.path("target/package/*.crate").display().to_string();
    let kept = scene.stage.path("kept");
    let publish = |inputs: &[(&str, &str)]| {
        let folder = kept.display().to_string();
        let mut command = scene.publishing(&[("crate-files", crates.as_str()), ("output-dir", &folder)]);
        for (name, value) in inputs {
            command.env(variable(name), value);
        }
        scene.step(command)
    };
    let step = publish(&[]);
    step.refused(1, "already-published");
    let published = step.json("published");
    assert_eq!(published.as_array().map(Vec::len), Some(1), "{published}");
    assert_eq!(published[0]["cksum"], scene.published_digest());
    assert!(kept.join("crockford-0.3.1.crate.sigstore.json").is_file());
    let summary = step.files.text("GITHUB_STEP_SUMMARY");
    assert!(
        summary.contains("already-published") && summary.contains(&scene.published_digest()),
        "{summary}"
    );
    let said = step.outcome.said();
    assert!(
        said.contains("::group::Verify crockford-0.3.1.crate as a consumer would"),
        "{said}"
    );
    assert_eq!(scene.registry.uploads().len(), 2);
    // The same where the second is to be passed over.
    publish(&[("skip-existing", "true")]).succeeded();
    assert_eq!(scene.registry.uploads().len(), 2);
}

/// The public instance keeps nothing, and GitHub what the Action gives it: who expects the workflow needs no more than the crate.
#[test]
fn what_the_action_stores_with_github_is_found_by_whoever_verifies() {
    let scene = Scene::open();
    let github = github(&Received::default());
    let trust = scene.public();
    let mut publish = scene.publishing(&[
        ("instance", trust.as_str()),
        ("github-attestations", "true"),
        ("github-token", "ghs_right"),
    ]);
    publish
        .env("http_proxy", scene.stage.instance.url())
        .env("no_proxy", "127.0.0.1")
        .env("GITHUB_API_URL", github.url());
    let step = scene.step(publish).succeeded();
    assert_eq!(step.outputs["attestation-urls"].lines().count(), 3);

    let rule = format!(
        "[[crate]]\nname = \"crockford\"\nidentity = \"{}\"\nissuer = \"{}\"\n",
        scene.release.github_subject(),
        scene.stage.issuer.url(Profile::GitHub)
    );
    let policy = scene.stage.write("sigstore.toml", rule).expect("a policy");
    let consumer = scene.stage.workshop.adopt(&fixture("consumer")).expect("a consumer");
    let mut add = scene.stage.workshop.cargo(&consumer.folder);
    add.args(["add", "--quiet", "crockford", "--registry", "fixture"]);
    run(&mut add, LIMIT).expect("it runs").success().expect("cargo adds it");
    let verify = |token: &str| {
        let inputs = [
            ("command", "verify"),
            ("instance", trust.as_str()),
            ("policy", policy.to_str().expect("UTF-8")),
            ("github-token", token),
        ];
        let mut command = scene.command(&inputs);
        command
            .env("GITHUB_API_URL", github.url())
            .current_dir(&consumer.folder);
        scene.step(command)
    };
    let found = verify("ghs_right").succeeded();
    let summary = found.files.text("GITHUB_STEP_SUMMARY");
    assert!(
        summary.contains("crockford") && summary.contains("verified"),
        "{summary}"
    );
    assert!(
        !found.outcome.said().contains("nobody keeps"),
        "{}",
        found.outcome.said()
    );
}

#[test]
fn github_gets_the_bundles_when_asked() {
    let scene = Scene::open();
    let received = Received::default();
    let github = github(&received);
    let step = |token: &str| {
        let inputs = [("github-attestations", "true"), ("github-token", token)];
        let mut command = scene.publishing(&inputs);
        command.env("GITHUB_API_URL", github.url());
        scene.step(command)
    };
    let step = step("ghs_right").succeeded();
    let urls: Vec<&str> = step.outputs["attestation-urls"].lines().collect();
    assert_eq!(urls.len(), 3);
    assert_eq!(urls[0], "https://github.com/ferris/crockford/attestations/1");
    let received = received.lock().expect("a lock");
    assert!(received.iter().all(|(bundle, _)| bundle["dsseEnvelope"].is_object()));
    assert!(step.outcome.stderr.contains("::add-mask::ghs_right"));

    let file = scene.stage.write("a.txt", "a").expect("a file").display().to_string();
    let inputs = [
        ("command", "sign"),
        ("crate-files", file.as_str()),
        ("github-attestations", "true"),
        ("github-token", "ghs_wrong"),
    ];
    let mut command = scene.publishing(&inputs);
    command.env("GITHUB_API_URL", github.url());
    drop(received);
    let text = scene.step(command).refused(1, "ci-github");
    assert!(
        text.contains("not accessible") && text.contains("attestations: write"),
        "{text}"
    );
}
