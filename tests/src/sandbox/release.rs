//! The honest half: publish as a CI job, consume with unmodified cargo, verify the lock file.

use std::path::PathBuf;

use serde_json::Value;
use verify::{Budget, Sha256Digest, bundle::Bundle};

use super::{LIMIT, REGISTRY, Scene, quote};
use crate::{
    Doing as _, Error,
    project::{Project, fixture},
    run::run,
};

/// `cargo sigstore publish`, in the environment of a GitHub job that may ask for an identity.
pub(super) fn publish(scene: &mut Scene) -> Result<(), Error> {
    let mut command = scene.workshop.cargo(&scene.project.folder);
    command
        .args(["sigstore", "publish", "--registry", REGISTRY])
        .env("SIGSTORE_TRUST_CONFIG", scene.instance.trust("trust_config.json"))
        .env("CARGO_SIGSTORE_REGISTRY_TOKEN", scene.registry.token())
        .envs(scene.release.github_environment(&scene.issuer));
    run(&mut command, LIMIT)?.success()?;

    let published = scene
        .registry
        .version(&scene.project.name, &scene.project.version)
        .ok_or_else(|| Error::new("find the crate in the registry", "it is not there"))?;
    let digest = Sha256Digest::of(&published.bytes);
    let bundles = std::fs::read_to_string(scene.bundle_path()).doing("read the bundles")?;
    scene.show(
        "publish",
        &format!("{} sha256:{digest}", scene.crate_name()),
        &format!("as {}", scene.release.github_subject()),
    );
    for line in bundles.lines().filter(|line| !line.trim().is_empty()) {
        let evidence = evidence(line)?;
        scene.show(
            "log",
            &evidence,
            "signed, logged and stamped; verified before the upload",
        );
    }
    Ok(())
}

/// Predicate type and log index of a bundle.
fn evidence(json: &str) -> Result<String, Error> {
    let bundle = Bundle::from_json(json.as_bytes(), &Budget::default()).doing("read a bundle")?;
    let index = bundle.log_entries.first().map_or(0, |entry| entry.log_index);
    let predicate = match &bundle.content {
        verify::bundle::Content::Dsse(envelope) => serde_json::from_slice::<Value>(&envelope.payload)
            .ok()
            .and_then(|statement| statement["predicateType"].as_str().map(str::to_owned)),
        verify::bundle::Content::Message { .. } => None,
    };
    Ok(format!(
        "entry {index}: {}",
        predicate.unwrap_or_else(|| "signature".to_owned())
    ))
}

/// Adds the crate to another with unmodified cargo, builds and runs that, and verifies its lock file.
pub(super) fn consume(scene: &mut Scene) -> Result<Project, Error> {
    let consumer = consumer(scene)?;
    let name = scene.project.name.clone();
    let mut add = scene.workshop.cargo(&consumer.folder);
    add.args(["add", "--quiet", &name, "--registry", REGISTRY]);
    run(&mut add, LIMIT)?.success()?;
    let mut built = scene.workshop.cargo(&consumer.folder);
    built.args(["run", "--quiet"]);
    let built = run(&mut built, LIMIT)?.success()?;
    scene.show(
        "add",
        &format!("cargo add {name}, cargo run"),
        &format!("prints `{}`; Cargo.lock holds the checksum", built.stdout.trim()),
    );

    let verified = verify_lock(scene, &consumer)?.success()?;
    scene.show(
        "verify",
        "cargo sigstore verify (every crate of Cargo.lock)",
        "exit code 0",
    );
    quote(&verified.stdout);
    Ok(consumer)
}

/// `cargo sigstore verify` over a project's lock file, with the expectations that lie beside it.
pub(super) fn verify_lock(scene: &Scene, project: &Project) -> Result<crate::run::Outcome, Error> {
    let mut command = scene.workshop.cargo(&project.folder);
    command
        .args(["sigstore", "verify"])
        .env("SIGSTORE_TRUST_CONFIG", scene.instance.trust("trust_config.json"));
    run(&mut command, LIMIT)
}

/// A program that depends on the crate, in a folder of its own, with nothing beside it.
pub(super) fn stranger(scene: &Scene, folder: &str) -> Result<Project, Error> {
    let project = scene.workshop.adopt_as(&fixture("consumer"), folder)?;
    if scene.project.name != "crockford" {
        let main: PathBuf = project.folder.join("src/main.rs");
        std::fs::write(main, "fn main() {\n    println!(\"built\");\n}\n").doing("write the consumer")?;
    }
    Ok(project)
}

/// The same with the expectations that a consumer reviews.
fn consumer(scene: &Scene) -> Result<Project, Error> {
    let project = stranger(scene, "consumer")?;
    // What a consumer reviews like code: who signs this crate; of the others it is only told.
    let expectations = format!(
        "unattested = \"report\"\n\n[[crate]]\nname = \"{}\"\nidentity = \"{}\"\nissuer = \"{}\"\n",
        scene.project.name,
        scene.release.github_subject(),
        scene.issuer_url()
    );
    std::fs::write(project.folder.join("sigstore.toml"), expectations).doing("write the expectations")?;
    Ok(project)
}
