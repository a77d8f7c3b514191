//! Agents that end what they let their node do, and delegate anew later: they revoke, or enroll again without a delegation and
//! sign each act themselves meanwhile; or they only take a new token, which ends nothing. And whoever has a copy of what was
//! delegated once: it goes on with that under the node's key, so that only the ending's record is in its way.

use super::{ANSWER_MS, Context, Does, MarketWake, Member, Then, wall};
use crate::mesh::market::worker::Alone;
use artel_federation::member::OwnAct;
use artel_federation::visit::message::{Act, Visit};
use artel_federation::{Reply, Request};
use artel_protocol::key::NodeId;

/// For how long an agent does without its node, in milliseconds.
const ALONE_MS: (u64, u64) = (1_000, 30_000);

/// For how long a claim by a copy waits at a home for a task, in milliseconds.
const WAIT_MS: u32 = 15_000;

/// How often whoever has a copy acts by it, in milliseconds.
const COPY_MS: (u64, u64) = (300, 2_000);

/// What an agent had delegated here, as a home is shown it.
pub(super) type Copied = Visit;

impl Member {
    /// Whether an agent may act here now: it enrolls where it is not, ends what it let its node do, or delegates anew.
    pub(super) fn is_with_its_node(&mut self, context: &mut Context, n: usize) -> Does<bool> {
        let at = context.at;
        let seat = self.seat()?;
        let (is_calm, worker) = (seat.is_calm, &mut seat.workers[n]);
        if worker.alone.is_some_and(|alone| is_calm || at >= alone.until) {
            // Its token goes with the new challenge's answer; where that is lost, it enrolls once more.
            (worker.alone, worker.serial) = (None, None);
        }
        let (alone, ends) = (worker.alone, worker.temper.ends);
        match worker.serial {
            None if alone.is_some_and(|alone| !alone.signs) => return Ok(false),
            None => return self.enrolls(context, n).map(|()| false),
            Some(_) => {}
        }
        let may_end = !is_calm && alone.is_none() && !self.seat()?.workers[n].temper.signs_itself;
        if may_end && self.rng.chance(ends) {
            return self.ends(context, n).map(|()| false);
        }
        Ok(true)
    }

    /// It ends its delegation, or its token alone.
    fn ends(&mut self, context: &mut Context, n: usize) -> Does {
        let until = context.at + self.rng.between(ALONE_MS.0, ALONE_MS.1);
        let (how, node) = (self.rng.below(5), self.identity);
        let agent = self.seat()?.workers[n].id;
        let shown = self.visit_of(agent, Act::ClaimNext { wait_ms: 0 }, None)?;
        let seat = self.seat()?;
        let worker = &mut seat.workers[n];
        let Some(principal) = worker.principal() else { return Ok(()) };
        // Whatever becomes of the answer, the token is not used again.
        let Some(serial) = worker.serial.take() else { return Ok(()) };
        if how == 0 {
            let rotate = Request::Rotate(worker.signed(&node, OwnAct::Rotate, serial));
            if let Some(Ok(Reply::Token { serial, .. })) = self.request(context, principal, rotate)?.1 {
                self.seat()?.workers[n].serial = Some(serial);
            }
            return Ok(());
        }
        let signs = how < 3;
        worker.alone = Some(Alone { until, signs });
        let revoke = Request::RevokeOwn(worker.signed(&node, OwnAct::Revoke, serial));
        context.counts.endings += 1;
        if let (Some(copied), Some(shown)) = (&mut seat.copied, shown) {
            copied.push(shown.clone());
            // What waits by a copy when the end comes waits no longer.
            self.copy_claims(context, shown, WAIT_MS)?;
        }
        match signs {
            // Without a delegation.
            true => self.enrolls(context, n),
            false => self.request(context, principal, revoke).map(drop),
        }
    }

    /// Whoever has a copy looks again in a while.
    pub(super) fn copy_waits(&mut self) {
        if self.seat.as_ref().is_some_and(|seat| seat.copied.is_some() && !seat.is_calm) {
            let ms = self.rng.between(COPY_MS.0, COPY_MS.1);
            self.later(ms, MarketWake::Copy);
        }
    }

    /// Whoever has a copy claims by it, and does nothing with what it is given.
    pub(super) fn copy_acts(&mut self, context: &Context) -> Does {
        let copied = self.seat()?.copied.clone().unwrap_or_default();
        let Some(visit) = self.rng.pick(&copied).cloned() else { return Ok(()) };
        let wait_ms = if self.rng.chance(500) { WAIT_MS } else { 0 };
        self.copy_claims(context, visit, wait_ms)
    }

    /// It claims at a home that offers something, or at any.
    fn copy_claims(&mut self, context: &Context, mut visit: Copied, wait_ms: u32) -> Does {
        let offering = self.trade()?.board.homes_for(&visit.skills, wall(context.at));
        let offering: Vec<NodeId> = offering.into_iter().map(|(home, _)| home).collect();
        let up: Vec<NodeId> = self.live()?.up.values().copied().collect();
        let some = if offering.is_empty() { &up } else { &offering };
        let Some(home) = self.rng.pick(some).copied() else { return Ok(()) };
        visit.act = Act::ClaimNext { wait_ms };
        self.call(home, visit.to_frame(), ANSWER_MS + u64::from(wait_ms), Then::Copied)
    }
}
