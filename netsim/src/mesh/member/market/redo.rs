//! What the rules drew is run again (`redo/mod.rs`, `neighbours/redo.rs`): by neighbours in the lot's order, or at home. Here one is
//! asked after the other; that the next begins beside a slow one is left out.

use super::{Context, DIRECT_BYTES_MAX, Does, MarketWake, Member, Then};
use crate::mesh::market::program;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::Input;
use artel_federation::effect::ToRedo;
use artel_federation::fact::Came;
use artel_federation::input::Ran;
use artel_federation::redo::message::Reran;
use artel_federation::redo::place;
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::NodeId;
use std::collections::VecDeque;

/// How long one neighbour has a step to itself (`ALONE_WAIT`), in milliseconds.
const ALONE_MS: u64 = 15_000;

/// How long it rests before a further run, times how many came to nothing (`FURTHER_WAIT`), in milliseconds.
const FURTHER_MS: u64 = 5_000;

/// How many neighbours are asked for one run (`ASKED_MAX`).
const ASKED_MAX: usize = 2;

/// A run that is wanted.
pub(super) struct UnderWay {
    asked: ToRedo,
    /// Who is asked yet; none for those that were not chosen.
    left: Option<VecDeque<Runner>>,
    /// Who is asked now.
    with: Option<NodeId>,
}

/// Who may run a step again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Here,
    There(NodeId),
}

impl Member {
    /// The rules want a result run again.
    pub(super) fn begin_redo(&mut self, asked: ToRedo) -> Does {
        let (step, epoch, unsaid) = (asked.ask.step, asked.ask.epoch, u64::from(asked.unsaid));
        self.trade()?.redos.insert((step, epoch), UnderWay { asked, left: None, with: None });
        self.later(1 + FURTHER_MS * unsaid, MarketWake::Redo(step, epoch));
        Ok(())
    }

    /// The neighbours that may run it, in the lot's order.
    fn redoers(&mut self, asked: &ToRedo) -> Does<Vec<NodeId>> {
        let asks_itself = self.sabotage == Some(MeshSabotage::WorkerRunsItself);
        let mut fit = self.others_than(asked.worker)?;
        fit.retain(|node| !asked.doubted.contains(node));
        fit.sort_by_key(|node| place(&asked.lot, node));
        fit.truncate(ASKED_MAX);
        match asked.worker.filter(|_| asks_itself) {
            Some(worker) => Ok(vec![worker]),
            None => Ok(fit),
        }
    }

    fn runners(&mut self, asked: &ToRedo) -> Does<VecDeque<Runner>> {
        let me = self.identity.node;
        let there = self.redoers(asked)?.into_iter().map(Runner::There);
        let doubted_elsewhere = !asked.doubted.is_empty() && !asked.doubted.contains(&me);
        if self.sabotage == Some(MeshSabotage::DoubterAskedAgain) && doubted_elsewhere {
            return Ok(asked.doubted.iter().copied().map(Runner::There).collect());
        }
        Ok(match asked.worker {
            // What an agent of this node's own did goes to no other node.
            None => VecDeque::from([Runner::Here]),
            Some(_) if asked.begins_at_home(&me) => std::iter::once(Runner::Here).chain(there).collect(),
            Some(_) => there.chain([Runner::Here]).collect(),
        })
    }

    /// Has the next one run it; where nobody is left, it came to nothing.
    pub(super) fn redo_goes_on(&mut self, context: &mut Context, of: (StepId, Epoch)) -> Does {
        let Some(under_way) = self.trade()?.redos.get(&of) else { return Ok(()) };
        let asked = under_way.asked.clone();
        if under_way.left.is_none() {
            let left = self.runners(&asked)?;
            if let Some(under_way) = self.trade()?.redos.get_mut(&of) {
                under_way.left = Some(left);
            }
        }
        let next = self.trade()?.redos.get_mut(&of).and_then(|one| one.left.as_mut()?.pop_front());
        match next {
            Some(Runner::There(by)) => self.asks_to_rerun(context, of, by, &asked),
            Some(Runner::Here) => {
                let seat = self.seat()?;
                let reran =
                    program::rerun(&asked.ask, &seat.blobs).filter(|_| seat.is_calm || asked.unsaid > 0);
                // Now and then the machine ends a run that says nothing.
                let reran = match reran {
                    None if self.rng.chance(850) => program::rerun(&asked.ask, &self.seat()?.blobs),
                    other => other,
                };
                let me = self.identity.node;
                self.compares(context, of, me, reran)
            }
            None => {
                let me = self.identity.node;
                let ran = match context.is(MeshSabotage::NobodyAgrees) {
                    true => Ran { by: Some(me), came: Came::Same, profile: None },
                    false => Ran { by: None, came: Came::Inconclusive, profile: None },
                };
                self.redone(context, of, ran)
            }
        }
    }

    fn asks_to_rerun(
        &mut self,
        context: &mut Context,
        of: (StepId, Epoch),
        by: NodeId,
        asked: &ToRedo,
    ) -> Does {
        let frame = asked.ask.to_frame();
        if frame.len() > 2 * DIRECT_BYTES_MAX {
            return self.redo_goes_on(context, of);
        }
        let lent: Vec<Digest> = asked.ask.artifacts.iter().copied().chain([asked.ask.module]).collect();
        self.trade()?.lent.insert((by, of.0, of.1), lent);
        if let Some(under_way) = self.trade()?.redos.get_mut(&of) {
            under_way.with = Some(by);
        }
        context.truth.market.lends(of.0, &by);
        self.call(by, frame, ALONE_MS, Then::Rerun { of, by })
    }

    /// A neighbour has run it, or has not in time.
    pub(super) fn reran(
        &mut self,
        context: &mut Context,
        of: (StepId, Epoch),
        by: NodeId,
        answer: Option<Vec<u8>>,
    ) -> Does {
        let trade = self.trade()?;
        trade.lent.remove(&(by, of.0, of.1));
        if trade.redos.get(&of).is_none_or(|under_way| under_way.with != Some(by)) {
            return Ok(());
        }
        let reran = answer.and_then(|frame| Reran::read(&frame).ok());
        context.counts.reran += u64::from(reran.is_some());
        self.compares(context, of, by, reran)
    }

    fn compares(
        &mut self,
        context: &mut Context,
        of: (StepId, Epoch),
        by: NodeId,
        reran: Option<Reran>,
    ) -> Does {
        let Some(under_way) = self.trade()?.redos.get_mut(&of) else { return Ok(()) };
        under_way.with = None;
        let asked = &under_way.asked;
        let came = reran.map(|reran| (program::compare(&reran, &asked.output, &asked.left), reran.profile));
        match came {
            None | Some((Came::Inconclusive, _)) => self.redo_goes_on(context, of),
            Some((came, profile)) => {
                self.redone(context, of, Ran { by: Some(by), came, profile: Some(profile) })
            }
        }
    }

    fn redone(&mut self, context: &mut Context, of: (StepId, Epoch), ran: Ran) -> Does {
        let Some(under_way) = self.trade()?.redos.remove(&of) else { return Ok(()) };
        context.counts.redone += 1;
        let (step, epoch) = of;
        self.input(context, Input::Redone { step, epoch, runs: under_way.asked.runs(), ran })
    }
}
