//! How homes answered lately: one that was away, silent or dishonest is left alone for a while by claims of a next task that
//! name no home, so that it holds up nobody. Claims of its tasks by name, renewals and results are brought to it all the same.

use artel_protocol::key::NodeId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// For how long a home is left alone at first; twice as long after each further failure. Shorter, and each claim of a waiting
/// agent finds the same silent homes again.
const PAUSE: Duration = Duration::from_secs(10);

/// The longest pause: a home that is back and was not seen to come up is found again within this time.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How many homes that failed are remembered; the one that may be asked soonest goes for a further one. Each takes some 60 bytes.
const FAILED_MAX: usize = 4_096;

/// What went wrong with a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no connection to it.
    Away,
    /// It did not answer in time, or not as an honest home does.
    Silent,
}

struct Manner {
    failures: u32,
    last: Failure,
    until: Instant,
}

/// The homes that failed and have not answered since.
#[derive(Default)]
pub(super) struct Manners(BTreeMap<NodeId, Manner>);

impl Manners {
    /// A home could not be asked, or gave no answer.
    pub fn failed(&mut self, home: NodeId, last: Failure, now: Instant) {
        let failures = match self.0.get(&home) {
            // Many ask at once, and fail at once: that is one failure.
            Some(manner) if manner.until > now => manner.failures,
            Some(manner) => manner.failures.saturating_add(1),
            None => 1,
        };
        let pause = PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(PAUSE_MAX);
        let until = match self.0.get(&home) {
            Some(manner) if manner.until > now => manner.until,
            _ => now + pause,
        };
        if self.0.len() >= FAILED_MAX && !self.0.contains_key(&home) {
            let soonest = self.0.iter().min_by_key(|(_, manner)| manner.until).map(|(home, _)| *home);
            soonest.map(|home| self.0.remove(&home));
        }
        self.0.insert(home, Manner { failures, last, until });
    }

    /// A home has answered.
    pub fn answered(&mut self, home: &NodeId) {
        self.0.remove(home);
    }

    /// A home is connected. Whether it answers is not known by that.
    pub fn came_up(&mut self, home: &NodeId) {
        if self.0.get(home).is_some_and(|manner| manner.last == Failure::Away) {
            self.0.remove(home);
        }
    }

    /// Whether a home is left alone for now.
    pub fn is_paused(&self, home: &NodeId, now: Instant) -> bool {
        self.0.get(home).is_some_and(|manner| manner.until > now)
    }

    /// How often it failed since it answered last.
    pub fn failures(&self, home: &NodeId) -> u32 {
        self.0.get(home).map_or(0, |manner| manner.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(n: u16) -> NodeId {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&n.to_le_bytes());
        NodeId(artel_protocol::key::SecretKey::from_seed(&seed).public())
    }

    #[test]
    fn a_home_that_fails_again_is_left_alone_for_longer_and_one_that_answers_is_not() {
        let (mut manners, mut now) = (Manners::default(), Instant::now());
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            manners.failed(home(1), Failure::Silent, now);
            manners.failed(home(1), Failure::Silent, now);
            let until = now + Duration::from_secs(pause);
            assert!(manners.is_paused(&home(1), until - Duration::from_millis(1)));
            assert!(!manners.is_paused(&home(1), until), "{pause} s are over");
            now = until;
        }
        assert_eq!((manners.failures(&home(1)), manners.failures(&home(2))), (7, 0));
        manners.failed(home(1), Failure::Silent, now);
        manners.came_up(&home(1));
        assert!(manners.is_paused(&home(1), now), "it was connected before, and silent");
        manners.answered(&home(1));
        assert!(!manners.is_paused(&home(1), now) && manners.failures(&home(1)) == 0);
        manners.failed(home(1), Failure::Away, now);
        manners.came_up(&home(1));
        assert!(!manners.is_paused(&home(1), now), "it is back");
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let (mut manners, now) = (Manners::default(), Instant::now());
        for n in 0..=FAILED_MAX as u16 {
            manners.failed(home(n), Failure::Away, now + Duration::from_millis(n.into()));
        }
        assert_eq!(manners.0.len(), FAILED_MAX);
        assert_eq!((manners.failures(&home(0)), manners.failures(&home(1))), (0, 1));
    }
}
