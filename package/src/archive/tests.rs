use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, Header};

use super::*;

type Edit<'a> = &'a dyn Fn(&mut Builder<Vec<u8>>);

fn header(path: &str, kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    // Written by hand: the library refuses to write what these tests need.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(u64::try_from(size).unwrap());
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn put(tar: &mut Builder<Vec<u8>>, path: &str, content: &[u8]) {
    tar.append(&header(path, EntryType::Regular, content.len()), content)
        .unwrap();
}

fn tar(edit: Edit<'_>) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    put(&mut tar, "a-1.0.0/Cargo.toml", b"[package]");
    put(&mut tar, "a-1.0.0/src/lib.rs", b"//! a");
    edit(&mut tar);
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Archive, Error> {
    Archive::read(bytes, "a", "1.0.0", &Limits::default())
}

/// The code for an archive with one thing added to an honest one.
fn code(edit: Edit<'_>) -> &'static str {
    assert!(read(&gzip(&tar(&|_| ()))).is_ok(), "the unharmed archive is read");
    read(&gzip(&tar(edit))).unwrap_err().code()
}

#[test]
fn an_honest_archive_is_read() {
    let mut visited = Vec::new();
    let bytes = gzip(&tar(&|tar| {
        put(
            tar,
            "a-1.0.0/.cargo_vcs_info.json",
            br#"{"git":{"sha1":"0123456789012345678901234567890123456789"},"path_in_vcs":"p"}"#,
        );
    }));
    let archive = Archive::visit(&bytes, "a", "1.0.0", &Limits::default(), |path, content| {
        visited.push((path.to_owned(), content.len()));
    })
    .unwrap();
    assert_eq!(
        (archive.manifest.as_str(), archive.files["src/lib.rs"]),
        ("[package]", 5)
    );
    assert_eq!(archive.vcs_info.unwrap().path.as_deref(), Some("p"));
    assert_eq!(visited[1], ("src/lib.rs".to_owned(), 5));
}

#[test]
fn a_long_gnu_name_is_joined() {
    let path = format!("a-1.0.0/{}", "long/".repeat(40));
    let bytes = tar(&|tar| {
        let mut header = Header::new_gnu();
        header.set_size(1);
        tar.append_data(&mut header, format!("{path}x"), &b"1"[..]).unwrap();
    });
    assert_eq!(read(&gzip(&bytes)).unwrap().files.len(), 3);
}

#[test]
fn links_devices_and_extended_headers_are_refused() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::GNULongLink,
    ] {
        let found = code(&|tar| tar.append(&header("a-1.0.0/x", kind, 0), &b""[..]).unwrap());
        assert_eq!(found, "package-member-type", "{kind:?}");
    }
}

#[test]
fn paths_that_leave_or_that_some_systems_cannot_hold_are_refused() {
    for path in [
        "a-1.0.0/../../x",
        "/etc/x",
        "a-1.0.0//x",
        "a-1.0.0/./x",
        "a-1.0.0/b\\c",
        "a-1.0.0/c:x",
        "a-1.0.0/\u{1}",
    ] {
        assert_eq!(code(&|tar| put(tar, path, b"")), "package-member-path", "{path}");
    }
}

#[test]
fn a_second_top_folder_is_refused() {
    for path in ["b-1.0.0/x", "a-1.0.0x/y", "x", "A-1.0.0/x"] {
        assert_eq!(code(&|tar| put(tar, path, b"")), "package-top-folder", "{path}");
    }
}

#[test]
fn duplicates_and_case_clashes_are_refused() {
    for path in ["a-1.0.0/Cargo.toml", "a-1.0.0/cargo.toml", "a-1.0.0/SRC/lib.rs"] {
        assert_eq!(code(&|tar| put(tar, path, b"")), "package-duplicate-member", "{path}");
    }
}

#[test]
fn a_file_where_another_needs_a_folder_is_refused() {
    let beside = gzip(&tar(&|tar| {
        put(tar, "a-1.0.0/src.rs", b"");
        put(tar, "a-1.0.0/src-more/lib.rs", b"");
        tar.append(&header("a-1.0.0/src/", EntryType::Directory, 0), &b""[..])
            .unwrap();
    }));
    assert_eq!(read(&beside).unwrap().files.len(), 4);
    for path in ["a-1.0.0/src", "a-1.0.0/SRC", "a-1.0.0/src/lib.rs/more"] {
        assert_eq!(code(&|tar| put(tar, path, b"")), "package-duplicate-member", "{path}");
    }
}

#[test]
fn a_long_name_that_cargo_takes_for_a_member_is_refused() {
    let with = |magic: &'static [u8]| {
        tar(&|tar| {
            let mut name = header("a-1.0.0/x", EntryType::GNULongName, 18);
            name.as_mut_bytes()[257..257 + magic.len()].copy_from_slice(magic);
            name.set_cksum();
            tar.append(&name, &b"a-1.0.0/benign.rs\0"[..]).unwrap();
            put(tar, "a-1.0.0/build.rs", b"fn main() {}");
        })
    };
    let honest = read(&gzip(&with(b"ustar  \0"))).unwrap();
    assert!(honest.files.contains_key("benign.rs"));
    assert_eq!(read(&gzip(&with(&[0; 8]))).unwrap_err(), Error::Tar);
}

#[test]
fn a_dangling_long_name_is_refused() {
    assert_eq!(
        code(&|tar| tar
            .append(&header("././@LongLink", EntryType::GNULongName, 2), &b"x\0"[..])
            .unwrap()),
        "package-tar"
    );
}

#[test]
fn what_is_not_gzip_or_not_tar_is_refused() {
    assert!(matches!(read(b"not gzip at all"), Err(Error::Tar | Error::Gzip)));
    assert_eq!(read(&gzip(&[b'x'; 2048])).unwrap_err(), Error::Tar);
    let whole = gzip(&tar(&|_| ()));
    assert!(read(&whole[..whole.len() / 2]).is_err());
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut outside = gzip(&tar(&|_| ()));
    outside.push(0);
    assert_eq!(read(&outside).unwrap_err(), Error::TrailingBytes);
    let mut member = gzip(&tar(&|_| ()));
    member.extend(gzip(b"more"));
    assert_eq!(read(&member).unwrap_err(), Error::TrailingBytes);
    let mut inside = tar(&|_| ());
    inside.extend([0; 512]);
    assert!(read(&gzip(&inside)).is_ok(), "padding with zeros is what tar does");
    inside.extend([1; 512]);
    assert_eq!(read(&gzip(&inside)).unwrap_err(), Error::TrailingBytes);
}

#[test]
fn every_limit_holds() {
    let bytes = gzip(&tar(&|_| ()));
    let with = |limits: Limits| Archive::read(&bytes, "a", "1.0.0", &limits).map_err(|error| error.code());
    let honest = Limits {
        compressed_bytes: u64::try_from(bytes.len()).unwrap(),
        unpacked_bytes: 4096,
        files: 2,
        metadata_bytes: 9,
        path_bytes: 18,
    };
    assert!(with(honest.clone()).is_ok());
    assert_eq!(
        with(Limits {
            compressed_bytes: honest.compressed_bytes - 1,
            ..honest.clone()
        })
        .unwrap_err(),
        "package-too-large"
    );
    assert_eq!(
        with(Limits {
            unpacked_bytes: 1024,
            ..honest.clone()
        })
        .unwrap_err(),
        "package-too-large"
    );
    assert_eq!(
        with(Limits {
            files: 1,
            ..honest.clone()
        })
        .unwrap_err(),
        "package-too-many-files"
    );
    assert_eq!(
        with(Limits {
            metadata_bytes: 8,
            ..honest.clone()
        })
        .unwrap_err(),
        "package-too-large"
    );
    assert_eq!(
        with(Limits {
            path_bytes: 17,
            ..honest
        })
        .unwrap_err(),
        "package-member-path"
    );
}

#[test]
fn a_bomb_is_not_unpacked() {
    let bomb = gzip(&vec![0; 8 << 20]);
    assert!(bomb.len() < 64 << 10);
    let limits = Limits {
        unpacked_bytes: 1 << 20,
        ..Limits::default()
    };
    assert!(Archive::read(&bomb, "a", "1.0.0", &limits).is_err());
    let large = tar(&|tar| put(tar, "a-1.0.0/zeros", &vec![0; 4 << 20]));
    let refused = Archive::read(&gzip(&large), "a", "1.0.0", &limits).unwrap_err();
    assert_eq!(refused.code(), "package-too-large");
}

#[test]
fn vcs_info_is_read_strictly() {
    let honest = format!(r#"{{"git":{{"sha1":"{}"}},"path_in_vcs":""}}"#, "a".repeat(40));
    assert!(VcsInfo::from_json(&honest).is_ok());
    for damaged in [
        honest.replace("aaaa", "aaaA"),
        honest.replace("aaaa", "aaa"),
        honest.replace("git", "hg"),
    ] {
        assert_eq!(VcsInfo::from_json(&damaged), Err(Error::VcsInfo));
    }
}

#[test]
fn an_archive_without_a_manifest_is_refused() {
    let mut tar = Builder::new(Vec::new());
    put(&mut tar, "a-1.0.0/src/lib.rs", b"");
    assert_eq!(read(&gzip(&tar.into_inner().unwrap())).unwrap_err(), Error::NoManifest);
}
