//! Who keeps attestations of a crate is what its own registry says: of each in a lock file, and nobody where it says so.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};
use tests::{
    Consumer, Registry,
    project::fixture,
    registry::Options,
    run::{Outcome, run},
};

fn open() -> Consumer {
    let consumer = Consumer::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a consumer");
    consumer.lock_anew().expect("a lock file");
    // GitHub is asked about workflows of one repository: github_evidence.rs.
    consumer.expect_any_repository().expect("expectations");
    consumer
}

fn ran(command: &mut Command) -> Outcome {
    run(command, Duration::from_mins(5)).expect("it runs")
}

#[test]
fn each_registry_is_asked_about_its_own_crates() {
    let mut consumer = open();
    let store = consumer.stage.instance.url().to_owned();
    let before = ran(&mut consumer.verify_without_store(&[]));
    assert_eq!(before.code, Some(1), "{}", before.said());
    assert!(
        before
            .said()
            .contains("nobody keeps attestations for fixture, as far as is known"),
        "{}",
        before.said()
    );
    consumer.registry.change(|options| options.attestations = Some(store));
    let stated = ran(&mut consumer.verify_without_store(&[]));
    assert_eq!(stated.code, Some(0), "{}", stated.said());
    assert!(!stated.said().contains("nobody keeps"), "{}", stated.said());

    // A crate of another registry, which names no store, and whose token is not for the first one to see.
    let other = Registry::start(Options::default()).expect("another registry");
    consumer.stage.workshop.know("other", &other);
    let telltale = consumer
        .stage
        .workshop
        .adopt_as(&fixture("telltale"), "other")
        .expect("a crate");
    let mut publish = consumer.stage.workshop.cargo(&telltale.folder);
    publish.args(["publish", "--registry", "other", "--no-verify", "--quiet"]);
    publish.env("CARGO_REGISTRIES_OTHER_TOKEN", other.token());
    ran(&mut publish).success().expect("published");
    let added = consumer.cargo(&["add", "--quiet", "telltale", "--registry", "other"]);
    added.expect("it runs").success().expect("cargo adds it");
    consumer.lock_anew().expect("a lock file");
    let both = ran(&mut consumer.verify_without_store(&["--format", "json"]));
    assert_eq!(both.code, Some(1), "{}", both.said());
    let document: Value = serde_json::from_str(&both.stdout).expect("a document");
    let outcomes: Vec<(&Value, &Value)> = document["artifacts"]
        .as_array()
        .expect("artifacts")
        .iter()
        .map(|artifact| (&artifact["name"], &artifact["outcome"]))
        .collect();
    assert_eq!(
        outcomes,
        [
            (&json!("crockford"), &json!("verified")),
            (&json!("telltale"), &json!("unattested"))
        ]
    );
    let told = ran(&mut consumer.verify_without_store(&[]));
    assert!(
        told.said()
            .contains("nobody keeps attestations for other, as far as is known"),
        "{}",
        told.said()
    );
}

/// As with crates.io and the public instance.
#[test]
fn where_nobody_keeps_attestations_the_rest_is_checked_all_the_same() {
    let consumer = open();
    let verify = |arguments: &[&str]| ran(&mut consumer.verify_without_store(arguments));
    let outcome = verify(&[]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    for words in [
        "nobody keeps attestations for fixture",
        "unattested",
        "manifests looked into: 1 of 1",
    ] {
        assert!(outcome.said().contains(words), "{words}: {}", outcome.said());
    }
    let store = consumer.stage.instance.url().to_owned();
    let asked = verify(&["--attestations", &store]);
    assert_eq!(asked.code, Some(0), "{}", asked.said());
    assert!(!asked.said().contains("nobody keeps"), "{}", asked.said());

    // A crate whose signer is expected must have a bundle, whatever the flag says; of others the user may do without.
    consumer.expect_nobody().expect("expectations");
    let reported = verify(&["--allow-unattested", "--allow-unpinned"]);
    assert_eq!(reported.code, Some(0), "{}", reported.said());
    consumer.registry.edit_line("crockford", "0.3.1", |line| {
        line["deps"] = json!([{"name": "telltale", "req": "^1", "features": [], "optional": false, "default_features": true,
                               "target": null, "kind": "normal"}]);
    });
    consumer.lock_anew().expect("a lock file");
    let confused = verify(&["--allow-unattested", "--allow-unpinned"]);
    assert!(
        confused.code == Some(1) && confused.said().contains("edge-unexplained"),
        "{}",
        confused.said()
    );
}

#[test]
fn a_registry_that_cannot_be_asked_has_not_said_that_there_is_no_evidence() {
    let consumer = open();
    consumer.expect_nobody().expect("expectations");
    let verify = |token: Option<&str>| {
        let mut command = consumer.verify_without_store(&["--allow-unattested", "--allow-unpinned"]);
        if let Some(token) = token {
            command.env("CARGO_REGISTRIES_FIXTURE_TOKEN", token);
        }
        ran(&mut command)
    };
    let asked = verify(None);
    assert_eq!(asked.code, Some(0), "{}", asked.said());
    assert!(asked.said().contains("nobody keeps"), "{}", asked.said());

    // One without a configuration.
    consumer.registry.change(|options| options.without_config = true);
    let silent = verify(None);
    let said = silent.said();
    assert_eq!(silent.code, Some(3), "{said}");
    assert!(said.contains("cannot be asked who keeps attestations"), "{said}");
    assert!(!said.contains("nobody keeps"), "{said}");
    consumer.registry.change(|options| options.without_config = false);

    // One that shows it with the token only, which is cargo's for this registry; our own variable is for one that the user named.
    consumer.registry.change(|options| options.auth_required = true);
    let shown = verify(Some(consumer.registry.token()));
    assert_eq!(shown.code, Some(0), "{}", shown.said());
    for token in [None, Some("another")] {
        let hidden = verify(token);
        assert_eq!(hidden.code, Some(3), "{}", hidden.said());
        assert!(!hidden.said().contains("another"), "{}", hidden.said());
    }
    assert!(verify(None).said().contains("CARGO_REGISTRIES_FIXTURE_TOKEN"));
    let own = |arguments: &[&str]| {
        let mut command = consumer.verify_without_store(arguments);
        command.args(["--allow-unattested", "--allow-unpinned"]);
        ran(command.env("CARGO_SIGSTORE_REGISTRY_TOKEN", consumer.registry.token()))
    };
    let named = own(&["--registry", "fixture"]);
    assert_eq!(named.code, Some(0), "{}", named.said());
    let unnamed = own(&[]);
    assert_eq!(unnamed.code, Some(3), "{}", unnamed.said());
    let mut by_default = consumer.verify_without_store(&["--allow-unattested", "--allow-unpinned"]);
    by_default.env("CARGO_REGISTRY_DEFAULT", "fixture");
    let by_default = ran(by_default.env("CARGO_SIGSTORE_REGISTRY_TOKEN", consumer.registry.token()));
    assert_eq!(
        by_default.code,
        Some(3),
        "configuration names nobody: {}",
        by_default.said()
    );
    // One of its crates that no lock file names, whose digest is the registry's word.
    let by_name = own(&["telltale@1.0.0", "--registry", "fixture"]);
    assert_eq!(by_name.code, Some(0), "{}", by_name.said());
    let unshown = ran(&mut consumer.verify_without_store(&["telltale@1.0.0", "--registry", "fixture"]));
    assert_eq!(unshown.code, Some(2), "{}", unshown.said());
    assert!(unshown.said().contains("registry-token"), "{}", unshown.said());
    consumer.registry.change(|options| options.auth_required = false);

    // One by itself is asked, and does not answer: nothing listens there.
    let stopped = |index: &str| {
        let mut command =
            consumer.verify_without_store(&["crockford@0.3.1", "--registry", "fixture", "--allow-unattested"]);
        command
            .arg("--allow-unpinned")
            .env("CARGO_REGISTRIES_FIXTURE_INDEX", index);
        ran(&mut command)
    };
    let running = stopped(&consumer.registry.index_url());
    assert_eq!(running.code, Some(0), "{}", running.said());
    let deaf = stopped("sparse+http://127.0.0.1:1/index/");
    assert_eq!(deaf.code, Some(3), "{}", deaf.said());
}
