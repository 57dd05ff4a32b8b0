//! The next tree of one log, while the transaction that makes it is open.

use std::{collections::HashMap, sync::Arc};

use rusqlite::Connection;

use super::{
    LogError,
    database::{self, Head, LeafRow},
    leaf::{Leaf, LeafBuilder},
    opening::{Edge, edge, join},
    spec::LogSpec,
    state::{FullBundle, Published},
    tree::{FullTile, TILE_WIDTH, Tree},
};

/// The next tree of one log while the transaction is open.
pub(super) struct Draft<'t> {
    connection: &'t Connection,
    spec: &'t LogSpec,
    head: Head,
    tree: Tree,
    tail: Vec<Arc<[u8]>>,
    time_ms: u64,
    placed: HashMap<[u8; 32], Placement>,
    tiles: Vec<FullTile>,
    bundles: Vec<FullBundle>,
    /// Sign even an unchanged tree.
    renew: bool,
}

/// Where an entry was put, before anybody may know.
#[derive(Clone)]
pub(super) struct Placement {
    pub(super) index: u64,
    pub(super) time_ms: u64,
    pub(super) seal: Vec<u8>,
    pub(super) duplicate: bool,
}

/// What one log shows after the commit.
pub(super) struct Drafted {
    pub(super) bundles: Vec<FullBundle>,
    pub(super) published: Published,
    pub(super) time_ms: u64,
}

impl<'t> Draft<'t> {
    /// Starts from the head in the database, with the edge in memory if it is that head's.
    pub(super) fn begin(
        connection: &'t Connection,
        spec: &'t LogSpec,
        seen: &Published,
        time_ms: u64,
    ) -> Result<Self, LogError> {
        let kind = spec.kind;
        let missing = LogError::Damaged {
            log: kind,
            what: "the head is missing",
        };
        let head = database::head(connection, kind)?.ok_or(missing)?;
        let edge = if head.size == seen.tree.size() && head.root == seen.root {
            Edge {
                tree: seen.tree.clone(),
                tail: seen.tail.clone(),
                bundles: Vec::new(),
            }
        } else {
            edge(connection, kind, &head)?
        };
        Ok(Self::new(connection, spec, head, edge, time_ms))
    }

    pub(super) fn new(connection: &'t Connection, spec: &'t LogSpec, head: Head, edge: Edge, time_ms: u64) -> Self {
        let Edge { tree, tail, bundles } = edge;
        Self {
            connection,
            spec,
            head,
            tree,
            tail,
            time_ms,
            placed: HashMap::new(),
            renew: false,
            tiles: Vec::new(),
            bundles,
        }
    }

    /// The same, to be signed even if nothing is added.
    pub(super) fn renewed(self) -> Self {
        Self { renew: true, ..self }
    }

    /// Gives a submission its index: an old one when an equal entry is in the log or earlier in this batch.
    pub(super) fn place(&mut self, builder: &dyn LeafBuilder) -> Result<Placement, LogError> {
        let identity = builder.identity();
        if let Some(placed) = self.placed.get(&identity) {
            return Ok(Placement {
                duplicate: true,
                ..placed.clone()
            });
        }
        if let Some(LeafRow {
            index, time_ms, seal, ..
        }) = database::leaf_by_identity(self.connection, self.spec.kind, &identity)?
        {
            return Ok(Placement {
                index,
                time_ms,
                seal,
                duplicate: true,
            });
        }
        let index = self.tree.size();
        let leaf = builder.leaf(index, self.time_ms)?;
        let placement = Placement {
            index,
            time_ms: leaf.time_ms,
            seal: leaf.seal.clone(),
            duplicate: false,
        };
        self.append(identity, leaf)?;
        self.placed.insert(identity, placement.clone());
        Ok(placement)
    }

    fn append(&mut self, identity: [u8; 32], leaf: Leaf) -> Result<(), LogError> {
        let (kind, index) = (self.spec.kind, self.tree.size());
        for (fingerprint, der) in &leaf.issuers {
            database::put_issuer(self.connection, fingerprint, der)?;
        }
        let row = LeafRow {
            identity,
            index,
            time_ms: leaf.time_ms,
            seal: leaf.seal,
        };
        database::insert_leaf(self.connection, kind, &row)?;
        database::insert_entry(self.connection, kind, index, &leaf.hash, &leaf.entry)?;
        self.tail.push(leaf.entry.into());
        let tiles = &mut self.tiles;
        self.tree.push(leaf.hash, |tile| tiles.push(tile));
        if self.tree.size().is_multiple_of(TILE_WIDTH) {
            self.close_bundle()
        } else {
            Ok(())
        }
    }

    fn close_bundle(&mut self) -> Result<(), LogError> {
        let tiles = std::mem::take(&mut self.tiles);
        for tile in &tiles {
            database::insert_tile(self.connection, self.spec.kind, tile)?;
        }
        let index = (self.tree.size() / TILE_WIDTH).saturating_sub(1);
        let bytes = join(self.spec.kind, &std::mem::take(&mut self.tail));
        self.bundles.push(FullBundle { index, bytes, tiles });
        Ok(())
    }

    /// Signs the new tree and moves the head to it.
    pub(super) fn finish(mut self) -> Result<Drafted, LogError> {
        let (kind, old_size) = (self.spec.kind, self.head.size);
        let root = self.tree.root();
        if self.tree.size() != old_size || self.renew {
            if !self.bundles.is_empty() {
                for level in 1..self.tree.levels() {
                    database::put_edge(self.connection, kind, level, &self.tree.level(level).concat())?;
                }
            }
            let checkpoint = self.spec.sign(self.tree.size(), root, self.time_ms)?;
            self.head = Head {
                size: self.tree.size(),
                root,
                checkpoint,
                ..self.head
            };
            database::update_head(self.connection, kind, old_size, &self.head)?;
        }
        let checkpoint = self.head.checkpoint.into();
        let published = Published {
            tree: self.tree,
            root,
            checkpoint,
            tail: self.tail,
        };
        Ok(Drafted {
            bundles: self.bundles,
            published,
            time_ms: self.time_ms,
        })
    }
}
