//! Every write, lost and kept: after each, a new process finds a log in order, with everything that was acknowledged.

use super::*;
use crate::log::{crash::CrashPoint, fsck};

const POINTS: [CrashPoint; 12] = [
    CrashPoint::GenesisLost,
    CrashPoint::GenesisKept,
    CrashPoint::CommitLost,
    CrashPoint::CommitKept,
    CrashPoint::TileLost,
    CrashPoint::TileKept,
    CrashPoint::BundleLost,
    CrashPoint::BundleKept,
    CrashPoint::PruneLost,
    CrashPoint::PruneKept,
    CrashPoint::MarkLost,
    CrashPoint::MarkKept,
];

#[tokio::test]
async fn after_each_crash_everything_acknowledged_is_there() {
    for point in POINTS {
        let bench = Bench::new();
        let crash = Crash::default();
        let genesis = matches!(point, CrashPoint::GenesisLost | CrashPoint::GenesisKept);
        if genesis {
            crash.arm(point);
            assert!(bench.try_open(crash.clone()).is_err(), "{point:?} was not reached");
        }
        let mut acknowledged = Vec::new();
        if !genesis {
            let logs = bench.try_open(crash.clone()).unwrap();
            logs.fill(0, 250).await;
            crash.arm(point);
            for number in 1000..1100 {
                if let Ok(sequenced) = logs.raw.append(body(number)).await {
                    acknowledged.push((number, sequenced.index));
                }
                if logs.crash.is_dead() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            // The archiver dies by itself.
            for _ in 0..300 {
                if crash.is_dead() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        assert!(crash.is_dead(), "{point:?} was not reached");
        check_afterwards(&bench, point, &acknowledged).await;
    }
}

/// Open, find everything, go on; close; nothing contradicts itself.
async fn check_afterwards(bench: &Bench, point: CrashPoint, acknowledged: &[(u64, u64)]) {
    let found = fsck(&bench.data());
    if !matches!(point, CrashPoint::GenesisLost) {
        assert_eq!(found.unwrap().findings, [], "{point:?} before recovery");
    }
    let logs = bench.open();
    for (number, index) in acknowledged {
        assert_eq!(logs.raw.append(body(*number)).await.unwrap().index, *index, "{point:?}");
    }
    let size = logs.raw.published().tree.size();
    logs.fill(2000, 300).await;
    assert_eq!(logs.raw.published().tree.size(), size + 300);
    archived(&logs.raw).await;
    drop(logs);
    assert_eq!(fsck(&bench.data()).unwrap().findings, [], "{point:?} after recovery");
    assert!(
        std::fs::read_dir(bench.data().join("signature/tile/0"))
            .unwrap()
            .count()
            > 0
    );
}

#[tokio::test]
async fn a_lost_commit_is_refused_and_a_kept_one_found_again() {
    for (point, size) in [(CrashPoint::CommitLost, 1), (CrashPoint::CommitKept, 2)] {
        let bench = Bench::new();
        let crash = Crash::default();
        let logs = bench.try_open(crash.clone()).unwrap();
        crash.arm(point);
        assert_eq!(logs.raw.append(body(1)).await.unwrap_err().code(), "log-closed");
        drop(logs);
        let logs = bench.open();
        assert_eq!(logs.raw.published().tree.size(), size);
        assert_eq!(logs.raw.append(body(1)).await.unwrap().index, 1);
        assert_eq!(logs.raw.published().tree.size(), 2);
    }
}

#[tokio::test]
async fn a_copy_of_a_running_folder_is_a_backup() {
    let bench = Bench::new();
    let logs = bench.open();
    logs.fill(0, 300).await;
    let copy = Bench {
        folder: tempfile::tempdir().unwrap(),
        ..Bench::new()
    };
    copy_folder(&bench.data(), &copy.data());
    assert_eq!(fsck(&copy.data()).unwrap().findings, []);
    let restored = Bench {
        ed25519: bench.ed25519.clone(),
        p256: bench.p256.clone(),
        ct: bench.ct.clone(),
        ..copy
    };
    assert_eq!(restored.open().raw.published().tree.size(), 301);
}
