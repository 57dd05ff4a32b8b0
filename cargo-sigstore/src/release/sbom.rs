//! A software bill of materials [CycloneDX 1.6, JSON], from `cargo metadata` and `Cargo.lock`.
//!
//! It lists what a build of the crate with default features would use: normal and build dependencies, at the versions
//! of the workspace's lock file. It is a function of crate and lock file: no time, no random serial number.

mod spdx;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cargo_metadata::{DependencyKind, Metadata, Node, Package, PackageId};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use verify::{Budget, Sha256Digest, json, provenance::package_url};

use crate::{
    failure::{Exit, Failure},
    file,
    lockfile::Lockfile,
};

/// `https://cyclonedx.org/bom`, the predicate type other tools sign CycloneDX documents with.
pub(crate) const PREDICATE_TYPE: &str = "https://cyclonedx.org/bom";

/// The format of one that we make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SbomFormat {
    /// CycloneDX 1.6
    #[default]
    Cyclonedx,
    /// SPDX 2.3
    Spdx,
}

/// A bill of materials as it is stated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sbom {
    /// Which format: the predicate type.
    pub(crate) predicate_type: String,
    /// The predicate.
    pub(crate) document: Value,
}

impl Sbom {
    /// Reads one that another tool made: CycloneDX or SPDX in JSON.
    ///
    /// # Errors
    /// Code `sbom`; those of the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let budget = Budget::default();
        let bytes = file::read(path, budget.payload_bytes)?;
        let unusable = |error: &dyn std::error::Error| {
            Failure::new(Exit::Usage, "sbom", error)
                .while_doing(format_args!("`{}` is no bill of materials", path.display()))
                .hint("give CycloneDX, SPDX 2.2 or SPDX 2.3, in JSON")
        };
        let document = json::parse(&bytes, "bill of materials", budget.payload_bytes, budget.json_depth);
        let document = document.map_err(|error| unusable(&error))?;
        let stated = |member: &str| document.get(member).and_then(Value::as_str);
        let predicate_type = match (stated("bomFormat"), stated("spdxVersion")) {
            (Some("CycloneDX"), None) => PREDICATE_TYPE,
            (None, Some("SPDX-2.3")) => spdx::PREDICATE_TYPE,
            (None, Some("SPDX-2.2")) => "https://spdx.dev/Document/v2.2",
            _ => return Err(unusable(&UnknownFormat)),
        };
        Ok(Self {
            predicate_type: predicate_type.to_owned(),
            document,
        })
    }

    /// Whether it is one that provenance names as a by-product, `NAME-VERSION.cdx.json`.
    pub(crate) fn is_cyclonedx(&self) -> bool {
        self.predicate_type == PREDICATE_TYPE
    }
}

/// Neither `bomFormat` nor `spdxVersion` names a format that we know.
#[derive(Debug, thiserror::Error)]
#[error("it is neither CycloneDX nor SPDX")]
struct UnknownFormat;

/// A bill of materials that we make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "the specification's own names")]
pub(crate) struct Bom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: BomMetadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct BomMetadata {
    tools: Tools,
    component: Component,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct License {
    expression: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    depends_on: BTreeSet<String>,
}

impl Bom {
    /// The bill of `package`, whose `.crate` has this digest and is published to `registry` (none for crates.io).
    pub(crate) fn new(
        package: &Package,
        metadata: &Metadata,
        lockfile: &Lockfile,
        digest: Sha256Digest,
        registry: Option<&str>,
    ) -> Self {
        let graph = Graph::new(metadata);
        let used = graph.used_by(&package.id);
        let subject = package_url(&package.name, &package.version.to_string(), registry);
        let reference = |id: &PackageId| {
            if *id == package.id {
                Some(subject.clone())
            } else {
                graph.packages.get(id).map(|package| package_reference(package))
            }
        };
        let dependencies = std::iter::once(&package.id)
            .chain(used.iter().copied())
            .filter_map(|id| {
                Some(Dependency {
                    reference: reference(id)?,
                    depends_on: graph.edges(id).filter_map(reference).collect(),
                })
            })
            .collect();
        let components = used.iter().filter_map(|id| graph.packages.get(id)).map(|used| {
            let checksum = lockfile.checksum(&used.name, &used.version.to_string());
            component(used, package_reference(used), checksum)
        });
        Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            serial_number: serial_number(digest),
            version: 1,
            metadata: BomMetadata {
                tools: Tools {
                    components: vec![this_tool()],
                },
                component: component(package, subject.clone(), Some(digest)),
            },
            components: components.collect(),
            dependencies,
        }
    }

    /// The same as it is stated.
    pub(crate) fn to_sbom(&self) -> Sbom {
        Sbom {
            predicate_type: PREDICATE_TYPE.to_owned(),
            // Only a map with keys that are no strings can fail here, and this type has none.
            document: serde_json::to_value(self).unwrap_or_default(),
        }
    }
}

/// The resolved dependencies.
struct Graph<'a> {
    packages: BTreeMap<&'a PackageId, &'a Package>,
    nodes: BTreeMap<&'a PackageId, &'a Node>,
}

impl<'a> Graph<'a> {
    fn new(metadata: &'a Metadata) -> Self {
        let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        Self {
            packages: metadata.packages.iter().map(|package| (&package.id, package)).collect(),
            nodes: nodes.map(|node| (&node.id, node)).collect(),
        }
    }

    /// What `id` uses directly, other than for its own tests.
    fn edges(&self, id: &PackageId) -> impl Iterator<Item = &'a PackageId> {
        let node = self.nodes.get(id).copied();
        node.into_iter().flat_map(|node| &node.deps).filter_map(|edge| {
            let in_build = edge.dep_kinds.is_empty()
                || edge
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind != DependencyKind::Development);
            in_build.then_some(&edge.pkg)
        })
    }

    /// Everything `root` uses, itself left out.
    fn used_by(&self, root: &'a PackageId) -> BTreeSet<&'a PackageId> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![root];
        while let Some(id) = waiting.pop() {
            waiting.extend(self.edges(id).filter(|next| *next != root && seen.insert(*next)));
        }
        seen
    }
}

fn component(package: &Package, purl: String, digest: Option<Sha256Digest>) -> Component {
    // Before SPDX expressions cargo separated alternatives by a slash.
    let license = package.license.as_deref().map(|license| license.replace('/', " OR "));
    Component {
        kind: "library",
        reference: Some(purl.clone()),
        name: package.name.to_string(),
        version: package.version.to_string(),
        hashes: digest
            .map(|digest| Hash {
                alg: "SHA-256",
                content: digest.to_string(),
            })
            .into_iter()
            .collect(),
        licenses: license.map(|expression| License { expression }).into_iter().collect(),
        purl: Some(purl),
    }
}

/// The package URL of a dependency, with where it is from unless that is crates.io.
fn package_reference(package: &Package) -> String {
    let version = package.version.to_string();
    let Some(source) = &package.source else {
        return package_url(&package.name, &version, None);
    };
    if source.is_crates_io() {
        return package_url(&package.name, &version, None);
    }
    let plain = package_url(&package.name, &version, None);
    if source.repr.starts_with("git+") {
        let url: String = url::form_urlencoded::byte_serialize(source.repr.as_bytes()).collect();
        return format!("{plain}?vcs_url={url}");
    }
    let index = source.repr.strip_prefix("registry+").unwrap_or(&source.repr);
    package_url(&package.name, &version, Some(index))
}

fn this_tool() -> Component {
    Component {
        kind: "application",
        reference: None,
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hashes: Vec::new(),
        licenses: Vec::new(),
        purl: None,
    }
}

/// `urn:uuid:` and a UUID made from the crate's digest [RFC 9562 §5.8, version 8].
fn serial_number(digest: Sha256Digest) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"cargo-sigstore CycloneDX serial number\n");
    hasher.update(digest.0);
    let hash: [u8; 32] = hasher.finalize().into();
    let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15, ..] = hash;
    let (b6, b8) = ((b6 & 0x0f) | 0x80, (b8 & 0x3f) | 0x80);
    let part = |bytes: &[u8]| hex::encode(bytes);
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        part(&[b0, b1, b2, b3]),
        part(&[b4, b5]),
        part(&[b6, b7]),
        part(&[b8, b9]),
        part(&[b10, b11, b12, b13, b14, b15])
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn package(name: &str, source: Option<&str>) -> serde_json::Value {
        serde_json::json!({"name":name,"version":"1.0.0","id":name,"source":source,"dependencies":[],"targets":[],
            "features":{},"manifest_path":"/w/Cargo.toml","edition":"2024","authors":[],"categories":[],"keywords":[],
            "metadata":null,"license":"MIT/Apache-2.0"})
    }

    fn edge(name: &str, kind: Option<&str>) -> serde_json::Value {
        serde_json::json!({"name":name,"pkg":name,"dep_kinds":[{"kind":kind,"target":null}]})
    }

    fn metadata() -> Metadata {
        let node = |name: &str, deps: &[serde_json::Value]| serde_json::json!({"id":name,"deps":deps,"dependencies":[],"features":[]});
        serde_json::from_value(serde_json::json!({
            "packages":[
                package("mine", None),
                package("used", Some("registry+https://github.com/rust-lang/crates.io-index")),
                package("built", Some("sparse+https://r.example/")),
                package("tested", Some("registry+https://github.com/rust-lang/crates.io-index")),
                package("forked", Some("git+https://example.com/x?rev=1#1")),
            ],
            "workspace_members":["mine"],"workspace_default_members":["mine"],
            "resolve":{"root":"mine","nodes":[
                node("mine", &[edge("used", None), edge("built", Some("build")), edge("tested", Some("dev"))]),
                node("used", &[edge("forked", None)]), node("built", &[]), node("tested", &[]), node("forked", &[edge("used", None)]),
            ]},
            "target_directory":"/w/target","version":1,"workspace_root":"/w","metadata":null,
        }))
        .unwrap()
    }

    /// A package that uses three others.
    pub(crate) fn bom() -> Bom {
        let metadata = metadata();
        let lock = "[[package]]\nname = \"used\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"0000000000000000000000000000000000000000000000000000000000000001\"\n";
        let lockfile = Lockfile::from_toml(lock).unwrap();
        Bom::new(&metadata.packages[0], &metadata, &lockfile, Sha256Digest([7; 32]), None)
    }

    #[test]
    fn what_a_build_uses_is_listed_and_what_tests_use_is_not() {
        let value = bom().to_sbom().document;
        let names: Vec<_> = value["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["built", "forked", "used"]);
        assert_eq!(
            value["components"][2]["hashes"][0]["content"].as_str().unwrap().len(),
            64
        );
        assert_eq!(value["components"][2]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(
            value["components"][0]["purl"],
            "pkg:cargo/built@1.0.0?repository_url=sparse%2Bhttps:%2F%2Fr.example%2F"
        );
    }

    #[test]
    fn every_dependency_refers_to_a_component() {
        let value = bom().to_sbom().document;
        let mut known: BTreeSet<String> = value["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["bom-ref"].as_str().unwrap().to_owned())
            .collect();
        known.insert(value["metadata"]["component"]["bom-ref"].as_str().unwrap().to_owned());
        let dependencies = value["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), known.len());
        for dependency in dependencies {
            assert!(known.contains(dependency["ref"].as_str().unwrap()));
            for on in dependency["dependsOn"].as_array().into_iter().flatten() {
                assert!(known.contains(on.as_str().unwrap()), "{on}");
            }
        }
    }

    #[test]
    fn the_serial_number_is_a_uuid_that_only_the_digest_decides() {
        let serial = serial_number(Sha256Digest([7; 32]));
        assert_eq!(serial, serial_number(Sha256Digest([7; 32])));
        assert_ne!(serial, serial_number(Sha256Digest([8; 32])));
        let uuid = serial.strip_prefix("urn:uuid:").unwrap();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(
            (&uuid[14..15], uuid[19..20].contains(['8', '9', 'a', 'b'])),
            ("8", true)
        );
    }

    #[test]
    fn a_bill_that_another_tool_made_is_told_by_its_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bom.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Sbom::read(&path)
        };
        for (text, predicate_type) in [
            (r#"{"bomFormat": "CycloneDX", "specVersion": "1.5"}"#, PREDICATE_TYPE),
            (r#"{"spdxVersion": "SPDX-2.3"}"#, "https://spdx.dev/Document/v2.3"),
            (r#"{"spdxVersion": "SPDX-2.2"}"#, "https://spdx.dev/Document/v2.2"),
        ] {
            assert_eq!(read(text).unwrap().predicate_type, predicate_type);
        }
        for bad in [
            "",
            "[]",
            "{}",
            "{} {}",
            r#"{"bomFormat": "OtherDX"}"#,
            r#"{"spdxVersion": "SPDX-9"}"#,
            r#"{"bomFormat": "CycloneDX", "spdxVersion": "SPDX-2.3"}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().code(), "sbom", "{bad}");
        }
    }
}
