//! Logs: their ids, checkpoints, inclusion proofs, witnesses.

use crate::{
    authority::{ARTIFACT, CheckpointRecipe, EntryKind, Key, NOW, Recipe, World, policy},
    refuses, refuses_bundle,
};
use verify::{Artifact, Bundle, note};

#[test]
fn log_ids_belong_to_their_keys() {
    refuses("trusted-root", "log id of another key", Recipe::default, |world, _| {
        world.trusted_root.logs[0].log_id = [7; 32];
    });
    refuses(
        "trusted-root",
        "log id for another host",
        Recipe::default,
        |world, _| {
            world.trusted_root.logs[0].log_id = note::log_key_id("other.example", world.log.public());
        },
    );
    refuses(
        "trusted-root",
        "CT log id of another key",
        Recipe::default,
        |world, _| {
            world.trusted_root.ct_logs[0].log_id = [7; 32];
        },
    );
}

#[test]
fn checkpoints() {
    let cases: [(&str, &str, fn(&mut CheckpointRecipe)); 6] = [
        ("checkpoint-signature", "flipped signature", |it| {
            it.flip_signature = true;
        }),
        ("checkpoint-signature", "another key's hint", |it| {
            it.hint = Some([1, 2, 3, 4]);
        }),
        ("checkpoint-signature", "another name", |it| {
            it.name = Some("other.example".to_owned());
        }),
        ("checkpoint-origin", "another origin", |it| {
            it.origin = Some("other.example".to_owned());
        }),
        ("checkpoint-mismatch", "another size", |it| it.size = Some(4)),
        ("checkpoint-mismatch", "another root", |it| it.flip_root = true),
    ];
    for (code, name, change) in cases {
        refuses(code, name, Recipe::default, |_, recipe| change(&mut recipe.checkpoint));
        refuses(
            code,
            name,
            || Recipe::v1(EntryKind::DsseV001),
            |_, recipe| change(&mut recipe.checkpoint),
        );
    }
    refuses(
        "checkpoint-origin",
        "v1 origin without a decimal tree",
        || Recipe::v1(EntryKind::DsseV001),
        |_, recipe| {
            recipe.checkpoint.origin = Some("v1.example - 12a".to_owned());
        },
    );
    refuses("unknown-log", "no log", Recipe::default, |world, _| {
        world.trusted_root.logs.clear();
    });
}

#[test]
fn inclusion_proofs() {
    let base = Recipe::default();
    let proof = |change: fn(&mut verify::bundle::InclusionProof)| {
        move |bundle: &mut Bundle| change(bundle.log_entries[0].inclusion_proof.as_mut().unwrap())
    };
    refuses_bundle(
        "inclusion-proof",
        "flipped hash",
        &base,
        proof(|proof| proof.hashes[0][0] ^= 1),
    );
    refuses_bundle(
        "inclusion-proof",
        "a hash missing",
        &base,
        proof(|proof| {
            proof.hashes.pop();
        }),
    );
    refuses_bundle(
        "inclusion-proof",
        "a hash too many",
        &base,
        proof(|proof| proof.hashes.push([0; 32])),
    );
    refuses_bundle(
        "checkpoint-mismatch",
        "another root than the checkpoint",
        &base,
        proof(|proof| proof.root_hash[0] ^= 1),
    );
    refuses_bundle(
        "checkpoint-mismatch",
        "another size than the checkpoint",
        &base,
        proof(|proof| proof.tree_size = 2),
    );
    refuses_bundle(
        "checkpoint-mismatch",
        "another index than the entry",
        &base,
        proof(|proof| proof.log_index = 2),
    );
    refuses_bundle(
        "proof-missing",
        "no checkpoint",
        &base,
        proof(|proof| proof.checkpoint.clear()),
    );
    refuses_bundle(
        "proof-missing",
        "no checkpoint beside a promise",
        &Recipe::v1(EntryKind::DsseV001),
        proof(|proof| proof.checkpoint.clear()),
    );
    refuses_bundle(
        "checkpoint-mismatch",
        "the entry states another index",
        &base,
        |bundle| {
            bundle.log_entries[0].log_index = 2;
        },
    );
    let v1 = Recipe::v1(EntryKind::DsseV001);
    refuses_bundle(
        "inclusion-proof",
        "another leaf of the shard",
        &v1,
        proof(|proof| proof.log_index = 2),
    );
}

#[test]
fn witnesses_count_once_and_only_by_their_own_key() {
    let world = World::new();
    let (first, second) = (Key::ed25519(), Key::ed25519());
    let mut recipe = Recipe::default();
    recipe.checkpoint.witnesses = vec![("one.example".to_owned(), first.copy())];
    let bundle = world.bundle(&recipe);
    let ask = |at_least, known: &[(&str, &Key)]| {
        let known: Vec<_> = known.iter().map(|(name, key)| (*name, key.public().clone())).collect();
        let policy = policy().witnesses(at_least, &known);
        let outcome = world
            .verifier()
            .unwrap()
            .verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy, NOW);
        outcome.map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(ask(1, &[("one.example", &first)]), Ok(()));
    assert_eq!(ask(1, &[("one.example", &first), ("two.example", &second)]), Ok(()));
    assert_eq!(
        ask(2, &[("one.example", &first), ("two.example", &second)]),
        Err("threshold")
    );
    assert_eq!(
        ask(2, &[("one.example", &first), ("one.example", &first)]),
        Err("threshold")
    );
    assert_eq!(ask(1, &[("two.example", &first)]), Err("threshold"));
    assert_eq!(ask(1, &[("one.example", &second)]), Err("threshold"));
    assert_eq!(ask(1, &[]), Err("threshold"));
}
