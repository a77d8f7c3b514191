//! The outbox (`neighbours/outbox.rs`): results that a home has not acknowledged, or not judged yet, are brought to it again now
//! and then; and what homes' records say of them is told to the rules.

use super::home::is_acknowledged;
use super::{ANSWER_MS, Bringing, Context, Does, Member, Own, Stop, Then, Trade, held, wall};
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::away::ends_a_result;
use artel_federation::fact::{Abroad, Account, Cause, Refuted, Transfer, Verdict};
use artel_federation::input::{Conclusion, Word};
use artel_federation::visit::message::{Act, Handing, Told};
use artel_federation::{Entry, Fact, Principal, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::record::Records;
use std::collections::{BTreeMap, BTreeSet};

/// For how long an acknowledged result waits for a record of its verdict before home is asked again (`VERDICT_WAIT_MS`).
const VERDICT_WAIT_MS: u64 = 10_000;

/// How many results of one home are brought at once (`AT_ONCE_PER_HOME`).
const AT_ONCE_PER_HOME: usize = 8;

/// How long a home may take for a result whose artifacts it fetches first, in milliseconds.
const FETCH_MS: u64 = 60_000;

/// How many bytes of kept frames are looked at at once.
const LOOK_BYTES: usize = 64 << 10;

/// What a payment for a step brings its worker.
fn paid(payment: &Transfer, step: StepId, agent: AgentId) -> Option<Credits> {
    let is_of = payment.cause == Cause::Payment && payment.step == step;
    let leg = payment.legs.iter().find(|leg| is_of && leg.account == Account::Agent(agent))?;
    u64::try_from(leg.units).ok().map(Credits)
}

impl Member {
    /// Brings a result, whose private half stands right before the public one; `next` is the agent that wants the next task in
    /// the same answer.
    pub(super) fn bring(&mut self, lease: Abroad, own: Own, next: Option<usize>) -> Does {
        if self.trade()?.under_way.contains(&lease) {
            return Ok(());
        }
        self.trade()?.open.insert(lease);
        let sabotage = self.sabotage;
        let live = self.live()?;
        let Some(engagement) = live.federation.view().away().get(&lease) else { return Ok(()) };
        let Some(handed) = &engagement.result else { return Ok(()) };
        let (agent, index, result) = (engagement.agent, handed.index, handed.result);
        let stored = live.journal.reader().entry(index - 1).map_err(|_| Stop::Down)?;
        let Ok(Entry { fact: Fact::Outgoing(outgoing), .. }) = Entry::decode(&stored.body) else {
            return Ok(());
        };
        let named = if sabotage == Some(MeshSabotage::WrongRecordNamed) { index - 1 } else { index };
        let fetches = !outgoing.artifacts.is_empty();
        let handing = Handing {
            step: lease.step,
            epoch: lease.epoch,
            output: outgoing.output,
            salt: outgoing.salt,
            artifacts: outgoing.artifacts,
            incarnation: 0,
            index: named,
            next: next.map(|_| 0),
        };
        let own = own.or(outgoing.own);
        let visit = self.visit_of(agent, Act::Submit(Box::new(handing)), own)?;
        if visit.is_some() || sabotage == Some(MeshSabotage::UndelegatedStuck) {
            self.trade()?.under_way.insert(lease);
        }
        // Where the agent has ended its delegation the result waits for a newer one.
        let Some(visit) = visit else { return Ok(()) };
        let patience = if fetches { FETCH_MS } else { ANSWER_MS };
        self.call(lease.home, visit.to_frame(), patience, Then::Bring { lease, agent, result, worker: next })
    }

    /// A home has answered a result, or has not in time.
    pub(super) fn brought(
        &mut self,
        context: &mut Context,
        (lease, agent, result): (Abroad, AgentId, Digest),
        worker: Option<usize>,
        answer: Option<Vec<u8>>,
    ) -> Does {
        self.trade()?.under_way.remove(&lease);
        let Some(frame) = answer else {
            return match context.is(MeshSabotage::SilenceEnds) {
                true => self.tell_of(context, lease, Word::Refused("stale_epoch".into())),
                false => Ok(()),
            };
        };
        let told = Told::read(&frame);
        match told {
            Ok(Told::Submitted { receipt, signature }) => {
                let named = (receipt.step, receipt.epoch, receipt.agent, receipt.result);
                let right = named == (lease.step, lease.epoch, agent, result);
                let signed = is_acknowledged(&receipt, &signature, &lease.home, &self.identity.federation);
                let holds = crate::invariants::ensure(right && signed, || {
                    format!("home {} acknowledges something else than was handed in", lease.home)
                });
                held("invariant_honest_nodes_are_not_blamed", self.slot, holds)?;
                context.counts.acknowledged += 1;
                let misread = u64::from(context.is(MeshSabotage::WordsMisread));
                let (submitted, at) = (receipt.submitted + misread, receipt.submitted_at);
                let verdict = receipt.verdict.as_ref().map(Conclusion::of);
                self.tell_of(context, lease, Word::Acknowledged { submitted, at, signature, verdict })?;
                match (receipt.next, worker) {
                    (Some(next), Some(n)) => self.undertake(context, n, lease.home, false, *next),
                    _ => Ok(()),
                }
            }
            Ok(Told::Refused { code, .. }) if ends_a_result(&code) => {
                self.tell_of(context, lease, Word::Refused(code))
            }
            _ => Ok(()),
        }
    }

    /// Tells the rules what a home said of a lease.
    pub(super) fn tell_of(&mut self, context: &mut Context, lease: Abroad, word: Word) -> Does {
        let request = Request::Hear { lease, word };
        self.request(context, Principal::Node(lease.home), request)?;
        let away = self.live()?.federation.view().away();
        let (is_over, is_accepted) = (away.get(&lease).is_none(), away.accepted(&lease).is_some());
        let trade = self.trade()?;
        if is_accepted {
            trade.judged.insert(lease);
        }
        if is_over {
            trade.open.remove(&lease);
        }
        Ok(())
    }

    /// Brings what its home has not said enough of.
    pub(super) fn bring_some(&mut self, context: &mut Context) -> Does {
        let now = wall(context.at);
        let forgets = context.is(MeshSabotage::OutboxForgets);
        let live = self.live()?;
        let up: BTreeSet<NodeId> = live.up.values().copied().collect();
        let waits = live.federation.view().away().all().filter(|one| {
            let Some(handed) = &one.result else { return false };
            handed.acknowledged.is_none() || now.since_ms(handed.at) > VERDICT_WAIT_MS
        });
        let waits: Vec<Abroad> =
            waits.map(|one| one.lease).filter(|lease| up.contains(&lease.home)).collect();
        let mut of_home: BTreeMap<NodeId, usize> = BTreeMap::new();
        for lease in waits {
            let trade = self.trade()?;
            let count = of_home.entry(lease.home).or_default();
            if trade.under_way.contains(&lease) || *count >= AT_ONCE_PER_HOME || forgets {
                continue;
            }
            *count += 1;
            self.bring(lease, None, None)?;
        }
        Ok(())
    }

    /// What a home's records say of results: verdicts that are waited for, and that one which was accepted is refuted.
    pub(super) fn words_in(&mut self, records: &Records) -> Does<Vec<(Abroad, Word)>> {
        if self.sabotage == Some(MeshSabotage::VerdictsUnheard) {
            return Ok(Vec::new());
        }
        let untold = self.sabotage == Some(MeshSabotage::RefutationsUntold);
        let home = records.origin().node();
        let Trade { open, judged, .. } = self.trade()?;
        let mut words = Vec::new();
        // The payment stands before its verdict, in the same frame.
        let mut payment: Option<Transfer> = None;
        for record in records.records() {
            match Entry::decode(&record.body).map(|entry| entry.fact) {
                Ok(Fact::Transfer(f)) => payment = Some(f),
                Ok(Fact::Verdict(Verdict { step, epoch, agent, judgement, .. })) => {
                    let lease = Abroad { home, step, epoch };
                    if open.contains(&lease) {
                        let paid = payment.as_ref().and_then(|payment| paid(payment, step, agent));
                        let conclusion = Conclusion { verdict: record.index, judgement, paid };
                        words.push((lease, Word::Judged(conclusion)));
                    }
                }
                Ok(Fact::Refuted(Refuted { step, epoch, recalled, .. })) if !untold => {
                    let lease = Abroad { home, step, epoch };
                    if open.contains(&lease) || judged.contains(&lease) {
                        words.push((lease, Word::Refuted { refuted: record.index, recalled }));
                    }
                }
                _ => {}
            }
        }
        Ok(words)
    }

    /// Looks for words among what was kept of homes that have not said enough, from where it was looked at last; at first also of
    /// those that may refute something: what they said before this start may not have been heard.
    pub(super) fn look_at_kept(&mut self, context: &mut Context) -> Does {
        let now = wall(context.at);
        let live = self.live()?;
        let late = live.federation.view().away().all().filter(|one| {
            one.result.as_ref().is_some_and(|handed| now.since_ms(handed.at) > VERDICT_WAIT_MS)
        });
        let mut late: BTreeSet<NodeId> = late.map(|one| one.lease.home).collect();
        let marks = live.kept.marks();
        let trade = self.trade()?;
        if trade.looked.is_empty() {
            late.extend(trade.judged.iter().map(|lease| lease.home));
        }
        for (origin, mark) in marks.into_iter().filter(|(origin, _)| late.contains(&origin.node())) {
            let mut from = self.trade()?.looked.get(&origin).copied().unwrap_or_default();
            while from < mark.next {
                let (frames, then) = self.live()?.kept.frames(&origin, from, LOOK_BYTES);
                for frame in &frames {
                    let Ok(records) = context.memo.records(frame) else { continue };
                    for (lease, word) in self.words_in(&records)? {
                        self.tell_of(context, lease, word)?;
                    }
                }
                if then <= from {
                    break;
                }
                from = then.min(mark.next);
            }
            self.trade()?.looked.insert(origin, from);
        }
        Ok(())
    }

    /// What is served to a home of a result that was handed in to it: the journal's own word.
    pub(super) fn artifacts_handed_in(&mut self, (home, step, epoch): Bringing) -> Does<Option<Vec<Digest>>> {
        let live = self.live()?;
        let lease = Abroad { home, step, epoch };
        let handed = live.federation.view().away().get(&lease).and_then(|one| one.result.as_ref());
        let Some(index) = handed.map(|handed| handed.index) else { return Ok(None) };
        let stored = live.journal.reader().entry(index - 1).map_err(|_| Stop::Down)?;
        match Entry::decode(&stored.body).map(|entry| entry.fact) {
            Ok(Fact::Outgoing(outgoing)) => Ok(Some(outgoing.artifacts)),
            _ => Ok(None),
        }
    }
}
