//! Which neighbours this node asks to run its steps again: each a few at a time, and one that said nothing not for a while, so that
//! it holds up few verdicts.

use artel_protocol::key::NodeId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many steps one neighbour runs for this node at once. It takes one at a time and refuses more.
const AT_ONCE_MAX: usize = 1;

/// How long a neighbour is not asked that did not answer in time; doubled with each time that follows. A question to it holds up a
/// verdict, and one of the few places for redos.
const REST_OF_SILENT: Duration = Duration::from_secs(600);

/// The same for one that refused, went away, or came to no end: it costs a round trip.
const REST_OF_OTHERS: Duration = Duration::from_secs(60);

/// The longest such rest. Longer, and a neighbour that is sound again is not asked for hours.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// How many neighbours are remembered, some 100 bytes each. Beyond it those that rest no more are forgotten, and where there are
/// none a further neighbour is not asked.
const REMEMBERED_MAX: usize = 1_024;

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A run that says something.
    Word,
    /// Nothing in time, or nothing that can be read.
    Silence,
    /// A refusal, or a run that says nothing.
    Nothing,
    /// It was not asked in the end: the question is none for another node.
    Unasked,
}

/// Whom this node asks.
#[derive(Debug, Default)]
pub struct Asked(Mutex<BTreeMap<NodeId, Neighbour>>);

#[derive(Debug, Default)]
struct Neighbour {
    under_way: usize,
    /// Questions without a word since the last one with a word.
    failures: u32,
    rests_until: Option<Instant>,
}

/// A question that is under way.
#[derive(Debug)]
pub struct Question<'a> {
    asked: &'a Asked,
    to: NodeId,
    heard: Heard,
}

impl Asked {
    /// Begins a question to a neighbour; nothing where it is not to be asked now.
    pub fn begin(&self, to: NodeId, now: Instant) -> Option<Question<'_>> {
        let mut known = self.known();
        if known.len() >= REMEMBERED_MAX && !known.contains_key(&to) {
            known.retain(|_, one| one.under_way > 0 || one.rests_until.is_some_and(|until| until > now));
            if known.len() >= REMEMBERED_MAX {
                return None;
            }
        }
        let one = known.entry(to).or_default();
        if !one.is_free(now) {
            return None;
        }
        one.under_way += 1;
        Some(Question { asked: self, to, heard: Heard::Nothing })
    }

    fn end(&self, to: &NodeId, heard: Heard, now: Instant) {
        let mut known = self.known();
        let Some(one) = known.get_mut(to) else { return };
        one.under_way = one.under_way.saturating_sub(1);
        let rest = match heard {
            Heard::Word => {
                (one.failures, one.rests_until) = (0, None);
                return;
            }
            Heard::Unasked => return,
            Heard::Silence => REST_OF_SILENT,
            Heard::Nothing => REST_OF_OTHERS,
        };
        let rest = rest.saturating_mul(1 << one.failures.min(10)).min(REST_MAX);
        one.failures = one.failures.saturating_add(1);
        one.rests_until = Some(now + rest);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeId, Neighbour>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Neighbour {
    fn is_free(&self, now: Instant) -> bool {
        self.under_way < AT_ONCE_MAX && self.rests_until.is_none_or(|until| until <= now)
    }
}

impl Question<'_> {
    /// Says what was heard. A question that is given up before, since another run came to an end first, heard nothing.
    pub fn heard(mut self, heard: Heard) {
        self.heard = heard;
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.asked.end(&self.to, self.heard, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    fn node(n: u32) -> NodeId {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_le_bytes());
        NodeId(SecretKey::from_seed(&seed).public())
    }

    #[test]
    fn who_says_nothing_is_not_asked_for_a_while_each_time_longer() {
        let (asked, now) = (Asked::default(), Instant::now());
        let is_free = |at: Instant| asked.known()[&node(1)].is_free(at);
        asked.begin(node(1), now).expect("free").heard(Heard::Word);
        assert!(is_free(now));
        let mut wait = REST_OF_SILENT;
        for _ in 0..5 {
            asked.end(&node(1), Heard::Silence, now);
            assert!(!is_free(now + wait - Duration::from_millis(1)) && is_free(now + wait), "{wait:?}");
            wait = (wait * 2).min(REST_MAX);
        }
        asked.end(&node(1), Heard::Word, now);
        assert!(is_free(now), "a word makes up for it");
        asked.end(&node(1), Heard::Nothing, now);
        assert!(!is_free(now) && is_free(now + REST_OF_OTHERS));
    }

    #[test]
    fn one_neighbour_holds_up_one_question_and_no_other_neighbour() {
        let (asked, now) = (Asked::default(), Instant::now());
        let first = asked.begin(node(1), now).expect("free");
        assert!(asked.begin(node(1), now).is_none());
        let other = asked.begin(node(2), now).expect("another one");
        other.heard(Heard::Word);
        drop(first);
        assert!(asked.begin(node(1), now).is_none(), "given up, it heard nothing");
        // As with 200 results and a neighbour that never answers: it is asked once.
        let asked_again = (0..200).filter(|_| asked.begin(node(1), now).is_some()).count();
        assert_eq!(asked_again, 0);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_rests_no_more_makes_room() {
        let (asked, now) = (Asked::default(), Instant::now());
        for n in 0..REMEMBERED_MAX as u32 {
            asked.begin(node(n), now).expect("room").heard(Heard::Nothing);
        }
        assert!(asked.begin(node(9_999), now).is_none());
        let later = Instant::now() + REST_OF_OTHERS;
        assert!(asked.begin(node(9_999), later).is_some());
        assert_eq!(asked.known().len(), 1);
    }
}
