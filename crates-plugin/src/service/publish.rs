//! The publish gate: hash, compare, verify, record, and only then forward the bytes unchanged.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use package::PublishRequest;
use serde_json::{Value, json};
use verify::Sha256Digest;

use super::{Service, deferred, end_to_end, fault, index, read_bounded, unavailable};
use crate::{
    decision::{Admission, Candidate, Evidence, Finding, NameState, Verdict},
    ledger::LedgerError,
};

pub(super) async fn publish(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Response {
    let limit = usize::try_from(service.limits.compressed_bytes)
        .unwrap_or(usize::MAX)
        .saturating_add(REQUEST_OVERHEAD);
    let Ok(body) = to_bytes(body, limit).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &[too_large(limit)]);
    };
    let (digest, name) = match PublishRequest::split(&body).and_then(|request| {
        Ok((
            Sha256Digest::of(request.archive),
            request.description(&service.registries)?.name,
        ))
    }) {
        Ok(found) => found,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &[malformed(&error)]),
    };
    let headers = match service.authorized(&name, &headers) {
        Ok(headers) => headers,
        Err(answer) => return *answer,
    };
    let evidence = service.evidence(&digest).await;
    let state = service.name_state(&name, &headers).await;
    let (deciding, bytes) = (service.clone(), body.clone());
    let verdict = tokio::task::spawn_blocking(move || decide(&deciding, &bytes, &evidence, state)).await;
    match verdict {
        Ok(Ok(Verdict::Admit(admission))) => forward(&service, &headers, body, &admission).await,
        Ok(Ok(Verdict::Refuse(findings))) => refuse(StatusCode::FORBIDDEN, &findings),
        Ok(Ok(Verdict::Defer)) => deferred("the attestation store or the index cannot be asked"),
        Ok(Err(Halt::Malformed(error))) => refuse(StatusCode::BAD_REQUEST, &[malformed(&error)]),
        Ok(Err(Halt::Ledger(error))) => fault(&error),
        Err(error) => fault(&error),
    }
}

/// Why there is no verdict.
enum Halt {
    Malformed(package::Error),
    Ledger(LedgerError),
}

fn decide(service: &Service, body: &[u8], evidence: &Evidence, name: NameState) -> Result<Verdict, Halt> {
    let request = PublishRequest::split(body).map_err(Halt::Malformed)?;
    let claimed = request.description(&service.registries).map_err(Halt::Malformed)?;
    let candidate = Candidate {
        name: &claimed.name,
        version: &claimed.version,
        archive: request.archive,
        claimed: Some(&claimed),
    };
    service.decide_knowing(&candidate, evidence, name).map_err(Halt::Ledger)
}

/// Forwards the bytes as they came; the registry's answer passes as it is, with a line of good news where it succeeded.
async fn forward(service: &Service, headers: &HeaderMap, body: Bytes, admission: &Admission) -> Response {
    let api = match index::upstream_config(service, headers).await {
        Ok(config) => config.api.clone(),
        Err(answer) => return answer,
    };
    let Some(api) = api else {
        return refuse(StatusCode::NOT_FOUND, &[no_api()]);
    };
    let url = format!("{}/api/v1/crates/new", api.trim_end_matches('/'));
    let answer = match service
        .http
        .put(url)
        .headers(end_to_end(headers))
        .body(body)
        .send()
        .await
    {
        Ok(answer) => answer,
        Err(error) => return unavailable(&error),
    };
    let (status, kept) = (answer.status(), end_to_end(answer.headers()));
    let mut bytes = match read_bounded(answer, ANSWER_BYTES).await {
        Ok(bytes) => bytes,
        Err(answer) => return answer,
    };
    if status.is_success() {
        bytes = with_good_news(&bytes, admission).unwrap_or(bytes);
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = kept;
    response
}

/// The answer with a line in `warnings.other`; registries may answer `"warnings": null` or nothing.
fn with_good_news(answer: &[u8], admission: &Admission) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(answer).ok()?;
    let warnings = document.as_object_mut()?.entry("warnings").or_insert(Value::Null);
    if warnings.is_null() {
        *warnings = json!({ "invalid_categories": [], "invalid_badges": [], "other": [] });
    }
    let other = warnings.as_object_mut()?.entry("other").or_insert_with(|| json!([]));
    if other.is_null() {
        *other = json!([]);
    }
    let other = other.as_array_mut()?;
    other.push(admission.ground.to_string().into());
    other.extend(admission.warnings.iter().map(|warning| warning.to_string().into()));
    serde_json::to_vec(&document).ok()
}

/// Cargo's error JSON: one finding a paragraph, code first.
pub(super) fn refuse(status: StatusCode, findings: &[Finding]) -> Response {
    let detail: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let body = json!({ "errors": [{ "detail": format!("refused by the gate\n{}", detail.join("\n")) }] });
    (status, axum::Json(body)).into_response()
}

fn malformed(error: &package::Error) -> Finding {
    Finding {
        code: error.code(),
        cause: error.to_string(),
        hint: "publish with an unmodified cargo",
    }
}

fn too_large(limit: usize) -> Finding {
    Finding {
        code: "package-too-large",
        cause: format!("publish request is larger than {limit} bytes"),
        hint: "leave large files out with `package.exclude`, or ask the operator for a higher limit",
    }
}

fn no_api() -> Finding {
    Finding {
        code: "gate-no-api",
        cause: "the registry behind the gate has no web API".to_owned(),
        hint: "a mirror takes no publishes; publish to the registry itself",
    }
}

/// Metadata of at most 1 MiB and two lengths.
const REQUEST_OVERHEAD: usize = (1 << 20) + 8;
const ANSWER_BYTES: usize = 1 << 20;
