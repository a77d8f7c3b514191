//! The board: offers of other homes that were heard and not seen to be taken. A hint and no more: home alone knows what is open.
//! Gone after a restart but for the newest, which are read again from the records.

use crate::clock::wall;
use artel_audit::records::Records as Kept;
use artel_federation::fact::{Judgement, Offered};
use artel_federation::{Entry, Fact};
use artel_protocol::id::StepId;
use artel_protocol::key::NodeId;
use artel_protocol::record::Records;
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The most offers of one home on the board; further ones are not put there until some are taken. A home's own claim-next finds
/// them all the same.
const PER_HOME_MAX: usize = 4_096;

/// The most offers on the board, of all homes: some 300 bytes each.
const OFFERS_MAX: usize = 65_536;

/// How many of a journal's newest records are read again at a start.
const READ_AGAIN: u64 = 8_192;

/// How many bytes of frames are read at once.
const READ_BYTES: usize = 1 << 20;

/// An offer of another home.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The home.
    pub home: NodeId,
    /// What it said.
    pub offered: Offered,
    /// When, by its clock.
    pub at: Wall,
    /// When it was heard, by this node's clock.
    pub heard: Wall,
    /// The neighbour that brought it; nothing where it was read from what was kept.
    pub from: Option<NodeId>,
}

/// A home's open offers.
#[derive(Default)]
struct Home {
    offers: BTreeMap<StepId, Offer>,
    /// Counts what was put up here, so that whoever found nothing knows when to look again.
    news: u64,
}

#[derive(Default)]
struct Inner {
    homes: BTreeMap<NodeId, Home>,
    count: usize,
}

/// All homes' offers.
pub struct Board {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl Board {
    /// An empty one.
    pub(super) fn new() -> Self {
        Board { inner: Mutex::default(), changed: watch::channel(0).0 }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of each time that something was put up.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes in what a home's records say of its offers, and which neighbour brought them.
    pub(super) fn hear(&self, records: &Records, from: Option<NodeId>) {
        let (home, now) = (records.origin().node(), wall());
        let mut put_up = false;
        {
            let mut inner = self.inner();
            for record in records.records() {
                let Ok(entry) = Entry::decode(&record.body) else { continue };
                match entry.fact {
                    Fact::Offered(offered) if offered.deadline > now => {
                        put_up |= inner.put_up(Offer { home, offered, at: entry.at, heard: now, from });
                    }
                    Fact::Granted(f) => inner.take_down(&home, &f.step),
                    Fact::StepEnded(f) => inner.take_down(&home, &f.step),
                    Fact::Verdict(f) if matches!(f.judgement, Judgement::Accepted { .. }) => {
                        inner.take_down(&home, &f.step);
                    }
                    _ => {}
                }
            }
        }
        if put_up {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// Takes an offer down that its home says is not open.
    pub(super) fn take_down(&self, home: &NodeId, step: &StepId) {
        self.inner().take_down(home, step);
    }

    /// Takes all offers of a home down: nothing more is taken from it.
    pub(super) fn forget(&self, home: &NodeId) {
        let mut inner = self.inner();
        if let Some(board) = inner.homes.remove(home) {
            inner.count -= board.offers.len();
        }
    }

    /// The home that offers a step, if that was heard.
    pub(super) fn home_of(&self, step: &StepId) -> Option<NodeId> {
        let inner = self.inner();
        inner.homes.iter().find(|(_, home)| home.offers.contains_key(step)).map(|(home, _)| *home)
    }

    /// How many offers of a home are on the board.
    pub(super) fn count(&self, home: &NodeId) -> usize {
        self.inner().homes.get(home).map_or(0, |board| board.offers.len())
    }

    /// The homes that offer something that an agent with these skills may take, whoever offers the most first, and what
    /// counts each one's news.
    pub(super) fn homes_for(&self, skills: &[Skill]) -> Vec<(NodeId, u64)> {
        let (inner, now) = (self.inner(), wall());
        let mut homes: Vec<(usize, NodeId, u64)> = inner
            .homes
            .iter()
            .filter_map(|(id, home)| {
                let fits =
                    |offer: &&Offer| offer.offered.deadline > now && meets(skills, &offer.offered.skills);
                let count = home.offers.values().filter(fits).count();
                (count > 0).then_some((count, *id, home.news))
            })
            .collect();
        homes.sort_by_key(|(count, id, _)| (std::cmp::Reverse(*count), *id));
        homes.into_iter().map(|(_, id, news)| (id, news)).collect()
    }

    /// Offers after a position, by home and step.
    pub(super) fn list(
        &self,
        after: Option<(NodeId, StepId)>,
        skill: Option<&Skill>,
        limit: usize,
    ) -> Vec<Offer> {
        let (inner, now) = (self.inner(), wall());
        let all = inner.homes.values().flat_map(|home| home.offers.values());
        all.filter(|Offer { home, offered, .. }| {
            let asks = skill.is_none_or(|skill| offered.skills.iter().any(|asked| skill.meets(asked)));
            after.is_none_or(|after| (*home, offered.step) > after) && asks && offered.deadline > now
        })
        .take(limit)
        .cloned()
        .collect()
    }
}

impl Inner {
    fn put_up(&mut self, offer: Offer) -> bool {
        if self.count >= OFFERS_MAX {
            self.forget_old();
        }
        let (count, board) = (&mut self.count, self.homes.entry(offer.home).or_default());
        if *count >= OFFERS_MAX || board.offers.len() >= PER_HOME_MAX {
            return false;
        }
        if board.offers.insert(offer.offered.step, offer).is_none() {
            *count += 1;
        }
        board.news += 1;
        true
    }

    fn take_down(&mut self, home: &NodeId, step: &StepId) {
        if let Some(board) = self.homes.get_mut(home)
            && board.offers.remove(step).is_some()
        {
            self.count -= 1;
        }
    }

    /// Takes down what is past its deadline.
    fn forget_old(&mut self) {
        let now = wall();
        for board in self.homes.values_mut() {
            board.offers.retain(|_, offer| offer.offered.deadline > now);
        }
        self.count = self.homes.values().map(|board| board.offers.len()).sum();
    }
}

/// Reads what was kept lately, each journal's records in their order.
pub(super) fn read_again(kept: &Kept, mut hear: impl FnMut(&Records)) {
    for (origin, mark) in kept.marks() {
        let mut next = mark.next.saturating_sub(READ_AGAIN);
        loop {
            let (frames, then) = kept.frames(&origin, next, READ_BYTES);
            for frame in &frames {
                if let Ok(records) = Records::check(frame, &origin.federation()) {
                    hear(&records);
                }
            }
            if frames.is_empty() || then <= next {
                break;
            }
            next = then;
        }
    }
}

/// Whether an agent with these skills has all that is asked.
fn meets(skills: &[Skill], asked: &[Skill]) -> bool {
    let names: BTreeSet<&str> = skills.iter().map(Skill::name).collect();
    asked.iter().all(|asked| names.contains(asked.name()) && skills.iter().any(|skill| skill.meets(asked)))
}
