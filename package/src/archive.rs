//! The `.crate` archive: gzip and tar, files only, one top folder `name-version/` [cargo, `cargo package`].
//!
//! The rules are those of an archive that cargo itself writes. What cargo never writes (links, devices, PAX headers, sparse
//! files, paths that leave the folder, two names for one file, bytes after the end) is refused, because readers differ on it.

use std::{collections::BTreeMap, io::Read};

use flate2::bufread::GzDecoder;
use serde::Deserialize;
use tar::EntryType;

use crate::{Error, error::shorten};

/// Limits on an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest `.crate`, in bytes; crates.io's default is 10 MiB.
    pub compressed_bytes: u64,
    /// Largest tar archive inside, in bytes; crates.io's is 512 MiB.
    pub unpacked_bytes: u64,
    /// Most members.
    pub files: usize,
    /// Largest `Cargo.toml`, `Cargo.toml.orig`, `Cargo.lock` or `.cargo_vcs_info.json`, in bytes.
    pub metadata_bytes: u64,
    /// Longest path, in bytes.
    pub path_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compressed_bytes: 10 << 20,
            unpacked_bytes: 512 << 20,
            files: 65_536,
            metadata_bytes: 4 << 20,
            path_bytes: 4096,
        }
    }
}

/// A `.crate` whose rules hold. The paths are relative to its top folder.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Size of each file by path.
    pub files: BTreeMap<String, u64>,
    /// `Cargo.toml`, as cargo normalized it.
    pub manifest: String,
    /// `Cargo.toml.orig`.
    pub original_manifest: Option<String>,
    /// `Cargo.lock`.
    pub lockfile: Option<String>,
    /// `.cargo_vcs_info.json`.
    pub vcs_info: Option<VcsInfo>,
}

/// `.cargo_vcs_info.json`: the commit that cargo packaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VcsInfo {
    /// 40 lowercase hexadecimal digits.
    pub commit: String,
    /// Whether the tree was dirty.
    pub dirty: bool,
    /// Folder of the package in the repository, empty at the root; none in crates of before Rust 1.57.
    pub path: Option<String>,
}

impl Archive {
    /// Reads an archive of this package.
    ///
    /// # Errors
    /// [`Error`] naming the first rule broken.
    pub fn read(bytes: &[u8], name: &str, version: &str, limits: &Limits) -> Result<Self, Error> {
        Self::read_with(bytes, name, version, limits, None::<fn(&str, &[u8])>)
    }

    /// [`Self::read`], handing each file's path and content to `visit` on the way. What was visited counts only when this succeeds.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn visit(
        bytes: &[u8],
        name: &str,
        version: &str,
        limits: &Limits,
        visit: impl FnMut(&str, &[u8]),
    ) -> Result<Self, Error> {
        Self::read_with(bytes, name, version, limits, Some(visit))
    }

    fn read_with(
        bytes: &[u8],
        name: &str,
        version: &str,
        limits: &Limits,
        visit: Option<impl FnMut(&str, &[u8])>,
    ) -> Result<Self, Error> {
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits.compressed_bytes {
            return Err(Error::TooLarge {
                what: "archive",
                limit: limits.compressed_bytes,
            });
        }
        let mut reading = Reading::new(format!("{name}-{version}"), limits, visit);
        let mut decoder = GzDecoder::new(bytes);
        let bounded = Bounded {
            inner: &mut decoder,
            left: limits.unpacked_bytes,
            exceeded: false,
        };
        let mut tar = tar::Archive::new(bounded);
        let walked = reading.walk(&mut tar);
        let mut rest = tar.into_inner();
        if rest.exceeded {
            return Err(Error::TooLarge {
                what: "unpacked archive",
                limit: limits.unpacked_bytes,
            });
        }
        walked?;
        only_zeros(&mut rest)?;
        if !decoder.into_inner().is_empty() {
            return Err(Error::TrailingBytes);
        }
        reading.finish()
    }
}

/// An archive half read.
struct Reading<'a, V> {
    folder: String,
    limits: &'a Limits,
    /// Without it only the metadata files are held in memory.
    visit: Option<V>,
    long_name: Option<Vec<u8>>,
    /// Lowercase paths, with NUL for `/`, and whether each is a folder.
    seen: BTreeMap<String, bool>,
    files: BTreeMap<String, u64>,
    metadata: BTreeMap<&'static str, String>,
}

impl<'a, V: FnMut(&str, &[u8])> Reading<'a, V> {
    fn new(folder: String, limits: &'a Limits, visit: Option<V>) -> Self {
        Self {
            folder,
            limits,
            visit,
            long_name: None,
            seen: BTreeMap::new(),
            files: BTreeMap::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// Raw members: GNU long names are joined here, so that nothing the tar library would resolve by itself slips by.
    fn walk<R: Read>(&mut self, tar: &mut tar::Archive<R>) -> Result<(), Error> {
        let mut members = 0_usize;
        for entry in tar.entries().map_err(|_| Error::Tar)?.raw(true) {
            let mut entry = entry.map_err(|_| Error::Tar)?;
            members = members.saturating_add(1);
            if members > self.limits.files {
                return Err(Error::TooManyFiles {
                    limit: self.limits.files,
                });
            }
            self.member(&mut entry)?;
        }
        if self.long_name.is_some() {
            Err(Error::Tar)
        } else {
            Ok(())
        }
    }

    fn member<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), Error> {
        let header = entry.header();
        let (kind, size) = (header.entry_type(), header.entry_size().map_err(|_| Error::Tar)?);
        if kind == EntryType::GNULongName {
            // In a header of before POSIX cargo takes one for a member, and reads the next under its own short name.
            if header.as_gnu().is_none() && header.as_ustar().is_none() {
                return Err(Error::Tar);
            }
            return self.long_name(entry, size);
        }
        let raw = self.long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let path = String::from_utf8(raw).map_err(|_| Error::MemberPath {
            path: "not UTF-8".to_owned(),
        })?;
        if let Some(kind) = forbidden_kind(kind) {
            return Err(Error::MemberType {
                path: shorten(&path),
                kind,
            });
        }
        let folder = kind == EntryType::Directory;
        let inside = self.inside(&path, folder)?;
        if folder {
            return if size == 0 { Ok(()) } else { Err(Error::Tar) };
        }
        self.file(&inside, size, entry)
    }

    /// A GNU long name: the path of the next member, ended by NUL.
    fn long_name<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, size: u64) -> Result<(), Error> {
        if self.long_name.is_some() {
            return Err(Error::Tar);
        }
        if size > self.limits.path_bytes {
            return Err(Error::TooLarge {
                what: "archive member path",
                limit: self.limits.path_bytes,
            });
        }
        let mut name = Vec::new();
        entry.read_to_end(&mut name).map_err(|_| Error::Tar)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        self.long_name = Some(name);
        Ok(())
    }

    /// The path inside the top folder, once the rules for paths hold.
    fn inside(&mut self, path: &str, folder: bool) -> Result<String, Error> {
        let forbidden = || Error::MemberPath { path: shorten(path) };
        let trimmed = if folder {
            path.strip_suffix('/').unwrap_or(path)
        } else {
            path
        };
        let longest = usize::try_from(self.limits.path_bytes).unwrap_or(usize::MAX);
        if trimmed.is_empty() || trimmed.len() > longest || trimmed.contains(FORBIDDEN_CHARACTERS) {
            return Err(forbidden());
        }
        if trimmed.chars().any(char::is_control) || trimmed.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(forbidden());
        }
        if self
            .seen
            .insert(trimmed.to_lowercase().replace('/', "\0"), folder)
            .is_some()
        {
            return Err(Error::DuplicateMember { path: shorten(path) });
        }
        let outside = || Error::TopFolder {
            path: shorten(path),
            folder: shorten(&self.folder),
        };
        let rest = trimmed.strip_prefix(self.folder.as_str()).ok_or_else(outside)?;
        match rest.strip_prefix('/') {
            Some(inside) => Ok(inside.to_owned()),
            None if folder && rest.is_empty() => Ok(String::new()),
            None => Err(outside()),
        }
    }

    fn file<R: Read>(&mut self, path: &str, size: u64, entry: &mut tar::Entry<'_, R>) -> Result<(), Error> {
        let kept = METADATA_FILES.into_iter().find(|name| *name == path);
        if kept.is_some() && size > self.limits.metadata_bytes {
            return Err(Error::TooLarge {
                what: "metadata file in the archive",
                limit: self.limits.metadata_bytes,
            });
        }
        if size > self.limits.unpacked_bytes {
            return Err(Error::TooLarge {
                what: "unpacked archive",
                limit: self.limits.unpacked_bytes,
            });
        }
        let mut content = Vec::new();
        let read = if kept.is_some() || self.visit.is_some() {
            let read = entry.read_to_end(&mut content).map_err(|_| Error::Tar)?;
            u64::try_from(read).unwrap_or(u64::MAX)
        } else {
            std::io::copy(entry, &mut std::io::sink()).map_err(|_| Error::Tar)?
        };
        if read != size {
            return Err(Error::Tar);
        }
        if let Some(visit) = &mut self.visit {
            visit(path, &content);
        }
        if let Some(name) = kept {
            let text = String::from_utf8(content).map_err(|_| Error::Manifest { field: "not UTF-8" })?;
            self.metadata.insert(name, text);
        }
        self.files.insert(path.to_owned(), size);
        Ok(())
    }

    /// No file is where another needs a folder, whatever the system thinks of case. In order, what is in a folder follows it at once.
    fn files_are_no_folders(&self) -> Result<(), Error> {
        let pairs = self.seen.iter().zip(self.seen.keys().skip(1));
        for ((path, folder), next) in pairs {
            if !folder
                && next
                    .strip_prefix(path.as_str())
                    .is_some_and(|rest| rest.starts_with('\0'))
            {
                return Err(Error::DuplicateMember {
                    path: shorten(&path.replace('\0', "/")),
                });
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Archive, Error> {
        self.files_are_no_folders()?;
        let vcs_info = self.metadata.remove(".cargo_vcs_info.json");
        Ok(Archive {
            manifest: self.metadata.remove("Cargo.toml").ok_or(Error::NoManifest)?,
            original_manifest: self.metadata.remove("Cargo.toml.orig"),
            lockfile: self.metadata.remove("Cargo.lock"),
            vcs_info: vcs_info.map(|text| VcsInfo::from_json(&text)).transpose()?,
            files: self.files,
        })
    }
}

impl VcsInfo {
    /// Reads `.cargo_vcs_info.json`.
    ///
    /// # Errors
    /// [`Error::VcsInfo`] when it is no such document.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Wire {
            git: Git,
            path_in_vcs: Option<String>,
        }
        #[derive(Deserialize)]
        struct Git {
            sha1: String,
            #[serde(default)]
            dirty: bool,
        }
        let wire: Wire = serde_json::from_str(text).map_err(|_| Error::VcsInfo)?;
        let hexadecimal = wire
            .git
            .sha1
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !hexadecimal || !matches!(wire.git.sha1.len(), 40 | 64) {
            return Err(Error::VcsInfo);
        }
        Ok(Self {
            commit: wire.git.sha1,
            dirty: wire.git.dirty,
            path: wire.path_in_vcs,
        })
    }
}

/// What a member is, when it is neither a file nor a folder.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else the format holds one day is refused"
)]
const fn forbidden_kind(kind: EntryType) -> Option<&'static str> {
    match kind {
        EntryType::Regular | EntryType::Directory => None,
        EntryType::Symlink => Some("symbolic link"),
        EntryType::Link => Some("hard link"),
        EntryType::Char | EntryType::Block => Some("device"),
        EntryType::Fifo => Some("named pipe"),
        EntryType::GNUSparse => Some("sparse file"),
        EntryType::GNULongLink => Some("long link name"),
        EntryType::XHeader | EntryType::XGlobalHeader => Some("PAX header"),
        _ => Some("member of unknown type"),
    }
}

/// Reads the rest of the unpacked stream, which may hold only the zeros that end a tar archive.
fn only_zeros<R: Read>(rest: &mut Bounded<R>) -> Result<(), Error> {
    let mut buffer = [0_u8; 4096];
    loop {
        let read = rest.read(&mut buffer);
        if rest.exceeded {
            return Err(Error::TrailingBytes);
        }
        match read.map_err(|_| Error::Gzip)? {
            0 => return Ok(()),
            count if buffer.iter().take(count).all(|byte| *byte == 0) => {}
            _ => return Err(Error::TrailingBytes),
        }
    }
}

/// A reader that fails beyond a limit, and remembers it.
struct Bounded<R> {
    inner: R,
    left: u64,
    exceeded: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX)) else {
            self.exceeded = true;
            return Err(std::io::Error::other("beyond the limit"));
        };
        self.left = left;
        Ok(count)
    }
}

/// Kept in memory while reading.
const METADATA_FILES: [&str; 4] = ["Cargo.toml", "Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json"];

/// Characters that cargo refuses in file names, because some systems cannot hold them.
const FORBIDDEN_CHARACTERS: [char; 8] = ['\\', '?', '*', ':', '"', '<', '>', '|'];

#[cfg(test)]
mod tests;
