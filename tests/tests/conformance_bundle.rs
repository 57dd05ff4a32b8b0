//! `conformance-client` as the public suites call it: exit codes alone, in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn client(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conformance-client"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

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

fn line(path: &Path, default: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| default.to_owned(), |text| text.trim().to_owned())
}

#[test]
fn every_bundle_by_path_and_by_digest() {
    let Some(root) = vectors() else { return };
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root.join("bundles")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let given = |name: &str| {
            let path = folder.join(name);
            path.exists().then(|| path.to_str().unwrap().to_owned())
        };
        let artifact = given("artifact").unwrap_or_else(|| root.join("bundles/a.txt").to_str().unwrap().to_owned());
        let digest = format!("sha256:{}", verify::Sha256Digest::of(&fs::read(&artifact).unwrap()));
        let mut arguments = vec!["verify-bundle".to_owned(), "--bundle".to_owned()];
        arguments.push(given("bundle.sigstore.json").unwrap());
        match given("key.pub") {
            Some(key) => arguments.extend(["--key".to_owned(), key]),
            None => arguments.extend([
                "--certificate-identity".to_owned(),
                line(&folder.join("identity"), IDENTITY),
                "--certificate-oidc-issuer".to_owned(),
                line(&folder.join("issuer"), ISSUER),
            ]),
        }
        arguments.extend(
            given("trusted_root.json")
                .into_iter()
                .flat_map(|path| ["--trusted-root".to_owned(), path]),
        );
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for target in [artifact, digest] {
            let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            arguments.push(&target);
            let output = client(&folder, &arguments);
            let expected = i32::from(name.ends_with("_fail"));
            let lines = String::from_utf8_lossy(&output.stderr).lines().count();
            if output.status.code() != Some(expected) || lines != usize::from(expected == 1) {
                wrong.push(format!("{name}: {output:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn everything_that_goes_wrong_is_a_clean_1() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("root.json"), b"{}").unwrap();
    for arguments in [
        &[][..],
        &["verify-bundle"],
        &["verify-bundle", "--bundle"],
        &["verify-bundle", "--unknown", "x"],
        &[
            "verify-bundle",
            "--bundle",
            "absent",
            "--certificate-identity",
            "",
            "--certificate-oidc-issuer",
            "x",
            "a",
        ],
        &[
            "sign-bundle",
            "--identity-token",
            "no.token",
            "--bundle",
            "out",
            "root.json",
        ],
        &["--metadata-dir", "md", "init", "root.json"],
        &["--metadata-dir", "md", "init", "absent.json"],
        &[
            "--metadata-url",
            "http://127.0.0.1:9/",
            "--metadata-dir",
            "md",
            "refresh",
        ],
    ] {
        let output = client(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr).lines().count(),
            1,
            "{arguments:?}: {output:?}"
        );
    }
}
