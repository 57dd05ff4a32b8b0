//! Whether the manifest inside a crate explains an edge of a lock file.
//!
//! Cargo writes an edge into `Cargo.lock` because the registry's index line says so. An edge that the manifest inside the
//! crate does not explain is one that a registry or mirror added to a crate whose archive, checksum and signature are honest.

use semver::{Version, VersionReq};

use crate::description::{Dependency, DependencyKind, Description, Registries, Source};

/// A package at the end of an edge, as the lock file names it.
#[derive(Clone, Copy, Debug)]
pub struct Used<'a> {
    /// Package name.
    pub name: &'a str,
    /// Locked version.
    pub version: &'a Version,
    /// Index URL of its registry, with or without `registry+` and `sparse+`; none for a package from git or a path, which no index
    /// line can name: only the user's own `[patch]` puts one there.
    pub index: Option<&'a str>,
}

/// Why a manifest does not explain an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unexplained {
    /// The manifest names no such package.
    Unnamed,
    /// It names the package for tests, examples and benches only, which nobody but the package itself builds.
    Development,
    /// It names the package, in other versions.
    Requirement {
        /// The canonical requirements of those it names.
        named: Vec<String>,
    },
    /// It names the package and version, from another registry.
    Registry {
        /// Index URLs of those it names.
        named: Vec<String>,
    },
}

impl Description {
    /// Whether a manifest, read with these registries, explains that the package uses another. Optional dependencies and those of any target do: a lock file is of
    /// all features that are asked for and of all targets.
    ///
    /// # Errors
    /// [`Unexplained`], by how near the manifest comes to it.
    pub fn explain(&self, used: &Used<'_>, registries: &Registries) -> Result<(), Unexplained> {
        let named = self.dependencies.iter().filter(|known| known.package == used.name);
        let (development, built): (Vec<&Dependency>, Vec<&Dependency>) =
            named.partition(|known| known.kind == DependencyKind::Development);
        if built.is_empty() {
            return Err(if development.is_empty() {
                Unexplained::Unnamed
            } else {
                Unexplained::Development
            });
        }
        let fits = |known: &&Dependency| {
            VersionReq::parse(&known.requirement).is_ok_and(|requirement| requirement.matches(used.version))
        };
        let (fitting, others): (Vec<&Dependency>, Vec<&Dependency>) = built.into_iter().partition(fits);
        if fitting.is_empty() {
            return Err(Unexplained::Requirement {
                named: others.iter().map(|known| known.requirement.clone()).collect(),
            });
        }
        let Some(index) = used.index else { return Ok(()) };
        let found = registries.of_registry(Some(index));
        if fitting.iter().any(|known| known.source == found) {
            return Ok(());
        }
        Err(Unexplained::Registry {
            named: fitting.iter().map(|known| index_url(&known.source)).collect(),
        })
    }
}

fn index_url(source: &Source) -> String {
    match source {
        Source::Registry(index) => index.clone(),
        Source::Own => "the package's own registry".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    const MANIFEST: &str = r#"
[package]
name = "a"
version = "1.0.0"
[dependencies]
plain = "1.2"
short = { package = "long-name", version = "0.3", optional = true }
ours = { version = "1", registry-index = "sparse+https://r.example/index/" }
[dependencies.twice]
version = "1"
[target.'cfg(windows)'.dependencies]
windows = ">=0.50, <0.60"
[target.'cfg(unix)'.dependencies.twice2]
package = "twice"
version = "2"
[build-dependencies]
builder = "=1.0.1"
[dev-dependencies]
tester = "1"
both = "1"
[build_dependencies]
ignored = "1"
"#;

    fn explain_by(registries: &Registries, index: Option<&str>, name: &str, version: &str) -> Result<(), Unexplained> {
        let manifest = Manifest::from_toml(MANIFEST, registries).unwrap();
        let version = version.parse().unwrap();
        let used = Used {
            name,
            version: &version,
            index,
        };
        manifest.description.explain(&used, registries)
    }

    fn explain_from(index: Option<&str>, name: &str, version: &str) -> Result<(), Unexplained> {
        explain_by(&Registries::default(), index, name, version)
    }

    fn explain(name: &str, version: &str) -> Result<(), Unexplained> {
        explain_from(Some(CRATES_IO), name, version)
    }

    #[test]
    fn every_way_to_name_a_dependency_explains_its_edge() {
        for (name, version) in [
            ("plain", "1.9.0"),
            ("long-name", "0.3.7"),
            ("windows", "0.58.0"),
            ("twice", "1.0.0"),
            ("twice", "2.4.0"),
            ("builder", "1.0.1+metadata"),
        ] {
            assert_eq!(explain(name, version), Ok(()), "{name} {version}");
        }
        for index in [
            "sparse+https://index.crates.io/",
            "https://github.com/rust-lang/crates.io-index",
        ] {
            assert_eq!(explain_from(Some(index), "plain", "1.2.0"), Ok(()), "{index}");
        }
        assert_eq!(
            explain_from(Some("sparse+https://r.example/index/"), "ours", "1.0.0"),
            Ok(())
        );
    }

    #[test]
    fn what_the_manifest_does_not_name_is_unexplained() {
        for name in ["evil", "short", "Plain", "long_name", "ignored"] {
            assert_eq!(explain(name, "1.2.0"), Err(Unexplained::Unnamed), "{name}");
        }
    }

    #[test]
    fn a_dependency_of_tests_explains_nothing() {
        assert_eq!(explain("tester", "1.0.0"), Err(Unexplained::Development));
    }

    #[test]
    fn another_version_is_unexplained() {
        for (name, version, named) in [
            ("plain", "2.0.0", "^1.2"),
            ("plain", "1.1.9", "^1.2"),
            ("plain", "1.3.0-alpha.1", "^1.2"),
            ("builder", "1.0.2", "=1.0.1"),
            ("windows", "0.60.0", ">=0.50, <0.60"),
        ] {
            let named = vec![named.to_owned()];
            assert_eq!(
                explain(name, version),
                Err(Unexplained::Requirement { named }),
                "{name} {version}"
            );
        }
    }

    #[test]
    fn another_registry_is_unexplained_and_a_patch_is_the_users() {
        let named = vec!["https://github.com/rust-lang/crates.io-index".to_owned()];
        assert_eq!(
            explain_from(Some("sparse+https://r.example/index/"), "plain", "1.2.0"),
            Err(Unexplained::Registry { named })
        );
        let named = vec!["https://r.example/index".to_owned()];
        assert_eq!(explain("ours", "1.0.0"), Err(Unexplained::Registry { named }));
        assert_eq!(explain_from(None, "plain", "1.2.0"), Ok(()));
        assert_eq!(explain_from(None, "evil", "1.2.0"), Err(Unexplained::Unnamed));
    }
    #[test]
    fn urls_that_are_said_to_name_one_registry_do() {
        let mirror = "sparse+https://mirror.example/";
        let alike = Registries::default().alike([mirror, CRATES_IO]);
        assert!(explain_from(Some(mirror), "plain", "1.2.0").is_err());
        assert_eq!(explain_by(&alike, Some(mirror), "plain", "1.2.0"), Ok(()));
        assert_eq!(explain_by(&alike, Some(CRATES_IO), "plain", "1.2.0"), Ok(()));
        assert!(explain_by(&alike, Some(mirror), "ours", "1.0.0").is_err());
        let own = Registries::new(["sparse+https://r.example/index/"]);
        assert_eq!(
            explain_by(&own, Some("sparse+https://r.example/index"), "ours", "1.0.0"),
            Ok(())
        );
        assert!(explain_by(&own, Some("sparse+https://r.example/index"), "plain", "1.2.0").is_err());
    }
}
