//! The board: offers of other homes that were heard and not seen to be taken. A hint and no more: home alone knows what is open.
//! Gone after a restart but for the newest, which are read again from the records.

use crate::clock::wall;
use artel_audit::records::Records as Kept;
use artel_federation::fact::{Judgement, Offered};
use artel_federation::{Entry as JournalEntry, Fact};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::NodeId;
use artel_protocol::record::Records;
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use artel_protocol::topic::Topic;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The most offers of one home on the board; further ones are not put there until some are taken. A home's own claim-next finds
/// them all the same.
const PER_HOME_MAX: usize = 4_096;

/// The most offers on the board, of all homes: some 300 bytes each. At the limit the home with the most gives way to one that has
/// fewer, so that a few cannot keep the others off it.
const OFFERS_MAX: usize = 65_536;

/// How many steps are remembered that were taken lately (some 100 bytes each); then the oldest is forgotten. An offer that comes after
/// so many others were taken is on the board until a claim of it is refused, or its deadline.
const TAKEN_MAX: usize = 16_384;

/// How often offers past their deadline, and those of homes that nothing is taken from any more, are looked for. Each time all
/// offers are walked through while the keeper waits.
const SWEEP: Duration = Duration::from_secs(60);

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
    /// Those that offer something.
    homes: BTreeMap<NodeId, Home>,
    /// The same by how much each offers.
    by_size: BTreeSet<(usize, NodeId)>,
    count: usize,
    /// What was put up so far.
    news: u64,
    /// When was swept last.
    swept: Option<Instant>,
    /// The last epoch of steps that was granted or is over: their offers may be heard later, in frames of their own.
    taken: BTreeMap<(NodeId, StepId), Epoch>,
    taken_in_order: VecDeque<(NodeId, StepId)>,
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
                let Ok(entry) = JournalEntry::decode(&record.body) else { continue };
                match entry.fact {
                    Fact::Offered(offered) if offered.deadline > now => {
                        put_up |= inner.put_up(Offer { home, offered, at: entry.at, heard: now, from });
                    }
                    Fact::Granted(f) => inner.taken((home, f.step), f.epoch),
                    Fact::StepEnded(f) => inner.taken((home, f.step), OVER),
                    Fact::Verdict(f) if matches!(f.judgement, Judgement::Accepted { .. }) => {
                        inner.taken((home, f.step), OVER);
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
        self.inner().forget(home);
    }

    /// The homes that offer something.
    pub(super) fn homes(&self) -> BTreeSet<NodeId> {
        self.inner().homes.keys().copied().collect()
    }

    /// Whether it is time to sweep again; who asks then does it.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut inner = self.inner();
        let due = inner.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP);
        inner.swept = if due { Some(now) } else { inner.swept };
        due
    }

    /// Takes down what is past its deadline, and all of homes that are not among these.
    pub(super) fn sweep(&self, dealt_with: &BTreeSet<NodeId>) {
        let mut inner = self.inner();
        let gone: Vec<NodeId> =
            inner.homes.keys().filter(|home| !dealt_with.contains(home)).copied().collect();
        gone.iter().for_each(|home| inner.forget(home));
        inner.forget_old(wall());
    }

    /// The home that offers a step, if that was heard, of these.
    pub(super) fn home_of(&self, step: &StepId, dealt_with: &BTreeSet<NodeId>) -> Option<NodeId> {
        let inner = self.inner();
        let mut homes = inner.homes.iter().filter(|(home, _)| dealt_with.contains(home));
        homes.find(|(_, home)| home.offers.contains_key(step)).map(|(home, _)| *home)
    }

    /// Whether a home offers something in one of these shards.
    pub(super) fn offers_in(&self, home: &NodeId, shards: &BTreeSet<u8>) -> bool {
        let is_in = |offer: &Offer| match Topic::of_offer(&offer.offered.skills) {
            Topic::Tasks(shard) => shards.contains(&shard),
            _ => false,
        };
        self.inner().homes.get(home).is_some_and(|board| board.offers.values().any(is_in))
    }

    /// How many offers of a home are on the board.
    pub(super) fn count(&self, home: &NodeId) -> usize {
        self.inner().homes.get(home).map_or(0, |board| board.offers.len())
    }

    /// The homes of these that offer something that an agent with these skills may take, whoever offers the most first, and what
    /// counts each one's news.
    pub(super) fn homes_for(&self, skills: &[Skill], dealt_with: &BTreeSet<NodeId>) -> Vec<(NodeId, u64)> {
        let (inner, now) = (self.inner(), wall());
        let mut homes: Vec<(usize, NodeId, u64)> = inner
            .homes
            .iter()
            .filter(|(id, _)| dealt_with.contains(id))
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

    /// Offers of these homes after a position, by home and step.
    pub(super) fn list(
        &self,
        after: Option<(NodeId, StepId)>,
        skill: Option<&Skill>,
        limit: usize,
        dealt_with: &BTreeSet<NodeId>,
    ) -> Vec<Offer> {
        let (inner, now) = (self.inner(), wall());
        let homes = inner.homes.iter().filter(|(home, _)| dealt_with.contains(home));
        let all = homes.flat_map(|(_, home)| home.offers.values());
        all.filter(|Offer { home, offered, .. }| {
            let asks = skill.is_none_or(|skill| offered.skills.iter().any(|asked| skill.meets(asked)));
            after.is_none_or(|after| (*home, offered.step) > after) && asks && offered.deadline > now
        })
        .take(limit)
        .cloned()
        .collect()
    }
}

/// The epoch of a step that is offered no more.
const OVER: Epoch = Epoch(u32::MAX);

impl Inner {
    fn is_taken(&self, home: &NodeId, offered: &Offered) -> bool {
        self.taken.get(&(*home, offered.step)).is_some_and(|taken| *taken >= offered.epoch)
    }

    /// A step was granted under this epoch.
    fn taken(&mut self, (home, step): (NodeId, StepId), epoch: Epoch) {
        self.take_down(&home, &step);
        match self.taken.entry((home, step)) {
            Entry::Occupied(mut taken) => {
                let taken = taken.get_mut();
                *taken = (*taken).max(epoch);
            }
            Entry::Vacant(free) => {
                free.insert(epoch);
                self.taken_in_order.push_back((home, step));
            }
        }
        if self.taken_in_order.len() > TAKEN_MAX
            && let Some(oldest) = self.taken_in_order.pop_front()
        {
            self.taken.remove(&oldest);
        }
    }

    fn put_up(&mut self, offer: Offer) -> bool {
        let (home, step) = (offer.home, offer.offered.step);
        if self.is_taken(&home, &offer.offered) {
            return false;
        }
        let known = self.homes.get(&home);
        let (had, again) =
            known.map_or((0, false), |board| (board.offers.len(), board.offers.contains_key(&step)));
        if !again && (had >= PER_HOME_MAX || self.count >= OFFERS_MAX && !self.make_room(had)) {
            return false;
        }
        self.news += 1;
        let news = self.news;
        self.change(&home, |board| {
            board.offers.insert(step, offer);
            board.news = news;
        });
        true
    }

    /// Takes down the oldest offer of the home with the most, where a home that has `had` has fewer even with one more.
    fn make_room(&mut self, had: usize) -> bool {
        let Some((_, fullest)) = self.by_size.last().copied().filter(|(most, _)| *most > had + 1) else {
            return false;
        };
        self.change(&fullest, |board| drop(board.offers.pop_first()));
        true
    }

    fn take_down(&mut self, home: &NodeId, step: &StepId) {
        if self.homes.contains_key(home) {
            self.change(home, |board| drop(board.offers.remove(step)));
        }
    }

    fn forget(&mut self, home: &NodeId) {
        if self.homes.contains_key(home) {
            self.change(home, |board| board.offers.clear());
        }
    }

    /// Takes down what is past its deadline.
    fn forget_old(&mut self, now: Wall) {
        let homes: Vec<NodeId> = self.homes.keys().copied().collect();
        for home in homes {
            self.change(&home, |board| board.offers.retain(|_, offer| offer.offered.deadline > now));
        }
    }

    /// Changes what a home offers; everything that follows from it is kept in one place. Without an offer it is gone.
    fn change(&mut self, home: &NodeId, change: impl FnOnce(&mut Home)) {
        let board = self.homes.entry(*home).or_default();
        let before = board.offers.len();
        change(board);
        let after = board.offers.len();
        self.count = self.count + after - before;
        self.by_size.remove(&(before, *home));
        if after == 0 {
            self.homes.remove(home);
        } else {
            self.by_size.insert((after, *home));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::amount::Credits;
    use artel_protocol::id::{Digest, RunId};
    use artel_protocol::key::SecretKey;
    use artel_reputation::Complexity;

    fn text() -> Skill {
        Skill::parse("text").expect("a skill")
    }

    fn home(n: u16) -> NodeId {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&n.to_le_bytes());
        NodeId(SecretKey::from_seed(&seed).public())
    }

    fn step(n: u64) -> StepId {
        RunId::new(Wall(n), [0; 9]).step(0)
    }

    fn offer(home: NodeId, n: u64, deadline: Wall) -> Offer {
        let offered = Offered {
            step: step(n),
            epoch: Epoch(1),
            skills: vec![text()],
            complexity: Complexity::Simple,
            level_min: None,
            reward: Credits::ZERO,
            deadline,
            terms: Digest::of(b"terms"),
            window_ms: 0,
            top: 0,
            verdict_within_ms: 1,
        };
        Offer { home, offered, at: Wall(1), heard: Wall(1), from: None }
    }

    /// As many homes as fill the board, each with as many offers as one may have there.
    fn full(deadline: Wall) -> (Board, BTreeSet<NodeId>) {
        let board = Board::new();
        let homes: BTreeSet<NodeId> = (0..(OFFERS_MAX / PER_HOME_MAX) as u16).map(home).collect();
        for home in &homes {
            for n in 0..PER_HOME_MAX as u64 {
                assert!(board.inner().put_up(offer(*home, n, deadline)));
            }
            assert!(!board.inner().put_up(offer(*home, u64::MAX >> 20, deadline)), "one home has so many");
        }
        assert_eq!(board.inner().count, OFFERS_MAX);
        (board, homes)
    }

    const FAR: Wall = Wall(1 << 46);

    #[test]
    fn a_full_board_has_room_for_a_home_that_offers_little() {
        let (board, mut homes) = full(FAR);
        let late = home(1_000);
        homes.insert(late);
        for n in 0..2_000 {
            assert!(board.inner().put_up(offer(late, n, FAR)), "offer {n}");
        }
        assert!(board.homes_for(&[text()], &homes).iter().any(|(home, _)| *home == late));
        assert_eq!(board.list(None, Some(&text()), OFFERS_MAX, &BTreeSet::from([late])).len(), 2_000);
        let mut inner = board.inner();
        assert_eq!(inner.count, OFFERS_MAX);
        let sizes: Vec<usize> = inner.homes.values().map(|home| home.offers.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), inner.count);
        let others = sizes.iter().filter(|size| **size != 2_000);
        assert!(
            others.clone().max().expect("some") - others.min().expect("some") <= 1,
            "all others gave way"
        );
        // Those that have the most make no room for themselves.
        let fullest = inner.by_size.last().expect("some").1;
        assert!(!inner.put_up(offer(fullest, u64::MAX >> 20, FAR)));
    }

    /// Offers and grants are gossiped in frames of their own.
    #[test]
    fn an_offer_that_is_heard_after_its_grant_is_not_put_up_and_the_next_one_is() {
        let (board, home) = (Board::new(), home(1));
        let mut inner = board.inner();
        inner.taken((home, step(1)), Epoch(1));
        assert!(!inner.put_up(offer(home, 1, FAR)), "it was won already");
        let mut again = offer(home, 1, FAR);
        again.offered.epoch = Epoch(2);
        assert!(inner.put_up(again.clone()), "the lease lapsed, and it is offered anew");
        inner.taken((home, step(1)), OVER);
        inner.taken((home, step(1)), Epoch(2));
        again.offered.epoch = Epoch(3);
        assert!(!inner.put_up(again), "it is over, whatever comes later");
        for n in 2..=1 + TAKEN_MAX as u64 {
            inner.taken((home, step(n)), Epoch(1));
        }
        assert_eq!((inner.taken.len(), inner.taken_in_order.len()), (TAKEN_MAX, TAKEN_MAX));
        assert!(inner.put_up(offer(home, 1, FAR)), "the oldest is forgotten");
    }

    #[test]
    fn what_nobody_may_take_any_more_is_swept_now_and_then() {
        let (board, mut homes) = full(Wall(2));
        let (now, late) = (Instant::now(), home(1_000));
        assert!(board.inner().put_up(offer(late, 1, FAR)));
        assert!(board.is_due(now) && !board.is_due(now + SWEEP / 2) && board.is_due(now + SWEEP));
        homes.insert(late);
        board.sweep(&homes);
        assert_eq!(board.homes(), BTreeSet::from([late]));
        assert_eq!(board.inner().count, 1);
        assert_eq!(board.home_of(&step(1), &homes), Some(late));
        assert_eq!(board.home_of(&step(1), &BTreeSet::new()), None, "nothing is taken from that home");
        board.sweep(&BTreeSet::new());
        let inner = board.inner();
        assert_eq!((inner.count, inner.homes.len(), inner.by_size.len()), (0, 0, 0));
    }
}
