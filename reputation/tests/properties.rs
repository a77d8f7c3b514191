//! What must hold for every list of evidence, whatever it says and in whatever order it arrives.

use artel_protocol::time::Wall;
use artel_reputation::{Assessment, Evidence, Fact, Outcome, Quality, Score, Standing};
use proptest::prelude::*;

const DAY_MS: u64 = 86_400_000;
const NOW: Wall = Wall(20_504 * DAY_MS + 40_000_000);

fn mark() -> impl Strategy<Value = Quality> {
    (0u8..=100).prop_map(|mark| Quality::new(mark).expect("at most 100"))
}

fn outcome() -> impl Strategy<Value = Outcome> {
    use Outcome::*;
    prop::sample::select(vec![OnTime, OnTime, OnTime, Late, Rejected, Lapsed, Failed])
}

/// Mostly recent, sometimes behind the horizon, sometimes up to an hour ahead.
fn at() -> impl Strategy<Value = Wall> {
    prop_oneof![
        8 => 0..400 * DAY_MS,
        2 => 0..2_000 * DAY_MS,
    ]
    .prop_map(|ago| Wall(NOW.0 + 3_600_000 - ago))
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let fact = prop_oneof![
        3 => (outcome(), prop::option::of(mark()))
            .prop_map(|(outcome, quality)| Fact::Receipt { outcome, quality }),
        1 => mark().prop_map(|rating| Fact::Review { rating }),
    ];
    (at(), fact).prop_map(|(at, fact)| Evidence { at, fact })
}

fn list() -> impl Strategy<Value = Vec<Evidence>> {
    prop::collection::vec(evidence(), 0..60)
}

fn with(evidence: &[Evidence], piece: Evidence) -> (Assessment, Assessment) {
    let mut standing = Standing::recompute(evidence, NOW);
    let before = standing.assess(NOW);
    standing.add(&piece, NOW).expect("dated before the clock");
    (before, standing.assess(NOW))
}

fn receipt(ago_ms: u64, outcome: Outcome) -> Evidence {
    Evidence { at: Wall(NOW.0 - ago_ms), fact: Fact::Receipt { outcome, quality: None } }
}

proptest! {
    #[test]
    fn scores_are_bounded_and_the_bound_is_below(evidence in list(), later in 0..3_000 * DAY_MS) {
        let assessed = Standing::recompute(&evidence, NOW).assess(NOW.plus_ms(later));
        prop_assert!(assessed.score <= Score::FULL);
        prop_assert!(assessed.lower <= assessed.score);
        let layers = [assessed.layers.quality, assessed.layers.success, assessed.layers.review];
        for layer in layers.into_iter().flatten() {
            prop_assert!(layer <= Score::FULL);
        }
        let lowest = layers.into_iter().flatten().min().unwrap_or(Score::NEWCOMER);
        let highest = layers.into_iter().flatten().max().unwrap_or(Score::NEWCOMER);
        prop_assert!(lowest <= assessed.score && assessed.score <= highest);
    }

    #[test]
    fn order_never_shows(
        (evidence, shuffled) in list().prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle()))
    ) {
        prop_assert_eq!(Standing::recompute(&evidence, NOW), Standing::recompute(&shuffled, NOW));
    }

    #[test]
    fn standings_that_are_put_together_are_the_one_of_all_their_evidence(evidence in list(), at in any::<prop::sample::Index>()) {
        let (one, other) = evidence.split_at(at.index(evidence.len() + 1));
        let mut both = Standing::recompute(one, NOW);
        both.add_all(&Standing::recompute(other, NOW));
        prop_assert_eq!(both, Standing::recompute(&evidence, NOW));
    }

    /// As a node lives it: each piece folded when it happens, assessed in between, snapshots taken and restored.
    #[test]
    fn the_incremental_standing_is_the_recomputed_one(mut evidence in list()) {
        evidence.sort_by_key(|piece| piece.at);
        evidence.retain(|piece| piece.at <= NOW);
        let mut standing = Standing::default();
        for (count, piece) in evidence.iter().enumerate() {
            standing.add(piece, piece.at).expect("it happens now");
            let snapshot = artel_protocol::codec::encode(&standing);
            standing = artel_protocol::codec::decode(&snapshot).expect("own bytes");
            let recomputed = Standing::recompute(&evidence[..=count], piece.at);
            prop_assert_eq!(standing.assess(piece.at), recomputed.assess(piece.at));
        }
        prop_assert_eq!(standing, Standing::recompute(&evidence, NOW));
    }

    /// Against the plain formula in floating point: each weight 2^(-age in days / 90), no table, no periods.
    #[test]
    fn layers_are_the_decayed_means(evidence in list()) {
        let day = |at: Wall| at.0 / DAY_MS;
        let known = || evidence.iter().filter(|piece| piece.at.0 <= NOW.0 + 300_000);
        let today = known().map(|piece| day(piece.at)).max().unwrap_or(0).max(day(NOW));
        let (mut weights, mut marks) = (0.0, 0.0);
        for piece in known().filter(|piece| today / 90 - day(piece.at) / 90 <= 16) {
            let Fact::Receipt { outcome, .. } = piece.fact else { continue };
            let weight = (-((today - day(piece.at)) as f64) / 90.0).exp2();
            weights += weight;
            marks += weight * f64::from(outcome.marks().get());
        }
        let assessed = Standing::recompute(&evidence, NOW).assess(NOW);
        prop_assert!((assessed.receipts_micro as f64 - weights * 1e6).abs() < 1.0 + weights);
        match assessed.layers.success {
            Some(layer) => prop_assert!((f64::from(layer.0) - marks / weights * 1e4).abs() < 2.0),
            None => prop_assert_eq!(weights, 0.0),
        }
    }

    #[test]
    fn one_more_acceptance_on_time_never_lowers(evidence in list(), ago in 0..2_000 * DAY_MS) {
        let (before, after) = with(&evidence, receipt(ago, Outcome::OnTime));
        prop_assert!(after.layers.success >= before.layers.success);
        prop_assert!(before.layers == Default::default() || after.score >= before.score);
        prop_assert!(after.lower.0 + 1 >= before.lower.0);
    }

    #[test]
    fn one_more_failure_never_raises(evidence in list(), ago in 0..2_000 * DAY_MS) {
        for outcome in [Outcome::Rejected, Outcome::Lapsed, Outcome::Failed] {
            let (before, after) = with(&evidence, receipt(ago, outcome));
            prop_assert!(after.score <= before.score);
            if let (Some(before), Some(after)) = (before.layers.success, after.layers.success) {
                prop_assert!(after <= before);
            }
        }
    }

    #[test]
    fn one_more_full_rating_never_lowers(evidence in list(), ago in 0..2_000 * DAY_MS) {
        let at = Wall(NOW.0 - ago);
        let (before, after) = with(&evidence, Evidence { at, fact: Fact::Review { rating: Quality::FULL } });
        prop_assert!(after.layers.review >= before.layers.review);
        prop_assert!(before.layers == Default::default() || after.score >= before.score);
        prop_assert!(after.lower.0 + 1 >= before.lower.0);
    }

    #[test]
    fn waiting_never_raises_the_bound(evidence in list(), days in 0..1_000u64) {
        // While nothing new becomes forgotten, only the number of receipts fades.
        let standing = Standing::recompute(&evidence, NOW);
        let (now, later) = (standing.assess(NOW), standing.assess(NOW.plus_ms(days * DAY_MS)));
        prop_assert!(later.receipts_micro <= now.receipts_micro);
        if later.score == now.score {
            prop_assert!(later.lower <= now.lower);
        }
    }
}
