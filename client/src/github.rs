//! GitHub's attestations API: where `actions/attest` and `gh attestation` keep bundles, by repository and digest
//! [GitHub REST API, "List attestations"].

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use verify::Sha256Digest;
use zeroize::Zeroizing;

use crate::{
    Error, Http, Service,
    attestations::{Found, read},
    http::{Endpoint, Request, StatusCode},
};

/// A client of the API of one GitHub.
#[derive(Clone)]
pub struct GitHub {
    http: Http,
    api: Endpoint,
    token: Option<Zeroizing<String>>,
}

/// A repository, `OWNER/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository(String);

impl Repository {
    /// The repository of this full name; none where it is no name that GitHub gives.
    #[must_use]
    pub fn parse(full_name: &str) -> Option<Self> {
        let (owner, name) = full_name.split_once('/')?;
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.');
        let fit = |part: &str| {
            (1..=PART_BYTES).contains(&part.len()) && !matches!(part, "." | "..") && part.bytes().all(is_letter)
        };
        (fit(owner) && fit(name)).then(|| Self(full_name.to_owned()))
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl GitHub {
    /// A client of the API at this base URL, `https://api.github.com`. Public repositories need no token, but without one
    /// GitHub answers sixty requests an hour. The token is sent to this API only.
    #[must_use]
    pub fn new(http: Http, api: Endpoint, token: Option<&str>) -> Self {
        let token = token.map(|token| Zeroizing::new(format!("Bearer {token}")));
        Self { http, api, token }
    }

    /// The hundred bundles of a repository about one digest; empty when there is none, and when nobody may know whether there
    /// is such a repository. At most two minutes, and 32 MiB each of the list, of files as they are sent, and of what they unpack to.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`]; [`Error::Timeout`] for all requests together.
    pub async fn by_digest(&self, repository: &Repository, digest: &Sha256Digest) -> Result<Found, Error> {
        let found = tokio::time::timeout(PATIENCE, self.listed(repository, digest)).await;
        found.unwrap_or_else(|_| {
            Err(Error::Timeout {
                service: Service::AttestationStore,
                url: self.api.to_string(),
                seconds: PATIENCE.as_secs(),
            })
        })
    }

    async fn listed(&self, repository: &Repository, digest: &Sha256Digest) -> Result<Found, Error> {
        let endpoint = self
            .api
            .below(&format!("repos/{repository}/attestations/sha256:{digest}"))
            .with_query("per_page", "100");
        let mut request = Request::get(endpoint, ANSWER_BYTES).header("accept", "application/vnd.github+json");
        if let Some(token) = &self.token {
            request = request.authorization(token);
        }
        let answer = self
            .http
            .send(request)
            .await?
            .expect(&[StatusCode::OK, StatusCode::NOT_FOUND])?;
        let mut found = Found::default();
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(found);
        }
        let wire: Listed = read(answer.body(), ANSWER_BYTES)?;
        let mut left = Left {
            packed: ANSWER_BYTES,
            unpacked: ANSWER_BYTES,
        };
        for listed in wire.attestations.into_iter().take(MOST_BUNDLES) {
            let json = match (listed.bundle, listed.bundle_url) {
                (Some(bundle), _) => Some(bundle.to_string().into_bytes()),
                (None, Some(url)) => self.file(&url, &mut left).await?,
                (None, None) => None,
            };
            found.add(json.as_deref());
        }
        Ok(found)
    }

    /// A bundle that GitHub keeps in a file of its own, one block of Snappy; none where it is not that, or unpacks to more than is
    /// left. The address holds its own permission, so it gets no token.
    async fn file(&self, url: &str, left: &mut Left) -> Result<Option<Vec<u8>>, Error> {
        let endpoint = Endpoint::parse(Service::AttestationStore, url)?;
        let answer = self.http.send(Request::get(endpoint, left.packed)).await?;
        let packed = answer.expect(&[StatusCode::OK])?.into_body();
        left.packed = left.packed.saturating_sub(packed.len());
        // What it says of its own length is looked at before anything of that length is made.
        let length = snap::raw::decompress_len(&packed).ok();
        let Some(length) = length.filter(|length| *length <= left.unpacked) else {
            return Ok(None);
        };
        left.unpacked = left.unpacked.saturating_sub(length);
        Ok(snap::raw::Decoder::new().decompress_vec(&packed).ok())
    }
}

/// Bytes that files may have yet, of one digest.
struct Left {
    packed: usize,
    unpacked: usize,
}

/// The address; the token is a secret.
impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GitHub at {}", self.api)
    }
}

#[derive(Deserialize)]
struct Listed {
    attestations: Vec<ListedAttestation>,
}

/// The bundle or where it is.
#[derive(Deserialize)]
struct ListedAttestation {
    bundle: Option<Value>,
    bundle_url: Option<String>,
}

/// GitHub's own limit on an owner's name is 39, on a repository's 100.
const PART_BYTES: usize = 100;
/// A page of the answer, of which one is asked for.
const MOST_BUNDLES: usize = 100;
/// A page of bundles of 300 KB each.
const ANSWER_BYTES: usize = 32 << 20;
/// A hundred files, a second each, and something for a slow line.
const PATIENCE: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_two_names_and_no_path() {
        for good in ["ferris/crockford", "rust-lang/crates.io", "a/.github"] {
            assert_eq!(Repository::parse(good).unwrap().to_string(), good);
        }
        let long = format!("a/{}", "b".repeat(101));
        for bad in [
            "", "a", "a/", "/b", "a/b/c", "a/..", "./b", "a/b?c", "a/b#c", "a/%2e", "a/*", "a/b c", &long,
        ] {
            assert_eq!(Repository::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_show() {
        let http = Http::new(crate::HttpOptions::default()).unwrap();
        let api = Endpoint::parse(Service::AttestationStore, "https://api.github.test").unwrap();
        let github = GitHub::new(http, api, Some("ghs_secret"));
        assert_eq!(format!("{github:?}"), "GitHub at https://api.github.test/");
    }
}
