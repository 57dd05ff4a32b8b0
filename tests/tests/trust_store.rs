//! A user trusts an instance by name: added from its root file, used to sign and to verify, offline too.

use std::{path::Path, process::Command, time::Duration};

use tests::{
    Stage, Tools,
    issuer::Profile,
    run::{Outcome, run},
};

const LIMIT: Duration = Duration::from_mins(1);

fn sandbox() -> &'static Path {
    env!("CARGO_BIN_EXE_sandbox").as_ref()
}

/// `cargo sigstore …` in the workshop.
fn ours(stage: &Stage, arguments: &[&str]) -> Outcome {
    let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
    run(command.args(arguments), LIMIT).expect("cargo sigstore runs")
}

fn succeed(stage: &Stage, arguments: &[&str]) -> Outcome {
    ours(stage, arguments).success().expect("cargo sigstore is content")
}

#[test]
fn an_instance_is_trusted_by_name_online_and_offline() {
    let mut stage = Stage::open(sandbox()).expect("a stage");
    let tuf = format!("{}/tuf", stage.instance.url());
    let root = stage.instance.trust("root.json").display().to_string();
    succeed(&stage, &["trust", "add", "ours", &tuf, "--root", &root]);
    let shown = succeed(&stage, &["trust", "show", "ours"]).stdout;
    for part in [
        "Certificate authorities",
        "Signature logs",
        "CT logs",
        "Timestamp authorities",
        "Services to sign with",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(!shown.contains("  none"), "{shown}");

    let artifact = stage
        .write("artifact", "made today")
        .expect("a file")
        .display()
        .to_string();
    let token = stage.issuer.token(Profile::GitHub).expect("a token");
    let mut sign = stage.workshop.cargo_sigstore(stage.workshop.folder());
    sign.args(["sign", &artifact, "--bundle", "artifact.json", "--trust", "ours"])
        .env("SIGSTORE_ID_TOKEN", token);
    run(&mut sign, LIMIT).expect("it runs").success().expect("it signs");

    let (identity, issuer) = (stage.issuer.subject(Profile::GitHub), stage.issuer.url(Profile::GitHub));
    let verify = [
        "verify",
        &artifact,
        "--bundle",
        "artifact.json",
        "--certificate-identity",
        &identity,
    ];
    let verify = [&verify[..], &["--certificate-oidc-issuer", &issuer, "--trust", "ours"]].concat();
    succeed(&stage, &verify);
    let none = ours(&stage, &[&verify[..verify.len() - 1], &["theirs"]].concat());
    assert_eq!(none.code, Some(2), "{}", none.said());
    assert!(none.stderr.contains("error[trust-unknown]"), "{}", none.said());

    stage.instance.kill();
    succeed(&stage, &[&verify[..], &["--offline"]].concat());
    let update = ours(&stage, &["trust", "update", "ours"]);
    assert_eq!(update.code, Some(3), "{}", update.said());
    assert!(update.stderr.contains("error[trust-unavailable]"), "{}", update.said());
}

#[test]
fn the_line_that_init_prints_can_be_pasted() {
    let tools = Tools::install(sandbox()).expect("tools");
    let folder = tempfile::tempdir().expect("a folder");
    for (name, origin) in [("a", "https://sigstore.example"), ("b", "http://127.0.0.1:8080")] {
        let mut init = Command::new(tools.server());
        init.arg("init")
            .arg(folder.path().join(name))
            .args(["--origin", origin]);
        let said = run(&mut init, LIMIT)
            .expect("it runs")
            .success()
            .expect("an instance")
            .stdout;
        let line = said
            .lines()
            .find_map(|line| line.split_once("cargo sigstore trust add "));
        let (_, line) = line.unwrap_or_else(|| panic!("no line in {said}"));
        let mut add = Command::new(tools.cargo_sigstore());
        add.env("CARGO_SIGSTORE_HOME", folder.path().join("home"))
            .args(["--offline", "trust", "add"]);
        add.args(line.split_whitespace());
        run(&mut add, LIMIT)
            .expect("it runs")
            .success()
            .expect("the line is accepted");
    }
}
