//! The inclusion and consistency proofs of transparency-dev/merkle.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use verify::{
    Error,
    merkle::{NodeHash, verify_consistency, verify_inclusion},
};

/// A hash; none when it has not 32 bytes, which no caller can pass to us.
fn hash(value: &Value) -> Option<NodeHash> {
    STANDARD.decode(value.as_str()?).ok()?.try_into().ok()
}

fn proof(case: &Value) -> Option<Vec<NodeHash>> {
    case["proof"]
        .as_array()
        .map_or(Some(Vec::new()), |hashes| hashes.iter().map(hash).collect())
}

#[test]
fn inclusion_proofs() {
    let Some(cases) = super::read("merkle/inclusion.json") else {
        return;
    };
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 98);
    let mut held = 0;
    for case in cases {
        let verdict = (|| {
            let (leaf, root) = (hash(&case["leafHash"])?, hash(&case["root"])?);
            let (index, size) = (case["leafIdx"].as_u64()?, case["treeSize"].as_u64()?);
            Some(verify_inclusion(&leaf, index, size, &proof(case)?, &root))
        })();
        if case["wantErr"] == true {
            assert!(matches!(verdict, None | Some(Err(Error::InclusionProof))), "{case}");
        } else {
            assert_eq!(verdict, Some(Ok(())), "{case}");
            held += 1;
        }
    }
    assert_eq!(held, 6);
}

#[test]
fn consistency_proofs() {
    let Some(cases) = super::read("merkle/consistency.json") else {
        return;
    };
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 98);
    let mut held = 0;
    for case in cases {
        let verdict = (|| {
            // Roots that are no hashes stand for themselves: what is compared is only whether they are equal.
            let as_hash = |value: &Value| hash(value).or_else(|| value.as_str().map(verify_stand_in));
            let (old_root, new_root) = (as_hash(&case["root1"])?, as_hash(&case["root2"])?);
            let (old, new) = (case["size1"].as_u64()?, case["size2"].as_u64()?);
            Some(verify_consistency(old, &old_root, new, &new_root, &proof(case)?))
        })();
        if case["wantErr"] == true {
            assert!(matches!(verdict, None | Some(Err(Error::ConsistencyProof))), "{case}");
        } else {
            assert_eq!(verdict, Some(Ok(())), "{case}");
            held += 1;
        }
    }
    assert_eq!(held, 6);
}

fn verify_stand_in(text: &str) -> NodeHash {
    verify::merkle::leaf_hash(text.as_bytes())
}
