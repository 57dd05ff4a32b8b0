//! One honest crate of a repository with everything that is unusual in honest ones, harmed in one place at a time.

use std::process::Command;

use super::*;
use crate::release::crate_file::tests::pack;

const MANIFEST: &str =
    "[package]\nname = \"a\"\nversion = \"1.0.0\"\nreadme = \"README.md\"\nlicense-file = \"LICENSE\"\n";
const ORIGINAL: &str =
    "# ours\n[package]\nname = \"a\"\nversion = \"1.0.0\"\nreadme = \"../../README.md\"\nlicense-file = \"LICENSE\"\n";

impl Equality {
    /// One file, compared with a commit that the certificate names, or the crate alone.
    pub(crate) fn of_one(attested: bool) -> Self {
        Self {
            commit: "ab".repeat(20),
            attested,
            files: 1,
            regenerated_lock: false,
        }
    }
}

/// A repository with a package in `crates/a`, whose readme and licence are from outside of it.
struct Scene {
    folder: tempfile::TempDir,
    commit: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut scene = Self {
            folder,
            commit: String::new(),
        };
        scene.git(&["init", "-q", "-b", "main"]);
        for (path, content) in [
            ("README.md", "# a"),
            ("LICENSE-TEXT", "as you like"),
            ("shared/tables/one.rs", "// one"),
            ("other/build.rs", "fn main() { evil() }"),
            ("crates/a/Cargo.toml", ORIGINAL),
            ("crates/a/src/lib.rs", "//! A."),
        ] {
            let path = scene.folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let link = |target: &str, path: &str| {
            std::os::unix::fs::symlink(target, scene.folder.path().join(path)).unwrap();
        };
        link("../../LICENSE-TEXT", "crates/a/LICENSE");
        link("../../../shared/tables", "crates/a/src/tables");
        link("/etc/hostname", "crates/a/absolute");
        link("../../../../../etc/hostname", "crates/a/outside");
        link("round", "crates/a/round");
        scene.git(&["add", "."]);
        scene.git(&["commit", "-qm", "a"]);
        scene.commit = scene.git(&["rev-parse", "HEAD"]);
        scene
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        let mut command = Command::new("git");
        command.arg("-C").arg(self.folder.path()).args(identity).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn members(&self) -> Vec<(String, String)> {
        let vcs = format!(r#"{{"git":{{"sha1":"{}"}},"path_in_vcs":"crates/a"}}"#, self.commit);
        let members = [
            (".cargo_vcs_info.json", vcs.as_str()),
            ("Cargo.toml", MANIFEST),
            ("Cargo.toml.orig", ORIGINAL),
            ("Cargo.lock", "version = 4\n"),
            ("LICENSE", "as you like"),
            ("README.md", "# a"),
            ("src/lib.rs", "//! A."),
            ("src/tables/one.rs", "// one"),
        ];
        let owned = members.map(|(path, content)| (path.to_owned(), content.to_owned()));
        owned.to_vec()
    }

    fn compare(&self, members: &[(String, String)], attested: Option<&str>) -> Result<Equality, Failure> {
        let named: Vec<(String, &String)> = members
            .iter()
            .map(|(path, content)| (format!("a-1.0.0/{path}"), content))
            .collect();
        let packed: Vec<(&str, &[u8])> = named
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_bytes()))
            .collect();
        let file = CrateFile::from_bytes(pack(&packed), "a", "1.0.0", None).unwrap();
        compare(self.folder.path(), &file, attested)
    }

    /// What comes of a crate that differs from the honest one in these members.
    fn outcome(&self, changes: &[(&str, &str)]) -> String {
        let mut members = self.members();
        for (path, content) in changes {
            members.retain(|(known, _)| known != path);
            members.push(((*path).to_owned(), (*content).to_owned()));
        }
        told(self.compare(&members, Some(&self.commit)))
    }
}

fn told(outcome: Result<Equality, Failure>) -> String {
    match outcome {
        Ok(equality) => format!("{} files", equality.files),
        Err(failure) => {
            let file = failure.facts().iter().find(|(name, _)| *name == "file");
            format!("{} {}", failure.code(), file.map_or("", |(_, path)| path))
        }
    }
}

#[test]
fn an_honest_crate_is_equal() {
    let scene = Scene::new();
    let equality = scene.compare(&scene.members(), Some(&scene.commit)).unwrap();
    let expected = Equality {
        commit: scene.commit.clone(),
        attested: true,
        files: 5,
        regenerated_lock: true,
    };
    assert_eq!(equality, expected);
    // By the crate's own word alone.
    let unattested = scene.compare(&scene.members(), None).unwrap();
    assert_eq!((unattested.attested, unattested.commit), (false, scene.commit.clone()));
    // On a tag, in a later clone.
    scene.git(&["tag", "v1.0.0"]);
    scene.git(&["checkout", "-q", "--orphan", "new"]);
    scene.git(&["commit", "-qm", "new"]);
    scene.git(&["branch", "-D", "main"]);
    assert_eq!(scene.outcome(&[]), "5 files");
}

#[test]
fn a_file_that_the_commit_does_not_hold_is_refused() {
    let scene = Scene::new();
    assert_eq!(scene.outcome(&[]), "5 files");
    for (path, content) in [
        ("src/lib.rs", "//! B."),
        ("src/more.rs", ""),
        ("README.md", "# b"),
        ("LICENSE", "as we like"),
        ("src/tables/one.rs", "// two"),
        // Of another place at the commit.
        ("build.rs", "fn main() { evil() }"),
        ("src/README.md", "# a"),
        // Links that lead out of it, or nowhere.
        ("absolute", "name"),
        ("outside", "name"),
        ("round", ""),
    ] {
        assert_eq!(
            scene.outcome(&[(path, content)]),
            format!("source-differs {path}"),
            "{path}"
        );
    }
}

#[test]
fn a_link_that_no_system_takes_leads_nowhere() {
    let scene = Scene::new();
    // A file system would not take it either, so it is put into the index as it is.
    let linked = |steps: usize| {
        let target = format!("../../{}LICENSE-TEXT", "./".repeat(steps));
        let text = scene.folder.path().join("target");
        std::fs::write(&text, &target).unwrap();
        let blob = scene.git(&["hash-object", "-w", "target"]);
        std::fs::remove_file(text).unwrap();
        let entry = format!("120000,{blob},crates/a/long");
        scene.git(&["update-index", "--add", "--cacheinfo", &entry]);
        scene.git(&["commit", "-qm", "link"]);
        let commit = scene.git(&["rev-parse", "HEAD"]);
        let mut members = scene.members();
        for (path, content) in &mut members {
            if path == VCS_INFO {
                *content = content.replace(&scene.commit, &commit);
            }
        }
        members.push(("long".to_owned(), "as you like".to_owned()));
        (target.len(), told(scene.compare(&members, Some(&commit))))
    };
    assert_eq!(linked(2_039), (4_096, "6 files".to_owned()));
    assert_eq!(linked(2_040), (4_098, "source-differs long".to_owned()));
}

#[test]
fn what_cargo_writes_itself_is_held_to_what_it_was_made_from() {
    let scene = Scene::new();
    assert_eq!(scene.outcome(&[]), "5 files");
    let departing = format!("{MANIFEST}[dependencies]\nevil = \"1\"\n");
    assert_eq!(
        scene.outcome(&[("Cargo.toml", &departing)]),
        "source-differs Cargo.toml"
    );
    let both = format!("{ORIGINAL}[dependencies]\nevil = \"1\"\n");
    assert_eq!(
        scene.outcome(&[("Cargo.toml", &departing), ("Cargo.toml.orig", &both)]),
        "source-differs Cargo.toml.orig"
    );
    let vcs = |more: &str, commit: &str| format!(r#"{{"git":{{"sha1":"{commit}"{more}}},"path_in_vcs":"crates/a"}}"#);
    for changed in [vcs(r#","dirty":true"#, &scene.commit), vcs("", &"ab".repeat(20))] {
        assert_eq!(
            scene.outcome(&[(VCS_INFO, &changed)]),
            format!("source-differs {VCS_INFO}")
        );
    }
    // The lock file of the commit is one of its files.
    std::fs::write(scene.folder.path().join("crates/a/Cargo.lock"), "version = 4\n").unwrap();
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "lock"]);
    let locked = Scene {
        commit: scene.git(&["rev-parse", "HEAD"]),
        folder: scene.folder,
    };
    assert_eq!(locked.outcome(&[]), "6 files");
}

#[test]
fn a_commit_that_is_on_no_branch_or_tag_does_not_count() {
    let scene = Scene::new();
    assert_eq!(scene.outcome(&[]), "5 files");
    // As a host serves the commits of forks.
    scene.git(&["update-ref", "refs/pull/1/head", "HEAD"]);
    scene.git(&["checkout", "-q", "--orphan", "new"]);
    scene.git(&["commit", "-qm", "new"]);
    scene.git(&["branch", "-D", "main"]);
    assert_eq!(scene.outcome(&[]), "source-unavailable ");
}

#[test]
fn one_object_does_not_stand_for_another() {
    let scene = Scene::new();
    let evil = [("src/lib.rs", "//! B.")];
    assert_eq!(scene.outcome(&evil), "source-differs src/lib.rs");
    std::fs::write(scene.folder.path().join("b"), "//! B.").unwrap();
    let other = scene.git(&["hash-object", "-w", "b"]);
    let own = scene.git(&["rev-parse", "HEAD:crates/a/src/lib.rs"]);
    scene.git(&["replace", &own, &other]);
    assert_eq!(scene.outcome(&evil), "source-differs src/lib.rs");
    assert_eq!(scene.outcome(&[]), "5 files");
}

#[test]
fn where_nobody_can_look_nothing_is_refused() {
    let scene = Scene::new();
    let without: Vec<_> = scene
        .members()
        .into_iter()
        .filter(|(path, _)| path != VCS_INFO)
        .collect();
    assert_eq!(
        told(scene.compare(&without, Some(&scene.commit))),
        "source-unavailable "
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let commit = scene.commit.clone();
    let nowhere = Scene {
        folder: elsewhere,
        commit,
    };
    assert_eq!(nowhere.outcome(&[]), "source-unavailable ");
    let odd = Scene {
        commit: "ab".repeat(20),
        folder: scene.folder,
    };
    assert_eq!(odd.outcome(&[]), "source-unavailable ");
}
