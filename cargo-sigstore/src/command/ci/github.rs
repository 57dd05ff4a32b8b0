//! GitHub's attestations API: where `gh attestation verify` looks.

use std::path::PathBuf;

use client::{
    Http, Service,
    http::{Endpoint, Request, StatusCode},
};
use serde_json::{Value, json};

use crate::{
    context::Context,
    evidence::bundle_file,
    failure::{Exit, Failure},
    network,
};

use super::inputs::{missing, variable};

/// Stores bundles with GitHub, and notes the address of each.
///
/// # Errors
/// Code `ci-github`; those of the service; `ci-input` without a token.
pub(super) fn store(context: &Context, files: &[PathBuf], urls: &mut Vec<String>) -> Result<(), Failure> {
    let place = Place::of(context)?;
    let http = network::http(context)?;
    for path in files {
        for bundle in bundle_file::read(path)? {
            let bundle: Value = serde_json::from_str(&bundle.to_json()).unwrap_or_default();
            let url = context.block_on(place.store(&http, &bundle))?;
            context.printer.status("Stored", &url);
            urls.push(url);
        }
    }
    Ok(())
}

/// A repository at GitHub, and the right to store there.
struct Place {
    api: Endpoint,
    page: String,
    token: String,
}

impl Place {
    fn of(context: &Context) -> Result<Self, Failure> {
        let environment = |name: &'static str| {
            let error = Error::NotInGitHub { name };
            let failure = Failure::new(Exit::Usage, "ci-github", &error);
            let value = context.variable(name);
            value.ok_or_else(|| failure.hint("leave out `github-attestations` elsewhere than in GitHub Actions"))
        };
        let repository = environment("GITHUB_REPOSITORY")?;
        let api = Endpoint::parse(Service::AttestationStore, &environment("GITHUB_API_URL")?)?;
        let token = variable(context, "github-token");
        Ok(Self {
            api: api.below(&format!("repos/{repository}/attestations")),
            page: format!("{}/{repository}/attestations", environment("GITHUB_SERVER_URL")?),
            token: token.ok_or_else(|| missing("github-token", "store attestations with GitHub"))?,
        })
    }

    /// "Create an attestation" of GitHub's REST API. Sent once, because a second copy would be a second attestation.
    async fn store(&self, http: &Http, bundle: &Value) -> Result<String, Failure> {
        let request = Request::post_json(self.api.clone(), &json!({"bundle": bundle}), ANSWER_BYTES)
            .authorization(&format!("Bearer {}", self.token))
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .once();
        let answer = http.send(request).await?;
        let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        match (answer.status(), said.get("id").and_then(Value::as_u64)) {
            (StatusCode::CREATED, Some(id)) => Ok(format!("{}/{id}", self.page)),
            (status, _) => {
                let error = Error::Refused {
                    status: status.as_u16(),
                };
                let failure = Failure::new(Exit::Refused, "ci-github", &error);
                let words = said.get("message").and_then(Value::as_str).unwrap_or("nothing");
                Err(failure
                    .fact("GitHub says", crate::printer::visible(words))
                    .hint("give the job `permissions: attestations: write`"))
            }
        }
    }
}

/// A small file at an address, at most `limit` bytes.
///
/// # Errors
/// Those of the request.
pub(super) async fn fetch(http: &Http, url: &str, limit: usize) -> Result<Vec<u8>, Failure> {
    let endpoint = Endpoint::parse(Service::AttestationStore, url)?;
    let answer = http.send(Request::get(endpoint, limit)).await?;
    Ok(answer.expect(&[StatusCode::OK])?.into_body())
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{name}` is not set, so there is no GitHub to store attestations with")]
    NotInGitHub { name: &'static str },
    #[error("GitHub does not take the attestation: status {status}")]
    Refused { status: u16 },
}

/// An id, or an error of a few lines.
const ANSWER_BYTES: usize = 64 << 10;
