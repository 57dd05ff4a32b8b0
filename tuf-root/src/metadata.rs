//! Signed metadata: the canonical form that signatures cover, the one form that is written, thresholds, expiry.

use std::{collections::HashMap, num::NonZeroU64};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tough::schema::{
    Hashes, Metafile, Role as SchemaRole, RoleKeys, RoleType, Root, Signature, Signed,
    decoded::{Decoded, Hex},
};
use verify::UnixTime;

use crate::{Error, Role, error::instant, key::SigningKey};

/// Reads metadata and checks that its bytes are exactly those this program writes.
pub(crate) fn parse<T>(bytes: &[u8], file: &str) -> Result<Signed<T>, Error>
where
    T: SchemaRole + DeserializeOwned + Clone,
{
    let malformed = || Error::Malformed {
        file: file.to_owned(),
        role: role_of::<T>(),
    };
    let signed: Signed<T> = serde_json::from_slice(bytes).map_err(|_| malformed())?;
    if render(&normalized(&signed))? == bytes {
        Ok(signed)
    } else {
        Err(Error::Altered { file: file.to_owned() })
    }
}

/// The bytes that are written: members in order of their names, indented, a line feed at the end.
pub(crate) fn render<T: Serialize>(signed: &Signed<T>) -> Result<Vec<u8>, Error> {
    let internal = |_| Error::Internal {
        what: "metadata cannot be written",
    };
    let value = sorted(serde_json::to_value(signed).map_err(internal)?);
    let mut bytes = serde_json::to_vec_pretty(&value).map_err(internal)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Adds the key's signature, in place of an earlier one.
pub(crate) fn sign<T: SchemaRole>(signed: &mut Signed<T>, key: &SigningKey) -> Result<(), Error> {
    let message = canonical(&signed.signed)?;
    attach(
        signed,
        Signature {
            keyid: key.public().key_id().clone(),
            sig: key.sign(&message)?.into(),
        },
    );
    Ok(())
}

/// Adds a signature made elsewhere, in place of an earlier one of the same key.
pub(crate) fn attach<T>(signed: &mut Signed<T>, signature: Signature) {
    signed.signatures.retain(|other| other.keyid != signature.keyid);
    signed.signatures.push(signature);
    signed.signatures.sort_by_key(|signature| hex::encode(&signature.keyid));
}

/// OLPC canonical JSON of the role: what signatures cover [TUF 1.0 §4.2].
pub(crate) fn canonical<T: SchemaRole>(role: &T) -> Result<Vec<u8>, Error> {
    role.canonical_form().map_err(|_| Error::Internal {
        what: "metadata has no canonical form",
    })
}

/// Checks that enough keys of the role, as `root` names them, signed.
pub(crate) fn verify_threshold<T: SchemaRole + Clone>(root: &Root, signed: &Signed<T>) -> Result<(), Error> {
    if root.verify_role(signed).is_ok() {
        return Ok(());
    }
    let role = role_of::<T>();
    let keys = role_keys(root, role)?;
    let found = signed
        .signatures
        .iter()
        .filter(|one| verify_one(root, signed, one))
        .count();
    Err(Error::Threshold {
        role,
        found: u64::try_from(found).unwrap_or(u64::MAX),
        needed: keys.threshold.get(),
    })
}

/// Checks that every signature was made by a key that one of `roots` names: a damaged one is noticed even when enough others are left.
pub(crate) fn verify_each<T: SchemaRole + Clone>(roots: &[&Root], signed: &Signed<T>, file: &str) -> Result<(), Error> {
    for signature in &signed.signatures {
        if !roots.iter().any(|root| verify_one(root, signed, signature)) {
            return Err(Error::Signature {
                file: file.to_owned(),
                key_id: hex::encode(&signature.keyid),
            });
        }
    }
    Ok(())
}

/// Whether a key of the role as `root` names it made this signature.
pub(crate) fn verify_one<T: SchemaRole + Clone>(root: &Root, signed: &Signed<T>, signature: &Signature) -> bool {
    let (Some(keys), Some(key)) = (root.roles.get(&T::TYPE), root.keys.get(&signature.keyid)) else {
        return false;
    };
    if !keys.keyids.contains(&signature.keyid) {
        return false;
    }
    let mut alone = root.clone();
    alone.keys = HashMap::from([(signature.keyid.clone(), key.clone())]);
    alone.roles = HashMap::from([(
        T::TYPE,
        RoleKeys {
            keyids: vec![signature.keyid.clone()],
            threshold: NonZeroU64::MIN,
            _extra: HashMap::new(),
        },
    )]);
    alone
        .verify_role(&Signed {
            signed: signed.signed.clone(),
            signatures: vec![signature.clone()],
        })
        .is_ok()
}

/// Checks the expiry [TUF 1.0 §5.3.10]: metadata is good up to, not at, its expiry.
pub(crate) fn verify_fresh<T: SchemaRole>(signed: &Signed<T>, now: UnixTime) -> Result<(), Error> {
    let expires = signed.signed.expires();
    match instant(now) {
        Some(now) if now < expires => Ok(()),
        _ => Err(Error::Expired {
            role: role_of::<T>(),
            at: expires.to_string(),
        }),
    }
}

/// The expiry of metadata made at `now`, in whole seconds: python-tuf refuses fractions.
pub(crate) fn expiry(role: Role, now: UnixTime, lifetime_seconds: u64) -> Result<jiff::Timestamp, Error> {
    let refused = Error::Lifetime {
        role,
        seconds: lifetime_seconds,
    };
    let seconds = i64::try_from(lifetime_seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .ok_or(refused.clone())?;
    instant(now.plus_secs(seconds)).ok_or(refused)
}

/// What a parent role says about a file: version, length and digest.
pub(crate) fn metafile(version: NonZeroU64, bytes: &[u8]) -> Metafile {
    Metafile {
        length: u64::try_from(bytes.len()).ok(),
        hashes: Some(hashes(bytes)),
        version,
        _extra: HashMap::new(),
    }
}

/// The SHA-256 of the bytes, as metadata lists it.
pub(crate) fn hashes(bytes: &[u8]) -> Hashes {
    Hashes {
        sha256: Decoded::from(Sha256::digest(bytes).to_vec()),
        _extra: HashMap::new(),
    }
}

/// Checks bytes against what a parent role says.
pub(crate) fn verify_bytes(
    length: Option<u64>,
    hashes: Option<&Hashes>,
    bytes: &[u8],
    file: &str,
) -> Result<(), Error> {
    let length_fits = length.is_none_or(|length| u64::try_from(bytes.len()) == Ok(length));
    let digest_fits = hashes.is_some_and(|hashes| *hashes.sha256 == *Sha256::digest(bytes));
    if length_fits && digest_fits {
        Ok(())
    } else {
        Err(Error::Integrity { file: file.to_owned() })
    }
}

/// Keys and threshold of a role.
pub(crate) fn role_keys(root: &Root, role: Role) -> Result<&RoleKeys, Error> {
    let kind = match role {
        Role::Root => RoleType::Root,
        Role::Targets => RoleType::Targets,
        Role::Snapshot => RoleType::Snapshot,
        Role::Timestamp => RoleType::Timestamp,
    };
    root.roles.get(&kind).ok_or_else(|| Error::Malformed {
        file: "root.json".to_owned(),
        role: Role::Root,
    })
}

/// The version after this one.
pub(crate) fn next(version: NonZeroU64) -> Result<NonZeroU64, Error> {
    version.checked_add(1).ok_or(Error::Internal {
        what: "no version number is left",
    })
}

/// Our name of the role.
pub(crate) const fn role_of<T: SchemaRole>() -> Role {
    match T::TYPE {
        RoleType::Root => Role::Root,
        RoleType::Snapshot => Role::Snapshot,
        RoleType::Timestamp => Role::Timestamp,
        RoleType::Targets | RoleType::DelegatedTargets => Role::Targets,
    }
}

/// The same metadata with hexadecimal digits in lower case, as they are written.
fn normalized<T: Clone>(signed: &Signed<T>) -> Signed<T> {
    let lower = |bytes: &Decoded<Hex>| Decoded::from(bytes.to_vec());
    let signatures = signed
        .signatures
        .iter()
        .map(|one| Signature {
            keyid: lower(&one.keyid),
            sig: lower(&one.sig),
        })
        .collect();
    Signed {
        signed: signed.signed.clone(),
        signatures,
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    }
}
