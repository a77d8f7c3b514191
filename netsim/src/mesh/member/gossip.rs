//! What gossip brings (`gossip.rs` of the shell): checked, judged, passed on or not, and kept.

use super::{BLAMES_MAX, Context, Does, Live, Member, Out, Stop, Word};
use crate::mesh::context::held;
use crate::mesh::invariants;
use crate::mesh::overlay::{Rpc, SEEN_MS, Verdict};
use crate::mesh::packet::{Packet, Slot};
use crate::mesh::sabotage::MeshSabotage;
use artel_audit::records::{Item, Kept, NewFrame};
use artel_federation::exchange::Judgement;
use artel_federation::fact::DelegationEnded;
use artel_federation::{Entry, Fact};
use artel_protocol::codec::{self, Frame};
use artel_protocol::key::Signature;
use artel_protocol::log::{Checkpoint, Hash, Origin};
use artel_protocol::record::{KIND, Record, Records};
use artel_protocol::summary::KIND as SUMMARY_KIND;
use artel_protocol::topic::Topic;
use artel_protocol::witness::{FRAUD_KIND, HEAD_KIND};

/// How often older records give way to one frame.
const GIVE_WAY_MAX: usize = 4;

impl Member {
    /// Hears gossip of a neighbour. `honest` is what the world knows of the neighbour.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn hear(&mut self, context: &mut Context, from: Slot, honest: bool, rpc: Rpc) -> Does {
        let mut outbox = Vec::new();
        let slot = self.slot;
        let live = self.live()?;
        if !live.up.contains_key(&from) {
            return Ok(());
        }
        context.counts.copies += u64::from(matches!(rpc, Rpc::Publish(..)));
        let new = live.overlay.receive(context.at, from, rpc, &mut outbox);
        if let Some((packet, _)) = new {
            let until = live.judged.insert(packet.id, context.at + SEEN_MS);
            held(
                "invariant_a_message_is_judged_once",
                slot,
                invariants::is_judged_once(context.at, until, &packet.id),
            )?;
            context.counts.delivered += 1;
            let follows = invariants::is_followed(&self.live()?.overlay, packet.topic);
            held("invariant_gossip_is_what_is_followed", slot, follows)?;
            self.send_all(std::mem::take(&mut outbox))?;
            let verdict = self.judge(context, from, honest, &packet)?;
            let live = self.live()?;
            if verdict == Verdict::Accept {
                live.passed.insert(packet.id);
            }
            live.overlay.verdict(&packet.id, verdict, &mut outbox);
        }
        self.send_all(outbox)
    }

    fn judge(&mut self, context: &mut Context, from: Slot, honest: bool, packet: &Packet) -> Does<Verdict> {
        let verdict = match Frame::parse(&packet.data).map(|frame| frame.kind) {
            Ok(KIND) => self.hear_records(context, from, packet)?,
            Ok(HEAD_KIND) if packet.topic == Topic::Heads => self.hear_head(context, &packet.data)?,
            Ok(FRAUD_KIND) if packet.topic == Topic::Heads => self.hear_fraud(context, &packet.data)?,
            Ok(SUMMARY_KIND) if packet.topic == Topic::Trust => self.hear_summary(context, &packet.data)?,
            // A kind of a later version is passed on unread.
            Ok(_) => Verdict::Accept,
            Err(_) => Verdict::Reject,
        };
        if verdict == Verdict::Reject {
            context.counts.rejected += 1;
            self.blame(from, honest, "gossip that is rejected")?;
        }
        Ok(verdict)
    }

    /// Whoever sends what no honest node sends is soon sent away; an honest one must never be.
    pub(super) fn blame(&mut self, from: Slot, honest: bool, what: &str) -> Does {
        held(
            "invariant_honest_nodes_are_not_blamed",
            self.slot,
            invariants::is_not_honest(honest, from, what),
        )?;
        let live = self.live()?;
        let blames = live.blames.entry(from).or_default();
        *blames += 1;
        if *blames >= BLAMES_MAX {
            self.out.push(Out::Drop(from));
        }
        Ok(())
    }

    /// Whether a neighbour was sent away for what it said.
    pub fn has_banned(&self, slot: Slot) -> bool {
        self.live.as_ref().is_some_and(|live| live.blames.get(&slot).is_some_and(|n| *n >= BLAMES_MAX))
    }

    fn hear_records(&mut self, context: &mut Context, from: Slot, packet: &Packet) -> Does<Verdict> {
        let records = match context.memo.records(&packet.data) {
            Ok(records) => records,
            Err(_) => return self.keep_unproven(context, &packet.data),
        };
        self.look_for_lies(context, &records)?;
        let live = self.live()?;
        let judged = live.exchange.judge(Some(packet.topic), &records);
        let lacks = live.exchange.lacks_before(&records);
        match judged {
            Judgement::Keep => {
                if lacks {
                    self.fill_hole(context, records.origin().node(), from)?;
                }
                self.keep(context, &records)?;
                Ok(Verdict::Accept)
            }
            Judgement::Known => Ok(Verdict::Ignore),
            Judgement::Unwanted => {
                if context.is(MeshSabotage::MembershipUnchecked) {
                    self.keep(context, &records)?;
                }
                // Its author may be a member by records that this node has not fetched yet.
                self.want_from(context, from)?;
                Ok(Verdict::Ignore)
            }
            Judgement::Wrong(_) => Ok(Verdict::Reject),
        }
    }

    /// Keeps a frame that was judged good, and counts on it once it is on disk (`keeper.rs`).
    pub(super) fn keep(&mut self, context: &mut Context, records: &Records) -> Does<Option<Kept>> {
        let (slot, me, origin) = (self.slot, self.identity.node, records.origin());
        let has_crashed = self.has_crashed();
        if context.is(MeshSabotage::MarkBeforeData) {
            let last = records.records().last().expect("a frame has records").public_seq;
            self.live()?.exchange.holds_up_to(origin, last + 1, false);
            return Ok(Some(Kept::New));
        }
        let Some(kept) = self.keep_in_place(context, records) else {
            // What cannot be written is dropped: its author has it still.
            return if has_crashed || self.has_crashed() { Err(Stop::Down) } else { Ok(None) };
        };
        let live = self.live()?;
        if kept == Kept::New {
            context.counts.kept += 1;
            if context.looks() {
                let members = live.heard.members(&context.truth.genesis, &me);
                let is_named = live.heard.is_named(&origin.node());
                invariants::only_members_are_kept(slot, &origin, &members, is_named)?;
            }
        }
        live.count_on(context.sabotage, &origin, kept);
        context.truth.kept.insert((slot, origin), live.kept.mark(&origin).next);
        if matches!(kept, Kept::New | Kept::OverCap) {
            let Learnt { of_members, ended } = live.learn(context.sabotage, records);
            if of_members {
                self.look_at_members(context)?;
                self.dismiss_strangers();
            }
            self.market_learns(context, &origin.node(), &ended)?;
            self.market_hears(context, records)?;
        }
        if self.seat.is_none() {
            invariants::bounds_hold(slot, &self.live()?.kept, &origin)?;
        }
        Ok(Some(kept))
    }

    /// Keeps a frame, where there is no room in the place of older ones; nothing where the disk says no.
    fn keep_in_place(&mut self, context: &mut Context, records: &Records) -> Option<Kept> {
        let live = self.live.as_mut()?;
        for _ in 0..GIVE_WAY_MAX {
            let kept = live.store.append(vec![frame_of(records)]).ok()?[0];
            let gives_way = live.store.who_gives_way(&frame_of(records), |_| false);
            let Some(node) = gives_way.filter(|_| kept == Kept::OverCap) else { return Some(kept) };
            context.counts.given_up += 1;
            self.words.clone_from(&live.words);
            let given_up = live.store.give_up_oldest(&node);
            for (origin, mark) in live.kept.marks_of(&node) {
                live.exchange.holds_up_to(origin, mark.next, false);
            }
            given_up.ok()?;
        }
        live.store.append(vec![frame_of(records)]).ok().map(|kept| kept[0])
    }

    /// Gives up the records of a journal that a neighbour lacks below a number, if others do too and enough is held from there on.
    pub(super) fn lacks(&mut self, from: Slot, origin: Origin, before: u64) -> Does {
        let has_crashed = self.has_crashed();
        let Some(live) = &mut self.live else { return Err(Stop::Down) };
        let Some(peer) = live.up.get(&from).copied() else { return Ok(()) };
        let skipped = match live.store.lacks(&origin, peer, before) {
            Ok(Some(below)) => {
                self.words.clone_from(&live.words);
                live.store.prune(&origin, below)
            }
            Ok(None) => return Ok(()),
            Err(error) => Err(error),
        };
        live.exchange.holds_up_to(origin, live.kept.mark(&origin).next, false);
        if skipped.is_err() && (has_crashed || self.has_crashed()) { Err(Stop::Down) } else { Ok(()) }
    }

    /// Where a bug is planted, a frame is kept that proves nothing; else whoever sent it is to blame.
    fn keep_unproven(&mut self, context: &mut Context, data: &[u8]) -> Does<Verdict> {
        let takes_foreign = context.is(MeshSabotage::ForeignTaken);
        if !takes_foreign && !context.is(MeshSabotage::ProofUnchecked) {
            return Ok(Verdict::Reject);
        }
        let federation = self.identity.federation;
        let Ok(Frame { payload, .. }) = Frame::parse(data) else { return Ok(Verdict::Reject) };
        let Ok((checkpoint, _, records, _)) =
            codec::decode::<(Checkpoint, Signature, Vec<Record>, Vec<Hash>)>(payload)
        else {
            return Ok(Verdict::Reject);
        };
        let origin = checkpoint.origin();
        let is_foreign = origin.federation() != federation;
        if is_foreign != takes_foreign || records.is_empty() {
            return Ok(Verdict::Reject);
        }
        let item = |record: &Record| Item { public_seq: record.public_seq, index: record.index };
        let frame = NewFrame {
            origin: Origin::new(federation, origin.node(), origin.incarnation()),
            topic: 0,
            bytes: data.to_vec(),
            items: records.iter().map(item).collect(),
        };
        // What is out of order is not taken even so.
        let _ = self.live()?.store.append(vec![frame]);
        Ok(Verdict::Ignore)
    }
}

impl Live {
    /// What is on disk is known from here on.
    fn count_on(&mut self, sabotage: Option<MeshSabotage>, origin: &Origin, kept: Kept) {
        let mark = self.kept.mark(origin);
        let next = match sabotage {
            Some(MeshSabotage::MarkStuck) => return,
            Some(MeshSabotage::GapTaken) => mark.last.map_or(0, |last| last + 1),
            _ => mark.next,
        };
        self.exchange.holds_up_to(*origin, next, kept == Kept::OverCap);
    }

    /// Learns what newly kept records say of membership and of delegations that ended (`members.rs`).
    pub(super) fn learn(&mut self, sabotage: Option<MeshSabotage>, records: &Records) -> Learnt {
        let author = records.origin().node();
        let (mut heard, mut learnt) = (Vec::new(), Learnt::default());
        for record in records.records() {
            let Ok(entry) = Entry::decode(&record.body) else { continue };
            match &entry.fact {
                Fact::Admitted(_) | Fact::Expelled(_) => learnt.of_members = true,
                Fact::DelegationEnded(f) => learnt.ended.push((record.index, *f)),
                _ => continue,
            }
            heard.push((author, record.index, entry.fact));
        }
        self.hear_words(sabotage, heard);
        learnt
    }

    /// Learns words on membership and on delegations, and remembers them for when their records are given up.
    pub(super) fn hear_words(&mut self, sabotage: Option<MeshSabotage>, words: Vec<Word>) {
        let is_heard = |fact: &Fact| match sabotage {
            Some(MeshSabotage::ExpulsionIgnored) => !matches!(fact, Fact::Expelled(_)),
            Some(MeshSabotage::AdmissionsUnheard) => !matches!(fact, Fact::Admitted(_)),
            Some(MeshSabotage::EndingsUnheard) => !matches!(fact, Fact::DelegationEnded(_)),
            _ => true,
        };
        for of_author in words.chunk_by(|one, next| one.0 == next.0) {
            let heard = of_author.iter().filter(|(_, _, fact)| is_heard(fact));
            self.exchange.hear(of_author[0].0, heard.map(|(_, index, fact)| (*index, fact)));
            of_author.iter().for_each(|(author, index, fact)| self.heard.take(*author, *index, fact));
        }
        self.words.extend(words);
    }
}

/// What newly kept records say beside the market's work.
#[derive(Default)]
pub(super) struct Learnt {
    /// Whether that is anything of membership.
    of_members: bool,
    /// The delegations to their author that are over, and where that stands.
    pub ended: Vec<(u64, DelegationEnded)>,
}

fn frame_of(records: &Records) -> NewFrame {
    let item = |record: &Record| Item { public_seq: record.public_seq, index: record.index };
    let items = records.records().iter().map(item).collect();
    NewFrame { origin: records.origin(), topic: 0, bytes: records.bytes().to_vec(), items }
}
