//! What an archive that is read holds is what cargo finds and unpacks, below one folder; and no limit is exceeded on the way.
#![no_main]

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Write as _},
    path::{Component, Path, PathBuf},
};

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use package::{Archive, Limits};
use tar::Header;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        archive(bytes);
    } else {
        archive(&gzip(&mended(bytes)));
    }
});

fn archive(bytes: &[u8]) {
    let limits = Limits {
        compressed_bytes: 1 << 20,
        unpacked_bytes: 1 << 18,
        files: 32,
        metadata_bytes: 4096,
        path_bytes: 200,
    };
    let (mut visited, mut total) = (BTreeMap::new(), 0);
    let read = Archive::visit(bytes, "a", "1.0.0", &limits, |path, content| {
        total += content.len();
        visited.insert(path.to_owned(), content.to_vec());
    });
    assert!(
        total <= 1 << 18 && visited.len() <= limits.files,
        "whether it is read or not"
    );
    let unvisited = Archive::read(bytes, "a", "1.0.0", &limits);
    assert_eq!(unvisited.as_ref().err(), read.as_ref().err());
    let Ok(archive) = read else { return };
    assert!(archive.manifest.len() <= 4096);
    assert_eq!(
        visited.get("Cargo.toml").map(Vec::as_slice),
        Some(archive.manifest.as_bytes())
    );
    let sizes = visited.iter().map(|(path, content)| (path, content.len()));
    assert!(
        sizes.eq(archive
            .files
            .iter()
            .map(|(path, size)| (path, usize::try_from(*size).expect("a size"))))
    );
    assert_eq!(unpacked(bytes), visited);
}

/// What cargo unpacks, from a folder of this process.
fn unpacked(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("fuzz-archive-{}", std::process::id()));
    // The first time there is none; where it cannot be removed, what is in it shows as a difference.
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).expect("a folder");
    let mut tar = tar::Archive::new(GzDecoder::new(bytes));
    for entry in tar.entries().expect("members") {
        let mut entry = entry.expect("a member");
        let path = entry.path().expect("a path").into_owned();
        assert!(path.starts_with("a-1.0.0"), "cargo refuses the crate: {path:?}");
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
        assert!(entry.unpack_in(&folder).expect("an unpacked member"));
    }
    let mut found = BTreeMap::new();
    collect(&folder, Path::new(""), &mut found);
    fs::remove_dir_all(&folder).expect("an empty folder");
    let inside = |(path, content): (PathBuf, Vec<u8>)| {
        let path = path.strip_prefix("a-1.0.0").expect("one top folder");
        (path.to_str().expect("UTF-8").to_owned(), content)
    };
    found.into_iter().map(inside).collect()
}

fn collect(folder: &Path, inside: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("a folder entry");
        let (kind, inside) = (entry.file_type().expect("a kind"), inside.join(entry.file_name()));
        assert!(kind.is_file() || kind.is_dir(), "{inside:?} is neither file nor folder");
        if kind.is_dir() {
            collect(&entry.path(), &inside, found);
        } else {
            found.insert(inside, fs::read(entry.path()).expect("a file"));
        }
    }
}

/// The tar archive with the checksum that each header should have: no mutation would get past the first otherwise.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(end) = usize::checked_add(at, 512)
        && let Some(block) = bytes.get_mut(at..end)
    {
        let header = Header::from_byte_slice(block);
        let size = header.entry_size().unwrap_or(0);
        let mut owned = header.clone();
        owned.set_cksum();
        block.copy_from_slice(owned.as_bytes());
        let Some(next) = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_next_multiple_of(512))
        else {
            break;
        };
        let Some(next) = next.checked_add(end) else { break };
        at = next;
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Cursor::new(Vec::new()), Compression::none());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory").into_inner()
}
