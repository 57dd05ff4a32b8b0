//! What a policy demands, and who may have signed.

use crate::authority::{self, ARTIFACT, IDENTITY, ISSUER, Key, NOW, Recipe, World, policy};
use base64::{Engine, engine::general_purpose::STANDARD};
use verify::{
    Artifact, Budget, Error, Policy, Sha256Digest,
    agreement::{self, CrateFacts, Expectations},
    danger,
    identity::Claim,
};

#[test]
fn policies() {
    let world = World::new();
    let verifier = world.verifier().unwrap();
    let bundle = world.bundle(&Recipe::default().with_statement());
    let ask = |policy: Policy| {
        let outcome = verifier.verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy, NOW);
        outcome.map(|_| ()).map_err(|error| error.code())
    };
    let honest = [
        policy(),
        Policy::identity_pattern("https://ci.example/acme/*/.ci/publish.yml@refs/tags/*", ISSUER).unwrap(),
        danger::any_identity(),
        policy().claim(Claim::BuildTrigger, "push"),
        policy().deny_claim(Claim::BuildTrigger, "pull_request_target"),
        policy().predicate_type("https://slsa.dev/provenance/v1"),
        policy().builder("https://ci.example/builder"),
        policy().subject_name("widget-1.0.0.crate"),
        policy().only_subject(),
        policy().logs(1).timestamps(1),
    ];
    for policy in honest {
        assert_eq!(ask(policy.clone()), Ok(()), "{policy:?}");
    }
    let dishonest = [
        (
            "identity-mismatch",
            Policy::identity("https://ci.example/acme/widget", ISSUER).unwrap(),
        ),
        (
            "issuer-mismatch",
            Policy::identity(IDENTITY, "https://ci.example/").unwrap(),
        ),
        (
            "identity-mismatch",
            Policy::identity_pattern("https://ci.example/acme/*/.ci/publish.yml@refs/heads/*", ISSUER).unwrap(),
        ),
        (
            "issuer-mismatch",
            Policy::identity_pattern("https://ci.example/acme/**", "https://other.example").unwrap(),
        ),
        ("claim-mismatch", policy().claim(Claim::BuildTrigger, "schedule")),
        (
            "claim-mismatch",
            policy().claim(Claim::DeploymentEnvironment, "release"),
        ),
        (
            "claim-mismatch",
            danger::any_identity().claim(Claim::BuildTrigger, "schedule"),
        ),
        ("claim-denied", policy().deny_claim(Claim::BuildTrigger, "push")),
        (
            "predicate-type-mismatch",
            policy().predicate_type("https://cyclonedx.org/bom"),
        ),
        ("builder-mismatch", policy().builder("https://other.example/builder")),
        ("subject-name", policy().subject_name("gadget-1.0.0.crate")),
        ("threshold", policy().logs(2)),
        ("threshold", policy().timestamps(2)),
        ("signer-mismatch", Policy::managed_key(Key::p256().public().clone())),
    ];
    for (code, policy) in dishonest {
        assert_eq!(ask(policy.clone()), Err(code), "{policy:?}");
    }
    let digest = Sha256Digest::of(ARTIFACT).to_string();
    let two = Recipe {
        statement: Some(authority::statement(&[
            ("a", "sha256", &digest),
            ("b", "sha256", &"00".repeat(32)),
        ])),
        ..Recipe::default()
    };
    let bundle = world.bundle(&two);
    let ask = |policy: Policy| {
        verifier
            .verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy, NOW)
            .map(|_| ())
    };
    assert_eq!(ask(policy()), Ok(()));
    assert_eq!(ask(policy().only_subject()), Err(Error::SubjectMismatch));
}

#[test]
fn provenance_signed_by_a_key_is_not_examined() {
    let world = World::new();
    let facts = CrateFacts {
        name: "a".to_owned(),
        version: "1.0.0".to_owned(),
        digest: Sha256Digest::of(ARTIFACT),
        package_url: "pkg:cargo/a@1.0.0".to_owned(),
        vcs: None,
        repository: None,
    };
    let examined = |recipe: Recipe, policy: &Policy| {
        let bundle = world.bundle(&recipe.with_statement());
        let artifact = Artifact::Bytes(ARTIFACT);
        let verified = world
            .verifier()
            .unwrap()
            .verify(&bundle, &artifact, policy, NOW)
            .unwrap();
        agreement::examine(&verified, &facts, &Expectations::default(), &Budget::default()).unwrap_err()
    };
    // By an identity the examination goes on, to what the statement says.
    assert_eq!(examined(Recipe::default(), &policy()).code(), "build-type");
    let signer = Key::p256();
    let by_key = Policy::managed_key(signer.public().clone());
    let recipe = Recipe {
        key_hint: Some(STANDARD.encode(signer.public().id().0)),
        signer,
        ..Recipe::default()
    };
    assert_eq!(examined(recipe, &by_key), Error::NoIdentity);
}

#[test]
fn a_managed_key_is_the_one_that_the_bundle_names() {
    let world = World::new();
    let verifier = world.verifier().unwrap();
    let (signer, other) = (Key::p256(), Key::p256());
    let policy_of = |key: &Key| Policy::managed_key(key.public().clone());
    let mut recipe = Recipe {
        key_hint: Some(STANDARD.encode(signer.public().id().0)),
        signer,
        ..Recipe::default()
    };
    let ask = |recipe: &Recipe, policy: Policy| {
        let outcome = verifier.verify(&world.bundle(recipe), &Artifact::Bytes(ARTIFACT), &policy, NOW);
        outcome.map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(ask(&recipe, policy_of(&recipe.signer)), Ok(()));
    assert_eq!(ask(&recipe, policy_of(&other)), Err("signer-mismatch"));
    assert_eq!(ask(&recipe, policy()), Err("signer-mismatch"));
    recipe.key_hint = Some(STANDARD.encode(other.public().id().0));
    assert_eq!(ask(&recipe, policy_of(&recipe.signer)), Err("signer-mismatch"));
    recipe.key_hint = Some("release key".to_owned());
    assert_eq!(ask(&recipe, policy_of(&recipe.signer)), Ok(()));
    assert_eq!(ask(&recipe, policy_of(&other)), Err("signature"));
    // Without any time only the policy that says so accepts; a certificate never does without.
    recipe.token = None;
    assert_eq!(ask(&recipe, policy_of(&recipe.signer)), Err("no-time"));
    assert_eq!(
        ask(&recipe, danger::untimed_managed_key(policy_of(&recipe.signer))),
        Ok(())
    );
    recipe.key_hint = None;
    assert_eq!(ask(&recipe, danger::untimed_managed_key(policy())), Err("no-time"));
}
