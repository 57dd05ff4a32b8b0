//! Merkle tree hashes and proofs [RFC 6962 §2.1, RFC 9162 §2.1].

use sha2::{Digest as _, Sha256};

use crate::Error;

/// A node of a Merkle tree. `[u8; 32]`.
pub type NodeHash = [u8; 32];

/// SHA-256(0x00 ‖ leaf) [RFC 6962 §2.1].
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> NodeHash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// SHA-256(0x01 ‖ left ‖ right) [RFC 6962 §2.1].
#[must_use]
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root of the empty tree: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> NodeHash {
    Sha256::digest([]).into()
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
