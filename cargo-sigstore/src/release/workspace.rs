//! Which packages of a workspace are published, and in which order.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, Package};

use crate::failure::{Exit, Failure};

/// The packages to publish, those that others depend on first.
///
/// # Errors
/// [`Error::Unknown`], [`Error::NotPublished`], [`Error::Nothing`], [`Error::Ambiguous`], [`Error::Cycle`].
pub(crate) fn select<'a>(
    metadata: &'a Metadata,
    names: &[String],
    whole: bool,
    exclude: &[String],
) -> Result<Vec<&'a Package>, Error> {
    let members = metadata.workspace_packages();
    let published = |package: &Package| package.publish.as_ref().is_none_or(|registries| !registries.is_empty());
    let mut selected: BTreeMap<&str, &Package> = BTreeMap::new();
    if whole {
        let wanted = members.iter().filter(|package| published(package));
        selected.extend(wanted.map(|package| (package.name.as_str(), *package)));
        selected.retain(|name, _| !exclude.iter().any(|excluded| excluded == name));
    } else if names.is_empty() {
        let package = the_only(metadata, &members)?;
        selected.insert(package.name.as_str(), package);
    } else {
        for name in names {
            let package = members.iter().find(|package| package.name.as_str() == name);
            let package = *package.ok_or_else(|| Error::Unknown { name: name.clone() })?;
            selected.insert(package.name.as_str(), package);
        }
    }
    if let Some(package) = selected.values().find(|package| !published(package)) {
        return Err(Error::NotPublished {
            name: package.name.to_string(),
        });
    }
    if selected.is_empty() {
        return Err(Error::Nothing);
    }
    in_order(selected)
}

/// The package in the current folder, or the only one there is.
fn the_only<'a>(metadata: &'a Metadata, members: &[&'a Package]) -> Result<&'a Package, Error> {
    if let Some(package) = metadata.root_package() {
        return Ok(package);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let in_this_folder = members.iter().find(|package| {
        let folder = package.manifest_path.parent();
        folder.is_some_and(|folder| here.starts_with(folder))
    });
    match (in_this_folder, members) {
        (Some(package), _) | (None, [package]) => Ok(package),
        _ => Err(Error::Ambiguous {
            names: members.iter().map(|package| package.name.to_string()).collect(),
        }),
    }
}

/// Sorts so that a package comes after those it depends on. Dev-dependencies do not count: cargo lets them form cycles.
fn in_order<'a>(mut rest: BTreeMap<&'a str, &'a Package>) -> Result<Vec<&'a Package>, Error> {
    let mut order = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let waits = |package: &Package| {
            package.dependencies.iter().any(|dependency| {
                dependency.kind != DependencyKind::Development
                    && dependency.path.is_some()
                    && rest.contains_key(dependency.name.as_str())
            })
        };
        let ready: BTreeSet<&str> = rest
            .iter()
            .filter(|(_, package)| !waits(package))
            .map(|(name, _)| *name)
            .collect();
        if ready.is_empty() {
            return Err(Error::Cycle);
        }
        order.extend(ready.iter().filter_map(|name| rest.remove(name)));
    }
    Ok(order)
}

/// Refuses when git, as `git` starts it, knows of uncommitted changes in these folders. Without git there is nothing to
/// compare with.
///
/// # Errors
/// [`Error::Dirty`].
pub(crate) fn refuse_dirty(folders: &[PathBuf], git: impl Fn() -> Command) -> Result<(), Error> {
    for folder in folders {
        let changed = uncommitted(folder, git());
        if !changed.is_empty() {
            return Err(Error::Dirty {
                folder: folder.clone(),
                changed,
            });
        }
    }
    Ok(())
}

/// What `git status` lists, at most ten lines.
fn uncommitted(folder: &Path, mut git: Command) -> Vec<String> {
    let output = git
        .arg("-C")
        .arg(folder)
        .args(["status", "--porcelain", "--untracked-files=all", "--", "."])
        .output();
    let Ok(output) = output else {
        return Vec::new();
    };
    if !output.status.success() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().take(10).map(|line| line.trim().to_owned()).collect()
}

/// Why a package cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Not in the workspace.
    #[error("the workspace has no package `{name}`")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// `publish = false`.
    #[error("`{name}` says `publish = false`")]
    NotPublished {
        /// Its name.
        name: String,
    },
    /// Nothing left.
    #[error("the workspace has no package to publish")]
    Nothing,
    /// Several packages, none named.
    #[error("the workspace has several packages")]
    Ambiguous {
        /// Their names.
        names: Vec<String>,
    },
    /// Packages depend on each other.
    #[error("the packages depend on each other in a circle")]
    Cycle,
    /// Uncommitted changes.
    #[error("`{}` has uncommitted changes", folder.display())]
    Dirty {
        /// Which folder.
        folder: PathBuf,
        /// Lines of `git status`.
        changed: Vec<String>,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = |exit, code, hint: &str| Self::new(exit, code, &error).hint(hint);
        match &error {
            Error::Unknown { .. } | Error::Nothing | Error::Cycle => failure(
                Exit::Usage,
                "package-selection",
                "`cargo metadata --no-deps` lists the packages",
            ),
            Error::NotPublished { .. } => failure(
                Exit::Usage,
                "package-selection",
                "remove `publish = false` from its manifest, or name another package",
            ),
            Error::Ambiguous { names } => {
                let hint = format!("pass `--workspace`, or `--package` with one of: {}", names.join(", "));
                failure(Exit::Usage, "package-selection", &hint)
            }
            Error::Dirty { changed, .. } => failure(
                Exit::Refused,
                "tree-dirty",
                "commit or stash them, or pass `--allow-dirty`: the provenance then says so",
            )
            .fact("changed", changed.join("\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(packages: &[(&str, &[&str], bool)]) -> Metadata {
        let id = |name: &str| format!("path+file:///w/{name}#{name}@1.0.0");
        let listed: Vec<_> = packages
            .iter()
            .map(|(name, dependencies, published)| {
                let dependencies: Vec<_> = dependencies
                    .iter()
                    .map(|dependency| {
                        serde_json::json!({"name":dependency,"source":null,"req":"^1","kind":null,"rename":null,"optional":false,
                        "uses_default_features":true,"features":[],"target":null,"registry":null,"path":format!("/w/{dependency}")})
                    })
                    .collect();
                serde_json::json!({"name":name,"version":"1.0.0","id":id(name),"source":null,"dependencies":dependencies,
                "targets":[],"features":{},"manifest_path":format!("/w/{name}/Cargo.toml"),"edition":"2024","authors":[],
                "categories":[],"keywords":[],"metadata":null,"publish":if *published {None} else {Some(Vec::<String>::new())}})
            })
            .collect();
        let ids: Vec<_> = packages.iter().map(|(name, ..)| id(name)).collect();
        serde_json::from_value(
            serde_json::json!({"packages":listed,"workspace_members":ids,"workspace_default_members":ids,
            "resolve":null,"target_directory":"/w/target","version":1,"workspace_root":"/w","metadata":null}),
        )
        .unwrap()
    }

    fn names(selected: &[&Package]) -> Vec<String> {
        selected.iter().map(|package| package.name.to_string()).collect()
    }

    #[test]
    fn dependencies_come_first() {
        let metadata = metadata(&[("a", &["c"], true), ("b", &[], true), ("c", &["b"], true)]);
        assert_eq!(names(&select(&metadata, &[], true, &[]).unwrap()), ["b", "c", "a"]);
    }

    #[test]
    fn what_is_not_published_is_left_out_or_refused() {
        let metadata = metadata(&[("a", &[], true), ("b", &[], false)]);
        assert_eq!(names(&select(&metadata, &[], true, &[]).unwrap()), ["a"]);
        let refused = select(&metadata, &["b".to_owned()], false, &[]).unwrap_err();
        assert_eq!(refused, Error::NotPublished { name: "b".to_owned() });
    }

    #[test]
    fn a_circle_is_refused() {
        let metadata = metadata(&[("a", &["b"], true), ("b", &["a"], true)]);
        assert_eq!(select(&metadata, &[], true, &[]).unwrap_err(), Error::Cycle);
    }

    #[test]
    fn an_unknown_or_unnamed_package_is_refused() {
        let metadata = metadata(&[("a", &[], true), ("b", &[], true)]);
        let unknown = select(&metadata, &["z".to_owned()], false, &[]).unwrap_err();
        assert_eq!(unknown, Error::Unknown { name: "z".to_owned() });
        assert!(matches!(
            select(&metadata, &[], false, &[]),
            Err(Error::Ambiguous { .. })
        ));
        assert_eq!(names(&select(&metadata, &["b".to_owned()], false, &[]).unwrap()), ["b"]);
    }

    #[test]
    fn an_uncommitted_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
            let mut command = Command::new("git");
            command.arg("-C").arg(folder.path()).args(identity).args(arguments);
            assert!(command.output().unwrap().status.success(), "{arguments:?}");
        };
        git(&["init", "-q"]);
        std::fs::write(folder.path().join("a"), "1").unwrap();
        git(&["add", "a"]);
        git(&["commit", "-qm", "a"]);
        let folders = [folder.path().to_owned()];
        assert_eq!(refuse_dirty(&folders, || Command::new("git")), Ok(()));
        std::fs::write(folder.path().join("b"), "1").unwrap();
        let refused = refuse_dirty(&folders, || Command::new("git")).unwrap_err();
        assert!(matches!(refused, Error::Dirty { changed, .. } if changed == ["?? b"]));
    }
}
