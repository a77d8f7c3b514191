//! The lots of results (`redo/lots.rs`): who draws is fixed by the result, and what each of them cosigned first behind it is brought to
//! the rules. Left out: that a silent witness rests, and that a late one is asked directly.

use super::{Context, Does, MarketWake, Member};
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::Input;
use artel_federation::effect::ToWitness;
use artel_federation::fact::{Cosigned, Witnessing};
use artel_federation::redo::lot::{WITNESS_WAIT_MS, WITNESSES, pick};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::NodeId;
use std::collections::BTreeMap;

/// How often it is looked whether the witnesses have cosigned, in milliseconds.
const PULSE_MS: u64 = 250;

/// How long after a start it is waited until enough neighbours are there (`SETTLE`), in milliseconds.
const SETTLE_MS: u64 = 5_000;

/// A lot that has not fallen.
pub(super) struct OpenLot {
    ask: ToWitness,
    since: u64,
    /// Who draws, and since when that is fixed.
    picked: Option<(Vec<NodeId>, u64)>,
}

impl Member {
    /// The rules want a result's witnesses heard.
    pub(super) fn begin_lot(&mut self, at: u64, ask: ToWitness) -> Does {
        let of = (ask.step, ask.epoch);
        self.trade()?.lots.insert(of, OpenLot { ask, since: at, picked: None });
        self.later(1, MarketWake::Lot(of.0, of.1));
        Ok(())
    }

    /// Looks whether a lot may fall.
    pub(super) fn lot_goes_on(&mut self, context: &mut Context, of: (StepId, Epoch)) -> Does {
        let Some(lot) = self.trade()?.lots.get(&of) else { return Ok(()) };
        let (ask, since, mut picked) = (lot.ask, lot.since, lot.picked.clone());
        if picked.is_none() {
            let eligible = self.others_than(ask.worker)?;
            if !ask.is_anew || context.at >= since + SETTLE_MS || eligible.len() >= WITNESSES {
                picked = Some((pick(&ask.digest, eligible), context.at));
            }
        }
        if let Some((nodes, at)) = &picked {
            let said: Vec<Witnessing> = nodes
                .iter()
                .map(|node| {
                    Ok(Witnessing { node: *node, cosigned: self.first_cosigned(ask.submitted, node)? })
                })
                .collect::<Does<_>>()?;
            if context.at >= at + WITNESS_WAIT_MS || said.iter().all(|one| one.cosigned.is_some()) {
                self.trade()?.lots.remove(&of);
                let witnesses = self.as_planted(said);
                context.counts.lots += 1;
                context.counts.witnessed += u64::from(witnesses.iter().any(|one| one.cosigned.is_some()));
                return self.input(context, Input::Witnessed { step: of.0, epoch: of.1, witnesses });
            }
            if self.live()?.last_head <= ask.submitted {
                self.say_head(context)?;
            }
        }
        if let Some(lot) = self.trade()?.lots.get_mut(&of) {
            lot.picked = picked;
        }
        self.later(PULSE_MS, MarketWake::Lot(of.0, of.1));
        Ok(())
    }

    /// The neighbours that are members, neither a worker's node nor its kin.
    pub(super) fn others_than(&mut self, worker: Option<NodeId>) -> Does<Vec<NodeId>> {
        let live = self.live()?;
        let is_other = |node: &NodeId| {
            worker.is_none_or(|worker| worker != *node && !live.exchange.are_kin(&worker, node))
        };
        let all = live.up.values().copied();
        Ok(all.filter(|node| live.exchange.is_member(node) && is_other(node)).collect())
    }

    fn first_cosigned(&mut self, entry: u64, by: &NodeId) -> Does<Option<Cosigned>> {
        let behind = self.live()?.witnesses.range(entry + 1..);
        Ok(behind.filter_map(|(_, said): (_, &BTreeMap<NodeId, Cosigned>)| said.get(by)).next().copied())
    }

    /// Where a bug is planted, home makes up what a witness has signed, until the lot is one that it likes.
    fn as_planted(&mut self, mut said: Vec<Witnessing>) -> Vec<Witnessing> {
        if self.sabotage == Some(MeshSabotage::LotMadeUp)
            && let Some(cosigned) = said.first_mut().and_then(|one| one.cosigned.as_mut())
        {
            cosigned.signature.0[0] ^= 1;
        }
        said
    }
}
