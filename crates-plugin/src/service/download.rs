//! The install gate: an archive leaves only when the verdict for its digest, the policy and the trusted root is *admit*.
//!
//! An archive admitted before is streamed with constant memory and hashed on the way; its last bytes are held back until the
//! digest is the admitted one. One not seen before is read whole, compared with its index line, decided on, and kept.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use package::{Description, publish::IndexLine};
use verify::Sha256Digest;

use super::{
    Service, Unread, checked::checked, end_to_end, fault, index, instead, is_read, names::is_plain, now, range::Wanted,
    read_bounded, relay, unavailable,
};
use crate::{
    decision::{Candidate, EXCEPTION, Evidence, Finding, NameState, Verdict},
    policy::{Exception, RegistryPolicy},
};

pub(super) async fn archive(
    State(service): State<Arc<Service>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Response {
    if !is_read(request.method()) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if !is_plain(&name) || semver::Version::parse(&version).is_err() {
        return plain(StatusCode::NOT_FOUND, "no crate has such a name and version\n");
    }
    match service
        .download(&name, &version, request.method(), request.headers())
        .await
    {
        Ok(answer) | Err(answer) => answer,
    }
}

impl Service {
    async fn download(
        self: &Arc<Self>,
        name: &str,
        version: &str,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response, Response> {
        let remembered = self.remembered(name, version);
        let digest = match remembered {
            Some(digest) => digest,
            None => match self.first_time(name, version, headers).await? {
                Seen::Admitted(digest) => digest,
                Seen::Now(body) if *method == Method::HEAD => return Ok(archive_answer(Bytes::new(), body.len())),
                Seen::Now(body) => {
                    let length = body.len();
                    return Ok(archive_answer(body, length));
                }
            },
        };
        let url = self.download_url(name, version, &digest, headers).await?;
        let mut forwarded = end_to_end(headers);
        for whole_only in [header::RANGE, header::IF_RANGE, header::ACCEPT_ENCODING] {
            forwarded.remove(whole_only);
        }
        let forwarded = self.reading(&url, forwarded);
        let answer = self.archives.ask(method, &url, &forwarded).await;
        let answer = answer.map_err(|error| unavailable(&error))?;
        Ok(match answer.status() {
            StatusCode::OK if *method == Method::GET && is_small(&answer, headers) => {
                return self.whole(name, version, answer, digest, headers).await;
            }
            StatusCode::OK if *method == Method::GET => {
                let served = (Arc::clone(self), name.to_owned(), version.to_owned());
                let doubt = move || served.0.admitted.doubt(&served.1, &served.2);
                checked(answer, digest, headers, doubt)
            }
            StatusCode::PARTIAL_CONTENT => plain(
                StatusCode::BAD_GATEWAY,
                "the registry answered a part of the archive, which was not asked for\n",
            ),
            StatusCode::OK => {
                // Of a HEAD: nothing is framed anew.
                let length = answer.headers().get(header::CONTENT_LENGTH).cloned();
                let mut head = relay(answer);
                head.headers_mut()
                    .extend(length.map(|length| (header::CONTENT_LENGTH, length)));
                head
            }
            StatusCode::NOT_MODIFIED => relay(answer),
            _ => instead(answer),
        })
    }

    /// A small archive, read whole before anything is answered. Where the registry serves other bytes than were admitted,
    /// they are looked at like any that were not seen before, so that cargo is told why, and not cut off.
    async fn whole(
        self: &Arc<Self>,
        name: &str,
        version: &str,
        answer: reqwest::Response,
        digest: Sha256Digest,
        headers: &HeaderMap,
    ) -> Result<Response, Response> {
        let kept = end_to_end(answer.headers());
        let body = Bytes::from(read_bounded(answer, SMALL_BYTES).await?);
        if Sha256Digest::of(&body) == digest {
            let mut response = archive_answer(body.clone(), body.len());
            response.headers_mut().extend(kept);
            return Ok(response);
        }
        tracing::error!(%digest, krate = name, version, "the registry serves other bytes than were admitted");
        self.admitted.doubt(name, version);
        match self.first_time(name, version, headers).await? {
            Seen::Now(body) => Ok(archive_answer(body.clone(), body.len())),
            Seen::Admitted(digest) => Err(refuse(&[other_bytes(&digest)])),
        }
    }

    /// The digest admitted under the present policy for this name and version, without asking anybody.
    fn remembered(&self, name: &str, version: &str) -> Option<Sha256Digest> {
        self.admitted.find(name, version, now())
    }

    /// Looks an archive up in the index and the ledger, and decides on it when it is new.
    async fn first_time(self: &Arc<Self>, name: &str, version: &str, headers: &HeaderMap) -> Result<Seen, Response> {
        let line = self.index_line(name, version, headers).await?;
        if let Some(refusal) = self.disputed(name, version, &line.description) {
            return Err(refusal);
        }
        let digest: Sha256Digest = line
            .checksum
            .parse()
            .map_err(|_| plain(StatusCode::BAD_GATEWAY, "the index line names no SHA-256\n"))?;
        let policy = self.policy();
        let ground = self.ledger.ground(&self.key(digest, &policy));
        let ground = ground.map_err(|error| fault(&error))?;
        let inside = self.inside(&digest).map_err(|error| fault(&error))?;
        let until = policy
            .exception_for(name, version, now())
            .and_then(Exception::last_second);
        // An exception that was admitted once holds as long as it lasts.
        let until = until.filter(|_| ground.as_deref() == Some(EXCEPTION));
        let holds = ground.is_some_and(|ground| ground != EXCEPTION || until.is_some());
        let doubted = self.admitted.is_doubted(name, version);
        if holds && !doubted && inside.is_some_and(|inside| inside.differences(&line.description).is_empty()) {
            // Somebody may have been told something else until the archive was known; nobody is any more.
            if let Some(refusal) = self.disputed(name, version, &line.description) {
                return Err(refusal);
            }
            self.admitted.keep(&policy.digest(), name, version, digest, until);
            return Ok(Seen::Admitted(digest));
        }
        let Ok(_one_of_few) = self.deciding.acquire().await else {
            return Err(later());
        };
        let evidence = async {
            if Self::needs_evidence(&policy, name, version) {
                Ok(self.evidence(&digest).await)
            } else {
                Ok(Evidence::Bundles(Vec::new()))
            }
        };
        // The index says which digest it is, so nothing waits for the archive to be asked about.
        let (body, evidence) = tokio::try_join!(self.archive_bytes(name, version, &digest, headers), evidence)?;
        self.decide_on(&policy, (name, version), line, body, evidence).await
    }

    /// An archive whole, if it is the one that its index line names.
    async fn archive_bytes(
        &self,
        name: &str,
        version: &str,
        digest: &Sha256Digest,
        headers: &HeaderMap,
    ) -> Result<Bytes, Response> {
        let url = self.download_url(name, version, digest, headers).await?;
        let answer = self.ask(&url, index::credentials(headers)).await?;
        if answer.status() != StatusCode::OK {
            return Err(instead(answer));
        }
        let limit = usize::try_from(self.limits.compressed_bytes).unwrap_or(usize::MAX);
        let body = Bytes::from(read_bounded(answer, limit).await.map_err(|unread| match unread {
            Unread::TooLarge => refuse(&[too_large(limit)]),
            broken @ Unread::Broken(_) => broken.into(),
        })?);
        if Sha256Digest::of(&body) != *digest {
            return Err(refuse(&[other_bytes(digest)]));
        }
        Ok(body)
    }

    async fn decide_on(
        self: &Arc<Self>,
        policy: &Arc<RegistryPolicy>,
        (name, version): (&str, &str),
        line: IndexLine,
        body: Bytes,
        evidence: Evidence,
    ) -> Result<Seen, Response> {
        let (service, archive, policy) = (Arc::clone(self), body.clone(), Arc::clone(policy));
        let asked = (name.to_owned(), version.to_owned());
        let said = line.description.clone();
        let deciding = move || service.decide_download(&policy, (&asked.0, &asked.1), &archive, &line, &evidence);
        let verdict = tokio::task::spawn_blocking(deciding)
            .await
            .map_err(|error| fault(&error))?;
        match verdict.map_err(|error| fault(&error))? {
            Verdict::Admit(_) => {
                // While the registry took its time with the archive, somebody may have been told something else.
                self.disputed(name, version, &said).map_or(Ok(Seen::Now(body)), Err)
            }
            Verdict::Refuse(findings) => {
                // Who asks was shown the index line, so he may know who published before.
                let text = self.refusal(name, version, &findings, true);
                Err(plain(StatusCode::FORBIDDEN, &format!("{text}\n")))
            }
            Verdict::Defer => Err(later()),
        }
    }

    /// The refusal of what the index has said two things of, to whomever.
    fn disputed(&self, name: &str, version: &str, line: &Description) -> Option<Response> {
        let disputed = !self.served.agrees(name, version, line);
        disputed.then(|| {
            tracing::error!(krate = name, version, "the registry's index said something else before");
            refuse(&[other_line()])
        })
    }

    fn decide_download(
        &self,
        policy: &RegistryPolicy,
        (name, version): (&str, &str),
        archive: &[u8],
        line: &IndexLine,
        evidence: &Evidence,
    ) -> Result<Verdict, crate::ledger::LedgerError> {
        let candidate = Candidate {
            name,
            version,
            archive,
            claimed: Some(&line.description),
        };
        let verdict = self.decide(policy, &candidate, evidence, NameState::Taken)?;
        if let Verdict::Admit(admission) = &verdict
            // Of what the index has said two things, each download is looked at.
            && self.served.agrees(name, version, &line.description)
        {
            let (digest, until) = (admission.digest, admission.ground.until());
            self.admitted.keep(&policy.digest(), name, version, digest, until);
        }
        if let Verdict::Refuse(_) = &verdict
            && let Ok(inside) = package::Archive::read(archive, name, version, &self.limits)
            && let Ok(manifest) = package::Manifest::of_package(&inside.manifest, name, version, &self.registries)
        {
            // The index is held against what the archive says, whatever the reason of the refusal.
            self.ledger
                .describe(&Sha256Digest::of(archive), &manifest.description)?;
            self.files.forget_crate(name);
        }
        Ok(verdict)
    }

    /// The line of this version in the registry's index.
    pub(super) async fn index_line(
        &self,
        name: &str,
        version: &str,
        headers: &HeaderMap,
    ) -> Result<IndexLine, Response> {
        let url = format!("{}{}", self.config.upstream.index, index_path(name));
        let answer = self.ask(&url, index::credentials(headers)).await?;
        if answer.status() != StatusCode::OK {
            return Err(instead(answer));
        }
        let body = read_bounded(answer, index::INDEX_BYTES).await?;
        let found = IndexLine::of_version(IndexLine::all_of(&body, &self.registries), version);
        found.ok_or_else(|| {
            plain(
                StatusCode::NOT_FOUND,
                "the index has no such version, or has it twice\n",
            )
        })
    }

    /// The registry's download template, filled in [cargo, Index Configuration].
    pub(super) async fn download_url(
        &self,
        name: &str,
        version: &str,
        digest: &Sha256Digest,
        headers: &HeaderMap,
    ) -> Result<String, Response> {
        let template = index::upstream_config(self, headers).await?.download.clone();
        if !["{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}"]
            .iter()
            .any(|m| template.contains(m))
        {
            return Ok(format!("{}/{name}/{version}/download", template.trim_end_matches('/')));
        }
        Ok(template
            .replace("{crate}", name)
            .replace("{version}", version)
            .replace("{prefix}", &prefix(name))
            .replace("{lowerprefix}", &prefix(&name.to_lowercase()))
            .replace("{sha256-checksum}", &digest.to_string()))
    }
}

/// What a look at an archive gave.
enum Seen {
    /// Admitted before; to be streamed.
    Admitted(Sha256Digest),
    /// Admitted now; here it is.
    Now(Bytes),
}

/// Whether an answer is wanted whole, and its stated length fits into memory many times over.
fn is_small(answer: &reqwest::Response, asked: &HeaderMap) -> bool {
    let total = answer
        .content_length()
        .filter(|total| usize::try_from(*total).is_ok_and(|total| total <= SMALL_BYTES));
    total.is_some_and(|total| matches!(Wanted::of(asked, total), Wanted::Whole))
}

fn archive_answer(body: Bytes, length: usize) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    (StatusCode::OK, headers, body).into_response()
}

/// Nine of ten archives of crates.io are smaller; a hundred at once are 25 MiB.
const SMALL_BYTES: usize = 256 << 10;

/// 403 as text: cargo prints the body of a failed download as it is.
fn refuse(findings: &[Finding]) -> Response {
    let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
    plain(
        StatusCode::FORBIDDEN,
        &format!("refused by the gate\n{}\n", text.join("\n")),
    )
}

/// 503 with Retry-After, as text.
fn later() -> Response {
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, DEFERRED);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

fn plain(status: StatusCode, text: &str) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        text.to_owned(),
    )
        .into_response()
}

pub(super) fn too_large(limit: usize) -> Finding {
    Finding {
        code: "package-too-large",
        cause: format!("the archive is larger than {limit} bytes"),
        hint: "the operator raises `archive-bytes` if the registry is to have archives of this size",
    }
}

pub(super) fn other_bytes(digest: &Sha256Digest) -> Finding {
    Finding {
        code: "gate-other-bytes",
        cause: format!("the registry serves other bytes than sha256:{digest}, which its index names"),
        hint: "nothing was let through; tell the registry's operator",
    }
}

/// Whoever resolved by the other line would build what nobody compared with the manifest.
fn other_line() -> Finding {
    Finding {
        code: "gate-index-changed",
        cause: "the registry's index said something else of this version since the gate was started".to_owned(),
        hint: "nothing was let through; run `cargo update` once the registry's operator has said which is right and the gate was restarted",
    }
}

/// `1/a`, `2/ab`, `3/a/abc`, `ab/cd/abcd…` [cargo, Index Files].
pub(super) fn index_path(name: &str) -> String {
    let lower = name.to_lowercase();
    let (folder, file) = (prefix(&lower), lower);
    format!("{folder}/{file}")
}

fn prefix(name: &str) -> String {
    let part = |range: std::ops::Range<usize>| name.get(range).unwrap_or_default();
    match name.len() {
        0..=2 => name.len().to_string(),
        3 => format!("3/{}", part(0..1)),
        _ => format!("{}/{}", part(0..2), part(2..4)),
    }
}

const DEFERRED: &str = "deferred: the attestation store cannot be asked\nhint: nothing was decided; try again\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_paths_are_cargos() {
        for (name, path) in [
            ("A", "1/a"),
            ("ab", "2/ab"),
            ("abc", "3/a/abc"),
            ("Abcd", "ab/cd/abcd"),
            ("abcde", "ab/cd/abcde"),
        ] {
            assert_eq!(index_path(name), path);
        }
        assert_eq!(prefix("Abcd"), "Ab/cd");
    }
}
