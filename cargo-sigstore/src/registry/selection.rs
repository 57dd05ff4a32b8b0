//! Which registry a package goes to, as cargo itself would decide.

use std::path::{Path, PathBuf};

use etcetera::home_dir;
use toml::{Table, Value};

use crate::{
    context::Context,
    failure::{Exit, Failure},
};

/// A registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registry {
    /// Its name in cargo's configuration, or its index URL where it has none there; none for crates.io.
    pub(crate) name: Option<String>,
    /// Its index URL as cargo writes it, `sparse+https://…/` or the URL of a git repository.
    pub(crate) index_url: String,
}

impl Registry {
    /// crates.io.
    pub(crate) fn crates_io() -> Self {
        Self {
            name: None,
            index_url: CRATES_IO_INDEX.to_owned(),
        }
    }

    /// The registry named `explicit`; else the only one the package may go to; else cargo's default; else crates.io.
    ///
    /// # Errors
    /// Code `registry-unknown`; `registry-forbidden` when the package may not go there.
    pub(crate) fn select(
        context: &Context,
        explicit: Option<&str>,
        allowed: Option<&[String]>,
    ) -> Result<Self, Failure> {
        let configuration = Configuration::read(context);
        let only = match allowed {
            Some([only]) => Some(only.as_str()),
            _ => None,
        };
        let default = configuration.value(context, "CARGO_REGISTRY_DEFAULT", &["registry", "default"]);
        let name = explicit
            .map(str::to_owned)
            .or_else(|| only.map(str::to_owned))
            .or(default);
        let name = name.filter(|name| name != CRATES_IO_NAME);
        let as_allowed = name.as_deref().unwrap_or(CRATES_IO_NAME);
        if allowed.is_some_and(|allowed| !allowed.iter().any(|registry| registry == as_allowed)) {
            return Err(Error::Forbidden {
                name: as_allowed.to_owned(),
                allowed: allowed.unwrap_or_default().to_vec(),
            }
            .into());
        }
        let Some(name) = name else {
            return Ok(Self::crates_io());
        };
        match configuration.value(context, &index_variable(&name), &["registries", &name, "index"]) {
            Some(index_url) => Ok(Self {
                name: Some(name),
                index_url,
            }),
            None => Err(Error::Unknown { name }.into()),
        }
    }

    /// The registry whose index a lock file names, or what takes its place in cargo's configuration; none where that is no registry,
    /// but a folder.
    pub(crate) fn of_lock_file(context: &Context, source: &str) -> Option<Self> {
        Configuration::read(context).registry_of(source, &context.known_indexes())
    }

    /// The index URL, for package URLs and comparisons: none for crates.io.
    pub(crate) fn other_index(&self) -> Option<&str> {
        self.name.as_ref().map(|_| self.index_url.as_str())
    }

    /// The name for the screen.
    pub(crate) fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or("crates.io")
    }
}

/// Part of an environment variable that names a registry: `my-reg` is `MY_REG`.
pub(crate) fn variable_part(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn index_variable(name: &str) -> String {
    format!("CARGO_REGISTRIES_{}_INDEX", variable_part(name))
}

/// `$CARGO_HOME`, else `~/.cargo`.
pub(crate) fn cargo_home(context: &Context) -> Option<PathBuf> {
    context
        .variable("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(home_dir().ok()?.join(".cargo")))
}

/// Cargo's configuration files, the strongest first.
pub(crate) struct Configuration(Vec<Table>);

impl Configuration {
    /// Reads those of the current folder, its ancestors, and cargo's home. What cannot be read cargo will complain of.
    fn read(context: &Context) -> Self {
        // Without a current folder only cargo's home is left to look in.
        Self::of(context, &std::env::current_dir().unwrap_or_default())
    }

    /// Reads those of a folder, its ancestors, and cargo's home.
    pub(crate) fn of(context: &Context, folder: &Path) -> Self {
        let folders = folder
            .ancestors()
            .map(|folder| folder.join(".cargo"))
            .chain(cargo_home(context));
        Self(folders.filter_map(|folder| read(&folder)).collect())
    }

    /// Names of the packages that `[patch]` tables in these files replace.
    pub(crate) fn patched(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(patched)
    }

    /// As [`Registry::of_lock_file`], with the variables that say where a registry is.
    fn registry_of(&self, source: &str, indexes: &[(String, String)]) -> Option<Registry> {
        let index_url = if CRATES_IO_SOURCES.contains(&source) {
            let Some(name) = self.replacement() else {
                return Some(Registry::crates_io());
            };
            let variable = index_variable(&name);
            let given = indexes.iter().find(|(known, _)| *known == variable);
            self.text(&["source", &name, "registry"])
                .or_else(|| given.map(|(_, index)| index.clone()))
                .or_else(|| self.text(&["registries", &name, "index"]))?
        } else {
            source.strip_prefix("registry+").unwrap_or(source).to_owned()
        };
        let name = self.name_of(&index_url, indexes);
        Some(Registry {
            name: Some(name.unwrap_or_else(|| index_url.clone())),
            index_url,
        })
    }

    /// The source that takes the place of crates.io.
    fn replacement(&self) -> Option<String> {
        let mut name = self.text(&["source", "crates-io", "replace-with"])?;
        for _ in 0..MOST_REPLACEMENTS {
            match self.text(&["source", &name, "replace-with"]) {
                Some(next) => name = next,
                None => break,
            }
        }
        Some(name)
    }

    /// What a registry with this index is called.
    fn name_of(&self, index_url: &str, indexes: &[(String, String)]) -> Option<String> {
        let tables = self.0.iter().filter_map(|table| table.get("registries")?.as_table());
        let mut named = tables.flatten().filter(|(_, registry)| {
            let index = registry.get("index").and_then(Value::as_str);
            index == Some(index_url)
        });
        named.next().map(|(name, _)| name.clone()).or_else(|| {
            let (variable, _) = indexes.iter().find(|(_, index)| index == index_url)?;
            let name = variable.strip_prefix("CARGO_REGISTRIES_")?.strip_suffix("_INDEX")?;
            Some(name.to_lowercase().replace('_', "-"))
        })
    }

    fn text(&self, path: &[&str]) -> Option<String> {
        self.0.iter().find_map(|table| at(table, path))
    }

    /// An environment variable, else the value at a path of keys in the strongest file that has it.
    fn value(&self, context: &Context, variable: &str, path: &[&str]) -> Option<String> {
        context.variable(variable).or_else(|| self.text(path))
    }
}

fn read(folder: &Path) -> Option<Table> {
    let text = ["config.toml", "config"]
        .iter()
        .find_map(|name| std::fs::read_to_string(folder.join(name)).ok())?;
    text.parse().ok()
}

/// Names of the packages that a manifest's or configuration's `[patch]` tables replace.
pub(crate) fn patched(table: &Table) -> Vec<String> {
    let registries = table.get("patch").and_then(Value::as_table).into_iter().flatten();
    let packages = registries.filter_map(|(_, packages)| packages.as_table()).flatten();
    packages
        .map(|(key, value)| {
            let renamed = value.get("package").and_then(Value::as_str);
            renamed.unwrap_or(key).to_owned()
        })
        .collect()
}

fn at(table: &Table, path: &[&str]) -> Option<String> {
    let (last, tables) = path.split_last()?;
    let mut table = table;
    for key in tables {
        table = table.get(*key)?.as_table()?;
    }
    table.get(*last)?.as_str().map(str::to_owned)
}

/// Why no registry can be chosen.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cargo's configuration has no registry `{name}`")]
    Unknown { name: String },
    #[error("the package may not be published to `{name}`")]
    Forbidden { name: String, allowed: Vec<String> },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Unknown { name } => Self::new(Exit::Usage, "registry-unknown", &error)
                .hint(format_args!("set `registries.{name}.index` in `.cargo/config.toml`")),
            Error::Forbidden { allowed, .. } => Self::new(Exit::Usage, "registry-forbidden", &error)
                .fact("allowed", allowed.join(", "))
                .hint("`publish` in the manifest lists where it may go; pass `--registry`"),
        }
    }
}

/// The name of crates.io in `publish = […]` and `--registry`.
const CRATES_IO_NAME: &str = "crates-io";
/// How lock files name crates.io.
const CRATES_IO_SOURCES: [&str; 2] = ["registry+https://github.com/rust-lang/crates.io-index", CRATES_IO_INDEX];
/// One source takes the place of another, that of a third; cargo refuses a circle.
const MOST_REPLACEMENTS: usize = 16;
/// The index of crates.io.
const CRATES_IO_INDEX: &str = "sparse+https://index.crates.io/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_path() {
        let table: Table = "[registries.my-reg]\nindex = \"sparse+https://r.example/\""
            .parse()
            .unwrap();
        assert_eq!(
            at(&table, &["registries", "my-reg", "index"]).as_deref(),
            Some("sparse+https://r.example/")
        );
        assert_eq!(at(&table, &["registries", "other", "index"]), None);
        assert_eq!(at(&table, &["registries", "my-reg"]), None);
    }

    #[test]
    fn patched_packages_are_named_by_key_or_rename() {
        let table: Table = "[patch.crates-io]\na = { path = \"a\" }\nb2 = { package = \"b\", git = \"https://x\" }\n\
                            [patch.\"https://r.example\"]\nc = \"1\"\n"
            .parse()
            .unwrap();
        assert_eq!(patched(&table), ["a", "b", "c"]);
        assert_eq!(patched(&Table::new()), Vec::<String>::new());
    }

    /// Name and index of the registry that is asked about a crate of this source, with this configuration of cargo.
    fn asked(source: &str, configuration: &str) -> Option<(Option<String>, String)> {
        let configuration = Configuration(vec![configuration.parse().unwrap()]);
        let variables = [(
            "CARGO_REGISTRIES_MY_OWN_INDEX".to_owned(),
            "sparse+https://my.example/".to_owned(),
        )];
        let registry = configuration.registry_of(source, &variables)?;
        Some((registry.name, registry.index_url))
    }

    #[test]
    fn a_crate_is_asked_about_where_cargo_gets_it() {
        let [git, sparse] = CRATES_IO_SOURCES;
        let named = |name: &str, index: &str| Some((Some(name.to_owned()), index.to_owned()));
        let crates_io = Some((None, CRATES_IO_INDEX.to_owned()));
        let mirror = "sparse+https://gate.example/index/";
        for source in [git, sparse] {
            assert_eq!(asked(source, ""), crates_io);
            for replaced in [
                format!("[source.crates-io]\nreplace-with = \"gate\"\n[source.gate]\nregistry = \"{mirror}\""),
                format!("[source.crates-io]\nreplace-with = \"gate\"\n[registries.gate]\nindex = \"{mirror}\""),
                format!(
                    "[source.crates-io]\nreplace-with = \"a\"\n[source.a]\nreplace-with = \"b\"\n[source.b]\nregistry = \"{mirror}\""
                ),
            ] {
                let (_, index) = asked(source, &replaced).unwrap();
                assert_eq!(index, mirror, "{replaced}");
            }
            let vendored = "[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"vendor\"";
            assert_eq!(asked(source, vendored), None);
            let circle = "[source.crates-io]\nreplace-with = \"a\"\n[source.a]\nreplace-with = \"a\"";
            assert_eq!(asked(source, circle), None);
        }
        let own = "sparse+https://r.example/index/";
        assert_eq!(asked(own, ""), named(own, own));
        let configured =
            format!("[registries.other]\nindex = \"sparse+https://o.example/\"\n[registries.own]\nindex = \"{own}\"");
        assert_eq!(asked(own, &configured), named("own", own));
        let mine = "sparse+https://my.example/";
        assert_eq!(asked(mine, ""), named("my-own", mine));
        let in_place = asked(git, "[source.crates-io]\nreplace-with = \"my-own\"");
        assert_eq!(in_place, named("my-own", mine));
        let in_git = asked("registry+https://r.example/index.git", "");
        assert_eq!(
            in_git,
            named("https://r.example/index.git", "https://r.example/index.git")
        );
    }

    #[test]
    fn a_registrys_variable_is_upper_case() {
        assert_eq!(variable_part("my-reg"), "MY_REG");
    }
}
