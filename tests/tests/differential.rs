//! One mutation at a time, to us and to `sigstore-verify`: every JSON leaf deleted, bit-flipped at three places,
//! incremented and doubled, every list doubled.
//!
//! Whatever we accept after a mutation stands in [`HARMLESS`] with its reason; whatever the two disagree on, in
//! [`DISAGREEMENTS`]. A new one fails the test until somebody has thought about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use sigstore_verify::{trust_root, types};
use verify::{Artifact, Budget, Bundle, Policy, TrustedRoot, UnixTime, Verifier};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// Bundles of both logs, with both kinds of content; the trusted root where it is not the public-good one.
const BUNDLES: [(&str, bool); 5] = [
    ("happy-path-v0.1", false),
    ("happy-path-v0.3", false),
    ("happy-path-intoto-in-dsse-v3", false),
    ("rekor2-happy-path", true),
    ("rekor2-dsse-happy-path", true),
];

/// End of bundle and path, mutation, and why accepting it harms nobody. An empty mutation stands for all.
const HARMLESS: [(&str, &str, &str); 7] = [
    (
        "/messageSignature/messageDigest",
        "delete",
        "the digest is only a hint: the signature is checked over the artifact itself",
    ),
    (
        "v0.1 /mediaType",
        "increment",
        "it becomes v0.2, and the bundle fulfils what v0.2 demands beyond v0.1",
    ),
    (
        "v0.1 /verificationMaterial/tlogEntries/0/inclusionProof",
        "delete",
        "entries of v0.1 may have the log's promise alone, which is checked; early clients wrote no proof",
    ),
    (
        "v0.1 /verificationMaterial/tlogEntries/0/inclusionProof/checkpoint",
        "delete",
        "the promise is checked; clients of early 2023 wrote no checkpoint",
    ),
    (
        "v0.1 /verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope",
        "delete",
        "as above",
    ),
    (
        "rekor2-dsse-happy-path /verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope",
        "flip middle",
        "it hits a cosignature of a witness that nobody named; signatures of unknown keys are ignored [C2SP signed-note]",
    ),
    (
        "/keyid",
        "",
        "a DSSE key id is an unauthenticated hint, and nothing is chosen by it",
    ),
];

/// End of bundle and path, mutation, which side refuses, and why the two differ.
const DISAGREEMENTS: [(&str, &str, Refuses, &str); 14] = [
    (
        "v0.3 /mediaType",
        "flip last",
        Refuses::Us,
        "it becomes v0.2, which has no single certificate",
    ),
    (
        "/signedTimestamp",
        "flip middle",
        Refuses::Us,
        "it hits the certificate that the token brings, which they do not look at",
    ),
    (
        "/mediaType",
        "delete",
        Refuses::Us,
        "without a media type a bundle has no defined meaning",
    ),
    (
        "/inclusionProof/logIndex",
        "",
        Refuses::Us,
        "the proof's index is that of the entry; they use one of the two",
    ),
    (
        "/inclusionProof/rootHash",
        "",
        Refuses::Us,
        "proof and checkpoint agree; they use the checkpoint's root",
    ),
    (
        "/inclusionProof/treeSize",
        "",
        Refuses::Us,
        "proof and checkpoint agree; they use the checkpoint's size",
    ),
    (
        "/logId/keyId",
        "",
        Refuses::Us,
        "the entry names the log whose key signed; they look at the checkpoint only",
    ),
    (
        "/checkpoint/envelope",
        "flip",
        Refuses::Us,
        "a note is well-formed to its end, and every line of the log's key holds",
    ),
    (
        "/checkpoint/envelope",
        "increment",
        Refuses::Us,
        "a note ends in a newline",
    ),
    (
        "/tlogEntries",
        "double",
        Refuses::Us,
        "an entry said twice looks like two",
    ),
    (
        "/rfc3161Timestamps",
        "double",
        Refuses::Us,
        "a timestamp said twice looks like two",
    ),
    (
        "/certificates",
        "double",
        Refuses::Us,
        "a certificate said twice contradicts itself",
    ),
    (
        "v0.1 /verificationMaterial/tlogEntries/0/inclusionProof/checkpoint",
        "delete",
        Refuses::Them,
        "clients of early 2023 wrote no checkpoint; the log's promise is checked",
    ),
    (
        "v0.1 /verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope",
        "delete",
        Refuses::Them,
        "as above",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refuses {
    Us,
    Them,
}

struct Sides {
    verifier: Verifier,
    policy: Policy,
    their_verifier: sigstore_verify::Verifier,
    their_policy: sigstore_verify::VerificationPolicy,
    artifact: Vec<u8>,
}

impl Sides {
    fn new(root: &[u8], artifact: Vec<u8>) -> Self {
        let their_root = trust_root::TrustedRoot::from_json(std::str::from_utf8(root).unwrap()).unwrap();
        Self {
            verifier: Verifier::new(TrustedRoot::from_json(root, &Budget::default()).unwrap()).unwrap(),
            policy: Policy::identity(IDENTITY, ISSUER).unwrap(),
            their_verifier: sigstore_verify::Verifier::new(&their_root).unwrap(),
            their_policy: sigstore_verify::VerificationPolicy::new(IDENTITY, ISSUER),
            artifact,
        }
    }

    fn ours(&self, json: &str) -> Result<(), String> {
        let now = UnixTime::from_rfc3339("2026-11-22T00:00:00Z").unwrap();
        let bundle = Bundle::from_json(json.as_bytes(), &Budget::default()).map_err(|error| error.code().to_owned())?;
        let outcome = self
            .verifier
            .verify(&bundle, &Artifact::Bytes(&self.artifact), &self.policy, now);
        outcome.map(|_| ()).map_err(|error| error.code().to_owned())
    }

    fn theirs(&self, json: &str) -> Result<(), String> {
        let bundle = types::Bundle::from_json(json).map_err(|error| error.to_string())?;
        let outcome = self
            .their_verifier
            .verify(self.artifact.as_slice(), &bundle, &self.their_policy);
        outcome.map(|_| ()).map_err(|error| error.to_string())
    }
}

#[test]
fn every_single_mutation_is_refused_or_explained() {
    let folder = std::env::var_os("SIGSTORE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        eprintln!(
            "NOT RUN: no conformance vectors at {}; set SIGSTORE_VECTORS",
            folder.display()
        );
        return;
    }
    let mut unexplained = Vec::new();
    let mut used = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, own_root) in BUNDLES {
        let bundle_folder = folder.join("bundles").join(name);
        let root = if own_root {
            bundle_folder.join("trusted_root.json")
        } else {
            folder.join("trust/production.json")
        };
        let sides = Sides::new(
            &fs::read(root).unwrap(),
            fs::read(folder.join("bundles/a.txt")).unwrap(),
        );
        let mut honest: Value =
            serde_json::from_slice(&fs::read(bundle_folder.join("bundle.sigstore.json")).unwrap()).unwrap();
        // Clients of today write no key id; its mutations are to be seen all the same.
        if let Some(signature) = honest.pointer_mut("/dsseEnvelope/signatures/0") {
            signature["keyid"] = "a key".into();
        }
        assert_eq!(sides.ours(&honest.to_string()), Ok(()), "{name}");
        assert_eq!(sides.theirs(&honest.to_string()), Ok(()), "{name}");
        for (path, mutation, mutated) in mutations(&honest) {
            let text = mutated.to_string();
            let (ours, theirs) = (sides.ours(&text), sides.theirs(&text));
            *counts
                .entry(if ours.is_ok() { "accepted" } else { "refused" })
                .or_default() += 1;
            let place = format!("{name} {path}");
            let fits = |end: &str, kind: &str| place.ends_with(end) && mutation.starts_with(kind);
            let harmless = HARMLESS.iter().position(|(end, kind, _)| fits(end, kind));
            if ours.is_ok() {
                println!("{place} {mutation}: accepted");
                used.extend(harmless.map(|position| ("HARMLESS", position)));
            }
            if ours.is_ok() && harmless.is_none() {
                unexplained.push(format!("{name} {path} {mutation}: accepted by us, theirs {theirs:?}"));
            }
            let refuses = match (&ours, &theirs) {
                (Ok(()), Err(_)) => Refuses::Them,
                (Err(_), Ok(())) => Refuses::Us,
                _ => continue,
            };
            *counts.entry("disagreements").or_default() += 1;
            println!("{name} {path} {mutation}: ours {ours:?}, theirs {theirs:?}");
            let known = DISAGREEMENTS
                .iter()
                .position(|(end, kind, side, _)| *side == refuses && fits(end, kind));
            used.extend(known.map(|position| ("DISAGREEMENTS", position)));
            if known.is_none() {
                unexplained.push(format!("{name} {path} {mutation}: ours {ours:?}, theirs {theirs:?}"));
            }
        }
    }
    println!("{counts:?}");
    assert!(counts["refused"] > 500, "{counts:?}");
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let listed = [("HARMLESS", HARMLESS.len()), ("DISAGREEMENTS", DISAGREEMENTS.len())];
    let positions = listed
        .into_iter()
        .flat_map(|(list, count)| (0..count).map(move |position| (list, position)));
    let stale: Vec<_> = positions.filter(|place| !used.contains(place)).collect();
    assert!(stale.is_empty(), "no longer needed: {stale:#?}");
}

/// Path, name of the mutation, mutated document.
fn mutations(honest: &Value) -> Vec<(String, String, Value)> {
    let mut paths = Vec::new();
    collect(honest, String::new(), &mut paths);
    let mut all = Vec::new();
    for path in paths {
        let value = honest.pointer(&path).unwrap();
        for (mutation, replacement) in replacements(value) {
            let mut mutated = honest.clone();
            *mutated.pointer_mut(&path).unwrap() = replacement;
            all.push((path.clone(), mutation, mutated));
        }
        if let Some((parent, member)) = path.rsplit_once('/') {
            let mut mutated = honest.clone();
            match mutated.pointer_mut(parent).unwrap() {
                Value::Object(members) => {
                    members.remove(member);
                }
                Value::Array(items) => {
                    items.remove(member.parse().unwrap());
                }
                _ => unreachable!("only containers have members"),
            }
            all.push((path, "delete".to_owned(), mutated));
        }
    }
    all
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect(member, format!("{path}/{name}"), paths);
            }
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                collect(item, format!("{path}/{position}"), paths);
            }
        }
        _ => {}
    }
    if !path.is_empty() {
        paths.push(path);
    }
}

fn replacements(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::String(text) => strings(text),
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            vec![
                ("increment".to_owned(), (number + 1).into()),
                ("double".to_owned(), (number * 2).into()),
            ]
        }
        Value::Array(items) => {
            let doubled: Vec<_> = items.iter().chain(items).cloned().collect();
            vec![("double".to_owned(), doubled.into())]
        }
        _ => Vec::new(),
    }
}

/// Text that is base64 is changed beneath it, so that the change gets past decoding.
fn strings(text: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    if let Ok(number) = text.parse::<i64>() {
        all.push(("increment".to_owned(), (number + 1).to_string().into()));
        all.push(("double".to_owned(), (number * 2).to_string().into()));
        return all;
    }
    let decoded = STANDARD.decode(text).ok().filter(|bytes| bytes.len() >= 8);
    let bytes = decoded.clone().unwrap_or_else(|| text.as_bytes().to_vec());
    let write = |bytes: &[u8]| match &decoded {
        Some(_) => Some(Value::from(STANDARD.encode(bytes))),
        None => std::str::from_utf8(bytes).ok().map(Value::from),
    };
    for (place, position) in [
        ("first", 0),
        ("middle", bytes.len() / 2),
        ("last", bytes.len().saturating_sub(1)),
    ] {
        let mut flipped = bytes.clone();
        if let Some(byte) = flipped.get_mut(position) {
            *byte ^= 1;
            all.extend(write(&flipped).map(|value| (format!("flip {place}"), value)));
        }
    }
    all.extend(write(&[bytes.as_slice(), &bytes].concat()).map(|value| ("double".to_owned(), value)));
    if let Some(last) = bytes.last() {
        let mut incremented = bytes.clone();
        *incremented.last_mut().unwrap() = last.wrapping_add(1);
        all.extend(write(&incremented).map(|value| ("increment".to_owned(), value)));
    }
    all
}
