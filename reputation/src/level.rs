//! Levels and what they open: which complexity an agent of a level may take, and what an accepted result is paid.
//! All figures are the federation seed's. Nothing here looks at evidence.

use crate::evidence::Quality;
use crate::score::Score;
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};

/// What a score amounts to: novice ≤ 50 < intermediate < 75 ≤ expert < 90 ≤ master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub enum Level {
    /// Up to 50, and every newcomer.
    #[default]
    Novice,
    /// Above 50.
    Intermediate,
    /// From 75.
    Expert,
    /// From 90.
    Master,
}

/// How demanding a task is, as its poster says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Complexity {
    /// For everyone.
    Simple,
    /// From intermediate.
    Medium,
    /// From expert.
    Complex,
    /// For masters.
    Premium,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Level; 4] = [Level::Novice, Level::Intermediate, Level::Expert, Level::Master];

    /// The level of a score, judged as it is shown (two decimals, rounded down), so that every reader agrees with it.
    pub const fn of(score: Score) -> Level {
        match score.hundredths() {
            0..=50_00 => Level::Novice,
            50_01..=74_99 => Level::Intermediate,
            75_00..=89_99 => Level::Expert,
            _ => Level::Master,
        }
    }

    /// Whether an agent of this level may take a task of that complexity.
    pub fn may_take(self, complexity: Complexity) -> bool {
        self >= complexity.level()
    }

    /// What a reward is multiplied with, in tenths.
    pub const fn multiplier_tenths(self) -> u64 {
        match self {
            Level::Novice => 10,
            Level::Intermediate => 12,
            Level::Expert => 15,
            Level::Master => 20,
        }
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Novice => "novice",
            Level::Intermediate => "intermediate",
            Level::Expert => "expert",
            Level::Master => "master",
        }
    }

    /// The level of that name.
    pub fn parse(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl Complexity {
    /// All complexities, lowest first.
    pub const ALL: [Complexity; 4] =
        [Complexity::Simple, Complexity::Medium, Complexity::Complex, Complexity::Premium];

    /// The lowest level that may take it.
    pub const fn level(self) -> Level {
        match self {
            Complexity::Simple => Level::Novice,
            Complexity::Medium => Level::Intermediate,
            Complexity::Complex => Level::Expert,
            Complexity::Premium => Level::Master,
        }
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Complexity::Simple => "simple",
            Complexity::Medium => "medium",
            Complexity::Complex => "complex",
            Complexity::Premium => "premium",
        }
    }

    /// The complexity of that name.
    pub fn parse(name: &str) -> Option<Complexity> {
        Complexity::ALL.into_iter().find(|complexity| complexity.name() == name)
    }
}

/// What an accepted result earns: base × quality / 100 × the level's multiplier, rounded down once, at the end.
pub fn reward(base: Credits, quality: Quality, level: Level) -> Credits {
    base.scaled(u64::from(quality.get()) * level.multiplier_tenths(), 1_000)
}

/// The most that a result may earn when agents up to `highest` are admitted: what the poster escrows.
pub fn escrow(base: Credits, highest: Level) -> Credits {
    reward(base, Quality::FULL, highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_turn_where_the_seed_says() {
        for (millionths, level) in [
            (0, Level::Novice),
            (500_000, Level::Novice),
            (500_099, Level::Novice), // shown as 50.00
            (500_100, Level::Intermediate),
            (749_999, Level::Intermediate),
            (750_000, Level::Expert),
            (899_999, Level::Expert),
            (900_000, Level::Master),
            (1_000_000, Level::Master),
        ] {
            assert_eq!(Level::of(Score(millionths)), level, "{millionths}");
        }
    }

    #[test]
    fn each_level_opens_one_more_complexity() {
        for (rank, level) in Level::ALL.into_iter().enumerate() {
            let open = Complexity::ALL.map(|complexity| level.may_take(complexity));
            assert_eq!(open, [true, rank >= 1, rank >= 2, rank >= 3], "{}", level.name());
        }
    }

    #[test]
    fn names_read_back() {
        assert!(Level::ALL.into_iter().all(|level| Level::parse(level.name()) == Some(level)));
        assert!(Complexity::ALL.into_iter().all(|c| Complexity::parse(c.name()) == Some(c)));
        assert_eq!((Level::parse("Master"), Complexity::parse("")), (None, None));
    }

    #[test]
    fn rewards_are_rounded_down_once() {
        let quality = |mark| Quality::new(mark).expect("a mark");
        for (base, mark, level, earned) in [
            (50_000_000, 100, Level::Novice, 50_000_000),
            (50_000_000, 100, Level::Intermediate, 60_000_000),
            (50_000_000, 80, Level::Expert, 60_000_000),
            (50_000_000, 100, Level::Master, 100_000_000),
            (50_000_000, 0, Level::Master, 0),
            (3, 50, Level::Novice, 1),
            (3, 50, Level::Master, 3), // rounding after the first factor would give 2
            (999, 33, Level::Intermediate, 395),
            (1_000_000_000_000_000, 100, Level::Master, 2_000_000_000_000_000),
        ] {
            assert_eq!(reward(Credits(base), quality(mark), level), Credits(earned), "{base} {mark}");
        }
    }

    #[test]
    fn no_reward_exceeds_its_escrow() {
        for (base, mark) in [(1, 100), (7, 99), (999_999, 100), (1_000_001, 1)] {
            for level in Level::ALL {
                let quality = Quality::new(mark).expect("a mark");
                for highest in Level::ALL.into_iter().filter(|highest| *highest >= level) {
                    assert!(reward(Credits(base), quality, level) <= escrow(Credits(base), highest));
                }
            }
        }
    }
}
