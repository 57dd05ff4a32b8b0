//! The gate before a registry: what it lets through, and four attacks that it stops, each as cargo shows it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use super::{LIMIT, Scene, attack::repack, quote, release::stranger};
use crate::{
    Doing as _, Error, Gate, Registry,
    ci::Release,
    project::{Project, fixture},
    registry,
    run::{Outcome, run},
};

/// What cargo calls the gate.
const GUARDED: &str = "guarded";

/// What the attackers add.
const PAYLOAD: &[u8] = b"\n// and one line that no commit has\n";

/// A registry of its own behind a gate of its own.
struct Guard {
    registry: Registry,
    gate: Gate,
}

/// A gate that lets only the release workflow of the crate's repository publish it; then four attacks.
pub(super) fn play(scene: &mut Scene) -> Result<(), Error> {
    let registry = Registry::start(registry::Options::default())?;
    let policy = policy(scene);
    let gate = Gate::start(&scene.tools, &scene.instance, &registry, &policy)?;
    scene.workshop.know_index(GUARDED, &gate.index_url());
    scene.show(
        "gate",
        &gate.index_url(),
        "before another registry; neither cargo nor the registry is changed",
    );
    let guard = Guard { registry, gate };
    stolen_token(scene, &guard)?;
    fork(scene, &guard)?;
    honest(scene, &guard)?;
    tampered_download(scene, &guard)?;
    index_confusion(scene, &guard)
}

/// Only the release workflow may publish the crate; crates that no rule names need no attestation.
fn policy(scene: &Scene) -> String {
    format!(
        "unlisted = \"admit\"\n\n[[rule]]\ncrates = [\"{}\"]\nissuer = \"{}\"\nrepository = \"https://github.com/{}\"\n\
         workflow = \".github/workflows/{}\"\nref = \"refs/tags/*\"\n",
        scene.project.name,
        scene.issuer_url(),
        scene.release.repository,
        scene.release.workflow,
    )
}

/// Whoever holds the token may upload anything to a plain registry; here what nobody attested ends at the gate.
fn stolen_token(scene: &mut Scene, guard: &Guard) -> Result<(), Error> {
    let arguments = ["publish", "--registry", GUARDED, "--allow-dirty"];
    let refused = with_payload(scene, || cargo(scene, guard, &scene.project, &arguments))?;
    refuse(&refused, "gate-no-attestation")?;
    nothing_uploaded(guard)?;
    scene.show(
        "attack",
        "an upload with a stolen registry token",
        "refused; the registry never saw it",
    );
    quote_errors(&refused);
    Ok(())
}

/// Does something while the crate's source holds a line that no commit has.
fn with_payload(scene: &Scene, act: impl FnOnce() -> Result<Outcome, Error>) -> Result<Outcome, Error> {
    let source = source_file(&scene.project)?;
    let honest = std::fs::read(&source).doing("read the source")?;
    std::fs::write(&source, [honest.as_slice(), PAYLOAD].concat()).doing("write the payload")?;
    let outcome = act();
    std::fs::write(&source, honest).doing("restore the source")?;
    outcome
}

/// `src/lib.rs`, else `src/main.rs`.
fn source_file(project: &Project) -> Result<PathBuf, Error> {
    let files = ["src/lib.rs", "src/main.rs"].map(|name| project.folder.join(name));
    let found = files.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| Error::new("find the crate's source", "neither src/lib.rs nor src/main.rs"))
}

/// Genuine signature, provenance and log entry, but of a fork's workflow.
fn fork(scene: &mut Scene, guard: &Guard) -> Result<(), Error> {
    let fork = Release {
        repository: format!("mallory/{}", scene.project.name),
        ..scene.release.clone()
    };
    let refused = with_payload(scene, || sigstore_publish(scene, guard, &fork, &["--allow-dirty"]))?;
    refuse(&refused, "identity-mismatch")?;
    nothing_uploaded(guard)?;
    scene.show(
        "attack",
        &format!("an attested upload by the workflow of {}", fork.repository),
        "refused; the registry never saw it",
    );
    quote_errors(&refused);
    Ok(())
}

/// The same crate by its own release workflow, then added and built through the gate.
fn honest(scene: &mut Scene, guard: &Guard) -> Result<(), Error> {
    let published = sigstore_publish(scene, guard, &scene.release, &[])?.success()?;
    scene.show(
        "publish",
        &format!("{} through the gate", scene.crate_name()),
        "admitted; the verdict is on disk before the registry sees a byte",
    );
    quote(&lines_with(&published.said(), "attested by"));
    let consumer = stranger(scene, "guarded-consumer")?;
    consume(scene, guard, &consumer)?.success()?;
    scene.show("add", "cargo add, cargo build through the gate", "exit code 0");
    Ok(())
}

/// The registry serves other bytes and an index that fits them; cargo alone would build them.
fn tampered_download(scene: &mut Scene, guard: &Guard) -> Result<(), Error> {
    let (name, version) = (scene.project.name.clone(), scene.project.version.clone());
    let published = stored(scene, guard)?;
    let payload = repack(&published, PAYLOAD).doing("repack the crate")?;
    guard.registry.replace(&name, &version, &payload, true);
    let consumer = stranger(scene, "deceived-consumer")?;
    forget_downloads(scene)?;
    let refused = consume(scene, guard, &consumer)?;
    refuse(&refused, "gate-no-attestation")?;
    scene.show(
        "attack",
        "the registry serves another crate, and an index that fits it",
        "refused at the download; nothing was compiled",
    );
    quote_errors(&refused);
    guard.registry.replace(&name, &version, &published, true);
    Ok(())
}

/// The archive is the honest one, but its index line names one dependency more.
fn index_confusion(scene: &mut Scene, guard: &Guard) -> Result<(), Error> {
    let (name, version) = (scene.project.name.clone(), scene.project.version.clone());
    let lure = scene.workshop.adopt(&fixture("telltale"))?;
    cargo(
        scene,
        guard,
        &lure,
        &["publish", "--registry", GUARDED, "--allow-dirty"],
    )?
    .success()?;
    guard.registry.edit_line(&name, &version, |line| {
        let evil = json!({"name": "telltale", "req": "^1", "features": [], "optional": false, "default_features": true,
                          "target": null, "kind": "normal"});
        if let Some(dependencies) = line.get_mut("deps").and_then(serde_json::Value::as_array_mut) {
            dependencies.push(evil);
        }
    });
    // The gate keeps an index file for a second.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let consumer = stranger(scene, "confused-consumer")?;
    forget_downloads(scene)?;
    let refused = consume(scene, guard, &consumer)?;
    refuse(&refused, &name)?;
    let lock = std::fs::read_to_string(consumer.folder.join("Cargo.lock")).unwrap_or_default();
    if lock.contains("telltale") {
        return Err(Error::new("keep the added dependency out", "Cargo.lock names it"));
    }
    scene.show(
        "attack",
        "the index line of the honest crate gained a dependency",
        "left out of the index; the dependency was never fetched",
    );
    quote_errors(&refused);
    quote(&lines_with(&guard.gate.log(), "index line left out"));
    Ok(())
}

/// The crate as the registry behind the gate has it.
fn stored(scene: &Scene, guard: &Guard) -> Result<Vec<u8>, Error> {
    let found = guard.registry.version(&scene.project.name, &scene.project.version);
    let found = found.ok_or_else(|| Error::new("find the crate behind the gate", "it is not there"))?;
    Ok(found.bytes)
}

/// `cargo add` and `cargo build` through the gate; the first that fails is the outcome.
fn consume(scene: &Scene, guard: &Guard, consumer: &Project) -> Result<Outcome, Error> {
    let name = scene.project.name.as_str();
    let added = cargo(scene, guard, consumer, &["add", "--quiet", name, "--registry", GUARDED])?;
    if added.code != Some(0) {
        return Ok(added);
    }
    cargo(scene, guard, consumer, &["build", "--quiet"])
}

/// Unmodified cargo, with the registry's token at hand.
fn cargo(scene: &Scene, guard: &Guard, project: &Project, arguments: &[&str]) -> Result<Outcome, Error> {
    let mut command = scene.workshop.cargo(&project.folder);
    command
        .args(arguments)
        .env("CARGO_REGISTRIES_GUARDED_TOKEN", guard.registry.token());
    command.env("CARGO_REGISTRIES_GUARDED_CREDENTIAL_PROVIDER", "cargo:token");
    run(&mut command, LIMIT)
}

/// `cargo sigstore publish` through the gate, in a job of `release`.
fn sigstore_publish(scene: &Scene, guard: &Guard, release: &Release, more: &[&str]) -> Result<Outcome, Error> {
    let mut command: Command = scene.workshop.cargo(&scene.project.folder);
    command
        .args(["sigstore", "publish", "--registry", GUARDED])
        .args(more)
        .env("SIGSTORE_TRUST_CONFIG", scene.instance.trust("trust_config.json"))
        .env("CARGO_SIGSTORE_REGISTRY_TOKEN", guard.registry.token())
        .envs(release.github_environment(&scene.issuer));
    run(&mut command, LIMIT)
}

/// It failed, and says `because`.
fn refuse(outcome: &Outcome, because: &str) -> Result<(), Error> {
    if outcome.code != Some(0) && outcome.said().contains(because) {
        return Ok(());
    }
    Err(Error::new(
        format!("see `{}` refused because of {because}", outcome.command),
        format!("exit code {:?}\n{}", outcome.code, outcome.said()),
    ))
}

fn nothing_uploaded(guard: &Guard) -> Result<(), Error> {
    match guard.registry.uploads().len() {
        0 => Ok(()),
        seen => Err(Error::new(
            "keep it from the registry",
            format!("it saw {seen} uploads"),
        )),
    }
}

/// So that cargo asks the gate again for every index file and every archive.
fn forget_downloads(scene: &Scene) -> Result<(), Error> {
    let registry = scene.workshop.folder().join("cargo-home/registry");
    let forget = |path: &Path| match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    forget(&registry).doing("forget what cargo downloaded")
}

/// What cargo said from its first error on.
fn quote_errors(outcome: &Outcome) {
    let start = outcome.stderr.find("error").unwrap_or_default();
    quote(outcome.stderr.get(start..).unwrap_or_default());
}

fn lines_with(text: &str, words: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(words)).collect();
    lines.join("\n")
}
