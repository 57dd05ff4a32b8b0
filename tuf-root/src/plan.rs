//! Which files a change writes, and in which order, decided before anything is written.

use std::{collections::HashMap, path::Path};

use tough::schema::{Role as SchemaRole, Root, Signed, Snapshot, Targets, Timestamp};
use verify::UnixTime;

use crate::{
    Error, Role,
    draft::Draft,
    error::instant,
    files,
    key::SigningKey,
    metadata,
    repository::{Heads, head},
    roles,
    state::{State, verify_root},
    target,
};

/// A change, ready to be written: after each of its writes the repository is readable.
pub(crate) struct Plan {
    writes: Vec<(String, Vec<u8>)>,
    targets: Signed<Targets>,
    heads: Heads,
}

impl Plan {
    /// Checks the draft against what is published, signs snapshot and timestamp, and orders the writes.
    pub(crate) fn new(
        state: Option<&State>,
        draft: &Draft,
        online: &[&SigningKey],
        now: UnixTime,
    ) -> Result<Self, Error> {
        let new_root = new_root(state, draft)?;
        let old_root = state.map(State::root).transpose()?;
        let root = new_root.or(old_root).ok_or(Error::EmptyDraft)?;
        let new_targets = new_targets(state, draft)?;
        let targets = new_targets
            .or(state.map(|state| &state.targets))
            .ok_or(Error::EmptyDraft)?;
        metadata::verify_fresh(root, now)?;
        metadata::verify_fresh(targets, now)?;

        let signers = Signers {
            root: &root.signed,
            old_root: old_root.map(|root| &root.signed),
            online,
        };
        let lower = match state {
            Some(state) if new_targets.is_none() && draft.root().is_some() && online.is_empty() => Lower::kept(state),
            _ => Lower::new(state, targets, new_targets.is_some(), &signers, now)?,
        };
        lower.verify(&root.signed, targets)?;
        let heads = Heads {
            root: head(root),
            targets: head(targets),
            snapshot: head(&lower.snapshot),
            timestamp: head(&lower.timestamp),
        };
        let bridged = old_root.is_some_and(|old| lower.verify(&old.signed, targets).is_ok());
        let writes = order(draft, new_root, new_targets, bridged, &lower)?;
        Ok(Self {
            writes,
            targets: targets.clone(),
            heads,
        })
    }

    /// Checks that every target that the change keeps is really there.
    pub(crate) fn verify_targets_present(&self, dir: &Path) -> Result<(), Error> {
        for (name, target) in &self.targets.signed.targets {
            let file = target::file(name.raw(), &target.hashes);
            if self.writes.iter().all(|(written, _)| *written != file) {
                let bytes = files::read_existing(&dir.join(&file), target::TARGET_BYTES)?;
                metadata::verify_bytes(Some(target.length), Some(&target.hashes), &bytes, &file)?;
            }
        }
        Ok(())
    }

    /// Writes all files, each durable before the next.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        files::make_folder(&dir.join("targets"))?;
        self.writes
            .iter()
            .try_for_each(|(file, bytes)| files::write(&dir.join(file), bytes))
    }

    /// What is published once all is written.
    pub(crate) const fn heads(&self) -> Heads {
        self.heads
    }

    #[cfg(test)]
    pub(crate) fn writes(&self) -> &[(String, Vec<u8>)] {
        &self.writes
    }
}

/// The draft's root, if it is one step ahead; none when it is published already (a change that was cut short).
fn new_root<'a>(state: Option<&State>, draft: &'a Draft) -> Result<Option<&'a Signed<Root>>, Error> {
    let Some(root) = draft.root() else { return Ok(None) };
    let current = state.map(State::root).transpose()?;
    if current.is_some_and(|current| current.signed == root.signed) {
        return Ok(None);
    }
    let expected = current.map_or(Ok(std::num::NonZeroU64::MIN), |root| {
        metadata::next(root.signed.version)
    })?;
    if root.signed.version != expected {
        return Err(stale(Role::Root, root.signed.version.get(), expected.get()));
    }
    verify_root(current, root, expected.get(), "root.json")?;
    Ok(Some(root))
}

/// The draft's targets, if they are one step ahead; none when they are published already.
fn new_targets<'a>(state: Option<&State>, draft: &'a Draft) -> Result<Option<&'a Signed<Targets>>, Error> {
    let Some(targets) = draft.targets() else {
        return Ok(None);
    };
    let current = state.map(|state| &state.targets);
    if current.is_some_and(|current| current.signed == targets.signed) {
        return Ok(None);
    }
    let expected = current.map_or(Ok(std::num::NonZeroU64::MIN), |targets| {
        metadata::next(targets.signed.version)
    })?;
    if targets.signed.version != expected {
        return Err(stale(Role::Targets, targets.signed.version.get(), expected.get()));
    }
    for (name, target) in &targets.signed.targets {
        if let Some(bytes) = draft.files().get(name.raw()) {
            metadata::verify_bytes(Some(target.length), Some(&target.hashes), bytes, name.raw())?;
        }
    }
    Ok(Some(targets))
}

fn stale(role: Role, version: u64, expected: u64) -> Error {
    Error::StaleDraft {
        role,
        base: version.saturating_sub(1),
        current: expected.saturating_sub(1),
    }
}

/// Who signs the online roles.
struct Signers<'a> {
    root: &'a Root,
    old_root: Option<&'a Root>,
    online: &'a [&'a SigningKey],
}

impl Signers<'_> {
    /// Signs with every key that the new root, or the old one, names for the role: signatures of both let a reader pass
    /// whichever root it knows.
    fn sign<T: SchemaRole + Clone>(&self, role: T) -> Result<Signed<T>, Error> {
        let mut signed = Signed {
            signed: role,
            signatures: Vec::new(),
        };
        for key in self.online {
            let named = [Some(self.root), self.old_root].into_iter().flatten().any(|root| {
                root.roles
                    .get(&T::TYPE)
                    .is_some_and(|keys| keys.keyids.contains(key.public().key_id()))
            });
            if !named {
                return Err(Error::Unauthorized {
                    role: metadata::role_of::<T>(),
                    key_id: key.public().id(),
                });
            }
            metadata::sign(&mut signed, key)?;
        }
        metadata::verify_threshold(self.root, &signed)?;
        Ok(signed)
    }
}

/// The roles below the targets, and which of them are new.
struct Lower {
    snapshot: Signed<Snapshot>,
    timestamp: Signed<Timestamp>,
    new_snapshot: bool,
    new_timestamp: bool,
}

impl Lower {
    fn new(
        state: Option<&State>,
        targets: &Signed<Targets>,
        targets_changed: bool,
        signers: &Signers<'_>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let root = signers.root;
        let kept = state.filter(|state| {
            !targets_changed
                && metadata::verify_threshold(root, &state.snapshot).is_ok()
                && young(&state.snapshot, root, now)
        });
        let snapshot = match kept {
            Some(state) => state.snapshot.clone(),
            None => signers.sign(snapshot(state, targets, root, now)?)?,
        };
        let timestamp = signers.sign(timestamp(state, &snapshot, root, now)?)?;
        Ok(Self {
            snapshot,
            timestamp,
            new_snapshot: kept.is_none(),
            new_timestamp: true,
        })
    }

    fn kept(state: &State) -> Self {
        Self {
            snapshot: state.snapshot.clone(),
            timestamp: state.timestamp.clone(),
            new_snapshot: false,
            new_timestamp: false,
        }
    }

    /// Whether a reader with this root accepts all three.
    fn verify(&self, root: &Root, targets: &Signed<Targets>) -> Result<(), Error> {
        metadata::verify_threshold(root, &self.timestamp)?;
        metadata::verify_threshold(root, &self.snapshot)?;
        metadata::verify_threshold(root, targets)
    }
}

/// Whether more than half of the snapshot's life is left.
fn young(snapshot: &Signed<Snapshot>, root: &Root, now: UnixTime) -> bool {
    let half = roles::lifetime(root, Role::Snapshot)
        .checked_div(2)
        .and_then(|half| i64::try_from(half).ok());
    let Some((half, now)) = half.zip(instant(now)) else {
        return false;
    };
    snapshot.signed.expires.as_second().saturating_sub(now.as_second()) > half
}

fn snapshot(state: Option<&State>, targets: &Signed<Targets>, root: &Root, now: UnixTime) -> Result<Snapshot, Error> {
    let version = match state {
        Some(state) => metadata::next(state.snapshot.signed.version)?,
        None => std::num::NonZeroU64::MIN,
    };
    let expires = metadata::expiry(Role::Snapshot, now, roles::lifetime(root, Role::Snapshot))?;
    let mut snapshot = Snapshot::new(roles::SPECIFICATION.to_owned(), version, expires);
    let pin = metadata::metafile(targets.signed.version, &metadata::render(targets)?);
    snapshot.meta = HashMap::from([("targets.json".to_owned(), pin)]);
    Ok(snapshot)
}

fn timestamp(
    state: Option<&State>,
    snapshot: &Signed<Snapshot>,
    root: &Root,
    now: UnixTime,
) -> Result<Timestamp, Error> {
    let version = match state {
        Some(state) => metadata::next(state.timestamp.signed.version)?,
        None => std::num::NonZeroU64::MIN,
    };
    let expires = metadata::expiry(Role::Timestamp, now, roles::lifetime(root, Role::Timestamp))?;
    let mut timestamp = Timestamp::new(roles::SPECIFICATION.to_owned(), version, expires);
    let pin = metadata::metafile(snapshot.signed.version, &metadata::render(snapshot)?);
    timestamp.meta = HashMap::from([("snapshot.json".to_owned(), pin)]);
    Ok(timestamp)
}

/// Target files, targets, snapshot, timestamp; a new root after them when readers of the old root accept them too, else
/// before snapshot and timestamp.
fn order(
    draft: &Draft,
    new_root: Option<&Signed<Root>>,
    new_targets: Option<&Signed<Targets>>,
    bridged: bool,
    lower: &Lower,
) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut writes = Vec::new();
    if let Some(targets) = new_targets {
        for (name, target) in &targets.signed.targets {
            if let Some(bytes) = draft.files().get(name.raw()) {
                writes.push((target::file(name.raw(), &target.hashes), bytes.clone()));
            }
        }
        writes.push((
            format!("{}.targets.json", targets.signed.version),
            metadata::render(targets)?,
        ));
    }
    let root = new_root
        .map(|root| Ok::<_, Error>((format!("{}.root.json", root.signed.version), metadata::render(root)?)))
        .transpose()?;
    if let Some(root) = root.clone().filter(|_| !bridged) {
        writes.push(root);
    }
    if lower.new_snapshot {
        let name = format!("{}.snapshot.json", lower.snapshot.signed.version);
        writes.push((name, metadata::render(&lower.snapshot)?));
    }
    if lower.new_timestamp {
        writes.push(("timestamp.json".to_owned(), metadata::render(&lower.timestamp)?));
    }
    if let Some(root) = root.filter(|_| bridged) {
        writes.push(root);
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use sigstore_tuf::{Repository, Updater, transport::FetchFuture};

    use super::*;
    use crate::{
        draft::Rotation,
        key::Algorithm,
        repository::{self, CreateOptions, Lifetimes},
    };

    const NOW: UnixTime = UnixTime::from_secs(1_795_132_800);

    struct Folder(PathBuf);

    impl Repository for Folder {
        fn fetch_metadata<'a>(&'a self, name: &'a str, _: u64) -> FetchFuture<'a> {
            let found = fs::read(self.0.join(name)).ok();
            Box::pin(async move { Ok(found) })
        }
        fn fetch_target<'a>(&'a self, path: &'a str, _: u64) -> FetchFuture<'a> {
            let found = fs::read(self.0.join("targets").join(path)).ok();
            Box::pin(async move { Ok(found) })
        }
    }

    /// What readers see who start from each root that is published.
    fn seen(dir: &Path) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let now = instant(NOW).unwrap();
        let roots = (1..)
            .map(|version| fs::read(dir.join(format!("{version}.root.json"))))
            .map_while(Result::ok);
        roots
            .map(|root| {
                runtime.block_on(async {
                    let mut updater = Updater::new(Folder(dir.to_owned()), &root).unwrap();
                    updater.refresh(now).await.unwrap();
                    String::from_utf8(updater.get_target("a", now).await.unwrap()).unwrap()
                })
            })
            .collect()
    }

    struct Fixture {
        folder: tempfile::TempDir,
        root: SigningKey,
        online: SigningKey,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = SigningKey::generate(Algorithm::Ed25519).unwrap();
            let online = SigningKey::generate(Algorithm::P256).unwrap();
            let options = CreateOptions {
                root_keys: std::slice::from_ref(&root),
                root_threshold: 1,
                targets_keys: std::slice::from_ref(&root),
                targets_threshold: 1,
                online_key: &online,
                targets: &[("a".to_owned(), b"old".to_vec())].into(),
                lifetimes: Lifetimes::default(),
            };
            repository::create(&folder.path().join("tuf"), &options, NOW).unwrap();
            Self { folder, root, online }
        }

        fn dir(&self) -> PathBuf {
            self.folder.path().join("tuf")
        }

        /// The writer dies after each write; readers of every root still succeed, and the change can be made again.
        fn dies_after_each_write(&self, draft: &Draft, online: &[&SigningKey], before: &str, after: &str) {
            let count = Plan::new(Some(&State::read(&self.dir()).unwrap()), draft, online, NOW)
                .unwrap()
                .writes
                .len();
            for kept in 0..=count {
                let copy = self.folder.path().join(format!("copy-{kept}-{after}"));
                copy_folder(&self.dir(), &copy);
                let plan = Plan::new(Some(&State::read(&copy).unwrap()), draft, online, NOW).unwrap();
                for (file, bytes) in plan.writes().iter().take(kept) {
                    fs::write(copy.join(file), bytes).unwrap();
                }
                let seen = seen(&copy);
                assert!(!seen.is_empty());
                assert!(
                    seen.iter().all(|seen| seen == before || seen == after),
                    "{kept}: {seen:?}"
                );
                if kept < count {
                    let state = State::read(&copy).unwrap();
                    Plan::new(Some(&state), draft, online, NOW)
                        .unwrap()
                        .write(&copy)
                        .unwrap();
                }
                assert!(super::tests::seen(&copy).iter().all(|seen| seen == after), "{kept}");
                repository::verify(&copy, NOW).unwrap();
            }
        }
    }

    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                copy_folder(&entry.path(), &to.join(entry.file_name()));
            } else {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }

    #[test]
    fn a_publication_that_dies_leaves_a_readable_repository() {
        let fixture = Fixture::new();
        let set = [("a".to_owned(), b"new".to_vec())].into();
        let mut draft = Draft::publication(&fixture.dir(), &set, &BTreeSet::new(), NOW).unwrap();
        draft.sign(&fixture.root).unwrap();
        fixture.dies_after_each_write(&draft, &[&fixture.online], "old", "new");
    }

    #[test]
    fn a_rotation_of_all_keys_that_dies_leaves_a_readable_repository() {
        let fixture = Fixture::new();
        let root = SigningKey::generate(Algorithm::P256).unwrap();
        let online = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let public = |key: &SigningKey| Some(vec![key.public().clone()]);
        let rotation = Rotation {
            root_keys: public(&root),
            targets_keys: public(&root),
            online_keys: public(&online),
            ..Rotation::default()
        };
        let mut draft = Draft::rotation(&fixture.dir(), &rotation, NOW).unwrap();
        draft.sign(&fixture.root).unwrap();
        draft.sign(&root).unwrap();
        fixture.dies_after_each_write(&draft, &[&fixture.online, &online], "old", "old");
    }

    #[test]
    fn a_rotation_without_the_lost_online_key_can_be_finished() {
        let fixture = Fixture::new();
        let online = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let rotation = Rotation {
            online_keys: Some(vec![online.public().clone()]),
            ..Rotation::default()
        };
        let mut draft = Draft::rotation(&fixture.dir(), &rotation, NOW).unwrap();
        draft.sign(&fixture.root).unwrap();
        let dir = fixture.dir();
        let plan = Plan::new(Some(&State::read(&dir).unwrap()), &draft, &[&online], NOW).unwrap();
        let (file, bytes) = plan.writes().first().unwrap();
        assert_eq!(file, "2.root.json");
        fs::write(dir.join(file), bytes).unwrap(); // and the writer dies
        assert!(matches!(
            repository::verify(&dir, NOW),
            Err(Error::Threshold {
                role: Role::Timestamp,
                ..
            })
        ));
        repository::refresh(&dir, &online, NOW).unwrap();
        assert_eq!(seen(&dir), ["old", "old"]);
        repository::verify(&dir, NOW).unwrap();
    }
}
