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

mod authority;

use authority::{
    ARTIFACT, CODE_SIGNING, CaRecipe, CertificateHashRecipe, CheckpointRecipe, EntryKind, IDENTITY, ISSUER, Key, NOW,
    Recipe, SIGNED_AT, SctRecipe, TokenRecipe, World,
    der::{element, explicit, integer, octets, oid, sequence, utf8},
    extension, policy,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use verify::{
    Artifact, Budget, Bundle, Digest, Error, HashAlgorithm, Policy, Sha256Digest, UnixTime,
    agreement::{self, CrateFacts, Expectations},
    bundle::{BundleVersion, Content, SignerMaterial},
    danger,
    entry::{Entry, EntryVerifier},
    identity::Claim,
    key::KeyDetails,
    note,
    time::ValidityWindow,
};

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

fn refuses_leaf(code: &str, what: &str, change: impl FnOnce(&mut authority::LeafRecipe)) {
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

#[test]
fn leaf_profile() {
    refuses_leaf("certificate-profile", "no key usage", |leaf| leaf.key_usage = None);
    refuses_leaf("certificate-profile", "key usage without digitalSignature", |leaf| {
        leaf.key_usage = Some(0x40);
    });
    refuses_leaf("certificate-profile", "key usage with keyCertSign", |leaf| {
        leaf.key_usage = Some(0x84);
    });
    refuses_leaf("certificate-profile", "no extended key usage", |leaf| {
        leaf.purposes = None;
    });
    refuses_leaf("certificate-profile", "extended key usage for servers", |leaf| {
        leaf.purposes = Some(vec!["1.3.6.1.5.5.7.3.1"]);
    });
    refuses_leaf("certificate-profile", "a CA", |leaf| leaf.ca = true);
    refuses_leaf("certificate-profile", "no name", |leaf| leaf.names.clear());
    refuses_leaf("certificate-profile", "two names", |leaf| {
        leaf.names.push(element(0x86, b"https://ci.example/another"));
    });
    refuses_leaf("certificate-profile", "an empty name", |leaf| {
        leaf.names = vec![element(0x86, b"")];
    });
    refuses_leaf("certificate-profile", "a DNS name", |leaf| {
        leaf.names = vec![element(0x82, b"ci.example")];
    });
    refuses_leaf("certificate-profile", "a foreign otherName", |leaf| {
        let other = [oid("1.3.6.1.4.1.57264.1.99"), explicit(0, &utf8(IDENTITY))].concat();
        leaf.names = vec![element(0xa0, &other)];
    });
    refuses_leaf("certificate-extension", "a critical extension nobody knows", |leaf| {
        leaf.further.push(extension("1.2.3.4", true, &[5, 0]));
    });
    refuses_leaf("certificate", "an extension twice", |leaf| {
        leaf.further
            .push(extension("1.3.6.1.4.1.57264.1.8", false, &utf8(ISSUER)));
    });
    refuses_leaf("certificate-extension", "a claim that is no UTF8String", |leaf| {
        leaf.further.push(extension("1.3.6.1.4.1.57264.1.9", false, b"raw"));
    });
}

#[test]
fn deprecated_claims_equal_their_successors() {
    for (number, value) in [
        (1, "https://other.example"),
        (2, "pull_request"),
        (3, "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"),
        (5, "idget"),
        (6, "refs/heads/main"),
    ] {
        refuses_leaf("certificate-profile", &format!("claim {number}"), |leaf| {
            leaf.claims.iter_mut().find(|(claim, _)| *claim == number).unwrap().1 = value.to_owned();
        });
    }
}

#[test]
fn certificate_path() {
    refuses_leaf("unknown-authority", "another issuer", |leaf| {
        leaf.issuer = "somebody".to_owned();
    });
    refuses_leaf("certificate-chain", "signed by another key", |leaf| {
        leaf.signed_by_root = true;
    });
    refuses_leaf("certificate-time", "expired when signed", |leaf| {
        leaf.validity.1 = SIGNED_AT.plus_secs(-1);
    });
    refuses_leaf("certificate-time", "not yet valid when signed", |leaf| {
        leaf.validity.0 = SIGNED_AT.plus_secs(1);
    });
    for (code, name, (start, end)) in [
        ("authority-time", "authority not believed any more", (-1000, -1)),
        ("authority-time", "authority not believed yet", (1, 1000)),
    ] {
        refuses(code, name, Recipe::default, |world, _| {
            world.trusted_root.certificate_authorities[0].valid_for = window(start, end);
        });
    }
    refuses("unknown-authority", "no authority", Recipe::default, |world, _| {
        world.trusted_root.certificate_authorities.clear();
    });
}

#[test]
fn an_authority_is_checked_when_the_trusted_root_is_loaded() {
    let cases: [(&str, fn(&mut CaRecipe)); 6] = [
        ("no CA", |ca| ca.ca = false),
        ("no key usage", |ca| ca.key_usage = None),
        ("may not sign certificates", |ca| ca.key_usage = Some(0x80)),
        ("for servers", |ca| ca.purposes = Some(vec!["1.3.6.1.5.5.7.3.1"])),
        ("issued by another", |ca| ca.issuer = "another".to_owned()),
        ("unknown critical extension", |ca| {
            ca.further.push(extension("1.2.3.4", true, &[5, 0]));
        }),
    ];
    for (name, change) in cases {
        refuses(
            if name.starts_with("unknown") {
                "certificate-extension"
            } else {
                "certificate-chain"
            },
            name,
            Recipe::default,
            |world, _| {
                let mut ca = CaRecipe::intermediate();
                change(&mut ca);
                world.trusted_root.certificate_authorities = vec![world.signing_authority(&ca)];
            },
        );
    }
}

/// Several authorities may have one name: each is believed for its own key, path and time.
#[test]
fn an_authority_of_the_same_name_lends_its_time_to_no_other() {
    let expired = |world: &World| {
        let mut authority = world.signing_authority(&CaRecipe::intermediate());
        authority.valid_for = window(-1000, -1);
        authority
    };
    refuses("authority-time", "another key", Recipe::default, |world, _| {
        let mut other = world.signing_authority(&CaRecipe::intermediate());
        other.chain[0] = CaRecipe::intermediate().certificate(Key::p256().public(), &world.root);
        world.trusted_root.certificate_authorities = vec![expired(world), other];
    });
    refuses(
        "authority-time",
        "the same key, not signed",
        Recipe::default,
        |world, _| {
            let mut other = world.signing_authority(&CaRecipe::intermediate());
            other.chain[0] = CaRecipe::intermediate().certificate(world.intermediate.public(), &Key::p384());
            world.trusted_root.certificate_authorities = vec![expired(world), other];
        },
    );
}

/// Signatures within a path are checked when the authority is needed.
#[test]
fn an_authority_that_is_not_needed_harms_nobody() {
    let mut world = World::new();
    let mut other = world.signing_authority(&CaRecipe {
        subject: "another intermediate".to_owned(),
        ..CaRecipe::intermediate()
    });
    other.chain[1] = CaRecipe::root("root").certificate(Key::p384().public(), &world.root);
    world.trusted_root.certificate_authorities.insert(0, other);
    world.verify(&Recipe::default()).unwrap();
}

#[test]
fn an_intermediate_is_believed_only_while_it_is_valid() {
    refuses("authority-time", "expired", Recipe::default, |world, _| {
        let ca = CaRecipe {
            validity: (SIGNED_AT.plus_secs(-9000), SIGNED_AT.plus_secs(-1)),
            ..CaRecipe::intermediate()
        };
        world.trusted_root.certificate_authorities = vec![world.signing_authority(&ca)];
    });
    refuses(
        "certificate-chain",
        "never while it was believed",
        Recipe::default,
        |world, _| {
            let ca = CaRecipe {
                validity: (SIGNED_AT.plus_secs(-900_000), SIGNED_AT.plus_secs(-600_000)),
                ..CaRecipe::intermediate()
            };
            world.trusted_root.certificate_authorities = vec![world.signing_authority(&ca)];
        },
    );
}

#[test]
fn a_path_longer_than_its_root_allows_is_refused() {
    refuses("certificate-chain", "path length", Recipe::default, |world, _| {
        let root = CaRecipe {
            path_length: Some(0),
            ..CaRecipe::root("root")
        };
        world.trusted_root.certificate_authorities[0].chain[1] = root.certificate(world.root.public(), &world.root);
    });
    refuses("certificate-chain", "another root key", Recipe::default, |world, _| {
        let other = Key::p384();
        world.trusted_root.certificate_authorities[0].chain[1] =
            CaRecipe::root("root").certificate(other.public(), &other);
    });
    refuses(
        "certificate-chain",
        "a root that did not sign itself",
        Recipe::default,
        |world, _| {
            let other = Key::p384();
            world.trusted_root.certificate_authorities[0].chain[1] =
                CaRecipe::root("root").certificate(world.root.public(), &other);
        },
    );
    refuses("certificate-chain", "no certificate", Recipe::default, |world, _| {
        world.trusted_root.certificate_authorities[0].chain.clear();
    });
}

#[test]
fn signed_certificate_timestamps() {
    let sct = |change: fn(&mut SctRecipe)| move |leaf: &mut authority::LeafRecipe| change(&mut leaf.scts[0]);
    refuses_leaf("sct-missing", "no SCT", |leaf| leaf.scts.clear());
    refuses_leaf(
        "sct-signature",
        "flipped signature",
        sct(|sct| sct.flip_signature = true),
    );
    refuses_leaf("sct-signature", "another issuer", sct(|sct| sct.foreign_issuer = true));
    refuses_leaf("sct-unknown-log", "unknown log", sct(|sct| sct.unknown_log = true));
    refuses_leaf("sct-signature", "the second is wrong", |leaf| {
        leaf.scts.push(SctRecipe {
            flip_signature: true,
            ..SctRecipe::default()
        });
    });
    let mut recipe = Recipe::default();
    recipe.leaf.scts[0].at = NOW.plus_secs(60);
    World::new().verify(&recipe).unwrap();
    refuses_leaf("future-time", "from the future", sct(|sct| sct.at = NOW.plus_secs(61)));
    for (name, (start, end)) in [
        ("log not believed any more", (-1000, -60)),
        ("log not believed yet", (-58, 1000)),
    ] {
        refuses("sct-time", name, Recipe::default, |world, _| {
            world.trusted_root.ct_logs[0].valid_for = window(start, end);
        });
    }
    refuses_leaf("sct", "malformed list", |leaf| {
        leaf.scts.clear();
        leaf.further
            .push(extension("1.3.6.1.4.1.11129.2.4.2", false, &octets(&[0, 9, 1])));
    });
}

#[test]
fn timestamps() {
    refuses("no-time", "no timestamp", Recipe::default, |_, recipe| {
        recipe.token = None;
    });
    refuses_token("timestamp", "refused by the authority", |token| token.status = 2);
    refuses_token("timestamp-imprint", "of other bytes", |token| {
        token.imprint_of = Some(b"other".to_vec());
    });
    refuses_token("timestamp", "imprint by SHA-1", |token| {
        token.imprint_algorithm = "1.3.14.3.2.26";
    });
    refuses_token("digest-length", "imprint of another length", |token| {
        token.imprint_algorithm = "2.16.840.1.101.3.4.2.3";
    });
    refuses_token("timestamp", "content is no TSTInfo", |token| {
        token.content_type = "1.2.840.113549.1.7.1";
    });
    refuses_token("timestamp", "attribute names other content", |token| {
        token.attribute_content_type = "1.2.840.113549.1.7.1";
    });
    refuses_token("timestamp", "version 2", |token| token.version = 2);
    refuses_token("timestamp-signature", "digest of other content", |token| {
        token.flip_message_digest = true;
    });
    refuses_token("timestamp-signature", "flipped signature", |token| {
        token.flip_signature = true;
    });
    refuses_token("timestamp-signature", "names another certificate", |token| {
        token.certificate_hash = CertificateHashRecipe::WrongV2;
    });
    refuses_token("timestamp-signature", "names another certificate by SHA-1", |token| {
        token.certificate_hash = CertificateHashRecipe::WrongV1;
    });
    refuses_token("timestamp", "names no certificate", |token| {
        token.certificate_hash = CertificateHashRecipe::Absent;
    });
    refuses_token("timestamp", "no message digest", |token| {
        token.omit_message_digest = true;
    });
    refuses_token("timestamp-unknown-authority", "another serial", |token| {
        token.serial = vec![8];
    });
    refuses_token("timestamp", "brings a certificate, but not the signer's", |token| {
        token.with_certificate = true;
        token.brings_another = true;
    });
    refuses_token("timestamp", "two signers", |token| token.signers = 2);
    refuses_token("timestamp", "no signer", |token| token.signers = 0);
    refuses_token("timestamp", "trailing byte", |token| token.trailing = vec![0]);
    refuses_token("timestamp", "fields in another order", |token| {
        token.further = vec![integer(&[1]), element(0x01, &[0xff])];
    });
    refuses_token("timestamp", "a critical extension", |token| {
        let extension = sequence(&[oid("1.2.3"), element(0x01, &[0xff]), octets(b"")]);
        token.further = vec![element(0xa1, &extension)];
    });
}

#[test]
fn times() {
    refuses_token("certificate-time", "stamped before the certificate", |token| {
        token.at = SIGNED_AT.plus_secs(-61);
    });
    refuses_token("certificate-time", "stamped after the certificate", |token| {
        token.at = SIGNED_AT.plus_secs(541);
    });
    for (name, (start, end)) in [("not believed any more", (-1000, -1)), ("not believed yet", (1, 1000))] {
        refuses("timestamp-time", name, Recipe::default, |world, _| {
            world.trusted_root.timestamp_authorities[0].valid_for = window(start, end);
        });
        refuses("log-time", name, Recipe::default, |world, _| {
            world.trusted_root.logs[0].valid_for = window(start, end);
        });
        refuses(
            "log-time",
            name,
            || Recipe::v1(EntryKind::DsseV001),
            |world, _| {
                world.trusted_root.logs[1].valid_for = window(start, end);
            },
        );
    }
    refuses(
        "timestamp-unknown-authority",
        "no authority",
        Recipe::default,
        |world, _| {
            world.trusted_root.timestamp_authorities.clear();
        },
    );
    let far = NOW.plus_secs(61);
    refuses("future-time", "stamped in the future", Recipe::default, |_, recipe| {
        recipe.leaf.validity.1 = far;
        recipe.token.as_mut().unwrap().at = far;
    });
    refuses(
        "certificate-time",
        "promised after the certificate",
        || Recipe::v1(EntryKind::DsseV001),
        |_, recipe| {
            recipe.promise_at = SIGNED_AT.plus_secs(541);
        },
    );
    refuses(
        "certificate-time",
        "one of two times outside",
        || Recipe {
            token: Some(TokenRecipe::default()),
            ..Recipe::v1(EntryKind::DsseV001)
        },
        |_, recipe| recipe.promise_at = SIGNED_AT.plus_secs(541),
    );
}

#[test]
fn a_timestamp_authority_is_checked_when_the_trusted_root_is_loaded() {
    for (name, purposes, usage) in [
        ("also for code", vec![authority::TIME_STAMPING, CODE_SIGNING], 0x80),
        ("for code", vec![CODE_SIGNING], 0x80),
        ("key not for signatures", vec![authority::TIME_STAMPING], 0x40),
    ] {
        refuses("certificate-chain", name, Recipe::default, |world, _| {
            let leaf = authority::tsa_leaf(&world.tsa, &world.tsa_root, &purposes, usage);
            let leaf = verify::certificate::Certificate::from_der(&leaf, &Budget::default()).unwrap();
            world.trusted_root.timestamp_authorities[0].chain[0] = leaf;
        });
    }
    refuses("certificate-chain", "signed by another", Recipe::default, |world, _| {
        let leaf = authority::tsa_leaf(&world.tsa, &world.root, &[authority::TIME_STAMPING], 0x80);
        let leaf = verify::certificate::Certificate::from_der(&leaf, &Budget::default()).unwrap();
        world.trusted_root.timestamp_authorities[0].chain[0] = leaf;
    });
}

#[test]
fn a_certificate_that_a_token_brings_is_checked_like_a_listed_one() {
    let bringing = || {
        let mut recipe = Recipe::default();
        recipe.token.as_mut().unwrap().with_certificate = true;
        recipe
    };
    let not_listed = |world: &mut World| world.trusted_root.timestamp_authorities[0].chain.remove(0);
    let mut world = World::new();
    not_listed(&mut world);
    world.verify(&bringing()).unwrap();
    refuses("certificate-chain", "signed by another", bringing, |world, _| {
        not_listed(world);
        world.tsa_leaf = authority::tsa_leaf(&world.tsa, &world.root, &[authority::TIME_STAMPING], 0x80);
    });
    refuses("certificate-chain", "for code", bringing, |world, _| {
        not_listed(world);
        world.tsa_leaf = authority::tsa_leaf(&world.tsa, &world.tsa_root, &[CODE_SIGNING], 0x80);
    });
}

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
fn entries() {
    let base = Recipe::default();
    let v1 = Recipe::v1(EntryKind::DsseV001);
    refuses("no-log-entry", "no entry", Recipe::default, |_, recipe| {
        recipe.entry = None;
    });
    refuses_bundle("unknown-log", "another log's id", &base, |bundle| {
        bundle.log_entries[0].log_id[0] ^= 1;
    });
    refuses_bundle("unknown-log", "a cut id", &base, |bundle| {
        bundle.log_entries[0].log_id.truncate(4);
    });
    refuses_bundle("entry-mismatch", "another kind", &base, |bundle| {
        bundle.log_entries[0].kind = "dsse".to_owned();
    });
    refuses_bundle("entry-mismatch", "another version", &base, |bundle| {
        bundle.log_entries[0].kind_version = "0.0.1".to_owned();
    });
    refuses_bundle("entry", "a body that is no entry", &base, |bundle| {
        bundle.log_entries[0].canonicalized_body = b"{}".to_vec();
    });
    refuses_bundle(
        "entry-mismatch",
        "a promise that a v2 log never makes",
        &base,
        |bundle| {
            bundle.log_entries[0].inclusion_promise = Some(vec![1]);
        },
    );
    refuses_bundle("entry-mismatch", "a time that a v2 log never states", &base, |bundle| {
        bundle.log_entries[0].integrated_time = Some(SIGNED_AT);
    });
    refuses_bundle("inclusion-promise", "flipped promise", &v1, |bundle| {
        *bundle.log_entries[0]
            .inclusion_promise
            .as_mut()
            .unwrap()
            .last_mut()
            .unwrap() ^= 1;
    });
    refuses_bundle("inclusion-promise", "a promise for another index", &v1, |bundle| {
        bundle.log_entries[0].log_index += 1;
    });
    refuses_bundle("inclusion-promise", "a promise for another time", &v1, |bundle| {
        bundle.log_entries[0].integrated_time = Some(SIGNED_AT.plus_secs(1));
    });
    refuses_bundle("inclusion-promise", "a promise for no time", &v1, |bundle| {
        bundle.log_entries[0].integrated_time = None;
    });
    refuses_bundle("no-time", "a time that nobody promised", &v1, |bundle| {
        bundle.log_entries[0].inclusion_promise = None;
    });
    refuses_bundle("repeated", "an entry twice", &base, |bundle| {
        let again = bundle.log_entries[0].clone();
        bundle.log_entries.push(again);
    });
    refuses_bundle("repeated", "an entry twice under two indexes", &base, |bundle| {
        let mut again = bundle.log_entries[0].clone();
        again.log_index += 1;
        bundle.log_entries.push(again);
    });
}

/// The log holds an entry about something else.
#[test]
fn an_entry_is_about_this_signature_by_this_signer_over_this_content() {
    type Edit = fn(Entry) -> Entry;
    let cases: [(&str, EntryKind, Edit); 13] = [
        ("digest", EntryKind::HashedRekordV002, |entry| {
            edit_v2(entry, |it| it.digest = other_digest())
        }),
        ("digest algorithm", EntryKind::HashedRekordV002, |entry| {
            edit_v2(entry, |it| it.digest = HashAlgorithm::Sha512.digest(ARTIFACT))
        }),
        ("signature", EntryKind::HashedRekordV002, |entry| {
            edit_v2(entry, |it| it.signature.push(0))
        }),
        ("key details", EntryKind::HashedRekordV002, |entry| {
            edit_v2(entry, |it| it.key_details = KeyDetails::EcdsaP384Sha384)
        }),
        ("certificate", EntryKind::HashedRekordV002, |entry| {
            edit_v2(entry, |it| it.verifier = EntryVerifier::Certificate(vec![0x30, 0]))
        }),
        ("key instead of certificate", EntryKind::HashedRekordV002, |entry| {
            edit_v2(entry, |it| {
                it.verifier = EntryVerifier::PublicKey(Key::p256().public().spki_der().to_vec());
            })
        }),
        ("digest", EntryKind::HashedRekordV001, |entry| {
            edit_v1(entry, |it| it.digest = other_digest())
        }),
        ("digest algorithm", EntryKind::HashedRekordV001, |entry| {
            edit_v1(entry, |it| it.digest = HashAlgorithm::Sha512.digest(ARTIFACT))
        }),
        ("signature", EntryKind::HashedRekordV001, |entry| {
            edit_v1(entry, |it| it.signature.push(0))
        }),
        ("key", EntryKind::HashedRekordV001, |entry| {
            edit_v1(entry, |it| it.verifier_pem = Key::p256().public().to_pem())
        }),
        ("payload", EntryKind::DsseV001, |entry| {
            edit_dsse(entry, |it| it.payload_hash = other_digest())
        }),
        ("signature", EntryKind::DsseV001, |entry| {
            edit_dsse(entry, |it| it.signatures[0].0 = STANDARD.encode("other"))
        }),
        ("certificate", EntryKind::DsseV001, |entry| {
            edit_dsse(entry, |it| it.signatures[0].1 = Key::p256().public().to_pem())
        }),
    ];
    for (name, kind, edit) in cases {
        refuses(
            "entry-mismatch",
            &format!("{kind:?} {name}"),
            || honest(kind),
            |_, recipe| recipe.edit_body = edit,
        );
    }
    let more: [(&str, EntryKind, Edit); 9] = [
        ("payload", EntryKind::IntotoV002, |entry| {
            edit_intoto(entry, |it| it.payload_hash = other_digest())
        }),
        ("payload type", EntryKind::IntotoV002, |entry| {
            edit_intoto(entry, |it| it.payload_type.push('x'))
        }),
        ("signature", EntryKind::IntotoV002, |entry| {
            edit_intoto(entry, |it| it.signatures[0].signature.push(0))
        }),
        ("certificate", EntryKind::IntotoV002, |entry| {
            edit_intoto(entry, |it| {
                it.signatures[0].verifier_pem = Key::p256().public().to_pem();
            })
        }),
        ("two signatures", EntryKind::IntotoV002, |entry| {
            edit_intoto(entry, |it| it.signatures.push(it.signatures[0].clone()))
        }),
        ("payload", EntryKind::DsseV002, |entry| {
            edit_dsse_v2(entry, |it| it.payload_hash = other_digest())
        }),
        ("signature", EntryKind::DsseV002, |entry| {
            edit_dsse_v2(entry, |it| it.signatures[0].0.push(0))
        }),
        ("key details", EntryKind::DsseV002, |entry| {
            edit_dsse_v2(entry, |it| it.signatures[0].1 = KeyDetails::EcdsaP384Sha384)
        }),
        ("certificate", EntryKind::DsseV002, |entry| {
            edit_dsse_v2(entry, |it| {
                it.signatures[0].2 = EntryVerifier::Certificate(vec![0x30, 0]);
            })
        }),
    ];
    for (name, kind, edit) in more {
        refuses(
            "entry-mismatch",
            &format!("{kind:?} {name}"),
            || honest(kind),
            |_, recipe| recipe.edit_body = edit,
        );
    }
    refuses(
        "entry-mismatch",
        "an envelope's entry for a plain signature",
        Recipe::default,
        |_, recipe| {
            recipe.entry = Some(EntryKind::DsseV001);
        },
    );
}

/// A v1 log writes the signer as PEM, whose label and bytes must both be the signer's.
#[test]
fn an_entry_names_the_very_certificate_or_key() {
    let another_certificate = |entry| {
        edit_v1(entry, |it| {
            let (label, mut der) = ::der::pem::decode_vec(it.verifier_pem.as_bytes()).unwrap();
            *der.last_mut().unwrap() ^= 1;
            it.verifier_pem = verify::pem::encode(label, &der);
        })
    };
    refuses(
        "entry-mismatch",
        "another certificate",
        || honest(EntryKind::HashedRekordV001),
        |_, recipe| recipe.edit_body = another_certificate,
    );
    let world = World::new();
    let verifier = world.verifier().unwrap();
    let mut recipe = Recipe {
        key_hint: Some("release key".to_owned()),
        ..honest(EntryKind::HashedRekordV001)
    };
    let by_key = Policy::managed_key(recipe.signer.public().clone());
    let ask = |recipe: &Recipe| {
        let outcome = verifier.verify(&world.bundle(recipe), &Artifact::Bytes(ARTIFACT), &by_key, NOW);
        outcome.map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(ask(&recipe), Ok(()));
    let edits: [fn(Entry) -> Entry; 2] = [
        |entry| edit_v1(entry, |it| it.verifier_pem = Key::p256().public().to_pem()),
        |entry| {
            edit_v1(entry, |it| {
                it.verifier_pem = it.verifier_pem.replace("PUBLIC KEY", "CERTIFICATE");
            })
        },
    ];
    for edit in edits {
        recipe.edit_body = edit;
        assert_eq!(ask(&recipe), Err("entry-mismatch"));
    }
    let mut recipe = Recipe {
        signer: recipe.signer,
        key_hint: recipe.key_hint,
        ..honest(EntryKind::HashedRekordV002)
    };
    assert_eq!(ask(&recipe), Ok(()));
    recipe.edit_body = |entry| {
        edit_v2(entry, |it| {
            it.verifier = EntryVerifier::PublicKey(Key::p256().public().spki_der().to_vec());
        })
    };
    assert_eq!(ask(&recipe), Err("entry-mismatch"));
}

fn honest(kind: EntryKind) -> Recipe {
    match kind {
        EntryKind::HashedRekordV002 => Recipe::default(),
        EntryKind::DsseV002 => Recipe {
            entry: Some(kind),
            ..Recipe::default().with_statement()
        },
        EntryKind::HashedRekordV001 | EntryKind::DsseV001 | EntryKind::IntotoV002 => Recipe::v1(kind),
    }
}

fn other_digest() -> Digest {
    HashAlgorithm::Sha256.digest(b"something else")
}

fn edit_v2(entry: Entry, edit: impl FnOnce(&mut verify::entry::HashedRekordV002)) -> Entry {
    let Entry::HashedRekordV002(mut inner) = entry else {
        panic!()
    };
    edit(&mut inner);
    Entry::HashedRekordV002(inner)
}

fn edit_v1(entry: Entry, edit: impl FnOnce(&mut verify::entry::HashedRekordV001)) -> Entry {
    let Entry::HashedRekordV001(mut inner) = entry else {
        panic!()
    };
    edit(&mut inner);
    Entry::HashedRekordV001(inner)
}

fn edit_dsse(entry: Entry, edit: impl FnOnce(&mut verify::entry::DsseV001)) -> Entry {
    let Entry::DsseV001(mut inner) = entry else { panic!() };
    edit(&mut inner);
    Entry::DsseV001(inner)
}

fn edit_intoto(entry: Entry, edit: impl FnOnce(&mut verify::entry::IntotoV002)) -> Entry {
    let Entry::IntotoV002(mut inner) = entry else { panic!() };
    edit(&mut inner);
    Entry::IntotoV002(inner)
}

fn edit_dsse_v2(entry: Entry, edit: impl FnOnce(&mut verify::entry::DsseV002)) -> Entry {
    let Entry::DsseV002(mut inner) = entry else { panic!() };
    edit(&mut inner);
    Entry::DsseV002(inner)
}

#[test]
fn content() {
    let base = Recipe::default();
    let dsse = Recipe::default().with_statement();
    refuses_bundle("artifact-mismatch", "another stated digest", &base, |bundle| {
        let Content::Message { digest, .. } = &mut bundle.content else {
            panic!()
        };
        *digest = Some(other_digest());
    });
    refuses_bundle("signature", "flipped signature", &base, |bundle| {
        let Content::Message { signature, .. } = &mut bundle.content else {
            panic!()
        };
        *signature.last_mut().unwrap() ^= 1;
    });
    refuses_bundle("signature", "flipped envelope signature", &dsse, |bundle| {
        let Content::Dsse(envelope) = &mut bundle.content else {
            panic!()
        };
        *envelope.signatures[0].signature.last_mut().unwrap() ^= 1;
    });
    refuses_bundle("signature", "another payload", &dsse, |bundle| {
        let Content::Dsse(envelope) = &mut bundle.content else {
            panic!()
        };
        envelope.payload.push(b' ');
    });
    refuses_bundle("one-of", "two envelope signatures", &dsse, |bundle| {
        let Content::Dsse(envelope) = &mut bundle.content else {
            panic!()
        };
        let again = envelope.signatures[0].clone();
        envelope.signatures.push(again);
    });
    refuses(
        "payload-type",
        "no statement",
        || Recipe::default().with_statement(),
        |_, recipe| {
            recipe.payload_type = "text/plain".to_owned();
        },
    );
    refuses(
        "statement",
        "a statement of nothing",
        || Recipe::default().with_statement(),
        |_, recipe| {
            recipe.statement = Some(authority::statement(&[]));
        },
    );
    refuses(
        "subject-mismatch",
        "another subject",
        || Recipe::default().with_statement(),
        |_, recipe| {
            let other = Sha256Digest::of(b"other").to_string();
            recipe.statement = Some(authority::statement(&[("widget-1.0.0.crate", "sha256", &other)]));
        },
    );
    refuses(
        "subject-mismatch",
        "a contradicting second digest",
        || Recipe::default().with_statement(),
        |_, recipe| {
            let mut statement: serde_json::Value = serde_json::from_str(recipe.statement.as_ref().unwrap()).unwrap();
            statement["subject"][0]["digest"]["sha512"] = "00".repeat(64).into();
            recipe.statement = Some(statement.to_string());
        },
    );
}

#[test]
fn another_artifact_is_refused() {
    let world = World::new();
    for (recipe, code) in [
        (Recipe::default(), "artifact-mismatch"),
        (Recipe::default().with_statement(), "subject-mismatch"),
    ] {
        let bundle = world.bundle(&recipe);
        let verify = |artifact| world.verifier().unwrap().verify(&bundle, &artifact, &policy(), NOW);
        assert!(verify(Artifact::Bytes(ARTIFACT)).is_ok());
        assert!(verify(Artifact::Digest(Sha256Digest::of(ARTIFACT))).is_ok());
        assert_eq!(verify(Artifact::Bytes(b"other")).unwrap_err().code(), code);
        assert_eq!(
            verify(Artifact::Digest(Sha256Digest::of(b"other"))).unwrap_err().code(),
            code
        );
    }
    // Without a stated digest the signature alone tells.
    let mut bundle = world.bundle(&Recipe::default());
    let Content::Message { digest, .. } = &mut bundle.content else {
        panic!()
    };
    *digest = None;
    let verify = |artifact| world.verifier().unwrap().verify(&bundle, &artifact, &policy(), NOW);
    assert!(verify(Artifact::Bytes(ARTIFACT)).is_ok());
    assert_eq!(verify(Artifact::Bytes(b"other")).unwrap_err().code(), "signature");
}

#[test]
fn versions_and_material() {
    let base = Recipe::default();
    refuses_bundle("bundle-version", "a chain in v0.3", &base, |bundle| {
        let leaf = bundle.certificate().unwrap().to_vec();
        bundle.signer = SignerMaterial::CertificateChain(vec![leaf]);
    });
    refuses_bundle("bundle-version", "no proof in v0.3", &base, |bundle| {
        bundle.log_entries[0].inclusion_proof = None;
    });
    let old = Recipe {
        version: BundleVersion::V0_1,
        ..Recipe::v1(EntryKind::DsseV001)
    };
    refuses_bundle("bundle-version", "no promise in v0.1", &old, |bundle| {
        bundle.log_entries[0].inclusion_promise = None;
    });
    refuses_bundle("bundle-version", "a single certificate in v0.1", &old, |bundle| {
        let leaf = bundle.certificate().unwrap().to_vec();
        bundle.signer = SignerMaterial::Certificate(leaf);
    });
    refuses_bundle(
        "inclusion-proof",
        "a wrong proof without checkpoint in v0.1",
        &old,
        |bundle| {
            let proof = bundle.log_entries[0].inclusion_proof.as_mut().unwrap();
            proof.checkpoint.clear();
            proof.hashes[0][0] ^= 1;
        },
    );
    refuses_bundle("repeated", "a doubled certificate", &old, |bundle| {
        let leaf = bundle.certificate().unwrap().to_vec();
        bundle.signer = SignerMaterial::CertificateChain(vec![leaf.clone(), leaf]);
    });
    refuses_bundle("repeated", "a doubled timestamp", &base, |bundle| {
        let again = bundle.timestamps[0].clone();
        bundle.timestamps.push(again);
    });
    refuses_bundle("timestamp", "a second timestamp that is none", &base, |bundle| {
        bundle.timestamps.push(vec![1]);
    });
    let world = World::new();
    let mut bundle = world.bundle(&old);
    world.verify_bundle(&bundle).unwrap();
    let leaf = bundle.certificate().unwrap().to_vec();
    let chain = &world.trusted_root.certificate_authorities[0].chain;
    bundle.signer = SignerMaterial::CertificateChain(vec![leaf.clone(), chain[0].der().to_vec()]);
    world.verify_bundle(&bundle).unwrap();
    bundle.signer = SignerMaterial::CertificateChain(vec![leaf.clone(), chain[1].der().to_vec()]);
    assert_eq!(world.verify_bundle(&bundle).unwrap_err().code(), "certificate-chain");
    let other = world.leaf(&authority::LeafRecipe::default(), Key::p256().public());
    bundle.signer = SignerMaterial::CertificateChain(vec![leaf, other]);
    assert_eq!(world.verify_bundle(&bundle).unwrap_err().code(), "certificate-chain");
}

#[test]
fn counts_are_capped() {
    let world = World::new();
    let bundle = world.bundle(&Recipe::default());
    let capped = |budget: Budget| {
        let verifier = verify::Verifier::with_budget(world.trusted_root.clone(), budget).unwrap();
        verifier.verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy(), NOW)
    };
    assert!(capped(Budget::default()).is_ok());
    let of = |edit: fn(&mut Budget)| {
        let mut budget = Budget::default();
        edit(&mut budget);
        budget
    };
    for (code, budget) in [
        ("too-many", of(|it| it.log_entries = 0)),
        ("too-many", of(|it| it.timestamps = 0)),
        ("too-large", of(|it| it.timestamp_bytes = 10)),
        ("too-large", of(|it| it.certificate_bytes = 10)),
        ("too-many", of(|it| it.scts = 0)),
        ("too-large", of(|it| it.entry_bytes = 10)),
        ("too-large", of(|it| it.note_bytes = 10)),
    ] {
        assert_eq!(capped(budget).unwrap_err().code(), code);
    }
}

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

#[test]
fn what_only_the_bytes_can_show_is_asked_for() {
    let world = World::new();
    let verifier = world.verifier().unwrap();
    let bundle = world.bundle(&Recipe {
        signer: Key::p384(),
        ..Recipe::default()
    });
    let by_digest = Artifact::Digest(Sha256Digest::of(ARTIFACT));
    assert!(
        verifier
            .verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy(), NOW)
            .is_ok()
    );
    let refused = verifier.verify(&bundle, &by_digest, &policy(), NOW).unwrap_err();
    assert_eq!(refused, Error::DigestNeeded { algorithm: "sha384" });
    let bundle = world.bundle(&Recipe {
        signer: Key::ed25519(),
        ..Recipe::v1(EntryKind::HashedRekordV001)
    });
    assert!(
        verifier
            .verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy(), NOW)
            .is_ok()
    );
    let refused = verifier.verify(&bundle, &by_digest, &policy(), NOW).unwrap_err();
    assert_eq!(refused, Error::BytesNeeded);
}

#[test]
fn the_clock_may_lag_a_minute() {
    let world = World::new();
    let bundle = world.bundle(&Recipe::default());
    let ask = |now: UnixTime| {
        world
            .verifier()
            .unwrap()
            .verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy(), now)
    };
    assert!(ask(SIGNED_AT.plus_secs(-60)).is_ok());
    assert_eq!(ask(SIGNED_AT.plus_secs(-61)).unwrap_err().code(), "future-time");
}
