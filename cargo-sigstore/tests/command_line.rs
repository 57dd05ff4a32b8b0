//! Whole-output snapshots of the command line: exit code, stdout, stderr.
//!
//! `SNAPSHOTS=overwrite cargo test -p cargo-sigstore` writes them anew; look at the difference before committing it.
//! The folder `fixtures` holds a crate, its bundles and the trusted root of the instance that signed them, on 22 November
//! 2026; that instance is gone, and nothing here needs it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use snapbox::{Assert, Data};
use tempfile::TempDir;

/// A folder with the fixtures in it, and a home of its own.
struct Scene {
    folder: TempDir,
}

const CRATE: &str = "crockford-0.3.1.crate";
const IDENTITY: &str = "https://github.com/ferris/crockford/.github/workflows/release.yml@refs/tags/v0.3.1";
const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "http://127.0.0.1:37177/github";
const DIGEST: &str = "39858692d143b334ca997658db9af1717933fc2d2c19734c2b73f1eb9e28a325";

impl Scene {
    fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn with_fixtures() -> Self {
        let scene = Self::empty();
        for entry in std::fs::read_dir(here("fixtures")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, scene.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        scene
    }

    /// What others signed with the public-good instance, with a key in a log, and with an Ed25519 key alone: three bundles
    /// about `a.txt`. The first two are from the public conformance suite.
    fn with_public_bundles() -> Self {
        let scene = Self::empty();
        for entry in std::fs::read_dir(here("public")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, scene.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A lock file with the fixture crate, or another checksum of it.
    fn lock(&self, digest: &str) {
        self.write(
            "Cargo.lock",
            format!(
                "version = 4\n\n[[package]]\nname = \"crockford\"\nversion = \"0.3.1\"\n\
                 source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{digest}\"\n"
            ),
        );
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-sigstore"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("CARGO_SIGSTORE_HOME", self.path("home"))
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs and compares everything with `snapshots/NAME.txt`.
    fn snapshot(&self, name: &str, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        let mut text = format!("$ cargo sigstore {}\n", arguments.join(" "));
        writeln!(text, "exit code {}", output.status.code().unwrap_or(-1)).unwrap();
        for (title, stream) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            let stream = String::from_utf8(stream).unwrap();
            if !stream.is_empty() {
                write!(text, "--- {title}\n{stream}").unwrap();
            }
        }
        let text = text.replace(&self.folder.path().display().to_string(), "[FOLDER]");
        let text = text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
        let expected = Data::read_from(&here("snapshots").join(format!("{name}.txt")), None).raw();
        Assert::new()
            .action_env("SNAPSHOTS")
            .eq(Data::text(text).raw(), expected);
    }
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Arguments that verify the fixture crate as it should be.
fn honest<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["verify", CRATE, "--trusted-root", "trusted_root.json"];
    arguments.extend(["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER]);
    arguments.extend(extra);
    arguments
}

#[test]
fn help_of_every_command() {
    let scene = Scene::empty();
    for command in [
        "publish",
        "sign",
        "attest",
        "verify",
        "inspect",
        "identity",
        "trust",
        "completions",
        "credential-provider",
    ] {
        scene.snapshot(&format!("help-{command}"), &[command, "--help"]);
    }
    scene.snapshot("help", &["--help"]);
}

#[test]
fn cargos_extra_argument_is_dropped() {
    let scene = Scene::empty();
    scene.snapshot("version", &["--version"]);
    scene.snapshot("version-by-cargo", &["sigstore", "--version"]);
}

#[test]
fn usage_errors() {
    let scene = Scene::with_fixtures();
    scene.snapshot("usage-unknown-command", &["frobnicate"]);
    scene.snapshot("usage-nothing", &[]);
    scene.snapshot(
        "usage-identity-without-issuer",
        &["verify", CRATE, "--certificate-identity", IDENTITY],
    );
    scene.snapshot("usage-bundle-without-target", &["verify", "--bundle", "x.json"]);
    scene.snapshot(
        "usage-crate-file-and-workspace",
        &["publish", "--workspace", "--crate-file", CRATE],
    );
    scene.snapshot("provider-by-hand", &["credential-provider"]);
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

#[test]
fn what_is_missing_is_named() {
    let scene = Scene::with_fixtures();
    scene.snapshot("sign-no-trust", &["sign", CRATE]);
    scene.snapshot(
        "verify-no-file",
        &["verify", "no-such-file", "--trusted-root", "trusted_root.json"],
    );
    scene.snapshot("verify-no-root", &["verify", CRATE, "--trusted-root", "no-such-file"]);
    scene.snapshot("verify-no-lockfile", &["verify", "--trusted-root", "trusted_root.json"]);
}

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

#[test]
fn a_bundle_is_printed_without_being_believed() {
    let scene = Scene::with_fixtures();
    let bundle = "crockford-0.3.1.crate.sigstore.json";
    scene.snapshot("inspect", &["inspect", bundle]);
    scene.snapshot(
        "inspect-checked",
        &["inspect", bundle, "--trusted-root", "trusted_root.json"],
    );
    scene.snapshot("inspect-json", &["inspect", bundle, "--format", "json"]);
    scene.write("bundle.json", "{\"mediaType\":\"application/x\"}");
    scene.snapshot("inspect-malformed", &["inspect", "bundle.json"]);
}

#[test]
fn what_cannot_be_published_is_refused() {
    let scene = Scene::with_fixtures();
    scene.write("some.crate", "");
    scene.snapshot("publish-misnamed", &["publish", "--crate-file", "some.crate"]);
    scene.write("a-1.0.0.crate", "not gzip");
    scene.snapshot("publish-no-archive", &["publish", "--crate-file", "a-1.0.0.crate"]);
    scene.snapshot("publish-no-token", &["publish", "--crate-file", CRATE]);
    scene.snapshot(
        "publish-unknown-registry",
        &["publish", "--crate-file", CRATE, "--registry", "nowhere"],
    );
}

#[test]
fn completions_are_written_for_every_shell() {
    let scene = Scene::empty();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = scene.command(&["completions", shell]).output().unwrap();
        let script = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{shell}");
        for word in ["cargo-sigstore", "publish", "verify", "trusted-root"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn the_manual_page_has_every_command() {
    let scene = Scene::empty();
    let output = scene.command(&["man", "."]).output().unwrap();
    assert!(output.status.success());
    let page = std::fs::read_to_string(scene.path("cargo-sigstore.1")).unwrap();
    for command in ["publish", "verify", "inspect", "completions"] {
        assert!(page.contains(command), "{command}");
        assert!(
            scene.path(&format!("cargo-sigstore-{command}.1")).is_file(),
            "{command}"
        );
    }
}
