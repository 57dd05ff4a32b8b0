//! Timestamps, their authorities, and every time that counts.

use crate::{
    authority::{
        self, ARTIFACT, CODE_SIGNING, CertificateHashRecipe, EntryKind, NOW, Recipe, SIGNED_AT, TokenRecipe, World,
        der::{element, integer, octets, oid, sequence},
        policy,
    },
    refuses, refuses_token, window,
};
use verify::{Artifact, Budget, UnixTime};

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
