//! What a certificate will say of a token, for each kind of issuer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may be blunt")]

mod loopback;

use client::oidc::{IdentityToken, Shape, predict, predict_at};
use loopback::{at, token};
use serde_json::{Value, json};
use verify::{
    WorkloadIdentity,
    identity::{Claim, SubjectAlternativeName},
};

fn read(claims: &Value) -> IdentityToken {
    IdentityToken::new(token(claims)).unwrap()
}

fn github() -> Value {
    json!({
        "iss": "https://token.actions.githubusercontent.com", "aud": "sigstore", "exp": at(300),
        "sub": "repo:octo/crate:ref:refs/tags/v1", "event_name": "push", "workflow": "Release", "ref": "refs/tags/v1",
        "sha": "1111111111111111111111111111111111111111",
        "job_workflow_ref": "octo/shared/.github/workflows/publish.yml@refs/tags/v3",
        "job_workflow_sha": "2222222222222222222222222222222222222222",
        "workflow_ref": "octo/crate/.github/workflows/release.yml@refs/tags/v1",
        "workflow_sha": "1111111111111111111111111111111111111111",
        "repository": "octo/crate", "repository_id": "74", "repository_owner": "octo", "repository_owner_id": "65",
        "repository_visibility": "public", "runner_environment": "github-hosted", "run_id": "99", "run_attempt": "2",
    })
}

fn gitlab() -> Value {
    json!({
        "iss": "https://gitlab.com", "aud": "sigstore", "exp": at(300),
        "sub": "project_path:group/crate:ref_type:tag:ref:v1", "project_path": "group/crate", "project_id": "20",
        "namespace_path": "group", "namespace_id": "72", "ref": "v1", "ref_type": "tag", "sha": "abc", "job_id": "7",
        "ci_config_ref_uri": "gitlab.com/group/crate//.gitlab-ci.yml@refs/tags/v1", "ci_config_sha": "abc",
        "pipeline_source": "push", "runner_environment": "gitlab-hosted", "project_visibility": "public",
        "environment": "release",
    })
}

#[test]
fn a_github_certificate_speaks_of_signer_source_and_run() {
    let identity = predict(&read(&github())).unwrap().unwrap();
    let signer = "https://github.com/octo/shared/.github/workflows/publish.yml@refs/tags/v3";
    assert_eq!(identity.san, SubjectAlternativeName::Uri(signer.into()));
    for (claim, value) in [
        (Claim::DeprecatedIssuer, "https://token.actions.githubusercontent.com"),
        (Claim::GithubWorkflowTrigger, "push"),
        (Claim::GithubWorkflowSha, "1111111111111111111111111111111111111111"),
        (Claim::GithubWorkflowName, "Release"),
        (Claim::GithubWorkflowRepository, "octo/crate"),
        (Claim::GithubWorkflowRef, "refs/tags/v1"),
        (Claim::Issuer, "https://token.actions.githubusercontent.com"),
        (Claim::BuildSignerUri, signer),
        (Claim::BuildSignerDigest, "2222222222222222222222222222222222222222"),
        (Claim::RunnerEnvironment, "github-hosted"),
        (Claim::SourceRepositoryUri, "https://github.com/octo/crate"),
        (
            Claim::SourceRepositoryDigest,
            "1111111111111111111111111111111111111111",
        ),
        (Claim::SourceRepositoryRef, "refs/tags/v1"),
        (Claim::SourceRepositoryIdentifier, "74"),
        (Claim::SourceRepositoryOwnerUri, "https://github.com/octo"),
        (Claim::SourceRepositoryOwnerIdentifier, "65"),
        (
            Claim::BuildConfigUri,
            "https://github.com/octo/crate/.github/workflows/release.yml@refs/tags/v1",
        ),
        (Claim::BuildConfigDigest, "1111111111111111111111111111111111111111"),
        (Claim::BuildTrigger, "push"),
        (
            Claim::RunInvocationUri,
            "https://github.com/octo/crate/actions/runs/99/attempts/2",
        ),
        (Claim::SourceRepositoryVisibility, "public"),
        (Claim::TokenSubject, "repo:octo/crate:ref:refs/tags/v1"),
    ] {
        assert_eq!(identity.claim(claim), Some(value), "{claim:?}");
    }
    assert_eq!(identity.claim(Claim::DeploymentEnvironment), None);
    assert_eq!(identity.claims.len(), 22);
}

#[test]
fn enterprise_issuers_have_their_own_base() {
    for (issuer, base) in [
        (
            "https://token.actions.githubusercontent.com/octo-corp",
            "https://github.com",
        ),
        ("https://git.corp.test/_services/token", "https://git.corp.test"),
        ("https://token.actions.corp.ghe.com", "https://corp.ghe.com"),
    ] {
        let mut claims = github();
        claims["iss"] = issuer.into();
        let identity = predict(&read(&claims)).unwrap().unwrap();
        assert_eq!(
            identity.claim(Claim::SourceRepositoryUri),
            Some(format!("{base}/octo/crate").as_str())
        );
    }
    for issuer in [
        "https://token.actions.githubusercontent.com.evil.test",
        "https://token.actions.ghe.com.evil.test",
    ] {
        let mut claims = github();
        claims["iss"] = issuer.into();
        assert_eq!(predict(&read(&claims)).unwrap(), None, "{issuer}");
    }
}

#[test]
fn a_gitlab_certificate_names_branch_and_tag_in_full() {
    let identity = predict(&read(&gitlab())).unwrap().unwrap();
    assert_eq!(
        identity.san.as_str(),
        "https://gitlab.com/group/crate//.gitlab-ci.yml@refs/tags/v1"
    );
    assert_eq!(identity.claim(Claim::SourceRepositoryRef), Some("refs/tags/v1"));
    assert_eq!(
        identity.claim(Claim::RunInvocationUri),
        Some("https://gitlab.com/group/crate/-/jobs/7")
    );
    assert_eq!(identity.claim(Claim::DeploymentEnvironment), Some("release"));
    let mut branch = gitlab();
    branch["ref_type"] = "branch".into();
    let identity = predict(&read(&branch)).unwrap().unwrap();
    assert_eq!(identity.claim(Claim::SourceRepositoryRef), Some("refs/heads/v1"));
}

#[test]
fn a_missing_claim_is_named_before_the_authority_refuses() {
    let mut child = gitlab();
    child.as_object_mut().unwrap().remove("ci_config_sha");
    let error = predict(&read(&child)).unwrap_err();
    assert_eq!(error.code(), "E-CA-CLAIM");
    assert!(error.to_string().contains("`ci_config_sha`") && error.hint().contains("child pipelines"));
    let mut absent = github();
    absent["repository_id"] = Value::Null;
    assert_eq!(predict(&read(&absent)).unwrap_err().code(), "E-CA-CLAIM");
}

#[test]
fn forgejo_and_buildkite_have_templates_of_their_own() {
    let forgejo = json!({
        "iss": "https://codeberg.org/api/actions", "sub": "repo:o/r:ref:refs/heads/main", "repository": "o/r",
        "repository_id": "1", "repository_owner": "o", "repository_owner_id": "2", "sha": "abc", "ref": "refs/heads/main",
        "event_name": "push", "run_id": "5", "workflow_ref": "o/r/.forgejo/workflows/x.yml@refs/heads/main",
    });
    let token = read(&forgejo);
    assert_eq!(Shape::of(&token), Some(Shape::Forgejo));
    let identity = predict(&token).unwrap().unwrap();
    assert_eq!(
        identity.san.as_str(),
        "https://codeberg.org/o/r/.forgejo/workflows/x.yml@refs/heads/main"
    );
    assert_eq!(
        identity.claim(Claim::RunInvocationUri),
        Some("https://codeberg.org/o/r/actions/runs/5")
    );
    assert_eq!(identity.claim(Claim::RunnerEnvironment), None);

    let buildkite = json!({
        "iss": "https://agent.buildkite.com", "sub": "organization:a:pipeline:b", "organization_slug": "a",
        "pipeline_slug": "b", "build_number": 12, "job_id": "0190", "build_commit": "abc", "build_source": "webhook",
        "runner_environment": "self-hosted",
    });
    let identity = predict(&read(&buildkite)).unwrap().unwrap();
    assert_eq!(identity.san.as_str(), "https://buildkite.com/a/b");
    assert_eq!(
        identity.claim(Claim::RunInvocationUri),
        Some("https://buildkite.com/a/b/builds/12#0190")
    );
}

#[test]
fn a_person_is_certified_under_the_provider_behind_dex() {
    let person = json!({
        "iss": "https://oauth2.sigstore.dev/auth", "sub": "CgY", "email": "a@b.test", "email_verified": true,
        "federated_claims": { "connector_id": "https://github.com/login/oauth" },
    });
    let identity = predict(&read(&person)).unwrap().unwrap();
    assert_eq!(identity.san, SubjectAlternativeName::Email("a@b.test".into()));
    assert_eq!(identity.issuer(), "https://github.com/login/oauth");
}

#[test]
fn a_private_instance_may_choose_the_base_and_nothing_else() {
    let mut claims = github();
    claims["iss"] = "http://127.0.0.1:9000/github".into();
    let private = read(&claims);
    assert_eq!(predict(&private).unwrap(), None);
    let public = predict(&read(&github())).unwrap().unwrap();
    let found = |san: &str| WorkloadIdentity {
        san: SubjectAlternativeName::Uri(san.into()),
        claims: public.claims.clone(),
    };

    let elsewhere = found("https://git.corp.test/octo/shared/.github/workflows/publish.yml@refs/tags/v3");
    let expected = predict_at(&private, &elsewhere).unwrap().unwrap();
    assert_eq!(expected.san, elsewhere.san);
    assert_eq!(
        expected.claim(Claim::SourceRepositoryUri),
        Some("https://git.corp.test/octo/crate")
    );
    assert_eq!(expected.issuer(), "http://127.0.0.1:9000/github");

    let forged = found("https://github.com/evil/shared/.github/workflows/publish.yml@refs/tags/v3");
    assert_eq!(predict_at(&private, &forged).unwrap(), None);
}
