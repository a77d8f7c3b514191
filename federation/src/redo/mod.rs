//! Redo before the verdict (decisions 12 and 13): a sample of what agents of other nodes hand in is run again, by another node
//! where one can, and two runs that agree on another result reject it.
//!
//! Here it is decided what is drawn and what follows from a run; who runs it again is the shell's to find out, in the order
//! that the lot gives.

pub mod message;

use crate::commitment::Salt;
use crate::effect::{Effect, Reply, ToRedo};
use crate::fact::{Came, Drawn, Fact, Outcome, Redoing, Redone};
use crate::federation::{Federation, check};
use crate::input::{Now, Ran};
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

/// A submission's lot, from the entropy of the input that takes it in: SHA-256 of `artel/1/redo ‖ 0 ‖ entropy (32) ‖ step (16) ‖
/// epoch u32`.
fn lot(now: &Now, step: StepId, epoch: Epoch) -> Digest {
    let mut bytes = b"artel/1/redo\0".to_vec();
    encode_into(&(now.entropy, step, epoch), &mut bytes);
    Digest::of(&bytes)
}

/// Whether a lot draws: its first eight bytes, the lowest first, leave less than the rate by a thousand.
pub fn draws(lot: &Digest, rate: u32) -> bool {
    let first = u64::from_le_bytes(lot.0[..8].try_into().expect("eight of 32 bytes"));
    first % 1_000 < u64::from(rate)
}

/// A node's place among those that may redo, the least first: SHA-256 of `lot (32) ‖ key`.
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

/// How a submission's redo stands until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Redo {
    /// What orders those who may do it.
    pub lot: Digest,
    /// Who came to another result, and the commitment to that, until a second run.
    pub doubt: Option<(NodeId, Digest)>,
}

impl Federation {
    /// Draws the submission that was just taken in, or not; says whether it is redone now.
    pub(crate) fn draw_redo(&mut self, turn: &mut Turn, id: StepId) -> bool {
        let (run, step) = self.state.step(&id).expect("just taken in");
        let StepState::Submitted { agent, .. } = step.state else { panic!("just taken in") };
        let worker = &self.state.agents[&agent];
        // The operator let a local agent in, and answers for it; its own tasks are the poster's own matter.
        let own = run.poster == crate::fact::Poster::Agent(agent);
        if step.spec.task.runner.is_none() || worker.guest.is_none() || own {
            return false;
        }
        let (rate, epoch) = (rate(worker.unrefuted), step.epoch);
        let lot = lot(&turn.now, id, epoch);
        if !draws(&lot, rate) {
            return false;
        }
        turn.record(&mut self.state, Fact::Drawn(Drawn { step: id, epoch, agent, rate, lot }));
        turn.effect(self.to_redo(id).expect("just drawn"));
        true
    }

    /// The wish to have a drawn submission run again; nothing where its redo is over.
    pub(crate) fn to_redo(&self, id: StepId) -> Option<Effect> {
        let (run, step) = self.state.step(&id)?;
        let StepState::Submitted { agent, .. } = step.state else { return None };
        let redo = step.redo?;
        let worker = self.state.agents.get(&agent)?.guest.map(|guest| guest.node);
        Some(Effect::Redo(Box::new(asked(id, (run, step), redo, worker)?)))
    }

    /// A drawn submission was run again, or nobody could. What answers a question that is no longer open is passed over.
    pub(crate) fn redone(
        &mut self,
        turn: &mut Turn,
        (id, epoch): (StepId, Epoch),
        doubted: Option<NodeId>,
        ran: Ran,
    ) {
        let Some((_, step)) = self.state.step(&id) else { return };
        let (StepState::Submitted { agent, .. }, Some(redo)) = (&step.state, step.redo) else { return };
        if step.epoch != epoch || redo.doubt.map(|(by, _)| by) != doubted {
            return;
        }
        let (agent, salt) = (*agent, step.handed.last().expect("a submitted step has one").opening.salt);
        let came = match (ran.came, ran.by) {
            (Came::Other(result), Some(_)) => Came::Other(salted(salt, result)),
            (Came::Same, Some(_)) => Came::Same,
            _ => Came::Inconclusive,
        };
        let Ran { by, profile, .. } = ran;
        turn.record(&mut self.state, Fact::Redone(Redone { step: id, epoch, agent, by, came, profile }));
        match (came, redo.doubt) {
            (Came::Other(_), None) => turn.effect(self.to_redo(id).expect("one run says otherwise")),
            (Came::Other(result), Some((_, before))) if result == before => {
                let findings =
                    "the module was run again twice, and both runs came to another result".to_owned();
                self.judge(turn, id, Outcome::Rejected { check: CHECK.into(), findings });
            }
            _ => self.examine(turn, id),
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

fn asked(id: StepId, (run, step): (&Run, &Step), redo: Redo, worker: Option<NodeId>) -> Option<ToRedo> {
    let handed = step.handed.last()?;
    let needed = step.spec.needs.iter().map(|n| &run.steps[usize::from(*n)]);
    let mut artifacts: Vec<Digest> = Vec::new();
    let mut needs = Vec::new();
    for need in needed {
        needs.extend(need.output.clone().map(|output| (need.spec.name.clone(), output)));
        artifacts.extend(need.handed.last().map(|handed| handed.opening.artifacts.as_slice()).unwrap_or(&[]));
    }
    artifacts.sort_unstable();
    artifacts.dedup();
    Some(ToRedo {
        worker,
        lot: redo.lot,
        doubted: redo.doubt.map(|(by, _)| by),
        ask: message::Redo {
            step: id,
            epoch: step.epoch,
            module: step.spec.task.runner?.module(),
            input: step.spec.task.input.clone(),
            needs,
            artifacts,
        },
        output: step.output.clone()?,
        left: handed.opening.artifacts.clone(),
    })
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
