//! Certificates a second on loopback, token and proof made beforehand: what the server does, not what its clients do.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark may be blunt"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::Bench;
use serde_json::Value;
use server::keys::SigningKey;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bench = Arc::new(Bench::start().await);
        for clients in [1, 16, 64] {
            let requests: Vec<Value> = (0..REQUESTS).map(|_| request(&bench)).collect();
            let started = Instant::now();
            let mut tasks = tokio::task::JoinSet::new();
            for part in requests.chunks(REQUESTS.div_ceil(clients)) {
                tasks.spawn(run(Arc::clone(&bench), part.to_vec()));
            }
            let mut times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
            let rate = times.len() as f64 / started.elapsed().as_secs_f64();
            times.sort_unstable();
            let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            println!("certificates, {clients} clients: {rate:.0}/s, p50 {p50:.1?}, p99 {p99:.1?}");
        }
    });
}

async fn run(bench: Arc<Bench>, requests: Vec<Value>) -> Vec<Duration> {
    let mut times = Vec::new();
    for request in requests {
        let started = Instant::now();
        assert_eq!(bench.certify(&request).await.status, 200);
        times.push(started.elapsed());
    }
    times
}

fn request(bench: &Bench) -> Value {
    bench.request(&SigningKey::generate_p256().unwrap())
}

const REQUESTS: usize = 2000;
