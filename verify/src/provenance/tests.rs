//! What the predicate says, and what is refused when it is read.

use super::*;

pub(super) fn github() -> WorkloadIdentity {
    let repository = "https://github.com/octo/crates";
    let workflow = format!("{repository}/.github/workflows/release.yml@refs/tags/v1.2.3");
    WorkloadIdentity {
        san: SubjectAlternativeName::Uri(workflow.clone()),
        claims: BTreeMap::from([
            (Claim::Issuer, "https://token.actions.githubusercontent.com".to_owned()),
            (Claim::BuildSignerUri, workflow.clone()),
            (Claim::BuildSignerDigest, "a".repeat(40)),
            (Claim::RunnerEnvironment, "github-hosted".to_owned()),
            (Claim::SourceRepositoryUri, repository.to_owned()),
            (Claim::SourceRepositoryDigest, "b".repeat(40)),
            (Claim::SourceRepositoryRef, "refs/tags/v1.2.3".to_owned()),
            (Claim::SourceRepositoryIdentifier, "11".to_owned()),
            (Claim::SourceRepositoryOwnerIdentifier, "22".to_owned()),
            (Claim::BuildConfigUri, workflow),
            (Claim::BuildTrigger, "push".to_owned()),
            (
                Claim::RunInvocationUri,
                format!("{repository}/actions/runs/5/attempts/1"),
            ),
        ]),
    }
}

pub(super) fn facts() -> PackageFacts {
    PackageFacts {
        package: Package {
            name: "a".to_owned(),
            version: "1.2.3".to_owned(),
            path: String::new(),
        },
        options: Options::default(),
        inputs: BTreeMap::new(),
        cargo: Cargo {
            version: "1.95.0".to_owned(),
            ..Cargo::default()
        },
        tool: Tool {
            name: "cargo-sigstore".to_owned(),
            version: "0.1.0".to_owned(),
        },
        lockfile: None,
        toolchain: None,
        sbom: None,
    }
}

fn statement(provenance: &Provenance) -> Statement {
    Statement {
        subjects: vec![crate::statement::Subject::sha256(
            "a-1.2.3.crate",
            "",
            &Sha256Digest([0; 32]),
        )],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: provenance.to_value(),
    }
}

#[test]
fn the_predicate_says_what_the_certificate_says() {
    let provenance = Provenance::from_identity(&github(), &facts());
    let external = &provenance.build_definition.external_parameters;
    assert_eq!(
        external.source.as_ref().unwrap().repository,
        "https://github.com/octo/crates"
    );
    assert_eq!(
        external.workflow.as_ref().unwrap().path,
        ".github/workflows/release.yml"
    );
    assert_eq!(provenance.run_details.builder.id, github().san.as_str());
    let source = &provenance.build_definition.resolved_dependencies[0];
    assert_eq!(source.uri, "git+https://github.com/octo/crates@refs/tags/v1.2.3");
    assert_eq!(source.digest["gitCommit"], "b".repeat(40));
    assert_eq!(
        Provenance::from_statement(&statement(&provenance), &Budget::default()).unwrap(),
        provenance
    );
}

#[test]
fn what_the_certificate_does_not_say_is_left_out() {
    let identity = WorkloadIdentity {
        san: SubjectAlternativeName::Email("a@example.com".to_owned()),
        claims: BTreeMap::from([(Claim::Issuer, "https://example.com".to_owned())]),
    };
    let value = Provenance::from_identity(&identity, &facts()).to_value();
    let external = &value["buildDefinition"]["externalParameters"];
    assert!(external.get("source").is_none() && external.get("workflow").is_none());
    assert_eq!(value["runDetails"]["builder"]["id"], "mailto:a@example.com");
}

#[test]
fn an_unknown_external_parameter_is_refused() {
    let mut statement = statement(&Provenance::from_identity(&github(), &facts()));
    assert!(Provenance::from_statement(&statement, &Budget::default()).is_ok());
    statement.predicate["buildDefinition"]["externalParameters"]["extra"] = "1".into();
    assert_eq!(
        Provenance::from_statement(&statement, &Budget::default())
            .unwrap_err()
            .code(),
        "json"
    );
}

#[test]
fn another_build_type_or_predicate_is_refused() {
    let mut other = statement(&Provenance::from_identity(&github(), &facts()));
    other.predicate["buildDefinition"]["buildType"] = GITHUB_WORKFLOW_BUILD_TYPE.into();
    assert_eq!(
        Provenance::from_statement(&other, &Budget::default())
            .unwrap_err()
            .code(),
        "build-type"
    );
    other.predicate_type = "https://example.com/other".to_owned();
    assert_eq!(
        Provenance::from_statement(&other, &Budget::default())
            .unwrap_err()
            .code(),
        "predicate-type"
    );
}

#[test]
fn the_ref_of_a_workflow_follows_the_last_at() {
    let mut identity = github();
    let uri = "https://github.com/octo/crates/.github/workflows/a@b.yml@refs/heads/x";
    identity.claims.insert(Claim::BuildConfigUri, uri.to_owned());
    let split = workflow(&identity).unwrap();
    assert_eq!(
        (split.path.as_str(), split.reference.as_str()),
        (".github/workflows/a@b.yml", "refs/heads/x")
    );
    let foreign = "https://github.com/other/shared/.github/workflows/c.yml@v1";
    identity.claims.insert(Claim::BuildConfigUri, foreign.to_owned());
    assert_eq!(
        workflow(&identity).unwrap().repository,
        "https://github.com/other/shared"
    );
}

#[test]
fn a_gitlab_configuration_keeps_its_double_slash() {
    let mut identity = github();
    identity
        .claims
        .insert(Claim::SourceRepositoryUri, "https://gitlab.com/g/p".to_owned());
    let uri = "https://gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main";
    identity.claims.insert(Claim::BuildConfigUri, uri.to_owned());
    let split = workflow(&identity).unwrap();
    assert_eq!(format!("{}/{}@{}", split.repository, split.path, split.reference), uri);
}

#[test]
fn package_urls_are_canonical() {
    assert_eq!(package_url("Ab_c", "1.0.0+b", None), "pkg:cargo/Ab_c@1.0.0%2Bb");
    let other = package_url("a", "1.0.0", Some("sparse+https://r.example/i/"));
    assert_eq!(
        other,
        "pkg:cargo/a@1.0.0?repository_url=sparse%2Bhttps:%2F%2Fr.example%2Fi%2F"
    );
}

#[test]
fn the_github_shape_needs_every_claim() {
    let mut identity = github();
    let value = github_workflow_predicate(&identity).unwrap();
    assert_eq!(
        value["buildDefinition"]["internalParameters"]["github"]["event_name"],
        "push"
    );
    identity.claims.remove(&Claim::RunInvocationUri);
    assert!(github_workflow_predicate(&identity).is_none());
}
