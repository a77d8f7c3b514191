//! How old evidence fades: half of its weight in 90 days, in whole UTC days, from a table. It never multiplies a fading
//! sum: each piece of evidence gets an exact integer weight once, and sums are only shifted when they are read, so the
//! order in which evidence arrives cannot change a result.
//!
//! Day d lies in period p = d / 90 at phase f = d mod 90, and has the weight 2^p × `PHASE_WEIGHTS[f]`. The table is
//! round(2^24 × 2^(f/90)): its error is below 2^-25 of the weight. Counting whole days instead of moments adds less
//! than 1 - 2^(-1/90), 0.77 %, and makes a score constant for a day.

use artel_protocol::time::Wall;

/// The days in which evidence loses half of its weight. Longer, and a changed agent is judged by its past; shorter, and
/// an agent that works little is always a stranger.
pub const HALF_LIFE_DAYS: u32 = 90;

/// Evidence more than so many half-life periods back is forgotten, when it weighs less than a 65,536th. It bounds an
/// agent's memory to 17 periods.
pub const HORIZON_PERIODS: u32 = 16;

const DAY_MS: u64 = 86_400_000;

/// The weight of evidence at each phase of its period, in units of 2^-24.
#[rustfmt::skip]
const PHASE_WEIGHTS: [u32; HALF_LIFE_DAYS as usize] = [
    16_777_216, 16_906_927, 17_037_641, 17_169_365, 17_302_108, 17_435_877, 17_570_680, 17_706_525, 17_843_421,
    17_981_375, 18_120_396, 18_260_491, 18_401_670, 18_543_940, 18_687_310, 18_831_788, 18_977_384, 19_124_105,
    19_271_960, 19_420_959, 19_571_110, 19_722_421, 19_874_902, 20_028_563, 20_183_411, 20_339_456, 20_496_708,
    20_655_176, 20_814_869, 20_975_796, 21_137_968, 21_301_393, 21_466_082, 21_632_044, 21_799_289, 21_967_828,
    22_137_669, 22_308_824, 22_481_301, 22_655_113, 22_830_268, 23_006_777, 23_184_651, 23_363_900, 23_544_535,
    23_726_566, 23_910_005, 24_094_862, 24_281_149, 24_468_875, 24_658_053, 24_848_694, 25_040_808, 25_234_408,
    25_429_504, 25_626_109, 25_824_234, 26_023_891, 26_225_091, 26_427_847, 26_632_170, 26_838_073, 27_045_569,
    27_254_668, 27_465_384, 27_677_729, 27_891_715, 28_107_357, 28_324_665, 28_543_653, 28_764_335, 28_986_723,
    29_210_830, 29_436_669, 29_664_255, 29_893_600, 30_124_719, 30_357_624, 30_592_330, 30_828_851, 31_067_200,
    31_307_392, 31_549_441, 31_793_361, 32_039_168, 32_286_874, 32_536_496, 32_788_048, 33_041_544, 33_297_001,
];

/// The UTC day of a moment, counted from 1970-01-01; the last that fits (in some eleven million years) for all after it.
pub(crate) fn day(at: Wall) -> u32 {
    u32::try_from(at.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// The period of a day.
pub(crate) fn period(day: u32) -> u32 {
    day / HALF_LIFE_DAYS
}

/// The weight of one piece of evidence of that day, within its period.
pub(crate) fn weight(day: u32) -> u32 {
    PHASE_WEIGHTS[(day % HALF_LIFE_DAYS) as usize]
}

/// How far a period's sums are shifted left when they are read in period `now`; nothing when it lies behind the horizon.
pub(crate) fn shift(period: u32, now: u32) -> Option<u32> {
    HORIZON_PERIODS.checked_sub(now.saturating_sub(period))
}

/// The weight, as shifted sums have it, of one piece of evidence of the day `now` itself.
pub(crate) fn unit(now: u32) -> u128 {
    u128::from(weight(now)) << HORIZON_PERIODS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_exponential_rounded() {
        for (phase, &weight) in PHASE_WEIGHTS.iter().enumerate() {
            let exact = (phase as f64 / 90.0).exp2() * f64::from(1 << 24);
            // No true value lies nearer than 0.01 to a half, so that f64 rounds all of them the right way.
            assert!((exact.fract() - 0.5).abs() > 0.01, "phase {phase}");
            assert_eq!(f64::from(weight), exact.round(), "phase {phase}");
        }
    }

    #[test]
    fn faded_weights_stay_within_the_stated_error() {
        for now in [0, 89, 90, 20_504, 20_593, 20_594, u32::MAX] {
            for age in 0..=(HORIZON_PERIODS * HALF_LIFE_DAYS).min(now) {
                let day = now - age;
                let shift = shift(period(day), period(now)).expect("within the horizon");
                let faded = ((u64::from(weight(day))) << shift) as f64 / unit(now) as f64;
                let exact = (-f64::from(age) / 90.0).exp2();
                assert!((faded / exact - 1.0).abs() < 1.0 / f64::from(1 << 24), "{age} days before {now}");
            }
        }
    }

    #[test]
    fn whole_half_lives_are_exact() {
        for halves in 0..=HORIZON_PERIODS {
            let (now, then) = (20_504, 20_504 - halves * HALF_LIFE_DAYS);
            let shift = shift(period(then), period(now)).expect("within the horizon");
            assert_eq!((u128::from(weight(then)) << shift) << halves, unit(now));
        }
    }

    #[test]
    fn evidence_behind_the_horizon_is_forgotten() {
        assert_eq!(shift(100, 100 + HORIZON_PERIODS), Some(0));
        assert_eq!(shift(100, 101 + HORIZON_PERIODS), None);
    }

    #[test]
    fn no_moment_is_out_of_range() {
        assert_eq!(day(Wall(DAY_MS - 1)), 0);
        assert_eq!(day(Wall(DAY_MS)), 1);
        assert_eq!(day(Wall(u64::MAX)), u32::MAX);
    }
}
