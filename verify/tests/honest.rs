//! Every honest bundle is accepted: each kind of entry, key and proof this suite knows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod authority;

use authority::{
    ARTIFACT, CaRecipe, CertificateHashRecipe, EntryKind, IDENTITY, ISSUER, Key, NOW, Recipe, SIGNED_AT, TokenRecipe,
    World, policy,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use verify::{
    Artifact, Budget, Bundle, HashAlgorithm, Policy, Sha256Digest, TrustedRoot,
    artifact::ArtifactHasher,
    bundle::{BundleVersion, SignerMaterial},
    danger,
    timestamp::Timestamp,
    verifier::{BatchItem, TimeSource},
};

#[test]
fn a_bundle_of_today_is_accepted_and_tells_what_held() {
    let world = World::new();
    let verified = world.verify(&Recipe::default().with_statement()).unwrap();
    assert_eq!(verified.artifact_digest(), Some(&Sha256Digest::of(ARTIFACT)));
    assert_eq!(verified.subject().unwrap().name, "widget-1.0.0.crate");
    assert_eq!(verified.predicate_type(), Some("https://slsa.dev/provenance/v1"));
    assert_eq!(verified.identity().unwrap().san.as_str(), IDENTITY);
    assert_eq!(verified.identity().unwrap().issuer(), ISSUER);
    assert_eq!(verified.claim(verify::identity::Claim::BuildTrigger), Some("push"));
    assert_eq!(verified.log_index(), Some(1));
    assert_eq!(verified.log_id(), Some(&world.trusted_root.logs[0].log_id));
    assert_eq!(verified.times().len(), 1);
    assert_eq!(verified.times()[0].at, SIGNED_AT);
    assert!(matches!(verified.times()[0].source, TimeSource::TimestampAuthority(_)));
    let signatures = verified
        .checks()
        .iter()
        .filter(|check| check.ends_with("signature"))
        .count();
    assert_eq!(
        signatures,
        5,
        "leaf, SCT, artifact, timestamp, checkpoint: {:?}",
        verified.checks()
    );
}

#[test]
fn a_verified_bundle_tells_where_it_was_logged() {
    let world = World::new();
    let verified = world.verify(&Recipe::v1(EntryKind::DsseV001)).unwrap();
    assert_eq!(verified.log_index(), Some(4001));
    let [entry] = verified.log_entries() else {
        panic!("{:?}", verified.log_entries())
    };
    assert_eq!((entry.index, entry.log_id), (4001, world.trusted_root.logs[1].log_id));
    assert!(matches!(&verified.times()[0].source, TimeSource::LogPromise(url) if url == "https://v1.example"));
    let verified = world.verify(&Recipe::default()).unwrap();
    assert!(matches!(&verified.times()[0].source, TimeSource::TimestampAuthority(uri) if uri.ends_with("/timestamp")));
}

#[test]
fn a_token_may_name_its_signer_by_key_id() {
    let world = World::new();
    let recipe = |key_id| Recipe {
        token: Some(TokenRecipe {
            key_id: Some(key_id),
            ..TokenRecipe::default()
        }),
        ..Recipe::default()
    };
    world.verify(&recipe(authority::TSA_KEY_ID)).unwrap();
    assert_eq!(
        world.verify(&recipe(b"another key")).unwrap_err().code(),
        "timestamp-unknown-authority"
    );
}

#[test]
fn a_token_by_rsa_may_name_the_algorithm_of_the_key_only() {
    let world = World::with_keys(Key::p256(), Key::p256(), Key::ed25519(), Key::p256(), Key::rsa());
    for rsa_encryption in [false, true] {
        let token = TokenRecipe {
            rsa_encryption,
            ..TokenRecipe::default()
        };
        world
            .verify(&Recipe {
                token: Some(token),
                ..Recipe::default()
            })
            .unwrap();
    }
}

#[test]
fn a_token_may_say_more_than_it_must() {
    let world = World::new();
    let verify = |token| {
        let outcome = world.verify(&Recipe {
            token: Some(token),
            ..Recipe::default()
        });
        outcome.map(|_| ()).map_err(|error| error.code())
    };
    let with = |attribute| TokenRecipe {
        further_attributes: vec![attribute],
        ..TokenRecipe::default()
    };
    let (signing_time, content_type, digest) = ("1.2.840.113549.1.9.5", "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4");
    let time = authority::der::generalized_time(SIGNED_AT);
    assert_eq!(verify(with(authority::attribute(signing_time, &time))), Ok(()));
    let null_parameters = TokenRecipe {
        null_parameters: true,
        ..TokenRecipe::default()
    };
    assert_eq!(verify(null_parameters), Ok(()));
    // What counts is said once.
    let tst_info = authority::der::oid("1.2.840.113549.1.9.16.1.4");
    let twice = authority::attribute(content_type, &tst_info);
    assert_eq!(verify(with(twice)), Err("timestamp"));
    let twice = authority::attribute(digest, &authority::der::octets(&[0; 32]));
    assert_eq!(verify(with(twice)), Err("timestamp"));
}

#[test]
fn a_token_may_carry_extensions_that_are_not_critical() {
    let world = World::new();
    let verify = |extensions: &[Vec<u8>]| {
        let token = TokenRecipe {
            further: vec![authority::der::element(0xa1, &extensions.concat())],
            ..TokenRecipe::default()
        };
        let outcome = world.verify(&Recipe {
            token: Some(token),
            ..Recipe::default()
        });
        outcome.map(|_| ()).map_err(|error| error.code())
    };
    let (usual, critical) = (
        authority::extension("1.2.3", false, b""),
        authority::extension("1.2.3", true, b""),
    );
    assert_eq!(verify(std::slice::from_ref(&usual)), Ok(()));
    assert_eq!(verify(&[usual.clone(), usual.clone()]), Ok(()));
    assert_eq!(verify(std::slice::from_ref(&critical)), Err("timestamp"));
    assert_eq!(verify(&[usual, critical]), Err("timestamp"));
}

#[test]
fn a_token_gives_back_the_nonce_of_its_request() {
    let world = World::new();
    let nonce = |further: Vec<Vec<u8>>| {
        let token = world.token(
            &TokenRecipe {
                further,
                ..TokenRecipe::default()
            },
            b"message",
        );
        let timestamp = Timestamp::from_der(&token, &Budget::default()).unwrap();
        timestamp.nonce().map(<[u8]>::to_vec)
    };
    assert_eq!(nonce(vec![]), None);
    assert_eq!(
        nonce(vec![authority::der::integer(&[0x12, 0x34])]),
        Some(vec![0x12, 0x34])
    );
}

#[test]
fn every_kind_of_entry_is_accepted() {
    let world = World::new();
    for kind in [EntryKind::HashedRekordV001, EntryKind::DsseV001, EntryKind::IntotoV002] {
        let verified = world
            .verify(&Recipe::v1(kind))
            .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        assert!(
            matches!(verified.times()[0].source, TimeSource::LogPromise(_)),
            "{kind:?}"
        );
    }
    for recipe in [
        Recipe::default(),
        Recipe::default().with_statement(),
        Recipe {
            entry: Some(EntryKind::DsseV002),
            ..Recipe::default().with_statement()
        },
    ] {
        world.verify(&recipe).unwrap();
    }
}

#[test]
fn every_version_is_accepted_and_prints_back() {
    let world = World::new();
    for version in [BundleVersion::V0_1, BundleVersion::V0_2, BundleVersion::V0_3] {
        let bundle = world.bundle(&Recipe {
            version,
            ..Recipe::v1(EntryKind::DsseV001)
        });
        let again = Bundle::from_json(bundle.to_json().as_bytes(), &Budget::default()).unwrap();
        assert_eq!(again, bundle);
        assert_eq!(again.to_json(), bundle.to_json());
        world.verify_bundle(&again).unwrap();
    }
}

#[test]
fn an_old_bundle_may_have_a_promise_only() {
    let world = World::new();
    let mut bundle = world.bundle(&Recipe {
        version: BundleVersion::V0_1,
        ..Recipe::v1(EntryKind::HashedRekordV001)
    });
    let proof = bundle.log_entries[0].inclusion_proof.as_mut().unwrap();
    proof.checkpoint.clear();
    world.verify_bundle(&bundle).unwrap();
    let root = world.trusted_root.certificate_authorities[0].chain[1].der().to_vec();
    let leaf = bundle.certificate().unwrap().to_vec();
    let with_proof = Bundle {
        signer: SignerMaterial::CertificateChain(vec![leaf, root]),
        ..bundle.clone()
    };
    assert!(world.verify_bundle(&with_proof).is_err());
    bundle.log_entries[0].inclusion_proof = None;
    world.verify_bundle(&bundle).unwrap();
    // The first of those clients wrote the root too.
    bundle.signer = with_proof.signer;
    world.verify_bundle(&bundle).unwrap();
    let unlogged = Bundle {
        log_entries: Vec::new(),
        ..bundle.clone()
    };
    let refused = world.verify_bundle(&unlogged).map_err(|error| error.code());
    assert_eq!(
        refused.err(),
        Some("certificate-chain"),
        "nothing shows that it is so old"
    );
    bundle.version = BundleVersion::V0_2;
    assert!(world.verify_bundle(&bundle).is_err());
}

#[test]
fn a_v1_log_may_name_its_checkpoints_by_its_host_alone() {
    let world = World::new();
    let mut recipe = Recipe::v1(EntryKind::IntotoV002);
    recipe.checkpoint.origin = Some("v1.example".to_owned());
    world.verify(&recipe).unwrap();
}

#[test]
fn every_kind_of_key_is_accepted() {
    let world = World::new();
    for signer in [Key::p256(), Key::p384(), Key::p521(), Key::rsa()] {
        let kind = signer.public().kind();
        for recipe in [Recipe::default(), Recipe::v1(EntryKind::HashedRekordV001)] {
            let recipe = Recipe {
                signer: signer.copy(),
                ..recipe
            };
            world
                .verify(&recipe)
                .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        }
    }
    let ed25519 = Recipe {
        signer: Key::ed25519(),
        ..Recipe::v1(EntryKind::DsseV001)
    };
    world.verify(&ed25519).unwrap();
}

#[test]
fn every_kind_of_authority_key_is_accepted() {
    for (ca, ct, log, log_v1, tsa) in [
        (Key::p384(), Key::p384(), Key::p256(), Key::p384(), Key::p256()),
        (Key::rsa(), Key::rsa(), Key::ed25519(), Key::p256(), Key::rsa()),
        (Key::ed25519(), Key::p256(), Key::p384(), Key::rsa(), Key::p384()),
    ] {
        let world = World::with_keys(ca, ct, log, log_v1, tsa);
        world.verify(&Recipe::default()).unwrap();
        world.verify(&Recipe::v1(EntryKind::HashedRekordV001)).unwrap();
    }
}

#[test]
fn every_way_to_name_the_signing_certificate_is_accepted() {
    let world = World::new();
    for certificate_hash in [
        CertificateHashRecipe::V2,
        CertificateHashRecipe::V2Sha512,
        CertificateHashRecipe::V2WithIssuer,
        CertificateHashRecipe::V1,
    ] {
        for with_certificate in [false, true] {
            let token = Some(TokenRecipe {
                certificate_hash,
                with_certificate,
                ..TokenRecipe::default()
            });
            world
                .verify(&Recipe {
                    token,
                    ..Recipe::default()
                })
                .unwrap();
        }
    }
}

#[test]
fn a_token_may_bring_the_certificate_that_the_trusted_root_lacks() {
    let mut world = World::new();
    world.trusted_root.timestamp_authorities[0].chain.remove(0);
    let token = |with_certificate| {
        Some(TokenRecipe {
            with_certificate,
            ..TokenRecipe::default()
        })
    };
    world
        .verify(&Recipe {
            token: token(true),
            ..Recipe::default()
        })
        .unwrap();
    let refused = world.verify(&Recipe {
        token: token(false),
        ..Recipe::default()
    });
    assert_eq!(refused.unwrap_err().code(), "timestamp-unknown-authority");
    // Others of the chain may come along as well.
    let recipe = TokenRecipe {
        with_certificate: true,
        brings_first: world.trusted_root.timestamp_authorities[0].chain[0].der().to_vec(),
        ..TokenRecipe::default()
    };
    world
        .verify(&Recipe {
            token: Some(recipe),
            ..Recipe::default()
        })
        .unwrap();
    // An authority of another name is not asked whether it signed the certificate.
    world.trusted_root.timestamp_authorities[0].chain =
        vec![CaRecipe::root("another root").certificate(world.tsa_root.public(), &world.tsa_root)];
    let refused = world.verify(&Recipe {
        token: token(true),
        ..Recipe::default()
    });
    assert_eq!(refused.unwrap_err().code(), "timestamp-unknown-authority");
}

#[test]
fn windows_are_closed() {
    let mut world = World::new();
    let recipe = Recipe::default();
    let window = verify::time::ValidityWindow {
        start: SIGNED_AT,
        end: Some(SIGNED_AT),
    };
    world.trusted_root.logs[0].valid_for = window;
    world.trusted_root.certificate_authorities[0].valid_for = window;
    world.trusted_root.timestamp_authorities[0].valid_for = window;
    world.trusted_root.ct_logs[0].valid_for = verify::time::ValidityWindow {
        start: recipe.leaf.scts[0].at,
        end: Some(recipe.leaf.scts[0].at),
    };
    world.verify(&recipe).unwrap();
    let mut recipe = Recipe::default();
    recipe.leaf.validity = (SIGNED_AT, SIGNED_AT);
    world.verify(&recipe).unwrap();
}

#[test]
fn one_key_may_be_listed_for_several_periods() {
    let mut world = World::new();
    let mut earlier = world.signing_authority(&CaRecipe::intermediate());
    earlier.valid_for.end = Some(SIGNED_AT.plus_secs(-1000));
    world.trusted_root.certificate_authorities.insert(0, earlier);
    let mut earlier = world.trusted_root.timestamp_authorities[0].clone();
    earlier.valid_for.end = Some(SIGNED_AT.plus_secs(-1000));
    world.trusted_root.timestamp_authorities.insert(0, earlier);
    world.verify(&Recipe::default()).unwrap();
}

#[test]
fn digests_do_as_well_as_bytes() {
    let world = World::new();
    let verifier = world.verifier().unwrap();
    for recipe in [
        Recipe::default(),
        Recipe::default().with_statement(),
        Recipe {
            signer: Key::p384(),
            ..Recipe::default()
        },
    ] {
        let bundle = world.bundle(&recipe);
        let mut hasher = ArtifactHasher::new(&bundle.artifact_algorithms(&Budget::default()));
        for piece in ARTIFACT.chunks(3) {
            hasher.update(piece);
        }
        let digests = hasher.finish();
        verifier
            .verify(&bundle, &Artifact::Digests(&digests), &policy(), NOW)
            .unwrap();
    }
}

#[test]
fn a_subject_known_by_sha512_only_is_found() {
    let world = World::new();
    let digest = hex::encode(HashAlgorithm::Sha512.digest(ARTIFACT).as_bytes());
    let recipe = Recipe {
        statement: Some(authority::statement(&[("a", "sha512", &digest)])),
        ..Recipe::default()
    };
    world.verify(&recipe).unwrap();
    let by_sha256 = Artifact::Digest(Sha256Digest::of(ARTIFACT));
    let bundle = world.bundle(&recipe);
    let refused = world.verifier().unwrap().verify(&bundle, &by_sha256, &policy(), NOW);
    assert_eq!(refused.unwrap_err().code(), "digest-needed");
    // Where the digest at hand could be compared, and differed, another is not asked for.
    let recipe = Recipe {
        statement: Some(authority::statement(&[
            ("a", "sha512", &digest),
            ("b", "sha256", &"00".repeat(32)),
        ])),
        ..Recipe::default()
    };
    let bundle = world.bundle(&recipe);
    world.verify_bundle(&bundle).unwrap();
    let refused = world.verifier().unwrap().verify(&bundle, &by_sha256, &policy(), NOW);
    assert_eq!(refused.unwrap_err().code(), "subject-mismatch");
}

#[test]
fn managed_keys_are_accepted_by_their_own_policy() {
    let world = World::new();
    let signer = Key::p256();
    let policy = Policy::managed_key(signer.public().clone());
    let verifier = world.verifier().unwrap();
    let id = signer.public().id().0;
    let hints = [
        STANDARD.encode(id),
        format!("SHA256:{}", STANDARD_NO_PAD.encode(id)),
        hex::encode(id),
        "release key of 2026".to_owned(),
    ];
    let mut recipe = Recipe {
        signer,
        ..Recipe::default()
    };
    for hint in hints {
        recipe.key_hint = Some(hint);
        let accepted = verifier
            .verify(&world.bundle(&recipe), &Artifact::Bytes(ARTIFACT), &policy, NOW)
            .unwrap();
        assert!(accepted.identity().is_none());
    }
    let other = Key::p256().public().id().0;
    let hints = [
        STANDARD.encode(other),
        STANDARD_NO_PAD.encode(other),
        format!("SHA256:{}", STANDARD_NO_PAD.encode(other)),
        hex::encode(other),
    ];
    for hint in hints {
        recipe.key_hint = Some(hint);
        let refused = verifier.verify(&world.bundle(&recipe), &Artifact::Bytes(ARTIFACT), &policy, NOW);
        assert_eq!(refused.unwrap_err().code(), "signer-mismatch");
    }
}

#[test]
fn private_bundles_are_accepted_only_by_the_policy_that_says_so() {
    let mut world = World::new();
    let mut recipe = Recipe {
        entry: None,
        ..Recipe::default()
    };
    recipe.leaf.scts.clear();
    let bundle = world.bundle(&recipe);
    assert_eq!(world.verify_bundle(&bundle).unwrap_err().code(), "sct-missing");
    world.trusted_root.logs.clear();
    world.trusted_root.ct_logs.clear();
    let relaxed = danger::timestamp_only(policy());
    let verified = world
        .verifier()
        .unwrap()
        .verify(&bundle, &Artifact::Bytes(ARTIFACT), &relaxed, NOW)
        .unwrap();
    assert!(verified.log_entries().is_empty());
    assert_eq!(verified.times().len(), 1);
}

#[test]
fn a_trusted_root_prints_back() {
    let world = World::new();
    let mut stated = world.trusted_root.clone();
    stated.logs[0].checkpoint_key_id = Some(stated.logs[0].log_id);
    let again = TrustedRoot::from_json(stated.to_json().as_bytes(), &Budget::default()).unwrap();
    assert_eq!(again.logs, stated.logs);
    assert_eq!(again.to_json(), stated.to_json());
}

#[test]
fn a_batch_answers_in_order_as_single_bundles_do() {
    let world = World::new();
    let verifier = world.verifier().unwrap();
    let policy = policy();
    let mut bundles: Vec<Bundle> = (0..8).map(|_| world.bundle(&Recipe::default())).collect();
    bundles[3].timestamps.clear();
    bundles.push(bundles[0].clone());
    let item = |bundle| BatchItem {
        bundle,
        artifact: Artifact::Bytes(ARTIFACT),
        policy: &policy,
    };
    let items: Vec<_> = bundles.iter().map(item).collect();
    for threads in [1, 2, 7] {
        let outcomes = verifier.verify_all(&items, NOW, threads.try_into().unwrap());
        assert_eq!(outcomes.len(), items.len());
        for (position, outcome) in outcomes.iter().enumerate() {
            let expected = if position == 3 { Err("no-time") } else { Ok(()) };
            assert_eq!(
                outcome.as_ref().map(|_| ()).map_err(verify::Error::code),
                expected,
                "{position}"
            );
        }
    }
}
