//! Every check refuses what it is for: each case changes one thing of a bundle that is accepted, signs again whatever
//! covers it, and names the one code that must come back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tests may be blunt"
)]

#[path = "../authority/mod.rs"]
mod authority;
mod certificates;
mod content;
mod entries;
mod logs;
mod policies;
mod times;

use authority::{LeafRecipe, Recipe, SIGNED_AT, TokenRecipe, World};
use verify::{Bundle, Digest, HashAlgorithm, time::ValidityWindow};

/// Shows the unharmed bundle accepted, then the changed one refused with this code.
fn refuses(code: &str, what: &str, base: impl Fn() -> Recipe, change: impl FnOnce(&mut World, &mut Recipe)) {
    let mut world = World::new();
    let mut recipe = base();
    world
        .verify(&recipe)
        .unwrap_or_else(|error| panic!("{what}: unharmed bundle refused: {error}"));
    change(&mut world, &mut recipe);
    let outcome = world.verify(&recipe).map(|_| "accepted").map_err(|error| error.code());
    assert_eq!(outcome, Err(code), "{what}");
}

fn refuses_leaf(code: &str, what: &str, change: impl FnOnce(&mut LeafRecipe)) {
    refuses(code, what, Recipe::default, |_, recipe| change(&mut recipe.leaf));
}

fn refuses_token(code: &str, what: &str, change: impl FnOnce(&mut TokenRecipe)) {
    refuses(code, what, Recipe::default, |_, recipe| {
        change(recipe.token.as_mut().unwrap());
    });
}

/// Changes the finished bundle: nothing is signed again.
fn refuses_bundle(code: &str, what: &str, base: &Recipe, change: impl FnOnce(&mut Bundle)) {
    let world = World::new();
    let mut bundle = world.bundle(base);
    world
        .verify_bundle(&bundle)
        .unwrap_or_else(|error| panic!("{what}: unharmed bundle refused: {error}"));
    change(&mut bundle);
    let outcome = world
        .verify_bundle(&bundle)
        .map(|_| "accepted")
        .map_err(|error| error.code());
    assert_eq!(outcome, Err(code), "{what}");
}

fn window(start: i64, end: i64) -> ValidityWindow {
    ValidityWindow {
        start: SIGNED_AT.plus_secs(start),
        end: Some(SIGNED_AT.plus_secs(end)),
    }
}

fn other_digest() -> Digest {
    HashAlgorithm::Sha256.digest(b"something else")
}
