//! Crates that an earlier job made: each read once, held to its digest, and put into the order in which a registry takes them.

use std::path::PathBuf;

use package::description::DependencyKind;
use verify::provenance::{self, Options};

use crate::{
    expected_digests::ExpectedDigests,
    failure::Failure,
    registry::selection::Registry,
    release::{crate_file::CrateFile, statements::Release},
};

/// Reads the crates: the bytes that are held to what is expected are those that are signed and uploaded.
///
/// # Errors
/// Code `ci-digest`; those of [`CrateFile::read`].
pub(super) fn read(
    paths: &[PathBuf],
    expected: &ExpectedDigests,
    registry: &Registry,
    options: Options,
) -> Result<Vec<Release>, Failure> {
    let mut releases = Vec::new();
    for path in paths {
        let file = CrateFile::read(path, registry.other_index())?;
        expected.hold(path, file.digest)?;
        releases.push(Release {
            path: path.clone(),
            file,
            index: registry.other_index().map(str::to_owned),
            sbom: None,
            command: Vec::new(),
            cargo: provenance::Cargo::default(),
            options,
        });
    }
    Ok(in_order(releases))
}

/// Those that others depend on first, else as given; a registry takes no crate whose dependencies it does not have.
/// Dev-dependencies do not count, because they may form circles.
fn in_order(mut rest: Vec<Release>) -> Vec<Release> {
    let mut order = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let waits = |release: &Release| {
            let dependencies = &release.file.manifest.description.dependencies;
            dependencies.iter().any(|dependency| {
                let is_here = rest
                    .iter()
                    .any(|other| other.file.name == dependency.package && other.file.name != release.file.name);
                dependency.kind != DependencyKind::Development && is_here
            })
        };
        // In a circle nobody is first: the registry will say so.
        let next = rest.iter().position(|release| !waits(release)).unwrap_or_default();
        order.push(rest.remove(next));
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use verify::Sha256Digest;

    use super::*;
    use crate::release::crate_file::tests::pack;

    fn release(name: &str, dependencies: &str) -> Release {
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\n{dependencies}");
        let path = format!("{name}-1.0.0/Cargo.toml");
        let library = format!("{name}-1.0.0/src/lib.rs");
        let bytes = pack(&[(&path, manifest.as_bytes()), (&library, b"")]);
        Release {
            path: PathBuf::new(),
            file: CrateFile::from_bytes(bytes, name, "1.0.0", None).unwrap(),
            index: None,
            sbom: None,
            command: Vec::new(),
            cargo: provenance::Cargo::default(),
            options: Options::default(),
        }
    }

    fn order(releases: &[(&str, &str)]) -> Vec<String> {
        let releases = releases.iter().map(|(name, dependencies)| release(name, dependencies));
        let ordered = in_order(releases.collect()).into_iter();
        ordered.map(|release| release.file.name).collect()
    }

    #[test]
    fn crates_that_others_depend_on_come_first_and_the_rest_as_given() {
        let renamed = "[dependencies.other]\npackage = \"z\"\nversion = \"1\"\n";
        let building = "[build-dependencies]\nm = \"1\"\n";
        assert_eq!(order(&[("a", renamed), ("m", ""), ("z", building)]), ["m", "z", "a"]);
        assert_eq!(order(&[("z", ""), ("a", ""), ("m", "")]), ["z", "a", "m"]);
        let elsewhere = "[dependencies]\nserde = \"1\"\n";
        assert_eq!(order(&[("z", elsewhere), ("a", "")]), ["z", "a"]);
    }

    #[test]
    fn a_crate_with_other_bytes_than_expected_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-1.0.0.crate");
        let bytes = release("a", "").file.bytes;
        std::fs::write(&path, &bytes).unwrap();
        let read = |expected: &[u8]| {
            let expected = BTreeMap::from([("a-1.0.0.crate".to_owned(), Sha256Digest::of(expected))]);
            let expected = ExpectedDigests::new(expected);
            super::read(
                std::slice::from_ref(&path),
                &expected,
                &Registry::crates_io(),
                Options::default(),
            )
        };
        assert_eq!(read(&bytes).unwrap()[0].file.bytes, bytes);
        assert_eq!(read(b"other").unwrap_err().code(), "ci-digest");
    }

    #[test]
    fn files_are_read_into_the_order_of_their_dependencies() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [("a", "[dependencies]\nz = \"1\"\n"), ("z", "")].map(|(name, dependencies)| {
            let path = folder.path().join(format!("{name}-1.0.0.crate"));
            std::fs::write(&path, release(name, dependencies).file.bytes).unwrap();
            path
        });
        let (expected, registry) = (ExpectedDigests::default(), Registry::crates_io());
        let read = super::read(&paths, &expected, &registry, Options::default()).unwrap();
        let order: Vec<&PathBuf> = read.iter().map(|release| &release.path).collect();
        assert_eq!(order, [&paths[1], &paths[0]]);
    }

    #[test]
    fn circles_end() {
        let (a, b) = ("[dependencies]\nb = \"1\"\n", "[dependencies]\na = \"1\"\n");
        assert_eq!(order(&[("b", b), ("a", a)]), ["b", "a"]);
        let developing = "[dev-dependencies]\nb = \"1\"\n";
        assert_eq!(order(&[("a", developing), ("b", b)]), ["a", "b"]);
        assert_eq!(order(&[("a", "[dependencies]\na = \"0.9\"\n")]), ["a"]);
    }
}
