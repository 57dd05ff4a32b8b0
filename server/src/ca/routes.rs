//! `/api/v2/signingCert`, `/api/v2/trustBundle`, `/api/v2/configuration`, `/api/v1/rootCert` [fulcio.proto].

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use verify::{Budget, certificate::Certificate};

use super::{
    authority::{CertificateAuthority, IssueError, trimmed},
    submission::{Submission, SubmissionError},
};
use crate::{
    clock,
    oidc::{Authenticator, TokenError},
    reply::{Refusal, RequestBody},
};

#[derive(Clone)]
struct Service {
    authority: CertificateAuthority,
    authenticator: Arc<Authenticator>,
}

/// The routes of the certificate authority.
pub(crate) fn router(authority: CertificateAuthority, authenticator: Arc<Authenticator>) -> Router {
    Router::new()
        .route("/api/v2/signingCert", post(signing_certificate))
        .route("/api/v2/trustBundle", get(trust_bundle))
        .route("/api/v2/configuration", get(configuration))
        .route("/api/v1/rootCert", get(root_certificate))
        .with_state(Service {
            authority,
            authenticator,
        })
}

/// Fulcio's order: token, key readable, key strong, proof, certificate, log.
async fn signing_certificate(
    State(service): State<Service>,
    headers: HeaderMap,
    RequestBody(body): RequestBody,
) -> Result<Response, Refusal> {
    let started = Instant::now();
    let submission = Submission::from_parts(&headers, &body).map_err(|error| refuse_submission(&error))?;
    let token = submission.token.as_ref().ok_or(TokenError::Missing);
    let token = token.map_err(|error| refuse_token(&error))?;
    let now = clock::now();
    let principal = service.authenticator.authenticate(token, now).await;
    let principal = principal.map_err(|error| refuse_token(&error))?;
    let key = submission.proven_key(&principal.challenge);
    let key = key.map_err(|error| refuse_submission(&error))?;
    let leaf = service.authority.issue(&key, &principal.identity, clock::now()).await;
    let leaf = leaf.map_err(|error| refuse_issue(&error))?;
    let leaf = Certificate::from_der(&leaf, &Budget::default())
        .map_err(|_| refuse_issue(&IssueError::Identity))?
        .to_pem();
    let mut certificates = vec![trimmed(leaf)];
    certificates.extend_from_slice(service.authority.chain_pem());
    metrics::counter!("sigstore_certificates_total").increment(1);
    metrics::histogram!("sigstore_certificate_seconds").record(started.elapsed().as_secs_f64());
    tracing::info!(issuer = principal.identity.issuer(), "issued a certificate");
    let reply = json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": certificates } } });
    Ok(Json(reply).into_response())
}

async fn trust_bundle(State(service): State<Service>) -> Json<Value> {
    Json(json!({ "chains": [{ "certificates": service.authority.chain_pem() }] }))
}

async fn root_certificate(State(service): State<Service>) -> impl IntoResponse {
    let mut pem = service.authority.chain_pem().join("\n");
    pem.push('\n');
    ([(header::CONTENT_TYPE, "application/pem-certificate-chain")], pem)
}

async fn configuration(State(service): State<Service>) -> Json<Value> {
    let issuers: Vec<Value> = service
        .authenticator
        .config()
        .issuers()
        .into_iter()
        .map(|(issuer, wildcard)| {
            let url = if wildcard { "wildcardIssuerUrl" } else { "issuerUrl" };
            let mut entry = json!({
                "audience": issuer.audience,
                "challengeClaim": issuer.challenge_claim(),
                "issuerType": issuer.type_name(),
            });
            if let Some(entry) = entry.as_object_mut() {
                entry.insert(url.to_owned(), issuer.url.clone().into());
                if let crate::identity::issuer::IssuerKind::Uri { subject_domain } = &issuer.kind {
                    let domain = subject_domain.as_str().trim_end_matches('/');
                    entry.insert("subjectDomain".to_owned(), domain.into());
                }
                if issuer.skip_email_verification {
                    entry.insert("skipEmailVerification".to_owned(), true.into());
                }
            }
            entry
        })
        .collect();
    Json(json!({ "issuers": issuers }))
}

fn refuse_submission(error: &SubmissionError) -> Refusal {
    Refusal::bad_request(error.message(), error.code(), error.to_string())
}

fn refuse_token(error: &TokenError) -> Refusal {
    let refusal = Refusal::bad_request(TOKEN_MESSAGE, error.code(), error.to_string())
        .reason(error.reason())
        .hint(error.hint());
    if matches!(error, TokenError::IssuerUnavailable(_) | TokenError::ReplayCacheFull) {
        refusal.status(StatusCode::SERVICE_UNAVAILABLE)
    } else if *error == TokenError::Rate {
        refusal.status(StatusCode::TOO_MANY_REQUESTS)
    } else {
        refusal
    }
}

fn refuse_issue(error: &IssueError) -> Refusal {
    match error {
        IssueError::Identity => Refusal::bad_request(
            "error building certificate for principal",
            "ca-identity",
            error.to_string(),
        ),
        IssueError::Certificate(_) => {
            Refusal::unavailable("error communicating with CA backend", "ca-backend", error.to_string())
                .status(StatusCode::INTERNAL_SERVER_ERROR)
        }
        IssueError::Log(_) => Refusal::unavailable("Error entering certificate in CTL", "ca-ct-log", error.to_string()),
    }
}

/// Fulcio's words for every token that it does not like.
const TOKEN_MESSAGE: &str = "There was an error processing the identity token";
