//! What the registry's index says of a name, and what a refusal may tell of it.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use tokio::time::timeout;

use super::{Service, download, index, now};
use crate::{
    RegistryPolicy,
    decision::{Finding, NameState},
    policy::FirstPublish,
    refusal::Refusal,
};

impl Service {
    /// Whether the registry has a crate of this name; asked only when the policy cares.
    pub(super) async fn name_state(&self, policy: &RegistryPolicy, name: &str, headers: &HeaderMap) -> NameState {
        if policy.first_publish() == FirstPublish::Open {
            return NameState::Taken;
        }
        self.state_in_index(name, headers).await
    }

    /// Whether the registry has a crate of this name.
    pub(super) async fn state_in_index(&self, name: &str, headers: &HeaderMap) -> NameState {
        if !is_plain(name) {
            return NameState::New;
        }
        match self.index_status(name, headers).await {
            Some(StatusCode::OK) => NameState::Taken,
            Some(StatusCode::NOT_FOUND | StatusCode::GONE) => NameState::New,
            Some(status) => {
                tracing::warn!(
                    status = status.as_u16(),
                    krate = name,
                    "the index does not say whether a name is new"
                );
                NameState::Unknown
            }
            None => {
                tracing::warn!(krate = name, "the index cannot be asked whether a name is new");
                NameState::Unknown
            }
        }
    }

    /// Whether the registry shows these credentials the crate: nobody else is told who published it.
    pub(super) async fn is_shown(&self, name: &str, headers: &HeaderMap) -> bool {
        is_plain(name) && self.index_status(name, headers).await == Some(StatusCode::OK)
    }

    /// None when the index cannot be asked, which is in the log.
    async fn index_status(&self, name: &str, headers: &HeaderMap) -> Option<StatusCode> {
        let url = format!("{}{}", self.config.upstream.index, download::index_path(name));
        let answer = timeout(INDEX_LIMIT, self.ask(&url, index::credentials(headers))).await;
        Some(answer.ok()?.ok()?.status())
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
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(plain)
}

/// An index file is small, and a publish waits for it.
const INDEX_LIMIT: Duration = Duration::from_secs(10);
