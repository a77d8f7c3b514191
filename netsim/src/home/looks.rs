//! How a home is looked at: its journal as it is read back, its live state beside it, its clock, its published heads.

use super::Home;
use crate::book::{Book, Life};
use crate::invariants::{self, EntrySeen, FrameSeen, StateSeen, Violation, evidence, journal, progress};
use crate::sabotage::Sabotage;
use crate::witness::Witness;
use artel_audit::{Appended, verify};
use artel_federation::fact::End;
use artel_federation::{Entry, Fact, Options};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::log::{Hash, consistency};
use std::sync::Arc;

/// After how many commits the live state is compared with the fold, besides at every start.
const FOLD_EVERY: u64 = 16;

/// By how much a lease may outlive its term: the timer's millisecond, a commit on a slow disk, and room.
const LEASE_SLACK_MS: u64 = 3_000;

/// How many offers agents hear of.
const OFFERS_HEARD: usize = 24;

impl Home {
    /// Reads the frames of a commit back from the disk and shows them to the invariants.
    pub(super) fn read_back(&mut self, at: u64, appended: &[Appended]) -> Result<(), Violation> {
        let Some(live) = &self.live else { return Ok(()) };
        let reader = live.journal.reader();
        for frame in appended {
            let mut bodies = Vec::with_capacity(frame.leaves.len());
            let mut leaves = Vec::with_capacity(frame.leaves.len());
            for index in frame.first_index..frame.first_index + frame.leaves.len() as u64 {
                let entry = reader.entry(index);
                let entry =
                    entry.map_err(|e| self.unsound(format!("synced entry {index} cannot be read: {e}")))?;
                leaves.push(entry.leaf.hash());
                bodies.push(entry.body);
            }
            let decided = self.decided.pop_front();
            let wanted = decided.as_deref();
            journal::invariant_frames_are_whole(
                self.number,
                std::iter::once(&bodies[..]),
                wanted.into_iter(),
            )?;
            let entries = self.decode(&bodies)?;
            take_frame(self.number, &mut self.book, &self.witness, &self.options, &entries, &leaves)?;
            self.counts.entries += entries.len() as u64;
            let folded = self.fold.fold(&entries, &mut Vec::new());
            folded.map_err(|e| self.unsound(e.to_string()))?;
            self.hear_of(at, &entries);
        }
        Ok(())
    }

    pub(super) fn decode(&self, bodies: &[Vec<u8>]) -> Result<Vec<Entry>, Violation> {
        let decode = |body: &Vec<u8>| {
            Entry::decode(body).map_err(|e| self.unsound(format!("an entry is unreadable: {e}")))
        };
        bodies.iter().map(decode).collect()
    }

    /// What the world remembers of fresh entries: offers to talk about, terms to hold the home to.
    fn hear_of(&mut self, at: u64, entries: &[Entry]) {
        for entry in entries {
            *self.tally.entry(entry.fact.kind().name()).or_default() += 1;
            match &entry.fact {
                Fact::Offered(f) => {
                    self.offers.push_back(f.step);
                    if self.offers.len() > OFFERS_HEARD {
                        self.offers.pop_front();
                    }
                }
                Fact::StepEnded(f) => *self.tally.entry(end_name(f.end)).or_default() += 1,
                Fact::Granted(f) => self.expect_end(f.step, f.epoch, at + u64::from(f.lease_ms)),
                _ => {}
            }
        }
    }

    pub(super) fn expect_end(&mut self, step: StepId, epoch: Epoch, by: u64) {
        if let Some(live) = &mut self.live {
            live.leases.insert(step, (epoch, by));
        }
    }

    pub(super) fn unsound(&self, what: String) -> Violation {
        Violation { invariant: "invariant_a_sound_disk_opens", home: self.number, what }
    }

    pub(super) fn look_at_state(&mut self) -> Result<(), Violation> {
        let Some(live) = &self.live else { return Ok(()) };
        let seen = StateSeen { book: &self.book, view: live.federation.view() };
        invariants::state(self.number, &seen)?;
        let due = |step: &StepId, epoch: &Epoch| live.checks.contains(&(*step, *epoch));
        progress::invariant_checks_are_asked_for(self.number, &self.book, due)?;
        if live.commits.is_multiple_of(FOLD_EVERY) {
            journal::invariant_state_is_the_fold(self.number, &live.federation, &self.fold)?;
        }
        Ok(())
    }

    /// Looks whether somebody waits too long, or a lease lives too long. Runs after every event.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn look_at_time(&mut self, at: u64) -> Result<(), Violation> {
        let Some(live) = &mut self.live else { return Ok(()) };
        if let Some(first) = self.pending.values().find(|pending| pending.at != u64::MAX) {
            progress::invariant_requests_are_answered_once(self.number, Some(at.saturating_sub(first.at)))?;
        }
        let late = |by: &u64| at.saturating_sub(*by) > LEASE_SLACK_MS;
        let book = &self.book;
        let is_live = |step: &StepId, epoch: &Epoch| {
            book.steps
                .get(step)
                .is_some_and(|page| matches!(page.life, Life::Leased(_)) && page.epoch == *epoch)
        };
        if live.leases.values().any(|(_, by)| late(by)) {
            live.leases.retain(|step, (epoch, _)| is_live(step, epoch));
            if let Some((_, by)) = live.leases.values().find(|(_, by)| late(by)) {
                progress::invariant_leases_end(self.number, at - by, LEASE_SLACK_MS)?;
            }
        }
        Ok(())
    }

    /// Looks whether the log alone shows that agents wanted what it says of them.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn look_at_signatures(&self) -> Result<(), Violation> {
        let holds = evidence::invariant_membership_is_signed(&self.identity, &self.book);
        holds.map_err(|what| Violation {
            invariant: "invariant_membership_is_signed",
            home: self.number,
            what,
        })
    }

    /// Publishes a head, with the proof that it continues the last one.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn publish(&mut self, _at: u64) -> Result<(), Violation> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let Ok(checkpoint) = live.journal.checkpoint() else {
            return if self.disk.crashed() { self.fall(true) } else { Ok(()) };
        };
        let (mut size, root) = (checkpoint.size(), checkpoint.root());
        if self.sabotage == Some(Sabotage::HeadTooHigh) {
            size = live.federation.size();
        }
        journal::invariant_heads_never_shrink(self.number, &self.witness, &self.book, size)?;
        journal::invariant_roots_are_consistent_now(self.number, &self.book, size, root)?;
        if let Some((old, old_root)) =
            self.witness.heads.last().copied().filter(|(old, _)| *old < size && *old > 0)
        {
            let proof = live.journal.reader().consistency(old, size);
            let holds = proof.map_err(|e| e.to_string()).and_then(|proof| {
                consistency::verify(old, &old_root, size, &root, &proof).map_err(|e| e.to_string())
            });
            journal::invariant_heads_are_proven(self.number, holds)?;
        }
        self.counts.heads += 1;
        self.witness.heads.push((size, root));
        Ok(())
    }

    /// After its end a home's directory is verified as a stranger would, by the shipped code for it.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn verify(&self) -> Result<(), Violation> {
        let report = verify::directory(Arc::new(self.disk.clone()));
        let holds = report.map_err(|e| e.to_string()).and_then(|report| match report.outcome {
            verify::Outcome::Damaged { file, what } => Err(format!("{file}: {what}")),
            verify::Outcome::Sound if report.bodies_sealed > 0 => Err("bodies do not open".to_owned()),
            verify::Outcome::Sound if report.entries != self.book.size() => {
                Err(format!("{} entries are verified, {} were read", report.entries, self.book.size()))
            }
            verify::Outcome::Sound => Ok(()),
        });
        journal::invariant_the_log_verifies(self.number, holds)
    }
}

/// Takes one frame off the disk into the book, past the invariants.
pub(super) fn take_frame(
    home: usize,
    book: &mut Book,
    witness: &Witness,
    options: &Options,
    frame: &[Entry],
    leaves: &[Hash],
) -> Result<(), Violation> {
    book.open_frame();
    for (at, leaf) in leaves.iter().enumerate() {
        invariants::entry(home, &EntrySeen { book, frame, at, witness, options })?;
        book.take(*leaf, &frame[at]);
    }
    invariants::frame(home, &FrameSeen { book, frame, options })
}

fn end_name(end: End) -> &'static str {
    match end {
        End::AttemptsSpent => "ended: attempts spent",
        End::LapsesSpent => "ended: lapses spent",
        End::ReleasesSpent => "ended: releases spent",
        End::DeadlinePassed => "ended: deadline passed",
        End::NeedFailed => "ended: need failed",
        End::Cancelled => "ended: cancelled",
    }
}
