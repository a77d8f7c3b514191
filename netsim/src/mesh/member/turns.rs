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
    /// Goes to the next journal of a fetch whose turn is free, beginning with the one that is being fetched; those of others are
    /// put aside. Nothing where there is none.
    pub(super) fn next_free(&mut self, context: &Context, peer: Slot) -> Does<Option<Mark>> {
        let now = Mono(if context.is(MeshSabotage::TurnKept) { 0 } else { context.at });
        let live = self.live()?;
        let Some(pull) = live.pulls.get_mut(&peer) else { return Ok(None) };
        while let Some(theirs) = pull.theirs.front().copied() {
            if pull.turn.is_none() {
                pull.turn = live.fetching.take(theirs.origin, now);
                pull.asked = 0;
            }
            if pull.turn.is_some() {
                return Ok(Some(theirs));
            }
            pull.others.push(theirs);
            pull.theirs.pop_front();
        }
        Ok(None)
    }

    /// A fetch is done with the journal whose turn it has.
    pub(super) fn end_turn(&mut self, context: &Context, peer: Slot) -> Does {
        let live = self.live()?;
        let Some(pull) = live.pulls.get_mut(&peer) else { return Ok(()) };
        pull.waits_until = context.at + WAIT_MS;
        if let Some(turn) = pull.turn.take()
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
        if pull.others.is_empty() || pull.waited_out {
            return Ok(false);
        }
        pull.waits = true;
        let (stream, step, ms) = (pull.stream, pull.step, pull.waits_until.saturating_sub(context.at));
        self.out.push(Out::Later(ms, Wake::WaitedOut(peer, stream, step)));
        Ok(true)
    }

    /// A turn has ended: whoever waits for one looks again.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn turn_ended(&mut self, context: &mut Context) -> Does {
        let waiting = |(peer, pull): (&Slot, &Pull)| (pull.waits && !pull.rests).then_some(*peer);
        let waiting: Vec<Slot> = self.live()?.pulls.iter().filter_map(waiting).collect();
        waiting.into_iter().try_for_each(|peer| self.look_again(context, peer))
    }

    /// A fetch has waited long enough for others.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn waited_out(&mut self, context: &mut Context, peer: Slot, (stream, step): (u64, u32)) -> Does {
        let Some(pull) = self.live()?.pulls.get_mut(&peer) else { return Ok(()) };
        let is_this = (pull.stream, pull.step, pull.rests) == (stream, step, false);
        if !is_this || !pull.waits || context.at < pull.waits_until {
            return Ok(());
        }
        pull.waited_out = true;
        self.look_again(context, peer)
    }

    fn look_again(&mut self, context: &mut Context, peer: Slot) -> Does {
        let live = self.live()?;
        let Some(pull) = live.pulls.get_mut(&peer) else { return Ok(()) };
        pull.waits = false;
        let others = std::mem::take(&mut pull.others);
        pull.theirs = live.exchange.missing(&others).into();
        self.next_want(context, peer)
    }
}
