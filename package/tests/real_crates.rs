//! Every crate that cargo downloaded to build this workspace is an honest archive, and is read as one.
//! Its generated manifest says what the original does.

use std::path::PathBuf;

use package::{Archive, Limits, Manifest, Registries, original::departures};
use sha2::{Digest as _, Sha256};

fn cache() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.unwrap_or_default().join("registry/cache")
}

#[test]
fn honest_archives_are_read_and_their_manifests_agree_with_their_names() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    let lock: toml::Table = text.parse().unwrap();
    // Those of registries have a checksum.
    let locked = lock["package"].as_array().unwrap().iter().filter_map(|package| {
        let of = |key: &str| package.get(key)?.as_str();
        Some((of("name")?, of("version")?, of("checksum")?))
    });
    let registries = std::fs::read_dir(cache()).expect("cargo has a cache: it built this test from it");
    let folders: Vec<PathBuf> = registries.map(|registry| registry.unwrap().path()).collect();
    let (mut read, mut refused) = (0_usize, Vec::new());
    let (mut compared, mut departed) = (0_usize, Vec::new());
    for (name, version, checksum) in locked {
        let stem = format!("{name}-{version}");
        // Whatever else is in the cache, and crates of other platforms, are somebody else's.
        let cached = folders.iter().find_map(|folder| {
            let bytes = std::fs::read(folder.join(format!("{stem}.crate"))).ok()?;
            (hex::encode(Sha256::digest(&bytes)) == checksum).then_some(bytes)
        });
        let Some(bytes) = cached else {
            continue;
        };
        let limits = Limits {
            compressed_bytes: 64 << 20,
            ..Limits::default()
        };
        let archive = Archive::read(&bytes, name, version, &limits);
        let original = archive
            .as_ref()
            .ok()
            .and_then(|archive| Some((archive, archive.original_manifest.as_ref()?)));
        if let Some((archive, original)) = original {
            compared += 1;
            let departures = departures(&archive.manifest, original).unwrap();
            departed.extend(departures.iter().map(|departure| format!("{stem}: {departure}")));
        }
        let manifest = archive
            .and_then(|archive| Manifest::of_package(&archive.manifest, name, version, &Registries::crates_io()));
        match manifest {
            Ok(_) => read += 1,
            Err(error) => refused.push(format!("{stem}: {error}")),
        }
    }
    println!("{read} real crates read, {compared} compared with their original manifests");
    assert!(read > 200, "only {read} crates in the cache");
    assert_eq!(refused, Vec::<String>::new());
    assert!(compared > 200, "only {compared} have an original manifest");
    assert_eq!(departed, Vec::<String>::new());
}
