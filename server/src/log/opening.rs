//! Reads a log that exists, and refuses one that would fork or contradicts itself.

use std::sync::Arc;

use rusqlite::Connection;
use verify::merkle::NodeHash;

use super::{
    LogError, LogKind,
    database::{self, Head},
    files::Files,
    spec::LogReader,
    state::{FullBundle, LogState, Published},
    tree::{self, FullTile, TILE_WIDTH, Tree},
};

/// The right edge of a log as the database holds it.
pub(super) struct Edge {
    pub(super) tree: Tree,
    /// Entries after the last full bundle.
    pub(super) tail: Vec<Arc<[u8]>>,
    /// Full bundles that are not yet files.
    pub(super) bundles: Vec<FullBundle>,
}

/// Reads a log from the database and checks it against itself, its key, its files and its last known checkpoint.
pub(super) fn load(connection: &Connection, reader: &LogReader, files: Files) -> Result<(LogState, u64), LogError> {
    let log = reader.kind;
    let head = database::head(connection, log)?.ok_or(LogError::Damaged {
        log,
        what: "the head is missing",
    })?;
    if head.key != reader.key.spki_der() {
        return Err(LogError::WrongKey { log });
    }
    if head.origin != reader.origin {
        return Err(LogError::WrongOrigin {
            log,
            recorded: head.origin,
            given: reader.origin.clone(),
        });
    }
    let Edge { tree, tail, bundles } = edge(connection, log, &head)?;
    let broken = LogError::Damaged {
        log,
        what: "the checkpoint is not this log's signature over its tree",
    };
    let checked = reader
        .verify(&head.checkpoint)
        .filter(|(said, _)| said.size == head.size && said.root == head.root);
    let (_, last_time_ms) = checked.ok_or(broken)?;
    guard(reader, &files, &head)?;
    let checkpoint = head.checkpoint.into();
    let published = Published {
        tree,
        root: head.root,
        checkpoint,
        tail,
    };
    let state = LogState::new(log, files, published.clone());
    state.publish(bundles, published);
    guard_mark(reader, &state)?;
    Ok((state, last_time_ms))
}

/// Right edge, newest entries and unarchived bundles of a log; the root must be the head's.
pub(super) fn edge(connection: &Connection, log: LogKind, head: &Head) -> Result<Edge, LogError> {
    let damaged = |what| LogError::Damaged { log, what };
    let mut tiles = database::tiles(connection, log)?;
    let (mut tail, mut hashes): (Vec<Arc<[u8]>>, Vec<NodeHash>) = (Vec::new(), Vec::new());
    let (mut bundles, mut next) = (Vec::new(), head.archived);
    database::each_entry(connection, log, |index, hash, entry| {
        if index != next {
            return Err(damaged("an entry is missing or should not be there"));
        }
        next = next.saturating_add(1);
        tail.push(entry.into());
        hashes.push(hash);
        if next.is_multiple_of(TILE_WIDTH) {
            let full = index / TILE_WIDTH;
            let bytes = join(log, &std::mem::take(&mut tail));
            hashes.clear();
            let tiles = tiles.extract_if(.., |tile| ends_with(tile, full)).collect();
            bundles.push(FullBundle {
                index: full,
                bytes,
                tiles,
            });
        }
        Ok(())
    })?;
    if next != head.size {
        return Err(damaged("there are more or fewer entries than the head says"));
    }
    let mut levels = vec![hashes];
    levels.extend(database::upper_edge(connection, log)?);
    let tree = Tree::from_edge(head.size, levels).ok_or(damaged("the right edge has another size than the head"))?;
    if tree.root() != head.root {
        return Err(damaged("the right edge has another root than the head"));
    }
    Ok(Edge { tree, tail, bundles })
}

/// Refuses to go on when files hold more than the database: it was restored from an old copy, and going on would fork the log.
fn guard(reader: &LogReader, files: &Files, head: &Head) -> Result<(), LogError> {
    let log = reader.kind;
    let found = files.proven_size()?;
    if found > head.size {
        return Err(LogError::Fork {
            log,
            database: head.size,
            found,
        });
    }
    if found < head.archived {
        return Err(LogError::Damaged {
            log,
            what: "files that the database relies on are missing",
        });
    }
    Ok(())
}

/// The same for the checkpoint beside the tiles: the tree must contain the one it speaks of.
fn guard_mark(reader: &LogReader, state: &LogState) -> Result<(), LogError> {
    let log = reader.kind;
    let Some(text) = state.files.mark()?.filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let unreadable = LogError::Damaged {
        log,
        what: "the copy of the checkpoint is not this log's",
    };
    let (said, _) = reader.verify(&text).ok_or(unreadable)?;
    let published = state.published();
    let size = published.tree.size();
    if said.size > size || state.root_at(&published, said.size)? != said.root {
        return Err(LogError::Fork {
            log,
            database: size,
            found: said.size,
        });
    }
    Ok(())
}

/// Whether the last leaf under `tile` is the last of bundle `full`.
fn ends_with(tile: &FullTile, full: u64) -> bool {
    let entries = full.saturating_add(1).saturating_mul(TILE_WIDTH);
    tree::full_tiles(entries, tile.level) == tile.index.saturating_add(1)
        && tree::full_tiles(entries.saturating_sub(1), tile.level) == tile.index
}

pub(super) fn join(kind: LogKind, entries: &[Arc<[u8]>]) -> Vec<u8> {
    let mut bundle = Vec::new();
    for entry in entries {
        kind.append_entry(&mut bundle, entry);
    }
    bundle
}
