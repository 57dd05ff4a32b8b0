//! Whether the manifest that cargo generated, `Cargo.toml`, says what the one it was made of does, `Cargo.toml.orig`.
//!
//! Whoever reads a crate reads the original; cargo builds by the generated one. What differs between them by rule [cargo,
//! `prepare_for_publish`] is allowed for: values inherited from a workspace, names of registries, dependencies of tests without a
//! version and the features that name them, targets that were inferred. The rest must be the same.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::{
    Error,
    description::{canonical_requirement, canonical_target},
    error::shorten,
};

/// A point on which the generated manifest departs from the original.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Departure {
    /// A key of the package or of its library.
    Key {
        /// Which.
        key: &'static str,
        /// In the original; empty when absent.
        original: String,
        /// In the generated one.
        generated: String,
    },
    /// A dependency that the original does not have.
    AddedDependency(String),
    /// A dependency that only the original has.
    MissingDependency(String),
    /// A dependency of which something is changed.
    ChangedDependency {
        /// Which, with its section.
        dependency: String,
        /// What is changed.
        what: &'static str,
    },
    /// A feature that is added, missing or enables other things.
    Feature(String),
    /// A program that the original does not have, or at another path.
    Program(String),
}

impl std::fmt::Display for Departure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Key {
                key,
                original,
                generated,
            } => format!("`{key}` is `{generated}`, originally `{original}`"),
            Self::AddedDependency(name) => format!("dependency `{name}` is not in the original"),
            Self::MissingDependency(name) => format!("dependency `{name}` of the original is missing"),
            Self::ChangedDependency { dependency, what } => format!("{what} of dependency `{dependency}` is changed"),
            Self::Feature(name) => format!("feature `{name}` is not as in the original"),
            Self::Program(name) => format!("program `{name}` is not in the original, or at another path"),
        };
        f.write_str(&shorten(&text))
    }
}

/// Where `generated` departs from `original`; empty when it says the same.
///
/// # Errors
/// [`Error::Manifest`] when the generated one is not TOML, [`Error::OriginalManifest`] when the original is not: TOML was once read
/// more generously, so of an old crate that is no sign of anything.
pub fn departures(generated: &str, original: &str) -> Result<Vec<Departure>, Error> {
    let generated: Table = generated.parse().map_err(|_| Error::Manifest { field: "not TOML" })?;
    let original = original.trim_start_matches('\u{feff}');
    let original: Table = original.parse().map_err(|_| Error::OriginalManifest)?;
    let mut comparison = Comparison::default();
    comparison.package(&generated, &original);
    let dropped = comparison.dependencies(&generated, &original);
    comparison.features(&generated, &original, &dropped);
    comparison.library(&generated, &original);
    comparison.programs(&generated, &original);
    Ok(comparison.found)
}

#[derive(Default)]
struct Comparison {
    found: Vec<Departure>,
}

impl Comparison {
    fn differs(&mut self, key: &'static str, generated: &str, original: &str) {
        self.found.push(Departure::Key {
            key,
            original: original.to_owned(),
            generated: generated.to_owned(),
        });
    }

    fn package(&mut self, generated: &Table, original: &Table) {
        let (generated, original) = (package(generated), package(original));
        for key in ["name", "version", "links"] {
            let inherited = original.get(key).is_some_and(is_inherited);
            let (ours, theirs) = (text(generated, &[key]), text(original, &[key]));
            if !inherited && ours.trim() != theirs.trim() {
                self.differs(key, ours, theirs);
            }
        }
        let (ours, theirs) = (build(generated), build(original));
        if !ours.may_come_of(&theirs) {
            self.differs("build", &ours.to_string(), &theirs.to_string());
        }
    }

    /// Gives the names of the dependencies that cargo dropped.
    fn dependencies(&mut self, generated: &Table, original: &Table) -> BTreeSet<String> {
        let (ours, mut theirs) = (dependencies(generated), dependencies(original));
        let mut dropped = BTreeSet::new();
        for (place, dependency) in &ours {
            match theirs.remove(place) {
                None => self.found.push(Departure::AddedDependency(place.to_string())),
                Some(original) => {
                    let changed = dependency.change_since(&original);
                    self.found.extend(changed.map(|what| Departure::ChangedDependency {
                        dependency: place.to_string(),
                        what,
                    }));
                }
            }
        }
        for (place, dependency) in theirs {
            if place.section == DEVELOPMENT && (dependency.requirement.is_none() || dependency.inherited) {
                dropped.insert(place.name);
            } else {
                self.found.push(Departure::MissingDependency(place.to_string()));
            }
        }
        dropped
    }

    fn features(&mut self, generated: &Table, original: &Table, dropped: &BTreeSet<String>) {
        let (ours, theirs) = (features(generated), features(original));
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        for name in names {
            let same = match (ours.get(name), theirs.get(name)) {
                (Some(ours), Some(theirs)) => {
                    let kept = theirs.iter().filter(|enabled| !names_any(enabled, dropped));
                    kept.eq(ours.iter().filter(|enabled| !names_any(enabled, dropped)))
                }
                _ => false,
            };
            if !same {
                self.found.push(Departure::Feature(name.clone()));
            }
        }
    }

    /// The library's source and kind. Cargo leaves out a library whose source is not packaged, and spells out one it found.
    fn library(&mut self, generated: &Table, original: &Table) {
        let nothing = Table::new();
        let ours = section(generated, &["lib"]);
        if ours.is_none() && package(generated).get("autolib").and_then(Value::as_bool) == Some(false) {
            return;
        }
        let ours = ours.unwrap_or(&nothing);
        let theirs = section(original, &["lib"]).unwrap_or(&nothing);
        let (path, original_path) = (library_path(ours), library_path(theirs));
        // Before the 2018 edition a library was found under its name, too.
        let name = text(package(original), &["name"]);
        let by_name = [name, &name.replace('-', "_"), text(theirs, &["name"])]
            .iter()
            .any(|name| path == format!("src/{name}.rs"));
        let found = !theirs.contains_key("path") && by_name;
        if path != original_path && !found {
            self.differs("lib.path", &path, &original_path);
        }
        let (ours, theirs) = (kinds(ours), kinds(theirs));
        if ours != theirs {
            self.differs("lib.crate-type", &listed(&ours), &listed(&theirs));
        }
    }

    /// Where programs are. Cargo leaves out those that are not packaged, and spells out those it found.
    fn programs(&mut self, generated: &Table, original: &Table) {
        let declared = programs(original);
        for program in programs(generated) {
            let (name, path) = (text(program, &["name"]), clean(text(program, &["path"])));
            let mut of_name = declared.iter().filter(|known| text(known, &["name"]) == name);
            if of_name.clone().any(|known| clean(text(known, &["path"])) == path) {
                continue;
            }
            let same = match of_name.next().map(|known| clean(text(known, &["path"]))) {
                Some(declared) if !declared.is_empty() => path == declared,
                declared => {
                    let by_name = declared.is_some() && path == format!("src/{name}.rs");
                    path.is_empty() || path == "src/main.rs" || path.starts_with("src/bin/") || by_name
                }
            };
            if !same {
                self.found.push(Departure::Program(name.to_owned()));
            }
        }
    }
}

/// `package.build`.
#[derive(Debug, PartialEq, Eq)]
enum Build {
    /// `build.rs` where there is one.
    Inferred,
    None,
    Scripts(Vec<String>),
}

impl Build {
    /// Cargo spells out a script that it found, and leaves out one that is not packaged.
    fn may_come_of(&self, original: &Self) -> bool {
        let found = |paths: &[String]| paths.iter().eq(["build.rs"]);
        match (self, original) {
            (Self::None, _) | (Self::Inferred, Self::Inferred) => true,
            (Self::Scripts(ours), Self::Scripts(theirs)) => ours == theirs,
            (Self::Scripts(paths), Self::Inferred) | (Self::Inferred, Self::Scripts(paths)) => found(paths),
            (Self::Scripts(_) | Self::Inferred, Self::None) => false,
        }
    }
}

impl std::fmt::Display for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inferred => f.write_str(""),
            Self::None => f.write_str("false"),
            Self::Scripts(paths) => f.write_str(&paths.join(", ")),
        }
    }
}

fn build(package: &Table) -> Build {
    match package.get("build") {
        Some(Value::Boolean(false)) => Build::None,
        Some(Value::String(path)) => Build::Scripts(vec![clean(path)]),
        Some(Value::Array(paths)) => Build::Scripts(
            paths
                .iter()
                .map(|path| clean(path.as_str().unwrap_or_default()))
                .collect(),
        ),
        _ => Build::Inferred,
    }
}

/// Where a dependency stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    target: Option<String>,
    section: &'static str,
    name: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(target) = &self.target {
            write!(f, "target.'{target}'.")?;
        }
        write!(f, "{}.{}", self.section, self.name)
    }
}

/// A dependency as it is written.
#[derive(Debug)]
struct Written {
    /// Canonical; none when the dependency is of a path or git repository alone.
    requirement: Option<String>,
    package: String,
    features: BTreeSet<String>,
    optional: bool,
    default_features: bool,
    registry: WrittenRegistry,
    inherited: bool,
}

/// The registry of a dependency as it is written.
#[derive(Debug, PartialEq, Eq)]
enum WrittenRegistry {
    /// Not at all: crates.io.
    Default,
    /// By its index.
    Index(String),
    /// By a name, for which cargo writes the index.
    Name,
}

impl Written {
    fn new(name: &str, value: &Value) -> Self {
        let nothing = Table::new();
        let details = value.as_table().unwrap_or(&nothing);
        let requirement = value.as_str().or_else(|| details.get("version")?.as_str());
        let flag = |keys: &[&str]| keys.iter().find_map(|key| details.get(*key)).and_then(Value::as_bool);
        let words = |key| words(details.get(key));
        Self {
            requirement: requirement.map(|text| canonical_requirement(text).unwrap_or_else(|| text.to_owned())),
            package: match text(details, &["package"]) {
                "" => name.to_owned(),
                package => package.to_owned(),
            },
            features: words("features"),
            optional: flag(&["optional"]).unwrap_or(false),
            default_features: flag(&["default-features", "default_features"]).unwrap_or(true),
            registry: match text(details, &["registry-index"]) {
                "" if details.contains_key("registry") => WrittenRegistry::Name,
                "" => WrittenRegistry::Default,
                index => WrittenRegistry::Index(index.to_owned()),
            },
            inherited: is_inherited(value),
        }
    }

    /// What is changed since the original. Of an inherited one the workspace may say more, so only what cannot be inherited or can only
    /// grow is compared.
    fn change_since(&self, original: &Self) -> Option<&'static str> {
        if self.optional != original.optional {
            return Some("`optional`");
        }
        if original.inherited {
            return (!original.features.is_subset(&self.features)).then_some("`features`");
        }
        [
            ("`version`", self.requirement != original.requirement),
            ("`package`", self.package != original.package),
            ("`features`", self.features != original.features),
            ("`default-features`", self.default_features != original.default_features),
            (
                "`registry-index`",
                original.registry != WrittenRegistry::Name && self.registry != original.registry,
            ),
        ]
        .into_iter()
        .find_map(|(what, changed)| changed.then_some(what))
    }
}

fn dependencies(manifest: &Table) -> BTreeMap<Place, Written> {
    let mut found = BTreeMap::new();
    let mut add = |parent: &Table, target: Option<String>| {
        for [name, old] in SECTIONS {
            for (dependency, value) in section(parent, &[name, old]).into_iter().flatten() {
                let place = Place {
                    target: target.clone(),
                    section: name,
                    name: dependency.clone(),
                };
                found.insert(place, Written::new(dependency, value));
            }
        }
    };
    add(manifest, None);
    for (target, parent) in section(manifest, &["target"]).into_iter().flatten() {
        if let Some(parent) = parent.as_table() {
            add(parent, Some(canonical_target(target)));
        }
    }
    found
}

fn features(manifest: &Table) -> BTreeMap<String, BTreeSet<String>> {
    let declared = section(manifest, &["features"]).into_iter().flatten();
    declared.map(|(name, list)| (name.clone(), words(Some(list)))).collect()
}

/// Whether an entry of a feature (`dep:a`, `a`, `a/x`, `a?/x`) names one of these dependencies.
fn names_any(enabled: &str, dependencies: &BTreeSet<String>) -> bool {
    let name = enabled.split_once('/').map_or(enabled, |(name, _)| name);
    let name = name.strip_suffix('?').unwrap_or(name);
    dependencies.contains(name.strip_prefix("dep:").unwrap_or(name))
}

/// What kinds of library are made.
fn kinds(library: &Table) -> BTreeSet<String> {
    let keys = ["crate-type", "crate_type"];
    let mut kinds = words(keys.iter().find_map(|key| library.get(*key)));
    let flags = ["proc-macro", "proc_macro"];
    if flags
        .iter()
        .any(|key| library.get(*key).and_then(Value::as_bool) == Some(true))
    {
        kinds.insert("proc-macro".to_owned());
    }
    kinds
}

fn library_path(library: &Table) -> String {
    match text(library, &["path"]) {
        "" => "src/lib.rs".to_owned(),
        path => clean(path),
    }
}

fn programs(manifest: &Table) -> Vec<&Table> {
    let programs = manifest.get("bin").and_then(Value::as_array);
    programs.into_iter().flatten().filter_map(Value::as_table).collect()
}

fn package(manifest: &Table) -> &Table {
    static NOTHING: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::new);
    section(manifest, &["package", "project"]).unwrap_or(&NOTHING)
}

/// The table under the first of these keys that is there.
fn section<'a>(parent: &'a Table, keys: &[&str]) -> Option<&'a Table> {
    keys.iter().find_map(|key| parent.get(*key))?.as_table()
}

/// The text under the first of these keys that is there; empty otherwise.
fn text<'a>(parent: &'a Table, keys: &[&str]) -> &'a str {
    let found = keys.iter().find_map(|key| parent.get(*key));
    found.and_then(Value::as_str).unwrap_or_default()
}

fn words(value: Option<&Value>) -> BTreeSet<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// A path as cargo writes it.
fn clean(path: &str) -> String {
    let path = path.replace('\\', "/");
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    parts.join("/")
}

fn listed(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

const DEVELOPMENT: &str = "dev-dependencies";

/// Each section, with the spelling of before cargo's 2018 rename.
const SECTIONS: [[&str; 2]; 3] = [
    ["dependencies", "dependencies"],
    ["build-dependencies", "build_dependencies"],
    [DEVELOPMENT, "dev_dependencies"],
];

#[cfg(test)]
mod tests;
