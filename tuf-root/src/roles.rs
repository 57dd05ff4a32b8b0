//! The roles that a root names: their keys, thresholds, and how long their metadata is good for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    num::NonZeroU64,
};

use serde_json::Value;
use tough::schema::{
    RoleKeys, RoleType, Root,
    decoded::{Decoded, Hex},
    key::Key,
};
use verify::UnixTime;

use crate::{Error, Role, key::PublicKey, metadata, repository::Lifetimes};

/// Gives a role its keys, and drops keys that no role has any more.
pub(crate) fn set_role(
    root: &mut Root,
    role: Role,
    keys: &[PublicKey],
    threshold: u64,
    seconds: u64,
) -> Result<(), Error> {
    metadata::expiry(role, UnixTime::from_secs(0), seconds)?;
    let distinct: BTreeMap<String, &PublicKey> = keys.iter().map(|key| (key.id(), key)).collect();
    let count = u64::try_from(distinct.len()).unwrap_or(u64::MAX);
    let allowed = NonZeroU64::new(threshold).filter(|threshold| threshold.get() <= count);
    let threshold = allowed.ok_or(Error::ThresholdRange {
        role,
        threshold,
        keys: count,
    })?;
    let keyids = distinct.values().map(|key| key.key_id().clone()).collect();
    let extra = HashMap::from([(LIFETIME.to_owned(), Value::from(seconds))]);
    root.roles.insert(
        role_type(role),
        RoleKeys {
            keyids,
            threshold,
            _extra: extra,
        },
    );
    root.keys
        .extend(distinct.values().map(|key| (key.key_id().clone(), key.key().clone())));
    let used: HashSet<Decoded<Hex>> = root
        .roles
        .values()
        .flat_map(|role| role.keyids.iter().cloned())
        .collect();
    let drop_unused = |keys: &mut HashMap<Decoded<Hex>, Key>| keys.retain(|id, _| used.contains(id));
    drop_unused(&mut root.keys);
    Ok(())
}

/// The keys of a role.
pub(crate) fn keys_of(root: &Root, role: Role) -> Result<Vec<PublicKey>, Error> {
    metadata::role_keys(root, role)?
        .keyids
        .iter()
        .filter_map(|id| root.keys.get(id))
        .map(|key| PublicKey::new(key.clone()))
        .collect()
}

/// The threshold of a role.
pub(crate) fn threshold_of(root: &Root, role: Role) -> Result<u64, Error> {
    metadata::role_keys(root, role).map(|keys| keys.threshold.get())
}

/// How long metadata of a role is good for, as the root says.
pub(crate) fn lifetime(root: &Root, role: Role) -> u64 {
    let stated = metadata::role_keys(root, role)
        .ok()
        .and_then(|keys| keys._extra.get(LIFETIME)?.as_u64());
    stated.unwrap_or_else(|| Lifetimes::default().of(role))
}

impl Lifetimes {
    pub(crate) const fn of(self, role: Role) -> u64 {
        match role {
            Role::Root => self.root_seconds,
            Role::Targets => self.targets_seconds,
            Role::Snapshot => self.snapshot_seconds,
            Role::Timestamp => self.timestamp_seconds,
        }
    }
}

const fn role_type(role: Role) -> RoleType {
    match role {
        Role::Root => RoleType::Root,
        Role::Targets => RoleType::Targets,
        Role::Snapshot => RoleType::Snapshot,
        Role::Timestamp => RoleType::Timestamp,
    }
}

/// The version of the specification that the metadata follows.
pub(crate) const SPECIFICATION: &str = "1.0.31";

/// Member of a role in the root that says how long its metadata is good for; readers ignore it.
const LIFETIME: &str = "x-lifetime-seconds";
