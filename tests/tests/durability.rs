//! What the log acknowledged is there, whatever happens to the process; and what somebody changes on the disk is found.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tests::{
    Instance, Issuer, Tools,
    load::{Acknowledged, Roots, Writer, check, read_log, signature_log},
};
use tokio::{runtime::Runtime, task::JoinSet};
use verify::trusted_root::TransparencyLog;

/// Writers at the same time.
const WRITERS: usize = 16;

/// How often the server is killed.
const KILLS: u64 = 20;

fn instance() -> (Issuer, Instance) {
    let tools = Tools::install(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("tools");
    let issuer = Issuer::start().expect("an issuer");
    let instance = Instance::start(&tools, &issuer).expect("a server");
    (issuer, instance)
}

/// How far the writers are.
#[derive(Default)]
struct Progress {
    started: AtomicU64,
    acknowledged: AtomicU64,
}

/// Lets every writer write until its first failure; everything that was acknowledged, checked.
async fn write_until_it_dies(
    writers: Vec<Writer>,
    log: Arc<TransparencyLog>,
    progress: Arc<Progress>,
) -> Vec<Acknowledged> {
    let mut tasks = JoinSet::new();
    for writer in writers {
        let (log, progress) = (Arc::clone(&log), Arc::clone(&progress));
        tasks.spawn(async move {
            let mut acknowledged = Vec::new();
            loop {
                let message = format!("entry {}", progress.started.fetch_add(1, Ordering::Relaxed));
                let request = writer.request(message.as_bytes()).expect("a request");
                match writer.send(&request).await {
                    Ok(answer) => {
                        acknowledged.push(check(&request, &answer, &log).expect("a valid answer"));
                        progress.acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => return acknowledged,
                }
            }
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Waits until so many entries are acknowledged, so that every kill meets a busy server, however slow the machine.
fn await_acknowledged(progress: &Progress, count: u64) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while progress.acknowledged.load(Ordering::Relaxed) < count {
        assert!(
            Instant::now() < deadline,
            "no load: {count} entries were not acknowledged"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn twenty_kills_under_load_lose_nothing_that_was_acknowledged() {
    let (_issuer, mut instance) = instance();
    let log = Arc::new(signature_log(&instance).expect("the log"));
    let runtime = Runtime::new().expect("a runtime");
    let progress = Arc::new(Progress::default());
    let one = Writer::new(instance.url()).expect("a writer");
    let mut acknowledged = Vec::new();
    for kill in 1..=KILLS {
        let writers = vec![one.clone(); WRITERS];
        let load = runtime.spawn(write_until_it_dies(writers, Arc::clone(&log), Arc::clone(&progress)));
        await_acknowledged(&progress, kill * 20);
        // And a different moment each time.
        std::thread::sleep(Duration::from_micros(kill * 700));
        instance.kill();
        acknowledged.extend(runtime.block_on(load).expect("the writers end"));
        instance.serve().expect("it starts again");
    }

    // Every acknowledged entry stands where it was said to stand, under every root that was ever signed for anybody.
    let (leaves, size) = read_log(instance.url(), &log).expect("the whole log");
    let roots = Roots::of(&leaves);
    for entry in &acknowledged {
        let index = usize::try_from(entry.index).expect("an index");
        assert_eq!(
            leaves.get(index),
            Some(&entry.leaf),
            "entry {index} of {size} is another"
        );
        assert_eq!(
            roots.at(entry.size),
            Some(entry.root),
            "the tree of {} leaves was forked",
            entry.size
        );
    }
    // Sent again, an entry is found where it stands and comes with a proof in today's tree.
    for entry in acknowledged.iter().step_by(acknowledged.len() / 50) {
        let answer = runtime.block_on(one.send(&entry.request)).expect("an answer");
        let again = check(&entry.request, &answer, &log).expect("a valid answer");
        assert_eq!((again.index, again.leaf), (entry.index, entry.leaf));
        assert!(again.size >= size);
    }
    instance.kill();
    let fsck = instance.fsck().expect("fsck runs");
    fsck.success().expect("fsck is clean");
    println!(
        "{} entries acknowledged over {KILLS} kills, {size} in the log",
        acknowledged.len()
    );
}

/// Every plain file under `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A server folder with more than one full tile, not served any more.
fn filled() -> (Issuer, Instance) {
    let (issuer, mut instance) = instance();
    let log = signature_log(&instance).expect("the log");
    let runtime = Runtime::new().expect("a runtime");
    let writer = Writer::new(instance.url()).expect("a writer");
    runtime.block_on(async {
        let mut writers = JoinSet::new();
        for number in 0..600 {
            let (writer, log) = (writer.clone(), log.clone());
            writers.spawn(async move {
                let request = writer.request(format!("entry {number}").as_bytes()).expect("a request");
                let answer = writer.send(&request).await.expect("an answer");
                check(&request, &answer, &log).expect("a valid answer");
            });
        }
        writers.join_all().await;
    });
    // Full tiles are written after the answers; wait until the second one stands.
    let deadline = Instant::now() + Duration::from_mins(1);
    while tile_files(&instance).len() < 4 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    instance.kill();
    instance.fsck().expect("fsck runs").success().expect("fsck is clean");
    (issuer, instance)
}

/// Tiles and entry bundles: every file of `data` that is no database.
fn tile_files(instance: &Instance) -> Vec<PathBuf> {
    let mut files = files(&instance.folder().join("data"));
    files.retain(|path| path.components().any(|part| part.as_os_str() == "tile"));
    files
}

#[test]
fn fsck_finds_a_changed_byte_in_every_tile() {
    let (_issuer, instance) = filled();
    let tiles = tile_files(&instance);
    assert!(tiles.len() >= 4, "no full tiles: {tiles:?}");
    for tile in tiles {
        let good = std::fs::read(&tile).expect("a tile");
        let places = [0, 1, good.len() / 3, good.len() / 2, good.len() - 1];
        for place in places {
            let mut bad = good.clone();
            bad[place] ^= 0x20;
            std::fs::write(&tile, &bad).expect("a changed tile");
            let found = instance.fsck().expect("fsck runs");
            assert_eq!(found.code, Some(1), "{} at {place}: {}", tile.display(), found.said());
        }
        std::fs::write(&tile, &good).expect("the good tile");
    }
    instance
        .fsck()
        .expect("fsck runs")
        .success()
        .expect("everything is as it was");
}

/// A column's value with one byte, digit or bit changed.
fn changed(value: &rusqlite::types::Value) -> Option<rusqlite::types::Value> {
    use rusqlite::types::Value;
    match value {
        Value::Null | Value::Real(_) => None,
        Value::Integer(number) => Some(Value::Integer(number ^ 1)),
        Value::Text(text) => {
            let mut bytes = text.clone().into_bytes();
            let middle = bytes.len() / 2;
            *bytes.get_mut(middle)? ^= 1;
            String::from_utf8(bytes).ok().map(Value::Text)
        }
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            let middle = bytes.len() / 2;
            *bytes.get_mut(middle)? ^= 1;
            Some(Value::Blob(bytes))
        }
    }
}

/// The database of the logs, its write-ahead log folded in: the one with a table of heads.
fn log_database(instance: &Instance) -> PathBuf {
    let mut candidates = files(&instance.folder().join("data"));
    candidates.retain(|path| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")));
    let found = candidates.into_iter().find(|path| {
        let database = rusqlite::Connection::open(path).expect("the database");
        let heads = tables(&database).into_iter().any(|(name, _)| name == "head");
        database.close().expect("the write-ahead log is folded in");
        heads
    });
    found.expect("a database with heads")
}

/// Every table of the database with its columns.
fn tables(database: &rusqlite::Connection) -> Vec<(String, Vec<String>)> {
    let names: Vec<String> = database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .expect("table names");
    let columns = |table: &str| -> Vec<String> {
        database
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .expect("column names")
    };
    names.into_iter().map(|name| (name.clone(), columns(&name))).collect()
}

#[test]
fn fsck_finds_a_changed_value_in_every_column_of_the_logs_tables() {
    let (_issuer, instance) = filled();
    let path = log_database(&instance);
    let mut tried = 0;
    // No connection of ours may stay open: the last one to close folds the write-ahead log into the file.
    let database = rusqlite::Connection::open(&path).expect("the database");
    let tables = tables(&database);
    database.close().expect("the database closes");
    for (table, columns) in tables {
        for column in columns {
            tried += u32::from(spoil(&instance, &path, &table, &column));
        }
    }
    assert!(tried >= 10, "only {tried} columns hold anything");
    instance
        .fsck()
        .expect("fsck runs")
        .success()
        .expect("everything is as it was");
}

/// Changes one value of a column, asks fsck, puts the database back; false when the column holds nothing to change.
fn spoil(instance: &Instance, path: &Path, table: &str, column: &str) -> bool {
    let good_file = std::fs::read(path).expect("the database");
    let database = rusqlite::Connection::open(path).expect("the database");
    let select = format!("SELECT \"{column}\" FROM \"{table}\" WHERE length(\"{column}\") > 0 LIMIT 1");
    let found = database.query_row(&select, [], |row| row.get(0));
    let Some((good, bad)) = found.ok().and_then(|good| changed(&good).map(|bad| (good, bad))) else {
        return false;
    };
    let update = format!("UPDATE \"{table}\" SET \"{column}\" = ?1 WHERE \"{column}\" IS ?2");
    let updated = database.execute(&update, rusqlite::params![bad, good]);
    // Closing the last connection folds the write-ahead log into the file.
    database.close().expect("the database closes");
    // A value that the database itself refuses cannot come about.
    let outcome = updated.is_ok().then(|| instance.fsck().expect("fsck runs"));
    std::fs::write(path, good_file).expect("the good database");
    if let Some(outcome) = &outcome {
        assert_eq!(
            outcome.code,
            Some(1),
            "{table}.{column} = {bad:?} instead of {good:?}: {}",
            outcome.said()
        );
    }
    outcome.is_some()
}
