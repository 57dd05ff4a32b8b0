//! `cargo sigstore verify` of a lock file, as whole-output snapshots.

#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

mod scene;

use scene::{CRATE, DIGEST, IDENTITY, ISSUER, Scene};

#[test]
fn without_evidence_and_without_network_the_question_stays_open() {
    let scene = Scene::with_fixtures();
    scene.lock(DIGEST);
    scene.snapshot(
        "lock-offline",
        &["verify", "--offline", "--trusted-root", "trusted_root.json"],
    );
    scene.snapshot(
        "lock-no-store",
        &[
            "verify",
            "--trusted-root",
            "trusted_root.json",
            "--attestations",
            "ftp://x",
        ],
    );
}

#[test]
fn a_lock_file_is_verified_from_the_cache() {
    let scene = Scene::with_fixtures();
    scene.lock(DIGEST);
    let bundles = std::fs::read(scene.path("crockford-0.3.1.crate.sigstore.jsonl")).unwrap();
    scene.write(&format!("home/bundles/sha256/39/{DIGEST}.jsonl"), bundles);
    let arguments = ["verify", "--offline", "--trusted-root", "trusted_root.json"];
    scene.snapshot("lock-unpinned", &arguments);
    let mut sarif = arguments.to_vec();
    sarif.extend(["--format", "sarif"]);
    scene.snapshot("lock-unpinned-sarif", &sarif);
    let rule = format!("[[crate]]\nname = \"crock*\"\nidentity = \"{IDENTITY}\"\nissuer = \"{ISSUER}\"\n");
    scene.write("sigstore.toml", &rule);
    scene.snapshot("lock-pinned", &arguments);
    scene.write("sigstore.toml", rule.replace("issuer", "isuer"));
    scene.snapshot("lock-misspelt-expectation", &arguments);
}

/// A lock file whose `crockford` uses `base`, which the manifest inside does not say.
fn lock_with_an_edge(scene: &Scene) {
    scene.lock(DIGEST);
    let lock = std::fs::read_to_string(scene.path("Cargo.lock")).unwrap();
    let base = format!(
        "dependencies = [\n \"base\",\n]\n\n[[package]]\nname = \"base\"\nversion = \"1.0.0\"\n\
         source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{DIGEST}\"\n"
    );
    scene.write("Cargo.lock", lock + &base);
}

#[test]
fn an_edge_that_the_manifest_inside_does_not_explain_is_refused() {
    let scene = Scene::with_fixtures();
    let bundles = std::fs::read(scene.path("crockford-0.3.1.crate.sigstore.jsonl")).unwrap();
    scene.write(&format!("home/bundles/sha256/39/{DIGEST}.jsonl"), bundles);
    let crate_file = std::fs::read(scene.path(CRATE)).unwrap();
    let cached = format!("home/.cargo/registry/cache/index.crates.io-1949cf8c6b5b557f/{CRATE}");
    scene.write(&cached, &crate_file);
    let mut arguments = vec!["verify", "--offline", "--trusted-root", "trusted_root.json"];
    arguments.extend(["--allow-unattested", "--allow-unpinned"]);
    scene.lock(DIGEST);
    scene.snapshot("lock-inside", &arguments);
    lock_with_an_edge(&scene);
    scene.snapshot("lock-edge", &arguments);
    scene.snapshot("lock-edge-json", &[&arguments[..], &["--format", "json"]].concat());
    scene.snapshot("lock-edge-sarif", &[&arguments[..], &["--format", "sarif"]].concat());
    scene.snapshot(
        "lock-edge-allowed",
        &[&arguments[..], &["--allow-unexplained"]].concat(),
    );
    scene.write("sigstore.toml", "unfetched = \"refuse\"\n");
    scene.snapshot("lock-edge-unfetched", &arguments);
    scene.write(&cached, [crate_file.as_slice(), b"\0"].concat());
    scene.lock(DIGEST);
    scene.snapshot("lock-cache-other", &arguments);
}

#[test]
fn a_lock_file_without_registry_crates_needs_nothing() {
    let scene = Scene::with_fixtures();
    scene.write("Cargo.lock", "version = 4\n");
    scene.snapshot("lock-empty", &["verify", "--trusted-root", "trusted_root.json"]);
    scene.snapshot(
        "lock-empty-sarif",
        &["verify", "--trusted-root", "trusted_root.json", "--format", "sarif"],
    );
    scene.snapshot("trust-sarif", &["trust", "list", "--format", "sarif"]);
    scene.write("Cargo.lock", "version = ");
    scene.snapshot("lock-malformed", &["verify", "--trusted-root", "trusted_root.json"]);
}
