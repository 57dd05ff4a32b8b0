//! Whole-output snapshots of the command line: exit code, stdout, stderr.

use snapbox::cmd::Command;

fn cargo_sigstore() -> Command {
    Command::new(snapbox::cmd::cargo_bin!("cargo-sigstore"))
        .env_remove("SIGSTORE_TRUST_CONFIG")
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
}

#[test]
fn cargos_extra_argument_is_dropped() {
    for arguments in [&["sigstore", "--version"][..], &["--version"]] {
        cargo_sigstore()
            .args(arguments)
            .assert()
            .code(0)
            .stdout_eq("cargo-sigstore [..]\n")
            .stderr_eq("");
    }
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    cargo_sigstore()
        .arg("frobnicate")
        .assert()
        .code(2)
        .stdout_eq("")
        .stderr_eq("error: unrecognized subcommand 'frobnicate'\n\nUsage: cargo sigstore [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.\n");
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = cargo_sigstore().args(["completions", shell]).assert().code(0);
        let script = String::from_utf8_lossy(&script.get_output().stdout).into_owned();
        assert!(
            script.contains("cargo-sigstore") && script.contains("completions"),
            "{shell}: {script}"
        );
    }
}

#[test]
fn the_manual_page_has_every_command() {
    let folder = tempfile::tempdir().unwrap();
    cargo_sigstore().arg("man").arg(folder.path()).assert().code(0);
    let page = std::fs::read_to_string(folder.path().join("cargo-sigstore.1")).unwrap();
    assert!(page.contains("completions"), "{page}");
    assert!(folder.path().join("cargo-sigstore-completions.1").is_file());
}
