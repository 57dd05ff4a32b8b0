//! The attestation store: bundles by the SHA-256 of what they speak of.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use verify::{Budget, Bundle, Sha256Digest, json};

use crate::{
    Error, Http, Service,
    http::{Endpoint, Request, StatusCode},
};

/// A client of one attestation store.
#[derive(Clone, Debug)]
pub struct AttestationStore {
    http: Http,
    endpoint: Endpoint,
    answer_bytes: usize,
}

/// What the store has about one digest. Nothing of it is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The bundles, in the store's order.
    pub bundles: Vec<Bundle>,
    /// How many further ones are no bundles; never evidence of anything.
    pub unreadable: usize,
}

/// A stored bundle's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of the bundle as the store keeps it.
    pub id: Sha256Digest,
    /// Digests under which the store finds it.
    pub digests: Vec<Sha256Digest>,
}

impl AttestationStore {
    /// A client of the store at this base URL.
    #[must_use]
    pub const fn new(http: Http, endpoint: Endpoint) -> Self {
        Self {
            http,
            endpoint,
            answer_bytes: ANSWER_BYTES,
        }
    }

    /// With another limit than 64 MiB on an answer that holds bundles, in bytes.
    #[must_use]
    pub fn answer_limit(self, answer_bytes: usize) -> Self {
        Self { answer_bytes, ..self }
    }

    /// Stores a bundle that speaks of `artifact`. Storing it again changes nothing.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`] when the store does not believe the bundle; [`Error::StoreWrongAnswer`]
    /// when it did not file it under `artifact`.
    pub async fn put(&self, bundle: &Bundle, artifact: &Sha256Digest) -> Result<Stored, Error> {
        let endpoint = self.endpoint.below("api/v1/attestations");
        let request = Request::new(crate::http::Method::POST, endpoint, STORED_BYTES)
            .body("application/json", bundle.to_json().into_bytes());
        let answer = self
            .http
            .send(request)
            .await?
            .expect(&[StatusCode::OK, StatusCode::CREATED])?;
        let wire: StoredWire = read(answer.body(), STORED_BYTES)?;
        let digest = |text: &String| text.parse::<Sha256Digest>().map_err(malformed);
        let digests = wire.digests.iter().map(digest).collect::<Result<Vec<_>, _>>()?;
        if !digests.contains(artifact) {
            return Err(Error::StoreWrongAnswer);
        }
        Ok(Stored {
            id: digest(&wire.id)?,
            digests,
        })
    }

    /// Everything stored about one digest; empty when there is nothing.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`].
    pub async fn by_digest(&self, digest: &Sha256Digest) -> Result<Found, Error> {
        let path = format!("api/v1/attestations/sha256:{digest}");
        let request = Request::get(self.endpoint.below(&path), self.answer_bytes);
        let answer = self
            .http
            .send(request)
            .await?
            .expect(&[StatusCode::OK, StatusCode::NOT_FOUND])?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(Found::default());
        }
        let wire: OneWire = read(answer.body(), self.answer_bytes)?;
        Ok(Found::read(wire.attestations))
    }

    /// Everything stored about many digests, in requests of at most 1 000; a request whose answer would be too large is
    /// split. Digests without any bundle are absent.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`]; [`Error::StoreWrongAnswer`] for digests nobody asked
    /// about.
    pub async fn query(&self, digests: &[Sha256Digest]) -> Result<BTreeMap<Sha256Digest, Found>, Error> {
        let mut found = BTreeMap::new();
        let mut open: VecDeque<&[Sha256Digest]> = digests.chunks(QUERY_DIGESTS).collect();
        while let Some(chunk) = open.pop_front() {
            match self.query_once(chunk).await {
                Ok(some) => found.extend(some),
                Err(Error::AnswerTooLarge { .. }) if chunk.len() > 1 => {
                    let (first, second) = chunk.split_at(chunk.len().div_ceil(2));
                    open.push_front(second);
                    open.push_front(first);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn query_once(&self, digests: &[Sha256Digest]) -> Result<BTreeMap<Sha256Digest, Found>, Error> {
        let names: Vec<String> = digests.iter().map(|digest| format!("sha256:{digest}")).collect();
        let endpoint = self.endpoint.below("api/v1/attestations/query");
        let request = Request::post_json(endpoint, &serde_json::json!({ "digests": names }), self.answer_bytes);
        let answer = self.http.send(request).await?.expect(&[StatusCode::OK])?;
        let wire: ManyWire = read(answer.body(), self.answer_bytes)?;
        let mut found = BTreeMap::new();
        for (name, attestations) in wire.attestations {
            let digest: Sha256Digest = name.parse().map_err(malformed)?;
            if !digests.contains(&digest) {
                return Err(Error::StoreWrongAnswer);
            }
            found.insert(digest, Found::read(attestations));
        }
        Ok(found)
    }
}

impl Found {
    fn read(attestations: Vec<AttestationWire>) -> Self {
        let mut found = Self::default();
        for attestation in attestations {
            found.add(Some(attestation.bundle.to_string().as_bytes()));
        }
        found
    }

    /// Adds what may be a bundle.
    pub(crate) fn add(&mut self, json: Option<&[u8]>) {
        match json.and_then(|json| Bundle::from_json(json, &Budget::default()).ok()) {
            Some(bundle) => self.bundles.push(bundle),
            None => self.unreadable = self.unreadable.saturating_add(1),
        }
    }
}

#[derive(Deserialize)]
struct StoredWire {
    id: String,
    digests: Vec<String>,
}

#[derive(Deserialize)]
struct OneWire {
    attestations: Vec<AttestationWire>,
}

#[derive(Deserialize)]
struct ManyWire {
    attestations: BTreeMap<String, Vec<AttestationWire>>,
}

#[derive(Deserialize)]
struct AttestationWire {
    bundle: serde_json::Value,
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(body: &[u8], limit: usize) -> Result<T, Error> {
    // A bundle stands two or three levels below the top of an answer.
    let depth = Budget::default().json_depth.saturating_add(3);
    json::parse_as(body, "attestation store answer", limit, depth).map_err(malformed)
}

const fn malformed(source: verify::Error) -> Error {
    Error::Answer {
        service: Service::AttestationStore,
        source,
    }
}

/// Most digests the store takes in one query.
const QUERY_DIGESTS: usize = 1000;

/// 1 000 crates with three bundles of 20 KB each.
const ANSWER_BYTES: usize = 64 << 20;

/// A statement's 1 024 subjects, a digest each.
const STORED_BYTES: usize = 256 << 10;
