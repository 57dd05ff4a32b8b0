//! The webhook's way in and what follows: queue the hint, answer, then fetch, hash, decide, and yank what is refused.
//!
//! Nothing is yanked for being unavailable: only a verdict of *refuse* over bytes that were read yanks.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use package::publish::IndexLine;
use verify::Sha256Digest;

use super::{
    Service, StartError, Unread, download, exchange::registry_token, fault, index, now, publish::refuse, read,
    read_bounded,
};
use crate::{
    Config,
    decision::{Candidate, Finding, NameState, Verdict},
    records::Waiting,
    trusted_publishing::RegistryToken,
    webhook::{self, BODY_BYTES, Delivery, Secret},
};

/// The receiver of a gate that has one.
#[derive(Debug)]
pub(super) struct Receiver {
    secret: Secret,
    registry_token: RegistryToken,
    wake: tokio::sync::Notify,
}

impl Receiver {
    pub(super) fn open(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(section) = &config.webhook else {
            return Ok(None);
        };
        let text = zeroize::Zeroizing::new(read(&section.secret_file)?);
        let secret = std::str::from_utf8(&text).ok().and_then(Secret::read);
        Ok(Some(Self {
            secret: secret.ok_or(StartError::WebhookSecret)?,
            registry_token: registry_token(
                section.registry_token_file.as_deref(),
                section.registry_token_variable.as_deref(),
            )?,
            wake: tokio::sync::Notify::new(),
        }))
    }

    pub(super) const fn registry_token(&self) -> &RegistryToken {
        &self.registry_token
    }
}

/// `POST /webhooks/standard`: 202 once the hint is durably queued, for a repeated delivery too.
pub(super) async fn receive(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Response {
    let Some(receiver) = &service.receiver else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(body) = to_bytes(body, BODY_BYTES).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &[webhook::malformed()]);
    };
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let delivery = Delivery {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
        body: &body,
    };
    if let Err(finding) = delivery.check(&receiver.secret, now()) {
        tracing::warn!(code = finding.code, cause = finding.cause, "webhook refused");
        return refuse(StatusCode::UNAUTHORIZED, &[finding]);
    }
    let hint = match delivery.hint() {
        Ok(Some(hint)) => hint,
        Ok(None) => return StatusCode::ACCEPTED.into_response(),
        Err(finding) => return refuse(StatusCode::BAD_REQUEST, &[finding]),
    };
    let (records, id) = (Arc::clone(&service), delivery.id.to_owned());
    let queued = tokio::task::spawn_blocking(move || records.records.queue_hint(&id, &hint, now()));
    match queued.await {
        Ok(Ok(_)) => {
            receiver.wake.notify_one();
            StatusCode::ACCEPTED.into_response()
        }
        Ok(Err(error)) => fault(&error),
        Err(error) => fault(&error),
    }
}

/// What a look at a hinted version gave.
enum Look {
    Admitted,
    Yanked,
    Later(String),
}

/// What the index has of a hinted version.
struct Hinted {
    /// The name as the index has it.
    spelling: String,
    /// None when its line cannot be read, or is there twice.
    line: Option<IndexLine>,
    name: NameState,
}

/// What a registry gave.
enum Fetched {
    Body(Vec<u8>),
    TooLarge,
    Absent,
}

/// Whether an index file has a line of this version, readable or not.
fn is_listed(file: &[u8], version: &str) -> bool {
    file.split(|byte| *byte == b'\n').any(|line| {
        let line: Option<serde_json::Value> = serde_json::from_slice(line).ok();
        line.is_some_and(|line| {
            line.get("vers")
                .or_else(|| line.get(1))
                .and_then(|found| found.as_str())
                == Some(version)
        })
    })
}

fn unreadable() -> Finding {
    Finding {
        code: "gate-index-line",
        cause: "the registry's index has a line of this version that cannot be read, or two".to_owned(),
        hint: "the registry's operator mends the index; nobody knows by which line cargo would build",
    }
}

impl Service {
    /// Works on the queue for ever; returns at once when the gate receives no webhooks.
    pub async fn work_on_hints(self: Arc<Self>) {
        let Some(receiver) = &self.receiver else {
            return;
        };
        loop {
            let (service, at) = (Arc::clone(&self), now());
            let due = tokio::task::spawn_blocking(move || service.records.due_hints(at)).await;
            for waiting in due.ok().and_then(Result::ok).unwrap_or_default() {
                self.work_on(receiver, waiting).await;
            }
            drop(tokio::time::timeout(PAUSE, receiver.wake.notified()).await);
        }
    }

    async fn work_on(self: &Arc<Self>, receiver: &Receiver, waiting: Waiting) {
        let look = self.look(receiver, &waiting).await;
        let name = match &look {
            Look::Admitted => "admitted",
            Look::Yanked => "yanked",
            Look::Later(_) => "later",
        };
        metrics::counter!("gate_hints_total", "outcome" => name).increment(1);
        let service = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || match look {
            Look::Admitted => service.records.finish_hint(&waiting.id),
            Look::Yanked => service.records.refuse_hint(&waiting),
            Look::Later(why) => {
                let due = now().plus_secs(delay_secs(waiting.tries));
                tracing::warn!(
                    krate = waiting.name,
                    version = waiting.version,
                    tries = waiting.tries,
                    why,
                    "hint put off"
                );
                service.records.postpone_hint(&waiting.id, due)
            }
        });
        if let Ok(Err(error)) = kept.await {
            tracing::error!(%error, "a hint's outcome cannot be kept; it will be looked at again");
        }
    }

    async fn look(self: &Arc<Self>, receiver: &Receiver, waiting: &Waiting) -> Look {
        let headers = receiver.registry_token.header();
        let hinted = match self.hinted(waiting, &headers).await {
            Ok(hinted) => hinted,
            Err(why) => return Look::Later(why),
        };
        let verdict = match &hinted.line {
            Some(line) => self.look_inside(line, hinted.name, &headers).await,
            None => Ok(Verdict::Refuse(vec![unreadable()])),
        };
        match verdict {
            Ok(Verdict::Admit(_)) => Look::Admitted,
            Ok(Verdict::Refuse(findings)) => self.yank(&hinted.spelling, &waiting.version, &findings, &headers).await,
            Ok(Verdict::Defer) => Look::Later("the attestation store cannot be asked".to_owned()),
            Err(why) => Look::Later(why),
        }
    }

    /// What the index has of the hinted version. The hint's spelling may be a normalised one.
    async fn hinted(&self, waiting: &Waiting, headers: &HeaderMap) -> Result<Hinted, String> {
        for spelling in webhook::spellings(&waiting.name) {
            let url = format!("{}{}", self.config.upstream.index, download::index_path(&spelling));
            let Fetched::Body(body) = self.fetch(url, headers, index::INDEX_BYTES).await? else {
                continue;
            };
            if !is_listed(&body, &waiting.version) {
                continue;
            }
            let lines: Vec<_> = IndexLine::all_of(&body, &self.registries).collect();
            let name = self.state_of(waiting, &lines).map_err(|error| error.to_string())?;
            let line = IndexLine::of_version(lines, &waiting.version);
            return Ok(Hinted {
                spelling: line.as_ref().map_or(spelling, |line| line.description.name.clone()),
                line,
                name,
            });
        }
        Err("the index does not have the version".to_owned())
    }

    /// A name is new when the registry says so, and as long as nothing stands under it but what is doubtful.
    fn state_of(&self, waiting: &Waiting, lines: &[IndexLine]) -> Result<NameState, rusqlite::Error> {
        if waiting.new {
            return Ok(NameState::New);
        }
        for line in lines.iter().map(|line| &line.description) {
            if line.version != waiting.version && !self.records.is_doubtful(&line.name, &line.version)? {
                return Ok(NameState::Taken);
            }
        }
        Ok(NameState::New)
    }

    async fn look_inside(
        self: &Arc<Self>,
        line: &IndexLine,
        name: NameState,
        headers: &HeaderMap,
    ) -> Result<Verdict, String> {
        let digest = line.checksum.parse::<Sha256Digest>();
        let digest = digest.map_err(|_| "the index line has no checksum".to_owned())?;
        let url = self
            .download_url(&line.description.name, &line.description.version, &digest, headers)
            .await;
        let url = url.map_err(|_| "the registry's config.json cannot be had".to_owned())?;
        let limit = usize::try_from(self.limits.compressed_bytes).unwrap_or(usize::MAX);
        match self.fetch(url, headers, limit).await? {
            Fetched::Body(body) => self.judge(line, name, Bytes::from(body)).await,
            Fetched::TooLarge => Ok(Verdict::Refuse(vec![download::too_large(limit)])),
            Fetched::Absent => Err("the registry has no such archive".to_owned()),
        }
    }

    /// What is answered with 200 or 404.
    async fn fetch(&self, url: String, headers: &HeaderMap, limit: usize) -> Result<Fetched, String> {
        let asked = tokio::time::timeout(LIMIT, self.ask(&url, headers.clone())).await;
        let answer = asked.ok().and_then(Result::ok).ok_or("the registry cannot be asked")?;
        match answer.status() {
            StatusCode::OK => match read_bounded(answer, limit).await {
                Ok(body) => Ok(Fetched::Body(body)),
                Err(Unread::TooLarge) => Ok(Fetched::TooLarge),
                Err(Unread::Broken(_)) => Err("the registry's answer cannot be read".to_owned()),
            },
            StatusCode::NOT_FOUND => Ok(Fetched::Absent),
            status => Err(format!("the registry answers with status {status}")),
        }
    }

    async fn judge(self: &Arc<Self>, line: &IndexLine, state: NameState, body: Bytes) -> Result<Verdict, String> {
        let digest = Sha256Digest::of(&body);
        if line.checksum.parse::<Sha256Digest>().ok() != Some(digest) {
            // An error page is no archive; cargo does not build it either.
            if !body.starts_with(&GZIP) {
                return Err("the registry answers no archive".to_owned());
            }
            return Ok(Verdict::Refuse(vec![download::other_bytes(&digest)]));
        }
        let evidence = self.evidence(&digest).await;
        let (service, line) = (Arc::clone(self), line.clone());
        let deciding = tokio::task::spawn_blocking(move || {
            let candidate = Candidate {
                name: &line.description.name,
                version: &line.description.version,
                archive: &body,
                claimed: Some(&line.description),
            };
            service.decide(&service.policy(), &candidate, &evidence, state)
        });
        let decided = deciding.await.map_err(|error| error.to_string())?;
        decided.map_err(|error| error.to_string())
    }

    async fn yank(&self, name: &str, version: &str, findings: &[Finding], headers: &HeaderMap) -> Look {
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
        let causes: Vec<&str> = findings.iter().map(|finding| finding.cause.as_str()).collect();
        let api = match index::upstream_config(self, headers).await {
            Ok(config) => config.api.clone().unwrap_or_default(),
            Err(_) => return Look::Later("the registry's config.json cannot be had".to_owned()),
        };
        let url = format!("{}/api/v1/crates/{name}/{version}/yank", api.trim_end_matches('/'));
        let sent = self
            .http
            .delete(url)
            .headers(headers.clone())
            .timeout(LIMIT)
            .send()
            .await;
        match sent.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => {
                tracing::error!(krate = name, version, ?codes, ?causes, "refused after the fact: yanked");
                Look::Yanked
            }
            Ok(status) => Look::Later(format!(
                "refused ({codes:?}), but the registry answers the yank with {status}"
            )),
            Err(_) => Look::Later(format!("refused ({codes:?}), but the registry cannot be asked to yank")),
        }
    }
}

/// 2 s, doubled at each try, an hour at most: for as long as it takes.
fn delay_secs(tries: u32) -> i64 {
    1_i64
        .checked_shl(tries.saturating_add(1).min(12))
        .unwrap_or(LONGEST_SECS)
        .min(LONGEST_SECS)
}

const LONGEST_SECS: i64 = 3600;
/// How a gzip member begins [RFC 1952 §2.3.1].
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How often the queue is looked at when nothing comes in.
const PAUSE: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_ever_rarer_up_to_an_hour() {
        let delays: Vec<i64> = [0, 1, 10, 11, 1000].map(delay_secs).to_vec();
        assert_eq!(delays, [2, 4, 2048, 3600, 3600]);
    }
}
