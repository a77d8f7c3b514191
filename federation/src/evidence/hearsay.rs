//! Summaries: what a node says of agents' scores, and what others say. Compared where both have read the same, flagged where it is
//! wrong, never believed.

use super::book::Book;
use super::view::Viewer;
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::summary::{SUMMARY_MARKS_MAX, SUMMARY_SCORES_MAX, Said, Scored, Summary};
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A viewer's summaries closer together than this are not passed on, in milliseconds by the viewer's clock.
const PACE_MS: u64 = 5_000;

/// Summaries that are older, or further ahead of the clock, are not passed on, in milliseconds.
const SKEW_MS: u64 = 5 * 60 * 1_000;

/// How many viewers' newest summaries are kept until they can be compared, at most 64 KB each. Those of others are passed on
/// and not compared.
const VIEWERS_MAX: usize = 256;

/// What a node has said.
#[derive(Debug, Default)]
pub struct Saying {
    /// The heads that were named last.
    said: Digest,
    /// The agent that was named last, where there were more.
    last: Option<AgentId>,
}

impl Saying {
    /// What is to be said next of what a book has read: the scores of some agents, those behind the last one that was named; nothing
    /// where nothing has changed since its heads were named, where no agent has a score, or where what was read does not tell.
    pub fn next(
        &mut self,
        book: &Book,
        me: Origin,
        (founders, liars): (&[NodeId], &BTreeSet<NodeId>),
        at: Wall,
    ) -> Option<Said> {
        let heads = book.heads(liars);
        let viewer = Viewer { node: me.node(), founders, liars };
        if heads == self.said || !book.can_tell(viewer) {
            return None;
        }
        let some_after = |last: Option<AgentId>| -> Vec<Scored> {
            let agents = book.agents_after(last.map_or(Bound::Unbounded, Bound::Excluded));
            agents.filter_map(|agent| book.scored(viewer, agent, at)).take(SUMMARY_SCORES_MAX).collect()
        };
        let mut scores = some_after(self.last);
        if scores.is_empty() {
            scores = some_after(None);
        }
        self.last = scores.last().map(|one| one.agent).filter(|_| scores.len() == SUMMARY_SCORES_MAX);
        if scores.is_empty() {
            return None;
        }
        self.said = heads;
        let marks = if book.is_whole() && liars.is_empty() { book.marks() } else { Vec::new() };
        let marks = if marks.len() <= SUMMARY_MARKS_MAX { marks } else { Vec::new() };
        Some(Said { viewer: me, at, heads, marks, scores })
    }
}

/// How a viewer's summaries were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks {
    /// How many were compared.
    pub checked: u64,
    /// How many of these are not what the records say.
    pub wrong: u64,
}

/// What becomes of a summary that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is passed on, and compared once that can be done.
    Open,
    /// It is passed on and not compared: too many viewers are known.
    Full,
    /// It is of another time than this.
    Clock,
    /// It came too soon behind its viewer's last one.
    Pace,
}

/// What was heard of others.
#[derive(Debug, Default)]
pub struct Hearsay {
    heard: BTreeMap<NodeId, Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    at: Wall,
    checks: Checks,
    /// The newest one, until it is compared.
    open: Option<Summary>,
}

impl Hearsay {
    /// Takes up a member's summary: the newest of each viewer, at its pace.
    pub fn take(&mut self, summary: Summary, now: Wall) -> Taken {
        let (viewer, at) = (summary.said().viewer.node(), summary.said().at);
        if at.0.abs_diff(now.0) > SKEW_MS {
            return Taken::Clock;
        }
        if self.heard.len() >= VIEWERS_MAX && !self.heard.contains_key(&viewer) {
            return Taken::Full;
        }
        let heard = self.heard.entry(viewer).or_default();
        if at < heard.at.plus_ms(PACE_MS) {
            return Taken::Pace;
        }
        heard.at = at;
        heard.open = Some(summary);
        Taken::Open
    }

    /// What is still to be compared, of the viewers behind one by key.
    pub fn open_after(&self, last: Option<NodeId>) -> impl Iterator<Item = (&NodeId, &Summary)> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.heard.range((from, Bound::Unbounded));
        behind.filter_map(|(viewer, heard)| Some((viewer, heard.open.as_ref()?)))
    }

    /// Notes how a viewer's newest summary was found. Answers how all of its were.
    pub fn found(&mut self, viewer: &NodeId, agrees: bool) -> Checks {
        let Some(heard) = self.heard.get_mut(viewer) else { return Checks::default() };
        heard.open = None;
        heard.checks.checked += 1;
        heard.checks.wrong += u64::from(!agrees);
        heard.checks
    }

    /// How each viewer's summaries were found.
    pub fn checks(&self) -> impl Iterator<Item = (&NodeId, Checks)> {
        self.heard.iter().map(|(viewer, heard)| (viewer, heard.checks))
    }

    /// How a viewer's summaries were found.
    pub fn checks_of(&self, viewer: &NodeId) -> Checks {
        self.heard.get(viewer).map(|heard| heard.checks).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{PublicKey, SecretKey};

    const NOW: Wall = Wall(1_000_000_000);

    fn key(n: usize) -> SecretKey {
        SecretKey::from_seed(&[n as u8; 32])
    }

    fn node(n: usize) -> NodeId {
        NodeId(key(n).public())
    }

    fn summary(viewer: usize, at: Wall) -> Summary {
        let agent = AgentId(PublicKey::from_bytes([9; 32]));
        let viewer_origin = Origin::new(FederationId([5; 32]), node(viewer), 0);
        let scores = vec![Scored { agent, score: 2, lower: 1, receipts_micro: 1 }];
        let said = Said { viewer: viewer_origin, at, heads: Digest::default(), marks: Vec::new(), scores };
        Summary::sign(said, &key(viewer)).expect("within bounds")
    }

    #[test]
    fn a_viewers_newest_is_taken_at_its_pace_and_of_this_time_alone() {
        let mut hearsay = Hearsay::default();
        let mut take = |at| hearsay.take(summary(1, at), NOW);
        assert_eq!(take(Wall(NOW.0 - SKEW_MS - 1)), Taken::Clock);
        assert_eq!(take(Wall(NOW.0 + SKEW_MS + 1)), Taken::Clock);
        assert_eq!(take(Wall(NOW.0 - SKEW_MS)), Taken::Open);
        assert_eq!(take(Wall(NOW.0 - SKEW_MS + PACE_MS - 1)), Taken::Pace);
        assert_eq!(take(Wall(NOW.0 - SKEW_MS + PACE_MS)), Taken::Open);
        assert_eq!(take(Wall(NOW.0 - SKEW_MS)), Taken::Pace, "an older one");
        let open: Vec<Wall> = hearsay.open_after(None).map(|(_, open)| open.said().at).collect();
        assert_eq!(open, [Wall(NOW.0 - SKEW_MS + PACE_MS)], "the newest");
    }

    #[test]
    fn of_too_many_viewers_the_first_are_compared() {
        let mut hearsay = Hearsay::default();
        // As many keys as there are, each by a seed of its own.
        let many = |n: usize| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&n.to_le_bytes());
            let key = SecretKey::from_seed(&seed);
            let mut said = summary(0, NOW).said().clone();
            said.viewer = Origin::new(FederationId([5; 32]), NodeId(key.public()), 0);
            Summary::sign(said, &key).expect("within bounds")
        };
        for n in 0..VIEWERS_MAX {
            assert_eq!(hearsay.take(many(n), NOW), Taken::Open);
        }
        assert_eq!(hearsay.take(many(VIEWERS_MAX), NOW), Taken::Full);
        let mut later = many(0).said().clone();
        later.at = NOW.plus_ms(PACE_MS);
        let first = SecretKey::from_seed(&[0; 32]);
        let later = Summary::sign(later, &first).expect("within bounds");
        assert_eq!(hearsay.take(later, NOW), Taken::Open, "who has a place keeps it");
    }

    #[test]
    fn what_was_compared_is_counted_and_not_compared_again() {
        let mut hearsay = Hearsay::default();
        for viewer in 1..=3 {
            assert_eq!(hearsay.take(summary(viewer, NOW), NOW), Taken::Open);
        }
        let first = *hearsay.open_after(None).next().expect("one").0;
        assert_eq!(hearsay.found(&first, false), Checks { checked: 1, wrong: 1 });
        let left: Vec<NodeId> = hearsay.open_after(None).map(|(viewer, _)| *viewer).collect();
        assert_eq!(left.len(), 2);
        assert!(!left.contains(&first));
        assert_eq!(hearsay.open_after(Some(left[0])).count(), 1);
        assert_eq!(hearsay.found(&left[0], true), Checks { checked: 1, wrong: 0 });
        assert_eq!(hearsay.checks_of(&first), Checks { checked: 1, wrong: 1 });
        assert_eq!(hearsay.checks().filter(|(_, checks)| checks.checked == 1).count(), 2);
        assert_eq!(hearsay.found(&node(7), false), Checks::default(), "of whom nothing was heard");
    }
}
