//! Bundles in files: one in `*.sigstore.json`, one a line in `*.jsonl`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use verify::{Budget, Bundle, bundle::Content, statement::Statement};

use crate::{failure::Failure, file};

/// Reads every bundle in a file.
///
/// # Errors
/// Codes `file-read`, `file-size`; that of the bundle that is malformed, with its line.
pub(crate) fn read(path: &Path) -> Result<Vec<Bundle>, Failure> {
    let budget = Budget::default();
    let bytes = file::read(path, FILE_BYTES)?;
    let malformed = |error: verify::Error, at: &str| {
        Failure::from(error).while_doing(format_args!("`{}`{at} is no bundle", path.display()))
    };
    if !is_lines(path) {
        let bundle = Bundle::from_json(&bytes, &budget).map_err(|error| malformed(error, ""))?;
        return Ok(vec![bundle]);
    }
    let mut bundles = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if bundles.len() >= FILE_BUNDLES {
            let error = verify::Error::TooMany {
                what: "bundles",
                limit: FILE_BUNDLES,
            };
            return Err(malformed(error, ""));
        }
        let bundle = Bundle::from_json(line, &budget);
        bundles.push(bundle.map_err(|error| malformed(error, &format!(", line {number},")))?);
    }
    Ok(bundles)
}

/// The predicate types of what bundles state. Nothing is verified.
pub(crate) fn stated(bundles: &[Bundle]) -> BTreeSet<String> {
    let budget = Budget::default();
    let statements = bundles.iter().filter_map(|bundle| match &bundle.content {
        Content::Dsse(envelope) => Statement::from_json(&envelope.payload, &budget).ok(),
        Content::Message { .. } => None,
    });
    statements.map(|statement| statement.predicate_type).collect()
}

/// One bundle a line.
pub(crate) fn to_lines<'a>(bundles: impl IntoIterator<Item = &'a Bundle>) -> String {
    let mut lines = String::new();
    for bundle in bundles {
        lines.push_str(&bundle.to_json());
        lines.push('\n');
    }
    lines
}

/// The files beside an artifact that may hold its bundles: all of them, else one.
pub(crate) fn beside(artifact: &Path) -> Option<PathBuf> {
    ["sigstore.jsonl", "sigstore.json"]
        .iter()
        .map(|extension| {
            let mut name = artifact.as_os_str().to_owned();
            name.push(".");
            name.push(extension);
            PathBuf::from(name)
        })
        .find(|path| path.is_file())
}

fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

/// A handful of bundles with a large bill of materials each.
const FILE_BYTES: usize = 96 << 20;
/// More statements about one artifact than anybody makes.
const FILE_BUNDLES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bundles_are_preferred_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let artifact = folder.path().join("a-1.0.0.crate");
        assert_eq!(beside(&artifact), None);
        std::fs::write(folder.path().join("a-1.0.0.crate.sigstore.json"), "").unwrap();
        assert!(beside(&artifact).unwrap().ends_with("a-1.0.0.crate.sigstore.json"));
        std::fs::write(folder.path().join("a-1.0.0.crate.sigstore.jsonl"), "").unwrap();
        assert!(beside(&artifact).unwrap().ends_with("a-1.0.0.crate.sigstore.jsonl"));
    }

    #[test]
    fn a_malformed_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "\n{}\n").unwrap();
        let failure = read(&path).unwrap_err();
        assert!(failure.message().contains(", line 2, is no bundle"), "{failure:?}");
    }
}
