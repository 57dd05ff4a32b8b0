//! Content, artifact, versions and counts of a bundle.

use crate::{
    authority::{self, ARTIFACT, EntryKind, Key, NOW, Recipe, World, policy},
    other_digest, refuses, refuses_bundle,
};
use verify::{
    Artifact, Budget, Error, Sha256Digest,
    bundle::{BundleVersion, Content, SignerMaterial},
};

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
