//! What entries say of results that are run again: lots, runs before the verdict, refutations after it and what goes back.

use super::State;
use crate::fact::*;
use crate::redo::{self, Redo};
use crate::run::{Handed, StepState};
use artel_protocol::amount::Credits;
use artel_reputation::{self as reputation, Evidence, Quality};

impl State {
    pub(super) fn drawn(&mut self, f: &Drawn, index: u64) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        let open = matches!(step.state, StepState::Submitted { agent, .. } if agent == f.agent);
        let fresh = step.handed.last().is_some_and(|h| h.epoch == f.epoch && h.index + 1 == index);
        if !open || !fresh {
            return Err(format!("no submission of step {} stands right before its draw", f.step));
        }
        (step.undrawn, step.redo) = (None, Some(Redo::new(f.lot, false)));
        Ok(())
    }

    pub(super) fn lot(&mut self, f: &Lot) -> Result<(), String> {
        let step = self.open_step(&f.step)?;
        let open = matches!(step.state, StepState::Submitted { agent, .. } if agent == f.agent);
        let is_of = |handed: &Handed| (handed.epoch, handed.index) == (f.epoch, f.submitted);
        let Some(digest) = step.undrawn.filter(|_| open && step.handed.last().is_some_and(is_of)) else {
            return Err(format!("no submission of step {} waits for its lot", f.step));
        };
        let follows = redo::lot::drawn_by(&digest, &f.witnesses).is_none_or(|lot| lot == f.lot);
        if !follows || redo::draws(&f.lot, f.rate) != f.drawn {
            return Err(format!("the lot of step {} is not what its witnesses drew", f.step));
        }
        step.undrawn = None;
        step.redo = f.drawn.then(|| Redo::new(f.lot, !f.is_witnessed()));
        Ok(())
    }

    /// The redo of the submission that a run was of, while it is open.
    fn open_redo(&mut self, f: &Redone) -> Result<(&mut Option<Redo>, Redo), String> {
        let step = self.open_step(&f.step)?;
        let open = matches!(step.state, StepState::Submitted { agent, .. } if agent == f.agent);
        let redo = step.redo.clone().filter(|redo| open && step.epoch == f.epoch && !redo.is_over);
        let redo =
            redo.ok_or_else(|| format!("step {} has no drawn submission of epoch {}", f.step, f.epoch))?;
        Ok((&mut step.redo, redo))
    }

    /// A run that ends the redo, but for a first one with another result.
    pub(super) fn redone(&mut self, f: &Redone) -> Result<(), String> {
        let (place, mut redo) = self.open_redo(f)?;
        *place = match f.came {
            Came::Same => None,
            Came::Other(result) if redo.is_agreed(&result) => None,
            Came::Other(result) if redo.doubts.is_empty() => {
                redo.doubts.push((f.by.ok_or("nobody came to another result")?, result));
                Some(redo)
            }
            Came::Other(_) | Came::Inconclusive => Some(Redo { is_over: true, ..redo }),
        };
        Ok(())
    }

    /// A run that leaves a doubt open.
    pub(super) fn unsettled(&mut self, f: &Redone) -> Result<(), String> {
        let (place, mut redo) = self.open_redo(f)?;
        if redo.doubts.is_empty() {
            return Err(format!("nobody doubts the result of step {}", f.step));
        }
        match f.came {
            Came::Other(result) if redo.doubts.len() < redo::DOUBTS_MAX => {
                redo.doubts.push((f.by.ok_or("nobody came to another result")?, result));
            }
            Came::Inconclusive if redo.unsaid < redo::UNSAID_MAX => redo.unsaid += 1,
            _ => return Err(format!("that run settled step {}", f.step)),
        }
        *place = Some(redo);
        Ok(())
    }

    pub(super) fn refute(&mut self, f: &Refuted) -> Result<(), String> {
        if let Some((_, step)) = self.step(&f.step) {
            let is_of = |h: &Handed| (h.epoch, h.index) == (f.epoch, f.submitted);
            let stands = step.state == StepState::Accepted { agent: f.agent }
                && step.handed.last().is_some_and(is_of)
                && f.recalled <= step.paid;
            if !stands {
                return Err(format!("step {} has no such accepted result", f.step));
            }
        }
        if !self.refuted.insert((f.step, f.epoch)) {
            return Err(format!("the result of step {} was refuted before", f.step));
        }
        if f.recalled > Credits::ZERO {
            self.recalling = Some((f.step, f.epoch, f.agent, f.recalled));
        }
        let outcome = if f.late { reputation::Outcome::Late } else { reputation::Outcome::OnTime };
        let quality = f.quality.and_then(Quality::new);
        let evidence = Evidence { at: f.judged, fact: reputation::Fact::Receipt { outcome, quality } };
        self.with_worker(&f.agent, |agent| {
            agent.refuted += 1;
            agent.unrefuted = 0;
            agent.earned_units = agent.earned_units.saturating_sub(f.recalled.0);
            agent.standing.remove(&evidence);
        });
        Ok(())
    }

    pub(super) fn recall(&mut self, f: &Recalled) -> Result<(), String> {
        let due = self.recalling.take().filter(|(step, epoch, ..)| (*step, *epoch) == (f.step, f.epoch));
        let Some((.., agent, amount)) = due else {
            return Err(format!("nothing goes back for step {}", f.step));
        };
        let [from, to] = f.legs.as_slice() else { return Err("not two legs".into()) };
        let is_posters = matches!(to.account, Account::Operator | Account::Agent(_));
        let units = i64::try_from(amount.0).map_err(|_| "more than a ledger holds")?;
        if from != (&Leg { account: Account::Agent(agent), units: -units })
            || !is_posters
            || to.units != units
        {
            return Err(format!("what goes back for step {} is not what was said", f.step));
        }
        let transfer = Transfer { cause: Cause::Refund, step: f.step, legs: f.legs.clone() };
        self.ledger.enter(&transfer, to.account).map_err(|error| error.to_string())
    }
}
