//! The command line as a whole, `inspect` and what is refused at once, as whole-output snapshots; completions and manual.

#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

mod scene;

use scene::{CRATE, IDENTITY, Scene};

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
fn the_witnesses_that_are_named_are_told_with_their_times() {
    let scene = Scene::with_public_bundles();
    let stagemole = "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv";
    let ring = "staging.witness.transparency.goog/ring-any-bells+2e1a8dc9+BG5JTpLc3FJtwzgh1Uv+Qelz9qeOH2bfWjS1s0s+y4rL";
    let arguments = [
        "inspect",
        "witnessed.json",
        "--offline",
        "--trust",
        "staging",
        "--witness",
        stagemole,
        "--witness",
        ring,
    ];
    scene.snapshot("inspect-witnessed", &arguments);
    let misspelt = stagemole.replace("stagemole", "stagehole");
    scene.snapshot(
        "inspect-witness-malformed",
        &["inspect", "witnessed.json", "--witness", &misspelt],
    );
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
        assert!(
            !script.contains("credential-provider"),
            "{shell} offers what only cargo calls"
        );
    }
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_their_commands_and_options() {
    let scene = Scene::empty();
    let script = scene.command(&["completions", "bash"]).output().unwrap().stdout;
    scene.write("completions", script);
    let completed = |line: &str| {
        let ask = r#"
            source ./completions
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            function=$(complete -p cargo-sigstore | sed 's/.*-F \([^ ]*\).*/\1/')
            "$function" cargo-sigstore "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            echo "${COMPREPLY[@]}""#;
        let mut bash = std::process::Command::new("bash");
        bash.args(["--norc", "-c", ask, "bash"]).args(line.split(' '));
        let output = bash.current_dir(scene.folder.path()).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("cargo-sigstore ver"), "verify");
    assert_eq!(completed("cargo-sigstore trust sh"), "show");
    assert_eq!(completed("cargo-sigstore verify --trusted-r"), "--trusted-root");
    assert_eq!(completed("cargo-sigstore trust add acme --root-"), "--root-sha256");
    assert_eq!(completed("cargo-sigstore verify --format sa"), "sarif");
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let scene = Scene::empty();
    let output = scene.command(&["man", "share/man1"]).output().unwrap();
    assert!(output.status.success());
    let page = |name: &str| std::fs::read_to_string(scene.path(&format!("share/man1/{name}.1"))).unwrap();
    let first = page("cargo-sigstore");
    for command in [
        "publish",
        "verify",
        "sign",
        "attest",
        "identity",
        "inspect",
        "trust",
        "completions",
    ] {
        assert!(first.contains(&format!("cargo\\-sigstore\\-{command}(1)")), "{command}");
        let page = page(&format!("cargo-sigstore-{command}"));
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"] {
            assert!(page.contains(section), "{command} lacks {section}");
        }
    }
    assert!(page("cargo-sigstore-trust-add").contains("root\\-sha256"));
    assert!(page("cargo-sigstore-verify").contains("Exit codes"));
    let printed = scene.command(&["man"]).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap().trim_end(), first.trim_end());

    scene.write("file", "");
    let output = scene.command(&["man", "file/man1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("error[output]: cannot write the manual pages\n"),
        "{said}"
    );
}
