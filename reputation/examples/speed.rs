//! Prints how long reputation takes: all scores from 10,000 agents × 50 receipts, and one new receipt (goal G12).
//! Run it with `cargo run --release -p artel-reputation --example speed`.
#![allow(clippy::print_stdout, reason = "it is a program that prints")]
#![allow(clippy::disallowed_methods, reason = "only the pure code may not read a clock; this measures it")]

use artel_protocol::time::Wall;
use artel_reputation::{Evidence, Fact, Outcome, Quality, Standing};
use std::hint::black_box;
use std::time::Instant;

const NOW: Wall = Wall(20_504 * 86_400_000);
const RECEIPTS: usize = 50;
const ROUNDS: usize = 20;

/// The same evidence in each run: receipts over two years, every tenth with a review, every twelfth late or lapsed.
fn evidence(agents: usize) -> Vec<Vec<Evidence>> {
    let mut state = 1u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut mark = |below| Quality::new(draw(below) as u8).expect("at most 100");
    let mut time = 0u64;
    let mut at = || {
        time = (time + 7_919 * 86_400) % (730 * 86_400);
        Wall(NOW.0 - time * 1_000)
    };
    let mut piece = |index: usize| match index % 12 {
        0 => Fact::Review { rating: mark(101) },
        1 => Fact::Receipt { outcome: Outcome::Lapsed, quality: None },
        2 => Fact::Receipt { outcome: Outcome::Late, quality: Some(mark(101)) },
        _ => Fact::Receipt { outcome: Outcome::OnTime, quality: Some(mark(101)) },
    };
    (0..agents)
        .map(|_| (0..RECEIPTS).map(|index| Evidence { at: at(), fact: piece(index) }).collect())
        .collect()
}

/// The median of the rounds, in microseconds.
fn median_us(mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn main() {
    for agents in [1_000, 10_000, 100_000] {
        let lists = evidence(agents);
        let full = median_us(|| {
            for list in &lists {
                black_box(Standing::recompute(black_box(list), NOW).assess(NOW));
            }
        });
        let mut standings: Vec<Standing> = lists.iter().map(|list| Standing::recompute(list, NOW)).collect();
        let scores = median_us(|| {
            for standing in &standings {
                black_box(black_box(standing).assess(NOW));
            }
        });
        let one = median_us(|| {
            for (standing, list) in standings.iter_mut().zip(&lists) {
                standing.add(black_box(&list[0]), NOW).expect("not from the future");
                black_box(standing.assess(NOW));
            }
        });
        println!(
            "{agents:>7} agents x {RECEIPTS} receipts: all scores {:.1} ms; from standings {:.1} ms; one new receipt and its score {:.2} us",
            full / 1e3,
            scores / 1e3,
            one / agents as f64,
        );
    }
}
