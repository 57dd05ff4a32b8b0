//! Tiles and entry bundles [C2SP tlog-tiles]: paths, encoding, and proofs computed from tiles.

use crate::{Error, merkle::NodeHash};

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

impl TileId {
    /// `tile/<L>/<N>[.p/<W>]`.
    #[must_use]
    pub fn path(&self) -> String {
        todo!()
    }
}

/// `<N>` of a path: groups of three digits, all but the last prefixed with `x`.
#[must_use]
pub fn index_path(_index: u64) -> String {
    todo!()
}
/// `tile/entries/<N>[.p/<W>]` or, for static CT, `tile/data/<N>[.p/<W>]`; `directory` is `entries` or `data`.
#[must_use]
pub fn bundle_path(_directory: &str, _index: u64, _width: u16) -> String {
    todo!()
}
/// Parses what follows `tile/<L>/`: `<N>` or `<N>.p/<W>`, giving index and width (256 when full).
///
/// # Errors
/// [`Error::TilePath`] for anything that [`index_path`] would not print.
pub fn parse_index_path(_path: &str) -> Result<(u64, u16), Error> {
    todo!()
}
/// Splits an entry bundle into its entries: each a u16 length and that many bytes.
///
/// # Errors
/// [`Error::EntryBundle`] when a length runs past the end or there are more than 256.
pub fn parse_entry_bundle(_bytes: &[u8]) -> Result<Vec<&[u8]>, Error> {
    todo!()
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
/// The audit path of leaf `index` in the tree of `size` leaves, from tiles [RFC 6962 §2.1.1].
///
/// # Errors
/// The source's own. An index beyond the size gives an empty path.
pub fn inclusion_proof<S: TileSource>(_source: &mut S, _index: u64, _size: u64) -> Result<Vec<NodeHash>, S::Error> {
    todo!()
}
/// The consistency proof from `old` to `new` leaves, from tiles [RFC 6962 §2.1.2].
///
/// # Errors
/// The source's own.
pub fn consistency_proof<S: TileSource>(_source: &mut S, _old: u64, _new: u64) -> Result<Vec<NodeHash>, S::Error> {
    todo!()
}
/// The root of the tree of `size` leaves, from tiles.
///
/// # Errors
/// The source's own.
pub fn root<S: TileSource>(_source: &mut S, _size: u64) -> Result<NodeHash, S::Error> {
    todo!()
}
