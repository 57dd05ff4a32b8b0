//! `cargo sigstore sign`, `attest` and `identity` as a user or a CI job runs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Map, Value, json};
use sigstore_sign::{SigningContext, SigningServices, trust_root::SigningConfig};
use tests::{
    Stage,
    ci::Release,
    issuer::{Endpoint, Fault, Profile},
    run::{Outcome, run},
    tools::write_program,
};
use verify::HashAlgorithm;

const LIMIT: Duration = Duration::from_mins(1);

fn stage() -> Stage {
    Stage::open(Path::new(env!("CARGO_BIN_EXE_sandbox"))).expect("a stage")
}

fn outcome(mut command: Command) -> Outcome {
    run(&mut command, LIMIT).expect("it runs")
}

/// The JSON on stdout of a command that succeeded.
fn json_of(mut command: Command) -> Value {
    command.args(["--format", "json"]);
    let said = run(&mut command, LIMIT)
        .and_then(Outcome::success)
        .expect("it succeeds");
    serde_json::from_str(&said.stdout).expect("JSON on stdout")
}

/// `cargo sigstore …` in a GitHub job that may ask for tokens.
fn in_github(stage: &Stage) -> Command {
    let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
    command.env("SIGSTORE_TRUST_CONFIG", stage.instance.trust("trust_config.json"));
    let release = Release::of_tag("ferris/crockford", "0.3.1", "6ae2c0d9e7b54d2f8f0a1b2c3d4e5f6071829304");
    command.envs(release.github_environment(&stage.issuer));
    command
}

#[test]
fn many_files_are_signed_under_one_certificate_and_verify() {
    let stage = stage();
    let files = ["a.txt", "b.bin"].map(|name| stage.write(name, name).expect("a file"));
    let mut command = stage.signing_command().expect("a command");
    command.arg("sign").args(&files);
    let told = json_of(command);
    let signed = told["signed"].as_array().expect("a list");
    assert_eq!(signed.len(), 2);
    let mut certificates = Vec::new();
    for (file, row) in files.iter().zip(signed) {
        assert_eq!(
            row["identity"]["subjectAlternativeName"],
            stage.issuer.subject(Profile::GitHub)
        );
        assert_eq!(row["identity"]["issuer"], stage.issuer.url(Profile::GitHub));
        let bundle = Path::new(row["bundle"].as_str().expect("a path"));
        assert_eq!(
            bundle.file_name().unwrap().to_str().unwrap(),
            format!("{}.sigstore.json", file_name(file))
        );
        assert!(stage.verify(file, bundle).expect("it runs").exit(0).is_ok());
        let bundle: Value = serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap();
        certificates.push(bundle["verificationMaterial"]["certificate"].clone());
    }
    assert_eq!(certificates[0], certificates[1]);
    assert_ne!(signed[0]["logIndex"], signed[1]["logIndex"]);
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_statement_is_signed_stored_and_found_by_digest() {
    let stage = stage();
    let file = stage.write("mine.crate", "bytes of a crate").expect("a file");
    let predicate = stage
        .write("result.json", r#"{"result": "PASSED"}"#)
        .expect("a predicate");
    let mut command = stage.signing_command().expect("a command");
    command
        .arg("attest")
        .arg(&file)
        .args(["--type", "https://in-toto.io/attestation/test-result/v0.1", "--store"]);
    command.arg("--predicate").arg(&predicate);
    let told = json_of(command);
    let digest = told["signed"][0]["digest"].as_str().expect("a digest").to_owned();
    let url = format!("{}/api/v1/attestations/{digest}", stage.instance.url());
    let stored = tests::http::get(&url).expect("an answer").json();
    let bundle: Value =
        serde_json::from_slice(&std::fs::read(stage.path("mine.crate.sigstore.json")).unwrap()).unwrap();
    assert_eq!(stored["attestations"], json!([{ "bundle": bundle }]));
}

#[test]
fn a_github_job_signs_with_its_own_token_which_is_masked() {
    let stage = stage();
    let file = stage.write("a.txt", "a").expect("a file");
    let mut command = in_github(&stage);
    command.arg("sign").arg(&file);
    let said = outcome(command).success().expect("signed");
    let secret = said
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("::add-mask::"))
        .expect("a masked token");
    assert_eq!(secret.split('.').count(), 3);
    assert!(!said.stdout.contains("eyJ"));
    // Before the mask nothing names the token, after it nothing else does.
    assert!(
        said.stderr
            .lines()
            .filter(|line| line.contains("eyJ"))
            .all(|line| line.starts_with("::add-mask::"))
    );
}

/// The public instance itself is not reached here: offline it says that it would be asked.
#[test]
fn a_job_signs_with_the_public_instance_by_default_and_a_person_only_by_name() {
    let stage = stage();
    let file = stage.write("a.txt", "a").expect("a file");
    let mut job = in_github(&stage);
    job.env_remove("SIGSTORE_TRUST_CONFIG");
    job.arg("sign").arg(&file).arg("--offline");
    let said = outcome(job);
    assert!(
        said.stderr.contains("no `--trust`: signing with `public-good`")
            && said.stderr.contains("error[trust-no-cache]"),
        "{}",
        said.said()
    );
    let mut person = stage.signing_command().expect("a command");
    person.env_remove("SIGSTORE_TRUST_CONFIG");
    person.arg("sign").arg(&file).arg("--offline");
    let said = outcome(person);
    assert!(
        said.code == Some(2) && said.stderr.contains("error[trust-missing]") && !said.stderr.contains("signing with"),
        "{}",
        said.said()
    );
}

#[test]
fn identity_tells_what_a_certificate_will_say_and_signs_nothing() {
    let stage = stage();
    let mut command = in_github(&stage);
    command.arg("identity");
    let told = json_of(command);
    assert_eq!(
        (&told["source"], &told["acceptedBy"]),
        (&json!("GitHub Actions"), &json!(stage.instance.url()))
    );
    assert_eq!(told["issuer"], stage.issuer.url(Profile::GitHub));
    let size = tests::http::get(&format!("{}/checkpoint", stage.instance.url()))
        .expect("a checkpoint")
        .text();
    assert_eq!(size.lines().nth(1), Some("1"), "the log holds its genesis entry only");

    let mut unknown = stage.workshop.cargo_sigstore(stage.workshop.folder());
    let changes: Map<String, Value> = [("iss".to_owned(), json!("https://unknown.example.org"))]
        .into_iter()
        .collect();
    unknown.env(
        "SIGSTORE_ID_TOKEN",
        stage.issuer.token_with(Profile::GitHub, &changes).expect("a token"),
    );
    unknown.env("SIGSTORE_TRUST_CONFIG", stage.instance.trust("trust_config.json"));
    unknown.arg("identity");
    let said = outcome(unknown).exit(1).expect("refused");
    assert!(said.stderr.contains("E-CA-ISSUER") && said.stderr.contains(&stage.issuer.url(Profile::GitHub)));
}

/// A program of a CI that checks its arguments and gives a token only when no registry token is in its environment.
fn ci_program(stage: &Stage, name: &str, arguments: &str, token: &str) -> PathBuf {
    let folder = stage.path(&format!("{name}-bin"));
    std::fs::create_dir(&folder).expect("a folder");
    let program = folder.join(name);
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = '{arguments}' ] || exit 64\n[ -z \"$CARGO_REGISTRY_TOKEN\" ] || exit 65\necho '{token}'\n"
    );
    write_program(&program, &script).expect("a program");
    folder
}

#[test]
fn the_programs_of_buildkite_and_circleci_are_asked_and_see_no_registry_token() {
    let stage = stage();
    let token = stage.issuer.token(Profile::Buildkite).expect("a token");
    for (marker, program, arguments, source) in [
        (
            "BUILDKITE",
            "buildkite-agent",
            "oidc request-token --audience sigstore",
            "Buildkite",
        ),
        (
            "CIRCLECI",
            "circleci",
            r#"run oidc get --root-issuer --claims {"aud":"sigstore"}"#,
            "CircleCI",
        ),
    ] {
        let identity = |folder: &Path| {
            let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
            command
                .arg("identity")
                .env(marker, "true")
                .env("CARGO_REGISTRY_TOKEN", "a registry's secret");
            command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
            command
        };
        let folder = ci_program(&stage, program, arguments, &token);
        assert_eq!(json_of(identity(&folder))["source"], source);
        let said = outcome(identity(Path::new("/nowhere")))
            .exit(3)
            .expect("no such program");
        assert!(
            said.stderr.contains("E-ID-COMMAND") && said.stderr.contains(program),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn each_failure_has_its_exit_code_and_leaves_no_bundle() {
    let mut stage = stage();
    let file = stage.write("a.txt", "a").expect("a file");
    let trust = stage.instance.trust("trust_config.json");
    let sign = |stage: &Stage, token: Option<String>| {
        let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
        command.arg("sign").arg(&file).env("SIGSTORE_TRUST_CONFIG", &trust);
        command.envs(token.map(|token| ("SIGSTORE_ID_TOKEN", token)));
        command
    };
    let honest = |stage: &Stage| stage.issuer.token(Profile::GitHub).expect("a token");
    let refused = |command: Command, exit: i32, code: &str| {
        let said = outcome(command).exit(exit).expect(code);
        assert!(said.stderr.contains(&format!("error[{code}]")), "{}", said.stderr);
        assert!(said.stderr.contains("hint:"), "{}", said.stderr);
        assert!(!said.stderr.contains("eyJ"), "{}", said.stderr);
    };
    refused(sign(&stage, None), 2, "E-ID-NONE");
    refused(sign(&stage, Some("no token".to_owned())), 2, "E-ID-MALFORMED");
    let mut github = sign(&stage, None);
    let release = Release::of_tag("ferris/crockford", "0.3.1", "6ae2c0d9e7b54d2f8f0a1b2c3d4e5f6071829304");
    github.envs(release.github_environment_without_permission(&stage.issuer));
    refused(github, 2, "E-ID-NOPERM");
    let expired: Map<String, Value> = [("exp".to_owned(), json!(1_700_000_000))].into_iter().collect();
    let expired = stage.issuer.token_with(Profile::GitHub, &expired).expect("a token");
    refused(sign(&stage, Some(expired)), 1, "E-ID-EXPIRED");
    let mut offline = sign(&stage, Some(honest(&stage)));
    offline.arg("--offline");
    refused(offline, 2, "offline");

    stage.issuer.inject(Endpoint::Token, Fault::Unavailable { times: 1 });
    let mut recovering = in_github(&stage);
    recovering
        .arg("sign")
        .arg(&file)
        .arg("--bundle")
        .arg(stage.path("elsewhere.json"));
    outcome(recovering).success().expect("the second try succeeds");

    let token = honest(&stage);
    stage.instance.kill();
    refused(sign(&stage, Some(token)), 3, "service-connect");
    assert!(!stage.path("a.txt.sigstore.json").exists(), "a bundle was left behind");
}

/// A statement that names a file's SHA-512 alone, signed by sigstore-rust: our own commands never leave SHA-256 out.
async fn sign_by_sha512(stage: &Stage, content: &[u8]) -> PathBuf {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "a.txt", "digest": {"sha512": hex::encode(HashAlgorithm::Sha512.digest(content).as_bytes())}}],
        "predicateType": "https://example.org/by-sha512/v1",
        "predicate": {},
    });
    let config = SigningConfig::from_file(stage.instance.trust("signing_config.v0.2.json")).expect("a configuration");
    let services = SigningServices::from_signing_config(&config).expect("services");
    let token = stage.issuer.token(Profile::GitHub).expect("a token");
    let token = sigstore_sign::oidc::IdentityToken::from_jwt(&token).expect("a token");
    let signer = SigningContext::new(services).signer(token);
    let bundle = signer.sign_raw_statement(statement.to_string().as_bytes()).await;
    let bundle = bundle.expect("a bundle").to_json().expect("JSON");
    stage.write("a.txt.sigstore.json", bundle).expect("a file")
}

#[test]
fn a_file_that_a_statement_names_by_sha512_alone_is_found() {
    let stage = stage();
    let file = stage.write("a.txt", "named by another digest").expect("a file");
    let bundle = tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(sign_by_sha512(&stage, b"named by another digest"));
    let told = json_of(stage.verifying_command(&file, &bundle));
    assert_eq!(told["artifacts"][0]["outcome"], "verified");
    assert_eq!(told["artifacts"][0]["evidence"][0]["subject"], "a.txt");
    let sha256 = verify::Sha256Digest::of(b"named by another digest");
    assert_eq!(told["artifacts"][0]["digest"], format!("sha256:{sha256}"));

    // the bundle beside the file is found by itself
    let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
    command.args(["verify", "a.txt", "--allow-unpinned", "--trusted-root"]);
    command.arg(stage.instance.trust("trusted_root.json"));
    outcome(command).success().expect("it verifies");

    let by_digest = stage.verifying_command(Path::new(&format!("sha256:{sha256}")), &bundle);
    let refused = outcome(by_digest).exit(1).expect("a SHA-256 says nothing here");
    assert!(refused.stderr.contains("error[digest-needed]"), "{}", refused.said());
    assert!(
        refused
            .stderr
            .contains("hint: give the file itself instead of its digest"),
        "{}",
        refused.said()
    );
    stage.write("a.txt", "another file").expect("a file");
    let refused = stage
        .verify(&file, &bundle)
        .expect("it runs")
        .exit(1)
        .expect("another file");
    assert!(refused.stderr.contains("error[subject-mismatch]"), "{}", refused.said());
}
