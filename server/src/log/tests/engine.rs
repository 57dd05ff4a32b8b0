//! Sequencing, restart, duplicates, guards.

use verify::tile::TileId;

use super::*;
use crate::log::database;

#[tokio::test]
async fn an_entry_gets_a_place_a_proof_and_a_signed_checkpoint() {
    let bench = Bench::new();
    let logs = bench.open();
    let key = SigningKey::generate_p256().unwrap();
    for number in 0..5_u64 {
        let entry = Entry::HashedRekordV002(hashedrekord(&key, &number.to_be_bytes()));
        let logged = logs.signature.append(entry).await.unwrap();
        assert_eq!(logged.log_index, number + 1);
        check_entry(&logs.signature, &logged);
    }
}

#[tokio::test]
async fn the_same_entry_keeps_its_place_and_gets_a_fresh_proof() {
    let bench = Bench::new();
    let logs = bench.open();
    let key = SigningKey::generate_p256().unwrap();
    let entry = Entry::HashedRekordV002(hashedrekord(&key, b"once"));
    let first = logs.signature.append(entry.clone()).await.unwrap();
    logs.fill(0, 300).await;
    let again = logs.signature.append(entry).await.unwrap();
    check_entry(&logs.signature, &again);
    assert_eq!(again.log_index, first.log_index);
    assert_eq!(again.inclusion_proof.unwrap().tree_size, 302);
}

#[tokio::test]
async fn a_duplicate_within_one_batch_is_one_entry() {
    let bench = Bench::new();
    let logs = bench.open();
    let outcomes = futures_util::future::join_all((0..64).map(|n| logs.raw.append(body(n / 8)))).await;
    let mut indexes: Vec<u64> = outcomes.into_iter().map(|outcome| outcome.unwrap().index).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (1..=8).flat_map(|index| [index; 8]).collect::<Vec<_>>());
    assert_eq!(logs.raw.published().tree.size(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_clients_all_get_valid_and_different_places() {
    let bench = Bench::new();
    let logs = Arc::new(bench.open());
    let key = SigningKey::generate_p256().unwrap();
    let clients = (0..16_u64).map(|client| {
        let (logs, key) = (Arc::clone(&logs), key.clone());
        tokio::spawn(async move {
            let mut places = Vec::new();
            for number in 0..20_u64 {
                let message = (client * 1000 + number).to_be_bytes();
                let logged = logs
                    .signature
                    .append(Entry::HashedRekordV002(hashedrekord(&key, &message)))
                    .await
                    .unwrap();
                check_entry(&logs.signature, &logged);
                places.push(logged.log_index);
            }
            places
        })
    });
    let mut places = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        places.extend(client.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (1..=320).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_log_opened_again_goes_on_where_it_was() {
    let bench = Bench::new();
    let mut before = None;
    for round in 0..4 {
        let logs = bench.open();
        if let Some(before) = before.take() {
            assert_eq!(logs.signature.checkpoint(), before);
        }
        logs.fill(round * 200, 200).await;
        let published = logs.raw.published();
        assert_eq!(published.tree.size(), 1 + (round + 1) * 200);
        for index in [0, 1, 255, 256, 511, 600] {
            if index < published.tree.size() {
                let proof = logs.raw.state.inclusion_proof(&published, index).unwrap();
                let leaf = merkle::leaf_hash(&logs.raw.state.entry(&published, index).unwrap());
                merkle::verify_inclusion(&leaf, index, published.tree.size(), &proof, &published.root).unwrap();
            }
        }
        before = Some(logs.signature.checkpoint());
    }
}

#[tokio::test]
async fn every_tile_bundle_and_consistency_proof_of_a_growing_tree_holds() {
    let bench = Bench::new();
    let logs = bench.open();
    let mut roots = vec![(1, logs.raw.published().root)];
    for from in (0..700).step_by(70) {
        logs.fill(from, 70).await;
        roots.push((from + 71, logs.raw.published().root));
    }
    archived(&logs.raw).await;
    let published = logs.raw.published();
    for (old, old_root) in &roots {
        assert_eq!(logs.raw.state.root_at(&published, *old).unwrap(), *old_root);
        let proof = logs.raw.state.consistency_proof(&published, *old, 701).unwrap();
        merkle::verify_consistency(*old, old_root, 701, &published.root, &proof).unwrap();
    }
    for (index, width) in [(0, 256), (0, 1), (0, 255), (1, 256), (2, 189), (2, 1)] {
        let tile = logs
            .raw
            .state
            .tile(&published, TileId { level: 0, index, width })
            .unwrap();
        let bundle = logs.raw.state.bundle(&published, index, width).unwrap();
        let entries = verify::tile::parse_entry_bundle(&bundle).unwrap();
        let hashes: Vec<u8> = entries.iter().flat_map(|entry| merkle::leaf_hash(entry)).collect();
        assert_eq!((entries.len(), &hashes), (usize::from(width), &tile));
    }
    for (level, index, width) in [(0, 2, 190), (0, 3, 1), (1, 0, 3), (2, 0, 1), (0, 2, 0), (63, 0, 1)] {
        let missing = logs.raw.state.tile(&published, TileId { level, index, width });
        assert_eq!(
            missing.unwrap_err().code(),
            "log-not-found",
            "level {level} index {index} width {width}"
        );
    }
    assert_eq!(
        logs.raw.state.bundle(&published, 2, 190).unwrap_err().code(),
        "log-not-found"
    );
}

#[tokio::test]
async fn files_take_over_what_the_database_forgets() {
    let bench = Bench::new();
    let logs = bench.open();
    logs.fill(0, 600).await;
    archived(&logs.raw).await;
    drop(logs);
    let connection = rusqlite::Connection::open(bench.data().join("logs.sqlite")).unwrap();
    let head = database::head(&connection, LogKind::Signature).unwrap().unwrap();
    assert_eq!((head.size, head.archived), (601, 512));
    let entries: i64 = connection
        .query_row("SELECT count(*) FROM entry WHERE log = 1", [], |row| row.get(0))
        .unwrap();
    assert_eq!(entries, 89);
    for path in [
        "tile/0/000",
        "tile/0/001",
        "tile/entries/000",
        "tile/entries/001",
        "checkpoint",
    ] {
        assert!(bench.data().join("signature").join(path).is_file(), "{path}");
    }
}

#[tokio::test]
async fn a_restored_older_database_is_refused() {
    let bench = Bench::new();
    let logs = bench.open();
    logs.fill(0, 10).await;
    drop(logs);
    let backup = tempfile::tempdir().unwrap();
    std::fs::copy(bench.data().join("logs.sqlite"), backup.path().join("logs.sqlite")).unwrap();
    assert_eq!(bench.open().raw.published().tree.size(), 11);
    for (from, count) in [(10, 5), (100, 600)] {
        let logs = bench.open();
        logs.fill(from, count).await;
        drop(logs);
        let newest = std::fs::read(bench.data().join("logs.sqlite")).unwrap();
        std::fs::copy(backup.path().join("logs.sqlite"), bench.data().join("logs.sqlite")).unwrap();
        let refused = bench.try_open(Crash::default()).err().unwrap();
        assert_eq!(refused.code(), "log-fork");
        let LogError::Fork { log, database, found } = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((log, database), (LogKind::Signature, 11));
        assert!(found > 11, "{found}");
        std::fs::write(bench.data().join("logs.sqlite"), newest).unwrap();
    }
    let size = bench.open().raw.published().tree.size();
    assert_eq!(size, 616);
}

#[tokio::test]
async fn a_lost_database_does_not_start_the_log_anew() {
    let bench = Bench::new();
    let logs = bench.open();
    logs.fill(0, 10).await;
    drop(logs);
    for file in ["logs.sqlite", "logs.sqlite-wal", "logs.sqlite-shm"] {
        let _ = std::fs::remove_file(bench.data().join(file));
    }
    assert_eq!(bench.try_open(Crash::default()).err().unwrap().code(), "log-fork");
}

#[tokio::test]
async fn another_key_or_origin_is_refused() {
    let bench = Bench::new();
    drop(bench.open());
    let storage = bench.storage(Crash::default()).unwrap();
    let other = SigningKey::generate_ed25519().unwrap();
    assert_eq!(
        SignatureLog::open(&storage, HOST, other).unwrap_err().code(),
        "log-wrong-key"
    );
    let moved = SignatureLog::open(&storage, "other.example", bench.ed25519.clone());
    assert_eq!(moved.unwrap_err().code(), "log-wrong-origin");
    assert_eq!(
        LegacyLog::open(&storage, HOST, bench.ed25519.clone())
            .unwrap_err()
            .code(),
        "log-signing"
    );
    SignatureLog::open(&storage, HOST, bench.ed25519.clone()).unwrap();
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let bench = Bench::new();
    let logs = bench.open();
    assert_eq!(bench.try_open(Crash::default()).err().unwrap().code(), "log-in-use");
    drop(logs);
    bench.open();
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_take_the_log_along() {
    let bench = Bench::new();
    let logs = bench.open();
    let first = logs.log_certificate(1).await;
    drop(logs);
    bench.clock_ms.store(1_000, Ordering::Relaxed);
    let logs = bench.open();
    let second = logs.log_certificate(2).await;
    assert!(second.timestamp_ms >= first.timestamp_ms);
}

#[tokio::test]
async fn an_sct_verifies_and_names_its_leaf() {
    let bench = Bench::new();
    let logs = bench.open();
    let sct = logs.log_certificate(1).await;
    let logged = verify::sct::LoggedCertificate::Precertificate {
        issuer_key_hash: [7; 32],
        tbs: precertificate(1).tbs,
    };
    assert_eq!(sct.extensions, verify::sct::leaf_index_extension(1));
    assert_eq!(sct.log_id, bench.ct.public_key().id());
    let signed = verify::sct::signed_data(sct.timestamp_ms, &logged, &sct.extensions);
    bench
        .ct
        .public_key()
        .verify(bench.ct.public_key().default_scheme(), &signed, &sct.signature)
        .unwrap();
    let again = logs.log_certificate(1).await;
    assert_eq!(
        (again.timestamp_ms, again.extensions),
        (sct.timestamp_ms, sct.extensions)
    );
    assert_eq!(
        logs.log_certificate(2).await.extensions,
        verify::sct::leaf_index_extension(2)
    );
    let origin = format!("{HOST}/ct");
    let signed = SignedCheckpoint::parse(logs.ct.checkpoint().as_bytes(), &verify::Budget::default()).unwrap();
    assert!(signed.verify_tree_head(bench.ct.public_key()).unwrap() >= sct.timestamp_ms);
    assert_eq!(
        (signed.checkpoint.origin.as_str(), signed.checkpoint.size),
        (origin.as_str(), 3)
    );
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_recovers() {
    let bench = Bench::new();
    let options = StorageOptions {
        queue_entries: 3,
        ..StorageOptions::default()
    };
    let storage = Storage::open_with(&bench.data(), &options).unwrap();
    let log = storage
        .log(LogSpec::signature(HOST, bench.ed25519.clone()).unwrap())
        .unwrap();
    let outcomes = futures_util::future::join_all((0..500).map(|n| log.append(body(n)))).await;
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(LogError::Overloaded)))
        .count();
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(refused > 0 && accepted >= 3, "{refused} refused, {accepted} accepted");
    assert_eq!(refused + accepted, 500);
    log.append(body(1000)).await.unwrap();
    let bytes = StorageOptions {
        queue_bytes: 100,
        ..StorageOptions::default()
    };
    drop((log, storage));
    let storage = Storage::open_with(&bench.data(), &bytes).unwrap();
    let log = storage
        .log(LogSpec::signature(HOST, bench.ed25519.clone()).unwrap())
        .unwrap();
    assert_eq!(log.append(body(2000)).await.unwrap_err().code(), "log-overloaded");
}

#[tokio::test]
async fn an_idle_ct_log_renews_its_checkpoint() {
    let bench = Bench::new();
    let clock = Arc::clone(&bench.clock_ms);
    let clock = Arc::new(move || clock.load(Ordering::Relaxed));
    let options = StorageOptions {
        checkpoint_age: std::time::Duration::from_millis(100),
        ..StorageOptions::default()
    };
    let storage = Storage::start(&bench.data(), &options, clock, Crash::default()).unwrap();
    let log = CtLog::open(&storage, HOST, bench.ct.clone(), Vec::new()).unwrap();
    let first = log.checkpoint();
    let time_of = |text: &str| {
        let signed = SignedCheckpoint::parse(text.as_bytes(), &verify::Budget::default()).unwrap();
        (
            signed.checkpoint.size,
            signed.verify_tree_head(bench.ct.public_key()).unwrap(),
        )
    };
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(log.checkpoint(), first, "the clock stood still");
    bench.clock_ms.fetch_add(100, Ordering::Relaxed);
    let renewed = loop {
        let now = log.checkpoint();
        if now != first {
            break now;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!((time_of(&first).0, time_of(&renewed).0), (1, 1));
    assert_eq!(time_of(&renewed).1, time_of(&first).1 + 100);
    drop((log, storage));
    assert!(crate::log::fsck(&bench.data()).unwrap().is_clean());
}

#[tokio::test]
async fn the_genesis_of_the_ct_log_is_a_certificate_of_its_key() {
    let bench = Bench::new();
    let logs = bench.open();
    let ct = bench.open_ct_state(&logs);
    let entry = ct.state.entry(&ct.published(), 0).unwrap();
    let (leaf, _) = verify::sct::TileLeaf::from_bytes(&entry).unwrap();
    let verify::sct::LoggedCertificate::Certificate(der) = leaf.logged else {
        panic!("{:?}", leaf.logged)
    };
    let certificate = verify::certificate::Certificate::from_der(&der, &verify::Budget::default()).unwrap();
    assert_eq!(certificate.public_key(), bench.ct.public_key());
}
