//! Figures, not tests: `cargo test --release -p artel-mesh speed -- --ignored --nocapture --test-threads 1`.

use super::*;
use std::time::Instant;

const ROUNDS: usize = 20_000;

async fn round_trips(listen: &str) -> Vec<Duration> {
    let (a, b) = pair(listen).await;
    let _b = b.echo();
    let data = Bytes::from(vec![7; 300]);
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS + 1_000 {
        let began = Instant::now();
        assert_eq!(a.mesh.request(&id(2), data.clone(), DEADLINE).await.as_ref(), Ok(&data));
        if round >= 1_000 {
            times.push(began.elapsed());
        }
    }
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures"]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn direct_round_trip() {
    for (name, listen) in [("tcp", TCP), ("quic", QUIC)] {
        let times = round_trips(listen).await;
        let at = |share: f64| times[(times.len() as f64 * share) as usize];
        println!("{name}: 300 B there and back, p50 {:?}, p90 {:?}, p99 {:?}", at(0.5), at(0.9), at(0.99));
    }
}
