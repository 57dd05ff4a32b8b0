//! `cargo sigstore verify` of one file: by whom and with which trust it is accepted, as whole-output snapshots.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod scene;

use scene::{CRATE, DIGEST, IDENTITY, ISSUER, Scene};

/// Arguments that verify the fixture crate as it should be.
fn honest<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["verify", CRATE, "--trusted-root", "trusted_root.json"];
    arguments.extend(["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER]);
    arguments.extend(extra);
    arguments
}

#[test]
fn an_honest_file_is_verified() {
    let scene = Scene::with_fixtures();
    scene.snapshot("verify-file", &honest(&[]));
    scene.snapshot("verify-file-json", &honest(&["--format", "json"]));
    scene.snapshot(
        "verify-file-quiet",
        &honest(&["--quiet", "--bundle", "crockford-0.3.1.crate.sigstore.json"]),
    );
}

#[test]
fn a_pattern_and_placeholders_may_stand_for_the_identity() {
    let scene = Scene::with_fixtures();
    let mut arguments = honest(&[]);
    arguments[5] = "https://github.com/ferris/*/.github/workflows/release.yml@refs/tags/v{version}";
    scene.snapshot("verify-pattern", &arguments);
    arguments[5] = "https://*/ferris/crockford/.github/workflows/release.yml@refs/tags/v0.3.1";
    scene.snapshot("verify-pattern-too-wide", &arguments);
}

#[test]
fn a_digest_is_enough() {
    let scene = Scene::with_fixtures();
    let digest = format!("sha256:{DIGEST}");
    let bundle = ["--bundle", "crockford-0.3.1.crate.sigstore.jsonl"];
    let mut arguments = honest(&bundle);
    arguments[1] = &digest;
    scene.snapshot("verify-digest", &arguments);
    let other = format!("sha256:{}", DIGEST.replace('3', "4"));
    arguments[1] = &other;
    scene.snapshot("verify-other-digest", &arguments);
}

#[test]
fn a_stranger_is_refused_and_the_command_that_accepts_it_is_told() {
    let scene = Scene::with_fixtures();
    let mut arguments = honest(&[]);
    arguments[5] = "https://github.com/ferris/else/.github/workflows/release.yml@refs/tags/v0.3.1";
    scene.snapshot("verify-stranger", &arguments);
    let mut arguments = honest(&[]);
    arguments[7] = "https://token.actions.githubusercontent.com";
    scene.snapshot("verify-other-issuer", &arguments);
}

#[test]
fn who_signed_must_be_said() {
    let scene = Scene::with_fixtures();
    let arguments = ["verify", CRATE, "--trusted-root", "trusted_root.json"];
    scene.snapshot("verify-unpinned", &arguments);
    scene.snapshot(
        "verify-unpinned-allowed",
        &[&arguments[..], &["--allow-unpinned"]].concat(),
    );
}

#[test]
fn a_changed_crate_is_refused() {
    let scene = Scene::with_fixtures();
    let mut bytes = std::fs::read(scene.path(CRATE)).unwrap();
    bytes.push(0);
    scene.write(CRATE, bytes);
    scene.snapshot("verify-changed-crate", &honest(&[]));
}

#[test]
fn a_changed_bundle_is_refused() {
    let scene = Scene::with_fixtures();
    let name = "crockford-0.3.1.crate.sigstore.json";
    let honest_bundle = std::fs::read_to_string(scene.path(name)).unwrap();
    let bundle: serde_json::Value = serde_json::from_str(&honest_bundle).unwrap();
    let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap();
    let changed = format!(
        "{}{}",
        if signature.starts_with("MEU") { "MEQ" } else { "MEU" },
        &signature[3..]
    );
    scene.write(name, honest_bundle.replace(signature, &changed));
    scene.snapshot("verify-changed-bundle", &honest(&["--bundle", name]));
    scene.write(name, &honest_bundle[..honest_bundle.len() / 2]);
    scene.snapshot("verify-cut-bundle", &honest(&["--bundle", name]));
}

#[test]
fn a_trusted_root_without_the_authority_or_log_refuses() {
    let scene = Scene::with_fixtures();
    let honest_root = std::fs::read_to_string(scene.path("trusted_root.json")).unwrap();
    let honest_root: serde_json::Value = serde_json::from_str(&honest_root).unwrap();
    for part in ["certificateAuthorities", "tlogs", "ctlogs", "timestampAuthorities"] {
        let mut root = honest_root.clone();
        root[part] = serde_json::json!([]);
        scene.write("trusted_root.json", root.to_string());
        scene.snapshot(&format!("verify-root-without-{part}"), &honest(&[]));
    }
}

#[test]
fn a_trusted_root_that_does_not_hold_together_is_a_configuration_error() {
    let scene = Scene::with_fixtures();
    let root = std::fs::read_to_string(scene.path("trusted_root.json")).unwrap();
    let mut root: serde_json::Value = serde_json::from_str(&root).unwrap();
    root["certificateAuthorities"] = root["timestampAuthorities"].clone();
    scene.write("trusted_root.json", root.to_string());
    scene.snapshot("verify-broken-root", &honest(&[]));
    scene.write("trusted_root.json", "{}");
    scene.snapshot("verify-malformed-root", &honest(&[]));
}

#[test]
fn a_new_machine_that_is_offline_trusts_the_public_good_instance() {
    let scene = Scene::with_public_bundles();
    let mut arguments = vec!["verify", "a.txt", "--bundle", "happy-path.json", "--offline"];
    arguments.extend(["--certificate-identity", BEACON]);
    arguments.extend([
        "--certificate-oidc-issuer",
        "https://token.actions.githubusercontent.com",
    ]);
    scene.snapshot("public-good", &arguments);
    assert!(!scene.path("home").exists(), "nothing was written");
    arguments.extend(["--trust", "public-good"]);
    scene.snapshot("public-good-by-name", &arguments);
    *arguments.last_mut().unwrap() = "staging";
    scene.snapshot("public-good-by-staging", &arguments);
    *arguments.last_mut().unwrap() = "github";
    scene.snapshot("public-good-by-github", &arguments);
    *arguments.last_mut().unwrap() = "public-god";
    scene.snapshot("public-misspelt", &arguments);
}

#[test]
fn no_home_is_no_obstacle_offline() {
    let scene = Scene::with_public_bundles();
    let arguments = [
        "verify",
        "a.txt",
        "--bundle",
        "happy-path.json",
        "--offline",
        "--allow-unpinned",
    ];
    let mut command = scene.command(&arguments);
    let output = command
        .env_remove("HOME")
        .env_remove("CARGO_SIGSTORE_HOME")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_key_may_stand_for_the_identity() {
    let scene = Scene::with_public_bundles();
    let mut arguments = vec![
        "verify",
        "a.txt",
        "--bundle",
        "managed-key.json",
        "--offline",
        "--key",
        "managed-key.pub",
    ];
    scene.snapshot("key", &arguments);
    *arguments.last_mut().unwrap() = "ed25519.pub";
    scene.snapshot("key-other", &arguments);
    *arguments.last_mut().unwrap() = "a.txt";
    scene.snapshot("key-malformed", &arguments);
    arguments.truncate(5);
    scene.snapshot("key-missing", &arguments);
    arguments[3] = "happy-path.json";
    arguments.extend(["--key", "managed-key.pub"]);
    scene.snapshot("key-for-certificate", &arguments);
}

#[test]
fn what_ed25519_signed_is_read_whole_and_needs_words_for_what_it_lacks() {
    let scene = Scene::with_public_bundles();
    let mut arguments = vec![
        "verify",
        "a.txt",
        "--bundle",
        "ed25519.json",
        "--offline",
        "--key",
        "ed25519.pub",
    ];
    arguments.extend(["--allow-unlogged", "--allow-untimed"]);
    scene.snapshot("ed25519", &arguments);
    arguments.pop();
    scene.snapshot("ed25519-untimed", &arguments);
    arguments.pop();
    scene.snapshot("ed25519-unlogged", &arguments);
    scene.write("a.txt", "b\n");
    arguments.extend(["--allow-unlogged", "--allow-untimed"]);
    scene.snapshot("ed25519-changed", &arguments);
}

const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
