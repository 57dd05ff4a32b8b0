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
mod tests {
    use super::*;
    use crate::merkle::{leaf_hash, verify_consistency, verify_inclusion};
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// A log in memory, its tree computed the plain way.
    struct Log(Vec<NodeHash>);

    impl Log {
        fn of_size(size: u64) -> Self {
            Self((0..size).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect())
        }
    }

    /// MTH of RFC 6962 §2.1, word for word.
    fn tree_hash(leaves: &[NodeHash]) -> NodeHash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&tree_hash(left), &tree_hash(right))
            }
        }
    }

    impl TileSource for Log {
        type Error = Infallible;
        fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Infallible> {
            let leaves_each = 1_usize << (8 * id.level);
            let first = id.index as usize * 256;
            let hashes = (first..first + usize::from(id.width))
                .map(|entry| tree_hash(&self.0[entry * leaves_each..(entry + 1) * leaves_each]));
            Ok(hashes.flatten().collect())
        }
    }

    #[test]
    fn index_paths_are_groups_of_three_digits() {
        for (index, path) in [
            (0, "000"),
            (7, "007"),
            (999, "999"),
            (1000, "x001/000"),
            (1_234_067, "x001/x234/067"),
            (u64::MAX, "x018/x446/x744/x073/x709/x551/615"),
        ] {
            assert_eq!(index_path(index), path);
            assert_eq!(parse_index_path(path), Ok((index, 256)));
            assert_eq!(parse_index_path(&format!("{path}.p/255")), Ok((index, 255)));
        }
    }

    #[test]
    fn other_spellings_of_a_path_are_refused() {
        assert!(parse_index_path("x001/000.p/8").is_ok());
        for path in [
            "",
            "0",
            "00",
            "0000",
            "1000",
            "x000/001",
            "001/000",
            "x001/x000",
            "x001000",
            "x001//000",
            "/000",
            "000/",
            "000.p",
            "000.p/",
            "000.p/0",
            "000.p/256",
            "000.p/08",
            "000.p/+8",
            "000.p/8/",
            "000.p/8.p/8",
            "-01",
            "+01",
            "x018/x446/x744/x073/x709/x551/616",
            "x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(parse_index_path(path), Err(Error::TilePath), "{path}");
        }
    }

    #[test]
    fn paths_name_level_index_and_width() {
        let tile = TileId {
            level: 2,
            index: 1234,
            width: 256,
        };
        assert_eq!(tile.path(), "tile/2/x001/234");
        assert_eq!(TileId { width: 17, ..tile }.path(), "tile/2/x001/234.p/17");
        assert_eq!(bundle_path("entries", 0, 3), "tile/entries/000.p/3");
        assert_eq!(bundle_path("data", 5, 256), "tile/data/005");
    }

    #[test]
    fn tiles_are_as_wide_as_the_log_makes_them() {
        let width = |level, index, size| TileId::in_log(level, index, size).map(|id| id.width);
        assert_eq!(
            [
                width(0, 0, 0),
                width(0, 0, 1),
                width(0, 0, 256),
                width(0, 1, 256),
                width(0, 1, 257)
            ],
            [None, Some(1), Some(256), None, Some(1)]
        );
        assert_eq!(
            [
                width(1, 0, 255),
                width(1, 0, 256),
                width(1, 0, 70_000),
                width(2, 0, 70_000)
            ],
            [None, Some(1), Some(256), Some(1)]
        );
        assert_eq!(width(7, 0, u64::MAX), Some(255));
        assert_eq!(width(8, 0, u64::MAX), None);
        assert_eq!(width(0, u64::MAX >> 8, u64::MAX), Some(255));
        assert_eq!(width(0, u64::MAX, u64::MAX), None);
    }

    #[test]
    fn an_entry_bundle_prints_back() {
        let entries = [Vec::new(), b"a".to_vec(), vec![7; 65_535]];
        let bytes = encode_entry_bundle(&entries).unwrap();
        assert_eq!(parse_entry_bundle(&bytes).unwrap(), entries);
    }

    #[test]
    fn a_length_that_runs_past_the_end_is_refused() {
        assert!(parse_entry_bundle(&[0, 1, b'a']).is_ok());
        for bytes in [&[0, 2, b'a'][..], &[0], &[0, 1, b'a', 0]] {
            assert_eq!(parse_entry_bundle(bytes), Err(Error::EntryBundle));
        }
    }

    #[test]
    fn more_than_256_entries_are_refused() {
        assert_eq!(parse_entry_bundle(&[0; 512]).unwrap().len(), 256);
        assert_eq!(parse_entry_bundle(&[0; 514]), Err(Error::EntryBundle));
        assert!(encode_entry_bundle(&[b"a"; 256]).is_ok());
        assert_eq!(encode_entry_bundle(&[b"a"; 257]), Err(Error::EntryBundle));
    }

    #[test]
    fn an_entry_too_long_for_its_length_is_refused() {
        assert!(encode_entry_bundle(&[vec![0; 65_535]]).is_ok());
        assert_eq!(encode_entry_bundle(&[vec![0; 65_536]]), Err(Error::EntryBundle));
    }

    #[test]
    fn proofs_from_tiles_hold_for_every_leaf_and_size_of_small_logs() {
        for size in 1..40 {
            let mut log = Log::of_size(size);
            let whole = tree_hash(&log.0);
            assert_eq!(root(&mut log, size).unwrap(), whole);
            for index in 0..size {
                let proof = inclusion_proof(&mut log, index, size).unwrap();
                verify_inclusion(&log.0[index as usize], index, size, &proof, &whole).unwrap();
            }
            for old in 1..=size {
                let proof = consistency_proof(&mut log, old, size).unwrap();
                let old_root = tree_hash(&log.0[..old as usize]);
                verify_consistency(old, &old_root, size, &whole, &proof).unwrap();
            }
        }
    }

    #[test]
    fn proofs_from_tiles_hold_where_the_third_level_starts() {
        let (old, size) = (65_536, 65_537);
        let mut log = Log::of_size(size);
        let whole = tree_hash(&log.0);
        let proof = consistency_proof(&mut log, old, size).unwrap();
        verify_consistency(old, &tree_hash(&log.0[..65_536]), size, &whole, &proof).unwrap();
        for index in [0, 65_535, 65_536] {
            let proof = inclusion_proof(&mut log, index, size).unwrap();
            verify_inclusion(&log.0[index as usize], index, size, &proof, &whole).unwrap();
        }
    }

    #[test]
    fn the_root_of_no_leaves_is_that_of_the_empty_tree() {
        assert_eq!(root(&mut Log::of_size(0), 0).unwrap(), empty_root());
    }

    #[test]
    fn proofs_of_what_is_not_there_are_empty() {
        let mut log = Log::of_size(5);
        assert!(!inclusion_proof(&mut log, 4, 5).unwrap().is_empty());
        assert!(inclusion_proof(&mut log, 5, 5).unwrap().is_empty());
        assert!(!consistency_proof(&mut log, 4, 5).unwrap().is_empty());
        for old in [0, 5, 6] {
            assert!(consistency_proof(&mut log, old, 5).unwrap().is_empty());
        }
    }

    #[test]
    fn a_short_tile_leads_to_nothing_that_verifies() {
        struct Short(Log);
        impl TileSource for Short {
            type Error = Infallible;
            fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Infallible> {
                let mut bytes = self.0.tile(id)?;
                bytes.truncate(bytes.len() - 1);
                Ok(bytes)
            }
        }
        let whole = root(&mut Log::of_size(9), 9).unwrap();
        assert_ne!(root(&mut Short(Log::of_size(9)), 9).unwrap(), whole);
    }

    #[test]
    fn the_largest_log_is_walked_without_overflow() {
        struct Zeros;
        impl TileSource for Zeros {
            type Error = Infallible;
            fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Infallible> {
                Ok(vec![0; usize::from(id.width) * 32])
            }
        }
        assert_eq!(inclusion_proof(&mut Zeros, u64::MAX - 1, u64::MAX).unwrap().len(), 63);
        assert_eq!(inclusion_proof(&mut Zeros, 0, u64::MAX).unwrap().len(), 64);
        assert_eq!(consistency_proof(&mut Zeros, 1, u64::MAX).unwrap().len(), 64);
        assert_eq!(consistency_proof(&mut Zeros, u64::MAX - 1, u64::MAX).unwrap().len(), 64);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn proofs_from_tiles_hold_across_tile_edges(old in 1_u64..1500, more in 0_u64..1500, index in any::<u64>()) {
            let size = old + more;
            let mut log = Log::of_size(size);
            let whole = tree_hash(&log.0);
            let index = index % size;
            let proof = inclusion_proof(&mut log, index, size).unwrap();
            prop_assert_eq!(verify_inclusion(&log.0[index as usize], index, size, &proof, &whole), Ok(()));
            let proof = consistency_proof(&mut log, old, size).unwrap();
            let old_root = tree_hash(&log.0[..old as usize]);
            prop_assert_eq!(verify_consistency(old, &old_root, size, &whole, &proof), Ok(()));
        }

        #[test]
        fn index_paths_print_back(index: u64, width in 1_u16..=256) {
            let path = bundle_path("entries", index, width);
            prop_assert_eq!(parse_index_path(path.strip_prefix("tile/entries/").unwrap()), Ok((index, width)));
        }

        #[test]
        fn any_path_that_is_read_is_what_we_print(path in "[x0-9/.p]{0,20}") {
            if let Ok((index, width)) = parse_index_path(&path) {
                prop_assert_eq!(bundle_path("0", index, width), format!("tile/0/{path}"));
            }
        }

        #[test]
        fn any_entry_bundle_that_is_read_prints_back(bytes in prop::collection::vec(0_u8..4, 0..600)) {
            if let Ok(entries) = parse_entry_bundle(&bytes) {
                prop_assert_eq!(encode_entry_bundle(&entries), Ok(bytes.clone()));
            }
        }
    }
}
