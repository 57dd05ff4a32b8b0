//! The program as people and timers use it: results, messages and exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may be blunt"
)]

mod common;

use std::{fs, path::Path, process::Command};

/// A folder to work in.
struct Desk(tempfile::TempDir);

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::write(desk.path().join("trusted_root.json"), "first").unwrap();
        desk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, line: &str) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tuf-root"));
        let output = command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .output()
            .unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn succeed(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{line}");
        outcome.stdout
    }

    /// Runs into this error, with a hint.
    fn fail(&self, line: &str, code: i32, error: &str) -> String {
        let outcome = self.run(line);
        assert_eq!(outcome.code, code, "{line}: {}", outcome.stderr);
        assert!(
            outcome.stderr.starts_with(&format!("error[{error}]: ")),
            "{line}: {}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains("\nhint: "), "{line}: {}", outcome.stderr);
        outcome.stderr
    }
}

#[test]
fn one_machine_makes_refreshes_and_checks_a_repository() {
    let desk = Desk::new();
    let id = desk.succeed("key root.pem");
    assert_eq!(id.split_whitespace().next().unwrap().len(), 64);
    assert_eq!(desk.succeed("key root.pem"), id, "an existing key is shown");
    desk.succeed("key --kind p256 online.pem");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(desk.path().join("root.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    desk.succeed("init tuf --root-key root.pem --online-key online.pem --target trusted_root.json");
    assert!(
        desk.succeed("refresh tuf --online-key online.pem")
            .contains("timestamp version 2")
    );
    let report = desk.succeed("verify tuf");
    assert!(
        report.contains("target    trusted_root.json") && report.contains("5 files checked"),
        "{report}"
    );
    let json: serde_json::Value = serde_json::from_str(&desk.succeed("verify tuf --format json")).unwrap();
    assert_eq!(json["roles"]["timestamp"]["version"], 2);

    desk.fail("verify tuf --at 2099-01-01T00:00:00Z", 1, "tuf-expired");
    desk.fail("verify tuf --at tomorrow", 2, "tuf-usage");
    desk.fail("verify nowhere", 1, "tuf-missing");
    desk.fail("refresh tuf --online-key root.pem", 2, "tuf-unauthorized");
    desk.fail("refresh tuf --online-key trusted_root.json", 2, "tuf-private-key");
    desk.fail("refresh tuf --online-key no.pem", 2, "tuf-missing");
    desk.fail(
        "init tuf --root-key root.pem --online-key online.pem --target trusted_root.json",
        2,
        "tuf-exists",
    );
    assert_eq!(desk.run("verify").code, 2);
    assert_eq!(desk.run("--help").code, 0);

    let json: serde_json::Value = serde_json::from_str(&desk.run("verify nowhere --format json").stderr).unwrap();
    assert_eq!(json["error"]["code"], "tuf-missing");

    let metadata = desk.path().join("tuf/1.targets.json");
    let text = fs::read_to_string(&metadata).unwrap();
    fs::write(&metadata, text.replacen("length\": 5", "length\": 6", 1)).unwrap();
    desk.fail("verify tuf", 1, "tuf-threshold");
}

#[test]
fn three_holders_on_three_machines_make_and_rotate_a_root() {
    let desk = Desk::new();
    for name in ["alice", "bob", "carol", "dave", "online", "online2"] {
        desk.succeed(&format!("key {name}.pem"));
    }
    let draft = desk.succeed(
        "init tuf --root-key alice.pem.pub --root-key bob.pem.pub --root-key carol.pem.pub --root-threshold 2 \
         --online-key online.pem.pub --target trusted_root.json --draft draft",
    );
    assert!(
        draft.contains("root: 2 of 3") && draft.contains("root signed by 0 of 2 needed"),
        "{draft}"
    );
    desk.fail(
        "publish tuf --from-draft draft --online-key online.pem",
        1,
        "tuf-threshold",
    );
    desk.succeed("sign draft --key alice.pem");
    desk.succeed("sign draft --key carol.pem --detached carol.sig");
    desk.fail(
        "publish tuf --from-draft draft --online-key online.pem",
        1,
        "tuf-threshold",
    );
    let shown = desk.succeed("sign draft --attach carol.sig");
    assert!(shown.contains("root signed by 2 of 2 needed"), "{shown}");
    desk.fail("sign draft --key online.pem", 2, "tuf-unauthorized");
    desk.succeed("publish tuf --from-draft draft --online-key online.pem");
    assert_eq!(common::read_now(&desk.path().join("tuf")), "first");

    // Dave replaces Bob, and the online key changes
    let draft = desk.succeed(
        "rotate tuf --add-root-key dave.pem.pub --remove-root-key bob.pem.pub --add-targets-key dave.pem.pub \
         --remove-targets-key bob.pem --new-online-key online2.pem.pub --draft next",
    );
    assert!(draft.contains("  + ") && draft.contains("  - "), "{draft}");
    desk.fail("sign draft --attach no.sig", 2, "tuf-missing");
    desk.succeed("sign next --key carol.pem");
    desk.succeed("sign next --key dave.pem");
    // Carol and Dave are enough for the new root, but the old one needs two of Alice, Bob and Carol
    let refused = desk.fail(
        "publish tuf --from-draft next --online-key online.pem --online-key online2.pem",
        1,
        "tuf-threshold",
    );
    assert!(
        refused.contains("root metadata has 1 of 2 needed signatures"),
        "{refused}"
    );
    desk.succeed("sign next --key alice.pem");
    desk.succeed("publish tuf --from-draft next --online-key online.pem --online-key online2.pem");
    desk.fail(
        "publish tuf --from-draft draft --online-key online.pem",
        2,
        "tuf-exists",
    );
    desk.succeed("refresh tuf --online-key online2.pem");
    desk.succeed("verify tuf");
    assert_eq!(common::read_now(&desk.path().join("tuf")), "first");

    // other targets, signed by two of the holders
    fs::write(desk.path().join("new.json"), "second").unwrap();
    desk.succeed("publish tuf --target trusted_root.json=new.json --draft more");
    desk.succeed("sign more --key alice.pem --key dave.pem");
    desk.succeed("publish tuf --from-draft more --online-key online2.pem");
    assert_eq!(common::read_now(&desk.path().join("tuf")), "second");
    desk.succeed("publish tuf --from-draft more --online-key online2.pem"); // once more changes nothing but the timestamp
    assert_eq!(common::read_now(&desk.path().join("tuf")), "second");
    fs::create_dir(desk.path().join("empty")).unwrap();
    desk.fail(
        "publish tuf --from-draft empty --online-key online2.pem",
        2,
        "tuf-empty-draft",
    );
}

#[cfg(unix)]
#[test]
fn a_repository_that_cannot_be_written_is_unavailable_and_unchanged() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    desk.succeed("key root.pem");
    desk.succeed("init tuf --root-key root.pem --online-key root.pem --target trusted_root.json");
    let tuf = desk.path().join("tuf");
    let before = fs::read(tuf.join("timestamp.json")).unwrap();
    // a file where the lock belongs: refused for everybody, root included
    fs::create_dir(tuf.join(".lock")).unwrap();
    desk.fail("refresh tuf --online-key root.pem", 3, "tuf-io");
    fs::remove_dir(tuf.join(".lock")).unwrap();
    fs::set_permissions(&tuf, fs::Permissions::from_mode(0o555)).unwrap();
    let privileged = fs::write(tuf.join("probe"), "").is_ok();
    if privileged {
        println!("NOT RUN: this user writes to read-only folders");
    } else {
        desk.fail("refresh tuf --online-key root.pem", 3, "tuf-io");
    }
    fs::set_permissions(&tuf, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read(tuf.join("timestamp.json")).unwrap(), before);
}
