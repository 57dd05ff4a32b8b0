//! Merkle tree hashes and proofs [RFC 6962 §2.1, RFC 9162 §2.1].

use crate::Error;

/// A node of a Merkle tree. `[u8; 32]`.
pub type NodeHash = [u8; 32];

/// SHA-256(0x00 ‖ leaf) [RFC 6962 §2.1].
#[must_use]
pub fn leaf_hash(_leaf: &[u8]) -> NodeHash {
    todo!()
}
/// SHA-256(0x01 ‖ left ‖ right) [RFC 6962 §2.1].
#[must_use]
pub fn node_hash(_left: &NodeHash, _right: &NodeHash) -> NodeHash {
    todo!()
}
/// The root of the empty tree: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> NodeHash {
    todo!()
}
/// Checks that `leaf` stands at `index` in the tree of `size` leaves with this `root` [RFC 9162 §2.1.3.2].
///
/// # Errors
/// [`Error::InclusionProof`] when it does not, the index is out of range, or the number of hashes is wrong.
pub fn verify_inclusion(
    _leaf: &NodeHash,
    _index: u64,
    _size: u64,
    _proof: &[NodeHash],
    _root: &NodeHash,
) -> Result<(), Error> {
    todo!()
}
/// Checks that the tree of `old_size` is a prefix of that of `new_size` [RFC 9162 §2.1.4.2].
///
/// # Errors
/// [`Error::ConsistencyProof`] when it is not.
pub fn verify_consistency(
    _old_size: u64,
    _old_root: &NodeHash,
    _new_size: u64,
    _new_root: &NodeHash,
    _proof: &[NodeHash],
) -> Result<(), Error> {
    todo!()
}
