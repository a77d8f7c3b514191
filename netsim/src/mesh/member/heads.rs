//! Heads and checkpoints (`witness.rs` of the shell): a node tells its newest checkpoint with the proof that it continues the last
//! one; whoever hears it has it judged by the shipped [`Watch`], asks where that says so, remembers durably and only then
//! cosigns; a lie is told on with its proof.
//!
//! A node cosigns its neighbours' heads alone, and watches all members'. That a suspect's and a proven liar's records are not
//! taken any more is left out: what a liar's flood does to the store is to be seen.
//!
//! [`Watch`]: artel_federation::watch::Watch

use super::{Context, Does, Member, Out, Stop};
use crate::mesh::context::held;
use crate::mesh::invariants;
use crate::mesh::mail::{Mail, Wake};
use crate::mesh::overlay::Verdict;
use crate::mesh::packet::Slot;
use crate::mesh::sabotage::MeshSabotage;
use artel_audit::records::witness::WitnessTable;
use artel_federation::fact;
use artel_federation::watch::{Answered, Heard};
use artel_federation::witness::compare;
use artel_protocol::codec::{self, Frame};
use artel_protocol::continuity::{Ask, Continued, Shown};
use artel_protocol::key::NodeId;
use artel_protocol::log::{Cosignature, Origin, SignedCheckpoint};
use artel_protocol::record::Records;
use artel_protocol::time::Mono;
use artel_protocol::topic::Topic;
use artel_protocol::witness::{Contradiction, Cosigned, Fraud, Head};
use std::collections::BTreeSet;

/// The shortest and the longest time between two heads of a node, in milliseconds.
const HEAD_MS: (u64, u64) = (3_000, 6_000);

/// How many frames that are held are compared with one that comes in (`COMPARED_MAX`).
const COMPARED_MAX: usize = 16;

/// How much longer it is in a wide world: every head goes to everybody.
const WIDE_FACTOR: u64 = 12;

impl Member {
    /// Tells the newest head, where it is new.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn tell_head(&mut self, context: &mut Context) -> Does {
        let factor = if context.sampling > 1 { WIDE_FACTOR } else { 1 };
        let next = self.rng.between(HEAD_MS.0, HEAD_MS.1) * factor;
        self.out.push(Out::Later(next, Wake::Head));
        self.ask_what_is_due(context)?;
        self.say_head(context)
    }

    /// The same where somebody waits for it.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn say_head(&mut self, context: &mut Context) -> Does {
        let checkpoint = self.checkpoint(context)?;
        let live = self.live()?;
        let old = live.last_head;
        if checkpoint.size() == old || live.up.is_empty() {
            return Ok(());
        }
        let Ok(proof) = live.journal.reader().consistency(old, checkpoint.size()) else {
            return Err(Stop::Down);
        };
        live.last_head = checkpoint.size();
        let frame = Head::new(checkpoint, old, proof).to_frame();
        self.say(context, Topic::Heads, &frame)
    }

    pub(super) fn hear_head(&mut self, context: &mut Context, data: &[u8]) -> Does<Verdict> {
        let Ok(head) = context.memo.head(data) else { return Ok(Verdict::Reject) };
        let origin = head.checkpoint().origin();
        let slot = self.slot;
        let live = self.live()?;
        let is_member = live.exchange.is_member(&origin.node());
        if origin == Origin::new(self.identity.federation, self.identity.node, 0) {
            return Ok(Verdict::Ignore);
        }
        if !is_member && !context.is(MeshSabotage::StrangerCosigned) {
            return Ok(Verdict::Ignore);
        }
        self.begin_where_records_end(context, &origin)?;
        let live = self.live()?;
        let known = live.watch.known(&origin).cloned();
        let heard = match live.watch.hear(&head) {
            Heard::Lie(_) if context.is(MeshSabotage::LieShrugged) => Heard::Old,
            other => other,
        };
        let is_older = known.as_ref().is_some_and(|known| known.size() > head.checkpoint().size());
        let verdict = match heard {
            Heard::Newest => {
                self.cosign(context, head.checkpoint())?;
                Verdict::Accept
            }
            Heard::Old | Heard::Ask if is_older && context.is(MeshSabotage::StaleCosigned) => {
                self.sign_and_send(context, head.checkpoint())?;
                Verdict::Ignore
            }
            Heard::Ask => {
                self.ask_about(context, &origin)?;
                Verdict::Accept
            }
            Heard::Old | Heard::Full => Verdict::Ignore,
            Heard::Lie(fraud) => {
                self.tell_fraud(context, &fraud)?;
                Verdict::Ignore
            }
        };
        let holds_proof = self.live()?.frauds.contains_key(&origin);
        held(
            "invariant_no_contradiction_is_passed_over",
            slot,
            invariants::no_contradiction_is_passed_over(known.as_ref(), head.checkpoint(), holds_proof),
        )?;
        Ok(verdict)
    }

    /// Where nothing is known of a journal but its records, what these end in is what its heads must continue.
    fn begin_where_records_end(&mut self, context: &mut Context, origin: &Origin) -> Does {
        let live = self.live()?;
        if live.watch.known(origin).is_some() {
            return Ok(());
        }
        let last = live.kept.mark(origin).next.checked_sub(1);
        let frame = last.and_then(|last| live.kept.frame(origin, last));
        if let Some(records) = frame.and_then(|frame| context.memo.records(&frame).ok()) {
            live.watch.restore(records.checkpoint().clone());
        }
        Ok(())
    }

    fn mono(&self, context: &Context) -> Mono {
        Mono(context.at - self.booted_at)
    }

    /// Asks about everything that is to be shown since a while.
    fn ask_what_is_due(&mut self, context: &mut Context) -> Does {
        let now = self.mono(context);
        let live = self.live()?;
        live.watch.end_old_suspicion(now);
        let due = live.watch.due(now);
        due.iter().try_for_each(|origin| self.ask_about(context, origin))
    }

    /// Asks a journal's node to show that it continues what is known of it; of two processes with its key, one.
    fn ask_about(&mut self, context: &mut Context, origin: &Origin) -> Does {
        let now = self.mono(context);
        let live = self.live()?;
        let up: Vec<Slot> =
            live.up.iter().filter(|(_, node)| **node == origin.node()).map(|(slot, _)| *slot).collect();
        let Some(to) = self.rng.pick(&up).copied() else { return Ok(()) };
        let Some(ask) = self.live()?.watch.ask(origin, now) else { return Ok(()) };
        context.counts.asked += 1;
        self.streams += 1;
        let call = self.streams;
        let asking = &mut self.live()?.asking;
        asking.retain(|_, (of, _)| of != origin);
        asking.insert(call, (*origin, ask.clone()));
        self.out.push(Out::Send(to, Mail::Prove { call, ask }));
        Ok(())
    }

    /// Shows that this node's journal, or what goes for it, continues its own first entries; what it does not hold is refused.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn prove(&mut self, from: Slot, call: u64, ask: &Ask) -> Does {
        let reader = self.live()?.journal.reader();
        let head = reader.checkpoint();
        let is_held = ask.origin() == self.origin() && ask.sizes().iter().all(|size| *size <= head.size());
        let mut shown = Vec::new();
        for size in ask.sizes().iter().filter(|_| is_held) {
            let (Ok(root), Ok(proof)) = (reader.root(*size), reader.consistency(*size, head.size())) else {
                return Err(Stop::Down);
            };
            shown.push(Continued { root, proof });
        }
        let shown = is_held.then(|| Shown::new(head, shown).to_frame());
        self.out.push(Out::Send(from, Mail::Proof { call, shown }));
        Ok(())
    }

    /// Hears such an answer. An honest node is never suspected by one.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn proven(
        &mut self,
        context: &mut Context,
        (from, honest): (Slot, bool),
        call: u64,
        shown: Option<Vec<u8>>,
    ) -> Does {
        let now = self.mono(context);
        let unchecked = context.is(MeshSabotage::AnswerUnchecked);
        let live = self.live()?;
        let Some((origin, ask)) = live.asking.remove(&call) else { return Ok(()) };
        // It may have been expelled since it was asked.
        if !live.exchange.is_member(&origin.node()) {
            return Ok(());
        }
        let shown = shown.and_then(|frame| Shown::check(&frame, &ask).ok());
        let answered = match &shown {
            Some(shown) => live.watch.answered(&ask, shown, now),
            None => {
                live.watch.refused(&origin, now);
                Answered::Wrong
            }
        };
        match (answered, shown) {
            (Answered::Newest(checkpoint), _) => self.cosign(context, &checkpoint),
            (Answered::Lie(fraud), _) => self.tell_fraud(context, &fraud),
            (Answered::Wrong, Some(shown)) if unchecked => self.cosign(context, shown.head()),
            (Answered::Wrong, _) => {
                let is_liar = context.truth.liars.contains(&origin.node());
                held(
                    "invariant_honest_nodes_are_not_blamed",
                    self.slot,
                    invariants::is_not_honest(honest && !is_liar, from, "a journal that does not continue"),
                )
            }
            (Answered::Late, _) => Ok(()),
        }
    }

    /// Looks at records of a member for what contradicts all that is known.
    pub(super) fn look_for_lies(&mut self, context: &mut Context, records: &Records) -> Does {
        let node = records.origin().node();
        let live = self.live()?;
        if live.frauds.contains_key(&records.origin()) || !live.exchange.is_member(&node) {
            return Ok(());
        }
        let seen = live.watch.see(records.checkpoint());
        let fraud = match seen {
            Some(fraud) => Some(fraud),
            None => live.differs_from_held(context, records),
        };
        fraud.map_or(Ok(()), |fraud| self.tell_fraud(context, &fraud))
    }

    /// Remembers a head, durably, and then cosigns it.
    fn cosign(&mut self, context: &mut Context, checkpoint: &SignedCheckpoint) -> Does {
        let crashed = self.disk.clone();
        let is_stranger_cosigned = context.is(MeshSabotage::StrangerCosigned);
        let origin = checkpoint.origin();
        let live = self.live()?;
        // Others' heads are compared and no more.
        if !live.up.values().any(|node| *node == origin.node()) && !is_stranger_cosigned {
            live.watch.accept(checkpoint);
            return Ok(());
        }
        // What was cosigned is not cosigned again: its cosignature went, or comes with the next head.
        if live.table.get(&origin).is_some_and(|known| known.size >= checkpoint.size()) {
            return Ok(());
        }
        let remembered = remember(&mut live.table, checkpoint);
        if !remembered {
            return if crashed.crashed() { Err(Stop::Down) } else { Ok(()) };
        }
        live.watch.accept(checkpoint);
        self.sign_and_send(context, checkpoint)
    }

    fn sign_and_send(&mut self, context: &mut Context, checkpoint: &SignedCheckpoint) -> Does {
        let (slot, me, origin) = (self.slot, self.identity.node, checkpoint.origin());
        let live = self.live()?;
        if !live.up.values().any(|node| *node == origin.node()) && !context.is(MeshSabotage::StrangerCosigned)
        {
            return Ok(());
        }
        if context.looks() {
            let members = live.heard.members(&context.truth.genesis, &me);
            held(
                "invariant_members_alone_are_cosigned",
                slot,
                invariants::members_alone_are_cosigned(&members, &origin),
            )?;
        }
        context.counts.cosigned += 1;
        invariants::cosigned_heads_continue(slot, &mut context.truth, checkpoint)?;
        let at_s = super::wall(context.at).0 / 1_000;
        let Ok(cosignature) = Cosignature::sign(checkpoint.checkpoint(), &self.secret, at_s) else {
            return Ok(());
        };
        let frame = Cosigned::new(cosignature).to_frame();
        self.out.push(Out::SendTo(origin.node(), Mail::Cosigned(frame)));
        Ok(())
    }

    /// Hears a cosignature of one of its own heads.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn cosigned(&mut self, context: &mut Context, frame: &[u8]) -> Does {
        let me = self.origin();
        let Ok(cosigned) = Cosigned::check(frame, &self.identity.federation) else { return Ok(()) };
        let checkpoint = *cosigned.cosignature().checkpoint();
        if checkpoint.origin() == me {
            context.counts.returned += 1;
            let cosignature = cosigned.cosignature();
            let said = fact::Cosigned {
                size: checkpoint.size(),
                root: checkpoint.root(),
                at_s: cosignature.at_s(),
                signature: cosignature.signature(),
            };
            let by = self.live()?.witnesses.entry(checkpoint.size()).or_default();
            by.entry(cosigned.witness()).or_insert(said);
        }
        Ok(())
    }

    fn tell_fraud(&mut self, context: &mut Context, fraud: &Fraud) -> Does {
        let (slot, origin) = (self.slot, fraud.origin());
        let frame = fraud.to_frame();
        invariants::frauds_name_liars(slot, &context.truth, &origin, &frame)?;
        let live = self.live()?;
        if live.frauds.contains_key(&origin) {
            return Ok(());
        }
        live.watch.accuse(fraud);
        live.frauds.insert(origin, frame.clone());
        self.say(context, Topic::Heads, &frame)
    }

    pub(super) fn hear_fraud(&mut self, context: &mut Context, data: &[u8]) -> Does<Verdict> {
        let slot = self.slot;
        let origin = match context.memo.fraud(data) {
            Ok(fraud) => fraud.origin(),
            Err(_) if context.is(MeshSabotage::FraudUnchecked) => match claimed(data) {
                Some(origin) => origin,
                None => return Ok(Verdict::Reject),
            },
            Err(_) => return Ok(Verdict::Reject),
        };
        invariants::frauds_name_liars(slot, &context.truth, &origin, data)?;
        let live = self.live()?;
        if live.frauds.contains_key(&origin) || !live.exchange.is_member(&origin.node()) {
            return Ok(Verdict::Ignore);
        }
        live.frauds.insert(origin, data.to_vec());
        Ok(Verdict::Accept)
    }

    /// The nodes that these are about.
    pub fn liars(&self) -> BTreeSet<NodeId> {
        self.frauds().map(|(origin, _)| origin.node()).collect()
    }

    /// The proofs of fraud that it holds.
    pub fn frauds(&self) -> impl Iterator<Item = (&Origin, &Vec<u8>)> {
        self.live.iter().flat_map(|live| live.frauds.iter())
    }
}

impl super::Live {
    /// Compares records with those that are held of the same entries.
    fn differs_from_held(&self, context: &mut Context, records: &Records) -> Option<Box<Fraud>> {
        let origin = records.origin();
        let (mut compared, mut next) = (0, 0);
        for record in records.records() {
            if record.public_seq < next || !self.kept.has(&origin, record.public_seq) {
                continue;
            }
            let held = self.kept.frame(&origin, record.public_seq)?;
            if held == records.bytes() || compared == COMPARED_MAX {
                return None;
            }
            compared += 1;
            let held = context.memo.records(&held).ok()?;
            if let Some(fraud) = compare(&held, records) {
                return Some(fraud);
            }
            next = held.records().last().map_or(0, |last| last.public_seq + 1);
        }
        None
    }
}

/// Remembers a checkpoint in the table; false where it is not remembered.
fn remember(table: &mut WitnessTable, checkpoint: &SignedCheckpoint) -> bool {
    let note = checkpoint.to_string();
    table.remember(checkpoint.origin(), checkpoint.size(), checkpoint.root(), &note).is_ok()
}

/// Whose journal a frame says that it is about.
fn claimed(data: &[u8]) -> Option<Origin> {
    match codec::decode::<Contradiction>(Frame::parse(data).ok()?.payload).ok()? {
        Contradiction::TwoRoots { one, .. } => Some(one.checkpoint.origin()),
        Contradiction::TwoLeaves { one, .. } => Some(one.head.checkpoint.origin()),
        Contradiction::Rewritten { earlier, .. } => Some(earlier.checkpoint.origin()),
    }
}
