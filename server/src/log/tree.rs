//! The right edge of a Merkle tree in tiles of 256 [C2SP tlog-tiles, RFC 6962 §2.1].
//!
//! Everything left of the edge is in full tiles that never change. The edge itself is at most 255 hashes a level.

use verify::merkle::{self, NodeHash};

/// Hashes in a full tile, entries in a full bundle [C2SP tlog-tiles].
pub(crate) const TILE_WIDTH: u64 = 256;

/// A tree of `size` leaves, known by its right edge. Level 0 holds leaf hashes, level L roots of 256^L leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    size: u64,
    edge: Vec<Vec<NodeHash>>,
}

/// A tile that just became full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FullTile {
    pub(crate) level: u8,
    pub(crate) index: u64,
    /// 256 × 32 bytes.
    pub(crate) hashes: Vec<u8>,
}

impl Tree {
    /// The tree without leaves.
    pub(crate) const fn empty() -> Self {
        Self {
            size: 0,
            edge: Vec::new(),
        }
    }

    /// A tree from stored hashes, lowest level first; none when their numbers are not those of a tree of `size` leaves.
    pub(crate) fn from_edge(size: u64, mut edge: Vec<Vec<NodeHash>>) -> Option<Self> {
        while edge.last().is_some_and(Vec::is_empty) {
            edge.pop();
        }
        let mut rest = size;
        for level in &edge {
            if u64::try_from(level.len()).ok()? != rest % TILE_WIDTH {
                return None;
            }
            rest /= TILE_WIDTH;
        }
        (rest == 0).then_some(Self { size, edge })
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the unfinished tile of a level; empty when there is none.
    pub(crate) fn level(&self, level: usize) -> &[NodeHash] {
        self.edge.get(level).map_or(&[], Vec::as_slice)
    }

    /// Levels with a hash in their unfinished tile, or that had one.
    pub(crate) fn levels(&self) -> usize {
        self.edge.len()
    }

    /// Appends a leaf and hands out each tile that this fills, lowest first.
    pub(crate) fn push(&mut self, leaf: NodeHash, mut filled: impl FnMut(FullTile)) {
        let mut node = leaf;
        let mut index = self.size / TILE_WIDTH;
        let mut level = 0_usize;
        self.size = self.size.saturating_add(1);
        loop {
            if self.edge.len() <= level {
                self.edge.resize(level.saturating_add(1), Vec::new());
            }
            let Some(hashes) = self.edge.get_mut(level) else { return };
            hashes.push(node);
            if u64::try_from(hashes.len()) != Ok(TILE_WIDTH) {
                return;
            }
            let full = std::mem::take(hashes);
            node = subtree_root(&full);
            filled(FullTile {
                level: u8::try_from(level).unwrap_or(u8::MAX),
                index,
                hashes: full.concat(),
            });
            level = level.saturating_add(1);
            index /= TILE_WIDTH;
        }
    }

    /// The root [RFC 6962 §2.1]. A finished tile counts as one node of the level above, so the split points agree.
    pub(crate) fn root(&self) -> NodeHash {
        let mut below: Option<NodeHash> = None;
        for level in &self.edge {
            let mut nodes = level.clone();
            nodes.extend(below);
            below = (!nodes.is_empty()).then(|| subtree_root(&nodes));
        }
        below.unwrap_or_else(merkle::empty_root)
    }
}

/// The Merkle hash over nodes that stand for equally large subtrees, the last perhaps smaller [RFC 6962 §2.1].
pub(crate) fn subtree_root(nodes: &[NodeHash]) -> NodeHash {
    match nodes {
        [] => merkle::empty_root(),
        [node] => *node,
        _ => {
            let half = nodes.len().next_power_of_two() >> 1;
            let (left, right) = nodes.split_at(half);
            merkle::node_hash(&subtree_root(left), &subtree_root(right))
        }
    }
}

/// Splits a tile's bytes into hashes; none when the length is no multiple of 32.
pub(crate) fn hashes(bytes: &[u8]) -> Option<Vec<NodeHash>> {
    let (chunks, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| chunks.to_vec())
}

/// How many tiles of `level` are full in a tree of `size` leaves.
pub(crate) fn full_tiles(size: u64, level: u8) -> u64 {
    let shift = u32::from(level).saturating_add(1).saturating_mul(8);
    size.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests may be blunt"
)]
mod tests {
    use super::*;

    /// RFC 6962 §2.1 word for word.
    fn root_by_definition(leaves: &[NodeHash]) -> NodeHash {
        match leaves.len() {
            0 => merkle::empty_root(),
            1 => leaves[0],
            n => {
                let mut k = 1;
                while k * 2 < n {
                    k *= 2;
                }
                merkle::node_hash(&root_by_definition(&leaves[..k]), &root_by_definition(&leaves[k..]))
            }
        }
    }

    fn leaf(index: u64) -> NodeHash {
        merkle::leaf_hash(&index.to_be_bytes())
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_each_size() {
        let mut tree = Tree::empty();
        let mut leaves = Vec::new();
        assert_eq!(tree.root(), merkle::empty_root());
        for index in 0..1100 {
            tree.push(leaf(index), |_| {});
            leaves.push(leaf(index));
            if index < 20 || index % 64 < 2 || index > 1090 {
                assert_eq!(tree.root(), root_by_definition(&leaves), "size {}", index + 1);
            }
        }
    }

    #[test]
    fn tiles_come_out_once_full_and_their_root_goes_up() {
        let mut tree = Tree::empty();
        let mut tiles = Vec::new();
        for index in 0..65_536 {
            tree.push(leaf(index), |tile| tiles.push(tile));
        }
        assert_eq!(tiles.len(), 257);
        let top = tiles.pop().unwrap();
        assert_eq!((top.level, top.index), (1, 0));
        for (tile, expected) in tiles.iter().zip(hashes(&top.hashes).unwrap()) {
            assert_eq!(tile.level, 0);
            assert_eq!(subtree_root(&hashes(&tile.hashes).unwrap()), expected);
        }
        assert_eq!(
            (
                tree.levels(),
                tree.level(0).len(),
                tree.level(1).len(),
                tree.level(2).len()
            ),
            (3, 0, 0, 1)
        );
        assert_eq!(tree.root(), tree.level(2)[0]);
    }

    #[test]
    fn an_edge_of_another_size_is_refused() {
        let mut tree = Tree::empty();
        for index in 0..300 {
            tree.push(leaf(index), |_| {});
        }
        assert_eq!(Tree::from_edge(300, tree.edge.clone()), Some(tree.clone()));
        assert_eq!(Tree::from_edge(301, tree.edge.clone()), None);
        assert_eq!(Tree::from_edge(300 + 65_536, tree.edge.clone()), None);
    }
}
