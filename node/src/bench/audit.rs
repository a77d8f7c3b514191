//! How fast the journal is beside bare group commit on the same disk in the same run, and what a proof costs.

use super::measure::{self, rounded};
use super::node::Scratch;
use super::report::Report;
use serde_json::json;
use std::time::Duration;

/// Measures group by group, about `each` a figure.
///
/// # Errors
/// What the disk says.
pub(super) fn audit(
    report: &Report,
    scratch: &Scratch,
    groups: &[u64],
    each: Duration,
) -> anyhow::Result<()> {
    let dir = scratch.path().join("audit");
    std::fs::create_dir_all(&dir)?;
    let fsync_us = measure::fsync_p50_us(scratch.path())?;
    let found = artel_audit::bench::run(&dir, groups, each)?;
    std::fs::remove_dir_all(&dir)?;
    for row in &found.rows {
        let figures = json!({
            "group": row.group,
            "fsync_p50_us": fsync_us,
            "records_s": row.journal.round(),
            "group_commit_s": row.raw_growing.round(),
            "group_commit_filled_s": row.raw.round(),
            "share": rounded(row.journal / row.raw_growing),
            "share_of_filled": rounded(row.journal / row.raw),
        });
        report.tell("audit_append", figures)?;
    }
    let us = |time: Duration| rounded(time.as_secs_f64() * 1e6);
    let figures = json!({"entries": found.entries, "made_us": us(found.proof_made), "checked_us": us(found.proof_checked)});
    report.tell("audit_proof", figures)
}
