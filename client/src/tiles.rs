//! Reading a log: checkpoint, tiles, entry bundles, and proofs computed from them [C2SP tlog-tiles, static-ct-api].

use std::collections::HashMap;

use verify::{
    Budget,
    checkpoint::SignedCheckpoint,
    merkle::NodeHash,
    sct::TileLeaf,
    tile::{self, TileId, TileSource},
};

use crate::{
    Error, Http,
    http::{Endpoint, Request, StatusCode},
};

/// A reader of one log. What it reads is bounded and well formed, and not verified: a checkpoint's signature is the
/// caller's to check, tiles are checked by the proofs computed from them.
#[derive(Clone, Debug)]
pub struct LogReader {
    http: Http,
    endpoint: Endpoint,
}

impl LogReader {
    /// A reader of the log under this prefix.
    #[must_use]
    pub const fn new(http: Http, endpoint: Endpoint) -> Self {
        Self { http, endpoint }
    }

    /// The newest checkpoint, its signatures unchecked.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`].
    pub async fn checkpoint(&self) -> Result<SignedCheckpoint, Error> {
        let budget = Budget::default();
        let request = Request::get(self.endpoint.below("checkpoint"), budget.note_bytes);
        let answer = self.http.send(request).await?.expect(&[StatusCode::OK])?;
        SignedCheckpoint::parse(answer.body(), &budget).map_err(|source| self.malformed(source))
    }

    /// The hashes of a tile, exactly `width` × 32 bytes. A partial tile that is gone is cut from the full one.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`].
    pub async fn tile(&self, id: TileId) -> Result<Vec<u8>, Error> {
        let wanted = usize::from(id.width).saturating_mul(HASH_BYTES);
        let full = TileId {
            width: TILE_WIDTH,
            ..id
        };
        let mut hashes = self.fetch(&id.path(), &full.path(), FULL_TILE_BYTES).await?;
        if hashes.len() < wanted || !matches!(hashes.len(), n if n == wanted || n == FULL_TILE_BYTES) {
            return Err(self.malformed(verify::Error::TilePath));
        }
        hashes.truncate(wanted);
        Ok(hashes)
    }

    /// The entries of a bundle of a signature log: the canonical bodies, `width` of them.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`].
    pub async fn entries(&self, index: u64, width: u16) -> Result<Vec<Vec<u8>>, Error> {
        let bytes = self.bundle("entries", index, width).await?;
        let entries = tile::parse_entry_bundle(&bytes).map_err(|source| self.malformed(source))?;
        let entries: Vec<Vec<u8>> = entries.into_iter().take(width.into()).map(<[u8]>::to_vec).collect();
        if entries.len() != usize::from(width) {
            return Err(self.malformed(verify::Error::EntryBundle));
        }
        Ok(entries)
    }

    /// The leaves of a data tile of a static CT log, `width` of them.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`], [`Error::Answer`].
    pub async fn certificate_leaves(&self, index: u64, width: u16) -> Result<Vec<TileLeaf>, Error> {
        let bytes = self.bundle("data", index, width).await?;
        let mut rest = bytes.as_slice();
        let mut leaves = Vec::new();
        while leaves.len() < usize::from(width) {
            let (leaf, taken) = TileLeaf::from_bytes(rest).map_err(|source| self.malformed(source))?;
            rest = rest.get(taken..).unwrap_or_default();
            leaves.push(leaf);
        }
        Ok(leaves)
    }

    /// The audit path of leaf `index` in the tree of `size` leaves.
    ///
    /// # Errors
    /// Those of [`Self::tile`].
    pub async fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<NodeHash>, Error> {
        self.with_tiles(|tiles| tile::inclusion_proof(tiles, index, size)).await
    }

    /// The consistency proof from `old` to `new` leaves.
    ///
    /// # Errors
    /// Those of [`Self::tile`].
    pub async fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<NodeHash>, Error> {
        self.with_tiles(|tiles| tile::consistency_proof(tiles, old, new)).await
    }

    /// The root of the tree of `size` leaves.
    ///
    /// # Errors
    /// Those of [`Self::tile`].
    pub async fn root(&self, size: u64) -> Result<NodeHash, Error> {
        self.with_tiles(|tiles| tile::root(tiles, size)).await
    }

    /// Runs a computation over tiles, fetching the tile it stops at until it stops no more.
    async fn with_tiles<T>(&self, compute: impl Fn(&mut FetchedTiles) -> Result<T, TileId>) -> Result<T, Error> {
        let mut tiles = FetchedTiles::default();
        loop {
            match compute(&mut tiles) {
                Ok(result) => return Ok(result),
                Err(missing) if tiles.hashes.len() < MOST_TILES => {
                    let hashes = self.tile(missing).await?;
                    tiles.hashes.insert(missing, hashes);
                }
                Err(_) => {
                    let (what, limit) = ("tiles in a proof", MOST_TILES);
                    return Err(self.malformed(verify::Error::TooMany { what, limit }));
                }
            }
        }
    }

    async fn bundle(&self, directory: &str, index: u64, width: u16) -> Result<Vec<u8>, Error> {
        let partial = tile::bundle_path(directory, index, width);
        let full = tile::bundle_path(directory, index, TILE_WIDTH);
        self.fetch(&partial, &full, BUNDLE_BYTES).await
    }

    /// A log may drop a partial tile once the full one is there [tlog-tiles, Partial Tiles].
    async fn fetch(&self, path: &str, full: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let request = |path: &str| Request::get(self.endpoint.below(path), limit).header("accept-encoding", "identity");
        let answer = self.http.send(request(path)).await?;
        let answer = if answer.status() == StatusCode::NOT_FOUND && path != full {
            self.http.send(request(full)).await?
        } else {
            answer
        };
        Ok(answer.expect(&[StatusCode::OK])?.into_body())
    }

    const fn malformed(&self, source: verify::Error) -> Error {
        Error::Answer {
            service: self.endpoint.service(),
            source,
        }
    }
}

/// Tiles already read; asking for another one is an error that names it.
#[derive(Default)]
struct FetchedTiles {
    hashes: HashMap<TileId, Vec<u8>>,
}

impl TileSource for FetchedTiles {
    type Error = TileId;

    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, TileId> {
        self.hashes.get(&id).cloned().ok_or(id)
    }
}

/// Hashes in a full tile [tlog-tiles].
const TILE_WIDTH: u16 = 256;

const HASH_BYTES: usize = 32;

const FULL_TILE_BYTES: usize = 256 * HASH_BYTES;

/// 256 entries of 65 535 bytes, each with its length.
const BUNDLE_BYTES: usize = 256 * 65_537;

/// A proof in a tree of 2^64 leaves touches two tiles a level.
const MOST_TILES: usize = 32;
