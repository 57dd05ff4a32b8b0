//! The matrix: unmodified clients of others sign with our server and verify each other's bundles and ours.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use sigstore_sign::{
    SigningContext, SigningServices,
    rekor::RekorApiVersion,
    trust_root::{SigningConfig, TrustedRoot},
};
use sigstore_verify::{VerificationPolicy, Verifier};
use tests::{Doing as _, Error, Stage, clients::Clients, issuer::Profile};

/// Who makes or checks a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Python,
    Js,
    Rust,
    Ours,
}

/// What is signed: the artifact, or a statement about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Blob,
    Dsse,
}

/// A row of the matrix.
#[derive(Clone, Debug)]
struct Row {
    maker: Client,
    kind: Kind,
    log: u32,
    bundle: PathBuf,
}

const CLIENTS: [Client; 4] = [Client::Python, Client::Js, Client::Rust, Client::Ours];

impl Client {
    const fn name(self) -> &'static str {
        match self {
            Self::Python => "sigstore-python",
            Self::Js => "sigstore-js",
            Self::Rust => "sigstore-rust",
            Self::Ours => "cargo sigstore",
        }
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Dsse => "dsse",
        }
    }
}

/// A bundle to be checked against an artifact, and by whom.
struct Check<'a> {
    row: &'a Row,
    artifact: &'a Path,
    identity: &'a str,
}

/// Why a client did not do what it was asked, in its own words.
type Answers = Vec<Result<(), String>>;

/// Lets a client of others follow a plan; one answer for each step.
fn follow(stage: &Stage, clients: &Clients, client: Client, identity: &str, steps: &[Value]) -> Answers {
    let token = stage.issuer.token(Profile::GitHub).expect("a token");
    let plan = json!({
        "trust_config": stage.instance.trust("trust_config.json"),
        "token": stage.write("token", token).expect("a token file"),
        "identity": identity,
        "issuer": stage.issuer.url(Profile::GitHub),
        "steps": steps,
    });
    let mut command = match client {
        Client::Python => clients.python("matrix.py"),
        _ => clients.js("matrix.mjs"),
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(plan.to_string().as_bytes()).expect("it reads the plan");
    drop(stdin);
    let output = child.wait_with_output().expect("the client ends");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers: Answers = lines.lines().map(answer).collect();
    assert_eq!(answers.len(), steps.len(), "{} said: {lines}", client.name());
    answers
}

fn answer(line: &str) -> Result<(), String> {
    let answer: Value = serde_json::from_str(line).expect("an answer in JSON");
    if answer["ok"] == true {
        return Ok(());
    }
    Err(answer["error"].as_str().unwrap_or("no reason given").to_owned())
}

fn sign_step(row: &Row, artifact: &Path) -> Value {
    json!({"do": "sign", "kind": row.kind.name(), "log": row.log, "artifact": artifact, "bundle": row.bundle})
}

fn verify_step(check: &Check) -> Value {
    json!({"do": "verify", "kind": check.row.kind.name(), "artifact": check.artifact, "bundle": check.row.bundle})
}

fn statement(artifact: &Path) -> String {
    let bytes = std::fs::read(artifact).expect("the artifact");
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "artifact", "digest": {"sha256": verify::Sha256Digest::of(&bytes).to_string()}}],
        "predicateType": "https://example.org/interop/v1",
        "predicate": {"made": "by sigstore-rust"},
    })
    .to_string()
}

/// sigstore-rust signs one row.
async fn rust_signs(stage: &Stage, row: &Row, artifact: &Path) -> Result<(), Error> {
    let config = SigningConfig::from_file(stage.instance.trust("signing_config.v0.2.json")).doing("read the config")?;
    let version = if row.log == 1 {
        RekorApiVersion::V1
    } else {
        RekorApiVersion::V2
    };
    let services =
        SigningServices::from_signing_config_with_rekor_version(&config, Some(version)).doing("choose services")?;
    let token = stage.issuer.token(Profile::GitHub)?;
    let token = sigstore_sign::oidc::IdentityToken::from_jwt(&token).doing("read the token")?;
    let signer = SigningContext::new(services).signer(token);
    let bundle = match row.kind {
        Kind::Blob => {
            let bytes = std::fs::read(artifact).doing("read the artifact")?;
            signer.sign(bytes.as_slice()).await
        }
        Kind::Dsse => signer.sign_raw_statement(statement(artifact).as_bytes()).await,
    };
    let json = bundle.doing("sign")?.to_json().doing("write the bundle")?;
    std::fs::write(&row.bundle, json).doing("write the bundle")
}

fn rust_verifies(stage: &Stage, check: &Check) -> Result<(), Error> {
    let root = TrustedRoot::from_file(stage.instance.trust("trusted_root.json")).doing("read the trusted root")?;
    let verifier = Verifier::new(&root).doing("prepare the verifier")?;
    let json = std::fs::read_to_string(&check.row.bundle).doing("read the bundle")?;
    let bundle = sigstore_verify::types::Bundle::from_json(&json).doing("parse the bundle")?;
    let bytes = std::fs::read(check.artifact).doing("read the artifact")?;
    let policy = VerificationPolicy::new(check.identity, stage.issuer.url(Profile::GitHub));
    verifier
        .verify(bytes.as_slice(), &bundle, &policy)
        .doing("verify")
        .map(drop)
}

fn ours_verifies(stage: &Stage, check: &Check) -> Result<(), Error> {
    let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
    command
        .arg("verify")
        .arg(check.artifact)
        .arg("--bundle")
        .arg(&check.row.bundle);
    command
        .arg("--trusted-root")
        .arg(stage.instance.trust("trusted_root.json"));
    command.args(["--certificate-identity", check.identity]);
    command.args(["--certificate-oidc-issuer", &stage.issuer.url(Profile::GitHub)]);
    let outcome = tests::run::run(&mut command, std::time::Duration::from_mins(1))?;
    match outcome.code {
        // Refused, or not readable: anything else would be a failure of its own.
        Some(0 | 1) => outcome.success().map(drop),
        _ => panic!("{}", outcome.said()),
    }
}

/// Lets `client` check every row; one answer for each.
fn verify_all(stage: &Stage, clients: &Clients, client: Client, checks: &[Check]) -> Answers {
    match client {
        Client::Python | Client::Js => {
            let steps: Vec<Value> = checks.iter().map(verify_step).collect();
            let identity = checks.first().map_or("", |check| check.identity);
            follow(stage, clients, client, identity, &steps)
        }
        Client::Rust => checks
            .iter()
            .map(|check| rust_verifies(stage, check).map_err(|error| error.to_string()))
            .collect(),
        Client::Ours => checks
            .iter()
            .map(|check| ours_verifies(stage, check).map_err(|error| error.to_string()))
            .collect(),
    }
}

fn rows(stage: &Stage) -> Vec<Row> {
    let row = |maker: Client, kind: Kind, log: u32| Row {
        maker,
        kind,
        log,
        bundle: stage.path(&format!("{maker:?}-{kind:?}-{log}.sigstore.json")),
    };
    let mut rows = Vec::new();
    for maker in [Client::Python, Client::Js, Client::Rust, Client::Ours] {
        for kind in [Kind::Blob, Kind::Dsse] {
            rows.extend([row(maker, kind, 1), row(maker, kind, 2)]);
        }
    }
    rows
}

fn sign_all(stage: &Stage, clients: &Clients, rows: &[Row], artifact: &Path) {
    for maker in [Client::Python, Client::Js] {
        let theirs: Vec<&Row> = rows.iter().filter(|row| row.maker == maker).collect();
        let steps: Vec<Value> = theirs.iter().map(|row| sign_step(row, artifact)).collect();
        let answers = follow(stage, clients, maker, "", &steps);
        for (row, answer) in theirs.iter().zip(answers) {
            assert_eq!(
                answer,
                Ok(()),
                "{} signs {:?} on log v{}",
                maker.name(),
                row.kind,
                row.log
            );
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for row in rows {
        match (row.maker, row.kind) {
            (Client::Rust, _) => runtime
                .block_on(rust_signs(stage, row, artifact))
                .unwrap_or_else(|error| panic!("sigstore-rust signs {:?} on log v{}: {error}", row.kind, row.log)),
            (Client::Ours, kind) => ours_signs(stage, kind, row, artifact),
            _ => (),
        }
    }
}

/// We sign by the newest API that the trust configuration offers.
fn ours_signs(stage: &Stage, kind: Kind, row: &Row, artifact: &Path) {
    let trust = stage.trust_of_log(row.log).expect("a trust configuration");
    let command = match kind {
        Kind::Blob => stage.sign_command(artifact, &row.bundle),
        Kind::Dsse => stage.attest_command(artifact, &row.bundle),
    };
    let mut command = command.expect("a command");
    command.env("SIGSTORE_TRUST_CONFIG", trust);
    let signed = tests::run::run(&mut command, std::time::Duration::from_mins(1));
    signed
        .and_then(tests::run::Outcome::success)
        .unwrap_or_else(|error| panic!("we sign {kind:?} on log v{}: {error}", row.log));
}

#[test]
fn every_client_signs_with_our_server_and_verifies_every_bundle() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let Some(clients) = Clients::find("interoperability with sigstore-python, sigstore-js and sigstore-rust") else {
        return;
    };
    let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
    let artifact = stage
        .write("artifact", "the bytes that are signed\n")
        .expect("an artifact");
    let other = stage.write("other", "other bytes\n").expect("another artifact");
    let identity = stage.issuer.subject(Profile::GitHub);
    let rows = rows(&stage);
    sign_all(&stage, &clients, &rows, &artifact);

    let mut table: Vec<Vec<Result<(), String>>> = vec![Vec::new(); rows.len()];
    for client in CLIENTS {
        let check = |artifact, identity| -> Vec<Check> {
            let checks = rows.iter().map(|row| Check {
                row,
                artifact,
                identity,
            });
            checks.collect()
        };
        let answers = verify_all(&stage, &clients, client, &check(&artifact, &identity));
        for (cells, answer) in table.iter_mut().zip(answers) {
            cells.push(answer);
        }
        let nobody = "https://github.com/somebody/else/.github/workflows/release.yml@refs/heads/main";
        for (what, checks) in [
            ("another artifact", check(&other, &identity)),
            ("another identity", check(&artifact, nobody)),
        ] {
            for (row, answer) in rows.iter().zip(verify_all(&stage, &clients, client, &checks)) {
                assert!(answer.is_err(), "{} accepts {what} for {row:?}", client.name());
            }
        }
    }
    println!("{}", print(&rows, &table));
    for (row, cells) in rows.iter().zip(&table) {
        for (client, cell) in CLIENTS.into_iter().zip(cells) {
            assert_eq!(*cell, Ok(()), "{} on {row:?}", client.name());
        }
    }
}

fn print(rows: &[Row], table: &[Vec<Result<(), String>>]) -> String {
    let mut text = format!("\n{:<16} {:<5} {:<4}", "signed by", "kind", "log");
    for client in CLIENTS {
        write!(text, " {:<16}", client.name()).expect("a string");
    }
    for (row, cells) in rows.iter().zip(table) {
        write!(
            text,
            "\n{:<16} {:<5} v{:<3}",
            row.maker.name(),
            row.kind.name(),
            row.log
        )
        .expect("a string");
        for cell in cells {
            let word = if cell.is_ok() { "accepts" } else { "refuses" };
            write!(text, " {word:<16}").expect("a string");
        }
    }
    for (row, cells) in rows.iter().zip(table) {
        for (client, cell) in CLIENTS.into_iter().zip(cells) {
            if let Err(reason) = cell {
                let why = reason.lines().next().unwrap_or_default();
                write!(text, "\n{} on {:?}: {why}", client.name(), row.bundle.file_name()).expect("a string");
            }
        }
    }
    text
}
