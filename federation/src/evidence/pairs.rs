//! Records become receipts here: home's submission waits for its verdict, a judged one for the record of the worker's node,
//! and that for home's. What waits is bounded by the limits in `mod.rs`.

use super::lost::Lost;
use super::receipt::{Lapse, Learnt, LeftOut, Receipt};
use super::refutable::{Refutable, Takes};
use super::{HANDED_MAX, HANDED_TOTAL_MAX, OPEN_MAX, RECENT_MAX, WAITING_MAX, WAITING_TOTAL_MAX};
use crate::fact::{Abroad, Entry, Fact, HandedIn, Judgement, Refuted, Submitted, Verdict};
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId, PublicKey};
use artel_protocol::log::Origin;
use artel_protocol::time::Wall;
use artel_reputation::{Outcome, Quality};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An entry of a journal.
type Place = (Origin, u64);

/// What is there of receipts that are not whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Pairs {
    homes: BTreeMap<Origin, Home>,
    /// By where the worker's node entered them.
    handed: BTreeMap<Place, Handed>,
    handed_by: BTreeMap<Origin, u64>,
    /// By where the worker's node should have entered them, home's journal and the verdict's index.
    waiting: BTreeMap<(Place, Origin, u64), Judged>,
    waiting_by: BTreeMap<Origin, BTreeSet<(u64, Place)>>,
    /// Of each journal, the index up to which it was read.
    passed: BTreeMap<Origin, u64>,
    /// Of `handed`, by the worker's node and home; the places are the `HandedIn`'s.
    lost_handed: Lost,
    /// Of `waiting`, by home and the worker's node; the places are those where the `HandedIn` should have been.
    lost_waiting: Lost,
    /// Between which home and worker's node a receipt was lost that another reader may have.
    unsure: BTreeSet<(NodeId, NodeId)>,
    refutable: Refutable,
}

/// What a home's journal has said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
struct Home {
    /// Submissions without a verdict, by index.
    open: BTreeMap<u64, Open>,
    /// The newest submissions, oldest first.
    recent: VecDeque<(StepId, Epoch)>,
    recent_set: BTreeSet<(StepId, Epoch)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Open {
    step: StepId,
    epoch: Epoch,
    agent: AgentId,
    result: Digest,
    late: bool,
    handed_at: Option<(Origin, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Handed {
    lease: Abroad,
    agent: AgentId,
    result: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Judged {
    receipt: Receipt,
    result: Digest,
    /// Home has found the result to be another.
    is_refuted: bool,
}

/// A receipt that is not whole yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Home has a submission without a verdict.
    Unjudged {
        /// Home's journal.
        home: Origin,
        /// The index of its `Submitted`.
        submitted: u64,
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
        /// The agent.
        agent: AgentId,
    },
    /// Home has judged; the worker's node's record is not there.
    Unhanded(Receipt),
    /// The worker's node handed in; home's records are not there.
    Unanswered {
        /// The worker's node's journal, and the index of its `HandedIn`.
        handed_in: (Origin, u64),
        /// The lease.
        lease: Abroad,
        /// The agent.
        agent: AgentId,
    },
}

impl Pairs {
    /// Reads the next entry of interest of a journal.
    pub fn hear(&mut self, origin: Origin, index: u64, entry: &Entry, learnt: &mut Vec<Learnt>) {
        self.pass(origin, index, learnt);
        match &entry.fact {
            Fact::Submitted(f) => self.submitted(origin, index, f, learnt),
            Fact::Verdict(f) => self.verdict(origin, index, entry.at, f, learnt),
            Fact::HandedIn(f) => self.handed_in(origin, index, f, learnt),
            Fact::Refuted(f) => self.refuted(origin, f, learnt),
            Fact::Lapsed(f) => {
                let (step, epoch, agent) = (f.step, f.epoch, f.agent);
                learnt.push(Learnt::Lapse(Lapse { home: origin, step, epoch, agent, index, at: entry.at }));
            }
            _ => {}
        }
        self.pass(origin, index + 1, learnt);
    }

    /// Whether an entry stands before one of its journal that was read: its author numbers entries otherwise than they stand.
    pub fn is_behind(&self, origin: &Origin, index: u64) -> bool {
        self.passed.get(origin).is_some_and(|passed| index < *passed)
    }

    /// All entries of a journal before this index were read: what others wait for there does not come any more.
    pub fn pass(&mut self, origin: Origin, index: u64, learnt: &mut Vec<Learnt>) {
        let passed = self.passed.entry(origin).or_default();
        if index <= *passed {
            return;
        }
        let before = std::mem::replace(passed, index);
        let first = lowest(&origin);
        let late = self.waiting.range(((origin, before), first, 0)..((origin, index), first, 0));
        let keys: Vec<_> = late.map(|(key, _)| *key).collect();
        for key in keys {
            let judged = self.take_waiting(&key);
            learnt.push(left_out(&judged.receipt, LeftOut::NotHandedIn));
        }
    }

    /// Between which home and worker's node a receipt was lost that another reader may have.
    pub fn take_unsure(&mut self) -> BTreeSet<(NodeId, NodeId)> {
        std::mem::take(&mut self.unsure)
    }

    /// What waits for another record.
    pub fn halves(&self) -> impl Iterator<Item = Half> + '_ {
        let unjudged = self.homes.iter().flat_map(|(home, said)| {
            said.open.iter().map(|(submitted, open)| Half::Unjudged {
                home: *home,
                submitted: *submitted,
                step: open.step,
                epoch: open.epoch,
                agent: open.agent,
            })
        });
        let unhanded = self.waiting.values().map(|judged| Half::Unhanded(judged.receipt));
        let unanswered = self.handed.iter().map(|(place, handed)| Half::Unanswered {
            handed_in: *place,
            lease: handed.lease,
            agent: handed.agent,
        });
        unjudged.chain(unhanded).chain(unanswered)
    }

    fn submitted(&mut self, origin: Origin, index: u64, f: &Submitted, learnt: &mut Vec<Learnt>) {
        let home = self.homes.entry(origin).or_default();
        let (step, epoch, agent) = (f.step, f.epoch, f.agent);
        if !home.recent_set.insert((step, epoch)) {
            learnt.push(Learnt::LeftOut { home: origin, step, epoch, agent, why: LeftOut::Twice });
            return;
        }
        home.recent.push_back((step, epoch));
        if home.recent.len() > RECENT_MAX
            && let Some(oldest) = home.recent.pop_front()
        {
            home.recent_set.remove(&oldest);
        }
        let handed_at = f.handed_at.map(|at| {
            let origin = Origin::new(origin.federation(), at.node, at.incarnation);
            (origin, at.index)
        });
        home.open.insert(index, Open { step, epoch, agent, result: f.result, late: f.late, handed_at });
        if home.open.len() > OPEN_MAX {
            home.open.pop_first();
        }
    }

    fn verdict(&mut self, origin: Origin, index: u64, at: Wall, f: &Verdict, learnt: &mut Vec<Learnt>) {
        let (step, epoch, agent) = (f.step, f.epoch, f.agent);
        let none = |why| Learnt::LeftOut { home: origin, step, epoch, agent, why };
        let Some(home) = self.homes.get_mut(&origin) else {
            return learnt.push(none(LeftOut::NoSubmission));
        };
        let fits = |open: &Open| (open.step, open.epoch, open.agent) == (step, epoch, agent);
        let open = match home.open.remove(&f.submitted) {
            Some(open) if fits(&open) => open,
            other => {
                home.open.extend(other.map(|open| (f.submitted, open)));
                return learnt.push(none(LeftOut::NoSubmission));
            }
        };
        let (outcome, quality) = match &f.judgement {
            Judgement::Accepted { quality, checked } => {
                let outcome = if open.late { Outcome::Late } else { Outcome::OnTime };
                (outcome, Quality::new(*quality).filter(|_| *checked))
            }
            Judgement::Rejected { .. } => (Outcome::Rejected, None),
        };
        let handed_in = open.handed_at;
        let submitted = f.submitted;
        let receipt = Receipt {
            home: origin,
            step,
            epoch,
            agent,
            submitted,
            verdict: index,
            handed_in,
            at,
            outcome,
            quality,
        };
        let Some(place) = handed_in else { return learnt.push(Learnt::Receipt(receipt)) };
        if place.0.node() == origin.node() {
            return learnt.push(none(LeftOut::ToItself));
        }
        if receipt.is_accepted() {
            self.refutable.accepted(&receipt);
        }
        let judged = Judged { receipt, result: open.result, is_refuted: false };
        match self.handed.get(&place) {
            Some(handed) if is_of(handed, &judged) => {
                self.take_handed(&place);
                self.whole(&judged, learnt);
            }
            Some(_) => learnt.push(none(LeftOut::OtherHandedIn)),
            None if self.passed.get(&place.0).is_some_and(|passed| place.1 < *passed) => {
                if self.lost_handed.may_have(place.0.node(), origin.node(), place.1) {
                    self.unsure.insert((origin.node(), place.0.node()));
                }
                learnt.push(none(LeftOut::NotHandedIn));
            }
            None => self.wait(place, judged, learnt),
        }
    }

    /// A receipt is whole. One that was refuted before counts first all the same, so that the book is as where it was refuted after.
    fn whole(&mut self, judged: &Judged, learnt: &mut Vec<Learnt>) {
        learnt.push(Learnt::Receipt(judged.receipt));
        self.refutable.whole(&judged.receipt);
        if judged.is_refuted {
            learnt.push(Learnt::Refuted(judged.receipt));
        }
    }

    fn refuted(&mut self, origin: Origin, f: &Refuted, learnt: &mut Vec<Learnt>) {
        match self.refutable.refuted(&origin, f) {
            Some(Takes::Whole(receipt)) => learnt.push(Learnt::Refuted(receipt)),
            // It is remembered where the other half waits, which outlasts the newest acceptances.
            Some(Takes::Half(receipt)) => {
                let place = receipt.handed_in.map(|place| (place, origin, receipt.verdict));
                if let Some(judged) = place.and_then(|place| self.waiting.get_mut(&place)) {
                    judged.is_refuted = true;
                }
            }
            None => {}
        }
    }

    fn wait(&mut self, place: Place, judged: Judged, learnt: &mut Vec<Learnt>) {
        let (home, verdict) = (judged.receipt.home, judged.receipt.verdict);
        self.waiting.insert((place, home, verdict), judged);
        let by = self.waiting_by.entry(home).or_default();
        by.insert((verdict, place));
        let full = match by.len() > WAITING_MAX {
            true => Some(home),
            false if self.waiting.len() > WAITING_TOTAL_MAX => {
                self.waiting_by.iter().max_by_key(|(_, by)| by.len()).map(|(home, _)| *home)
            }
            false => None,
        };
        let oldest = full.and_then(|home| Some((home, *self.waiting_by.get(&home)?.first()?)));
        if let Some((home, (verdict, place))) = oldest {
            let oldest = self.take_waiting(&(place, home, verdict));
            self.lost_waiting.add(home.node(), place.0.node(), place.1);
            learnt.push(left_out(&oldest.receipt, LeftOut::TooMany));
        }
    }

    fn handed_in(&mut self, origin: Origin, index: u64, f: &HandedIn, learnt: &mut Vec<Learnt>) {
        if f.lease.home == origin.node() {
            return;
        }
        let handed = Handed { lease: f.lease, agent: f.agent, result: f.result };
        let place = (origin, index);
        let first = lowest(&origin);
        let named = self.waiting.range((place, first, 0)..((origin, index + 1), first, 0));
        let keys: Vec<_> = named.map(|(key, _)| *key).collect();
        let mut taken = false;
        for key in keys {
            let judged = self.take_waiting(&key);
            if !taken && is_of(&handed, &judged) {
                taken = true;
                self.whole(&judged, learnt);
            } else {
                learnt.push(left_out(&judged.receipt, LeftOut::OtherHandedIn));
            }
        }
        if self.lost_waiting.may_have(f.lease.home, origin.node(), index) {
            self.unsure.insert((f.lease.home, origin.node()));
        }
        if taken {
            return;
        }
        self.handed.insert(place, handed);
        let by = self.handed_by.entry(origin).or_default();
        *by += 1;
        let full = match *by > HANDED_MAX as u64 {
            true => Some(origin),
            false if self.handed.len() > HANDED_TOTAL_MAX => {
                self.handed_by.iter().max_by_key(|(_, by)| **by).map(|(origin, _)| *origin)
            }
            false => None,
        };
        let oldest = full.and_then(|of| self.handed.range((of, 0)..).next());
        if let Some((place, home)) = oldest.map(|(place, handed)| (*place, handed.lease.home)) {
            self.lost_handed.add(place.0.node(), home, place.1);
            self.take_handed(&place);
        }
    }

    fn take_waiting(&mut self, key: &(Place, Origin, u64)) -> Judged {
        let judged = self.waiting.remove(key).expect("whoever asks has seen it");
        if let Some(by) = self.waiting_by.get_mut(&key.1) {
            by.remove(&(key.2, key.0));
            if by.is_empty() {
                self.waiting_by.remove(&key.1);
            }
        }
        judged
    }

    fn take_handed(&mut self, place: &Place) {
        self.handed.remove(place);
        if let Some(by) = self.handed_by.get_mut(&place.0) {
            *by -= 1;
            if *by == 0 {
                self.handed_by.remove(&place.0);
            }
        }
    }
}

/// The lowest origin of a federation, which is nobody's: where a range over all of them begins.
fn lowest(origin: &Origin) -> Origin {
    Origin::new(origin.federation(), NodeId(PublicKey::from_bytes([0; 32])), 0)
}

/// Whether the worker's node handed in what home judged.
fn is_of(handed: &Handed, judged: &Judged) -> bool {
    let receipt = &judged.receipt;
    let lease = Abroad { home: receipt.home.node(), step: receipt.step, epoch: receipt.epoch };
    (handed.lease, handed.agent, handed.result) == (lease, receipt.agent, judged.result)
}

fn left_out(receipt: &Receipt, why: LeftOut) -> Learnt {
    let Receipt { home, step, epoch, agent, .. } = *receipt;
    Learnt::LeftOut { home, step, epoch, agent, why }
}
