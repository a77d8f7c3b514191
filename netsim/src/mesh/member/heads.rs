//! Heads: a node tells its newest checkpoint with the proof that it continues the last one; whoever hears it judges it by the
//! shipped rule, asks where it must, remembers durably and only then cosigns; a lie is told on with its proof.
//!
//! Its neighbours cosign a node's heads. Others remember those of whom they have remembered one, so that a clone cannot hide.

use super::{Context, Does, Member, Out, Stop};
use crate::mesh::context::held;
use crate::mesh::invariants;
use crate::mesh::mail::{Mail, Wake};
use crate::mesh::overlay::Verdict;
use crate::mesh::packet::Slot;
use crate::mesh::sabotage::MeshSabotage;
use artel_audit::records::witness::WitnessTable;
use artel_federation::witness::{self, Judgement};
use artel_protocol::codec::{self, Frame};
use artel_protocol::log::{Cosignature, Hash, Origin, SignedCheckpoint};
use artel_protocol::topic::Topic;
use artel_protocol::witness::{Contradiction, Cosigned, Fraud, Head};

/// The shortest and the longest time between two heads of a node, in milliseconds.
const HEAD_MS: (u64, u64) = (3_000, 6_000);

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
        let live = self.live()?;
        if !is_member && !context.is(MeshSabotage::StrangerCosigned) {
            return Ok(Verdict::Ignore);
        }
        let remembered = live.remembered.get(&origin);
        let is_neighbour = live.up.values().any(|node| *node == origin.node());
        if remembered.is_none() && !is_neighbour && is_member {
            return Ok(Verdict::Accept);
        }
        let judged = witness::judge(remembered, &head);
        let judged = match judged {
            Judgement::Lie(_) if context.is(MeshSabotage::LieShrugged) => Judgement::Known,
            other => other,
        };
        let known = remembered.cloned();
        let verdict = match judged {
            Judgement::Continues => {
                self.cosign(context, head.checkpoint())?;
                Verdict::Accept
            }
            Judgement::Known => Verdict::Accept,
            Judgement::Stale => {
                if context.is(MeshSabotage::StaleCosigned) {
                    self.sign_and_send(context, head.checkpoint())?;
                }
                self.ask_about_stale(context, head.checkpoint())?;
                Verdict::Ignore
            }
            Judgement::Ask(old) => {
                context.counts.asked += 1;
                let prove = Mail::Prove { old, head: head.checkpoint().clone() };
                self.out.push(Out::SendTo(origin.node(), prove));
                Verdict::Accept
            }
            Judgement::Lie(fraud) => {
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

    /// A head that is older than the one that is remembered may be a clone's that stays behind: the node has to prove that
    /// what is remembered continues it. An honest node's late head costs one question.
    fn ask_about_stale(&mut self, context: &mut Context, stale: &SignedCheckpoint) -> Does {
        let origin = stale.origin();
        let live = self.live()?;
        let Some(known) = live.remembered.get(&origin).cloned() else { return Ok(()) };
        live.stale.insert(origin, stale.clone());
        context.counts.asked += 1;
        let prove = Mail::Prove { old: stale.size(), head: known };
        self.out.push(Out::SendTo(origin.node(), prove));
        Ok(())
    }

    /// Answers how this node's journal, or what goes for it, continues its first entries.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn prove(&mut self, from: Slot, old: u64, head: SignedCheckpoint) -> Does {
        let reader = self.live()?.journal.reader();
        if head.size() > reader.checkpoint().size() || old > head.size() {
            return Ok(());
        }
        let (Ok(root), Ok(proof)) = (reader.root(old), reader.consistency(old, head.size())) else {
            return Err(Stop::Down);
        };
        self.out.push(Out::Send(from, Mail::Proof { head, root, proof }));
        Ok(())
    }

    /// Hears such an answer.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn proven(
        &mut self,
        context: &mut Context,
        head: &SignedCheckpoint,
        root: &Hash,
        proof: &[Hash],
    ) -> Does {
        let live = self.live()?;
        let Some(known) = live.remembered.get(&head.origin()) else { return Ok(()) };
        if known.size() >= head.size() {
            // It was asked about a stale head, which it continues or proves a lie.
            let Some(stale) = live.stale.get(&head.origin()) else { return Ok(()) };
            return match witness::judge_answer(stale, head, root, proof) {
                Some(Judgement::Lie(fraud)) => self.tell_fraud(context, &fraud),
                _ => Ok(()),
            };
        }
        match witness::judge_answer(known, head, root, proof) {
            Some(Judgement::Continues) => self.cosign(context, head),
            Some(Judgement::Lie(fraud)) => self.tell_fraud(context, &fraud),
            _ if context.is(MeshSabotage::AnswerUnchecked) => self.cosign(context, head),
            _ => Ok(()),
        }
    }

    /// Remembers a head, durably, and then cosigns it.
    fn cosign(&mut self, context: &mut Context, checkpoint: &SignedCheckpoint) -> Does {
        let crashed = self.disk.clone();
        let live = self.live()?;
        let remembered = remember(&mut live.table, checkpoint);
        if !remembered {
            return if crashed.crashed() { Err(Stop::Down) } else { Ok(()) };
        }
        live.remembered.insert(checkpoint.origin(), checkpoint.clone());
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
            self.live()?.witnesses.entry(checkpoint.size()).or_default().insert(cosigned.witness());
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

    /// The proofs of fraud that it holds.
    pub fn frauds(&self) -> impl Iterator<Item = (&Origin, &Vec<u8>)> {
        self.live.iter().flat_map(|live| live.frauds.iter())
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
