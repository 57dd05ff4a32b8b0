//! Where a bundle or a trusted root leaves a choice: which subject is meant, which id names the log, how a key signed, and
//! what a policy makes of silence.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests may be blunt"
)]

mod authority;

use authority::{ARTIFACT, CaRecipe, EntryKind, Key, NOW, Recipe, SIGNED_AT, TokenRecipe, World, policy};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use verify::{
    Artifact, Budget, Bundle, Error, Policy, Sha256Digest, TrustedRoot, Verified, Verifier, bundle::Content,
    entry::Entry, identity::Claim, key::KeyDetails, time::ValidityWindow,
};

fn code(outcome: Result<Verified, Error>) -> Result<(), &'static str> {
    outcome.map(drop).map_err(|error| error.code())
}

fn ask(world: &World, bundle: &Bundle, policy: &Policy) -> Result<Verified, Error> {
    world
        .verifier()?
        .verify(bundle, &Artifact::Bytes(ARTIFACT), policy, NOW)
}

/// Two names for the artifact, and something else before them.
fn with_two_names() -> Recipe {
    let digest = Sha256Digest::of(ARTIFACT).to_string();
    Recipe {
        statement: Some(authority::statement(&[
            ("other", "sha256", &"00".repeat(32)),
            ("first", "sha256", &digest),
            ("second", "sha256", &digest),
        ])),
        ..Recipe::default()
    }
}

#[test]
fn of_several_subjects_with_the_artifacts_digest_the_wanted_name_is_meant() {
    let world = World::new();
    let bundle = world.bundle(&with_two_names());
    let name = |policy: Policy| {
        let verified = ask(&world, &bundle, &policy)?;
        Ok::<_, Error>(verified.subject().unwrap().name.clone())
    };
    assert_eq!(name(policy()), Ok("first".to_owned()));
    assert_eq!(name(policy().subject_name("second")), Ok("second".to_owned()));
    let other = name(policy().subject_name("other"));
    assert_eq!(other.map_err(|error| error.code()), Err("subject-name"));
}

#[test]
fn one_match_refuses_a_second_name_for_the_same_bytes() {
    let world = World::new();
    let once = world.bundle(&Recipe::default().with_statement());
    assert_eq!(code(ask(&world, &once, &policy().one_match())), Ok(()));
    let twice = world.bundle(&with_two_names());
    assert_eq!(code(ask(&world, &twice, &policy())), Ok(()));
    assert_eq!(code(ask(&world, &twice, &policy().one_match())), Err("repeated"));
    let none = world.bundle(&Recipe::default());
    assert_eq!(code(ask(&world, &none, &policy())), Ok(()));
    assert_eq!(code(ask(&world, &none, &policy().one_match())), Err("subject-mismatch"));
}

#[test]
fn silence_never_meets_a_demand() {
    let world = World::new();
    let message = world.bundle(&Recipe::default());
    assert_eq!(code(ask(&world, &message, &policy())), Ok(()));
    for (policy, expected) in [
        (policy().predicate_type(""), "predicate-type-mismatch"),
        (policy().builder(""), "builder-mismatch"),
        (policy().subject_name(""), "subject-name"),
        (policy().claim(Claim::DeploymentEnvironment, ""), "claim-mismatch"),
        (policy().workflow_path(""), "claim-mismatch"),
        (policy().workflow_ref(""), "claim-mismatch"),
    ] {
        assert_eq!(code(ask(&world, &message, &policy)), Err(expected));
    }
}

#[test]
fn the_workflow_is_the_build_configuration_split_at_its_last_at() {
    let world = World::new();
    let mut recipe = Recipe::default();
    let uri = "https://ci.example/acme/widget/.ci/publish.yml@refs/tags/v1.0.0";
    recipe.leaf.claims.push((18, uri.to_owned()));
    let bundle = world.bundle(&recipe);
    let both = policy()
        .workflow_path(".ci/publish.yml")
        .workflow_ref("refs/tags/v1.0.0");
    assert_eq!(code(ask(&world, &bundle, &both)), Ok(()));
    for policy in [
        policy().workflow_path(".ci/other.yml"),
        policy().workflow_path("publish.yml"),
        policy().workflow_ref("refs/heads/main"),
        policy().workflow_ref("v1.0.0"),
    ] {
        assert_eq!(code(ask(&world, &bundle, &policy)), Err("claim-mismatch"));
    }
}

/// The log's key signs; only the trusted root's ways to name it differ.
fn edited_root(world: &World, edit: impl FnOnce(&mut Value)) -> Result<Verifier, Error> {
    let mut root: Value = serde_json::from_str(&world.trusted_root.to_json()).unwrap();
    edit(&mut root["tlogs"][0]);
    Verifier::new(TrustedRoot::from_json(root.to_string().as_bytes(), &Budget::default())?)
}

#[test]
fn a_log_is_known_by_its_id_and_by_that_of_its_checkpoint_key() {
    let world = World::new();
    let bundle = world.bundle(&Recipe::default());
    let key_id = world.trusted_root.logs[0].log_id;
    let spki_id = world.log.public().id().0;
    let outcome = |edit: &dyn Fn(&mut Value)| {
        let verified = edited_root(&world, edit)
            .and_then(|verifier| verifier.verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy(), NOW));
        code(verified)
    };
    assert_eq!(outcome(&|_| {}), Ok(()));
    // Whole, or the four bytes of a key hint.
    for id in [&key_id[..], &key_id[..4]] {
        let stated = json!({"keyId": STANDARD.encode(id)});
        assert_eq!(outcome(&|log| log["checkpointKeyId"] = stated.clone()), Ok(()));
        // The log's own id may be the SHA-256 of its key while its entries name the checkpoint key.
        let own = json!({"keyId": STANDARD.encode(spki_id)});
        let both = |log: &mut Value| {
            log["checkpointKeyId"] = stated.clone();
            log["logId"] = own.clone();
        };
        assert_eq!(outcome(&both), Ok(()));
    }
    for (id, expected) in [
        (vec![7; 32], "trusted-root"),
        (vec![7; 4], "field"),
        (key_id[..5].to_vec(), "field"),
        (Vec::new(), "field"),
    ] {
        let stated = json!({"keyId": STANDARD.encode(id)});
        assert_eq!(outcome(&|log| log["checkpointKeyId"] = stated.clone()), Err(expected));
    }
}

#[test]
fn an_entry_states_the_scheme_that_the_signature_was_made_with() {
    let world = World::new();
    for (signer, other) in [
        (Key::ed25519(), KeyDetails::Ed25519Ph),
        (Key::rsa(), KeyDetails::RsaPssSha256_2048),
    ] {
        let mut recipe = Recipe {
            signer,
            ..Recipe::default().with_statement()
        };
        assert_eq!(code(world.verify(&recipe)), Ok(()));
        recipe.edit_body = match other {
            KeyDetails::Ed25519Ph => |entry| with_details(entry, KeyDetails::Ed25519Ph),
            _ => |entry| with_details(entry, KeyDetails::RsaPssSha256_2048),
        };
        assert_eq!(code(world.verify(&recipe)), Err("entry-mismatch"), "{other:?}");
    }
    // Nor does it state the usual scheme where another was used.
    let mut recipe = Recipe {
        signer: Key::rsa_pss(),
        edit_body: |entry| with_details(entry, KeyDetails::RsaPssSha256_2048),
        ..Recipe::default()
    };
    assert_eq!(code(world.verify(&recipe)), Ok(()));
    recipe.edit_body = |entry| with_details(entry, KeyDetails::RsaPkcs1v15Sha256_2048);
    assert_eq!(code(world.verify(&recipe)), Err("entry-mismatch"));
}

fn with_details(entry: Entry, details: KeyDetails) -> Entry {
    match entry {
        Entry::HashedRekordV002(mut entry) => {
            entry.key_details = details;
            Entry::HashedRekordV002(entry)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_statement_in_a_v1_hashedrekord_is_bound_by_its_encoding() {
    let world = World::new();
    let mut recipe = Recipe {
        entry: Some(EntryKind::HashedRekordV001),
        token: None,
        ..Recipe::default().with_statement()
    };
    assert_eq!(code(world.verify(&recipe)), Ok(()));
    recipe.edit_body = |entry| match entry {
        Entry::HashedRekordV001(mut entry) => {
            entry.digest = Sha256Digest::of(ARTIFACT).into();
            Entry::HashedRekordV001(entry)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(code(world.verify(&recipe)), Err("entry-mismatch"));
}

/// CVE-2022-36056: an entry that the log does hold, about something else by the same signer.
#[test]
fn an_entry_of_another_bundle_is_refused() {
    let world = World::new();
    for kind in [
        EntryKind::HashedRekordV001,
        EntryKind::HashedRekordV002,
        EntryKind::DsseV001,
        EntryKind::IntotoV002,
    ] {
        let recipe = |token: bool| Recipe {
            entry: Some(kind),
            token: token.then(TokenRecipe::default),
            ..Recipe::v1(kind)
        };
        let (mut bundle, other) = (world.bundle(&recipe(true)), world.bundle(&recipe(true)));
        assert_eq!(code(world.verify_bundle(&bundle)), Ok(()));
        assert_eq!(code(world.verify_bundle(&other)), Ok(()));
        bundle.log_entries = other.log_entries;
        assert_eq!(code(world.verify_bundle(&bundle)), Err("entry-mismatch"), "{kind:?}");
    }
}

#[test]
fn a_statement_of_no_or_another_type_is_refused() {
    let world = World::new();
    let mut honest: Value = serde_json::from_str(&Recipe::default().with_statement().statement.unwrap()).unwrap();
    let verify = |statement: &Value| {
        code(world.verify(&Recipe {
            statement: Some(statement.to_string()),
            ..Recipe::default()
        }))
    };
    assert_eq!(verify(&honest), Ok(()));
    let mut unknown = honest.clone();
    unknown["_type"] = "https://in-toto.io/Statement/v9".into();
    assert_eq!(verify(&unknown), Err("statement"));
    honest.as_object_mut().unwrap().remove("_type");
    assert_eq!(verify(&honest), Err("json"));
}

#[test]
fn a_timestamp_does_not_borrow_the_window_of_another_authority() {
    let mut world = World::new();
    let recipe = Recipe::default();
    let bundle = world.bundle(&recipe);
    assert_eq!(code(world.verify_bundle(&bundle)), Ok(()));
    // Another authority is believed at this time; the one that stamped is not any more.
    let other = World::new();
    world
        .trusted_root
        .timestamp_authorities
        .extend(other.trusted_root.timestamp_authorities.clone());
    assert_eq!(code(world.verify_bundle(&bundle)), Ok(()));
    world.trusted_root.timestamp_authorities[0].valid_for = ValidityWindow {
        start: SIGNED_AT.plus_secs(-1000),
        end: Some(SIGNED_AT.plus_secs(-1)),
    };
    assert_eq!(code(world.verify_bundle(&bundle)), Err("timestamp-time"));
    world.trusted_root.timestamp_authorities.reverse();
    assert_eq!(code(world.verify_bundle(&bundle)), Err("timestamp-time"));
}

#[test]
fn every_one_of_several_timestamps_lies_within_the_certificate() {
    let world = World::new();
    let recipe = Recipe::default();
    let mut bundle = world.bundle(&recipe);
    let further = |at| {
        world.token(
            &TokenRecipe {
                at,
                ..TokenRecipe::default()
            },
            bundle.signature(),
        )
    };
    let (inside, outside) = (further(SIGNED_AT.plus_secs(540)), further(SIGNED_AT.plus_secs(541)));
    bundle.timestamps.push(inside);
    assert_eq!(code(world.verify_bundle(&bundle)), Ok(()));
    bundle.timestamps[1] = outside;
    assert_eq!(code(world.verify_bundle(&bundle)), Err("certificate-time"));
}

#[test]
fn an_anchor_is_believed_for_its_key_not_for_its_own_signature() {
    let mut world = World::new();
    let bundle = world.bundle(&Recipe::default());
    let other = Key::p384();
    world.trusted_root.certificate_authorities[0].chain[1] =
        CaRecipe::root("root").certificate(world.root.public(), &other);
    assert_eq!(code(ask(&world, &bundle, &policy())), Ok(()));
    world.trusted_root.certificate_authorities[0].chain[1] = CaRecipe::root("root").certificate(other.public(), &other);
    assert_eq!(code(ask(&world, &bundle, &policy())), Err("certificate-chain"));
}

#[test]
fn of_two_authorities_with_one_name_the_sct_is_checked_with_the_right_key() {
    let mut world = World::new();
    let bundle = world.bundle(&Recipe::default());
    let other = World::new();
    let namesake = other.signing_authority(&CaRecipe::intermediate());
    world.trusted_root.certificate_authorities.insert(0, namesake.clone());
    assert_eq!(code(world.verify_bundle(&bundle)), Ok(()));
    world.trusted_root.certificate_authorities.reverse();
    assert_eq!(code(world.verify_bundle(&bundle)), Ok(()));
    world.trusted_root.certificate_authorities = vec![namesake];
    assert!(world.verify_bundle(&bundle).is_err());
}

#[test]
fn any_certificate_of_a_chain_may_have_issued_the_leaf() {
    let mut world = World::new();
    let bundle = world.bundle(&Recipe::default());
    let below = CaRecipe {
        subject: "below".to_owned(),
        issuer: "intermediate".to_owned(),
        ..CaRecipe::intermediate()
    };
    let issuer = CaRecipe {
        path_length: None,
        ..CaRecipe::intermediate()
    };
    let issuer_certificate = issuer.certificate(world.intermediate.public(), &world.root);
    let root = CaRecipe {
        path_length: None,
        ..CaRecipe::root("root")
    };
    world.trusted_root.certificate_authorities[0].chain = vec![
        below.certificate(Key::p384().public(), &world.intermediate),
        issuer_certificate,
        root.certificate(world.root.public(), &world.root),
    ];
    assert_eq!(code(world.verify_bundle(&bundle)), Ok(()));
    // The path from there on holds like any other.
    world.trusted_root.certificate_authorities[0].chain[1] =
        issuer.certificate(world.intermediate.public(), &Key::p384());
    assert_eq!(code(world.verify_bundle(&bundle)), Err("certificate-chain"));
    // What is not in the chain issues nothing.
    world.trusted_root.certificate_authorities[0].chain.remove(1);
    assert!(world.verify_bundle(&bundle).is_err());
}

#[test]
fn evidence_tells_the_statement_as_it_was_signed() {
    let world = World::new();
    let bundle = world.bundle(&Recipe::default().with_statement());
    let verified = world.verify_bundle(&bundle).unwrap();
    let Content::Dsse(envelope) = &bundle.content else {
        panic!("an envelope");
    };
    let signed: Value = serde_json::from_slice(&envelope.payload).unwrap();
    let statement = verified.statement().unwrap();
    assert_eq!(statement.predicate, signed["predicate"]);
    assert_eq!(verified.subject(), statement.subjects.first());
    assert_eq!(verified.clone().predicate_type(), signed["predicateType"].as_str());
}
