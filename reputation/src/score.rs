//! From faded sums to a score: the three layers, their weights, and the lower confidence bound that ranking uses.
//! It never sees a single piece of evidence, and knows no time.

use crate::level::Level;
use artel_protocol::codec::{Decode, Encode};

/// A score, or a layer of one, in millionths of the full mark: 1,000,000 is shown as 100.00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct Score(pub u32);

/// The three layers; a layer without evidence is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
pub struct Layers {
    /// Layer 1, weight 30: what checkers and schemas gave.
    pub quality: Option<Score>,
    /// Layer 2, weight 40: how leases ended.
    pub success: Option<Score>,
    /// Layer 3, weight 30: what drawn reviewers gave.
    pub review: Option<Score>,
}

/// What one viewer's evidence says about one agent on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Assessment {
    /// The score that is shown and that gives the level: the layers' weighted mean, 50 without evidence.
    pub score: Score,
    /// The lower end of the score's 95 % interval: what agents are ranked by. Zero without receipts.
    pub lower: Score,
    /// The level of `score`.
    pub level: Level,
    /// What the score is made of.
    pub layers: Layers,
    /// How many fresh receipts the faded ones amount to, in millionths of a receipt; at most a million receipts.
    pub receipts_micro: u64,
}

/// The three layers' weights, in the order of [`Layers`] (the federation seed's 30, 40 and 30 %).
const LAYER_WEIGHTS: [u64; 3] = [30, 40, 30];

/// The normal distribution's quantile for a two-sided 95 % interval, z = 1.959964, in millionths.
const Z_MICRO: u128 = 1_959_964;

/// More receipts than these narrow the bound no further (0.1 points remain), so that its square root stays within 128 bits.
const RECEIPTS_MICRO_MAX: u64 = 1_000_000 * MICRO as u64;

const MICRO: u128 = 1_000_000;

impl Score {
    /// What a newcomer shows: 50.
    pub const NEWCOMER: Score = Score(500_000);
    /// The full mark: 100.
    pub const FULL: Score = Score(1_000_000);

    /// The score in hundredths of a point, 0 to 10,000, rounded down: what is shown.
    pub const fn hundredths(self) -> u32 {
        self.0 / 100
    }
}

/// Two decimals, rounded down: `87.25`. It is also a JSON number.
impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.hundredths() / 100, self.hundredths() % 100)
    }
}

impl Assessment {
    /// Puts layers together; `receipts_micro` is the faded number of receipts behind them, in millionths.
    pub(crate) fn new(layers: Layers, receipts_micro: u64) -> Assessment {
        let receipts_micro = receipts_micro.min(RECEIPTS_MICRO_MAX);
        let score = combined(layers);
        Assessment {
            score,
            lower: lower_bound(score, receipts_micro),
            level: Level::of(score),
            layers,
            receipts_micro,
        }
    }
}

/// The mean of the layers that have evidence, by their weights, rounded down; a newcomer's score when none has.
fn combined(layers: Layers) -> Score {
    let (mut sum, mut weights) = (0, 0);
    for (layer, weight) in [layers.quality, layers.success, layers.review].into_iter().zip(LAYER_WEIGHTS) {
        let Some(score) = layer else { continue };
        sum += u64::from(score.0) * weight;
        weights += weight;
    }
    match sum.checked_div(weights) {
        Some(mean) => Score(u32::try_from(mean).expect("a mean of u32 values is one")),
        None => Score::NEWCOMER,
    }
}

/// The lower end of the Wilson score interval (E. B. Wilson, JASA 22, 1927) for a mean of `score` over n receipts,
/// rounded down:
///
/// (n p + z²/2 - z √(n p (1-p) + z²/4)) / (n + z²)
///
/// A receipt's marks lie between 0 and 100, so their variance is at most the p (1-p) of the yes-or-no case that the
/// formula is for: the bound errs on the careful side. Only receipts count for n, since checks and reviews judge the
/// same work once more.
fn lower_bound(score: Score, receipts_micro: u64) -> Score {
    let (n, p) = (u128::from(receipts_micro.min(RECEIPTS_MICRO_MAX)), u128::from(score.min(Score::FULL).0));
    let z2 = Z_MICRO * Z_MICRO; // 10^-12
    let centre = n * p + z2 / 2; // 10^-12
    let variance = n * p * (MICRO - p) + z2 / 4 * MICRO; // 10^-18, below 2.6 × 10^23
    let square = z2 * variance; // 10^-30, below 10^36
    // Rounded down twice, then one more, it is never below the true margin, and above it by 10^-12 at most.
    let margin = square.isqrt() / 1_000 + 1; // 10^-12
    let lower = centre.saturating_sub(margin) * MICRO / (n * MICRO + z2);
    Score(u32::try_from(lower).expect("the bound is at most the score"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wilson(p: f64, n: f64) -> f64 {
        let z = 1.959_964_f64;
        let margin = z * (n * p * (1.0 - p) + z * z / 4.0).sqrt();
        (n * p + z * z / 2.0 - margin) / (n + z * z)
    }

    #[test]
    fn the_bound_is_wilsons_within_two_millionths() {
        for receipts in [0, 1, 999_999, 1_000_000, 3_500_000, 50_000_000, 12_345_678_901, RECEIPTS_MICRO_MAX]
        {
            for score in (0..=1_000_000).step_by(12_345).chain([1, 500_000, 999_999, 1_000_000]) {
                let bound = lower_bound(Score(score), receipts);
                let exact = wilson(f64::from(score) / 1e6, receipts as f64 / 1e6) * 1e6;
                assert!(
                    (f64::from(bound.0) - exact).abs() < 2.0,
                    "{score} over {receipts}: {bound:?}, {exact}"
                );
                assert!(bound.0 <= score);
            }
        }
    }

    #[test]
    fn known_bounds_hold() {
        // 9 of 10: 0.5958; 10 of 10: 0.7225; 1 of 1: 0.2065 (any table of Wilson intervals).
        for (score, receipts, bound) in
            [(900_000, 10, "59.58"), (1_000_000, 10, "72.24"), (1_000_000, 1, "20.65")]
        {
            assert_eq!(lower_bound(Score(score), receipts * 1_000_000).to_string(), bound);
        }
    }

    #[test]
    fn rounding_goes_down_where_it_shows() {
        // With a margin smaller by 10^-12 each of these would be one more.
        for (score, receipts, bound) in
            [(876_049, 1_392_357, 205_223), (98_722, 1_921_033, 4_462), (762_942, 88_239, 13_086)]
        {
            assert_eq!(lower_bound(Score(score), receipts), Score(bound));
        }
    }

    #[test]
    fn absent_layers_leave_their_weight_to_the_others() {
        let full = |a: Option<u32>, b: Option<u32>, c: Option<u32>| {
            let layers = Layers { quality: a.map(Score), success: b.map(Score), review: c.map(Score) };
            combined(layers).0
        };
        for (a, b, c, score) in [
            (None, None, None, 500_000),
            (Some(800_000), None, None, 800_000),
            (None, Some(0), None, 0),
            (Some(1_000_000), Some(500_000), None, 714_285),
            (Some(1_000_000), None, Some(500_000), 750_000),
            (Some(900_000), Some(1_000_000), Some(700_000), 880_000),
            (Some(1_000_000), Some(1_000_000), Some(1_000_000), 1_000_000),
        ] {
            assert_eq!(full(a, b, c), score, "{a:?} {b:?} {c:?}");
        }
    }

    #[test]
    fn scores_print_with_two_decimals() {
        for (millionths, text) in [(0, "0.00"), (500_000, "50.00"), (872_599, "87.25"), (1_000_000, "100.00")]
        {
            assert_eq!(Score(millionths).to_string(), text);
        }
    }
}
