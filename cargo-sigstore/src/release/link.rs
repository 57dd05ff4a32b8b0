//! The in-toto link of the package step, made with the `in-toto` crate and written as predicate link v0.3.
//!
//! Materials are the files that went into the `.crate`, products the `.crate` itself; in v0.3 the products are the
//! statement's subjects, so they stand there.

use std::collections::{BTreeMap, HashMap};

use in_toto::{
    crypto::{HashAlgorithm, HashValue},
    models::{
        LinkMetadata, LinkMetadataBuilder, TargetDescription, VirtualTargetPath, byproducts::ByProducts, step::Command,
    },
};
use verify::{Sha256Digest, link::Link};

use crate::{
    failure::{Exit, Failure},
    release::crate_file::CrateFile,
};

/// Name of the step.
pub(crate) const STEP: &str = "package";

/// The link of packaging the files in `file`.
///
/// # Errors
/// Code `link` when a path is none that in-toto takes.
pub(crate) fn link(
    file: &CrateFile,
    command: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<Link, Failure> {
    let materials = file.files.iter().map(|(path, digest)| described(path, *digest));
    let metadata = LinkMetadataBuilder::new()
        .name(STEP.to_owned())
        .materials(materials.collect::<Result<_, _>>()?)
        .products(BTreeMap::from([described(&file.file_name(), file.digest)?]))
        // Python's in-toto refuses a link whose environment is null.
        .env(Some(environment.clone()))
        .byproducts(ByProducts::new().set_return_value(0))
        .command(Command::from(command.to_vec()))
        .build()
        .map_err(|source| Failure::from(Error::InToto { source }))?;
    predicate(&metadata)
}

/// A file as in-toto names it.
fn described(path: &str, digest: Sha256Digest) -> Result<(VirtualTargetPath, TargetDescription), Failure> {
    let target = VirtualTargetPath::new(path.to_owned()).map_err(|source| Error::InToto { source })?;
    let hashes = HashMap::from([(HashAlgorithm::Sha256, HashValue::new(digest.0.to_vec()))]);
    Ok((target, hashes))
}

/// The predicate with what the link holds, except its products.
fn predicate(metadata: &LinkMetadata) -> Result<Link, Failure> {
    let object = |value: Result<serde_json::Value, serde_json::Error>| match value {
        Ok(serde_json::Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let mut materials = Vec::with_capacity(metadata.materials.len());
    for (path, hashes) in &metadata.materials {
        let hash = hashes.get(&HashAlgorithm::Sha256).map(HashValue::value);
        let hash: [u8; 32] = hash.and_then(|hash| hash.try_into().ok()).ok_or(Error::Hash)?;
        materials.push(Link::material(path.value(), &Sha256Digest(hash)));
    }
    Ok(Link {
        name: metadata.name.clone(),
        command: command_words(metadata),
        materials,
        byproducts: object(serde_json::to_value(&metadata.byproducts)),
        environment: object(serde_json::to_value(&metadata.env)),
    })
}

fn command_words(metadata: &LinkMetadata) -> Vec<String> {
    let words = serde_json::to_value(&metadata.command).and_then(serde_json::from_value);
    words.unwrap_or_default()
}

/// Why no link can be made.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot make the in-toto link")]
    InToto { source: in_toto::Error },
    #[error("cannot make the in-toto link: a material has no SHA-256")]
    Hash,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Refused, "link", &error).hint("file names in the package must be plain relative paths")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::crate_file::tests::crate_a;

    #[test]
    fn materials_are_the_packaged_files() {
        let bytes = crate_a("[package]\nname = \"a\"\nversion = \"1.0.0\"\n");
        let file = CrateFile::from_bytes(bytes, "a", "1.0.0", None).unwrap();
        let command = ["cargo".to_owned(), "package".to_owned()];
        let value = link(&file, &command, &BTreeMap::new()).unwrap().to_value();
        assert_eq!(value["name"], "package");
        assert_eq!(value["command"], serde_json::json!(["cargo", "package"]));
        let names: Vec<_> = value["materials"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, [".cargo_vcs_info.json", "Cargo.toml", "README.md", "src/lib.rs"]);
        assert_eq!(
            value["materials"][3]["digest"]["sha256"],
            Sha256Digest::of(b"").to_string()
        );
        assert_eq!(value["byproducts"], serde_json::json!({"return-value": 0}));
        assert_eq!(value["environment"], serde_json::json!({}));
    }
}
