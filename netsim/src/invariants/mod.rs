//! What must hold, as named functions over durable evidence: the entries as they are read back from a home's disk, what
//! agents and posters were told, what was published. They run after every event, on whatever is new in it.
//!
//! `entry` functions see one entry and the book before it; `frame` functions a whole frame and the book behind it; `told`
//! functions an answer as it leaves and the book of what is synced; `state` functions the live state beside the book.

pub mod evidence;
pub mod journal;
pub mod market;
pub mod money;
pub mod progress;
pub mod settlement;

use crate::book::Book;
use crate::letter::{Answer, Letter};
use crate::witness::Witness;
use artel_federation::view::View;
use artel_federation::{Entry, Options};

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The function that noticed.
    pub invariant: &'static str,
    /// The home.
    pub home: usize,
    /// What it saw.
    pub what: String,
}

/// What an invariant says.
pub type Held = Result<(), String>;

/// One entry as it comes off the disk.
pub struct EntrySeen<'a> {
    /// Everything before it.
    pub book: &'a Book,
    /// Its frame; `at` is its place in it.
    pub frame: &'a [Entry],
    /// Its place in the frame.
    pub at: usize,
    /// What the world knows.
    pub witness: &'a Witness,
    /// The operator's numbers.
    pub options: &'a Options,
}

impl EntrySeen<'_> {
    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.frame[self.at]
    }

    /// Its index.
    pub fn index(&self) -> u64 {
        self.book.size()
    }
}

/// One frame as it comes off the disk, all of it taken into the book.
pub struct FrameSeen<'a> {
    /// Everything up to its end.
    pub book: &'a Book,
    /// The frame.
    pub frame: &'a [Entry],
    /// The operator's numbers.
    pub options: &'a Options,
}

/// An answer as it leaves its home.
pub struct Told<'a> {
    /// What is synced.
    pub book: &'a Book,
    /// What the world knows.
    pub witness: &'a Witness,
    /// What was asked.
    pub letter: &'a Letter,
    /// The answer.
    pub answer: &'a Answer,
    /// The lowest good serial number of the asking agent that was synced when the letter came in.
    pub serial_min: u32,
}

/// A home's live state when all that it decided is synced.
pub struct StateSeen<'a> {
    /// What is synced.
    pub book: &'a Book,
    /// The live state.
    pub view: View<'a>,
}

type OfEntry = fn(&EntrySeen<'_>) -> Held;
type OfFrame = fn(&FrameSeen<'_>) -> Held;
type OfAnswer = fn(&Told<'_>) -> Held;
type OfState = fn(&StateSeen<'_>) -> Held;

macro_rules! named {
    ($($module:ident::$function:ident),* $(,)?) => { &[$((stringify!($function), $module::$function)),*] };
}

const ENTRY: &[(&str, OfEntry)] = named![
    market::invariant_epochs_rise_by_one,
    market::invariant_one_live_lease,
    market::invariant_only_the_holder_submits,
    market::invariant_a_lease_ends_as_it_was_held,
    market::invariant_winners_qualify,
    market::invariant_capacity_holds,
    market::invariant_the_barred_stay_out,
    market::invariant_the_let_go_stay_out,
    market::invariant_offers_say_what_was_posted,
    market::invariant_deadlines_are_kept,
    evidence::invariant_the_log_holds_only_what_was_sent,
    evidence::invariant_a_verdict_names_its_submission,
    evidence::invariant_public_entries_cannot_be_guessed,
    evidence::invariant_commitments_open,
    evidence::invariant_salts_are_fresh,
    settlement::invariant_one_accepted_verdict,
    settlement::invariant_the_end_absorbs,
    settlement::invariant_one_run_per_key,
    settlement::invariant_limits_end_steps,
    money::invariant_legs_sum_to_zero,
    money::invariant_paid_once_by_the_formula,
    money::invariant_payments_name_their_worker_alone,
];

const FRAME: &[(&str, OfFrame)] = named![
    money::invariant_all_balances_sum_to_zero,
    money::invariant_escrow_is_what_open_steps_cost,
    money::invariant_nobody_overdraws,
    settlement::invariant_no_step_rests_between_states,
];

const TOLD: &[(&str, OfAnswer)] = named![
    journal::invariant_acknowledged_is_durable,
    evidence::invariant_what_is_told_stands_in_the_log,
    evidence::invariant_an_acknowledgement_names_what_was_sent,
    evidence::invariant_one_winner_is_told,
    evidence::invariant_a_told_verdict_never_changes,
    evidence::invariant_old_tokens_open_nothing,
    settlement::invariant_one_run_is_told_per_key,
];

const STATE: &[(&str, OfState)] = named![
    settlement::invariant_the_record_counts_once,
    settlement::invariant_steps_are_as_the_log_says,
    money::invariant_the_ledger_is_the_logs,
];

/// The names of all invariants that look at one home, in the order in which they run.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = ENTRY.iter().map(|n| n.0).collect();
    names.extend(FRAME.iter().map(|n| n.0));
    names.extend(TOLD.iter().map(|n| n.0));
    names.extend(STATE.iter().map(|n| n.0));
    names.extend(["invariant_membership_is_signed", "invariant_a_closed_run_is_as_the_log_says"]);
    names.push("invariant_nothing_panics");
    names.extend(journal::NAMES);
    names.extend(progress::NAMES);
    names
}

/// The invariants of one entry.
///
/// # Errors
/// The first that does not hold.
pub fn entry(home: usize, seen: &EntrySeen<'_>) -> Result<(), Violation> {
    for (invariant, holds) in ENTRY {
        holds(seen).map_err(|what| Violation { invariant, home, what })?;
    }
    Ok(())
}

/// The invariants of one frame.
///
/// # Errors
/// The first that does not hold.
pub fn frame(home: usize, seen: &FrameSeen<'_>) -> Result<(), Violation> {
    for (invariant, holds) in FRAME {
        holds(seen).map_err(|what| Violation { invariant, home, what })?;
    }
    Ok(())
}

/// The invariants of one answer.
///
/// # Errors
/// The first that does not hold.
pub fn told(home: usize, seen: &Told<'_>) -> Result<(), Violation> {
    for (invariant, holds) in TOLD {
        holds(seen).map_err(|what| Violation { invariant, home, what })?;
    }
    Ok(())
}

/// The invariants of a live state.
///
/// # Errors
/// The first that does not hold.
pub fn state(home: usize, seen: &StateSeen<'_>) -> Result<(), Violation> {
    for (invariant, holds) in STATE {
        holds(seen).map_err(|what| Violation { invariant, home, what })?;
    }
    Ok(())
}

/// A sentence unless something holds.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(what()) }
}
