//! The certificate: profile, path, SCTs.

use crate::{
    authority::{
        self, CaRecipe, IDENTITY, ISSUER, Key, LeafRecipe, NOW, Recipe, SIGNED_AT, SctRecipe, World,
        der::{element, explicit, octets, oid, utf8},
        extension,
    },
    refuses, refuses_leaf, window,
};
use verify::{Budget, UnixTime, certificate::Certificate};

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
fn a_certificate_is_checked_before_anything_is_signed_with_it() {
    let world = World::new();
    let verifier = world.verifier().unwrap();
    let ask = |change: fn(&mut LeafRecipe), at: UnixTime| {
        let mut recipe = LeafRecipe::default();
        change(&mut recipe);
        let der = world.leaf(&recipe, Key::p256().public());
        let certificate = Certificate::from_der(&der, &Budget::default()).unwrap();
        let outcome = verifier.check_certificate(&certificate, at);
        outcome
            .map(|identity| identity.san.as_str().to_owned())
            .map_err(|error| error.code())
    };
    assert_eq!(ask(|_| {}, SIGNED_AT).as_deref(), Ok(IDENTITY));
    assert_eq!(ask(|_| {}, SIGNED_AT.plus_secs(541)), Err("certificate-time"));
    assert_eq!(ask(|leaf| leaf.scts.clear(), SIGNED_AT), Err("sct-missing"));
    assert!(ask(|leaf| leaf.scts[0].at = SIGNED_AT.plus_secs(60), SIGNED_AT).is_ok());
    assert_eq!(
        ask(|leaf| leaf.scts[0].at = SIGNED_AT.plus_secs(61), SIGNED_AT),
        Err("future-time")
    );
}
