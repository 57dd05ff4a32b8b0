//! The manifest inside an archive [cargo, The Manifest Format], as far as the resolver acts on it.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::{
    Error,
    description::{Dependency, DependencyKind, Description, Registries, canonical_requirement, canonical_target},
};

/// What else a manifest says, beyond its [`Description`].
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What the resolver acts on.
    pub description: Description,
    /// `repository`.
    pub repository: Option<String>,
    /// `license`.
    pub license: Option<String>,
    /// `description`.
    pub summary: Option<String>,
    /// The whole document.
    pub document: Table,
}

impl Manifest {
    /// Reads a normalized `Cargo.toml`; `registries` tells which registry the package is published to.
    ///
    /// # Errors
    /// [`Error::Manifest`] naming what is malformed; workspace inheritance and sources without a version are.
    pub fn from_toml(text: &str, registries: &Registries) -> Result<Self, Error> {
        let document: Table = text.parse().map_err(|_| Error::Manifest { field: "not TOML" })?;
        let package =
            table(&document, &["package", "project"], "package")?.ok_or(Error::Manifest { field: "package" })?;
        let required = |key, field| string(package, key, field)?.ok_or(Error::Manifest { field });
        let description = Description {
            name: required("name", "package.name")?,
            version: required("version", "package.version")?,
            dependencies: dependencies(&document, registries)?,
            features: features(&document)?,
            links: string(package, "links", "package.links")?,
        };
        Ok(Self {
            description,
            repository: string(package, "repository", "package.repository")?,
            license: string(package, "license", "package.license")?,
            summary: string(package, "description", "package.description")?,
            document,
        })
    }

    /// [`Self::from_toml`], when it is the manifest of this package.
    ///
    /// # Errors
    /// [`Error::ManifestName`] when it names another, and those of [`Self::from_toml`].
    pub fn of_package(text: &str, name: &str, version: &str, registries: &Registries) -> Result<Self, Error> {
        let manifest = Self::from_toml(text, registries)?;
        let Description {
            name: found_name,
            version: found_version,
            ..
        } = &manifest.description;
        if (found_name.as_str(), found_version.as_str()) != (name, version) {
            let expected = crate::error::shorten(&format!("{name} {version}"));
            let found = crate::error::shorten(&format!("{found_name} {found_version}"));
            return Err(Error::ManifestName { expected, found });
        }
        Ok(manifest)
    }
}

fn dependencies(document: &Table, registries: &Registries) -> Result<BTreeSet<Dependency>, Error> {
    let mut found = BTreeSet::new();
    sections(document, None, registries, &mut found)?;
    for (target, section) in table(document, &["target"], "target")?.into_iter().flatten() {
        let section = section.as_table().ok_or(Error::Manifest { field: "target" })?;
        sections(section, Some(&canonical_target(target)), registries, &mut found)?;
    }
    Ok(found)
}

fn sections(
    parent: &Table,
    target: Option<&String>,
    registries: &Registries,
    found: &mut BTreeSet<Dependency>,
) -> Result<(), Error> {
    for (names, kind) in SECTIONS {
        for (name, value) in table(parent, &names, "dependencies")?.into_iter().flatten() {
            found.insert(dependency(name, value, kind, target, registries)?);
        }
    }
    Ok(())
}

fn dependency(
    name: &str,
    value: &Value,
    kind: DependencyKind,
    target: Option<&String>,
    registries: &Registries,
) -> Result<Dependency, Error> {
    let empty = Table::new();
    let (details, version) = match value {
        Value::String(version) => (&empty, Some(version.clone())),
        Value::Table(details) => (details, string(details, "version", "dependency version")?),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) => {
            return Err(Error::Manifest { field: "dependency" });
        }
    };
    // A dependency without a version is one from git or a path: cargo publishes neither.
    let requirement = version.as_deref().and_then(canonical_requirement);
    let default_features = boolean(details, &["default-features", "default_features"])?.unwrap_or(true);
    Ok(Dependency {
        name: name.to_owned(),
        package: string(details, "package", "dependency package")?.unwrap_or_else(|| name.to_owned()),
        requirement: requirement.ok_or(Error::Manifest {
            field: "dependency version",
        })?,
        kind,
        target: target.cloned(),
        features: strings(details.get("features"), "dependency features")?,
        optional: boolean(details, &["optional"])?.unwrap_or(false),
        default_features,
        source: registries.of_manifest(string(details, "registry-index", "dependency registry")?.as_deref()),
    })
}

fn features(document: &Table) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let declared = table(document, &["features"], "features")?;
    declared
        .into_iter()
        .flatten()
        .map(|(name, list)| Ok((name.clone(), strings(Some(list), "features")?)))
        .collect()
}

/// The table under the first of these keys that is there.
fn table<'a>(parent: &'a Table, keys: &[&str], field: &'static str) -> Result<Option<&'a Table>, Error> {
    let found = keys.iter().find_map(|key| parent.get(*key));
    found
        .map(|value| value.as_table().ok_or(Error::Manifest { field }))
        .transpose()
}

fn string(parent: &Table, key: &str, field: &'static str) -> Result<Option<String>, Error> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(Error::Manifest { field });
    parent.get(key).map(text).transpose()
}

fn boolean(parent: &Table, keys: &[&str]) -> Result<Option<bool>, Error> {
    let found = keys.iter().find_map(|key| parent.get(*key));
    found
        .map(|value| {
            value.as_bool().ok_or(Error::Manifest {
                field: "dependency flag",
            })
        })
        .transpose()
}

fn strings(value: Option<&Value>, field: &'static str) -> Result<BTreeSet<String>, Error> {
    let Some(value) = value else { return Ok(BTreeSet::new()) };
    let items = value.as_array().ok_or(Error::Manifest { field })?;
    items
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or(Error::Manifest { field }))
        .collect()
}

/// Each section, with the spelling of before cargo's 2018 rename.
const SECTIONS: [([&str; 2], DependencyKind); 3] = [
    (["dependencies", "dependencies"], DependencyKind::Normal),
    (["build-dependencies", "build_dependencies"], DependencyKind::Build),
    (["dev-dependencies", "dev_dependencies"], DependencyKind::Development),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{Difference, Source};

    const MANIFEST: &str = r#"
[package]
name = "a"
version = "1.2.3"
repository = "https://example.com/a"
links = "z"
[dependencies.b]
version = "1.0"
features = ["x"]
optional = true
default-features = false
package = "real-b"
[target.'cfg( unix )'.build-dependencies]
c = "0.3"
[dev_dependencies]
d = "*"
[features]
default = ["dep:b"]
"#;

    fn read(text: &str) -> Result<Manifest, Error> {
        Manifest::from_toml(text, &Registries::crates_io())
    }

    #[test]
    fn every_section_and_detail_is_read() {
        let manifest = read(MANIFEST).unwrap();
        let description = manifest.description;
        assert_eq!(
            (description.name.as_str(), description.links.as_deref()),
            ("a", Some("z"))
        );
        let found: Vec<_> = description.dependencies.iter().collect();
        assert_eq!(found.len(), 3);
        assert_eq!(
            (found[0].package.as_str(), found[0].requirement.as_str()),
            ("real-b", "^1.0")
        );
        assert!(found[0].optional && !found[0].default_features && found[0].features.contains("x"));
        assert_eq!(
            (found[1].kind, found[1].target.as_deref()),
            (DependencyKind::Build, Some("cfg(unix)"))
        );
        assert_eq!(
            (found[2].kind, &found[2].source),
            (DependencyKind::Development, &Source::Own)
        );
        assert_eq!(description.features["default"].len(), 1);
    }

    #[test]
    fn a_manifest_of_another_package_is_refused() {
        let registries = Registries::crates_io();
        assert!(Manifest::of_package(MANIFEST, "a", "1.2.3", &registries).is_ok());
        for (name, version) in [("b", "1.2.3"), ("a", "1.2.4"), ("A", "1.2.3")] {
            let refused = Manifest::of_package(MANIFEST, name, version, &registries).unwrap_err();
            assert_eq!(refused.code(), "package-manifest-name");
        }
    }

    #[test]
    fn a_dependency_without_a_version_is_refused() {
        let git = MANIFEST.replace("d = \"*\"", "d = { git = \"https://example.com\" }");
        assert_eq!(
            read(&git).unwrap_err(),
            Error::Manifest {
                field: "dependency version"
            }
        );
    }

    #[test]
    fn malformed_manifests_are_refused() {
        for (from, to) in [
            ("[package]", "[package"),
            ("name = \"a\"", "name = 1"),
            ("version = \"1.2.3\"", ""),
            ("c = \"0.3\"", "c = \"not a requirement\""),
            ("c = \"0.3\"", "c = 3"),
            ("optional = true", "optional = \"yes\""),
            ("features = [\"x\"]", "features = [1]"),
            ("default = [\"dep:b\"]", "default = \"b\""),
        ] {
            assert!(MANIFEST.contains(from));
            assert_eq!(
                read(&MANIFEST.replacen(from, to, 1)).unwrap_err().code(),
                "package-manifest",
                "{to}"
            );
        }
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let honest = read(MANIFEST).unwrap().description;
        assert_eq!(honest.differences(&honest), []);
        let other = |from: &str, to: &str| {
            assert!(MANIFEST.contains(from));
            honest.differences(&read(&MANIFEST.replacen(from, to, 1)).unwrap().description)
        };
        let added = other("[dev_dependencies]", "[dev_dependencies]\nevil = \"1\"");
        assert!(matches!(added.as_slice(), [Difference::AddedDependency(evil)] if evil.name == "evil"));
        assert!(matches!(
            other("d = \"*\"", "").as_slice(),
            [Difference::MissingDependency(_)]
        ));
        for (from, to) in [
            ("version = \"1.0\"", "version = \"1.1\""),
            ("package = \"real-b\"", ""),
            ("optional = true", ""),
            ("default-features = false", ""),
            ("features = [\"x\"]", ""),
            ("cfg( unix )", "cfg(windows)"),
            ("build-dependencies", "dependencies"),
            (
                "c = \"0.3\"",
                "c = { version = \"0.3\", registry-index = \"https://other.example\" }",
            ),
        ] {
            assert_eq!(other(from, to).len(), 2, "one added and one missing: {to}");
        }
        assert_eq!(other("[\"dep:b\"]", "[]"), [Difference::Feature("default".to_owned())]);
        assert_eq!(other("links = \"z\"", ""), [Difference::Links]);
        assert!(matches!(
            other("1.2.3", "1.2.4").as_slice(),
            [Difference::Package { .. }]
        ));
    }
}
