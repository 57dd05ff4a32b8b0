//! What `verify` and `inspect` print as JSON is what the published schemas say, and the schemas let nothing else pass.
//!
//! The schemas use a small part of JSON Schema 2020-12. It is evaluated here; a keyword beyond it fails the test.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may be blunt"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn schema(name: &str) -> Value {
    let path = here("../docs/schemas").join(format!("{name}.schema.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The JSON that a command prints, run in a folder of `tests`.
fn printed(folder: &str, line: &str) -> Value {
    printed_at_home(folder, line, tempfile::tempdir().unwrap().path())
}

/// The same, with a home of ours and of cargo's.
fn printed_at_home(folder: &str, line: &str, home: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_cargo-sigstore"))
        .args(line.split_whitespace())
        .args(["--offline", "--format", "json"])
        .current_dir(here("tests").join(folder))
        .env_remove("SIGSTORE_TRUST_CONFIG")
        .env("CARGO_SIGSTORE_HOME", home)
        .env("CARGO_HOME", home)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {output:?}"))
}

/// Where a value first departs from a schema.
fn departure(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let Some(keywords) = schema.as_object() else {
        return (schema == &json!(false)).then(|| format!("{at}: not allowed"));
    };
    keywords.iter().find_map(|(keyword, demand)| match keyword.as_str() {
        "$schema" | "$id" | "$defs" | "title" | "description" => None,
        "$ref" => {
            let pointer = demand.as_str().unwrap().strip_prefix('#').unwrap();
            departure(root, root.pointer(pointer).unwrap(), value, at)
        }
        "type" => (!of_type(demand, value)).then(|| format!("{at}: {value} is no {demand}")),
        "const" => (demand != value).then(|| format!("{at}: {value} is not {demand}")),
        "enum" => (!demand.as_array().unwrap().contains(value)).then(|| format!("{at}: {value} is none of {demand}")),
        "minimum" => (value.is_number() && value.as_i64() < demand.as_i64()).then(|| format!("{at}: too small")),
        "pattern" => {
            (!looks_like(demand.as_str().unwrap(), value)).then(|| format!("{at}: {value} does not fit {demand}"))
        }
        "required" => {
            let missing = |name: &&Value| value.is_object() && value.get(name.as_str().unwrap()).is_none();
            let found = demand.as_array().unwrap().iter().find(missing);
            found.map(|name| format!("{at}: lacks {name}"))
        }
        "anyOf" => {
            let ways = demand.as_array().unwrap();
            let departures: Option<Vec<String>> = ways.iter().map(|way| departure(root, way, value, at)).collect();
            departures.map(|all| all.join(" and "))
        }
        "items" => {
            let items = value.as_array().into_iter().flatten().enumerate();
            items
                .map(|(number, item)| departure(root, demand, item, &format!("{at}/{number}")))
                .find_map(|found| found)
        }
        "properties" | "additionalProperties" => {
            let known = keywords.get("properties").and_then(Value::as_object);
            let parts = value.as_object().into_iter().flatten();
            parts
                .filter_map(
                    |(name, part)| match (keyword.as_str(), known.and_then(|known| known.get(name))) {
                        ("properties", Some(of_part)) => Some((of_part, name, part)),
                        ("additionalProperties", None) => Some((demand, name, part)),
                        _ => None,
                    },
                )
                .find_map(|(of_part, name, part)| departure(root, of_part, part, &format!("{at}/{name}")))
        }
        other => panic!("the schema uses `{other}`, which this test does not know"),
    })
}

fn of_type(demand: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type `{other}`"),
    };
    demand.as_array().map_or_else(|| is(demand), |all| all.iter().any(is))
}

/// The four patterns in use.
fn looks_like(pattern: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match pattern {
        "^[0-9a-f]*$" => hexadecimal(text),
        "^[0-9a-f]{64}$" => text.len() == 64 && hexadecimal(text),
        "^sha256:[0-9a-f]{64}$" => text.len() == 71 && text.strip_prefix("sha256:").is_some_and(hexadecimal),
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$" => verify::UnixTime::from_rfc3339(text).is_ok() && text.len() == 20,
        other => panic!("this test does not know the pattern `{other}`"),
    }
}

/// Every object in the value that a schema closes gets a member too many, one after another: each must be noticed.
fn foreign_members(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut add = |pointer: &str| {
        let mut changed = value.clone();
        let target = changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        target.insert("foreign".to_owned(), json!(1));
        all.push(changed);
    };
    let mut open = vec![(String::new(), value)];
    while let Some((pointer, part)) = open.pop() {
        match part {
            Value::Object(members) => {
                add(&pointer);
                // A statement is its signer's, to the last member.
                let ours = members.iter().filter(|(name, _)| *name != "statement");
                open.extend(ours.map(|(name, member)| (format!("{pointer}/{}", name.replace('/', "~1")), member)));
            }
            Value::Array(items) => {
                open.extend(
                    items
                        .iter()
                        .enumerate()
                        .map(|(at, item)| (format!("{pointer}/{at}"), item)),
                );
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    all
}

fn check(name: &str, documents: &[Value]) {
    let schema = schema(name);
    for document in documents {
        assert_eq!(departure(&schema, &schema, document, ""), None);
        for changed in foreign_members(document) {
            assert!(departure(&schema, &schema, &changed, "").is_some(), "{changed:#}");
        }
        let mut without = document.clone();
        without.as_object_mut().unwrap().remove("schemaVersion").unwrap();
        assert!(departure(&schema, &schema, &without, "").is_some());
    }
}

/// A witness of the staging instance's log.
const NAVIGLI: &str = "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G";
const ROOT: &str = "--trusted-root trusted_root.json";

#[test]
fn what_verify_prints_is_what_its_schema_says() {
    let file = "verify crockford-0.3.1.crate";
    let beacon = "--certificate-identity https://github.com/x/y --certificate-oidc-issuer https://token.actions.githubusercontent.com";
    let documents = [
        printed("fixtures", &format!("{file} {ROOT}")),
        printed("fixtures", &format!("{file} {ROOT} --allow-unpinned")),
        printed("fixtures", &format!("{file} {ROOT} {beacon}")),
        printed("fixtures", &format!("verify trusted_root.json {ROOT}")),
        printed("public", "verify a.txt --bundle happy-path.json --allow-unpinned"),
        printed("public", "verify a.txt --bundle managed-key.json --key managed-key.pub"),
    ];
    let outcomes: Vec<&Value> = documents
        .iter()
        .map(|document| &document["artifacts"][0]["outcome"])
        .collect();
    assert_eq!(
        outcomes,
        ["signed", "signed", "refused", "unavailable", "signed", "verified"]
    );
    check("verify", &documents);
}

#[test]
fn what_verify_prints_of_a_lock_file_is_what_its_schema_says() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("registry/cache/index.crates.io-1949cf8c6b5b557f");
    std::fs::create_dir_all(&cache).unwrap();
    let name = "crockford-0.3.1.crate";
    std::fs::copy(here("tests/fixtures").join(name), cache.join(name)).unwrap();
    let package = |name: &str, more: &str| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"0.3.1\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
             checksum = \"39858692d143b334ca997658db9af1717933fc2d2c19734c2b73f1eb9e28a325\"\n{more}"
        )
    };
    let lockfile = home.path().join("Cargo.lock");
    let lock = package("crockford", "dependencies = [\"base\"]\n") + &package("base", "");
    std::fs::write(&lockfile, lock).unwrap();
    let line = format!("verify {ROOT} --lockfile {}", lockfile.display());
    let documents = [
        printed_at_home("fixtures", &line, home.path()),
        printed_at_home("fixtures", &format!("{line} --allow-unexplained"), home.path()),
    ];
    let contents = |document: usize, artifact: usize| &documents[document]["artifacts"][artifact]["contents"];
    assert_eq!(contents(0, 0)["edges"], 1);
    assert_eq!(contents(0, 0)["warnings"], json!([]));
    assert_eq!(contents(0, 1)["notChecked"], "not in cargo's cache (run `cargo fetch`)");
    assert_eq!(contents(1, 0)["warnings"][0]["code"], "edge-unexplained");
    check("verify", &documents);
}

#[test]
fn what_inspect_prints_is_what_its_schema_says() {
    let documents = [
        printed("fixtures", "inspect crockford-0.3.1.crate.sigstore.json"),
        printed(
            "fixtures",
            &format!("inspect crockford-0.3.1.crate.sigstore.jsonl {ROOT}"),
        ),
        printed(
            "public",
            "inspect happy-path.json --trusted-root ../fixtures/trusted_root.json",
        ),
        printed("public", "inspect happy-path.json --trust public-good"),
        printed("public", "inspect managed-key.json"),
        printed("public", "inspect ed25519.json"),
        printed(
            "public",
            &format!("inspect witnessed.json --trust staging --witness {NAVIGLI}"),
        ),
    ];
    let witnesses = &documents[6]["bundles"][0]["verification"]["evidence"]["witnesses"];
    assert_eq!(witnesses[0]["name"], "witness.navigli.sunlight.geomys.org");
    let results: Vec<&Value> = documents
        .iter()
        .map(|document| &document["bundles"][0]["verification"]["result"])
        .collect();
    assert_eq!(
        results,
        ["not-asked", "held", "refused", "held", "not-asked", "not-asked", "held"]
    );
    check("inspect", &documents);
}

#[test]
fn the_schemas_name_themselves() {
    for name in ["verify", "inspect"] {
        let schema = schema(name);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let id = format!("https://cargo-sigstore.github.io/schemas/{name}.schema.json");
        assert_eq!(schema["$id"], id);
    }
}
