//! What a sparse index says [cargo book, registry index format]: `config.json`, and the checksum of a version.
//!
//! Nothing here is evidence: the index is the registry's own word, over TLS.

use client::{
    Http, Service,
    http::{Endpoint, Request, StatusCode},
};
use package::{Registries, publish::IndexLine};
use serde::Deserialize;
use verify::Sha256Digest;

use crate::{
    failure::{Exit, Failure},
    registry::{selection::Registry, token::RegistryToken},
};

/// `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct IndexConfig {
    /// Base URL of the web API.
    pub(crate) api: Option<String>,
    /// Whether every request needs the token.
    pub(crate) auth_required: bool,
    /// Where bundles are found by digest: a base URL, or a template below it.
    attestations: Option<String>,
}

impl IndexConfig {
    /// Reads it from a registry's sparse index. The token is shown only to a registry that asks for one [cargo book,
    /// registry authentication].
    ///
    /// # Errors
    /// Those of the request; code `registry-index` when it is malformed or the index is no sparse one; `registry-token` when
    /// the registry shows it to nobody without a token.
    pub(crate) async fn fetch(
        http: &Http,
        registry: &Registry,
        token: Option<&RegistryToken>,
    ) -> Result<Self, Failure> {
        let answer = match (get(http, registry, "config.json", None).await?, token) {
            (Found::Unauthorized, Some(token)) => get(http, registry, "config.json", Some(token)).await?,
            (answer, _) => answer,
        };
        match answer {
            Found::Body(body) => serde_json::from_slice(&body).map_err(|_| malformed(registry)),
            Found::Nothing => Err(malformed(registry)),
            Found::Unauthorized => Err(RegistryToken::missing(registry)),
        }
    }

    /// The base URL of the attestation store that the registry names.
    pub(crate) fn attestations(&self) -> Option<&str> {
        let stated = self.attestations.as_deref()?;
        Some(
            stated
                .split_once("/api/v1/attestations")
                .map_or(stated, |(base, _)| base),
        )
    }
}

/// What the index states about a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// There is no crate of this name.
    NoCrate,
    /// The crate has other versions.
    NoVersion,
    /// The version has this checksum.
    Version(Sha256Digest),
}

/// What the index states about a version.
///
/// # Errors
/// As [`IndexConfig::fetch`].
pub(crate) async fn listing(
    http: &Http,
    registry: &Registry,
    token: Option<&RegistryToken>,
    name: &str,
    version: &str,
) -> Result<Listing, Failure> {
    let body = match get(http, registry, &path_of(name), token).await? {
        Found::Body(body) => body,
        Found::Nothing => return Ok(Listing::NoCrate),
        Found::Unauthorized => return Err(RegistryToken::missing(registry)),
    };
    let registries = registry
        .other_index()
        .map_or_else(Registries::crates_io, |index| Registries::new([index]));
    let lines = IndexLine::all_of(&body, &registries).filter(|line| line.description.name == name);
    match IndexLine::of_version(lines, version) {
        None => Ok(Listing::NoVersion),
        Some(line) => Ok(Listing::Version(
            line.checksum.parse().map_err(|_| malformed(registry))?,
        )),
    }
}

/// What an index answered.
enum Found {
    /// The file.
    Body(Vec<u8>),
    /// There is no such file.
    Nothing,
    /// It wants a token.
    Unauthorized,
}

async fn get(http: &Http, registry: &Registry, path: &str, token: Option<&RegistryToken>) -> Result<Found, Failure> {
    let base = registry.index_url.strip_prefix("sparse+").ok_or_else(|| {
        Failure::from(Error::Git {
            index_url: registry.index_url.clone(),
        })
    })?;
    let endpoint = Endpoint::parse(Service::Registry, base)?.below(path);
    let mut request = Request::get(endpoint, INDEX_BYTES);
    if let Some(token) = token {
        request = request.authorization(token.secret());
    }
    let answer = http.send(request).await?;
    // An index says "no such crate" in any of these ways.
    let nothing = [
        StatusCode::NOT_FOUND,
        StatusCode::GONE,
        StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
    ];
    if nothing.contains(&answer.status()) {
        return Ok(Found::Nothing);
    }
    if answer.status() == StatusCode::UNAUTHORIZED && token.is_none() {
        return Ok(Found::Unauthorized);
    }
    Ok(Found::Body(answer.expect(&[StatusCode::OK])?.into_body()))
}

/// Where the index keeps a package: `1/a`, `2/ab`, `3/a/abc`, `ab/cd/abcd`.
fn path_of(name: &str) -> String {
    let name = name.to_lowercase();
    match (name.len(), name.get(..1), name.get(..2), name.get(2..4)) {
        (1 | 2, ..) => format!("{}/{name}", name.len()),
        (3, Some(first), ..) => format!("3/{first}/{name}"),
        (_, _, Some(first), Some(second)) => format!("{first}/{second}/{name}"),
        _ => name,
    }
}

fn malformed(registry: &Registry) -> Failure {
    Error::Malformed {
        index_url: registry.index_url.clone(),
    }
    .into()
}

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the index at `{index_url}` is malformed")]
    Malformed { index_url: String },
    #[error("the index at `{index_url}` is not sparse")]
    Git { index_url: String },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, hint) = match &error {
            Error::Malformed { .. } => (Exit::Unavailable, "tell the registry's operator"),
            Error::Git { .. } => (Exit::Usage, "use the registry's sparse index, `sparse+https://…/`"),
        };
        Self::new(exit, "registry-index", &error).hint(hint)
    }
}

/// The largest index file on crates.io is under 5 MiB.
const INDEX_BYTES: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_lie_where_cargo_looks() {
        for (name, path) in [
            ("a", "1/a"),
            ("ab", "2/ab"),
            ("abc", "3/a/abc"),
            ("Serde", "se/rd/serde"),
        ] {
            assert_eq!(path_of(name), path);
        }
    }

    #[test]
    fn the_store_is_named_by_base_or_template() {
        for stated in [
            "https://s.example",
            "https://s.example/api/v1/attestations/sha256:{sha256-checksum}",
        ] {
            let json = serde_json::json!({"dl": "https://r.example/dl", "attestations": stated});
            let config: IndexConfig = serde_json::from_value(json).unwrap();
            assert_eq!(config.attestations(), Some("https://s.example"));
        }
    }
}
