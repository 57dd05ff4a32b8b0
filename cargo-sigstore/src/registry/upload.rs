//! Uploading a prebuilt crate ourselves, without cargo.

use client::{
    Http, Service,
    http::{Endpoint, Method, Request, StatusCode},
};
use serde::Deserialize;

use crate::{
    context::Context,
    failure::{Exit, Failure},
    printer::{lines, visible},
    registry::{index::IndexConfig, selection::Registry, token::RegistryToken},
    release::{crate_file::CrateFile, publish_request},
};

/// Uploads a crate. It is sent once: a publish that may have been taken is not repeated.
///
/// # Errors
/// Code `registry-refused` with the registry's own words; those of the request.
pub(crate) async fn upload(
    context: &Context,
    http: &Http,
    registry: &Registry,
    config: &IndexConfig,
    file: &CrateFile,
    token: &RegistryToken,
) -> Result<(), Failure> {
    let api = config.api.as_deref().ok_or_else(|| Error::NoApi {
        registry: registry.display_name().to_owned(),
    })?;
    let endpoint = Endpoint::parse(Service::Registry, api)?.below("api/v1/crates/new");
    let request = Request::new(Method::PUT, endpoint, ANSWER_BYTES)
        .body("application/octet-stream", publish_request::body(file)?)
        .authorization(token.secret())
        .once();
    let answer = http.send(request).await?;
    let said: Answer = serde_json::from_slice(answer.body()).unwrap_or_default();
    if answer.status() != StatusCode::OK || !said.errors.is_empty() {
        let details: Vec<String> = said.errors.iter().map(|error| lines(&error.detail)).collect();
        let refused = Failure::from(Error::Refused {
            registry: registry.display_name().to_owned(),
            status: answer.status().as_u16(),
        });
        return Err(refused.fact("the registry says", details.join("\n")));
    }
    for warning in said.warnings.unwrap_or_default().other {
        context.printer.warn(visible(&warning));
    }
    Ok(())
}

/// What a registry answers [cargo book, registry web API, publish]; some leave `warnings` out or null.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    errors: Vec<Detail>,
    warnings: Option<Warnings>,
}

#[derive(Deserialize)]
struct Detail {
    detail: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Warnings {
    other: Vec<String>,
}

/// Why nothing was uploaded.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the registry `{registry}` takes no uploads")]
    NoApi { registry: String },
    #[error("the registry `{registry}` refuses the crate with status {status}")]
    Refused { registry: String, status: u16 },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::NoApi { .. } => Self::new(Exit::Usage, "registry-index", &error)
                .hint("its `config.json` names no `api`; name another registry"),
            Error::Refused { .. } => Self::new(Exit::Refused, "registry-refused", &error)
                .hint("the registry's own words say why; running the command again is harmless"),
        }
    }
}

/// Warnings and errors.
const ANSWER_BYTES: usize = 1 << 20;
