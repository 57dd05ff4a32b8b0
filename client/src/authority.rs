//! The certificate authority [Fulcio API v2].

use serde::Deserialize;
use verify::{Budget, PublicKey, certificate::Certificate, json};

use crate::{
    Error, Http, Service,
    http::{Endpoint, Request, StatusCode},
    oidc::IdentityToken,
};

/// A client of one certificate authority.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    http: Http,
    endpoint: Endpoint,
}

/// An issuer of tokens that the authority accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AcceptedIssuer {
    /// Exact issuer URL; empty when the authority gives a pattern.
    pub issuer_url: String,
    /// Issuer URL in which each `*` stands for one run of letters, digits, `-` and `_`; empty when the URL is exact.
    pub wildcard_issuer_url: String,
    /// The audience a token must name.
    pub audience: String,
    /// The claim that the proof of possession signs: `sub` or `email`.
    pub challenge_claim: String,
}

impl CertificateAuthority {
    /// A client of the authority at this base URL.
    #[must_use]
    pub const fn new(http: Http, endpoint: Endpoint) -> Self {
        Self { http, endpoint }
    }

    /// Asks for a certificate; `proof_of_possession` is the key's signature over [`IdentityToken::principal`].
    ///
    /// Gives the chain as the authority sent it, leaf first. Nothing of it is verified yet.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`] when the authority refuses; [`Error::Answer`] for anything but 2 to 10
    /// certificates; [`Error::CaSct`] when the SCT is detached.
    pub async fn certify(
        &self,
        token: &IdentityToken,
        public_key: &PublicKey,
        proof_of_possession: &[u8],
    ) -> Result<Vec<Certificate>, Error> {
        let body = serde_json::json!({
            "credentials": { "oidcIdentityToken": token.secret() },
            "publicKeyRequest": {
                "publicKey": { "algorithm": "ECDSA", "content": public_key.to_pem() },
                "proofOfPossession": base64::Engine::encode(&base64::prelude::BASE64_STANDARD, proof_of_possession),
            },
        });
        let request = Request::post_json(
            self.endpoint.below("api/v2/signingCert"),
            &body,
            CERTIFICATE_ANSWER_BYTES,
        );
        let answer = self
            .http
            .send(request)
            .await?
            .expect(&[StatusCode::OK, StatusCode::CREATED])?;
        let issued: Issued = read(answer.body(), CERTIFICATE_ANSWER_BYTES)?;
        match (
            issued.signed_certificate_embedded_sct,
            issued.signed_certificate_detached_sct,
        ) {
            (Some(signed), _) => signed.chain.certificates(),
            (None, Some(_)) => Err(Error::CaSct(verify::Error::Sct)),
            (None, None) => Err(malformed(verify::Error::Field {
                what: "signing certificate answer",
                field: "signedCertificateEmbeddedSct",
            })),
        }
    }

    /// The issuers whose tokens the authority accepts.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`].
    pub async fn accepted_issuers(&self) -> Result<Vec<AcceptedIssuer>, Error> {
        let request = Request::get(self.endpoint.below("api/v2/configuration"), CONFIGURATION_BYTES);
        let answer = self.http.send(request).await?.expect(&[StatusCode::OK])?;
        let configuration: Configuration = read(answer.body(), CONFIGURATION_BYTES)?;
        Ok(configuration.issuers)
    }

    /// The chains the authority signs under, each issuing certificate first; to compare with a trusted root, never to
    /// trust.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`].
    pub async fn chains(&self) -> Result<Vec<Vec<Certificate>>, Error> {
        let request = Request::get(self.endpoint.below("api/v2/trustBundle"), CONFIGURATION_BYTES);
        let answer = self.http.send(request).await?.expect(&[StatusCode::OK])?;
        let bundle: TrustBundle = read(answer.body(), CONFIGURATION_BYTES)?;
        bundle.chains.iter().map(Chain::parse).collect()
    }
}

impl AcceptedIssuer {
    /// Whether a token of `issuer` is meant [Fulcio configuration, meta issuers].
    #[must_use]
    pub fn accepts(&self, issuer: &str) -> bool {
        if !self.issuer_url.is_empty() {
            return self.issuer_url == issuer;
        }
        !self.wildcard_issuer_url.is_empty() && matches_wildcard(&self.wildcard_issuer_url, issuer)
    }
}

/// The URL or pattern, as the authority writes it.
impl std::fmt::Display for AcceptedIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.issuer_url.is_empty() {
            &self.wildcard_issuer_url
        } else {
            &self.issuer_url
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    #[serde(default)]
    signed_certificate_embedded_sct: Option<SignedCertificate>,
    #[serde(default)]
    signed_certificate_detached_sct: Option<SignedCertificate>,
}

#[derive(Deserialize)]
struct SignedCertificate {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

#[derive(Deserialize)]
struct TrustBundle {
    #[serde(default)]
    chains: Vec<Chain>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    issuers: Vec<AcceptedIssuer>,
}

impl Chain {
    /// A signing chain: a leaf and at least one issuer.
    fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        let certificates = self.parse()?;
        if certificates.len() < 2 {
            let (what, field) = ("signing certificate answer", "chain.certificates");
            return Err(malformed(verify::Error::Field { what, field }));
        }
        Ok(certificates)
    }

    fn parse(&self) -> Result<Vec<Certificate>, Error> {
        let budget = Budget::default();
        let limit = budget.chain_certificates;
        if self.certificates.len() > limit {
            return Err(malformed(verify::Error::TooMany {
                what: "certificates",
                limit,
            }));
        }
        self.certificates
            .iter()
            .map(|pem| Certificate::from_pem(pem, &budget).map_err(malformed))
            .collect()
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8], limit: usize) -> Result<T, Error> {
    let depth = Budget::default().json_depth;
    json::parse_as(body, "certificate authority answer", limit, depth).map_err(malformed)
}

const fn malformed(source: verify::Error) -> Error {
    Error::Answer {
        service: Service::CertificateAuthority,
        source,
    }
}

/// Each `*` is one or more of `[-_a-zA-Z0-9]`; the whole text must match.
fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let Some((literal, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(after) = text.strip_prefix(literal) else {
        return false;
    };
    let run = after
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .count();
    (1..=run).any(|taken| after.get(taken..).is_some_and(|tail| matches_wildcard(rest, tail)))
}

/// A chain of ten certificates of the budget's size would not fit, but no authority comes near.
const CERTIFICATE_ANSWER_BYTES: usize = 256 << 10;

/// The public instance's configuration and trust bundle have about 10 KB.
const CONFIGURATION_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_path_segment_and_never_for_a_host() {
        let issuer = AcceptedIssuer {
            wildcard_issuer_url: "https://token.example.com/*".into(),
            ..AcceptedIssuer::default()
        };
        assert!(issuer.accepts("https://token.example.com/octo-org"));
        assert!(!issuer.accepts("https://token.example.com/"));
        assert!(!issuer.accepts("https://token.example.com/a/b"));
        assert!(!issuer.accepts("https://token.example.com.evil.test/a"));
        let inner = AcceptedIssuer {
            wildcard_issuer_url: "https://oidc.eks.*.amazonaws.com/id/*".into(),
            ..AcceptedIssuer::default()
        };
        assert!(inner.accepts("https://oidc.eks.eu-west-1.amazonaws.com/id/ABC"));
        assert!(!inner.accepts("https://oidc.eks.a.b.amazonaws.com/id/ABC"));
    }

    #[test]
    fn an_exact_issuer_matches_itself_only() {
        let issuer = AcceptedIssuer {
            issuer_url: "https://a.test".into(),
            ..AcceptedIssuer::default()
        };
        assert!(issuer.accepts("https://a.test"));
        assert!(!issuer.accepts("https://a.test/"));
    }

    #[test]
    fn nothing_is_accepted_by_an_empty_entry() {
        assert!(!AcceptedIssuer::default().accepts(""));
    }
}
