//! `conformance-client` as the public suites call it: exit codes alone, in a folder of its own.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const CLIENT: &str = env!("CARGO_BIN_EXE_conformance-client");

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn client(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(CLIENT)
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

/// An honest call in pieces, to be harmed: flags with their values, then the artifact.
fn honest_call(root: &Path) -> (Vec<OsString>, OsString) {
    let bundle = root.join("bundles/happy-path-v0.3/bundle.sigstore.json");
    let flags: Vec<OsString> = vec![
        "--bundle".into(),
        bundle.into(),
        "--certificate-identity".into(),
        IDENTITY.into(),
        "--certificate-oidc-issuer".into(),
        ISSUER.into(),
    ];
    (flags, root.join("bundles/a.txt").into())
}

/// Exit code and number of lines on stderr.
fn outcome(folder: &Path, arguments: &[OsString]) -> (Option<i32>, usize) {
    let output = Command::new(CLIENT)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).lines().count(),
    )
}

#[test]
fn every_word_of_an_honest_call_is_needed() {
    let Some(root) = vectors() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (flags, artifact) = honest_call(&root);
    let whole = [vec!["verify-bundle".into()], flags.clone(), vec![artifact.clone()]].concat();
    assert_eq!(outcome(folder.path(), &whole), (Some(0), 0));
    for position in 0..whole.len() {
        let mut less = whole.clone();
        less.remove(position);
        assert_eq!(outcome(folder.path(), &less), (Some(1), 1), "{less:?}");
        for other in ["", "-", "--", "--staging=yes", "/", "absent", "sha256:00", "\n\n"] {
            let mut changed = whole.clone();
            changed[position] = other.into();
            assert_eq!(outcome(folder.path(), &changed), (Some(1), 1), "{changed:?}");
        }
        let mut twice = whole.clone();
        twice.insert(position, whole[position].clone());
        assert_eq!(outcome(folder.path(), &twice), (Some(1), 1), "{twice:?}");
    }
    for pair in flags.chunks(2) {
        let twice = [&whole, pair].concat();
        assert_eq!(outcome(folder.path(), &twice), (Some(1), 1), "{twice:?}");
    }
    let key = [whole.as_slice(), &["--key".into(), "key.pub".into()]].concat();
    assert_eq!(outcome(folder.path(), &key), (Some(1), 1));
}

#[test]
fn arguments_that_are_no_text_may_name_files_and_nothing_else() {
    let Some(root) = vectors() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (flags, artifact) = honest_call(&root);
    let foreign = OsString::from_vec(b"a\xff.txt".to_vec());
    fs::copy(&artifact, folder.path().join(&foreign)).unwrap();
    let call = |flags: &[OsString], artifact: &OsString| {
        let all = [&["verify-bundle".into()], flags, std::slice::from_ref(artifact)].concat();
        outcome(folder.path(), &all)
    };
    assert_eq!(call(&flags, &foreign), (Some(0), 0));
    for position in 0..flags.len() {
        let mut changed = flags.clone();
        changed[position].clone_from(&foreign);
        assert_eq!(call(&changed, &artifact), (Some(1), 1), "{changed:?}");
    }
}

#[test]
fn files_that_are_none_or_have_no_end_are_a_clean_1() {
    let Some(root) = vectors() else { return };
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge");
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    fs::write(folder.path().join("empty"), b"").unwrap();
    let (flags, artifact) = honest_call(&root);
    let wrong = [
        huge.as_path(),
        Path::new("/dev/zero"),
        Path::new("/"),
        Path::new("empty"),
    ];
    for file in wrong.map(OsString::from) {
        for flag in ["--bundle", "--trusted-root", "--key"] {
            let mut flags = flags.clone();
            match flag {
                "--bundle" => flags[1].clone_from(&file),
                "--key" => {
                    flags.truncate(2);
                    flags.extend([flag.into(), file.clone()]);
                }
                _ => flags.extend([flag.into(), file.clone()]),
            }
            let all = [vec!["verify-bundle".into()], flags, vec![artifact.clone()]].concat();
            assert_eq!(outcome(folder.path(), &all), (Some(1), 1), "{all:?}");
        }
    }
    for artifact in ["/dev/zero", "/", "empty"] {
        let all = [vec!["verify-bundle".into()], flags.clone(), vec![artifact.into()]].concat();
        assert_eq!(outcome(folder.path(), &all), (Some(1), 1), "{all:?}");
    }
}

#[test]
fn nobody_needs_to_listen() {
    let Some(root) = vectors() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (flags, artifact) = honest_call(&root);
    let honest = [vec!["verify-bundle".into()], flags, vec![artifact]].concat();
    let refused = honest[..honest.len() - 1].to_vec();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (arguments, code) in [(honest, 0), (refused, 1), (vec!["--metadata-dir".into()], 1)] {
        let mut command = Command::new(CLIENT);
        command.args(&arguments).current_dir(folder.path()).stdin(Stdio::null());
        let status = command.stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
        // Closed by the shell, before the program starts; and a pipe whose reader is gone.
        for redirection in ["<&- >&- 2>&-", "2>&1 >&- | :; exit \"${PIPESTATUS[0]}\""] {
            let mut shell = Command::new("bash");
            shell.args(["-c", &format!("\"$@\" {redirection}"), "bash", CLIENT]);
            let status = shell.args(&arguments).current_dir(folder.path()).status().unwrap();
            assert_eq!(status.code(), Some(code), "{arguments:?} {redirection}");
        }
    }
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
