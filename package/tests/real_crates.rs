//! Every crate that cargo downloaded to build this workspace is an honest archive, and is read as one.
//! Its generated manifest says what the original does.

use std::path::PathBuf;

use package::{Archive, Limits, Manifest, Registries, original::departures};

fn cache() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.unwrap_or_default().join("registry/cache")
}

#[test]
fn honest_archives_are_read_and_their_manifests_agree_with_their_names() {
    let registries = std::fs::read_dir(cache()).expect("cargo has a cache: it built this test from it");
    let files = registries.flat_map(|registry| std::fs::read_dir(registry.unwrap().path()).unwrap());
    let (mut read, mut refused) = (0_usize, Vec::new());
    let (mut compared, mut departed) = (0_usize, Vec::new());
    for file in files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "crate"))
    {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        // The version starts at the first `-` followed by a digit that makes the rest SemVer.
        let split = stem
            .match_indices('-')
            .find(|(at, _)| semver::Version::parse(&stem[at + 1..]).is_ok());
        let (name, version) = split
            .map(|(at, _)| (&stem[..at], &stem[at + 1..]))
            .expect("a file name of cargo's");
        let limits = Limits {
            compressed_bytes: 64 << 20,
            ..Limits::default()
        };
        let archive = Archive::read(&std::fs::read(&file).unwrap(), name, version, &limits);
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
    assert!(read > 20, "only {read} crates in the cache");
    assert_eq!(refused, Vec::<String>::new());
    assert!(compared > 20, "only {compared} have an original manifest");
    assert_eq!(departed, Vec::<String>::new());
}
