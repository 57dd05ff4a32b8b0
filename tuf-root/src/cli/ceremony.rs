//! Making, changing, signing, refreshing and checking a repository.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::json;
use verify::UnixTime;

use super::{
    arguments,
    keys::KeyFile,
    output::{Failure, Printer, heads_json, heads_lines},
};
use crate::{
    Error, Role,
    draft::{Detached, Draft, First, Progress, Rotation},
    files,
    key::{PublicKey, SigningKey},
    repository::{self, Lifetimes},
    target::TARGET_BYTES,
};

/// `tuf-root init`.
pub(super) fn init(arguments: &arguments::Init, now: UnixTime, printer: &Printer) -> Result<(), Failure> {
    let root_keys = read_keys(&arguments.root_keys)?;
    let targets_keys = read_keys(&arguments.targets_keys)?;
    let online = KeyFile::read(&arguments.online_key)?;
    let public = |keys: &[KeyFile]| -> Vec<PublicKey> { keys.iter().map(|key| key.public().clone()).collect() };
    let first = First {
        root_keys: public(&root_keys),
        root_threshold: arguments.root_threshold,
        targets_keys: public(if targets_keys.is_empty() {
            &root_keys
        } else {
            &targets_keys
        }),
        targets_threshold: arguments.targets_threshold.unwrap_or(arguments.root_threshold),
        online_keys: vec![online.public().clone()],
        targets: read_targets(&arguments.targets)?,
        lifetimes: lifetimes(arguments.lifetimes, Lifetimes::default()),
    };
    let mut draft = Draft::first(&first, now)?;
    for key in root_keys.iter().chain(&targets_keys).filter_map(KeyFile::private) {
        draft.sign(key)?;
    }
    if let Some(folder) = &arguments.draft {
        return write_draft(&draft, folder, printer);
    }
    let online = online
        .private()
        .ok_or_else(|| Failure::about(&arguments.online_key, Error::PrivateKey))?;
    printer.heads(&repository::publish_draft(&arguments.dir, &draft, &[online], now)?)
}

/// `tuf-root publish`.
pub(super) fn publish(arguments: &arguments::Publish, now: UnixTime, printer: &Printer) -> Result<(), Failure> {
    let mut draft = if let Some(folder) = &arguments.from {
        Draft::read(folder)?
    } else {
        let remove: BTreeSet<String> = arguments.remove.iter().cloned().collect();
        Draft::publication(&arguments.dir, &read_targets(&arguments.targets)?, &remove, now)?
    };
    sign_with(&mut draft, &read_private_keys(&arguments.keys)?)?;
    finish(
        &arguments.dir,
        &draft,
        arguments.draft.as_deref(),
        &arguments.online_keys,
        now,
        printer,
    )
}

/// `tuf-root rotate`.
pub(super) fn rotate(arguments: &arguments::Rotate, now: UnixTime, printer: &Printer) -> Result<(), Failure> {
    let dir = &arguments.dir;
    let add_root = read_keys(&arguments.add_root_keys)?;
    let add_targets = read_keys(&arguments.add_targets_keys)?;
    let new_online = arguments.new_online_key.as_deref().map(KeyFile::read).transpose()?;
    let rotation = Rotation {
        root_keys: changed(dir, Role::Root, &add_root, &arguments.remove_root_keys)?,
        root_threshold: arguments.root_threshold,
        targets_keys: changed(dir, Role::Targets, &add_targets, &arguments.remove_targets_keys)?,
        targets_threshold: arguments.targets_threshold,
        online_keys: new_online.map(|key| vec![key.public().clone()]),
        lifetimes: changed_lifetimes(dir, arguments.lifetimes)?,
    };
    let mut draft = Draft::rotation(dir, &rotation, now)?;
    for key in add_root.iter().chain(&add_targets).filter_map(KeyFile::private) {
        draft.sign(key)?;
    }
    sign_with(&mut draft, &read_private_keys(&arguments.keys)?)?;
    finish(
        dir,
        &draft,
        arguments.draft.as_deref(),
        &arguments.online_keys,
        now,
        printer,
    )
}

/// `tuf-root sign`.
pub(super) fn sign(arguments: &arguments::Sign, printer: &Printer) -> Result<(), Failure> {
    let mut draft = Draft::read(&arguments.draft)?;
    let keys = read_private_keys(&arguments.keys)?;
    if let Some(file) = &arguments.detached {
        let [key] = keys.as_slice() else {
            return Err(Failure::about(file, Error::OneKey));
        };
        files::write(file, draft.sign_detached(key)?.to_json()?.as_bytes())?;
        return printer.result(&json!({ "signed_by": key.public().id() }), &draft.summary());
    }
    sign_with(&mut draft, &keys)?;
    for path in &arguments.attach {
        let bytes = files::read_existing(path, DETACHED_BYTES).map_err(|error| Failure::about(path, error))?;
        let signatures = Detached::from_json(&bytes, &path.to_string_lossy());
        signatures
            .and_then(|signatures| draft.attach(&signatures))
            .map_err(|error| Failure::about(path, error))?;
    }
    if keys.is_empty() && arguments.attach.is_empty() {
        show_draft(&draft, printer)
    } else {
        write_draft(&draft, &arguments.draft, printer)
    }
}

/// `tuf-root refresh`.
pub(super) fn refresh(arguments: &arguments::Refresh, now: UnixTime, printer: &Printer) -> Result<(), Failure> {
    let key = KeyFile::read_private(&arguments.online_key)?;
    printer.heads(&repository::refresh(&arguments.dir, &key, now)?)
}

/// `tuf-root verify`.
pub(super) fn verify(arguments: &arguments::Verify, now: UnixTime, printer: &Printer) -> Result<(), Failure> {
    let at = match &arguments.at {
        Some(text) => UnixTime::from_rfc3339(text).map_err(|_| Error::Instant { text: text.clone() })?,
        None => now,
    };
    let report = repository::verify(&arguments.dir, at)?;
    let mut lines = heads_lines(&report.heads);
    lines.extend(report.targets.iter().map(|name| format!("target    {name}")));
    lines.extend(
        report
            .strangers
            .iter()
            .map(|path| format!("warning: `{}` is no part of a repository", path.display())),
    );
    lines.push(format!(
        "{} files checked: signatures, digests, versions, expiry at {at}",
        report.files
    ));
    let strangers: Vec<_> = report
        .strangers
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let json = json!({
        "roles": heads_json(&report.heads),
        "targets": report.targets,
        "files": report.files,
        "strangers": strangers,
        "at": at.to_string(),
    });
    printer.result(&json, &lines)
}

/// Publishes the draft, or writes it down for others.
fn finish(
    dir: &Path,
    draft: &Draft,
    folder: Option<&Path>,
    online: &[PathBuf],
    now: UnixTime,
    printer: &Printer,
) -> Result<(), Failure> {
    if let Some(folder) = folder {
        return write_draft(draft, folder, printer);
    }
    let online = read_private_keys(online)?;
    let online: Vec<&SigningKey> = online.iter().collect();
    printer.heads(&repository::publish_draft(dir, draft, &online, now)?)
}

fn write_draft(draft: &Draft, folder: &Path, printer: &Printer) -> Result<(), Failure> {
    draft.write(folder)?;
    show_draft(draft, printer)
}

fn show_draft(draft: &Draft, printer: &Printer) -> Result<(), Failure> {
    let progress = draft.progress()?;
    let mut lines = draft.summary();
    lines.extend(progress.iter().map(progress_line));
    let json: Vec<_> = progress
        .iter()
        .map(|one| {
            json!({
                "role": one.role.to_string(),
                "by_previous_keys": one.by_previous_keys,
                "found": one.found,
                "needed": one.needed,
            })
        })
        .collect();
    printer.result(&json!({ "draft": draft.summary(), "signatures": json }), &lines)
}

fn progress_line(one: &Progress) -> String {
    let keys = if one.by_previous_keys { "previous" } else { "present" };
    format!(
        "{} signed by {} of {} needed {keys} keys",
        one.role, one.found, one.needed
    )
}

fn sign_with(draft: &mut Draft, keys: &[SigningKey]) -> Result<(), Failure> {
    for key in keys {
        draft.sign(key)?;
    }
    Ok(())
}

fn read_keys(paths: &[PathBuf]) -> Result<Vec<KeyFile>, Failure> {
    paths.iter().map(|path| KeyFile::read(path)).collect()
}

fn read_private_keys(paths: &[PathBuf]) -> Result<Vec<SigningKey>, Failure> {
    paths.iter().map(|path| KeyFile::read_private(path)).collect()
}

/// Reads `FILE` or `NAME=FILE` arguments.
fn read_targets(arguments: &[String]) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut targets = BTreeMap::new();
    for argument in arguments {
        let path = Path::new(argument.split_once('=').map_or(argument.as_str(), |(_, path)| path));
        let own_name = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = argument
            .split_once('=')
            .map_or_else(own_name, |(name, _)| name.to_owned());
        let bytes = files::read_existing(path, TARGET_BYTES).map_err(|error| Failure::about(path, error))?;
        targets.insert(name, bytes);
    }
    Ok(targets)
}

/// The keys of a role after adding and removing; none when nothing changes.
fn changed(dir: &Path, role: Role, add: &[KeyFile], remove: &[String]) -> Result<Option<Vec<PublicKey>>, Failure> {
    if add.is_empty() && remove.is_empty() {
        return Ok(None);
    }
    let mut keys = repository::keys(dir, role)?;
    for gone in remove {
        let id = if Path::new(gone).is_file() {
            KeyFile::read(Path::new(gone))?.public().id()
        } else {
            gone.clone()
        };
        let before = keys.len();
        keys.retain(|key| key.id() != id);
        if keys.len() == before {
            return Err(Error::Unauthorized { role, key_id: id }.into());
        }
    }
    keys.extend(add.iter().map(|key| key.public().clone()));
    Ok(Some(keys))
}

fn changed_lifetimes(dir: &Path, given: arguments::Lifetimes) -> Result<Option<Lifetimes>, Failure> {
    let arguments::Lifetimes {
        root_days,
        targets_days,
        snapshot_hours,
        timestamp_hours,
    } = given;
    if [root_days, targets_days, snapshot_hours, timestamp_hours]
        .iter()
        .all(Option::is_none)
    {
        return Ok(None);
    }
    Ok(Some(lifetimes(given, repository::lifetimes(dir)?)))
}

fn lifetimes(given: arguments::Lifetimes, default: Lifetimes) -> Lifetimes {
    let seconds = |count: Option<u64>, unit: u64, default| count.map_or(default, |count| count.saturating_mul(unit));
    Lifetimes {
        root_seconds: seconds(given.root_days, DAY, default.root_seconds),
        targets_seconds: seconds(given.targets_days, DAY, default.targets_seconds),
        snapshot_seconds: seconds(given.snapshot_hours, HOUR, default.snapshot_seconds),
        timestamp_seconds: seconds(given.timestamp_hours, HOUR, default.timestamp_seconds),
    }
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Largest file of detached signatures: two of them, in hexadecimal.
const DETACHED_BYTES: u64 = 64 << 10;
