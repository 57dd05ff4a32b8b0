//! A GitLab project's release: a certificate from its job's token, and provenance filled from that certificate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod authority;

use std::collections::BTreeMap;

use authority::{ARTIFACT, ISSUER, LeafRecipe, NOW, Recipe, World, der::element};
use verify::{
    Artifact, Budget, Policy, Sha256Digest,
    agreement::{self, CrateFacts, Expectations, Outcome, Publisher, Report, VcsInfo},
    certificate::Certificate,
    provenance::{self, Cargo, Options, Package, PackageFacts, Provenance, Tool},
    statement::{Statement, Subject},
};

const PROJECT: &str = "https://gitlab.com/group/sub/widget";
const COMMIT: &str = "abababababababababababababababababababab";

/// What the public instance's certificate says of a pipeline of this source.
fn leaf(source: &str, reference: &str) -> LeafRecipe {
    let configuration = format!("{PROJECT}//.gitlab-ci.yml@{reference}");
    let claims = [
        (1, ISSUER),
        (8, ISSUER),
        (9, &configuration),
        (10, COMMIT),
        (11, "gitlab-hosted"),
        (12, PROJECT),
        (13, COMMIT),
        (14, reference),
        (15, "20"),
        (16, "https://gitlab.com/group/sub"),
        (17, "72"),
        (18, &configuration),
        (19, COMMIT),
        (20, source),
        (21, "https://gitlab.com/group/sub/widget/-/jobs/302"),
        (22, "public"),
        (24, "project_path:group/sub/widget:ref_type:tag:ref:v1.0.0"),
    ];
    LeafRecipe {
        names: vec![element(0x86, configuration.as_bytes())],
        claims: claims.map(|(number, value)| (number, value.to_owned())).to_vec(),
        ..LeafRecipe::default()
    }
}

/// Signs provenance under such a certificate, verifies the bundle, and examines what it says.
fn examine(leaf: LeafRecipe) -> Report {
    let world = World::new();
    let signer = authority::Key::p256();
    let certificate = Certificate::from_der(&world.leaf(&leaf, signer.public()), &Budget::default()).unwrap();
    let identity = certificate.identity().unwrap();
    let package = PackageFacts {
        package: Package {
            name: "widget".to_owned(),
            version: "1.0.0".to_owned(),
            path: String::new(),
        },
        options: Options::default(),
        inputs: BTreeMap::new(),
        cargo: Cargo::default(),
        tool: Tool::default(),
        lockfile: None,
        toolchain: None,
        sbom: None,
    };
    let digest = Sha256Digest::of(ARTIFACT);
    let package_url = provenance::package_url("widget", "1.0.0", None);
    let statement = Statement {
        subjects: vec![Subject::sha256("widget-1.0.0.crate", &package_url, &digest)],
        predicate_type: provenance::PREDICATE_TYPE.to_owned(),
        predicate: Provenance::from_identity(&identity, &package).to_value(),
    };
    let policy = Policy::identity(identity.san.as_str(), ISSUER).unwrap();
    let bundle = world.bundle(&Recipe {
        signer,
        leaf,
        statement: Some(statement.to_json()),
        ..Recipe::default()
    });
    let verifier = world.verifier().unwrap();
    let proof = verifier
        .verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy, NOW)
        .unwrap();
    let facts = CrateFacts {
        name: "widget".to_owned(),
        version: "1.0.0".to_owned(),
        digest,
        package_url,
        vcs: Some(VcsInfo {
            commit: COMMIT.to_owned(),
            ..VcsInfo::default()
        }),
        repository: Some(PROJECT.to_owned()),
    };
    let expectations = Expectations {
        issuers: vec![ISSUER.to_owned()],
        minimum_level: 2,
        previous: Some(Publisher::of(&identity)),
        ..Expectations::default()
    };
    agreement::examine(&proof, &facts, &expectations, &Budget::default()).unwrap()
}

fn noticed(source: &str, reference: &str) -> Vec<&'static str> {
    let report = examine(leaf(source, reference));
    report.differences().map(|check| check.name).collect()
}

#[test]
fn all_fourteen_checks_hold_for_the_push_of_a_tag() {
    let report = examine(leaf("push", "refs/tags/v1.0.0"));
    assert_eq!(report.level, 2);
    for check in &report.checks {
        assert_eq!(check.outcome, Outcome::Held, "{check:?}");
    }
}

#[test]
fn a_pipeline_that_somebody_with_write_access_starts_may_release() {
    for source in ["push", "web", "schedule"] {
        for reference in ["refs/tags/v1.0.0", "refs/heads/main"] {
            assert!(noticed(source, reference).is_empty(), "{source} at {reference}");
        }
    }
}

/// Every other source that GitLab names [docs.gitlab.com, `CI_PIPELINE_SOURCE`]: merge requests, what a token or another
/// pipeline starts, and what is no pipeline of the project's at all.
#[test]
fn a_pipeline_of_any_other_source_may_not() {
    assert!(noticed("push", "refs/heads/main").is_empty());
    for source in [
        "merge_request_event",
        "external_pull_request_event",
        "parent_pipeline",
        "pipeline",
        "trigger",
        "api",
        "chat",
        "webide",
        "external",
        "ondemand_dast_scan",
        "ondemand_dast_validation",
        "security_orchestration_policy",
        "Web",
        "web ",
    ] {
        assert_eq!(noticed(source, "refs/heads/main"), ["trigger"], "{source}");
    }
}
