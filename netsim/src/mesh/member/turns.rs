//! Which of several neighbours brings a journal (`federation/src/fetching.rs`), and how a fetch waits for what others bring
//! (`fetch_missing` of the shell).

use super::exchange::Pull;
use super::{Context, Does, Member, Out, Wake};
use crate::mesh::packet::Slot;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::fetching::WAIT_MS;
use artel_protocol::sync::Mark;
use artel_protocol::time::Mono;

impl Member {
    /// Looks what of a neighbour's journals is lacking by now and was not asked for yet: what others brought meanwhile may have made
    /// authors known.
    pub(super) fn look_at_marks(&mut self, context: &mut Context, peer: Slot) -> Does {
        let live = self.live()?;
        let Some(pull) = live.pulls.get_mut(&peer) else { return Ok(()) };
        let mut missing = live.exchange.missing(&pull.marks);
        missing.retain(|mark| !pull.done.contains(&mark.origin));
        pull.theirs = missing.into();
        (pull.waits, pull.others_until) = (false, None);
        self.next_want(context, peer)
    }

    /// Goes to the next journal of a fetch whose turn is free, beginning with the one that is being fetched. Nothing where there is
    /// none.
    pub(super) fn next_free(&mut self, context: &Context, peer: Slot) -> Does<Option<Mark>> {
        let now = Mono(if context.is(MeshSabotage::TurnKept) { 0 } else { context.at });
        let live = self.live()?;
        let Some(pull) = live.pulls.get_mut(&peer) else { return Ok(None) };
        while let Some(theirs) = pull.theirs.front().copied() {
            if pull.turn.is_some() {
                return Ok(Some(theirs));
            }
            match live.fetching.take(theirs.origin, now) {
                Ok(turn) => {
                    pull.turn = Some(turn);
                    pull.done.insert(theirs.origin);
                    pull.asked = 0;
                }
                Err(until) => {
                    pull.others_until = Some(pull.others_until.map_or(until, |first| first.min(until)));
                    pull.theirs.pop_front();
                }
            }
        }
        Ok(None)
    }

    /// A fetch is done with the journal whose turn it has.
    pub(super) fn end_turn(&mut self, context: &Context, peer: Slot) -> Does {
        let live = self.live()?;
        if let Some(turn) = live.pulls.get_mut(&peer).and_then(|pull| pull.turn.take())
            && !context.is(MeshSabotage::TurnKept)
        {
            live.fetching.end(turn);
            self.out.push(Out::Later(0, Wake::TurnEnded));
        }
        Ok(())
    }

    /// Whether a fetch that has nothing more to ask for waits for what others are bringing.
    pub(super) fn waits_for_others(&mut self, context: &Context, peer: Slot) -> Does<bool> {
        let Some(pull) = self.live()?.pulls.get_mut(&peer) else { return Ok(false) };
        let Some(until) = pull.others_until else { return Ok(false) };
        let end = *pull.waits_until.get_or_insert(context.at + WAIT_MS);
        if context.at >= end {
            return Ok(false);
        }
        pull.waits = true;
        let (stream, step, looks_again) = (pull.stream, pull.step, end.min(until.0));
        let ms = looks_again.saturating_sub(context.at).max(1);
        self.out.push(Out::Later(ms, Wake::OutOfTime(peer, stream, step)));
        Ok(true)
    }

    /// A turn has ended: whoever waits for one looks again.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn turn_ended(&mut self, context: &mut Context) -> Does {
        let waiting = |(peer, pull): (&Slot, &Pull)| (pull.waits && !pull.rests).then_some(*peer);
        let waiting: Vec<Slot> = self.live()?.pulls.iter().filter_map(waiting).collect();
        waiting.into_iter().try_for_each(|peer| self.look_at_marks(context, peer))
    }

    /// Another neighbour's turn may be out of time, or this fetch has waited long enough.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn out_of_time(&mut self, context: &mut Context, peer: Slot, (stream, step): (u64, u32)) -> Does {
        let Some(pull) = self.live()?.pulls.get(&peer) else { return Ok(()) };
        let is_this = (pull.stream, pull.step, pull.rests, pull.waits) == (stream, step, false, true);
        if is_this { self.look_at_marks(context, peer) } else { Ok(()) }
    }
}
