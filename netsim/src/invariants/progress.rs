//! The second phase: once all faults have ended, everything comes to an end in bounded virtual time. And in both phases:
//! whoever asks a home that stays up is answered, and no lease outlives its term.

use super::Violation;
use crate::book::{Book, Life};
use artel_protocol::id::{Epoch, StepId};

/// The names of the functions below.
pub const NAMES: &[&str] = &[
    "invariant_requests_are_answered_once",
    "invariant_leases_end",
    "invariant_checks_are_asked_for",
    "invariant_runs_end",
    "invariant_receipts_pair",
];

/// Within how many virtual milliseconds a home that stays up answers: the longest wait, a commit, and room.
pub const ANSWER_MS_MAX: u64 = 35_000;

/// A request to a home that stays up is answered once, within the longest wait.
///
/// # Errors
/// The violation.
pub fn invariant_requests_are_answered_once(home: usize, waited_ms: Option<u64>) -> Result<(), Violation> {
    let what = match waited_ms {
        None => "an answer goes to nobody, or to the same request a second time".to_owned(),
        Some(ms) if ms > ANSWER_MS_MAX => format!("a request has waited for {ms} ms"),
        Some(_) => return Ok(()),
    };
    Err(Violation { invariant: "invariant_requests_are_answered_once", home, what })
}

/// A lease that was not renewed is over by its term, on home's monotonic clock, with `slack_ms` for the timer.
///
/// # Errors
/// The violation.
pub fn invariant_leases_end(home: usize, over_ms: u64, slack_ms: u64) -> Result<(), Violation> {
    if over_ms <= slack_ms {
        return Ok(());
    }
    let what = format!("a lease lives {over_ms} ms beyond its term");
    Err(Violation { invariant: "invariant_leases_end", home, what })
}

/// A submission that waits for its verdict has its check under way, also after a start.
///
/// # Errors
/// The violation.
pub fn invariant_checks_are_asked_for(
    home: usize,
    book: &Book,
    under_way: impl Fn(&StepId, &Epoch) -> bool,
) -> Result<(), Violation> {
    let waits = |id: &&StepId| matches!(book.steps[*id].life, Life::Submitted(_));
    match book.open.iter().filter(waits).find(|id| !under_way(id, &book.steps[*id].epoch)) {
        None => Ok(()),
        Some(id) => {
            let what = format!("step {id} waits for a verdict, and no check of it is under way");
            Err(Violation { invariant: "invariant_checks_are_asked_for", home, what })
        }
    }
}

/// Some time after everything was healed, no step is open.
///
/// # Errors
/// The violation.
pub fn invariant_runs_end(home: usize, book: &Book, healed_ms: u64) -> Result<(), Violation> {
    let Some(id) = book.open.first() else { return Ok(()) };
    let page = &book.steps[id];
    let what = format!(
        "{} steps are open {healed_ms} ms after all faults ended; step {id} is {:?} under epoch {}, asks {:?} {:?} of {:?}",
        book.open.len(),
        page.life,
        page.epoch,
        page.task.complexity,
        page.task.level_min,
        page.task.skills
    );
    Err(Violation { invariant: "invariant_runs_end", home, what })
}

/// In the end each submission has its verdict: every receipt is a pair.
///
/// # Errors
/// The violation.
pub fn invariant_receipts_pair(home: usize, book: &Book) -> Result<(), Violation> {
    let mut lines =
        book.steps.iter().flat_map(|(id, page)| page.handed.iter().map(move |handed| (id, handed)));
    match lines.find(|(_, handed)| handed.verdict.is_none()) {
        None => Ok(()),
        Some((id, handed)) => {
            let what = format!("the submission of step {id} under epoch {} has no verdict", handed.epoch);
            Err(Violation { invariant: "invariant_receipts_pair", home, what })
        }
    }
}
