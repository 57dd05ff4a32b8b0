//! `cargo sigstore inspect`: what a bundle says, and whether anything stands behind it.

use std::path::PathBuf;

use serde_json::{Value, json};
use verify::{
    Artifact, Budget, Bundle, Digest, HashAlgorithm, Policy, PublicKey, Sha256Digest, Verified, Verifier,
    bundle::{Content, TransparencyLogEntry},
    certificate::Certificate,
    checkpoint::SignedCheckpoint,
    danger, note,
    statement::Statement,
    timestamp::Timestamp,
};

use crate::{
    context::Context,
    evidence::{
        bundle_file,
        finding::{identity_json, log_entries_json, proof_json, scts_json, times_json, witnesses_json},
    },
    failure::{Exit, Failure},
    printer::visible,
    trust,
};

/// Arguments of `inspect`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A bundle, or a `.jsonl` file with one a line
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Check signature, log entries and times against this trusted root (or that of `--trust`); no signer is expected
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// Tell whether this witness cosigned the logs' checkpoints, and when; its verifier key, `NAME+HINT+KEY`
    #[arg(long, value_name = "KEY", value_parser = witness)]
    witness: Vec<(String, PublicKey)>,
}

/// Prints everything in the bundles.
///
/// # Errors
/// Codes of files and of malformed bundles.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let bundles = bundle_file::read(&arguments.bundle)?;
    let asked = arguments.trusted_root.is_some() || context.options.trust.is_some();
    let policy = policy(&arguments.witness);
    let verifier = if asked {
        let root = trust::trusted_root(context, arguments.trusted_root.as_deref())?;
        Some(trust::verifier(root)?)
    } else {
        None
    };
    let described: Vec<(Value, Verification)> = bundles
        .iter()
        .map(|bundle| {
            (
                describe(bundle),
                verification(verifier.as_ref(), bundle, &policy, context),
            )
        })
        .collect();
    if context.printer.is_json() {
        let documents: Vec<Value> = described
            .iter()
            .map(|(bundle, verification)| json!({"bundle": bundle, "verification": verification.to_json()}))
            .collect();
        context
            .printer
            .json(&json!({"schemaVersion": 1, "bundles": documents}))?;
    } else {
        for (bundle, verification) in &described {
            context.printer.line(verification.sentence())?;
            if let Some(established) = verification.established() {
                context.printer.line(outline(&established))?;
                context.printer.line(STATED)?;
            }
            context.printer.line(outline(bundle))?;
        }
    }
    let refused = described
        .iter()
        .any(|(_, verification)| matches!(verification, Verification::Refused(_)));
    for (_, verification) in &described {
        if let Verification::Refused(failure) = verification {
            context.printer.failure(failure);
        }
    }
    Ok(if refused { Exit::Refused } else { Exit::Yes })
}

/// How far the bundle was checked.
enum Verification {
    /// Not at all.
    NotAsked,
    /// Everything but who signed.
    Held(Box<Verified>),
    /// It does not hold.
    Refused(Failure),
}

impl Verification {
    fn sentence(&self) -> String {
        match self {
            Self::NotAsked => {
                "NOT VERIFIED: all below is only what the bundle says of itself; `--trusted-root` or `--trust` checks it"
                    .to_owned()
            }
            Self::Held(proof) => format!(
                "VERIFIED, but compared with no expected signer and no file: checks made: {}",
                proof.checks().join(", ")
            ),
            Self::Refused(_) => "REFUSED: do not rely on anything below".to_owned(),
        }
    }

    /// The places and times that logs, authorities and witnesses signed.
    fn established(&self) -> Option<Value> {
        let Self::Held(proof) = self else { return None };
        Some(json!({"established": {
            "times": times_json(proof),
            "logEntries": log_entries_json(proof),
            "signedCertificateTimestamps": scts_json(proof),
            "witnesses": witnesses_json(proof),
        }}))
    }

    fn to_json(&self) -> Value {
        match self {
            Self::NotAsked => json!({"result": "not-asked"}),
            Self::Held(proof) => json!({"result": "held", "evidence": proof_json(proof), "signerCompared": false}),
            Self::Refused(failure) => json!({"result": "refused", "error": failure.to_json()}),
        }
    }
}

fn witness(text: &str) -> Result<(String, PublicKey), &'static str> {
    note::witness_key(text).map_err(|_| "no verifier key of a witness, whose hint is that of name and key")
}

/// Anybody may have signed; the witnesses are named, not demanded.
fn policy(witnesses: &[(String, PublicKey)]) -> Policy {
    let known: Vec<_> = witnesses
        .iter()
        .map(|(name, key)| (name.as_str(), key.clone()))
        .collect();
    danger::any_identity().witnesses(0, &known)
}

/// Checks the bundle against the digest that it names itself.
fn verification(verifier: Option<&Verifier>, bundle: &Bundle, policy: &Policy, context: &Context) -> Verification {
    let Some(verifier) = verifier else {
        return Verification::NotAsked;
    };
    let digest = named_digest(bundle).unwrap_or(Sha256Digest([0; 32]));
    match verifier.verify(bundle, &Artifact::Digest(digest), policy, context.now()) {
        Ok(proof) => Verification::Held(Box::new(proof)),
        Err(error) => Verification::Refused(Failure::from(error).while_doing("the bundle does not hold")),
    }
}

fn named_digest(bundle: &Bundle) -> Option<Sha256Digest> {
    match &bundle.content {
        Content::Message { digest, .. } => {
            let digest = digest
                .as_ref()
                .filter(|digest| digest.algorithm() == HashAlgorithm::Sha256)?;
            Some(Sha256Digest(digest.as_bytes().try_into().ok()?))
        }
        Content::Dsse(envelope) => {
            let statement = Statement::from_json(&envelope.payload, &Budget::default()).ok()?;
            statement
                .subjects
                .iter()
                .find_map(|subject| subject.digest.get("sha256")?.parse().ok())
        }
    }
}

/// Everything in a bundle, as JSON.
fn describe(bundle: &Bundle) -> Value {
    let budget = Budget::default();
    json!({
        "mediaType": bundle.version.media_type(),
        "signer": signer(bundle, &budget),
        "content": content(bundle, &budget),
        "logEntries": bundle.log_entries.iter().map(|entry| log_entry(entry, &budget)).collect::<Vec<_>>(),
        "timestamps": bundle.timestamps.iter().map(|der| timestamp(der, &budget)).collect::<Vec<_>>(),
    })
}

fn signer(bundle: &Bundle, budget: &Budget) -> Value {
    let Some(der) = bundle.certificate() else {
        return json!({"key": "known to the verifier"});
    };
    let Ok(certificate) = Certificate::from_der(der, budget) else {
        return json!({"certificate": "malformed"});
    };
    let validity = certificate.validity();
    json!({
        "identity": certificate.identity().map_or_else(|error| json!(error.to_string()), |identity| identity_json(&identity)),
        "certificate": {
            "serial": hex::encode(certificate.serial()),
            "notBefore": validity.start.to_string(),
            "notAfter": validity.end.map(|end| end.to_string()),
            "signedCertificateTimestamps": certificate.scts(budget).map_or(0, |scts| scts.len()),
        },
    })
}

fn content(bundle: &Bundle, budget: &Budget) -> Value {
    match &bundle.content {
        Content::Message { digest, .. } => json!({"messageSignature": {
            "digest": digest.as_ref().map(|digest| format!("{}:{}", digest.algorithm().lowercase_name(), hex::encode(digest.as_bytes()))),
        }}),
        Content::Dsse(envelope) => {
            let statement: Option<Value> = Statement::from_json(&envelope.payload, budget)
                .ok()
                .and_then(|statement| serde_json::from_str(&statement.to_json()).ok());
            json!({"envelope": {
                "payloadType": envelope.payload_type,
                "signatures": envelope.signatures.len(),
                "statement": statement,
            }})
        }
    }
}

fn log_entry(entry: &TransparencyLogEntry, budget: &Budget) -> Value {
    let proof = entry.inclusion_proof.as_ref();
    let checkpoint = proof.and_then(|proof| SignedCheckpoint::parse(proof.checkpoint.as_bytes(), budget).ok());
    json!({
        "logIndex": entry.log_index,
        "logId": hex::encode(&entry.log_id),
        "kind": format!("{} {}", entry.kind, entry.kind_version),
        "integratedTime": entry.integrated_time.map(|time| time.to_string()),
        "inclusionPromise": entry.inclusion_promise.is_some(),
        "treeSize": proof.map(|proof| proof.tree_size),
        "rootHash": proof.map(|proof| hex::encode(proof.root_hash)),
        "origin": checkpoint.as_ref().map(|signed| signed.checkpoint.origin.as_str()),
        "checkpointSigners": checkpoint.as_ref().map_or_else(Vec::new, |signed| {
            signed.note.signatures.iter().map(|signature| signature.name.as_str()).collect()
        }),
    })
}

fn timestamp(der: &[u8], budget: &Budget) -> Value {
    Timestamp::from_der(der, budget).map_or_else(
        |error| json!({"malformed": error.to_string()}),
        |timestamp| json!({"time": timestamp.at().to_string(), "imprint": text_of(timestamp.imprint())}),
    )
}

fn text_of(digest: &Digest) -> String {
    format!(
        "{}:{}",
        digest.algorithm().lowercase_name(),
        hex::encode(digest.as_bytes())
    )
}

/// A document as indented lines, `name: value`, without what is absent or empty; who signed comes first.
fn outline(value: &Value) -> String {
    let mut lines = Vec::new();
    let Value::Object(parts) = value else {
        return String::new();
    };
    let first = |name: &&String| name.as_str() != "signer";
    let mut names: Vec<&String> = parts.keys().collect();
    names.sort_by_key(first);
    for name in names {
        let part = serde_json::json!({ name.as_str(): parts.get(name) });
        lines_of(&part, 1, &mut lines);
    }
    lines.join("\n")
}

fn lines_of(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let mut line = |name: &str, value: &Value| match value {
        Value::Null => {}
        Value::Object(object) if object.is_empty() => {}
        Value::Array(array) if array.is_empty() => {}
        Value::Object(_) | Value::Array(_) => {
            lines.push(format!("{indent}{name}"));
            lines_of(value, depth.saturating_add(1), lines);
        }
        Value::String(text) => lines.push(format!("{indent}{name}: {}", visible(text))),
        Value::Bool(_) | Value::Number(_) => lines.push(format!("{indent}{name}: {value}")),
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| line(&visible(name), value)),
        Value::Array(array) => (1..)
            .zip(array)
            .for_each(|(number, value)| line(&format!("#{number}"), value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => line("value", value),
    }
}

/// Between what was established and what the bundle says.
const STATED: &str = "what the bundle says; of its indexes and times only those above are authenticated:";

const EXAMPLES: &str = "\
Examples:
  cargo sigstore inspect mine-1.0.0.crate.sigstore.json
  cargo sigstore inspect mine-1.0.0.crate.sigstore.jsonl --trust acme --format json
  cargo sigstore inspect app.sigstore.json --trust staging --witness witness.example+5f3c7b1e+BK…

Exit codes: 0 printed (and held, where asked), 1 does not hold, 2 usage or configuration.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_leaves_out_what_is_absent() {
        let value = json!({"a": {"b": 1, "c": null, "d": []}, "e": ["x", {"f": "line\nbreak"}]});
        assert_eq!(
            outline(&value),
            "  a\n    b: 1\n  e\n    #1: x\n    #2\n      f: line\\nbreak"
        );
    }
}
