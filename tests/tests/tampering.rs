//! Every member of a bundle matters: one vector per field, each refused with a documented code, after the unharmed bundle was accepted.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tests::{Stage, issuer::Profile};
use verify::{Artifact, Budget, Bundle, Policy, TrustedRoot, UnixTime, Verifier};

/// What a bundle is checked with.
struct Bench {
    verifier: Verifier,
    policy: Policy,
    artifact: Vec<u8>,
    now: UnixTime,
}

impl Bench {
    fn new(stage: &Stage, artifact: &Path) -> Self {
        let root = std::fs::read(stage.instance.trust("trusted_root.json")).expect("a trusted root");
        let root = TrustedRoot::from_json(&root, &Budget::default()).expect("a trusted root");
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
        let identity = stage.issuer.subject(Profile::GitHub);
        Self {
            verifier: Verifier::new(root).expect("a verifier"),
            policy: Policy::identity(&identity, &stage.issuer.url(Profile::GitHub)).expect("a policy"),
            artifact: std::fs::read(artifact).expect("the artifact"),
            now: UnixTime::from_secs(i64::try_from(since.as_secs()).expect("a time")),
        }
    }

    fn verify(&self, bundle: &Value) -> Result<(), verify::Error> {
        let bundle = Bundle::from_json(bundle.to_string().as_bytes(), &Budget::default())?;
        let artifact = Artifact::Bytes(&self.artifact);
        self.verifier
            .verify(&bundle, &artifact, &self.policy, self.now)
            .map(drop)
    }
}

/// JSON pointers of every member and element that holds others.
fn branches(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, element)| (index.to_string(), element))
            .collect(),
        _ => return,
    };
    // An empty list says nothing that its absence does not say.
    if !pointer.is_empty() && !children.is_empty() {
        found.push(pointer.to_owned());
    }
    for (name, child) in children {
        branches(child, &format!("{pointer}/{name}"), found);
    }
}

/// JSON pointers of every leaf.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                leaves(element, &format!("{pointer}/{index}"), found);
            }
        }
        _ => found.push(pointer.to_owned()),
    }
}

/// Other values for a leaf: another number, another bit at the start, middle and end of its bytes, another text.
fn others(value: &Value) -> Vec<Value> {
    let Some(text) = value.as_str() else {
        return vec![Value::from("unexpected")];
    };
    if let Ok(number) = text.parse::<i64>() {
        return vec![(number + 1).to_string().into(), (-1).to_string().into()];
    }
    let mut others = vec![Value::from(format!("{text}x")), Value::from("")];
    if let Ok(bytes) = STANDARD.decode(text) {
        for place in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(place) {
                *byte ^= 1;
                others.push(STANDARD.encode(changed).into());
            }
        }
    }
    others
}

/// The bundle without the member that a pointer names.
fn without(bundle: &Value, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/')?;
    let mut bundle = bundle.clone();
    match bundle.pointer_mut(parent)? {
        Value::Object(members) => members.remove(name).map(drop)?,
        Value::Array(elements) => drop(elements.remove(name.parse().ok()?)),
        _ => return None,
    }
    Some(bundle)
}

/// Members that say nothing: a default value that may as well be absent, and DSSE's unauthenticated hint.
fn says_nothing(pointer: &str, value: &Value) -> bool {
    let is_default = value.is_null() || value == "0" || value == "";
    is_default || pointer.ends_with("/keyid")
}

/// A message signature need not state the digest [protobuf-specs, `MessageSignature`]; where it does, it must be right.
const HINT: &str = "/messageSignature/messageDigest";

fn refuses_every_change(bench: &Bench, good: &Value) -> BTreeMap<&'static str, usize> {
    assert_eq!(bench.verify(good), Ok(()), "the unharmed bundle is accepted");
    let mut pointers = Vec::new();
    leaves(good, "", &mut pointers);
    assert!(pointers.len() > 15, "a bundle has more members than {pointers:?}");
    let mut codes = BTreeMap::new();
    let mut containers = Vec::new();
    branches(good, "", &mut containers);
    for pointer in containers.iter().filter(|pointer| pointer.as_str() != HINT) {
        let bundle = without(good, pointer).expect("a member");
        match bench.verify(&bundle) {
            Ok(()) => panic!("accepted: no {pointer}"),
            Err(error) => *codes.entry(error.code()).or_default() += 1,
        }
    }
    for pointer in &pointers {
        let value = good.pointer(pointer).expect("a member");
        let mut changed: Vec<(String, Value)> = Vec::new();
        for other in others(value) {
            let mut bundle = good.clone();
            *bundle.pointer_mut(pointer).expect("a member") = other.clone();
            changed.push((format!("{pointer} = {other}"), bundle));
        }
        if !says_nothing(pointer, value) {
            changed.extend(without(good, pointer).map(|bundle| (format!("no {pointer}"), bundle)));
        }
        for (what, bundle) in changed {
            if pointer.ends_with("/keyid") {
                continue;
            }
            match bench.verify(&bundle) {
                Ok(()) => panic!("accepted: {what}"),
                Err(error) => *codes.entry(error.code()).or_default() += 1,
            }
        }
    }
    codes
}

#[test]
fn every_changed_or_missing_member_is_refused_with_a_documented_code() {
    let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
    let artifact = stage.write("artifact", "bytes\n").expect("an artifact");
    let bench = Bench::new(&stage, &artifact);
    let documentation = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/codes/verify.md"))
        .expect("the codes of verify");
    for (name, sign) in [
        ("blob", Stage::sign as fn(&Stage, &Path, &Path) -> _),
        ("dsse", Stage::attest),
    ] {
        let path = stage.path(&format!("{name}.sigstore.json"));
        sign(&stage, &artifact, &path).expect("a bundle");
        let good: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        let codes = refuses_every_change(&bench, &good);
        println!("{name}: {codes:?}");
        for code in codes.keys() {
            assert!(
                documentation.contains(&format!("## {code}\n")),
                "`{code}` is not in docs/codes/verify.md"
            );
        }
        // The same through the binary, for one field: the words and the exit code of a refusal.
        let mut bad = good.clone();
        let pointer = "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash";
        *bad.pointer_mut(pointer).expect("a root") = STANDARD.encode([7; 32]).into();
        let bad = stage.write("bad.sigstore.json", bad.to_string()).expect("a bad bundle");
        stage
            .verify(&artifact, &path)
            .expect("a run")
            .success()
            .expect("the good one is accepted");
        stage
            .verify(&artifact, &bad)
            .expect("a run")
            .exit(1)
            .expect("the bad one is refused");
    }
}

/// `cargo sigstore verify` with this trusted root.
fn verify_trusting(stage: &Stage, root: &Path, artifact: &Path, bundle: &Path) -> tests::run::Outcome {
    let mut command = stage.workshop.cargo_sigstore(stage.workshop.folder());
    command
        .arg("verify")
        .arg(artifact)
        .arg("--bundle")
        .arg(bundle)
        .arg("--trusted-root")
        .arg(root)
        .args(["--certificate-identity", &stage.issuer.subject(Profile::GitHub)])
        .args(["--certificate-oidc-issuer", &stage.issuer.url(Profile::GitHub)]);
    tests::run::run(&mut command, std::time::Duration::from_mins(1)).expect("it runs")
}

#[test]
fn a_foreign_a_stale_and_a_broken_trusted_root_are_told_apart() {
    let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
    let artifact = stage.write("artifact", "bytes\n").expect("an artifact");
    let bundle = stage.path("artifact.sigstore.json");
    // Windows are closed and count whole seconds: the signature must fall into a later one than the instance's first.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    stage.attest(&artifact, &bundle).expect("a bundle");
    let good = stage.instance.trust("trusted_root.json");
    let trusting = |root: &Path| verify_trusting(&stage, root, &artifact, &bundle);
    trusting(&good).success().expect("our own root is believed");

    let foreign = tests::Instance::init(&stage.tools, &stage.issuer).expect("another instance");
    let refused = trusting(&foreign.trust("trusted_root.json"))
        .exit(1)
        .expect("a foreign root");
    assert!(refused.stderr.contains("error["), "{}", refused.said());

    // Every authority of ours, but one kind believed no longer than its first second.
    let root: Value = serde_json::from_slice(&std::fs::read(&good).expect("a root")).expect("JSON");
    for list in ["tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"] {
        let mut ended = root.clone();
        for entry in ended[list].as_array_mut().expect("a list") {
            let holder = if entry.get("publicKey").is_some() {
                &mut entry["publicKey"]
            } else {
                entry
            };
            holder["validFor"]["end"] = holder["validFor"]["start"].clone();
        }
        let path = stage.write("ended.json", ended.to_string()).expect("a stale root");
        let refused = trusting(&path);
        assert_eq!(refused.code, Some(1), "{list} ended before: {}", refused.said());
    }

    let broken = stage.write("broken.json", "{\"mediaType\": 1}").expect("a broken root");
    let refused = trusting(&broken);
    assert_eq!(refused.code, Some(2), "{}", refused.said());
    let nowhere = trusting(&stage.path("nowhere.json"));
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.said());
}
