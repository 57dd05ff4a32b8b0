//! The public conformance bundles, each by path and by digest.
//!
//! They are not part of this repository. Where they are absent the tests say so loudly and check nothing.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt, and find their files"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use verify::{
    Artifact, Budget, Bundle, Error, Policy, PublicKey, Sha256Digest, TrustedRoot, UnixTime, Verified, Verifier,
};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// The folder of vectors: `SIGSTORE_VECTORS`, or beside the repository.
fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("SIGSTORE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "NOT RUN: no conformance vectors at {}; set SIGSTORE_VECTORS",
        folder.display()
    );
    None
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn now() -> UnixTime {
    UnixTime::from_rfc3339("2026-11-22T00:00:00Z").unwrap()
}

fn verify_folder(root: &Path, folder: &Path, by_digest: bool) -> Result<Verified, Error> {
    let budget = Budget::default();
    let artifact = fs::read(folder.join("artifact")).unwrap_or_else(|_| fs::read(root.join("bundles/a.txt")).unwrap());
    let trusted_root = fs::read(folder.join("trusted_root.json"))
        .unwrap_or_else(|_| fs::read(root.join("trust/production.json")).unwrap());
    let policy = match text(&folder.join("key.pub")) {
        Some(pem) => Policy::managed_key(PublicKey::from_pem(&pem)?),
        None => Policy::identity(
            &text(&folder.join("identity")).unwrap_or_else(|| IDENTITY.to_owned()),
            &text(&folder.join("issuer")).unwrap_or_else(|| ISSUER.to_owned()),
        )?,
    };
    let verifier = Verifier::new(TrustedRoot::from_json(&trusted_root, &budget)?)?;
    let bundle = Bundle::from_json(&fs::read(folder.join("bundle.sigstore.json")).unwrap(), &budget)?;
    let artifact = if by_digest {
        Artifact::Digest(Sha256Digest::of(&artifact))
    } else {
        Artifact::Bytes(&artifact)
    };
    verifier.verify(&bundle, &artifact, &policy, now())
}

#[test]
fn every_conformance_bundle_gets_the_expected_answer() {
    let Some(root) = vectors() else { return };
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut folders: Vec<_> = fs::read_dir(root.join("bundles"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        for by_digest in [false, true] {
            count += 1;
            let outcome = verify_folder(&root, folder, by_digest);
            let shown = outcome.as_ref().map_or_else(
                |error| format!("refused: {} ({error})", error.code()),
                |verified| format!("accepted: {:?}", verified.checks()),
            );
            println!("{name} by_digest={by_digest}: {shown}");
            if outcome.is_ok() == name.ends_with("_fail") {
                wrong.push(format!("{name} by_digest={by_digest}: {shown}"));
            }
        }
    }
    assert!(count >= 62, "only {count} cases found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_trusted_root_loads_and_prints_back() {
    let Some(root) = vectors() else { return };
    for name in ["production.json", "staging.json"] {
        let budget = Budget::default();
        let read = TrustedRoot::from_json(&fs::read(root.join("trust").join(name)).unwrap(), &budget).unwrap();
        let again = TrustedRoot::from_json(read.to_json().as_bytes(), &budget).unwrap();
        assert_eq!(again.to_json(), read.to_json(), "{name}");
        println!("{name}: skipped {:?}", read.skipped);
        Verifier::new(read).unwrap();
    }
}
