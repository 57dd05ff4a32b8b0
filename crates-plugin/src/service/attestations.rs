//! The attestation store's read side, with the registry's own bundles added: those signed by a managed key, which no store can
//! tell from noise, are kept by the gate. Whoever verifies needs to ask only here.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use verify::{Budget, Sha256Digest, json as strict};

use super::{Service, deferred, fault, instead};
use crate::ledger::outbox::StatementKind;

/// Everything about one digest.
pub(super) async fn of_digest(State(service): State<Arc<Service>>, Path(digest): Path<String>) -> Response {
    let Ok(digest) = digest.parse::<Sha256Digest>() else {
        return (StatusCode::BAD_REQUEST, "not a digest: `sha256:` and 64 digits\n").into_response();
    };
    match service.bundles(&[digest]).await {
        Ok(mut found) => match found.remove(&digest) {
            Some(bundles) => axum::Json(json!({ "attestations": bundles })).into_response(),
            None => (StatusCode::NOT_FOUND, "no attestation is known for this digest\n").into_response(),
        },
        Err(answer) => answer,
    }
}

/// One more bundle, for the store, which looks at it: publishers know where evidence is asked for, and bring theirs there.
pub(super) async fn put(State(service): State<Arc<Service>>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, service.budget.bundle_bytes).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the bundle is too large\n").into_response();
    };
    let store = service.config.evidence.attestations.as_str().trim_end_matches('/');
    let request = service
        .http
        .post(format!("{store}/api/v1/attestations"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body);
    match request.send().await {
        Ok(answer) => instead(answer),
        Err(error) => {
            tracing::warn!(%error, "attestation store cannot be asked");
            deferred("the attestation store cannot be asked")
        }
    }
}

/// Everything about many digests.
pub(super) async fn query(State(service): State<Arc<Service>>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, QUERY_BYTES).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the query is too large\n").into_response();
    };
    let query: Result<Query, _> = strict::parse_as(&body, "attestation query", QUERY_BYTES, 4);
    let digests = query.ok().filter(|query| query.digests.len() <= MOST_DIGESTS);
    let digests: Option<Vec<Sha256Digest>> =
        digests.and_then(|query| query.digests.iter().map(|text| text.parse().ok()).collect());
    let Some(digests) = digests else {
        return (StatusCode::BAD_REQUEST, "not a query of at most 1000 digests\n").into_response();
    };
    match service.bundles(&digests).await {
        Ok(found) => {
            let found: BTreeMap<String, Vec<Value>> = found
                .into_iter()
                .map(|(digest, bundles)| (format!("sha256:{digest}"), bundles))
                .collect();
            axum::Json(json!({ "attestations": found })).into_response()
        }
        Err(answer) => answer,
    }
}

#[derive(Deserialize)]
struct Query {
    digests: Vec<String>,
}

impl Service {
    /// Bundles by digest, the store's first. Digests without any are absent.
    async fn bundles(
        self: &Arc<Self>,
        digests: &[Sha256Digest],
    ) -> Result<BTreeMap<Sha256Digest, Vec<Value>>, Response> {
        let stored = self.store.query(digests).await.map_err(|error| {
            tracing::warn!(code = error.code(), "attestation store cannot be asked");
            deferred("the attestation store cannot be asked")
        })?;
        let mut found: BTreeMap<Sha256Digest, Vec<Value>> = BTreeMap::new();
        for (digest, stored) in stored {
            let texts = stored.bundles.iter().map(verify::Bundle::to_json);
            found
                .entry(digest)
                .or_default()
                .extend(texts.filter_map(|text| wrapped(&text)));
        }
        let (service, asked) = (Arc::clone(self), digests.to_vec());
        let own = tokio::task::spawn_blocking(move || service.own_bundles(&asked)).await;
        let own = own.map_err(|error| fault(&error))?.map_err(|error| fault(&error))?;
        for (digest, text) in own {
            let bundles = found.entry(digest).or_default();
            // What a token signed is in the store as well.
            if let Some(own) = wrapped(&text).filter(|own| !bundles.contains(own)) {
                bundles.push(own);
            }
        }
        Ok(found)
    }

    fn own_bundles(&self, digests: &[Sha256Digest]) -> Result<Vec<(Sha256Digest, String)>, crate::ledger::LedgerError> {
        let mut found = Vec::new();
        for digest in digests {
            for kind in StatementKind::ALL {
                let kept = self.ledger.kept_bundle(digest, kind)?;
                found.extend(kept.map(|text| (*digest, text)));
            }
        }
        Ok(found)
    }

    /// Where clients ask for evidence: here, when some of it is only here.
    pub(super) fn evidence_base(&self) -> &str {
        let keyed = self.attestor.as_ref().is_some_and(crate::attest::Attestor::is_keyed);
        let url = if keyed {
            &self.config.public_url
        } else {
            &self.config.evidence.attestations
        };
        url.as_str().trim_end_matches('/')
    }
}

fn wrapped(bundle: &str) -> Option<Value> {
    let budget = Budget::default();
    let bundle: Value = strict::parse_as(bundle.as_bytes(), "bundle", budget.bundle_bytes, budget.json_depth).ok()?;
    Some(json!({ "bundle": bundle }))
}

/// One lock file in one request, as the store takes it.
const MOST_DIGESTS: usize = 1000;
/// 1000 prefixed digests and their commas take 75 KB.
const QUERY_BYTES: usize = 256 << 10;
