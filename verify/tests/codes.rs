//! Every code of `verify` has a vector that produces it: one input that is accepted, and the same with one thing wrong.
//!
//! The codes are read from the source, so that a new one without a vector fails here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod authority;

use std::collections::BTreeSet;

use authority::{
    ARTIFACT, CaRecipe, EntryKind, IDENTITY, ISSUER, Key, NOW, Recipe, SIGNED_AT, TokenRecipe, World, extension, policy,
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use verify::{
    Artifact, Budget, Bundle, Error, Policy, PublicKey, Sha256Digest, TrustedRoot, UnixTime,
    agreement::{self, CrateFacts, Expectations},
    bundle::Content,
    certificate::Certificate,
    checkpoint::Checkpoint,
    entry::{Entry, HashedRekordV002},
    identity::Claim,
    json as verify_json,
    link::Link,
    merkle,
    note::Note,
    provenance::{self, Package, PackageFacts, Provenance},
    sct::SignedCertificateTimestamp,
    statement::Statement,
    tile,
    time::ValidityWindow,
    token::{JsonWebKeySet, JwsAlgorithm, UnverifiedToken},
};

/// A code, and how the unharmed and the harmed input came out.
struct Vector {
    code: &'static str,
    unharmed: Result<(), Error>,
    harmed: Result<(), Error>,
}

fn vector<T, U>(code: &'static str, unharmed: Result<T, Error>, harmed: Result<U, Error>) -> Vector {
    Vector {
        code,
        unharmed: unharmed.map(drop),
        harmed: harmed.map(drop),
    }
}

/// Verifies the recipe's bundle, then what the change makes of it.
fn made(code: &'static str, base: Recipe, change: impl FnOnce(&mut World, &mut Recipe)) -> Vector {
    let (mut world, mut recipe) = (World::new(), base);
    let unharmed = world.verify(&recipe);
    change(&mut world, &mut recipe);
    vector(code, unharmed, world.verify(&recipe))
}

/// Changes the finished bundle: nothing is signed again.
fn finished(code: &'static str, base: &Recipe, change: impl FnOnce(&mut Bundle)) -> Vector {
    let world = World::new();
    let mut bundle = world.bundle(base);
    let unharmed = world.verify_bundle(&bundle);
    change(&mut bundle);
    vector(code, unharmed, world.verify_bundle(&bundle))
}

/// The same bundle under another policy.
fn asked(code: &'static str, change: impl FnOnce(Policy) -> Policy) -> Vector {
    let world = World::new();
    let bundle = world.bundle(&Recipe::default().with_statement());
    let verifier = world.verifier().unwrap();
    let ask = |policy: &Policy| verifier.verify(&bundle, &Artifact::Bytes(ARTIFACT), policy, NOW);
    vector(code, ask(&policy()), ask(&change(policy())))
}

/// The same bundle for another artifact.
fn spoken_of(code: &'static str, recipe: &Recipe, artifact: Artifact<'_>) -> Vector {
    let world = World::new();
    let bundle = world.bundle(recipe);
    let verifier = world.verifier().unwrap();
    let ask = |artifact| verifier.verify(&bundle, &artifact, &policy(), NOW);
    vector(code, ask(Artifact::Bytes(ARTIFACT)), ask(artifact))
}

fn signed_by(signer: Key, base: Recipe) -> Recipe {
    Recipe { signer, ..base }
}

fn v1() -> Recipe {
    Recipe::v1(EntryKind::DsseV001)
}

fn too_early() -> ValidityWindow {
    ValidityWindow {
        start: SIGNED_AT.plus_secs(1),
        end: None,
    }
}

#[test]
fn every_code_has_a_vector_that_produces_it() {
    let sections = [
        reading(),
        log_formats(),
        tokens(),
        signer(),
        transparency(),
        times(),
        log(),
        content(),
        policies(),
        provenance(),
    ];
    let mut produced = BTreeSet::new();
    for vector in sections.into_iter().flatten() {
        let code = vector.code;
        assert_eq!(vector.unharmed, Ok(()), "{code}: the unharmed input is accepted");
        let harmed = vector.harmed.map_err(|error| error.code());
        assert_eq!(harmed, Err(code));
        assert!(produced.insert(code), "{code} has two vectors");
    }
    assert_eq!(produced, codes());
}

/// The codes as they stand in `Error::code()`.
fn codes() -> BTreeSet<&'static str> {
    let source = include_str!("../src/error.rs");
    let arms = source.lines().filter(|line| line.trim_start().starts_with("Self::"));
    let codes: BTreeSet<_> = arms
        .filter_map(|line| line.split_once("=> \"")?.1.split('"').next())
        .collect();
    assert!(codes.len() > 70, "only {} codes found", codes.len());
    codes
}

fn reading() -> Vec<Vector> {
    let budget = Budget::default();
    let json = World::new().bundle(&Recipe::default()).to_json();
    let tight = Budget {
        bundle_bytes: json.len(),
        ..Budget::default()
    };
    let read = |text: &str| Bundle::from_json(text.as_bytes(), &tight);
    let edited = |pointer: &str, value: Value| {
        let mut document: Value = serde_json::from_str(&json).unwrap();
        *document.pointer_mut(pointer).unwrap() = value;
        Bundle::from_json(document.to_string().as_bytes(), &budget)
    };
    let nested = |levels: usize| {
        let text = "[".repeat(levels) + &"]".repeat(levels);
        verify_json::parse(text.as_bytes(), "nest", 1024, 64)
    };
    let keys = |count: usize| {
        let set = json!({ "keys": vec![json!({"kty": "oct"}); count] }).to_string();
        JsonWebKeySet::from_json(set.as_bytes(), &budget)
    };
    let time = UnixTime::from_rfc3339;
    let key = Key::p256().public().spki_der().to_vec();
    let digest = Sha256Digest::of(ARTIFACT).to_string();
    vec![
        vector("too-large", read(&json), read(&format!("{json} "))),
        vector("too-many", keys(64), keys(65)),
        vector("too-deep", nested(64), nested(65)),
        vector("json", read(&json), read(&json[1..])),
        vector(
            "field",
            read(&json),
            edited("/verificationMaterial/tlogEntries/0/logIndex", "-1".into()),
        ),
        vector("media-type", read(&json), edited("/mediaType", "text/plain".into())),
        vector("time", time("2026-01-01T00:00:00Z"), time("2026-01-01T00:00:00")),
        vector(
            "digest-text",
            digest.parse::<Sha256Digest>(),
            digest[1..].parse::<Sha256Digest>(),
        ),
        vector(
            "key",
            PublicKey::from_spki_der(&key),
            PublicKey::from_spki_der(&key[..key.len() - 1]),
        ),
        made("digest-length", Recipe::default(), |_, recipe| {
            recipe.token.as_mut().unwrap().imprint_algorithm = "2.16.840.1.101.3.4.2.3";
        }),
        finished("repeated", &Recipe::default(), |bundle| {
            bundle.timestamps.push(bundle.timestamps[0].clone());
        }),
        finished("one-of", &v1(), |bundle| {
            let Content::Dsse(envelope) = &mut bundle.content else {
                panic!("no envelope")
            };
            envelope.signatures.push(envelope.signatures[0].clone());
        }),
        finished("bundle-version", &Recipe::default(), |bundle| {
            bundle.log_entries[0].inclusion_proof = None;
        }),
        vector(
            "trusted-root",
            World::new().verifier(),
            verify::Verifier::new(with_another_log_id()),
        ),
    ]
}

fn with_another_log_id() -> TrustedRoot {
    let mut root = World::new().trusted_root;
    root.logs[0].log_id = [7; 32];
    root
}

fn log_formats() -> Vec<Vector> {
    let budget = Budget::default();
    let world = World::new();
    let bundle = world.bundle(&Recipe::default());
    let entry = &bundle.log_entries[0];
    let note = entry.inclusion_proof.as_ref().unwrap().checkpoint.as_str();
    let read_note = |text: &str| Note::parse(text.as_bytes(), &budget);
    let text = read_note(note).unwrap().text;
    let certificate = bundle.certificate().unwrap().to_vec();
    let longer = [certificate.as_slice(), &[0]].concat();
    let sct = Certificate::from_der(&certificate, &budget)
        .unwrap()
        .scts(&budget)
        .unwrap()[0]
        .to_bytes();
    let tile = tile::encode_entry_bundle(&[&entry.canonicalized_body]).unwrap();
    let (one, two) = (merkle::leaf_hash(b"one"), merkle::leaf_hash(b"two"));
    let root = merkle::node_hash(&one, &two);
    vec![
        vector("note", read_note(note), read_note(note.trim_end())),
        vector(
            "checkpoint",
            Checkpoint::parse(&text),
            Checkpoint::parse(text.trim_end()),
        ),
        vector(
            "entry",
            Entry::parse(&entry.canonicalized_body, &budget),
            Entry::parse(b"{}", &budget),
        ),
        vector(
            "certificate",
            Certificate::from_der(&certificate, &budget),
            Certificate::from_der(&longer, &budget),
        ),
        vector(
            "sct",
            SignedCertificateTimestamp::from_bytes(&sct),
            SignedCertificateTimestamp::from_bytes(&sct[..sct.len() - 1]),
        ),
        vector(
            "tile-path",
            tile::parse_index_path("x001/234"),
            tile::parse_index_path("x001/34"),
        ),
        vector(
            "entry-bundle",
            tile::parse_entry_bundle(&tile),
            tile::parse_entry_bundle(&tile[..tile.len() - 1]),
        ),
        vector(
            "inclusion-proof",
            merkle::verify_inclusion(&one, 0, 2, &[two], &root),
            merkle::verify_inclusion(&one, 1, 2, &[two], &root),
        ),
        vector(
            "consistency-proof",
            merkle::verify_consistency(1, &one, 2, &root, &[two]),
            merkle::verify_consistency(1, &two, 2, &root, &[two]),
        ),
    ]
}

fn tokens() -> Vec<Vector> {
    let budget = Budget::default();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let signed =
        [r#"{"alg":"EdDSA","kid":"one"}"#, r#"{"iss":"https://ci.example"}"#].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = signed.join(".");
    let signature = pair.sign(signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([1; 64]));
    let keys = |id: &str| {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": URL_SAFE_NO_PAD.encode(pair.public_key())});
        JsonWebKeySet::from_json(json!({ "keys": [key] }).to_string().as_bytes(), &budget).unwrap()
    };
    let parse = |text: &str| UnverifiedToken::parse(text, &budget);
    let verify = |text: &str, id: &str, algorithm| parse(text).unwrap().verify(&keys(id), &[algorithm]);
    let honest = || verify(&token, "one", JwsAlgorithm::EdDsa);
    vec![
        vector("token", parse(&token), parse(&token.replace('.', ""))),
        vector("token-key", honest(), verify(&token, "two", JwsAlgorithm::EdDsa)),
        vector("token-signature", honest(), verify(&forged, "one", JwsAlgorithm::EdDsa)),
        vector("token-algorithm", honest(), verify(&token, "one", JwsAlgorithm::Rs256)),
    ]
}

fn signer() -> Vec<Vector> {
    vec![
        made("certificate-extension", Recipe::default(), |_, recipe| {
            recipe.leaf.further.push(extension("1.2.3.4", true, &[5, 0]));
        }),
        made("certificate-profile", Recipe::default(), |_, recipe| {
            recipe.leaf.ca = true;
        }),
        made("certificate-chain", Recipe::default(), |_, recipe| {
            recipe.leaf.signed_by_root = true;
        }),
        made("certificate-time", Recipe::default(), |_, recipe| {
            recipe.leaf.validity.1 = SIGNED_AT.plus_secs(-1);
        }),
        made("unknown-authority", Recipe::default(), |world, _| {
            world.trusted_root.certificate_authorities.clear();
        }),
        made("authority-time", Recipe::default(), |world, _| {
            let expired = CaRecipe {
                validity: (SIGNED_AT.plus_secs(-9000), SIGNED_AT.plus_secs(-1)),
                ..CaRecipe::intermediate()
            };
            world.trusted_root.certificate_authorities = vec![world.signing_authority(&expired)];
        }),
        finished("signature", &Recipe::default(), |bundle| {
            let Content::Message { signature, .. } = &mut bundle.content else {
                panic!("no message")
            };
            *signature.last_mut().unwrap() ^= 1;
        }),
    ]
}

fn transparency() -> Vec<Vector> {
    vec![
        made("sct-missing", Recipe::default(), |_, recipe| recipe.leaf.scts.clear()),
        made("sct-unknown-log", Recipe::default(), |_, recipe| {
            recipe.leaf.scts[0].unknown_log = true;
        }),
        made("sct-time", Recipe::default(), |world, _| {
            world.trusted_root.ct_logs[0].valid_for = too_early();
        }),
        made("sct-signature", Recipe::default(), |_, recipe| {
            recipe.leaf.scts[0].flip_signature = true;
        }),
    ]
}

fn times() -> Vec<Vector> {
    let token = |code, change: fn(&mut TokenRecipe)| {
        made(code, Recipe::default(), |_, recipe| {
            change(recipe.token.as_mut().unwrap());
        })
    };
    vec![
        token("timestamp", |token| token.status = 2),
        token("timestamp-imprint", |token| token.imprint_of = Some(b"other".to_vec())),
        token("timestamp-signature", |token| token.flip_signature = true),
        made("timestamp-unknown-authority", Recipe::default(), |world, _| {
            world.trusted_root.timestamp_authorities.clear();
        }),
        made("timestamp-time", Recipe::default(), |world, _| {
            world.trusted_root.timestamp_authorities[0].valid_for = too_early();
        }),
        made("future-time", Recipe::default(), |_, recipe| {
            recipe.leaf.scts[0].at = NOW.plus_secs(61);
        }),
        made("no-time", Recipe::default(), |_, recipe| recipe.token = None),
    ]
}

fn log() -> Vec<Vector> {
    let base = Recipe::default();
    vec![
        made("no-log-entry", Recipe::default(), |_, recipe| recipe.entry = None),
        made("unknown-log", Recipe::default(), |world, _| {
            world.trusted_root.logs.clear();
        }),
        made("log-time", Recipe::default(), |world, _| {
            world.trusted_root.logs[0].valid_for = too_early();
        }),
        finished("proof-missing", &base, |bundle| {
            bundle.log_entries[0]
                .inclusion_proof
                .as_mut()
                .unwrap()
                .checkpoint
                .clear();
        }),
        finished("inclusion-promise", &v1(), |bundle| {
            bundle.log_entries[0].integrated_time = Some(SIGNED_AT.plus_secs(1));
        }),
        made("checkpoint-signature", Recipe::default(), |_, recipe| {
            recipe.checkpoint.flip_signature = true;
        }),
        made("checkpoint-origin", Recipe::default(), |_, recipe| {
            recipe.checkpoint.origin = Some("other.example".to_owned());
        }),
        made("checkpoint-mismatch", Recipe::default(), |_, recipe| {
            recipe.checkpoint.flip_root = true;
        }),
        made("entry-mismatch", Recipe::default(), |_, recipe| {
            recipe.edit_body = with_longer_signature;
        }),
    ]
}

fn with_longer_signature(entry: Entry) -> Entry {
    let Entry::HashedRekordV002(inner) = entry else {
        panic!("another kind")
    };
    Entry::HashedRekordV002(HashedRekordV002 {
        signature: [inner.signature.as_slice(), &[0]].concat(),
        ..inner
    })
}

fn content() -> Vec<Vector> {
    let by_digest = Artifact::Digest(Sha256Digest::of(ARTIFACT));
    vec![
        spoken_of("artifact-mismatch", &Recipe::default(), Artifact::Bytes(b"other")),
        spoken_of("subject-mismatch", &v1(), Artifact::Bytes(b"other")),
        spoken_of("digest-needed", &signed_by(Key::p384(), Recipe::default()), by_digest),
        spoken_of(
            "bytes-needed",
            &signed_by(Key::ed25519(), Recipe::v1(EntryKind::HashedRekordV001)),
            by_digest,
        ),
        made("payload-type", Recipe::default().with_statement(), |_, recipe| {
            "text/plain".clone_into(&mut recipe.payload_type);
        }),
        made("statement", Recipe::default().with_statement(), |_, recipe| {
            recipe.statement = Some(authority::statement(&[]));
        }),
    ]
}

fn policies() -> Vec<Vector> {
    let named = |san| Policy::identity(san, ISSUER);
    let pattern = |pattern| Policy::identity_pattern(pattern, ISSUER);
    let key = Key::p256().public().clone();
    vec![
        vector("empty-identity", named(IDENTITY), named("")),
        vector(
            "pattern",
            pattern("https://ci.example/acme/*"),
            pattern("https://ci.example/*"),
        ),
        asked("identity-mismatch", |_| named("https://ci.example/other").unwrap()),
        asked("issuer-mismatch", |_| {
            Policy::identity(IDENTITY, "https://other.example").unwrap()
        }),
        asked("claim-mismatch", |policy| policy.claim(Claim::BuildTrigger, "schedule")),
        asked("claim-denied", |policy| policy.deny_claim(Claim::BuildTrigger, "push")),
        asked("predicate-type-mismatch", |policy| {
            policy.predicate_type("https://other.example")
        }),
        asked("builder-mismatch", |policy| policy.builder("https://other.example")),
        asked("subject-name", |policy| policy.subject_name("other-1.0.0.crate")),
        asked("threshold", |policy| policy.logs(2)),
        asked("signer-mismatch", |_| Policy::managed_key(key)),
    ]
}

/// What a statement says beyond the bundle: each vector is the honest one's provenance or link with one text replaced.
fn provenance() -> Vec<Vector> {
    let budget = Budget::default();
    let honest = honest_provenance().to_string();
    let link = json!({"name": "package"}).to_string();
    let read = |kind: &str, predicate: &str| {
        let statement = with_predicate(kind, predicate);
        Statement::from_json(statement.as_bytes(), &budget).unwrap()
    };
    let read_link = |kind| Link::from_statement(&read(kind, &link), &budget);
    let read_provenance = |text: &str| Provenance::from_statement(&read(provenance::PREDICATE_TYPE, text), &budget);
    let examined = |by_key: bool| {
        let recipe = Recipe {
            statement: Some(with_predicate(provenance::PREDICATE_TYPE, &honest)),
            ..Recipe::default()
        };
        let policy = if by_key {
            Policy::managed_key(recipe.signer.public().clone())
        } else {
            policy()
        };
        let hint = by_key.then(|| STANDARD.encode(recipe.signer.public().id().0));
        let world = World::new();
        let bundle = world.bundle(&Recipe {
            key_hint: hint,
            ..recipe
        });
        let verifier = world.verifier().unwrap();
        let outcome = verifier
            .verify(&bundle, &Artifact::Bytes(ARTIFACT), &policy, NOW)
            .unwrap();
        agreement::examine(&outcome, &facts(), &Expectations::default(), &budget)
    };
    vec![
        vector(
            "predicate-type",
            read_link("https://in-toto.io/attestation/link/v0.3"),
            read_link("https://in-toto.io/attestation/link/v0.2"),
        ),
        vector(
            "build-type",
            read_provenance(&honest),
            read_provenance(&honest.replace(provenance::BUILD_TYPE, provenance::GITHUB_WORKFLOW_BUILD_TYPE)),
        ),
        vector("no-identity", examined(false), examined(true)),
    ]
}

fn with_predicate(kind: &str, predicate: &str) -> String {
    let mut statement: Value = serde_json::from_str(&authority::statement(&[(
        "a",
        "sha256",
        &Sha256Digest::of(ARTIFACT).to_string(),
    )]))
    .unwrap();
    statement["predicateType"] = kind.into();
    statement["predicate"] = serde_json::from_str(predicate).unwrap();
    statement.to_string()
}

fn honest_provenance() -> Value {
    let leaf = World::new().bundle(&Recipe::default()).certificate().unwrap().to_vec();
    let identity = Certificate::from_der(&leaf, &Budget::default())
        .unwrap()
        .identity()
        .unwrap();
    let facts = PackageFacts {
        package: Package {
            name: "widget".to_owned(),
            version: "1.0.0".to_owned(),
            path: String::new(),
        },
        options: provenance::Options::default(),
        inputs: std::collections::BTreeMap::new(),
        cargo: provenance::Cargo::default(),
        tool: provenance::Tool::default(),
        lockfile: None,
        toolchain: None,
        sbom: None,
    };
    Provenance::from_identity(&identity, &facts).to_value()
}

fn facts() -> CrateFacts {
    CrateFacts {
        name: "widget".to_owned(),
        version: "1.0.0".to_owned(),
        digest: Sha256Digest::of(ARTIFACT),
        package_url: "pkg:cargo/widget@1.0.0".to_owned(),
        vcs: None,
        repository: None,
    }
}
