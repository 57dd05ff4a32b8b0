//! Full tiles and full entry bundles as files: put once, never changed, durable before the database forgets them [C2SP tlog-tiles].
//!
//! Trust: whoever can change a tile file can make proofs fail, never make a false one hold: readers check them against a checkpoint.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use verify::tile::{self, TileId};

use super::{
    LogError, LogKind,
    crash::{Crash, CrashPoint},
};

/// The folder of one log.
#[derive(Clone, Debug)]
pub(super) struct Files {
    kind: LogKind,
    folder: PathBuf,
    temporary: PathBuf,
    crash: Crash,
}

/// What a put is about, for its crash points.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Tile,
    Bundle,
}

impl Files {
    /// The files of a log below the data folder. Creates nothing.
    pub(super) fn new(data: &Path, kind: LogKind, crash: Crash) -> Self {
        Self {
            kind,
            folder: data.join(kind.name()),
            temporary: data.join(TEMPORARY),
            crash,
        }
    }

    /// The bytes of a full tile; none when there is no such file.
    pub(super) fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, LogError> {
        self.read(&tile_path(level, index))
    }

    /// The bytes of a full entry bundle; none when there is no such file.
    pub(super) fn bundle(&self, index: u64) -> Result<Option<Vec<u8>>, LogError> {
        self.read(&bundle_path(self.kind, index))
    }

    /// Writes a file that must not change afterwards; durable on return. An equal file that is there already is fine.
    ///
    /// Written under a temporary name, flushed, linked to its own name (which fails when that exists), and the folder flushed.
    pub(super) fn put(&self, path: &str, bytes: &[u8], content: Content) -> Result<(), LogError> {
        let (lost, kept) = match content {
            Content::Tile => (CrashPoint::TileLost, CrashPoint::TileKept),
            Content::Bundle => (CrashPoint::BundleLost, CrashPoint::BundleKept),
        };
        let target = self.folder.join(path);
        let parent = target.parent().unwrap_or(&self.folder).to_owned();
        create_folder(&parent)?;
        create_folder(&self.temporary)?;
        let temporary = self.write_temporary(bytes)?;
        self.crash.reach(lost)?;
        let linked = fs::hard_link(&temporary, &target);
        fs::remove_file(&temporary).map_err(LogError::file("remove", &temporary))?;
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let present = fs::read(&target).map_err(LogError::file("read", &target))?;
                if present != bytes {
                    return Err(LogError::TileConflict { path: target });
                }
            }
            Err(error) => return Err(LogError::file("create", &target)(error)),
        }
        self.crash.reach(kept)?;
        flush_folder(&parent)
    }

    /// The copy of the newest checkpoint beside the tiles: evidence, should the database be replaced by an older one.
    pub(super) fn mark(&self) -> Result<Option<String>, LogError> {
        Ok(self
            .read(MARK)?
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Replaces the copy of the newest checkpoint.
    pub(super) fn put_mark(&self, checkpoint: &str) -> Result<(), LogError> {
        create_folder(&self.folder)?;
        create_folder(&self.temporary)?;
        let target = self.folder.join(MARK);
        let temporary = self.write_temporary(checkpoint.as_bytes())?;
        self.crash.reach(CrashPoint::MarkLost)?;
        fs::rename(&temporary, &target).map_err(LogError::file("replace", &target))?;
        self.crash.reach(CrashPoint::MarkKept)
    }

    /// Entries that full bundles or full leaf tiles on disk prove, whatever the database says.
    pub(super) fn proven_size(&self) -> Result<u64, LogError> {
        let mut tiles = 0;
        for directory in ["0", self.kind.bundle_directory()] {
            for path in list(&self.folder.join("tile").join(directory))? {
                if let Ok((index, 256)) = tile::parse_index_path(&path) {
                    tiles = tiles.max(index.saturating_add(1));
                }
            }
        }
        Ok(tiles.saturating_mul(super::tree::TILE_WIDTH))
    }

    /// Every file below the log's folder, as relative paths with `/`, in no order.
    pub(super) fn list(&self) -> Result<Vec<String>, LogError> {
        list(&self.folder)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LogError> {
        let path = self.folder.join(path);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::file("read", &path)(error)),
        }
    }

    /// Only the archiver writes, one file at a time, so each log needs one temporary name.
    fn write_temporary(&self, bytes: &[u8]) -> Result<PathBuf, LogError> {
        let path = self.temporary.join(self.kind.name());
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(LogError::file("write", &path))?;
        metrics::counter!("log_file_fsyncs_total", "log" => self.kind.name()).increment(1);
        Ok(path)
    }
}

/// `tile/<L>/<N>` of a full tile.
pub(super) fn tile_path(level: u8, index: u64) -> String {
    TileId {
        level,
        index,
        width: 256,
    }
    .path()
}

/// `tile/entries/<N>` or `tile/data/<N>` of a full bundle.
pub(super) fn bundle_path(kind: LogKind, index: u64) -> String {
    tile::bundle_path(kind.bundle_directory(), index, 256)
}

/// Creates a folder and those above it, each durably.
pub(super) fn create_folder(path: &Path) -> Result<(), LogError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_folder(parent)?;
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(LogError::file("create the folder", path)(error));
            }
            _ => return flush_folder(parent),
        }
    }
    fs::create_dir_all(path).map_err(LogError::file("create the folder", path))
}

/// Makes the names in a folder durable.
pub(super) fn flush_folder(path: &Path) -> Result<(), LogError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(LogError::file("flush the folder", path))
}

fn list(folder: &Path) -> Result<Vec<String>, LogError> {
    let mut found = Vec::new();
    let mut waiting = vec![(folder.to_owned(), String::new())];
    while let Some((path, prefix)) = waiting.pop() {
        let items = match fs::read_dir(&path) {
            Ok(items) => items,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(LogError::file("list", &path)(error)),
        };
        for item in items {
            let item = item.map_err(LogError::file("list", &path))?;
            let name = format!("{prefix}{}", item.file_name().to_string_lossy());
            let is_folder = item.file_type().map_err(LogError::file("list", &path))?.is_dir();
            if is_folder {
                waiting.push((item.path(), format!("{name}/")));
            } else {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// The copy of the newest checkpoint, beside `tile/`.
pub(super) const MARK: &str = "checkpoint";

/// Folder of half-written files, below the data folder. What a crash leaves there is overwritten or ignored.
pub(super) const TEMPORARY: &str = "tmp";
