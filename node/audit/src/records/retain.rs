//! Retention: whose oldest records give way where there is no room, and which missing ones are not waited for any longer. The
//! older a record, the less it is asked for: its offer is gone, its verdict was counted.
//!
//! Nothing is given up here by itself: whoever keeps records reads first what it wants of them.

use super::NewFrame;
use super::error::Error;
use super::frame;
use super::place::Stretch;
use super::store::RecordStore;
use crate::index::SCAN_PAIRS_MAX;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use std::collections::BTreeMap;

/// The part of its share that a node's oldest records free at once, as one in so many. Larger, and more is kept but an author at
/// its limit costs its readers a prune more often, with some syncs of the index.
const GIVEN_UP_ONE_IN: u64 = 4;

/// How much of a share the records of a node that nobody here is interested in may take, in eighths, and how much of it stays when
/// they are more. Less, and what such nodes keep of an author would not be enough to begin after it: [`RecordStore::lacks`] asks
/// for a third of a share by one neighbour's word.
const DISTANT_EIGHTHS: u64 = 4;
const DISTANT_LEFT_EIGHTHS: u64 = 3;

/// How much of a share has to be held behind missing records, as one in so many, before one neighbour's word that it lacks them is
/// enough to wait for them no longer.
const ALONE_ONE_IN: u64 = 3;

impl RecordStore {
    /// The node whose oldest records give way to a frame that there is no room for: its author, where that has used up its
    /// share; where the store is full, the one that takes most, as long as half of its share is left to it, and of those first one that
    /// nobody here is interested in. Nothing where that would not help.
    pub fn who_gives_way(&self, frame: &NewFrame, is_distant: impl Fn(&NodeId) -> bool) -> Option<NodeId> {
        let limits = self.limits();
        let bytes = frame::record_bytes(frame) as u64;
        let state = self.shared.state();
        let has_place =
            state.authors.contains_key(&frame.origin) || (state.authors.len() as u64) < limits.authors_max;
        if !has_place || !frame.origin.is_within_limit() || bytes > limits.author_bytes_max {
            return None;
        }
        if state.bytes_of(&frame.origin) + bytes > limits.author_bytes_max {
            return Some(frame.origin.node());
        }
        if state.live + bytes <= limits.store_bytes_max {
            return None;
        }
        let mut bytes_of: BTreeMap<NodeId, u64> = BTreeMap::new();
        for (origin, author) in &state.authors {
            *bytes_of.entry(origin.node()).or_default() += author.bytes;
        }
        // Whoever is asked may look at what is kept.
        drop(state);
        bytes_of
            .retain(|_, bytes| bytes.saturating_sub(self.given_up_at_once()) >= limits.author_bytes_max / 2);
        let first = bytes_of.into_iter().max_by_key(|(node, bytes)| (is_distant(node), *bytes));
        first.map(|(node, _)| node)
    }

    /// Whether the records of a node take more than they may where nobody here is interested in it.
    pub fn is_more_than_distant(&self, node: &NodeId) -> bool {
        self.bytes_of(node) > self.limits().author_bytes_max / 8 * DISTANT_EIGHTHS
    }

    /// Gives up the oldest records of a node that nobody here is interested in, until three eighths of a share are left.
    ///
    /// # Errors
    /// [`Error`], as for [`RecordStore::prune`].
    pub fn give_up_distant(&mut self, node: &NodeId) -> Result<(), Error> {
        let left = self.limits().author_bytes_max / 8 * DISTANT_LEFT_EIGHTHS;
        self.give_up(node, self.bytes_of(node).saturating_sub(left))
    }

    fn bytes_of(&self, node: &NodeId) -> u64 {
        self.reader().marks_of(node).iter().map(|(_, mark)| mark.bytes).sum()
    }

    /// Gives up a node's oldest records, its oldest journal first, until a quarter of its share is freed or nothing is left. Up to where
    /// its journals are held may have changed then, also where this fails.
    ///
    /// # Errors
    /// [`Error`], as for [`RecordStore::prune`].
    pub fn give_up_oldest(&mut self, node: &NodeId) -> Result<(), Error> {
        self.give_up(node, self.given_up_at_once())
    }

    fn give_up(&mut self, node: &NodeId, mut wanted: u64) -> Result<(), Error> {
        self.feed()?;
        let records = self.reader();
        for (origin, mark) in records.marks_of(node).into_iter().filter(|(_, mark)| mark.bytes > 0) {
            if wanted == 0 {
                break;
            }
            let below = self.number_that_frees(&origin, wanted)?;
            self.prune(&origin, below)?;
            wanted = wanted.saturating_sub(mark.bytes.saturating_sub(records.mark(&origin).bytes));
        }
        Ok(())
    }

    /// A neighbour that was asked for more of a journal has nothing of it below a number. The number up to which its missing
    /// records need not be waited for any longer, if there is one: so much is held from there on, in it and in later journals of
    /// its node, that they would be among the first to give way. That is a quarter of a share where two neighbours lack them,
    /// and a third of it by one's word alone: whoever gave them up for want of room or interest keeps as much, so what comes from there meets
    /// this, and who leaves out what it has cannot make it up.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn lacks(&mut self, origin: &Origin, by: NodeId, before: u64) -> Result<Option<u64>, Error> {
        self.feed()?;
        let (next, later) = {
            let state = self.shared.state();
            let next = state.authors.get(origin).map_or(0, |author| author.mark().next);
            let later = state.journals_of(origin).filter(|(other, _)| *other > origin);
            (next, later.map(|(_, author)| author.bytes).sum::<u64>())
        };
        if next >= before {
            self.lacks.forget(origin);
            return Ok(None);
        }
        let (alone, agreed) = self.lacks.hear(*origin, by, before);
        let given_up = self.given_up_at_once();
        let share = self.limits().author_bytes_max;
        for (below, wanted) in
            agreed.map(|below| (below, given_up)).into_iter().chain([(alone, share / ALONE_ONE_IN)])
        {
            if next < below && self.holds_from(origin, below, wanted.saturating_sub(later))? {
                self.lacks.forget(origin);
                return Ok(Some(below));
            }
        }
        Ok(None)
    }

    /// Whether so many bytes of a journal are held from a number on.
    fn holds_from(&self, origin: &Origin, from: u64, mut wanted: u64) -> Result<bool, Error> {
        if wanted > 0 {
            self.walk(origin, from, |Stretch { end, place }| {
                wanted = wanted.saturating_sub(if place.last < end { u64::from(place.len) } else { 0 });
                wanted > 0
            })?;
        }
        Ok(wanted == 0)
    }

    fn given_up_at_once(&self) -> u64 {
        self.limits().author_bytes_max / GIVEN_UP_ONE_IN
    }

    /// The number below which an author's frames take so many bytes, or behind all of them.
    fn number_that_frees(&self, origin: &Origin, bytes: u64) -> Result<u64, Error> {
        let (mut freed, mut below) = (0, 0);
        self.walk(origin, 0, |Stretch { end, place }| {
            // With the last record that is read from it a frame goes.
            if place.last < end {
                freed += u64::from(place.len);
                below = end;
            }
            freed < bytes
        })?;
        Ok(below)
    }

    /// Looks at the stretches of an author's records from a number on, as long as `look` says so. The index has come up to all of
    /// them.
    fn walk(
        &self,
        origin: &Origin,
        mut from: u64,
        mut look: impl FnMut(Stretch) -> bool,
    ) -> Result<(), Error> {
        loop {
            let some = self.shared.indexed(origin, from..u64::MAX, SCAN_PAIRS_MAX)?;
            let Some((_, last)) = some.last().copied() else { return Ok(()) };
            if !some.into_iter().all(|(_, stretch)| look(stretch)) {
                return Ok(());
            }
            from = last.end;
        }
    }
}
