//! Which registry a package goes to, as cargo itself would decide.

use std::path::{Path, PathBuf};

use etcetera::home_dir;
use toml::Table;

use crate::{
    context::Context,
    failure::{Exit, Failure},
};

/// A registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registry {
    /// Its name in cargo's configuration; none for crates.io.
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
        let variable = format!("CARGO_REGISTRIES_{}_INDEX", variable_part(&name));
        let index_url = configuration.value(context, &variable, &["registries", &name, "index"]);
        match index_url {
            Some(index_url) => Ok(Self {
                name: Some(name),
                index_url,
            }),
            None => Err(Error::Unknown { name }.into()),
        }
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

/// `$CARGO_HOME`, else `~/.cargo`.
pub(crate) fn cargo_home(context: &Context) -> Option<PathBuf> {
    context
        .variable("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(home_dir().ok()?.join(".cargo")))
}

/// Cargo's configuration files, the strongest first.
struct Configuration(Vec<Table>);

impl Configuration {
    /// Reads those of the current folder, its ancestors, and cargo's home. What cannot be read cargo will complain of.
    fn read(context: &Context) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let folders = here
            .ancestors()
            .map(|folder| folder.join(".cargo"))
            .chain(cargo_home(context));
        Self(folders.filter_map(|folder| read(&folder)).collect())
    }

    /// An environment variable, else the value at a path of keys in the strongest file that has it.
    fn value(&self, context: &Context, variable: &str, path: &[&str]) -> Option<String> {
        context
            .variable(variable)
            .or_else(|| self.0.iter().find_map(|table| at(table, path)))
    }
}

fn read(folder: &Path) -> Option<Table> {
    let text = ["config.toml", "config"]
        .iter()
        .find_map(|name| std::fs::read_to_string(folder.join(name)).ok())?;
    text.parse().ok()
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
    fn a_registrys_variable_is_upper_case() {
        assert_eq!(variable_part("my-reg"), "MY_REG");
    }
}
