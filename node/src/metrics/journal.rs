//! The journal's commits as the driver makes them. The driver alone adds to these, once a commit.

use artel_web::metrics::{Counter, Histogram, Kind, SIZES, TIMES_US, Text};
use std::time::Duration;

/// What was written since the start.
#[derive(Debug)]
pub struct Journal {
    entries: Counter,
    bytes: Counter,
    failed: Counter,
    times: Histogram,
    groups: Histogram,
}

impl Default for Journal {
    fn default() -> Self {
        Journal {
            entries: Counter::default(),
            bytes: Counter::default(),
            failed: Counter::default(),
            times: Histogram::new(&TIMES_US),
            groups: Histogram::new(&SIZES),
        }
    }
}

impl Journal {
    /// A commit was written and synced: so many frames with so many entries and bytes, in this time.
    pub fn committed(&self, frames: usize, entries: usize, bytes: usize, took: Duration) {
        self.entries.add(entries as u64);
        self.bytes.add(bytes as u64);
        self.times.add_time(took);
        self.groups.add(frames as u64);
    }

    /// A commit could not be written.
    pub fn failed(&self) {
        self.failed.add(1);
    }

    /// Writes all of it; `size` is the journal's.
    pub fn write(&self, size: u64, text: &mut Text) {
        text.gauge("artel_journal_size_entries", "Entries of the journal that are synced.", size);
        text.counter(
            "artel_journal_entries_total",
            "Entries that were written and synced.",
            self.entries.value(),
        );
        text.counter("artel_journal_bytes_total", "Bytes of those entries' bodies.", self.bytes.value());
        text.counter(
            "artel_journal_failures_total",
            "Commits that could not be written.",
            self.failed.value(),
        );
        text.family(
            "artel_journal_commit_seconds",
            Kind::Histogram,
            "From the first byte of a commit to its sync; the count is the number of syncs.",
        )
        .histogram(&[], &self.times, 1_000_000);
        text.family(
            "artel_journal_group_frames",
            Kind::Histogram,
            "Requests and events that one commit took in.",
        )
        .histogram(&[], &self.groups, 1);
    }
}
