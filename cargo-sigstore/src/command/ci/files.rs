//! The files that `crate-files` names: paths and patterns, a line each.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use crate::failure::{Exit, Failure};

/// The files that match any of the patterns, each once: in the order of the patterns, and those of one pattern sorted.
///
/// `*` and `?` stand for characters within a name, a part `**` for any number of folders; names that begin with a dot
/// must be named. Links to folders are not followed.
///
/// # Errors
/// Code `ci-files` for a pattern that matches no file, or too many.
pub(super) fn expand(patterns: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let (mut all, mut known) = (Vec::new(), BTreeSet::new());
    for pattern in patterns {
        let mut found = matching(pattern);
        found.sort();
        if found.is_empty() {
            let error = Error::NoFile(pattern.clone());
            return Err(Failure::new(Exit::Usage, "ci-files", &error)
                .hint("check that the step before made or downloaded it, and where"));
        }
        all.extend(found.into_iter().filter(|path| known.insert(path.clone())));
        if all.len() > MOST_FILES {
            let failure = Failure::new(Exit::Usage, "ci-files", &Error::TooMany);
            return Err(failure.hint("name them more closely"));
        }
    }
    Ok(all)
}

fn matching(pattern: &str) -> Vec<PathBuf> {
    let path = Path::new(pattern);
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let (mut start, mut parts) = (PathBuf::new(), Vec::new());
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
                // Above the first name only: `a/../*` is not worth following.
                if !parts.is_empty() {
                    return Vec::new();
                }
                start.push(component);
            }
        }
    }
    let mut found = Vec::new();
    walk(&start, &parts, &mut found);
    found
}

fn walk(folder: &Path, parts: &[String], found: &mut Vec<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else {
        return;
    };
    if part == "**" {
        walk(folder, rest, found);
    }
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    for entry in std::fs::read_dir(here).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = folder.join(&name);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if part == "**" {
            if is_folder && !name.starts_with('.') {
                walk(&path, parts, found);
            }
        } else if !fits(part, &name) || found.len() > MOST_FILES {
        } else if rest.is_empty() {
            found.extend(Some(path).filter(|path| path.is_file()));
        } else if is_folder {
            walk(&path, rest, found);
        }
    }
}

/// Whether a name fits a pattern of `*` and `?`, in time proportional to the product of their lengths.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    // Which beginnings of the name the pattern so far accounts for.
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for wanted in pattern.chars() {
        let mut next = vec![false; reached.len()];
        let mut any_before = false;
        for (position, slot) in next.iter_mut().enumerate() {
            let before = position.checked_sub(1);
            let was = |at: Option<usize>| at.and_then(|at| reached.get(at)).copied().unwrap_or_default();
            any_before |= was(Some(position));
            let letter = before.and_then(|at| name.get(at));
            *slot = match wanted {
                '*' => any_before,
                '?' => was(before) && letter.is_some(),
                _ => was(before) && letter == Some(&wanted),
            };
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

/// Why files are refused.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no file matches `{0}`")]
    NoFile(String),
    #[error("the patterns match more than {MOST_FILES} files")]
    TooMany,
}

/// No workspace has this many crates; a signature each would be a mistake.
const MOST_FILES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, expected) in [
            ("*.crate", "a-1.0.0.crate", true),
            ("*.crate", ".crate", false),
            (".*", ".a", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("*", "", true),
            ("é*", "été", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)));
    }

    #[test]
    fn files_are_found_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.crate", "a.crate", "deep/er/c.crate", ".hidden/d.crate", "x.txt"] {
            file::write(&folder.path().join(name), b"x").unwrap();
        }
        let at = |pattern: &str| format!("{}/{pattern}", folder.path().display());
        let names = |patterns: &[String]| -> Vec<String> {
            expand(patterns).unwrap().iter().map(|path| file::name(path)).collect()
        };
        assert_eq!(names(&[at("*.crate")]), ["a.crate", "b.crate"]);
        assert_eq!(names(&[at("b.crate"), at("*.crate")]), ["b.crate", "a.crate"]);
        assert_eq!(names(&[at("**/*.crate")]), ["a.crate", "b.crate", "c.crate"]);
        assert_eq!(names(&[at("deep/*/c.crate")]), ["c.crate"]);
        for nothing in ["*.none", "deep", "deep/../*.crate"] {
            assert_eq!(expand(&[at(nothing)]).unwrap_err().code(), "ci-files", "{nothing}");
        }
    }
}
