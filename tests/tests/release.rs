//! What the release workflow runs: `.ci/release`, as far as it needs no other machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tests::run::{Outcome, run};
use verify::Sha256Digest;

const LIMIT: Duration = Duration::from_mins(1);
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROGRAMS: [&str; 3] = [
    "cargo-sigstore-x86_64-linux",
    "cargo-sigstore-aarch64-macos",
    "sigstore-server-x86_64-linux",
];

/// Programs as the building jobs hand them over, and a changelog that may be written to.
struct Handover {
    folder: tempfile::TempDir,
    digests: String,
}

impl Handover {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in [
            ".ci/release",
            "gh-action/release.env",
            "gh-action/release.sh",
            "Cargo.toml",
            "CHANGELOG.md",
        ] {
            let to = folder.path().join(file);
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            std::fs::copy(root.join(file), to).expect("a copy");
        }
        let mut digests = serde_json::Map::new();
        std::fs::create_dir(folder.path().join("dist")).expect("a folder");
        for name in PROGRAMS {
            std::fs::write(folder.path().join("dist").join(name), name).expect("a program");
            digests.insert(name.to_owned(), Sha256Digest::of(name.as_bytes()).to_string().into());
        }
        Self {
            folder,
            digests: serde_json::Value::from(digests).to_string(),
        }
    }

    fn dist(&self, name: &str) -> PathBuf {
        self.folder.path().join("dist").join(name)
    }

    fn step(&self, words: &[&str], tag: &str) -> Outcome {
        // By the shell: a file that was just written may be open yet in a child that another test forked, and does not start then.
        let mut command = Command::new("bash");
        command
            .arg(self.folder.path().join(".ci/release"))
            .args(words)
            .current_dir(self.folder.path())
            .env("DIGESTS", &self.digests)
            .env("GITHUB_REF_TYPE", "tag")
            .env("GITHUB_REF_NAME", tag);
        run(&mut command, LIMIT).expect("it runs")
    }

    fn collect(&self) -> Outcome {
        let dist = self.dist("");
        let words = ["collect", dist.to_str().expect("a path")];
        self.step(&words, &format!("v{VERSION}"))
    }

    /// Collects after a change; nothing is written then.
    fn refused(change: impl FnOnce(&Self)) -> String {
        let handover = Self::new();
        change(&handover);
        let outcome = handover.collect();
        assert_ne!(outcome.code, Some(0), "{}", outcome.said());
        assert!(!handover.dist("SHA256SUMS").exists(), "{}", outcome.said());
        outcome.stderr
    }
}

#[test]
fn programs_are_held_to_the_digests_of_the_jobs_that_built_them() {
    let handover = Handover::new();
    let outcome = handover.collect();
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    let mut check = Command::new("sha256sum");
    let checked = run(
        check
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(handover.dist("")),
        LIMIT,
    );
    let checked = checked.and_then(Outcome::success).expect("checked");
    assert_eq!(checked.stdout.lines().count(), PROGRAMS.len(), "{}", checked.stdout);
    let env = std::fs::read_to_string(handover.dist("release.env")).expect("release.env");
    let digest = Sha256Digest::of(PROGRAMS[0].as_bytes());
    assert!(env.contains(&format!("VERSION={VERSION}\n")), "{env}");
    assert!(env.contains(&format!("SHA256_x86_64_linux={digest}\n")), "{env}");
    // Not built this time, so the Action has nothing to run there.
    assert!(env.contains("SHA256_x86_64_macos=\n"), "{env}");

    let [first, ..] = PROGRAMS;
    let changed = Handover::refused(|it| std::fs::write(it.dist(first), "another").expect("a change"));
    assert!(changed.contains(first), "{changed}");
    let missing = Handover::refused(|it| std::fs::remove_file(it.dist(first)).expect("a removal"));
    assert!(missing.contains("here is nothing"), "{missing}");
    let further = Handover::refused(|it| std::fs::write(it.dist("more"), "more").expect("a file"));
    assert!(further.contains("more: built as nothing"), "{further}");
}

#[test]
fn a_tag_is_the_version_and_the_changelog_speaks_of_it() {
    let handover = Handover::new();
    let dist = handover.dist("");
    let words = ["collect", dist.to_str().expect("a path")];
    let other = handover.step(&words, "v99.0.0");
    assert!(
        other.code == Some(2) && other.stderr.contains("v99.0.0 is not v"),
        "{}",
        other.said()
    );
    assert_eq!(handover.collect().code, Some(0));

    let tag = format!("v{VERSION}");
    let changelog = handover.folder.path().join("CHANGELOG.md");
    std::fs::write(&changelog, "# Changelog\n\n## Unreleased\n- new\n").expect("a changelog");
    let silent = handover.step(&["notes"], &tag);
    assert!(
        silent.code == Some(2) && silent.stderr.contains("says nothing"),
        "{}",
        silent.said()
    );
    let text = format!("# Changelog\n\n## Unreleased\n- new\n\n## {VERSION} (2026-12-01)\n- this\n\n## 0.0.1\n- old\n");
    std::fs::write(&changelog, text).expect("a changelog");
    let notes = handover.step(&["notes"], &tag);
    assert_eq!(
        (notes.code, notes.stdout.trim()),
        (Some(0), "- this"),
        "{}",
        notes.said()
    );
}
