//! One input's worth of work: the facts it makes, each folded at once, and what is to be done behind them.

use crate::closed::ClosedRun;
use crate::effect::{Effect, Refusal, Reply};
use crate::fact::{Entry, Fact, RunEnded};
use crate::input::{Now, ReplyTo};
use crate::state::State;
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::log::leaf::Class;
use artel_protocol::text::Correlation;
use std::sync::Arc;

/// What one input has caused so far.
pub(crate) struct Turn {
    pub now: Now,
    /// Who gets the next task at the end of this input, and in the answer to which submission.
    pub claimer: Option<(AgentId, (StepId, Epoch))>,
    correlation: Option<Correlation>,
    entries: Vec<Entry>,
    after: Vec<Effect>,
    closed: Vec<Arc<ClosedRun>>,
}

impl Turn {
    pub fn new(now: Now, correlation: Option<Correlation>) -> Self {
        Turn { now, claimer: None, correlation, entries: Vec::new(), after: Vec::new(), closed: Vec::new() }
    }

    /// Writes a fact down and folds it; says the journal index that it will have.
    ///
    /// # Panics
    /// When the fact cannot follow the state: the rules decided something impossible.
    pub fn record(&mut self, state: &mut State, fact: Fact) -> u64 {
        let index = state.size;
        // The caller chose it, and by it strangers could tell what belongs together: it stands in private entries only.
        let correlation = self.correlation.as_ref().filter(|_| fact.class() == Class::Private).cloned();
        let entry = Entry { at: self.now.wall, correlation, fact };
        if let Err(error) = state.apply(&entry) {
            panic!("the rules made a fact that does not fold: {error}");
        }
        self.entries.push(entry);
        index
    }

    /// How many entries there are so far.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    pub fn reply(&mut self, to: ReplyTo, answer: Result<Reply, Refusal>) {
        self.after.push(Effect::Reply { to, answer });
    }

    pub fn effect(&mut self, effect: Effect) {
        self.after.push(effect);
    }

    /// Closes what is over and hands out the effects: the frame first, then whatever waits for it.
    pub fn finish(mut self, state: &mut State, effects: &mut Vec<Effect>) {
        for run in state.ended_now() {
            self.record(state, Fact::RunEnded(RunEnded { run: run.id, status: run.status() }));
        }
        state.close_finished(&mut self.closed);
        if !self.entries.is_empty() {
            effects.push(Effect::Append(self.entries));
        }
        effects.extend(self.closed.into_iter().map(Effect::Closed));
        effects.append(&mut self.after);
    }
}
