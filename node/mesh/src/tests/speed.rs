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

/// CPU time of this process so far.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(of_task).sum())
}

#[tokio::test]
#[ignore = "figures"]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn idle() {
    let (a, b) = pair(TCP).await;
    for topic in crate::Topic::all() {
        a.mesh.subscribe(topic).await.expect("running");
        b.mesh.subscribe(topic).await.expect("running");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (began, bytes) = (cpu(), a.mesh.counts().tcp);
    let seconds = 20;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = (cpu() - began) / u32::try_from(seconds).expect("small");
    let sent = (a.mesh.counts().tcp.sent - bytes.sent) / seconds;
    println!("two idle nodes on all topics: {used:?} of CPU a second for both, {sent} B/s from each");
}
