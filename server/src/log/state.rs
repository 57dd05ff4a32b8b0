//! What readers see of a log: the newest published tree in memory, everything older in files. No read waits for a write.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use verify::{
    merkle::NodeHash,
    tile::{self, TileId, TileSource},
};

use super::{
    LogError, LogKind,
    files::Files,
    tree::{self, FullTile, TILE_WIDTH, Tree},
};

/// A tree that readers may see: its checkpoint is durable.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) tree: Tree,
    pub(super) root: NodeHash,
    /// The signed checkpoint of exactly this tree.
    pub(super) checkpoint: Arc<str>,
    /// Entries after the last full bundle.
    pub(super) tail: Vec<Arc<[u8]>>,
}

/// A full bundle and the tiles it filled, durable in the database, not yet known to be files.
#[derive(Clone, Debug)]
pub(super) struct FullBundle {
    pub(super) index: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) tiles: Vec<FullTile>,
}

/// One log as its readers share it.
#[derive(Debug)]
pub(super) struct LogState {
    pub(super) kind: LogKind,
    pub(super) files: Files,
    /// Owned by the writer, who replaces it after each commit.
    published: RwLock<Arc<Published>>,
    /// Filled by the writer before it publishes, emptied by it when the files are durable.
    pending: Mutex<BTreeMap<u64, Arc<FullBundle>>>,
}

impl LogState {
    pub(super) fn new(kind: LogKind, files: Files, published: Published) -> Self {
        Self {
            kind,
            files,
            published: RwLock::new(Arc::new(published)),
            pending: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows a tree. Its full tiles become readable first.
    pub(super) fn publish(&self, bundles: Vec<FullBundle>, published: Published) -> Arc<Published> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.extend(bundles.into_iter().map(|bundle| (bundle.index, Arc::new(bundle))));
        drop(pending);
        let published = Arc::new(published);
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&published);
        published
    }

    /// Forgets bundles that files hold: all below entry `archived`.
    pub(super) fn forget(&self, archived: u64) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|index, _| *index >= archived / TILE_WIDTH);
    }

    /// Bundles that wait to be written, in order.
    pub(super) fn pending(&self) -> Vec<Arc<FullBundle>> {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(super) fn pending_count(&self) -> usize {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The first `id.width` hashes of a tile that the tree has.
    pub(super) fn tile(&self, published: &Published, id: TileId) -> Result<Vec<u8>, LogError> {
        let width = usize::from(id.width);
        let full = tree::full_tiles(published.tree.size(), id.level);
        let bytes = match id.index.cmp(&full) {
            std::cmp::Ordering::Less => self.full_tile(id.level, id.index)?,
            std::cmp::Ordering::Equal => published.tree.level(usize::from(id.level)).concat(),
            std::cmp::Ordering::Greater => return Err(LogError::NotFound),
        };
        bytes
            .get(..width.saturating_mul(32))
            .map(<[u8]>::to_vec)
            .filter(|_| width > 0)
            .ok_or(LogError::NotFound)
    }

    /// The bundle of the first `width` entries of group `index`.
    pub(super) fn bundle(&self, published: &Published, index: u64, width: u16) -> Result<Vec<u8>, LogError> {
        let full = published.tree.size() / TILE_WIDTH;
        let width = usize::from(width);
        if index < full {
            let bytes = self.full_bundle(index)?;
            if width == 256 {
                return Ok(bytes);
            }
            let entries = self.split(&bytes)?;
            return self.join(entries.get(..width).ok_or(LogError::NotFound)?);
        }
        if index > full || width == 0 {
            return Err(LogError::NotFound);
        }
        self.join(published.tail.get(..width).ok_or(LogError::NotFound)?)
    }

    /// The bytes of one entry.
    pub(super) fn entry(&self, published: &Published, index: u64) -> Result<Vec<u8>, LogError> {
        let at = usize::try_from(index % TILE_WIDTH).unwrap_or(usize::MAX);
        if index >= published.tree.size() {
            return Err(LogError::NotFound);
        }
        if index / TILE_WIDTH == published.tree.size() / TILE_WIDTH {
            return published
                .tail
                .get(at)
                .map(|entry| entry.to_vec())
                .ok_or(LogError::NotFound);
        }
        let bytes = self.full_bundle(index / TILE_WIDTH)?;
        let entries = self.split(&bytes)?;
        entries.get(at).map(|entry| entry.to_vec()).ok_or(LogError::NotFound)
    }

    /// The audit path of an entry in the published tree [RFC 6962 §2.1.1].
    pub(super) fn inclusion_proof(&self, published: &Published, index: u64) -> Result<Vec<NodeHash>, LogError> {
        if index >= published.tree.size() {
            return Err(LogError::NotFound);
        }
        tile::inclusion_proof(&mut Tiles { state: self, published }, index, published.tree.size())
    }

    /// The proof that the tree of `old` leaves is a prefix of that of `new` leaves [RFC 6962 §2.1.2].
    pub(super) fn consistency_proof(
        &self,
        published: &Published,
        old: u64,
        new: u64,
    ) -> Result<Vec<NodeHash>, LogError> {
        if old > new || new > published.tree.size() {
            return Err(LogError::NotFound);
        }
        if old == 0 || old == new {
            return Ok(Vec::new());
        }
        tile::consistency_proof(&mut Tiles { state: self, published }, old, new)
    }

    /// The root that the log had at `size` leaves.
    pub(super) fn root_at(&self, published: &Published, size: u64) -> Result<NodeHash, LogError> {
        if size == published.tree.size() {
            return Ok(published.root);
        }
        if size > published.tree.size() {
            return Err(LogError::NotFound);
        }
        if size == 0 {
            return Ok(verify::merkle::empty_root());
        }
        tile::root(&mut Tiles { state: self, published }, size)
    }

    /// Looks in memory first: a bundle is forgotten there only after its files are durable.
    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, LogError> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let found = filled_by(level, index).and_then(|bundle| pending.get(&bundle).cloned());
        drop(pending);
        if let Some(bundle) = found
            && let Some(tile) = bundle
                .tiles
                .iter()
                .find(|tile| tile.level == level && tile.index == index)
        {
            return Ok(tile.hashes.clone());
        }
        let missing = LogError::Damaged {
            log: self.kind,
            what: "a full tile is missing",
        };
        self.files.tile(level, index)?.ok_or(missing)
    }

    fn full_bundle(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let found = pending.get(&index).cloned();
        drop(pending);
        if let Some(bundle) = found {
            return Ok(bundle.bytes.clone());
        }
        let missing = LogError::Damaged {
            log: self.kind,
            what: "a full entry bundle is missing",
        };
        self.files.bundle(index)?.ok_or(missing)
    }

    fn split<'b>(&self, bundle: &'b [u8]) -> Result<Vec<&'b [u8]>, LogError> {
        let broken = LogError::Damaged {
            log: self.kind,
            what: "an entry bundle is malformed",
        };
        self.kind.split_bundle(bundle).ok_or(broken)
    }

    #[allow(clippy::unnecessary_wraps, reason = "the last step of functions that may fail")]
    fn join<E: AsRef<[u8]>>(&self, entries: &[E]) -> Result<Vec<u8>, LogError> {
        let mut bundle = Vec::new();
        for entry in entries {
            self.kind.append_entry(&mut bundle, entry.as_ref());
        }
        Ok(bundle)
    }
}

/// The bundle whose last entry filled this tile; none when no tree gets that large.
fn filled_by(level: u8, index: u64) -> Option<u64> {
    let bundles = TILE_WIDTH.checked_pow(u32::from(level))?;
    index.checked_add(1)?.checked_mul(bundles)?.checked_sub(1)
}

struct Tiles<'a> {
    state: &'a LogState,
    published: &'a Published,
}

impl TileSource for Tiles<'_> {
    type Error = LogError;
    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, LogError> {
        self.state.tile(self.published, id)
    }
}
