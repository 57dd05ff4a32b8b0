//! The publish gate: hash, compare, verify, record, and only then forward the bytes unchanged.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use package::PublishRequest;
use serde_json::{Value, json};
use verify::Sha256Digest;

use super::{Service, deferred, end_to_end, errors, exchange, fault, index, now, outbox, read_bounded, unavailable};
use crate::{
    RegistryPolicy,
    crash::CrashPoint,
    decision::{Admission, Candidate, Evidence, Finding, NameState, Verdict},
    ledger::{LedgerError, outbox::Upload},
};

pub(super) async fn publish(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Response {
    if service.config.mirror.is_some() {
        return refuse(StatusCode::FORBIDDEN, &[mirror()]);
    }
    let limit = usize::try_from(service.limits.compressed_bytes)
        .unwrap_or(usize::MAX)
        .saturating_add(REQUEST_OVERHEAD);
    let Ok(body) = to_bytes(body, limit).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &[too_large(limit)]);
    };
    let (digest, claimed) = match PublishRequest::split(&body).and_then(|request| {
        Ok((
            Sha256Digest::of(request.archive),
            request.description(&service.registries)?,
        ))
    }) {
        Ok(found) => found,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &[malformed(&error)]),
    };
    let name = &claimed.name;
    let policy = service.policy();
    let exchanged = exchange::is_exchanged(&headers);
    let headers = match service.authorized(&policy, name, &headers) {
        Ok(headers) => headers,
        Err(answer) => return *answer,
    };
    if exchanged && let Err(answer) = service.may_upload_new(&policy, name, &headers).await {
        return *answer;
    }
    let evidence = service.evidence(&digest).await;
    let state = service.name_state(&policy, name, &headers).await;
    let (deciding, bytes) = (service.clone(), body.clone());
    let verdict = tokio::task::spawn_blocking(move || decide(&deciding, &policy, &bytes, &evidence, state)).await;
    match verdict {
        Ok(Ok(Decision::Admit(admission, begun))) => forward(&service, &headers, body, &admission, begun).await,
        Ok(Ok(Decision::Refuse(findings))) => {
            let reader = service.is_shown(name, &headers).await;
            let text = service.refusal(name, &claimed.version, &findings, reader);
            refuse_as(StatusCode::FORBIDDEN, &text)
        }
        Ok(Ok(Decision::Defer)) => deferred("the attestation store or the index cannot be asked"),
        Ok(Err(Halt::Malformed(error))) => refuse(StatusCode::BAD_REQUEST, &[malformed(&error)]),
        Ok(Err(Halt::Ledger(error))) => fault(&error),
        Err(error) => fault(&error),
    }
}

/// A verdict, and with an admission the upload as the ledger has it.
enum Decision {
    Admit(Box<Admission>, Begun),
    Refuse(Vec<Finding>),
    Defer,
}

/// An upload as the ledger has it.
struct Begun {
    upload: Upload,
    /// Whether the ledger did not have it before.
    fresh: bool,
}

/// Why there is no verdict.
enum Halt {
    Malformed(package::Error),
    Ledger(LedgerError),
}

/// Decides; verdict and upload are durable when it returns.
fn decide(
    service: &Service,
    policy: &RegistryPolicy,
    body: &[u8],
    evidence: &Evidence,
    name: NameState,
) -> Result<Decision, Halt> {
    let request = PublishRequest::split(body).map_err(Halt::Malformed)?;
    let claimed = request.description(&service.registries).map_err(Halt::Malformed)?;
    let candidate = Candidate {
        name: &claimed.name,
        version: &claimed.version,
        archive: request.archive,
        claimed: Some(&claimed),
    };
    let verdict = service.decide(policy, &candidate, evidence, name);
    match verdict.map_err(Halt::Ledger)? {
        Verdict::Admit(admission) => {
            let upload = outbox::upload(&admission, evidence, policy);
            let fresh = if service.attestor.is_some() {
                let begun = service.ledger.begin_upload(&upload, outbox::after_forwarding());
                begun.map_err(Halt::Ledger)?
            } else {
                true
            };
            CrashPoint::UploadKept.reach();
            Ok(Decision::Admit(Box::new(admission), Begun { upload, fresh }))
        }
        Verdict::Refuse(findings) => Ok(Decision::Refuse(findings)),
        Verdict::Defer => Ok(Decision::Defer),
    }
}

/// Forwards the bytes as they came; the registry's answer passes as it is, with a line of good news where it succeeded.
async fn forward(
    service: &Arc<Service>,
    headers: &HeaderMap,
    body: Bytes,
    admission: &Admission,
    begun: Begun,
) -> Response {
    let api = match index::upstream_config(service, headers).await {
        Ok(config) => config.api.clone(),
        Err(answer) => return answer,
    };
    let Some(api) = api else {
        return refuse(StatusCode::NOT_FOUND, &[no_api()]);
    };
    let url = format!("{}/api/v1/crates/new", api.trim_end_matches('/'));
    let request = service.http.put(url).headers(end_to_end(headers)).body(body);
    // What fails on the way may have arrived: the upload stays in the outbox, and a repeat finds out.
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return unavailable(&error),
    };
    if answer.status().is_redirection() {
        // A client that followed it would upload past the gate; whether anything was uploaded is not said.
        tracing::error!(
            status = answer.status().as_u16(),
            "the registry takes uploads elsewhere"
        );
        return errors(StatusCode::BAD_GATEWAY, MOVED);
    }
    let (mut status, mut kept) = (answer.status(), end_to_end(answer.headers()));
    let mut bytes = match read_bounded(answer, ANSWER_BYTES).await {
        Ok(bytes) => bytes,
        Err(unread) => return unread.into(),
    };
    CrashPoint::Forwarded.reach();
    let mut news = vec![admission.ground.to_string()];
    news.extend(admission.warnings.iter().map(ToString::to_string));
    let mut accepted = status.is_success() && !says_errors(&bytes);
    if !accepted && may_be_a_repeat(status) && service.has_in_index(&begun.upload, headers).await {
        news.push("the registry had these very bytes already".to_owned());
        (accepted, status, bytes) = (true, StatusCode::OK, b"{}".to_vec());
        kept = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    }
    if let Err(error) = settle(service, begun, accepted, status).await {
        return fault(error.as_ref());
    }
    if accepted {
        bytes = with_good_news(&bytes, news).unwrap_or(bytes);
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = kept;
    response
}

/// Keeps what became of the upload, and has an accepted one attested: nobody waits for that.
async fn settle(
    service: &Arc<Service>,
    Begun { upload, fresh }: Begun,
    accepted: bool,
    status: StatusCode,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (keeping, name) = (Arc::clone(service), upload.name.clone());
    let keep = move || {
        if accepted {
            // Nothing is attested, and nothing recorded, where nobody signs.
            if keeping.attestor.is_none() {
                return Ok(());
            }
            keeping.ledger.accept_upload(&upload, now()).map(drop)
        } else if fresh && (status.is_client_error() || status.is_success()) {
            // Of one that was known, an earlier try may have arrived, and an index may lag.
            keeping.ledger.forget_upload(&upload.archive)
        } else {
            Ok(())
        }
    };
    tokio::task::spawn_blocking(keep).await??;
    if accepted {
        CrashPoint::AcceptanceKept.reach();
        service.files.forget_crate(&name);
        service.accepted.notify_one();
    }
    Ok(())
}

/// Older registries answer 200 with errors in it.
fn says_errors(answer: &[u8]) -> bool {
    let document: Option<Value> = serde_json::from_slice(answer).ok();
    let errors = document
        .as_ref()
        .and_then(|document| document.get("errors")?.as_array());
    errors.is_some_and(|errors| !errors.is_empty())
}

/// Whoever the registry does not let publish learns nothing about what it has.
fn may_be_a_repeat(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    )
}

/// The answer with a line in `warnings.other`; registries may answer `"warnings": null` or nothing.
fn with_good_news(answer: &[u8], news: Vec<String>) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(answer).ok()?;
    let warnings = document.as_object_mut()?.entry("warnings").or_insert(Value::Null);
    if warnings.is_null() {
        *warnings = json!({ "invalid_categories": [], "invalid_badges": [], "other": [] });
    }
    let other = warnings.as_object_mut()?.entry("other").or_insert_with(|| json!([]));
    if other.is_null() {
        *other = json!([]);
    }
    other.as_array_mut()?.extend(news.into_iter().map(Value::from));
    serde_json::to_vec(&document).ok()
}

/// Cargo's error JSON: one finding a paragraph, code first.
pub(super) fn refuse(status: StatusCode, findings: &[Finding]) -> Response {
    let detail: Vec<String> = findings.iter().map(ToString::to_string).collect();
    refuse_as(status, &format!("refused by the gate\n{}", detail.join("\n")))
}

fn refuse_as(status: StatusCode, text: &str) -> Response {
    errors(status, text)
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

fn mirror() -> Finding {
    Finding {
        code: "gate-mirror",
        cause: "this gate is a mirror and takes no publishes".to_owned(),
        hint: "publish to the registry itself: `cargo publish --registry crates-io`",
    }
}

fn no_api() -> Finding {
    Finding {
        code: "gate-no-api",
        cause: "the registry behind the gate has no web API".to_owned(),
        hint: "a mirror takes no publishes; publish to the registry itself",
    }
}

const MOVED: &str = "the registry behind the gate takes uploads elsewhere\nhint: its operator names that address as `api` in the registry's config.json";
/// Metadata of at most 1 MiB and two lengths.
const REQUEST_OVERHEAD: usize = (1 << 20) + 8;
const ANSWER_BYTES: usize = 1 << 20;
