//! Every limit of the budget is a limit: a document that just fits is read, one smaller limit refuses it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests may be blunt"
)]

mod authority;

use std::collections::BTreeSet;

use authority::{Recipe, World};
use verify::{
    Budget, Bundle, Error, TrustedRoot,
    bundle::{BundleVersion, Content, SignerMaterial},
    certificate::Certificate,
    checkpoint::SignedCheckpoint,
    entry::Entry,
    statement::Statement,
    timestamp::Timestamp,
    token::{JsonWebKeySet, UnverifiedToken},
};

/// A limit, how to set it, what just fits, and who reads under it.
struct Limit<'a> {
    name: &'static str,
    set: fn(&mut Budget, usize),
    fits: usize,
    code: &'static str,
    read: &'a dyn Fn(&Budget) -> Result<(), Error>,
}

macro_rules! limit {
    ($field:ident, $fits:expr, $code:literal, $read:expr) => {
        Limit {
            name: stringify!($field),
            set: |budget, limit| budget.$field = limit,
            fits: $fits,
            code: $code,
            read: $read,
        }
    };
}

impl Limit<'_> {
    fn check(&self) {
        let read = |limit: usize| {
            let mut budget = Budget::default();
            (self.set)(&mut budget, limit);
            (self.read)(&budget).map_err(|error| error.code())
        };
        assert!(self.fits > 0, "{}", self.name);
        assert_eq!(read(self.fits), Ok(()), "{} {}", self.name, self.fits);
        assert_eq!(read(self.fits - 1), Err(self.code), "{} {}", self.name, self.fits);
    }
}

const KEYS: &[u8] = br#"{"keys":[{"kty":"oct"},{"kty":"oct"}]}"#;
/// `{"alg":"none"}`, `{}`, nothing.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.e30.";

#[test]
fn every_limit_refuses_what_is_one_too_much() {
    let world = World::new();
    let bundle = world.bundle(&Recipe::default().with_statement());
    let json = bundle.to_json();
    let authority = &world.trusted_root.certificate_authorities[0].chain;
    let chain = Bundle {
        version: BundleVersion::V0_2,
        signer: SignerMaterial::CertificateChain(vec![
            bundle.certificate().unwrap().to_vec(),
            authority[0].der().to_vec(),
        ]),
        ..bundle.clone()
    }
    .to_json();
    let Content::Dsse(envelope) = &bundle.content else {
        panic!("no envelope")
    };
    let entry = &bundle.log_entries[0];
    let proof = entry.inclusion_proof.as_ref().unwrap();
    let note = proof.checkpoint.as_bytes();
    let leaf = bundle.certificate().unwrap();
    let statement = Statement::from_json(&envelope.payload, &Budget::default()).unwrap();
    let root = world.trusted_root.to_json();
    let lines = proof.checkpoint.matches('\u{2014}').count();
    let logs = world.trusted_root.logs.len();

    let read_bundle = |budget: &Budget| Bundle::from_json(json.as_bytes(), budget).map(drop);
    let read_chain = |budget: &Budget| Bundle::from_json(chain.as_bytes(), budget).map(drop);
    let read_entry = |budget: &Budget| Entry::parse(&entry.canonicalized_body, budget).map(drop);
    let read_note = |budget: &Budget| SignedCheckpoint::parse(note, budget).map(drop);
    let read_certificate = |budget: &Budget| Certificate::from_der(leaf, budget).map(drop);
    let read_scts = |budget: &Budget| Certificate::from_der(leaf, budget)?.scts(budget).map(drop);
    let read_timestamp = |budget: &Budget| Timestamp::from_der(&bundle.timestamps[0], budget).map(drop);
    let read_statement = |budget: &Budget| Statement::from_json(&envelope.payload, budget).map(drop);
    let read_root = |budget: &Budget| TrustedRoot::from_json(root.as_bytes(), budget).map(drop);
    let read_keys = |budget: &Budget| JsonWebKeySet::from_json(KEYS, budget).map(drop);
    let read_token = |budget: &Budget| UnverifiedToken::parse(TOKEN, budget).map(drop);

    let limits = [
        limit!(bundle_bytes, json.len(), "too-large", &read_bundle),
        limit!(payload_bytes, envelope.payload.len(), "too-large", &read_bundle),
        limit!(payload_bytes, envelope.payload.len(), "too-large", &read_statement),
        limit!(trust_bytes, root.len(), "too-large", &read_root),
        limit!(trust_bytes, KEYS.len(), "too-large", &read_keys),
        limit!(log_entries, 1, "too-many", &read_bundle),
        limit!(timestamps, 1, "too-many", &read_bundle),
        limit!(timestamp_bytes, bundle.timestamps[0].len(), "too-large", &read_bundle),
        limit!(
            timestamp_bytes,
            bundle.timestamps[0].len(),
            "too-large",
            &read_timestamp
        ),
        limit!(chain_certificates, 2, "too-many", &read_chain),
        limit!(chain_certificates, authority.len(), "too-many", &read_root),
        limit!(certificate_bytes, leaf.len(), "too-large", &read_certificate),
        limit!(scts, 1, "too-many", &read_scts),
        limit!(proof_hashes, proof.hashes.len(), "too-many", &read_bundle),
        limit!(entry_bytes, entry.canonicalized_body.len(), "too-large", &read_bundle),
        limit!(entry_bytes, entry.canonicalized_body.len(), "too-large", &read_entry),
        limit!(note_bytes, note.len(), "too-large", &read_note),
        limit!(note_signatures, lines, "too-many", &read_note),
        limit!(envelope_signatures, envelope.signatures.len(), "too-many", &read_bundle),
        limit!(subjects, statement.subjects.len(), "too-many", &read_statement),
        limit!(trust_entries, logs, "too-many", &read_root),
        limit!(json_depth, depth(json.as_bytes()), "too-deep", &read_bundle),
        limit!(json_depth, depth(root.as_bytes()), "too-deep", &read_root),
        limit!(json_depth, depth(&envelope.payload), "too-deep", &read_statement),
        limit!(json_depth, depth(&entry.canonicalized_body), "too-deep", &read_entry),
        limit!(token_bytes, TOKEN.len(), "too-large", &read_token),
        limit!(jwks_keys, 2, "too-many", &read_keys),
    ];
    for limit in &limits {
        limit.check();
    }
    let tested: BTreeSet<&str> = limits.iter().map(|limit| limit.name).collect();
    assert_eq!(tested, fields(), "every field of `Budget` is tested");
}

/// The fields as the source declares them.
fn fields() -> BTreeSet<&'static str> {
    let source = include_str!("../src/budget.rs");
    let declared = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.strip_suffix(": usize,"));
    declared.collect()
}

/// Levels of arrays and objects; strings hold no brackets here.
fn depth(json: &[u8]) -> usize {
    let mut levels = (0, 0);
    for byte in json {
        match byte {
            b'[' | b'{' => levels = (levels.0 + 1, levels.1.max(levels.0 + 1)),
            b']' | b'}' => levels.0 -= 1,
            _ => {}
        }
    }
    levels.1
}
