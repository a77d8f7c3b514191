//! Which of several neighbours brings a journal: one at a time, so that not all of them that have the same send it. Who is slow
//! loses its turn, not its stream.

use artel_protocol::log::Origin;
use artel_protocol::time::Mono;
use std::collections::BTreeMap;

/// How long a turn lasts from its beginning, and at most from when something came, in milliseconds. Longer, and a neighbour that
/// says nothing keeps a journal from coming for longer; shorter, and one that syncs a slow disk first is joined by others, which
/// send the same.
pub const GRACE_MS: u64 = 2_000;

/// The pace that makes a turn last, in bytes of lacking records a second (256 KiB). Faster, and on a slow link others join and make
/// it slower; slower, and who drips holds a journal back for longer.
pub const PACE: u64 = 256 << 10;

/// For how long a stream waits for journals that other neighbours are bringing, to bring what they do not, in milliseconds. Longer,
/// and it takes a place at its neighbour for nothing; shorter than a turn lasts in which nothing comes, and such a journal waits
/// for a later fetch.
pub const WAIT_MS: u64 = 3_000;

/// The journals that are being fetched: one for each stream at most, so few.
#[derive(Debug, Default)]
pub struct Fetching {
    turns: u64,
    of: BTreeMap<Origin, Held>,
}

/// Which turn it is, and how long it lasts.
#[derive(Debug)]
struct Held {
    number: u64,
    until: Mono,
}

/// The turn to bring a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    origin: Origin,
    number: u64,
}

impl Fetching {
    /// The turn to bring a journal, where nobody has it or whoever had it is out of time.
    pub fn take(&mut self, origin: Origin, now: Mono) -> Option<Turn> {
        if self.of.get(&origin).is_some_and(|held| now < held.until) {
            return None;
        }
        self.turns += 1;
        let number = self.turns;
        self.of.insert(origin, Held { number, until: now.plus_ms(GRACE_MS) });
        Some(Turn { origin, number })
    }

    /// So many bytes of what was lacking came: the turn lasts longer, where it is not another's by now.
    pub fn brought(&mut self, turn: Turn, bytes: usize, now: Mono) {
        if let Some(held) = self.held(turn) {
            let longer = held.until.plus_ms(bytes as u64 * 1_000 / PACE);
            held.until = longer.min(now.plus_ms(GRACE_MS));
        }
    }

    /// A turn is over; another's stays.
    pub fn end(&mut self, turn: Turn) {
        if self.held(turn).is_some() {
            self.of.remove(&turn.origin);
        }
    }

    fn held(&mut self, turn: Turn) -> Option<&mut Held> {
        self.of.get_mut(&turn.origin).filter(|held| held.number == turn.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{NodeId, SecretKey};

    fn origin(seed: u8) -> Origin {
        Origin::new(FederationId([7; 32]), NodeId(SecretKey::from_seed(&[seed; 32]).public()), 0)
    }

    #[test]
    fn a_journal_has_one_turn_at_a_time() {
        let (mut fetching, now) = (Fetching::default(), Mono(5));
        let turn = fetching.take(origin(1), now).expect("free");
        assert_eq!(fetching.take(origin(1), now), None);
        let other = fetching.take(origin(2), now).expect("another journal");
        fetching.end(turn);
        let again = fetching.take(origin(1), now).expect("free again");
        fetching.end(again);
        fetching.end(other);
        assert!(fetching.of.is_empty(), "nothing is left of a turn");
    }

    #[test]
    fn who_says_nothing_loses_its_turn_and_ends_no_others() {
        let (mut fetching, now) = (Fetching::default(), Mono(0));
        let slow = fetching.take(origin(1), now).expect("free");
        assert_eq!(fetching.take(origin(1), Mono(GRACE_MS - 1)), None);
        let next = fetching.take(origin(1), Mono(GRACE_MS)).expect("out of time");
        fetching.brought(slow, 1 << 30, Mono(GRACE_MS));
        fetching.end(slow);
        assert_eq!(fetching.take(origin(1), Mono(2 * GRACE_MS - 1)), None, "the next one has it still");
        assert!(
            fetching.take(origin(1), Mono(2 * GRACE_MS)).is_some(),
            "what another brought is not its own"
        );
        fetching.end(next);
        assert_eq!(fetching.take(origin(1), Mono(2 * GRACE_MS)), None);
    }

    #[test]
    fn a_turn_lasts_as_long_as_bytes_come_at_the_pace() {
        let (mut fetching, pace) = (Fetching::default(), PACE as usize);
        let turn = fetching.take(origin(1), Mono(0)).expect("free");
        for second in 1..=10 {
            fetching.brought(turn, pace, Mono(second * 1_000));
            assert_eq!(fetching.take(origin(1), Mono(second * 1_000)), None);
        }
        // Whoever was fast is not ahead for longer than that.
        fetching.brought(turn, 100 * pace, Mono(10_000));
        assert!(fetching.take(origin(1), Mono(10_000 + GRACE_MS)).is_some());
        // At half the pace it is over after twice its grace.
        let turn = fetching.take(origin(2), Mono(0)).expect("free");
        for second in 1..=3 {
            fetching.brought(turn, pace / 2, Mono(second * 1_000));
            assert_eq!(fetching.take(origin(2), Mono(second * 1_000)), None, "{second}");
        }
        assert!(fetching.take(origin(2), Mono(4_000)).is_some());
    }
}
