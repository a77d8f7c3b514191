//! The book of evidence (`neighbours/evidence.rs`): all public records are read, this node's own and the kept ones, each journal
//! in its order, the journals in any; a file holds the book as it was lately, and without it everything is read anew.

use super::{Context, Does, Live, Member, Stop, wall};
use crate::mesh::sabotage::MeshSabotage;
use artel_audit::records::Records as Kept;
use artel_federation::evidence::Book;
use artel_federation::fact::Cause;
use artel_federation::{Entry, Fact};
use artel_protocol::codec;
use artel_protocol::id::StepId;
use artel_protocol::log::{Class, Origin};
use artel_protocol::record::Records;
use artel_protocol::time::Wall;
use artel_protocol::topic::Topic;
use std::collections::{BTreeMap, BTreeSet};

/// How many entries of the own journal are read at once.
const STRIDE: u64 = 256;

/// How many bytes of entries or frames are read at once.
const READ_BYTES: usize = 64 << 10;

/// Whether an entry is not heard where a bug is planted.
type Unheard = Box<dyn Fn(&[u8]) -> bool>;

/// The book, and how far it was read.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The book.
    pub book: Book,
    /// The first entry of the own journal that was not read.
    own_index: u64,
}

impl Member {
    /// The book as the file has it; an empty one where there is none, or where it is not of these journals.
    pub(super) fn restore_evidence(&self) -> Evidence {
        let (Some(seat), Some(live)) = (&self.seat, &self.live) else { return Evidence::default() };
        let read = seat.saved.as_deref().and_then(|bytes| codec::decode_large::<(u64, Book)>(bytes).ok());
        let read = read.filter(|(own_index, _)| *own_index <= live.journal.size());
        read.map(|(own_index, book)| Evidence { book, own_index }).unwrap_or_default()
    }

    /// Which entries of this node's own, or of others, are not heard where a bug is planted.
    fn unheard(&self, context: &Context, own: bool) -> Unheard {
        match self.sabotage {
            Some(MeshSabotage::RejectionsForgotten) if !own => Box::new(is_rejection),
            Some(MeshSabotage::AllForget) => Box::new(is_rejection),
            Some(MeshSabotage::RefutationsForgotten) => Box::new(is_refutation),
            Some(MeshSabotage::UnfollowedUnread) if !own => {
                let unfollowed = self.unfollowed();
                let offered = context.truth.market.ledgers().flat_map(|(_, ledger)| &ledger.offered);
                let passed = offered.filter(|(_, skills)| unfollowed.contains(&Topic::of_offer(skills)));
                let passed: BTreeSet<StepId> = passed.map(|(step, _)| *step).collect();
                Box::new(move |body| is_payment_for(body, &passed))
            }
            _ => Box::new(|_| false),
        }
    }

    /// Hears of records that are kept now: mostly they are read as they come.
    pub(super) fn hear_evidence(&mut self, context: &Context, records: &Records) -> Does {
        let (now, unheard) = (wall(context.at), self.unheard(context, false));
        let reads = self.rng.chance(600);
        let Live { kept, trade: Some(trade), .. } = self.live()? else { return Ok(()) };
        if reads {
            let origin = records.origin();
            let floor = kept.mark(&origin);
            trade.evidence.read_on(kept, &origin, (floor.floor, floor.next), now, &*unheard);
        }
        Ok(())
    }

    /// Reads what there is to be read; now and then the file is written.
    pub(super) fn catch_up(&mut self, context: &mut Context) -> Does {
        let (me, now) = (self.origin(), wall(context.at));
        let (saves, unheard) = (self.rng.chance(200), self.unheard(context, false));
        let unheard_of_own = self.unheard(context, true);
        let Live { journal, kept, trade: Some(trade), .. } = self.live()? else { return Ok(()) };
        let evidence = &mut trade.evidence;
        evidence.book.tick(now);
        let reader = journal.reader();
        let size = reader.checkpoint().size();
        while evidence.own_index < size && !evidence.book.has_to_wait(&me) {
            let from = evidence.own_index;
            let stride: Vec<u64> = (from..size.min(from + STRIDE)).collect();
            let (entries, next) = reader.some(&stride, READ_BYTES).map_err(|_| Stop::Down)?;
            for entry in entries.iter().filter(|entry| entry.leaf.class() == Class::Public) {
                let place = (entry.leaf.public_seq(), entry.index);
                let body = if unheard_of_own(&entry.body) { &[] } else { entry.body.as_slice() };
                evidence.book.hear(me, place, body, now, &mut Vec::new());
            }
            evidence.own_index = next.unwrap_or(from + stride.len() as u64);
        }
        // Journals take turns.
        while kept.marks().into_iter().fold(false, |more, (origin, mark)| {
            evidence.read_on(kept, &origin, (mark.floor, mark.next), now, &*unheard) || more
        }) {}
        if saves {
            let mut bytes = Vec::new();
            codec::encode_large_into(&(evidence.own_index, &evidence.book), &mut bytes);
            self.seat()?.saved = Some(bytes);
        }
        self.compare_summaries(context)
    }
}

impl Evidence {
    /// Reads a page of a journal's kept records; whether it has read any.
    fn read_on(
        &mut self,
        kept: &Kept,
        origin: &Origin,
        (floor, held): (u64, u64),
        now: Wall,
        unheard: &dyn Fn(&[u8]) -> bool,
    ) -> bool {
        let next = self.book.next(origin).max(floor);
        if next >= held || self.book.has_to_wait(origin) {
            return false;
        }
        let mut page = BTreeMap::new();
        for frame in kept.frames(origin, next, READ_BYTES).0 {
            // They were checked before they were kept.
            let Ok(records) = Records::check(&frame, &origin.federation()) else { continue };
            for record in records.records() {
                page.insert(record.public_seq, (record.index, record.body.clone()));
            }
        }
        for (seq, (index, body)) in page.range(next..) {
            let next = self.book.next(origin).max(floor);
            if *seq > next || self.book.has_to_wait(origin) {
                break;
            }
            let body = if unheard(body) { &[] } else { body.as_slice() };
            self.book.hear(*origin, (*seq, *index), body, now, &mut Vec::new());
        }
        self.book.next(origin) > next
    }
}

/// Whether an entry says that an accepted result is another.
fn is_refutation(body: &[u8]) -> bool {
    Entry::decode(body).is_ok_and(|entry| matches!(entry.fact, Fact::Refuted(_)))
}

/// Whether an entry pays for one of these steps.
fn is_payment_for(body: &[u8], steps: &BTreeSet<StepId>) -> bool {
    let pays =
        |fact| matches!(fact, Fact::Transfer(f) if f.cause == Cause::Payment && steps.contains(&f.step));
    Entry::decode(body).is_ok_and(|entry| pays(entry.fact))
}

/// Whether an entry rejects a result.
fn is_rejection(body: &[u8]) -> bool {
    let rejects = |fact| match fact {
        Fact::Verdict(f) => matches!(f.judgement, artel_federation::fact::Judgement::Rejected { .. }),
        _ => false,
    };
    Entry::decode(body).is_ok_and(|entry| rejects(entry.fact))
}
