//! The three statements about a crate: provenance, bill of materials, link. All name the crate as their only subject.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use verify::{
    Sha256Digest, WorkloadIdentity,
    provenance::{self, Options, PackageFacts, Provenance, Tool, package_url},
    statement::{Statement, Subject},
};

use crate::{
    failure::Failure,
    release::{crate_file::CrateFile, link, sbom::Sbom},
};

/// A crate and what is known of how it was made.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    /// Where the crate is.
    pub(crate) path: PathBuf,
    /// The crate.
    pub(crate) file: CrateFile,
    /// Index URL of the registry it goes to; none for crates.io.
    pub(crate) index: Option<String>,
    /// The bill of materials; none when there is no workspace to make it from.
    pub(crate) sbom: Option<Sbom>,
    /// The command that packaged it; empty when we did not see it.
    pub(crate) command: Vec<String>,
    /// The cargo that packaged it.
    pub(crate) cargo: provenance::Cargo,
    /// Options that change the bytes.
    pub(crate) options: Options,
}

/// Which statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SLSA provenance.
    Provenance,
    /// CycloneDX or SPDX.
    Sbom,
    /// In-toto link.
    Link,
}

impl Kind {
    /// A word for the screen.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Provenance => "provenance",
            Self::Sbom => "SBOM",
            Self::Link => "link",
        }
    }
}

/// The statements about `release`, as its publisher `identity` makes them. Provenance is the first.
///
/// # Errors
/// Code `link`.
pub(crate) fn statements(release: &Release, identity: &WorkloadIdentity) -> Result<Vec<(Kind, Statement)>, Failure> {
    let file = &release.file;
    let package_url = package_url(&file.name, &file.version, release.index.as_deref());
    let subject = Subject::sha256(&file.file_name(), &package_url, &file.digest);
    let about = |kind, predicate_type: &str, predicate| {
        let statement = Statement {
            subjects: vec![subject.clone()],
            predicate_type: predicate_type.to_owned(),
            predicate,
        };
        (kind, statement)
    };
    let provenance = Provenance::from_identity(identity, &package_facts(release));
    let mut all = vec![about(
        Kind::Provenance,
        provenance::PREDICATE_TYPE,
        provenance.to_value(),
    )];
    if let Some(sbom) = &release.sbom {
        all.push(about(Kind::Sbom, &sbom.predicate_type, sbom.document.clone()));
    }
    if !release.command.is_empty() {
        let environment = BTreeMap::from([("cargo".to_owned(), release.cargo.version.clone())]);
        let link = link::link(file, &release.command, &environment)?;
        all.push(about(Kind::Link, verify::link::PREDICATE_TYPE, link.to_value()));
    }
    Ok(all)
}

/// What [`statements`] says of a release, by predicate type.
pub(crate) fn predicate_types(release: &Release) -> BTreeSet<String> {
    let sbom = release.sbom.as_ref().map(|sbom| sbom.predicate_type.as_str());
    let link = (!release.command.is_empty()).then_some(verify::link::PREDICATE_TYPE);
    let all = [Some(provenance::PREDICATE_TYPE), sbom, link];
    all.into_iter().flatten().map(str::to_owned).collect()
}

fn package_facts(release: &Release) -> PackageFacts {
    let file = &release.file;
    let vcs = file.archive.vcs_info.as_ref();
    PackageFacts {
        package: provenance::Package {
            name: file.name.clone(),
            version: file.version.clone(),
            path: vcs.and_then(|vcs| vcs.path.clone()).unwrap_or_default(),
        },
        options: release.options,
        inputs: BTreeMap::new(),
        cargo: release.cargo.clone(),
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        lockfile: file
            .archive
            .lockfile
            .as_ref()
            .map(|text| Sha256Digest::of(text.as_bytes())),
        toolchain: None,
        sbom: release
            .sbom
            .as_ref()
            .filter(|sbom| sbom.is_cyclonedx())
            .map(|sbom| Sha256Digest::of(sbom.document.to_string().as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use verify::{
        Budget,
        identity::{Claim, SubjectAlternativeName},
    };

    use super::*;
    use crate::release::{crate_file::tests::crate_a, sbom};

    fn release() -> Release {
        let manifest = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n";
        Release {
            path: PathBuf::new(),
            file: CrateFile::from_bytes(crate_a(manifest), "a", "1.0.0", None).unwrap(),
            index: None,
            sbom: Some(Sbom {
                predicate_type: sbom::PREDICATE_TYPE.to_owned(),
                document: serde_json::json!({"bomFormat": "CycloneDX"}),
            }),
            command: vec!["cargo".to_owned(), "package".to_owned()],
            cargo: provenance::Cargo::default(),
            options: Options::default(),
        }
    }

    fn identity() -> WorkloadIdentity {
        WorkloadIdentity {
            san: SubjectAlternativeName::Uri(
                "https://github.com/o/a/.github/workflows/r.yml@refs/tags/v1.0.0".to_owned(),
            ),
            claims: BTreeMap::from([(Claim::SourceRepositoryUri, "https://github.com/o/a".to_owned())]),
        }
    }

    #[test]
    fn all_statements_speak_of_the_crate_alone() {
        let release = release();
        let all = statements(&release, &identity()).unwrap();
        let kinds: Vec<Kind> = all.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Kind::Provenance, Kind::Sbom, Kind::Link]);
        let types = all.iter().map(|(_, statement)| statement.predicate_type.clone());
        assert_eq!(predicate_types(&release), types.collect());
        for (_, statement) in &all {
            let [subject] = statement.subjects.as_slice() else {
                panic!("{statement:?}");
            };
            assert_eq!(subject.name, "a-1.0.0.crate");
            assert_eq!(subject.uri, "pkg:cargo/a@1.0.0");
            assert_eq!(subject.digest["sha256"], release.file.digest.to_string());
            assert!(Statement::from_json(statement.to_json().as_bytes(), &Budget::default()).is_ok());
        }
    }

    #[test]
    fn provenance_names_package_sbom_and_source() {
        let release = release();
        let all = statements(&release, &identity()).unwrap();
        let provenance = Provenance::from_statement(&all[0].1, &Budget::default()).unwrap();
        assert_eq!(provenance.build_definition.external_parameters.package.path, "crates/a");
        let source = provenance.build_definition.external_parameters.source.unwrap();
        assert_eq!(source.repository, "https://github.com/o/a");
        let sbom = Sha256Digest::of(release.sbom.unwrap().document.to_string().as_bytes());
        assert_eq!(provenance.run_details.byproducts[0].digest["sha256"], sbom.to_string());
    }

    #[test]
    fn an_sbom_of_another_format_is_no_by_product() {
        let mut release = release();
        "https://spdx.dev/Document/v2.3".clone_into(&mut release.sbom.as_mut().unwrap().predicate_type);
        let all = statements(&release, &identity()).unwrap();
        assert_eq!(all[1].1.predicate_type, "https://spdx.dev/Document/v2.3");
        let provenance = Provenance::from_statement(&all[0].1, &Budget::default()).unwrap();
        assert_eq!(provenance.run_details.byproducts, []);
    }

    #[test]
    fn a_prebuilt_crate_has_neither_link_nor_sbom() {
        let prebuilt = Release {
            sbom: None,
            command: Vec::new(),
            ..release()
        };
        assert_eq!(statements(&prebuilt, &identity()).unwrap().len(), 1);
        assert_eq!(predicate_types(&prebuilt).len(), 1);
    }
}
