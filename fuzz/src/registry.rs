//! What a registry and cargo write: the other side of what `package` reads.

use package::{Dependency, Description, description::Source};
use serde_json::{Map, Value, json};

/// The metadata of a publish request, as cargo writes it.
#[must_use]
pub fn request(description: &Description) -> Value {
    let dependencies = description.dependencies.iter().map(|dependency| {
        let mut written = shared(dependency);
        written["name"] = json!(dependency.package);
        written["version_req"] = json!(dependency.requirement);
        if dependency.name != dependency.package {
            written["explicit_name_in_toml"] = json!(dependency.name);
        }
        written
    });
    json!({
        "name": description.name,
        "vers": description.version,
        "deps": dependencies.collect::<Vec<_>>(),
        "features": description.features,
        "links": description.links,
    })
}

/// The index line that a registry makes of a publish request [cargo, Registry Index]. It goes by the keys of requests alone.
#[must_use]
pub fn line_of_request(request: &Value) -> Value {
    let dependencies = request["deps"].as_array().into_iter().flatten().map(|dependency| {
        let mut written = Map::new();
        for key in ["features", "optional", "default_features", "target", "kind", "registry"] {
            written.extend(dependency.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        written.insert("req".to_owned(), dependency["version_req"].clone());
        match &dependency["explicit_name_in_toml"] {
            Value::Null => written.insert("name".to_owned(), dependency["name"].clone()),
            name => {
                written.insert("package".to_owned(), dependency["name"].clone());
                written.insert("name".to_owned(), name.clone())
            }
        };
        Value::Object(written)
    });
    json!({
        "name": request["name"],
        "vers": request["vers"],
        "deps": dependencies.collect::<Vec<_>>(),
        "features": request.get("features").unwrap_or(&json!({})),
        "links": request["links"],
        "cksum": "0".repeat(64),
        "yanked": false,
    })
}

/// An index line of a package.
#[must_use]
pub fn line(description: &Description) -> Value {
    line_of_request(&request(description))
}

fn shared(dependency: &Dependency) -> Value {
    json!({
        "features": dependency.features,
        "optional": dependency.optional,
        "default_features": dependency.default_features,
        "target": dependency.target,
        "kind": dependency.kind.as_str(),
        "registry": match &dependency.source {
            Source::Own => None,
            Source::Registry(index) => Some(index),
        },
    })
}
