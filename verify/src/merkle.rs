//! Merkle tree hashes and proofs [RFC 6962 §2.1, RFC 9162 §2.1].

use crate::{Error, digest};

/// A node of a Merkle tree. `[u8; 32]`.
pub type NodeHash = [u8; 32];

/// SHA-256(0x00 ‖ leaf) [RFC 6962 §2.1].
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> NodeHash {
    digest::sha256_of_parts(&[&[0], leaf])
}

/// SHA-256(0x01 ‖ left ‖ right) [RFC 6962 §2.1].
#[must_use]
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    let mut node = [1; 65];
    for (place, byte) in node.iter_mut().skip(1).zip(left.iter().chain(right)) {
        *place = *byte;
    }
    digest::sha256(&node)
}

/// The root of the empty tree: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> NodeHash {
    digest::sha256(&[])
}

/// Checks that `leaf` stands at `index` in the tree of `size` leaves with this `root` [RFC 9162 §2.1.3.2].
///
/// # Errors
/// [`Error::InclusionProof`] when it does not, the index is out of range, or the number of hashes is wrong.
pub fn verify_inclusion(
    leaf: &NodeHash,
    index: u64,
    size: u64,
    proof: &[NodeHash],
    root: &NodeHash,
) -> Result<(), Error> {
    if index >= size {
        return Err(Error::InclusionProof);
    }
    let mut node = index;
    let mut last = size.saturating_sub(1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(Error::InclusionProof);
        }
        if is_right_child(node) || node == last {
            hash = node_hash(sibling, &hash);
            while !is_right_child(node) && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root {
        Ok(())
    } else {
        Err(Error::InclusionProof)
    }
}

/// Checks that the tree of `old_size` is a prefix of that of `new_size` [RFC 9162 §2.1.4.2].
///
/// From the empty tree nothing can be proved: `old_size` 0 is always refused.
///
/// # Errors
/// [`Error::ConsistencyProof`] when it is not.
pub fn verify_consistency(
    old_size: u64,
    old_root: &NodeHash,
    new_size: u64,
    new_root: &NodeHash,
    proof: &[NodeHash],
) -> Result<(), Error> {
    if old_size == 0 || old_size > new_size {
        return Err(Error::ConsistencyProof);
    }
    if old_size == new_size {
        return if proof.is_empty() && old_root == new_root {
            Ok(())
        } else {
            Err(Error::ConsistencyProof)
        };
    }
    let (old_hash, new_hash) = roots_of_proof(old_size, old_root, new_size, proof).ok_or(Error::ConsistencyProof)?;
    if old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(Error::ConsistencyProof)
    }
}

/// The two roots that a consistency proof leads to; none when its length is wrong. `0 < old_size < new_size`.
fn roots_of_proof(
    old_size: u64,
    old_root: &NodeHash,
    new_size: u64,
    proof: &[NodeHash],
) -> Option<(NodeHash, NodeHash)> {
    // An old tree that is complete is itself the first node of the proof, and left out of it.
    let (seed, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first()?
    };
    let mut node = old_size.checked_sub(1)?;
    let mut last = new_size.checked_sub(1)?;
    while is_right_child(node) {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return None;
        }
        if is_right_child(node) || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while !is_right_child(node) && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some((old_hash, new_hash))
}

const fn is_right_child(node: u64) -> bool {
    node & 1 == 1
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may be blunt")]
mod tests {
    use super::*;

    /// A tree of three leaves: its root, and the hashes that prove the second.
    fn three() -> ([NodeHash; 3], NodeHash) {
        let leaves = [b"a", b"b", b"c"].map(|leaf| leaf_hash(leaf));
        let root = node_hash(&node_hash(&leaves[0], &leaves[1]), &leaves[2]);
        (leaves, root)
    }

    #[test]
    fn hashes_are_those_of_rfc_6962() {
        assert_eq!(
            hex::encode(empty_root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex::encode(leaf_hash(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_ne!(leaf_hash(&[[0; 32], [1; 32]].concat()), node_hash(&[0; 32], &[1; 32]));
    }

    #[test]
    fn an_honest_inclusion_proof_holds() {
        let (leaves, root) = three();
        assert_eq!(
            verify_inclusion(&leaves[1], 1, 3, &[leaves[0], leaves[2]], &root),
            Ok(())
        );
        assert_eq!(
            verify_inclusion(&leaves[2], 2, 3, &[node_hash(&leaves[0], &leaves[1])], &root),
            Ok(())
        );
        assert_eq!(verify_inclusion(&leaves[0], 0, 1, &[], &leaves[0]), Ok(()));
    }

    #[test]
    fn an_inclusion_proof_changed_anywhere_is_refused() {
        let (leaves, root) = three();
        let refused = Err(Error::InclusionProof);
        let proof = [leaves[0], leaves[2]];
        assert_eq!(verify_inclusion(&leaves[0], 1, 3, &proof, &root), refused);
        assert_eq!(verify_inclusion(&leaves[1], 0, 3, &proof, &root), refused);
        assert_eq!(verify_inclusion(&leaves[1], 2, 3, &proof, &root), refused);
        assert_eq!(verify_inclusion(&leaves[1], 1, 2, &proof, &root), refused);
        assert_eq!(verify_inclusion(&leaves[1], 1, 5, &proof, &root), refused);
        assert_eq!(verify_inclusion(&leaves[1], 1, 3, &proof, &leaves[0]), refused);
        assert_eq!(
            verify_inclusion(&leaves[1], 1, 3, &[leaves[2], leaves[0]], &root),
            refused
        );
    }

    #[test]
    fn an_inclusion_proof_of_another_length_is_refused() {
        let (leaves, root) = three();
        let refused = Err(Error::InclusionProof);
        assert_eq!(verify_inclusion(&leaves[1], 1, 3, &[leaves[0]], &root), refused);
        let longer = [leaves[0], leaves[2], leaves[2]];
        assert_eq!(verify_inclusion(&leaves[1], 1, 3, &longer, &root), refused);
        assert_eq!(verify_inclusion(&root, 0, 1, &[root], &root), refused);
        // Too short, though what it leads to is the root asked for.
        let left = node_hash(&leaves[0], &leaves[1]);
        assert_eq!(verify_inclusion(&leaves[1], 1, 3, &[leaves[0]], &left), refused);
    }

    #[test]
    fn an_index_beyond_the_tree_is_refused() {
        let (leaves, _) = three();
        for (index, size) in [(0, 0), (1, 1), (u64::MAX, u64::MAX), (u64::MAX, 0)] {
            assert_eq!(
                verify_inclusion(&leaves[0], index, size, &[], &leaves[0]),
                Err(Error::InclusionProof)
            );
        }
    }

    #[test]
    fn the_largest_tree_is_walked_without_overflow() {
        let mut root = leaf_hash(b"");
        let proof = vec![[7; 32]; 63];
        // The last leaf of a tree of 2^64 − 1 leaves is a right child at each of its 63 levels with a sibling.
        for sibling in &proof {
            root = node_hash(sibling, &root);
        }
        assert_eq!(
            verify_inclusion(&leaf_hash(b""), u64::MAX - 1, u64::MAX, &proof, &root),
            Ok(())
        );
        assert_eq!(
            verify_consistency(u64::MAX - 1, &root, u64::MAX, &root, &proof),
            Err(Error::ConsistencyProof)
        );
        assert_eq!(verify_consistency(u64::MAX, &root, u64::MAX, &root, &[]), Ok(()));
    }

    #[test]
    fn an_honest_consistency_proof_holds() {
        let (leaves, root) = three();
        let two = node_hash(&leaves[0], &leaves[1]);
        assert_eq!(verify_consistency(2, &two, 3, &root, &[leaves[2]]), Ok(()));
        assert_eq!(
            verify_consistency(1, &leaves[0], 3, &root, &[leaves[1], leaves[2]]),
            Ok(())
        );
        let four = node_hash(&two, &node_hash(&leaves[2], &leaves[0]));
        assert_eq!(
            verify_consistency(3, &root, 4, &four, &[leaves[2], leaves[0], two]),
            Ok(())
        );
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

    /// SUBPROOF of RFC 6962 §2.1.2, word for word.
    fn subproof(old: usize, leaves: &[NodeHash], whole: bool) -> Vec<NodeHash> {
        if old == leaves.len() {
            return if whole { Vec::new() } else { vec![tree_hash(leaves)] };
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut proof, sibling) = if old <= left.len() {
            (subproof(old, left, whole), right)
        } else {
            (subproof(old - left.len(), right, false), left)
        };
        proof.push(tree_hash(sibling));
        proof
    }

    #[test]
    fn every_consistency_proof_of_small_trees_holds_and_no_part_of_it_can_change() {
        let leaves: Vec<NodeHash> = (0..20_u8).map(|leaf| leaf_hash(&[leaf])).collect();
        for new in 1..=leaves.len() {
            let new_root = tree_hash(&leaves[..new]);
            for old in 1..=new {
                let old_root = tree_hash(&leaves[..old]);
                let proof = subproof(old, &leaves[..new], true);
                let [old, new] = [old, new].map(|size| u64::try_from(size).unwrap());
                assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));
                for position in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[position][0] ^= 1;
                    assert!(verify_consistency(old, &old_root, new, &new_root, &changed).is_err());
                    changed.remove(position);
                    assert!(verify_consistency(old, &old_root, new, &new_root, &changed).is_err());
                }
            }
        }
    }

    #[test]
    fn a_consistency_proof_changed_anywhere_is_refused() {
        let (leaves, root) = three();
        let two = node_hash(&leaves[0], &leaves[1]);
        let refused = Err(Error::ConsistencyProof);
        assert_eq!(verify_consistency(2, &leaves[0], 3, &root, &[leaves[2]]), refused);
        assert_eq!(verify_consistency(2, &two, 3, &two, &[leaves[2]]), refused);
        assert_eq!(verify_consistency(2, &two, 3, &root, &[leaves[1]]), refused);
        assert_eq!(verify_consistency(2, &two, 3, &root, &[]), refused);
        assert_eq!(verify_consistency(2, &two, 3, &root, &[leaves[2], leaves[2]]), refused);
        assert_eq!(verify_consistency(3, &root, 2, &two, &[leaves[2]]), refused);
        // The old root alone is wrong: the new one still comes out right.
        let four = node_hash(&two, &node_hash(&leaves[2], &leaves[0]));
        let proof = [leaves[2], leaves[0], two];
        assert_eq!(verify_consistency(3, &two, 4, &four, &proof), refused);
        assert_eq!(verify_consistency(3, &root, 4, &root, &proof), refused);
    }

    #[test]
    fn trees_of_one_size_are_consistent_only_when_equal() {
        let (leaves, root) = three();
        assert_eq!(verify_consistency(3, &root, 3, &root, &[]), Ok(()));
        assert_eq!(
            verify_consistency(3, &root, 3, &leaves[0], &[]),
            Err(Error::ConsistencyProof)
        );
        assert_eq!(
            verify_consistency(3, &root, 3, &root, &[root]),
            Err(Error::ConsistencyProof)
        );
    }

    #[test]
    fn nothing_is_consistent_with_the_empty_tree() {
        let (_, root) = three();
        let empty = empty_root();
        for (size, new_root) in [(0, &empty), (3, &root)] {
            assert_eq!(
                verify_consistency(0, &empty, size, new_root, &[]),
                Err(Error::ConsistencyProof)
            );
        }
    }
}
