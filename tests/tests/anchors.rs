//! Programs that know nothing of Sigstore accept what the server makes: OpenSSL its chain and its timestamps, python-tuf its
//! repository across a rotation and a refresh.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tests::{
    Stage,
    clients::Clients,
    http,
    run::{Outcome, run},
};

const LIMIT: Duration = Duration::from_mins(1);

fn stage() -> Stage {
    Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage")
}

fn openssl(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments);
    run(&mut command, LIMIT).expect("openssl runs")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

/// PEM of a certificate in base64 DER.
fn pem(base64: &str) -> String {
    tests::authority::pem("CERTIFICATE", &STANDARD.decode(base64).expect("base64"))
}

/// Writes `NAME-root.pem` (the last) and `NAME-rest.pem` (all others) of the first authority of this kind.
fn write_chain(stage: &Stage, member: &str) -> usize {
    let root = read(&stage.instance.trust("trusted_root.json"));
    let chain: Vec<String> = root[member][0]["certChain"]["certificates"]
        .as_array()
        .expect("a chain")
        .iter()
        .map(|certificate| pem(certificate["rawBytes"].as_str().expect("bytes")))
        .collect();
    let (last, rest) = chain.split_last().expect("at least a root");
    stage.write(&format!("{member}-root.pem"), last).expect("the root");
    stage
        .write(&format!("{member}-rest.pem"), rest.concat())
        .expect("the rest");
    chain.len()
}

#[test]
fn openssl_accepts_our_chain() {
    let stage = stage();
    let artifact = stage.write("artifact", "bytes\n").expect("an artifact");
    let bundle = stage.path("artifact.sigstore.json");
    stage.sign(&artifact, &bundle).expect("a bundle");
    let leaf = read(&bundle)["verificationMaterial"]["certificate"]["rawBytes"]
        .as_str()
        .map(pem)
        .expect("a certificate");
    stage.write("leaf.pem", leaf).expect("the leaf");
    assert!(write_chain(&stage, "certificateAuthorities") >= 2);
    write_chain(&stage, "timestampAuthorities");
    let verify = |root: &str| {
        let arguments = [
            "verify",
            "-x509_strict",
            "-purpose",
            "any",
            "-CAfile",
            root,
            "-untrusted",
            "certificateAuthorities-rest.pem",
            "leaf.pem",
        ];
        openssl(stage.workshop.folder(), &arguments)
    };
    verify("certificateAuthorities-root.pem")
        .success()
        .expect("our chain is accepted");
    let foreign = verify("timestampAuthorities-root.pem");
    assert_ne!(foreign.code, Some(0), "a foreign root is accepted: {}", foreign.said());
}

/// Asks our timestamp authority what OpenSSL asks; answers the path of the reply.
fn timestamp(stage: &Stage, data: &str, options: &[&str]) -> PathBuf {
    let folder = stage.workshop.folder();
    let mut arguments = vec!["ts", "-query", "-data", data, "-sha256", "-out", "query.tsq"];
    arguments.extend(options);
    openssl(folder, &arguments).success().expect("a query");
    let query = std::fs::read(folder.join("query.tsq")).expect("the query");
    let url = format!("{}/api/v1/timestamp", stage.instance.url());
    let headers = [("content-type", "application/timestamp-query")];
    let answer = http::request("POST", &url, &headers, &query).expect("an answer");
    assert!(
        matches!(answer.status, 200 | 201),
        "{}: {}",
        answer.status,
        answer.text()
    );
    stage.write("reply.tsr", answer.body).expect("the reply")
}

#[test]
fn openssl_accepts_our_timestamps() {
    let stage = stage();
    stage.write("data", "bytes\n").expect("data");
    stage.write("other", "other bytes\n").expect("other data");
    assert!(write_chain(&stage, "timestampAuthorities") >= 2);
    let folder = stage.workshop.folder();
    for options in [&["-cert"][..], &["-cert", "-no_nonce"], &["-no_nonce"], &[]] {
        timestamp(&stage, "data", options);
        let verify = |against: &[&str]| {
            let mut arguments = vec!["ts", "-verify", "-in", "reply.tsr"];
            arguments.extend(against);
            arguments.extend(["-CAfile", "timestampAuthorities-root.pem"]);
            arguments.extend(["-untrusted", "timestampAuthorities-rest.pem"]);
            openssl(folder, &arguments)
        };
        verify(&["-queryfile", "query.tsq"])
            .success()
            .expect("our reply fits the query");
        verify(&["-data", "data"]).success().expect("our reply fits the data");
        let wrong = verify(&["-data", "other"]);
        assert_ne!(wrong.code, Some(0), "other data is accepted: {}", wrong.said());
    }
}

/// python-tuf's view of our repository.
struct Follower<'a> {
    stage: &'a Stage,
    clients: Clients,
}

impl Follower<'_> {
    /// Follows the repository with the trust kept in folder `state`, from `root` the first time.
    fn follow(&self, state: &str, root: &Path) -> Outcome {
        let mut command = self.clients.python("follow.py");
        command
            .arg(root)
            .arg(self.stage.path(state))
            .arg(format!("{}/tuf/", self.stage.instance.url()))
            .args(TARGETS);
        run(&mut command, LIMIT).expect("python runs")
    }

    fn follows(&self, state: &str) -> Value {
        let root = self.stage.instance.trust("root.json");
        let outcome = self.follow(state, &root).success().expect("python-tuf follows");
        serde_json::from_str(&outcome.stdout).expect("JSON")
    }

    fn tuf_root(&self, arguments: &[&str]) {
        let mut command = Command::new(self.stage.tools.tuf_root());
        command.current_dir(self.stage.instance.folder()).args(arguments);
        run(&mut command, LIMIT)
            .expect("tuf-root runs")
            .success()
            .expect("tuf-root is content");
    }
}

/// What every Sigstore client fetches.
const TARGETS: [&str; 2] = ["trusted_root.json", "signing_config.v0.2.json"];

fn version(view: &Value, role: &str) -> u64 {
    view["versions"][role].as_u64().expect("a version")
}

#[test]
fn python_tuf_follows_a_refresh_and_a_rotation_and_refuses_a_rollback() {
    let Some(clients) = Clients::find("python-tuf over a rotation and a refresh") else {
        return;
    };
    let stage = stage();
    let follower = Follower { stage: &stage, clients };
    let first = follower.follows("python");
    assert_eq!(version(&first, "root"), 1);
    for target in TARGETS {
        let bytes = std::fs::read(stage.instance.trust(target)).expect("the trust folder holds it");
        assert_eq!(first["targets"][target], verify::Sha256Digest::of(&bytes).to_string());
    }
    let timestamp = stage.instance.folder().join("tuf/timestamp.json");
    let old = std::fs::read(&timestamp).expect("the timestamp");

    follower.tuf_root(&["refresh", "tuf", "--online-key", "keys/tuf-online.pem"]);
    let refreshed = follower.follows("python");
    assert_eq!(version(&refreshed, "timestamp"), version(&first, "timestamp") + 1);
    assert_eq!(version(&refreshed, "root"), 1);

    follower.tuf_root(&["key", "keys/next.pem"]);
    let next = [
        "--add-root-key",
        "keys/next.pem",
        "--remove-root-key",
        "keys/tuf-root.pem",
    ];
    let signing = ["--key", "keys/tuf-root.pem", "--key", "keys/next.pem"];
    follower.tuf_root(&[&["rotate", "tuf"][..], &next, &signing].concat());
    let rotated = follower.follows("python");
    assert_eq!(version(&rotated, "root"), 2);
    // Somebody who still holds only the first root gets there too.
    assert_eq!(version(&follower.follows("newcomer"), "root"), 2);

    // An older timestamp again: the follower remembers, and refuses.
    let new = std::fs::read(&timestamp).expect("the timestamp");
    std::fs::write(&timestamp, old).expect("the old timestamp");
    let root = stage.instance.trust("root.json");
    let refused = follower.follow("python", &root);
    assert_ne!(refused.code, Some(0), "a rollback is accepted: {}", refused.said());
    std::fs::write(&timestamp, new).expect("the new timestamp");
    follower.follows("python");
}
