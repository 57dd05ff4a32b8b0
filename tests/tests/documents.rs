//! The documents are true of the repository: every code is listed, every link leads somewhere.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn markdown_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            markdown_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn every_code_is_listed_and_every_listed_code_is_explained() {
    let listed = read(&root().join("docs/codes.md"));
    let mut explained = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("docs/codes")).expect("docs/codes") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        for code in read(&path).lines().filter_map(|line| line.strip_prefix("## ")) {
            explained.insert(format!("[`{code}`](codes/{file}#{code})"));
        }
    }
    assert!(explained.len() > 100, "only {} codes were found", explained.len());
    let missing: Vec<_> = explained.iter().filter(|link| !listed.contains(*link)).collect();
    assert!(missing.is_empty(), "docs/codes.md lacks {missing:?}");
    assert_eq!(
        listed.matches("](codes/").count(),
        explained.len(),
        "docs/codes.md lists what nobody explains"
    );
}

#[test]
fn every_link_leads_somewhere() {
    let mut documents = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    markdown_below(&root().join("docs"), &mut documents);
    let mut checked = 0;
    for document in &documents {
        let text = read(document);
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            let path = document.parent().expect("a folder").join(target);
            assert!(path.exists(), "{} links to {target}", document.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}
