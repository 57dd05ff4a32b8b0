//! `fsck` and `hammer`.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::ExitCode};

use serde_json::json;

use super::{Format, say};
use crate::{
    Error,
    config::Config,
    layout::{KeyFile, Layout},
    log::{self, FsckReport, HammerOptions, HammerReport, Latencies, LogKind},
};

/// Checks the logs of an instance, against its key files where they can be read.
pub(super) fn fsck(dir: &Path, format: Format) -> Result<ExitCode, Error> {
    let layout = Layout::new(dir);
    Config::read(&layout)?;
    let mut keys = BTreeMap::new();
    for (kind, file) in [
        (LogKind::Signature, KeyFile::SignatureLog),
        (LogKind::Legacy, KeyFile::LegacyLog),
        (LogKind::Certificates, KeyFile::CertificateLog),
    ] {
        if let Ok(key) = layout.read_key(file) {
            keys.insert(kind, key.public_key().clone());
        }
    }
    let report = log::fsck_against(&layout.data(), &keys)?;
    match format {
        Format::Human => say(&human_report(&report, keys.len())),
        Format::Json => say(&format!("{}\n", json_report(&report))),
    }
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn human_report(report: &FsckReport, keys: usize) -> String {
    let mut text = String::new();
    for log in &report.logs {
        let root = hex::encode(log.root);
        let _ = writeln!(
            text,
            "{} log `{}`: {} entries, root {root}",
            log.log, log.origin, log.size
        );
    }
    for finding in &report.findings {
        let _ = writeln!(text, "error[{}]: {finding}", finding.problem.code());
    }
    let checked = "entries, tiles, roots, right edges, identities, promises, checkpoints, issuers";
    let _ = match report.findings.len() {
        0 => writeln!(
            text,
            "checked: {checked}; keys compared with {keys} key files; nothing contradicts itself"
        ),
        count => writeln!(
            text,
            "{count} contradictions; restore the whole data folder from a backup, then run fsck again"
        ),
    };
    text
}

fn json_report(report: &FsckReport) -> serde_json::Value {
    let logs = report.logs.iter().map(|log| {
        json!({
            "log": log.log.name(),
            "origin": log.origin,
            "keyId": hex::encode(log.key_id),
            "size": log.size,
            "root": hex::encode(log.root),
        })
    });
    let findings = report.findings.iter().map(|finding| {
        json!({
            "log": finding.log.map(LogKind::name),
            "code": finding.problem.code(),
            "message": finding.problem.to_string(),
        })
    });
    json!({
        "clean": report.is_clean(),
        "logs": logs.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
    })
}

/// Loads a log and prints what it measured.
pub(super) async fn hammer(options: HammerOptions, format: Format) -> Result<ExitCode, Error> {
    let report = log::hammer(&options).await?;
    match format {
        Format::Human => say(&human_figures(&report, options.clients)),
        Format::Json => say(&format!("{}\n", json_figures(&report))),
    }
    Ok(ExitCode::SUCCESS)
}

fn human_figures(report: &HammerReport, clients: usize) -> String {
    let latencies = |what: &str, latencies: &Latencies| {
        let Latencies { p50, p90, p99, most } = latencies;
        format!("{what}: p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, most {most:.1?}\n")
    };
    format!(
        "{}{}entries per second, {clients} clients: {:.0} ({} entries, {} asked to retry)\n",
        latencies("one after another", &report.idle),
        latencies(&format!("{clients} clients"), &report.loaded),
        report.entries_per_second,
        report.entries,
        report.retries,
    )
}

fn json_figures(report: &HammerReport) -> serde_json::Value {
    let latencies = |latencies: &Latencies| {
        let [p50, p90, p99, most] =
            [latencies.p50, latencies.p90, latencies.p99, latencies.most].map(|time| time.as_secs_f64() * 1000.0);
        json!({"p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "most_ms": most})
    };
    json!({
        "idle": latencies(&report.idle),
        "loaded": latencies(&report.loaded),
        "entries": report.entries,
        "entries_per_second": report.entries_per_second,
        "retries": report.retries,
    })
}
