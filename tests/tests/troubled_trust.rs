//! Verifying on a machine in trouble: what is kept of a trust root is damaged, out of date or cannot be written, and its
//! repository goes back or has run out. Always a code, an exit code and what to do; never a guess.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, http::StatusCode, routing::get};
use tests::{
    Stage,
    issuer::Profile,
    run::{Outcome, run},
    service::Service,
};
use tuf_root::{draft::Rotation, key::SigningKey, repository};
use verify::UnixTime;

const LIMIT: Duration = Duration::from_mins(1);

/// A signed artifact, the instance that signed it trusted by the name `ours`, and its TUF repository in our hands.
struct World {
    stage: Stage,
    artifact: PathBuf,
    tuf: PathBuf,
    service: Service,
}

impl World {
    fn new() -> Self {
        let stage = Stage::open(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("a stage");
        let artifact = stage.write("artifact", "made today").expect("a file");
        stage.sign(&artifact, &stage.path("artifact.json")).expect("a bundle");
        let tuf = stage.path("tuf");
        copy(&stage.instance.folder().join("tuf"), &tuf);
        let service = serve(tuf.clone());
        let world = Self {
            stage,
            artifact,
            tuf,
            service,
        };
        world.add();
        world
    }

    fn add(&self) {
        let root = self.stage.instance.trust("root.json");
        self.says(
            0,
            "",
            &["trust", "add", "ours", &self.service.url(), "--root", text(&root)],
        );
    }

    /// `cargo sigstore …`, to be run.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.workshop.cargo_sigstore(self.stage.workshop.folder());
        command.args(arguments).env_remove("SIGSTORE_TRUST_CONFIG");
        command
    }

    /// Runs `cargo sigstore …`, which must exit so, with this code and one hint when it fails, and never panic.
    fn says(&self, exit: i32, code: &str, arguments: &[&str]) -> Outcome {
        expect(&mut self.command(arguments), exit, code)
    }

    /// Arguments that verify the artifact as it should be.
    fn honest<'a>(&'a self, identity: &'a str, issuer: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["verify", text(&self.artifact), "--bundle", "artifact.json"];
        arguments.extend(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]);
        arguments.extend(["--trust", "ours"]);
        arguments.extend(more);
        arguments
    }

    /// Verifies the artifact.
    fn verify(&self, exit: i32, code: &str, more: &[&str]) -> Outcome {
        let (identity, issuer) = self.signer();
        let outcome = self.says(exit, code, &self.honest(&identity, &issuer, more));
        assert_eq!(outcome.stdout.contains("verified"), exit == 0, "{}", outcome.said());
        outcome
    }

    fn signer(&self) -> (String, String) {
        let (issuer, profile) = (&self.stage.issuer, Profile::GitHub);
        (issuer.subject(profile), issuer.url(profile))
    }

    /// Where the trust store and the cache of bundles are.
    fn home(&self) -> PathBuf {
        self.stage.path("sigstore-home")
    }

    /// A file that is kept of `ours`.
    fn kept(&self, name: &str) -> PathBuf {
        self.home().join("trust/ours").join(name)
    }

    /// As if the repository had been asked two hours ago: it is asked again.
    fn long_ago(&self) {
        fs::write(self.kept("refreshed"), now().plus_secs(-7200).to_string()).expect("a file");
    }

    /// The repository offers another root, and another trusted root that says the same.
    fn publish_anew(&self) {
        let key = |name: &str| {
            let pem = fs::read_to_string(self.stage.instance.folder().join("keys").join(name)).expect("a key");
            SigningKey::from_pkcs8_pem(&pem).expect("a key")
        };
        let (root, online) = (key("tuf-root.pem"), key("tuf-online.pem"));
        let rotation = Rotation {
            online_keys: Some(vec![online.public().clone()]),
            ..Rotation::default()
        };
        repository::rotate(&self.tuf, &rotation, &[&root], &[&online], now()).expect("a new root");
        let name = "trusted_root.json";
        let mut said = fs::read(self.kept("targets").join(name)).expect("a trusted root");
        said.push(b'\n');
        let set = [(name.to_owned(), said)].into();
        repository::publish(&self.tuf, &set, &BTreeSet::new(), &[&root], &online, now()).expect("a new target");
    }

    /// The repository's timestamp is signed again, as if at this time.
    fn timestamp_anew(&self, at: UnixTime) {
        let pem = fs::read_to_string(self.stage.instance.folder().join("keys/tuf-online.pem")).expect("a key");
        let key = SigningKey::from_pkcs8_pem(&pem).expect("a key");
        repository::refresh(&self.tuf, &key, at).expect("a refresh");
    }
}

/// Serves a folder.
fn serve(folder: PathBuf) -> Service {
    let answer = move |axum::extract::Path(path): axum::extract::Path<String>| {
        let answer = fs::read(folder.join(path)).map_err(|_| StatusCode::NOT_FOUND);
        async move { answer }
    };
    Service::start(|_| Router::new().route("/{*path}", get(answer))).expect("a server")
}

fn expect(command: &mut Command, exit: i32, code: &str) -> Outcome {
    let outcome = run(command, LIMIT).expect("it runs");
    assert_eq!(outcome.code, Some(exit), "{}\n{}", outcome.command, outcome.said());
    if exit != 0 {
        let errors: Vec<&str> = outcome.stderr.matches("error[").collect();
        let said = outcome.said();
        assert!(
            errors.len() == 1 && said.contains(&format!("error[{code}]: ")),
            "not {code}: {said}"
        );
        assert_eq!(outcome.stderr.matches("hint: ").count(), 1, "{said}");
    }
    outcome
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    UnixTime::from_secs(i64::try_from(since.as_secs()).expect("a year before 292 billion"))
}

/// Ways in which a disk, or somebody, changes a file.
fn damages(good: &[u8]) -> [Vec<u8>; 4] {
    let mut flipped = good.to_vec();
    let position = good.len() - good.iter().rev().position(u8::is_ascii_alphanumeric).expect("a letter") - 1;
    flipped[position] ^= 1;
    [
        Vec::new(),
        good[..good.len() / 2].to_vec(),
        b"\0\xff garbage".to_vec(),
        flipped,
    ]
}

#[test]
fn damaged_metadata_is_fetched_again_and_offline_not_believed() {
    let world = World::new();
    world.verify(0, "", &["--offline"]);
    for name in [
        "metadata/timestamp.json",
        "metadata/snapshot.json",
        "metadata/targets.json",
        "targets/trusted_root.json",
    ] {
        let good = fs::read(world.kept(name)).expect("a file");
        for bad in damages(&good) {
            fs::write(world.kept(name), bad).expect("a file");
            world.verify(3, "trust-no-cache", &["--offline"]);
            world.says(3, "trust-no-cache", &["trust", "show", "ours", "--offline"]);
            world.verify(0, "", &[]);
            assert_eq!(
                fs::read(world.kept(name)).expect("a file"),
                good,
                "{name} was fetched again"
            );
            world.verify(0, "", &["--offline"]);
        }
    }
}

#[test]
fn where_trust_stands_is_never_guessed() {
    let world = World::new();
    for name in ["metadata/root.json", "instance.json"] {
        let good = fs::read(world.kept(name)).expect("a file");
        let bad = damages(&good);
        for bad in if name == "instance.json" { &bad[..3] } else { &bad } {
            fs::write(world.kept(name), bad).expect("a file");
            for more in [&[][..], &["--offline"]] {
                let said = world.verify(3, "trust-damaged", more).stderr;
                assert!(said.contains(&format!("`ours` is damaged: `{name}`")), "{said}");
            }
            world.says(3, "trust-damaged", &["trust", "show", "ours"]);
            let update = world.says(3, "trust-damaged", &["trust", "update"]);
            assert!(update.stderr.contains("cannot update `ours`"), "{}", update.said());
        }
        if name == "instance.json" {
            let listed = world.says(3, "trust-damaged", &["trust", "list"]).stdout;
            assert!(listed.contains("public-good") && !listed.contains("ours"), "{listed}");
        }
        fs::write(world.kept(name), good).expect("a file");
        world.verify(0, "", &["--offline"]);
    }
    fs::remove_file(world.kept("metadata/root.json")).expect("a file");
    world.verify(3, "trust-damaged", &[]);
    // the way out that the hint names
    world.says(0, "", &["trust", "remove", "ours"]);
    world.add();
    world.verify(0, "", &[]);
}

#[test]
fn a_repository_that_goes_back_is_refused_whoever_asks() {
    let world = World::new();
    let old = fs::read(world.tuf.join("timestamp.json")).expect("a file");
    world.timestamp_anew(now());
    world.says(0, "", &["trust", "update", "ours"]);
    let new = fs::read(world.tuf.join("timestamp.json")).expect("a file");

    fs::write(world.tuf.join("timestamp.json"), &old).expect("a file");
    let refused = world.says(1, "tuf-rollback", &["trust", "update", "ours"]);
    assert!(refused.stderr.contains("do not remove the cache"), "{}", refused.said());
    world.long_ago();
    world.verify(1, "tuf-rollback", &[]);
    world.says(1, "tuf-rollback", &["trust", "show", "ours"]);
    assert_eq!(fs::read(world.kept("metadata/timestamp.json")).expect("a file"), new);
    // what was accepted is still there, and what is right is accepted again
    world.verify(0, "", &["--offline"]);
    fs::write(world.tuf.join("timestamp.json"), &new).expect("a file");
    world.verify(0, "", &[]);

    // the cache went back, as from a backup: the repository says what is new
    fs::write(world.kept("metadata/timestamp.json"), &old).expect("a file");
    world.long_ago();
    world.verify(0, "", &[]);
    assert_eq!(fs::read(world.kept("metadata/timestamp.json")).expect("a file"), new);
}

#[test]
fn an_update_that_is_killed_leaves_trust_that_works_offline_and_goes_nowhere_back() {
    let world = World::new();
    world.says(0, "", &["trust", "update", "ours"]);
    let (place, before) = (world.kept(""), world.stage.path("before"));
    copy(&place, &before);
    let old = world.stage.path("old-tuf");
    copy(&world.tuf, &old);
    world.publish_anew();
    let new = world.stage.path("new-tuf");
    copy(&world.tuf, &new);
    let serve_instead = |repository: &Path| {
        fs::remove_dir_all(&world.tuf).expect("a folder");
        copy(repository, &world.tuf);
    };
    let (mut step, mut gone_ahead) = (0, 0);
    loop {
        step += 1;
        fs::remove_dir_all(&place).expect("a folder");
        copy(&before, &place);
        let mut update = world.command(&["trust", "update", "ours"]);
        update.env("TUF_ROOT_CRASH_AT", step.to_string());
        let cut = run(&mut update, LIMIT).expect("it runs");
        if cut.code == Some(0) {
            break;
        }
        assert_eq!(cut.code, None, "killed at {step}: {}", cut.said());
        world.verify(0, "", &["--offline"]);
        world.says(0, "", &["trust", "show", "ours", "--offline"]);
        // What was seen of the new repository, the old one is refused for.
        let seen = fs::read(world.kept("metadata/timestamp.json")).expect("a file");
        if seen != fs::read(before.join("metadata/timestamp.json")).expect("a file") {
            gone_ahead += 1;
            serve_instead(&old);
            world.says(1, "tuf-rollback", &["trust", "update", "ours"]);
            world.verify(0, "", &["--offline"]);
            serve_instead(&new);
        }
        world.says(0, "", &["trust", "update", "ours"]);
        assert!(!world.kept("former").exists(), "{step}");
        world.verify(0, "", &["--offline"]);
    }
    assert!(step > 10 && gone_ahead > 3, "{step} steps, {gone_ahead} of them seen");
}

#[test]
fn what_has_run_out_is_refused_online_and_announced_offline() {
    let world = World::new();
    let lifetime = 86_400;
    world.timestamp_anew(now().plus_secs(10 - lifetime));
    world.says(0, "", &["trust", "update", "ours"]);
    world.verify(0, "", &["--offline"]);
    std::thread::sleep(Duration::from_secs(11));
    // the repository was not refreshed either
    let refused = world.verify(1, "tuf-expired", &[]);
    assert!(
        refused.stderr.contains("`--offline` uses what is cached"),
        "{}",
        refused.said()
    );
    world.says(1, "tuf-expired", &["trust", "show", "ours"]);
    world.says(1, "tuf-expired", &["trust", "update"]);
    let shown = world.says(0, "", &["trust", "show", "ours", "--offline", "--quiet"]);
    assert!(
        shown
            .stderr
            .starts_with("warning: working offline with trust metadata that expired (timestamp, "),
        "{}",
        shown.said()
    );
    let verified = world.verify(0, "", &["--offline", "--quiet"]);
    assert!(
        verified.stderr.starts_with("warning: working offline with trust"),
        "{}",
        verified.said()
    );
    // expired is what is kept, not what is offered
    world.timestamp_anew(now());
    let verified = world.verify(0, "", &[]);
    assert!(!verified.stderr.contains("warning"), "{}", verified.said());
}

/// A home that cannot be written, or not even read, by whoever runs the commands.
struct Barred<'a> {
    world: &'a World,
    folders: Vec<PathBuf>,
}

impl<'a> Barred<'a> {
    /// `mode` for every folder below the home; 0o555 can be read, 0o000 can not.
    fn new(world: &'a World, mode: u32) -> Self {
        let mut folders = vec![world.home()];
        let mut position = 0;
        while let Some(folder) = folders.get(position).cloned() {
            let entries = fs::read_dir(folder).expect("a folder");
            let paths = entries.map(|entry| entry.expect("an entry").path());
            folders.extend(paths.filter(|path| path.is_dir()));
            position += 1;
        }
        // another user must get through to the home and to the program
        let way = [world.stage.workshop.folder(), world.stage.tools.folder()];
        for folder in way {
            permit(folder, 0o755);
        }
        for folder in folders.iter().rev() {
            permit(folder, mode);
        }
        Self { world, folders }
    }

    /// Runs as [`World::says`]; whoever is root becomes nobody first, since nothing is barred to root.
    fn says(&self, exit: i32, code: &str, arguments: &[&str]) -> Outcome {
        let command = self.world.command(arguments);
        if !rustix::process::geteuid().is_root() {
            let mut command = command;
            return expect(&mut command, exit, code);
        }
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        nobody.arg(command.get_program()).args(command.get_args());
        nobody.current_dir(command.get_current_dir().expect("a folder"));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => nobody.env(name, value),
                None => nobody.env_remove(name),
            };
        }
        expect(&mut nobody, exit, code)
    }

    fn verify(&self, exit: i32, code: &str, more: &[&str]) -> Outcome {
        let (identity, issuer) = self.world.signer();
        self.says(exit, code, &self.world.honest(&identity, &issuer, more))
    }
}

impl Drop for Barred<'_> {
    fn drop(&mut self) {
        for folder in &self.folders {
            permit(folder, 0o755);
        }
    }
}

fn permit(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own folder");
}

#[test]
fn a_home_that_cannot_be_written_is_read() {
    let world = World::new();
    let barred = Barred::new(&world, 0o555);
    barred.verify(0, "", &[]);
    barred.verify(0, "", &["--offline"]);
    barred.says(0, "", &["trust", "show", "ours"]);
    barred.says(0, "", &["trust", "list"]);
    let refused = barred.says(3, "tuf-io", &["trust", "update", "ours"]);
    assert!(
        refused.stderr.contains("set `CARGO_SIGSTORE_HOME` to a folder"),
        "{}",
        refused.said()
    );
    barred.says(3, "tuf-io", &["trust", "remove", "ours"]);
    let url = world.service.url();
    fs::copy(world.stage.instance.trust("root.json"), world.stage.path("root.json")).expect("a copy");
    barred.says(3, "tuf-io", &["trust", "add", "again", &url, "--root", "root.json"]);
    let refused = barred.says(3, "tuf-io", &["trust", "show", "public-good"]);
    assert!(
        refused.stderr.contains("set `CARGO_SIGSTORE_HOME` to a folder"),
        "{}",
        refused.said()
    );
    let shown = barred.says(0, "", &["trust", "show", "public-good", "--offline"]);
    assert!(
        shown
            .stderr
            .starts_with("note: trusting `public-good` as it is built in"),
        "{}",
        shown.said()
    );
    drop(barred);

    world.long_ago();
    let barred = Barred::new(&world, 0o555);
    barred.verify(3, "tuf-io", &[]);
    barred.verify(0, "", &["--offline"]);
}

#[test]
fn a_home_that_cannot_be_read_is_told() {
    let world = World::new();
    let barred = Barred::new(&world, 0o000);
    for more in [&[][..], &["--offline"]] {
        barred.verify(3, "tuf-io", more);
    }
    barred.says(3, "tuf-io", &["trust", "list"]);
    let shown = barred.says(0, "", &["trust", "show", "public-good", "--offline"]);
    assert!(shown.stderr.starts_with("warning: cannot open "), "{}", shown.said());
    assert!(
        shown.stderr.contains(": trusting `public-good` as it is built in"),
        "{}",
        shown.said()
    );
}
