//! A gate as `[source]` replacement: one configuration line for a team or a CI job, and `Cargo.lock` stays as it is.
//!
//! ```toml
//! [upstream]
//! index = "https://index.crates.io/"
//!
//! [mirror]
//! source = "crates-io"     # what cargo calls the source that is replaced
//! ```

use serde::Deserialize;

/// Which source the gate takes the place of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MirrorConfig {
    /// Its name in cargo's configuration.
    #[serde(default = "crates_io")]
    pub source: String,
}

impl MirrorConfig {
    /// What users put into cargo's configuration.
    #[must_use]
    pub fn cargo_configuration(&self, index_url: &str) -> String {
        let source = &self.source;
        format!("[source.{source}]\nreplace-with = \"gate\"\n\n[source.gate]\nregistry = \"sparse+{index_url}\"\n")
    }
}

fn crates_io() -> String {
    CRATES_IO.to_owned()
}

/// Cargo's name for the default registry.
pub const CRATES_IO: &str = "crates-io";
