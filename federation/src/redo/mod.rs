//! Redo before the verdict (decisions 12 and 13): a sample of what agents hand in is run again, by another node where one can,
//! and two runs that agree on another result reject it.
//!
//! Here it is decided what is drawn and what follows from a run; who witnesses and who runs it again is the shell's to find out, in
//! the order that the submission and the lot give.

pub mod late;
pub mod lot;
pub mod message;

use crate::commitment::Salt;
use crate::effect::{Effect, Reply, ToRedo, ToWitness};
use crate::fact::{Came, Fact, Lot, Outcome, Redoing, Redone, Witnessing};
use crate::federation::{Federation, check};
use crate::input::Ran;
use crate::json::Json;
use crate::run::{Run, Step, StepState};
use crate::turn::Turn;
use artel_protocol::codec::{Decode, Encode, encode_into};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::NodeId;
use artel_reputation::Quality;

/// The check that a result fails which two other runs agree against.
pub const CHECK: &str = "redo";

/// Of a thousand results of a newcomer so many are redone. Fewer, and who falsifies one in ten is not found within 60.
pub const RATE_FIRST: u32 = 700;

/// Of a thousand results of the best record so many are redone still. Fewer, and who has earned trust can sell it: with this
/// one, who falsifies one in ten is found within 900.
pub const RATE_LEAST: u32 = 50;

/// For so many results of a module the rate stays the first one. With fewer, a newcomer who falsifies one in ten would be
/// found within 60 less surely than in 97 of 100 cases while the rate falls.
pub const KEPT_FOR: u64 = 40;

/// Of a thousand results of an agent how many are redone: `700 × 40 / n`, rounded down, from 700 down to 50, where n is how many
/// of its results of a module were accepted here since a redo last found one false.
pub fn rate(unrefuted: u64) -> u32 {
    let most = u64::from(RATE_FIRST);
    let rate = most * KEPT_FOR / unrefuted.max(KEPT_FOR);
    u32::try_from(rate).unwrap_or(RATE_FIRST).max(RATE_LEAST)
}

/// Whether a lot draws: its first eight bytes, the lowest first, leave less than the rate by a thousand.
pub fn draws(lot: &Digest, rate: u32) -> bool {
    let first = u64::from_le_bytes(lot.0[..8].try_into().expect("eight of 32 bytes"));
    first % 1_000 < u64::from(rate)
}

/// A node's place among those that a digest orders, the least first: of those that may redo by the lot, of those that may draw it by
/// the submission. SHA-256 of `digest (32) ‖ key`.
pub fn place(lot: &Digest, node: &NodeId) -> Digest {
    let mut bytes = Vec::new();
    encode_into(&(*lot, *node), &mut bytes);
    Digest::of(&bytes)
}

/// What a public entry says of another result: SHA-256 of `artel/1/redone ‖ 0 ‖ the submission's salt (16) ‖ its digest (32)`.
fn salted(salt: Salt, result: Digest) -> Digest {
    let mut bytes = b"artel/1/redone\0".to_vec();
    encode_into(&(salt, result), &mut bytes);
    Digest::of(&bytes)
}

/// How many other results of one submission are kept at most, each by a run. The third run breaks a tie between the first two
/// (decision 13); where all three differ, nobody's word outweighs the worker's.
pub const DOUBTS_MAX: usize = 3;

/// How many runs may come to nothing while a result is doubted; each but the last has a further one asked for. With fewer, who
/// keeps one node busy has a doubt dropped; with more, the verdict is later than home promises.
pub const UNSAID_MAX: u8 = 3;

/// How a submission's redo stands until its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Redo {
    /// What orders those who may do it.
    pub lot: Digest,
    /// Whether home does it first: no witness has drawn it.
    pub at_home_first: bool,
    /// Who came to another result, and the commitment to that.
    pub doubts: Vec<(NodeId, Digest)>,
    /// How many runs came to nothing since the first of them.
    pub unsaid: u8,
    /// Whether it is over, without a run that says that the result is right: then it is no step towards a lower rate.
    pub is_over: bool,
}

/// What follows from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A further one.
    Again,
    /// Two agree on another result.
    Refuted,
    /// The submission goes on as if it had not been drawn.
    Over,
}

impl Redo {
    /// The redo of a submission that was just drawn.
    pub(crate) fn new(lot: Digest, at_home_first: bool) -> Self {
        Redo { lot, at_home_first, doubts: Vec::new(), unsaid: 0, is_over: false }
    }

    /// How many runs were recorded.
    pub fn runs(&self) -> u8 {
        u8::try_from(self.doubts.len()).unwrap_or(u8::MAX).saturating_add(self.unsaid)
    }

    /// Whether a run came to what one before it came to.
    pub(crate) fn is_agreed(&self, result: &Digest) -> bool {
        self.doubts.iter().any(|(_, before)| before == result)
    }

    fn next(&self, came: &Came) -> Next {
        match came {
            Came::Other(result) if self.is_agreed(result) => Next::Refuted,
            Came::Other(_) if self.doubts.len() + 1 < DOUBTS_MAX => Next::Again,
            Came::Inconclusive if !self.doubts.is_empty() && self.unsaid + 1 < UNSAID_MAX => Next::Again,
            Came::Other(_) | Came::Inconclusive | Came::Same => Next::Over,
        }
    }
}

impl Federation {
    /// The wish to hear an open submission's witnesses; nothing where it has no lot, or that has fallen.
    pub(crate) fn to_witness(&self, id: StepId, is_anew: bool) -> Option<ToWitness> {
        let (run, step) = self.state.step(&id)?;
        let StepState::Submitted { agent, .. } = step.state else { return None };
        let (digest, worker) = (step.undrawn?, &self.state.agents.get(&agent)?);
        // Whoever reaches this node enrolls: only the operator can say that it let them in. Own tasks are the poster's own matter.
        let let_in = worker.guest.is_none() && !self.options.redo_enrolled;
        let own = run.poster == crate::fact::Poster::Agent(agent);
        let submitted = step.handed.last()?.index;
        let worker = worker.guest.map(|guest| guest.node);
        let ask = ToWitness { step: id, epoch: step.epoch, worker, submitted, digest, is_anew };
        (!let_in && !own).then_some(ask)
    }

    /// Has an open submission's witnesses asked for its lot, where it has one that has not fallen; says whether it has.
    pub(crate) fn ask_witnesses(&mut self, turn: &mut Turn, id: StepId, is_anew: bool) -> bool {
        let Some(ask) = self.to_witness(id, is_anew) else { return false };
        self.live.lots.insert((id, ask.epoch));
        turn.effect(Effect::AskWitnesses(ask));
        true
    }

    /// The witnesses of a submission were heard: its lot falls. What answers no open question is passed over.
    pub(crate) fn witnessed(
        &mut self,
        turn: &mut Turn,
        (id, epoch): (StepId, Epoch),
        witnesses: Vec<Witnessing>,
    ) {
        if !self.live.lots.remove(&(id, epoch)) {
            return;
        }
        let Some((_, step)) = self.state.step(&id) else { return };
        let (StepState::Submitted { agent, .. }, Some(digest)) = (&step.state, step.undrawn) else { return };
        let (agent, submitted) = (*agent, step.handed.last().expect("a submitted step has one").index);
        let rate = rate(self.state.agents.get(&agent).map_or(0, |agent| agent.unrefuted));
        let lot = lot::drawn_by(&digest, &witnesses).unwrap_or_else(|| lot::own(&turn.now, id, epoch));
        let drawn = draws(&lot, rate);
        let fact = Lot { step: id, epoch, agent, submitted, rate, witnesses, lot, drawn };
        turn.record(&mut self.state, Fact::Lot(fact));
        match self.to_redo(id) {
            Some(redo) => turn.effect(redo),
            None => self.examine(turn, id),
        }
    }

    /// The wish to have a drawn submission run again; nothing where its redo is over.
    pub(crate) fn to_redo(&self, id: StepId) -> Option<Effect> {
        let (run, step) = self.state.step(&id)?;
        let StepState::Submitted { agent, .. } = step.state else { return None };
        let redo = step.redo.as_ref().filter(|redo| !redo.is_over)?;
        let worker = self.state.agents.get(&agent)?.guest.map(|guest| guest.node);
        Some(Effect::Redo(Box::new(asked(id, (run, step), redo, worker)?)))
    }

    /// A drawn submission was run again, or nobody could. What answers a question that is no longer open is passed over.
    pub(crate) fn redone(&mut self, turn: &mut Turn, (id, epoch): (StepId, Epoch), runs: u8, ran: Ran) {
        let Some((_, step)) = self.state.step(&id) else { return };
        let (StepState::Submitted { agent, .. }, Some(redo)) = (&step.state, &step.redo) else { return };
        if step.epoch != epoch || redo.is_over || redo.runs() != runs {
            return;
        }
        let (agent, salt) = (*agent, step.handed.last().expect("a submitted step has one").opening.salt);
        let came = match (ran.came, ran.by) {
            (Came::Other(result), Some(_)) => Came::Other(salted(salt, result)),
            (Came::Same, Some(_)) => Came::Same,
            _ => Came::Inconclusive,
        };
        let (next, is_first) = (redo.next(&came), redo.doubts.is_empty());
        let Ran { by, profile, .. } = ran;
        let redone = Redone { step: id, epoch, agent, by, came, profile };
        // A first run with another result always has a second one: `Redone` says so by itself.
        let fact =
            if next == Next::Again && !is_first { Fact::Unsettled(redone) } else { Fact::Redone(redone) };
        turn.record(&mut self.state, fact);
        match next {
            Next::Again => turn.effect(self.to_redo(id).expect("it is not over")),
            Next::Refuted => {
                let findings =
                    "the module was run again, and two of the runs came to one other result".to_owned();
                self.judge(turn, id, Outcome::Rejected { check: CHECK.into(), findings });
            }
            Next::Over => self.examine(turn, id),
        }
    }

    /// Has a submission checked that no redo holds up, or accepts it where there is nothing to check.
    pub(crate) fn examine(&mut self, turn: &mut Turn, id: StepId) {
        let (_, step) = self.state.step(&id).expect("a submission has its step");
        if step.spec.task.output_schema.is_some() {
            turn.effect(check(id, step));
        } else {
            self.judge(turn, id, Outcome::Accepted { quality: Quality::FULL.get(), checked: false });
        }
    }

    /// This node is about to run a step of another home again, which asks it to.
    pub(crate) fn redo_for(&mut self, turn: &mut Turn, redoing: Redoing) -> Reply {
        turn.record(&mut self.state, Fact::Redoing(redoing));
        Reply::Done
    }
}

fn asked(id: StepId, (run, step): (&Run, &Step), redo: &Redo, worker: Option<NodeId>) -> Option<ToRedo> {
    let handed = step.handed.last()?;
    let (ask, _) = asked_of(id, run, step)?;
    Some(ToRedo {
        worker,
        lot: redo.lot,
        at_home_first: redo.at_home_first,
        doubted: redo.doubts.iter().map(|(by, _)| *by).collect(),
        unsaid: redo.unsaid,
        ask,
        output: step.output.clone()?,
        left: handed.opening.artifacts.clone(),
    })
}

/// What is to be run again, and where in the journal the outputs stand that it needs. One that has left memory is empty in it.
fn asked_of(id: StepId, run: &Run, step: &Step) -> Option<(message::Redo, Vec<Option<u64>>)> {
    let needed = step.spec.needs.iter().map(|n| &run.steps[usize::from(*n)]);
    let (mut artifacts, mut needs, mut outputs) = (Vec::<Digest>::new(), Vec::new(), Vec::new());
    for need in needed {
        needs.push((need.spec.name.clone(), need.output.clone().unwrap_or_else(|| Json::new(Vec::new()))));
        outputs.push(need.output_at);
        artifacts.extend(need.handed.last().map(|handed| handed.opening.artifacts.as_slice()).unwrap_or(&[]));
    }
    artifacts.sort_unstable();
    artifacts.dedup();
    let ask = message::Redo {
        step: id,
        epoch: step.epoch,
        module: step.spec.task.runner?.module(),
        skills: step.spec.task.skills.clone(),
        input: step.spec.task.input.clone(),
        needs,
        artifacts,
    };
    Some((ask, outputs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_with_the_record_and_never_below_the_floor() {
        for (unrefuted, wanted) in
            [(0, 700), (40, 700), (41, 682), (80, 350), (400, 70), (560, 50), (561, 50)]
        {
            assert_eq!(rate(unrefuted), wanted, "{unrefuted}");
        }
        assert_eq!(rate(u64::MAX), RATE_LEAST);
        assert!((0..1_000).all(|n| rate(n + 1) <= rate(n)));
    }

    #[test]
    fn lots_draw_at_their_rate() {
        let drawn = |rate| (0..20_000_u64).filter(|n| draws(&Digest::of(&n.to_le_bytes()), rate)).count();
        assert!((13_800..14_200).contains(&drawn(RATE_FIRST)), "{}", drawn(RATE_FIRST));
        assert!((900..1_100).contains(&drawn(RATE_LEAST)), "{}", drawn(RATE_LEAST));
        assert_eq!((drawn(0), drawn(1_000)), (0, 20_000));
    }
}
