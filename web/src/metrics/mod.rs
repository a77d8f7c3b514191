//! What is measured, in numbers that many threads add to without waiting for each other, and how it is told: Prometheus' text
//! format. All names of labels and their values are from closed sets, so the number of series never changes while a node runs.

mod requests;
mod text;

pub(crate) use requests::Requests;
pub use text::{CONTENT_TYPE, Kind, Text};

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// How far it has come.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many bounds a histogram has: each is a series, for each set of labels.
pub const BOUNDS: usize = 12;

/// How often something was how large: counts by upper bound, and the sum. Adding to it is two atomic additions.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64; BOUNDS],
    /// By bound, not added up; the last is above all of them.
    counts: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// Bounds of times, in microseconds: from what a cached read takes to what a long poll may.
pub const TIMES_US: [u64; BOUNDS] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 5_000_000, 30_000_000];

/// Bounds of numbers of things that are done at once: powers of two up to what one commit takes.
pub const SIZES: [u64; BOUNDS] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096];

impl Histogram {
    /// An empty one.
    pub const fn new(bounds: &'static [u64; BOUNDS]) -> Self {
        Histogram { bounds, counts: [const { AtomicU64::new(0) }; BOUNDS + 1], sum: AtomicU64::new(0) }
    }

    /// Adds one of this size.
    pub fn add(&self, size: u64) {
        let place = self.bounds.iter().position(|bound| size <= *bound).unwrap_or(BOUNDS);
        self.counts[place].fetch_add(1, Relaxed);
        self.sum.fetch_add(size, Relaxed);
    }

    /// Adds one time, in microseconds.
    pub fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_counts_at_its_bound_and_above() {
        let histogram = Histogram::new(&SIZES);
        for size in [0, 1, 2, 3, 4_096, 4_097] {
            histogram.add(size);
        }
        let mut text = Text::default();
        text.family("sizes", Kind::Histogram, "Sizes.").histogram(&[], &histogram, 1);
        let text = text.finish();
        for line in [
            "sizes_bucket{le=\"1\"} 2",
            "sizes_bucket{le=\"2\"} 3",
            "sizes_bucket{le=\"4\"} 4",
            "sizes_bucket{le=\"4096\"} 5",
            "sizes_bucket{le=\"+Inf\"} 6",
            "sizes_sum 8199",
            "sizes_count 6",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn labels_are_escaped_and_times_are_seconds() {
        let histogram = Histogram::new(&TIMES_US);
        histogram.add_time(Duration::from_micros(1_500_000));
        let mut text = Text::default();
        text.family("waits_seconds", Kind::Histogram, "Two\nlines \\.").histogram(
            &[("a", "\"\\\n")],
            &histogram,
            1_000_000,
        );
        let text = text.finish();
        assert!(
            text.starts_with("# HELP waits_seconds Two\\nlines \\\\.\n# TYPE waits_seconds histogram\n"),
            "{text}"
        );
        assert!(text.contains("waits_seconds_bucket{a=\"\\\"\\\\\\n\",le=\"0.0001\"} 0\n"), "{text}");
        assert!(text.contains("waits_seconds_sum{a=\"\\\"\\\\\\n\"} 1.5\n"), "{text}");
    }
}
