//! What a commit of a git repository holds, read by `git` itself.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Seek as _, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use verify::{HashAlgorithm, Sha256Digest, artifact::ArtifactHasher};

use super::Error;
use crate::file;

/// A commit that a branch or tag of a clone holds.
pub(super) struct Repository {
    folder: PathBuf,
    commit: String,
    blobs: Option<Blobs>,
    /// What was read already.
    digests: BTreeMap<String, Sha256Digest>,
}

/// `git cat-file --batch`, asked blob by blob.
struct Blobs {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

/// The files of a commit.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Ids by path.
    files: BTreeMap<String, String>,
    /// Where symbolic links lead, by path.
    links: BTreeMap<String, String>,
}

impl Repository {
    /// Opens a clone at a commit that must be on a branch or tag: hosts serve the commits of every fork, too.
    ///
    /// # Errors
    /// The commit is not there, or git cannot look.
    pub(super) fn open(folder: &Path, commit: &str) -> Result<Self, Error> {
        let repository = Self {
            folder: folder.to_owned(),
            commit: commit.to_owned(),
            blobs: None,
            digests: BTreeMap::new(),
        };
        if commit.len() != 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(repository.failed("it is no commit id"));
        }
        let kinds = ["refs/heads", "refs/tags", "refs/remotes"];
        let arguments = ["for-each-ref", "--count=1", "--format=%(refname)", "--contains", commit];
        let holding = repository.output(arguments.iter().chain(&kinds))?;
        if holding.is_empty() {
            return Err(Error::Unreachable {
                folder: repository.folder.display().to_string(),
                commit: repository.commit,
            });
        }
        Ok(repository)
    }

    /// Every file and symbolic link of the commit. What submodules hold is not among them.
    ///
    /// # Errors
    /// Git cannot look.
    pub(super) fn tree(&mut self) -> Result<Tree, Error> {
        let listing = self.output(["ls-tree", "-r", "-z", "--full-tree", &self.commit])?;
        let mut tree = Tree::default();
        for entry in listing.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            // A path that is not UTF-8 is none that a crate has.
            let Ok(entry) = std::str::from_utf8(entry) else {
                continue;
            };
            let Some((mode, id, path)) = read_entry(entry) else {
                return Err(self.failed("`git ls-tree` lists something unknown"));
            };
            match mode {
                "100644" | "100755" => {
                    tree.files.insert(path.to_owned(), id.to_owned());
                }
                "120000" => {
                    let mut target = Vec::new();
                    self.read(id, |piece| {
                        // What no system takes for a link leads nowhere; the rest of it is passed over.
                        if target.len() <= LINK_BYTES {
                            target.extend_from_slice(piece);
                        }
                    })?;
                    if target.len() > LINK_BYTES {
                        continue;
                    }
                    tree.links
                        .insert(path.to_owned(), String::from_utf8_lossy(&target).into_owned());
                }
                _ => {}
            }
        }
        Ok(tree)
    }

    /// SHA-256 of a blob's content.
    ///
    /// # Errors
    /// Git cannot look.
    pub(super) fn digest(&mut self, id: &str) -> Result<Sha256Digest, Error> {
        if let Some(known) = self.digests.get(id) {
            return Ok(*known);
        }
        let mut hasher = ArtifactHasher::new(&[HashAlgorithm::Sha256]);
        self.read(id, |piece| hasher.update(piece))?;
        let digest = file::sha256_of(&hasher.finish());
        self.digests.insert(id.to_owned(), digest);
        Ok(digest)
    }

    fn read(&mut self, id: &str, take: impl FnMut(&[u8])) -> Result<(), Error> {
        if self.blobs.is_none() {
            self.blobs = Some(self.start()?);
        }
        let read = self.blobs.as_mut().and_then(|blobs| blobs.read(id, take));
        read.ok_or_else(|| self.failed(&format!("`git cat-file` does not give blob {id}")))
    }

    fn start(&self) -> Result<Blobs, Error> {
        let mut command = self.git(["cat-file", "--batch"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| self.failed(&error.to_string()))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(ask), Some(answer)) => Ok(Blobs {
                child,
                ask,
                answer: BufReader::new(answer),
            }),
            _ => Err(self.failed("`git cat-file` has no pipes")),
        }
    }

    fn output<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Vec<u8>, Error> {
        let failed = |error: std::io::Error| self.failed(&error.to_string());
        let mut errors = tempfile::tempfile().map_err(failed)?;
        let mut command = self.git(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(errors.try_clone().map_err(failed)?);
        let mut child = command.spawn().map_err(failed)?;
        let mut said = Vec::new();
        let answer = child.stdout.take();
        let read = answer.map_or(Ok(0), |answer| answer.take(OUTPUT_BYTES).read_to_end(&mut said));
        // What it has not written yet it cannot write any more, so it ends.
        let status = child.wait().map_err(failed)?;
        read.map_err(failed)?;
        if u64::try_from(said.len()).is_ok_and(|length| length >= OUTPUT_BYTES) {
            return Err(self.failed("git lists more files than any repository of crates has"));
        }
        if status.success() {
            return Ok(said);
        }
        let mut why = Vec::new();
        errors.rewind().map_err(failed)?;
        errors.take(CAUSE_BYTES).read_to_end(&mut why).map_err(failed)?;
        Err(self.failed(String::from_utf8_lossy(&why).trim()))
    }

    /// Git, which may neither take one object for another nor fetch what is missing, and sees no variable that leads it elsewhere.
    fn git<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        for name in ["PATH", "HOME", "SYSTEMROOT"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("LC_ALL", "C")
            .args(["--no-replace-objects", "-c", "protocol.allow=never", "-C"])
            .arg(&self.folder)
            .args(arguments);
        command
    }

    fn failed(&self, cause: &str) -> Error {
        Error::Git {
            folder: self.folder.display().to_string(),
            commit: self.commit.clone(),
            cause: cause.to_owned(),
        }
    }
}

impl Blobs {
    /// The content of a blob, piece by piece.
    fn read(&mut self, id: &str, mut take: impl FnMut(&[u8])) -> Option<()> {
        writeln!(self.ask, "{id}").ok()?;
        self.ask.flush().ok()?;
        let mut header = String::new();
        self.answer.read_line(&mut header).ok()?;
        let size = header
            .strip_prefix(id)?
            .strip_prefix(" blob ")?
            .trim_end()
            .parse()
            .ok()?;
        let mut content = Read::by_ref(&mut self.answer).take(size);
        let mut left = size;
        let mut piece = [0; PIECE_BYTES];
        while left > 0 {
            let count = content.read(&mut piece).ok().filter(|count| *count > 0)?;
            take(piece.get(..count)?);
            left = left.saturating_sub(u64::try_from(count).ok()?);
        }
        let mut end = [0];
        self.answer.read_exact(&mut end).ok()?;
        (end == *b"\n").then_some(())
    }
}

impl Drop for Blobs {
    fn drop(&mut self) {
        // It reads no more; where it has ended by itself, there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Tree {
    /// The blob at `path` below `base`, through symbolic links that stay within the commit.
    pub(super) fn blob(&self, base: &str, path: &str) -> Option<&str> {
        let mut place = normal("", &format!("{base}/{path}"))?;
        for _ in 0..MOST_LINKS {
            if let Some(id) = self.files.get(&place) {
                return Some(id);
            }
            place = self.followed(&place)?;
        }
        None
    }

    /// The blobs of this file name, in whatever folder.
    pub(super) fn named(&self, name: &str) -> Vec<&str> {
        let is_named = |path: &str| path.rsplit('/').next() == Some(name);
        let files = self.files.iter().filter(|(path, _)| is_named(path));
        files.map(|(_, id)| id.as_str()).collect()
    }

    /// The path after the first link in it is followed.
    fn followed(&self, path: &str) -> Option<String> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let (head, rest) = path.split_at_checked(end)?;
            if let Some(target) = self.links.get(head) {
                if target.starts_with('/') {
                    return None;
                }
                let folder = head.rsplit_once('/').map_or("", |(folder, _)| folder);
                return normal(folder, &format!("{target}{rest}"));
            }
        }
        None
    }
}

/// A path below `folder` without empty parts, `.` and `..`; nothing when it leaves the tree.
fn normal(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// `MODE TYPE ID<TAB>PATH`
fn read_entry(entry: &str) -> Option<(&str, &str, &str)> {
    let (facts, path) = entry.split_once('\t')?;
    let mut facts = facts.split(' ');
    let (mode, _, id) = (facts.next()?, facts.next()?, facts.next()?);
    Some((mode, id, path))
}

/// As Linux.
const MOST_LINKS: usize = 40;
/// As Linux: `PATH_MAX`.
const LINK_BYTES: usize = 4096;
/// The list of a million files; the Linux kernel has 90 000.
const OUTPUT_BYTES: u64 = 128 << 20;
/// What git says of a failure is a line or two.
const CAUSE_BYTES: u64 = 4 << 10;
const PIECE_BYTES: usize = 16 << 10;
