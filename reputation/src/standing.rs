//! An agent's standing: all of its evidence, folded into at most 17 periods of sums. The one place where evidence becomes
//! numbers; a full recomputation is the same fold. Sums are exact, so the order of evidence never shows.

use crate::decay;
use crate::evidence::{Evidence, Fact, Quality};
use crate::score::{Assessment, Layers, Score};
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::time::Wall;

/// How far evidence may lie ahead of the viewer's clock, in milliseconds: what clocks are allowed to differ (5 minutes).
/// Without a limit one entry from a far future would make all other evidence old.
pub const AHEAD_MS_MAX: u64 = 5 * 60 * 1_000;

/// One agent's evidence as one viewer holds it. Bounded: at most 17 periods, 896 bytes encoded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Standing {
    /// The day of the newest evidence.
    newest: u32,
    /// Oldest first; only periods that hold evidence and lie within the horizon of the newest.
    periods: Vec<Period>,
}

/// Evidence that claims to come from after `now`, further than clocks may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("evidence is dated {} ms ahead of the clock, more than {AHEAD_MS_MAX}", .ahead_ms)]
pub struct FromTheFuture {
    /// How far ahead it lies, in milliseconds.
    pub ahead_ms: u64,
}

/// The evidence of one period of 90 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
struct Period {
    number: u32,
    quality: Sum,
    success: Sum,
    review: Sum,
}

/// Weights, and marks times weights. At most 2^25 and 2^32 a piece: it takes 2^32 pieces in one period to fill a sum, and
/// a full one stays full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
struct Sum {
    weight: u64,
    marks: u64,
}

/// Sums of all periods, each shifted by its age.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Total {
    pub weight: u128,
    pub marks: u128,
}

/// A standing's sums as one day sees them, by layer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub quality: Total,
    pub success: Total,
    pub review: Total,
}

impl Standing {
    /// The standing that a list of evidence gives, in any order; evidence from the future is left out.
    pub fn recompute<'a>(evidence: impl IntoIterator<Item = &'a Evidence>, now: Wall) -> Standing {
        let mut standing = Standing::default();
        for piece in evidence {
            // What `add` refuses is what the incremental fold has refused before.
            let _ = standing.add(piece, now);
        }
        standing
    }

    /// Takes one more piece of evidence. Constant time.
    ///
    /// # Errors
    /// [`FromTheFuture`] when it is dated more than [`AHEAD_MS_MAX`] after `now`; nothing changes then.
    pub fn add(&mut self, evidence: &Evidence, now: Wall) -> Result<(), FromTheFuture> {
        let ahead_ms = evidence.at.since_ms(now);
        if ahead_ms > AHEAD_MS_MAX {
            return Err(FromTheFuture { ahead_ms });
        }
        let day = decay::day(evidence.at);
        if day > self.newest {
            self.newest = day;
            let newest = decay::period(day);
            self.periods.retain(|period| decay::shift(period.number, newest).is_some());
        }
        let number = decay::period(day);
        if decay::shift(number, decay::period(self.newest)).is_none() {
            return Ok(());
        }
        let weight = decay::weight(day);
        let period = self.period(number);
        match evidence.fact {
            Fact::Receipt { outcome, quality } => {
                period.success.add(weight, outcome.marks());
                if let Some(quality) = quality {
                    period.quality.add(weight, quality);
                }
            }
            Fact::Review { rating } => period.review.add(weight, rating),
        }
        Ok(())
    }

    /// Takes back a piece that was added before. What has aged out since is gone already. How far the newest evidence reaches stays as it
    /// was: it was there.
    pub fn remove(&mut self, evidence: &Evidence) {
        let day = decay::day(evidence.at);
        let number = decay::period(day);
        let Some(at) = self.periods.iter().position(|period| period.number == number) else { return };
        let (weight, period) = (decay::weight(day), &mut self.periods[at]);
        match evidence.fact {
            Fact::Receipt { outcome, quality } => {
                period.success.remove(weight, outcome.marks());
                if let Some(quality) = quality {
                    period.quality.remove(weight, quality);
                }
            }
            Fact::Review { rating } => period.review.remove(weight, rating),
        }
        if self.periods[at] == (Period { number, ..Period::default() }) {
            self.periods.remove(at);
        }
    }

    /// Takes in all that another standing is the fold of: as if each piece of it had been added here.
    pub fn add_all(&mut self, other: &Standing) {
        self.newest = self.newest.max(other.newest);
        let newest = decay::period(self.newest);
        self.periods.retain(|period| decay::shift(period.number, newest).is_some());
        for more in &other.periods {
            if decay::shift(more.number, newest).is_some() {
                let period = self.period(more.number);
                period.quality.add_all(more.quality);
                period.success.add_all(more.success);
                period.review.add_all(more.review);
            }
        }
    }

    /// What the evidence says on the day of `now`, or on the day of the newest evidence if that is later.
    pub fn assess(&self, now: Wall) -> Assessment {
        let today = decay::day(now).max(self.newest);
        self.totals(today).assessment(decay::unit(today))
    }

    /// The day of the newest evidence; 0 without any.
    pub(crate) fn newest(&self) -> u32 {
        self.newest
    }

    /// The sums as a day sees them that is none before the newest evidence's.
    pub(crate) fn totals(&self, today: u32) -> Totals {
        let mut totals = Totals::default();
        for period in &self.periods {
            let Some(shift) = decay::shift(period.number, decay::period(today)) else {
                continue;
            };
            totals.quality.add(period.quality, shift);
            totals.success.add(period.success, shift);
            totals.review.add(period.review, shift);
        }
        totals
    }

    fn period(&mut self, number: u32) -> &mut Period {
        let at = self.periods.partition_point(|period| period.number < number);
        if self.periods.get(at).is_none_or(|period| period.number != number) {
            let empty = Period { number, ..Period::default() };
            self.periods.insert(at, empty);
        }
        &mut self.periods[at]
    }
}

impl Sum {
    fn add(&mut self, weight: u32, mark: Quality) {
        let weight = u64::from(weight);
        self.weight = self.weight.saturating_add(weight);
        self.marks = self.marks.saturating_add(weight * u64::from(mark.get()));
    }

    fn remove(&mut self, weight: u32, mark: Quality) {
        let weight = u64::from(weight);
        self.weight = self.weight.saturating_sub(weight);
        self.marks = self.marks.saturating_sub(weight * u64::from(mark.get()));
    }

    fn add_all(&mut self, more: Sum) {
        self.weight = self.weight.saturating_add(more.weight);
        self.marks = self.marks.saturating_add(more.marks);
    }
}

impl Totals {
    /// What the sums say, where one fresh receipt weighs `unit`.
    pub fn assessment(&self, unit: u128) -> Assessment {
        let layers =
            Layers { quality: self.quality.mean(), success: self.success.mean(), review: self.review.mean() };
        Assessment::new(layers, micro(self.success.weight, unit))
    }
}

/// How many fresh receipts a weight amounts to, in millionths, where one weighs `unit`.
pub(crate) fn micro(weight: u128, unit: u128) -> u64 {
    let micro = weight.saturating_mul(1_000_000) / unit;
    u64::try_from(micro).unwrap_or(u64::MAX)
}

impl Total {
    fn add(&mut self, sum: Sum, shift: u32) {
        self.weight += u128::from(sum.weight) << shift;
        self.marks += u128::from(sum.marks) << shift;
    }

    /// The mean mark, rounded down to a millionth; nothing without evidence.
    fn mean(self) -> Option<Score> {
        // Marks are of 100, scores of 1,000,000.
        let mean = self.marks.saturating_mul(10_000).checked_div(self.weight)?;
        Some(u32::try_from(mean).map_or(Score::FULL, |mean| Score(mean).min(Score::FULL)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Outcome;
    use crate::level::Level;
    use artel_protocol::codec::{decode, encode};

    const DAY_MS: u64 = 86_400_000;
    const NOW: Wall = Wall(20_504 * DAY_MS + 5);

    fn receipt(days_ago: u64, outcome: Outcome, quality: Option<u8>) -> Evidence {
        let quality = quality.map(|mark| Quality::new(mark).expect("a mark"));
        Evidence { at: Wall(NOW.0 - days_ago * DAY_MS), fact: Fact::Receipt { outcome, quality } }
    }

    #[test]
    fn what_is_taken_back_leaves_what_was_there_without_it() {
        let all = [
            receipt(3, Outcome::OnTime, Some(80)),
            receipt(100, Outcome::Late, None),
            receipt(3, Outcome::Rejected, None),
            receipt(200, Outcome::OnTime, Some(70)),
        ];
        for gone in 0..all.len() {
            let mut standing = Standing::recompute(&all, NOW);
            standing.remove(&all[gone]);
            let rest = all.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, piece)| piece);
            let wanted = Standing::recompute(rest, NOW);
            assert_eq!(
                (&standing.periods, standing.assess(NOW)),
                (&wanted.periods, wanted.assess(NOW)),
                "{gone}"
            );
        }
        let mut aged = Standing::recompute(&[receipt(0, Outcome::OnTime, None)], NOW);
        let before = aged.clone();
        aged.remove(&receipt(17 * 90, Outcome::OnTime, None));
        assert_eq!(aged, before);
    }

    fn assessed(evidence: &[Evidence]) -> Assessment {
        Standing::recompute(evidence, NOW).assess(NOW)
    }

    #[test]
    fn a_newcomer_shows_50_and_is_a_novice() {
        let newcomer = assessed(&[]);
        assert_eq!((newcomer.score, newcomer.lower), (Score::NEWCOMER, Score(0)));
        assert_eq!((newcomer.level, newcomer.layers), (Level::Novice, Layers::default()));
    }

    #[test]
    fn without_checkers_success_stands_alone() {
        let one = assessed(&[receipt(0, Outcome::OnTime, None), receipt(0, Outcome::Late, None)]);
        assert_eq!((one.score, one.layers.success), (Score(750_000), Some(Score(750_000))));
        assert_eq!((one.layers.quality, one.layers.review), (None, None));
        assert_eq!(one.receipts_micro, 2_000_000);
    }

    #[test]
    fn a_failure_90_days_old_weighs_half() {
        let faded = assessed(&[receipt(0, Outcome::OnTime, None), receipt(90, Outcome::Lapsed, None)]);
        assert_eq!((faded.score, faded.receipts_micro), (Score(666_666), 1_500_000));
    }

    #[test]
    fn old_evidence_keeps_the_score_but_not_the_bound() {
        let standing = Standing::recompute(&[receipt(0, Outcome::OnTime, None); 20], NOW);
        let (fresh, old) = (standing.assess(NOW), standing.assess(NOW.plus_ms(360 * DAY_MS)));
        assert_eq!(fresh.score, old.score);
        assert_eq!((fresh.receipts_micro, old.receipts_micro), (20_000_000, 1_250_000));
        assert!(old.lower < fresh.lower);
        let forgotten = standing.assess(NOW.plus_ms(17 * 90 * DAY_MS));
        assert_eq!(forgotten, Standing::default().assess(NOW));
    }

    #[test]
    fn evidence_from_the_future_is_refused() {
        let mut standing = Standing::recompute(&[receipt(0, Outcome::Lapsed, None)], NOW);
        let before = standing.clone();
        let mut piece = receipt(0, Outcome::OnTime, None);
        piece.at = NOW.plus_ms(AHEAD_MS_MAX + 1);
        let refused = standing.add(&piece, NOW);
        assert_eq!(refused, Err(FromTheFuture { ahead_ms: AHEAD_MS_MAX + 1 }));
        assert_eq!(standing, before);
        piece.at = NOW.plus_ms(AHEAD_MS_MAX);
        assert_eq!(standing.add(&piece, NOW), Ok(()));
        assert_eq!(standing.assess(NOW).score, Score(500_000));
    }

    #[test]
    fn memory_is_bounded_over_a_century() {
        let mut standing = Standing::default();
        for day in (0..36_500).step_by(7) {
            let piece = Evidence { at: Wall(day * DAY_MS), ..receipt(0, Outcome::OnTime, Some(90)) };
            standing.add(&piece, piece.at).expect("not from the future");
        }
        assert_eq!(standing.periods.len(), 17);
        assert_eq!(encode(&standing).len(), 4 + 8 + 17 * 52);
    }

    #[test]
    fn a_full_sum_stays_full() {
        let mut sum = Sum { weight: u64::MAX - 1, marks: u64::MAX - 1 };
        sum.add(decay::weight(0), Quality::FULL);
        assert_eq!((sum.weight, sum.marks), (u64::MAX, u64::MAX));
    }

    #[test]
    fn nonsense_from_a_snapshot_stays_in_bounds() {
        let sum = |weight, marks| Sum { weight, marks };
        let [full, odd, odder] = [sum(u64::MAX, u64::MAX), sum(1, 150), sum(1, u64::MAX)];
        for (quality, success, review) in
            [(full, full, full), (odd, odd, odd), (odder, odder, odder), (full, odd, odder)]
        {
            let period = |number| Period { number, quality, success, review };
            let mut standing = Standing { newest: 5, periods: [3, 1, u32::MAX, 1].map(period).to_vec() };
            assert_eq!(decode::<Standing>(&encode(&standing)), Ok(standing.clone()));
            for now in [Wall(0), NOW, Wall(u64::MAX)] {
                let assessed = standing.assess(now);
                assert!(assessed.lower <= assessed.score && assessed.score <= Score::FULL);
            }
            standing.add(&receipt(0, Outcome::OnTime, None), NOW).expect("not from the future");
        }
    }
}
