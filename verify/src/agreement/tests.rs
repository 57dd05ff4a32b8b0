//! One honest publication, damaged in one place at a time.

use std::collections::BTreeMap;

use super::*;
use crate::{
    identity::SubjectAlternativeName,
    provenance::{self, Cargo, Options, Package, PackageFacts, Tool},
};

const REPOSITORY: &str = "https://github.com/octo/crates";

/// One honest publication, which each test damages in one place.
struct Case {
    identity: WorkloadIdentity,
    provenance: Provenance,
    subjects: Vec<Subject>,
    facts: CrateFacts,
    expectations: Expectations,
}

impl Case {
    fn honest() -> Self {
        let workflow = format!("{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.2.3");
        let claims = [
            (Claim::DeprecatedIssuer, "https://issuer.example"),
            (Claim::GithubWorkflowTrigger, "push"),
            (Claim::GithubWorkflowSha, "bb"),
            (Claim::GithubWorkflowRepository, "octo/crates"),
            (Claim::GithubWorkflowRef, "refs/tags/v1.2.3"),
            (Claim::Issuer, "https://issuer.example"),
            (Claim::BuildSignerUri, &workflow),
            (Claim::RunnerEnvironment, "github-hosted"),
            (Claim::SourceRepositoryUri, REPOSITORY),
            (Claim::SourceRepositoryDigest, "bb"),
            (Claim::SourceRepositoryRef, "refs/tags/v1.2.3"),
            (Claim::SourceRepositoryIdentifier, "11"),
            (Claim::SourceRepositoryOwnerIdentifier, "22"),
            (Claim::BuildConfigUri, &workflow),
            (Claim::BuildTrigger, "push"),
            (
                Claim::RunInvocationUri,
                "https://github.com/octo/crates/actions/runs/5/attempts/1",
            ),
        ];
        let identity = WorkloadIdentity {
            san: SubjectAlternativeName::Uri(workflow.clone()),
            claims: claims
                .iter()
                .map(|(claim, value)| (*claim, (*value).to_owned()))
                .collect(),
        };
        let package = PackageFacts {
            package: Package {
                name: "a".to_owned(),
                version: "1.2.3".to_owned(),
                path: "sub".to_owned(),
            },
            options: Options::default(),
            inputs: BTreeMap::new(),
            cargo: Cargo::default(),
            tool: Tool::default(),
            lockfile: None,
            toolchain: None,
            sbom: None,
        };
        let digest = Sha256Digest([9; 32]);
        let url = provenance::package_url("a", "1.2.3", None);
        Self {
            provenance: Provenance::from_identity(&identity, &package),
            subjects: vec![Subject::sha256("a-1.2.3.crate", &url, &digest)],
            facts: CrateFacts {
                name: "a".to_owned(),
                version: "1.2.3".to_owned(),
                digest,
                package_url: url,
                vcs: Some(VcsInfo {
                    commit: "bb".to_owned(),
                    dirty: false,
                    path: "sub".to_owned(),
                }),
                repository: Some("https://github.com/Octo/crates.git".to_owned()),
            },
            expectations: Expectations {
                issuers: vec!["https://issuer.example".to_owned()],
                minimum_level: 2,
                tag_required: true,
                previous: Some(Publisher::of(&identity)),
                ..Expectations::default()
            },
            identity,
        }
    }

    fn report(&self) -> Report {
        Sides {
            provenance: &self.provenance,
            identity: &self.identity,
            subjects: &self.subjects,
            facts: &self.facts,
            expectations: &self.expectations,
        }
        .report()
    }
}

/// Damages an honest case and names the checks that notice.
fn noticed(damage: impl FnOnce(&mut Case)) -> Vec<u8> {
    let mut case = Case::honest();
    assert_eq!(case.report().differences().count(), 0, "the unharmed case holds");
    damage(&mut case);
    case.report().differences().map(|check| check.number).collect()
}

fn set(case: &mut Case, claim: Claim, value: &str) {
    case.identity.claims.insert(claim, value.to_owned());
}

#[test]
fn an_honest_publication_holds_in_all_fourteen() {
    let report = Case::honest().report();
    assert_eq!((report.checks.len(), report.level), (14, 2));
    let held = report
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Held)
        .count();
    assert_eq!(held, 14, "{report:?}");
}

#[test]
fn each_claim_that_changes_is_noticed_by_its_check() {
    let changed = |claim| noticed(|case| set(case, claim, "changed"));
    assert_eq!(changed(Claim::Issuer), [1]);
    for claim in [
        Claim::DeprecatedIssuer,
        Claim::GithubWorkflowTrigger,
        Claim::GithubWorkflowSha,
    ] {
        assert_eq!(changed(claim), [1], "{claim:?}");
    }
    assert_eq!(changed(Claim::GithubWorkflowRepository), [1]);
    assert_eq!(changed(Claim::GithubWorkflowRef), [1]);
    assert_eq!(changed(Claim::BuildSignerUri), [2]);
    assert_eq!(changed(Claim::SourceRepositoryIdentifier), [7, 14]);
    assert_eq!(changed(Claim::SourceRepositoryOwnerIdentifier), [7, 14]);
    assert_eq!(changed(Claim::RunnerEnvironment), [7]);
    assert_eq!(changed(Claim::RunInvocationUri), [8]);
    assert_eq!(changed(Claim::BuildConfigUri), [5, 14]);
    assert_eq!(changed(Claim::SourceRepositoryDigest), [1, 4, 10]);
    assert_eq!(changed(Claim::SourceRepositoryRef), [1, 4, 12]);
    assert_eq!(changed(Claim::BuildTrigger), [1, 6]);
    assert_eq!(changed(Claim::SourceRepositoryUri), [1, 3, 4, 14]);
}

#[test]
fn an_event_that_runs_foreign_code_is_refused() {
    for event in ["pull_request_target", "workflow_run", "issue_comment", "pull_request"] {
        let found = noticed(|case| {
            set(case, Claim::BuildTrigger, event);
            set(case, Claim::GithubWorkflowTrigger, event);
            case.provenance.build_definition.internal_parameters.trigger = Some(event.to_owned());
        });
        assert_eq!(found, [6], "{event}");
    }
}

/// The words of GitHub and Forgejo, and those of GitLab's pipeline sources.
#[test]
fn an_event_that_runs_the_repositorys_own_code_holds() {
    for event in ["push", "release", "workflow_dispatch", "create", "schedule", "web"] {
        let found = noticed(|case| {
            set(case, Claim::BuildTrigger, event);
            set(case, Claim::GithubWorkflowTrigger, event);
            case.provenance.build_definition.internal_parameters.trigger = Some(event.to_owned());
        });
        assert!(found.is_empty(), "{event}: {found:?}");
    }
}

#[test]
fn a_predicate_that_differs_from_the_certificate_is_noticed() {
    assert_eq!(noticed(|case| case.provenance.run_details.builder.id.push('x')), [2]);
    assert_eq!(
        noticed(|case| case.provenance.build_definition.external_parameters.source = None),
        [4]
    );
    assert_eq!(
        noticed(|case| case.provenance.build_definition.external_parameters.workflow = None),
        [5]
    );
    assert_eq!(
        noticed(|case| case.provenance.build_definition.resolved_dependencies.clear()),
        [4]
    );
    assert_eq!(
        noticed(|case| case.provenance.build_definition.internal_parameters.trigger = None),
        [6]
    );
    assert_eq!(
        noticed(|case| case.provenance.run_details.metadata.invocation_id = None),
        [8]
    );
    assert_eq!(
        noticed(|case| case.provenance.build_definition.build_type.push('x')),
        [13]
    );
    let environment = Some("release".to_owned());
    assert_eq!(
        noticed(|case| case.provenance.build_definition.internal_parameters.environment = environment),
        [7]
    );
}

#[test]
fn a_crate_that_differs_from_the_statement_is_noticed() {
    assert_eq!(noticed(|case| case.facts.digest = Sha256Digest([8; 32])), [9]);
    assert_eq!(noticed(|case| case.facts.package_url.push('x')), [9]);
    assert_eq!(noticed(|case| case.subjects[0].name.push('x')), [9]);
    assert_eq!(noticed(|case| case.subjects.push(Subject::default())), [9]);
    assert_eq!(
        noticed(|case| case.facts.name.push('x')),
        [9],
        "the tag v1.2.3 still fits"
    );
    assert_eq!(noticed(|case| case.facts.version.push('4')), [9, 12]);
    assert_eq!(noticed(|case| case.facts.vcs = None), [10]);
    assert_eq!(noticed(|case| case.facts.vcs.as_mut().unwrap().commit.push('x')), [10]);
    assert_eq!(noticed(|case| case.facts.vcs.as_mut().unwrap().dirty = true), [10]);
    assert_eq!(noticed(|case| case.facts.vcs.as_mut().unwrap().path.clear()), [10]);
}

#[test]
fn another_repository_in_the_manifest_is_a_warning() {
    let mut case = Case::honest();
    case.facts.repository = Some("https://github.com/octo/crates-fork".to_owned());
    let report = case.report();
    assert_eq!(report.differences().count(), 0);
    assert!(matches!(report.checks[10].outcome, Outcome::Warned { .. }));
    case.facts.repository = Some(format!("{REPOSITORY}/tree/main/sub"));
    assert_eq!(case.report().checks[10].outcome, Outcome::Held);
}

#[test]
fn level_three_needs_a_trusted_builder_at_an_immutable_ref() {
    let shared = "https://github.com/builder/shared/.github/workflows/publish.yml";
    let level = |reference: &str| {
        let mut case = Case::honest();
        case.identity.san = SubjectAlternativeName::Uri(format!("{shared}@{reference}"));
        case.expectations.trusted_builders = vec![shared.to_owned()];
        case.report().level
    };
    assert_eq!(level("refs/tags/v1.2.3"), 3);
    assert_eq!(level(&"a".repeat(40)), 3);
    for mutable in [
        "refs/heads/main",
        "refs/tags/v1",
        "refs/tags/latest",
        "refs/tags/v1.2.x",
        "refs/tags/v1.2.3.4",
    ] {
        assert_eq!(level(mutable), 1, "{mutable}");
    }
}

#[test]
fn a_repository_whose_name_is_a_prefix_is_another_one() {
    let mut case = Case::honest();
    set(&mut case, Claim::SourceRepositoryUri, "https://github.com/octo/crat");
    assert_eq!(case.report().level, 1);
    assert!(!same_repository("https://github.com/octo/crat", REPOSITORY));
}
