//! What a verified bundle tells: all that somebody signed, and nothing that nobody did.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod authority;

use std::num::NonZeroUsize;

use authority::{ARTIFACT, EntryKind, Key, NOW, Recipe, SIGNED_AT, SctRecipe, TokenRecipe, World, policy};
use verify::{
    Artifact, Bundle, Policy, Verified,
    verifier::{BatchItem, IndexScope, TimeSource},
};

/// A v1 entry that its log promised nothing of, stamped by an authority instead.
fn unpromised(world: &World) -> Bundle {
    let recipe = Recipe {
        token: Some(TokenRecipe::default()),
        ..Recipe::v1(EntryKind::DsseV001)
    };
    let mut bundle = world.bundle(&recipe);
    bundle.log_entries[0].inclusion_promise = None;
    bundle
}

fn place(verified: &Verified) -> (u64, IndexScope) {
    let entry = &verified.log_entries()[0];
    assert_eq!(verified.log_index(), Some(entry.index));
    (entry.index, entry.scope)
}

#[test]
fn an_index_over_all_shards_counts_where_the_log_promised_it() {
    let world = World::new();
    let verified = world.verify(&Recipe::v1(EntryKind::DsseV001)).unwrap();
    assert_eq!(place(&verified), (4001, IndexScope::Log));
    let checkpoint = verified.log_entries()[0].checkpoint().unwrap();
    assert_eq!(
        (checkpoint.origin.as_str(), checkpoint.size),
        ("v1.example - 1193050959916656506", 3)
    );
    let verified = world.verify(&Recipe::default()).unwrap();
    assert_eq!(place(&verified), (1, IndexScope::Log));
    assert_eq!(verified.log_entries()[0].checkpoint().unwrap().origin, "log.example");
}

#[test]
fn without_a_promise_only_the_place_in_the_tree_is_told() {
    let world = World::new();
    let mut bundle = unpromised(&world);
    let told = |bundle: &Bundle| {
        let verified = world.verify_bundle(bundle).unwrap();
        let [time] = verified.times() else {
            panic!("{:?}", verified.times())
        };
        assert!(matches!(time.source, TimeSource::TimestampAuthority(_)), "{time:?}");
        assert_eq!(time.at, SIGNED_AT);
        assert!(verified.log_entries()[0].is_of(&bundle.log_entries[0]));
        place(&verified)
    };
    assert_eq!(told(&bundle), (1, IndexScope::Tree));
    // Nobody signed either: they are not told, whatever they are.
    bundle.log_entries[0].log_index = 5000;
    bundle.log_entries[0].integrated_time = Some(SIGNED_AT.plus_secs(7));
    assert_eq!(told(&bundle), (1, IndexScope::Tree));
    bundle.log_entries[0].integrated_time = None;
    assert_eq!(told(&bundle), (1, IndexScope::Tree));
    // Of a log of one shard both are the same. No shard begins before the first.
    bundle.log_entries[0].log_index = 1;
    assert_eq!(told(&bundle), (1, IndexScope::Tree));
    bundle.log_entries[0].log_index = 0;
    assert_eq!(world.verify_bundle(&bundle).unwrap_err().code(), "checkpoint-mismatch");
}

#[test]
fn an_established_entry_knows_what_it_was_stated_as() {
    let world = World::new();
    let bundle = unpromised(&world);
    let verified = world.verify_bundle(&bundle).unwrap();
    let is_of = |change: fn(&mut verify::bundle::TransparencyLogEntry)| {
        let mut stated = bundle.log_entries[0].clone();
        change(&mut stated);
        verified.log_entries()[0].is_of(&stated)
    };
    assert!(is_of(|_| {}));
    assert!(!is_of(|stated| stated.log_id[0] ^= 1));
    assert!(!is_of(|stated| stated.inclusion_proof.as_mut().unwrap().log_index += 1));
    assert!(!is_of(|stated| stated.inclusion_proof = None));
    let promised = world.verify(&Recipe::v1(EntryKind::DsseV001)).unwrap();
    let mut stated = bundle.log_entries[0].clone();
    assert!(promised.log_entries()[0].is_of(&stated));
    stated.log_index += 1;
    assert!(!promised.log_entries()[0].is_of(&stated));
}

#[test]
fn every_sct_is_told_with_its_log_and_time() {
    let world = World::new();
    let mut recipe = Recipe::default();
    recipe.leaf.scts.push(SctRecipe {
        at: SIGNED_AT.plus_secs(-58),
        extensions: Vec::new(),
        ..SctRecipe::default()
    });
    let log = &world.trusted_root.ct_logs[0];
    let told = |verified: &Verified| -> Vec<_> {
        let told = verified.scts().map(|sct| {
            assert_eq!((sct.log_url, *sct.log_id), (log.base_url.as_str(), log.log_id));
            (sct.at, sct.index)
        });
        told.collect()
    };
    let expected = vec![(SIGNED_AT.plus_secs(-59), Some(5)), (SIGNED_AT.plus_secs(-58), None)];
    assert_eq!(told(&world.verify(&recipe).unwrap()), expected);
    // The same where a batch checked the certificate for another bundle.
    let (bundle, policy) = (world.bundle(&recipe), policy());
    let item = BatchItem {
        bundle: &bundle,
        artifact: Artifact::Bytes(ARTIFACT),
        policy: &policy,
    };
    let verifier = world.verifier().unwrap();
    for outcome in verifier.verify_all(&[item, item], NOW, NonZeroUsize::MIN) {
        assert_eq!(told(&outcome.unwrap()), expected);
    }
    // A key has no certificate, so no SCT.
    let signer = Key::p256();
    let by_key = Policy::managed_key(signer.public().clone());
    let bundle = world.bundle(&Recipe {
        key_hint: Some("release key".to_owned()),
        signer,
        ..Recipe::default()
    });
    let proof = verifier
        .verify(&bundle, &Artifact::Bytes(ARTIFACT), &by_key, NOW)
        .unwrap();
    assert_eq!(proof.scts().count(), 0);
}

#[test]
fn the_witnesses_that_the_policy_names_are_told_with_their_times() {
    let world = World::new();
    let (one, two, silent) = (Key::ed25519(), Key::ed25519(), Key::ed25519());
    let mut recipe = Recipe::default();
    recipe.checkpoint.witnesses = vec![
        ("one.example".to_owned(), one.copy()),
        ("two.example".to_owned(), two.copy()),
    ];
    let bundle = world.bundle(&recipe);
    let told = |known: &[(&str, &Key)]| -> Vec<String> {
        let known: Vec<_> = known.iter().map(|(name, key)| (*name, key.public().clone())).collect();
        // Named, not demanded.
        let policy = policy().witnesses(0, &known);
        let verifier = world.verifier().unwrap();
        let proof = verifier
            .verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy, NOW)
            .unwrap();
        let signatures = proof.checks().iter().filter(|check| **check == "witness cosignature");
        assert_eq!(signatures.count(), proof.cosignatures().len());
        let told = proof.cosignatures().iter().map(|cosignature| {
            assert_eq!(
                (cosignature.origin.as_str(), cosignature.at),
                ("log.example", SIGNED_AT)
            );
            cosignature.witness.clone()
        });
        told.collect()
    };
    assert_eq!(told(&[]), Vec::<String>::new());
    assert_eq!(told(&[("two.example", &two)]), ["two.example"]);
    assert_eq!(
        told(&[
            ("two.example", &two),
            ("silent.example", &silent),
            ("one.example", &one)
        ]),
        ["two.example", "one.example"]
    );
    // Another's name, or another's key.
    assert_eq!(
        told(&[("one.example", &two), ("two.example", &silent)]),
        Vec::<String>::new()
    );
}

#[test]
fn a_witness_of_several_checkpoints_is_told_for_each_and_counts_once() {
    let world = World::new();
    let (one, two) = (Key::ed25519(), Key::ed25519());
    let mut recipe = Recipe::default();
    recipe.checkpoint.witnesses = vec![
        ("one.example".to_owned(), one.copy()),
        ("two.example".to_owned(), two.copy()),
    ];
    let mut bundle = world.bundle(&recipe);
    let second = world.entry(&recipe, EntryKind::HashedRekordV001, &bundle);
    bundle.log_entries.push(second);
    let verifier = world.verifier().unwrap();
    let ask = |at_least, known: &[(&str, &Key)]| {
        let known: Vec<_> = known.iter().map(|(name, key)| (*name, key.public().clone())).collect();
        let policy = policy().logs(2).witnesses(at_least, &known);
        let outcome = verifier.verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy, NOW);
        outcome
            .map(|proof| proof.cosignatures().len())
            .map_err(|error| error.code())
    };
    let both = [("one.example", &one), ("two.example", &two)];
    assert_eq!(ask(2, &both), Ok(4));
    assert_eq!(ask(1, &both[..1]), Ok(2));
    assert_eq!(ask(2, &both[..1]), Err("threshold"));
    assert_eq!(ask(3, &both), Err("threshold"));
}

#[test]
fn evidence_is_printed_with_the_statement_that_was_signed() {
    let world = World::new();
    let printed = |recipe: &Recipe| format!("{:?}", world.verify(recipe).unwrap());
    let subject = "widget-1.0.0.crate";
    assert!(!printed(&Recipe::default()).contains(subject));
    assert!(printed(&Recipe::default().with_statement()).contains(subject));
}
