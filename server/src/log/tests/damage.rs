//! `fsck` finds every single-byte change of every file and every stored field; broken storage never leaves half a commit.

use rusqlite::{Connection, types::Value};

use super::*;
use crate::log::{database, fsck};

/// A folder with entries in files and in rows of the CT log, whose entries are checked fastest, and a few in the other logs;
/// closed.
async fn filled(bench: &Bench) {
    let logs = bench.open();
    logs.fill(0, 5).await;
    fill_ct(&logs).await;
    for _ in 0..3 {
        let key = SigningKey::generate_p256().unwrap();
        let router = logs.legacy.router();
        let url = serve(router).await;
        let answer = http()
            .post(format!("{url}/api/v1/log/entries"))
            .json(&v1::hashedrekord(&key, b"x"))
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 201);
    }
    archived(&bench.open_ct_state(&logs)).await;
    drop(logs);
}

async fn fill_ct(logs: &Logs) {
    futures_util::future::join_all((0..300).map(|number| logs.log_certificate(number))).await;
}

fn connection(bench: &Bench) -> Connection {
    Connection::open(bench.data().join("logs.sqlite")).unwrap()
}

#[tokio::test]
async fn an_honest_folder_is_clean() {
    let bench = Bench::new();
    filled(&bench).await;
    let started = std::time::Instant::now();
    let report = fsck(&bench.data()).unwrap();
    eprintln!("fsck of {} logs took {:?}", report.logs.len(), started.elapsed());
    assert_eq!(report.findings, []);
    let sizes: Vec<_> = report.logs.iter().map(|log| (log.log, log.size)).collect();
    assert_eq!(
        sizes,
        [
            (LogKind::Signature, 6),
            (LogKind::Legacy, 4),
            (LogKind::Certificates, 301)
        ]
    );
}

#[tokio::test]
async fn an_open_folder_is_clean_too() {
    let bench = Bench::new();
    let logs = bench.open();
    for round in 0..6 {
        logs.fill(round * 100, 100).await;
        assert_eq!(fsck(&bench.data()).unwrap().findings, [], "round {round}");
    }
}

#[tokio::test]
async fn every_changed_byte_of_a_file_is_found() {
    let bench = Bench::new();
    filled(&bench).await;
    let folder = bench.data().join("ct");
    let mut tried = 0;
    for path in ["tile/0/000", "tile/data/000", "checkpoint"] {
        let path = folder.join(path);
        let honest = std::fs::read(&path).unwrap();
        // Every other byte of the first entry, and every 401st of the rest, which have the same structure.
        for at in (0..honest.len()).filter(|at| at % 2 == 0 && (honest.len() < 1000 || *at < 320) || at % 401 == 0) {
            let mut bytes = honest.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert!(!fsck(&bench.data()).unwrap().is_clean(), "{} byte {at}", path.display());
            tried += 1;
        }
        std::fs::write(&path, &honest[..honest.len() - 1]).unwrap();
        assert!(!fsck(&bench.data()).unwrap().is_clean(), "{} cut", path.display());
        std::fs::remove_file(&path).unwrap();
        let without_mark = path.ends_with("checkpoint");
        assert_eq!(
            fsck(&bench.data()).unwrap().is_clean(),
            without_mark,
            "{} missing",
            path.display()
        );
        std::fs::write(&path, &honest).unwrap();
    }
    assert!(tried > 300, "only {tried} changes tried");
    std::fs::write(folder.join("tile/0/001"), [0; 8192]).unwrap();
    assert!(!fsck(&bench.data()).unwrap().is_clean(), "a tile too many");
    std::fs::remove_file(folder.join("tile/0/001")).unwrap();
    assert!(fsck(&bench.data()).unwrap().is_clean());
}

/// Every row of every table as SQLite's own values, by column name.
fn rows(connection: &Connection, table: &str) -> Vec<Vec<(String, Value)>> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let read = |row: &rusqlite::Row<'_>| {
        Ok(names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.clone(), row.get(at).unwrap()))
            .collect())
    };
    statement.query_map([], read).unwrap().map(Result::unwrap).collect()
}

/// The value with one byte changed, for a few places (every fifth when short).
fn changed(value: &Value) -> Vec<Value> {
    let places = |length: usize| {
        (0..length).filter(move |at| if length <= 80 { at % 5 == 0 } else { at % 37 == 0 } || at + 1 == length)
    };
    match value {
        Value::Integer(number) => (0..8).map(|byte| Value::Integer(number ^ (1 << (8 * byte)))).collect(),
        Value::Text(text) => places(text.len())
            .filter_map(|at| {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1;
                String::from_utf8(bytes).ok().map(Value::Text)
            })
            .collect(),
        Value::Blob(bytes) => {
            let flipped = places(bytes.len()).map(|at| {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << (at % 8);
                Value::Blob(bytes)
            });
            flipped
                .chain([Value::Blob([bytes.as_slice(), &[0]].concat())])
                .collect()
        }
        other => panic!("{other:?} in a table"),
    }
}

#[tokio::test]
async fn every_changed_byte_of_every_stored_field_is_found() {
    let bench = Bench::new();
    // One full bundle that is not yet a file, so that tile rows exist: archive nothing.
    let logs = bench.try_open(Crash::default()).unwrap();
    let blocked = bench.data().join("ct/tile");
    std::fs::create_dir_all(blocked.parent().unwrap()).unwrap();
    std::fs::write(&blocked, b"a file where a folder should be").unwrap();
    logs.fill(0, 5).await;
    fill_ct(&logs).await;
    drop(logs);
    std::fs::remove_file(&blocked).unwrap();
    assert_eq!(fsck(&bench.data()).unwrap().findings, []);
    let connection = connection(&bench);
    let mut tried = std::collections::BTreeMap::new();
    for table in ["head", "edge", "tile", "entry", "leaf", "issuer"] {
        let rows = rows(&connection, table);
        assert!(!rows.is_empty(), "table {table} is empty: nothing would be tested");
        let last = rows.len() - 1;
        for (number, row) in rows
            .iter()
            .enumerate()
            .filter(|(number, _)| number % 300 == 1 || *number == last)
        {
            for (at, (name, value)) in row.iter().enumerate() {
                for new in changed(value) {
                    let keys: Vec<String> = row
                        .iter()
                        .enumerate()
                        .map(|(at, (name, _))| format!("{name} = ?{}", at + 2))
                        .collect();
                    let update = format!("UPDATE {table} SET {name} = ?1 WHERE {}", keys.join(" AND "));
                    let parameters = |first: &Value, row: Vec<Value>| {
                        rusqlite::params_from_iter([first.clone()].into_iter().chain(row).collect::<Vec<_>>())
                    };
                    let old: Vec<Value> = row.iter().map(|(_, value)| value.clone()).collect();
                    match connection.execute(&update, parameters(&new, old.clone())) {
                        Ok(count) => assert_eq!(count, 1),
                        // The tables refuse it themselves: a unique key.
                        Err(_) => continue,
                    }
                    let found = fsck(&bench.data()).map(|report| !report.is_clean());
                    assert!(
                        found.unwrap_or(true),
                        "{table} row {number} {name}: {value:?} as {new:?}"
                    );
                    let mut now = old;
                    now[at] = new.clone();
                    assert_eq!(connection.execute(&update, parameters(value, now)).unwrap(), 1);
                    *tried.entry(format!("{table}.{name}")).or_insert(0) += 1;
                }
            }
        }
    }
    assert_eq!(fsck(&bench.data()).unwrap().findings, []);
    eprintln!("changes tried by column: {tried:?}");
    assert!(tried.len() >= 20 && tried.values().all(|count| *count > 0));
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_half_written() {
    let bench = Bench::new();
    drop(bench.open());
    let small = StorageOptions {
        database_pages: Some(60),
        ..StorageOptions::default()
    };
    let storage = Storage::open_with(&bench.data(), &small).unwrap();
    let log = storage
        .log(LogSpec::signature(HOST, bench.ed25519.clone()).unwrap())
        .unwrap();
    let mut acknowledged = 0;
    let refused = loop {
        match log.append(body(acknowledged)).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "sixty pages never filled up");
    };
    assert_eq!((refused.code(), refused.is_temporary()), ("log-disk-full", true));
    assert!(acknowledged > 10);
    assert_eq!(log.published().tree.size(), acknowledged + 1);
    drop((log, storage));
    assert_eq!(fsck(&bench.data()).unwrap().findings, []);
    let logs = bench.open();
    assert_eq!(logs.raw.append(body(0)).await.unwrap().index, 1);
    assert_eq!(
        logs.raw.append(body(acknowledged)).await.unwrap().index,
        acknowledged + 1
    );
}

#[tokio::test]
async fn tiles_that_cannot_be_written_stay_in_the_database() {
    let bench = Bench::new();
    let logs = bench.open();
    let blocked = bench.data().join("signature/tile");
    std::fs::create_dir_all(blocked.parent().unwrap()).unwrap();
    std::fs::write(&blocked, b"a file where a folder should be").unwrap();
    logs.fill(0, 300).await;
    let published = logs.raw.published();
    let proof = logs.raw.state.inclusion_proof(&published, 17).unwrap();
    let leaf = merkle::leaf_hash(&logs.raw.state.entry(&published, 17).unwrap());
    merkle::verify_inclusion(&leaf, 17, 301, &proof, &published.root).unwrap();
    assert_eq!(logs.raw.state.pending_count(), 1);
    std::fs::remove_file(&blocked).unwrap();
    archived(&logs.raw).await;
    drop(logs);
    assert!(blocked.join("0/000").is_file());
    assert_eq!(fsck(&bench.data()).unwrap().findings, []);
}

#[tokio::test]
async fn another_file_in_a_tiles_place_is_told_and_kept() {
    let bench = Bench::new();
    let logs = bench.open();
    logs.fill(0, 200).await;
    let place = bench.data().join("signature/tile/entries");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("000"), b"of another log").unwrap();
    logs.fill(200, 100).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(logs.raw.state.pending_count(), 1, "reads still come from memory");
    drop(logs);
    assert_eq!(std::fs::read(place.join("000")).unwrap(), b"of another log");
    assert!(!fsck(&bench.data()).unwrap().is_clean());
}

#[test]
fn a_read_only_database_is_told() {
    let bench = Bench::new();
    drop(bench.open());
    let reader = database::open_read_only(&bench.data().join("logs.sqlite")).unwrap();
    let refused = database::put_issuer(&reader, &[1; 32], b"x").unwrap_err();
    assert_eq!((refused.code(), refused.is_temporary()), ("log-read-only", true));
    let file = bench.folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert_eq!(Storage::open(&file.join("data")).unwrap_err().code(), "log-file");
}

#[test]
fn a_folder_of_another_version_is_refused() {
    let bench = Bench::new();
    drop(bench.open());
    connection(&bench).pragma_update(None, "user_version", 2).unwrap();
    assert_eq!(bench.try_open(Crash::default()).err().unwrap().code(), "log-schema");
    assert_eq!(fsck(&bench.data()).unwrap_err().code(), "log-schema");
}

#[tokio::test]
async fn a_log_under_another_key_than_expected_is_found() {
    let bench = Bench::new();
    drop(bench.open());
    let keys = |key: &SigningKey| std::collections::BTreeMap::from([(LogKind::Signature, key.public_key().clone())]);
    assert!(
        crate::log::fsck_against(&bench.data(), &keys(&bench.ed25519))
            .unwrap()
            .is_clean()
    );
    let other = SigningKey::generate_ed25519().unwrap();
    let report = crate::log::fsck_against(&bench.data(), &keys(&other)).unwrap();
    assert_eq!(
        report
            .findings
            .iter()
            .map(|finding| finding.problem.code())
            .collect::<Vec<_>>(),
        ["fsck-key"]
    );
}

#[tokio::test]
async fn a_folder_without_logs_is_clean_and_one_without_its_database_is_not() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.data()).unwrap();
    assert_eq!(fsck(&bench.data()).unwrap(), crate::log::FsckReport::default());
    drop(bench.open());
    for file in ["logs.sqlite", "logs.sqlite-wal", "logs.sqlite-shm"] {
        let _ = std::fs::remove_file(bench.data().join(file));
    }
    assert_eq!(fsck(&bench.data()).unwrap().findings.len(), 3);
}

#[tokio::test]
async fn changed_bundles_of_the_signature_log_are_found() {
    let bench = Bench::new();
    let logs = bench.open();
    logs.fill(0, 300).await;
    archived(&logs.raw).await;
    drop(logs);
    assert!(fsck(&bench.data()).unwrap().is_clean());
    for path in ["signature/tile/0/000", "signature/tile/entries/000"] {
        let path = bench.data().join(path);
        let honest = std::fs::read(&path).unwrap();
        for at in (0..honest.len())
            .step_by(honest.len() / 12)
            .chain([1, honest.len() - 1])
        {
            let mut bytes = honest.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert!(!fsck(&bench.data()).unwrap().is_clean(), "{} byte {at}", path.display());
        }
        std::fs::write(&path, &honest).unwrap();
    }
}
