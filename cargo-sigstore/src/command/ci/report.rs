//! What came of it: collected from the documents of the commands, told as outputs and as a summary.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    failure::Failure,
    file,
    printer::{Record, visible},
};

use super::inputs::Inputs;

/// Everything that the runner is told.
#[derive(Debug, Default)]
pub(super) struct Report {
    title: &'static str,
    /// The folder that relative paths are below, as seen from the job's workspace.
    folder: PathBuf,
    has_summary: bool,
    public_good: bool,
    crate_files: Vec<PathBuf>,
    bundles: Vec<PathBuf>,
    digests: BTreeMap<String, String>,
    published: Vec<Value>,
    signers: Vec<Signer>,
    log_entries: Vec<Value>,
    attestation_urls: Vec<String>,
    rows: Vec<Row>,
    failures: Vec<Failure>,
}

/// Who signed what was published.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) file: String,
    pub(super) digest: String,
    pub(super) identity: String,
    pub(super) issuer: String,
    /// Crate and bundle, where no attestation store has the evidence.
    pub(super) unstored: Option<(PathBuf, PathBuf)>,
}

/// A line of the summary's table.
#[derive(Debug, Default)]
struct Row {
    file: String,
    digest: String,
    identity: String,
    log_index: String,
    bundle: String,
}

impl Report {
    /// Notes what is being done.
    pub(super) fn begin(&mut self, inputs: &Inputs) {
        use super::inputs::Command;
        self.folder = inputs.working_directory.clone().unwrap_or_default();
        self.has_summary = inputs.summary;
        self.public_good = inputs.instance == "public-good";
        self.title = match inputs.command {
            Command::Publish if inputs.dry_run => "Would be published",
            Command::Publish => "Published",
            Command::Package => "Packaged",
            Command::Sign if inputs.dry_run => "Would be signed",
            Command::Attest if inputs.dry_run => "Would be attested",
            Command::Sign => "Signed",
            Command::Attest => "Attested",
            Command::Verify => "Verified",
            Command::Setup => "",
        };
    }

    /// Takes down what commands said.
    pub(super) fn take(&mut self, record: Record) {
        for document in record.documents {
            list(&document, "published").for_each(|release| self.add_release(release));
            list(&document, "signed").for_each(|signed| self.add_signed(signed));
            list(&document, "dryRun").for_each(|planned| {
                let file = file::name(Path::new(&text(planned, "file")));
                self.add_row(&file, planned, Path::new(""));
            });
            // What is verified after publishing has its row already.
            if self.published.is_empty() {
                list(&document, "artifacts").for_each(|artifact| self.add_verified(artifact));
            }
        }
        self.failures.extend(record.failures);
    }

    /// A crate that was packaged.
    pub(super) fn add_crate(&mut self, path: PathBuf, digest: &str) {
        self.digests.insert(file::name(&path), digest.to_owned());
        self.rows.push(Row {
            file: file::name(&path),
            digest: digest.to_owned(),
            ..Row::default()
        });
        self.crate_files.push(path);
    }

    fn add_release(&mut self, release: &Value) {
        let path = PathBuf::from(text(release, "crate"));
        let digest = hex_of(release);
        let files: Vec<PathBuf> = release["files"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(PathBuf::from)
            .collect();
        let file = file::name(&path);
        self.add_row(&file, release, files.first().map_or(Path::new(""), PathBuf::as_path));
        self.digests.insert(file.clone(), digest.clone());
        let (name, version) = (text(release, "name"), text(release, "version"));
        self.published.push(json!({
            "name": name, "version": version, "cksum": digest,
            "url": page(&text(release, "index"), &name, &version),
        }));
        self.signers.push(Signer {
            file,
            digest,
            identity: text(&release["identity"], "subjectAlternativeName"),
            issuer: text(&release["identity"], "issuer"),
            unstored: match files.first() {
                Some(bundle) if release["attestations"].is_null() => Some((path.clone(), bundle.clone())),
                _ => None,
            },
        });
        for statement in list(release, "statements") {
            self.add_log_entries(statement);
        }
        self.crate_files.push(path);
        self.bundles.extend(files);
    }

    fn add_signed(&mut self, signed: &Value) {
        let (file, bundle) = (
            PathBuf::from(text(signed, "file")),
            PathBuf::from(text(signed, "bundle")),
        );
        self.add_row(&file::name(&file), signed, &bundle);
        self.digests.insert(file::name(&file), hex_of(signed));
        self.add_log_entries(signed);
        self.bundles.push(bundle);
    }

    fn add_verified(&mut self, artifact: &Value) {
        let proof = artifact["evidence"].get(0).unwrap_or(&Value::Null);
        let mut row = row(&text(artifact, "artifact"), artifact, Path::new(""));
        row.identity = identity(proof);
        row.log_index = index(proof);
        row.bundle = text(artifact, "outcome");
        self.rows.push(row);
    }

    fn add_row(&mut self, file: &str, document: &Value, bundle: &Path) {
        self.rows.push(row(file, document, bundle));
    }

    fn add_log_entries(&mut self, document: &Value) {
        for entry in list(document, "logEntries") {
            let index = entry["index"].as_u64().unwrap_or_default();
            // The search knows indexes over all shards only.
            let is_searchable = entry["indexWithin"] == "log";
            let url = is_searchable.then(|| self.search_url(index)).flatten();
            let url = url.unwrap_or_else(|| text(entry, "log"));
            self.log_entries
                .push(json!({"log": entry["log"], "index": index, "url": url}));
        }
    }

    /// Where a person looks at an entry of the public instance's log.
    fn search_url(&self, index: u64) -> Option<String> {
        self.public_good
            .then(|| format!("https://search.sigstore.dev/?logIndex={index}"))
    }

    /// The bundles at other addresses.
    pub(super) fn moved_bundles(&mut self, paths: Vec<PathBuf>) {
        self.bundles = paths;
    }

    /// Notes what GitHub keeps.
    pub(super) fn stored_with_github(&mut self, urls: Vec<String>) {
        self.attestation_urls.extend(urls);
    }

    /// Who signed each published crate.
    pub(super) fn signers(&self) -> Vec<Signer> {
        self.signers.clone()
    }

    /// The crates.
    pub(super) fn crate_files(&self) -> &[PathBuf] {
        &self.crate_files
    }

    /// The files with bundles.
    pub(super) fn bundle_paths(&self) -> &[PathBuf] {
        &self.bundles
    }

    /// The files that hold each bundle once: where all of a crate's are in one file, that one.
    pub(super) fn bundles(&self) -> Vec<PathBuf> {
        let all = |path: &PathBuf| self.bundles.contains(&path.with_extension("jsonl"));
        let files = self.bundles.iter();
        files
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl") || !all(path))
            .cloned()
            .collect()
    }

    /// What went wrong.
    pub(super) fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The outputs of the step.
    pub(super) fn outputs(&self) -> Vec<(&'static str, String)> {
        let paths = |paths: &[PathBuf]| {
            let paths = paths.iter().map(|path| self.folder.join(path).display().to_string());
            let paths: Vec<String> = paths.collect();
            paths.join("\n")
        };
        let identity = self
            .rows
            .iter()
            .map(|row| row.identity.as_str())
            .find(|name| !name.is_empty());
        let program = std::env::current_exe().unwrap_or_default();
        vec![
            ("crate-files", paths(&self.crate_files)),
            ("bundle-paths", paths(&self.bundles)),
            ("digests", json!(self.digests).to_string()),
            ("published", json!(self.published).to_string()),
            ("identity", identity.unwrap_or_default().to_owned()),
            ("log-entries", json!(self.log_entries).to_string()),
            ("attestation-urls", self.attestation_urls.join("\n")),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("path", program.display().to_string()),
        ]
    }

    /// One line for the run's page.
    pub(super) fn notice(&self) -> Option<String> {
        if self.rows.is_empty() || !self.failures.is_empty() {
            return None;
        }
        let files: Vec<&str> = self.rows.iter().map(|row| row.file.as_str()).collect();
        let entries = self.log_entries.iter().filter_map(|entry| entry["url"].as_str());
        let mut words = format!("{}: {}", self.title, files.join(", "));
        for url in entries {
            words.extend(["\n", url]);
        }
        Some(words)
    }

    /// The summary in Markdown; none when it is not wanted or there is nothing to say.
    pub(super) fn summary(&self) -> Option<String> {
        if !self.has_summary || (self.rows.is_empty() && self.failures.is_empty()) {
            return None;
        }
        let mut text = String::new();
        for failure in &self.failures {
            text.push_str(&paragraph(failure));
        }
        if !self.rows.is_empty() {
            let last = if self.title == "Verified" { "result" } else { "bundle" };
            let title = if self.failures.is_empty() {
                self.title
            } else {
                "Looked at"
            };
            let heading = format!(
                "### cargo-sigstore: {title}\n\n| crate | sha256 | identity | log index | {last} |\n|---|---|---|---|---|\n"
            );
            text.push_str(&heading);
        }
        for row in &self.rows {
            let cells = [&row.file, &row.digest, &row.identity, &row.log_index, &row.bundle];
            let cells: Vec<String> = cells.iter().map(|cell| code(cell)).collect();
            text.extend(["| ", &cells.join(" | "), " |\n"]);
        }
        text.push_str("\nA signature says where bytes come from, not that they are good.\n");
        Some(text)
    }
}

fn row(file: &str, document: &Value, bundle: &Path) -> Row {
    let first = list(document, "statements").next();
    Row {
        file: file.to_owned(),
        digest: hex_of(document),
        identity: identity(document),
        log_index: first.map_or_else(|| index(document), index),
        bundle: file::name(bundle),
    }
}

fn identity(document: &Value) -> String {
    text(&document["identity"], "subjectAlternativeName")
}

/// The index of the first log entry.
fn index(document: &Value) -> String {
    let first = list(document, "logEntries").next();
    let index = first.and_then(|entry| entry["index"].as_u64());
    index.map_or_else(String::new, |index| index.to_string())
}

fn list<'a>(document: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    document[name].as_array().into_iter().flatten()
}

fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap_or_default().to_owned()
}

fn hex_of(document: &Value) -> String {
    text(document, "digest").trim_start_matches("sha256:").to_owned()
}

/// The page of a version at crates.io; elsewhere nobody knows, so the index.
fn page(index: &str, name: &str, version: &str) -> String {
    if index == "sparse+https://index.crates.io/" {
        format!("https://crates.io/crates/{name}/{version}")
    } else {
        index.trim_start_matches("sparse+").to_owned()
    }
}

/// A cell of a table, whatever stands in it.
fn code(cell: &str) -> String {
    if cell.is_empty() {
        return String::new();
    }
    let plain = visible(cell).replace('`', "'").replace('|', "\\|");
    format!("`{plain}`")
}

/// A failure in Markdown, with a fence that nothing in it can close.
fn paragraph(failure: &Failure) -> String {
    let mut lines = vec![failure.message().to_owned()];
    lines.extend(failure.causes().iter().map(|cause| format!("caused by: {cause}")));
    lines.extend(failure.facts().iter().map(|(name, value)| format!("{name}: {value}")));
    lines.extend(failure.hint_text().map(|hint| format!("\nhint: {hint}")));
    let body = lines.join("\n").replace("```", "'''");
    format!(
        "### cargo-sigstore: [`{code}`](https://github.com/cargo-sigstore/cargo-sigstore/blob/main/docs/codes.md)\n\n```text\n{body}\n```\n\n",
        code = failure.code()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_leave_its_table() {
        assert_eq!(code("a|b`c\nd"), "`a\\|b'c\\nd`");
        assert_eq!(code(""), "");
    }

    #[test]
    fn a_failure_cannot_close_its_fence() {
        let failure = Failure::bug().fact("found", "```\n# big");
        let text = paragraph(&failure);
        assert_eq!(text.matches("```").count(), 2, "{text}");
    }

    #[test]
    fn crates_io_has_pages() {
        assert_eq!(
            page("sparse+https://index.crates.io/", "a", "1.0.0"),
            "https://crates.io/crates/a/1.0.0"
        );
        assert_eq!(page("sparse+https://r.example/", "a", "1.0.0"), "https://r.example/");
    }

    #[test]
    fn bundles_that_are_in_two_files_count_once() {
        let mut report = Report::default();
        report.moved_bundles(
            ["a.sigstore.json", "a.sigstore.jsonl", "b.sigstore.json"]
                .map(PathBuf::from)
                .to_vec(),
        );
        assert_eq!(
            report.bundles(),
            ["a.sigstore.jsonl", "b.sigstore.json"].map(PathBuf::from)
        );
    }
}
