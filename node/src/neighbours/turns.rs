//! Which neighbour brings a journal: one at a time, so that several that have the same do not send it all. Who is slow loses its
//! turn, not its stream.

use artel_protocol::log::Origin;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// How long a turn lasts from its beginning, and at most from when something came. Longer, and a neighbour that says nothing keeps
/// a journal from coming for longer; shorter, and one that syncs a slow disk first is joined by others, which send the same.
const GRACE: Duration = Duration::from_secs(2);

/// The pace that makes a turn last, in bytes of lacking records a second (256 KiB). Faster, and on a slow link others join and make
/// it slower; slower, and who drips holds a journal back for longer.
const PACE: f64 = (256 << 10) as f64;

/// The journals that are being fetched: as many as streams, so few.
#[derive(Debug, Default)]
pub(super) struct Turns {
    table: Mutex<Table>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Table {
    given: u64,
    of: BTreeMap<Origin, Held>,
}

/// Which turn it is, and how long it lasts.
#[derive(Debug)]
struct Held {
    number: u64,
    until: Instant,
}

/// The turn to bring a journal, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    origin: Origin,
    number: u64,
}

impl Turns {
    /// The turn to bring a journal, where nobody has it or whoever had it is out of time.
    pub fn take(&self, origin: Origin, now: Instant) -> Option<Turn<'_>> {
        let mut table = self.table();
        if table.of.get(&origin).is_some_and(|held| now < held.until) {
            return None;
        }
        table.given += 1;
        let number = table.given;
        table.of.insert(origin, Held { number, until: now + GRACE });
        Some(Turn { turns: self, origin, number })
    }

    /// Waits until any turn ends that had not when this was called.
    pub fn next_end(&self) -> Notified<'_> {
        self.ended.notified()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// So many bytes of what was lacking came: the turn lasts longer, where it is not another's by now.
    pub fn brought(&self, bytes: usize, now: Instant) {
        if let Some(held) = self.turns.table().of.get_mut(&self.origin)
            && held.number == self.number
        {
            let longer = held.until + Duration::from_secs_f64(bytes as f64 / PACE);
            held.until = longer.min(now + GRACE);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut table = self.turns.table();
        if table.of.get(&self.origin).is_some_and(|held| held.number == self.number) {
            table.of.remove(&self.origin);
        }
        drop(table);
        self.turns.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{NodeId, SecretKey};

    fn origin(seed: u8) -> Origin {
        let node = SecretKey::from_seed(&[seed; 32]).public();
        Origin::new(FederationId([7; 32]), NodeId(node), 0)
    }

    #[test]
    fn a_journal_has_one_turn_at_a_time() {
        let (turns, now) = (Turns::default(), Instant::now());
        let turn = turns.take(origin(1), now).expect("free");
        assert!(turns.take(origin(1), now).is_none());
        assert!(turns.take(origin(2), now).is_some(), "another journal");
        drop(turn);
        assert!(turns.take(origin(1), now).is_some());
        assert!(turns.table().of.is_empty(), "nothing is left of a turn");
    }

    #[test]
    fn who_says_nothing_loses_its_turn_and_ends_no_others() {
        let (turns, now) = (Turns::default(), Instant::now());
        let slow = turns.take(origin(1), now).expect("free");
        assert!(turns.take(origin(1), now + GRACE - Duration::from_millis(1)).is_none());
        let next = turns.take(origin(1), now + GRACE).expect("out of time");
        slow.brought(1 << 30, now + GRACE);
        drop(slow);
        assert!(turns.take(origin(1), now + GRACE).is_none(), "the next one has it still");
        assert!(turns.take(origin(1), now + 2 * GRACE).is_some(), "and what another brought is not its own");
        drop(next);
    }

    #[test]
    fn a_turn_lasts_as_long_as_bytes_come_at_the_pace() {
        let (turns, mut now) = (Turns::default(), Instant::now());
        let turn = turns.take(origin(1), now).expect("free");
        let (second, pace) = (Duration::from_secs(1), PACE as usize);
        for _ in 0..10 {
            now += second;
            turn.brought(pace, now);
            assert!(turns.take(origin(1), now).is_none());
        }
        // Whoever was fast is not ahead for longer than that.
        turn.brought(100 * pace, now);
        assert!(turns.take(origin(1), now + GRACE).is_some());
        // At half the pace it is over after twice its grace.
        let turn = turns.take(origin(2), now).expect("free");
        for half in 1..=3 {
            turn.brought(pace / 2, now + half * second);
            assert!(turns.take(origin(2), now + half * second).is_none(), "{half}");
        }
        assert!(turns.take(origin(2), now + 4 * second).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_a_turn_ends() {
        let (turns, now) = (Turns::default(), Instant::now());
        let turn = turns.take(origin(1), now).expect("free");
        let ended = turns.next_end();
        drop(turn);
        // It ended between the look and the wait.
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("told");
    }
}
