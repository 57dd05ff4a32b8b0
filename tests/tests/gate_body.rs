//! Bodies that the gate does not read to their end: whoever sends one is told why, and not cut off in the middle.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use tests::{
    Gatehouse,
    gatehouse::{EVERYBODY, Setting},
};

fn open(more: &str) -> Gatehouse {
    let binary = Path::new(env!("CARGO_BIN_EXE_sandbox"));
    let mut scene = Gatehouse::open(binary, |_| Setting::policy(EVERYBODY)).expect("a gate");
    scene.gate.kill();
    let file = scene.gate.file("gate.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, format!("{more}{text}")).expect("a configuration");
    scene.gate.serve().expect("a gate");
    scene
}

/// Unmodified cargo, with a crate of many megabytes that do not compress.
#[test]
fn cargo_is_told_that_its_crate_is_too_large() {
    for (limit, accepted) in [("archive-bytes = 40000000\n", true), ("archive-bytes = 1000\n", false)] {
        let scene = open(limit);
        let project = scene.project("crockford");
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        });
        let noise: Vec<u8> = noise.take(9_000_000).collect();
        std::fs::write(project.folder.join("src/noise"), noise).expect("a file");
        for _ in 0..5 {
            let outcome = scene.cargo(
                &project,
                &["publish", "--no-verify", "--allow-dirty", "--registry", "gate"],
            );
            if accepted {
                assert_eq!(outcome.code, Some(0), "{}", outcome.said());
                break;
            }
            assert!(outcome.stderr.contains("package-too-large"), "{}", outcome.said());
        }
    }
}

/// A client that sends everything before it looks for an answer, as many do.
#[test]
fn who_sends_everything_first_is_told_too_and_may_go_on() {
    let scene = open("archive-bytes = 1000\n");
    let address = scene.gate.url().replace("http://", "");
    for size in [100, 8_000_000, 60_000_000] {
        let mut connection = TcpStream::connect(&address).expect("the gate");
        let head = format!("PUT /api/v1/crates/new HTTP/1.1\r\nhost: {address}\r\ncontent-length: {size}\r\n\r\n");
        connection.write_all(head.as_bytes()).expect("a head");
        // Too much for anybody's patience ends with the connection.
        let sent = connection.write_all(&vec![b'x'; size]);
        assert!(sent.is_ok() || size > 32_000_000, "{size}: {sent:?}");
        if sent.is_err() {
            continue;
        }
        let again = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let asked = connection.write_all(again.as_bytes());
        let mut answers = String::new();
        drop(connection.read_to_string(&mut answers));
        let code = if size == 100 {
            "publish-request"
        } else {
            "package-too-large"
        };
        assert!(answers.contains(code), "{size}: {answers}");
        if size < 32_000_000 {
            asked.expect("the connection is open");
            assert!(answers.ends_with("ok\n"), "{size}: {answers}");
        } else {
            assert!(answers.contains("connection: close"), "{size}: {answers}");
        }
    }
}
