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

/// How long a turn lasts in all, whatever comes, in milliseconds. Longer, and one that is slower than others keeps them from
/// bringing the journal for longer; shorter, and much over a slow link is sent by several.
pub const TURN_MS_MAX: u64 = 20_000;

/// For how long a stream waits for journals that other neighbours are bringing, to bring what they do not, in milliseconds. Longer,
/// and it takes a place at its neighbour for nothing; shorter than a turn in which nothing comes, and a journal that a silent
/// neighbour had the turn for waits for a later fetch.
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
    /// When it is over at the latest.
    end: Mono,
    /// The bytes that came and have not made it longer by a whole millisecond.
    bytes: u64,
}

/// The turn to bring a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    origin: Origin,
    number: u64,
}

impl Fetching {
    /// The turn to bring a journal, where nobody has it or whoever had it is out of time.
    ///
    /// # Errors
    /// Until when it is another's, as far as is known by now.
    pub fn take(&mut self, origin: Origin, now: Mono) -> Result<Turn, Mono> {
        if let Some(held) = self.of.get(&origin).filter(|held| now < held.until) {
            return Err(held.until);
        }
        self.turns += 1;
        let (number, until, end) = (self.turns, now.plus_ms(GRACE_MS), now.plus_ms(TURN_MS_MAX));
        self.of.insert(origin, Held { number, until, end, bytes: 0 });
        Ok(Turn { origin, number })
    }

    /// So many bytes of what was lacking came: the turn lasts longer, where it is not another's by now.
    pub fn brought(&mut self, turn: Turn, bytes: usize, now: Mono) {
        if let Some(held) = self.held(turn) {
            held.bytes += bytes as u64;
            let ms = held.bytes * 1_000 / PACE;
            held.bytes -= ms * PACE / 1_000;
            held.until = held.until.plus_ms(ms).min(now.plus_ms(GRACE_MS)).min(held.end);
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
        assert_eq!(fetching.take(origin(1), now), Err(now.plus_ms(GRACE_MS)));
        let other = fetching.take(origin(2), now).expect("another journal");
        fetching.end(turn);
        let again = fetching.take(origin(1), now).expect("free again");
        fetching.end(again);
        fetching.end(other);
        assert!(fetching.of.is_empty(), "nothing is left of a turn");
    }

    #[test]
    fn who_says_nothing_loses_its_turn_and_ends_no_others() {
        let mut fetching = Fetching::default();
        let slow = fetching.take(origin(1), Mono(0)).expect("free");
        assert_eq!(fetching.take(origin(1), Mono(GRACE_MS - 1)), Err(Mono(GRACE_MS)));
        let next = fetching.take(origin(1), Mono(GRACE_MS)).expect("out of time");
        fetching.brought(slow, 1 << 30, Mono(GRACE_MS));
        fetching.end(slow);
        let held = fetching.take(origin(1), Mono(2 * GRACE_MS - 1));
        assert_eq!(
            held,
            Err(Mono(2 * GRACE_MS)),
            "the next one has it, and what another brought is not its own"
        );
        fetching.end(next);
        assert!(fetching.take(origin(1), Mono(2 * GRACE_MS - 1)).is_ok());
    }

    #[test]
    fn a_turn_lasts_as_long_as_bytes_come_at_the_pace_and_not_for_ever() {
        let (mut fetching, pace) = (Fetching::default(), PACE as usize);
        let turn = fetching.take(origin(1), Mono(0)).expect("free");
        for second in 1..=10 {
            fetching.brought(turn, pace, Mono(second * 1_000));
            assert!(fetching.take(origin(1), Mono(second * 1_000)).is_err());
        }
        // Whoever was fast is not ahead for longer than that.
        fetching.brought(turn, 100 * pace, Mono(10_000));
        assert_eq!(fetching.take(origin(1), Mono(10_000)), Err(Mono(10_000 + GRACE_MS)));
        for second in 11..20 {
            fetching.brought(turn, pace, Mono(second * 1_000));
        }
        assert_eq!(fetching.take(origin(1), Mono(TURN_MS_MAX - 1)), Err(Mono(TURN_MS_MAX)));
        assert!(fetching.take(origin(1), Mono(TURN_MS_MAX)).is_ok());
        // At half the pace it is over after twice its grace, in frames of any size.
        let turn = fetching.take(origin(2), Mono(0)).expect("free");
        for ms in 1..2 * GRACE_MS - 10 {
            fetching.brought(turn, pace / 2_000, Mono(ms));
            assert!(fetching.take(origin(2), Mono(ms)).is_err(), "{ms}");
        }
        assert!(fetching.take(origin(2), Mono(2 * GRACE_MS)).is_ok());
    }
}
