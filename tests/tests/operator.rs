//! What goes wrong around the server and not in it: folders, ports and disks. Each ends in a typed error with its documented code and
//! exit code, and nothing half written.

use std::{
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tests::{
    Instance, Issuer, Tools,
    load::{Writer, check, read_log, signature_log},
    run::{Outcome, run},
    tools::copy_program,
};
use tokio::runtime::Runtime;

const LIMIT: Duration = Duration::from_mins(1);

fn tools() -> Tools {
    Tools::install(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("tools")
}

fn initialized() -> (Issuer, Instance) {
    let issuer = Issuer::start().expect("an issuer");
    let instance = Instance::init(&tools(), &issuer).expect("a server folder");
    (issuer, instance)
}

fn ran(command: &mut Command) -> Outcome {
    run(command, LIMIT).expect("it runs")
}

/// The code in `error[code]: …`, which must have a section in `docs/codes`.
fn code(outcome: &Outcome) -> String {
    let code = outcome
        .stderr
        .split_once("error[")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or_else(|| panic!("no code in: {}", outcome.said()), |(code, _)| code.to_owned());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/codes");
    let documented = std::fs::read_dir(folder).expect("docs/codes").any(|file| {
        let path = file.expect("an entry").path();
        std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("## {code}\n")))
    });
    assert!(documented, "`{code}` has no section in docs/codes");
    code
}

/// Names and contents of everything below a folder.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

#[test]
fn init_replaces_nothing() {
    let (_issuer, instance) = initialized();
    let before = snapshot(instance.folder());
    let refused = ran(&mut instance.command("init"));
    assert_eq!((refused.code, code(&refused).as_str()), (Some(2), "directory-exists"));
    assert_eq!(snapshot(instance.folder()), before);
}

#[test]
fn init_with_a_bad_origin_or_issuer_makes_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = tools();
    let init = |arguments: &[&str]| {
        let mut command = Command::new(server.server());
        command.arg("init").arg(folder.path().join("new")).args(arguments);
        ran(&mut command)
    };
    let bad = [
        (["--origin", "ftp://somewhere"], "origin"),
        (["--origin", "http://127.0.0.1:1/with/a/path"], "origin"),
        (
            ["--issuer", "http://issuer.example,type=email"],
            "identity-config-issuer-url",
        ),
    ];
    for (arguments, expected) in bad {
        let refused = init(&arguments);
        assert_eq!(
            (refused.code, code(&refused).as_str()),
            (Some(2), expected),
            "{arguments:?}"
        );
        assert_eq!(snapshot(folder.path()), [], "{arguments:?}");
    }
    init(&["--origin", "http://127.0.0.1:1"])
        .success()
        .expect("a good origin is accepted");
}

#[test]
fn a_folder_of_somebody_else_is_not_served() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("notes.txt"), "mine").expect("a file");
    let server = tools();
    for subcommand in ["serve", "fsck"] {
        let mut command = Command::new(server.server());
        command.arg(subcommand).arg(folder.path());
        let refused = ran(&mut command);
        assert_eq!((refused.code, code(&refused).as_str()), (Some(2), "directory-missing"));
    }
    assert_eq!(snapshot(folder.path()).len(), 1);
}

#[test]
fn a_port_in_use_and_a_folder_in_use_are_told_apart() {
    let (_issuer, mut instance) = initialized();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut command = instance.command("serve");
    let refused = ran(command.args(["--listen", &address]));
    assert_eq!((refused.code, code(&refused).as_str()), (Some(3), "address-in-use"));

    instance.serve().expect("the right port is free");
    let mut second = instance.command("serve");
    let refused = ran(second.args(["--listen", "127.0.0.1:0"]));
    assert_eq!(refused.code, Some(3), "{}", refused.said());
    assert_ne!(code(&refused), "address-in-use");
}

/// Whether this process may write anywhere.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// `sigstore-server` for a user whom file permissions bind: root gives its powers away first.
fn bound_by_permissions(folder: &Path) -> Command {
    let server = folder.join("sigstore-server");
    copy_program(&tools().server(), &server).expect("a copy that anybody may run");
    if !is_root() {
        return Command::new(server);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(server);
    command
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_read_only_folder_is_named_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    set_mode(folder.path(), 0o755);
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).expect("a folder");
    set_mode(&closed, 0o555);
    let mut init = bound_by_permissions(folder.path());
    let refused = ran(init.arg("init").arg(closed.join("new")));
    assert_eq!(
        (refused.code, code(&refused).as_str()),
        (Some(3), "read-only"),
        "{}",
        refused.said()
    );
    assert_eq!(snapshot(&closed), []);

    let open = folder.path().join("open");
    std::fs::create_dir(&open).expect("a folder");
    set_mode(&open, 0o777);
    let mut init = bound_by_permissions(folder.path());
    ran(init.arg("init").arg(open.join("new")))
        .success()
        .expect("an open folder is taken");
}

/// The largest file of the data folder, in blocks of 512 bytes.
fn largest_file_in_blocks(instance: &Instance) -> u64 {
    let files = snapshot(&instance.folder().join("data"));
    let largest = files.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or_default();
    u64::try_from(largest).expect("a length").div_ceil(512)
}

#[test]
fn a_disk_that_fills_up_loses_nothing_that_was_acknowledged() {
    let (_issuer, mut instance) = initialized();
    instance.serve().expect("it serves");
    instance.kill();
    // No file may grow beyond this: the system refuses such writes, as it does on a full disk. SIGXFSZ is ignored, so that the
    // server meets an error and not a signal.
    let blocks = largest_file_in_blocks(&instance) + 400;
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    instance
        .serve_through(&["sh", "-c", &limited, "sh"])
        .expect("it serves with a small disk");

    let log = signature_log(&instance).expect("the log");
    let writer = Writer::new(instance.url()).expect("a writer");
    let runtime = Runtime::new().expect("a runtime");
    let mut acknowledged = Vec::new();
    let refusal = (0..5000).find_map(|number| {
        let request = writer.request(format!("entry {number}").as_bytes()).expect("a request");
        match runtime.block_on(writer.send(&request)) {
            Ok(answer) => {
                acknowledged.push(check(&request, &answer, &log).expect("a valid answer"));
                None
            }
            Err(error) => Some(error.to_string()),
        }
    });
    let refusal = refusal.expect("the disk filled up");
    assert!(refusal.contains("append: 5"), "not a server's fault: {refusal}");
    assert!(!acknowledged.is_empty(), "nothing was written before: {refusal}");
    instance.kill();

    instance.serve().expect("it starts again with room");
    let (leaves, _) = read_log(instance.url(), &log).expect("the log");
    for entry in &acknowledged {
        let index = usize::try_from(entry.index).expect("an index");
        assert_eq!(leaves.get(index), Some(&entry.leaf), "entry {index}");
    }
    instance.kill();
    instance.fsck().expect("fsck runs").success().expect("fsck is clean");
}
