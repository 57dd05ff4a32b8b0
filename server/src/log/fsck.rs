//! Recomputes everything the logs' data folder says, from the entries up, and tells each contradiction. Opens read-only.
//!
//! Every stored field is either recomputed (leaf hashes, tiles, right edge, root, identities, canonical bodies), or covered by a
//! signature (checkpoints, promises), or compared with a signed one (times, keys, origins). What cannot be found here: a whole
//! consistent log under the same key, which only witnesses and monitors see, and entries lost together with their checkpoint.

mod findings;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use rusqlite::Connection;
use verify::{
    Budget, PublicKey,
    entry::Entry,
    key::SignatureScheme,
    merkle::NodeHash,
    sct::{self, LoggedCertificate, TileLeaf},
};

pub use findings::{Finding, FsckReport, LogSummary, Problem};

use super::{
    LogError, LogKind,
    crash::Crash,
    database::{self, Head, LeafRow},
    files::{self, Files, MARK},
    leaf,
    spec::LogReader,
    storage::DATABASE,
    tree::{self, FullTile, TILE_WIDTH, Tree},
};

/// Checks the logs in a data folder. A running server may go on: what it adds meanwhile is not looked at. The keys are taken
/// from the database.
///
/// # Errors
/// [`LogError::ReadOnly`], [`LogError::Database`], [`LogError::File`] and [`LogError::Schema`] when we cannot look; what we find
/// is in the report.
pub fn fsck(data: &Path) -> Result<FsckReport, LogError> {
    fsck_against(data, &BTreeMap::new())
}

/// [`fsck`], and the logs must have these keys.
///
/// # Errors
/// As [`fsck`].
pub fn fsck_against(data: &Path, keys: &BTreeMap<LogKind, PublicKey>) -> Result<FsckReport, LogError> {
    let mut report = FsckReport::default();
    // Files first: each is older than the rows read afterwards.
    let mut folders = BTreeMap::new();
    for kind in LogKind::ALL {
        let files = Files::new(data, kind, Crash::default());
        folders.insert(
            kind,
            Folder {
                list: files.list()?,
                mark: files.mark()?,
                files,
            },
        );
    }
    let path = data.join(DATABASE);
    if !path.is_file() {
        for (kind, _) in folders.iter().filter(|(_, folder)| !folder.list.is_empty()) {
            report.add(*kind, Problem::Head);
        }
        return Ok(report);
    }
    let connection = database::open_read_only(&path)?;
    connection
        .execute_batch("BEGIN")
        .map_err(LogError::database("begin reading"))?;
    check_database(&connection, &mut report);
    let issuers = check_issuers(&connection, &mut report);
    let mut named = BTreeSet::new();
    for (kind, folder) in &folders {
        let expected_key = keys.get(kind);
        if let Err(error) = check_log(
            &connection,
            *kind,
            expected_key,
            folder,
            &issuers,
            &mut named,
            &mut report,
        ) {
            report.add(*kind, Problem::Unreadable { code: error.code() });
        }
    }
    for fingerprint in issuers.difference(&named) {
        report.add(
            LogKind::Certificates,
            Problem::IssuerUnused {
                fingerprint: hex::encode(fingerprint),
            },
        );
    }
    Ok(report)
}

/// The files of one log, listed before the database was read.
struct Folder {
    files: Files,
    list: Vec<String>,
    mark: Option<String>,
}

/// One log while it is rebuilt.
struct Rebuild<'a> {
    connection: &'a Connection,
    reader: &'a LogReader,
    head: &'a Head,
    files: &'a Files,
    /// Full tiles that the database still holds.
    rows: BTreeMap<(u8, u64), Vec<u8>>,
    issuers: &'a BTreeSet<[u8; 32]>,
    named_issuers: &'a mut BTreeSet<[u8; 32]>,
    report: &'a mut FsckReport,
    tree: Tree,
    /// Size and root of the copied checkpoint, until the tree has that size.
    mark: Option<(u64, NodeHash)>,
    newest_time_ms: u64,
}

/// What an entry says of its row.
enum Expected {
    /// v2: identity, no time, no seal.
    Bare([u8; 32]),
    /// v1: identity; the seal is the log's promise for the row's time.
    Promised([u8; 32]),
    /// CT: identity and time; the seal is the digest of the entry.
    Timed { identity: [u8; 32], time_ms: u64 },
}

fn check_database(connection: &Connection, report: &mut FsckReport) {
    let checked: rusqlite::Result<Vec<String>> = connection
        .prepare("PRAGMA integrity_check")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect());
    if checked.ok().as_deref() != Some(&["ok".to_owned()]) {
        report.add(None, Problem::Integrity);
    }
    let expected = Connection::open_in_memory().and_then(|fresh| {
        fresh.execute_batch(database::SCHEMA)?;
        schema(&fresh)
    });
    if expected.is_err() || schema(connection).ok() != expected.ok() {
        report.add(None, Problem::Tables);
    }
    for table in ["head", "edge", "tile", "entry", "leaf"] {
        let others = if table == "head" {
            "(1, 2, 3)"
        } else {
            "(SELECT log FROM head)"
        };
        let query = format!("SELECT count(*) FROM {table} WHERE log NOT IN {others}");
        let count: rusqlite::Result<i64> = connection.query_row(&query, [], |row| row.get(0));
        if count != Ok(0) {
            report.add(None, Problem::StrayRows { table });
        }
    }
}

fn schema(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Fingerprints of the issuers, each checked against its certificate.
fn check_issuers(connection: &Connection, report: &mut FsckReport) -> BTreeSet<[u8; 32]> {
    let mut fingerprints = BTreeSet::new();
    let read = database::each_issuer(connection, |fingerprint, der| {
        if verify::Sha256Digest::of(&der).0 != fingerprint {
            report.add(
                LogKind::Certificates,
                Problem::Issuer {
                    fingerprint: hex::encode(fingerprint),
                },
            );
        }
        fingerprints.insert(fingerprint);
    });
    if let Err(error) = read {
        report.add(LogKind::Certificates, Problem::Unreadable { code: error.code() });
    }
    fingerprints
}

fn check_log(
    connection: &Connection,
    kind: LogKind,
    expected_key: Option<&PublicKey>,
    folder: &Folder,
    issuers: &BTreeSet<[u8; 32]>,
    named_issuers: &mut BTreeSet<[u8; 32]>,
    report: &mut FsckReport,
) -> Result<(), LogError> {
    let Some(head) = database::head(connection, kind)? else {
        if !folder.list.is_empty() {
            report.add(kind, Problem::Head);
        }
        return Ok(());
    };
    let Ok(key) = PublicKey::from_spki_der(&head.key) else {
        report.add(kind, Problem::Key);
        return Ok(());
    };
    if expected_key.is_some_and(|expected| *expected != key) {
        report.add(kind, Problem::Key);
    }
    let reader = LogReader {
        kind,
        origin: head.origin.clone(),
        key,
    };
    let mark = check_mark(&reader, &head, folder.mark.as_deref(), report);
    let rows = database::tiles(connection, kind)?;
    let mut rebuild = Rebuild {
        connection,
        reader: &reader,
        head: &head,
        files: &folder.files,
        rows: rows
            .into_iter()
            .map(|tile| ((tile.level, tile.index), tile.hashes))
            .collect(),
        issuers,
        named_issuers,
        report,
        tree: Tree::empty(),
        mark,
        newest_time_ms: 0,
    };
    rebuild.files()?;
    rebuild.entry_rows()?;
    rebuild.finish(&folder.list)
}

/// The copy of the checkpoint must be this log's and not newer than the head. An empty one is a crash's.
fn check_mark(reader: &LogReader, head: &Head, text: Option<&str>, report: &mut FsckReport) -> Option<(u64, NodeHash)> {
    let text = text.filter(|text| !text.is_empty())?;
    match reader.verify(text) {
        Some((said, _)) if said.size <= head.size => Some((said.size, said.root)),
        _ => {
            report.add(reader.kind, Problem::Mark);
            None
        }
    }
}

impl Rebuild<'_> {
    fn add(&mut self, problem: Problem) {
        self.report.add(self.reader.kind, problem);
    }

    /// Entries that are in bundle files.
    fn files(&mut self) -> Result<(), LogError> {
        let kind = self.reader.kind;
        if !self.head.archived.is_multiple_of(TILE_WIDTH) || self.head.archived > self.head.size {
            self.add(Problem::Head);
        }
        for bundle in 0..self.head.archived / TILE_WIDTH {
            let Some(bytes) = self.files.bundle(bundle)? else {
                self.add(Problem::BundleMissing { index: bundle });
                return Ok(());
            };
            let Some(entries) = kind.split_bundle(&bytes).filter(|entries| is_full(entries.len())) else {
                self.add(Problem::Bundle { index: bundle });
                return Ok(());
            };
            for entry in entries {
                self.entry(entry, None)?;
            }
        }
        Ok(())
    }

    /// Entries that are in the database; full bundles of them may be files already.
    fn entry_rows(&mut self) -> Result<(), LogError> {
        let (connection, kind, mut bundle) = (self.connection, self.reader.kind, Vec::new());
        database::each_entry(connection, kind, |index, hash, entry| {
            if index != self.tree.size() {
                self.add(Problem::EntryPlace { index });
                return Ok(());
            }
            kind.append_entry(&mut bundle, &entry);
            self.entry(&entry, Some(hash))?;
            if !self.tree.size().is_multiple_of(TILE_WIDTH) {
                return Ok(());
            }
            let full = std::mem::take(&mut bundle);
            if self.files.bundle(index / TILE_WIDTH)?.is_some_and(|file| file != full) {
                self.add(Problem::Bundle {
                    index: index / TILE_WIDTH,
                });
            }
            Ok(())
        })
    }

    fn entry(&mut self, entry: &[u8], stored_hash: Option<NodeHash>) -> Result<(), LogError> {
        let (index, kind) = (self.tree.size(), self.reader.kind);
        let expected = self.read_entry(index, entry);
        let hash = kind.leaf_hash(entry).filter(|_| expected.is_some());
        let (Some(hash), Some(expected)) = (hash, expected) else {
            self.add(Problem::Entry { index });
            self.push(verify::merkle::leaf_hash(entry))?;
            return Ok(());
        };
        if stored_hash.is_some_and(|stored| stored != hash) {
            self.add(Problem::LeafHash { index });
        }
        match database::leaf_by_index(self.connection, kind, index)? {
            Some(row) if self.is_row_of(&row, &expected, entry) => {
                self.newest_time_ms = self.newest_time_ms.max(row.time_ms);
            }
            _ => self.add(Problem::LeafRow { index }),
        }
        self.push(hash)
    }

    /// What the entry itself says of its row; none when it is not in its canonical form.
    fn read_entry(&mut self, index: u64, entry: &[u8]) -> Option<Expected> {
        let budget = Budget::default();
        let identity = verify::merkle::leaf_hash(entry);
        let canonical = || {
            Entry::parse(entry, &budget)
                .ok()
                .filter(|parsed| parsed.to_body() == entry)
        };
        match self.reader.kind {
            LogKind::Signature => {
                matches!(canonical()?, Entry::HashedRekordV002(_)).then_some(Expected::Bare(identity))
            }
            LogKind::Legacy => {
                let is_v1 = matches!(
                    canonical()?,
                    Entry::HashedRekordV001(_) | Entry::DsseV001(_) | Entry::IntotoV002(_)
                );
                is_v1.then_some(Expected::Promised(identity))
            }
            LogKind::Certificates => self.read_ct_entry(index, entry),
        }
    }

    fn read_ct_entry(&mut self, index: u64, entry: &[u8]) -> Option<Expected> {
        let (leaf, length) = TileLeaf::from_bytes(entry).ok()?;
        let chain = &leaf.chain_fingerprints;
        let is_whole = length == entry.len()
            && leaf.to_bytes() == entry
            && leaf.extensions == sct::leaf_index_extension(index)
            && chain.iter().all(|fingerprint| self.issuers.contains(fingerprint));
        self.named_issuers.extend(chain);
        let identity = match &leaf.logged {
            LoggedCertificate::Precertificate { issuer_key_hash, tbs } => {
                leaf::precertificate_identity(issuer_key_hash, tbs)
            }
            LoggedCertificate::Certificate(der) => leaf::certificate_identity(der),
        };
        is_whole.then_some(Expected::Timed {
            identity,
            time_ms: leaf.timestamp_ms,
        })
    }

    /// Whether the stored row says of the entry what the entry, or a signature, says.
    fn is_row_of(&self, row: &LeafRow, expected: &Expected, entry: &[u8]) -> bool {
        match expected {
            Expected::Bare(identity) => row.identity == *identity && row.time_ms == 0 && row.seal.is_empty(),
            Expected::Promised(identity) => {
                let key = &self.reader.key;
                let payload = leaf::promise_payload(entry, row.time_ms / 1000, &key.id().0, row.index);
                let scheme = SignatureScheme::Ecdsa(verify::HashAlgorithm::Sha256);
                row.identity == *identity
                    && row.time_ms.is_multiple_of(1000)
                    && key.verify(scheme, &payload, &row.seal).is_ok()
            }
            Expected::Timed { identity, time_ms } => {
                let seal = verify::Sha256Digest::of(entry).0;
                row.identity == *identity && row.time_ms == *time_ms && row.seal == seal
            }
        }
    }

    fn push(&mut self, hash: NodeHash) -> Result<(), LogError> {
        let mut filled = Vec::new();
        self.tree.push(hash, |tile| filled.push(tile));
        for tile in filled {
            self.tile(&tile)?;
        }
        if let Some((_, root)) = self.mark.take_if(|(size, _)| *size == self.tree.size())
            && root != self.tree.root()
        {
            self.add(Problem::Mark);
        }
        Ok(())
    }

    /// A full tile is a file, or a row, or both; all equal to what the entries give.
    fn tile(&mut self, tile: &FullTile) -> Result<(), LogError> {
        let FullTile { level, index, .. } = *tile;
        let row = self.rows.remove(&(level, index));
        let file = self.files.tile(level, index)?;
        let archived = index < tree::full_tiles(self.head.archived, level);
        let row_fits = if archived {
            row.is_none()
        } else {
            row.as_ref() == Some(&tile.hashes)
        };
        if !row_fits {
            self.add(Problem::TileRow { level, index });
        }
        let file_fits = file.map_or(!archived, |file| file == tile.hashes);
        if !file_fits {
            self.add(Problem::Tile { level, index });
        }
        Ok(())
    }

    /// What only the whole tree tells.
    fn finish(mut self, list: &[String]) -> Result<(), LogError> {
        let (kind, size, root) = (self.reader.kind, self.tree.size(), self.tree.root());
        if size != self.head.size {
            self.add(Problem::Size {
                head: self.head.size,
                entries: size,
            });
        }
        if root != self.head.root {
            self.add(Problem::Root);
        }
        self.checkpoint(size, root);
        if database::count_leaves(self.connection, kind)? != size {
            self.add(Problem::LeafCount);
        }
        for (level, index) in std::mem::take(&mut self.rows).into_keys() {
            self.add(Problem::TileRow { level, index });
        }
        let stored = database::upper_edge(self.connection, kind)?;
        let rebuilt: Vec<Vec<NodeHash>> = (1..self.tree.levels())
            .map(|level| self.tree.level(level).to_vec())
            .collect();
        if stored != rebuilt {
            self.add(Problem::Edge);
        }
        self.unexpected_files(list);
        let key_id = self.reader.key_id();
        self.report.logs.push(LogSummary {
            log: kind,
            origin: self.head.origin.clone(),
            key_id,
            size,
            root,
        });
        Ok(())
    }

    fn checkpoint(&mut self, size: u64, root: NodeHash) {
        let said = self.reader.verify(&self.head.checkpoint);
        let fits = said.is_some_and(|(said, time_ms)| {
            let late_enough = self.reader.kind != LogKind::Certificates || time_ms >= self.newest_time_ms;
            said.size == size && said.root == root && late_enough
        });
        if !fits {
            self.add(Problem::Checkpoint);
        }
        if self.mark.is_some() {
            self.add(Problem::Mark);
        }
    }

    /// Every file must be a full tile or bundle of this tree, or the copy of the checkpoint.
    fn unexpected_files(&mut self, list: &[String]) {
        let size = self.tree.size();
        let kind = self.reader.kind;
        let mut expected: BTreeSet<String> = (0..size / TILE_WIDTH).map(|at| files::bundle_path(kind, at)).collect();
        for level in 0..u8::try_from(self.tree.levels()).unwrap_or(u8::MAX) {
            expected.extend((0..tree::full_tiles(size, level)).map(|at| files::tile_path(level, at)));
        }
        expected.insert(MARK.to_owned());
        for path in list.iter().filter(|path| !expected.contains(*path)) {
            self.add(Problem::StrayFile { path: path.clone() });
        }
    }
}

fn is_full(count: usize) -> bool {
    u64::try_from(count) == Ok(TILE_WIDTH)
}
