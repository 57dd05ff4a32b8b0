//! What the registry's index says of a name, and what a refusal may tell of it.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};

use super::{Service, download, index, now};
use crate::{
    decision::{Finding, NameState},
    policy::FirstPublish,
    refusal::Refusal,
};

impl Service {
    /// Whether the registry has a crate of this name; asked only when the policy cares.
    pub(super) async fn name_state(&self, name: &str, headers: &HeaderMap) -> NameState {
        if self.policy().first_publish() == FirstPublish::Open {
            return NameState::Taken;
        }
        if !is_plain(name) {
            return NameState::New;
        }
        match self.index_status(name, headers).await {
            Ok(StatusCode::OK) => NameState::Taken,
            Ok(StatusCode::NOT_FOUND | StatusCode::GONE) => NameState::New,
            Ok(status) => {
                tracing::warn!(
                    status = status.as_u16(),
                    krate = name,
                    "the index does not say whether a name is new"
                );
                NameState::Unknown
            }
            Err(error) => {
                tracing::warn!(%error, krate = name, "the index cannot be asked whether a name is new");
                NameState::Unknown
            }
        }
    }

    /// Whether the registry shows these credentials the crate: nobody else is told who published it.
    pub(super) async fn is_shown(&self, name: &str, headers: &HeaderMap) -> bool {
        is_plain(name)
            && self
                .index_status(name, headers)
                .await
                .is_ok_and(|status| status == StatusCode::OK)
    }

    async fn index_status(&self, name: &str, headers: &HeaderMap) -> Result<StatusCode, reqwest::Error> {
        let url = format!("{}{}", self.config.upstream.index, download::index_path(name));
        let headers = self.reading(&url, index::credentials(headers));
        let request = self.http.get(url).headers(headers);
        Ok(request.timeout(INDEX_LIMIT).send().await?.status())
    }

    /// A refusal in words; who published before is told when `reader` may know it.
    pub(super) fn refusal(&self, name: &str, version: &str, findings: &[Finding], reader: bool) -> String {
        let earlier = if reader {
            self.records.earlier(name, version)
        } else {
            Ok(None)
        };
        let earlier = earlier.unwrap_or_else(|error| {
            tracing::warn!(%error, "who published before cannot be told");
            None
        });
        let refusal = Refusal {
            name,
            version,
            findings,
            earlier: earlier.as_ref(),
            now: now(),
        };
        refusal.to_string()
    }
}

/// Whether a name can be part of an index path.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(plain)
}

/// An index file is small, and a publish waits for it.
const INDEX_LIMIT: Duration = Duration::from_secs(10);
