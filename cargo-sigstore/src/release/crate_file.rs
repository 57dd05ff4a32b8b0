//! A `.crate` file: its bytes, digest, every file in it, and what its manifest says.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use package::{Archive, Limits, Manifest, Registries};
use semver::Version;
use verify::{
    Sha256Digest,
    agreement::{CrateFacts, VcsInfo},
    provenance::package_url,
};

use crate::{
    failure::{Exit, Failure},
    file,
};

/// A `.crate`, read and held to the rules of archives.
#[derive(Clone, Debug)]
pub(crate) struct CrateFile {
    /// The whole file.
    pub(crate) bytes: Vec<u8>,
    /// Its SHA-256.
    pub(crate) digest: Sha256Digest,
    /// Package name.
    pub(crate) name: String,
    /// Package version.
    pub(crate) version: String,
    /// What is in it.
    pub(crate) archive: Archive,
    /// SHA-256 of every file in it, by path.
    pub(crate) files: BTreeMap<String, Sha256Digest>,
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// The text of its readme.
    pub(crate) readme: Option<String>,
}

impl CrateFile {
    /// Reads `NAME-VERSION.crate`; `index` is the index URL of the registry it is for, none for crates.io.
    ///
    /// # Errors
    /// Codes `crate-name`, `file-read`, `file-size` and those of the crate `package`.
    pub(crate) fn read(path: &Path, index: Option<&str>) -> Result<Self, Failure> {
        let (name, version) = name_and_version(path).ok_or_else(|| Error::Name { path: path.to_owned() })?;
        let most = usize::try_from(limits().compressed_bytes).unwrap_or(usize::MAX);
        let bytes = file::read(path, most)?;
        Self::from_bytes(bytes, &name, &version, index).map_err(|error| {
            refusal(&error).while_doing(format_args!("`{}` is not acceptable as a crate", path.display()))
        })
    }

    /// Reads the archive of a package.
    ///
    /// # Errors
    /// Those of the crate `package`.
    pub(crate) fn from_bytes(
        bytes: Vec<u8>,
        name: &str,
        version: &str,
        index: Option<&str>,
    ) -> Result<Self, package::Error> {
        let registries = index.map_or_else(Registries::crates_io, |index| Registries::new([index]));
        let mut files = BTreeMap::new();
        let mut readmes = BTreeMap::new();
        let archive = Archive::visit(&bytes, name, version, &limits(), |path, content| {
            files.insert(path.to_owned(), Sha256Digest::of(content));
            if path.to_ascii_lowercase().contains("readme") {
                readmes.insert(path.to_owned(), String::from_utf8(content.to_vec()).ok());
            }
        })?;
        let manifest = Manifest::of_package(&archive.manifest, name, version, &registries)?;
        let readme = readme_path(&manifest).and_then(|path| readmes.remove(path)).flatten();
        Ok(Self {
            digest: Sha256Digest::of(&bytes),
            bytes,
            name: name.to_owned(),
            version: version.to_owned(),
            archive,
            files,
            manifest,
            readme,
        })
    }

    /// The name cargo gives the file.
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}.crate", self.name, self.version)
    }

    /// What provenance is compared with.
    pub(crate) fn facts(&self, index: Option<&str>) -> CrateFacts {
        CrateFacts {
            name: self.name.clone(),
            version: self.version.clone(),
            digest: self.digest,
            package_url: package_url(&self.name, &self.version, index),
            vcs: self.archive.vcs_info.as_ref().map(|vcs| VcsInfo {
                commit: vcs.commit.clone(),
                dirty: vcs.dirty,
                path: vcs.path.clone().unwrap_or_default(),
            }),
            repository: self.manifest.repository.clone(),
        }
    }
}

/// The path of the readme, as the manifest names it.
pub(crate) fn readme_path(manifest: &Manifest) -> Option<&str> {
    manifest.document.get("package")?.get("readme")?.as_str()
}

/// Splits `NAME-VERSION.crate` before the first `-` that a version follows; a package name holds no dot, so no other fits.
pub(crate) fn name_and_version(path: &Path) -> Option<(String, String)> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".crate")?;
    stem.match_indices('-').find_map(|(at, _)| {
        let (name, version) = stem.split_at_checked(at)?;
        let version = version.strip_prefix('-')?;
        Version::parse(version).ok()?;
        (!name.is_empty()).then(|| (name.to_owned(), version.to_owned()))
    })
}

/// crates.io's limits, but for the size of the file: private registries are often set higher.
pub(crate) fn limits() -> Limits {
    Limits {
        compressed_bytes: 256 << 20,
        unpacked_bytes: 1 << 30,
        ..Limits::default()
    }
}

fn refusal(error: &package::Error) -> Failure {
    Failure::new(Exit::Refused, error.code(), error).hint("make it with `cargo package`")
}

/// Why a file cannot be a crate.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{}` is not named `NAME-VERSION.crate`", path.display())]
    Name { path: PathBuf },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Usage, "crate-name", &error).hint("keep the name that `cargo package` gave it")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    /// A `.crate` of these members.
    pub(crate) fn pack(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(content.len()).unwrap());
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, path, *content).unwrap();
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&builder.into_inner().unwrap()).unwrap();
        gzip.finish().unwrap()
    }

    /// A crate `a` 1.0.0 with this manifest beside its library.
    pub(crate) fn crate_a(manifest: &str) -> Vec<u8> {
        let vcs = br#"{"git":{"sha1":"0123456789012345678901234567890123456789"},"path_in_vcs":"crates/a"}"#;
        pack(&[
            ("a-1.0.0/Cargo.toml", manifest.as_bytes()),
            ("a-1.0.0/.cargo_vcs_info.json", vcs),
            ("a-1.0.0/README.md", b"# a"),
            ("a-1.0.0/src/lib.rs", b""),
        ])
    }

    const MANIFEST: &str = "[package]\nname = \"a\"\nversion = \"1.0.0\"\nreadme = \"README.md\"\n";

    #[test]
    fn names_split_before_the_version() {
        let split = |name: &str| name_and_version(Path::new(name)).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(split("d/serde-1.0.0.crate").as_deref(), Some("serde 1.0.0"));
        assert_eq!(split("foo-1-0.1.0.crate").as_deref(), Some("foo-1 0.1.0"));
        assert_eq!(split("a-b-1.0.0-rc.1+x-2.crate").as_deref(), Some("a-b 1.0.0-rc.1+x-2"));
        for bad in ["serde.crate", "serde-1.0.crate", "serde-1.0.0.tar", "-1.0.0.crate"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_crate_is_read_whole() {
        let file = CrateFile::from_bytes(crate_a(MANIFEST), "a", "1.0.0", None).unwrap();
        assert_eq!(file.readme.as_deref(), Some("# a"));
        assert_eq!(file.files["src/lib.rs"], Sha256Digest::of(b""));
        let facts = file.facts(None);
        assert_eq!(facts.vcs.unwrap().path, "crates/a");
        assert_eq!(facts.package_url, "pkg:cargo/a@1.0.0");
    }

    #[test]
    fn a_manifest_of_another_crate_is_refused() {
        let other = crate_a(&MANIFEST.replace("\"a\"", "\"b\""));
        let refused = CrateFile::from_bytes(other, "a", "1.0.0", None).unwrap_err();
        assert_eq!(refused.code(), "package-manifest-name");
    }
}
