//! Bundles and trusted roots as JSON: one edit at a time, each with the code it must be refused with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    clippy::semicolon_if_nothing_returned,
    reason = "tests may be blunt"
)]

mod authority;

use authority::{EntryKind, Recipe, World};
use serde_json::{Value, json};
use verify::{Budget, Bundle, Error, TrustedRoot, bundle::BundleVersion, bundle::TransparencyLogEntry};

type Edit = fn(&mut Value);

fn code<T>(outcome: Result<T, Error>) -> Result<(), &'static str> {
    outcome.map(|_| ()).map_err(|error| error.code())
}

/// Shows the honest document read, then each edited one refused.
fn refuses(honest: &Value, read: impl Fn(&[u8]) -> Result<(), &'static str>, cases: &[(&str, &str, Edit)]) {
    assert_eq!(read(honest.to_string().as_bytes()), Ok(()));
    for (expected, name, edit) in cases {
        let mut edited = honest.clone();
        edit(&mut edited);
        assert_ne!(&edited, honest, "{name} edits nothing");
        assert_eq!(read(edited.to_string().as_bytes()), Err(*expected), "{name}");
    }
}

fn read_bundle(bytes: &[u8]) -> Result<(), &'static str> {
    code(Bundle::from_json(bytes, &Budget::default()))
}

fn read_root(bytes: &[u8]) -> Result<(), &'static str> {
    code(TrustedRoot::from_json(bytes, &Budget::default()))
}

fn json_of(recipe: &Recipe) -> Value {
    serde_json::from_str(&World::new().bundle(recipe).to_json()).unwrap()
}

#[test]
fn a_bundle_with_one_thing_wrong_is_refused() {
    refuses(
        &json_of(&Recipe::default()),
        read_bundle,
        &[
            ("media-type", "no media type", |it| {
                drop(it.as_object_mut().unwrap().remove("mediaType"))
            }),
            ("media-type", "another version", |it| {
                it["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.4".into();
            }),
            ("json", "an unknown member", |it| it["more"] = 1.into()),
            ("json", "an unknown member below", |it| {
                it["verificationMaterial"]["more"] = 1.into()
            }),
            ("json", "no base64", |it| {
                it["messageSignature"]["signature"] = "*".into()
            }),
            ("json", "base64 that is not canonical", |it| {
                it["messageSignature"]["signature"] = "AB==".into()
            }),
            ("json", "a wrong type", |it| {
                it["verificationMaterial"]["tlogEntries"] = 1.into()
            }),
            ("one-of", "two kinds of content", |it| {
                it["dsseEnvelope"] = json!({"payload": "e30=", "payloadType": "x", "signatures": [{"sig": "AAAA"}]});
            }),
            ("one-of", "no content", |it| {
                drop(it.as_object_mut().unwrap().remove("messageSignature"))
            }),
            ("one-of", "certificate and key", |it| {
                it["verificationMaterial"]["publicKey"] = json!({"hint": "x"})
            }),
            ("one-of", "no verification material", |it| {
                drop(
                    it["verificationMaterial"]
                        .as_object_mut()
                        .unwrap()
                        .remove("certificate"),
                );
            }),
            ("field", "no material at all", |it| {
                drop(it.as_object_mut().unwrap().remove("verificationMaterial"))
            }),
            ("field", "an empty signature", |it| {
                it["messageSignature"]["signature"] = "".into()
            }),
            ("field", "an unknown digest algorithm", |it| {
                it["messageSignature"]["messageDigest"]["algorithm"] = "MD5".into();
            }),
            ("digest-length", "a short digest", |it| {
                it["messageSignature"]["messageDigest"]["digest"] = "AAAA".into()
            }),
            ("field", "a negative index", |it| {
                it["verificationMaterial"]["tlogEntries"][0]["logIndex"] = "-1".into()
            }),
            ("json", "an index with a leading zero", |it| {
                it["verificationMaterial"]["tlogEntries"][0]["logIndex"] = "01".into();
            }),
            ("json", "an index with a sign", |it| {
                it["verificationMaterial"]["tlogEntries"][0]["logIndex"] = "+1".into()
            }),
            ("json", "an index that is no integer", |it| {
                it["verificationMaterial"]["tlogEntries"][0]["logIndex"] = 1.5.into();
            }),
            ("field", "a log id of 33 bytes", |it| {
                it["verificationMaterial"]["tlogEntries"][0]["logId"]["keyId"] = "A".repeat(44).into();
            }),
            ("field", "a root of 31 bytes", |it| {
                it["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["rootHash"] = "AAAA".into();
            }),
            ("field", "a proof hash of 3 bytes", |it| {
                it["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"][0] = "AAAA".into();
            }),
            ("repeated", "a timestamp twice", |it| {
                let stamps = it["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
                    .as_array_mut()
                    .unwrap();
                stamps.push(stamps[0].clone());
            }),
            ("repeated", "an entry twice", |it| {
                let entries = it["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
                entries.push(entries[0].clone());
            }),
            ("bundle-version", "no proof", |it| {
                drop(
                    it["verificationMaterial"]["tlogEntries"][0]
                        .as_object_mut()
                        .unwrap()
                        .remove("inclusionProof"),
                );
            }),
        ],
    );
    refuses(
        &json_of(&Recipe::default().with_statement()),
        read_bundle,
        &[
            ("field", "no envelope signature", |it| {
                it["dsseEnvelope"]["signatures"] = json!([])
            }),
            ("field", "an empty envelope signature", |it| {
                it["dsseEnvelope"]["signatures"][0]["sig"] = "".into()
            }),
            ("one-of", "two envelope signatures", |it| {
                it["dsseEnvelope"]["signatures"] = json!([{"sig": "AAAA"}, {"sig": "AAAB"}]);
            }),
        ],
    );
    let old = Recipe {
        version: BundleVersion::V0_2,
        ..Recipe::v1(EntryKind::DsseV001)
    };
    refuses(
        &json_of(&old),
        read_bundle,
        &[
            ("field", "an empty chain", |it| {
                it["verificationMaterial"]["x509CertificateChain"]["certificates"] = json!([]);
            }),
            ("repeated", "a certificate twice", |it| {
                let chain = it["verificationMaterial"]["x509CertificateChain"]["certificates"]
                    .as_array_mut()
                    .unwrap();
                chain.push(chain[0].clone());
            }),
            ("bundle-version", "it says v0.3", |it| {
                it["mediaType"] = BundleVersion::V0_3.media_type().into();
            }),
        ],
    );
}

#[test]
fn a_member_twice_is_refused() {
    let text = json_of(&Recipe::default()).to_string();
    assert_eq!(read_bundle(text.as_bytes()), Ok(()));
    let twice = text.replacen("\"mediaType\":", "\"mediaType\":\"x\",\"mediaType\":", 1);
    assert_eq!(read_bundle(twice.as_bytes()), Err("json"));
    assert_eq!(read_bundle(format!("{text} x").as_bytes()), Err("json"));
}

/// What other writers do and the specification allows.
#[test]
fn other_spellings_of_the_same_bundle_are_read() {
    let honest = json_of(&Recipe::default());
    let bundle = Bundle::from_json(honest.to_string().as_bytes(), &Budget::default()).unwrap();
    let spellings: [Edit; 6] = [
        |it| it["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.3".into(),
        |it| it["verificationMaterial"]["tlogEntries"][0]["logIndex"] = 1.into(),
        |it| it["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = Value::Null,
        |it| it["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"] = Value::Null,
        |it| it["dsseEnvelope"] = Value::Null,
        |it| it["verificationMaterial"]["publicKey"] = Value::Null,
    ];
    for edit in spellings {
        let mut other = honest.clone();
        edit(&mut other);
        let read = Bundle::from_json(other.to_string().as_bytes(), &Budget::default());
        assert_eq!(read.as_ref(), Ok(&bundle), "{other}");
    }
}

#[test]
fn a_log_entry_answers_with_every_field_present() {
    let world = World::new();
    for recipe in [Recipe::default(), Recipe::v1(EntryKind::DsseV001)] {
        let entry = world.bundle(&recipe).log_entries.remove(0);
        let value = entry.to_json_value();
        let mut members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(
            members,
            [
                "canonicalizedBody",
                "inclusionPromise",
                "inclusionProof",
                "integratedTime",
                "kindVersion",
                "logId",
                "logIndex",
            ]
        );
        let again = TransparencyLogEntry::from_json(value.to_string().as_bytes(), &Budget::default()).unwrap();
        assert_eq!(again, entry);
    }
}

#[test]
fn a_trusted_root_with_one_thing_wrong_is_refused() {
    let honest: Value = serde_json::from_str(&World::new().trusted_root.to_json()).unwrap();
    refuses(
        &honest,
        read_root,
        &[
            ("media-type", "no media type", |it| {
                drop(it.as_object_mut().unwrap().remove("mediaType"))
            }),
            ("media-type", "another document", |it| {
                it["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.3+json".into();
            }),
            ("json", "an unknown member", |it| it["more"] = 1.into()),
            ("field", "another hash", |it| {
                it["tlogs"][0]["hashAlgorithm"] = "SHA2_512".into()
            }),
            ("field", "no log id", |it| {
                drop(it["tlogs"][0].as_object_mut().unwrap().remove("logId"))
            }),
            ("field", "a log id of 3 bytes", |it| {
                it["tlogs"][0]["logId"]["keyId"] = "AAAA".into()
            }),
            ("field", "no start", |it| {
                it["tlogs"][0]["publicKey"]["validFor"] = json!({})
            }),
            ("field", "no window", |it| {
                drop(it["ctlogs"][0]["publicKey"].as_object_mut().unwrap().remove("validFor"));
            }),
            ("field", "no start of an authority", |it| {
                it["certificateAuthorities"][0]["validFor"] = json!({})
            }),
            ("time", "a start that is no time", |it| {
                it["timestampAuthorities"][0]["validFor"]["start"] = "yesterday".into();
            }),
            ("trusted-root", "a key of another type", |it| {
                it["tlogs"][0]["publicKey"]["keyDetails"] = "PKIX_ECDSA_P384_SHA_384".into();
            }),
            ("trusted-root", "two logs with one id", |it| {
                let logs = it["tlogs"].as_array_mut().unwrap();
                logs.push(logs[0].clone());
            }),
            ("key", "a key that is none", |it| {
                it["tlogs"][0]["publicKey"]["rawBytes"] = "AAAA".into()
            }),
            ("certificate", "a certificate that is none", |it| {
                it["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = "AAAA".into();
            }),
            ("field", "no certificate", |it| {
                it["certificateAuthorities"][0]["certChain"]["certificates"] = json!([]);
            }),
        ],
    );
}

#[test]
fn unknown_key_types_are_skipped_and_reported() {
    let mut root: Value = serde_json::from_str(&World::new().trusted_root.to_json()).unwrap();
    root["tlogs"][0]["publicKey"]["keyDetails"] = "PKIX_ML_DSA_65".into();
    let read = TrustedRoot::from_json(root.to_string().as_bytes(), &Budget::default()).unwrap();
    assert_eq!(read.logs.len(), 1);
    assert_eq!(
        read.skipped,
        ["log https://log.example/: unknown key type PKIX_ML_DSA_65"]
    );
}

#[test]
fn version_0_2_of_a_trusted_root_is_read() {
    let mut root: Value = serde_json::from_str(&World::new().trusted_root.to_json()).unwrap();
    root["mediaType"] = "application/vnd.dev.sigstore.trustedroot.v0.2+json".into();
    root["tlogs"][0]["operator"] = "example".into();
    root["tlogs"][0]["checkpointKeyId"] = root["tlogs"][0]["logId"].clone();
    root["certificateAuthorities"][0]["operator"] = "example".into();
    let read = TrustedRoot::from_json(root.to_string().as_bytes(), &Budget::default()).unwrap();
    assert_eq!(read.logs[0].operator, "example");
    assert_eq!(read.logs[0].checkpoint_key_id, Some(read.logs[0].log_id));
    assert_eq!(read.certificate_authorities[0].operator, "example");
}

#[test]
fn a_url_has_one_host() {
    for (url, host) in [
        ("https://log.example/path", "log.example"),
        ("http://log.example:8080", "log.example"),
        ("http://user@log.example:8080/x?y", "log.example"),
        ("http://[::1]:3000/", "::1"),
        ("log.example", "log.example"),
        ("https://log.example?x", "log.example"),
    ] {
        assert_eq!(verify::trusted_root::host(url), host, "{url}");
    }
}
