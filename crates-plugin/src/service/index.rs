//! The index: `config.json` names the gate, files pass with bytes and `ETag` intact, lines known to lie are left out.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use package::publish::IndexLine;
use serde_json::{Map, Value};
use verify::Sha256Digest;

use super::{Service, end_to_end, read_bounded, relay, unavailable};

/// What the registry's `config.json` says.
#[derive(Clone, Debug)]
pub(super) struct UpstreamConfig {
    /// Base of the web API, where there is one.
    pub(super) api: Option<String>,
    /// Download template.
    pub(super) download: String,
    document: Map<String, Value>,
}

/// The registry's `config.json`, fetched with the caller's credentials once a minute.
pub(super) async fn upstream_config(service: &Service, headers: &HeaderMap) -> Result<Arc<UpstreamConfig>, Response> {
    let kept = service.upstream.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((_, config)) = kept.filter(|(at, _)| at.elapsed() < KEPT_FOR) {
        return Ok(config);
    }
    let config = Arc::new(fetch_config(service, headers).await?);
    *service.upstream.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&config)));
    Ok(config)
}

async fn fetch_config(service: &Service, headers: &HeaderMap) -> Result<UpstreamConfig, Response> {
    let url = format!("{}config.json", service.config.upstream.index);
    let request = service.http.get(url).headers(credentials(headers));
    let answer = request.send().await.map_err(|error| unavailable(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(relay(answer));
    }
    let body = read_bounded(answer, CONFIG_BYTES).await?;
    let malformed = || (StatusCode::BAD_GATEWAY, "config.json of the registry is malformed\n").into_response();
    let document: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(UpstreamConfig {
        api: text("api"),
        download: text("dl").ok_or_else(malformed)?,
        document,
    })
}

/// `config.json` of the gate: the registry's, with `dl` and `api` naming the gate, and where attestations are.
pub(super) async fn config(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    // Asked for each caller: whom the registry does not know gets the registry's own refusal, not what another was told.
    let upstream = match fetch_config(&service, &headers).await {
        Ok(upstream) => upstream,
        Err(answer) => return answer,
    };
    let base = service.config.public_url.as_str().trim_end_matches('/');
    let mut document = upstream.document;
    document.insert(
        "dl".to_owned(),
        format!("{base}/dl/{{crate}}/{{version}}/download").into(),
    );
    if upstream.api.is_some() {
        document.insert("api".to_owned(), base.into());
    }
    let store = service.config.evidence.attestations.as_str().trim_end_matches('/');
    document.insert(
        "attestations".to_owned(),
        format!("{store}/api/v1/attestations/sha256:{{sha256-checksum}}").into(),
    );
    axum::Json(Value::Object(document)).into_response()
}

/// An index file.
pub(super) async fn file(
    State(service): State<Arc<Service>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let doctored = service
        .doctored
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(&name);
    let mut forwarded = end_to_end(&headers);
    let ours = headers
        .get(header::IF_NONE_MATCH)
        .filter(|tag| tag.as_bytes().starts_with(OUR_TAG.as_bytes()))
        .cloned();
    if doctored || ours.is_some() {
        forwarded.remove(header::IF_NONE_MATCH);
        forwarded.remove(header::IF_MODIFIED_SINCE);
    }
    forwarded.remove(header::ACCEPT_ENCODING);
    let url = format!("{}{path}", service.config.upstream.index);
    let answer = match service.http.get(url).headers(forwarded).send().await {
        Ok(answer) => answer,
        Err(error) => return unavailable(&error),
    };
    if answer.status() != StatusCode::OK {
        return relay(answer);
    }
    let kept_headers = end_to_end(answer.headers());
    let body = match read_bounded(answer, INDEX_BYTES).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    match service.without_lies(&name, &body) {
        None => with(StatusCode::OK, kept_headers, body),
        Some(honest) => service.doctored_answer(name, honest, kept_headers, ours.as_ref()),
    }
}

impl Service {
    /// The file without the lines that differ from the manifest inside their archive; none when no line does.
    fn without_lies(&self, name: &str, body: &[u8]) -> Option<Vec<u8>> {
        let differs = |line: &[u8]| -> bool {
            let Ok(line) = IndexLine::from_json(line, &self.registries) else {
                return false;
            };
            let digest = line.checksum.parse::<Sha256Digest>().ok();
            let inside = digest.and_then(|digest| self.ledger.description(&digest).ok().flatten());
            let differences = inside
                .map(|inside| inside.differences(&line.description))
                .unwrap_or_default();
            for difference in &differences {
                tracing::warn!(krate = name, version = line.description.version, %difference, "index line left out");
            }
            !differences.is_empty()
        };
        let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
        let honest: Vec<&[u8]> = lines
            .iter()
            .copied()
            .filter(|line| line.is_empty() || !differs(line))
            .collect();
        (honest.len() != lines.len()).then(|| honest.join(&b'\n'))
    }

    fn doctored_answer(
        &self,
        name: String,
        body: Vec<u8>,
        mut headers: HeaderMap,
        wanted: Option<&HeaderValue>,
    ) -> Response {
        self.doctored
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name);
        let tag = HeaderValue::from_str(&format!("{OUR_TAG}{}\"", Sha256Digest::of(&body)));
        headers.remove(header::LAST_MODIFIED);
        headers.remove(header::ETAG);
        let Ok(tag) = tag else {
            return with(StatusCode::OK, headers, body);
        };
        let unchanged = wanted == Some(&tag);
        headers.insert(header::ETAG, tag);
        if unchanged {
            with(StatusCode::NOT_MODIFIED, headers, Vec::new())
        } else {
            with(StatusCode::OK, headers, body)
        }
    }
}

/// Authorization alone: what the registry needs to know the caller.
pub(super) fn credentials(headers: &HeaderMap) -> HeaderMap {
    let named = headers
        .get(header::AUTHORIZATION)
        .map(|value| (header::AUTHORIZATION, value.clone()));
    named.into_iter().collect()
}

fn with(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

const CONFIG_BYTES: usize = 64 << 10;
const KEPT_FOR: Duration = Duration::from_mins(1);
/// The largest index file of crates.io is under 4 MiB.
pub(super) const INDEX_BYTES: usize = 32 << 20;
const OUR_TAG: &str = "\"gate-";
