//! The bill of materials as SPDX [SPDX 2.3, JSON], of the same data as CycloneDX.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use verify::UnixTime;

use super::{Bom, Component, Sbom};

/// The predicate type other tools sign SPDX 2.3 documents with.
pub(super) const PREDICATE_TYPE: &str = "https://spdx.dev/Document/v2.3";

impl Bom {
    /// The same as SPDX, which insists on a time [SPDX 2.3 §6.9].
    pub(crate) fn to_spdx(&self, created: UnixTime) -> Sbom {
        let subject = &self.metadata.component;
        let all: Vec<&Component> = std::iter::once(subject).chain(&self.components).collect();
        let ids: BTreeMap<&str, String> = (0..)
            .zip(&all)
            .filter_map(|(number, component)| Some((component.reference.as_deref()?, id(number))))
            .collect();
        let described = json!({
            "spdxElementId": DOCUMENT, "relationshipType": "DESCRIBES", "relatedSpdxElement": id(0),
        });
        let used = self.dependencies.iter().flat_map(|dependency| {
            let from = ids.get(dependency.reference.as_str());
            let to = dependency.depends_on.iter().filter_map(|used| ids.get(used.as_str()));
            from.into_iter()
                .flat_map(move |from| to.clone().map(move |to| depends_on(from, to)))
        });
        let tool = self.metadata.tools.components.iter();
        let creators: Vec<String> = tool
            .map(|tool| format!("Tool: {}-{}", tool.name, tool.version))
            .collect();
        let document = json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": DOCUMENT,
            "name": format!("{}-{}", subject.name, subject.version),
            "documentNamespace": self.serial_number,
            "creationInfo": { "created": created.to_string(), "creators": creators },
            "packages": (0..).zip(all).map(|(number, component)| package(number, component)).collect::<Vec<_>>(),
            "relationships": std::iter::once(described).chain(used).collect::<Vec<_>>(),
        });
        Sbom {
            predicate_type: PREDICATE_TYPE.to_owned(),
            document,
        }
    }
}

fn depends_on(from: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": "DEPENDS_ON", "relatedSpdxElement": to })
}

/// What we have not looked at we assert nothing about [SPDX 2.3 §7.7, §7.13, §7.17].
fn package(number: usize, component: &Component) -> Value {
    let checksums = component.hashes.iter();
    let checksums = checksums.map(|hash| json!({ "algorithm": "SHA256", "checksumValue": hash.content }));
    let purls = component.purl.iter().map(
        |purl| json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl }),
    );
    let license = component
        .licenses
        .first()
        .map_or("NOASSERTION", |license| license.expression.as_str());
    json!({
        "SPDXID": id(number),
        "name": component.name,
        "versionInfo": component.version,
        "primaryPackagePurpose": "LIBRARY",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license,
        "copyrightText": "NOASSERTION",
        "checksums": checksums.collect::<Vec<_>>(),
        "externalRefs": purls.collect::<Vec<_>>(),
    })
}

fn id(number: usize) -> String {
    format!("SPDXRef-Package-{number}")
}

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::sbom::tests::bom;

    #[test]
    fn it_says_what_cyclonedx_says() {
        let (cyclonedx, sbom) = (
            bom().to_sbom().document,
            bom().to_spdx(UnixTime::from_secs(1_790_000_000)),
        );
        assert_eq!(sbom.predicate_type, PREDICATE_TYPE);
        let spdx = sbom.document;
        assert_eq!(spdx["documentNamespace"], cyclonedx["serialNumber"]);
        assert_eq!(spdx["creationInfo"]["created"], "2026-09-21T14:13:20Z");
        let packages = spdx["packages"].as_array().unwrap();
        let purl = |package: &Value| package["externalRefs"][0]["referenceLocator"].clone();
        let components = cyclonedx["components"].as_array().unwrap();
        let expected = std::iter::once(&cyclonedx["metadata"]["component"]).chain(components);
        assert_eq!(
            packages.iter().map(purl).collect::<Vec<_>>(),
            expected
                .clone()
                .map(|component| component["purl"].clone())
                .collect::<Vec<_>>()
        );
        for (package, component) in packages.iter().zip(expected) {
            assert_eq!(
                package["checksums"][0]["checksumValue"],
                component["hashes"][0]["content"]
            );
            assert_eq!(package["licenseDeclared"], component["licenses"][0]["expression"]);
        }
        let purls: BTreeMap<&str, Value> = packages
            .iter()
            .map(|p| (p["SPDXID"].as_str().unwrap(), purl(p)))
            .collect();
        let relationships = spdx["relationships"].as_array().unwrap();
        assert_eq!(relationships[0]["relationshipType"], "DESCRIBES");
        assert_eq!(
            purls[relationships[0]["relatedSpdxElement"].as_str().unwrap()],
            purl(&packages[0])
        );
        let mut edges: Vec<(String, String)> = Vec::new();
        for edge in relationships.iter().skip(1) {
            let end = |name: &str| purls[edge[name].as_str().unwrap()].as_str().unwrap().to_owned();
            edges.push((end("spdxElementId"), end("relatedSpdxElement")));
        }
        let mut expected: Vec<(String, String)> = Vec::new();
        for dependency in cyclonedx["dependencies"].as_array().unwrap() {
            for used in dependency["dependsOn"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                expected.push((text(&dependency["ref"]), text(used)));
            }
        }
        assert!(!edges.is_empty());
        assert_eq!(edges, expected);
    }
}
