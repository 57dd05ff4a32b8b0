//! What manifest, publish request and index line each say of a package, in one comparable form.

use std::collections::{BTreeMap, BTreeSet};

use semver::VersionReq;
use serde::{Deserialize, Serialize};

/// Name, version, dependencies, features and `links`: everything the resolver acts on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Package name as published.
    pub name: String,
    /// Version as published.
    pub version: String,
    /// Dependencies; a duplicate is one.
    pub dependencies: BTreeSet<Dependency>,
    /// Features and what each enables, unordered.
    pub features: BTreeMap<String, BTreeSet<String>>,
    /// `links`.
    pub links: Option<String>,
}

/// When a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DependencyKind {
    /// Ordinary.
    Normal,
    /// Of build scripts.
    Build,
    /// Of tests, examples and benches.
    Development,
}

impl DependencyKind {
    /// `normal`, `build`, `dev`, as registries write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Build => "build",
            Self::Development => "dev",
        }
    }
}

/// Where a dependency comes from, as seen from the registry of the package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// The package's own registry.
    Own,
    /// Another registry, by its index URL.
    Registry(String),
}

/// A dependency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dependency {
    /// Name in the manifest.
    pub name: String,
    /// Package it names; equal to `name` without a rename.
    pub package: String,
    /// Canonical version requirement: `^1.2`.
    pub requirement: String,
    /// Kind.
    pub kind: DependencyKind,
    /// `cfg(…)` or a triple, without white space.
    pub target: Option<String>,
    /// Features it enables.
    pub features: BTreeSet<String>,
    /// Whether it is optional.
    pub optional: bool,
    /// Whether it enables default features.
    pub default_features: bool,
    /// Where it comes from.
    pub source: Source,
}

/// Which index URLs name one registry. Kept without scheme prefix and trailing slash each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// Those of the package's own registry.
    own: BTreeSet<String>,
    /// Further registries that are known by several URLs; the first of each stands for all.
    alike: Vec<Vec<String>>,
}

impl Registries {
    /// A registry known by these index URLs (`sparse+https://…` and the git URL are two spellings of one registry).
    #[must_use]
    pub fn new<'a>(own: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            own: own.into_iter().map(canonical_index).collect(),
            alike: Vec::new(),
        }
    }

    /// The same, knowing that these URLs name one registry: an old and a new address, or a registry that passes on what another has.
    #[must_use]
    pub fn alike<'a>(mut self, urls: impl IntoIterator<Item = &'a str>) -> Self {
        self.alike.push(urls.into_iter().map(canonical_index).collect());
        self
    }

    /// crates.io.
    #[must_use]
    pub fn crates_io() -> Self {
        Self::new([CRATES_IO_GIT])
    }

    /// What a manifest means by `registry-index`: without it, crates.io.
    #[must_use]
    pub fn of_manifest(&self, index: Option<&str>) -> Source {
        self.source(index.unwrap_or(CRATES_IO_GIT))
    }

    /// What a publish request or index line means by `registry`: without it, the package's own.
    #[must_use]
    pub fn of_registry(&self, index: Option<&str>) -> Source {
        index.map_or(Source::Own, |index| self.source(index))
    }

    /// A description that was written when fewer URLs were known, as it would be written now.
    #[must_use]
    pub fn known_now(&self, description: Description) -> Description {
        let known = |mut dependency: Dependency| {
            if let Source::Registry(index) = &dependency.source {
                dependency.source = self.source(index);
            }
            dependency
        };
        Description {
            dependencies: description.dependencies.into_iter().map(known).collect(),
            ..description
        }
    }

    fn source(&self, index: &str) -> Source {
        let index = canonical_index(index);
        let group = self.alike.iter().find(|group| group.contains(&index));
        let index = group.and_then(|group| group.first()).unwrap_or(&index);
        if self.own.contains(index) {
            Source::Own
        } else {
            Source::Registry(index.clone())
        }
    }
}

/// A point on which two descriptions differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Name or version.
    Package {
        /// In the manifest.
        manifest: String,
        /// In the other.
        other: String,
    },
    /// A dependency that the manifest does not have: cargo would build it all the same.
    AddedDependency(Dependency),
    /// A dependency that only the manifest has.
    MissingDependency(Dependency),
    /// A feature that is added, missing or enables other things.
    Feature(String),
    /// `links`.
    Links,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Package { manifest, other } => format!("package is `{other}`, the manifest inside says `{manifest}`"),
            Self::AddedDependency(added) => format!("dependency `{added}` is not in the manifest inside"),
            Self::MissingDependency(missing) => format!("dependency `{missing}` of the manifest inside is missing"),
            Self::Feature(name) => format!("feature `{name}` differs from the manifest inside"),
            Self::Links => "`links` differs from the manifest inside".to_owned(),
        };
        f.write_str(&crate::error::shorten(&text))
    }
}

/// `name = "requirement" (kind)`.
impl std::fmt::Display for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.package, self.requirement, self.kind.as_str())
    }
}

impl Description {
    /// Where `other` (a publish request or an index line) differs from this, the manifest inside the archive.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        if (&self.name, &self.version) != (&other.name, &other.version) {
            found.push(Difference::Package {
                manifest: format!("{} {}", self.name, self.version),
                other: format!("{} {}", other.name, other.version),
            });
        }
        let added = other
            .dependencies
            .difference(&self.dependencies)
            .cloned()
            .map(Difference::AddedDependency);
        let missing = self
            .dependencies
            .difference(&other.dependencies)
            .cloned()
            .map(Difference::MissingDependency);
        found.extend(added.chain(missing));
        let names: BTreeSet<&String> = self.features.keys().chain(other.features.keys()).collect();
        let changed = names
            .into_iter()
            .filter(|name| self.features.get(*name) != other.features.get(*name));
        found.extend(changed.map(|name| Difference::Feature(name.clone())));
        if self.links != other.links {
            found.push(Difference::Links);
        }
        found
    }
}

/// The canonical text of a version requirement: `1.2` and `^1.2` are one.
pub(crate) fn canonical_requirement(text: &str) -> Option<String> {
    Some(VersionReq::parse(text).ok()?.to_string())
}

/// A target as cargo prints it, without white space and trailing commas.
pub(crate) fn canonical_target(text: &str) -> String {
    let mut dense = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        while c == ')' && dense.ends_with(',') {
            dense.pop();
        }
        dense.push(c);
    }
    dense
}

/// An index URL without scheme prefix and trailing slash; crates.io by one of its two.
fn canonical_index(index: &str) -> String {
    let mut index = index.trim_end_matches('/');
    while let Some(rest) = index
        .strip_prefix("registry+")
        .or_else(|| index.strip_prefix("sparse+"))
    {
        index = rest;
    }
    let index = if index == CRATES_IO_SPARSE {
        CRATES_IO_GIT
    } else {
        index
    };
    index.to_owned()
}

const CRATES_IO_GIT: &str = "https://github.com/rust-lang/crates.io-index";
const CRATES_IO_SPARSE: &str = "https://index.crates.io";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_index_is_its_own_canonical_form() {
        let canonical = canonical_index("registry+sparse+https://r.example/index//");
        assert_eq!(canonical, "https://r.example/index");
        assert_eq!(canonical_index(&canonical), canonical);
    }

    #[test]
    fn a_canonical_target_is_its_own_canonical_form() {
        for (written, canonical) in [
            ("cfg( any( unix , windows , ) )", "cfg(any(unix,windows))"),
            ("cfg(any(unix,, ),)", "cfg(any(unix))"),
            ("x86_64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
        ] {
            assert_eq!(canonical_target(written), canonical);
            assert_eq!(canonical_target(canonical), canonical);
        }
    }
}
