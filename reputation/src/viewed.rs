//! One viewer's score of an agent: the standings that several homes' evidence gives, each with the weight that the viewer
//! lets that home have, and none but the viewer's own with more than a fifth of the whole.
//!
//! It never decides what a home's weight is, and what counts as a home's evidence: who asks has settled both. However much
//! one home says, it adds a quarter of what all the others count: a flood of receipts buys nothing.

use crate::decay;
use crate::score::Assessment;
use crate::standing::{Standing, Total, Totals, micro};
use artel_protocol::time::Wall;

/// One home other than the viewer counts at most for a part in so many of the whole mass (decision 12). Larger, and a
/// newcomer's record from few homes is worth little; smaller, and one home's word decides.
pub const HOME_PART: u128 = 5;

/// As how many fresh receipts the viewer's own evidence is taken at least, where the others' part is measured. Fewer, and a
/// viewer without evidence of its own hears of nobody; more, and a single home's word makes a record.
pub const OWN_RECEIPTS_MIN: u128 = 8;

/// The bits of the fraction by which a home above its part is scaled down. Fewer, and the rounding shows in a score; more,
/// and marks times it would not fit into 128 bits.
const FRACTION_BITS: u32 = 32;

/// How much a home's evidence weighs, in eighths: 0 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Eighths(u8);

/// One home's evidence about an agent, as the viewer takes it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The evidence.
    pub standing: &'a Standing,
    /// What it weighs.
    pub weight: Eighths,
    /// Whether it counts for a fifth of the whole at most: all but the viewer's own.
    pub capped: bool,
}

/// What came of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Its faded receipts before weight and cap, in millionths of a fresh receipt.
    pub receipts_micro: u64,
    /// How many of these count after both.
    pub counted_micro: u64,
}

/// A viewer's score and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewed {
    /// The score, its bound and its layers.
    pub assessment: Assessment,
    /// What each source gave, in the sources' order.
    pub shares: Vec<Share>,
}

impl Eighths {
    /// Counts nothing.
    pub const NONE: Eighths = Eighths(0);
    /// Counts in full.
    pub const FULL: Eighths = Eighths(8);

    /// The weight of a home that so many receipts were settled with: an eighth for each, in full from eight on.
    pub fn of_settled(receipts: u64) -> Eighths {
        Eighths(u8::try_from(receipts).unwrap_or(u8::MAX).min(Eighths::FULL.0))
    }

    /// The eighths, 0 to 8.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Puts sources together, on the day of `now` or on that of the newest evidence of a source that weighs anything. The order
/// of sources shows in nothing but the order of the shares.
pub fn viewed(sources: &[Source<'_>], now: Wall) -> Viewed {
    let weighing = sources.iter().filter(|source| source.weight > Eighths::NONE);
    let newest = weighing.map(|source| source.standing.newest()).max().unwrap_or_default();
    let today = decay::day(now).max(newest);
    let totals: Vec<Totals> = sources.iter().map(|source| source.standing.totals(today)).collect();
    let eighths = |at: usize| u128::from(sources[at].weight.0);
    let masses: Vec<u128> = totals
        .iter()
        .enumerate()
        .map(|(at, total)| total.success.weight.saturating_mul(eighths(at)))
        .collect();
    let unit = decay::unit(today) * u128::from(Eighths::FULL.0);
    let (mut own, mut others) = (0_u128, Vec::new());
    for (source, mass) in sources.iter().zip(&masses) {
        match source.capped {
            true => others.push(*mass),
            false => own = own.saturating_add(*mass),
        }
    }
    let most = most(own.max(OWN_RECEIPTS_MIN * unit), others);
    let (mut sum, mut shares) = (Totals::default(), Vec::with_capacity(sources.len()));
    for (at, total) in totals.iter().enumerate() {
        let fraction = match sources[at].capped && masses[at] > most {
            true => (most << FRACTION_BITS) / masses[at],
            false => 1 << FRACTION_BITS,
        };
        let counted = total.scaled(eighths(at), fraction);
        sum.add(&counted);
        shares.push(Share {
            receipts_micro: micro(total.success.weight, decay::unit(today)),
            counted_micro: micro(counted.success.weight, unit),
        });
    }
    Viewed { assessment: sum.assessment(unit), shares }
}

/// The most that one home other than the viewer may count: the largest C with 5 C ≤ own + Σ min(mass, C), rounded down. In one
/// pass, the lightest home first: while C would be less than the next one's mass it is found.
fn most(own: u128, mut others: Vec<u128>) -> u128 {
    others.sort_unstable();
    let (mut sum, mut heavier) = (own, others.len() as u128);
    for mass in others {
        if let Some(parts) = HOME_PART.checked_sub(heavier).filter(|parts| *parts > 0)
            && sum / parts < mass
        {
            return sum / parts;
        }
        sum = sum.saturating_add(mass);
        heavier -= 1;
    }
    u128::MAX
}

impl Totals {
    fn scaled(&self, eighths: u128, fraction: u128) -> Totals {
        let scale = |total: Total| Total {
            weight: part(total.weight.saturating_mul(eighths), fraction),
            marks: part(total.marks.saturating_mul(eighths), fraction),
        };
        Totals { quality: scale(self.quality), success: scale(self.success), review: scale(self.review) }
    }

    fn add(&mut self, more: &Totals) {
        let add = |sum: &mut Total, more: Total| {
            sum.weight = sum.weight.saturating_add(more.weight);
            sum.marks = sum.marks.saturating_add(more.marks);
        };
        add(&mut self.quality, more.quality);
        add(&mut self.success, more.success);
        add(&mut self.review, more.review);
    }
}

/// `value × fraction / 2^32`, rounded down. Honest sums stay below 2^95, so the product fits; what does not is a sum that no
/// evidence makes.
fn part(value: u128, fraction: u128) -> u128 {
    value.saturating_mul(fraction) >> FRACTION_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, Fact, Outcome};
    use crate::score::Score;

    const NOW: Wall = Wall(20_504 * 86_400_000 + 5);

    fn standing(receipts: &[Outcome]) -> Standing {
        let piece = |outcome: &Outcome| Evidence {
            at: NOW,
            fact: Fact::Receipt { outcome: *outcome, quality: None },
        };
        Standing::recompute(&receipts.iter().map(piece).collect::<Vec<_>>(), NOW)
    }

    fn own(standing: &Standing) -> Source<'_> {
        Source { standing, weight: Eighths::FULL, capped: false }
    }

    fn of(standing: &Standing, settled: u64) -> Source<'_> {
        Source { standing, weight: Eighths::of_settled(settled), capped: true }
    }

    #[test]
    fn own_evidence_alone_is_what_the_standing_says() {
        let mixed = standing(&[Outcome::OnTime, Outcome::Late, Outcome::Lapsed]);
        assert_eq!(viewed(&[own(&mixed)], NOW).assessment, mixed.assess(NOW));
        assert_eq!(viewed(&[], NOW).assessment, Standing::default().assess(NOW));
    }

    #[test]
    fn a_home_that_nothing_was_settled_with_changes_nothing() {
        let (mine, bad) = (standing(&[Outcome::OnTime; 4]), standing(&[Outcome::Rejected; 1_000]));
        let seen = viewed(&[own(&mine), of(&bad, 0)], NOW);
        assert_eq!(seen.assessment, mine.assess(NOW));
        assert_eq!(seen.shares[1], Share { receipts_micro: 1_000_000_000, counted_micro: 0 });
    }

    #[test]
    fn one_home_counts_a_fifth_at_most_however_much_it_says() {
        let mine = standing(&[Outcome::OnTime; 40]);
        for (receipts, counted, score) in [(10, 10_000_000, 800_000), (4_000, 9_999_999, 800_000)] {
            let theirs = standing(&vec![Outcome::Rejected; receipts]);
            let seen = viewed(&[own(&mine), of(&theirs, 8)], NOW);
            assert_eq!(seen.shares[1].counted_micro, counted, "{receipts} receipts");
            assert_eq!(seen.assessment.score, Score(score), "{receipts} receipts");
        }
    }

    #[test]
    fn a_viewer_without_evidence_hears_two_receipts_of_one_home_and_all_of_five() {
        let good = standing(&[Outcome::OnTime; 100]);
        for (homes, each) in
            [(1, 2_000_000), (2, 2_666_666), (3, 4_000_000), (4, 8_000_000), (5, 100_000_000)]
        {
            let seen = viewed(&vec![of(&good, 8); homes], NOW);
            for share in &seen.shares {
                assert!(share.counted_micro.abs_diff(each) <= 1, "{homes} homes: {}", share.counted_micro);
            }
        }
    }

    #[test]
    fn the_part_is_the_largest_that_holds() {
        for (own, others) in [
            (0, vec![]),
            (80, vec![3, 500, 500, 9, 1_000_000]),
            (7, vec![1, 2, 3]),
            (1_000, vec![10, 10, 10, 10, 10, 10]),
            (64, vec![100, 1 << 60, 1 << 60, 1 << 60, 1 << 60, 1 << 60, 1 << 61]),
        ] {
            let most = most(own, others.clone());
            let holds = |c: u128| 5 * c <= own + others.iter().map(|mass| c.min(*mass)).sum::<u128>();
            let heaviest = others.iter().copied().max().unwrap_or_default();
            if most < heaviest {
                assert!(holds(most) && !holds(most + 1), "{own} {others:?}: {most}");
            } else {
                assert!(holds(heaviest), "{own} {others:?}: nothing is to be cut");
            }
        }
    }

    #[test]
    fn weights_count_in_eighths() {
        let (mine, good) = (standing(&[Outcome::Rejected; 9]), standing(&[Outcome::OnTime; 8]));
        for (settled, score) in [(0, 0), (1, 100_000), (2, 181_818)] {
            let seen = viewed(&[own(&mine), of(&good, settled)], NOW);
            assert_eq!(seen.assessment.score, Score(score), "{settled} settled");
        }
        assert_eq!((Eighths::of_settled(7).get(), Eighths::of_settled(u64::MAX).get()), (7, 8));
    }

    #[test]
    fn a_future_day_of_a_home_without_weight_makes_nothing_old() {
        let mine = standing(&[Outcome::OnTime; 3]);
        let later = NOW.plus_ms(400 * 86_400_000);
        let piece = Evidence { at: later, fact: Fact::Receipt { outcome: Outcome::OnTime, quality: None } };
        let ahead = Standing::recompute(&[piece], later);
        assert_eq!(viewed(&[own(&mine), of(&ahead, 0)], NOW).assessment, mine.assess(NOW));
        assert_ne!(viewed(&[own(&mine), of(&ahead, 1)], NOW).assessment, mine.assess(NOW));
    }
}
