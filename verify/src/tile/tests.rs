//! Tests of the tile module: one for each way a parser can fail.

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
