//! Tiles and entry bundles [C2SP tlog-tiles]: paths, encoding, and proofs computed from tiles.

use std::collections::BTreeMap;

use crate::{
    Error,
    merkle::{NodeHash, empty_root, node_hash},
    tls::{Reader, put_vector16},
};

/// Names a hash tile: level, index, and width when partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    /// 0 (leaves) to 63.
    pub level: u8,
    /// Index of the tile in its level.
    pub index: u64,
    /// Hashes in the tile, 1 to 256; 256 is a full tile.
    pub width: u16,
}

/// Reads hash tiles for [`inclusion_proof`], [`consistency_proof`] and [`root`].
pub trait TileSource {
    /// What goes wrong when a tile cannot be had.
    type Error;
    /// The hashes of the tile, `width` × 32 bytes.
    ///
    /// # Errors
    /// The source's own.
    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Self::Error>;
}

impl TileId {
    /// The tile at this place in a log of `size` leaves, as wide as it is then; none when it would be empty.
    #[must_use]
    pub fn in_log(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level).saturating_mul(TILE_HEIGHT))?;
        let width = hashes.saturating_sub(index.checked_mul(FULL_WIDTH.into())?);
        match u16::try_from(width.min(FULL_WIDTH.into())) {
            Ok(0) | Err(_) => None,
            Ok(width) => Some(Self { level, index, width }),
        }
    }

    /// `tile/<L>/<N>[.p/<W>]`.
    #[must_use]
    pub fn path(&self) -> String {
        bundle_path(&self.level.to_string(), self.index, self.width)
    }
}

/// `<N>` of a path: groups of three digits, all but the last prefixed with `x`.
#[must_use]
pub fn index_path(index: u64) -> String {
    let digits = index.to_string();
    let zeros = digits.len().next_multiple_of(3).saturating_sub(digits.len());
    let padded = format!("{}{digits}", "0".repeat(zeros));
    let (groups, _) = padded.as_bytes().as_chunks::<3>();
    let mut path = String::new();
    for (position, group) in groups.iter().enumerate() {
        if position > 0 {
            path.insert(path.rfind('/').map_or(0, |slash| slash.saturating_add(1)), 'x');
            path.push('/');
        }
        path.extend(group.iter().copied().map(char::from));
    }
    path
}

/// `tile/entries/<N>[.p/<W>]` or, for static CT, `tile/data/<N>[.p/<W>]`; `directory` is `entries` or `data`.
#[must_use]
pub fn bundle_path(directory: &str, index: u64, width: u16) -> String {
    let path = index_path(index);
    if width < FULL_WIDTH {
        format!("tile/{directory}/{path}.p/{width}")
    } else {
        format!("tile/{directory}/{path}")
    }
}

/// Parses what follows `tile/<L>/`: `<N>` or `<N>.p/<W>`, giving index and width (256 when full).
///
/// # Errors
/// [`Error::TilePath`] for anything that [`index_path`] would not print.
pub fn parse_index_path(path: &str) -> Result<(u64, u16), Error> {
    let (digits, width) = match path.split_once(".p/") {
        None => (path, FULL_WIDTH),
        Some((digits, width)) => (digits, width.parse().map_err(|_| Error::TilePath)?),
    };
    let index = digits.replace(['x', '/'], "").parse().map_err(|_| Error::TilePath)?;
    let printed = bundle_path("", index, width);
    if width > 0 && printed.strip_prefix("tile//") == Some(path) {
        Ok((index, width))
    } else {
        Err(Error::TilePath)
    }
}

/// Splits an entry bundle into its entries: each a u16 length and that many bytes.
///
/// # Errors
/// [`Error::EntryBundle`] when a length runs past the end or there are more than 256.
pub fn parse_entry_bundle(bytes: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut reader = Reader(bytes);
    let mut entries = Vec::new();
    while !reader.is_empty() {
        if entries.len() == usize::from(FULL_WIDTH) {
            return Err(Error::EntryBundle);
        }
        entries.push(reader.vector16().ok_or(Error::EntryBundle)?);
    }
    Ok(entries)
}

/// Writes an entry bundle: what [`parse_entry_bundle`] reads.
///
/// # Errors
/// [`Error::EntryBundle`] when an entry is longer than 65 535 bytes or there are more than 256.
pub fn encode_entry_bundle<T: AsRef<[u8]>>(entries: &[T]) -> Result<Vec<u8>, Error> {
    if entries.len() > usize::from(FULL_WIDTH) {
        return Err(Error::EntryBundle);
    }
    let mut bytes = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref) {
        if u16::try_from(entry.len()).is_err() {
            return Err(Error::EntryBundle);
        }
        put_vector16(&mut bytes, entry);
    }
    Ok(bytes)
}

/// The audit path of leaf `index` in the tree of `size` leaves, from tiles [RFC 6962 §2.1.1].
///
/// Hashes that a tile lacks count as zeros, so that what a short tile leads to verifies against nothing.
///
/// # Errors
/// The source's own. An index beyond the size gives an empty path.
pub fn inclusion_proof<S: TileSource>(source: &mut S, index: u64, size: u64) -> Result<Vec<NodeHash>, S::Error> {
    let mut tiles = Tiles::new(source, size);
    let mut proof = Vec::new();
    let (mut begin, mut end) = (0, size);
    while index < size && width(begin, end) > 1 {
        let middle = split(begin, end);
        if index < middle {
            proof.push(tiles.range(middle, end)?);
            end = middle;
        } else {
            proof.push(tiles.range(begin, middle)?);
            begin = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The consistency proof from `old` to `new` leaves, from tiles [RFC 6962 §2.1.2]; empty when `old` is 0, or not below `new`.
///
/// # Errors
/// The source's own.
pub fn consistency_proof<S: TileSource>(source: &mut S, old: u64, new: u64) -> Result<Vec<NodeHash>, S::Error> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let mut tiles = Tiles::new(source, new);
    let (mut begin, mut end) = (0, new);
    while old < end {
        let middle = split(begin, end);
        if old <= middle {
            proof.push(tiles.range(middle, end)?);
            end = middle;
        } else {
            proof.push(tiles.range(begin, middle)?);
            begin = middle;
        }
    }
    if begin > 0 {
        // The old tree is not one complete subtree: the verifier needs its last part to start from.
        proof.push(tiles.range(begin, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root of the tree of `size` leaves, from tiles.
///
/// # Errors
/// The source's own.
pub fn root<S: TileSource>(source: &mut S, size: u64) -> Result<NodeHash, S::Error> {
    Tiles::new(source, size).range(0, size)
}

/// The tiles of a log of one size, each asked for once.
struct Tiles<'a, S> {
    source: &'a mut S,
    size: u64,
    read: BTreeMap<TileId, Vec<u8>>,
}

impl<'a, S: TileSource> Tiles<'a, S> {
    fn new(source: &'a mut S, size: u64) -> Self {
        Self {
            source,
            size,
            read: BTreeMap::new(),
        }
    }

    /// The root over the leaves `begin..end`, where `begin` is a multiple of the largest power of two in the range.
    fn range(&mut self, begin: u64, end: u64) -> Result<NodeHash, S::Error> {
        let mut complete = Vec::new();
        let mut position = begin;
        while let Some(height) = width(position, end).checked_ilog2() {
            complete.push(self.node(height, position)?);
            position = position.saturating_add(1_u64 << height);
        }
        let joined = complete
            .into_iter()
            .rev()
            .reduce(|right, left| node_hash(&left, &right));
        Ok(joined.unwrap_or_else(empty_root))
    }

    /// The root of the complete subtree of 2^`height` leaves that starts at leaf `first`.
    fn node(&mut self, height: u32, first: u64) -> Result<NodeHash, S::Error> {
        let level = height / TILE_HEIGHT;
        let rows = height % TILE_HEIGHT;
        let entry = first >> level.saturating_mul(TILE_HEIGHT);
        let index = entry >> TILE_HEIGHT;
        let offset = usize::try_from(entry & 0xff).unwrap_or(0);
        let Some(id) = u8::try_from(level)
            .ok()
            .and_then(|level| TileId::in_log(level, index, self.size))
        else {
            return Ok(MISSING);
        };
        let tile = match self.read.entry(id) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => unknown.insert(self.source.tile(id)?),
        };
        let (hashes, _) = tile.as_chunks::<32>();
        let wanted = hashes.iter().copied().chain(std::iter::repeat(MISSING));
        let mut row: Vec<NodeHash> = wanted.skip(offset).take(1 << rows).collect();
        while row.len() > 1 {
            let (pairs, _) = row.as_chunks::<2>();
            row = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        Ok(row.first().copied().unwrap_or(MISSING))
    }
}

const fn width(begin: u64, end: u64) -> u64 {
    end.saturating_sub(begin)
}

/// Where a tree over `begin..end`, of two leaves at least, splits: after the largest power of two below its size [RFC 6962 §2.1].
fn split(begin: u64, end: u64) -> u64 {
    let last = width(begin, end).saturating_sub(1);
    begin.saturating_add(last.checked_ilog2().map_or(0, |height| 1_u64 << height))
}

/// What stands where a tile is too short.
const MISSING: NodeHash = [0; 32];
/// Levels of the Merkle tree in a tile [tlog-tiles §Merkle Tree].
const TILE_HEIGHT: u32 = 8;
/// Hashes in a full tile, entries in a full bundle [tlog-tiles §Merkle Tree].
const FULL_WIDTH: u16 = 256;

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "tests may be blunt"
)]
mod tests;
