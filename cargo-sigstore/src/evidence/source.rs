//! Whether a crate holds what its commit holds, by a clone that the user has.
//!
//! Every file must be the one of its path at the commit. Three are cargo's own: `.cargo_vcs_info.json`, `Cargo.lock` where it was made
//! anew, and `Cargo.toml`, which must say what `Cargo.toml.orig` does, whose path at the commit is `Cargo.toml`. A readme or licence that
//! cargo took from outside the package's folder must be a file of its name somewhere at the commit.
//!
//! Contents are compared by SHA-256: nothing rests on git's own SHA-1 but what the clone's owner fetched.

use std::path::Path;

use package::original::departures;
use serde_json::{Value, json};

use crate::{
    evidence::source::repository::{Repository, Tree},
    failure::{Exit, Failure},
    printer::visible,
    release::crate_file::{CrateFile, readme_path},
};

mod repository;

/// A crate that holds what its commit holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equality {
    /// The commit.
    pub(crate) commit: String,
    /// Whether the certificate names that commit; else only the crate itself does.
    pub(crate) attested: bool,
    /// How many files were compared.
    files: usize,
    /// Whether cargo made the lock file anew, so that nothing is said of it.
    regenerated_lock: bool,
}

impl Equality {
    /// The equality as JSON.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "commit": self.commit,
            "attested": self.attested,
            "files": self.files,
            "lockfileRegenerated": self.regenerated_lock,
        })
    }

    /// The equality in words.
    pub(crate) fn line(&self, label: &str) -> String {
        let named = if self.attested { "attested" } else { "unattested" };
        let lock = if self.regenerated_lock {
            "; of `Cargo.lock` nothing is said, cargo made it anew"
        } else {
            ""
        };
        format!(
            "`{label}` holds what the {named} commit {} holds: {} files{lock}",
            self.commit, self.files
        )
    }
}

/// Compares a crate with a commit of the clone at `folder`; without one, with the commit that the crate names itself.
///
/// # Errors
/// Code `source-differs` when it holds something else; `source-unavailable` when nobody could look.
pub(crate) fn compare(folder: &Path, file: &CrateFile, attested: Option<&str>) -> Result<Equality, Failure> {
    let label = file.file_name();
    let Some(vcs) = &file.archive.vcs_info else {
        return Err(Error::NoCommit { label }.into());
    };
    let commit = attested.unwrap_or(&vcs.commit);
    let differs = |path: &str, found: &str| {
        let error = Error::Differs {
            label: label.clone(),
            commit: commit.to_owned(),
        };
        Failure::from(error).fact("file", visible(path)).fact("found", found)
    };
    if vcs.commit != *commit {
        return Err(differs(VCS_INFO, &format!("commit {}", vcs.commit)));
    }
    if vcs.dirty {
        return Err(differs(VCS_INFO, "uncommitted changes"));
    }
    if let Some(original) = &file.archive.original_manifest
        && !departures(&file.archive.manifest, original).is_ok_and(|departures| departures.is_empty())
    {
        return Err(differs("Cargo.toml", "not what `Cargo.toml.orig` says"));
    }
    let mut repository = Repository::open(folder, commit)?;
    let tree = repository.tree()?;
    // A package at the top of its repository has no path in it [cargo, `.cargo_vcs_info.json`].
    let base = vcs.path.as_deref().unwrap_or_default();
    let mut equality = Equality {
        commit: commit.to_owned(),
        attested: attested.is_some(),
        files: 0,
        regenerated_lock: false,
    };
    let outside = from_outside(file);
    for (path, digest) in &file.files {
        let Some(stands_at) = place(path, file.archive.original_manifest.is_some()) else {
            continue;
        };
        let candidates = candidates(&tree, base, stands_at, &outside);
        let mut found = false;
        for id in &candidates {
            found = found || repository.digest(id)? == *digest;
        }
        if found {
            equality.files = equality.files.saturating_add(1);
        } else if path == "Cargo.lock" {
            equality.regenerated_lock = true;
        } else {
            let found = if candidates.is_empty() {
                "no such file at the commit"
            } else {
                "another content at the commit"
            };
            return Err(differs(path, found));
        }
    }
    Ok(equality)
}

/// Where a file of the crate stands below the package's folder; nothing for what cargo writes itself.
const fn place(path: &str, has_original: bool) -> Option<&str> {
    match path.as_bytes() {
        b".cargo_vcs_info.json" => None,
        b"Cargo.toml" if has_original => None,
        b"Cargo.toml.orig" => Some("Cargo.toml"),
        _ => Some(path),
    }
}

/// Ids of the blobs that a file may be.
fn candidates<'t>(tree: &'t Tree, base: &str, path: &str, outside: &[&str]) -> Vec<&'t str> {
    match tree.blob(base, path) {
        Some(id) => vec![id],
        None if outside.contains(&path) => tree.named(path),
        None => Vec::new(),
    }
}

/// What cargo copies into the package's folder from wherever the manifest says [cargo, `readme` and `license-file`].
fn from_outside(file: &CrateFile) -> Vec<&str> {
    let package = file.manifest.document.get("package");
    let licence = package.and_then(|package| package.get("license-file")?.as_str());
    readme_path(&file.manifest).into_iter().chain(licence).collect()
}

/// Why equality with the source is not established.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{label}` does not hold what commit {commit} holds")]
    Differs { label: String, commit: String },
    #[error("`{label}` names no commit, so it cannot be compared with one")]
    NoCommit { label: String },
    #[error("the clone at `{folder}` has no branch or tag that holds commit {commit}")]
    Unreachable { folder: String, commit: String },
    #[error("git cannot read commit {commit} at `{folder}`")]
    Git {
        folder: String,
        commit: String,
        cause: String,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Differs { .. } => Self::new(Exit::Refused, "source-differs", &error)
                .hint("do not build it before you know why: compare the crate with the commit, and ask its publisher"),
            Error::NoCommit { .. } => Self::new(Exit::Unavailable, "source-unavailable", &error)
                .hint("leave `--source` out; crates packaged outside a repository name no commit"),
            Error::Unreachable { .. } => Self::new(Exit::Unavailable, "source-unavailable", &error).hint(
                "fetch branches and tags of the attested repository; a commit that only a fork has does not count",
            ),
            Error::Git { cause, .. } => Self::new(Exit::Unavailable, "source-unavailable", &error)
                .fact("git", visible(cause))
                .hint("`--source` takes a clone of the attested repository, with its files"),
        }
    }
}

const VCS_INFO: &str = ".cargo_vcs_info.json";

#[cfg(test)]
mod tests;
