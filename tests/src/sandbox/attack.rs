//! The dishonest half: each attack must be refused with exit code 1, and the refusal is shown as the user would see it.

use std::{
    io::{Read as _, Write as _},
    path::Path,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::{Value, json};

use super::{LIMIT, REGISTRY, Scene, quote, release::verify_lock};
use crate::{
    Doing as _, Error,
    project::{Project, fixture},
    run::{Outcome, run},
};

/// One bit of the signature is changed.
pub(super) fn bundle(scene: &mut Scene) -> Result<(), Error> {
    let artifact = write_crate(scene)?;
    let good = first_bundle(scene)?;
    verify_file(scene, &artifact, &good, &scene.release.github_subject())?.success()?;
    let mut bundle: Value = serde_json::from_str(&good).doing("read the bundle")?;
    let signature = &mut bundle["dsseEnvelope"]["signatures"][0]["sig"];
    *signature = flip(signature.as_str().unwrap_or_default()).into();
    let refused = verify_file(scene, &artifact, &bundle.to_string(), &scene.release.github_subject())?.exit(1)?;
    scene.show(
        "attack",
        "one bit of the bundle's signature is changed",
        "refused, exit code 1",
    );
    quote(&refused.said());
    Ok(())
}

/// The registry serves other bytes, and an index that fits them: cargo itself notices nothing.
pub(super) fn crate_file(scene: &mut Scene, consumer: &Project) -> Result<(), Error> {
    let (name, version) = (scene.project.name.clone(), scene.project.version.clone());
    let published = scene
        .registry
        .version(&name, &version)
        .ok_or_else(|| Error::new("find the crate in the registry", "it is not there"))?;
    let payload = repack(&published.bytes, b"\n// and one line that no commit has\n").doing("repack the crate")?;
    scene.registry.replace(&name, &version, &payload, true);
    let lock = consumer.folder.join("Cargo.lock");
    let honest = std::fs::read(&lock).doing("read Cargo.lock")?;
    std::fs::remove_file(&lock).doing("remove Cargo.lock")?;
    let mut update = scene.workshop.cargo(&consumer.folder);
    update.args(["generate-lockfile", "--quiet"]);
    run(&mut update, LIMIT)?.success()?;
    let refused = verify_lock(scene, consumer)?.exit(1)?;
    scene.show(
        "attack",
        "the registry serves another crate under the same version",
        "cargo locks it; refused, exit code 1",
    );
    quote(&refused.said());
    // The honest crate is as good as before.
    scene.registry.replace(&name, &version, &published.bytes, true);
    std::fs::write(&lock, honest).doing("restore Cargo.lock")?;
    verify_lock(scene, consumer)?.success().map(drop)
}

/// The bundle is genuine, but not of the workflow that the consumer expects.
pub(super) fn identity(scene: &mut Scene) -> Result<(), Error> {
    let artifact = write_crate(scene)?;
    let good = first_bundle(scene)?;
    let expected = scene.release.github_subject().replace("ferris/", "somebody-else/");
    let refused = verify_file(scene, &artifact, &good, &expected)?.exit(1)?;
    scene.show(
        "attack",
        "a genuine bundle of another repository's workflow",
        "refused, exit code 1",
    );
    quote(&refused.said());
    Ok(())
}

/// The registry's index lets the honest crate use another one, whose build script would run: archive, checksum and signature are as before.
pub(super) fn dependency(scene: &mut Scene, consumer: &Project) -> Result<(), Error> {
    let payload = scene.workshop.adopt_as(&fixture("telltale"), "index-payload")?;
    let mut publish = scene.workshop.cargo(&payload.folder);
    publish
        .args(["publish", "--quiet", "--no-verify", "--registry", REGISTRY])
        .env(
            format!("CARGO_REGISTRIES_{}_TOKEN", REGISTRY.to_uppercase()),
            scene.registry.token(),
        );
    run(&mut publish, LIMIT)?.success()?;
    let (name, version) = (scene.project.name.clone(), scene.project.version.clone());
    let lock = consumer.folder.join("Cargo.lock");
    let honest = std::fs::read(&lock).doing("read Cargo.lock")?;
    let used = json!({
        "name": payload.name, "req": "*", "features": [], "optional": false, "default_features": true, "target": null,
        "kind": "normal",
    });
    let with = |used: Option<&Value>| {
        scene.registry.edit_line(&name, &version, |line| {
            let deps = line.get_mut("deps").and_then(Value::as_array_mut);
            let Some(deps) = deps else { return };
            deps.retain(|dependency| dependency["name"] != payload.name.as_str());
            deps.extend(used.cloned());
        });
    };
    with(Some(&used));
    std::fs::remove_file(&lock).doing("remove Cargo.lock")?;
    for arguments in [["generate-lockfile", "--quiet"], ["fetch", "--quiet"]] {
        run(scene.workshop.cargo(&consumer.folder).args(arguments), LIMIT)?.success()?;
    }
    let refused = verify_lock(scene, consumer)?.exit(1)?;
    with(None);
    std::fs::write(&lock, honest).doing("restore Cargo.lock")?;
    verify_lock(scene, consumer)?.success()?;
    scene.show(
        "attack",
        "the registry's index gives the honest crate a dependency",
        "cargo locks and fetches it; refused, exit code 1",
    );
    quote(&refused.said());
    Ok(())
}

/// Verifies one file with one bundle, offline, as anybody could.
fn verify_file(scene: &Scene, artifact: &Path, bundle: &str, identity: &str) -> Result<Outcome, Error> {
    let path = scene.workshop.folder().join("attack.sigstore.json");
    std::fs::write(&path, bundle).doing("write a bundle")?;
    let mut command = scene.workshop.cargo(scene.workshop.folder());
    command
        .args(["sigstore", "verify"])
        .arg(artifact)
        .arg("--bundle")
        .arg(&path)
        .arg("--trusted-root")
        .arg(scene.instance.trust("trusted_root.json"))
        .args(["--certificate-identity", identity])
        .args(["--certificate-oidc-issuer", &scene.issuer_url()])
        .arg("--offline");
    run(&mut command, LIMIT)
}

/// The published crate as a file.
fn write_crate(scene: &Scene) -> Result<std::path::PathBuf, Error> {
    let published = scene
        .registry
        .version(&scene.project.name, &scene.project.version)
        .ok_or_else(|| Error::new("find the crate in the registry", "it is not there"))?;
    let path = scene.workshop.folder().join(scene.crate_name());
    std::fs::write(&path, published.bytes).doing("write the crate")?;
    Ok(path)
}

/// The first bundle that publishing wrote.
fn first_bundle(scene: &Scene) -> Result<String, Error> {
    let bundles = std::fs::read_to_string(scene.bundle_path()).doing("read the bundles")?;
    let first = bundles.lines().next().unwrap_or_default();
    Ok(first.to_owned())
}

/// Base64 with another tenth character.
fn flip(base64: &str) -> String {
    let mut text = base64.to_owned();
    let other = if text.get(10..11) == Some("A") { "B" } else { "A" };
    if text.len() > 11 {
        text.replace_range(10..11, other);
    }
    text
}

/// The same `.crate` with `addition` at the end of its `src/lib.rs` or `src/main.rs`.
pub(super) fn repack(bytes: &[u8], addition: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut output = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    let mut input = tar::Archive::new(GzDecoder::new(bytes));
    for entry in input.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") {
            content.write_all(addition)?;
        }
        let mut header = entry.header().clone();
        header.set_size(u64::try_from(content.len()).map_err(std::io::Error::other)?);
        output.append_data(&mut header, path, content.as_slice())?;
    }
    output.into_inner()?.finish()
}
