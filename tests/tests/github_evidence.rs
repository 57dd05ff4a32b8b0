//! Crates that nobody but GitHub keeps attestations of, as those of crates.io that were signed with a public instance: unmodified cargo
//! locks them, and `cargo sigstore verify` finds the bundles in the repository whose workflow is expected.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tests::{
    Consumer, http,
    run::{Outcome, run},
    service::Service,
};

/// What a GitHub has, and what it saw.
#[derive(Default)]
struct Kept {
    /// Bundles by `OWNER/NAME`.
    bundles: BTreeMap<String, Vec<Value>>,
    /// Whether bundles have files of their own.
    in_files: bool,
    /// How many questions it still answers.
    allowed: usize,
    /// Repository and `Authorization` of each question.
    asked: Vec<(String, Option<String>)>,
}

type Shared = Arc<Mutex<Kept>>;

struct GitHub {
    service: Service,
    kept: Shared,
}

impl GitHub {
    fn start() -> Self {
        let kept = Shared::default();
        let state = Arc::clone(&kept);
        let service = Service::start(|_| {
            Router::new()
                .route("/repos/{owner}/{name}/attestations/{digest}", get(list))
                .route("/files/{owner}/{name}/{position}", get(file))
                .with_state(state)
        });
        Self {
            service: service.expect("a service"),
            kept,
        }
    }

    /// What it was asked since the last time, in order of the names; it answers a hundred questions from now on.
    fn asked(&self) -> Vec<(String, Option<String>)> {
        let mut kept = self.kept.lock().expect("a lock");
        kept.allowed = 100;
        let mut asked = std::mem::take(&mut kept.asked);
        asked.sort();
        asked
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept.lock().expect("a lock"));
    }
}

async fn list(
    State(kept): State<Shared>,
    Path((owner, name, digest)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut kept = kept.lock().expect("a lock");
    let repository = format!("{owner}/{name}");
    let authorization = headers.get("authorization");
    let authorization = authorization.map(|value| value.to_str().expect("text").to_owned());
    kept.asked.push((repository.clone(), authorization));
    let Some(left) = kept.allowed.checked_sub(1) else {
        let words = json!({"message": "API rate limit exceeded for 203.0.113.7."});
        return (StatusCode::FORBIDDEN, Json(words)).into_response();
    };
    kept.allowed = left;
    assert!(digest.starts_with("sha256:"), "{digest}");
    let host = headers["host"].to_str().expect("text");
    let listed = |(position, bundle): (usize, &Value)| {
        if kept.in_files {
            json!({"bundle": null, "bundle_url": format!("http://{host}/files/{repository}/{position}?sig=x"), "repository_id": 1})
        } else {
            json!({"bundle": bundle, "repository_id": 1})
        }
    };
    match kept.bundles.get(&repository) {
        Some(bundles) => {
            let attestations: Vec<Value> = bundles.iter().enumerate().map(listed).collect();
            Json(json!({ "attestations": attestations })).into_response()
        }
        None => (StatusCode::NOT_FOUND, Json(json!({"message": "Not Found"}))).into_response(),
    }
}

async fn file(
    State(kept): State<Shared>,
    Path((owner, name, position)): Path<(String, String, usize)>,
    headers: HeaderMap,
) -> Response {
    if headers.contains_key("authorization") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let kept = kept.lock().expect("a lock");
    let bundle = kept.bundles[&format!("{owner}/{name}")][position].to_string();
    let packed = snap::raw::Encoder::new()
        .compress_vec(bundle.as_bytes())
        .expect("a block");
    Bytes::from(packed).into_response()
}

struct Scene {
    consumer: Consumer,
    github: GitHub,
    /// Bundles of the two crates.
    bundles: BTreeMap<&'static str, Vec<Value>>,
}

impl Scene {
    /// A consumer of both crates, and a GitHub that has no bundle yet.
    fn open() -> Self {
        let consumer = Consumer::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a consumer");
        consumer.uses("telltale").expect("cargo adds it");
        consumer.lock_anew().expect("a lock file");
        let mut bundles = BTreeMap::new();
        for (name, version) in [("crockford", "0.3.1"), ("telltale", "1.0.0")] {
            let published = consumer.registry.version(name, version).expect("it was published");
            let digest = published.line["cksum"].as_str().expect("a checksum");
            let url = format!("{}/api/v1/attestations/sha256:{digest}", consumer.stage.instance.url());
            let stored = http::get(&url).expect("an answer").json();
            let stored = stored["attestations"].as_array().expect("attestations");
            assert!(!stored.is_empty());
            bundles.insert(name, stored.iter().map(|one| one["bundle"].clone()).collect());
        }
        let scene = Self {
            consumer,
            github: GitHub::start(),
            bundles,
        };
        scene.github.asked();
        scene
    }

    /// The same where GitHub has the bundles of both, which were found good once and are forgotten again.
    fn accepted() -> Self {
        let scene = Self::open();
        scene.keep(&BOTH);
        let found = scene.verify(&[]);
        assert_eq!(found.code, Some(0), "{}", found.said());
        scene.forget();
        scene
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.consumer.verify_without_store(arguments);
        command.env("GITHUB_API_URL", self.github.service.url());
        command
    }

    fn verify(&self, arguments: &[&str]) -> Outcome {
        ran(&mut self.command(arguments))
    }

    /// GitHub has the bundles of the first crate in the repository of the second, and so on.
    fn keep(&self, pairs: &[(&str, &str)]) {
        self.github.change(|kept| {
            let kept_in =
                |(name, repository): &(&str, &str)| (format!("ferris/{repository}"), self.bundles[name].clone());
            kept.bundles = pairs.iter().map(kept_in).collect();
        });
    }

    /// Forgets what was fetched before.
    fn forget(&self) {
        let folder = self.consumer.stage.workshop.folder().join("sigstore-home/bundles");
        std::fs::remove_dir_all(folder).expect("bundles were kept");
    }
}

fn ran(command: &mut Command) -> Outcome {
    run(command, Duration::from_mins(5)).expect("it runs")
}

fn question(name: &str) -> (String, Option<String>) {
    (format!("ferris/{name}"), None)
}

const BOTH: [(&str, &str); 2] = [("crockford", "crockford"), ("telltale", "telltale")];

#[test]
fn bundles_are_found_in_the_repository_of_the_expected_workflow() {
    let scene = Scene::open();
    for in_files in [false, true] {
        scene.keep(&BOTH);
        scene.github.change(|kept| kept.in_files = in_files);
        let found = scene.verify(&[]);
        assert_eq!(found.code, Some(0), "{}", found.said());
        assert!(!found.said().contains("nobody keeps"), "{}", found.said());
        assert_eq!(scene.github.asked(), [question("crockford"), question("telltale")]);
        // Kept from then on.
        let offline = scene.verify(&["--offline"]);
        assert_eq!(offline.code, Some(0), "{}", offline.said());
        let again = scene.verify(&[]);
        assert_eq!(
            (again.code, scene.github.asked()),
            (Some(0), Vec::new()),
            "{}",
            again.said()
        );
        scene.forget();
    }

    // Who has a token shows it to the API, and to nobody else.
    let with_token = ran(scene.command(&[]).env("GH_TOKEN", "ghs_secret"));
    assert_eq!(with_token.code, Some(0), "{}", with_token.said());
    assert!(!with_token.said().contains("ghs_secret"));
    let asked = scene.github.asked();
    assert!(
        asked
            .iter()
            .all(|(_, token)| token.as_deref() == Some("Bearer ghs_secret")),
        "{asked:?}"
    );
    scene.forget();

    // A named store is the only one that is asked, and so is that of a private instance.
    let store = scene.consumer.stage.instance.url().to_owned();
    let of_store = scene.verify(&["--attestations", &store]);
    assert_eq!(of_store.code, Some(0), "{}", of_store.said());
    scene.forget();
    let mut private = scene.consumer.verify_command(&[]);
    let private = ran(private.env("GITHUB_API_URL", scene.github.service.url()));
    assert_eq!(private.code, Some(0), "{}", private.said());
    assert_eq!(scene.github.asked(), []);

    // One crate by its name, with the signer in the flags.
    scene.forget();
    let issuer = scene.consumer.stage.issuer.url(tests::issuer::Profile::GitHub);
    let workflow = "https://github.com/ferris/crockford/.github/workflows/release.yml@refs/tags/v0.3.1";
    let flags = [
        "crockford@0.3.1",
        "--certificate-oidc-issuer",
        &issuer,
        "--certificate-identity",
        workflow,
    ];
    let named = scene.verify(&flags);
    assert_eq!(named.code, Some(0), "{}", named.said());
    assert_eq!(scene.github.asked(), [question("crockford")]);
}

#[test]
fn what_github_says_is_verified_and_what_it_does_not_say_is_missing() {
    let scene = Scene::accepted();

    // None of one crate.
    scene.keep(&[("crockford", "crockford")]);
    let missing = scene.verify(&[]);
    assert_eq!(missing.code, Some(1), "{}", missing.said());
    assert!(missing.said().contains("unattested"), "{}", missing.said());
    assert!(!missing.said().contains("nobody keeps"), "{}", missing.said());
    // Those of the other crate.
    scene.keep(&[("crockford", "crockford"), ("crockford", "telltale")]);
    let other = scene.verify(&[]);
    assert_eq!(other.code, Some(1), "{}", other.said());
    assert!(other.said().contains("telltale"), "{}", other.said());
    // The same signer's signatures, each under another of the statements.
    scene.keep(&BOTH);
    scene.github.change(|kept| {
        let bundles = kept.bundles.get_mut("ferris/telltale").expect("bundles");
        let signatures: Vec<Value> = bundles
            .iter()
            .map(|bundle| bundle["dsseEnvelope"]["signatures"].clone())
            .collect();
        assert!(signatures.len() > 1);
        for (bundle, signatures) in bundles.iter_mut().zip(signatures.into_iter().cycle().skip(1)) {
            bundle["dsseEnvelope"]["signatures"] = signatures;
        }
    });
    let forged = scene.verify(&[]);
    assert_eq!(forged.code, Some(1), "{}", forged.said());
    // No bundles at all, among good ones.
    scene.keep(&BOTH);
    scene.github.change(|kept| {
        for bundles in kept.bundles.values_mut() {
            bundles.insert(0, json!({"mediaType": "x"}));
        }
    });
    let beside = scene.verify(&[]);
    assert_eq!(beside.code, Some(0), "{}", beside.said());
}

#[test]
fn a_github_that_does_not_answer_leaves_the_question_open() {
    let scene = Scene::accepted();

    // The second question is one too many.
    scene.github.asked();
    scene.github.change(|kept| kept.allowed = 1);
    let limited = scene.verify(&["--allow-unattested"]);
    assert_eq!(limited.code, Some(3), "{}", limited.said());
    for words in ["GitHub cannot be asked for attestations", "rate limit", "GH_TOKEN"] {
        assert!(limited.said().contains(words), "{words}: {}", limited.said());
    }
    // What was answered is kept: the next run asks the rest only.
    scene.github.asked();
    let rest = scene.verify(&[]);
    assert_eq!((rest.code, scene.github.asked().len()), (Some(0), 1), "{}", rest.said());
    scene.forget();

    // Nothing listens there.
    let mut deaf = scene.command(&["--allow-unattested"]);
    let deaf = ran(deaf.env("GITHUB_API_URL", "http://127.0.0.1:1"));
    assert_eq!(deaf.code, Some(3), "{}", deaf.said());
    // The registry cannot be asked who keeps attestations, but GitHub has them.
    scene.consumer.registry.change(|options| options.without_config = true);
    let without_registry = scene.verify(&[]);
    assert_eq!(without_registry.code, Some(0), "{}", without_registry.said());
}
