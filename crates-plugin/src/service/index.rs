//! The index: `config.json` names the gate, files pass with bytes and `ETag` intact, lines known to lie are left out.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use package::publish::IndexLine;
use serde_json::{Map, Value};
use verify::Sha256Digest;

use super::{
    Service,
    download::index_path,
    end_to_end,
    files::{FileKey, IndexFile},
    instead,
    names::is_plain,
    read_bounded,
};

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
    let answer = service.ask(&url, credentials(headers)).await?;
    if answer.status() != StatusCode::OK {
        return Err(instead(answer));
    }
    let body = read_bounded(answer, CONFIG_BYTES).await?;
    let malformed = || (StatusCode::BAD_GATEWAY, "config.json of the registry is malformed\n").into_response();
    let document: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(UpstreamConfig {
        api: text("api").map(|api| service.config.behind(&api)),
        download: service.config.behind(&text("dl").ok_or_else(malformed)?),
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
    if service.config.mirror.is_some() {
        document.remove("api");
    } else if upstream.api.is_some() {
        document.insert("api".to_owned(), base.into());
    }
    let store = service.evidence_base();
    document.insert(
        "attestations".to_owned(),
        format!("{store}/api/v1/attestations/sha256:{{sha256-checksum}}").into(),
    );
    axum::Json(Value::Object(document)).into_response()
}

/// An index file: from memory while it is fresh, else from the registry, and looked through when its bytes are new.
pub(super) async fn file(
    State(service): State<Arc<Service>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    service.index_file(path, headers).await
}

impl Service {
    /// What of the index a path names, also at the registry's own path: `config.json`, or the path of an index file.
    pub(super) fn part_of_index<'a>(&self, path: &'a str) -> Option<&'a str> {
        let own = self.config.upstream.index.path();
        let part = path.strip_prefix("/index/").or_else(|| path.strip_prefix(own))?;
        (part == CONFIG || is_index_path(part)).then_some(part)
    }

    pub(super) async fn index_file(self: Arc<Self>, path: String, headers: HeaderMap) -> Response {
        if !is_index_path(&path) {
            return (StatusCode::NOT_FOUND, "no index file has such a path\n").into_response();
        }
        let service = self;
        let key = FileKey::new(path, &headers);
        let kept = service.files.find(&key);
        let kept = match kept {
            Some(file) if file.is_fresh() => return file.answer(&headers),
            kept => kept,
        };
        match service.fetch_file(key, &headers, kept).await {
            Ok(file) => file.answer(&headers),
            Err(answer) => answer,
        }
    }
}

impl Service {
    /// Asks the registry, with the caller's credentials, whether `kept` is still what it has, and keeps what it says now.
    async fn fetch_file(
        &self,
        key: FileKey,
        headers: &HeaderMap,
        kept: Option<Arc<IndexFile>>,
    ) -> Result<Arc<IndexFile>, Response> {
        let url = format!("{}{}", self.config.upstream.index, key.path());
        let mut forwarded = credentials(headers);
        if let Some(agent) = headers.get(header::USER_AGENT) {
            forwarded.insert(header::USER_AGENT, agent.clone());
        }
        let tag = kept.as_ref().and_then(|file| file.upstream_tag.clone());
        if let Some(tag) = tag {
            forwarded.insert(header::IF_NONE_MATCH, tag);
        }
        let answer = self.ask(&url, forwarded).await?;
        if answer.status() == StatusCode::NOT_MODIFIED
            && let Some(file) = kept
        {
            return Ok(self.files.keep(key, file.renewed()));
        }
        if answer.status() != StatusCode::OK {
            return Err(instead(answer));
        }
        let mut kept_headers = end_to_end(answer.headers());
        let upstream_tag = kept_headers.get(header::ETAG).cloned();
        let generation = self.files.generation();
        let mut body = Bytes::from(read_bounded(answer, INDEX_BYTES).await?);
        if let Some(honest) = self.without_lies(key.name(), &body) {
            kept_headers.remove(header::LAST_MODIFIED);
            kept_headers.remove(header::ETAG);
            let tag = HeaderValue::from_str(&format!("{OUR_TAG}{}\"", Sha256Digest::of(&honest)));
            kept_headers.extend(tag.ok().map(|tag| (header::ETAG, tag)));
            body = Bytes::from(honest);
        }
        let file = IndexFile::new(kept_headers, body, upstream_tag, generation);
        Ok(self.files.keep(key, file))
    }
}

/// What becomes of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// It says what the manifest inside its archive does, or nothing.
    Honest,
    /// Nobody has seen the archive.
    Unseen,
    /// It is not answered, and a log says why.
    LeftOut,
}

impl Service {
    /// The file without the lines that differ from the manifest inside their archive, and without those that cannot be held against it:
    /// that we cannot read, or whose version is there twice, of which cargo may take either. None when there is no such line. What the file
    /// says of archives that nobody has seen is remembered until they are downloaded.
    fn without_lies(&self, name: &str, body: &[u8]) -> Option<Vec<u8>> {
        let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
        let read = lines
            .iter()
            .map(|line| IndexLine::from_json(line, &self.registries).ok());
        let read: Vec<Option<IndexLine>> = read.collect();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for line in read.iter().flatten() {
            let times = times.entry(&line.description.version).or_default();
            *times = times.saturating_add(1);
        }
        let becomes = |(text, line): (&&[u8], &Option<IndexLine>)| match line {
            None if text.trim_ascii().is_empty() => Line::Honest,
            None => {
                tracing::warn!(krate = name, "index line left out: it cannot be read");
                Line::LeftOut
            }
            Some(line)
                if times
                    .get(line.description.version.as_str())
                    .is_some_and(|times| *times > 1) =>
            {
                let version = line.description.version.as_str();
                tracing::warn!(krate = name, version, "index line left out: its version is there twice");
                Line::LeftOut
            }
            Some(line) => self.held_against_manifest(name, line),
        };
        let mut becomes: Vec<Line> = lines.iter().zip(&read).map(becomes).collect();
        let of_unseen = read.iter().zip(&becomes).filter(|(_, line)| **line == Line::Unseen);
        self.served.remember(
            name,
            of_unseen.filter_map(|(line, _)| line.as_ref().map(|line| &line.description)),
        );
        // An archive that was admitted meanwhile was so before this was remembered.
        for (line, becomes) in read.iter().zip(&mut becomes) {
            if let (Some(line), Line::Unseen) = (line, *becomes) {
                *becomes = self.held_against_manifest(name, line);
            }
        }
        let left: Vec<&[u8]> = lines
            .iter()
            .zip(&becomes)
            .filter(|(_, line)| **line != Line::LeftOut)
            .map(|(text, _)| *text)
            .collect();
        (left.len() != lines.len()).then(|| left.join(&b'\n'))
    }

    fn held_against_manifest(&self, name: &str, line: &IndexLine) -> Line {
        let digest = line.checksum.parse::<Sha256Digest>().ok();
        let Some(inside) = digest.and_then(|digest| self.inside(&digest).ok().flatten()) else {
            return Line::Unseen;
        };
        let differences = inside.differences(&line.description);
        for difference in &differences {
            tracing::warn!(krate = name, version = line.description.version, %difference, "index line left out");
        }
        if differences.is_empty() {
            Line::Honest
        } else {
            Line::LeftOut
        }
    }
}

/// Whether it is the path of some crate's index file.
fn is_index_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    is_plain(name) && path.to_lowercase() == index_path(name)
}

/// Authorization alone: what the registry needs to know the caller.
pub(super) fn credentials(headers: &HeaderMap) -> HeaderMap {
    let named = headers
        .get(header::AUTHORIZATION)
        .map(|value| (header::AUTHORIZATION, value.clone()));
    named.into_iter().collect()
}

pub(super) const CONFIG: &str = "config.json";
const CONFIG_BYTES: usize = 64 << 10;
const KEPT_FOR: Duration = Duration::from_mins(1);
/// The largest index file of crates.io is under 4 MiB.
pub(super) const INDEX_BYTES: usize = 32 << 20;
const OUR_TAG: &str = "\"gate-";
