//! What the node measures of itself beside what its parts count anyway, and all of it as Prometheus reads it. Names and help
//! of all the node's metrics stand in this directory and in `neighbours/measured.rs`.

mod journal;
mod process;

pub use journal::Journal;

use crate::redo::Bench;
use artel_federation::view::Counts;
use artel_protocol::amount::UNITS_PER_CREDIT;
use artel_web::metrics::{Kind, Text};
use std::time::Instant;

/// What is open in the book, and what came of the rest.
pub(crate) fn book(counts: &Counts, text: &mut Text) {
    let mut family = text.family(
        "artel_tasks_open",
        Kind::Gauge,
        "Open tasks: available to claims, claimed, or neither (they wait for others, or are judged).",
    );
    let neither = counts.steps_open.saturating_sub(counts.offers).saturating_sub(counts.leases);
    for (status, n) in [("available", counts.offers), ("claimed", counts.leases), ("neither", neither)] {
        family.sample(&[("status", status)], n);
    }
    let mut family = text.family(
        "artel_submissions_total",
        Kind::Counter,
        "Submissions that were judged, since the first entry.",
    );
    family.sample(&[("verdict", "accepted")], counts.totals.accepted);
    family.sample(&[("verdict", "rejected")], counts.totals.rejected);
    text.gauge("artel_leases", "Leases that are held.", counts.leases);
    text.counter(
        "artel_leases_lapsed_total",
        "Leases that ran out, since the first entry.",
        counts.totals.lapsed,
    );
    text.gauge("artel_claims_waiting", "Claims that wait for a task.", counts.waiting);
    text.gauge("artel_runs_open", "Runs that are not over.", counts.runs_open);
    text.counter(
        "artel_runs_posted_total",
        "Runs that were posted, since the first entry.",
        counts.totals.runs,
    );
    text.counter(
        "artel_credits_paid_total",
        "Whole credits that were paid, since the first entry.",
        counts.totals.paid_units / UNITS_PER_CREDIT,
    );
    text.gauge("artel_agents", "Enrolled agents.", counts.agents);
    text.gauge("artel_nodes_admitted", "Nodes that this one admitted and has not expelled.", counts.nodes);
    text.gauge("artel_artifact_bytes", "Bytes of artifacts on disk.", counts.artifact_bytes);
    text.counter("artel_starts_total", "Starts of this node.", counts.boots);
}

/// How far the index is behind the journal.
pub(crate) fn index(size: u64, position: u64, is_ready: bool, text: &mut Text) {
    text.gauge(
        "artel_index_behind_entries",
        "Entries of the journal that the index has not written yet.",
        size.saturating_sub(position),
    );
    text.gauge("artel_index_ready", "Whether the index answers.", u8::from(is_ready));
}

/// What ran in this node's own sandbox.
pub(crate) fn sandbox(bench: &Bench, text: &mut Text) {
    let counts = bench.counts();
    let mut family = text.family(
        "artel_sandbox_runs_total",
        Kind::Counter,
        "Steps that ran in this node's own sandbox, by how they ended.",
    );
    let ends = [
        ("done", counts.done),
        ("failed", counts.failed),
        ("inconclusive", counts.inconclusive),
        ("not_run", counts.not_run),
    ];
    for (end, n) in ends {
        family.sample(&[("end", end)], n);
    }
    text.counter("artel_sandbox_compilations_total", "Modules that were compiled.", counts.compiled);
}

/// The process: memory, processor, descriptors.
pub(crate) fn process(started: Instant, text: &mut Text) {
    process::write(started, text);
}
