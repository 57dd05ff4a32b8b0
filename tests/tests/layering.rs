//! The layers of the design hold: a lower crate never names a higher one, and each uses only what it may.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand};

/// Which workspace crates each crate may name outside of its tests.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("verify", &[]),
    ("package", &[]),
    ("client", &["verify"]),
    ("tuf-root", &["verify"]),
    ("cargo-sigstore", &["verify", "package", "client", "tuf-root"]),
    ("crates-plugin", &["verify", "package", "client", "tuf-root"]),
    ("server", &["verify", "tuf-root"]),
    (
        "tests",
        &[
            "verify",
            "package",
            "client",
            "tuf-root",
            "cargo-sigstore",
            "crates-plugin",
            "server",
        ],
    ),
];

/// What must not be anywhere below `verify`.
const NEVER_BELOW_VERIFY: [&str; 11] = [
    "tokio", "reqwest", "hyper", "mio", "rustls", "tracing", "rand", "socket2", "rusqlite", "tempfile", "ureq",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(
            ["--offline", "--locked", "--filter-platform", &host()]
                .map(str::to_owned)
                .to_vec(),
        )
        .exec()
        .expect("cargo metadata runs in the workspace")
}

/// The triple these tests were built for: the packages of other platforms need not be downloaded.
fn host() -> String {
    let output = std::process::Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc runs");
    let text = String::from_utf8(output.stdout).expect("rustc prints UTF-8");
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("rustc names its host")
        .to_owned()
}

/// For each workspace crate, the workspace crates it names outside of its tests.
fn workspace_edges(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata.workspace_packages();
    let members: BTreeSet<String> = packages.iter().map(|package| package.name.to_string()).collect();
    let edges = packages.iter().map(|package| {
        let shipped = package
            .dependencies
            .iter()
            .filter(|used| used.kind != DependencyKind::Development);
        let uses = shipped
            .map(|used| used.name.clone())
            .filter(|name| members.contains(name))
            .collect();
        (package.name.to_string(), uses)
    });
    edges.collect()
}

/// Names of everything that is built when `root` alone is.
fn tree_of(metadata: &Metadata, root: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("metadata has a resolve graph");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.to_string()))
        .collect();
    let root = metadata
        .packages
        .iter()
        .find(|package| package.name == root)
        .expect("the root is a package");
    let (mut seen, mut queue) = (BTreeSet::new(), vec![&root.id]);
    while let Some(id) = queue.pop() {
        if !seen.insert(id) {
            continue;
        }
        let used = nodes[id].deps.iter().filter(|dependency| {
            dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal)
        });
        queue.extend(used.map(|dependency| &dependency.pkg));
    }
    seen.into_iter().map(|id| names[id].clone()).collect()
}

#[test]
fn a_lower_layer_never_names_a_higher_one() {
    let edges = workspace_edges(&metadata());
    let known: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = edges.keys().map(String::as_str).collect();
    assert_eq!(found, known, "a crate joined or left the workspace: give it a layer");
    for (name, may_use) in MAY_USE {
        let forbidden: Vec<_> = edges[name]
            .iter()
            .filter(|used| !may_use.contains(&used.as_str()))
            .collect();
        assert!(forbidden.is_empty(), "{name} names {forbidden:?}");
    }
    assert!(edges["cargo-sigstore"].contains("verify"), "the edges are really read");
}

#[test]
fn nothing_below_verify_does_input_or_output() {
    let below = tree_of(&metadata(), "verify");
    assert!(
        below.contains("aws-lc-rs") && below.contains("der"),
        "the tree is really walked: {below:?}"
    );
    let forbidden: Vec<_> = NEVER_BELOW_VERIFY
        .iter()
        .filter(|name| below.contains(**name))
        .collect();
    assert!(forbidden.is_empty(), "verify reaches {forbidden:?}");
    assert!(
        below.len() <= 60,
        "verify's tree has {} packages: {below:?}",
        below.len()
    );
    println!("verify's tree: {} packages", below.len());
}
