//! `/healthz`, `/readyz`, `/metrics`, and the line that each request leaves in the log.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;

use crate::tuf::Freshness;

/// The routes for operators.
pub(crate) fn router(freshness: Freshness) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .with_state(freshness)
}

/// Alive: the process answers.
async fn healthz() -> impl IntoResponse {
    Json(json!({ "status": "SERVING" }))
}

/// Ready: the logs are open (or we would not be here) and clients can follow the TUF repository.
async fn readyz(State(freshness): State<Freshness>) -> Response {
    if freshness.is_fresh() {
        Json(json!({ "status": "READY" })).into_response()
    } else {
        let body = json!({ "status": "NOT_READY", "reason": "tuf-not-fresh" });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    }
}

async fn metrics_page() -> Response {
    let Some(recorder) = recorder() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    recorder.run_upkeep();
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, recorder.render()).into_response()
}

/// The process's recorder; the first call installs it, before anything is measured.
pub(crate) fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let builder = PrometheusBuilder::new().set_buckets(&LATENCY_BUCKETS).ok()?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        Some(handle)
    };
    RECORDER.get_or_init(install).as_ref()
}

/// Counts and logs a request: method, route pattern, status and time. Never headers, query or body: they hold tokens.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // The rest of the body is not read, so nothing more can be asked over this connection [RFC 9110 §15.5.14].
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    let labels = [("route", route.clone()), ("status", status.to_string())];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_seconds", "route" => route.clone()).record(elapsed.as_secs_f64());
    tracing::debug!(%method, route, status, elapsed_us = microseconds(elapsed), "answered");
    response
}

fn microseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Seconds: from an in-memory answer to the longest a client waits.
const LATENCY_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];
