//! Loads a signature log over its API and measures it. Each answer's inclusion proof is checked, so that the figures are those of
//! answers that hold.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use tokio::task::JoinSet;
use verify::{
    Budget, HashAlgorithm,
    bundle::TransparencyLogEntry,
    checkpoint::SignedCheckpoint,
    entry::{EntryVerifier, HashedRekordV002},
    key::KeyDetails,
    merkle,
};

use crate::keys::{KeyError, SigningKey};

/// How to load a log.
#[derive(Clone, Debug)]
pub struct HammerOptions {
    /// URL of the log, as in a signing configuration.
    pub url: url::Url,
    /// Clients at the same time, each waiting for its answer.
    pub clients: usize,
    /// How long they go on.
    pub duration: Duration,
    /// Entries sent one after another before that.
    pub idle: usize,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct HammerReport {
    /// One entry after another.
    pub idle: Latencies,
    /// All clients at once.
    pub loaded: Latencies,
    /// Entries acknowledged under load.
    pub entries: usize,
    /// Of them, per second.
    pub entries_per_second: f64,
    /// Answers 429 and 503, after each of which the client tried again.
    pub retries: usize,
}

/// Times from sending a request to having checked its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Half were faster.
    pub p50: Duration,
    /// Nine of ten were faster.
    pub p90: Duration,
    /// 99 of 100 were faster.
    pub p99: Duration,
    /// The slowest.
    pub most: Duration,
}

/// Why a load test could not go on.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HammerError {
    /// No key could be made or used.
    #[error("no key to sign entries with")]
    Key(#[from] KeyError),
    /// The log cannot be reached, or the connection broke.
    #[error("the log cannot be reached")]
    Unreachable(#[source] Arc<reqwest::Error>),
    /// The log answered something else than 201, 429 or 503.
    #[error("the log answered {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// An answer that cannot be read, or whose proof does not hold.
    #[error("the log's answer does not hold: {0}")]
    Answer(verify::Error),
}

impl HammerError {
    /// The stable code; `docs/codes/server.md` has its section.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Key(error) => error.code(),
            Self::Unreachable(_) => "hammer-unreachable",
            Self::Status { .. } => "hammer-status",
            Self::Answer(_) => "hammer-answer",
        }
    }

    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Key(error) => error.hint(),
            Self::Unreachable(_) => "check the URL and that the server runs",
            Self::Status { .. } => "check that the URL is that of a Rekor v2 log",
            Self::Answer(_) => "keep the log's data folder: this must not happen",
        }
    }
}

/// Loads a log.
///
/// # Errors
/// [`HammerError`] of the first client that cannot go on.
pub async fn hammer(options: &HammerOptions) -> Result<HammerReport, HammerError> {
    let client = Arc::new(Client::new(options)?);
    let (mut idle, mut retries) = (Vec::new(), 0);
    for _ in 0..options.idle {
        idle.push(client.append(&mut retries).await?);
    }
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..options.clients {
        let (client, duration) = (Arc::clone(&client), options.duration);
        running.spawn(async move {
            let (mut times, mut retries) = (Vec::new(), 0);
            while started.elapsed() < duration {
                times.push(client.append(&mut retries).await?);
            }
            Ok::<_, HammerError>((times, retries))
        });
    }
    let mut loaded = Vec::new();
    for outcome in running.join_all().await {
        let (times, again) = outcome?;
        loaded.extend(times);
        retries = again.saturating_add(retries);
    }
    let elapsed = started.elapsed().as_secs_f64();
    let entries = loaded.len();
    let entries_per_second = u32::try_from(entries).map_or(f64::MAX, f64::from) / elapsed;
    Ok(HammerReport {
        idle: latencies(idle),
        loaded: latencies(loaded),
        entries,
        entries_per_second,
        retries,
    })
}

struct Client {
    http: reqwest::Client,
    url: String,
    key: SigningKey,
    next: std::sync::atomic::AtomicU64,
    /// Keeps the entries of two runs apart.
    run: [u8; 16],
}

impl Client {
    fn new(options: &HammerOptions) -> Result<Self, HammerError> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(options.clients)
            .build();
        let url = format!("{}/api/v2/log/entries", options.url.as_str().trim_end_matches('/'));
        Ok(Self {
            http: http.map_err(|error| HammerError::Unreachable(Arc::new(error)))?,
            url,
            key: SigningKey::generate_p256()?,
            next: std::sync::atomic::AtomicU64::new(0),
            run: rand::random(),
        })
    }

    /// Sends a new entry until it is acknowledged, and gives the time from the last sending to the checked answer.
    async fn append(&self, retries: &mut usize) -> Result<Duration, HammerError> {
        let request = self.request()?;
        loop {
            let started = Instant::now();
            let answer = self.http.post(&self.url).json(&request).send().await;
            let answer = answer.map_err(|error| HammerError::Unreachable(Arc::new(error)))?;
            match answer.status() {
                StatusCode::CREATED => {
                    let bytes = answer
                        .bytes()
                        .await
                        .map_err(|error| HammerError::Unreachable(Arc::new(error)))?;
                    check(&bytes).map_err(HammerError::Answer)?;
                    return Ok(started.elapsed());
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    *retries = retries.saturating_add(1);
                    tokio::time::sleep(PAUSE).await;
                }
                status => {
                    return Err(HammerError::Status {
                        status: status.as_u16(),
                    });
                }
            }
        }
    }

    fn request(&self) -> Result<serde_json::Value, HammerError> {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let message = [&self.run[..], &number.to_be_bytes()].concat();
        let entry = HashedRekordV002 {
            digest: HashAlgorithm::Sha256.digest(&message),
            signature: self.key.sign(&message)?,
            key_details: KeyDetails::EcdsaP256Sha256,
            verifier: EntryVerifier::PublicKey(self.key.public_key().spki_der().to_vec()),
        };
        Ok(entry.to_request())
    }
}

/// The proof leads from the entry to the root, and the checkpoint speaks of that root. Whose checkpoint it is, is not asked.
fn check(bytes: &[u8]) -> Result<(), verify::Error> {
    let budget = Budget::default();
    let entry = TransparencyLogEntry::from_json(bytes, &budget)?;
    let proof = entry.inclusion_proof.ok_or(verify::Error::InclusionProof)?;
    let leaf = merkle::leaf_hash(&entry.canonicalized_body);
    merkle::verify_inclusion(&leaf, proof.log_index, proof.tree_size, &proof.hashes, &proof.root_hash)?;
    let said = SignedCheckpoint::parse(proof.checkpoint.as_bytes(), &budget)?.checkpoint;
    let fits = said.size == proof.tree_size && said.root == proof.root_hash;
    if fits { Ok(()) } else { Err(verify::Error::Checkpoint) }
}

fn latencies(mut times: Vec<Duration>) -> Latencies {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = times.len().saturating_mul(percent) / 100;
        times
            .get(index.min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    Latencies {
        p50: at(50),
        p90: at(90),
        p99: at(99),
        most: at(100),
    }
}

/// As long as clients in the field wait at most.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
