//! The body of a publish request for a prebuilt crate [cargo book, registry web API, publish].
//!
//! Everything in it comes from the manifest inside the archive, so both tell the same story.

use package::{
    Description, Registries,
    description::{Dependency, Source},
    publish::join,
};
use serde_json::{Value, json};
use toml::Table;

use crate::{
    failure::{Exit, Failure},
    release::crate_file::{CrateFile, readme_path},
};

/// The body: the JSON that describes the crate, then the crate, each after its length.
///
/// # Errors
/// Those of the crate `package`.
pub(crate) fn body(file: &CrateFile) -> Result<Vec<u8>, Failure> {
    let metadata = description(file).to_string();
    join(metadata.as_bytes(), &file.bytes).map_err(|error| Failure::new(Exit::Refused, error.code(), &error))
}

fn description(file: &CrateFile) -> Value {
    let Description {
        name,
        version,
        dependencies,
        features,
        links,
    } = &file.manifest.description;
    let empty = Table::new();
    let package = file
        .manifest
        .document
        .get("package")
        .and_then(toml::Value::as_table)
        .unwrap_or(&empty);
    let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
    let list = |key: &str| {
        package
            .get(key)
            .and_then(toml::Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let indexes = indexes(&file.manifest.document);
    json!({
        "name": name,
        "vers": version,
        "deps": dependencies.iter().map(|dependency| new_dependency(dependency, &indexes)).collect::<Vec<_>>(),
        "features": features,
        "authors": list("authors"),
        "description": text("description"),
        "documentation": text("documentation"),
        "homepage": text("homepage"),
        "readme": file.readme,
        "readme_file": readme_path(&file.manifest),
        "keywords": list("keywords"),
        "categories": list("categories"),
        "license": text("license"),
        "license_file": text("license-file"),
        "repository": text("repository"),
        "badges": file.manifest.document.get("badges").unwrap_or(&toml::Value::Table(Table::new())),
        "links": links,
        "rust_version": text("rust-version"),
    })
}

fn new_dependency(dependency: &Dependency, indexes: &[String]) -> Value {
    let registry = match &dependency.source {
        Source::Own => None,
        Source::Registry(_) => Some(spelled(&dependency.source, indexes)),
    };
    json!({
        "name": dependency.package,
        "version_req": dependency.requirement,
        "features": dependency.features,
        "optional": dependency.optional,
        "default_features": dependency.default_features,
        "target": dependency.target,
        "kind": dependency.kind.as_str(),
        "registry": registry,
        "explicit_name_in_toml": (dependency.name != dependency.package).then_some(&dependency.name),
    })
}

/// The index URL as the manifest spells it: `sparse+` and the final slash matter to cargo.
fn spelled(source: &Source, indexes: &[String]) -> String {
    let registries = Registries::default();
    let stated = indexes
        .iter()
        .find(|index| registries.of_manifest(Some(index)) == *source);
    stated.cloned().unwrap_or_else(|| match source {
        Source::Registry(index) => index.clone(),
        Source::Own => String::new(),
    })
}

/// Every `registry-index` in the manifest.
fn indexes(document: &Table) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![document];
    while let Some(table) = waiting.pop() {
        for (key, value) in table {
            match value {
                toml::Value::String(index) if key == "registry-index" => found.push(index.clone()),
                toml::Value::Table(inner) => waiting.push(inner),
                toml::Value::String(_)
                | toml::Value::Integer(_)
                | toml::Value::Float(_)
                | toml::Value::Boolean(_)
                | toml::Value::Datetime(_)
                | toml::Value::Array(_) => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use package::PublishRequest;

    use super::*;
    use crate::release::crate_file::tests::crate_a;

    const MANIFEST: &str = r#"
[package]
edition = "2024"
name = "a"
version = "1.0.0"
authors = ["A <a@example.com>"]
readme = "README.md"
license = "MIT"
repository = "https://example.com/o/a"
[dependencies.serde]
version = "1.0"
features = ["derive"]
default-features = false
[dependencies.other]
version = "0.2"
package = "real-name"
registry-index = "sparse+https://r.example/"
optional = true
[dev-dependencies.third]
version = "=3.0.0"
registry-index = "sparse+https://third.example/"
[target."cfg(unix)".build-dependencies.cc]
version = "1"
[features]
x = ["dep:other"]
"#;

    #[test]
    fn the_request_tells_the_manifests_story() {
        let index = "sparse+https://r.example/";
        let file = CrateFile::from_bytes(crate_a(MANIFEST), "a", "1.0.0", Some(index)).unwrap();
        let body = body(&file).unwrap();
        let request = PublishRequest::split(&body).unwrap();
        assert_eq!(request.archive, file.bytes);
        let told = request.description(&Registries::new([index])).unwrap();
        assert_eq!(file.manifest.description.differences(&told), []);
    }

    #[test]
    fn dependencies_are_told_as_cargo_tells_them() {
        let file = CrateFile::from_bytes(crate_a(MANIFEST), "a", "1.0.0", Some("sparse+https://r.example/")).unwrap();
        let json = description(&file);
        let named = |name: &str| {
            json["deps"]
                .as_array()
                .unwrap()
                .iter()
                .find(|dep| dep["name"] == name)
                .unwrap()
                .clone()
        };
        assert_eq!(
            named("real-name"),
            json!({"name":"real-name","version_req":"^0.2","features":[],"optional":true,"default_features":true,
                "target":null,"kind":"normal","registry":null,"explicit_name_in_toml":"other"})
        );
        assert_eq!(
            named("serde")["registry"],
            "https://github.com/rust-lang/crates.io-index"
        );
        assert_eq!(named("serde")["default_features"], false);
        assert_eq!(named("third")["registry"], "sparse+https://third.example/");
        assert_eq!(
            (&named("cc")["target"], &named("cc")["kind"]),
            (&json!("cfg(unix)"), &json!("build"))
        );
        assert_eq!(
            (&json["readme"], &json["readme_file"], &json["license"]),
            (&json!("# a"), &json!("README.md"), &json!("MIT"))
        );
    }

    #[test]
    fn for_crates_io_its_own_crates_have_no_registry() {
        let file = CrateFile::from_bytes(crate_a(MANIFEST), "a", "1.0.0", None).unwrap();
        let json = description(&file);
        let of = |name: &str| {
            json["deps"]
                .as_array()
                .unwrap()
                .iter()
                .find(|dep| dep["name"] == name)
                .unwrap()["registry"]
                .clone()
        };
        assert_eq!(of("serde"), Value::Null);
        assert_eq!(of("real-name"), "sparse+https://r.example/");
    }
}
