//! Around every request: an id in log and answer, counts and durations, and the limits of `[operation]`.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use verify::Sha256Digest;

use super::{DOWNLOAD, Service, deferred, in_words, index, unavailable};
use crate::{Config, decision::Evidence};

/// What may run at once.
#[derive(Debug)]
pub(super) struct Places {
    requests: Semaphore,
    publishes: Semaphore,
}

impl Places {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            requests: Semaphore::new(config.operation.requests),
            publishes: Semaphore::new(config.operation.publishes),
        }
    }
}

/// Gives the request its id, runs it within the limits, and counts it by route. Headers are not logged, nor is the query.
pub(super) async fn observe(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = format!("{:016x}", rand::random::<u64>());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", MatchedPath::as_str)
        .to_owned();
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let mut response = service
        .within_limits(&route, request, next)
        .instrument(span.clone())
        .await;
    if route == DOWNLOAD {
        response = in_words(response);
    }
    let status = response.status();
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let seconds = began.elapsed().as_secs_f64();
    metrics::counter!("gate_requests_total", "route" => route.clone(), "status" => status.as_u16().to_string())
        .increment(1);
    metrics::histogram!("gate_request_seconds", "route" => route).record(seconds);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        metrics::counter!("gate_deferred_total").increment(1);
    }
    span.in_scope(|| tracing::debug!(status = status.as_u16(), seconds, "answered"));
    response
}

impl Service {
    async fn within_limits(&self, route: &str, request: Request, next: Next) -> Response {
        if ALWAYS.contains(&route) {
            return next.run(request).await;
        }
        let publishing = *request.method() == Method::PUT && route == "/api/v1/crates/new";
        let places = if publishing {
            &self.places.publishes
        } else {
            &self.places.requests
        };
        let Ok(_place) = places.try_acquire() else {
            metrics::counter!("gate_overloaded_total").increment(1);
            return deferred("the gate is busy");
        };
        let limit = self.config.operation.request_limit();
        tokio::time::timeout(limit, next.run(request))
            .await
            .unwrap_or_else(|_| {
                tracing::warn!(route, "no answer in time");
                deferred("the request took too long")
            })
    }
}

/// Ready when registry, attestation store and both databases answer.
pub(super) async fn ready(State(service): State<Arc<Service>>) -> Response {
    if let Err(answer) = index::upstream_config(&service, &axum::http::HeaderMap::new()).await
        // A registry that wants to know its callers answers, which is all that is asked.
        && answer.status() != StatusCode::UNAUTHORIZED
    {
        return answer;
    }
    if matches!(service.evidence(&NOBODY).await, Evidence::Unavailable) {
        return deferred("the attestation store cannot be asked");
    }
    let asked = tokio::task::spawn_blocking(move || {
        let key = service.key(NOBODY, &service.policy());
        service.ledger.ground(&key)?;
        service
            .records
            .is_attested("", "")
            .map_err(crate::ledger::LedgerError::from)
    });
    match asked.await {
        Ok(Ok(_)) => "ready\n".into_response(),
        Ok(Err(error)) => unavailable(&error),
        Err(error) => unavailable(&error),
    }
}

/// Watched also when the gate is full.
const ALWAYS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// No archive has this digest.
const NOBODY: Sha256Digest = Sha256Digest([0; 32]);
