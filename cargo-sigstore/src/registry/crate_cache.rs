//! Cargo's own cache of downloaded crates: `$CARGO_HOME/registry/cache/REGISTRY/NAME-VERSION.crate`.
//!
//! Cargo looks at a crate's checksum when it downloads it, and never again: what stands in the cache is what it builds.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use url::Url;
use verify::Sha256Digest;

use crate::{lockfile::LockedPackage, release::crate_file};

/// The cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrateCache {
    /// A folder for each registry that cargo has downloaded from.
    folders: Vec<PathBuf>,
}

/// What the cache has of a crate.
#[derive(Debug)]
pub(crate) enum Cached {
    /// Bytes of the digest asked for.
    Crate(Vec<u8>),
    /// Other bytes, from the same host.
    Other {
        /// The file.
        path: PathBuf,
        /// Its digest.
        digest: Sha256Digest,
    },
    /// A file that is larger than any crate, or that cannot be read.
    Unreadable(PathBuf),
    /// Nothing.
    Nothing,
}

impl CrateCache {
    /// The cache below cargo's home; empty when there is none.
    pub(crate) fn new(cargo_home: Option<&Path>) -> Self {
        let folders = cargo_home.map(|home| std::fs::read_dir(home.join("registry").join("cache")));
        let folders = folders.and_then(Result::ok).into_iter().flatten();
        let mut folders: Vec<PathBuf> = folders.filter_map(|entry| Some(entry.ok()?.path())).collect();
        folders.sort();
        Self { folders }
    }

    /// The crate with this digest, whichever registry it was downloaded from: a replaced source keeps its own folder.
    pub(crate) fn find(&self, package: &LockedPackage, digest: Sha256Digest) -> Cached {
        let mut found = Cached::Nothing;
        if package.name.contains(['/', '\\']) {
            return found;
        }
        let name = format!("{}-{}.crate", package.name, package.version);
        for folder in &self.folders {
            let path = folder.join(&name);
            let Ok(file) = File::open(&path) else { continue };
            match read(file) {
                None => found = Cached::Unreadable(path),
                Some(bytes) => {
                    let actual = Sha256Digest::of(&bytes);
                    if actual == digest {
                        return Cached::Crate(bytes);
                    }
                    // Two registries may each have a crate of this name and version, with different bytes.
                    if matches!(found, Cached::Nothing) && is_of_registry(folder, package) {
                        found = Cached::Other { path, digest: actual };
                    }
                }
            }
        }
        found
    }
}

fn read(file: File) -> Option<Vec<u8>> {
    let limit = crate_file::limits().compressed_bytes;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    (u64::try_from(bytes.len()).ok()? <= limit).then_some(bytes)
}

/// Whether cargo keeps there what it downloads from the registry of a package: folders are named `HOST-HASH`.
fn is_of_registry(folder: &Path, package: &LockedPackage) -> bool {
    // A name that is not UTF-8 is none that cargo gives.
    let folder = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let index = package.index().and_then(|index| index.split_once('+'));
    let Some((_, index)) = index else { return false };
    if index.trim_end_matches('/') == CRATES_IO {
        return CRATES_IO_FOLDERS.iter().any(|known| folder.starts_with(known));
    }
    let host = Url::parse(index).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| folder.rsplit_once('-').is_some_and(|(named, _)| named == host))
}

/// How every lock file names crates.io.
const CRATES_IO: &str = "https://github.com/rust-lang/crates.io-index";

/// Its folders: of the sparse index, and of the git repository, whose host keeps other registries' too.
const CRATES_IO_FOLDERS: [&str; 2] = ["index.crates.io-", "github.com-1ecc6299db9ec823"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lockfile::Lockfile;

    const SPARSE: &str = "index.crates.io-1949cf8c6b5b557f";

    fn package(source: &str) -> LockedPackage {
        let digest = "0".repeat(64);
        let text = format!(
            "[[package]]\nname = \"a\"\nversion = \"1.0.0+m\"\nsource = \"{source}\"\nchecksum = \"{digest}\"\n"
        );
        Lockfile::from_toml(&text).unwrap().packages.remove(0)
    }

    fn cache(files: &[(&str, &[u8])]) -> (tempfile::TempDir, CrateCache) {
        let home = tempfile::tempdir().unwrap();
        for (folder, bytes) in files {
            let folder = home.path().join("registry/cache").join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("a-1.0.0+m.crate"), bytes).unwrap();
        }
        let cache = CrateCache::new(Some(home.path()));
        (home, cache)
    }

    #[test]
    fn a_crate_is_found_by_its_digest_whoever_served_it() {
        let package = package(&format!("registry+{CRATES_IO}"));
        let (_home, cache) = cache(&[(SPARSE, b"other"), ("mirror.example-01", b"right")]);
        assert!(matches!(cache.find(&package, Sha256Digest::of(b"right")), Cached::Crate(bytes) if bytes == b"right"));
    }

    #[test]
    fn other_bytes_from_the_same_registry_are_told() {
        for (folder, source, told) in [
            (SPARSE, format!("registry+{CRATES_IO}"), true),
            ("github.com-1ecc6299db9ec823", format!("registry+{CRATES_IO}"), true),
            ("github.com-0123456789abcdef", format!("registry+{CRATES_IO}"), false),
            ("r.example-01", "sparse+https://r.example/index/".to_owned(), true),
            ("s.example-01", "sparse+https://r.example/index/".to_owned(), false),
        ] {
            let (_home, cache) = cache(&[(folder, b"other")]);
            let package = package(&source);
            assert!(matches!(
                cache.find(&package, Sha256Digest::of(b"other")),
                Cached::Crate(_)
            ));
            let found = cache.find(&package, Sha256Digest::of(b"right"));
            assert_eq!(matches!(found, Cached::Other { .. }), told, "{folder}");
        }
    }

    #[test]
    fn what_was_never_downloaded_is_not_there() {
        let package = package(&format!("registry+{CRATES_IO}"));
        let empty = tempfile::tempdir().unwrap();
        for cache in [CrateCache::new(None), CrateCache::new(Some(empty.path())), cache(&[]).1] {
            assert!(matches!(
                cache.find(&package, Sha256Digest::of(b"right")),
                Cached::Nothing
            ));
        }
    }
}
