//! Log entries, and what they are about.

use crate::{
    authority::{ARTIFACT, EntryKind, Key, NOW, Recipe, SIGNED_AT, World},
    other_digest, refuses, refuses_bundle,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use verify::{
    Artifact, HashAlgorithm, Policy,
    entry::{Entry, EntryVerifier},
    key::KeyDetails,
};

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
    // Nobody, and what is no PEM.
    let edits: [(EntryKind, fn(Entry) -> Entry); 4] = [
        (EntryKind::HashedRekordV001, |entry| {
            edit_v1(entry, |it| it.verifier_pem.clear())
        }),
        (EntryKind::HashedRekordV001, |entry| {
            edit_v1(entry, |it| it.verifier_pem = "xyzzy".to_owned())
        }),
        (EntryKind::DsseV001, |entry| {
            edit_dsse(entry, |it| it.signatures[0].1.clear())
        }),
        (EntryKind::DsseV001, |entry| {
            edit_dsse(entry, |it| it.signatures[0].1 = "xyzzy".to_owned())
        }),
    ];
    for (kind, edit) in edits {
        refuses(
            "entry",
            &format!("{kind:?} names nobody"),
            || honest(kind),
            |_, recipe| recipe.edit_body = edit,
        );
    }
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
