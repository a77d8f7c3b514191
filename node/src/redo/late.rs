//! Redo after the verdict: the operator has an accepted result run again, in this node's own sandbox alone. Two runs under one engine
//! that agree on another result refute it; the rules do the rest. What a limit of the machine ended, or what this node cannot run,
//! says nothing here.

use super::{Bench, compare, read_step};
use crate::handle::Handle;
use crate::store::Blobs;
use artel_federation::fact::Came;
use artel_federation::input::LateRun;
use artel_federation::redo::late::Late;
use artel_federation::redo::message::{Ended, Reran};
use artel_federation::run::Run;
use artel_federation::{Json, Principal, Request};
use artel_protocol::id::{Digest, StepId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Of how many results it is remembered what their last run after the verdict came to, until it was answered once, those under way
/// among them. At the limit none is begun until one has ended; then the one that comes first is forgotten.
const REMEMBERED_MAX: usize = 64;

/// How long both runs may take, their turns behind this node's other redos among that; then they came to nothing.
const RUNS_WAIT: Duration = Duration::from_secs(600);

/// How an accepted result's run after the verdict stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is under way.
    Running,
    /// It came to the result that was handed in.
    Same,
    /// Two runs agreed on another one, and the journal says so.
    Refuted,
    /// It says nothing: it could not be run here, a limit ended it, or two runs differ.
    Inconclusive,
}

impl State {
    /// How a run stands. One that ended without saying how, as one that panicked, says nothing.
    fn of(told: &watch::Receiver<State>) -> State {
        match *told.borrow() {
            State::Running if told.has_changed().is_err() => State::Inconclusive,
            state => state,
        }
    }
}

/// The runs that the operator had made since the start.
pub struct LateRedos {
    bench: Arc<Bench>,
    blobs: Blobs,
    handle: Handle,
    known: Mutex<BTreeMap<StepId, watch::Receiver<State>>>,
}

impl LateRedos {
    /// None yet.
    pub fn new(bench: Arc<Bench>, blobs: Blobs, handle: Handle) -> Self {
        LateRedos { bench, blobs, handle, known: Mutex::default() }
    }

    /// The run of a result that is under way, or that has ended and was not answered yet.
    pub fn known(&self, step: &StepId) -> Option<watch::Receiver<State>> {
        self.locked().get(step).cloned()
    }

    /// Waits until a run has come to something, for a while; how it stands then. What it came to is answered once: whoever asks after
    /// that has it run again.
    pub async fn answer(&self, step: &StepId, mut told: watch::Receiver<State>, wait: Duration) -> State {
        // Whoever waited in vain asks again.
        let _ = tokio::time::timeout(wait, told.wait_for(|state| *state != State::Running)).await;
        let state = State::of(&told);
        let mut known = self.locked();
        if state != State::Running && known.get(step).is_some_and(|other| other.same_channel(&told)) {
            known.remove(step);
        }
        state
    }

    /// Begins a run, where none of this result is known meanwhile; nothing where too many are under way. Its state changes once.
    pub fn begin(
        self: &Arc<Self>,
        step: StepId,
        run: Arc<Run>,
        (late, output): (Late, Json),
    ) -> Option<watch::Receiver<State>> {
        let (told, state) = watch::channel(State::Running);
        {
            let mut known = self.locked();
            if let Some(other) = known.get(&step) {
                return Some(other.clone());
            }
            if known.len() >= REMEMBERED_MAX {
                let over = known.iter().find(|(_, told)| State::of(told) != State::Running);
                let over = *over?.0;
                known.remove(&over);
            }
            known.insert(step, state.clone());
        }
        let redos = self.clone();
        tokio::spawn(async move {
            let came = tokio::time::timeout(RUNS_WAIT, redos.agree(&late, &output)).await;
            let state = match came.unwrap_or(None) {
                Some((Came::Same, _)) => State::Same,
                Some((Came::Other(other), profile)) => {
                    redos.refute(LateRun { step, run, other, profile }).await
                }
                Some((Came::Inconclusive, _)) | None => State::Inconclusive,
            };
            tracing::info!(task = %step, ?state, "an accepted result was run again");
            told.send_replace(state);
        });
        Some(state)
    }

    /// What two runs agree on; one is enough where it agrees with what was handed in.
    async fn agree(&self, late: &Late, output: &Json) -> Option<(Came, Digest)> {
        let once = async || {
            let reran = self.bench.run_own(read_step(&self.blobs, &late.ask)).await?;
            Some((came(&reran, output, &late.left), reran.profile))
        };
        let first = once().await?;
        match first.0 {
            Came::Same => Some(first),
            Came::Other(_) => once().await.filter(|second| *second == first),
            Came::Inconclusive => None,
        }
    }

    async fn refute(&self, late: LateRun) -> State {
        match self.handle.ask(Principal::Operator, None, Request::Refute(Box::new(late))).await {
            Ok(Ok(_)) => State::Refuted,
            Ok(Err(refusal)) => {
                tracing::warn!(?refusal, "a result that is another cannot be refuted");
                State::Inconclusive
            }
            Err(error) => {
                tracing::warn!(%error, "a result that is another cannot be refuted now");
                State::Inconclusive
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<StepId, watch::Receiver<State>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run came to. A limit that stopped this one may not have stopped the worker's, and what this engine cannot run another one may:
/// before the verdict that is a doubt that a third node's run settles, after it nothing does, for both runs are this node's own.
fn came(reran: &Reran, output: &Json, left: &[Digest]) -> Came {
    match reran.end {
        Ended::Bound(_) | Ended::CannotRun => Came::Inconclusive,
        _ => compare::compare(reran, output, left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::redo::message::Bound;

    #[test]
    fn a_run_that_ended_without_a_word_says_nothing() {
        let (told, state) = watch::channel(State::Running);
        assert_eq!(State::of(&state), State::Running);
        drop(told);
        assert_eq!(State::of(&state), State::Inconclusive);
        let (told, state) = watch::channel(State::Running);
        told.send_replace(State::Refuted);
        drop(told);
        assert_eq!(State::of(&state), State::Refuted);
    }

    #[test]
    fn what_a_limit_ended_or_cannot_run_here_says_nothing_after_the_verdict() {
        let reran = |end| Reran { profile: Digest([7; 32]), end };
        let handed = Json::new(*b"1");
        for bound in [Bound::Fuel, Bound::Memory, Bound::Table, Bound::Stack] {
            assert_eq!(came(&reran(Ended::Bound(bound)), &handed, &[]), Came::Inconclusive);
        }
        for end in [Ended::CannotRun, Ended::Inconclusive] {
            assert_eq!(came(&reran(end), &handed, &[]), Came::Inconclusive);
        }
        let done = |text: &[u8]| Ended::Done { output: Json::new(text), artifacts: vec![], log: None };
        assert_eq!(came(&reran(done(b" 1")), &handed, &[]), Came::Same);
        assert!(matches!(came(&reran(done(b"2")), &handed, &[]), Came::Other(_)));
        assert!(matches!(came(&reran(Ended::Failed("exit 7".into())), &handed, &[]), Came::Other(_)));
    }
}
